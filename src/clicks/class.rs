//! Who made a visit: pure readings of the request, done before the answer leaves, and of the user agent, done by the drain once
//! for each distinct one.

use http::{HeaderMap, HeaderName, Method};

use crate::pb::v1::ClickClass;

/// Who made a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A person, as far as can be told.
    Human,
    /// A program that shows people where a link leads before anybody follows it.
    Preview,
    /// Any other program.
    Bot(Sign),
    /// The browser of a person who has not followed the link yet and may never.
    Prefetch,
    /// A program that looks whether the link works.
    Monitor,
}

/// How a bot gave itself away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// The request method is one that browsers do not follow links with.
    Method,
    /// The user agent names a crawler or a tool.
    UserAgent,
    /// A proxy of ours says so.
    Edge,
}

/// Whether the word of the proxy in front counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The request came through a trusted proxy that is set to tell bots apart.
    Believed,
    /// Anybody could have written the header.
    Ignored,
}

/// Every class with its number. The numbers are stored, in the column `bot`; those below 4 are older than the classes.
pub(super) const NUMBERS: [(Class, i16); 7] = [
    (Class::Human, 0),
    (Class::Bot(Sign::Method), 1),
    (Class::Bot(Sign::UserAgent), 2),
    (Class::Bot(Sign::Edge), 3),
    (Class::Preview, 4),
    (Class::Prefetch, 5),
    (Class::Monitor, 6),
];

impl Class {
    /// Returns the number that stands for the class in the spool and the database.
    pub fn number(self) -> i16 {
        match self {
            Self::Human => 0,
            Self::Bot(Sign::Method) => 1,
            Self::Bot(Sign::UserAgent) => 2,
            Self::Bot(Sign::Edge) => 3,
            Self::Preview => 4,
            Self::Prefetch => 5,
            Self::Monitor => 6,
        }
    }

    /// Returns the class that a number stands for; `None` for one that a later release made up.
    pub fn of_number(number: i16) -> Option<Self> {
        NUMBERS.iter().find(|(_, own)| *own == number).map(|(class, _)| *class)
    }

    /// Returns the contract's word for a number. What this release does not know is no person's all the same.
    pub fn told(number: i16) -> ClickClass {
        match Self::of_number(number) {
            Some(Self::Human) => ClickClass::Human,
            Some(Self::Preview) => ClickClass::Preview,
            Some(Self::Prefetch) => ClickClass::Prefetch,
            Some(Self::Monitor) => ClickClass::Monitor,
            Some(Self::Bot(_)) | None => ClickClass::Bot,
        }
    }

    /// Returns the class's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Preview => "preview",
            Self::Bot(_) => "bot",
            Self::Prefetch => "prefetch",
            Self::Monitor => "monitor",
        }
    }
}

/// What the user agents of link previews contain, in lower case. That of iMessage claims to be those of Facebook and Twitter.
///
/// No name stands here that the browser inside the app of the same name has too: those of KakaoTalk, LINE, LinkedIn,
/// Mattermost and the like say which app they are in, and are people.
const PREVIEWS: &[&str] = &[
    "facebookexternalhit",
    "preview",
    "twitterbot",
    "slackbot-linkexpanding",
    "slack-imgproxy",
    "linkedinbot",
    "discordbot",
    "telegrambot",
    "facebookcatalog",
    "facebot",
    "pinterestbot",
    "redditbot",
    "mastodon/",
    "cardyb",
    "vkshare",
    "embedly",
    "iframely",
    "opengraph",
    "metainspector",
    "mattermost-bot",
    "kakaotalk-scrap",
    "line-poker",
    "quora link",
    "flipboardproxy",
];

/// What the user agents of previews begin with that have the name of an app: the browser inside it has that name too, behind
/// the words of a browser.
const PREVIEWS_OF_APPS: &[&str] = &["whatsapp/", "pinterest/", "tumblr/"];

/// What the user agents of crawlers contain that also show people what they found, in lower case.
const SHOWING_CRAWLERS: &[&str] = &["googlebot", "bingbot", "applebot", "slackbot", "ia_archiver"];

/// What the user agents of uptime checks and load balancers contain, in lower case.
const MONITORS: &[&str] = &[
    "monitor",
    "uptime",
    "pingdom",
    "statuscake",
    "site24x7",
    "datadog",
    "newrelic",
    "nagios",
    "check_http",
    "zabbix",
    "hetrixtools",
    "freshping",
    "updown.io",
    "checkly",
    "better stack",
    "catchpoint",
    "nodeping",
    "ohdear",
    "blackbox exporter",
    "blackbox_exporter",
    "kube-probe",
    "healthcheck",
    "health-check",
    "googlehc",
    "googlestackdriver",
];

/// What the user agents of crawlers and tools contain, in lower case; collected from the names they publish. The general words
/// come first: they catch most.
const BOTS: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "fetcher",
    "scraper",
    "archiver",
    "validator",
    "headless",
    "meta-externalagent",
    "outbrain",
    "w3c_",
    "nuzzel",
    "qwantify",
    "google-inspectiontool",
    "googleother",
    "google-read-aloud",
    "mediapartners-google",
    "apis-google",
    "feedfetcher",
    "lighthouse",
    "pagespeed",
    "gtmetrix",
    "curl/",
    "wget/",
    "httpie/",
    "libwww",
    "python-",
    "aiohttp",
    "httpx/",
    "go-http-client",
    "okhttp/",
    "java/",
    "apache-httpclient",
    "axios/",
    "node-fetch",
    "undici",
    "got (",
    "ruby",
    "perl",
    "php/",
    "guzzle",
    "postman",
    "insomnia",
    "scrapy",
    "phantomjs",
    "selenium",
    "puppeteer",
    "playwright",
    "wrk/",
    "k6/",
    "jmeter",
    "nutch",
    "chatgpt-user",
    "claude-web",
    "anthropic-ai",
    "perplexity",
    "bytespider",
];

/// The headers in which browsers say that nobody has followed the link yet: the standard one, those of older Chromium and
/// Safari, and Firefox's.
fn is_purpose(name: &HeaderName) -> bool {
    matches!(name.as_str(), "sec-purpose" | "purpose" | "x-purpose" | "x-moz")
}
const EARLY: [&str; 3] = ["prefetch", "prerender", "preview"];
static EDGE: HeaderName = HeaderName::from_static("x-lf-bot");

/// Reads everything of a request but its user agent: first what our proxy says, then the method, then what the browser says.
pub fn by_request(method: &Method, headers: &HeaderMap, edge: Edge) -> Class {
    let says_so = |value: &http::HeaderValue| value == "1" || value.as_bytes().eq_ignore_ascii_case(b"true");
    if edge == Edge::Believed && headers.get(&EDGE).is_some_and(says_so) {
        return Class::Bot(Sign::Edge);
    }
    if method == Method::HEAD || method == Method::OPTIONS {
        return Class::Bot(Sign::Method);
    }
    // Once over those that are there, which are fewer than it costs to look for four that are not.
    let early = headers
        .iter()
        .filter(|(name, _)| is_purpose(name))
        .filter_map(|(_, value)| value.to_str().ok())
        .flat_map(|value| value.split([';', ',']))
        .any(|word| EARLY.iter().any(|early| word.trim().eq_ignore_ascii_case(early)));
    if early { Class::Prefetch } else { Class::Human }
}

/// Reads the user agent. An empty one is a person with a privacy tool until something else says otherwise.
pub fn by_user_agent(agent: &str) -> Class {
    // The Cubot is a telephone.
    let lower = agent.to_ascii_lowercase().replace("cubot", "");
    let says = |names: &[&str]| names.iter().any(|name| lower.contains(name));
    if is_preview(&lower) {
        Class::Preview
    } else if says(MONITORS) {
        Class::Monitor
    } else if says(BOTS) || says(SHOWING_CRAWLERS) || woothee::is_crawler(agent) {
        Class::Bot(Sign::UserAgent)
    } else {
        Class::Human
    }
}

/// Says whether a user agent, in lower case, is one that shows people what a page says of itself: all of [`Class::Preview`]
/// and the crawlers that do so too. None of them is a person to [`by_user_agent`].
pub fn is_scraper(lower: &str) -> bool {
    is_preview(lower) || SHOWING_CRAWLERS.iter().any(|name| lower.contains(name))
}

fn is_preview(lower: &str) -> bool {
    PREVIEWS_OF_APPS.iter().any(|name| lower.starts_with(name))
        || PREVIEWS.iter().any(|name| lower.contains(name))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Those of the table that show what they find, though they are no previews.
    const SHOWING: [&str; 4] = [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Slackbot 1.0 (+https://api.slack.com/robots)",
        "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ];

    #[test]
    fn user_agents_name_their_class() {
        let bot = Class::Bot(Sign::UserAgent);
        for (agent, expected) in [
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", bot),
            ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", bot),
            ("Slackbot 1.0 (+https://api.slack.com/robots)", bot),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0 Safari/537.36",
                bot,
            ),
            ("curl/8.5.0", bot),
            ("python-requests/2.31", bot),
            ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Class::Preview),
            ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Class::Preview),
            ("Twitterbot/1.0", Class::Preview),
            ("WhatsApp/2.23.20.0", Class::Preview),
            ("WhatsApp/2.21.12.21 A", Class::Preview),
            ("Pinterest/0.2 (+https://www.pinterest.com/bot.html)", Class::Preview),
            ("Tumblr/14.0.835.186 ( +http://tumblr.com)", Class::Preview),
            ("facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/", Class::Preview),
            ("Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)", Class::Preview),
            ("Mastodon/4.3.0 (http.rb/5.2.0; +https://mastodon.social/)", Class::Preview),
            ("Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)", Class::Preview),
            ("Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)", Class::Preview),
            ("TelegramBot (like TwitterBot)", Class::Preview),
            ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", Class::Preview),
            (
                "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
                Class::Preview,
            ),
            ("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", Class::Preview),
            // iMessage.
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
                Class::Preview,
            ),
            ("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", Class::Monitor),
            ("Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", Class::Monitor),
            ("Mozilla/5.0 (compatible; StatusCake)", Class::Monitor),
            ("kube-probe/1.30", Class::Monitor),
            ("ELB-HealthChecker/2.0", Class::Monitor),
            ("Amazon-Route53-Health-Check-Service (ref 1; report http://amzn.to/1vsZADi)", Class::Monitor),
            ("", Class::Human),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                Class::Human,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 335.0.0.0",
                Class::Human,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [LinkedInApp]/9.29",
                Class::Human,
            ),
            (
                "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36",
                Class::Human,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
                Class::Human,
            ),
            // A robot on a telephone of that name.
            (
                "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                bot,
            ),
            // The browsers inside apps that have previews of the same name.
            (
                "Mozilla/5.0 (Linux; Android 13; SM-A536B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36 WhatsApp/2.23.20.76",
                Class::Human,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Tumblr/iPhone/34.5",
                Class::Human,
            ),
        ] {
            assert_eq!(by_user_agent(agent), expected, "{agent}");
            let scrapes = is_scraper(&agent.to_ascii_lowercase());
            assert_eq!(scrapes, expected == Class::Preview || SHOWING.contains(&agent), "{agent}");
        }
    }

    #[test]
    fn requests_name_their_class() {
        let (method, edge) = (Class::Bot(Sign::Method), Class::Bot(Sign::Edge));
        for (verb, headers, believed, ignored) in [
            (Method::GET, &[][..], Class::Human, Class::Human),
            (Method::HEAD, &[], method, method),
            (Method::OPTIONS, &[], method, method),
            (Method::HEAD, &[("purpose", "prefetch")], method, method),
            (Method::GET, &[("purpose", "prefetch")], Class::Prefetch, Class::Prefetch),
            (Method::GET, &[("sec-purpose", "prefetch;prerender")], Class::Prefetch, Class::Prefetch),
            (
                Method::GET,
                &[("sec-purpose", "prefetch; anonymous-client-ip")],
                Class::Prefetch,
                Class::Prefetch,
            ),
            (Method::GET, &[("x-moz", "prefetch")], Class::Prefetch, Class::Prefetch),
            (Method::GET, &[("x-purpose", "Preview")], Class::Prefetch, Class::Prefetch),
            (Method::GET, &[("purpose", "curiosity"), ("x-moz", "\u{e9}")], Class::Human, Class::Human),
            (Method::GET, &[("x-lf-bot", "1")], edge, Class::Human),
            (Method::GET, &[("x-lf-bot", "true")], edge, Class::Human),
            (Method::GET, &[("x-lf-bot", "True")], edge, Class::Human),
            // The proxy may only add to what the request itself says.
            (Method::GET, &[("x-lf-bot", "0")], Class::Human, Class::Human),
            (Method::HEAD, &[("x-lf-bot", "false")], method, method),
            (Method::HEAD, &[("x-lf-bot", "1")], edge, method),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    let value = HeaderValue::from_bytes(value.as_bytes()).expect("visible characters");
                    (HeaderName::from_static(name), value)
                })
                .collect();
            assert_eq!(by_request(&verb, &map, Edge::Believed), believed, "{verb} {headers:?}");
            assert_eq!(by_request(&verb, &map, Edge::Ignored), ignored, "{verb} {headers:?}");
        }
    }

    #[test]
    fn every_class_has_its_number() {
        for (class, number) in NUMBERS {
            assert_eq!((class.number(), Class::of_number(number)), (number, Some(class)));
        }
        assert_eq!(Class::of_number(7), None);
    }
}
