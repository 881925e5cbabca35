//! Questions of replays and their answers as messages.

use prost_types::Duration;

use super::{
    Otherwise,
    again::{Incomplete, Unreplayable},
    diff::{Credit, Diff},
};
use crate::{
    attribution::fraud::{self, rules::Rule},
    error::Violations,
    pb::v1::{
        ReplayAttributionResponse, ReplayCredit, ReplayDiff, ReplayGap, ReplayIncomplete, ReplayMove,
        ReplayRules, TouchOrder,
    },
};

/// How many credits, and how many moves, an answer lists.
const MOST: usize = 1000;
/// What a window may be, in seconds.
const WINDOWS: std::ops::RangeInclusive<i64> = 60..=90 * 86_400;

/// Reads what is to be otherwise, and notes what is wrong with it.
pub fn read(asked: Option<ReplayRules>, wrong: &mut Violations) -> Otherwise {
    let Some(asked) = asked else { return Otherwise::default() };
    let touch = TouchOrder::try_from(asked.touch_order);
    let number = |field: &str, given: Option<i32>, most: u16, wrong: &mut Violations| {
        let good = given.map(|given| u16::try_from(given).ok().filter(|given| (1..=most).contains(given)));
        if good == Some(None) {
            wrong.add(field, format!("must be 1 to {most}"));
        }
        good.flatten()
    };
    let window = |field: &str, given: Option<Duration>, wrong: &mut Violations| {
        let seconds = given.map(|given| given.seconds);
        if seconds.is_some_and(|seconds| !WINDOWS.contains(&seconds)) {
            wrong.add(field, "must be one minute to 90 days");
        }
        seconds
    };
    let mut fraud: Vec<(Rule, _, _)> = Vec::new();
    for (at, asked) in asked.fraud_rules.into_iter().enumerate() {
        let front = format!("rules.fraud_rules[{at}].");
        let rule = Rule::named(&asked.id).filter(|rule| fraud.iter().all(|(other, ..)| other != rule));
        let named = rule.ok_or("must be a rule that ListFraudRules names, each once");
        let Some(rule) = wrong.take(&format!("{front}id"), named) else { continue };
        let said = fraud::wire::read_setting(rule, &front, asked.action, asked.threshold, wrong);
        fraud.extend(said.map(|(action, threshold)| (rule, action, threshold)));
    }
    let first_touch = match wrong.take("rules.touch_order", touch.map_err(|_| "is none this server knows")) {
        None | Some(TouchOrder::Unspecified) => None,
        Some(TouchOrder::Last) => Some(false),
        Some(TouchOrder::First) => Some(true),
    };
    Otherwise {
        likeness: asked.probabilistic,
        threshold: number("rules.probabilistic_threshold", asked.probabilistic_threshold, 100, wrong),
        likeness_window_seconds: window("rules.probabilistic_window", asked.probabilistic_window, wrong),
        same_address: asked.same_address,
        crowd: number("rules.crowd", asked.crowd, 1000, wrong),
        window_seconds: window("rules.attribution_window", asked.attribution_window, wrong),
        first_touch,
        fraud,
    }
}

/// Writes a part of an answer.
pub fn answer(done: i64, total: i64, diff: Option<Diff>) -> ReplayAttributionResponse {
    ReplayAttributionResponse { done_count: done, total_count: total.max(done), diff: diff.map(shown) }
}

fn shown(diff: Diff) -> ReplayDiff {
    let passed = |why| diff.unreplayable.get(&why).copied().unwrap_or_default();
    let truncated = diff.credits.len() > MOST || diff.moves.len() > MOST;
    let mut credits: Vec<_> = diff.credits.iter().collect();
    credits.sort_by_key(|(_, (before, after))| (-(before - after).abs(), -before));
    let mut moves: Vec<_> = diff.moves.iter().collect();
    moves.sort_by_key(|(_, (count, _))| -count);
    ReplayDiff {
        replayed_count: diff.replayed,
        unchanged_count: diff.unchanged,
        moved_count: diff.moved,
        incomplete_count: diff.incomplete.values().sum(),
        incomplete: diff
            .named
            .iter()
            .map(|(install, why)| ReplayIncomplete { install_id: install.to_string(), gap: gap(*why).into() })
            .collect(),
        pending_count: passed(Unreplayable::Pending),
        forgotten_count: passed(Unreplayable::Forgotten),
        unreadable_count: passed(Unreplayable::Unreadable),
        credits: credits
            .into_iter()
            .take(MOST)
            .map(|(credit, (before, after))| {
                let (link_id, campaign) = words(credit.as_ref());
                ReplayCredit { link_id, campaign, before_count: *before, after_count: *after }
            })
            .collect(),
        moves: moves
            .into_iter()
            .take(MOST)
            .map(|((from, to), (count, examples))| {
                let ((from_link_id, from_campaign), (to_link_id, to_campaign)) =
                    (words(from.as_ref()), words(to.as_ref()));
                ReplayMove {
                    from_link_id,
                    from_campaign,
                    to_link_id,
                    to_campaign,
                    install_count: *count,
                    example_install_ids: examples.iter().map(ToString::to_string).collect(),
                }
            })
            .collect(),
        truncated,
    }
}

const fn gap(why: Incomplete) -> ReplayGap {
    match why {
        Incomplete::Window => ReplayGap::Window,
        Incomplete::Crowded => ReplayGap::Crowded,
    }
}

fn words(credit: Option<&Credit>) -> (String, String) {
    credit.map(|credit| (credit.link.to_string(), credit.campaign.clone())).unwrap_or_default()
}
