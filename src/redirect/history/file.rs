//! The marks on disk.
//!
//! ```text
//! DATA_DIR/visitors.seen    mode 0600, little-endian
//! header = magic 8 | version u16 | zero u16 | count u32      (16 bytes)
//! entry  = mark u64 | hour u16                               (count times)
//! end    = crc32c u32 over everything before
//! ```
//!
//! A file is believed whole or not at all.

use std::{fs, io, path::Path};

use super::table::Hour;
use crate::files;

pub(super) const NAME: &str = "visitors.seen";
const MAGIC: &[u8; 8] = b"lf40vis\n";
/// Goes up with every change of the form, and of what a mark is made from.
const VERSION: u16 = 1;
const HEADER: usize = 16;
const ENTRY: usize = 10;
const END: usize = 4;

/// Writes the file in the place of the one before.
pub(super) fn write(path: &Path, seen: &[(u64, Hour)]) -> io::Result<()> {
    files::replace(path, &encode(seen))
}

/// Reads the file; `None` when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<(u64, Hour)>>> {
    match fs::read(path) {
        Ok(bytes) => decode(&bytes).map(Some).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it is not whole, or of another version")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn encode(seen: &[(u64, Hour)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + seen.len() * ENTRY + END);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&u32::try_from(seen.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (mark, hour) in seen {
        bytes.extend_from_slice(&mark.to_le_bytes());
        bytes.extend_from_slice(&hour.0.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<(u64, Hour)>> {
    let (body, end) = bytes.split_last_chunk::<END>()?;
    let (header, entries) = body.split_first_chunk::<HEADER>()?;
    let whole = crc32c::crc32c(body) == u32::from_le_bytes(*end);
    let known = header[..8] == *MAGIC && header[8..10] == VERSION.to_le_bytes();
    let (entries, rest) = entries.as_chunks::<ENTRY>();
    let counted = header[12..] == u32::try_from(entries.len()).ok()?.to_le_bytes() && rest.is_empty();
    if !(whole && known && counted) {
        return None;
    }
    let read = |entry: &[u8; ENTRY]| {
        let (mark, hour) = entry.split_first_chunk::<8>()?;
        Some((u64::from_le_bytes(*mark), Hour(u16::from_le_bytes(hour.try_into().ok()?))))
    };
    entries.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_the_file_and_nothing_else_is_believed() {
        let seen = [(u64::MAX, Hour(0)), (7, Hour(65_535)), (0x1234_5678_9abc_def0, Hour(12))];
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(NAME);
        assert!(matches!(read(&path), Ok(None)));
        for seen in [&seen[..], &[]] {
            write(&path, seen).expect("it is written");
            assert_eq!(read(&path).expect("it is whole").as_deref(), Some(seen));
        }
        let good = encode(&seen);
        for length in 0..good.len() {
            assert_eq!(decode(&good[..length]), None, "the first {length} bytes");
        }
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
        fs::write(&path, b"garbage").expect("it is written");
        assert!(read(&path).is_err());
    }
}
