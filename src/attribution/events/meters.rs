//! What is counted of events. One of it in a process: [`of`].

use std::sync::Arc;

use metrics::{Counter, counter};

use super::fields::Refusal;
use crate::env::Env;

/// The meters of events.
#[derive(Debug)]
pub struct Meters {
    /// Answered as accepted, repeats too.
    pub accepted: Counter,
    /// Answered as to be sent again.
    pub retried: Counter,
    /// Sent again, and known.
    pub repeated: Counter,
    /// Stored.
    pub stored: Counter,
    /// In the spool although they are stored.
    pub duplicates: Counter,
    /// In the spool, with other content than what is stored under their id.
    pub conflicts: Counter,
    /// Revenue that another event of the same transaction has.
    pub duplicate_revenue: Counter,
    /// Names of properties that were left out.
    pub names_dropped: Counter,
}

/// Returns the meters of this process.
pub fn of(env: &Env) -> Arc<Meters> {
    env.memory.of(|| Meters {
        accepted: counter!("linkforty_events_accepted_total"),
        retried: counter!("linkforty_events_retry_total"),
        repeated: counter!("linkforty_events_repeated_total"),
        stored: counter!("linkforty_events_stored_total"),
        duplicates: counter!("linkforty_events_duplicate_total"),
        conflicts: counter!("linkforty_events_conflict_total"),
        duplicate_revenue: counter!("linkforty_events_duplicate_revenue_total"),
        names_dropped: counter!("linkforty_events_property_names_dropped_total"),
    })
}

impl Meters {
    /// Counts a refused event by the first field that was wrong.
    pub fn refused(&self, refusal: &Refusal) {
        // Rare, so the handle is looked for each time.
        counter!("linkforty_events_refused_total", "field" => refusal.field).increment(1);
    }
}
