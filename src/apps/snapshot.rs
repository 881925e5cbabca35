//! The association files on disk, so that a node answers them after a restart also while its database is away.
//!
//! ```text
//! DATA_DIR/apps.snap    mode 0600, little-endian
//! header = magic 8 | version u16 | zero u16 | count u32 | confirmed micros i64            (24 bytes)
//! entry  = key length u16 | apple length u32 | android length u32 | key | apple | android   (count times)
//! end    = crc32c u32 over everything before
//! ```
//!
//! A length of 0 is a file that the host does not have. The whole is believed or nothing of it. What it holds is public.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;

use super::associations::{Body, Files, Hosts};
use crate::{
    clock::{Moment, from_micros},
    files,
};

const NAME: &str = "apps.snap";
const MAGIC: &[u8; 8] = b"lf40app\n";
/// Goes up with every change of the form.
const VERSION: u16 = 1;
/// How large it may get. With a file of the usual size for each, hosts by the ten thousand find place.
const MOST_BYTES: usize = 64 << 20;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is not whole, damaged or of another version")]
    Damaged,
}

/// Writes the files, and when the database last said that they are so.
pub(super) fn write(dir: &Path, hosts: &Hosts, confirmed: Moment) -> io::Result<()> {
    files::replace(&dir.join(NAME), &encode(hosts, confirmed))
}

/// Reads the files and when they were known to be so; `None` when there are none.
pub(super) fn read(dir: &Path) -> Result<Option<(Hosts, Moment)>, Unusable> {
    let file = match File::open(dir.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    decode(&bytes).filter(|_| bytes.len() <= MOST_BYTES).map(Some).ok_or(Unusable::Damaged)
}

fn encode(hosts: &Hosts, confirmed: Moment) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(&confirmed.timestamp_micros().to_le_bytes());
    let mut count = 0_u32;
    for (host, files) in hosts {
        let [apple, android] =
            [&files.apple, &files.android].map(|body| body.as_ref().map_or(&[][..], |body| &body.bytes));
        let size = 10 + host.len() + apple.len() + android.len();
        let Ok(host_length) = u16::try_from(host.len()) else { continue };
        if bytes.len() + size + 4 > MOST_BYTES {
            break;
        }
        bytes.extend_from_slice(&host_length.to_le_bytes());
        bytes.extend_from_slice(&(apple.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(android.len() as u32).to_le_bytes());
        for part in [host.as_bytes(), apple, android] {
            bytes.extend_from_slice(part);
        }
        count += 1;
    }
    bytes[12..16].copy_from_slice(&count.to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(Hosts, Moment)> {
    let (body, end) = bytes.split_last_chunk::<4>()?;
    let mut rest = body;
    if take(&mut rest)? != *MAGIC || crc32c::crc32c(body) != u32::from_le_bytes(*end) {
        return None;
    }
    if u16::from_le_bytes(take(&mut rest)?) != VERSION {
        return None;
    }
    let _: [u8; 2] = take(&mut rest)?;
    let count = u32::from_le_bytes(take(&mut rest)?);
    let confirmed = from_micros(i64::from_le_bytes(take(&mut rest)?));
    let mut hosts = Hosts::new();
    for _ in 0..count {
        let host_length = u16::from_le_bytes(take(&mut rest)?);
        let [apple, android] = [u32::from_le_bytes(take(&mut rest)?), u32::from_le_bytes(take(&mut rest)?)];
        let host = str::from_utf8(cut(&mut rest, usize::from(host_length))?).ok()?;
        let mut body = |length: u32| {
            let bytes = cut(&mut rest, length as usize)?;
            Some((length > 0).then(|| Body::of_bytes(Bytes::copy_from_slice(bytes))))
        };
        let files = Files { apple: body(apple)?, android: body(android)? };
        hosts.insert(host.into(), Arc::new(files));
    }
    rest.is_empty().then_some((hosts, confirmed))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn hosts() -> Hosts {
        let body = |text: &str| Some(Body::of(text.to_owned()));
        [
            ("a.example".into(), Arc::new(Files { apple: body("{}"), android: None })),
            ("b.example".into(), Arc::new(Files { apple: None, android: body("[]") })),
        ]
        .into()
    }

    #[test]
    fn files_survive_the_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(read(dir.path()).expect("nothing is wrong").is_none());
        for hosts in [hosts(), Hosts::new()] {
            write(dir.path(), &hosts, from_micros(7)).expect("it is written");
            assert_eq!(read(dir.path()).expect("it is whole"), Some((hosts, from_micros(7))));
        }
        let mode = fs::metadata(dir.path().join(NAME)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn neither_a_part_of_it_nor_anything_damaged_is_believed() {
        let bytes = encode(&hosts(), from_micros(7));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_none(), "the first {length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_none(), "bit {bit}");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_none());
        // Whole, but of another form.
        for place in [8, 12, 24, 26] {
            let mut other = bytes[..bytes.len() - 4].to_vec();
            other[place] ^= 0x40;
            let crc = crc32c::crc32c(&other);
            assert!(decode(&[&other[..], &crc.to_le_bytes()].concat()).is_none(), "byte {place}");
        }
    }
}
