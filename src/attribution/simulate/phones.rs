//! What people hold in their hands, and what is seen of it.

use super::dice::Dice;
use crate::attribution::decide::System;

/// A device.
#[derive(Debug, Clone)]
pub(super) struct Phone {
    pub(super) system: System,
    pub(super) tablet: bool,
    /// A screen is that of some models.
    pub(super) model: String,
    pub(super) major: u16,
    pub(super) minor: u16,
    /// Width and height in points.
    pub(super) points: (u32, u32),
    /// Pixels to a point.
    pub(super) density: f64,
    pub(super) language: &'static str,
    pub(super) time_zone: &'static str,
}

/// What a browser shows of a device.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The user agent, as far as one differs from another.
    pub(super) agent: String,
    pub(super) system: Option<System>,
    pub(super) version: Option<u16>,
    /// The version that a reader finds who takes the user agent at its word.
    pub(super) literal_version: Option<u16>,
    /// Device and browser.
    pub(super) pair: &'static str,
    /// Whether it is Safari, the one browser that Apple's relay serves.
    pub(super) safari: bool,
    pub(super) language: &'static str,
}

/// Width and height in points, pixels to a point, and how common it is.
type Screen = ((u32, u32, f64), f64);

const IPHONES: &[Screen] = &[
    ((390, 844, 3.0), 30.0),
    ((393, 852, 3.0), 22.0),
    ((402, 874, 3.0), 10.0),
    ((430, 932, 3.0), 10.0),
    ((414, 896, 2.0), 9.0),
    ((375, 812, 3.0), 7.0),
    ((375, 667, 2.0), 7.0),
    ((440, 956, 3.0), 5.0),
];
const IPADS: &[Screen] = &[((820, 1180, 2.0), 40.0), ((810, 1080, 2.0), 40.0), ((1024, 1366, 2.0), 20.0)];
const ANDROIDS: &[Screen] = &[
    ((360, 800, 3.0), 22.0),
    ((393, 873, 2.75), 12.0),
    ((412, 915, 2.625), 14.0),
    ((384, 854, 2.8125), 10.0),
    ((360, 780, 3.0), 12.0),
    ((412, 892, 3.5), 10.0),
    ((393, 851, 2.75), 8.0),
    ((360, 640, 2.0), 5.0),
    ((412, 732, 2.625), 7.0),
];
/// What households speak, and how many.
const LANGUAGES: &[(&str, f64)] =
    &[("de", 76.0), ("en", 11.0), ("fr", 4.0), ("tr", 4.0), ("es", 2.0), ("it", 2.0), ("pl", 1.0)];

/// Draws the language that a household speaks.
pub(super) fn language(dice: &mut Dice) -> &'static str {
    dice.pick(LANGUAGES)
}

impl Phone {
    /// Draws somebody's device.
    pub(super) fn of(dice: &mut Dice, household_language: &'static str) -> Self {
        let ios = dice.chance(0.45);
        let tablet = dice.chance(if ios { 0.12 } else { 0.04 });
        let models = match (ios, tablet) {
            (true, false) => IPHONES,
            (true, true) => IPADS,
            (false, _) => ANDROIDS,
        };
        let (width, height, density) = dice.pick(models);
        let major = if ios {
            dice.pick(&[(26, 60.0), (18, 30.0), (17, 5.0), (16, 3.0), (15, 2.0)])
        } else {
            dice.pick(&[(16, 12.0), (15, 26.0), (14, 22.0), (13, 16.0), (12, 11.0), (11, 8.0), (10, 5.0)])
        };
        Self {
            system: if ios { System::Ios } else { System::Android },
            tablet,
            model: format!("{width}x{height}-{}", dice.below(4)),
            major,
            minor: dice.pick(&[(3, 40.0), (2, 25.0), (1, 20.0), (0, 15.0)]),
            points: (width, height),
            density,
            language: if dice.chance(0.9) { household_language } else { dice.pick(LANGUAGES) },
            time_zone: if dice.chance(0.96) { "Europe/Berlin" } else { "Europe/London" },
        }
    }

    /// Draws the browser of a click, and says what it shows.
    pub(super) fn browse(&self, dice: &mut Dice) -> Seen {
        let in_app = dice.chance(0.35);
        let language = if dice.chance(0.97) { self.language } else { "en" };
        let newest = dice.pick(&[(142, 65.0), (141, 22.0), (140, 8.0), (138, 5.0)]);
        // What WebKit calls iOS since 26, in Safari and here also inside apps; the version of Safari tells the truth.
        let frozen = if self.major >= 26 { 18 } else { self.major };
        let (major, minor, model) = (self.major, self.minor, &self.model);
        let seen = |agent: String, version, literal_version, pair, safari| Seen {
            agent,
            system: Some(self.system),
            version,
            literal_version,
            pair,
            safari,
            language,
        };
        if self.system == System::Android {
            return if in_app && dice.chance(0.7) {
                let build = dice.below(4);
                let agent = format!("android {major} m{model} in-app {newest} {build}");
                seen(agent, Some(major), Some(major), "android|chrome", false)
            } else if in_app || dice.chance(0.85) {
                seen(
                    format!("android 10; k chrome {newest} {in_app}"),
                    None,
                    Some(10),
                    "android|chrome",
                    false,
                )
            } else {
                let agent = format!("android {major} firefox {newest}");
                seen(agent, Some(major), Some(major), "android|firefox", false)
            };
        }
        let pair = if self.tablet { "ipad|safari" } else { "iphone|safari" };
        if in_app {
            let build = dice.below(6);
            let agent = format!("{pair} os {frozen}_{minor} m{model} in-app {build}");
            seen(agent, Some(frozen), Some(frozen), pair, false)
        } else if self.tablet && dice.chance(0.85) {
            // An iPad asks for the page of a computer, and says that it is one.
            let agent = format!("macintosh version/{major}.{minor}");
            let mut seen = seen(agent, None, None, "macintosh|safari", true);
            seen.system = None;
            seen
        } else if dice.chance(0.85) {
            let agent = format!("{pair} os {frozen}_{minor} version/{major}.{minor}");
            seen(agent, Some(major), Some(frozen), pair, true)
        } else {
            let agent = format!("{pair} os {major}_{minor} crios/{newest}");
            let pair = if self.tablet { "ipad|chrome" } else { "iphone|chrome" };
            seen(agent, Some(major), Some(major), pair, false)
        }
    }

    /// Returns the pixels of the screen.
    pub(super) fn pixels(&self) -> (u32, u32) {
        let pixels = |points: u32| (f64::from(points) * self.density).round() as u32;
        (pixels(self.points.0), pixels(self.points.1))
    }
}
