//! What the writer, the reader and the two threads share.
//!
//! Lock order: `state`, then `drained`, then `segments`. None is held over a sync or an await.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use tokio::sync::Notify;
use uuid::Uuid;

use super::directory::{Directory, SegmentFile};
use super::meters::Meters;
use super::writer::State;
use super::{Level, Position, Refused, SpoolOptions, Status, oldest_of, segment};

pub(super) struct Shared {
    pub dir: Directory,
    pub id: Uuid,
    pub options: SpoolOptions,
    pub state: Mutex<State>,
    /// Every segment that still exists, oldest first.
    pub segments: Mutex<VecDeque<Arc<SegmentFile>>>,
    pub drained: Mutex<Drained>,
    /// Bytes of all segments that still exist, without preallocated space.
    pub held: AtomicU64,
    /// Records written since the spool was opened. The reader sleeps on it.
    pub appended: AtomicU64,
    pub reader_wakes_at: AtomicU64,
    pub reader: Notify,
    pub closed: AtomicBool,
    /// Syncs fail again and again: no durable append until one succeeds.
    pub sync_failing: AtomicBool,
    pub syncs: AtomicU64,
    /// The sync thread looks for nothing by itself: the first record that it is to sync wakes it.
    pub sync_sleeps: AtomicBool,
    pub cut_bytes: u64,
    /// The first segment of this run; those below it were recovered.
    pub first_new: u64,
    pub quarantined: AtomicU64,
    pub meters: Meters,
    pub sync_thread: OnceLock<Thread>,
    pub tidy_thread: OnceLock<Thread>,
    refusing: AtomicU8,
}

/// How far the consumer has got.
pub(super) struct Drained {
    pub position: Position,
    /// Records of the segment `position.segment` that lie before it.
    pub records: u64,
    /// What the checkpoint file says.
    pub stored: Option<Position>,
    /// Why the last attempt to write it failed, until `commit` has reported it.
    pub failure: Option<std::io::Error>,
}

/// What [`Shared::new`] is made of.
pub(super) struct Parts {
    pub dir: Directory,
    pub id: Uuid,
    pub options: SpoolOptions,
    pub state: State,
    pub segments: VecDeque<Arc<SegmentFile>>,
    pub drained: Drained,
    pub cut_bytes: u64,
    pub first_new: u64,
    pub quarantined: u64,
}

impl Shared {
    pub fn new(parts: Parts) -> Shared {
        let Parts { dir, id, options, state, segments, drained, cut_bytes, first_new, quarantined } = parts;
        let held = segments.iter().map(|segment| segment.written()).sum();
        Shared {
            dir,
            id,
            options,
            state: Mutex::new(state),
            segments: Mutex::new(segments),
            drained: Mutex::new(drained),
            held: AtomicU64::new(held),
            appended: AtomicU64::new(0),
            reader_wakes_at: AtomicU64::new(u64::MAX),
            reader: Notify::new(),
            closed: AtomicBool::new(false),
            sync_failing: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            sync_sleeps: AtomicBool::new(false),
            cut_bytes,
            first_new,
            quarantined: AtomicU64::new(quarantined),
            meters: Meters::resolve(),
            sync_thread: OnceLock::new(),
            tidy_thread: OnceLock::new(),
            refusing: AtomicU8::new(0),
        }
    }

    /// From here on durable appends are refused, so that what is left serves clicks.
    pub fn critical_bytes(&self) -> u64 {
        self.options.max_bytes / 20 * 19
    }

    pub fn level(&self) -> Level {
        let held = self.held.load(Ordering::Relaxed);
        match held {
            _ if held >= self.options.max_bytes => Level::Full,
            _ if held >= self.critical_bytes() => Level::Critical,
            _ if held >= self.options.max_bytes / 5 * 4 => Level::Warn,
            _ => Level::Normal,
        }
    }

    /// Refuses appends from now on, until the tidy thread finds that it need not be so.
    pub fn refuse(&self, reason: Refused) {
        self.refusing.store(reason as u8 + 1, Ordering::SeqCst);
    }

    pub fn allow(&self) {
        self.refusing.store(0, Ordering::SeqCst);
    }

    /// Why an append would be refused whatever it holds; bounds apart.
    pub fn refuses(&self, durable: bool) -> Option<Refused> {
        if self.closed.load(Ordering::SeqCst) {
            return Some(Refused::Closed);
        }
        if durable && self.sync_failing.load(Ordering::SeqCst) {
            return Some(Refused::Failed);
        }
        let refusing = usize::from(self.refusing.load(Ordering::SeqCst));
        refusing.checked_sub(1).and_then(|reason| Refused::ALL.get(reason)).copied()
    }

    /// Counts what is held again, after segments were removed or shortened. The state's lock keeps appends out.
    pub fn recount_held(&self, _locked: &State) {
        let held = lock(&self.segments).iter().map(|segment| segment.written()).sum();
        self.held.store(held, Ordering::Relaxed);
    }

    pub fn lag_records(&self) -> u64 {
        self.lag_below(u64::MAX)
    }

    /// Counts the records of the segments below `number` that no commit has covered.
    pub fn lag_below(&self, number: u64) -> u64 {
        let drained = lock(&self.drained);
        let segments = lock(&self.segments);
        let in_segment = |segment: &Arc<SegmentFile>| {
            let records = segment.records.load(Ordering::SeqCst);
            match segment.number.cmp(&drained.position.segment) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => records.saturating_sub(drained.records),
                std::cmp::Ordering::Greater => records,
            }
        };
        segments.iter().filter(|segment| segment.number < number).map(in_segment).sum()
    }

    /// The first segment after `number`.
    pub fn segment_after(&self, number: u64) -> Option<Arc<SegmentFile>> {
        lock(&self.segments).iter().find(|segment| segment.number > number).cloned()
    }

    pub fn segment(&self, number: u64) -> Option<Arc<SegmentFile>> {
        lock(&self.segments).iter().find(|segment| segment.number == number).cloned()
    }

    /// Wakes the reader if it has slept long enough for what it asked.
    pub fn wake_reader(&self) {
        if self.appended.load(Ordering::SeqCst) >= self.reader_wakes_at.load(Ordering::SeqCst) {
            self.reader_wakes_at.store(u64::MAX, Ordering::SeqCst);
            self.reader.notify_one();
        }
    }

    pub fn wake_sync(&self) {
        if let Some(thread) = self.sync_thread.get() {
            thread.unpark();
        }
    }

    pub fn wake_tidy(&self) {
        if let Some(thread) = self.tidy_thread.get() {
            thread.unpark();
        }
    }

    /// Puts a segment aside whose damage the reader met. Once per segment.
    pub fn quarantine(&self, segment: &SegmentFile) {
        if !segment.quarantined.swap(true, Ordering::SeqCst)
            && super::recovery::quarantine(&self.dir, &segment.path)
        {
            self.quarantined.fetch_add(1, Ordering::SeqCst);
            self.meters.quarantined.increment(1);
        }
    }

    pub fn status(&self) -> Status {
        let durable_refusal = self.refuses(true);
        let level = self.level();
        let drained = lock(&self.drained).position;
        Status {
            id: Some(self.id),
            bytes: self.held.load(Ordering::Relaxed),
            lag_records: self.lag_records(),
            oldest_undrained: self.oldest_undrained(drained),
            segments: lock(&self.segments).len() as u64,
            quarantined: self.quarantined.load(Ordering::SeqCst),
            cut_bytes: self.cut_bytes,
            syncs: self.syncs.load(Ordering::SeqCst),
            drained,
            level,
            refuses: self.refuses(false).or((level == Level::Full).then_some(Refused::Full)),
            refuses_durable: durable_refusal.or((level >= Level::Critical).then_some(Refused::Full)),
        }
    }

    fn oldest_undrained(&self, drained: Position) -> Option<std::time::SystemTime> {
        let here = self.segment(drained.segment).filter(|segment| segment.written() > drained.offset);
        let (segment, from) = match here {
            Some(segment) => (segment, drained.offset.max(segment::HEADER_LEN)),
            None => (self.segment_after(drained.segment)?, segment::HEADER_LEN),
        };
        let to = segment.written().min(from + segment::MAX_RECORD as u64);
        let (bytes, _) = super::directory::read_tolerant(&segment.file, from, to);
        oldest_of(segment::decode(&bytes, 0, from, segment.id)?.id)
    }
}

/// Takes a lock. A panic elsewhere must not end the acceptance of clicks: every value behind these locks is
/// consistent between two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
