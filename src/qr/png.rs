//! Writes a layout as PNG: a bit or two for each pixel, or three bytes where there is a logo; pure.

use ::png::{BitDepth, ColorType, Compression, Encoder};

use super::{
    Colour, Style,
    layout::{Area, Layout},
};

/// Writes the picture.
pub fn write(layout: &Layout<'_>, style: &Style) -> Vec<u8> {
    let Layout { width, height, module, left, top, .. } = *layout;
    let mut canvas = Canvas { width, dyes: vec![Dye::Light; (width * height) as usize] };
    let side = layout.grid.side();
    for row in 0..side {
        for column in (0..side).filter(|column| layout.grid.is_dark(row, *column)) {
            let (x, y) = (left + column as u32 * module, top + row as u32 * module);
            canvas.fill(Area { x, y, width: module, height: module }, Dye::Dark);
        }
    }
    for area in &layout.frame {
        canvas.fill(*area, Dye::Frame);
    }
    let letters = if style.letter_colour() == style.light { Dye::Light } else { Dye::Frame };
    for dot in &layout.dots {
        canvas.fill(*dot, letters);
    }
    let (Some(field), Some(logo)) = (layout.field, &style.logo) else {
        return few_colours(layout, style, &canvas);
    };
    canvas.fill(field, Dye::Light);
    let inner = inside(field, module);
    let drawn = logo.on(style.light, inner.width);
    let palette = palette(style);
    let mut pixels: Vec<[u8; 3]> = canvas.dyes.iter().map(|dye| palette[*dye as usize]).collect();
    for (row, line) in (inner.y..).zip(drawn.chunks_exact(inner.width as usize)) {
        let from = (row * width + inner.x) as usize;
        pixels[from..from + line.len()].copy_from_slice(line);
    }
    colours(width, height, &pixels)
}

/// Returns where in its field the logo stands: half a module of the field stays free around it.
pub fn inside(field: Area, module: u32) -> Area {
    let free = module / 2;
    Area {
        x: field.x + free,
        y: field.y + free,
        width: field.width - 2 * free,
        height: field.height - 2 * free,
    }
}

/// Writes pixels.
pub fn colours(width: u32, height: u32, pixels: &[[u8; 3]]) -> Vec<u8> {
    encode(width, height, pixels.as_flattened(), |encoder| encoder.set_color(ColorType::Rgb))
}

fn few_colours(layout: &Layout<'_>, style: &Style, canvas: &Canvas) -> Vec<u8> {
    let palette = palette(style);
    let two = style.frame_colour() == style.dark;
    // The highest bits are the leftmost pixel.
    let (depth, bits) = if two { (BitDepth::One, 1) } else { (BitDepth::Two, 2) };
    let number = |dye: Dye| if two { u8::from(dye != Dye::Light) } else { dye as u8 };
    let at_once = 8 / bits;
    let byte = |dyes: &[Dye]| {
        (0..at_once).fold(0, |byte, place| byte << bits | dyes.get(place).map_or(0, |dye| number(*dye)))
    };
    let lines = canvas.dyes.chunks_exact(layout.width as usize);
    let bytes: Vec<u8> = lines.flat_map(|line| line.chunks(at_once).map(byte)).collect();
    let palette = palette[..if two { 2 } else { 3 }].as_flattened().to_vec();
    encode(layout.width, layout.height, &bytes, |encoder| {
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(depth);
        encoder.set_palette(palette);
    })
}

/// Returns the colours of the dyes, in their order.
fn palette(style: &Style) -> [[u8; 3]; 3] {
    [style.light, style.dark, style.frame_colour()].map(|Colour(rgb)| rgb)
}

fn encode(width: u32, height: u32, data: &[u8], set: impl FnOnce(&mut Encoder<'_, &mut Vec<u8>>)) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_compression(Compression::Balanced);
    set(&mut encoder);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(data))
        .expect("memory takes every picture, and this one is as large as it says");
    file
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dye {
    Light,
    Dark,
    Frame,
}

struct Canvas {
    width: u32,
    dyes: Vec<Dye>,
}

impl Canvas {
    fn fill(&mut self, area: Area, dye: Dye) {
        for row in area.y..area.y + area.height {
            let from = (row * self.width + area.x) as usize;
            self.dyes[from..from + area.width as usize].fill(dye);
        }
    }
}
