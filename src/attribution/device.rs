//! What is compared of a click and an install, read from what each of them left. Pure.

use super::decide::{Device, System};
use crate::{
    clicks::query::hints,
    pb::{internal::v1::InstallRecord, sdk::v1::Platform, v1::OperatingSystem},
    redirect::software::Software,
};

/// What a click left.
#[derive(Debug, Clone, Copy)]
pub struct OfClick<'a> {
    /// The network of its address.
    pub network: &'a [u8],
    /// A keyed hash of the address.
    pub address: Option<i32>,
    /// The User-Agent header.
    pub user_agent: &'a str,
    /// The first tag of the Accept-Language header.
    pub language: &'a str,
    /// The query of the short URL.
    pub query: &'a str,
}

/// Reads the device of a click. Hints of the page that sent the visitor win over what the browser says.
pub fn of_click(click: &OfClick<'_>) -> Device {
    let hints = hints(click.query);
    let software = Software::of(click.user_agent);
    let system = match software.system {
        OperatingSystem::Ios => Some(System::Ios),
        OperatingSystem::Android => Some(System::Android),
        // iPads call themselves Macs.
        OperatingSystem::Macos | OperatingSystem::Unspecified => None,
        _ => Some(System::Other),
    };
    let hinted = hints.platform.as_deref().and_then(system_named);
    let version = match &hints.platform_version {
        Some(version) => major(version),
        None => software
            .version
            .filter(|_| system == Some(System::Ios) || system == Some(System::Android))
            .map(|version| version.major()),
    };
    Device {
        network: click.network.to_vec(),
        address: click.address,
        system: hinted.or(system),
        version,
        browser: browser(click.user_agent),
        time_zone: hints.time_zone,
        language: two_letters(hints.language.as_deref().unwrap_or(click.language)),
        screen: hints.screen,
    }
}

/// Reads the device of an install.
pub fn of_install(report: &InstallRecord) -> Device {
    let system = match Platform::try_from(report.platform) {
        Ok(Platform::Ios) => Some(System::Ios),
        Ok(Platform::Android) => Some(System::Android),
        Ok(Platform::Unspecified) | Err(_) => None,
    };
    let screen = (report.screen_width, report.screen_height);
    Device {
        network: report.network.to_vec(),
        address: Some(report.address.cast_signed()).filter(|address| *address != 0),
        system,
        version: major(&report.os_version),
        browser: browser(&report.user_agent).filter(|_| !is_of_app(&report.user_agent)),
        time_zone: Some(report.time_zone.clone()).filter(|zone| !zone.is_empty()),
        language: two_letters(&report.language),
        screen: Some(screen).filter(|(width, height)| *width != 0 && *height != 0),
    }
}

/// Returns the system that a text names, in any case.
pub fn system_named(name: &str) -> Option<System> {
    match name.to_ascii_lowercase().as_str() {
        "ios" | "ipados" => Some(System::Ios),
        "android" => Some(System::Android),
        _ => None,
    }
}

/// Says whether a user agent is an app's own, such as `Shop/1.2 iOS/17.5`.
fn is_of_app(user_agent: &str) -> bool {
    let last = user_agent.rsplit(' ').next().unwrap_or_default().to_ascii_lowercase();
    ["ios/", "android/"].iter().any(|system| last.starts_with(system))
}

/// Returns what a browser says of itself as LinkForty compares it: the first of each list that its user agent holds. `None` when it holds
/// none of either: two that say nothing are not alike.
fn browser(user_agent: &str) -> Option<String> {
    const DEVICES: [&str; 6] = ["iphone", "ipad", "android", "windows", "macintosh", "linux"];
    const BROWSERS: [&str; 5] = ["chrome", "safari", "firefox", "edge", "opera"];
    let agent = user_agent.to_ascii_lowercase();
    let first = |names: &[&'static str]| names.iter().find(|name| agent.contains(**name)).copied();
    let (device, browser) = (first(&DEVICES), first(&BROWSERS));
    (device.is_some() || browser.is_some())
        .then(|| format!("{}|{}", device.unwrap_or_default(), browser.unwrap_or_default()))
}

/// Returns the first number of a version.
fn major(version: &str) -> Option<u16> {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().ok()
}

fn two_letters(language: &str) -> Option<String> {
    let letters = language.get(..2)?;
    letters.bytes().all(|byte| byte.is_ascii_alphabetic()).then(|| letters.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
    const IPAD: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15";
    const REDUCED: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36";

    fn click<'a>(user_agent: &'a str, query: &'a str) -> OfClick<'a> {
        OfClick { network: &[203, 0, 113], address: Some(7), user_agent, language: "de-CH", query }
    }

    #[test]
    fn a_click_says_what_its_browser_and_its_page_say() {
        for (user_agent, query, system, version, browser) in [
            (IPHONE, "", Some(System::Ios), Some(17), Some("iphone|safari")),
            (IPAD, "", None, None, Some("macintosh|safari")),
            (IPAD, "fp_platform=iOS&fp_pv=18.1", Some(System::Ios), Some(18), Some("macintosh|safari")),
            (REDUCED, "", Some(System::Android), None, Some("android|chrome")),
            ("", "", None, None, None),
        ] {
            let device = of_click(&click(user_agent, query));
            assert_eq!(
                (device.system, device.version, device.browser.as_deref()),
                (system, version, browser),
                "{user_agent} {query}"
            );
        }
        let device = of_click(&click(IPHONE, "fp_tz=Europe/Zurich&fp_lang=fr&fp_sw=390&fp_sh=844"));
        assert_eq!(device.time_zone.as_deref(), Some("Europe/Zurich"));
        assert_eq!((device.language.as_deref(), device.screen), (Some("fr"), Some((390, 844))));
    }

    #[test]
    fn an_install_says_what_its_app_says() {
        let report = InstallRecord {
            platform: Platform::Ios.into(),
            os_version: "17.5.1".into(),
            language: "en_US".into(),
            user_agent: "Shop/1.2 ios/17.5".into(),
            screen_width: 1170,
            ..InstallRecord::default()
        };
        let device = of_install(&report);
        assert_eq!((device.system, device.version), (Some(System::Ios), Some(17)));
        assert_eq!(
            (device.language.as_deref(), device.browser, device.screen, device.address),
            (Some("en"), None, None, None)
        );
        let webview = InstallRecord { user_agent: REDUCED.into(), ..InstallRecord::default() };
        assert_eq!(of_install(&webview).browser.as_deref(), Some("android|chrome"));
    }
}
