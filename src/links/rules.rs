//! The routing rules of a link, ready to be tried: laid out so that trying them touches little memory. Pure.
//!
//! A link has up to a thousand conditions and few different ones, and what is far apart in memory costs a visit more than what it
//! decides. So each condition is kept once and asked once, and the rules are numbers in a row; what a rule leads to is read when it fits.

use super::{condition::Condition, routing};

/// How many different conditions are kept and asked once each: as many as a word has bits.
const SHARED: usize = 64;

/// A rule without its conditions, which [`Rules::with_conditions`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its place among the rules of the link, from 0.
    pub index: u8,
    /// May be empty.
    pub name: Box<str>,
    /// Whether it is tried.
    pub active: bool,
    /// The URLs and their weights: one, or several to deal visitors among.
    pub variants: Box<[(Box<str>, u32)]>,
}

/// The rules of a link. Most links have none, and those take no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Option<Box<Loaded>>);

/// Rules as they are stored, and ready to be tried.
#[derive(Debug, Clone, Default)]
struct Loaded {
    stored: Box<[u8]>,
    rules: Box<[Rule]>,
    /// One for each rule.
    trials: Box<[Trial]>,
    /// The conditions of all rules, by their places in `conditions`.
    asked: Box<[u16]>,
    conditions: Box<[Condition]>,
    /// Whether one of them asks who was here before.
    of_history: bool,
}

/// What of a rule decides whether it fits.
#[derive(Debug, Clone, Copy)]
struct Trial {
    active: bool,
    /// Where its conditions begin and end in `asked`.
    begin: u16,
    end: u16,
}

impl PartialEq for Loaded {
    fn eq(&self, other: &Self) -> bool {
        self.stored == other.stored
    }
}

impl Eq for Loaded {}

impl Loaded {
    /// Returns the places of the conditions of a rule.
    fn asked_by(&self, trial: Trial) -> &[u16] {
        &self.asked[usize::from(trial.begin)..usize::from(trial.end)]
    }
}

impl Rules {
    /// Makes rules that are stored ready. A rule that is not understood, because a newer version wrote it or somebody by hand,
    /// is left out and counted: half of its conditions would send the wrong visitors.
    pub fn load(stored: Vec<u8>) -> Self {
        if stored.is_empty() {
            return Self::default();
        }
        let (read, skipped) = routing::read_stored(&stored);
        metrics::counter!("linkforty_routing_rules_skipped_total").increment(skipped as u64);
        let of_history = read.iter().any(|(rule, conditions)| {
            rule.active && conditions.iter().any(|condition| matches!(condition, Condition::Visitors(_)))
        });
        let (mut rules, mut trials, mut asked, mut kept) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (rule, conditions) in read {
            let begin = asked.len() as u16;
            for condition in conditions {
                let place = kept.iter().take(SHARED).position(|other| *other == condition);
                asked.push(place.unwrap_or(kept.len()) as u16);
                if place.is_none() {
                    kept.push(condition);
                }
            }
            trials.push(Trial { active: rule.active, begin, end: asked.len() as u16 });
            rules.push(rule);
        }
        Self(Some(Box::new(Loaded {
            stored: stored.into(),
            rules: rules.into(),
            trials: trials.into(),
            asked: asked.into(),
            conditions: kept.into(),
            of_history,
        })))
    }

    /// Makes rules ready as if they were stored, for tests of what they decide.
    #[cfg(test)]
    pub fn of(rules: &[crate::pb::v1::RoutingRule]) -> Self {
        Self::load(routing::to_bytes(rules).unwrap_or_default())
    }

    /// Returns the first active rule all of whose conditions hold. Of conditions that several rules have, up to so many, `holds` is
    /// asked once.
    pub fn first_that_fits(&self, mut holds: impl FnMut(&Condition) -> bool) -> Option<&Rule> {
        let loaded = self.0.as_deref()?;
        // A bit for each of the first conditions.
        let (mut known, mut held) = (0_u64, 0_u64);
        let mut ask = |place: &u16| {
            let condition = &loaded.conditions[usize::from(*place)];
            let Some(bit) = 1_u64.checked_shl((*place).into()) else { return holds(condition) };
            if known & bit == 0 {
                known |= bit;
                held |= if holds(condition) { bit } else { 0 };
            }
            held & bit != 0
        };
        let fits = |trial: &Trial| trial.active && loaded.asked_by(*trial).iter().all(&mut ask);
        loaded.trials.iter().position(fits).map(|place| &loaded.rules[place])
    }

    /// Returns the rules in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.0.as_ref().map_or(&[][..], |loaded| &loaded.rules).iter()
    }

    /// Returns the rules in their order, with their conditions.
    pub fn with_conditions(&self) -> impl Iterator<Item = (&Rule, impl Iterator<Item = &Condition>)> {
        self.0.iter().flat_map(|loaded| {
            loaded.rules.iter().zip(&loaded.trials).map(|(rule, trial)| {
                let asked = loaded.asked_by(*trial).iter();
                (rule, asked.map(|place| &loaded.conditions[usize::from(*place)]))
            })
        })
    }

    /// Says whether a rule asks who was here before, so that visits must be remembered.
    pub fn ask_who_was_here(&self) -> bool {
        self.0.as_ref().is_some_and(|loaded| loaded.of_history)
    }

    /// Returns the rules as they are stored.
    pub fn stored(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |loaded| &loaded.stored)
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::v1::{
        QueryCondition, RoutingCondition, RoutingRule, routing_condition::Condition as Given,
        routing_rule::Action,
    };

    /// A rule that asks for these parameters.
    fn rule(names: &[String]) -> RoutingRule {
        let condition = |name: &String| RoutingCondition {
            condition: Some(Given::Query(QueryCondition { name: name.clone(), value: None })),
        };
        RoutingRule {
            conditions: names.iter().map(condition).collect(),
            action: Some(Action::Url("https://example.com/".into())),
            ..RoutingRule::default()
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn name(condition: &Condition) -> String {
        let Condition::Query { name, .. } = condition else { panic!("a condition of the test's own") };
        name.to_string()
    }

    #[test]
    fn every_condition_of_a_rule_must_hold_and_each_is_asked_once() {
        let idle = RoutingRule { active: Some(false), ..rule(&[]) };
        let rules = Rules::of(&[
            idle,
            rule(&names(&["a", "x"])),
            rule(&names(&["a", "b", "x"])),
            rule(&names(&["a", "b"])),
            rule(&[]),
        ]);
        for (held, fits, expected) in
            [(&["a", "b"][..], 3, &["a", "x", "b"][..]), (&["b"], 4, &["a"]), (&["a", "x"], 1, &["a", "x"])]
        {
            let mut asked = Vec::new();
            let first = rules.first_that_fits(|condition| {
                asked.push(name(condition));
                held.contains(&&*name(condition))
            });
            assert_eq!((first.map(|rule| rule.index), &*asked), (Some(fits), &*names(expected)), "{held:?}");
        }
        assert_eq!(Rules::default().first_that_fits(|_| true), None);
        assert_eq!(Rules::of(&[rule(&names(&["a"]))]).first_that_fits(|_| false), None);
    }

    #[test]
    fn as_many_conditions_as_a_link_may_have_keep_their_rules() {
        let given: Vec<Vec<String>> =
            (0..50).map(|rule| (0..20).map(|place| format!("{}", rule * 20 + place)).collect()).collect();
        let rules = Rules::of(&given.iter().map(|names| rule(names)).collect::<Vec<_>>());
        for ((rule, conditions), names) in rules.with_conditions().zip(&given) {
            assert_eq!(&conditions.map(name).collect::<Vec<_>>(), names);
            let fits = rules.first_that_fits(|condition| names.contains(&name(condition)));
            assert_eq!(fits, Some(rule));
        }
        // One more rule with conditions of the first and of the last, which are kept twice.
        let mixed = [given.clone(), vec![names(&["3", "999"])]].concat();
        let rules = Rules::of(&mixed[1..].iter().map(|names| rule(names)).collect::<Vec<_>>());
        let fits = rules.first_that_fits(|condition| ["3", "999"].contains(&&*name(condition)));
        assert_eq!(fits.map(|rule| rule.index), Some(49));
    }
}
