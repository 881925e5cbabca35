//! What users do in apps: kept before it is acknowledged, stored once, with its money.
//!
//! | file | what |
//! |---|---|
//! | `fields.rs` `properties.rs` | what apps may say of an event; pure |
//! | `key.rs` | the id of an event and what tells other content under it; pure |
//! | `recent.rs` | the events that this node heard of last |
//! | `heard.rs` | reads a call event by event, so that one that is no message costs no other |
//! | `record.rs` | an event as the spool holds it |
//! | `intake.rs` | takes a batch in: known already, refused, or into the spool |
//! | `carry.rs` `store/` | carries the spool into the table `events`, and the SQL of both databases |
//! | `past.rs` | events that another product recorded |
//! | `names.rs` | how many names of properties an app may have |
//! | `money.rs` `rates.rs` | exact amounts, exchange rates and what they make of an amount |
//! | `credit.rs` | which link an event is credited to; pure |
//! | `list.rs` | events for people, a page at a time |
//! | `sessions.rs` `screens.rs` `flow.rs` | how users walk through screens; the first two are pure |
//! | `meters.rs` | what is counted |
//!
//! Guarantees: an event that was accepted is on the disk and reaches the database once, however often and wherever it is sent again: its
//! id is made of the app, the id the app gave it and its time, so a repeat is the same row in the same partition. What follows from it (its
//! transaction, its meters) follows from rows that were really inserted. An id that was used for another event is refused
//! where that is known, and otherwise the first that is stored stays. Amounts are integers.

mod carry;
pub mod credit;
mod fields;
mod flow;
mod heard;
mod intake;
mod key;
mod list;
mod meters;
pub mod money;
mod names;
pub mod past;
mod properties;
mod rates;
mod recent;
mod record;
mod screens;
mod sessions;
mod store;

use uuid::Uuid;

pub use self::{
    carry::carry,
    credit::Credit,
    flow::{FlowQuery, ScreenFlow, screen_flow},
    heard::ByEvent,
    intake::{MOST_EVENTS, record},
    key::{id_after, id_of},
    list::{EventQuery, Listed, expect, list, windows},
    properties::shown as shown_properties,
    rates::{Book, Imported, Span, date_of, import as import_rates, list as list_rates},
    store::reporting_currencies,
};
use crate::{
    db::Dialect,
    env::Env,
    error::Result,
    ids::{AppId, WorkspaceId},
};

/// Whose events they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The app, where the caller said.
    pub app: Option<AppId>,
}

impl Source {
    /// Inside of what ids, transactions and names of properties are told apart: the app, or the workspace where none is known.
    pub fn scope(&self) -> Uuid {
        self.app.map_or(self.workspace.0, |app| app.0)
    }
}

/// How many days of partitions are there before they are needed.
const PARTITIONS_AHEAD: chrono::Days = chrono::Days::new(14);
/// How many days there are for what comes late.
const PARTITIONS_BEHIND: chrono::Days = chrono::Days::new(31);

/// Makes the partitions that events may need, where the database has partitions, and returns how many were missing. An
/// event whose partition is missing all the same makes its own.
pub async fn make_partitions_ahead(env: &Env) -> Result<i32> {
    if env.db.dialect() == Dialect::Sqlite {
        return Ok(0);
    }
    let today = env.now().date_naive();
    let (first, last) = (today - PARTITIONS_BEHIND, today + PARTITIONS_AHEAD);
    let mut made = 0;
    // Each by itself: while one is made nobody reads or writes the table.
    for day in first.iter_days().take_while(|day| *day <= last) {
        made += store::make_partitions(&env.db.drain, day, day).await?;
    }
    Ok(made)
}
