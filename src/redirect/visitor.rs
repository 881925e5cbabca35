//! What a request tells about its visitor: pure readings of headers, cheap enough for every redirect.

/// What the destination depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor {
    /// The device.
    pub platform: Platform,
    /// Whether this is the browser inside another app.
    pub in_app_browser: bool,
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
    /// Whether the clicks of the link are used up. Asked only of links with a limit, and only for a visit that would be sent on.
    pub used_up: bool,
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
        if contains(IOS) {
            Self { platform: Platform::Ios, in_app_browser: contains(IOS_IN_APP) }
        } else if contains(ANDROID) {
            Self { platform: Platform::Android, in_app_browser: contains(ANDROID_IN_APP) }
        } else {
            Self { platform: Platform::Web, in_app_browser: false }
        }
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
            assert_eq!(Visitor::of(agent), Visitor { platform, in_app_browser }, "{agent}");
        }
    }
}
