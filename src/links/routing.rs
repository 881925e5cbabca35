//! Routing rules: read from what clients send and from what is stored, by the same words, so that whatever passes the door
//! can be loaded (`rules.rs`). Pure. `redirect/rules.rs` says whom they fit.

use prost::Message as _;

use super::{
    condition::{Condition, read_condition},
    rules::Rule,
};
use crate::{error::Violations, pb::v1};

const MAX_RULES: usize = 50;
const MAX_CONDITIONS: usize = 20;
pub(super) const MAX_NAME: usize = 100;
const MAX_VARIANTS: usize = 20;
const MAX_WEIGHT: u32 = 10_000;

/// How rules are stored: protobuf, since every version reads what it knows of it.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, repeated, tag = "1")]
    rules: Vec<v1::RoutingRule>,
}

/// Reads rules that are stored, each with its conditions. Says too how many are not understood.
pub(super) fn read_stored(stored: &[u8]) -> (Vec<(Rule, Vec<Condition>)>, usize) {
    let Ok(Stored { rules }) = Stored::decode(stored) else { return (Vec::new(), 1) };
    let count = rules.len();
    let read: Vec<_> = (0..=u8::MAX)
        .zip(rules)
        .filter_map(|(index, mut rule)| {
            let mut wrong = Violations::default();
            let read = read(index, "", &mut rule, &|url| can_be_followed(url), &mut wrong);
            read.filter(|_| wrong.is_empty())
        })
        .collect();
    let skipped = count - read.len();
    (read, skipped)
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

/// Reads a rule and its conditions, notes what is wrong with it and writes into it what is stored of it.
fn read(
    index: u8,
    path: &str,
    rule: &mut v1::RoutingRule,
    url: &dyn Fn(&str) -> Result<String, &'static str>,
    wrong: &mut Violations,
) -> Option<(Rule, Vec<Condition>)> {
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
    (!variants.is_empty()).then(|| {
        let rule = Rule { index, name: rule.name.as_str().into(), active, variants: variants.into() };
        (rule, conditions)
    })
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
    use crate::links::rules::Rules;
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

    fn system(system: i32, min: &str, max: &str) -> v1::OperatingSystemRange {
        v1::OperatingSystemRange { system, min_version: min.into(), max_version: max.into() }
    }

    fn good() -> Vec<v1::RoutingRule> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        vec![
            rule(vec![
                Given::Platforms(v1::PlatformCondition { platforms: vec![1, 3] }),
                Given::Languages(v1::LanguageCondition {
                    languages: texts(&["en", "pt-BR", "zh-Hant-TW"]),
                    min_quality: Some(900),
                }),
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
                Given::Countries(v1::CountryCondition { countries: texts(&["CH", "de"]) }),
                Given::Regions(v1::RegionCondition {
                    regions: texts(&["us-ca", "GB-ENG", "FR-75C", "CZ-7"]),
                }),
                Given::Cities(v1::CityCondition { cities: texts(&["Zurich", "São Paulo"]) }),
                Given::OperatingSystems(v1::OperatingSystemCondition {
                    systems: vec![system(1, "16.4", "17"), system(2, "", "")],
                }),
                Given::Devices(v1::DeviceCondition { types: vec![1, 2, 3] }),
                Given::Browsers(v1::BrowserCondition { browsers: vec![1, 20, 38] }),
                Given::Visitors(v1::VisitorCondition { history: 2 }),
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
        let conditions: Vec<Vec<&Condition>> =
            loaded.with_conditions().map(|(_, conditions)| conditions.collect()).collect();
        assert_eq!((rules.len(), conditions[0].len(), rules[1].index), (2, 15, 1));
        assert!(rules[0].active && !rules[1].active);
        assert_eq!(rules[1].variants.len(), 2);
        let Condition::Referrers(hosts) = conditions[0][6] else { panic!("the order is kept") };
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
                    Given::Languages(v1::LanguageCondition {
                        languages: vec!["en_US".into()],
                        min_quality: Some(0),
                    }),
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
                    Given::Countries(v1::CountryCondition { countries: vec!["Switzerland".into()] }),
                    Given::Regions(v1::RegionCondition { regions: vec!["CA".into(), "US-".into()] }),
                    Given::Cities(v1::CityCondition { cities: vec![" ".into(), "x".repeat(101)] }),
                    Given::OperatingSystems(v1::OperatingSystemCondition {
                        systems: vec![system(0, "x", "1.2.3.4.5"), system(1, "17.1", "17.0")],
                    }),
                    Given::OperatingSystems(v1::OperatingSystemCondition::default()),
                    Given::Devices(v1::DeviceCondition { types: vec![4] }),
                    Given::Browsers(v1::BrowserCondition { browsers: vec![0, 7] }),
                    Given::Visitors(v1::VisitorCondition::default()),
                ])],
                &[
                    "rules[0].conditions[0].platforms.platforms[0]",
                    "rules[0].conditions[0].platforms.platforms[1]",
                    "rules[0].conditions[1].languages.min_quality",
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
                    "rules[0].conditions[9].countries.countries[0]",
                    "rules[0].conditions[10].regions.regions[0]",
                    "rules[0].conditions[10].regions.regions[1]",
                    "rules[0].conditions[11].cities.cities[1]",
                    "rules[0].conditions[11].cities.cities[0]",
                    "rules[0].conditions[12].operating_systems.systems[0].system",
                    "rules[0].conditions[12].operating_systems.systems[0].min_version",
                    "rules[0].conditions[12].operating_systems.systems[0].max_version",
                    "rules[0].conditions[12].operating_systems.systems[1].max_version",
                    "rules[0].conditions[13].operating_systems.systems",
                    "rules[0].conditions[14].devices.types[0]",
                    "rules[0].conditions[15].browsers.browsers[0]",
                    "rules[0].conditions[15].browsers.browsers[1]",
                    "rules[0].conditions[16].visitors.history",
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
    fn rules_say_whether_visits_must_be_remembered() {
        let asks = rule(vec![Given::Visitors(v1::VisitorCondition { history: 1 })]);
        let idle = v1::RoutingRule { active: Some(false), ..asks.clone() };
        for (rules, expected) in [
            (vec![], false),
            (vec![rule(vec![])], false),
            (vec![idle], false),
            (vec![rule(vec![]), asks], true),
        ] {
            assert_eq!(Rules::of(&rules).ask_who_was_here(), expected);
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
