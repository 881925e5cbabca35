//! A year of traffic of which everything is known: visits, installs and events that come through the front door, and beside them what they
//! were, written down as plainly as can be.

use std::collections::{BTreeMap, HashMap};

use chrono::Duration;
use http::{Method, header::LOCATION};
use linkforty::{
    clock::Moment,
    entity::workspace,
    ids::{Ids, WorkspaceId},
    pb::{
        sdk::v1::{
            Event, EventStatus, MatchMethod, Money, RecordEventsRequest, ReportOpenRequest, StoreReferrer,
        },
        v1::{
            CountryCondition, LanguageCondition, Link, RoutingCondition, RoutingRule, RoutingVariant,
            RoutingVariants, Utm, VerifyDomainRequest, WorkspaceSettings, routing_condition::Condition,
            routing_rule::Action,
        },
    },
};
use prost::Message as _;
use prost_types::Timestamp;
use sea_orm::{ActiveValue::Set, EntityTrait as _};
use url::Url;

use super::{
    App, City, DESKTOP, IPHONE, PIXEL, Store, Tenant, Zone, an_app, cities, coded, eventually, first_open,
    iphone, phone::Sdk, pixel, report, within,
};

/// The numbers of dimensions, as the contract has them.
pub mod dimension {
    pub const COUNTRY: i32 = 1;
    pub const REGION: i32 = 2;
    pub const CITY: i32 = 3;
    pub const DEVICE: i32 = 4;
    pub const OS: i32 = 5;
    pub const OS_VERSION: i32 = 6;
    pub const BROWSER: i32 = 7;
    pub const IN_APP_BROWSER: i32 = 8;
    pub const REFERRER: i32 = 9;
    pub const LANGUAGE: i32 = 10;
    pub const UTM_SOURCE: i32 = 11;
    pub const UTM_MEDIUM: i32 = 12;
    pub const UTM_CAMPAIGN: i32 = 13;
    pub const UTM_TERM: i32 = 14;
    pub const UTM_CONTENT: i32 = 15;
    pub const CLASS: i32 = 16;
    pub const RULE: i32 = 17;
    pub const VARIANT: i32 = 18;
    pub const DESTINATION: i32 = 19;
    pub const DOMAIN: i32 = 20;
    pub const PLATFORM: i32 = 21;
    pub const LINK: i32 = 22;
    pub const PROJECT: i32 = 23;
    pub const METHOD: i32 = 25;
    pub const EVENT: i32 = 26;
    pub const APP: i32 = 27;
}
use dimension::*;

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub clicks: i64,
    pub bot_clicks: i64,
    pub opens: i64,
    pub installs: i64,
    pub attributed_installs: i64,
    pub events: i64,
    /// Billionths of a unit by currency.
    pub revenue: BTreeMap<String, i128>,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.clicks += other.clicks;
        self.bot_clicks += other.bot_clicks;
        self.opens += other.opens;
        self.installs += other.installs;
        self.attributed_installs += other.attributed_installs;
        self.events += other.events;
        for (currency, nanos) in &other.revenue {
            *self.revenue.entry(currency.clone()).or_default() += nanos;
        }
        self.revenue.retain(|_, nanos| *nanos != 0);
    }
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Fact {
    /// When.
    pub time: Moment,
    /// What of it counts.
    pub counts: Counts,
    /// What it is in each dimension where that is known.
    pub values: HashMap<i32, String>,
    /// Who clicked, if it was a person.
    pub visitor: Option<String>,
}

impl Fact {
    /// Returns what it is in a dimension.
    pub fn value(&self, dimension: i32) -> &str {
        self.values.get(&dimension).map_or("", String::as_str)
    }
}

/// An install, for reports that follow installs.
#[derive(Debug, Clone)]
pub struct Installed {
    pub id: String,
    pub time: Moment,
    pub click_time: Option<Moment>,
    pub link: Option<String>,
    pub app: String,
    pub is_android: bool,
    /// What the click was that it is credited to.
    pub click: HashMap<i32, String>,
    /// Name, time, and what it earned.
    pub events: Vec<(String, Moment, Option<(String, i128)>)>,
}

/// All that is known of the year.
pub struct Year {
    pub tenant: Tenant,
    /// In the order they were created.
    pub links: Vec<Link>,
    pub projects: Vec<String>,
    pub apps: Vec<String>,
    pub facts: Vec<Fact>,
    pub installs: Vec<Installed>,
    pub start: Moment,
    pub end: Moment,
}

/// 203.0.113.0/24 and so on, with what a file of cities says of them.
const PLACES: [City<'static>; 3] = [
    ("203.0.113.0/24", "CH", &["ZH"], "Zurich"),
    ("198.51.100.0/24", "US", &["CA"], "San Francisco"),
    ("192.0.2.0/24", "DE", &["BE"], "Berlin"),
];
/// Somewhere that the file does not know.
const NOWHERE: &str = "100.64.7";
/// Where apps are opened that are installed, and that the file does not know either.
const PHONES: &str = "100.64.9.9";
/// Where apps are installed, and nobody ever clicks.
const SHOP: &str = "100.64.8.8";
const FACEBOOK: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/465.0.0.47.110;FBBV/602060281;FBDV/iPhone16,1]";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// User agents, with class, platform, device, system, version, browser and the app whose browser it is.
const AGENTS: [(&str, [&str; 7]); 5] = [
    (IPHONE, ["human", "ios", "phone", "ios", "ios 17.5", "safari", ""]),
    (PIXEL, ["human", "android", "phone", "android", "android 14", "chrome", ""]),
    (DESKTOP, ["human", "web", "desktop", "linux", "", "firefox", ""]),
    (FACEBOOK, ["human", "ios", "phone", "ios", "ios 17.5", "facebook", "facebook"]),
    (GOOGLEBOT, ["bot", "web", "", "", "", "", ""]),
];
const ANDROID: usize = 1;
const REFERRERS: [(&str, &str); 3] = [
    ("", ""),
    ("https://Mail.Example.com/inbox?x=1", "mail.example.com"),
    ("https://t.example/", "t.example"),
];
const LANGUAGES: [(&str, &str); 3] = [("", ""), ("de-CH,de;q=0.9", "de-CH"), ("en-us", "en-US")];

/// When clocks change in Zurich, in New York and on Lord Howe Island in the year from November 2026 on.
const CHANGES: [&str; 6] = [
    "2027-03-14T07:00:00Z",
    "2027-03-28T01:00:00Z",
    "2027-04-03T15:00:00Z",
    "2027-10-02T15:30:00Z",
    "2027-10-31T01:00:00Z",
    "2027-11-07T06:00:00Z",
];

fn at(text: &str) -> Moment {
    text.parse().expect("the test's own moment")
}

/// How long the drain may take on a machine that has much else to do: a year is many clicks.
const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// A host of the workspace's own.
const OWN_HOST: &str = "go.shop.test";

/// By what an install knows of its click.
enum Evidence {
    /// The store hands over what was in the address that the click led to.
    Referrer(String),
    /// The click's token was on the pasteboard.
    Pasteboard(String),
    /// The click's token was in the URL that opened the app.
    Opened(String),
    /// It comes from the same address, and from a phone that looks like the one that clicked.
    Likeness(String),
}

/// The click that an install is credited to.
struct Brought {
    evidence: Evidence,
    time: Moment,
    click: HashMap<i32, String>,
}

/// What is to happen at a moment.
enum Plan {
    Click,
    /// Somebody clicks who will install an app by the same connection.
    Alike(usize),
    /// By which click, and which app.
    Install(Option<Brought>, usize),
    /// Of which install, under which name, and when it really happened.
    Event(usize, &'static str, Moment),
    /// A link opens the app of an install; and when it really did.
    Open(usize, Moment),
    /// The workspace counts in euros from now on.
    Euros,
}

/// What the server of a year asks others for.
pub struct Around {
    _networks: tempfile::TempDir,
    zone: Zone,
}

/// Starts a server that such a year can happen on.
pub async fn world(store: Store, more: &[(&str, &str)]) -> (App, Around) {
    let zone = Zone::open().await;
    zone.addresses("go.example.test", &["198.51.100.7"]);
    let names = zone.setting();
    let networks = tempfile::tempdir().expect("a directory");
    let file = networks.path().join("cities.mmdb");
    std::fs::write(&file, cities(&PLACES)).expect("writes");
    let file = file.display().to_string();
    let settings = [
        ("GEOIP_FILE", &*file),
        ("DNS_SERVERS", &*names),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("RATE_LIMIT_ENABLED", "false"),
        // The clock goes on by days; what changes is told.
        ("CACHE_SOFT_TTL_SECONDS", "80000000"),
        ("CACHE_MAX_STALE_SECONDS", "80000000"),
        ("CACHE_MAX_STALE_IF_ERROR_SECONDS", "80000000"),
        ("CACHE_SHARED_TTL_SECONDS", "80000000"),
    ];
    let app = App::start_with(store, &[&settings, more].concat()).await;
    (app, Around { _networks: networks, zone })
}

/// Lets a year happen. Nothing in it is left to chance but by `seed`.
pub async fn live_through((app, around): (&App, &Around), seed: u64, clicks: usize) -> Year {
    let mut telling = Telling::begin(app, around, seed).await;
    let (start, end) = (at("2026-11-23T00:00:00Z"), at("2027-11-23T00:00:00Z"));
    let mut plans: BTreeMap<(Moment, usize), Plan> = BTreeMap::new();
    let mut number = 0;
    let mut plan = |plans: &mut BTreeMap<_, _>, time: Moment, plan: Plan| {
        number += 1;
        plans.insert((time, number), plan);
    };
    let seconds = u32::try_from((end - start).num_seconds()).expect("a year");
    for _ in 0..clicks {
        plan(&mut plans, start + Duration::seconds(telling.below(seconds).into()), Plan::Click);
    }
    for change in CHANGES {
        for _ in 0..clicks / 40 {
            // Within four hours, on the stroke of a quarter-hour now and then.
            let away = i64::from(telling.below(8 * 3600)) - 4 * 3600;
            let away = if telling.below(3) == 0 { away.div_euclid(900) * 900 } else { away };
            plan(&mut plans, at(change) + Duration::seconds(away), Plan::Click);
        }
    }
    for _ in 0..clicks / 20 {
        let app = telling.below(2) as usize;
        plan(&mut plans, start + Duration::seconds(telling.below(seconds).into()), Plan::Install(None, app));
    }
    for _ in 0..clicks / 40 {
        let app = telling.below(2) as usize;
        plan(&mut plans, start + Duration::seconds(telling.below(seconds).into()), Plan::Alike(app));
    }
    plan(&mut plans, at("2027-06-01T12:00:00Z"), Plan::Euros);

    while let Some(((time, _), next)) = plans.pop_first() {
        app.clock.set(time);
        match next {
            Plan::Click => {
                if let Some((after, install)) = telling.click(app, time).await {
                    plan(&mut plans, time + after, install);
                }
            }
            Plan::Alike(by) => {
                let (after, install) = telling.alike(app, time, by).await;
                plan(&mut plans, time + after, install);
            }
            Plan::Install(of, by) => {
                // A while is over since the click: it is stored.
                let spool = &app.running().spool;
                within(MINUTE, "the spool is drained", async || spool.status().lag_records == 0).await;
                let next = telling.install(app, time, of, by).await;
                let install = telling.installs.len() - 1;
                for (name, happens, told) in next {
                    let what = if name == OPEN {
                        Plan::Open(install, happens)
                    } else {
                        Plan::Event(install, name, happens)
                    };
                    if told < end {
                        plan(&mut plans, told, what);
                    }
                }
            }
            Plan::Open(install, happened) => telling.open(install, happened).await,
            Plan::Event(install, name, happened) => telling.event(install, name, happened).await,
            Plan::Euros => {
                app.settled().await;
                telling.count_in(app, "EUR").await;
            }
        }
    }
    app.clock.set(end);
    app.settled().await;
    // The key that was there at first is over by now.
    let tenant = app.tenant_of(&telling.tenant.id).await;
    let Telling { links, projects, apps, facts, installs, .. } = telling;
    let apps = apps.into_iter().map(|(id, _)| id).collect();
    Year { tenant, links, projects, apps, facts, installs, start, end }
}

/// The name of what is no event, but an open.
const OPEN: &str = "(a link)";

/// A link that opened the app of an install.
#[derive(Clone)]
struct Opened {
    time: Moment,
    click_id: String,
    click: HashMap<i32, String>,
}

struct Telling {
    ids: Ids,
    /// By install.
    opens: HashMap<usize, Vec<Opened>>,
    /// How many places there were nobody else was at.
    places: u32,
    tenant: Tenant,
    links: Vec<Link>,
    projects: Vec<String>,
    apps: Vec<(String, Sdk)>,
    /// Those of the apps, and the same apps where they are installed.
    tokens: Vec<(String, Sdk)>,
    facts: Vec<Fact>,
    installs: Vec<Installed>,
    currency: &'static str,
    told: usize,
    /// One of each app that may be told again.
    transactions: HashMap<String, String>,
}

impl Telling {
    async fn begin(app: &App, around: &Around, seed: u64) -> Self {
        let tenant = app.tenant().await;
        own_host(&tenant, &around.zone).await;
        let folders = app.folders(&tenant).await;
        let projects = vec![folders.project("One").await, folders.project("Two").await];
        let utm = |source: &str, medium: &str, campaign: &str| {
            let (source, medium, campaign) = (source.to_owned(), medium.to_owned(), campaign.to_owned());
            Some(Utm { source, medium, campaign, ..Utm::default() })
        };
        let store = "https://play.google.com/store/apps/details?id=com.example.shop".to_owned();
        let of = |code: &str| Link { android_url: store.clone(), ..coded(code) };
        let wanted = [
            Link { project_id: projects[0].clone(), title: "Plain".into(), ..of("plain") },
            Link { project_id: projects[0].clone(), utm: utm("news", "mail", "spring"), ..of("news") },
            Link {
                project_id: projects[1].clone(),
                utm: Some(Utm {
                    term: "shoes".into(),
                    content: "red".into(),
                    ..utm("ads", "cpc", "spring").expect("some")
                }),
                ..of("ads")
            },
            Link { utm: utm("news", "print", ""), ..of("print") },
            of("loose"),
            Link { routing_rules: rules(), title: "Routed".into(), ..of("routed") },
            Link { domain: OWN_HOST.into(), utm: utm("own", "", "spring"), ..of("own") },
            of("unseen"),
        ];
        let mut links = Vec::new();
        for link in wanted {
            links.push(tenant.create(link).await);
        }
        // Its description, which is no click.
        let own = [("host", OWN_HOST)];
        eventually("the node knows the host", async || {
            app.visit_as(Method::GET, "/own+", &own).await.status == 200
        })
        .await;
        let (mut apps, mut tokens) = (Vec::new(), Vec::new());
        for name in ["com.example.one", "com.example.two"] {
            let made = tenant.create_app(linkforty::pb::v1::App { name: name.to_owned(), ..an_app() }).await;
            let sdk = app.sdk(&made.app_token, PHONES).await;
            apps.push((made.id, sdk));
            let new = app.sdk(&made.app_token, SHOP).await;
            tokens.push((made.app_token, new));
        }
        let mut telling = Self {
            ids: Ids::seeded(seed),
            opens: HashMap::new(),
            places: 0,
            tenant,
            links,
            projects,
            apps,
            tokens,
            facts: Vec::new(),
            installs: Vec::new(),
            currency: "",
            told: 0,
            transactions: HashMap::new(),
        };
        telling.count_in(app, "CHF").await;
        telling
    }

    fn below(&self, bound: u32) -> u32 {
        self.ids.below(bound)
    }

    async fn count_in(&mut self, app: &App, currency: &'static str) {
        let settings =
            WorkspaceSettings { reporting_currency: currency.to_owned(), ..WorkspaceSettings::default() };
        let changed = workspace::ActiveModel {
            id: Set(WorkspaceId::parse(&self.tenant.id).expect("an id")),
            settings: Set(Some(settings.encode_to_vec())),
            ..Default::default()
        };
        workspace::Entity::update(changed).exec(&app.env().db.api).await.expect("updates");
        self.currency = currency;
    }

    /// Somebody follows a link; perhaps they install the app a while later.
    async fn click(&mut self, app: &App, time: Moment) -> Option<(Duration, Plan)> {
        let agent = AGENTS[self.below(5) as usize];
        let place = self.below(4) as usize;
        let (network, country, region, city) = PLACES.get(place).map_or(
            (NOWHERE, String::new(), String::new(), String::new()),
            |(network, country, parts, city)| {
                let region = format!("{country}-{}", parts[0]);
                let city = format!("{region}/{city}");
                (network.trim_end_matches(".0/24"), (*country).to_owned(), region, city)
            },
        );
        let address = format!("{network}.{}", self.below(30) + 1);
        let language = LANGUAGES[self.below(3) as usize];
        let (location, values) = self.follow(app, time, (&*address, agent, language)).await;
        let own = self.facts.last_mut().expect("the click");
        let of_place = [(COUNTRY, country), (REGION, region), (CITY, city)];
        own.values.extend(of_place.clone());
        let click: HashMap<i32, String> = values.into_iter().chain(of_place).collect();
        if agent.0 != AGENTS[ANDROID].0
            || self.below(2) == 0
            || location.host_str() != Some("play.google.com")
        {
            return None;
        }
        let referrer = location.query_pairs().find(|(name, _)| name == "referrer").expect("a referrer");
        let referrer = referrer.1.into_owned();
        let token = url::form_urlencoded::parse(referrer.as_bytes()).find(|(name, _)| name == "lf");
        let token = token.expect("the token of the click").1.into_owned();
        let link = self.links.iter().find(|link| link.id == click[&LINK]).expect("one of them");
        let carried = format!("{}?lf={token}", link.short_url);
        let (evidence, hours) = match self.below(4) {
            0 => (Evidence::Opened(carried), 5 * 24),
            // It is good for a day.
            1 => (Evidence::Pasteboard(carried), 20),
            _ => (Evidence::Referrer(referrer), 5 * 24),
        };
        let after = Duration::seconds(60 + i64::from(self.below(hours * 3600)));
        Some((after, Plan::Install(Some(Brought { evidence, time, click }), self.below(2) as usize)))
    }

    /// Somebody follows a link where nobody else is, and installs an app there soon after.
    async fn alike(&mut self, app: &App, time: Moment, by: usize) -> (Duration, Plan) {
        self.places += 1;
        let address = format!("9.{}.{}.7", self.places / 250, self.places % 250);
        let (_, click) = self.follow(app, time, (&*address, AGENTS[0], LANGUAGES[1])).await;
        let brought = Brought { evidence: Evidence::Likeness(address), time, click };
        (Duration::minutes(10), Plan::Install(Some(brought), by))
    }

    /// Follows one of the links from an address that is nowhere. Returns where it led, and what the click is.
    async fn follow(
        &mut self,
        app: &App,
        time: Moment,
        (address, agent, languages): (&str, (&'static str, [&'static str; 7]), (&str, &str)),
    ) -> (Url, HashMap<i32, String>) {
        let link = self.links[self.below(7) as usize].clone();
        let (agent, [class, platform, device, system, version, browser, in_app]) = agent;
        let (referrer, referrer_host) = REFERRERS[self.below(3) as usize];
        let (languages, language) = languages;
        let own = self.below(8) == 0;
        let query = if own { "?utm_source=friend&utm_campaign=own%20one" } else { "" };
        let headers = [
            ("host", &*link.domain),
            ("x-forwarded-for", address),
            ("user-agent", agent),
            ("referer", referrer),
            ("accept-language", languages),
        ];
        let headers: Vec<_> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let answer = app.visit_as(Method::GET, &format!("/{}{query}", link.short_code), &headers).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        let location = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).expect("a place");
        let location = Url::parse(location).expect("a URL");
        // Where they came out says which of the ways they took.
        let way = match (location.host_str(), location.path()) {
            (Some("play.google.com"), _) => ("android_url", None),
            (_, "/swiss") => ("routing_rule", Some((0, None))),
            (_, "/a") => ("routing_rule", Some((1, Some(0)))),
            (_, "/b") => ("routing_rule", Some((1, Some(1)))),
            _ => ("destination_url", None),
        };
        let rule = way.1.map(|(rule, _)| format!("{}/{rule}", link.id)).unwrap_or_default();
        let variant = way.1.and_then(|(_, variant)| variant).map(|variant: i32| format!("{rule}/{variant}"));

        let utm = link.utm.clone().unwrap_or_default();
        let person = class == "human";
        let values: HashMap<i32, String> = [
            (DEVICE, device.to_owned()),
            (OS, system.to_owned()),
            (OS_VERSION, version.to_owned()),
            (BROWSER, browser.to_owned()),
            (IN_APP_BROWSER, in_app.to_owned()),
            (REFERRER, referrer_host.to_owned()),
            (LANGUAGE, language.to_owned()),
            (UTM_SOURCE, if own { "friend".to_owned() } else { utm.source }),
            (UTM_MEDIUM, utm.medium),
            (UTM_CAMPAIGN, if own { "own one".to_owned() } else { utm.campaign }),
            (UTM_TERM, utm.term),
            (UTM_CONTENT, utm.content),
            (CLASS, class.to_owned()),
            (RULE, rule),
            (VARIANT, variant.unwrap_or_default()),
            (DESTINATION, way.0.to_owned()),
            (DOMAIN, link.domain),
            (PLATFORM, platform.to_owned()),
            (LINK, link.id),
            (PROJECT, link.project_id),
        ]
        .into();
        self.facts.push(Fact {
            time,
            counts: Counts { clicks: person.into(), bot_clicks: (!person).into(), ..Counts::default() },
            values: values.clone(),
            visitor: person.then(|| format!("{address} {agent}")),
        });
        (location, values)
    }

    /// A link opens the app of an install.
    async fn open(&mut self, install: usize, happened: Moment) {
        let of = &self.installs[install];
        let (_, sdk) = self.apps.iter().find(|(id, _)| *id == of.app).expect("one of the two").clone();
        let link = self.links[self.below(7) as usize].clone();
        let device = if of.is_android { pixel() } else { iphone() };
        let platform = if of.is_android { "android" } else { "ios" };
        let own = self.below(4) == 0;
        let query = if own { "?utm_source=friend&utm_content=in%20the%20app" } else { "" };
        let request = ReportOpenRequest {
            install_id: of.id.clone(),
            open_id: self.ids.past_uuid(happened).to_string(),
            url: format!("{}{query}", link.short_url),
            open_time: Some(Timestamp { seconds: happened.timestamp(), nanos: 0 }),
            device: Some(device),
        };
        let answer = sdk.clone().report_open(request).await.expect("opens").into_inner();
        let told = answer.deep_link.expect("always there");
        assert_eq!(told.link_id, link.id);
        let utm = link.utm.clone().unwrap_or_default();
        let click: HashMap<i32, String> = [
            (LANGUAGE, "de-CH".to_owned()),
            (UTM_SOURCE, if own { "friend".to_owned() } else { utm.source }),
            (UTM_MEDIUM, utm.medium),
            (UTM_CAMPAIGN, utm.campaign),
            (UTM_TERM, utm.term),
            (UTM_CONTENT, if own { "in the app".to_owned() } else { utm.content }),
            (CLASS, "human".to_owned()),
            (DESTINATION, "opened_by_system".to_owned()),
            (DOMAIN, link.domain),
            (PLATFORM, platform.to_owned()),
            (LINK, link.id),
            (PROJECT, link.project_id),
        ]
        .into();
        self.facts.push(Fact {
            time: happened,
            counts: Counts { clicks: 1, opens: 1, ..Counts::default() },
            values: click.clone(),
            visitor: Some(PHONES.to_owned()),
        });
        let opened = Opened { time: happened, click_id: told.click_id, click };
        self.opens.entry(install).or_default().push(opened);
    }

    /// Somebody opens an app for the first time. Returns what they do there: the name, when, and when it is told.
    async fn install(
        &mut self,
        app: &App,
        time: Moment,
        of: Option<Brought>,
        by: usize,
    ) -> Vec<(&'static str, Moment, Moment)> {
        let app_id = self.apps[by].0.clone();
        let (token, mut sdk) = self.tokens[by].clone();
        let evidence = of.as_ref().map(|of| &of.evidence);
        let is_android = !matches!(evidence, None | Some(Evidence::Likeness(_)));
        let device = if is_android { pixel() } else { iphone() };
        let mut request = first_open(&format!("phone-{:06}", self.installs.len()), device);
        let method = match evidence {
            None => MatchMethod::Unspecified,
            Some(Evidence::Referrer(referrer)) => {
                let referrer = referrer.clone();
                request.store_referrer = Some(StoreReferrer { referrer, ..StoreReferrer::default() });
                MatchMethod::StoreReferrer
            }
            Some(Evidence::Pasteboard(text)) => {
                request.pasteboard.clone_from(text);
                MatchMethod::Pasteboard
            }
            Some(Evidence::Opened(url)) => {
                request.opened_url.clone_from(url);
                MatchMethod::LinkOpen
            }
            Some(Evidence::Likeness(address)) => {
                sdk = app.sdk(&token, address).await;
                MatchMethod::Probabilistic
            }
        };
        let answer = report(&sdk, request).await;
        let attributed = answer.deep_link.is_some();
        assert_eq!((attributed, answer.method()), (of.is_some(), method), "{answer:?}");

        let method = method.as_str_name().trim_start_matches("MATCH_METHOD_").to_ascii_lowercase();
        let mut values: HashMap<i32, String> = [
            (APP, app_id.clone()),
            (PLATFORM, if is_android { "android" } else { "ios" }.to_owned()),
            (METHOD, if attributed { method } else { String::new() }),
        ]
        .into();
        if let Some(of) = &of {
            values.extend(credit(&of.click));
        }
        self.facts.push(Fact {
            time,
            counts: Counts { installs: 1, attributed_installs: attributed.into(), ..Counts::default() },
            values: values.clone(),
            visitor: None,
        });
        self.installs.push(Installed {
            id: answer.install_id,
            time,
            click_time: of.as_ref().map(|of| of.time),
            link: of.as_ref().map(|of| of.click[&LINK].clone()),
            app: app_id,
            is_android,
            click: of.map(|of| of.click).unwrap_or_default(),
            events: Vec::new(),
        });
        let mut plans = Vec::new();
        let mut happens = time;
        for _ in 0..self.below(6) {
            let name = ["open", "signup", "purchase", "purchase", OPEN][self.below(5) as usize];
            let minutes = if self.below(2) == 0 { self.below(60) } else { self.below(20 * 24 * 60) };
            happens += Duration::minutes(minutes.into()) + Duration::seconds(1 + i64::from(self.below(60)));
            // Some are told days later: the phone was away.
            let late = if self.below(4) == 0 { self.below(5 * 86_400) } else { 0 };
            plans.push((name, happens, happens + Duration::seconds(late.into())));
        }
        plans
    }

    async fn event(&mut self, install: usize, name: &'static str, happened: Moment) {
        self.told += 1;
        let of = &self.installs[install];
        let (_, sdk) = self.apps.iter().find(|(id, _)| *id == of.app).expect("one of the two").clone();
        let revenue = (name == "purchase").then(|| {
            let (units, cents) = (i64::from(self.below(60)) - 5, self.below(100) as i32);
            let cents = if units < 0 { -cents } else { cents };
            (units, cents * 10_000_000)
        });
        // Now and then a purchase is told again under another id.
        let earns = revenue.is_some_and(|(units, _)| units > 0);
        let known = self.transactions.get(&of.app).filter(|_| earns && self.below(6) == 0).cloned();
        let duplicate = known.is_some();
        let transaction = known.unwrap_or_else(|| format!("t{}", self.told));
        if earns {
            self.transactions.entry(of.app.clone()).or_insert_with(|| transaction.clone());
        }
        // Most say which link opened the app last, if one did by then.
        let opens = self.opens.get(&install).into_iter().flatten().filter(|open| open.time <= happened);
        let stamp = opens.max_by_key(|open| open.time).filter(|_| self.below(4) > 0).cloned();
        let money = revenue.map(|(units, nanos)| Money { currency: self.currency.to_owned(), units, nanos });
        let event = Event {
            event_id: format!("event-{:06}", self.told),
            name: name.to_owned(),
            event_time: Some(Timestamp { seconds: happened.timestamp(), nanos: 0 }),
            revenue: money,
            transaction_id: if revenue.is_some() { transaction } else { String::new() },
            link_id: stamp.as_ref().map(|open| open.click[&LINK].clone()).unwrap_or_default(),
            click_id: stamp.as_ref().map(|open| open.click_id.clone()).unwrap_or_default(),
            link_open_time: stamp.as_ref().map(|open| Timestamp { seconds: open.time.timestamp(), nanos: 0 }),
            ..Event::default()
        };
        let request = RecordEventsRequest { install_id: of.id.clone(), events: vec![event] };
        let results = sdk.clone().record_events(request).await.expect("records").into_inner().results;
        assert_eq!(results[0].status(), EventStatus::Accepted, "{results:?}");

        let earned = revenue.filter(|_| !duplicate).map(|(units, nanos)| {
            (self.currency.to_owned(), i128::from(units) * 1_000_000_000 + i128::from(nanos))
        });
        let mut values: HashMap<i32, String> = [(APP, of.app.clone()), (EVENT, name.to_owned())].into();
        // The link that opened the app last has it for seven days, else the one that brought the install.
        let touched = match &stamp {
            Some(open) => Some((open.time, &open.click)),
            None => of.click_time.map(|click| (click, &of.click)),
        };
        if let Some((since, click)) = touched
            && happened - since <= Duration::days(7)
        {
            values.extend(credit(click));
        }
        let revenue = earned.iter().filter(|(_, nanos)| *nanos != 0).cloned().collect();
        self.facts.push(Fact {
            time: happened,
            counts: Counts { events: 1, revenue, ..Counts::default() },
            values,
            visitor: None,
        });
        self.installs[install].events.push((name.to_owned(), happened, earned));
    }
}

/// Returns what an install and its events take over from the click they are credited to.
fn credit(click: &HashMap<i32, String>) -> impl Iterator<Item = (i32, String)> {
    [UTM_SOURCE, UTM_MEDIUM, UTM_CAMPAIGN, UTM_TERM, UTM_CONTENT, DOMAIN, LINK, PROJECT]
        .into_iter()
        .map(|dimension| (dimension, click[&dimension].clone()))
}

/// Who is in Switzerland goes one way; of the others those who read German go one of two.
fn rules() -> Vec<RoutingRule> {
    let to = |path: &str| format!("https://example.com/{path}");
    let variant = |path: &str, weight| RoutingVariant { url: to(path), weight };
    let rule = |condition, action| RoutingRule {
        conditions: vec![RoutingCondition { condition: Some(condition) }],
        action: Some(action),
        ..RoutingRule::default()
    };
    let swiss = CountryCondition { countries: vec!["CH".to_owned()], ..CountryCondition::default() };
    let german = LanguageCondition { languages: vec!["de".to_owned()], ..LanguageCondition::default() };
    let dealt = RoutingVariants { variants: vec![variant("a", 3), variant("b", 2)] };
    vec![
        rule(Condition::Countries(swiss), Action::Url(to("swiss"))),
        rule(Condition::Languages(german), Action::Variants(dealt)),
    ]
}

/// Gives the workspace its own host.
async fn own_host(tenant: &Tenant, zone: &Zone) {
    let domain = tenant.add_domain(OWN_HOST).await;
    let record = domain.proof.as_ref().and_then(|proof| proof.ownership.as_ref()).expect("always there");
    zone.texts(&format!("_linkforty.{OWN_HOST}"), &[&record.value]);
    zone.alias(OWN_HOST, "go.example.test");
    let request = VerifyDomainRequest { domain_id: domain.id.clone(), ..VerifyDomainRequest::default() };
    tenant.domains.clone().verify_domain(request).await.expect("is proved");
}
