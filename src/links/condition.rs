//! What a routing rule can ask of a visit: read from what clients send and from what is stored, by the same words. Pure.
//! `redirect/rules.rs` says of which visits it holds.

use std::net::IpAddr;

use chrono_tz::Tz;
use ipnet::IpNet;
use url::Host;

use super::{
    fields::moment,
    routing::{MAX_NAME, check_text, read_list},
};
use crate::{
    clock::Moment,
    error::Violations,
    geo::{Country, Region},
    pb::v1,
};

const MAX_VALUE: usize = 1000;
const MAX_LIST: usize = 50;
const MAX_NETWORKS: usize = 100;
const MAX_COUNTRIES: usize = 250;
const MAX_PLACES: usize = 100;
const MAX_SYSTEMS: usize = 20;
const MAX_LANGUAGE: usize = 35;
/// Minutes of a day.
const DAY: u16 = 1440;

/// Something that holds of a visit or does not. The contract explains each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract explains them")]
pub enum Condition {
    Platforms(Box<[v1::Platform]>),
    Languages {
        /// In lower case.
        languages: Box<[Box<str>]>,
        /// In thousandths; `None`: the highest.
        min_quality: Option<u16>,
    },
    Dates {
        start: Option<Moment>,
        end: Option<Moment>,
    },
    Times(Times),
    Query {
        name: Box<str>,
        value: Option<Box<str>>,
    },
    /// In lower case and punycode.
    Referrers(Box<[Box<str>]>),
    Networks(Box<[IpNet]>),
    Countries(Box<[Country]>),
    Regions(Box<[Region]>),
    /// In lower case.
    Cities(Box<[Box<str>]>),
    Systems(Box<[SystemRange]>),
    Devices(Box<[v1::DeviceType]>),
    Browsers(Box<[v1::Browser]>),
    Visitors(v1::VisitorHistory),
}

/// An operating system, from one version to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemRange {
    /// Which.
    pub system: v1::OperatingSystem,
    /// The first version; `None`: any.
    pub min: Option<Version>,
    /// The last version, with all that begin with it; `None`: any.
    pub max: Option<Version>,
}

/// Weekdays and a time of the day somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Where.
    pub zone: Tz,
    /// One bit for each day, Monday the lowest.
    pub weekdays: u8,
    /// From which minute of the day on.
    pub start: u16,
    /// Until which minute; at most the start: of the day after.
    pub end: u16,
}

/// A version of a program: up to four numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    parts: [u32; Self::MOST],
    count: u8,
}

impl Version {
    const MOST: usize = 4;

    /// Reads numbers with dots between them; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut version = Self { parts: [0; Self::MOST], count: 0 };
        for part in text.split('.') {
            let digits = (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            let place = version.parts.get_mut(usize::from(version.count))?;
            *place = digits.then(|| part.parse().ok())??;
            version.count += 1;
        }
        Some(version)
    }

    /// Reads the version a text begins with, with dots or underscores between its numbers; what follows is left alone.
    pub fn leading(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
        let mut version = Self { parts: [0; Self::MOST], count: 0 };
        for part in text[..end].split(['.', '_']).take(Self::MOST) {
            let Ok(number) = part.parse() else { break };
            version.parts[usize::from(version.count)] = number;
            version.count += 1;
        }
        (version.count > 0).then_some(version)
    }

    /// Returns the first of its numbers.
    pub fn major(self) -> u16 {
        u16::try_from(self.parts[0]).unwrap_or(u16::MAX)
    }

    /// Says whether this is `min` or above; numbers that are not there are 0.
    pub fn is_at_least(self, min: Self) -> bool {
        self.parts >= min.parts
    }

    /// Says whether this is below `max`, or begins with it.
    pub fn is_at_most(self, max: Self) -> bool {
        let count = usize::from(max.count);
        self.parts[..count] <= max.parts[..count]
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, part) in self.parts.iter().enumerate().take(usize::from(self.count)) {
            write!(f, "{}{part}", if place == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

/// Reads a condition and notes what is wrong with it.
pub(super) fn read_condition(
    path: &str,
    condition: &mut v1::RoutingCondition,
    wrong: &mut Violations,
) -> Option<Condition> {
    use v1::routing_condition::Condition as Given;
    let Some(given) = &mut condition.condition else {
        wrong.add(path, "is no condition this server knows");
        return None;
    };
    Some(match given {
        Given::Platforms(given) => {
            let path = format!("{path}.platforms.platforms");
            let platforms = &mut given.platforms;
            Condition::Platforms(read_list(&path, platforms, 3, wrong, |number| read_platform(*number)))
        }
        Given::Languages(given) => {
            let min_quality = given.min_quality.map(|quality| match u16::try_from(quality) {
                Ok(quality @ 1..=1000) => Ok(quality),
                _ => Err("must be 1 to 1,000"),
            });
            let min_quality =
                wrong.take(&format!("{path}.languages.min_quality"), min_quality.transpose()).flatten();
            let path = format!("{path}.languages.languages");
            let languages = read_list(&path, &mut given.languages, MAX_LIST, wrong, |tag| read_language(tag));
            Condition::Languages { languages, min_quality }
        }
        Given::Dates(given) => {
            let mut time = |name: &str, given: Option<&prost_types::Timestamp>| {
                wrong.take(&format!("{path}.dates.{name}"), given.map(moment).transpose()).flatten()
            };
            let start = time("start_time", given.start_time.as_ref());
            let end = time("end_time", given.end_time.as_ref());
            if given.start_time.is_none() && given.end_time.is_none() {
                wrong.add(format!("{path}.dates"), "must have a start_time or an end_time");
            }
            if start.zip(end).is_some_and(|(start, end)| end <= start) {
                wrong.add(format!("{path}.dates.end_time"), "must be after start_time");
            }
            Condition::Dates { start, end }
        }
        Given::Times(given) => Condition::Times(read_times(&format!("{path}.times"), given, wrong)?),
        Given::Query(given) => {
            if given.name.is_empty() {
                wrong.add(format!("{path}.query.name"), "is required");
            }
            check_text(&format!("{path}.query.name"), &given.name, MAX_NAME, wrong);
            if let Some(value) = &given.value {
                check_text(&format!("{path}.query.value"), value, MAX_VALUE, wrong);
            }
            Condition::Query {
                name: given.name.as_str().into(),
                value: given.value.as_deref().map(Into::into),
            }
        }
        Given::Referrers(given) => {
            let path = format!("{path}.referrers.hosts");
            Condition::Referrers(read_list(
                &path,
                &mut given.hosts,
                MAX_LIST,
                wrong,
                |host| match Host::parse(host.trim_end_matches('.')) {
                    Ok(Host::Domain(name)) if !name.is_empty() => Ok(name.into()),
                    _ => Err("must be a host name such as example.com"),
                },
            ))
        }
        Given::Networks(given) => {
            let path = format!("{path}.networks.networks");
            Condition::Networks(read_list(&path, &mut given.networks, MAX_NETWORKS, wrong, |text| {
                text.parse::<IpNet>()
                    .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                    .map(|network| network.trunc())
                    .map_err(|_| "must be a network such as 192.0.2.0/24 or an address")
            }))
        }
        Given::Countries(given) => {
            let path = format!("{path}.countries.countries");
            Condition::Countries(read_list(&path, &mut given.countries, MAX_COUNTRIES, wrong, |text| {
                Country::parse(text).ok_or("must be two letters of ISO 3166-1 such as DE")
            }))
        }
        Given::Regions(given) => {
            let path = format!("{path}.regions.regions");
            Condition::Regions(read_list(&path, &mut given.regions, MAX_PLACES, wrong, |text| {
                Region::parse(text).ok_or("must be a code of ISO 3166-2 such as US-CA")
            }))
        }
        Given::Cities(given) => {
            for (place, city) in given.cities.iter().enumerate().take(MAX_PLACES) {
                check_text(&format!("{path}.cities.cities[{place}]"), city, MAX_NAME, wrong);
            }
            let path = format!("{path}.cities.cities");
            Condition::Cities(read_list(&path, &mut given.cities, MAX_PLACES, wrong, |city| {
                let city = city.trim();
                if city.is_empty() {
                    Err("must be the name of a city")
                } else {
                    Ok(city.to_lowercase().into())
                }
            }))
        }
        Given::OperatingSystems(given) => {
            Condition::Systems(read_systems(&format!("{path}.operating_systems.systems"), given, wrong))
        }
        Given::Devices(given) => {
            let path = format!("{path}.devices.types");
            Condition::Devices(read_list(&path, &mut given.types, 3, wrong, |number| {
                named(v1::DeviceType::try_from(*number), "is no kind of device this server knows")
            }))
        }
        Given::Browsers(given) => {
            let path = format!("{path}.browsers.browsers");
            Condition::Browsers(read_list(&path, &mut given.browsers, MAX_LIST, wrong, |number| {
                named(v1::Browser::try_from(*number), "is no browser this server knows")
            }))
        }
        Given::Visitors(given) => {
            let history = v1::VisitorHistory::try_from(given.history);
            let history = named(history, "must be NEW or RETURNING");
            Condition::Visitors(wrong.take(&format!("{path}.visitors.history"), history)?)
        }
    })
}

fn read_times(path: &str, given: &v1::TimeCondition, wrong: &mut Violations) -> Option<Times> {
    let zone = if given.time_zone.is_empty() { Ok(Tz::UTC) } else { given.time_zone.parse() };
    let zone = zone.map_err(|_| "is no time zone of the IANA database, such as Europe/Berlin");
    let zone = wrong.take(&format!("{path}.time_zone"), zone);
    let mut weekdays = if given.weekdays.is_empty() { 0x7f } else { 0 };
    for (place, number) in given.weekdays.iter().enumerate() {
        match number {
            1..=7 => weekdays |= 1 << (number - 1),
            _ => wrong.add(format!("{path}.weekdays[{place}]"), "is no day of the week"),
        }
    }
    let mut minute = |name: &str, minute: i32, most: u16| {
        let minute = u16::try_from(minute).ok().filter(|minute| *minute <= most);
        wrong.take(&format!("{path}.{name}"), minute.ok_or_else(|| format!("must be 0 to {most}")))
    };
    let start = minute("start_minute", given.start_minute, DAY - 1);
    let end = minute("end_minute", given.end_minute, DAY).map(|end| if end == 0 { DAY } else { end });
    if start.is_some() && start == end {
        wrong.add(format!("{path}.end_minute"), "must not be start_minute");
    }
    Some(Times { zone: zone?, weekdays, start: start?, end: end? })
}

fn read_systems(
    path: &str,
    given: &v1::OperatingSystemCondition,
    wrong: &mut Violations,
) -> Box<[SystemRange]> {
    if given.systems.is_empty() || given.systems.len() > MAX_SYSTEMS {
        wrong.add(path, format!("must be 1 to {MAX_SYSTEMS}"));
    }
    let mut ranges = Vec::with_capacity(given.systems.len().min(MAX_SYSTEMS));
    for (place, range) in given.systems.iter().enumerate().take(MAX_SYSTEMS) {
        let path = format!("{path}[{place}]");
        let system = v1::OperatingSystem::try_from(range.system);
        let system =
            wrong.take(&format!("{path}.system"), named(system, "is no operating system this server knows"));
        let mut version = |name: &str, text: &str| {
            let read = Version::parse(text).ok_or("must be a version such as 17 or 16.4.1");
            let read = if text.is_empty() { Ok(None) } else { read.map(Some) };
            wrong.take(&format!("{path}.{name}"), read).flatten()
        };
        let min = version("min_version", &range.min_version);
        let max = version("max_version", &range.max_version);
        if min.zip(max).is_some_and(|(min, max)| !min.is_at_most(max)) {
            wrong.add(format!("{path}.max_version"), "must not be below min_version");
        }
        ranges.extend(system.map(|system| SystemRange { system, min, max }));
    }
    ranges.into()
}

/// Returns a value of an enum that is one: known, and not the first.
fn named<E: Default + PartialEq>(
    number: Result<E, prost::UnknownEnumValue>,
    otherwise: &'static str,
) -> Result<E, &'static str> {
    number.ok().filter(|value| *value != E::default()).ok_or(otherwise)
}

/// Reads the number of a platform.
pub(super) fn read_platform(number: i32) -> Result<v1::Platform, &'static str> {
    named(v1::Platform::try_from(number), "is no platform this server knows")
}

/// Reads a language tag, into lower case.
pub(super) fn read_language(tag: &str) -> Result<Box<str>, &'static str> {
    let parts = || tag.split('-');
    let good = tag.len() <= MAX_LANGUAGE
        && parts()
            .all(|part| matches!(part.len(), 1..=8) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && parts().next().is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_alphabetic()));
    if good { Ok(tag.to_ascii_lowercase().into()) } else { Err("must be a language tag such as en or pt-BR") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        let version = |text: &str| Version::parse(text).expect("a version");
        for (text, min, max, is_at_least, is_at_most) in [
            ("17.5", "17", "17", true, true),
            ("17.5.1", "17.5.1", "17.5.1", true, true),
            ("9.3", "10", "10", false, true),
            ("10", "9.9.9", "9.9.9", true, false),
            ("17", "17.0.0", "17.0.0", true, true),
            ("17", "17.4", "17.4", false, true),
            ("17.10", "17.9", "17.9", true, false),
            ("18", "17", "17", true, false),
        ] {
            assert_eq!(version(text).is_at_least(version(min)), is_at_least, "{text} >= {min}");
            assert_eq!(version(text).is_at_most(version(max)), is_at_most, "{text} <= {max}");
        }
        for text in ["", ".", "1.", ".1", "1.2.3.4.5", "x", "1.x", "17_5", "-1", "+1", "1234567890", " 1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        for (text, expected) in [
            ("17_5 like Mac OS X", "17.5"),
            ("14; Pixel", "14"),
            ("10_15_7)", "10.15.7"),
            ("1.2.3.4.5", "1.2.3.4"),
        ] {
            assert_eq!(Version::leading(text), Some(version(expected)), "{text}");
            assert_eq!(version(expected).to_string(), expected);
        }
        for text in ["", "x1", "_1", "99999999999"] {
            assert_eq!(Version::leading(text), None, "{text}");
        }
    }
}
