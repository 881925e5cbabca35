//! Certificates on disk, so that a node shows them after a restart also while no store answers.
//!
//! `DATA_DIR/certificates.snap`, mode 0600: magic, protobuf, crc32c (little-endian) over both. It is believed whole or not at all. Private
//! keys stand in it as in the database: sealed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message as _;

use crate::files;

const NAME: &str = "certificates.snap";
/// Its last digit goes up with every change of the form.
const MAGIC: &[u8; 8] = b"lf40crt1";
const END: usize = 4;

#[derive(Clone, PartialEq, prost::Message)]
struct Shelved {
    #[prost(message, repeated, tag = "1")]
    certificates: Vec<Kept>,
}

/// A certificate as it is stored.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Kept {
    #[prost(string, tag = "1")]
    pub(super) host: String,
    #[prost(sint64, tag = "2")]
    pub(super) version: i64,
    #[prost(string, tag = "3")]
    pub(super) chain: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) private_key: Vec<u8>,
    #[prost(sint64, tag = "5")]
    pub(super) expire_micros: i64,
}

/// Keeps the file.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    is_written: bool,
}

impl Shelf {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), is_written: false }
    }

    /// Returns what the last run left.
    pub(super) fn take(&mut self) -> Vec<Kept> {
        let bytes = match fs::read(self.dir.join(NAME)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "the file of certificates cannot be read; starting without");
                return Vec::new();
            }
        };
        self.is_written = true;
        decode(&bytes).unwrap_or_else(|| {
            tracing::warn!("the file of certificates is damaged or of another version; starting without");
            Vec::new()
        })
    }

    /// Writes the file anew.
    pub(super) async fn keep(&mut self, certificates: Vec<Kept>) {
        if certificates.is_empty() && !self.is_written {
            return;
        }
        let path = self.dir.join(NAME);
        let work = tokio::task::spawn_blocking(move || files::replace(&path, &encode(certificates)));
        match work.await.map_err(io::Error::other).flatten() {
            Ok(()) => self.is_written = true,
            Err(error) => {
                tracing::warn!(%error, "cannot write the file of certificates; trying with the next one");
            }
        }
    }
}

fn encode(certificates: Vec<Kept>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&Shelved { certificates }.encode_to_vec());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<Kept>> {
    let (body, end) = bytes.split_last_chunk::<END>()?;
    let message = body.strip_prefix(MAGIC)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*end) {
        return None;
    }
    Some(Shelved::decode(message).ok()?.certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_survive_the_file_and_a_damaged_one_is_not_believed() {
        let kept = Kept {
            host: "go.shop.test".into(),
            version: 3,
            chain: "chain".into(),
            private_key: vec![1, 2, 3],
            expire_micros: 7,
        };
        let bytes = encode(vec![kept.clone()]);
        assert_eq!(decode(&bytes), Some(vec![kept]));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "the first {length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
    }
}
