//! The one integration binary.

mod analytics;
mod batches;
mod direct;
mod links;
