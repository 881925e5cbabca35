//! What was counted, kept so that answers are quick: sums by quarter-hour, hour and day for workspaces and their parts.
//!
//! | file | what |
//! |---|---|
//! | `key.rs` | which row something is counted in |
//! | `measures.rs` | what is counted, and in which money |
//! | `content.rs` | what a row holds, as bytes; pure |
//! | `sketch.rs` | how many distinct visitors; pure |
//! | `names.rs` | the numbers that stand for values |
//! | `fold.rs` | from things that happened to what is to be added to which rows; pure |
//! | `credits.rs` | which link installs and events count under |
//! | `awaited.rs` | what was counted before its click was stored |
//! | `store.rs` | the statements that write |
//! | `roller.rs` | carries the feed into rollups |
//! | `rebuild.rs` | makes days anew from what was recorded, or compares them with it |
//! | `read.rs` | totals, series, breakdowns and visitors, from rollups alone |
//! | `rows.rs` | the rows that these need, remembered as long as they are what is stored |
//! | `sums.rs` | sums by value over rows; pure |
//!
//! Guarantees: everything in the feed is counted once, whatever dies when; the parts of every dimension come to the total, in every answer;
//! reading costs what is shown and not what was recorded. `docs/analytics.md` says how it is kept.

mod awaited;
pub mod content;
mod credits;
pub mod fold;
pub mod key;
pub mod measures;
pub mod names;
pub mod read;
mod rebuild;
mod roller;
mod rows;
pub mod sketch;
mod store;
mod sums;

pub use self::{
    read::{Currency, Measures, Part, Scope, Slots},
    rebuild::{Difference, Outcome, Wanted, days, dimension_name, rebuild, verify},
    roller::{Round, counted, roll, run, take_over},
};
