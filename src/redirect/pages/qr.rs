//! Draws a QR code as one path, for an SVG inside a page.

use crate::qr::{Grid, Level};

/// The quiet zone that readers expect, in modules.
const QUIET: usize = 2;

/// A drawn code.
#[derive(Debug)]
pub(super) struct Code {
    /// The length of a side in modules, quiet zone included.
    pub side: usize,
    /// The dark modules, one rectangle for each run of them in a row.
    pub path: String,
}

impl Code {
    /// Draws `text`; `None` when it is too long for any code.
    pub(super) fn draw(text: &str) -> Option<Self> {
        let grid = Grid::of(text, Level::Medium)?;
        Some(Self { side: grid.side() + 2 * QUIET, path: grid.path((QUIET, QUIET), 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners() {
        let code = Code::draw("https://go.example.com/spring").expect("short enough");
        let last = code.side - QUIET - 7;
        for corner in ["M2 2h7v1h-7z".to_owned(), format!("M{last} 2h7v1h-7z"), format!("M2 {last}h7v1h-7z")]
        {
            assert!(code.path.contains(&corner), "{corner} is not in {}", code.path);
        }
        assert!(Code::draw(&"x".repeat(5000)).is_none());
    }
}
