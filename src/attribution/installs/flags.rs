//! What is odd about an install that is credited to a click. Flags are shown and nothing else follows from them: none of them proves
//! anything. Each has a number that is stored, and none looks at what a forger can set freely.

use crate::{
    attribution::decide::{Candidate, Evidence},
    clock::from_micros,
    pb::internal::v1::InstallRecord,
};

/// One odd thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// By the store's own clock the click came after the download had begun.
    ClickInjection = 1,
    /// The app was opened less than ten seconds after the click: nobody downloads so fast.
    ShortTime = 2,
    /// The store's click and ours are more than five minutes apart: the click's id was carried off.
    HarvestedClick = 4,
}

impl Flag {
    /// Every flag.
    pub const ALL: [Self; 3] = [Self::ClickInjection, Self::ShortTime, Self::HarvestedClick];

    /// Returns its name in the log of decisions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClickInjection => "click_injection",
            Self::ShortTime => "short_time",
            Self::HarvestedClick => "harvested_click",
        }
    }
}

/// A second of the store's clock, which counts whole ones.
const ROUNDING: i64 = 1;
const SHORT: i64 = 10;
const APART: i64 = 300;

/// Returns what is odd about an install that is credited to this click, as the sum of its flags.
pub fn flags(report: &InstallRecord, click: &Candidate) -> i32 {
    let installed = from_micros(report.install_time_micros);
    let by_store = report.store_click_seconds != 0;
    let begun_before = report.store_click_seconds > report.store_begin_seconds + ROUNDING;
    // An app that was installed already is opened at once.
    let downloaded = click.evidence != Evidence::LinkOpen && click.evidence != Evidence::AppClip;
    let apart = (report.store_click_seconds - click.time.timestamp()).abs();
    let found = [
        (Flag::ClickInjection, by_store && report.store_begin_seconds != 0 && begun_before),
        (Flag::ShortTime, downloaded && (installed - click.time).num_seconds() < SHORT),
        (Flag::HarvestedClick, by_store && click.evidence == Evidence::StoreReferrer && apart > APART),
    ];
    found.into_iter().filter(|(_, holds)| *holds).map(|(flag, _)| flag as i32).sum()
}
