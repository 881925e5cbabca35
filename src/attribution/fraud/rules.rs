//! The rules, as data: what each looks at, from which number on, and what follows from it. Pure.
//!
//! None looks at what a forger can set freely. Our clock and that of the store say when something was; the clock of the device is compared for one
//! rule alone, which says something of the clock and nothing of fraud. `docs/attribution.md` says which rules were left out, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    attribution::decide::{Candidate, Evidence, Fate, Loss, Outcome, Verdict},
    pb::internal::v1::InstallRecord,
};

/// What makes an install odd. The numbers are stored, as a sum, with each install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// By the store's own clock the click came after the download had begun.
    ClickInjection = 1,
    /// The app reported sooner after the click than anybody downloads.
    ShortTime = 2,
    /// The store's click and ours are far apart: the click's id was carried off.
    HarvestedClick = 4,
    /// The app was opened before the click that it carries, by the clock of the device. That is no fraud.
    ClockAnomaly = 8,
    /// A link has very many clicks of which next to none brings an install, and those late and evenly. Of links, not of installs.
    ClickFlooding = 16,
}

/// What follows when a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing, and nothing is shown.
    Off,
    /// It is shown.
    Flag,
    /// It is shown, and the install is credited to nobody.
    RejectCredit,
}

/// What a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// The rule.
    pub rule: Rule,
    /// Its name, which is never given another meaning.
    pub id: &'static str,
    /// Goes up when it comes to another result from the same facts and the same number.
    pub version: u32,
    /// The number that it compares with, unless a workspace says otherwise; 0 where it has none.
    pub threshold: i32,
    /// What a workspace may say.
    pub bounds: (i32, i32),
    /// What the number counts; empty where it has none.
    pub unit: &'static str,
    /// Whether a workspace may have it reject.
    pub may_reject: bool,
    /// What it looks at, in a sentence.
    pub meaning: &'static str,
}

/// Every rule.
pub const ALL: [Spec; 5] = [
    Spec {
        rule: Rule::ClickInjection,
        id: "click_injection",
        version: 1,
        // The store counts whole seconds.
        threshold: 1,
        bounds: (1, 60),
        unit: "seconds",
        may_reject: true,
        meaning: "By the store's own clock the click came this much later than the beginning of the download, or more: something else on the device made it.",
    },
    Spec {
        rule: Rule::ShortTime,
        id: "short_time",
        version: 2,
        threshold: 10,
        bounds: (1, 60),
        unit: "seconds",
        may_reject: true,
        meaning: "This server heard of the install sooner than this after the click: nobody downloads so fast.",
    },
    Spec {
        rule: Rule::HarvestedClick,
        id: "harvested_click",
        version: 1,
        threshold: 300,
        bounds: (60, 86_400),
        unit: "seconds",
        may_reject: true,
        meaning: "The click of the store and the one that its referrer names are further apart than this: the id of the click was carried off.",
    },
    Spec {
        rule: Rule::ClockAnomaly,
        id: "clock_anomaly",
        version: 1,
        threshold: 0,
        bounds: (0, 0),
        unit: "",
        may_reject: false,
        meaning: "The install carries a click that is later than itself by the clock of the device. The clock is wrong, and nothing follows from that.",
    },
    Spec {
        rule: Rule::ClickFlooding,
        id: "click_flooding",
        version: 1,
        threshold: 1000,
        bounds: (100, 1_000_000),
        unit: "clicks a day",
        may_reject: false,
        meaning: "A link has this many clicks a day or more, a fifth of the installs for each click that half of the links have or fewer, and its installs come a day after their clicks or later, evenly. Of links: GetFraudReport names them.",
    },
];

impl Rule {
    /// Returns what it is.
    pub fn spec(self) -> &'static Spec {
        ALL.iter().find(|spec| spec.rule == self).expect("every rule stands in the list")
    }

    /// Returns its name.
    pub fn id(self) -> &'static str {
        self.spec().id
    }

    /// Returns the rule of that name.
    pub fn named(id: &str) -> Option<Self> {
        ALL.iter().find(|spec| spec.id == id).map(|spec| spec.rule)
    }

    /// Returns the rules whose numbers make up a sum that is stored.
    pub fn of_flags(flags: i32) -> impl Iterator<Item = Self> {
        ALL.iter().map(|spec| spec.rule).filter(move |rule| flags & *rule as i32 != 0)
    }
}

/// What a workspace says of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Setting {
    /// What follows when it holds.
    pub action: Action,
    /// The number that it compares with.
    pub threshold: i32,
}

/// What a workspace says of the rules, of those alone that it wants otherwise. It is kept with every decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings(pub BTreeMap<Rule, Setting>);

impl Settings {
    /// Says whether it wants nothing otherwise.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what it says of a rule.
    pub fn of(&self, rule: Rule) -> Setting {
        let default = Setting { action: Action::Flag, threshold: rule.spec().threshold };
        self.0.get(&rule).copied().unwrap_or(default)
    }

    /// Says what it wants of a rule.
    pub fn set(&mut self, rule: Rule, setting: Setting) {
        self.0.remove(&rule);
        if self.of(rule) != setting {
            self.0.insert(rule, setting);
        }
    }
}

/// What the rules say of an install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// The sum of those that hold.
    pub flags: i32,
    /// Whether one of them takes the credit away.
    pub rejected: bool,
}

/// Judges an install that was decided like this.
pub fn judge(
    report: &InstallRecord,
    candidates: &[Candidate],
    (outcome, verdicts): (Outcome, &[Verdict]),
    settings: &Settings,
) -> Judgement {
    let winner = match outcome {
        // Who only saw an ad was taken nowhere: the rules are about clicks.
        Outcome::Attributed(at) => candidates.get(at).filter(|click| !click.evidence.is_view()),
        Outcome::Organic(_) => None,
    };
    let mut found = Judgement { flags: 0, rejected: false };
    for spec in &ALL {
        let Setting { action, threshold } = settings.of(spec.rule);
        let seconds = i64::from(threshold);
        let holds = match spec.rule {
            Rule::ClickInjection => winner.is_some_and(|_| is_injected(report, seconds)),
            Rule::ShortTime => winner.is_some_and(|click| is_short(report, click, seconds)),
            Rule::HarvestedClick => winner.is_some_and(|click| is_harvested(report, click, seconds)),
            Rule::ClockAnomaly => {
                matches!(outcome, Outcome::Organic(_)) && is_before_its_click(candidates, verdicts)
            }
            Rule::ClickFlooding => false,
        };
        if holds && action != Action::Off {
            found.flags |= spec.rule as i32;
            found.rejected |= action == Action::RejectCredit && spec.may_reject;
        }
    }
    found
}

fn is_injected(report: &InstallRecord, seconds: i64) -> bool {
    let said = report.store_click_seconds != 0 && report.store_begin_seconds != 0;
    said && report.store_click_seconds > report.store_begin_seconds.saturating_add(seconds)
}

/// By our clock on both ends: who wants to look slower has to be slower.
fn is_short(report: &InstallRecord, click: &Candidate, seconds: i64) -> bool {
    // An app that was installed already is opened at once.
    let downloaded = click.evidence != Evidence::LinkOpen && click.evidence != Evidence::AppClip;
    let took = report.receive_time_micros.saturating_sub(click.time.timestamp_micros());
    downloaded && took < seconds * 1_000_000
}

fn is_harvested(report: &InstallRecord, click: &Candidate, seconds: i64) -> bool {
    let apart = report.store_click_seconds.saturating_sub(click.time.timestamp()).saturating_abs();
    report.store_click_seconds != 0 && click.evidence == Evidence::StoreReferrer && apart > seconds
}

fn is_before_its_click(candidates: &[Candidate], verdicts: &[Verdict]) -> bool {
    candidates.iter().zip(verdicts).any(|(click, verdict)| {
        !click.evidence.is_likeness() && verdict.fate == Fate::Lost(Loss::AfterInstall)
    })
}
