//! Lines around a picture, as rectangles of whole pixels; pure.

use super::{Frame, layout::Area};

/// A line is one part in so many of the picture's width.
const LINE: u32 = 64;
/// And a corner is round over one in so many.
const CORNER: u32 = 16;
/// Whatever the size.
const LEAST: u32 = 2;

/// The measures of a frame, for a picture of some width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measures {
    line: u32,
    radius: u32,
    /// How much of each side belongs to the frame: nothing of it, round corners included, lies further inside.
    pub(super) reserve: u32,
}

impl Measures {
    pub(super) fn of(frame: Frame, size: u32) -> Self {
        let line = (size / LINE).max(LEAST);
        match frame {
            Frame::None => Self::default(),
            Frame::Border => Self { line, radius: 0, reserve: line },
            Frame::Rounded | Frame::Badge => {
                let radius = size / CORNER;
                // The inner arc leaves a square corner free from 1 - 1/sqrt(2) of its radius on.
                Self { line, radius, reserve: line + radius.saturating_sub(line) * 3 / 10 + 1 }
            }
        }
    }

    /// Returns the frame around a picture. Lines from `bar.start` to `bar.end` are filled.
    pub(super) fn draw(&self, width: u32, height: u32, bar: &std::ops::Range<u32>) -> Vec<Area> {
        let Self { line, radius, .. } = *self;
        let (mut left, mut right) = (Vec::new(), Vec::new());
        if line == 0 {
            return left;
        }
        for y in 0..height {
            let edge = y.min(height - 1 - y);
            let outer = inset(edge, radius);
            if edge < line || bar.contains(&y) {
                add(&mut left, Area { x: outer, y, width: width - 2 * outer, height: 1 });
                continue;
            }
            let inner = (line + inset(edge - line, radius.saturating_sub(line))).max(outer + 1);
            add(&mut left, Area { x: outer, y, width: inner - outer, height: 1 });
            add(&mut right, Area { x: width - inner, y, width: inner - outer, height: 1 });
        }
        left.append(&mut right);
        left
    }
}

/// Returns how far from the side a round corner begins, so many pixels from its end.
fn inset(from_end: u32, radius: u32) -> u32 {
    if from_end >= radius {
        return 0;
    }
    let radius = f64::from(radius);
    let away = radius - f64::from(from_end) - 0.5;
    (radius - (radius * radius - away * away).max(0.0).sqrt()).round() as u32
}

/// Adds a line of pixels, to the rectangle above if it goes on in it.
fn add(areas: &mut Vec<Area>, line: Area) {
    match areas.last_mut() {
        Some(last) if (last.x, last.width) == (line.x, line.width) && last.y + last.height == line.y => {
            last.height += 1;
        }
        _ => areas.push(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_stays_in_what_is_reserved_for_it_and_covers_nothing_twice() {
        for frame in [Frame::None, Frame::Border, Frame::Rounded, Frame::Badge] {
            for (width, height) in [(128, 128), (131, 160), (512, 512), (2048, 2200)] {
                let measures = Measures::of(frame, width);
                let areas = measures.draw(width, height, &(0..0));
                let mut seen = vec![false; (width * height) as usize];
                for area in &areas {
                    for y in area.y..area.y + area.height {
                        for x in area.x..area.x + area.width {
                            let place = (y * width + x) as usize;
                            assert!(!seen[place], "{frame:?} {width}: {x} {y} twice");
                            seen[place] = true;
                        }
                    }
                }
                let reserve = measures.reserve;
                for y in reserve..height - reserve {
                    for x in reserve..width - reserve {
                        assert!(!seen[(y * width + x) as usize], "{frame:?} {width}: {x} {y} inside");
                    }
                }
                assert_eq!(areas.is_empty(), frame == Frame::None);
                assert!(areas.len() < 600, "{}", areas.len());
                let corner = seen[0];
                assert_eq!(corner, frame == Frame::Border);
            }
        }
    }

    #[test]
    fn a_bar_is_filled_from_side_to_side() {
        let areas = Measures::of(Frame::Badge, 512).draw(512, 600, &(500..600));
        let bar = areas.iter().find(|area| area.y <= 520 && area.y + area.height > 520).expect("a bar");
        assert_eq!((bar.x, bar.width), (0, 512));
    }
}
