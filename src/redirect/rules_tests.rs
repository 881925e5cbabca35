use super::*;
use crate::{
    clock::from_micros,
    geo::{Country, Region},
    ids::Ids,
    links::Version,
    redirect::{
        software::Software,
        visitor::{Before, Place, Programs, Whereabouts},
    },
};

fn texts(texts: &[&str]) -> Box<[Box<str>]> {
    texts.iter().map(|text| (*text).into()).collect()
}

fn holds(condition: &Condition, visit: &Visit<'_>, now: Moment) -> bool {
    super::holds(condition, &Facts::of(visit, now))
}

fn words(condition: &Condition, visit: &Visit<'_>, now: Moment) -> String {
    super::words(condition, &Facts::of(visit, now))
}

fn at(text: &str) -> Moment {
    text.parse().expect("the test's own moment")
}

#[test]
fn the_language_liked_best_counts() {
    for (header, wanted, fits) in [
        ("en-US,en;q=0.9", "en", true),
        ("EN-us", "en", true),
        ("en", "en", true),
        ("en", "en-us", false),
        ("en-US", "en-us", true),
        ("eng", "en", false),
        ("de,en;q=0.9", "en", false),
        ("en;q=0.8, de;q=0.9", "de", true),
        ("en, de", "de", true),
        ("en;q=0", "en", false),
        ("de;q=0.5,*;q=1", "de", true),
        ("*", "en", false),
        ("en;q=x, de;q=0.1", "de", true),
        ("", "en", false),
    ] {
        let condition = Condition::Languages { languages: texts(&[wanted, "xx"]), min_quality: None };
        let visit = Visit { languages: header, ..Visit::of_nobody() };
        assert_eq!(holds(&condition, &visit, from_micros(0)), fits, "{header} {wanted}");
    }
}

#[test]
fn every_language_of_a_quality_counts_where_the_rule_says_so() {
    for (header, wanted, min_quality, fits) in [
        ("de-CH,fr;q=0.9,en;q=0.8", "fr", 900, true),
        ("de-CH,fr;q=0.9,en;q=0.8", "de", 900, true),
        ("de-CH,fr;q=0.9,en;q=0.8", "en", 900, false),
        ("de,en;q=0.1", "en", 1, true),
        ("de,en;q=0", "en", 1, false),
        ("en;q=0.5", "en", 900, false),
        ("", "en", 1, false),
    ] {
        let condition = Condition::Languages { languages: texts(&[wanted]), min_quality: Some(min_quality) };
        let visit = Visit { languages: header, ..Visit::of_nobody() };
        assert_eq!(holds(&condition, &visit, from_micros(0)), fits, "{header} {wanted} {min_quality}");
    }
}

#[test]
fn places_are_compared_with_what_is_known_of_the_visitor() {
    let country = |text| Country::parse(text).expect("a country");
    let region = |text| Region::parse(text).expect("a region");
    let london = Place {
        country: Some(country("GB")),
        regions: [Some(region("GB-ENG")), Some(region("GB-LND"))],
        city: Some("London"),
    };
    let zurich =
        Place { country: Some(country("CH")), regions: [Some(region("CH-ZH")), None], city: Some("Zürich") };
    for (condition, place, fits, said) in [
        (Condition::Countries([country("FR"), country("GB")].into()), london, true, "the country is GB"),
        (Condition::Countries([country("FR")].into()), london, false, "the country is GB"),
        (Condition::Countries([country("FR")].into()), Place::NOWHERE, false, "the country is not known"),
        (Condition::Regions([region("GB-LND")].into()), london, true, "the region is GB-ENG and GB-LND"),
        (Condition::Regions([region("GB-ENG")].into()), london, true, "the region is GB-ENG and GB-LND"),
        (Condition::Regions([region("US-CA")].into()), zurich, false, "the region is CH-ZH"),
        (Condition::Regions([region("US-CA")].into()), Place::NOWHERE, false, "the region is not known"),
        (Condition::Cities(texts(&["zürich"])), zurich, true, "the city is Zürich"),
        (Condition::Cities(texts(&["london"])), london, true, "the city is London"),
        (Condition::Cities(texts(&["lond"])), london, false, "the city is London"),
        (Condition::Cities(texts(&["london"])), Place::NOWHERE, false, "the city is not known"),
    ] {
        let visit = Visit { place: Whereabouts::Known(place), ..Visit::of_nobody() };
        assert_eq!(holds(&condition, &visit, from_micros(0)), fits, "{condition:?}");
        assert_eq!(words(&condition, &visit, from_micros(0)), said);
    }
}

#[test]
fn what_the_device_runs_is_compared_with_what_the_user_agent_says() {
    let version = |text: &str| if text.is_empty() { None } else { Version::parse(text) };
    let range = |system, min, max| {
        Condition::Systems([SystemRange { system, min: version(min), max: version(max) }].into())
    };
    let (ios, android) = (v1::OperatingSystem::Ios, v1::OperatingSystem::Android);
    let iphone = Software {
        system: ios,
        version: version("17.5.1"),
        device: v1::DeviceType::Phone,
        browser: v1::Browser::Instagram,
    };
    let hidden = Software { system: android, version: None, ..iphone };
    for (condition, software, fits, said) in [
        (range(ios, "", ""), iphone, true, "the operating system is iOS 17.5.1"),
        (range(ios, "16.4", "17"), iphone, true, "the operating system is iOS 17.5.1"),
        (range(ios, "17.5.1", "17.5.1"), iphone, true, "the operating system is iOS 17.5.1"),
        (range(ios, "17.6", ""), iphone, false, "the operating system is iOS 17.5.1"),
        (range(ios, "", "9"), iphone, false, "the operating system is iOS 17.5.1"),
        (range(android, "", ""), iphone, false, "the operating system is iOS 17.5.1"),
        (range(android, "", ""), hidden, true, "the version of Android is not known"),
        (range(android, "5", ""), hidden, false, "the version of Android is not known"),
        (range(ios, "", ""), hidden, false, "the operating system is Android"),
        (range(ios, "", ""), Software::UNKNOWN, false, "the operating system is not known"),
        (Condition::Devices([v1::DeviceType::Phone].into()), iphone, true, "the device is a phone"),
        (Condition::Devices([v1::DeviceType::Tablet].into()), iphone, false, "the device is a phone"),
        (
            Condition::Devices([v1::DeviceType::Desktop].into()),
            Software::UNKNOWN,
            false,
            "the kind of device is not known",
        ),
        (Condition::Browsers([v1::Browser::InApp].into()), iphone, true, "the browser is Instagram"),
        (Condition::Browsers([v1::Browser::Chrome].into()), iphone, false, "the browser is Instagram"),
    ] {
        let visit = Visit { software: Programs::Known(software), ..Visit::of_nobody() };
        assert_eq!(holds(&condition, &visit, from_micros(0)), fits, "{condition:?} {software:?}");
        assert_eq!(words(&condition, &visit, from_micros(0)), said);
    }
}

#[test]
fn visitors_are_new_or_returning() {
    for (history, was_here, fits) in [
        (v1::VisitorHistory::New, false, true),
        (v1::VisitorHistory::New, true, false),
        (v1::VisitorHistory::Returning, false, false),
        (v1::VisitorHistory::Returning, true, true),
    ] {
        let visit = Visit { before: Before::Known(was_here), ..Visit::of_nobody() };
        assert_eq!(
            holds(&Condition::Visitors(history), &visit, from_micros(0)),
            fits,
            "{history:?} {was_here}"
        );
    }
}

#[test]
fn hosts_stand_for_what_is_below_them() {
    for (referrer, fits) in [
        ("https://example.com/x", true),
        ("https://www.Example.com:8443/x", true),
        ("https://example.com.", true),
        ("https://notexample.com/", false),
        ("https://example.com.evil.org/", false),
        ("https://com/", false),
        ("", false),
    ] {
        let condition = Condition::Referrers(texts(&["example.com"]));
        assert_eq!(
            holds(&condition, &Visit { referrer, ..Visit::of_nobody() }, from_micros(0)),
            fits,
            "{referrer}"
        );
    }
}

#[test]
fn days_and_hours_are_those_of_the_place() {
    let times = |weekdays, start, end| {
        Condition::Times(Times { zone: chrono_tz::Europe::Berlin, weekdays, start, end })
    };
    let friday = 1 << 4;
    for (condition, moment, fits) in [
        // 2026-11-20 is a Friday; Berlin is an hour ahead.
        (times(friday, 0, 1440), "2026-11-19T22:59:59Z", false),
        (times(friday, 0, 1440), "2026-11-19T23:00:00Z", true),
        (times(friday, 0, 1440), "2026-11-20T22:59:59Z", true),
        (times(friday, 0, 1440), "2026-11-20T23:00:00Z", false),
        (times(friday, 1080, 1200), "2026-11-20T16:59:59Z", false),
        (times(friday, 1080, 1200), "2026-11-20T17:00:00Z", true),
        (times(friday, 1080, 1200), "2026-11-20T19:00:00Z", false),
        // Over midnight: the night belongs to Friday.
        (times(friday, 1320, 120), "2026-11-20T20:59:59Z", false),
        (times(friday, 1320, 120), "2026-11-20T21:00:00Z", true),
        (times(friday, 1320, 120), "2026-11-21T00:59:59Z", true),
        (times(friday, 1320, 120), "2026-11-21T01:00:00Z", false),
        (times(friday, 1320, 120), "2026-11-20T00:30:00Z", false),
        // In summer it is two hours.
        (times(0x7f, 1080, 1200), "2026-07-01T16:00:00Z", true),
        (times(0x7f, 1080, 1200), "2026-07-01T18:00:00Z", false),
    ] {
        assert_eq!(holds(&condition, &Visit::of_nobody(), at(moment)), fits, "{condition:?} {moment}");
    }
    let dates = Condition::Dates { start: Some(from_micros(10)), end: Some(from_micros(20)) };
    for (now, fits) in [(9, false), (10, true), (19, true), (20, false)] {
        assert_eq!(holds(&dates, &Visit::of_nobody(), from_micros(now)), fits, "{now}");
    }
}

#[test]
fn queries_and_addresses_are_compared_decoded() {
    let query = |value: Option<&str>| Condition::Query { name: "a b".into(), value: value.map(Into::into) };
    for (condition, given, fits) in [
        (query(None), "a+b", true),
        (query(None), "x=1&a%20b=2", true),
        (query(None), "A+b=1", false),
        (query(Some("ü")), "a+b=1&a+b=%C3%BC", true),
        (query(Some("")), "a+b", true),
        (query(Some("1")), "a+b=11", false),
    ] {
        assert_eq!(
            holds(&condition, &Visit { query: given, ..Visit::of_nobody() }, from_micros(0)),
            fits,
            "{given}"
        );
    }
    for (network, client, fits) in [
        ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.0/24", "::ffff:192.0.2.1", true),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("2001:db8::/32", "192.0.2.1", false),
    ] {
        let condition = Condition::Networks([network.parse().expect("a network")].into());
        let client = Some(client.parse().expect("an address"));
        assert_eq!(
            holds(&condition, &Visit { client, ..Visit::of_nobody() }, from_micros(0)),
            fits,
            "{network}"
        );
    }
}

#[test]
fn what_does_not_hold_is_named() {
    let query = |name: &str| Condition::Query { name: name.into(), value: None };
    let visit = Visit { query: "a&b", ..Visit::of_nobody() };
    for (name, expected) in [("a", true), ("b", true), ("c", false)] {
        assert_eq!(holds(&query(name), &visit, from_micros(0)), expected, "{name}");
    }
    assert_eq!(words(&query("c"), &visit, from_micros(0)), "the query has no c");
}

#[test]
fn variants_keep_their_visitors_and_their_shares() {
    let rule = Rule {
        index: 0,
        name: "sale".into(),
        active: true,
        variants: [("a".into(), 1), ("b".into(), 3)].into(),
    };
    let link = LinkId::mint(&Ids::seeded(1), from_micros(0));
    let of = |rule: &Rule, number: u32| {
        let visit = Visit { client: Some(IpAddr::V4(number.into())), ..Visit::of_nobody() };
        let (url, place) = url_of(rule, link, &visit);
        assert_eq!(place.map(|place| &*rule.variants[usize::from(place)].0), Some(url));
        url.to_owned()
    };
    let first = (0..10_000).filter(|number| of(&rule, *number) == "a").count();
    assert!((2300..2700).contains(&first), "{first}");
    // Another place among the rules deals nobody anew, another name does.
    let moved = Rule { index: 7, ..rule.clone() };
    assert!((0..100).all(|number| of(&rule, number) == of(&moved, number)));
    let renamed = Rule { name: "other".into(), ..rule.clone() };
    assert!((0..100).any(|number| of(&rule, number) != of(&renamed, number)));
}
