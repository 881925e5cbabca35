//! From a report and the clicks it could be of to the row that is stored. Pure.

use std::collections::HashMap;

use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::gather::Told;
use crate::{
    attribution::{
        decide::{
            Candidate, Decision, Evidence, Factor, Fate, Install, Likeness, Loss, NoMatch, Outcome, Rules,
            decide,
        },
        deep_link::{Tap, deep_link},
        device::of_install,
        fraud::rules::{Judgement, Settings, judge},
    },
    clock::{Moment, from_micros},
    entity::install::Model,
    ids::{AppId, ClickId, InstallId, WorkspaceId},
    pb::{
        internal::v1::InstallRecord,
        sdk::v1::{AttributionState, MatchMethod, NoMatchReason},
    },
};

/// What an install was decided from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The install.
    pub install: Install,
    /// The clicks it could have been credited to.
    pub candidates: Vec<Candidate>,
    /// The rules.
    pub rules: Rules,
    /// Whether there were too many clicks of its network to tell them apart; none of them is a candidate then.
    pub crowded: bool,
    /// What the workspace said of the rules of fraud, of those alone that it wanted otherwise.
    #[serde(default, skip_serializing_if = "Settings::is_default")]
    pub fraud: Settings,
}

/// What was decided of an install, and what is odd about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// The sum of the rules of fraud that hold.
    pub flags: i32,
}

impl Facts {
    /// Puts them together.
    pub fn of(report: &InstallRecord, candidates: Vec<Candidate>, crowded: bool, fraud: Settings) -> Self {
        Self {
            install: Install { time: from_micros(report.install_time_micros), device: of_install(report) },
            candidates,
            rules: Rules {
                likeness: report.likeness,
                threshold: u16::try_from(report.threshold).unwrap_or(u16::MAX),
                likeness_window_seconds: report.likeness_window_seconds,
                view_window_seconds: report.view_window_seconds,
                ..Rules::default()
            },
            crowded,
            fraud,
        }
    }

    /// Decides, as if there were no rules of fraud.
    pub fn weigh(&self) -> Decision {
        let mut decision = decide(&self.install, &self.candidates, &self.rules);
        if self.crowded && self.rules.likeness && matches!(decision.outcome, Outcome::Organic(_)) {
            decision.outcome = Outcome::Organic(NoMatch::Ambiguous);
        }
        decision
    }

    /// Decides. `report` is what the facts are of.
    pub fn decide(&self, report: &InstallRecord) -> Decided {
        let mut decision = self.weigh();
        let decided = (decision.outcome, &decision.verdicts[..]);
        let Judgement { flags, rejected } = judge(report, &self.candidates, decided, &self.fraud);
        if let (true, Outcome::Attributed(at)) = (rejected, decision.outcome) {
            decision.verdicts[at].fate = Fate::Lost(Loss::Rejected);
            decision.outcome = Outcome::Organic(NoMatch::Rejected);
        }
        Decided { decision, flags }
    }
}

/// Returns the row of an install that is decided.
pub fn settle(
    (id, workspace, app): (InstallId, WorkspaceId, Option<AppId>),
    report: &InstallRecord,
    facts: &Facts,
    Decided { decision, flags }: &Decided,
    told: &HashMap<ClickId, Told>,
) -> Model {
    let mut row = pending((id, workspace, app), report, None);
    row.facts = serde_json::to_string(facts).unwrap_or_default();
    row.flags = *flags;
    match decision.outcome {
        Outcome::Organic(why) => {
            row.state = AttributionState::Organic as i16;
            row.no_match = no_match(why) as i16;
        }
        Outcome::Attributed(at) => {
            let click = &facts.candidates[at];
            row.state = AttributionState::Attributed as i16;
            row.method = method(click.evidence) as i16;
            let likeness = &decision.verdicts[at].likeness;
            (row.score, row.factors) = if click.evidence.is_likeness() {
                (likeness.score().cast_signed(), factors(likeness))
            } else {
                (100, 0)
            };
            row.link_id = Some(click.link);
            row.click_id = Some(click.click);
            row.click_time = Some(click.time);
            // Who only saw an ad did not ask to be taken anywhere.
            if let Some(Told { credited, query }) =
                told.get(&click.click).filter(|_| !click.evidence.is_view())
            {
                let tap = Tap { click: Some(click.click), time: click.time, query, deferred: true };
                row.deep_link = deep_link(click.link, credited, tap).encode_to_vec();
            }
        }
    }
    row
}

/// Returns the row of an install that is decided later, at `due`.
pub fn pending(
    (id, workspace, app): (InstallId, WorkspaceId, Option<AppId>),
    report: &InstallRecord,
    due: Option<Moment>,
) -> Model {
    Model {
        id,
        workspace_id: workspace,
        app_id: app,
        state: AttributionState::Pending as i16,
        method: 0,
        no_match: 0,
        score: 0,
        factors: 0,
        flags: 0,
        link_id: None,
        click_id: None,
        click_time: None,
        platform: i16::try_from(report.platform).unwrap_or_default(),
        test: report.test,
        install_time: from_micros(report.install_time_micros),
        receive_time: from_micros(report.receive_time_micros),
        reinstalls: 0,
        reinstall_time: None,
        due_time: due,
        report: report.encode_to_vec(),
        facts: String::new(),
        deep_link: Vec::new(),
        decision_salt: None,
    }
}

/// Returns an install as it was before it was decided.
pub fn open_again(row: Model) -> Model {
    Model {
        state: AttributionState::Pending as i16,
        method: 0,
        no_match: 0,
        score: 0,
        factors: 0,
        flags: 0,
        link_id: None,
        click_id: None,
        click_time: None,
        facts: String::new(),
        deep_link: Vec::new(),
        decision_salt: None,
        ..row
    }
}

/// Returns what is left of an install that is forgotten: that it was, and what was counted of it.
pub fn forgotten(row: Model) -> Model {
    Model {
        click_id: None,
        report: Vec::new(),
        facts: String::new(),
        deep_link: Vec::new(),
        due_time: None,
        decision_salt: None,
        ..row
    }
}

/// Returns what click and install had in common, where that was the evidence.
pub fn matched_factors(row: &Model) -> Vec<Factor> {
    Factor::ALL.into_iter().filter(|factor| row.factors & bit(*factor) != 0).collect()
}

fn factors(likeness: &Likeness) -> i16 {
    likeness.terms.iter().filter(|term| term.points > 0).map(|term| bit(term.factor)).sum()
}

const fn bit(factor: Factor) -> i16 {
    1 << factor as i16
}

/// Returns the method's name in metrics.
pub fn method_name(row: &Model) -> &'static str {
    match MatchMethod::try_from(i32::from(row.method)).unwrap_or_default() {
        MatchMethod::Unspecified => match NoMatchReason::try_from(i32::from(row.no_match)) {
            Ok(NoMatchReason::Ambiguous) => "ambiguous",
            Ok(NoMatchReason::Rejected) => "rejected",
            _ => "organic",
        },
        MatchMethod::StoreReferrer => "store_referrer",
        MatchMethod::Pasteboard => "pasteboard",
        MatchMethod::AppClip => "app_clip",
        MatchMethod::Identity => "identity",
        MatchMethod::LinkOpen => "link_open",
        MatchMethod::Probabilistic => "probabilistic",
        MatchMethod::ViewIdentity => "view_identity",
        MatchMethod::ViewProbabilistic => "view_probabilistic",
    }
}

/// Returns the contract's word for a class of evidence.
pub fn method(evidence: Evidence) -> MatchMethod {
    match evidence {
        Evidence::StoreReferrer => MatchMethod::StoreReferrer,
        Evidence::Pasteboard => MatchMethod::Pasteboard,
        Evidence::AppClip => MatchMethod::AppClip,
        Evidence::Identity => MatchMethod::Identity,
        Evidence::LinkOpen => MatchMethod::LinkOpen,
        Evidence::Likeness => MatchMethod::Probabilistic,
        Evidence::ViewIdentity => MatchMethod::ViewIdentity,
        Evidence::ViewLikeness => MatchMethod::ViewProbabilistic,
    }
}

/// Returns the contract's word for why there is no match.
pub fn no_match(why: NoMatch) -> NoMatchReason {
    match why {
        NoMatch::NoClick => NoMatchReason::NoClick,
        NoMatch::WindowPassed => NoMatchReason::WindowPassed,
        NoMatch::NotAlike => NoMatchReason::NotAlike,
        NoMatch::Ambiguous => NoMatchReason::Ambiguous,
        NoMatch::LikenessOff => NoMatchReason::ProbabilisticOff,
        NoMatch::Claimed => NoMatchReason::Claimed,
        NoMatch::Rejected => NoMatchReason::Rejected,
    }
}
