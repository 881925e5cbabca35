//! What was decided against a second opinion, on random histories; and whether each reason to lose is one.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use uuid::Uuid;

use super::{
    decide::*,
    reference::{Opinion, opinion},
};
use crate::{
    clock::{Moment, from_micros},
    ids::{ClickId, LinkId},
};

const NOW: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;

/// An install with its candidates and the rules.
#[derive(Debug, Clone)]
struct History {
    install: Install,
    candidates: Vec<Candidate>,
    rules: Rules,
}

impl History {
    /// Draws one. There are few values of everything, so that what is equal, at an edge or in the way of another is common.
    fn of(rng: &mut StdRng) -> Self {
        let mut install = Install { time: from_micros(NOW), device: device(rng) };
        if rng.random_bool(0.8) {
            install.device.browser = None;
        }
        let rules = Rules {
            version: RULES_VERSION,
            likeness: rng.random_bool(0.9),
            threshold: one(rng, &[1, 50, 60, 70, 70, 80, 100]),
            likeness_window_seconds: one(rng, &[60, 3600, 7200]),
            same_address: rng.random_bool(0.6),
            crowd: one(rng, &[0, 2, 3, 10, 10, 10]),
            first_touch: false,
            view_window_seconds: one(rng, &[0, 3600, 7200, 86_400]),
        };
        let many = rng.random_range(0..9);
        let by_likeness = one(rng, &[0.3, 0.9, 1.0]);
        let candidates = (0..many).map(|at| candidate(rng, at, &install, by_likeness)).collect();
        Self { install, candidates, rules }
    }

    fn decide(&self) -> Decision {
        decide(&self.install, &self.candidates, &self.rules)
    }

    /// Returns the decision, once it is the same from what is stored and in the second opinion.
    fn agreed(&self) -> Decision {
        let decision = self.decide();
        let stored =
            serde_json::to_string(&(&self.install, &self.candidates, &self.rules)).expect("it is JSON");
        let (install, candidates, rules) = serde_json::from_str(&stored).expect("it is what was stored");
        assert_eq!(Self { install, candidates, rules }.decide(), decision, "{stored}");
        let values: (serde_json::Value, Vec<serde_json::Value>, serde_json::Value) =
            serde_json::from_str(&stored).expect("it is JSON");
        let second = opinion(&values.0, &values.1, &values.2);
        assert_eq!(told(&decision), second, "{stored}");
        decision
    }
}

fn told(decision: &Decision) -> Opinion {
    let (winner, no_match) = match decision.outcome {
        Outcome::Attributed(at) => (Some(at), None),
        Outcome::Organic(why) => (None, Some(name_of_none(why))),
    };
    Opinion {
        winner,
        no_match,
        fates: decision.verdicts.iter().map(|verdict| name(verdict.fate)).collect(),
        scores: decision.verdicts.iter().map(|verdict| u64::from(verdict.likeness.score())).collect(),
    }
}

fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Won => "Won",
        Fate::Lost(Loss::NotHuman) => "NotHuman",
        Fate::Lost(Loss::AfterInstall) => "AfterInstall",
        Fate::Lost(Loss::OtherApp) => "OtherApp",
        Fate::Lost(Loss::Claimed) => "Claimed",
        Fate::Lost(Loss::WindowPassed) => "WindowPassed",
        Fate::Lost(Loss::LikenessOff) => "LikenessOff",
        Fate::Lost(Loss::OtherSystem) => "OtherSystem",
        Fate::Lost(Loss::BelowThreshold) => "BelowThreshold",
        Fate::Lost(Loss::OtherAddress) => "OtherAddress",
        Fate::Lost(Loss::Crowded) => "Crowded",
        Fate::Lost(Loss::WeakerEvidence) => "WeakerEvidence",
        Fate::Lost(Loss::LowerScore) => "LowerScore",
        Fate::Lost(Loss::Ambiguous) => "Ambiguous",
        Fate::Lost(Loss::Earlier) => "Earlier",
        Fate::Lost(Loss::Later) => "Later",
        Fate::Lost(Loss::Rejected) => "Rejected",
    }
}

fn name_of_none(why: NoMatch) -> &'static str {
    match why {
        NoMatch::NoClick => "NoClick",
        NoMatch::WindowPassed => "WindowPassed",
        NoMatch::NotAlike => "NotAlike",
        NoMatch::Ambiguous => "Ambiguous",
        NoMatch::LikenessOff => "LikenessOff",
        NoMatch::Claimed => "Claimed",
        NoMatch::Rejected => "Rejected",
    }
}

/// Every way to lose; a new one that is not here fails the count below.
const LOSSES: [&str; 14] = [
    "NotHuman",
    "AfterInstall",
    "OtherApp",
    "Claimed",
    "WindowPassed",
    "LikenessOff",
    "OtherSystem",
    "BelowThreshold",
    "OtherAddress",
    "Crowded",
    "WeakerEvidence",
    "LowerScore",
    "Ambiguous",
    "Earlier",
];
const NO_MATCHES: [&str; 6] = ["NoClick", "WindowPassed", "NotAlike", "Ambiguous", "LikenessOff", "Claimed"];

fn one<T: Clone>(rng: &mut StdRng, of: &[T]) -> T {
    of.choose(rng).expect("there are some").clone()
}

fn device(rng: &mut StdRng) -> Device {
    let text = |text: &str| Some(text.to_owned());
    Device {
        network: one(rng, &[vec![], vec![1, 2, 3], vec![1, 2, 3], vec![1, 2, 4], vec![1, 2, 3, 0, 0, 0]]),
        address: one(rng, &[None, Some(1), Some(1), Some(2)]),
        system: one(
            rng,
            &[None, Some(System::Ios), Some(System::Ios), Some(System::Android), Some(System::Other)],
        ),
        version: one(rng, &[None, Some(26), Some(26), Some(18)]),
        browser: one(rng, &[None, text("iphone|safari"), text("android|chrome")]),
        time_zone: one(rng, &[None, text("Europe/Zurich"), text("UTC")]),
        language: one(rng, &[None, text("de"), text("de"), text("en")]),
        screen: one(
            rng,
            &[
                None,
                Some((390, 844)),
                Some((390, 844)),
                Some((1170, 2532)),
                Some((360, 800)),
                Some((0, 844)),
                Some((100, 216)),
            ],
        ),
    }
}

fn candidate(rng: &mut StdRng, at: u128, install: &Install, by_likeness: f64) -> Candidate {
    let mut looks = device(rng);
    if rng.random_bool(0.75) {
        // The same phone, but for a fact or two.
        let other = std::mem::replace(&mut looks, install.device.clone());
        for _ in 0..rng.random_range(0..3) {
            match rng.random_range(0..7) {
                0 => looks.network.clone_from(&other.network),
                1 => looks.address = other.address,
                2 => looks.system = other.system,
                3 => looks.version = other.version,
                4 => looks.time_zone.clone_from(&other.time_zone),
                5 => looks.language.clone_from(&other.language),
                _ => looks.screen = other.screen,
            }
        }
        looks.browser = other.browser;
    }
    let edge = one(rng, &[0, 60, 3600, 7200]) * SECOND;
    let near = one(rng, &[-1, 0, 0, 1]);
    let inside = rng.random_range(0..4) * 15 * SECOND;
    Candidate {
        // Not in the order of their places, and none twice.
        click: ClickId(Uuid::from_u128(u128::from(rng.random::<u32>()) << 8 | at)),
        link: LinkId(Uuid::from_u128(rng.random_range(1..4))),
        time: from_micros(NOW - if rng.random_bool(0.5) { edge + near } else { inside }),
        evidence: if rng.random_bool(by_likeness) {
            one(rng, &[Evidence::Likeness, Evidence::Likeness, Evidence::ViewLikeness])
        } else {
            // Whatever clicks stand beside a view win, so there are more of those.
            one(rng, &[&Evidence::ALL[..], &[Evidence::ViewIdentity; 3]].concat())
        },
        visitor: rng.random_range(1..5),
        human: rng.random_bool(0.93),
        claimed: rng.random_bool(0.1),
        other_app: rng.random_bool(0.05),
        window_seconds: one(rng, &[60, 3600, 7200, 604_800]),
        device: looks,
    }
}

#[test]
fn a_second_opinion_names_the_same_click_and_the_same_reasons_on_twelve_thousand_histories() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut fates: BTreeMap<&str, u32> = BTreeMap::new();
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..12_000 {
        let history = History::of(&mut rng);
        let decision = history.agreed();
        for verdict in &decision.verdicts {
            *fates.entry(name(verdict.fate)).or_default() += 1;
        }
        let outcome = match decision.outcome {
            Outcome::Attributed(at) => format!("by {:?}", history.candidates[at].evidence),
            Outcome::Organic(why) => name_of_none(why).to_owned(),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    // Otherwise the check would be hollow.
    for loss in LOSSES.into_iter().chain(["Won"]) {
        assert!(fates.get(loss).is_some_and(|often| *often >= 300), "{loss}: {fates:?}");
    }
    for none in NO_MATCHES {
        assert!(outcomes.get(none).is_some_and(|often| *often >= 100), "{none}: {outcomes:?}");
    }
    for class in Evidence::ALL {
        assert!(
            outcomes.get(&format!("by {class:?}")).is_some_and(|often| *often >= 100),
            "{class:?}: {outcomes:?}"
        );
    }
    assert_eq!(fates.len(), LOSSES.len() + 1);
}

#[test]
fn the_order_of_the_candidates_decides_nothing() {
    let mut rng = StdRng::seed_from_u64(8);
    for _ in 0..3000 {
        let history = History::of(&mut rng);
        let fate_of = |history: &History| -> BTreeMap<ClickId, &str> {
            let verdicts = history.decide().verdicts;
            history
                .candidates
                .iter()
                .zip(verdicts)
                .map(|(click, verdict)| (click.click, name(verdict.fate)))
                .collect()
        };
        let mut turned = history.clone();
        turned.candidates.reverse();
        assert_eq!(fate_of(&turned), fate_of(&history));
        turned.candidates.sort_by_key(|click| click.click);
        assert_eq!(fate_of(&turned), fate_of(&history));
    }
}

#[test]
fn a_loser_whose_one_fact_is_changed_loses_for_it_no_more() {
    let mut rng = StdRng::seed_from_u64(10);
    let mut won: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..4000 {
        let history = History::of(&mut rng);
        let before = history.decide();
        for (at, verdict) in before.verdicts.iter().enumerate() {
            let Fate::Lost(loss) = verdict.fate else { continue };
            let changed = mended(&history, &before, at, loss);
            // The second opinion takes its time, so it is asked of some.
            let after = if at == 0 { changed.agreed() } else { changed.decide() };
            match after.verdicts[at].fate {
                Fate::Won => {
                    *won.entry(name(verdict.fate)).or_default() += 1;
                    assert_eq!(after.outcome, Outcome::Attributed(at));
                    assert_ne!(after.outcome, before.outcome);
                }
                // What else stands in its way comes later: the first thing was named.
                Fate::Lost(next) => assert!(next > loss, "{loss:?}, then {next:?}: {history:?}"),
            }
            if loss == Loss::Ambiguous {
                assert!(matches!(after.outcome, Outcome::Attributed(_)), "{history:?}");
            }
        }
    }
    for loss in LOSSES {
        assert!(won.get(loss).is_some_and(|often| *often >= 20), "{loss}: {won:?}");
    }
}

/// Changes the one fact that a reason names.
fn mended(history: &History, decision: &Decision, at: usize, loss: Loss) -> History {
    let mut changed = history.clone();
    let History { install, candidates, rules } = &mut changed;
    let winner: Option<(Moment, ClickId)> = match decision.outcome {
        Outcome::Attributed(winner) => Some((candidates[winner].time, candidates[winner].click)),
        Outcome::Organic(_) => None,
    };
    let click = &mut candidates[at];
    match loss {
        Loss::NotHuman => click.human = true,
        Loss::AfterInstall => click.time = install.time,
        Loss::OtherApp => click.other_app = false,
        Loss::Claimed => click.claimed = false,
        Loss::WindowPassed => {
            let long = (install.time - click.time).num_seconds() + 1;
            click.window_seconds = click.window_seconds.max(long);
            rules.likeness_window_seconds = rules.likeness_window_seconds.max(long);
            rules.view_window_seconds = rules.view_window_seconds.max(long);
        }
        Loss::LikenessOff => rules.likeness = true,
        Loss::OtherSystem => click.device.system = install.device.system,
        Loss::BelowThreshold => {
            let copy = likeness(&install.device, &install.device).score();
            if copy >= rules.threshold {
                click.device = install.device.clone();
            } else {
                // Of this install too little is known.
                rules.threshold = likeness(&click.device, &install.device).score();
            }
        }
        Loss::OtherAddress => {
            let Device { network, address, .. } = install.device.clone();
            if network.is_empty() || address.is_none() {
                rules.same_address = false;
            } else {
                (click.device.network, click.device.address) = (network, address);
            }
        }
        Loss::Crowded => rules.crowd = u16::MAX,
        Loss::WeakerEvidence => click.evidence = Evidence::StoreReferrer,
        Loss::LowerScore => click.device = install.device.clone(),
        Loss::Ambiguous => {
            let visitor = click.visitor;
            for other in candidates {
                other.visitor = visitor;
            }
        }
        Loss::Earlier => {
            let (time, _) = winner.expect("somebody was later");
            click.time = (time + chrono::Duration::microseconds(1)).min(install.time);
            click.click = ClickId(Uuid::max());
        }
        // The histories have the last touch, and what a workspace makes of rules of fraud is not decided here.
        Loss::Later | Loss::Rejected => unreachable!("nothing loses for it"),
    }
    changed
}
