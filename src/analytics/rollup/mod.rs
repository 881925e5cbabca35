//! What was counted, kept so that answers are quick: sums by quarter-hour, hour and day for workspaces and their parts.
//!
//! | file | what |
//! |---|---|
//! | `key.rs` | which row something is counted in |
//! | `measures.rs` | what is counted, and in which money |
//! | `content.rs` | what a row holds, as bytes; pure |
//! | `sketch.rs` | how many distinct visitors; pure |
//! | `names.rs` | the numbers that stand for values |
//! | `read.rs` | totals, series, breakdowns and visitors, from rollups alone |

pub mod content;
pub mod key;
pub mod measures;
pub mod names;
pub mod read;
pub mod sketch;

pub use self::read::{Currency, Measures, Part, Scope, Slots};
