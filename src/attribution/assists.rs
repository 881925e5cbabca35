//! Which clicks of an install had a part in it without the credit, from the facts that it was decided from. Pure.

use super::{
    decide::{Fate, Loss, Outcome},
    installs::settle::Facts,
};

/// Returns the places of the clicks that assisted: those of people, within their windows, that lost to a better click and to nothing else. None
/// where no click has the install: then nothing was assisted. Of an install whose credit a rule of fraud took away, nothing did: that is the
/// caller's to know. An ad that was only seen assists nothing.
pub fn assists(facts: &Facts) -> Vec<usize> {
    let decision = facts.weigh();
    if !matches!(decision.outcome, Outcome::Attributed(_)) {
        return Vec::new();
    }
    let beaten = |fate| matches!(fate, Fate::Lost(Loss::WeakerEvidence | Loss::LowerScore | Loss::Earlier));
    let verdicts = facts.candidates.iter().zip(&decision.verdicts).enumerate();
    verdicts
        .filter(|(_, (click, verdict))| beaten(verdict.fate) && !click.evidence.is_view())
        .map(|(place, _)| place)
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use uuid::Uuid;

    use super::*;
    use crate::{
        attribution::{
            decide::{Candidate, Device, Evidence, Install, Rules},
            fraud::rules::Settings,
        },
        clock::{Moment, from_micros},
        ids::{ClickId, LinkId},
    };

    fn now() -> Moment {
        from_micros(1_800_000_000_000_000)
    }

    fn click(number: u128, evidence: Evidence, minutes: i64) -> Candidate {
        Candidate {
            click: ClickId(Uuid::from_u128(number)),
            link: LinkId(Uuid::from_u128(number)),
            time: now() - Duration::minutes(minutes),
            evidence,
            visitor: 1,
            human: true,
            claimed: false,
            other_app: false,
            window_seconds: 3600,
            device: Device::default(),
        }
    }

    fn of(candidates: Vec<Candidate>) -> Vec<usize> {
        let rules = Rules { view_window_seconds: 3600, ..Rules::default() };
        let install = Install { time: now(), device: Device::default() };
        assists(&Facts { install, candidates, rules, crowded: false, fraud: Settings::default() })
    }

    #[test]
    fn whoever_lost_to_a_better_click_and_to_nothing_else_assisted() {
        use Evidence::{Identity, LinkOpen, StoreReferrer, ViewIdentity};
        let with = |number, change: fn(&mut Candidate)| {
            let mut click = click(number, Identity, 10);
            change(&mut click);
            click
        };
        let candidates = vec![
            click(1, LinkOpen, 5),
            click(2, StoreReferrer, 20),
            click(3, StoreReferrer, 30),
            click(4, ViewIdentity, 1),
            with(5, |click| click.human = false),
            with(6, |click| click.claimed = true),
            with(7, |click| click.window_seconds = 60),
            with(8, |click| click.other_app = true),
            with(9, |_| ()),
            click(10, Evidence::Likeness, 1),
        ];
        assert_eq!(of(candidates), [0, 2, 8]);
        assert_eq!(of(vec![click(1, Identity, 5)]), Vec::<usize>::new(), "the winner assists nobody");
        assert_eq!(of(vec![click(1, Identity, 61)]), Vec::<usize>::new());
        assert_eq!(of(Vec::new()), Vec::<usize>::new());
    }
}
