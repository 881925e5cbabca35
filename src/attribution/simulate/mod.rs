//! A population of which everything is known, to see what attribution is worth: pure, all of it follows from a seed.
//!
//! People click, install, install again and install without a click; each install is decided in the order of time by the same
//! [`decide`](super::decide::decide) as on the server, with the candidates that the server would gather. Since it is known who did
//! what, what is decided is right or wrong. Beside it LinkForty's rules decide the same installs.
//!
//! An install is *right* when it is credited to a click of the same person on the link of their last click before it, or of the one
//! that led them to the store. It is *findable* when that click is within the window of its link. Installs that are known again by
//! their id are no questions and are left out.
//!
//! What the population is made of. Where no source is named it is an assumption, made so that likeness is harder rather than easier.
//!
//! | what | how | why |
//! |---|---|---|
//! | clicks | 0.12 a person in 30 days; a quarter again within 10 minutes, an eighth on another link within 8 days | assumption |
//! | passed on | every eighth click, to somebody of the household, within 2 days | assumption: households click together |
//! | click to install | a quarter of first clicks, a third of those passed on | assumption |
//! | delay | 75 % within an hour (8 minutes in the mean), 19 % within a day, 6 % up to 14 days | AppsFlyer: 75 % in the first hour, 94 % in 24 h |
//! | installs without a click | 0.05 a person in 30 days, about 55 % of all installs | assumption; vendors name 50 to 70 % |
//! | again | 4 % of installs come a second time under a new id, up to 14 days later | assumption |
//! | looked at | the clicks of the network in 7 days, none when there are more than 1,000 | as the server does |
//! | apps, links | three apps of one workspace (60, 30, 10 %), eight links each; windows of 7 days, one of 24 hours, one of 30 days | LinkForty's default is 7 days |
//! | households | 1 to 5 people (41, 34, 12, 9, 4 %) | assumption, close to Germany's |
//! | lines of homes | 45 % IPv4, 40 % both, 15 % IPv6 with an IPv4 address that 32 households share | DS-Lite as cable providers have it; shares assumed |
//! | in reach | a tenth of all people: 25 homes of a /24 and of a /48, 3 of a shared address | assumption; the denser, the harder |
//! | offices | 30 % work in one, 65 % of working hours on its one address; 2, 5, 12 or 40 people in reach | assumption |
//! | carriers | 3,200 people in reach on two /24s (64 subscribers to an address) and four /48s; another address every 6 hours, in one region of five for each connection | Richter et al., IMC 2016, on carrier-grade NAT: chunks of ports for each subscriber, pooling paired or arbitrary; figures assumed |
//! | IPv6 of carriers | 55 %, a /64 for each device | RFC 8273; share assumed |
//! | both families | a click goes by IPv6 in 85 %, an app in 80 %, each for itself | RFC 8305 prefers IPv6; shares assumed |
//! | where people are | by part of the day; 10 % change between Wi-Fi and carrier before they open the app | assumption |
//! | relays | 10 % of iOS with Safari; half of the addresses known as a relay's, the others of another network | Apple names no figure |
//! | VPN | 3 %, always on, 20 exits for all | assumption |
//! | systems | 45 % iOS, an eighth of it iPads | assumption: between Europe and North America |
//! | browsers | 35 % inside apps; of iPads 85 % ask as a Mac; the same one in 85 % when the link is followed again | iPadOS asks for desktop pages by default |
//! | versions | Safari names iOS 26 as 18 and says its own version, views inside apps as 18; Chrome says "Android 10; K" | WebKit on Safari 26, Chrome's reduction of 2023; that apps do as Safari is assumed |
//! | languages | 76 % one, 90 % of a household the same; 3 % of browsers another than the system | assumption |
//! | screens | a dozen common ones; a fifth of clicks have one, and a time zone, by hints of the page; half of the apps count pixels | common models |
//! | tokens | store referrer on Android 60 %, pasteboard on iOS 12 %, App Clip 2 %, identity 3 %, opened by link 4 % | assumption: the others lost it or never had it |
//! | programs | a tenth of clicks, from data centres, known as such; a hundredth pass for somebody at home | assumption |
//!
//! | file | what |
//! |---|---|
//! | `dice.rs` | chance that follows from a seed |
//! | `places.rs` | where people are, and their addresses |
//! | `phones.rs` | devices and browsers |
//! | `people.rs` | households, people, and who comes to which link |
//! | `lives.rs` | what they do then |
//! | `history.rs` | clicks and installs, and what is true of them |
//! | `judge.rs` | candidates, decisions |
//! | `linkforty.rs` | LinkForty's rules |
//! | `report.rs` | what it is worth |

mod dice;
mod history;
mod judge;
mod linkforty;
mod lives;
mod people;
mod phones;
mod places;
mod report;
#[cfg(test)]
mod tests;

use judge::Index;
use linkforty::Edition;
pub use report::{Cell, Report, Tally, Worth};

use super::decide::{Evidence, Rules};

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What everything follows from.
    pub seed: u64,
    /// How many people there are.
    pub people: usize,
    /// How many days they live.
    pub days: u32,
    /// What decides.
    pub rules: Rules,
    /// Whether other windows and thresholds are tried too.
    pub grid: bool,
}

/// The windows of the grid, in hours.
const WINDOWS: [i64; 6] = [1, 2, 6, 24, 72, 168];
/// Its thresholds.
const THRESHOLDS: [u16; 3] = [60, 70, 80];

/// Lets the population live and returns the rows of its installs, as the server would store them.
#[cfg(test)]
pub(in crate::attribution) fn rows(settings: &Settings) -> Vec<crate::entity::install::Model> {
    let history = lives::live(settings);
    judge::rows(&Index::of(&history), &settings.rules)
}

/// Lets the population live and decides all its installs.
pub fn run(settings: &Settings) -> Report {
    let history = lives::live(settings);
    let index = Index::of(&history);
    let worth = |rules: &Rules| Worth::of(&history, &judge::ours(&index, rules));
    let linkforty = |edition| Worth::of(&history, &judge::linkforty(&history, edition));
    let mut grid = Vec::new();
    if settings.grid {
        for same_address in [true, false] {
            for (window_hours, threshold) in
                WINDOWS.into_iter().flat_map(|window| THRESHOLDS.map(|threshold| (window, threshold)))
            {
                let likeness_window_seconds = window_hours * 3600;
                let rules =
                    Rules { threshold, likeness_window_seconds, same_address, ..settings.rules.clone() };
                // What LinkForty's own rule is worth with our candidates: no crowds are known there.
                let crowd = if same_address { rules.crowd } else { u16::MAX };
                let worth = worth(&Rules { crowd, ..rules });
                let likeness = worth.of_class(Evidence::Likeness);
                grid.push(Cell { window_hours, threshold, same_address, likeness, all: worth.all });
            }
        }
    }
    let ours = worth(&settings.rules);
    Report {
        seed: settings.seed,
        people: settings.people,
        days: settings.days,
        clicks: history.clicks.len(),
        installs: history.installs.len(),
        after_a_click: ours.all.findable,
        window_seconds: settings.rules.likeness_window_seconds,
        threshold: settings.rules.threshold,
        ours,
        grid,
        linkforty: linkforty(Edition::Stock),
        linkforty_next: linkforty(Edition::Next),
    }
}
