//! The modules of a code.

use std::fmt::Write as _;

use fast_qr::{ECL, QRBuilder, QRCode};

use super::Level;

/// The modules of a code, without a quiet zone.
#[derive(Debug)]
pub struct Grid(Box<QRCode>);

impl Grid {
    /// Makes the code of a text; `None` when no code holds so much.
    pub fn of(text: &str, level: Level) -> Option<Self> {
        let level = match level {
            Level::Low => ECL::L,
            Level::Medium => ECL::M,
            Level::Quartile => ECL::Q,
            Level::High => ECL::H,
        };
        QRBuilder::new(text).ecl(level).build().ok().map(|code| Self(Box::new(code)))
    }

    /// Returns the length of a side.
    pub fn side(&self) -> usize {
        self.0.size
    }

    /// Says whether a module is dark.
    pub fn is_dark(&self, row: usize, column: usize) -> bool {
        self.0[row][column].value()
    }

    /// Returns an SVG path of the dark modules, one rectangle for each run of them in a row. A module has `scale` units, and the
    /// first stands at `(left, top)`.
    pub fn path(&self, (left, top): (usize, usize), scale: usize) -> String {
        let mut path = String::new();
        for row in 0..self.side() {
            let mut column = 0;
            while column < self.side() {
                let from = column;
                while column < self.side() && self.is_dark(row, column) {
                    column += 1;
                }
                if column > from {
                    let (x, y) = (left + from * scale, top + row * scale);
                    let run = (column - from) * scale;
                    write!(path, "M{x} {y}h{run}v{scale}h-{run}z")
                        .expect("writing into a String cannot fail");
                }
                column += 1;
            }
        }
        path
    }
}
