//! Decides every install of a history in the order of time, as the server does.

use std::collections::{HashMap, HashSet};

use chrono::Duration;

use super::{
    history::{History, Install},
    linkforty::{self, Edition},
};
use crate::attribution::decide::{self, Candidate, Evidence, NoMatch, Outcome, Rules, WINDOW, decide};

/// How many clicks of a network are looked at, the newest; of a network that has more, nobody is told from anybody.
const CANDIDATES: usize = 1000;
/// How far back they go: as long as the window of a link that says nothing else.
const LOOK_BACK: Duration = WINDOW;

/// What was answered of an install: the click that it is credited to, and by what evidence; or why to none.
pub(super) type Answer = Result<(usize, Evidence), NoMatch>;

/// The clicks of each network that are taken for people's, in the order of time.
pub(super) struct Index<'a> {
    history: &'a History,
    networks: HashMap<&'a [u8], Vec<usize>>,
}

impl<'a> Index<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut networks: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (at, click) in history.clicks.iter().enumerate() {
            if click.human && !click.device.network.is_empty() {
                networks.entry(&click.device.network).or_default().push(at);
            }
        }
        Self { history, networks }
    }

    /// Returns the clicks that are looked at; none when there are too many.
    fn near(&self, install: &Install) -> &[usize] {
        if self.is_full(install) { &[] } else { self.of_network(install) }
    }

    /// Says whether the network of an install had too many clicks before it.
    fn is_full(&self, install: &Install) -> bool {
        self.of_network(install).len() > CANDIDATES
    }

    fn of_network(&self, install: &Install) -> &[usize] {
        let Some(all) = self.networks.get(&install.device.network[..]) else { return &[] };
        let time = |at: &usize| self.history.clicks[*at].time;
        let from = all.partition_point(|at| time(at) < install.time - LOOK_BACK);
        let to = all.partition_point(|at| time(at) <= install.time);
        &all[from..to]
    }
}

/// Decides all installs by our rules.
pub(super) fn ours(index: &Index<'_>, rules: &Rules) -> Vec<Answer> {
    let mut claimed = HashSet::new();
    let mut answers = Vec::with_capacity(index.history.installs.len());
    for install in &index.history.installs {
        let found = found(index, install);
        let facts = decide::Install { time: install.time, device: install.device.clone() };
        let candidates: Vec<Candidate> = found
            .iter()
            .map(|(at, evidence)| candidate(index.history, install, *at, *evidence, &claimed))
            .collect();
        let answer = match decide(&facts, &candidates, rules).outcome {
            Outcome::Attributed(at) => Ok(found[at]),
            Outcome::Organic(_) if index.is_full(install) => Err(NoMatch::Ambiguous),
            Outcome::Organic(why) => Err(why),
        };
        claimed.extend(answer.map(|(click, _)| click));
        answers.push(answer);
    }
    answers
}

/// Decides all installs and writes their rows, as the server stores them.
#[cfg(test)]
pub(super) fn rows(index: &Index<'_>, rules: &Rules) -> Vec<crate::entity::install::Model> {
    use uuid::Uuid;

    use crate::{
        attribution::{fraud::rules, installs::settle},
        ids::{InstallId, WorkspaceId},
        pb::internal::v1::InstallRecord,
    };

    let mut claimed = HashSet::new();
    let mut row = |(number, install): (usize, &Install)| {
        let found = found(index, install);
        let candidates = found
            .iter()
            .map(|(at, evidence)| candidate(index.history, install, *at, *evidence, &claimed))
            .collect();
        let report = InstallRecord {
            network: install.device.network.clone().into(),
            install_time_micros: install.time.timestamp_micros(),
            receive_time_micros: install.time.timestamp_micros() + 1_000_000,
            likeness: rules.likeness,
            threshold: rules.threshold.into(),
            likeness_window_seconds: rules.likeness_window_seconds,
            default_window_seconds: WINDOW.num_seconds(),
            ..InstallRecord::default()
        };
        let facts = settle::Facts {
            install: decide::Install { time: install.time, device: install.device.clone() },
            candidates,
            rules: rules.clone(),
            crowded: index.is_full(install),
            fraud: rules::Settings::default(),
        };
        let decided = facts.decide(&report);
        if let Outcome::Attributed(at) = decided.decision.outcome {
            claimed.insert(found[at].0);
        }
        let whose = (InstallId(Uuid::from_u128(number as u128)), WorkspaceId(Uuid::nil()), None);
        settle::settle(whose, &report, &facts, &decided, &HashMap::new())
    };
    index.history.installs.iter().enumerate().map(&mut row).collect()
}

/// Gathers the clicks that an install names and those of its network, each once with its strongest evidence.
fn found(index: &Index<'_>, install: &Install) -> Vec<(usize, Evidence)> {
    let mut found: Vec<(usize, Evidence)> =
        install.tokens.iter().map(|(evidence, at)| (*at, *evidence)).collect();
    found.sort_unstable();
    found.dedup_by_key(|(at, _)| *at);
    for at in index.near(install) {
        if found.iter().all(|(other, _)| other != at) {
            found.push((*at, Evidence::Likeness));
        }
    }
    found
}

fn candidate(
    history: &History,
    install: &Install,
    at: usize,
    evidence: Evidence,
    claimed: &HashSet<usize>,
) -> Candidate {
    let click = &history.clicks[at];
    Candidate {
        click: click.id,
        link: click.link,
        time: click.time,
        evidence,
        visitor: click.visitor,
        human: click.human,
        claimed: claimed.contains(&at),
        other_app: click.app != install.app,
        window_seconds: click.window_seconds,
        device: click.device.clone(),
    }
}

/// Decides all installs by the rules of LinkForty.
pub(super) fn linkforty(history: &History, edition: Edition) -> Vec<Answer> {
    let matched = |install| linkforty::matched(history, install, edition).ok_or(NoMatch::NotAlike);
    history.installs.iter().map(|install| Ok((matched(install)?, Evidence::Likeness))).collect()
}
