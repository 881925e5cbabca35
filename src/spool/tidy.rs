//! The thread `spool-tidy`: everything slow that is not a sync.
//!
//! It makes the next segment ahead, watches the free space, stores the checkpoint, removes what was drained, and
//! sets the gauges. Several times a second, and at once when a segment has been drained.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::shared::{Shared, lock};
use super::writer::refusal_of;
use super::{Level, Refused};
use super::{Position, checkpoint};

const TICK: Duration = Duration::from_millis(250);
/// A checkpoint costs two syncs. Between two of them a crash means at most this much replay.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(shared: &Arc<Shared>) {
    let mut last_checkpoint = None;
    let mut level = Level::Normal;
    loop {
        let closing = shared.closed.load(Ordering::SeqCst);
        if !closing {
            watch_space(shared);
        }
        store_and_remove(shared, &mut last_checkpoint, closing);
        let now = shared.level();
        if now > level {
            tracing::warn!(level = ?now, lag_records = shared.lag_records(), "the spool fills: is it being drained?");
        } else if now == Level::Normal && level > now {
            tracing::info!("the spool has room again");
        }
        level = now;
        shared.meters.bytes.set(shared.held.load(Ordering::Relaxed) as f64);
        shared.meters.lag_records.set(shared.lag_records() as f64);
        if closing {
            if let Some(prepared) = lock(&shared.state).prepared.take() {
                prepared.remove();
            }
            return;
        }
        thread::park_timeout(TICK);
    }
}

/// Refuses while the disk is nearly full, allows again when there is room and a segment to write to.
fn watch_space(shared: &Shared) {
    let refused = shared.refuses(false);
    match shared.dir.free_bytes() {
        Ok(free) if free < shared.options.min_free_bytes => {
            if refused.is_none() {
                tracing::error!(
                    free,
                    "little disk space is left; the spool refuses appends until there is more"
                );
                shared.refuse(Refused::DiskFull);
            }
            return;
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the free space of the spool cannot be read"),
    }
    match prepare(shared) {
        Ok(()) if refused.is_some() => {
            tracing::info!("the spool accepts appends again");
            shared.allow();
        }
        Err(error) if refused.is_none() => {
            tracing::warn!(%error, "the next spool segment could not be made ahead");
            // With a segment to write to there is still time.
            if lock(&shared.state).current.is_none() {
                shared.refuse(refusal_of(&error));
            }
        }
        Ok(()) | Err(_) => {}
    }
}

/// Makes the next segment if the current one is half full, so that an append only has to swap a pointer.
fn prepare(shared: &Shared) -> io::Result<()> {
    let number = {
        let mut state = lock(&shared.state);
        let roomy = state.current.is_some() && state.offset < shared.options.segment_bytes / 2;
        if roomy || state.prepared.is_some() {
            return Ok(());
        }
        let number = state.next_number;
        state.next_number += 1;
        number
    };
    let made = shared.dir.create_segment(number, shared.options.segment_bytes)?;
    if let Err(error) = made.file.sync_all().and_then(|()| shared.dir.sync()) {
        made.remove();
        return Err(error);
    }
    let mut state = lock(&shared.state);
    if state.next_number == number + 1 && state.prepared.is_none() {
        state.prepared = Some(Arc::new(made));
    } else {
        // An append needed one sooner and took a later number: order would be lost.
        made.remove();
    }
    Ok(())
}

/// Stores how far the consumer has got, then removes the segments that are wholly behind it.
fn store_and_remove(shared: &Shared, last: &mut Option<Instant>, closing: bool) {
    let (position, stored) = {
        let drained = lock(&shared.drained);
        (drained.position, drained.stored)
    };
    let (gone, kept): (Vec<_>, Vec<_>) = lock(&shared.segments).iter().cloned().partition(|segment| {
        let end = Position { segment: segment.number, offset: segment.written() };
        segment.is_sealed() && (end <= position || segment.records.load(Ordering::SeqCst) == 0)
    });
    drop(kept);
    let due = closing || !gone.is_empty() || last.is_none_or(|last| last.elapsed() >= CHECKPOINT_EVERY);
    if due && stored.unwrap_or_default() != position {
        let written = checkpoint::write(&shared.dir, position);
        *last = Some(Instant::now());
        let mut drained = lock(&shared.drained);
        match written {
            Ok(()) => drained.stored = Some(position),
            Err(error) => {
                tracing::warn!(%error, "the spool checkpoint could not be stored; a restart would replay");
                drained.failure = Some(error);
            }
        }
    }
    if gone.is_empty() {
        return;
    }
    // Also when the checkpoint failed: on a full disk only this makes room for it, and these are drained.
    let state = lock(&shared.state);
    lock(&shared.segments).retain(|segment| !gone.iter().any(|one| Arc::ptr_eq(one, segment)));
    shared.recount_held(&state);
    drop(state);
    for segment in gone {
        segment.remove();
    }
}
