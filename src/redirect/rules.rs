//! Whom a routing rule fits: pure, and it reads of a visit only what a condition asks for.

use std::net::IpAddr;

use chrono::{Datelike as _, Days, Timelike as _};
use ring::digest;
use url::form_urlencoded;

use super::visitor::{Platform, Visit};
use crate::{
    clicks::referrer_host,
    clock::Moment,
    ids::LinkId,
    links::{Condition, Rule, Targeting, Times},
    pb::v1,
};

/// Returns the first condition that does not hold, by its place; `None`: the rule fits.
pub fn first_failure(rule: &Rule, visit: &Visit<'_>, now: Moment) -> Option<usize> {
    rule.conditions.iter().position(|condition| !holds(condition, visit, now))
}

/// Says whether a link is for a visitor: whatever it names must hold.
pub fn is_target(targeting: &Targeting, visit: &Visit<'_>) -> bool {
    let Targeting { countries, platforms, languages } = targeting;
    (platforms.is_empty() || platforms.contains(&platform(visit.visitor.platform)))
        && (languages.is_empty() || likes(visit, languages))
        && (countries.is_empty() || visit.country().is_some_and(|country| countries.contains(&country)))
}

/// Returns where a visitor whom the rule fits goes. Of variants each visitor has one, by a hash of who they are.
pub fn url_of<'a>(rule: &'a Rule, link: LinkId, visit: &Visit<'_>) -> &'a str {
    let Some(((first, _), rest)) = rule.variants.split_first() else { return "" };
    if rest.is_empty() {
        return first;
    }
    let total: u64 = rule.variants.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut left = ticket(rule, link, visit) % total.max(1);
    for (url, weight) in &rule.variants {
        match left.checked_sub(u64::from(*weight)) {
            None => return url,
            Some(rest) => left = rest,
        }
    }
    first
}

/// Returns the number a visitor draws: the same at every visit and on every node, another one on every link.
fn ticket(rule: &Rule, link: LinkId, visit: &Visit<'_>) -> u64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(link.0.as_bytes());
    if rule.name.is_empty() {
        hash.update(&[rule.index]);
    } else {
        hash.update(rule.name.as_bytes());
    }
    hash.update(&[0]);
    match visit.client.map(|client| client.to_canonical()) {
        Some(IpAddr::V4(address)) => hash.update(&address.octets()),
        Some(IpAddr::V6(address)) => hash.update(&address.octets()[..8]),
        None => {}
    }
    hash.update(visit.user_agent.as_bytes());
    hash.finish().as_ref().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// Says whether a condition holds of a visit.
pub(super) fn holds(condition: &Condition, visit: &Visit<'_>, now: Moment) -> bool {
    match condition {
        Condition::Platforms(platforms) => platforms.contains(&platform(visit.visitor.platform)),
        Condition::Languages(languages) => likes(visit, languages),
        Condition::Dates { start, end } => {
            start.is_none_or(|start| start <= now) && end.is_none_or(|end| now < end)
        }
        Condition::Times(times) => is_in(*times, now),
        Condition::Query { name, value } => form_urlencoded::parse(visit.query.as_bytes())
            .any(|(given, of)| given == **name && value.as_deref().is_none_or(|value| of == value)),
        Condition::Referrers(hosts) => {
            let from = referrer_host(visit.referrer).trim_end_matches('.');
            hosts.iter().any(|host| covers(host, '.', from, Side::Back))
        }
        Condition::Networks(networks) => visit.client.is_some_and(|client| {
            let client = client.to_canonical();
            networks.iter().any(|network| network.contains(&client))
        }),
    }
}

fn likes(visit: &Visit<'_>, languages: &[Box<str>]) -> bool {
    favourites(visit.languages)
        .any(|favourite| languages.iter().any(|language| covers(language, '-', favourite, Side::Front)))
}

/// Returns the platform as the contract names it.
pub(super) fn platform(platform: Platform) -> v1::Platform {
    match platform {
        Platform::Ios => v1::Platform::Ios,
        Platform::Android => v1::Platform::Android,
        Platform::Web => v1::Platform::Web,
    }
}

/// Which end of a name its general part stands at.
#[derive(Clone, Copy)]
enum Side {
    Front,
    Back,
}

/// Says whether `general`, in lower case, is `special` or what `special` belongs to.
fn covers(general: &str, separator: char, special: &str, side: Side) -> bool {
    let (general, special, separator) = (general.as_bytes(), special.as_bytes(), separator as u8);
    let Some(longer) = special.len().checked_sub(general.len()) else { return false };
    let (part, edge) = match side {
        Side::Front => (&special[..general.len()], special.get(general.len())),
        Side::Back => (&special[longer..], longer.checked_sub(1).and_then(|place| special.get(place))),
    };
    part.eq_ignore_ascii_case(general) && (longer == 0 || edge == Some(&separator))
}

/// Returns the tags of an Accept-Language header that have its highest quality.
fn favourites(header: &str) -> impl Iterator<Item = &str> {
    let best = tags(header).map(|(_, quality)| quality).max().unwrap_or(0);
    tags(header).filter(move |(_, quality)| *quality == best && best > 0).map(|(tag, _)| tag)
}

/// Returns the tags of an Accept-Language header with their qualities in thousandths. `*` is no language.
pub(super) fn tags(header: &str) -> impl Iterator<Item = (&str, u16)> {
    header.split(',').filter_map(|part| {
        let mut pieces = part.split(';').map(str::trim);
        let tag = pieces.next().filter(|tag| !tag.is_empty() && *tag != "*")?;
        let quality = pieces.find_map(|piece| piece.strip_prefix("q=").or_else(|| piece.strip_prefix("Q=")));
        let quality = quality.map_or(Some(1.0), |quality| quality.trim().parse::<f32>().ok())?;
        (0.0..=1.0).contains(&quality).then_some((tag, (quality * 1000.0) as u16))
    })
}

fn is_in(times: Times, now: Moment) -> bool {
    let local = now.with_timezone(&times.zone);
    let minute = local.hour() * 60 + local.minute();
    let (start, end) = (u32::from(times.start), u32::from(times.end));
    let on = |day: Option<chrono::NaiveDate>| {
        day.is_some_and(|day| times.weekdays & (1 << day.weekday().num_days_from_monday()) != 0)
    };
    let today = local.date_naive();
    if start < end {
        on(Some(today)) && (start..end).contains(&minute)
    } else {
        (minute >= start && on(Some(today))) || (minute < end && on(today.checked_sub_days(Days::new(1))))
    }
}

/// Says in words why a condition does not hold of a visit, for people who ask why a link led elsewhere.
pub fn words(condition: &Condition, visit: &Visit<'_>, now: Moment) -> String {
    match condition {
        Condition::Platforms(_) => {
            let platform = match visit.visitor.platform {
                Platform::Ios => "iOS",
                Platform::Android => "Android",
                Platform::Web => "web",
            };
            format!("the platform is {platform}")
        }
        Condition::Languages(_) => {
            let favourites: Vec<&str> = favourites(visit.languages).collect();
            if favourites.is_empty() {
                "the visitor names no language".to_owned()
            } else {
                format!("the visitor prefers {}", favourites.join(" or "))
            }
        }
        Condition::Dates { start: Some(start), .. } if now < *start => format!("it begins at {start}"),
        Condition::Dates { .. } => "it has ended".to_owned(),
        Condition::Times(times) => {
            let local = now.with_timezone(&times.zone);
            format!("it is {} in {}", local.format("%A, %H:%M"), times.zone)
        }
        Condition::Query { name, value: None } => format!("the query has no {name}"),
        Condition::Query { name, value: Some(value) } => format!("the query has no {name} that is {value}"),
        Condition::Referrers(_) => match referrer_host(visit.referrer) {
            "" => "the visitor comes from no page".to_owned(),
            host => format!("the visitor comes from {host}"),
        },
        Condition::Networks(_) => visit
            .client
            .map_or("the visitor has no address".to_owned(), |client| format!("the address is {client}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::from_micros, ids::Ids};

    fn texts(texts: &[&str]) -> Box<[Box<str>]> {
        texts.iter().map(|text| (*text).into()).collect()
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
            let condition = Condition::Languages(texts(&[wanted, "xx"]));
            let visit = Visit { languages: header, ..Visit::of_nobody() };
            assert_eq!(holds(&condition, &visit, from_micros(0)), fits, "{header} {wanted}");
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
        let query =
            |value: Option<&str>| Condition::Query { name: "a b".into(), value: value.map(Into::into) };
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
    fn every_condition_must_hold_and_the_first_that_does_not_is_named() {
        let query = |name: &str| Condition::Query { name: name.into(), value: None };
        let rule = |conditions: &[Condition]| Rule {
            index: 0,
            name: "".into(),
            active: true,
            conditions: conditions.into(),
            variants: [("a".into(), 1)].into(),
        };
        let visit = Visit { query: "a&b", ..Visit::of_nobody() };
        for (conditions, failure) in [
            (&[][..], None),
            (&[query("a"), query("b")], None),
            (&[query("a"), query("c"), query("d")], Some(1)),
        ] {
            assert_eq!(first_failure(&rule(conditions), &visit, from_micros(0)), failure, "{conditions:?}");
        }
        assert_eq!(words(&query("c"), &visit, from_micros(0)), "the query has no c");
    }

    #[test]
    fn variants_keep_their_visitors_and_their_shares() {
        let rule = Rule {
            index: 0,
            name: "sale".into(),
            active: true,
            conditions: [].into(),
            variants: [("a".into(), 1), ("b".into(), 3)].into(),
        };
        let link = LinkId::mint(&Ids::seeded(1), from_micros(0));
        let of = |rule: &Rule, number: u32| {
            let visit = Visit { client: Some(IpAddr::V4(number.into())), ..Visit::of_nobody() };
            url_of(rule, link, &visit).to_owned()
        };
        let first = (0..10_000).filter(|number| of(&rule, *number) == "a").count();
        assert!((2300..2700).contains(&first), "{first}");
        // Another place among the rules deals nobody anew, another name does.
        let moved = Rule { index: 7, ..rule.clone() };
        assert!((0..100).all(|number| of(&rule, number) == of(&moved, number)));
        let renamed = Rule { name: "other".into(), ..rule.clone() };
        assert!((0..100).any(|number| of(&rule, number) != of(&renamed, number)));
    }
}
