//! Answers questions about what was recorded, from rollups as far as they have the answer: it costs what it shows, not what was recorded; and
//! shows clicks as they are recorded.
//!
//! | file | what |
//! |---|---|
//! | `dims.rs` | what clicks, installs and events are told apart by; pure |
//! | `rollup/` | what was counted, and reading it |
//! | `span.rs` `calendar.rs` | which time a report is about, and its days, weeks and months; pure |
//! | `reports/` | what each report answers |
//! | `raw/` | single clicks: listed, and counted by combinations of dimensions |
//! | `export/` | reports as files |
//! | `costs/` | what campaigns cost, and what that makes of reports |
//! | `saved/` | reports under names, and links to them |
//! | `store.rs` | names of what is shown, and the single rows that some reports look at |
//! | `watch/` | the stream of what happens as it is stored, and the filter of it |
//! | `grpc.rs` | `linkforty.v1.AnalyticsService` |
//!
//! Guarantees: what one answer shows is of one moment, so totals are the sum of their parts, whatever is recorded meanwhile; a link, project, app or
//! domain of somebody else answers as an unknown one; what happened to deleted links goes on counting in their workspace.

mod calendar;
pub mod costs;
pub mod dims;
mod export;
mod grpc;
pub mod raw;
pub mod reports;
pub mod rollup;
mod saved;
mod span;
mod store;
mod watch;

pub use self::{grpc::AnalyticsApi, saved::ReportApi};
