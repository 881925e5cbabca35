//! The accent colour of a workspace, and whether black or white can be read on it. Pure.

use std::fmt;

/// A colour in which a button may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accent([u8; 3]);

impl Accent {
    /// Reads `#rrggbb`; anything else is no colour.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let channel = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        Some(Self([channel(0)?, channel(2)?, channel(4)?]))
    }

    /// Returns the colour of text on it. One of the two always reaches a contrast of 4.5.
    pub(super) fn ink(self) -> &'static str {
        if contrast(self.0, [255; 3]) >= contrast(self.0, [0; 3]) { "#ffffff" } else { "#000000" }
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// Returns the contrast of two colours as WCAG 2 defines it, 1 to 21.
pub(super) fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|channel| {
        let share = f64::from(channel) / 255.0;
        if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_hexadecimal_digits_are_a_colour() {
        for (text, colour) in [
            ("#1a2B3c", Some("#1a2b3c")),
            ("#000000", Some("#000000")),
            ("1a2b3c", None),
            ("#1a2b3", None),
            ("#1a2b3c4", None),
            ("#1a2b3g", None),
            ("#+a2b3c", None),
            ("red", None),
            ("", None),
            ("#ääß", None),
            ("#000;}*{background:url(https://evil.example)", None),
        ] {
            assert_eq!(Accent::parse(text).map(|accent| accent.to_string()).as_deref(), colour, "{text:?}");
        }
    }

    #[test]
    fn text_on_any_accent_can_be_read() {
        assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 1e-9);
        assert!((contrast([0x77; 3], [255; 3]) - 4.478).abs() < 1e-3);
        for step in 0..=0xfff_u16 {
            let colour = [8, 4, 0].map(|shift| ((step >> shift) & 15) as u8 * 17);
            let ink = if Accent(colour).ink() == "#ffffff" { [255; 3] } else { [0; 3] };
            assert!(contrast(colour, ink) >= 4.5, "{colour:?}");
        }
    }
}
