//! Appending: one lock, one `pwrite`, a pointer swap at the end of a segment.
//!
//! Called from request handlers. Encoding and most of the checksum happen before the lock; under it a record gets
//! its place, its bytes go to the page cache in one call, and the new end is published to the reader.

use std::cell::RefCell;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::directory::{SegmentFile, read_tolerant};
use super::segment::{self, HEADER_LEN, MAX_RECORD};
use super::shared::{Shared, lock};
use super::{Position, Refused};

/// How many bytes are kept in memory for a rewrite. Beyond this (a disk that has not synced for seconds) a rewrite
/// reads the page cache back, checksum by checksum.
const KEEP_BYTES: usize = 16 << 20;

thread_local! {
    static RECORD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Told whether the record it waits for has become durable.
pub(super) type Waiter = oneshot::Sender<Result<(), Refused>>;

/// What the writer's lock protects.
pub(super) struct State {
    pub current: Option<Arc<SegmentFile>>,
    pub offset: u64,
    /// The segment that comes next, made ahead by the tidy thread.
    pub prepared: Option<Arc<SegmentFile>>,
    pub next_number: u64,
    /// Records of `current` that no sync has covered.
    pub unsynced: Kept,
    /// An empty buffer that takes over when a sync takes `unsynced`.
    pub spare: Vec<u8>,
    /// Full segments that no sync has covered.
    pub dirty: Vec<Dirty>,
    pub dirty_since: Option<Instant>,
    /// A segment was created on the request path: its directory entry is not durable yet.
    pub new_entries: bool,
    pub waiters: Vec<Waiter>,
}

/// Records in memory until a sync covers them.
#[derive(Default)]
pub(super) struct Kept {
    pub bytes: Vec<u8>,
    pub overflowed: bool,
}

impl State {
    pub fn new(next_number: u64) -> State {
        State {
            current: None,
            offset: 0,
            prepared: None,
            next_number,
            unsynced: Kept::default(),
            spare: Vec::new(),
            dirty: Vec::new(),
            dirty_since: None,
            new_entries: false,
            waiters: Vec::new(),
        }
    }

    /// Takes everything that no sync has covered.
    pub fn take_dirty(&mut self) -> Vec<Dirty> {
        let mut taken = std::mem::take(&mut self.dirty);
        if let Some(current) = &self.current
            && !self.unsynced.is_empty()
        {
            let fresh = Kept { bytes: std::mem::take(&mut self.spare), overflowed: false };
            taken.push(Dirty::new(current.clone(), std::mem::replace(&mut self.unsynced, fresh)));
        }
        self.dirty_since = None;
        taken
    }
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.overflowed
    }

    fn push(&mut self, record: &[u8]) {
        if self.bytes.len() + record.len() > KEEP_BYTES {
            self.overflowed = true;
        } else if !self.overflowed {
            self.bytes.extend_from_slice(record);
        }
    }

    fn append(&mut self, later: &Kept) {
        self.bytes.extend_from_slice(&later.bytes);
        self.overflowed |= later.overflowed;
    }
}

/// A segment with records that no sync has covered.
pub(super) struct Dirty {
    pub segment: Arc<SegmentFile>,
    pub kept: Kept,
    /// How far the segment was written, in bytes and records, when the sync began.
    pub written: u64,
    pub records: u64,
}

impl Dirty {
    fn new(segment: Arc<SegmentFile>, kept: Kept) -> Dirty {
        let (written, records) = (segment.written(), segment.records.load(Ordering::SeqCst));
        Dirty { segment, kept, written, records }
    }
}

impl Shared {
    /// Appends a record to which `payload` adds its bytes. With a waiter, the next sync is due at once and tells it.
    pub fn append(
        &self,
        kind: u8,
        id: Uuid,
        payload: impl FnOnce(&mut Vec<u8>),
        waiter: Option<Waiter>,
    ) -> Result<Position, Refused> {
        let appended = self.try_append(kind, id, payload, waiter);
        match appended {
            Ok(_) => self.meters.appended(kind),
            Err(reason) => self.meters.refused(reason),
        }
        appended
    }

    fn try_append(
        &self,
        kind: u8,
        id: Uuid,
        payload: impl FnOnce(&mut Vec<u8>),
        waiter: Option<Waiter>,
    ) -> Result<Position, Refused> {
        let durable = waiter.is_some();
        if let Some(reason) = self.refuses(durable) {
            return Err(reason);
        }
        RECORD
            .with_borrow_mut(|record| {
                let unplaced = segment::encode(record, kind, id, payload);
                if record.len() > self.largest_record() {
                    record.shrink_to(MAX_RECORD);
                    return Err(Refused::TooLarge);
                }
                let mut state = lock(&self.state);
                // Asked again under the lock: after `close` has taken it once, nothing more is written.
                if self.closed.load(Ordering::SeqCst) {
                    return Err(Refused::Closed);
                }
                let limit = if durable { self.critical_bytes() } else { self.options.max_bytes };
                if self.held.load(Ordering::Relaxed) + record.len() as u64 > limit {
                    return Err(Refused::Full);
                }
                let parts = [(record.len(), unplaced)];
                let position = self.write(&mut state, record, &parts)?;
                let first = state.dirty_since.is_none();
                if first {
                    state.dirty_since = Some(Instant::now());
                }
                state.waiters.extend(waiter);
                drop(state);
                if durable || (first && self.sync_sleeps.load(Ordering::SeqCst)) {
                    self.wake_sync();
                }
                self.wake_reader();
                Ok(position)
            })
            .inspect(|_| fail::fail_point!("spool.append.after"))
    }

    /// Cuts records into groups that are appended in one write each: up to the size of the largest record.
    pub fn groups<'a>(&self, records: &'a [(Uuid, Vec<u8>)]) -> Vec<&'a [(Uuid, Vec<u8>)]> {
        let most = self.largest_record();
        let (mut groups, mut begin, mut bytes) = (Vec::new(), 0, 0);
        for (at, (_, payload)) in records.iter().enumerate() {
            let len = segment::FRAME + payload.len();
            if bytes + len > most && at > begin {
                groups.push(&records[begin..at]);
                (begin, bytes) = (at, 0);
            }
            bytes += len;
        }
        if begin < records.len() {
            groups.push(&records[begin..]);
        }
        groups
    }

    /// Appends a group of records, all of them or none, and has `waiter` told when a sync has covered them. Wakes nobody up.
    pub fn append_group(&self, kind: u8, records: &[(Uuid, Vec<u8>)], waiter: Waiter) -> Result<(), Refused> {
        let appended = self.try_append_group(kind, records, waiter);
        for _ in records {
            match appended {
                Ok(()) => self.meters.appended(kind),
                Err(reason) => self.meters.refused(reason),
            }
        }
        appended
    }

    fn try_append_group(&self, kind: u8, records: &[(Uuid, Vec<u8>)], waiter: Waiter) -> Result<(), Refused> {
        if let Some(reason) = self.refuses(true) {
            return Err(reason);
        }
        let mut group = Vec::new();
        let mut parts = Vec::with_capacity(records.len());
        RECORD.with_borrow_mut(|record| {
            for (id, payload) in records {
                let unplaced = segment::encode(record, kind, *id, |record| record.extend_from_slice(payload));
                group.extend_from_slice(record);
                parts.push((record.len(), unplaced));
            }
        });
        if group.len() > self.largest_record() {
            return Err(Refused::TooLarge);
        }
        let mut state = lock(&self.state);
        if self.closed.load(Ordering::SeqCst) {
            return Err(Refused::Closed);
        }
        if self.held.load(Ordering::Relaxed) + group.len() as u64 > self.critical_bytes() {
            return Err(Refused::Full);
        }
        self.write(&mut state, &mut group, &parts)?;
        if state.dirty_since.is_none() {
            state.dirty_since = Some(Instant::now());
        }
        state.waiters.push(waiter);
        drop(state);
        self.wake_reader();
        fail::fail_point!("spool.append.after");
        Ok(())
    }

    fn largest_record(&self) -> usize {
        MAX_RECORD.min((self.options.segment_bytes - HEADER_LEN) as usize)
    }

    /// Writes encoded records at the end, in a new segment if the current one is full or fails. `parts` are their lengths and
    /// checksums without their places.
    fn write(
        &self,
        state: &mut State,
        record: &mut [u8],
        parts: &[(usize, u32)],
    ) -> Result<Position, Refused> {
        let len = record.len() as u64;
        for _ in 0..2 {
            let full = state.offset + len > self.options.segment_bytes;
            let current = match &state.current {
                Some(current) if !full => current.clone(),
                _ => self.rotate(state)?,
            };
            let position = Position { segment: current.number, offset: state.offset };
            let mut at = 0;
            for (len, unplaced) in parts {
                segment::seal(&mut record[at..], *unplaced, current.id, position.offset + at as u64);
                at += len;
            }
            match current.file.write_all_at(record, position.offset) {
                Ok(()) => {
                    state.offset += len;
                    state.unsynced.push(record);
                    current.records.fetch_add(parts.len() as u64, Ordering::SeqCst);
                    current.written.store(state.offset, Ordering::SeqCst);
                    self.held.fetch_add(len, Ordering::Relaxed);
                    self.appended.fetch_add(parts.len() as u64, Ordering::SeqCst);
                    return Ok(position);
                }
                Err(error) => {
                    // What was written before stays and is synced as usual; half of this record is cut later.
                    tracing::error!(%error, segment = current.number, "a spool write failed; the segment is sealed");
                    seal_current(state);
                }
            }
        }
        self.refuse(Refused::Failed);
        Err(Refused::Failed)
    }

    /// Seals the current segment and goes on in the next.
    fn rotate(&self, state: &mut State) -> Result<Arc<SegmentFile>, Refused> {
        seal_current(state);
        let next = match state.prepared.take() {
            Some(prepared) => prepared,
            None => Arc::new(self.create_now(state).map_err(|error| {
                let reason = refusal_of(&error);
                tracing::error!(%error, "no spool segment could be created; appends are refused until one can");
                self.refuse(reason);
                reason
            })?),
        };
        self.install(state, next.clone());
        Ok(next)
    }

    fn create_now(&self, state: &mut State) -> io::Result<SegmentFile> {
        let number = state.next_number;
        state.next_number += 1;
        state.new_entries = true;
        self.dir.create_segment(number, self.options.segment_bytes)
    }

    /// Makes `segment` the one that is appended to.
    pub fn install(&self, state: &mut State, segment: Arc<SegmentFile>) {
        lock(&self.segments).push_back(segment.clone());
        state.offset = HEADER_LEN;
        self.held.fetch_add(HEADER_LEN, Ordering::Relaxed);
        state.current = Some(segment);
    }

    /// Gives up segments whose sync failed: writes their uncovered records again, elsewhere, then ends the failed
    /// segments where the last good sync did. Records are never taken out of reach before they are written again.
    pub fn rewrite(&self, failed: Vec<Dirty>) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        let mut record = Vec::new();
        for mut dirty in failed {
            // Meanwhile more may have been appended to it, and it may have been sealed.
            if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &dirty.segment)) {
                seal_current(&mut state);
            }
            while let Some(at) = state.dirty.iter().position(|one| Arc::ptr_eq(&one.segment, &dirty.segment))
            {
                dirty.kept.append(&state.dirty.remove(at).kept);
            }
            let synced = dirty.segment.synced.load(Ordering::SeqCst);
            if dirty.kept.overflowed {
                dirty.kept.bytes = read_back(&dirty.segment, synced);
            }
            let mut rest = &dirty.kept.bytes[..];
            while let Some((len, _)) = rest.split_first_chunk() {
                let (one, next) = rest.split_at(8 + u32::from_le_bytes(*len) as usize);
                record.clear();
                record.extend_from_slice(one);
                let parts = [(record.len(), segment::unplaced_crc(one))];
                self.write(&mut state, &mut record, &parts)?;
                rest = next;
            }
            dirty
                .segment
                .records
                .store(dirty.segment.synced_records.load(Ordering::SeqCst), Ordering::SeqCst);
            dirty.segment.written.store(synced, Ordering::SeqCst);
        }
        state.dirty_since = Some(Instant::now());
        self.recount_held(&state);
        drop(state);
        self.wake_reader();
        Ok(())
    }
}

/// Ends the current segment; what it has unsynced is remembered.
fn seal_current(state: &mut State) {
    let Some(current) = state.current.take() else { return };
    current.sealed.store(true, Ordering::SeqCst);
    if !state.unsynced.is_empty() {
        let kept = std::mem::take(&mut state.unsynced);
        state.dirty.push(Dirty::new(current, kept));
    }
}

/// The whole records after `from`, as they are in the page cache. After a failed sync that is no proof that they are
/// on the disk, but a matching checksum does prove what they are.
fn read_back(segment: &SegmentFile, from: u64) -> Vec<u8> {
    let (bytes, _) = read_tolerant(&segment.file, 0, segment.written());
    let mut records = Vec::new();
    segment::scan(&bytes, segment.id, |at, found| {
        if at >= from {
            records.extend_from_slice(&bytes[at as usize..found.end()]);
        }
    });
    records
}

/// Which refusal an error of the filesystem becomes.
pub(super) fn refusal_of(error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Refused::DiskFull,
        _ => Refused::Failed,
    }
}
