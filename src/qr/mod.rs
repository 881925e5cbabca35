//! Draws QR codes: `style.rs` says how one may look, `grid.rs` makes the modules, `layout.rs` and `frame.rs` say what stands where in pixels,
//! `png.rs` and `svg.rs` write that down, `logo.rs` reads pictures to show in the middle.
//!
//! Guarantees: whatever is drawn can be read by any reader: dark on light with contrast, a quiet zone, no module of less than two
//! pixels, and no more covered than the error level bears. Pixels of strangers are drawn anew, nothing else of theirs gets through.

mod frame;
mod grid;
mod layout;
mod logo;
mod png;
mod style;
mod svg;

pub use self::{
    grid::Grid,
    logo::{Logo, MAX_BYTES as MAX_LOGO_BYTES},
    style::{CaptionPlace, Colour, Format, Frame, Level, SIZE, Style, Wrong},
};

/// A drawn code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub bytes: Vec<u8>,
    /// Its type.
    pub content_type: &'static str,
}

/// Why a code cannot be drawn so that it could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undrawable {
    /// No code holds so much text.
    TooMuch,
    /// Modules would have less than two pixels.
    TooSmall {
        /// The least size that would do.
        least: u32,
    },
    /// The caption has no room at this size.
    CaptionTooLong,
}

/// Draws a text.
pub fn draw(text: &str, style: &Style) -> Result<Picture, Undrawable> {
    let grid = Grid::of(text, style.level).ok_or(Undrawable::TooMuch)?;
    let layout = layout::Layout::of(&grid, style)?;
    let bytes = match style.format {
        Format::Png => png::write(&layout, style),
        Format::Svg => svg::write(&layout, style).into_bytes(),
    };
    Ok(Picture { bytes, content_type: style.format.content_type() })
}

#[cfg(test)]
mod tests;
