//! The hot links on disk, so that a node redirects after a restart also while no store answers.
//!
//! ```text
//! DATA_DIR/hot.snap    mode 0600, little-endian
//! header = magic 8 | version u16 | zero u16 | count u32 | written micros i64           (24 bytes)
//! entry  = key length u16 | target length u32 | fetched micros i64 | key | target       (count times)
//! end    = crc32c u32 over everything before
//! ```
//!
//! A file is believed whole or not at all: anything else is set aside as `hot.snap.bad` and the node starts cold. It holds
//! what the process remembered of links and nothing else: no secret, no person.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{resolve::Resolver, target::Target};
use crate::{
    clock::{Moment, from_micros},
    env::Env,
    files,
};

const NAME: &str = "hot.snap";
/// Where a file goes that cannot be read, for a person to look at. The next one replaces it.
const ASIDE: &str = "hot.snap.bad";
const MAGIC: &[u8; 8] = b"lf40hot\n";
/// Goes up with every change of the form, that of [`Target::encode`] included.
const VERSION: u16 = 1;
const HEADER: usize = 24;
const ENTRY_HEAD: usize = 14;
const END: usize = 4;
/// How many links are kept.
const MOST: usize = 10_000;
/// How large a file may get. Links of the usual size fill a thirtieth.
const MOST_BYTES: usize = 64 << 20;
/// How often it is written.
const EVERY: Duration = Duration::from_mins(1);
/// How often its age is measured.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A link as the process remembered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The resolver's key.
    pub key: Box<str>,
    /// When a store said so.
    pub fetched: Moment,
    /// What it said.
    pub target: Arc<Target>,
}

/// Writes the file from time to time. A cheap clone.
#[derive(Debug, Clone)]
pub struct Snapshots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Env,
    resolver: Resolver,
    dir: PathBuf,
    /// When what stands in the file was gathered, in microseconds.
    written: AtomicI64,
    /// One writer at a time: the last one at the stop may meet one that is still busy. No lock of the cache.
    writing: Mutex<()>,
}

impl Snapshots {
    /// Gives the resolver what the last run left. Before the listeners open: the first visitor finds it.
    pub fn load(env: &Env, resolver: Resolver) -> Self {
        let dir = env.config.data_dir.clone();
        let now = env.now();
        let mut written = now;
        match read(&dir.join(NAME)) {
            Ok(None) => {}
            Ok(Some((rows, at))) => {
                let found = rows.len();
                let links = resolver.remember(rows);
                written = at;
                metrics::gauge!("linkforty_snapshot_entries").set(links as f64);
                tracing::info!(links, too_old = found - links, "remembers the hot links of the last run");
            }
            Err(why) => {
                metrics::counter!("linkforty_snapshot_failures_total").increment(1);
                let aside = fs::rename(dir.join(NAME), dir.join(ASIDE));
                tracing::warn!(
                    %why, set_aside = aside.is_ok(),
                    "the file of hot links cannot be used; starting without"
                );
            }
        }
        let written = AtomicI64::new(written.timestamp_micros());
        Self(Arc::new(Inner { env: env.clone(), resolver, dir, written, writing: Mutex::default() }))
    }

    /// Writes every minute until `stop`, and then once more.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Not at once: what was loaded is better than what the first seconds bring.
        let mut due = Instant::now() + EVERY;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if Instant::now() >= due {
                self.write().await;
                due = Instant::now() + EVERY;
            }
            let age = self.0.env.now().timestamp_micros() - self.0.written.load(Ordering::Relaxed);
            metrics::gauge!("linkforty_snapshot_age_seconds").set((age.max(0) / 1_000_000) as f64);
        }
        self.write().await;
    }

    /// Writes the file. Gathering holds no lock for longer than one entry takes; sorting, encoding and the disk are not the
    /// business of the threads that serve.
    pub async fn write(&self) {
        let inner = self.0.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _alone = inner.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let now = inner.env.now();
            let rows = inner.resolver.hottest(MOST, now);
            let (bytes, count) = encode(&rows, now);
            files::replace(&inner.dir.join(NAME), &bytes)?;
            inner.written.store(now.timestamp_micros(), Ordering::Relaxed);
            metrics::gauge!("linkforty_snapshot_entries").set(f64::from(count));
            io::Result::Ok(())
        });
        if let Err(error) = work.await.map_err(io::Error::other).flatten() {
            metrics::counter!("linkforty_snapshot_failures_total").increment(1);
            tracing::warn!(%error, "cannot write the file of hot links; trying again in a minute");
        }
    }
}

/// Returns the bytes of a file and how many links are in it: all, unless they are so large that the file would be.
fn encode(rows: &[Row], written: Moment) -> (Vec<u8>, u32) {
    let mut bytes = Vec::with_capacity(HEADER + rows.len() * 192 + END);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&written.timestamp_micros().to_le_bytes());
    let mut count = 0_u32;
    for row in rows {
        let target = row.target.encode();
        let (Ok(key_length), Ok(target_length)) = (u16::try_from(row.key.len()), u32::try_from(target.len()))
        else {
            continue;
        };
        if bytes.len() + ENTRY_HEAD + row.key.len() + target.len() + END > MOST_BYTES {
            break;
        }
        bytes.extend_from_slice(&key_length.to_le_bytes());
        bytes.extend_from_slice(&target_length.to_le_bytes());
        bytes.extend_from_slice(&row.fetched.timestamp_micros().to_le_bytes());
        bytes.extend_from_slice(row.key.as_bytes());
        bytes.extend_from_slice(&target);
        count += 1;
    }
    bytes[12..16].copy_from_slice(&count.to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    (bytes, count)
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is larger than any that this version writes")]
    TooLarge,
    #[error("it is not whole, or damaged")]
    Damaged,
    #[error("it is of another version")]
    Foreign,
}

/// Reads a file: the links and when it was written. `None` when there is none.
fn read(path: &Path) -> Result<Option<(Vec<Row>, Moment)>, Unusable> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MOST_BYTES { Err(Unusable::TooLarge) } else { decode(&bytes).map(Some) }
}

fn decode(bytes: &[u8]) -> Result<(Vec<Row>, Moment), Unusable> {
    let (body, end) = bytes.split_last_chunk::<END>().ok_or(Unusable::Damaged)?;
    let mut rest = body;
    if take(&mut rest)? != *MAGIC || crc32c::crc32c(body) != u32::from_le_bytes(*end) {
        return Err(Unusable::Damaged);
    }
    if u16::from_le_bytes(take(&mut rest)?) != VERSION {
        return Err(Unusable::Foreign);
    }
    let _: [u8; 2] = take(&mut rest)?;
    let count = u32::from_le_bytes(take(&mut rest)?);
    let written = from_micros(i64::from_le_bytes(take(&mut rest)?));
    let mut rows = Vec::new();
    for _ in 0..count {
        let key_length = u16::from_le_bytes(take(&mut rest)?);
        let target_length = u32::from_le_bytes(take(&mut rest)?);
        let fetched = from_micros(i64::from_le_bytes(take(&mut rest)?));
        let key = str::from_utf8(cut(&mut rest, usize::from(key_length))?).map_err(|_| Unusable::Damaged)?;
        let target = cut(&mut rest, target_length as usize)?;
        let target = Target::decode(target).ok_or(Unusable::Foreign)?;
        rows.push(Row { key: key.into(), fetched, target: Arc::new(target) });
    }
    if rest.is_empty() { Ok((rows, written)) } else { Err(Unusable::Damaged) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Unusable> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(Unusable::Damaged)?;
    *rest = after;
    Ok(*taken)
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Unusable> {
    let (taken, after) = rest.split_at_checked(length).ok_or(Unusable::Damaged)?;
    *rest = after;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn rows(count: usize) -> Vec<Row> {
        let target = |number: usize| Target {
            destination_url: format!("https://shop.example.com/products/{number}?utm_source=newsletter")
                .into(),
            active: number % 2 == 0,
            version: 3,
            ..Target::bare()
        };
        (0..count)
            .map(|number| Row {
                key: format!("code{number:04}").into(),
                fetched: from_micros(1_700_000_000_000_000 + number as i64),
                target: Arc::new(target(number)),
            })
            .collect()
    }

    #[test]
    fn links_survive_the_file_and_are_small_in_it() {
        let now = from_micros(1_700_000_123_000_000);
        for count in [0, 1, 3, MOST] {
            let rows = rows(count);
            let (bytes, written) = encode(&rows, now);
            assert_eq!(written as usize, count);
            assert_eq!(decode(&bytes).expect("it is whole"), (rows, now));
            if count == MOST {
                println!("{} bytes per entry, {} bytes for {count} links", bytes.len() / count, bytes.len());
                assert!(bytes.len() / count < 192);
            }
        }
    }

    #[test]
    fn neither_a_part_of_a_file_nor_a_damaged_one_is_believed() {
        let (bytes, _) = encode(&rows(3), from_micros(5));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "the first {length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(decode(&longer).is_err());
    }

    /// With a right checksum: what another version, or a defect of this one, might write.
    #[test]
    fn a_whole_file_of_another_form_is_not_believed_either() {
        let (good, _) = encode(&rows(3), from_micros(5));
        let sealed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good[..good.len() - END].to_vec();
            change(&mut bytes);
            let crc = crc32c::crc32c(&bytes);
            [&bytes[..], &crc.to_le_bytes()].concat()
        };
        assert!(decode(&sealed(&|_| {})).is_ok());
        for (what, bytes) in [
            ("a newer version", sealed(&|bytes| bytes[8] = 2)),
            ("more links than there are", sealed(&|bytes| bytes[12..16].fill(0xff))),
            ("fewer", sealed(&|bytes| bytes[12] = 2)),
            ("a key without end", sealed(&|bytes| bytes[HEADER..HEADER + 2].fill(0xff))),
            ("a target without end", sealed(&|bytes| bytes[HEADER + 2..HEADER + 6].fill(0xff))),
            ("a key that is no text", sealed(&|bytes| bytes[HEADER + ENTRY_HEAD] = 0xff)),
            ("a target of another form", sealed(&|bytes| bytes[HEADER + ENTRY_HEAD + 8] = 0xee)),
        ] {
            assert!(decode(&bytes).is_err(), "{what}");
        }
        // Times beyond the calendar are nobody's, but no reason to fall.
        for time in [i64::MIN, i64::MAX] {
            let odd = sealed(&|bytes| bytes[HEADER + 6..HEADER + 14].copy_from_slice(&time.to_le_bytes()));
            drop(decode(&odd));
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(NAME);
        assert!(matches!(read(&path), Ok(None)));
        for count in [3, 1] {
            let (bytes, _) = encode(&rows(count), from_micros(5));
            files::replace(&path, &bytes).expect("it is written");
            assert_eq!(read(&path).expect("it is whole").expect("it is there").0, rows(count));
        }
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod restart_tests;
