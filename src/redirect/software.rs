//! What a user agent says beyond [`Visitor`]: the system, its version, the kind of device, the browser. Read only for rules that
//! ask, and once for each distinct one by [`super::agent`]. Pure.

use super::visitor::{Platform, Visitor};
use crate::{
    links::Version,
    pb::v1::{Browser, DeviceType, OperatingSystem},
};

/// What a user agent says of the device and its programs. What it does not say is unspecified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Software {
    /// The operating system.
    pub system: OperatingSystem,
    /// Its version, where the user agent says it.
    pub version: Option<Version>,
    /// The kind of device.
    pub device: DeviceType,
    /// The browser, or the app whose browser it is.
    pub browser: Browser,
}

impl Software {
    /// What is known of somebody about whom nothing is known.
    pub const UNKNOWN: Self = Self {
        system: OperatingSystem::Unspecified,
        version: None,
        device: DeviceType::Unspecified,
        browser: Browser::Unspecified,
    };

    /// Reads a User-Agent header. Programs have no browser and hold no device.
    pub fn of(user_agent: &str) -> Self {
        let agent = user_agent.to_ascii_lowercase();
        let visitor = Visitor::of(user_agent);
        if visitor.scraper {
            return Self::UNKNOWN;
        }
        let (system, version, device) = match visitor.platform {
            Platform::Ios => {
                let device = if agent.contains("ipad") { DeviceType::Tablet } else { DeviceType::Phone };
                (OperatingSystem::Ios, ios(&agent), device)
            }
            Platform::Android => {
                let device = if agent.contains("mobile") { DeviceType::Phone } else { DeviceType::Tablet };
                (OperatingSystem::Android, android(&agent), device)
            }
            Platform::Web => desktop(&agent),
        };
        Self { system, version, device, browser: browser(&agent, visitor) }
    }
}

/// Since iOS 26 Safari says of the system what was true of 18, and of itself the truth, which is the same number.
const IOS_OF_SAFARI: &str = "26";

fn ios(agent: &str) -> Option<Version> {
    let said = after(agent, " os ")?;
    let safari = after(agent, "version/")
        .filter(|safari| Version::parse(IOS_OF_SAFARI).is_some_and(|first| safari.is_at_least(first)));
    Some(safari.unwrap_or(said))
}

/// Chrome calls every Android `Android 10; K`.
fn android(agent: &str) -> Option<Version> {
    if agent.contains("android 10; k)") { None } else { after(agent, "android ") }
}

fn desktop(agent: &str) -> (OperatingSystem, Option<Version>, DeviceType) {
    const TELEVISIONS: &[&str] =
        &["smart-tv", "smarttv", "googletv", "appletv", "apple tv", "hbbtv", "web0s", "tizen"];
    if TELEVISIONS.iter().any(|name| agent.contains(name)) {
        return (OperatingSystem::Unspecified, None, DeviceType::Unspecified);
    }
    let (system, version) = if agent.contains("windows nt") {
        (OperatingSystem::Windows, after(agent, "windows nt "))
    } else if agent.contains("cros ") {
        // `CrOS x86_64 14541.0.0`
        let version = agent.split_once("cros ").and_then(|(_, rest)| after(rest, " "));
        (OperatingSystem::Chromeos, version)
    } else if agent.contains("macintosh") {
        (OperatingSystem::Macos, after(agent, "mac os x "))
    } else if agent.contains("linux") {
        (OperatingSystem::Linux, None)
    } else {
        return (OperatingSystem::Unspecified, None, DeviceType::Unspecified);
    };
    (system, version, DeviceType::Desktop)
}

/// Returns the version that follows a word.
fn after(agent: &str, word: &str) -> Option<Version> {
    let (_, rest) = agent.split_once(word)?;
    Version::leading(rest)
}

/// What the browsers inside apps call themselves. The first that is there counts: those of one maker name each other.
const APPS: &[(&[&str], Browser)] = &[
    (&["instagram"], Browser::Instagram),
    (&["messengerforios", "fb_iab/messenger", "fb_iab/orca", "orca-android"], Browser::Messenger),
    (&["fban", "fbav", "fb_iab"], Browser::Facebook),
    (&["musical_ly", "bytedancewebview", "bytelocale", "tiktok"], Browser::Tiktok),
    (&["micromessenger"], Browser::Wechat),
    (&[" line/"], Browser::Line),
    (&["kakaotalk"], Browser::Kakaotalk),
    (&["twitter"], Browser::X),
    (&["linkedin"], Browser::Linkedin),
    (&["pinterest"], Browser::Pinterest),
    (&["snapchat"], Browser::Snapchat),
    (&["whatsapp"], Browser::Whatsapp),
    (&["telegram"], Browser::Telegram),
    (&["gmail/"], Browser::Gmail),
    (&["gsa/"], Browser::GoogleApp),
    (&["outlook"], Browser::Outlook),
    (&["yahoomobile"], Browser::YahooMail),
    (&["reddit/", "redditapp"], Browser::Reddit),
];

/// Browsers by what they call themselves, those first that call themselves others too. Those without a name in the contract are
/// here so that they are not taken for the others.
const BROWSERS: &[(&[&str], Browser)] = &[
    (&["edg/", "edga/", "edgios/", "edge/"], Browser::Edge),
    (&["opr/", "opera", "opt/", "opios/", "opx/"], Browser::Opera),
    (&["samsungbrowser/"], Browser::SamsungInternet),
    (
        &[
            "yabrowser",
            "ucbrowser",
            "duckduckgo",
            "ddg/",
            "vivaldi",
            "miuibrowser",
            "huaweibrowser",
            "heytapbrowser",
            "vivobrowser",
            "mqqbrowser",
            "silk/",
            "whale/",
            "seamonkey",
            "puffin",
        ],
        Browser::Unspecified,
    ),
    (&["fxios/", "firefox/", "focus/"], Browser::Firefox),
    (&["crios/", "chrome/", "chromium/"], Browser::Chrome),
];

fn browser(agent: &str, visitor: Visitor) -> Browser {
    let named = |list: &[(&[&str], Browser)]| {
        list.iter()
            .find(|(names, _)| names.iter().any(|name| agent.contains(name)))
            .map(|(_, browser)| *browser)
    };
    if visitor.platform != Platform::Web {
        if let Some(app) = named(APPS) {
            return app;
        }
        // Apps on iOS that say nothing else of themselves leave out the browser.
        let nameless = visitor.platform == Platform::Ios
            && agent.contains("applewebkit/")
            && !agent.contains("safari/")
            && named(BROWSERS).is_none();
        if visitor.in_app_browser || nameless {
            return Browser::InApp;
        }
    }
    named(BROWSERS).unwrap_or_else(|| {
        let safari = agent.contains("safari/") && agent.contains("version/") && agent.contains("mac os x");
        if safari { Browser::Safari } else { Browser::Unspecified }
    })
}

/// Says whether a browser is `wanted` or one of those that stands for.
pub fn is_browser(browser: Browser, wanted: Browser) -> bool {
    browser == wanted || (wanted == Browser::InApp && browser as i32 > Browser::InApp as i32)
}

#[cfg(test)]
#[path = "software_tests.rs"]
mod tests;
