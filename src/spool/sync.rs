//! The thread `spool-sync`: one fdatasync for everything written since the last.
//!
//! At once when somebody waits for it, otherwise when the oldest uncovered record has waited `sync_interval`. While
//! one sync runs the next group gathers. After a failed sync nothing is believed about that file: its uncovered
//! records are written again elsewhere, and only a sync of that place tells the waiters.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::Refused;
use super::directory::SegmentFile;
use super::shared::{Shared, lock};
use super::writer::Waiter;

/// After so many failed rounds in a row waiters are told, and durable appends refused until a sync succeeds.
const GIVE_UP: u32 = 3;
const IDLE: Duration = Duration::from_secs(1);

pub(super) fn run(shared: &Arc<Shared>) {
    let mut failures = 0;
    let mut synced_at = Instant::now();
    loop {
        let closing = shared.closed.load(Ordering::SeqCst);
        match due_in(shared, failures) {
            Some(Duration::ZERO) => {}
            Some(_) | None if closing => {}
            Some(wait) => {
                thread::park_timeout(wait);
                continue;
            }
            None => {
                rest(shared, synced_at);
                continue;
            }
        }
        synced_at = Instant::now();
        if round(shared, &mut failures) {
            failures = 0;
        } else if !closing {
            thread::sleep(IDLE.min(Duration::from_millis(10 << failures.min(10))));
        }
        if closing && (failures == 0 || failures >= GIVE_UP) {
            return;
        }
    }
}

/// Waits for something to sync. For a while after the last sync it looks for itself: whoever wakes it would as likely as not lose the processor
/// to it, in the middle of a visit and for as long as others who want it take (2 ms beside busy threads; docs/performance.md, "Too much").
fn rest(shared: &Shared, synced_at: Instant) {
    if synced_at.elapsed() < IDLE {
        return thread::park_timeout(shared.options.sync_interval.min(IDLE));
    }
    shared.sync_sleeps.store(true, Ordering::SeqCst);
    // Looked at again: who appended before this thread said that it sleeps wakes nobody.
    if due_in(shared, 0).is_none() {
        thread::park_timeout(IDLE);
    }
    shared.sync_sleeps.store(false, Ordering::SeqCst);
}

/// How long until a sync is due; `None` if there is nothing to sync.
fn due_in(shared: &Shared, failures: u32) -> Option<Duration> {
    let state = lock(&shared.state);
    if !state.waiters.is_empty() || failures > 0 {
        return Some(Duration::ZERO);
    }
    let waited = Instant::now().saturating_duration_since(state.dirty_since?);
    Some(shared.options.sync_interval.saturating_sub(waited))
}

/// Syncs what is dirty and tells who waits. Returns whether all of it is on the disk.
fn round(shared: &Shared, failures: &mut u32) -> bool {
    let (dirty, waiters, new_entries) = {
        let mut state = lock(&shared.state);
        let dirty = state.take_dirty();
        (dirty, std::mem::take(&mut state.waiters), std::mem::take(&mut state.new_entries))
    };
    let mut failed = Vec::new();
    let mut spare = Vec::new();
    for mut one in dirty {
        let started = Instant::now();
        let synced = sync_segment(&one.segment);
        shared.meters.fsync_seconds.record(started.elapsed());
        match synced {
            Ok(()) => {
                shared.syncs.fetch_add(1, Ordering::SeqCst);
                one.segment.synced.store(one.written, Ordering::SeqCst);
                one.segment.synced_records.store(one.records, Ordering::SeqCst);
                spare = std::mem::take(&mut one.kept.bytes);
            }
            Err(error) => {
                tracing::error!(%error, segment = one.segment.number, "a spool sync failed; rewriting its records");
                failed.push(one);
            }
        }
    }
    // With a failure behind it, a round with nothing to sync asks the directory whether the disk is well again.
    let entries = if new_entries || *failures > 0 { shared.dir.sync() } else { Ok(()) };
    if let Err(error) = &entries {
        tracing::error!(%error, "the spool directory could not be synced");
        lock(&shared.state).new_entries = new_entries;
    }
    if failed.is_empty() && entries.is_ok() {
        spare.clear();
        lock(&shared.state).spare = spare;
        shared.sync_failing.store(false, Ordering::SeqCst);
        tell(waiters, Ok(()));
        return true;
    }

    *failures += 1;
    let rewritten = shared.rewrite(failed);
    if rewritten.is_ok() && *failures < GIVE_UP {
        lock(&shared.state).waiters.extend(waiters);
    } else {
        // The records stay where the reader finds them, but nobody may call them durable.
        shared.sync_failing.store(true, Ordering::SeqCst);
        let gathered = std::mem::take(&mut lock(&shared.state).waiters);
        tell(waiters, Err(Refused::Failed));
        tell(gathered, Err(Refused::Failed));
    }
    false
}

fn tell(waiters: Vec<Waiter>, outcome: Result<(), Refused>) {
    for waiter in waiters {
        // Gone if the caller stopped waiting: the record is written all the same.
        let _ = waiter.send(outcome);
    }
}

fn sync_segment(segment: &SegmentFile) -> io::Result<()> {
    fail::fail_point!("spool.sync.before", |_| Err(io::Error::other("failpoint")));
    segment.file.sync_data()
}
