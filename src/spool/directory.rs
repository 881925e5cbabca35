//! The spool directory and its files, as the operating system sees them.
//!
//! ```text
//! DIR/                     flocked by its owner, mode 0700
//!   node_id                this spool's identity
//!   checkpoint             how far the consumer has got
//!   000000001000.seg ...   segments, mode 0600
//!   quarantine/            damaged segments, kept for a person to look at
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use uuid::Uuid;

use super::segment::{self, HEADER_LEN, Header};
use super::{Position, SpoolError};

const NODE_ID: &str = "node_id";
const QUARANTINE: &str = "quarantine";

/// A spool directory, owned for as long as this value lives.
pub(super) struct Directory {
    pub path: PathBuf,
    handle: File,
}

impl Directory {
    /// Creates the directory if needed and takes it. A second owner is refused, also inside one process.
    pub fn own(path: &Path) -> Result<Directory, SpoolError> {
        let failed = |source| SpoolError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let handle = File::open(path).map_err(failed)?;
        match handle.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_owned(), handle }),
            Err(TryLockError::WouldBlock) => Err(SpoolError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Lets another owner in, before this value is dropped.
    pub fn release(&self) {
        if let Err(error) = self.handle.unlock() {
            tracing::warn!(%error, "the spool directory could not be unlocked");
        }
    }

    /// Makes creations, renames and removals in the directory durable.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Returns the bytes that an unprivileged process could still write here.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.handle)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Replaces a small file: after a crash it holds the old bytes or the new ones, never a mixture.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.path.join(format!("{name}.tmp"));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, self.path.join(name)));
        if let Err(error) = written {
            // On a full disk an empty leftover still takes an inode.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        self.sync()
    }

    /// Reads the identity; makes one if there is none, or if `fresh` asks for a new one.
    pub fn identity(&self, fresh: bool) -> io::Result<Uuid> {
        if !fresh && let Some(id) = read_identity(&self.path)? {
            return Ok(id);
        }
        let id = uuid::Builder::from_random_bytes(random()?).into_uuid();
        self.replace(NODE_ID, format!("{id}\n").as_bytes())?;
        Ok(id)
    }

    /// Creates a segment with its space reserved and its header written. Nothing is synced.
    pub fn create_segment(&self, number: u64, bytes: u64) -> io::Result<SegmentFile> {
        let path = segment_path(&self.path, number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let header = Header { number, id: u64::from_le_bytes(random()?) };
        let made = reserve(&file, bytes).and_then(|()| file.write_all_at(&segment::encode_header(header), 0));
        if let Err(error) = made {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(SegmentFile::new(header, path, file, HEADER_LEN, 0))
    }

    /// Keeps a damaged segment under `quarantine/` as a second link, so that it outlives the draining of what can
    /// still be read. Returns whether it is new there.
    pub fn quarantine(&self, path: &Path) -> io::Result<bool> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let room = self.path.join(QUARANTINE);
        DirBuilder::new().recursive(true).mode(0o700).create(&room)?;
        let kept = room.join(name);
        match fs::hard_link(path, &kept) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // No links on this filesystem.
            Err(_) => drop(fs::copy(path, &kept)?),
        }
        File::open(&room)?.sync_all()?;
        self.sync()?;
        Ok(true)
    }
}

fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // No reservation on this filesystem: a full disk will show at a write instead of at a rotation.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(bytes)?,
        other => other?,
    }
    fail::fail_point!("spool.rotate.mid", |_| Err(io::Error::other("failpoint")));
    Ok(())
}

/// Returns the identity of the spool in `dir`; `None` if there is none or it cannot be read as one.
pub(super) fn read_identity(dir: &Path) -> io::Result<Option<Uuid>> {
    match fs::read_to_string(dir.join(NODE_ID)) {
        Ok(text) => Ok(Uuid::parse_str(text.trim()).ok()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Lists the segments of a directory, oldest first. Other files are left alone.
pub(super) fn list_segments(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(number) = name.strip_suffix(".seg").filter(|digits| digits.len() == 12) else { continue };
        if let Ok(number) = number.parse() {
            segments.push((number, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Counts the files that wait in quarantine.
pub(super) fn count_quarantined(dir: &Path) -> u64 {
    fs::read_dir(dir.join(QUARANTINE)).map_or(0, |entries| entries.count() as u64)
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.seg"))
}

/// Reads `range` of a file. A block that the disk refuses comes back as zeros, which no record survives: the rest of
/// the file is still worth having. Returns whether everything could be read.
pub(super) fn read_tolerant(file: &File, from: u64, to: u64) -> (Vec<u8>, bool) {
    const BLOCK: usize = 64 * 1024;
    let mut bytes = vec![0; to.saturating_sub(from) as usize];
    let (mut at, mut whole) = (0, true);
    while at < bytes.len() {
        let until = bytes.len().min(at + BLOCK);
        match file.read_at(&mut bytes[at..until], from + at as u64) {
            Ok(0) => break,
            Ok(read) => at += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::error!(%error, offset = from + at as u64, "a block of a spool segment cannot be read");
                bytes[at..until].fill(0);
                (at, whole) = (until, false);
            }
        }
    }
    (bytes, whole)
}

/// Randomness straight from the system: ids of spools and segments are not part of what a test replays.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A segment that is open: the writer appends to one of them, the reader reads them all.
pub(super) struct SegmentFile {
    pub number: u64,
    pub id: u64,
    pub path: PathBuf,
    pub file: File,
    /// Everything before this offset is whole records. Lowered only when a failed segment is given up.
    pub written: AtomicU64,
    /// Whole records before `written`.
    pub records: AtomicU64,
    /// Nothing more will be appended.
    pub sealed: AtomicBool,
    /// What the last successful fdatasync covered.
    pub synced: AtomicU64,
    pub synced_records: AtomicU64,
    /// Damage in this file has been reported.
    pub quarantined: AtomicBool,
}

impl SegmentFile {
    pub fn new(header: Header, path: PathBuf, file: File, written: u64, records: u64) -> SegmentFile {
        SegmentFile {
            number: header.number,
            id: header.id,
            path,
            file,
            written: AtomicU64::new(written),
            records: AtomicU64::new(records),
            sealed: AtomicBool::new(false),
            synced: AtomicU64::new(written),
            synced_records: AtomicU64::new(records),
            quarantined: AtomicBool::new(false),
        }
    }

    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    pub fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a drained spool segment could not be removed");
        }
    }

    /// How many whole records lie before `offset`; `None` if no record begins or ends there.
    pub fn records_before(&self, offset: u64) -> Option<u64> {
        if offset == HEADER_LEN {
            return Some(0);
        }
        let (bytes, _) = read_tolerant(&self.file, 0, self.written());
        let (mut before, mut boundary) = (0, false);
        segment::scan(&bytes, self.id, |at, found| {
            before += u64::from(at < offset);
            boundary |= at == offset || found.end() as u64 == offset;
        });
        boundary.then_some(before)
    }

    /// Where the first record begins.
    pub fn start(&self) -> Position {
        Position { segment: self.number, offset: HEADER_LEN }
    }
}
