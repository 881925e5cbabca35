//! A second opinion on attribution, for tests: written from what is promised and not from `decide.rs`, of which it shares no line.
//!
//! It reads nothing but the stored form of the facts, as JSON, and says for every pair of clicks which one stands in the other's
//! way. Slow, plain, and on purpose of another build than what it judges. It uses nothing of the crate, so `tests/it` takes it in by
//! its path:
//!
//! ```ignore
//! #[path = "../../src/attribution/reference.rs"]
//! mod reference;
//! ```

use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::Value;

/// What the second opinion is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// The place of the winner among the candidates.
    pub winner: Option<usize>,
    /// Why there is none, by the name that the enum has.
    pub no_match: Option<&'static str>,
    /// For each candidate `Won`, or the name of the reason why it lost.
    pub fates: Vec<&'static str>,
    /// The score of each.
    pub scores: Vec<u64>,
}

/// Everything that can be wrong with a click by itself, in the order in which it is said.
const FAULTS: [&str; 9] = [
    "NotHuman",
    "AfterInstall",
    "OtherApp",
    "Claimed",
    "WindowPassed",
    "LikenessOff",
    "OtherSystem",
    "BelowThreshold",
    "OtherAddress",
];

/// In which ways one click can stand in another's way, in the order in which it is said.
const RIVALRIES: [&str; 5] = ["OtherAddress", "WeakerEvidence", "LowerScore", "Ambiguous", "Earlier"];

/// Strongest last.
const CLASSES: [&str; 8] = [
    "ViewLikeness",
    "ViewIdentity",
    "Likeness",
    "LinkOpen",
    "Identity",
    "AppClip",
    "Pasteboard",
    "StoreReferrer",
];

/// Gives the opinion on an install, its candidates and the rules, each as it is stored.
pub fn opinion(install: &Value, candidates: &[Value], rules: &Value) -> Opinion {
    let case = Case { install, candidates, rules };
    let all = 0..candidates.len();
    let faults: Vec<Option<&str>> = all.clone().map(|at| case.fault(at)).collect();
    let crowds = [false, true].map(|views| case.visitors(views) > number(&rules["crowd"]));
    let crowded = |at: usize| crowds[usize::from(case.is_view(at))];
    let fates: Vec<&str> = all
        .clone()
        .map(|at| {
            let mut rivals = all.clone().filter(|other| faults[*other].is_none());
            if let Some(fault) = faults[at] {
                fault
            } else if rivals.any(|other| case.beats(other, at, "OtherAddress")) {
                "OtherAddress"
            } else if crowded(at) && case.is_like(at) {
                "Crowded"
            } else {
                let rivals = || {
                    all.clone().filter(|one| faults[*one].is_none() && !(crowded(*one) && case.is_like(*one)))
                };
                let way = RIVALRIES.into_iter().find(|way| rivals().any(|other| case.beats(other, at, way)));
                way.unwrap_or("Won")
            }
        })
        .collect();
    let winner = fates.iter().position(|fate| *fate == "Won");
    let lost = |names: &[&str]| fates.iter().any(|fate| names.contains(fate));
    let no_match = match winner {
        Some(_) => None,
        None if lost(&["Ambiguous", "Crowded"]) => Some("Ambiguous"),
        None if lost(&["OtherSystem", "BelowThreshold", "OtherAddress"]) => Some("NotAlike"),
        None if lost(&["LikenessOff"]) => Some("LikenessOff"),
        None if lost(&["Claimed"]) => Some("Claimed"),
        None if lost(&["WindowPassed"]) => Some("WindowPassed"),
        None => Some("NoClick"),
    };
    Opinion { winner, no_match, fates, scores: all.map(|at| case.score(at)).collect() }
}

struct Case<'a> {
    install: &'a Value,
    candidates: &'a [Value],
    rules: &'a Value,
}

impl Case<'_> {
    fn fault(&self, at: usize) -> Option<&'static str> {
        FAULTS.into_iter().find(|fault| self.has(at, fault))
    }

    fn has(&self, at: usize, fault: &str) -> bool {
        let click = &self.candidates[at];
        let (clicked, installed) = (micros(&click["time"]), micros(&self.install["time"]));
        let like = self.is_like(at);
        match fault {
            "NotHuman" => click["human"] == false,
            "AfterInstall" => installed < clicked,
            "OtherApp" => click["other_app"] == true,
            "Claimed" => click["claimed"] == true,
            "WindowPassed" => {
                let passed = |seconds: &Value| installed - clicked > number(seconds) * 1_000_000;
                passed(&click["window_seconds"])
                    || like && passed(&self.rules["likeness_window_seconds"])
                    // Rules that say nothing of views have none.
                    || self.is_view(at)
                        && self.rules.get("view_window_seconds").map_or(installed > clicked, passed)
            }
            "LikenessOff" => like && self.rules["likeness"] == false,
            "OtherSystem" => like && self.contradicts(at),
            "BelowThreshold" => like && (self.score(at) as i64) < number(&self.rules["threshold"]),
            "OtherAddress" => like && self.rules["same_address"] == true && !self.is_at_address(at),
            other => unreachable!("{other} is no fault"),
        }
    }

    /// Says whether one contender stands in the way of another click in some way, and in none that comes before it.
    fn beats(&self, one: usize, other: usize, way: &str) -> bool {
        let first = RIVALRIES.into_iter().find(|way| self.differs(one, other, way));
        first == Some(way) && self.is_ahead(one, other, way)
    }

    fn differs(&self, one: usize, other: usize, way: &str) -> bool {
        self.is_ahead(one, other, way) || self.is_ahead(other, one, way)
    }

    fn is_ahead(&self, one: usize, other: usize, way: &str) -> bool {
        let [a, b] = [&self.candidates[one], &self.candidates[other]];
        let both_like = self.is_like(one) && a["evidence"] == b["evidence"];
        match way {
            "OtherAddress" => both_like && self.is_at_address(one) && !self.is_at_address(other),
            "WeakerEvidence" => class(a) > class(b),
            "LowerScore" => both_like && self.score(one) > self.score(other),
            "Ambiguous" => both_like && a["visitor"] != b["visitor"],
            "Earlier" => {
                let (a, b) =
                    ((micros(&a["time"]), text(&a["click"])), (micros(&b["time"]), text(&b["click"])));
                a > b
            }
            other => unreachable!("{other} is no rivalry"),
        }
    }

    fn is_like(&self, at: usize) -> bool {
        text(&self.candidates[at]["evidence"]).ends_with("Likeness")
    }

    fn is_view(&self, at: usize) -> bool {
        text(&self.candidates[at]["evidence"]).starts_with("View")
    }

    /// Says whether a fact is known on both sides and the same.
    fn agree(&self, at: usize, fact: &str) -> bool {
        let [a, b] = [&self.candidates[at]["device"][fact], &self.install["device"][fact]];
        a == b && !a.is_null() && *a != ""
    }

    fn is_at_address(&self, at: usize) -> bool {
        self.agree(at, "network") && self.agree(at, "address")
    }

    fn contradicts(&self, at: usize) -> bool {
        let [a, b] = [&self.candidates[at]["device"]["system"], &self.install["device"]["system"]];
        !a.is_null() && !b.is_null() && a != b
    }

    /// Counts the visitors who clicked where the install is, or with `views` also those who only saw something there.
    fn visitors(&self, views: bool) -> i64 {
        let there = |at: &usize| {
            if self.is_view(*at) && !views {
                return false;
            }
            let near = if self.rules["same_address"] == true {
                self.is_at_address(*at)
            } else {
                self.agree(*at, "network")
            };
            near && self.candidates[*at]["human"] == true
        };
        let who = (0..self.candidates.len()).filter(there).map(|at| number(&self.candidates[at]["visitor"]));
        who.collect::<BTreeSet<_>>().len() as i64
    }

    fn score(&self, at: usize) -> u64 {
        if self.contradicts(at) {
            return 0;
        }
        let [click, install] = [&self.candidates[at]["device"], &self.install["device"]];
        let mut score = 0;
        if self.agree(at, "network") {
            score += 40;
        }
        if click["browser"].is_null() || install["browser"].is_null() {
            if self.agree(at, "system") {
                score += if self.agree(at, "version") { 30 } else { 20 };
            }
        } else if self.agree(at, "browser") {
            score += 30;
        }
        score += 10 * u64::from(self.agree(at, "time_zone"));
        score += 10 * u64::from(self.agree(at, "language"));
        score + 10 * u64::from(is_one_shape(&click["screen"], &install["screen"]))
    }
}

fn class(click: &Value) -> usize {
    CLASSES.iter().position(|class| click["evidence"] == *class).expect("a class of evidence")
}

/// In whole numbers: that of the sides' ratios is less than a fiftieth apart, and neither over four.
fn is_one_shape(a: &Value, b: &Value) -> bool {
    let sides = |size: &Value| Some((size[0].as_i64()?, size[1].as_i64()?));
    let (Some(a), Some(b)) = (sides(a), sides(b)) else { return false };
    let (large, small) = if a.0 * a.1 < b.0 * b.1 { (b, a) } else { (a, b) };
    if small.0 == 0 || small.1 == 0 {
        return false;
    }
    let apart = (large.0 * small.1 - large.1 * small.0).abs();
    50 * apart < small.0 * small.1 && large.0 <= 4 * small.0 && large.1 <= 4 * small.1
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

fn micros(value: &Value) -> i64 {
    DateTime::parse_from_rfc3339(text(value)).expect("a moment").timestamp_micros()
}
