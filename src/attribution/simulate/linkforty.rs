//! LinkForty's rule, for comparison: the newest thousand clicks of the whole database, the highest score, of equal ones the newest.
//! Written from its description; it shares nothing with `decide.rs`.

use std::net::IpAddr;

use chrono::Duration;

use super::history::{Click, History, Install, Raw};
use crate::attribution::decide::System;

/// Which LinkForty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    /// 1.21, as it is installed.
    Stock,
    /// What its sources became afterwards: of a browser and an app, the systems are compared.
    Next,
}

const NEWEST: usize = 1000;
const LOOK_BACK: Duration = Duration::hours(2160);
const THRESHOLD: u32 = 70;

/// Returns the click that is credited. Clicks of programs and of other apps are candidates, and so are those that other installs
/// have.
pub(super) fn matched(history: &History, install: &Install, edition: Edition) -> Option<usize> {
    let end = history.clicks.partition_point(|click| click.time <= install.time);
    let mut best = None;
    let mut highest = THRESHOLD - 1;
    for at in (end.saturating_sub(NEWEST)..end).rev() {
        let click: &Click = &history.clicks[at];
        let age = install.time - click.time;
        if age > LOOK_BACK || age > Duration::seconds(click.window_seconds) {
            continue;
        }
        let score = score(&click.raw, &install.raw, edition);
        if score > highest {
            (highest, best) = (score, Some(at));
        }
    }
    best
}

fn score(click: &Raw, install: &Raw, edition: Edition) -> u32 {
    let mut score = 0;
    if one_network(click.address, install.address) {
        score += 40;
    }
    if edition == Edition::Next && click.sdk != install.sdk {
        if let (Some(a), Some(b)) = (click.system, install.system) {
            if a != b && (a != System::Other || b != System::Other) {
                return 0;
            }
            score += 20;
            if click.version.is_some() && click.version == install.version {
                score += 10;
            }
        }
    } else if click.pair == install.pair {
        score += 30;
    }
    if click.time_zone.is_some() && click.time_zone == install.time_zone {
        score += 10;
    }
    if click.language == install.language {
        score += 10;
    }
    if let (Some((a, b)), Some((c, d))) = (click.screen, install.screen) {
        let (wide, high) = (f64::from(c) / f64::from(a), f64::from(d) / f64::from(b));
        let scaled = edition == Edition::Next && (wide - high).abs() < 0.02 && wide <= 4.0;
        if (a, b) == (c, d) || scaled {
            score += 10;
        }
    }
    score
}

fn one_network(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
        _ => false,
    }
}
