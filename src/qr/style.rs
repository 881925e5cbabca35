//! How a code may look; pure.

use super::Logo;

/// The sizes of pictures, in pixels.
pub const SIZES: std::ops::RangeInclusive<u32> = 128..=2048;
/// The size of a picture when nobody says.
pub const SIZE: u32 = 512;
/// Quiet zones, in modules: ISO/IEC 18004 asks for four.
pub const MARGINS: std::ops::RangeInclusive<u32> = 4..=40;
/// The longest caption.
pub const MAX_CAPTION: usize = 32;
/// The least contrast (WCAG 2) between dark and light. Cameras in bad light need it more than eyes do.
const CONTRAST: f64 = 3.0;

/// The format of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A bitmap.
    Png,
    /// Vectors.
    Svg,
}

impl Format {
    /// Returns the type of the file.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
        }
    }

    /// Returns what names of such files end with, which is how people ask for them.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
        }
    }
}

/// How much of a code may be unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// 7 %.
    Low,
    /// 15 %.
    Medium,
    /// 25 %.
    Quartile,
    /// 30 %.
    High,
}

/// A colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colour(pub [u8; 3]);

impl Colour {
    /// Black.
    pub const BLACK: Self = Self([0; 3]);
    /// White.
    pub const WHITE: Self = Self([255; 3]);

    /// Reads `#rrggbb`, with or without the `#`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, rgb @ ..] = number.to_be_bytes();
        Some(Self(rgb))
    }

    /// Returns how light it looks, 0 to 1 (WCAG 2).
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Returns how much two colours differ, 1 to 21 (WCAG 2).
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// What stands around a code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Frame {
    /// Nothing.
    #[default]
    None,
    /// A line.
    Border,
    /// A line with round corners.
    Rounded,
    /// A line with round corners and a bar that holds the caption.
    Badge,
}

/// Where a caption stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CaptionPlace {
    /// Below the code.
    #[default]
    Below,
    /// Above it.
    Above,
}

/// How a code looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Style {
    /// The format.
    pub format: Format,
    /// The width in pixels.
    pub size: u32,
    /// The dark modules.
    pub dark: Colour,
    /// The light ones and the quiet zone.
    pub light: Colour,
    /// The quiet zone in modules.
    pub margin: u32,
    /// How much may be unreadable.
    pub level: Level,
    /// What is shown in the middle.
    pub logo: Option<Logo>,
    /// What is written; may be empty.
    pub caption: String,
    /// Where.
    pub caption_place: CaptionPlace,
    /// What stands around it all.
    pub frame: Frame,
    /// The frame and the caption; `None`: as the dark modules.
    pub frame_colour: Option<Colour>,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            format: Format::Png,
            size: SIZE,
            dark: Colour::BLACK,
            light: Colour::WHITE,
            margin: *MARGINS.start(),
            level: Level::Medium,
            logo: None,
            caption: String::new(),
            caption_place: CaptionPlace::Below,
            frame: Frame::None,
            frame_colour: None,
        }
    }
}

/// A part of a style that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the fields of a style")]
pub enum Wrong {
    Size,
    Contrast,
    Inverted,
    Margin,
    Level,
    Caption,
    Frame,
    FrameContrast,
}

impl Wrong {
    /// Says what is wrong.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Size => "must be 128 to 2,048",
            Self::Contrast | Self::FrameContrast => {
                "must differ more from the background: a contrast of 3:1 at the least"
            }
            Self::Inverted => "must be darker than the background: many readers know no inverted codes",
            Self::Margin => "must be 4 to 40",
            Self::Level => "must be quartile or high with a logo, which covers some of the code",
            Self::Frame => "needs a caption, which is what a badge shows",
            Self::Caption => "must have at most 32 characters, from blank to ~ of ASCII",
        }
    }
}

impl Style {
    /// Returns everything that is wrong with it.
    pub fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut check = |good: bool, what| {
            if !good {
                wrong.push(what);
            }
        };
        check(SIZES.contains(&self.size), Wrong::Size);
        check(MARGINS.contains(&self.margin), Wrong::Margin);
        let contrast = self.dark.contrast(self.light);
        check(contrast >= CONTRAST, Wrong::Contrast);
        check(contrast < CONTRAST || self.dark.luminance() < self.light.luminance(), Wrong::Inverted);
        let covered = self.logo.is_some() && matches!(self.level, Level::Low | Level::Medium);
        check(!covered, Wrong::Level);
        let readable = self.caption.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        check(readable && self.caption.len() <= MAX_CAPTION, Wrong::Caption);
        check(self.frame != Frame::Badge || !self.caption.is_empty(), Wrong::Frame);
        let frame = self.frame_colour.map_or(CONTRAST, |colour| colour.contrast(self.light));
        check(frame >= CONTRAST, Wrong::FrameContrast);
        wrong
    }

    /// Returns the colour of the frame and the caption.
    pub fn frame_colour(&self) -> Colour {
        self.frame_colour.unwrap_or(self.dark)
    }

    /// Returns the colour of the letters: those on a bar are cut out of it.
    pub fn letter_colour(&self) -> Colour {
        if self.frame == Frame::Badge { self.light } else { self.frame_colour() }
    }
}
