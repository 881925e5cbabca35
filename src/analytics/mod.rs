//! Answers questions about recorded clicks, from rollups alone: an answer costs what it shows, not what was recorded; and
//! shows clicks as they are recorded.
//!
//! | file | what |
//! |---|---|
//! | `dims.rs` | what clicks, installs and events are told apart by; pure |
//! | `rollup/` | what was counted, and reading it |
//! | `raw/` | single clicks: listed, and counted where no rollup is |
//! | `export/` | reports as files |
//! | `saved/` | reports under names, and links to them |
//! | `span.rs` | which hours and days are counted; pure |
//! | `store.rs` | queries of `click_rollups`, which the drain writes |
//! | `watch.rs` | the stream of clicks as they are recorded, and the filter of it |
//! | `grpc.rs` | `linkforty.v1.AnalyticsService` |
//!
//! Guarantees: totals are the sum of the days, whatever is recorded while they are read; a link of somebody else
//! answers as an unknown one; clicks of deleted links go on counting in their workspace.

mod calendar;
pub mod dims;
mod export;
mod grpc;
mod raw;
mod reports;
pub mod rollup;
mod saved;
mod span;
mod store;
mod watch;

pub use self::{grpc::AnalyticsApi, saved::ReportApi, span::Span, store::TopLink};
use crate::{env::Env, error::Result, ids::LinkId, links, workspaces::Tenant};

/// How many of the most clicked links are shown.
const TOP: u64 = 10;

/// Clicks of one day, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clicks {
    /// By people.
    pub people: i64,
    /// By bots.
    pub bots: i64,
}

/// The clicks of a workspace or of one link over a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// All of `by_day` together.
    pub total: Clicks,
    /// One entry for each day of the span, as days since 1970, oldest first.
    pub by_day: Vec<(i32, Clicks)>,
    /// The most clicked links, most clicked first.
    pub top_links: Vec<TopLink>,
}

/// Counts the clicks of a span.
pub async fn overview(env: &Env, tenant: &Tenant, link: Option<LinkId>, span: Span) -> Result<Overview> {
    if let Some(link) = link {
        links::get(env, tenant, link).await?;
    }
    let counted = store::by_day(&env.db.api, tenant.id, link, span).await?;
    let by_day: Vec<_> =
        span.days().map(|day| (day, counted.get(&day).copied().unwrap_or_default())).collect();
    let total = by_day.iter().fold(Clicks::default(), |sum, (_, day)| Clicks {
        people: sum.people + day.people,
        bots: sum.bots + day.bots,
    });
    let top_links = store::top_links(&env.db.api, tenant.id, link, span, TOP).await?;
    Ok(Overview { total, by_day, top_links })
}
