//! Rules that ask where visitors are and what their devices run, through the front door.

use std::fs;

use linkforty::{
    entity::click,
    pb::v1::{
        Browser, BrowserCondition, CityCondition, CountryCondition, DeviceCondition, DeviceType,
        LanguageCondition, Link, OperatingSystem, OperatingSystemCondition, OperatingSystemRange,
        RegionCondition, RoutingCondition, RoutingRule, RoutingVariant, RoutingVariants, VisitorCondition,
        routing_condition::Condition, routing_rule::Action,
    },
};
use sea_orm::{EntityTrait as _, QueryOrder as _};

use crate::support::{App, DESKTOP, IPHONE, PIXEL, cities, get, link, on_every_store, stores, wrong};

const ELSEWHERE: &str = "https://example.com/elsewhere";

/// A rule that sends those for whom all of `conditions` hold to `https://example.com/{name}`.
fn rule(name: &str, conditions: Vec<Condition>) -> RoutingRule {
    let conditions = conditions.into_iter().map(|condition| RoutingCondition { condition: Some(condition) });
    RoutingRule {
        name: name.into(),
        conditions: conditions.collect(),
        action: Some(Action::Url(format!("https://example.com/{name}"))),
        active: None,
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn system(system: OperatingSystem, min: &str, max: &str) -> Condition {
    let range =
        OperatingSystemRange { system: system.into(), min_version: min.into(), max_version: max.into() };
    Condition::OperatingSystems(OperatingSystemCondition { systems: vec![range] })
}

#[tokio::test]
async fn rules_tell_visitors_by_country_region_and_city() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("cities.mmdb");
    let networks = [
        ("203.0.113.0/24", "CH", &["ZH"][..], "Zurich"),
        ("198.51.100.0/24", "GB", &["ENG", "LND"], "London"),
        ("192.0.2.0/24", "CH", &["GE"], "Geneva"),
        ("2001:db8::/32", "JP", &["13"], "Tokyo"),
    ];
    fs::write(&file, cities(&networks)).expect("writes");
    let path = file.display().to_string();
    for store in stores() {
        let app = App::start_with(store, &[("TRUSTED_PROXIES", "127.0.0.0/8"), ("GEOIP_FILE", &path)]).await;
        let rules = vec![
            rule(
                "zurich",
                vec![
                    Condition::Countries(CountryCondition { countries: texts(&["ch"]) }),
                    Condition::Cities(CityCondition { cities: texts(&["Bern", "ZURICH"]) }),
                ],
            ),
            rule(
                "regions",
                vec![Condition::Regions(RegionCondition { regions: texts(&["gb-lnd", "JP-13"]) })],
            ),
            rule("swiss", vec![Condition::Countries(CountryCondition { countries: texts(&["CH"]) })]),
        ];
        let tenant = app.tenant().await;
        tenant.create(Link { routing_rules: rules, ..link("where", ELSEWHERE) }).await;
        for (from, expected) in [
            ("203.0.113.7", "https://example.com/zurich"),
            ("192.0.2.7", "https://example.com/swiss"),
            ("198.51.100.7", "https://example.com/regions"),
            ("2001:db8::7", "https://example.com/regions"),
            ("198.18.0.1", ELSEWHERE),
            ("8.8.8.8", ELSEWHERE),
        ] {
            let answer = get(app.links(), "/where", &[("x-forwarded-for", from)]).await;
            assert_eq!(answer.header("location"), expected, "{from} on {store}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn rules_tell_visitors_by_what_their_devices_run() {
    const INSTAGRAM: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 335.0.0";
    const IPAD: &str = "Mozilla/5.0 (iPad; CPU OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1";
    const OLD: &str = "Mozilla/5.0 (Linux; Android 9; SM-T830) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36";
    const HIDDEN: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36";
    const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15";
    let browsers = |browsers: &[Browser]| {
        let browsers = browsers.iter().map(|browser| (*browser).into()).collect();
        Condition::Browsers(BrowserCondition { browsers })
    };
    let device = |device: DeviceType| Condition::Devices(DeviceCondition { types: vec![device.into()] });
    on_every_store(async |app| {
        let rules = vec![
            rule("instagram", vec![browsers(&[Browser::Instagram, Browser::Opera])]),
            rule("app", vec![browsers(&[Browser::InApp])]),
            rule("ios-17", vec![system(OperatingSystem::Ios, "17", "17")]),
            rule("tablet", vec![device(DeviceType::Tablet)]),
            rule("android-12", vec![system(OperatingSystem::Android, "12", "")]),
            rule("android-old", vec![system(OperatingSystem::Android, "", "11")]),
            rule("linux", vec![system(OperatingSystem::Linux, "", ""), browsers(&[Browser::Firefox])]),
            rule("desktop", vec![device(DeviceType::Desktop)]),
        ];
        app.tenant().await.create(Link { routing_rules: rules, ..link("what", ELSEWHERE) }).await;
        for _ in 0..2 {
            for (agent, expected) in [
                (INSTAGRAM, "instagram"),
                ("Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36", "app"),
                (IPHONE, "ios-17"),
                (IPAD, "tablet"),
                (PIXEL, "android-12"),
                (OLD, "android-old"),
                (HIDDEN, "elsewhere"),
                (DESKTOP, "linux"),
                (MAC, "desktop"),
                ("curl/8.8.0", "elsewhere"),
            ] {
                let answer = get(app.links(), "/what", &[("user-agent", agent)]).await;
                assert_eq!(answer.header("location"), format!("https://example.com/{expected}"), "{agent}");
            }
        }
    })
    .await;
}

/// Each visitor comes to the same one every time, and the click says to which.
#[tokio::test]
async fn a_click_says_to_which_of_several_urls_it_led() {
    on_every_store(async |app| {
        let urls = ["https://example.com/a", "https://example.com/b", "https://example.com/c"];
        let variants = urls.map(|url| RoutingVariant { url: url.into(), weight: 1 }).into();
        let deal = RoutingRule {
            action: Some(Action::Variants(RoutingVariants { variants })),
            ..rule("deal", Vec::new())
        };
        let idle = RoutingRule { active: Some(false), ..rule("idle", Vec::new()) };
        let rules = vec![idle, deal];
        app.tenant().await.create(Link { routing_rules: rules, ..link("dealt", ELSEWHERE) }).await;
        let mut expected = Vec::new();
        for number in 0..20 {
            let agent =
                format!("Mozilla/5.0 (X11; Linux x86_64; rv:{number}.0) Gecko/20100101 Firefox/128.0");
            for _ in 0..2 {
                let answer = get(app.links(), "/dealt", &[("user-agent", &agent)]).await;
                let place = urls.iter().position(|url| answer.header("location") == *url);
                expected.push(1020 + i16::try_from(place.expect("one of them")).expect("few"));
                app.clock.advance(chrono::Duration::seconds(1));
            }
        }
        assert!(expected.chunks(2).all(|pair| pair[0] == pair[1]), "{expected:?}");
        app.settled().await;
        let clicks = click::Entity::find().order_by_asc(click::Column::Id).all(&app.env().db.api).await;
        let steps: Vec<i16> = clicks.expect("clicks can be read").iter().map(|click| click.step).collect();
        assert_eq!(steps, expected);
        assert!((1020..1023).all(|step| steps.contains(&step)), "{steps:?}");
    })
    .await;
}

#[tokio::test]
async fn every_language_of_a_quality_counts_where_the_rule_says_so() {
    on_every_store(async |app| {
        let french = LanguageCondition { languages: texts(&["fr"]), min_quality: Some(900) };
        let rules = vec![rule("fr", vec![Condition::Languages(french)])];
        app.tenant().await.create(Link { routing_rules: rules, ..link("langue", ELSEWHERE) }).await;
        for (languages, expected) in
            [("de-CH,fr;q=0.9", "https://example.com/fr"), ("de-CH,de;q=0.9,fr;q=0.8", ELSEWHERE)]
        {
            let answer = get(app.links(), "/langue", &[("accept-language", languages)]).await;
            assert_eq!(answer.header("location"), expected, "{languages}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_condition_is_said_with_its_path() {
    on_every_store(async |app| {
        let rules = vec![rule(
            "wrong",
            vec![
                Condition::Countries(CountryCondition { countries: texts(&["Germany"]) }),
                Condition::Regions(RegionCondition::default()),
                system(OperatingSystem::Unspecified, "17.5", "17.4"),
                Condition::Visitors(VisitorCondition { history: 9 }),
            ],
        )];
        let tenant = app.tenant().await;
        let refused = tenant.try_create(Link { routing_rules: rules, ..link("wrong", ELSEWHERE) }).await;
        let paths = wrong(&refused.expect_err("four things are wrong"));
        assert_eq!(
            paths,
            [
                "link.routing_rules[0].conditions[0].countries.countries[0]",
                "link.routing_rules[0].conditions[1].regions.regions",
                "link.routing_rules[0].conditions[2].operating_systems.systems[0].system",
                "link.routing_rules[0].conditions[2].operating_systems.systems[0].max_version",
                "link.routing_rules[0].conditions[3].visitors.history",
            ]
        );
    })
    .await;
}
