//! Draws a QR code as one path, for an SVG inside a page.

use std::fmt::Write as _;

use fast_qr::{ECL, QRBuilder};

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
        let code = QRBuilder::new(text).ecl(ECL::M).build().ok()?;
        let mut path = String::new();
        for row in 0..code.size {
            let mut column = 0;
            while column < code.size {
                let dark = |column: usize| column < code.size && code[row][column].value();
                let from = column;
                while dark(column) {
                    column += 1;
                }
                if column > from {
                    let (x, y, run) = (from + QUIET, row + QUIET, column - from);
                    write!(path, "M{x} {y}h{run}v1h-{run}z").expect("writing into a String cannot fail");
                }
                column += 1;
            }
        }
        Some(Self { side: code.size + 2 * QUIET, path })
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
