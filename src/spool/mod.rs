//! A local write-ahead spool: what was accepted is in a file before anybody is told so.
//!
//! Knows bytes, ids and kinds; nothing of links.
//!
//! | file | holds |
//! |---|---|
//! | `segment` | the format: header, record, and the scan that finds what is whole (pure) |
//! | `directory` | files, the lock, the identity, quarantine |
//! | `recovery` | what happens at start; `inspect` |
//! | `writer` | append, rotation, rewriting after a failed sync |
//! | `sync`, `tidy` | the two threads: group fdatasync; everything else that is slow |
//! | `reader`, `checkpoint` | handing out, and remembering how far |
//! | `shared`, `meters` | what they share; metrics |
//!
//! Promises, each with a test below that can fail:
//!
//! - A record that [`Spool::append`] accepted survives the death of the process at any instruction.
//! - A record that [`Spool::append_durable`] accepted survives a power cut.
//! - Every accepted record is handed out at least once, in order of position, until its batch is committed.
//! - A damaged record is never handed out, and costs no other record.
//! - What cannot be kept is refused, with a reason, and accepted again when the reason is gone.
//!
//! The format and what is not promised: `docs/spool.md`.

mod checkpoint;
mod directory;
mod meters;
mod reader;
mod recovery;
mod segment;
mod shared;
mod sync;
mod tidy;
mod writer;

// Two attributes: clippy knows tests by the bare one.
#[cfg(test)]
#[cfg(feature = "failpoints")]
mod fault_tests;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

pub use reader::Reader;

use directory::Directory;
use shared::{Drained, Parts, Shared, lock};
use writer::{State, refusal_of};

/// How large a spool may become, and how fast it is synced.
#[derive(Debug, Clone, Copy)]
pub struct SpoolOptions {
    /// Size of a segment file; at most an eighth of `max_bytes`. Up to two segments are preallocated.
    pub segment_bytes: u64,
    /// How much may wait for the consumer.
    pub max_bytes: u64,
    /// Free space of the filesystem below which appends are refused.
    pub min_free_bytes: u64,
    /// How long a written record may wait for fdatasync if nobody asks for one.
    pub sync_interval: Duration,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        SpoolOptions {
            segment_bytes: 64 << 20,
            max_bytes: 8 << 30,
            min_free_bytes: 1 << 30,
            sync_interval: Duration::from_millis(20),
        }
    }
}

/// What a record is. The spool only carries the number; one it does not know comes out as it went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A redirect that was answered.
    Click,
    /// The first open of an app.
    Install,
    /// Something that happened in an app.
    Event,
    /// What Apple says of an install that an ad brought.
    Postback,
    /// An ad for a link that somebody saw.
    View,
    /// A link that opened an app.
    Open,
    /// A kind of another release.
    Unknown(u8),
}

impl From<u8> for RecordKind {
    fn from(kind: u8) -> Self {
        match kind {
            1 => RecordKind::Click,
            2 => RecordKind::Install,
            3 => RecordKind::Event,
            4 => RecordKind::Postback,
            6 => RecordKind::View,
            7 => RecordKind::Open,
            other => RecordKind::Unknown(other),
        }
    }
}

impl From<RecordKind> for u8 {
    fn from(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Click => 1,
            RecordKind::Install => 2,
            RecordKind::Event => 3,
            RecordKind::Postback => 4,
            RecordKind::View => 6,
            RecordKind::Open => 7,
            RecordKind::Unknown(other) => other,
        }
    }
}

/// A place in the spool. Grows with every record; a segment's number is never used twice.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number in the segment's file name.
    pub segment: u64,
    /// Bytes from the beginning of that file.
    pub offset: u64,
}

/// A record as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// Layout version of the record; 1 until a release needs another.
    pub version: u8,
    /// The id it was appended with; the key by which a consumer tells a replay.
    pub id: Uuid,
    /// What it carries.
    pub payload: Bytes,
    /// Where it begins.
    pub position: Position,
}

/// Records in the order of their positions.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Empty only after the spool was closed.
    pub records: Vec<Record>,
    /// What to commit when all of them are safe.
    pub end: Position,
}

/// Why a record was not accepted. Nothing of it was kept, except after `Failed` from [`Spool::append_durable`]: then
/// it may still be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As much as allowed waits for the consumer.
    #[error("the spool is full")]
    Full,
    /// The filesystem is full or nearly so.
    #[error("the disk is full")]
    DiskFull,
    /// The record is larger than the spool can hold.
    #[error("the record is too large")]
    TooLarge,
    /// The filesystem failed.
    #[error("the spool cannot be written")]
    Failed,
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
}

impl Refused {
    const ALL: [Refused; 5] =
        [Refused::Full, Refused::DiskFull, Refused::TooLarge, Refused::Failed, Refused::Closed];

    /// Returns the reason as metrics and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Full => "full",
            Refused::DiskFull => "disk_full",
            Refused::TooLarge => "too_large",
            Refused::Failed => "failed",
            Refused::Closed => "closed",
        }
    }
}

/// How near the bound is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Below 80 %.
    #[default]
    Normal,
    /// From 80 %: someone should look at the consumer.
    Warn,
    /// From 95 %: durable appends are refused.
    Critical,
    /// 100 %: every append is refused.
    Full,
}

/// What a spool holds and whether it accepts.
#[derive(Debug, Default, Clone)]
pub struct Status {
    /// The spool's identity; `None` if [`inspect`] found none.
    pub id: Option<Uuid>,
    /// Bytes in segments that still exist, drained or not, without preallocated space.
    pub bytes: u64,
    /// Records that no commit has covered.
    pub lag_records: u64,
    /// When the oldest of them was made, if its id is a UUIDv7.
    pub oldest_undrained: Option<SystemTime>,
    /// Segment files.
    pub segments: u64,
    /// Files in `quarantine/`.
    pub quarantined: u64,
    /// Bytes of torn records that recovery cut at this start; for [`inspect`], that it would cut.
    pub cut_bytes: u64,
    /// Successful fdatasyncs since the start.
    pub syncs: u64,
    /// How far the consumer has got.
    pub drained: Position,
    /// How near the bound is.
    pub level: Level,
    /// Why `append` refuses at the moment. Always `None` from [`inspect`].
    pub refuses: Option<Refused>,
    /// Why `append_durable` refuses at the moment. Always `None` from [`inspect`].
    pub refuses_durable: Option<Refused>,
}

/// Why a spool could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process, or another part of this one, owns the directory.
    #[error("the spool {path} is in use")]
    InUse {
        /// The spool's directory.
        path: PathBuf,
    },
    /// A newer release wrote it. It is left untouched.
    #[error("{path} has spool format {version}, which this release does not know")]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its format.
        version: u16,
    },
    /// The filesystem failed.
    #[error("the spool {path} cannot be opened")]
    Io {
        /// The directory or the file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The writing end. A cheap clone; the directory is given back when every clone and the [`Reader`] are gone, or by
/// [`Spool::close`].
#[derive(Clone)]
pub struct Spool {
    owner: Arc<Owner>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens or creates the spool in `dir`, takes it for this process, and recovers what a crash left.
    ///
    /// Reads everything that is not drained. A full disk does not keep it from opening: it then refuses appends
    /// until there is room, and the reader can make that room.
    pub fn open(dir: &Path, options: SpoolOptions) -> Result<(Spool, Reader), SpoolError> {
        let failed = |source| SpoolError::Io { path: dir.to_owned(), source };
        let segment_bytes = options.segment_bytes.min(options.max_bytes / 8).max(1024);
        let options = SpoolOptions { segment_bytes, ..options };
        let dir = Directory::own(dir)?;
        let recovered = recovery::recover(&dir)?;
        let drained = Drained {
            position: recovered.drained,
            records: recovered.drained_records,
            stored: Some(recovered.drained),
            failure: None,
        };
        let shared = Arc::new(Shared::new(Parts {
            id: recovered.id,
            options,
            state: State::new(recovered.next_number),
            segments: VecDeque::from(recovered.segments),
            drained,
            cut_bytes: recovered.cut_bytes,
            first_new: recovered.next_number,
            quarantined: directory::count_quarantined(&dir.path),
            dir,
        }));
        let (records, segments) = (shared.lag_records(), lock(&shared.segments).len());
        tracing::info!(path = %shared.dir.path.display(), records, segments, "the spool is open");
        shared.meters.cut_bytes.increment(recovered.cut_bytes);
        shared.meters.quarantined.increment(recovered.quarantined);
        if let Err(error) = begin(&shared) {
            tracing::error!(%error, "no spool segment could be created; appends are refused until one can");
            shared.refuse(refusal_of(&error));
        }

        // Built first, so that a thread that cannot be started stops the other.
        let owner = Arc::new(Owner { shared: shared.clone(), threads: Mutex::default() });
        let handle = start("spool-sync", &shared, sync::run).map_err(failed)?;
        let _ = shared.sync_thread.set(handle.thread().clone());
        lock(&owner.threads).push(handle);
        let handle = start("spool-tidy", &shared, tidy::run).map_err(failed)?;
        let _ = shared.tidy_thread.set(handle.thread().clone());
        lock(&owner.threads).push(handle);
        Ok((Spool { owner: owner.clone() }, Reader::new(owner)))
    }

    /// Returns this spool's identity, by which a consumer keeps its progress. Survives restarts; replaced only when
    /// nothing else of the spool is left.
    pub fn id(&self) -> Uuid {
        self.owner.shared.id
    }

    /// Appends with `process` durability: when it returns, the death of the process loses nothing.
    ///
    /// Takes microseconds; waits for no disk. Returns where the record begins, which is where the reader finds it
    /// unless a failed sync forces it to be written again elsewhere.
    pub fn append(&self, kind: RecordKind, id: Uuid, payload: &[u8]) -> Result<Position, Refused> {
        self.append_with(kind, id, |record| record.extend_from_slice(payload))
    }

    /// Appends as [`Spool::append`] does what `payload` adds to the record. It takes nothing away from it, and does not append
    /// itself.
    pub fn append_with(
        &self,
        kind: RecordKind,
        id: Uuid,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Position, Refused> {
        self.owner.shared.append(kind.into(), id, payload, None)
    }

    /// Appends with `disk` durability: when it returns, an fdatasync has covered the record.
    ///
    /// One sync serves everybody who waits. A caller that stops waiting leaves the record in the spool.
    pub async fn append_durable(
        &self,
        kind: RecordKind,
        id: Uuid,
        payload: &[u8],
    ) -> Result<Position, Refused> {
        let (waiter, synced) = oneshot::channel();
        let payload = |record: &mut Vec<u8>| record.extend_from_slice(payload);
        let position = self.owner.shared.append(kind.into(), id, payload, Some(waiter))?;
        synced.await.unwrap_or(Err(Refused::Failed))?;
        Ok(position)
    }

    /// Appends several records with `disk` durability, under as few syncs as there are: each is answered for itself, in their order.
    ///
    /// They are written in groups, so that nobody else waits longer for the lock than for one large record. A group is written whole
    /// or not at all. A caller that stops waiting leaves the records in the spool.
    pub async fn append_all_durable(
        &self,
        kind: RecordKind,
        records: &[(Uuid, Vec<u8>)],
    ) -> Vec<Result<(), Refused>> {
        let shared = &self.owner.shared;
        // All of them are written before anybody waits: the first sync covers most.
        let groups: Vec<_> = shared
            .groups(records)
            .into_iter()
            .map(|group| {
                let (waiter, synced) = oneshot::channel();
                (group.len(), shared.append_group(kind.into(), group, waiter).map(|()| synced))
            })
            .collect();
        shared.wake_sync();
        let mut outcomes = Vec::with_capacity(records.len());
        for (count, written) in groups {
            let outcome = match written {
                Ok(synced) => synced.await.unwrap_or(Err(Refused::Failed)),
                Err(refused) => Err(refused),
            };
            outcomes.extend(std::iter::repeat_n(outcome, count));
        }
        outcomes
    }

    /// Says whether everything that earlier runs left in the spool has been drained.
    pub fn has_drained_earlier_runs(&self) -> bool {
        self.owner.shared.lag_below(self.owner.shared.first_new) == 0
    }

    /// Returns what the spool holds. Reads one record from the disk.
    pub fn status(&self) -> Status {
        self.owner.shared.status()
    }

    /// Stops accepting, syncs what was accepted, stores the checkpoint, and gives the directory back.
    ///
    /// The reader can still hand out what is left, but no longer commit: drain and commit before.
    pub async fn close(&self) {
        let owner = self.owner.clone();
        // Waiting for threads; not on an async thread.
        if let Err(error) = tokio::task::spawn_blocking(move || owner.stop()).await {
            tracing::error!(%error, "the spool did not close in order");
        }
    }
}

/// Describes the spool in `dir` without owning it and without changing it; also while a server runs on it.
pub fn inspect(dir: &Path) -> Result<Status, SpoolError> {
    recovery::inspect(dir)
}

/// Stops the threads when the last handle is gone.
struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Owner {
    fn stop(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.wake_sync();
        self.shared.wake_tidy();
        self.shared.reader.notify_one();
        let mut threads = lock(&self.threads);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a spool thread panicked");
            }
        }
        self.shared.dir.release();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Creates the segment that this run begins with.
fn begin(shared: &Shared) -> io::Result<()> {
    let mut state = lock(&shared.state);
    let number = state.next_number;
    state.next_number += 1;
    let first = shared.dir.create_segment(number, shared.options.segment_bytes)?;
    if let Err(error) = first.file.sync_all().and_then(|()| shared.dir.sync()) {
        first.remove();
        return Err(error);
    }
    shared.install(&mut state, Arc::new(first));
    Ok(())
}

fn start(name: &str, shared: &Arc<Shared>, run: fn(&Arc<Shared>)) -> io::Result<JoinHandle<()>> {
    let shared = shared.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
}

/// When an id was made, if it says so.
fn oldest_of(id: Uuid) -> Option<SystemTime> {
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}
