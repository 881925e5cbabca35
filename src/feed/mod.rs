//! What happened in workspaces, in the order it was stored: clicks, installs and events, noted in the transaction that stores them. Whoever
//! counts or shows them reads on from where they were.
//!
//! | file | what |
//! |---|---|
//! | `content.rs` | what a row says, and how it is written; pure |
//! | `filter.rs` | which items somebody wants to see; pure |
//! | `store.rs` | appending, reading, forgetting |
//! | `tail.rs` | reads what is new, once for all who watch on this node |
//!
//! Guarantees: what is in the feed is stored, and what is stored is in the feed, once. [`read_after`] shows rows in one order, which is that of
//! their numbers, and never a row before one that may still appear: so who reads on from a position misses nothing and sees nothing
//! twice, whatever transactions are under way on whatever node. A row holds at most 1,000 items of one workspace. Rows are kept for [`LIFE`].

mod content;
mod filter;
mod store;
pub mod tail;

use std::sync::Arc;

use sea_orm::DbErr;

pub use self::{
    content::{Click, Credit, Entry, Event, Install, Items, Money, clicks, events, installs},
    filter::Filter,
    store::{
        all_after, append, append_to_postgres, append_to_sqlite, forget, read_after, read_between, settled,
    },
};
use crate::{clock::Moment, env::Env, ids::WorkspaceId};

/// How long a row is kept at least: a day, which is promised, and an hour for clocks that differ.
pub const LIFE: chrono::Duration = chrono::Duration::hours(25);

/// A place in the feed: just behind the row with this number. The default is before everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub i64);

/// The kinds of rows. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Kind {
    /// Clicks.
    Clicks = 1,
    /// Installs, and what became of them.
    Installs = 2,
    /// Events of apps.
    Events = 3,
}

/// Forgets rows that are older than [`LIFE`] and not behind `counted`, batch by batch. Returns how many.
pub async fn sweep(env: &Env, counted: Position) -> Result<u64, DbErr> {
    let mut gone = 0;
    loop {
        let rows = store::forget(&env.db.drain, counted, env.now()).await?;
        gone += rows;
        if rows == 0 {
            return Ok(gone);
        }
    }
}

/// One row: what one transaction stored of one workspace, or a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Just behind it.
    pub position: Position,
    /// Whose.
    pub workspace: WorkspaceId,
    /// When it was stored, by the clock of the node that did.
    pub time: Moment,
    /// What it says.
    pub items: Arc<Items>,
}
