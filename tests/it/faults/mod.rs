//! Faults: the real program is killed, starved and lied to, and must keep its promises (`docs/ARCHITECTURE.md`).
//!
//! A [`support::Ledger`] follows links and writes down every click id that it was given; afterwards the database is read by hand.
//! Nothing acknowledged may be missing, nothing may be counted twice, and the totals must be those of the rows.

mod apps;
mod certificates;
mod crash;
mod database;
mod events;
mod fan_out;
mod freshness;
mod imports;
mod installs;
mod limits;
mod postbacks;
mod rolling;
mod spool;
mod stopping;
pub mod support;
mod survival;
mod takeover;
mod watching;
mod webhooks;
