//! Whom a routing rule fits: pure, and it reads of a visit only what a condition asks for.

use std::net::IpAddr;

use chrono::{Datelike as _, Days, Timelike as _};
use ring::digest;

use super::{
    facts::Facts,
    software::is_browser,
    visitor::{Platform, Visit},
};
use crate::{
    clock::Moment,
    ids::LinkId,
    links::{Condition, Rule, SystemRange, Targeting, Times},
    pb::v1,
};

/// Says whether a link is for a visitor: whatever it names must hold.
pub(super) fn is_target(targeting: &Targeting, facts: &Facts<'_>) -> bool {
    let Targeting { countries, platforms, languages } = targeting;
    (platforms.is_empty() || platforms.contains(&platform(facts.visit.visitor.platform)))
        && (languages.is_empty() || likes(facts, languages, None))
        && (countries.is_empty() || facts.country().is_some_and(|country| countries.contains(&country)))
}

/// Returns where a visitor whom the rule fits goes, and at which place that is where there are several. Of variants each visitor
/// has one, by a hash of who they are.
pub fn url_of<'a>(rule: &'a Rule, link: LinkId, visit: &Visit<'_>) -> (&'a str, Option<u8>) {
    let Some(((first, _), rest)) = rule.variants.split_first() else { return ("", None) };
    if rest.is_empty() {
        return (first, None);
    }
    let total: u64 = rule.variants.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut left = ticket(rule, link, visit) % total.max(1);
    for (place, (url, weight)) in (0..).zip(&rule.variants) {
        match left.checked_sub(u64::from(*weight)) {
            None => return (url, Some(place)),
            Some(rest) => left = rest,
        }
    }
    (first, Some(0))
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
pub(super) fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    match condition {
        Condition::Platforms(platforms) => platforms.contains(&platform(facts.visit.visitor.platform)),
        Condition::Languages { languages, min_quality } => likes(facts, languages, *min_quality),
        Condition::Dates { start, end } => {
            start.is_none_or(|start| start <= facts.now) && end.is_none_or(|end| facts.now < end)
        }
        Condition::Times(times) => is_in(*times, facts.now),
        Condition::Query { name, value } => facts
            .query()
            .iter()
            .any(|(given, of)| **given == **name && value.as_deref().is_none_or(|value| of == value)),
        Condition::Referrers(hosts) => {
            hosts.iter().any(|host| covers(host, '.', facts.referrer(), Side::Back))
        }
        Condition::Networks(networks) => {
            facts.client.is_some_and(|client| networks.iter().any(|network| network.contains(&client)))
        }
        Condition::Countries(countries) => {
            facts.country().is_some_and(|country| countries.contains(&country))
        }
        Condition::Regions(regions) => {
            facts.regions().into_iter().flatten().any(|region| regions.contains(&region))
        }
        Condition::Cities(cities) => {
            facts.city().is_some_and(|city| cities.iter().any(|wanted| **wanted == *city))
        }
        Condition::Systems(ranges) => {
            let software = facts.software();
            ranges.iter().any(|SystemRange { system, min, max }| {
                let unlimited = min.is_none() && max.is_none();
                let is_between = software.version.is_some_and(|version| {
                    min.is_none_or(|min| version.is_at_least(min))
                        && max.is_none_or(|max| version.is_at_most(max))
                });
                software.system == *system && (unlimited || is_between)
            })
        }
        Condition::Devices(devices) => devices.contains(&facts.software().device),
        Condition::Browsers(browsers) => {
            let browser = facts.software().browser;
            browsers.iter().any(|wanted| is_browser(browser, *wanted))
        }
        Condition::Visitors(history) => facts.was_here() == (*history == v1::VisitorHistory::Returning),
    }
}

fn likes(facts: &Facts<'_>, languages: &[Box<str>], min_quality: Option<u16>) -> bool {
    let mut liked = facts.languages().liked(min_quality);
    liked.any(|tag| languages.iter().any(|language| covers(language, '-', tag, Side::Front)))
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
pub(super) fn words(condition: &Condition, facts: &Facts<'_>) -> String {
    let Facts { visit, now, .. } = *facts;
    match condition {
        Condition::Platforms(_) => {
            let platform = match visit.visitor.platform {
                Platform::Ios => "iOS",
                Platform::Android => "Android",
                Platform::Web => "web",
            };
            format!("the platform is {platform}")
        }
        Condition::Languages { min_quality, .. } => {
            let liked: Vec<&str> = facts.languages().liked(*min_quality).collect();
            match (liked.as_slice(), min_quality) {
                ([], None) => "the visitor names no language".to_owned(),
                ([], Some(quality)) => format!("the visitor names no language of quality {quality} or more"),
                (liked, None) => format!("the visitor prefers {}", liked.join(" or ")),
                (liked, Some(_)) => format!("the visitor accepts {}", liked.join(", ")),
            }
        }
        Condition::Dates { start: Some(start), .. } if facts.now < *start => format!("it begins at {start}"),
        Condition::Dates { .. } => "it has ended".to_owned(),
        Condition::Times(times) => {
            let local = now.with_timezone(&times.zone);
            format!("it is {} in {}", local.format("%A, %H:%M"), times.zone)
        }
        Condition::Query { name, value: None } => format!("the query has no {name}"),
        Condition::Query { name, value: Some(value) } => format!("the query has no {name} that is {value}"),
        Condition::Referrers(_) => match facts.referrer() {
            "" => "the visitor comes from no page".to_owned(),
            host => format!("the visitor comes from {host}"),
        },
        Condition::Networks(_) => visit
            .client
            .map_or("the visitor has no address".to_owned(), |client| format!("the address is {client}")),
        Condition::Countries(_) => match facts.country() {
            Some(country) => format!("the country is {}", country.as_str()),
            None => "the country is not known".to_owned(),
        },
        Condition::Regions(_) => match facts.regions() {
            [Some(region), None] => format!("the region is {region}"),
            [Some(region), Some(part)] => format!("the region is {region} and {part}"),
            _ => "the region is not known".to_owned(),
        },
        Condition::Cities(_) => match visit.city() {
            Some(city) => format!("the city is {city}"),
            None => "the city is not known".to_owned(),
        },
        Condition::Systems(ranges) => {
            let software = facts.software();
            let known = ranges.iter().any(|range| range.system == software.system);
            match (system_words(software.system), software.version) {
                (None, _) => "the operating system is not known".to_owned(),
                (Some(system), None) if known => format!("the version of {system} is not known"),
                (Some(system), None) => format!("the operating system is {system}"),
                (Some(system), Some(version)) => format!("the operating system is {system} {version}"),
            }
        }
        Condition::Devices(_) => match facts.software().device {
            v1::DeviceType::Phone => "the device is a phone".to_owned(),
            v1::DeviceType::Tablet => "the device is a tablet".to_owned(),
            v1::DeviceType::Desktop => "the device is a desktop".to_owned(),
            v1::DeviceType::Unspecified => "the kind of device is not known".to_owned(),
        },
        Condition::Browsers(_) => match facts.software().browser {
            v1::Browser::Unspecified => "the browser is not known".to_owned(),
            v1::Browser::InApp => "the browser is inside an app that says no name".to_owned(),
            browser => {
                let name = browser.as_str_name().trim_start_matches("BROWSER_");
                let words = name.split('_').map(|word| word[..1].to_owned() + &word[1..].to_lowercase());
                format!("the browser is {}", words.collect::<Vec<_>>().join(" "))
            }
        },
        Condition::Visitors(_) if facts.was_here() => "the visitor followed the link before".to_owned(),
        Condition::Visitors(_) => "the visitor has not followed the link before".to_owned(),
    }
}

fn system_words(system: v1::OperatingSystem) -> Option<&'static str> {
    Some(match system {
        v1::OperatingSystem::Unspecified => return None,
        v1::OperatingSystem::Ios => "iOS",
        v1::OperatingSystem::Android => "Android",
        v1::OperatingSystem::Windows => "Windows",
        v1::OperatingSystem::Macos => "macOS",
        v1::OperatingSystem::Linux => "Linux",
        v1::OperatingSystem::Chromeos => "ChromeOS",
    })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
