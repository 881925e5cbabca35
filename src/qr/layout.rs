//! What stands where in a picture, in whole pixels: the same for both formats, and no module is blurred; pure.

use font8x8::UnicodeFonts as _;

use super::{Grid, Style, Undrawable};

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
    /// Where the code begins, from the left and from the top.
    pub offset: u32,
    /// The pixels of a module.
    pub module: u32,
    /// The light field of the logo, if there is one.
    pub field: Option<Area>,
    /// The dark dots of the caption.
    pub dots: Vec<Area>,
}

impl<'a> Layout<'a> {
    /// Finds a place for everything.
    pub fn of(grid: &'a Grid, style: &Style) -> Result<Self, Undrawable> {
        let side = grid.side() as u32;
        let whole = side + 2 * style.margin;
        let module = style.size / whole;
        if module < MODULE {
            return Err(Undrawable::TooSmall { least: whole * MODULE });
        }
        // What is left over makes the quiet zone wider.
        let offset = (style.size - module * side) / 2;
        let field = style.logo.is_some().then(|| {
            // Whole modules, and as many on both sides.
            let modules = (side as usize / LOGO) as u32;
            let modules = modules - (side - modules) % 2;
            let at = offset + (side - modules) / 2 * module;
            Area { x: at, y: at, width: modules * module, height: modules * module }
        });
        let (dots, caption) = if style.caption.is_empty() { (Vec::new(), 0) } else { letters(style)? };
        Ok(Self { grid, width: style.size, height: style.size + caption, offset, module, field, dots })
    }
}

/// Returns the dots of the caption, and how much higher the picture is for them.
fn letters(style: &Style) -> Result<(Vec<Area>, u32), Undrawable> {
    let across = style.caption.len() as u32 * LETTER;
    // A letter's width is free on either side.
    let dot = (style.size / (across + 2 * LETTER)).min(style.size / LETTERS / LETTER);
    if dot == 0 {
        return Err(Undrawable::CaptionTooLong);
    }
    let left = (style.size - across * dot) / 2;
    let mut dots = Vec::new();
    for (place, letter) in style.caption.chars().enumerate() {
        let rows = font8x8::BASIC_FONTS.get(letter).unwrap_or_default();
        for (row, bits) in (0_u32..).zip(rows) {
            let x = |column: u32| left + (place as u32 * LETTER + column) * dot;
            for column in (0..LETTER).filter(|column| bits >> column & 1 == 1) {
                dots.push(Area { x: x(column), y: style.size + row * dot, width: dot, height: dot });
            }
        }
    }
    Ok((dots, dot * LETTER * 2))
}
