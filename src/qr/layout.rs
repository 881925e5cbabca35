//! What stands where in a picture, in whole pixels: the same for both formats, and no module is blurred; pure.

use font8x8::UnicodeFonts as _;

use super::{CaptionPlace, Frame, Grid, Style, Undrawable, frame::Measures, style::SIZES};

/// The least pixels of a module.
const MODULE: u32 = 2;
/// The side of a letter, in dots.
const LETTER: u32 = 8;
/// A letter is about so much of the picture's width; narrower when the caption is long.
const LETTERS: u32 = 14;
/// Of the code's side the logo's field has one part in so many, as an area less than what the levels allowed with it bear.
const LOGO: usize = 5;

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// How wide.
    pub width: u32,
    /// How high.
    pub height: u32,
}

/// What stands where.
#[derive(Debug)]
pub struct Layout<'a> {
    /// The modules.
    pub grid: &'a Grid,
    /// The width of the picture.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Where the code begins, from the left.
    pub left: u32,
    /// From the top.
    pub top: u32,
    /// The pixels of a module.
    pub module: u32,
    /// The light field of the logo, if there is one.
    pub field: Option<Area>,
    /// The frame.
    pub frame: Vec<Area>,
    /// The dots of the caption, over the frame.
    pub dots: Vec<Area>,
}

impl<'a> Layout<'a> {
    /// Finds a place for everything.
    pub fn of(grid: &'a Grid, style: &Style) -> Result<Self, Undrawable> {
        let Style { size, frame, .. } = *style;
        let side = grid.side() as u32;
        let whole = side + 2 * style.margin;
        let inside = |size: u32| size - 2 * Measures::of(frame, size).reserve;
        let module = inside(size) / whole;
        if module < MODULE {
            let least = (whole * MODULE..=*SIZES.end()).find(|size| inside(*size) >= whole * MODULE);
            return Err(Undrawable::TooSmall { least: least.unwrap_or(whole * MODULE) });
        }
        let measures = Measures::of(frame, size);
        let dot = if style.caption.is_empty() { 0 } else { dot(style, inside(size))? };
        let caption = dot * LETTER * 2;
        let height = size + caption;
        // What is left over makes the quiet zone wider.
        let left = (size - module * side) / 2;
        let strip = measures.reserve + caption;
        let (top, strip) = match style.caption_place {
            CaptionPlace::Below => (left, height - strip..height),
            CaptionPlace::Above => (left + caption, 0..strip),
        };
        let letters = match (frame, style.caption_place) {
            // In the middle of the bar.
            (Frame::Badge, _) => strip.start + (strip.end - strip.start - dot * LETTER) / 2,
            // At the code.
            (_, CaptionPlace::Below) => strip.start,
            (_, CaptionPlace::Above) => strip.end - dot * LETTER,
        };
        let field = style.logo.is_some().then(|| {
            // Whole modules, and as many on both sides.
            let modules = (side as usize / LOGO) as u32;
            let modules = modules - (side - modules) % 2;
            let at = (side - modules) / 2 * module;
            Area { x: left + at, y: top + at, width: modules * module, height: modules * module }
        });
        let bar = if frame == Frame::Badge { strip } else { 0..0 };
        Ok(Self {
            grid,
            width: size,
            height,
            left,
            top,
            module,
            field,
            frame: measures.draw(size, height, &bar),
            dots: written(style, dot, letters),
        })
    }
}

/// Returns how large the dots of the letters are.
fn dot(style: &Style, inside: u32) -> Result<u32, Undrawable> {
    let across = style.caption.len() as u32 * LETTER;
    // A letter's width is free on either side.
    let dot = (inside / (across + 2 * LETTER)).min(style.size / LETTERS / LETTER);
    if dot == 0 { Err(Undrawable::CaptionTooLong) } else { Ok(dot) }
}

/// Returns the dots of the caption, whose letters begin so many pixels from the top.
fn written(style: &Style, dot: u32, top: u32) -> Vec<Area> {
    let across = style.caption.len() as u32 * LETTER;
    let left = (style.size - across * dot) / 2;
    let mut dots = Vec::new();
    for (place, letter) in style.caption.chars().enumerate() {
        let rows = font8x8::BASIC_FONTS.get(letter).unwrap_or_default();
        for (row, bits) in (0_u32..).zip(rows) {
            let x = |column: u32| left + (place as u32 * LETTER + column) * dot;
            for column in (0..LETTER).filter(|column| bits >> column & 1 == 1) {
                dots.push(Area { x: x(column), y: top + row * dot, width: dot, height: dot });
            }
        }
    }
    dots
}
