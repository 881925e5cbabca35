//! What a request tells about its visitor: pure readings of headers. The user agent is read here, and once for each distinct
//! one by [`super::agent`].

use std::{borrow::Cow, net::IpAddr};

use super::{agent::Agents, history::History, software::Software};
use crate::{
    clicks::class,
    clock::Moment,
    geo::{Country, Geo, Regions},
    links::Target,
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
    pub client: Option<IpAddr>,
    /// Where that is.
    pub place: Whereabouts<'a>,
    /// What the visitor's device runs.
    pub software: Programs<'a>,
    /// Whether the visitor followed the link before.
    pub before: Before<'a>,
    /// Whether the visitor typed in the password of the link.
    pub password: Password,
    /// Whether the clicks of the link are used up. Asked only of links with a limit, and only for a visit that would be sent on.
    pub used_up: bool,
}

// Each of these is asked only where the answer matters.
impl<'a> Visit<'a> {
    /// Returns the country of the visitor.
    pub fn country(&self) -> Option<Country> {
        match self.place {
            Whereabouts::Known(place) => place.country,
            Whereabouts::LookUp(geo) => geo.country(self.client?),
        }
    }

    /// Returns the parts of that country the visitor is in.
    pub fn regions(&self) -> Regions {
        match self.place {
            Whereabouts::Known(place) => place.regions,
            Whereabouts::LookUp(geo) => self.client.map_or([None; 2], |client| geo.regions(client)),
        }
    }

    /// Returns the English name of the city of the visitor.
    pub fn city(&self) -> Option<Cow<'a, str>> {
        match self.place {
            Whereabouts::Known(place) => place.city.map(Cow::Borrowed),
            Whereabouts::LookUp(geo) => geo.city(self.client?).map(|city| Cow::Owned(city.into())),
        }
    }

    /// Returns what the visitor's device runs.
    pub fn software(&self) -> Software {
        match self.software {
            Programs::Known(software) => software,
            Programs::LookUp(agents) => agents.software(self.user_agent),
        }
    }

    /// Says whether the visitor followed the link before.
    pub fn was_here(&self, now: Moment) -> bool {
        match self.before {
            Before::Known(was_here) => was_here,
            Before::LookUp(history, link) => history.knows(link, self, now),
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
            place: Whereabouts::Known(Place::NOWHERE),
            software: Programs::Known(Software::UNKNOWN),
            before: Before::Known(false),
            password: Password::Unknown,
            used_up: false,
        }
    }
}

/// Where a visitor is, or how to find out.
#[derive(Debug, Clone, Copy)]
pub enum Whereabouts<'a> {
    /// There.
    Known(Place<'a>),
    /// The address tells.
    LookUp(&'a Geo),
}

/// A place, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place<'a> {
    /// The country.
    pub country: Option<Country>,
    /// The parts of it.
    pub regions: Regions,
    /// The English name of the city.
    pub city: Option<&'a str>,
}

impl Place<'_> {
    /// Nobody knows where.
    pub const NOWHERE: Self = Self { country: None, regions: [None; 2], city: None };
}

/// What a visitor's device runs, or how to find out.
#[derive(Debug, Clone, Copy)]
pub enum Programs<'a> {
    /// This.
    Known(Software),
    /// The user agent tells.
    LookUp(&'a Agents),
}

/// Whether a visitor followed a link before, or how to find out.
#[derive(Debug, Clone, Copy)]
pub enum Before<'a> {
    /// They did, or did not.
    Known(bool),
    /// What is remembered of the link tells.
    LookUp(&'a History, &'a Target),
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
