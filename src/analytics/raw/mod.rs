//! Raw clicks, where rollups do not reach.

pub mod read;
