//! Links, visitors and moments, made up by seeded dice: everything the decision looks at, more often than it is found in the world.

use std::net::IpAddr;

use linkforty::{
    ids::Ids,
    pb::v1::{
        self, Link, Og, Platform, RoutingCondition, RoutingRule, RoutingVariant, RoutingVariants, Targeting,
        Utm, routing_condition::Condition, routing_rule::Action,
    },
};
use prost_types::Timestamp;

use crate::support::City;

/// The first moment; a Monday at noon.
pub const BEGIN: i64 = 1_795_435_200;
/// How many moments there are, 13 hours apart: every time of the day, every weekday.
pub const MOMENTS: i64 = 24;
pub const STEP: i64 = 13 * 3600;
pub const PASSWORD: &str = "open sesame";
/// Which networks the file of cities knows.
pub const CITIES: [City<'_>; 3] = [
    ("203.0.113.0/24", "DE", &["BE"], "Berlin"),
    ("198.51.100.0/24", "FR", &["IDF", "75"], "Paris"),
    ("2001:db8::/33", "JP", &["13"], "Tokyo"),
];

const URLS: [&str; 12] = [
    "https://example.com/",
    "https://example.com/page?utm_source=own&x=1#part",
    "https://example.com/%C3%A4?a=b&a=c&",
    "http://example.org:8080/path;p?",
    "https://example.net/?lf_click=old&q=%26",
    "https://apps.apple.com/app/id1?pt=9",
    "https://itunes.apple.com/app/id2",
    "https://play.google.com/store/apps/details?id=com.example.app",
    "https://play.google.com/store/apps/details?id=com.example.app&referrer=own",
    "https://play.google.com/store/apps/details?",
    "https://xn--bcher-kva.example/#only",
    "https://example.com/a/very/long/path?with=many&parameters=in&it=1",
];
const AGENTS: [&str; 14] = [
    "",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 331.0.2.30.93",
    "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 9; SM-G960F; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/450.0]",
    "Mozilla/5.0 (Android 12; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
];
const LANGUAGES: [&str; 9] = [
    "",
    "en",
    "en-US,en;q=0.9",
    "fr-CH, fr;q=0.9, de;q=0.9",
    "de;q=0.5, ja",
    "pt-BR",
    "*",
    "xx;q=2",
    "DE-at;q=1.0,en",
];
const REFERRERS: [&str; 6] = [
    "",
    "https://example.com/page",
    "https://www.news.example/x?y",
    "android-app://com.example/",
    "https://user@mail.example.com:8443/",
    "nonsense",
];
const ADDRESSES: [&str; 8] = [
    "203.0.113.7",
    "203.0.113.200",
    "198.51.100.3",
    "192.0.2.9",
    "10.0.0.1",
    "2001:db8:1::1",
    "2001:db8:ffff::7",
    "2607:f8b0::1",
];
const QUERIES: [&str; 14] = [
    "",
    "a=b",
    "x=2&utm_source=visitor",
    "utm_campaign=v&ref=1",
    "lf_click=mine",
    "fp_tz=Europe%2FBerlin&keep=1",
    "a%20b=c+d&&=",
    "ref",
    "ref=2&ref=1",
    "q='`{}|",
    "%zz=%&x",
    "id=com.other",
    "referrer=mine",
    "promo=SPRING&promo=x",
];

/// Dice.
pub struct Dice(Ids);

impl Dice {
    pub fn seeded(seed: u64) -> Self {
        Self(Ids::seeded(seed))
    }

    pub fn chance(&self, percent: u32) -> bool {
        self.0.below(100) < percent
    }

    fn number(&self, bound: i64) -> i64 {
        i64::from(self.0.below(u32::try_from(bound).expect("a small number")))
    }

    pub fn one<'a>(&self, of: &[&'a str]) -> &'a str {
        of[self.place(of.len())]
    }

    pub fn place(&self, length: usize) -> usize {
        self.0.below(u32::try_from(length).expect("few")) as usize
    }

    fn some(&self, percent: u32, of: &[&str]) -> String {
        if self.chance(percent) { self.one(of).to_owned() } else { String::new() }
    }

    /// A moment among, before or behind those that are visited at; sometimes one of them to the second.
    fn moment(&self) -> Option<Timestamp> {
        let seconds = BEGIN + (self.number(MOMENTS + 6) - 3) * STEP + self.number(3) - 1;
        Some(Timestamp { seconds, nanos: 0 })
    }
}

/// Makes a link up. What stops all visits is rare, or nothing else would be seen.
pub fn a_link(dice: &Dice, code: String) -> Link {
    let https = [URLS[0], URLS[2], URLS[4], URLS[11]];
    let mut link = Link {
        short_code: code,
        destination_url: dice.some(75, &URLS),
        title: dice.some(30, &["A title", "Ünicode <title>"]),
        ios_url: dice.some(40, &URLS),
        android_url: dice.some(40, &URLS),
        web_url: dice.some(40, &URLS),
        app_scheme: dice.some(20, &["myapp", "com.example.app"]),
        ios_universal_link: dice.some(8, &https),
        android_app_link: dice.some(8, &https),
        deep_link_path: dice.some(40, &["/product/42", "a?b=c#d", "ä ö"]),
        append_click_id: dice.chance(35),
        forward_query: Some(dice.chance(75)),
        active: Some(!dice.chance(3)),
        start_time: dice.moment().filter(|_| dice.chance(7)),
        warn_time: dice.moment().filter(|_| dice.chance(7)),
        disable_time: dice.moment().filter(|_| dice.chance(5)),
        max_clicks: if dice.chance(7) { 1 + dice.number(25) } else { 0 },
        // Its QR code takes long to draw in an unoptimised build.
        launchpad_mode: if dice.chance(15) { dice.number(4) as i32 } else { 0 },
        password: if dice.chance(5) { PASSWORD.to_owned() } else { String::new() },
        ..Link::default()
    };
    // An end and no start, so that they are always in order.
    if link.start_time.is_none() {
        link.expire_time = dice.moment().filter(|_| dice.chance(7));
    }
    if dice.chance(40) {
        let names = ["id", "x", "lf_click", "utm_source", "ä&"];
        link.deep_link_parameters =
            (0..3).map(|_| (dice.one(&names).to_owned(), dice.one(&["1", "", "a b&c"]).to_owned())).collect();
    }
    if dice.chance(40) {
        let (source, campaign) = (dice.some(60, &["mail", "x y"]), dice.some(60, &["spring"]));
        link.utm = Some(Utm { source, campaign, ..Utm::default() });
    }
    if dice.chance(15) {
        link.targeting = Some(targeting(dice));
    }
    if dice.chance(12) {
        link.og = Some(Og { title: "A card".into(), ..Og::default() });
    }
    link.routing_rules = (0..dice.number(5)).map(|_| a_rule(dice)).collect();
    let addresses = [
        &link.destination_url,
        &link.ios_url,
        &link.android_url,
        &link.web_url,
        &link.app_scheme,
        &link.ios_universal_link,
        &link.android_app_link,
    ];
    if addresses.into_iter().all(String::is_empty) {
        link.app_scheme = "myapp".into();
    }
    link
}

fn targeting(dice: &Dice) -> Targeting {
    Targeting {
        countries: if dice.chance(50) { vec!["de".into(), "JP".into()] } else { vec![] },
        platforms: if dice.chance(50) { vec![platform(dice)] } else { vec![] },
        languages: if dice.chance(50) { vec![dice.one(&["en", "de", "fr-CH"]).to_owned()] } else { vec![] },
    }
}

fn platform(dice: &Dice) -> i32 {
    [Platform::Web, Platform::Ios, Platform::Android][dice.number(3) as usize].into()
}

fn a_rule(dice: &Dice) -> RoutingRule {
    let action = if dice.chance(30) {
        let variants = (0..2 + dice.number(3))
            .map(|_| RoutingVariant { url: dice.one(&URLS).to_owned(), weight: 1 + dice.number(9) as i32 });
        Action::Variants(RoutingVariants { variants: variants.collect() })
    } else {
        Action::Url(dice.one(&URLS).to_owned())
    };
    RoutingRule {
        name: dice.some(50, &["sale", "press"]),
        conditions: (0..1 + dice.number(3))
            .map(|_| RoutingCondition { condition: Some(a_condition(dice)) })
            .collect(),
        action: Some(action),
        active: Some(dice.chance(90)),
    }
}

/// How many kinds of conditions [`a_condition`] makes.
pub const KINDS: usize = 14;

fn a_condition(dice: &Dice) -> Condition {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    match dice.number(KINDS as i64) {
        0 => Condition::Platforms(v1::PlatformCondition { platforms: vec![platform(dice)] }),
        1 => Condition::Languages(v1::LanguageCondition {
            languages: vec![dice.one(&["en", "de", "fr", "pt-BR"]).to_owned()],
            min_quality: dice.chance(30).then_some(800),
        }),
        2 => Condition::Dates(v1::DateCondition { start_time: dice.moment(), end_time: None }),
        3 => Condition::Times(v1::TimeCondition {
            time_zone: dice.some(70, &["Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
            weekdays: if dice.chance(40) { vec![1 + dice.number(7) as i32, 5] } else { vec![] },
            start_minute: dice.number(720) as i32,
            end_minute: (720 + dice.number(720)) as i32,
        }),
        4 => Condition::Query(v1::QueryCondition {
            name: dice.one(&["ref", "promo", "a b", "x"]).to_owned(),
            value: dice.chance(50).then(|| dice.one(&["1", "SPRING", "2"]).to_owned()),
        }),
        5 => Condition::Referrers(v1::ReferrerCondition { hosts: texts(&["example.com", "news.example"]) }),
        6 => Condition::Networks(v1::NetworkCondition {
            networks: texts(&[dice.one(&["203.0.113.128/25", "2001:db8::/32"]), "192.0.2.9"]),
        }),
        7 => Condition::Countries(v1::CountryCondition { countries: texts(&["de", "JP"]) }),
        8 => Condition::Regions(v1::RegionCondition { regions: texts(&["FR-75", "de-be"]) }),
        9 => Condition::Cities(v1::CityCondition { cities: texts(&[dice.one(&["BERLIN", "Tokyo"])]) }),
        10 => {
            let system = [v1::OperatingSystem::Ios, v1::OperatingSystem::Android][dice.place(2)];
            let (min_version, max_version) =
                (dice.some(50, &["9", "16.4"]), dice.some(50, &["16.4", "17", "18.1"]));
            let systems = vec![v1::OperatingSystemRange { system: system.into(), min_version, max_version }];
            Condition::OperatingSystems(v1::OperatingSystemCondition { systems })
        }
        11 => {
            let types = [v1::DeviceType::Phone, v1::DeviceType::Tablet, v1::DeviceType::Desktop];
            Condition::Devices(v1::DeviceCondition { types: vec![types[dice.place(3)].into()] })
        }
        12 => {
            let browsers = [v1::Browser::Chrome, v1::Browser::Safari, v1::Browser::InApp];
            Condition::Browsers(v1::BrowserCondition { browsers: vec![browsers[dice.place(3)].into()] })
        }
        _ => {
            let histories = [v1::VisitorHistory::New, v1::VisitorHistory::Returning];
            Condition::Visitors(v1::VisitorCondition { history: histories[dice.place(2)].into() })
        }
    }
}

/// Returns the name of a kind of condition; a new kind needs its line here, and in [`a_condition`].
pub fn kind(condition: &Condition) -> &'static str {
    match condition {
        Condition::Platforms(_) => "platforms",
        Condition::Languages(_) => "languages",
        Condition::Dates(_) => "dates",
        Condition::Times(_) => "times",
        Condition::Query(_) => "query",
        Condition::Referrers(_) => "referrers",
        Condition::Networks(_) => "networks",
        Condition::Countries(_) => "countries",
        Condition::Regions(_) => "regions",
        Condition::Cities(_) => "cities",
        Condition::OperatingSystems(_) => "operating systems",
        Condition::Devices(_) => "devices",
        Condition::Browsers(_) => "browsers",
        Condition::Visitors(_) => "visitors",
    }
}

/// A visitor, as both doors hear of them.
#[derive(Debug, Clone, Copy)]
pub struct Somebody {
    pub agent: &'static str,
    pub languages: &'static str,
    pub referrer: &'static str,
    pub query: &'static str,
    pub address: IpAddr,
}

impl Somebody {
    pub fn made_up(dice: &Dice) -> Self {
        Self {
            agent: dice.one(&AGENTS),
            languages: dice.one(&LANGUAGES),
            referrer: dice.one(&REFERRERS),
            query: dice.one(&QUERIES),
            address: dice.one(&ADDRESSES).parse().expect("an address"),
        }
    }

    /// The headers of their request.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all =
            [("user-agent", self.agent), ("accept-language", self.languages), ("referer", self.referrer)];
        all.into_iter().filter(|(_, value)| !value.is_empty())
    }

    /// The path and the query of their request.
    pub fn path(&self, code: &str) -> String {
        if self.query.is_empty() { format!("/{code}") } else { format!("/{code}?{}", self.query) }
    }

    pub fn described(&self) -> v1::DescribedVisitor {
        v1::DescribedVisitor {
            user_agent: self.agent.to_owned(),
            accept_language: self.languages.to_owned(),
            referrer: self.referrer.to_owned(),
            query: self.query.to_owned(),
            client_address: self.address.to_string(),
            ..v1::DescribedVisitor::default()
        }
    }
}
