//! What happens at start, before the first append: every segment that is left is read once.
//!
//! A torn tail is cut, counted and logged. Damage with whole records behind it is kept in quarantine while those
//! records are still handed out. Nothing is appended to a recovered file.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::directory::{self, Directory, SegmentFile};
use super::segment::{self, BadHeader, HEADER_LEN, Scan};
use super::{Position, SpoolError, Status, checkpoint, oldest_of};

/// Numbers that a start skips. A consumer may remember a segment that a power cut then took from the directory; with
/// a new block of numbers for each start, that position can never mean other records.
const NUMBERS_PER_START: u64 = 1_000;

pub(super) struct Recovered {
    pub id: Uuid,
    /// Where the reader begins.
    pub drained: Position,
    /// Records of the segment `drained.segment` that lie before it.
    pub drained_records: u64,
    pub segments: Vec<Arc<SegmentFile>>,
    pub next_number: u64,
    pub cut_bytes: u64,
    pub quarantined: u64,
}

/// Reads the whole spool, repairs what a crash left, and removes what was drained.
pub(super) fn recover(dir: &Directory) -> Result<Recovered, SpoolError> {
    let failed = |source| SpoolError::Io { path: dir.path.clone(), source };
    let stored = checkpoint::read(&dir.path).map_err(failed)?;
    let listed = directory::list_segments(&dir.path).map_err(failed)?;
    // With nothing left of the past, old numbers would begin again: then the identity must be new as well.
    let fresh = stored.is_none() && listed.is_empty();
    let id = dir.identity(fresh).map_err(failed)?;
    let checkpoint = stored.unwrap_or_default();
    let newest = listed.last().map_or(0, |(number, _)| *number).max(checkpoint.segment);

    let mut recovered = Recovered {
        id,
        drained: checkpoint,
        drained_records: 0,
        segments: Vec::new(),
        next_number: (newest / NUMBERS_PER_START + 1) * NUMBERS_PER_START,
        cut_bytes: 0,
        quarantined: 0,
    };
    for (number, path) in listed {
        if number < checkpoint.segment {
            fs::remove_file(&path).map_err(failed)?;
            continue;
        }
        let Some((segment, scan)) = recover_segment(dir, number, &path, &mut recovered)? else { continue };
        fail::fail_point!("spool.recover.mid", |_| Err(failed(std::io::Error::other("failpoint"))));
        if number == checkpoint.segment {
            // A checkpoint inside damage moves back to the record before it: replaying is harmless, skipping is not.
            let (offset, before) = place_checkpoint(&segment, checkpoint.offset);
            recovered.drained.offset = offset;
            recovered.drained_records = before;
        }
        let all_drained = number == checkpoint.segment && recovered.drained_records == scan.records;
        if scan.records == 0 || all_drained {
            fs::remove_file(&path).map_err(failed)?;
        } else {
            recovered.segments.push(Arc::new(segment));
        }
    }
    dir.sync().map_err(failed)?;
    Ok(recovered)
}

/// Returns the segment and what is in it; `None` if there is nothing to hand out.
fn recover_segment(
    dir: &Directory,
    number: u64,
    path: &Path,
    recovered: &mut Recovered,
) -> Result<Option<(SegmentFile, Scan)>, SpoolError> {
    let failed = |source| SpoolError::Io { path: path.to_owned(), source };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let (bytes, readable) = directory::read_tolerant(&file, 0, len);
    let header = match segment::decode_header(&bytes) {
        Ok(header) if header.number == number => header,
        Err(BadHeader::Version(version)) => {
            return Err(SpoolError::Version { path: path.to_owned(), version });
        }
        Ok(_) | Err(BadHeader::Damaged) => {
            let held_records = bytes.iter().skip(HEADER_LEN as usize).any(|byte| *byte != 0) || !readable;
            if held_records && quarantine(dir, path) {
                recovered.quarantined += 1;
            }
            // Otherwise a crash came between creating the file and writing its header.
            fs::remove_file(path).map_err(failed)?;
            return Ok(None);
        }
    };

    let scan = segment::scan(&bytes, header.id, |_, _| {});
    if !scan.damage.is_empty() || !readable {
        if quarantine(dir, path) {
            recovered.quarantined += 1;
        }
    } else {
        if scan.torn > 0 {
            recovered.cut_bytes += scan.torn;
            tracing::warn!(
                segment = number,
                offset = scan.end,
                bytes = scan.torn,
                "a torn spool record was cut"
            );
        }
        // The tail goes, and with it the space that was only reserved. What stays becomes durable now: a crash of
        // the process alone leaves records that no fdatasync has covered.
        file.set_len(scan.end).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    let segment = SegmentFile::new(header, path.to_owned(), file, scan.end, scan.records);
    segment.sealed.store(true, Ordering::SeqCst);
    segment.quarantined.store(!scan.damage.is_empty() || !readable, Ordering::SeqCst);
    Ok(Some((segment, scan)))
}

/// Puts a damaged file aside and says so. A failure to do that must not keep the server from starting.
pub(super) fn quarantine(dir: &Directory, path: &Path) -> bool {
    match dir.quarantine(path) {
        Ok(true) => {
            tracing::error!(path = %path.display(), "a spool segment is damaged; it was put into quarantine");
            true
        }
        Ok(false) => false,
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "a damaged spool segment could not be quarantined");
            false
        }
    }
}

/// The last record boundary at or before `offset`, and how many records lie before it.
fn place_checkpoint(segment: &SegmentFile, offset: u64) -> (u64, u64) {
    let (bytes, _) = directory::read_tolerant(&segment.file, 0, segment.written());
    let (mut boundary, mut before) = (HEADER_LEN, 0);
    segment::scan(&bytes, segment.id, |_, found| {
        if found.end() as u64 <= offset {
            boundary = found.end() as u64;
            before += 1;
        }
    });
    (boundary, before)
}

/// Describes the spool in `dir` without owning it, changing nothing. A running owner may write meanwhile.
pub(super) fn inspect(dir: &Path) -> Result<Status, SpoolError> {
    let failed = |source| SpoolError::Io { path: dir.to_owned(), source };
    let mut status = Status {
        id: directory::read_identity(dir).map_err(failed)?,
        drained: checkpoint::read(dir).map_err(failed)?.unwrap_or_default(),
        quarantined: directory::count_quarantined(dir),
        ..Status::default()
    };
    for (number, path) in directory::list_segments(dir).map_err(failed)? {
        // The owner removes drained segments at any moment.
        let Ok(file) = File::open(&path) else { continue };
        let len = file.metadata().map_err(failed)?.len();
        let (bytes, _) = directory::read_tolerant(&file, 0, len);
        let Ok(header) = segment::decode_header(&bytes) else { continue };
        status.segments += 1;
        let scan = segment::scan(&bytes, header.id, |at, found| {
            if (Position { segment: number, offset: at }) >= status.drained {
                status.lag_records += 1;
                status.oldest_undrained = status.oldest_undrained.or_else(|| oldest_of(found.id));
            }
        });
        status.bytes += scan.end;
        status.cut_bytes += scan.torn;
    }
    Ok(status)
}
