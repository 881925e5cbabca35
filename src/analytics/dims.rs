//! What clicks, installs and events are told apart by: the one place that says what value a thing has in each dimension. Pure.
//!
//! The roller, its rebuild and queries of raw clicks all ask here, so their numbers cannot differ.

use std::{borrow::Cow, sync::Arc};

use quick_cache::sync::Cache;

use crate::{
    clicks::{OPENED_BY_SYSTEM, class::Class, query},
    ids::{AppId, LinkId},
    pb::{
        sdk::v1::MatchMethod,
        v1::{Browser, DeviceType, OperatingSystem},
    },
    redirect::software::Software,
};

/// How many dimensions there are.
pub const COUNT: usize = Dimension::ALL.len();
/// The value that stands for all that have no place of their own because there are too many.
pub const OTHER: &str = "\u{1}other";
/// What stands between the parts of a value that has some.
pub const SEPARATOR: char = '\0';
/// The same where it is stored: Postgres keeps no `\0`.
pub const STORED_SEPARATOR: char = '\u{1f}';

/// A way of telling things apart. The numbers are stored, and are those of `linkforty.v1.Dimension`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Dimension {
    /// `CH`.
    Country = 1,
    /// `CH-ZH`.
    Region = 2,
    /// `CH-ZH/Zurich`; `CH/Zurich` where the region is not known.
    City = 3,
    /// `phone`, `tablet`, `desktop`.
    Device = 4,
    /// `ios`, `android`, `windows`, ...
    System = 5,
    /// `ios 18.2`: at most two numbers.
    SystemVersion = 6,
    /// `safari`, `chrome`, ...; a browser inside an app too.
    Browser = 7,
    /// `facebook`, `in_app` for one without a name; nothing for other browsers.
    InAppBrowser = 8,
    /// The host of the page that sent the visitor, in lower case.
    Referrer = 9,
    /// `de-CH`.
    Language = 10,
    /// `utm_source`.
    UtmSource = 11,
    /// `utm_medium`.
    UtmMedium = 12,
    /// `utm_campaign`.
    UtmCampaign = 13,
    /// `utm_term`.
    UtmTerm = 14,
    /// `utm_content`.
    UtmContent = 15,
    /// `human`, `preview`, `bot`, `prefetch`, `monitor`.
    Class = 16,
    /// `<link id>/0`: the place of the routing rule that named the destination.
    Rule = 17,
    /// `<link id>/0/1`: that, and the place of the URL among those of the rule.
    Variant = 18,
    /// What sort of destination it was.
    Destination = 19,
    /// The host of the short URL.
    Domain = 20,
    /// `ios`, `android`, `web`.
    Platform = 21,
    /// The id of the link.
    Link = 22,
    /// The id of the link's project.
    Project = 23,
    /// `source\0medium\0campaign\0<link id>`; nothing where all three are empty.
    CampaignLink = 24,
    /// How an install was matched: `store_referrer`, ...
    Method = 25,
    /// The name of an event.
    Event = 26,
    /// The id of the app.
    App = 27,
    /// `source\0medium\0campaign\0term\0content`; nothing where the first three are empty, or the last two.
    CampaignAd = 28,
}

impl Dimension {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 28] = [
        Self::Country,
        Self::Region,
        Self::City,
        Self::Device,
        Self::System,
        Self::SystemVersion,
        Self::Browser,
        Self::InAppBrowser,
        Self::Referrer,
        Self::Language,
        Self::UtmSource,
        Self::UtmMedium,
        Self::UtmCampaign,
        Self::UtmTerm,
        Self::UtmContent,
        Self::Class,
        Self::Rule,
        Self::Variant,
        Self::Destination,
        Self::Domain,
        Self::Platform,
        Self::Link,
        Self::Project,
        Self::CampaignLink,
        Self::Method,
        Self::Event,
        Self::App,
        Self::CampaignAd,
    ];

    /// Returns the number that is stored.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the dimension that a number stands for.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Returns its place among the values of a thing.
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

/// The value of a thing in each dimension, by [`Dimension::index`]. What is not known is the empty text.
pub type Values<'a> = [Cow<'a, str>; COUNT];

/// What is kept of a click.
#[derive(Debug, Clone, Copy)]
pub struct ClickFacts<'a> {
    /// Which link.
    pub link: LinkId,
    /// 0 web, 1 iOS, 2 Android.
    pub platform: i16,
    /// `clicks::class::Class`.
    pub class: i16,
    /// `redirect::destination::Step`.
    pub step: i16,
    /// The User-Agent header.
    pub user_agent: &'a str,
    /// The host of the Referer header.
    pub referrer_host: &'a str,
    /// The first tag of the Accept-Language header.
    pub language: &'a str,
    /// As `clicks::query::campaign` writes it.
    pub campaign: &'a str,
    /// Where the visitor called from.
    pub place: Place<'a>,
    /// Where the link was at home.
    pub home: Home<'a>,
}

/// Where a visitor called from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// `CH`.
    pub country: &'a str,
    /// `CH-ZH`, or `ZH`.
    pub region: &'a str,
    /// `Zurich`.
    pub city: &'a str,
}

impl<'a> Place<'a> {
    /// Reads the text of the dictionary: the three with a separator between them.
    pub fn parse(text: &'a str) -> Self {
        let mut parts = text.split([SEPARATOR, STORED_SEPARATOR]);
        let mut next = || parts.next().unwrap_or_default();
        Self { country: next(), region: next(), city: next() }
    }
}

/// Where a link was at home when it was clicked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Home<'a> {
    /// The host of its short URL.
    pub domain: &'a str,
    /// The id of its project.
    pub project: &'a str,
}

impl<'a> Home<'a> {
    /// Reads the text of the dictionary: the two with a separator between them.
    pub fn parse(text: &'a str) -> Self {
        let mut parts = text.split([SEPARATOR, STORED_SEPARATOR]);
        let mut next = || parts.next().unwrap_or_default();
        Self { domain: next(), project: next() }
    }
}

/// Which link something is credited to, and what that link was at home in.
#[derive(Debug, Clone, Copy)]
pub struct Credited<'a> {
    /// The link.
    pub link: LinkId,
    /// As `clicks::query::campaign` writes it.
    pub campaign: &'a str,
    /// Where the link is at home.
    pub home: Home<'a>,
}

/// What is kept of an install.
#[derive(Debug, Clone, Copy)]
pub struct InstallFacts<'a> {
    /// Which app.
    pub app: Option<AppId>,
    /// 1 iOS, 2 Android, 0 unknown.
    pub platform: i16,
    /// `linkforty.sdk.v1.MatchMethod`.
    pub method: i16,
    /// The link it is credited to.
    pub credited: Option<Credited<'a>>,
}

/// What is kept of an event.
#[derive(Debug, Clone, Copy)]
pub struct EventFacts<'a> {
    /// Which app.
    pub app: Option<AppId>,
    /// What happened.
    pub name: &'a str,
    /// The link it is credited to.
    pub credited: Option<Credited<'a>>,
}

/// What a user agent says, as values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agent {
    /// `phone`, `tablet`, ...; empty where nobody knows, as the others.
    pub device: String,
    /// `ios`, `windows`, ...
    pub system: String,
    /// The same, with its version: `ios 17.5`.
    pub version: String,
    /// `safari`, `instagram`, ...
    pub browser: String,
    /// The same, where it is the browser inside of an app.
    pub in_app: String,
}

impl Agent {
    /// Reads a User-Agent header.
    pub fn of(user_agent: &str) -> Self {
        let Software { system, version, device, browser } = Software::of(user_agent);
        let device = word(device == DeviceType::Unspecified, device.as_str_name(), "DEVICE_TYPE_");
        let system = word(system == OperatingSystem::Unspecified, system.as_str_name(), "OPERATING_SYSTEM_");
        let version = version.map(|version| {
            let text = version.to_string();
            let two = text.match_indices('.').nth(1).map_or(text.len(), |(end, _)| end);
            format!("{system} {}", &text[..two])
        });
        let is_in_app = browser as i32 >= Browser::InApp as i32;
        let browser = word(browser == Browser::Unspecified, browser.as_str_name(), "BROWSER_");
        Self {
            device,
            version: version.unwrap_or_default(),
            system,
            in_app: if is_in_app { browser.clone() } else { String::new() },
            browser,
        }
    }
}

/// Returns the contract's name of a value without what they all begin with, in lower case.
fn word(unknown: bool, name: &str, beginning: &str) -> String {
    if unknown { String::new() } else { name.strip_prefix(beginning).unwrap_or(name).to_ascii_lowercase() }
}

/// Remembers what user agents say.
#[derive(Debug)]
pub struct Agents(Cache<Arc<str>, Arc<Agent>>);

const REMEMBERED_AGENTS: usize = 20_000;

impl Default for Agents {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED_AGENTS))
    }
}

impl Agents {
    /// Returns what a user agent says.
    pub fn of(&self, user_agent: &str) -> Arc<Agent> {
        if let Some(known) = self.0.get(user_agent) {
            return known;
        }
        let agent = Arc::new(Agent::of(user_agent));
        self.0.insert(Arc::from(user_agent), agent.clone());
        agent
    }
}

/// Returns what a click is in each dimension. `agent` is what [`Agent::of`] says of its user agent.
pub fn of<'a>(facts: &ClickFacts<'a>, agent: &'a Agent) -> Values<'a> {
    let ClickFacts {
        link,
        platform,
        class,
        step,
        user_agent: _,
        referrer_host,
        language,
        campaign,
        place,
        home,
    } = *facts;
    let mut values = Values::default();
    let mut set = |dimension: Dimension, value: Cow<'a, str>| values[dimension.index()] = value;
    let region = whole(place.country, place.region);
    if !place.city.is_empty() {
        let around = if region.is_empty() { place.country } else { &*region };
        set(Dimension::City, format!("{around}/{}", place.city).into());
    }
    set(Dimension::Country, place.country.into());
    set(Dimension::Region, region);
    set(Dimension::Device, agent.device.as_str().into());
    set(Dimension::System, agent.system.as_str().into());
    set(Dimension::SystemVersion, agent.version.as_str().into());
    set(Dimension::Browser, agent.browser.as_str().into());
    set(Dimension::InAppBrowser, agent.in_app.as_str().into());
    set(Dimension::Referrer, lower(referrer_host));
    set(Dimension::Language, tag(language));
    set(Dimension::Class, Class::of_number(class).map_or("", Class::name).into());
    let (rule, variant) = places(step);
    if let Some(rule) = rule {
        set(Dimension::Rule, format!("{link}/{rule}").into());
        if let Some(variant) = variant {
            set(Dimension::Variant, format!("{link}/{rule}/{variant}").into());
        }
    }
    set(Dimension::Destination, destination(step).into());
    set(Dimension::Platform, if platform == 0 { "web" } else { system_of(platform) }.into());
    credit(&mut values, Credited { link, campaign, home });
    values
}

/// Returns what an install is in each dimension.
pub fn of_install<'a>(facts: &InstallFacts<'a>) -> Values<'a> {
    let InstallFacts { app, platform, method, credited } = *facts;
    let mut values = Values::default();
    values[Dimension::Platform.index()] = system_of(platform).into();
    values[Dimension::App.index()] = app.map(|app| app.to_string()).unwrap_or_default().into();
    let method = MatchMethod::try_from(i32::from(method)).unwrap_or_default();
    values[Dimension::Method.index()] =
        word(method == MatchMethod::Unspecified, method.as_str_name(), "MATCH_METHOD_").into();
    if let Some(credited) = credited {
        credit(&mut values, credited);
    }
    values
}

/// Returns what an event is in each dimension.
pub fn of_event<'a>(facts: &EventFacts<'a>) -> Values<'a> {
    let EventFacts { app, name, credited } = *facts;
    let mut values = Values::default();
    values[Dimension::Event.index()] = name.into();
    values[Dimension::App.index()] = app.map(|app| app.to_string()).unwrap_or_default().into();
    if let Some(credited) = credited {
        credit(&mut values, credited);
    }
    values
}

/// Says whether a click is one that an app reported.
pub fn is_open(step: i16) -> bool {
    step == OPENED_BY_SYSTEM
}

fn credit<'a>(values: &mut Values<'a>, Credited { link, campaign, home }: Credited<'a>) {
    let mut set = |dimension: Dimension, value: Cow<'a, str>| values[dimension.index()] = value;
    let link = link.to_string();
    let [source, medium, name, term, content] = query::utm(campaign);
    set(Dimension::UtmSource, source.into());
    set(Dimension::UtmMedium, medium.into());
    set(Dimension::UtmCampaign, name.into());
    set(Dimension::UtmTerm, term.into());
    set(Dimension::UtmContent, content.into());
    if ![source, medium, name].concat().is_empty() {
        set(Dimension::CampaignLink, [source, medium, name, &link].join("\0").into());
        // Most campaigns have no ads, and what has none is what others lack of the campaign.
        if ![term, content].concat().is_empty() {
            set(Dimension::CampaignAd, [source, medium, name, term, content].join("\0").into());
        }
    }
    set(Dimension::Domain, home.domain.into());
    set(Dimension::Project, home.project.into());
    set(Dimension::Link, link.into());
}

/// Returns the code of a region with that of its country, which it may have already.
fn whole<'a>(country: &str, region: &'a str) -> Cow<'a, str> {
    let has_it = region.split_once('-').is_some_and(|(first, _)| first == country);
    if region.is_empty() || has_it { region.into() } else { format!("{country}-{region}").into() }
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        text.into()
    }
}

/// Writes a language tag in one way (RFC 5646 2.1.1): `de-CH`, `zh-Hant-TW`.
fn tag(language: &str) -> Cow<'_, str> {
    let written = |(at, part): (usize, &str)| match part.len() {
        2 if at > 0 => part.to_ascii_uppercase(),
        4 if at > 0 => format!("{}{}", part[..1].to_ascii_uppercase(), part[1..].to_ascii_lowercase()),
        _ => part.to_ascii_lowercase(),
    };
    if !language.is_ascii() {
        return language.into();
    }
    let tag = language.split('-').enumerate().map(written).collect::<Vec<_>>().join("-");
    if tag == language { language.into() } else { tag.into() }
}

fn system_of(platform: i16) -> &'static str {
    match platform {
        1 => "ios",
        2 => "android",
        _ => "",
    }
}

/// Numbers of steps from here on are places of routing rules (`redirect::destination::Step::number`).
const RULES: i16 = 100;
/// And from here on places of rules and of URLs among those of a rule.
const VARIANTS: i16 = 1000;
const VARIANTS_A_RULE: i16 = 20;

/// Returns the place of the rule, and of its URL, that a step names.
fn places(step: i16) -> (Option<i16>, Option<i16>) {
    match step {
        VARIANTS.. => {
            let place = step - VARIANTS;
            (Some(place / VARIANTS_A_RULE), Some(place % VARIANTS_A_RULE))
        }
        RULES.. => (Some(step - RULES), None),
        _ => (None, None),
    }
}

fn destination(step: i16) -> &'static str {
    match step {
        1 => "ios_url",
        2 => "android_url",
        3 => "web_url",
        4 => "destination_url",
        5 => "app_link",
        6 => "app_scheme",
        7 => "ios_store_url",
        8 => "android_store_url",
        9 => "workspace_web_url",
        10 => "launchpad",
        11 => "preview",
        OPENED_BY_SYSTEM => "opened_by_system",
        RULES.. => "routing_rule",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::redirect::destination::Step;

    const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
    const INSTAGRAM: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 335.0.0.0";

    fn facts() -> ClickFacts<'static> {
        ClickFacts {
            link: LinkId(Uuid::nil()),
            platform: 1,
            class: 0,
            step: 1,
            user_agent: SAFARI,
            referrer_host: "Mail.Example.com",
            language: "de-ch",
            campaign: "utm_source=mail\nutm_campaign=a=b",
            place: Place { country: "CH", region: "CH-ZH", city: "Zurich" },
            home: Home { domain: "go.example.com", project: "p" },
        }
    }

    fn named(values: &Values<'_>) -> Vec<(Dimension, String)> {
        let known = |dimension: &Dimension| !values[dimension.index()].is_empty();
        Dimension::ALL
            .into_iter()
            .filter(known)
            .map(|dimension| (dimension, values[dimension.index()].to_string()))
            .collect()
    }

    #[test]
    fn numbers_lead_back() {
        for (place, dimension) in Dimension::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(dimension.number()), place + 1);
            assert_eq!(Dimension::numbered(dimension.number()), Some(dimension));
            assert_eq!(dimension.index(), place);
        }
        assert_eq!((Dimension::numbered(0), Dimension::numbered(29)), (None, None));
    }

    #[test]
    fn a_click_has_a_value_in_every_dimension_it_says_something_of() {
        let facts = facts();
        let nil = Uuid::nil();
        let agent = Agent::of(facts.user_agent);
        let expected = [
            (Dimension::Country, "CH".to_owned()),
            (Dimension::Region, "CH-ZH".to_owned()),
            (Dimension::City, "CH-ZH/Zurich".to_owned()),
            (Dimension::Device, "phone".to_owned()),
            (Dimension::System, "ios".to_owned()),
            (Dimension::SystemVersion, "ios 17.5".to_owned()),
            (Dimension::Browser, "safari".to_owned()),
            (Dimension::Referrer, "mail.example.com".to_owned()),
            (Dimension::Language, "de-CH".to_owned()),
            (Dimension::UtmSource, "mail".to_owned()),
            (Dimension::UtmCampaign, "a=b".to_owned()),
            (Dimension::Class, "human".to_owned()),
            (Dimension::Destination, "ios_url".to_owned()),
            (Dimension::Domain, "go.example.com".to_owned()),
            (Dimension::Platform, "ios".to_owned()),
            (Dimension::Link, nil.to_string()),
            (Dimension::Project, "p".to_owned()),
            (Dimension::CampaignLink, format!("mail\0\0a=b\0{nil}")),
        ];
        assert_eq!(named(&of(&facts, &agent)), expected);
    }

    #[test]
    fn a_click_that_says_nothing_is_one_of_its_link() {
        let nothing = ClickFacts {
            platform: 0,
            class: 2,
            step: 0,
            user_agent: "",
            referrer_host: "",
            language: "",
            campaign: "",
            place: Place::default(),
            home: Home::default(),
            ..facts()
        };
        let agent = Agent::of("");
        let values = of(&nothing, &agent);
        assert_eq!(
            named(&values),
            [
                (Dimension::Class, "bot".to_owned()),
                (Dimension::Platform, "web".to_owned()),
                (Dimension::Link, Uuid::nil().to_string()),
            ]
        );
    }

    #[test]
    fn steps_name_destinations_rules_and_their_urls() {
        let nil = Uuid::nil();
        let agent = Agent::default();
        for (step, kind, rule, variant) in [
            (Step::Destination.number(), "destination_url", String::new(), String::new()),
            (Step::HouseIos.number(), "ios_store_url", String::new(), String::new()),
            (Step::Preview.number(), "preview", String::new(), String::new()),
            (OPENED_BY_SYSTEM, "opened_by_system", String::new(), String::new()),
            (Step::Rule(0).number(), "routing_rule", format!("{nil}/0"), String::new()),
            (Step::Rule(19).number(), "routing_rule", format!("{nil}/19"), String::new()),
            (Step::Variant(0, 0).number(), "routing_rule", format!("{nil}/0"), format!("{nil}/0/0")),
            (Step::Variant(3, 19).number(), "routing_rule", format!("{nil}/3"), format!("{nil}/3/19")),
        ] {
            let facts = ClickFacts { step, ..facts() };
            let values = of(&facts, &agent);
            assert_eq!(values[Dimension::Destination.index()], kind, "{step}");
            assert_eq!(values[Dimension::Rule.index()], rule, "{step}");
            assert_eq!(values[Dimension::Variant.index()], variant, "{step}");
        }
    }

    #[test]
    fn browsers_inside_of_apps_have_a_name_in_both() {
        let agent = Agents::default().of(INSTAGRAM);
        assert_eq!((agent.browser.as_str(), agent.in_app.as_str()), ("instagram", "instagram"));
        assert_eq!(*agent, Agent::of(INSTAGRAM));
        let safari = Agent::of(SAFARI);
        assert_eq!((safari.browser.as_str(), safari.in_app.as_str()), ("safari", ""));
    }

    #[test]
    fn tags_are_written_in_one_way() {
        for (given, written) in [
            ("de", "de"),
            ("DE", "de"),
            ("de-ch", "de-CH"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("*", "*"),
            ("é", "é"),
            ("", ""),
        ] {
            assert_eq!(tag(given), written, "{given}");
        }
    }

    #[test]
    fn places_and_homes_are_read_with_either_separator() {
        let zurich = Place { country: "CH", region: "CH-ZH", city: "Zurich" };
        assert_eq!(Place::parse("CH\0CH-ZH\0Zurich"), zurich);
        assert_eq!(Place::parse("CH\u{1f}CH-ZH\u{1f}Zurich"), zurich);
        assert_eq!(Place::parse(""), Place::default());
        assert_eq!(Home::parse("a.example\u{1f}p"), Home { domain: "a.example", project: "p" });
        assert_eq!(Home::parse("a.example"), Home { domain: "a.example", project: "" });
        for (region, whole, city) in
            [("", "", "CH/Zurich"), ("ZH", "CH-ZH", "CH-ZH/Zurich"), ("CH-ZH", "CH-ZH", "CH-ZH/Zurich")]
        {
            let facts = ClickFacts { place: Place { region, ..zurich }, ..facts() };
            let agent = Agent::default();
            let values = of(&facts, &agent);
            assert_eq!(values[Dimension::Region.index()], whole);
            assert_eq!(values[Dimension::City.index()], city);
        }
    }

    #[test]
    fn installs_and_events_are_of_the_link_they_are_credited_to() {
        let app = AppId(Uuid::max());
        let credited = Credited {
            link: LinkId(Uuid::nil()),
            campaign: "utm_medium=cpc",
            home: Home { domain: "a.example", project: "" },
        };
        let nil = Uuid::nil();
        let link = [
            (Dimension::UtmMedium, "cpc".to_owned()),
            (Dimension::Domain, "a.example".to_owned()),
            (Dimension::Link, nil.to_string()),
            (Dimension::CampaignLink, format!("\0cpc\0\0{nil}")),
            (Dimension::App, app.to_string()),
        ];
        let install = InstallFacts { app: Some(app), platform: 2, method: 1, credited: Some(credited) };
        let mut expected = link.to_vec();
        expected.insert(2, (Dimension::Platform, "android".to_owned()));
        expected.insert(5, (Dimension::Method, "store_referrer".to_owned()));
        assert_eq!(named(&of_install(&install)), expected);
        let event = EventFacts { app: Some(app), name: "purchase", credited: Some(credited) };
        let mut expected = link.to_vec();
        expected.insert(4, (Dimension::Event, "purchase".to_owned()));
        assert_eq!(named(&of_event(&event)), expected);
        let organic = InstallFacts { app: None, platform: 0, method: 0, credited: None };
        assert_eq!(named(&of_install(&organic)), []);
        assert_eq!(named(&of_event(&EventFacts { app: None, name: "", credited: None })), []);
    }
}
