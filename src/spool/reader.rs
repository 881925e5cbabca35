//! The one consumer's side: batches in order, and word back about what need not be kept.
//!
//! It reads what the writer has published and nothing beyond, a chunk at a time, on the thread of whoever drains: as a rule
//! what was just written, out of the page cache. Waiting costs nothing: the writer wakes it when there is enough.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::directory::{SegmentFile, read_tolerant};
use super::segment::{self, HEADER_LEN, MAX_RECORD};
use super::shared::{Shared, lock};
use super::{Batch, Owner, Position, Record, RecordKind};

/// How much is read from a file at once.
const CHUNK: usize = 1 << 20;
/// Batch ends that are remembered until they are committed. Others are found again by reading the segment.
const REMEMBERED: usize = 4_096;

/// Hands out what was appended. There is one per spool; see [`super::Spool::open`].
pub struct Reader {
    owner: Arc<Owner>,
    cursor: Cursor,
    /// Ends of batches that are not committed, with the records of that segment before them.
    handed: VecDeque<(Position, u64)>,
    /// No position beyond this can be known to the consumer.
    furthest: Position,
}

#[derive(Clone)]
struct Cursor {
    segment: Option<Arc<SegmentFile>>,
    position: Position,
    /// Records of the segment before `position`.
    records: u64,
}

impl Cursor {
    fn enter(&mut self, segment: Arc<SegmentFile>) {
        self.position = segment.start();
        self.records = 0;
        self.segment = Some(segment);
    }
}

impl Reader {
    pub(super) fn new(owner: Arc<Owner>) -> Reader {
        let drained = drained_cursor(&owner.shared);
        let last = lock(&owner.shared.segments)
            .iter()
            .rfind(|segment| segment.is_sealed())
            .map(|segment| Position { segment: segment.number, offset: segment.written() });
        let furthest = last.unwrap_or_default().max(drained.position);
        Reader { owner, cursor: drained, handed: VecDeque::new(), furthest }
    }

    /// Waits until there is something, then up to `linger` for the batch to fill, and returns it.
    ///
    /// A batch holds at most `max_records` records and `max_bytes` bytes, frames included, but always one record.
    /// It is empty only when the spool has been closed and everything was handed out. May be cancelled: what a
    /// cancelled call had read is handed out by the next.
    pub async fn next_batch(&mut self, max_records: usize, max_bytes: usize, linger: Duration) -> Batch {
        let shared = self.owner.shared.clone();
        let mut cursor = self.cursor.clone();
        let mut filling = Filling {
            records: Vec::new(),
            bytes: 0,
            max_records: max_records.max(1),
            max_bytes,
            full: false,
        };
        let seen = loop {
            // Both are read before looking, so that nothing that comes later is slept over.
            let closed = shared.closed.load(Ordering::SeqCst);
            let seen = shared.appended.load(Ordering::SeqCst);
            filling.fill(&shared, &mut cursor);
            if !filling.records.is_empty() || closed {
                break seen;
            }
            sleep_until(&shared, seen + 1).await;
        };
        if !filling.full && !filling.records.is_empty() && !linger.is_zero() {
            let deadline = Instant::now() + linger;
            let enough = seen + (filling.max_records - filling.records.len()) as u64;
            while shared.appended.load(Ordering::SeqCst) < enough && !shared.closed.load(Ordering::SeqCst) {
                if timeout_at(deadline, sleep_until(&shared, enough)).await.is_err() {
                    break;
                }
            }
            filling.fill(&shared, &mut cursor);
        }

        let end = cursor.position;
        if !filling.records.is_empty() {
            if self.handed.len() == REMEMBERED {
                self.handed.pop_front();
            }
            self.handed.push_back((end, cursor.records));
        }
        self.furthest = self.furthest.max(end);
        self.cursor = cursor;
        Batch { records: filling.records, end }
    }

    /// Continues from where the consumer says that it had got to; after a start, or to read a batch again.
    ///
    /// Never goes back before what was committed. A position that is not the border of a record that this spool
    /// may have handed out is ignored with a warning: replaying is harmless, skipping is not. Reads one segment.
    pub fn seek(&mut self, position: Position) {
        let shared = &self.owner.shared;
        let drained = drained_cursor(shared);
        if position <= drained.position {
            if position < drained.position {
                tracing::warn!(?position, drained = ?drained.position, "the consumer is behind the spool's checkpoint");
            }
            self.cursor = drained;
            self.handed.clear();
            return;
        }
        let segment = shared.segment(position.segment).filter(|_| position <= self.furthest);
        let records = segment.as_ref().and_then(|segment| segment.records_before(position.offset));
        let Some(records) = records else {
            tracing::warn!(?position, "a position that this spool cannot have handed out is ignored");
            return;
        };
        self.cursor = Cursor { segment, position, records };
        self.handed.clear();
        self.handed.push_back((position, records));
    }

    /// Says that everything before `end` is safe elsewhere. Nothing of it is handed out after a restart.
    ///
    /// Does not wait for the disk: a thread stores the checkpoint within a second, at once when a segment has become
    /// free, and on close. A crash in between means replay. An error is of the argument, or of the last attempt to
    /// store a checkpoint; the commit itself counts.
    pub fn commit(&mut self, end: Position) -> io::Result<()> {
        let shared = &self.owner.shared;
        if shared.closed.load(Ordering::SeqCst) {
            return Err(io::Error::other("the spool is closed"));
        }
        if end > self.furthest {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this position was never handed out"));
        }
        let before = lock(&shared.drained).position;
        if end > before {
            let segment = shared.segment(end.segment);
            let remembered =
                self.handed.iter().find(|(position, _)| *position == end).map(|(_, records)| *records);
            let records = remembered
                .or_else(|| segment.as_ref()?.records_before(end.offset))
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no record ends there"))?;
            self.handed.retain(|(position, _)| *position > end);
            let mut drained = lock(&shared.drained);
            (drained.position, drained.records) = (end, records);
            drop(drained);
            let finished =
                segment.is_none_or(|segment| segment.is_sealed() && end.offset >= segment.written());
            if finished || end.segment > before.segment {
                shared.wake_tidy();
            }
        }
        match lock(&shared.drained).failure.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Returns where the next batch begins.
    pub fn position(&self) -> Position {
        self.cursor.position
    }
}

/// A cursor at what was committed.
fn drained_cursor(shared: &Shared) -> Cursor {
    let drained = lock(&shared.drained);
    let (position, records) = (drained.position, drained.records);
    drop(drained);
    Cursor { segment: shared.segment(position.segment), position, records }
}

/// Returns when `target` records have been appended since the start, the spool was closed, or by chance earlier.
async fn sleep_until(shared: &Shared, target: u64) {
    shared.reader_wakes_at.store(target, Ordering::SeqCst);
    // Asked after saying so: an append sees the wish, or this sees the append.
    if shared.appended.load(Ordering::SeqCst) < target && !shared.closed.load(Ordering::SeqCst) {
        shared.reader.notified().await;
    }
}

/// A batch while it is gathered.
struct Filling {
    records: Vec<Record>,
    bytes: usize,
    max_records: usize,
    max_bytes: usize,
    full: bool,
}

impl Filling {
    /// Adds what has been published, as far as it fits.
    fn fill(&mut self, shared: &Shared, cursor: &mut Cursor) {
        while !self.full {
            let Some(segment) = cursor.segment.clone() else {
                let Some(next) = shared.segment_after(cursor.position.segment) else { return };
                cursor.enter(next);
                continue;
            };
            // In this order: a segment seen as sealed is never longer than what is read after it.
            let sealed = segment.is_sealed();
            let written = segment.written();
            if cursor.position.offset >= written {
                if !sealed {
                    return;
                }
                let Some(next) = shared.segment_after(segment.number) else { return };
                cursor.enter(next);
                continue;
            }
            let (offset, records_left) = (cursor.position.offset, self.max_records - self.records.len());
            let bytes_left = self.max_bytes.saturating_sub(self.bytes);
            let first = self.records.is_empty();
            let chunk = read_chunk(&segment, offset, written, records_left, bytes_left, first);
            if chunk.damaged {
                shared.quarantine(&segment);
            }
            cursor.position.offset = chunk.end;
            cursor.records += chunk.records.len() as u64;
            self.bytes += chunk.bytes;
            self.records.extend(chunk.records);
            self.full = chunk.full || self.records.len() >= self.max_records;
        }
    }
}

struct Chunk {
    records: Vec<Record>,
    bytes: usize,
    end: u64,
    full: bool,
    damaged: bool,
}

/// Reads whole records from `offset`. At damage it returns what lies before; the next call steps over it.
fn read_chunk(
    segment: &SegmentFile,
    offset: u64,
    written: u64,
    max_records: usize,
    max_bytes: usize,
    first: bool,
) -> Chunk {
    let want = max_bytes.clamp(MAX_RECORD, CHUNK) as u64;
    let (bytes, _) = read_tolerant(&segment.file, offset, written.min(offset + want));
    let bytes = Bytes::from(bytes);
    let mut chunk = Chunk { records: Vec::new(), bytes: 0, end: offset, full: false, damaged: false };
    let mut at = 0;
    while chunk.records.len() < max_records {
        let Some(found) = segment::decode(&bytes, at, offset, segment.id) else { break };
        let end = found.end();
        if end > max_bytes && !(first && at == 0) {
            chunk.full = true;
            break;
        }
        chunk.records.push(Record {
            kind: RecordKind::from(found.kind),
            version: found.version,
            id: found.id,
            payload: bytes.slice(found.payload),
            position: Position { segment: segment.number, offset: offset + at as u64 },
        });
        at = end;
    }
    chunk.bytes = at;
    chunk.end = offset + at as u64;
    if chunk.records.is_empty() && !chunk.full {
        let (rest, _) = read_tolerant(&segment.file, offset, written);
        let next = segment::next_valid(&rest, 1, offset, segment.id);
        chunk.end = next.map_or(written, |next| offset + next as u64);
        chunk.damaged = true;
    }
    chunk
}

const _: () = assert!(HEADER_LEN < MAX_RECORD as u64 && MAX_RECORD <= CHUNK);
