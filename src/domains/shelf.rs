//! The hosts that answer on disk, so that a node serves them after a restart also while no store answers.
//!
//! `DATA_DIR/domains.snap`, mode 0600: magic, protobuf, crc32c (little-endian) over both. It is believed whole or not at all. It holds what
//! redirects need of domains and nothing else: no token, no person.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use prost::Message as _;
use uuid::Uuid;

use super::sites::{Served, Table};
use crate::{
    clock::{Moment, from_micros},
    files,
    ids::{DomainId, WorkspaceId},
};

const NAME: &str = "domains.snap";
/// Its last digit goes up with every change of the form.
const MAGIC: &[u8; 8] = b"lf40dom1";
const END: usize = 4;
/// How long the file may say that hosts were confirmed earlier than they were: nothing is written when nothing changed.
const REFRESH: chrono::Duration = chrono::Duration::minutes(10);

#[derive(Clone, PartialEq, prost::Message)]
struct Shelved {
    #[prost(sint64, tag = "1")]
    confirmed_micros: i64,
    #[prost(message, repeated, tag = "2")]
    domains: Vec<Row>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Row {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    workspace_id: Vec<u8>,
    #[prost(string, tag = "3")]
    host: String,
    #[prost(string, tag = "4")]
    namespace: String,
    #[prost(bool, tag = "5")]
    ignores_case: bool,
    #[prost(string, tag = "6")]
    root_url: String,
    #[prost(string, tag = "7")]
    not_found_url: String,
    #[prost(string, tag = "8")]
    expired_url: String,
    #[prost(string, tag = "9")]
    robots_txt: String,
}

/// Keeps the file.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    written: Option<Arc<Table>>,
}

impl Shelf {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), written: None }
    }

    /// Returns what the last run left.
    pub(super) fn take(&mut self, now: Moment) -> Option<Table> {
        let file = self.dir.join(NAME);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, "the file of domains cannot be read; starting without");
                return None;
            }
        };
        let Some(mut table) = decode(&bytes) else {
            tracing::warn!("the file of domains is damaged or of another version; starting without");
            return None;
        };
        // A moment to come is a clock that was set back.
        table.confirmed = table.confirmed.map(|at| at.min(now));
        tracing::info!(domains = table.hosts.len(), "remembers the domains of the last run");
        self.written = Some(Arc::new(table.clone()));
        Some(table)
    }

    /// Writes the file, unless it says as much already.
    pub(super) async fn keep(&mut self, table: Arc<Table>) {
        let known = match &self.written {
            None => table.hosts.is_empty(),
            Some(written) => {
                written.hosts == table.hosts
                    && table.confirmed.zip(written.confirmed).is_some_and(|(now, then)| now - then < REFRESH)
            }
        };
        if known {
            return;
        }
        let (dir, writing) = (self.dir.clone(), table.clone());
        let work = tokio::task::spawn_blocking(move || files::replace(&dir.join(NAME), &encode(&writing)));
        match work.await.map_err(io::Error::other).flatten() {
            Ok(()) => self.written = Some(table),
            Err(error) => tracing::warn!(%error, "cannot write the file of domains; trying again"),
        }
    }
}

fn encode(table: &Table) -> Vec<u8> {
    let domains = table.hosts.values().map(|domain| Row {
        id: domain.id.0.as_bytes().to_vec(),
        workspace_id: domain.workspace_id.0.as_bytes().to_vec(),
        host: domain.host.to_string(),
        namespace: domain.namespace.to_string(),
        ignores_case: domain.ignores_case,
        root_url: domain.root_url.to_string(),
        not_found_url: domain.not_found_url.to_string(),
        expired_url: domain.expired_url.to_string(),
        robots_txt: domain.robots_txt.to_string(),
    });
    let confirmed_micros = table.confirmed.map_or(0, |at| at.timestamp_micros());
    let shelved = Shelved { confirmed_micros, domains: domains.collect() };
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&shelved.encode_to_vec());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Table> {
    let (body, end) = bytes.split_last_chunk::<END>()?;
    let message = body.strip_prefix(MAGIC)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*end) {
        return None;
    }
    let shelved = Shelved::decode(message).ok()?;
    let mut table = Table { confirmed: Some(from_micros(shelved.confirmed_micros)), ..Table::default() };
    for row in shelved.domains {
        let served = Served {
            id: DomainId(Uuid::from_slice(&row.id).ok()?),
            workspace_id: WorkspaceId(Uuid::from_slice(&row.workspace_id).ok()?),
            host: row.host.as_str().into(),
            namespace: row.namespace.into(),
            ignores_case: row.ignores_case,
            root_url: row.root_url.into(),
            not_found_url: row.not_found_url.into(),
            expired_url: row.expired_url.into(),
            robots_txt: row.robots_txt.into(),
        };
        table.hosts.insert(row.host.into(), Arc::new(served));
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let served = |number: u128, host: &str| {
            let served = Served {
                id: DomainId(Uuid::from_u128(number)),
                workspace_id: WorkspaceId(Uuid::from_u128(7)),
                host: host.into(),
                namespace: format!("{host}/{number}").into(),
                ignores_case: number == 1,
                root_url: "https://example.com/".into(),
                not_found_url: "".into(),
                expired_url: "https://example.com/over".into(),
                robots_txt: "User-agent: *\n".into(),
            };
            (host.into(), Arc::new(served))
        };
        Table {
            hosts: [served(1, "go.shop.test"), served(2, "a.shop.test")].into(),
            confirmed: Some(from_micros(1_700_000_000_000_001)),
        }
    }

    #[test]
    fn hosts_survive_the_file_and_a_damaged_one_is_not_believed() {
        let bytes = encode(&table());
        let read = decode(&bytes).expect("it is whole");
        assert_eq!((read.hosts, read.confirmed), (table().hosts, table().confirmed));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_none(), "the first {length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_none(), "bit {bit}");
        }
    }

    #[tokio::test]
    async fn the_file_is_written_when_something_changed() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join(NAME);
        let mut shelf = Shelf::new(dir.path());
        assert!(shelf.take(from_micros(0)).is_none());
        shelf.keep(Arc::new(Table { confirmed: Some(from_micros(0)), ..Table::default() })).await;
        assert!(!file.exists(), "who has no domains needs no file");
        shelf.keep(Arc::new(table())).await;
        assert!(file.exists());
        fs::remove_file(&file).expect("it was there");
        shelf.keep(Arc::new(table())).await;
        assert!(!file.exists(), "nothing changed");
        let later = table().confirmed.map(|at| at + REFRESH);
        shelf.keep(Arc::new(Table { confirmed: later, ..table() })).await;
        let now = later.expect("it is set");
        let read = Shelf::new(dir.path()).take(now).expect("it is whole");
        assert_eq!((read.hosts, read.confirmed), (table().hosts, later));
    }
}
