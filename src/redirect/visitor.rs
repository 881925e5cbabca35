//! What a request tells about its visitor: pure readings of headers. The user agent is read here, and once for each distinct
//! one by [`super::agent`].

use crate::{
    clicks::class,
    geo::{Country, Geo},
};

/// What the user agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// The device.
    pub platform: Platform,
    /// Whether this is the browser inside another app.
    pub in_app_browser: bool,
    /// Whether this is a program that shows people what a page says of itself; the click is then no person's.
    pub scraper: bool,
}

/// A visit, as far as routing rules look at it.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// What the user agent says.
    pub visitor: Visitor,
    /// The User-Agent header.
    pub user_agent: &'a str,
    /// The Accept-Language header.
    pub languages: &'a str,
    /// The Referer header.
    pub referrer: &'a str,
    /// The query of the short URL.
    pub query: &'a str,
    /// Where the visitor called from.
    pub client: Option<std::net::IpAddr>,
    /// The country that is.
    pub country: Whereabouts<'a>,
    /// Whether the visitor typed in the password of the link.
    pub password: Password,
    /// Whether the clicks of the link are used up. Asked only of links with a limit, and only for a visit that would be sent on.
    pub used_up: bool,
}

impl Visit<'_> {
    /// Returns the country of the visitor. Asked only where the answer matters.
    pub fn country(&self) -> Option<Country> {
        match self.country {
            Whereabouts::Known(country) => country,
            Whereabouts::LookUp(geo) => geo.country(self.client?),
        }
    }
}

impl Visit<'static> {
    /// Returns the visit of somebody about whom nothing is known but that they are no phone.
    pub fn of_nobody() -> Self {
        Self {
            visitor: Visitor { platform: Platform::Web, in_app_browser: false, scraper: false },
            user_agent: "",
            languages: "",
            referrer: "",
            query: "",
            client: None,
            country: Whereabouts::Known(None),
            password: Password::Unknown,
            used_up: false,
        }
    }
}

/// Where a visitor is, or how to find out.
#[derive(Debug, Clone, Copy)]
pub enum Whereabouts<'a> {
    /// There, or nobody knows.
    Known(Option<Country>),
    /// The address tells.
    LookUp(&'a Geo),
}

/// Whether a visitor knows the password of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// Not asked yet.
    Unknown,
    /// Typed in, and right.
    Given,
}

/// The device a visitor holds. The numbers are stored with every click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Platform {
    /// Anything else, desktops above all. An iPad that asks for desktop pages is here too: its user agent is a Mac's.
    Web = 0,
    /// iPhone, iPad, iPod.
    Ios = 1,
    /// Android.
    Android = 2,
}

const IOS: &[&str] = &["iphone", "ipad", "ipod"];
const ANDROID: &[&str] = &["android"];
/// What the user agents of browsers inside iOS apps contain, in whatever case.
const IOS_IN_APP: &[&str] = &[
    "gsa/",
    "gmail/",
    "fban",
    "fbav",
    "instagram",
    "twitter",
    "linkedin",
    "micromessenger",
    "outlook",
    "yahoomobile",
];
/// What the user agents of browsers inside Android apps contain, in whatever case.
const ANDROID_IN_APP: &[&str] = &[
    "fb_iab",
    "fban",
    "fbav",
    "instagram",
    "line/",
    "kakaotalk",
    "twitter",
    "linkedin",
    "micromessenger",
    "outlook-android",
    "whatsapp",
    "pinterest",
    "telegram",
    "snapchat",
    " wv)",
    "\twv)",
];

impl Visitor {
    /// Reads a User-Agent header.
    pub fn of(user_agent: &str) -> Self {
        let agent = user_agent.to_ascii_lowercase();
        let contains = |tokens: &[&str]| tokens.iter().any(|token| agent.contains(token));
        // Looking for one text after the other is quicker than for all in one pass: most visitors need four.
        let (platform, in_app_browser) = if contains(IOS) {
            (Platform::Ios, contains(IOS_IN_APP))
        } else if contains(ANDROID) {
            (Platform::Android, contains(ANDROID_IN_APP))
        } else {
            (Platform::Web, false)
        };
        Self { platform, in_app_browser, scraper: class::is_scraper(&agent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_user_agents_land_where_they_belong() {
        for (agent, platform, in_app_browser) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                Platform::Ios,
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 335.0.0",
                Platform::Ios,
                true,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/300.0 Mobile/15E148",
                Platform::Ios,
                true,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
                Platform::Web,
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36",
                Platform::Android,
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36",
                Platform::Android,
                true,
            ),
            (
                "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/450.0]",
                Platform::Android,
                true,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
                Platform::Web,
                false,
            ),
            ("Mozilla/5.0 (Windows NT 10.0) Instagram", Platform::Web, false),
            ("", Platform::Web, false),
        ] {
            let expected = Visitor { platform, in_app_browser, scraper: false };
            assert_eq!(Visitor::of(agent), expected, "{agent}");
        }
    }
    #[test]
    fn scrapers_are_told_whatever_device_they_claim() {
        for (agent, platform) in [
            ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Platform::Web),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 8_3 like Mac OS X) AppleWebKit/600.1.4 (KHTML, like Gecko) Version/8.0 Mobile/12F70 Safari/600.1.4 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                Platform::Ios,
            ),
        ] {
            assert_eq!(
                Visitor::of(agent),
                Visitor { platform, in_app_browser: false, scraper: true },
                "{agent}"
            );
        }
    }
}
