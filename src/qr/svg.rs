//! Writes a layout as SVG: paths of rectangles, nothing that runs and nothing that is fetched; pure.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Style,
    layout::{Area, Layout},
    png::{colours, inside},
};

/// Writes the picture.
pub fn write(layout: &Layout<'_>, style: &Style) -> String {
    let Layout { grid, width, height, left, top, module, field, frame, dots } = layout;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" shape-rendering="crispEdges"><path fill="{}" d="M0 0h{width}v{height}h-{width}z"/><path fill="{}" d="{}"/>"#,
        style.light,
        style.dark,
        grid.path((*left as usize, *top as usize), *module as usize),
    );
    for (areas, colour) in [(frame, style.frame_colour()), (dots, style.letter_colour())] {
        if areas.is_empty() {
            continue;
        }
        write!(svg, r#"<path fill="{colour}" d=""#).expect("writing into a String cannot fail");
        for Area { x, y, width, height } in areas {
            write!(svg, "M{x} {y}h{width}v{height}h-{width}z").expect("writing into a String cannot fail");
        }
        svg.push_str(r#""/>"#);
    }
    if let (Some(field), Some(logo)) = (field, &style.logo) {
        let Area { x, y, width, height } = field;
        write!(svg, r#"<path fill="{}" d="M{x} {y}h{width}v{height}h-{width}z"/>"#, style.light)
            .expect("writing into a String cannot fail");
        let Area { x, y, width, height } = inside(*field, *module);
        let picture = STANDARD.encode(colours(width, height, &logo.on(style.light, width)));
        write!(
            svg,
            r#"<image x="{x}" y="{y}" width="{width}" height="{height}" href="data:image/png;base64,{picture}"/>"#
        )
        .expect("writing into a String cannot fail");
    }
    svg.push_str("</svg>");
    svg
}
