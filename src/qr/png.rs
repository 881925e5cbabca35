//! Writes a layout as PNG: a bit for each pixel, or three bytes where there is a logo; pure.

use ::png::{BitDepth, ColorType, Compression, Encoder};

use super::{
    Colour, Style,
    layout::{Area, Layout},
};

/// Writes the picture.
pub fn write(layout: &Layout<'_>, style: &Style) -> Vec<u8> {
    let mut dark = Bits { width: layout.width, dark: vec![false; (layout.width * layout.height) as usize] };
    let (module, side) = (layout.module, layout.grid.side());
    for row in 0..side {
        for column in (0..side).filter(|column| layout.grid.is_dark(row, *column)) {
            let at = |place: usize| layout.offset + place as u32 * module;
            dark.fill(Area { x: at(column), y: at(row), width: module, height: module }, true);
        }
    }
    for dot in &layout.dots {
        dark.fill(*dot, true);
    }
    let (Some(field), Some(logo)) = (layout.field, &style.logo) else {
        return two_colours(layout, style, &dark);
    };
    dark.fill(field, false);
    let inner = inside(field, module);
    let drawn = logo.on(style.light, inner.width);
    let mut pixels: Vec<[u8; 3]> =
        dark.dark.iter().map(|dark| if *dark { style.dark.0 } else { style.light.0 }).collect();
    for (row, line) in (inner.y..).zip(drawn.chunks_exact(inner.width as usize)) {
        let from = (row * layout.width + inner.x) as usize;
        pixels[from..from + line.len()].copy_from_slice(line);
    }
    colours(layout.width, layout.height, &pixels)
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

fn two_colours(layout: &Layout<'_>, style: &Style, dark: &Bits) -> Vec<u8> {
    // The highest bit is the leftmost pixel.
    let byte = |pixels: &[bool]| {
        (0..8).fold(0, |byte, bit| byte << 1 | u8::from(pixels.get(bit).is_some_and(|dark| *dark)))
    };
    let lines = dark.dark.chunks_exact(layout.width as usize);
    let bytes: Vec<u8> = lines.flat_map(|line| line.chunks(8).map(byte)).collect();
    let palette = [style.light, style.dark].map(|Colour(rgb)| rgb).as_flattened().to_vec();
    encode(layout.width, layout.height, &bytes, |encoder| {
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::One);
        encoder.set_palette(palette);
    })
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

struct Bits {
    width: u32,
    dark: Vec<bool>,
}

impl Bits {
    fn fill(&mut self, area: Area, dark: bool) {
        for row in area.y..area.y + area.height {
            let from = (row * self.width + area.x) as usize;
            self.dark[from..from + area.width as usize].fill(dark);
        }
    }
}
