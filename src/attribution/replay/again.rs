//! Decides installs again, by other rules: pure.
//!
//! Everything is decided from what was kept with each install, by the function that decided it. What one install has cannot be another's, and that is
//! looked at anew among the installs that are decided again, which come in the order of `install_time`:
//!
//! - A click that stood as claimed stays so, unless the install that has it lost it here before; what installs outside of the span have they keep.
//! - A click that stood as free is claimed once an install that did not have it got it here.
//!
//! So the rules of today change nothing, whatever the order in which the installs were really decided.

use std::collections::{HashMap, HashSet};

use prost::Message as _;

use crate::{
    attribution::{
        decide::{Candidate, Rules},
        fraud::rules::{Action, Rule, Setting},
        installs::settle::{Facts, settle},
    },
    entity::install::Model,
    ids::{ClickId, InstallId},
    pb::{internal::v1::InstallRecord, sdk::v1::AttributionState},
};

/// The longest window that clicks are gathered for, in seconds: 90 days.
const LONGEST_SECONDS: i64 = 90 * 86_400;

/// What is to be otherwise. What is not set stays as it was with each install.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Otherwise {
    /// Whether likeness is evidence.
    pub likeness: Option<bool>,
    /// The score that it needs.
    pub threshold: Option<u16>,
    /// How long it holds, in seconds.
    pub likeness_window_seconds: Option<i64>,
    /// Whether it asks for the same address.
    pub same_address: Option<bool>,
    /// Of how many visitors there may be clicks with it.
    pub crowd: Option<u16>,
    /// How long after its click an install counts, in seconds, in place of what link, app and report say.
    pub window_seconds: Option<i64>,
    /// Whether the first click of several wins.
    pub first_touch: Option<bool>,
    /// What follows from rules of fraud, and from which number on.
    pub fraud: Vec<(Rule, Option<Action>, Option<i32>)>,
}

impl Otherwise {
    /// Returns what an install is decided from then.
    fn applied(&self, facts: &Facts) -> Facts {
        let mut facts = facts.clone();
        let Rules { likeness, threshold, likeness_window_seconds, same_address, crowd, first_touch, .. } =
            &mut facts.rules;
        put(likeness, self.likeness);
        put(threshold, self.threshold);
        put(likeness_window_seconds, self.likeness_window_seconds);
        put(same_address, self.same_address);
        put(crowd, self.crowd);
        put(first_touch, self.first_touch);
        for candidate in &mut facts.candidates {
            put(&mut candidate.window_seconds, self.window_seconds);
        }
        for (rule, action, threshold) in &self.fraud {
            let before = facts.fraud.of(*rule);
            let setting = Setting {
                action: action.unwrap_or(before.action),
                threshold: threshold.unwrap_or(before.threshold),
            };
            facts.fraud.set(*rule, setting);
        }
        facts
    }

    /// Says what is missing to decide an install by it.
    fn misses(&self, stored: &Stored, after: &Facts) -> Option<Incomplete> {
        let about_likeness = self.likeness.is_some()
            || self.threshold.is_some()
            || self.likeness_window_seconds.is_some()
            || self.same_address.is_some()
            || self.crowd.is_some()
            || self.window_seconds.is_some();
        if !about_likeness || !after.rules.likeness || stored.report.network.is_empty() {
            return None;
        }
        if stored.facts.crowded {
            return Some(Incomplete::Crowded);
        }
        let report = &stored.report;
        let gathered = report.likeness_window_seconds.max(report.default_window_seconds).min(LONGEST_SECONDS);
        let holds = after.rules.likeness_window_seconds.min(self.window_seconds.unwrap_or(i64::MAX));
        (holds > gathered).then_some(Incomplete::Window)
    }
}

fn put<T: Copy>(to: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *to = given;
    }
}

/// Why an install cannot be decided by what is asked for, and is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Incomplete {
    /// Clicks as old as the window asks for were not gathered when it was decided.
    Window,
    /// There were so many clicks of its network that none was kept.
    Crowded,
}

/// Why there is nothing to decide an install from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unreplayable {
    /// It is not decided yet.
    Pending,
    /// It was forgotten.
    Forgotten,
    /// What was kept cannot be read by this release, or nothing was kept.
    Unreadable,
}

/// An install with what it was decided from.
#[derive(Debug, Clone)]
pub struct Stored {
    row: Model,
    report: InstallRecord,
    facts: Facts,
}

impl Stored {
    /// Reads a row.
    pub fn read(row: Model) -> Result<Self, Unreplayable> {
        if row.state == AttributionState::Pending as i16 {
            return Err(Unreplayable::Pending);
        }
        if row.report.is_empty() {
            return Err(Unreplayable::Forgotten);
        }
        let report = InstallRecord::decode(&row.report[..]).map_err(|_| Unreplayable::Unreadable)?;
        let facts = serde_json::from_str(&row.facts).map_err(|_| Unreplayable::Unreadable)?;
        Ok(Self { row, report, facts })
    }

    /// Returns its row.
    pub const fn row(&self) -> &Model {
        &self.row
    }
}

/// What came of an install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// To the byte the same.
    Same,
    /// It would be this.
    Other(Box<Model>),
    /// That cannot be said.
    Incomplete(Incomplete),
}

/// Installs that are decided again, one after the other.
#[derive(Debug)]
pub struct Replay {
    otherwise: Otherwise,
    /// Who has which click, as stored, of those that are decided again.
    owners: HashMap<ClickId, InstallId>,
    /// Clicks that were decided to stay where they are.
    kept: HashSet<ClickId>,
    /// Clicks that somebody got who did not have them.
    got: HashSet<ClickId>,
    /// Clicks that were lost by whoever had them.
    lost: HashSet<ClickId>,
}

impl Replay {
    /// Begins; `owners` says who of those that will come has which click.
    pub fn new(otherwise: Otherwise, owners: HashMap<ClickId, InstallId>) -> Self {
        Self { otherwise, owners, kept: HashSet::new(), got: HashSet::new(), lost: HashSet::new() }
    }

    /// Decides the next one.
    pub fn next(&mut self, stored: &Stored) -> Again {
        let row = &stored.row;
        let mut facts = self.otherwise.applied(&stored.facts);
        if let Some(incomplete) = self.otherwise.misses(stored, &facts) {
            self.kept.extend(row.click_id);
            return Again::Incomplete(incomplete);
        }
        for candidate in &mut facts.candidates {
            candidate.claimed = self.is_claimed(row, candidate);
        }
        let mut after = decided(stored, &facts);
        // Stored facts say that it was free, and yet whoever was decided before here has kept it: it is theirs.
        while let Some(click) = after.click_id.filter(|click| self.is_kept_by_another(row, *click)) {
            for candidate in &mut facts.candidates {
                candidate.claimed |= candidate.click == click;
            }
            after = decided(stored, &facts);
        }
        if after.click_id == row.click_id {
            self.kept.extend(row.click_id);
        } else {
            self.lost.extend(row.click_id);
            if let Some(click) = after.click_id {
                self.got.insert(click);
            }
        }
        if after == *row { Again::Same } else { Again::Other(Box::new(after)) }
    }

    fn is_claimed(&self, row: &Model, candidate: &Candidate) -> bool {
        let click = &candidate.click;
        // A developers' device claims nothing, and is told so.
        if row.test {
            return candidate.claimed;
        }
        let of_another = self.owners.get(click).is_some_and(|owner| *owner != row.id);
        let freed = of_another && self.lost.contains(click);
        self.got.contains(click) || candidate.claimed && !freed
    }

    fn is_kept_by_another(&self, row: &Model, click: ClickId) -> bool {
        self.kept.contains(&click) && self.owners.get(&click).is_some_and(|owner| *owner != row.id)
    }
}

/// Returns the row of an install as it would be by these facts.
fn decided(stored: &Stored, facts: &Facts) -> Model {
    let Stored { row, report, .. } = stored;
    let whose = (row.id, row.workspace_id, row.app_id);
    let after = settle(whose, report, facts, &facts.decide(report), &HashMap::new());
    Model {
        // That the device came again, and what the app was told, is no part of the decision.
        reinstalls: row.reinstalls,
        reinstall_time: row.reinstall_time,
        deep_link: row.deep_link.clone(),
        decision_salt: row.decision_salt.clone(),
        due_time: row.due_time,
        ..after
    }
}
