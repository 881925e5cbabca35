//! Which click an install is credited to: pure.
//!
//! Order: the class of the evidence, then inside a class the touch. For evidence that names its click that is the last
//! touch, unless the rules say the first; for likeness it is the higher score, then the last touch. Two visitors who fit equally are [`NoMatch::Ambiguous`]: nobody
//! gets the install.
//!
//! Every candidate has exactly one [`Fate`], and a fate that is a loss names the first thing that stood in the way, in the order of
//! [`Loss`]. Weights and threshold are those of LinkForty, with its rule for a browser's click and an app's install. They alone credit
//! every fourth install to a stranger, so likeness holds for two hours, asks for the same address, and is no evidence where a
//! crowd has that address (`docs/attribution.md` has the figures, `linkforty simulate attribution` prints them).
//!
//! Ads that were seen and not tapped are candidates like clicks, of the two weakest classes, where the rules have a window for them: whatever
//! there is of them, a click that could be the install's gets it.

use std::{cmp::Reverse, collections::BTreeSet};

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Moment,
    ids::{ClickId, LinkId},
};

/// What points from an install to a click, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Evidence {
    /// The store handed over what the click gave it (Google Play's install referrer).
    StoreReferrer,
    /// The visitor put a token of the click on the pasteboard by a tap.
    Pasteboard,
    /// The App Clip that the link opened handed over its click.
    AppClip,
    /// The same device or user id, which its owner allowed to be used, was at the click.
    Identity,
    /// The system opened the app by a URL that carries the click.
    LinkOpen,
    /// The click and the install look alike.
    Likeness,
    /// The same device, whose owner allowed it to be used, was shown an ad and did not tap it.
    ViewIdentity,
    /// Somebody who was shown an ad looks like the install.
    ViewLikeness,
}

impl Evidence {
    /// Every class, strongest first.
    pub const ALL: [Self; 8] = [
        Self::StoreReferrer,
        Self::Pasteboard,
        Self::AppClip,
        Self::Identity,
        Self::LinkOpen,
        Self::Likeness,
        Self::ViewIdentity,
        Self::ViewLikeness,
    ];

    /// Says whether nothing but likeness points to the click.
    pub const fn is_likeness(self) -> bool {
        matches!(self, Self::Likeness | Self::ViewLikeness)
    }

    /// Says whether an ad was only seen: every click comes before it.
    pub const fn is_view(self) -> bool {
        matches!(self, Self::ViewIdentity | Self::ViewLikeness)
    }
}

/// A mobile platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum System {
    /// iOS and iPadOS.
    Ios,
    /// Android.
    Android,
    /// Neither.
    Other,
}

/// What tells devices from each other without naming one. What is not known is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The network: an IPv4 /24 in 3 bytes or an IPv6 /48 in 6. Empty when the address says nothing about where somebody is,
    /// or too many share it.
    #[serde(with = "hex")]
    pub network: Vec<u8>,
    /// A keyed hash of the address itself, of IPv6 of its first 64 bits.
    pub address: Option<i32>,
    /// The system.
    pub system: Option<System>,
    /// The first number of its version.
    pub version: Option<u16>,
    /// What a browser says of itself: device and browser, as `iphone|safari`. `None` for an app.
    pub browser: Option<String>,
    /// The IANA name of the time zone.
    pub time_zone: Option<String>,
    /// The first two letters of the language, in lower case.
    pub language: Option<String>,
    /// Width and height of the screen, in whatever pixels.
    pub screen: Option<(u32, u32)>,
}

/// The install that is to be credited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// When the app was first opened.
    pub time: Moment,
    /// The device.
    pub device: Device,
}

/// A click that could be the install's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The click.
    pub click: ClickId,
    /// Its link.
    pub link: LinkId,
    /// When it was.
    pub time: Moment,
    /// The strongest evidence for it.
    pub evidence: Evidence,
    /// Who made it: equal numbers are one visitor.
    pub visitor: i64,
    /// Whether a person made it.
    pub human: bool,
    /// Whether another install has it.
    pub claimed: bool,
    /// Whether its link leads to another app.
    pub other_app: bool,
    /// How long after the click an install counts for its link, in seconds.
    pub window_seconds: i64,
    /// The device.
    pub device: Device,
}

/// What decides beside the facts. Kept with every decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Goes up when what is decided changes although the facts are the same.
    pub version: u32,
    /// Whether likeness is evidence.
    pub likeness: bool,
    /// The score from which on it is: 1 to 100.
    pub threshold: u16,
    /// How long after the click it is at the most, in seconds; the window of the link holds too.
    pub likeness_window_seconds: i64,
    /// Whether it asks for the same address. Otherwise the same network will do, where no click is of the same address.
    pub same_address: bool,
    /// Of how many visitors there may be clicks among the candidates that have the install's address (its network, where that will
    /// do). Where there are more, likeness is no evidence.
    pub crowd: u16,
    /// Whether the first touch wins and not the last.
    #[serde(default, skip_serializing_if = "is_not")]
    pub first_touch: bool,
    /// How long after an ad was seen it is evidence, in seconds; the window of the link holds too. 0: it is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub view_window_seconds: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over like this")]
const fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

/// The version of the rules in this file.
pub const RULES_VERSION: u32 = 1;
/// LinkForty's threshold.
pub const THRESHOLD: u16 = 70;
/// LinkForty's window, a week.
pub const WINDOW: Duration = Duration::hours(168);
/// How long likeness holds: two hours, in which some four of five who come by a link install.
pub const LIKENESS_WINDOW: Duration = Duration::hours(2);
/// How many visitors do not make a crowd: more than a household has in a week.
pub const CROWD: u16 = 10;

impl Default for Rules {
    fn default() -> Self {
        Self {
            version: RULES_VERSION,
            likeness: true,
            threshold: THRESHOLD,
            likeness_window_seconds: LIKENESS_WINDOW.num_seconds(),
            same_address: true,
            crowd: CROWD,
            first_touch: false,
            view_window_seconds: 0,
        }
    }
}

/// What is as it was before there was a word for it is not written: facts that were kept stay the same text.
fn is_not(of: &bool) -> bool {
    !of
}

/// What is credited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The click at this place of the candidates.
    Attributed(usize),
    /// None.
    Organic(NoMatch),
}

/// Why no click is credited: of several reasons that of the click that came nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NoMatch {
    /// There was no click that could be the install's.
    NoClick,
    /// There were, but older than their windows.
    WindowPassed,
    /// There were, but none was alike enough.
    NotAlike,
    /// Several visitors' clicks fit equally, or too many share the address.
    Ambiguous,
    /// Likeness would have been all there is, and it is switched off.
    LikenessOff,
    /// There were, but other installs have them.
    Claimed,
    /// There was one, and a rule of fraud of the workspace took the credit away.
    Rejected,
}

impl NoMatch {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::NoClick,
        Self::WindowPassed,
        Self::NotAlike,
        Self::Ambiguous,
        Self::LikenessOff,
        Self::Claimed,
        Self::Rejected,
    ];
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// The install is credited to it.
    Won,
    /// It is not, for this reason.
    Lost(Loss),
}

/// The one reason why a candidate lost, in the order they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Loss {
    /// A program made the click.
    NotHuman,
    /// The click came after the install.
    AfterInstall,
    /// The link leads to another app.
    OtherApp,
    /// Another install has the click.
    Claimed,
    /// The install came when the window of the click was over.
    WindowPassed,
    /// Likeness is no evidence here.
    LikenessOff,
    /// The systems are known and differ.
    OtherSystem,
    /// The score is below the threshold.
    BelowThreshold,
    /// It is alike, but not known to be of the same address: the rules ask for that, or there is one that is.
    OtherAddress,
    /// It is alike, but clicks of too many visitors have the address.
    Crowded,
    /// There is a click with stronger evidence.
    WeakerEvidence,
    /// There is one with a higher score.
    LowerScore,
    /// Another visitor's click fits as well, so neither gets the install.
    Ambiguous,
    /// There is a later one.
    Earlier,
    /// There is an earlier one, and the first touch wins.
    Later,
    /// It won, and a rule of fraud of the workspace took the credit away.
    Rejected,
}

/// One term of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// What was compared.
    pub factor: Factor,
    /// What it gave.
    pub points: u16,
    /// What it could have given.
    pub most: u16,
}

/// What is compared of two devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Factor {
    /// The network.
    Network,
    /// Device and browser, where both sides are browsers.
    Browser,
    /// The system, where one side is an app.
    System,
    /// The first number of its version, where one side is an app.
    Version,
    /// The time zone.
    TimeZone,
    /// The language.
    Language,
    /// The screen.
    Screen,
}

impl Factor {
    /// Every factor, in the order in which they are compared.
    pub const ALL: [Self; 7] = [
        Self::Network,
        Self::Browser,
        Self::System,
        Self::Version,
        Self::TimeZone,
        Self::Language,
        Self::Screen,
    ];

    /// Returns the name by which LinkForty's SDKs know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "ip",
            Self::Browser => "user_agent",
            Self::System => "platform",
            Self::Version => "platform_version",
            Self::TimeZone => "timezone",
            Self::Language => "language",
            Self::Screen => "screen",
        }
    }
}

/// How alike a click and an install are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// Every term, those that gave nothing too.
    pub terms: Vec<Term>,
    /// Whether the systems are known and differ.
    pub other_system: bool,
    /// Whether the addresses are known and the same.
    pub same_address: bool,
}

impl Likeness {
    /// Returns the sum of the terms, 0 to 100; 0 when the systems differ.
    pub fn score(&self) -> u16 {
        if self.other_system { 0 } else { self.terms.iter().map(|term| term.points).sum() }
    }

    /// Says whether the networks are known and the same.
    pub fn same_network(&self) -> bool {
        self.terms.iter().any(|term| term.factor == Factor::Network && term.points > 0)
    }
}

/// What was decided, with what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is credited.
    pub outcome: Outcome,
    /// What became of each candidate, in their order.
    pub verdicts: Vec<Verdict>,
}

/// What became of one candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it won.
    pub fate: Fate,
    /// How alike it is, whatever the evidence.
    pub likeness: Likeness,
    /// Until when an install counts for it.
    pub window_end: Moment,
}

/// Decides.
pub fn decide(install: &Install, candidates: &[Candidate], rules: &Rules) -> Decision {
    let mut verdicts: Vec<Verdict> = candidates.iter().map(|one| alone(install, one, rules)).collect();
    // A verdict is `Won` so far when nothing about the candidate itself stands in its way.
    let mut left: Vec<usize> = (0..candidates.len()).filter(|at| verdicts[*at].fate == Fate::Won).collect();

    // Views stand in no click's way, here as everywhere.
    for class in [Evidence::Likeness, Evidence::ViewLikeness] {
        let like = |at: usize| candidates[at].evidence == class;
        if left.iter().any(|at| like(*at) && verdicts[*at].likeness.same_address) {
            keep_best(&mut left, &mut verdicts, Loss::OtherAddress, |at, verdict| {
                !like(at) || verdict.likeness.same_address
            });
        }
        if is_crowded(class, candidates, &verdicts, rules) {
            for at in left.extract_if(.., |at| like(*at)) {
                verdicts[at].fate = Fate::Lost(Loss::Crowded);
            }
        }
    }
    keep_best(&mut left, &mut verdicts, Loss::WeakerEvidence, |at, _| Reverse(candidates[at].evidence));
    if left.first().is_some_and(|at| candidates[*at].evidence.is_likeness()) {
        keep_best(&mut left, &mut verdicts, Loss::LowerScore, |_, verdict| verdict.likeness.score());
        let visitor = left.first().map(|at| candidates[*at].visitor);
        if left.iter().any(|at| Some(candidates[*at].visitor) != visitor) {
            for at in left.drain(..) {
                verdicts[at].fate = Fate::Lost(Loss::Ambiguous);
            }
            return Decision { outcome: Outcome::Organic(NoMatch::Ambiguous), verdicts };
        }
    }
    // The id settles what happened in the same microsecond.
    let touch = |at: usize| (candidates[at].time, candidates[at].click);
    if rules.first_touch {
        keep_best(&mut left, &mut verdicts, Loss::Later, |at, _| Reverse(touch(at)));
    } else {
        keep_best(&mut left, &mut verdicts, Loss::Earlier, |at, _| touch(at));
    }
    let outcome = match left.first() {
        Some(at) => Outcome::Attributed(*at),
        None => Outcome::Organic(why_none(&verdicts)),
    };
    Decision { outcome, verdicts }
}

/// Says what of a candidate itself stands in its way.
fn alone(install: &Install, candidate: &Candidate, rules: &Rules) -> Verdict {
    let likeness = likeness(&candidate.device, &install.device);
    let by_likeness = candidate.evidence.is_likeness();
    let mut window = candidate.window_seconds;
    if candidate.evidence.is_view() {
        window = window.min(rules.view_window_seconds);
    }
    if by_likeness {
        window = window.min(rules.likeness_window_seconds);
    }
    let window_end = candidate.time + Duration::seconds(window);
    let loss = if !candidate.human {
        Some(Loss::NotHuman)
    } else if candidate.time > install.time {
        Some(Loss::AfterInstall)
    } else if candidate.other_app {
        Some(Loss::OtherApp)
    } else if candidate.claimed {
        Some(Loss::Claimed)
    } else if install.time > window_end {
        Some(Loss::WindowPassed)
    } else if !by_likeness {
        None
    } else if !rules.likeness {
        Some(Loss::LikenessOff)
    } else if likeness.other_system {
        Some(Loss::OtherSystem)
    } else if likeness.score() < rules.threshold {
        Some(Loss::BelowThreshold)
    } else if rules.same_address && !likeness.same_address {
        Some(Loss::OtherAddress)
    } else {
        None
    };
    Verdict { fate: loss.map_or(Fate::Won, Fate::Lost), likeness, window_end }
}

/// Says whether too many visitors have the place of the install for anybody to be told by it. Every click tells of that, whatever becomes of
/// it; of views also every view.
fn is_crowded(class: Evidence, candidates: &[Candidate], verdicts: &[Verdict], rules: &Rules) -> bool {
    let near = |likeness: &Likeness| {
        if rules.same_address { likeness.same_address } else { likeness.same_network() }
    };
    let there = candidates.iter().zip(verdicts).filter(|(one, verdict)| {
        let counts = class.is_view() || !one.evidence.is_view();
        counts && one.human && near(&verdict.likeness)
    });
    let visitors: BTreeSet<i64> = there.map(|(one, _)| one.visitor).collect();
    visitors.len() > usize::from(rules.crowd)
}

/// Keeps those of which `of` is greatest; the others lose.
fn keep_best<K: Ord>(
    left: &mut Vec<usize>,
    verdicts: &mut [Verdict],
    loss: Loss,
    of: impl Fn(usize, &Verdict) -> K,
) {
    let keys: Vec<K> = left.iter().map(|at| of(*at, &verdicts[*at])).collect();
    let best = keys.iter().max();
    let mut kept = Vec::new();
    for (at, key) in left.iter().zip(&keys) {
        if Some(key) == best {
            kept.push(*at);
        } else {
            verdicts[*at].fate = Fate::Lost(loss);
        }
    }
    *left = kept;
}

/// Says of an install without a click what was nearest to one.
fn why_none(verdicts: &[Verdict]) -> NoMatch {
    let any = |loss| verdicts.iter().any(|verdict| verdict.fate == Fate::Lost(loss));
    if any(Loss::Crowded) {
        NoMatch::Ambiguous
    } else if any(Loss::BelowThreshold) || any(Loss::OtherSystem) || any(Loss::OtherAddress) {
        NoMatch::NotAlike
    } else if any(Loss::LikenessOff) {
        NoMatch::LikenessOff
    } else if any(Loss::Claimed) {
        NoMatch::Claimed
    } else if any(Loss::WindowPassed) {
        NoMatch::WindowPassed
    } else {
        NoMatch::NoClick
    }
}

const NETWORK: u16 = 40;
const BROWSER: u16 = 30;
const SYSTEM: u16 = 20;
const VERSION: u16 = 10;
const TIME_ZONE: u16 = 10;
const LANGUAGE: u16 = 10;
const SCREEN: u16 = 10;

/// Compares a click's device with an install's.
pub fn likeness(click: &Device, install: &Device) -> Likeness {
    let term = |factor, equal: bool, most| Term { factor, points: if equal { most } else { 0 }, most };
    let known = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
    let same_network = !click.network.is_empty() && click.network == install.network;
    let mut terms = vec![term(Factor::Network, same_network, NETWORK)];
    // An app's own user agent says nothing of a browser: what both sides know is the system.
    if click.browser.is_some() && install.browser.is_some() {
        terms.push(term(Factor::Browser, click.browser == install.browser, BROWSER));
    } else {
        let system = click.system.is_some() && click.system == install.system;
        let version = system && click.version.is_some() && click.version == install.version;
        terms.push(term(Factor::System, system, SYSTEM));
        terms.push(term(Factor::Version, version, VERSION));
    }
    terms.push(term(Factor::TimeZone, known(&click.time_zone, &install.time_zone), TIME_ZONE));
    terms.push(term(Factor::Language, known(&click.language, &install.language), LANGUAGE));
    let screen = click.screen.zip(install.screen).is_some_and(|(a, b)| is_one_screen(a, b));
    terms.push(term(Factor::Screen, screen, SCREEN));
    let systems = click.system.zip(install.system);
    Likeness {
        terms,
        other_system: systems.is_some_and(|(a, b)| a != b),
        same_address: same_network && click.address.is_some() && click.address == install.address,
    }
}

/// Says whether two sizes can be of one screen: a page counts points, an app may count pixels, up to four to a point, and both
/// round.
fn is_one_screen(a: (u32, u32), b: (u32, u32)) -> bool {
    if [a.0, a.1, b.0, b.1].contains(&0) {
        return false;
    }
    // Whichever is asked first: the one that counts pixels, if one does, is the larger.
    let (small, large) = if sides(a) <= sides(b) { (a, b) } else { (b, a) };
    let ratio = |large: u32, small: u32| f64::from(large) / f64::from(small);
    let (wide, high) = (ratio(large.0, small.0), ratio(large.1, small.1));
    (wide - high).abs() < 0.02 && wide.max(high) <= 4.0
}

/// Returns what sizes are ordered by.
fn sides(size: (u32, u32)) -> (u64, u32) {
    (u64::from(size.0) + u64::from(size.1), size.0)
}

/// Networks are stored as a text that people can read.
mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.as_bytes();
        let byte = |pair: &[u8]| {
            let pair = str::from_utf8(pair).map_err(D::Error::custom)?;
            u8::from_str_radix(pair, 16).map_err(D::Error::custom)
        };
        digits.chunks(2).map(byte).collect()
    }
}
