//! Reads single clicks, for questions that no rollup answers: lists of clicks, and combinations of dimensions.
//!
//! | file | what |
//! |---|---|
//! | `filter.rs` | what is asked for, and whether a click fits; pure |
//! | `read.rs` | clicks by index, in bounded pieces, with their texts |
//! | `list.rs` | pages of clicks, newest first |
//! | `breakdown.rs` | clicks counted by the values of a dimension |
//!
//! Guarantees: what a click is in each dimension is said by `dims::of`, which the rollups ask too, so their numbers cannot differ. No call looks at
//! more clicks than its bound, whatever is asked: a list answers with what it found and says where to go on, a breakdown fails with REPORT_TOO_LARGE.

mod breakdown;
mod filter;
mod list;
pub mod read;

pub use self::{
    breakdown::breakdown,
    filter::filters,
    list::{Networks, clicks},
};
