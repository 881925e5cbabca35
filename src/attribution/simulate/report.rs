//! What the decisions are worth, and how it is told.

use std::{
    collections::BTreeMap,
    fmt::{Display, Formatter, Result},
};

use chrono::Duration;
use serde::Serialize;

use super::{
    history::{History, Install},
    judge::Answer,
};
use crate::attribution::decide::{Evidence, NoMatch};

/// How often what was decided is true.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Installs whose click is within the window of its link, by the strongest evidence that came with them.
    pub findable: u32,
    /// Those of them that are credited to it.
    pub found: u32,
    /// Installs that are credited to some click by this evidence.
    pub attributed: u32,
    /// Those of them that are credited to the person's own click.
    pub right: u32,
}

impl Tally {
    /// Returns how many are credited to a stranger's click.
    pub const fn wrong(&self) -> u32 {
        self.attributed - self.right
    }

    /// Returns the share of what is credited that is right; 1 when nothing is.
    pub fn precision(&self) -> f64 {
        share(self.right, self.attributed)
    }

    /// Returns the share of what could be found that is; 1 when there is nothing to find.
    pub fn recall(&self) -> f64 {
        share(self.found, self.findable)
    }

    fn add(&mut self, other: &Self) {
        let Self { findable, found, attributed, right } = other;
        self.findable += findable;
        self.found += found;
        self.attributed += attributed;
        self.right += right;
    }
}

fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 { 1.0 } else { f64::from(part) / f64::from(whole) }
}

/// What a way to decide is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Worth {
    /// Each class of evidence.
    pub classes: BTreeMap<Evidence, Tally>,
    /// All of them together.
    pub all: Tally,
    /// Findable installs that are credited to nothing, by the reason that is given for it.
    pub missed: BTreeMap<NoMatch, u32>,
}

impl Worth {
    /// Counts what answers are worth.
    pub(super) fn of(history: &History, answers: &[Answer]) -> Self {
        // Nobody is shown ads there.
        let clicks = Evidence::ALL.into_iter().filter(|class| !class.is_view());
        let mut classes: BTreeMap<_, _> = clicks.map(|class| (class, Tally::default())).collect();
        let mut missed = BTreeMap::from(NoMatch::ALL.map(|why| (why, 0)));
        for (install, answer) in history.installs.iter().zip(answers) {
            let right = answer.is_ok_and(|(click, _)| is_right(history, install, click));
            if let Some(evidence) = findable(history, install) {
                let tally = classes.entry(evidence).or_default();
                tally.findable += 1;
                tally.found += u32::from(right);
                if let Err(why) = answer {
                    *missed.entry(*why).or_default() += 1;
                }
            }
            if let Ok((_, evidence)) = answer {
                let tally = classes.entry(*evidence).or_default();
                tally.attributed += 1;
                tally.right += u32::from(right);
            }
        }
        let mut all = Tally::default();
        for tally in classes.values() {
            all.add(tally);
        }
        Self { classes, all, missed }
    }

    /// Returns what one class of evidence is worth.
    pub fn of_class(&self, class: Evidence) -> Tally {
        self.classes.get(&class).cloned().unwrap_or_default()
    }
}

/// Says whether a click is this person's own, on a link that brought them.
fn is_right(history: &History, install: &Install, click: usize) -> bool {
    let click = &history.clicks[click];
    click.person == Some(install.person)
        && install.own.iter().any(|own| history.clicks[*own].link == click.link)
}

/// Returns the strongest evidence for the click of an install, if that is within its window.
fn findable(history: &History, install: &Install) -> Option<Evidence> {
    let in_window = |own: &&usize| {
        let click = &history.clicks[**own];
        install.time - click.time <= Duration::seconds(click.window_seconds)
    };
    install.own.iter().find(in_window)?;
    Some(install.tokens.iter().map(|(evidence, _)| *evidence).min().unwrap_or(Evidence::Likeness))
}

/// One cell of the grid of windows and thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// How long likeness holds, in hours.
    pub window_hours: i64,
    /// The score from which on it is evidence.
    pub threshold: u16,
    /// Whether it asks for the same address.
    pub same_address: bool,
    /// What likeness is worth then.
    pub likeness: Tally,
    /// What everything is worth then.
    pub all: Tally,
}

/// What a run found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The seed it follows from.
    pub seed: u64,
    /// How many people there are.
    pub people: usize,
    /// How many days they lived.
    pub days: u32,
    /// Clicks of people and of programs.
    pub clicks: usize,
    /// Installs.
    pub installs: usize,
    /// Those that a click within the window of its link came before.
    pub after_a_click: u32,
    /// How long likeness holds, in seconds.
    pub window_seconds: i64,
    /// The score from which on it is evidence.
    pub threshold: u16,
    /// Our rules.
    pub ours: Worth,
    /// Other windows and thresholds of them, when asked for.
    pub grid: Vec<Cell>,
    /// LinkForty 1.21.
    pub linkforty: Worth,
    /// LinkForty as its sources became afterwards.
    pub linkforty_next: Worth,
}

const HEAD: &str = "installs   found  recall  attributed   wrong  precision";

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { findable, found, attributed, .. } = self;
        let (recall, wrong, precision) = (100.0 * self.recall(), self.wrong(), 100.0 * self.precision());
        write!(f, "{findable:8}  {found:6}  {recall:5.1}%  {attributed:10}  {wrong:6}  {precision:8.2}%")
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { seed, people, days, clicks, installs, after_a_click, window_seconds, threshold, .. } =
            self;
        writeln!(
            f,
            "seed {seed}: {people} people, {days} days, {clicks} clicks, {installs} installs, {after_a_click} of them after a click"
        )?;
        writeln!(
            f,
            "likeness holds for {} h from a score of {threshold} on\n",
            *window_seconds as f64 / 3600.0
        )?;
        writeln!(f, "{:26}  {HEAD}", "evidence")?;
        for (class, tally) in &self.ours.classes {
            writeln!(f, "{:26}  {tally}", name(*class))?;
        }
        writeln!(f, "{:26}  {}\n", "all", self.ours.all)?;
        writeln!(f, "{:26}  installs", "not found, because")?;
        for (why, times) in self.ours.missed.iter().filter(|(_, times)| **times > 0) {
            writeln!(f, "{:26}  {times:8}", reason(*why))?;
        }
        writeln!(f)?;
        writeln!(f, "{:26}  {HEAD}", "LinkForty's rules")?;
        writeln!(f, "{:26}  {}", "1.21", self.linkforty.all)?;
        writeln!(f, "{:26}  {}", "later sources", self.linkforty_next.all)?;
        if self.grid.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{:26}  {HEAD}   precision of all", "likeness")?;
        for Cell { window_hours, threshold, same_address, likeness, all } in &self.grid {
            let place = if *same_address { "address" } else { "network" };
            let what = format!("{window_hours:3} h, {threshold}, same {place}");
            writeln!(f, "{what:26}  {likeness}  {:16.2}%", 100.0 * all.precision())?;
        }
        Ok(())
    }
}

const fn reason(why: NoMatch) -> &'static str {
    match why {
        NoMatch::NoClick => "no click of the network",
        NoMatch::WindowPassed => "window passed",
        NoMatch::NotAlike => "not alike, other address",
        NoMatch::Ambiguous => "ambiguous, crowded",
        NoMatch::LikenessOff => "likeness off",
        NoMatch::Claimed => "another install has it",
        NoMatch::Rejected => "rejected",
    }
}

const fn name(class: Evidence) -> &'static str {
    match class {
        Evidence::StoreReferrer => "store referrer",
        Evidence::Pasteboard => "pasteboard",
        Evidence::AppClip => "app clip",
        Evidence::Identity => "identity",
        Evidence::LinkOpen => "link open",
        Evidence::Likeness => "likeness",
        Evidence::ViewIdentity | Evidence::ViewLikeness => "view",
    }
}
