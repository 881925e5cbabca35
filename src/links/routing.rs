//! Routing rules: read from what clients send and from what is stored, by the same words, so that whatever passes the door
//! can be loaded. Pure. `redirect/rules.rs` says whom they fit.

use std::net::IpAddr;

use chrono_tz::Tz;
use ipnet::IpNet;
use prost::Message as _;
use url::Host;

use super::fields::moment;
use crate::{clock::Moment, error::Violations, pb::v1};

const MAX_RULES: usize = 50;
const MAX_CONDITIONS: usize = 20;
const MAX_NAME: usize = 100;
const MAX_VALUE: usize = 1000;
const MAX_LIST: usize = 50;
const MAX_NETWORKS: usize = 100;
const MAX_VARIANTS: usize = 20;
const MAX_WEIGHT: u32 = 10_000;
const MAX_LANGUAGE: usize = 35;
/// Minutes of a day.
const DAY: u16 = 1440;

/// A rule, ready to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its place among the rules of the link, from 0.
    pub index: u8,
    /// May be empty.
    pub name: Box<str>,
    /// Whether it is tried.
    pub active: bool,
    /// All must hold.
    pub conditions: Box<[Condition]>,
    /// The URLs and their weights: one, or several to deal visitors among.
    pub variants: Box<[(Box<str>, u32)]>,
}

/// Something that holds of a visit or does not. The contract explains each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract explains them")]
pub enum Condition {
    Platforms(Box<[v1::Platform]>),
    /// In lower case.
    Languages(Box<[Box<str>]>),
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

/// The rules of a link: as they are stored, and ready to be tried.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    stored: Box<[u8]>,
    ready: Box<[Rule]>,
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.stored == other.stored
    }
}

impl Eq for Rules {}

/// How rules are stored: protobuf, since every version reads what it knows of it.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, repeated, tag = "1")]
    rules: Vec<v1::RoutingRule>,
}

impl Rules {
    /// Makes rules that are stored ready. A rule that is not understood, because a newer version wrote it or somebody by hand,
    /// is left out and counted: half of its conditions would send the wrong visitors.
    pub fn load(stored: Vec<u8>) -> Self {
        if stored.is_empty() {
            return Self::default();
        }
        let skipped = metrics::counter!("linkforty_routing_rules_skipped_total");
        let Ok(Stored { rules }) = Stored::decode(&*stored) else {
            skipped.increment(1);
            return Self { stored: stored.into(), ready: Box::default() };
        };
        let count = rules.len();
        let ready: Box<[Rule]> = (0..=u8::MAX)
            .zip(rules)
            .filter_map(|(index, mut rule)| {
                let mut wrong = Violations::default();
                let ready = read(index, "", &mut rule, &|url| can_be_followed(url), &mut wrong);
                ready.filter(|_| wrong.is_empty())
            })
            .collect();
        skipped.increment((count - ready.len()) as u64);
        Self { stored: stored.into(), ready }
    }

    /// Makes rules ready as if they were stored, for tests of what they decide.
    #[cfg(test)]
    pub fn of(rules: &[v1::RoutingRule]) -> Self {
        Self::load(to_bytes(rules).unwrap_or_default())
    }

    /// Returns the rules in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.ready.iter()
    }

    /// Returns the rules as they are stored.
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn can_be_followed(url: &str) -> Result<String, &'static str> {
    let good = (url.starts_with("https://") || url.starts_with("http://"))
        && url.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(url.to_owned()) } else { Err("is not a URL as it is stored") }
}

/// Returns rules as they are stored; `None`: there are none.
pub fn to_bytes(rules: &[v1::RoutingRule]) -> Option<Vec<u8>> {
    (!rules.is_empty()).then(|| Stored { rules: rules.to_vec() }.encode_to_vec())
}

/// Reads stored rules, to show them.
pub fn from_bytes(stored: Option<&[u8]>) -> Vec<v1::RoutingRule> {
    stored.and_then(|stored| Stored::decode(stored).ok()).map(|stored| stored.rules).unwrap_or_default()
}

/// Returns rules that somebody sent as they are stored, and notes what is wrong with them.
pub fn check(
    path: &str,
    mut rules: Vec<v1::RoutingRule>,
    url: &dyn Fn(&str) -> Result<String, &'static str>,
    wrong: &mut Violations,
) -> Vec<v1::RoutingRule> {
    if rules.len() > MAX_RULES {
        wrong.add(path, "must be at most 50");
        return Vec::new();
    }
    for (index, rule) in (0..).zip(&mut rules) {
        read(index, &format!("{path}[{index}]."), rule, url, wrong);
    }
    rules
}

/// Reads a rule, notes what is wrong with it and writes into it what is stored of it.
fn read(
    index: u8,
    path: &str,
    rule: &mut v1::RoutingRule,
    url: &dyn Fn(&str) -> Result<String, &'static str>,
    wrong: &mut Violations,
) -> Option<Rule> {
    check_text(&format!("{path}name"), &rule.name, MAX_NAME, wrong);
    if rule.conditions.len() > MAX_CONDITIONS {
        wrong.add(format!("{path}conditions"), "must be at most 20");
    }
    let mut conditions = Vec::with_capacity(rule.conditions.len());
    for (place, condition) in rule.conditions.iter_mut().enumerate() {
        conditions.extend(read_condition(&format!("{path}conditions[{place}]"), condition, wrong));
    }
    let mut variants = Vec::new();
    let mut take_url = |path: &str, raw: &mut String, weight: u32, wrong: &mut Violations| {
        if let Some(checked) = wrong.take(path, url(raw)) {
            raw.clone_from(&checked);
            variants.push((checked.into(), weight));
        }
    };
    match &mut rule.action {
        None => wrong.add(format!("{path}action"), "is required: url or variants"),
        Some(v1::routing_rule::Action::Url(raw)) => take_url(&format!("{path}url"), raw, 1, wrong),
        Some(v1::routing_rule::Action::Variants(given)) => {
            if !(2..=MAX_VARIANTS).contains(&given.variants.len()) {
                wrong.add(format!("{path}variants"), "must be 2 to 20");
            }
            for (place, variant) in given.variants.iter_mut().take(MAX_VARIANTS).enumerate() {
                let path = format!("{path}variants[{place}]");
                match u32::try_from(variant.weight) {
                    Ok(weight @ 1..=MAX_WEIGHT) => {
                        take_url(&format!("{path}.url"), &mut variant.url, weight, wrong);
                    }
                    _ => wrong.add(format!("{path}.weight"), "must be 1 to 10,000"),
                }
            }
        }
    }
    let active = rule.active.unwrap_or(true);
    rule.active = Some(active);
    (!variants.is_empty()).then(|| Rule {
        index,
        name: rule.name.as_str().into(),
        active,
        conditions: conditions.into(),
        variants: variants.into(),
    })
}

fn read_condition(
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
            let path = format!("{path}.languages.languages");
            let languages = &mut given.languages;
            Condition::Languages(read_list(&path, languages, MAX_LIST, wrong, |tag| read_language(tag)))
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

/// Reads the number of a platform.
pub(super) fn read_platform(number: i32) -> Result<v1::Platform, &'static str> {
    let known = v1::Platform::try_from(number).ok().filter(|platform| *platform != v1::Platform::Unspecified);
    known.ok_or("is no platform this server knows")
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

/// Reads the items of a list one by one.
pub(super) fn read_list<G, T>(
    path: &str,
    given: &mut [G],
    most: usize,
    wrong: &mut Violations,
    read: impl Fn(&G) -> Result<T, &'static str>,
) -> Box<[T]> {
    if given.is_empty() || given.len() > most {
        wrong.add(path, format!("must be 1 to {most}"));
    }
    let items = given.iter().take(most).enumerate();
    items.filter_map(|(place, item)| wrong.take(&format!("{path}[{place}]"), read(item))).collect()
}

/// Notes what is wrong with a line of text.
pub(super) fn check_text(path: &str, text: &str, most: usize, wrong: &mut Violations) {
    if text.chars().nth(most).is_some() {
        wrong.add(path, format!("must have at most {most} characters"));
    }
    if text.chars().any(char::is_control) {
        wrong.add(path, "must not contain control characters");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::routing_condition::Condition as Given;
    use v1::routing_rule::Action;

    fn rule(conditions: Vec<Given>) -> v1::RoutingRule {
        let conditions =
            conditions.into_iter().map(|condition| v1::RoutingCondition { condition: Some(condition) });
        v1::RoutingRule {
            conditions: conditions.collect(),
            action: Some(Action::Url("https://example.com/".into())),
            ..v1::RoutingRule::default()
        }
    }

    fn wrong_with(rules: Vec<v1::RoutingRule>) -> Vec<String> {
        let mut wrong = Violations::default();
        check("rules", rules, &|url| can_be_followed(url), &mut wrong);
        wrong.into_inner().into_iter().map(|wrong| wrong.field).collect()
    }

    fn good() -> Vec<v1::RoutingRule> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        vec![
            rule(vec![
                Given::Platforms(v1::PlatformCondition { platforms: vec![1, 3] }),
                Given::Languages(v1::LanguageCondition { languages: texts(&["en", "pt-BR", "zh-Hant-TW"]) }),
                Given::Dates(v1::DateCondition { start_time: time(1), end_time: time(2) }),
                Given::Times(v1::TimeCondition {
                    time_zone: "Europe/Berlin".into(),
                    weekdays: vec![1, 7],
                    ..Default::default()
                }),
                Given::Times(v1::TimeCondition { start_minute: 1320, end_minute: 120, ..Default::default() }),
                Given::Query(v1::QueryCondition { name: "a".into(), value: Some(String::new()) }),
                Given::Referrers(v1::ReferrerCondition { hosts: texts(&["Example.com.", "münchen.de"]) }),
                Given::Networks(v1::NetworkCondition { networks: texts(&["192.0.2.7/24", "2001:db8::1"]) }),
            ]),
            v1::RoutingRule {
                name: "split".into(),
                action: Some(Action::Variants(v1::RoutingVariants {
                    variants: ["https://example.com/a", "https://example.com/b"]
                        .map(|url| v1::RoutingVariant { url: url.into(), weight: 1 })
                        .into(),
                })),
                active: Some(false),
                ..v1::RoutingRule::default()
            },
        ]
    }

    #[test]
    fn what_passes_the_door_can_be_loaded() {
        let mut wrong = Violations::default();
        let checked = check("rules", good(), &|url| can_be_followed(url), &mut wrong);
        assert!(wrong.is_empty(), "{:?}", wrong.into_inner());
        assert_eq!((checked[0].active, checked[1].active), (Some(true), Some(false)));
        let stored = to_bytes(&checked).expect("there are rules");
        assert_eq!(from_bytes(Some(&stored)), checked);
        let loaded = Rules::load(stored.clone());
        let rules: Vec<&Rule> = loaded.iter().collect();
        assert_eq!((rules.len(), rules[0].conditions.len(), rules[1].index), (2, 8, 1));
        assert!(rules[0].active && !rules[1].active);
        assert_eq!(rules[1].variants.len(), 2);
        let Condition::Referrers(hosts) = &rules[0].conditions[6] else { panic!("the order is kept") };
        assert!(hosts.iter().map(|host| &**host).eq(["example.com", "xn--mnchen-3ya.de"]), "{hosts:?}");
        assert_eq!(loaded.stored(), stored);
        assert_eq!(to_bytes(&[]), None);
    }

    #[test]
    fn every_violation_has_its_path() {
        let texts = |text: &str| vec!["good.example".to_owned(), text.to_owned()];
        for (rules, paths) in [
            (vec![rule(Vec::new()); 50], &[][..]),
            (vec![rule(Vec::new()); 51], &["rules"]),
            (vec![v1::RoutingRule::default()], &["rules[0].action"]),
            (
                vec![v1::RoutingRule {
                    name: "x".repeat(101),
                    action: Some(Action::Url("ftp://x/".into())),
                    ..rule(Vec::new())
                }],
                &["rules[0].name", "rules[0].url"],
            ),
            (
                vec![
                    rule(Vec::new()),
                    v1::RoutingRule {
                        conditions: vec![v1::RoutingCondition::default(); 21],
                        ..rule(Vec::new())
                    },
                ],
                &["rules[1].conditions"],
            ),
            (
                vec![v1::RoutingRule {
                    action: Some(Action::Variants(v1::RoutingVariants {
                        variants: vec![v1::RoutingVariant { url: "https://example.com/".into(), weight: 0 }],
                    })),
                    ..v1::RoutingRule::default()
                }],
                &["rules[0].variants", "rules[0].variants[0].weight"],
            ),
            (
                vec![rule(vec![
                    Given::Platforms(v1::PlatformCondition { platforms: vec![0, 4] }),
                    Given::Languages(v1::LanguageCondition { languages: vec!["en_US".into()] }),
                    Given::Languages(v1::LanguageCondition::default()),
                    Given::Dates(v1::DateCondition::default()),
                    Given::Times(v1::TimeCondition {
                        time_zone: "Mars/Base".into(),
                        weekdays: vec![8],
                        start_minute: 1440,
                        end_minute: -1,
                    }),
                    Given::Times(v1::TimeCondition {
                        start_minute: 60,
                        end_minute: 60,
                        ..Default::default()
                    }),
                    Given::Query(v1::QueryCondition::default()),
                    Given::Referrers(v1::ReferrerCondition { hosts: texts("https://x/") }),
                    Given::Networks(v1::NetworkCondition { networks: vec!["192.0.2.0/33".into()] }),
                ])],
                &[
                    "rules[0].conditions[0].platforms.platforms[0]",
                    "rules[0].conditions[0].platforms.platforms[1]",
                    "rules[0].conditions[1].languages.languages[0]",
                    "rules[0].conditions[2].languages.languages",
                    "rules[0].conditions[3].dates",
                    "rules[0].conditions[4].times.time_zone",
                    "rules[0].conditions[4].times.weekdays[0]",
                    "rules[0].conditions[4].times.start_minute",
                    "rules[0].conditions[4].times.end_minute",
                    "rules[0].conditions[5].times.end_minute",
                    "rules[0].conditions[6].query.name",
                    "rules[0].conditions[7].referrers.hosts[1]",
                    "rules[0].conditions[8].networks.networks[0]",
                ],
            ),
        ] {
            let wrong = wrong_with(rules);
            let few: Vec<&String> =
                wrong.iter().filter(|path| !path.starts_with("rules[1].conditions[")).collect();
            assert_eq!(few, paths.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn rules_that_are_not_understood_are_left_out() {
        let mut rules = good();
        // A condition of a newer version reads as none.
        rules[0].conditions.push(v1::RoutingCondition::default());
        let loaded = Rules::load(to_bytes(&rules).expect("there are rules"));
        assert_eq!(loaded.iter().map(|rule| rule.index).collect::<Vec<_>>(), [1]);
        for stored in [&b"garbage"[..], &[0xff; 40], &[]] {
            assert_eq!(Rules::load(stored.to_vec()).iter().count(), 0);
        }
    }
}
