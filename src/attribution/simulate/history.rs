//! What happened, and what is true of it.

use std::net::IpAddr;

use crate::{
    attribution::decide::{Device, Evidence, System},
    clock::Moment,
    ids::{ClickId, LinkId},
};

/// What is known of a click, and who made it.
#[derive(Debug, Clone)]
pub(super) struct Click {
    pub(super) id: ClickId,
    pub(super) link: LinkId,
    pub(super) app: usize,
    pub(super) window_seconds: i64,
    pub(super) time: Moment,
    /// Whether it is taken for a person's. Some programs are.
    pub(super) human: bool,
    pub(super) visitor: i64,
    pub(super) device: Device,
    pub(super) raw: Raw,
    /// Who made it; nobody, if a program did.
    pub(super) person: Option<u64>,
}

/// What is known of an install, and what is true of it.
#[derive(Debug, Clone)]
pub(super) struct Install {
    pub(super) app: usize,
    pub(super) time: Moment,
    pub(super) device: Device,
    /// Evidence that names its click, at this place of the clicks.
    pub(super) tokens: Vec<(Evidence, usize)>,
    pub(super) raw: Raw,
    /// The clicks that are right: the last one of this person on a link of this app, and the one that led to the store. None if
    /// there is none, or an install of theirs had it before.
    pub(super) own: Vec<usize>,
    pub(super) person: u64,
}

/// What LinkForty keeps of either.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub(super) address: IpAddr,
    pub(super) pair: &'static str,
    pub(super) system: Option<System>,
    pub(super) version: Option<u16>,
    pub(super) time_zone: Option<&'static str>,
    pub(super) language: &'static str,
    pub(super) screen: Option<(u32, u32)>,
    /// Whether an SDK says it.
    pub(super) sdk: bool,
}

/// Everything that happened, in the order of time.
#[derive(Debug)]
pub(super) struct History {
    pub(super) clicks: Vec<Click>,
    pub(super) installs: Vec<Install>,
}

impl History {
    /// Brings everything into the order of time.
    pub(super) fn of(clicks: Vec<Click>, mut installs: Vec<Install>) -> Self {
        let mut order: Vec<usize> = (0..clicks.len()).collect();
        order.sort_by_key(|at| clicks[*at].time);
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new;
        }
        for install in &mut installs {
            for own in &mut install.own {
                *own = place[*own];
            }
            for token in &mut install.tokens {
                token.1 = place[token.1];
            }
        }
        installs.sort_by_key(|install| install.time);
        let mut left: Vec<Option<Click>> = clicks.into_iter().map(Some).collect();
        let clicks = order.into_iter().filter_map(|old| left[old].take()).collect();
        Self { clicks, installs }
    }
}
