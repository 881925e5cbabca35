//! The spool through its door, on real directories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;

pub(super) const SMALL: SpoolOptions = SpoolOptions {
    segment_bytes: 4096,
    max_bytes: 1 << 20,
    min_free_bytes: 0,
    sync_interval: Duration::from_millis(5),
};

pub(super) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(super) fn open(dir: &Path, options: SpoolOptions) -> (Spool, Reader) {
    Spool::open(dir, options).expect("the spool opens")
}

/// A crash of the machine as the page cache saw it: the directory as it is, without its owner's goodbye.
fn crashed_copy(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// Hands out everything that is there now; commits nothing.
pub(super) async fn rest(reader: &mut Reader) -> Vec<Record> {
    const SOON: Duration = Duration::from_millis(200);
    let mut records = Vec::new();
    while let Ok(batch) = tokio::time::timeout(SOON, reader.next_batch(1000, 1 << 20, Duration::ZERO)).await {
        if batch.records.is_empty() {
            break;
        }
        records.extend(batch.records);
    }
    records
}

pub(super) async fn ids(reader: &mut Reader) -> Vec<u128> {
    rest(reader).await.iter().map(|record| record.id.as_u128()).collect()
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not come to pass in 5 s: {what}");
}

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    directory::list_segments(dir).unwrap().into_iter().map(|(_, path)| path).collect()
}

#[tokio::test]
async fn records_appended_together_come_out_one_by_one_and_outlive_a_power_cut() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    // Over several segments, and one that is too large for any.
    let sizes = [10, 0, 700, 3000, 5000, 20, 900, 900, 900, 900, 900, 1];
    let records: Vec<(Uuid, Vec<u8>)> =
        sizes.iter().enumerate().map(|(n, size)| (id(n as u128), vec![n as u8; *size])).collect();
    let outcomes = spool.append_all_durable(RecordKind::Event, &records).await;
    let expected: Vec<_> =
        sizes.iter().map(|size| if *size == 5000 { Err(Refused::TooLarge) } else { Ok(()) }).collect();
    assert_eq!(outcomes, expected);
    assert!(spool.append_all_durable(RecordKind::Event, &[]).await.is_empty());
    let copy = crashed_copy(dir.path());
    let kept: Vec<_> = records.iter().filter(|(_, payload)| payload.len() != 5000).collect();
    let (other, mut recovered) = open(copy.path(), SMALL);
    assert_eq!(other.status().lag_records, kept.len() as u64);
    for reader in [&mut reader, &mut recovered] {
        let seen = rest(reader).await;
        let seen: Vec<_> = seen.iter().map(|record| (record.id, record.payload.to_vec())).collect();
        assert_eq!(seen.iter().collect::<Vec<_>>(), kept);
    }
    spool.close().await;
    let refused = spool.append_all_durable(RecordKind::Event, &records[..2]).await;
    assert_eq!(refused, [Err(Refused::Closed); 2]);
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    spool.append(RecordKind::Click, id(1), b"a click").unwrap();
    spool.append(RecordKind::Unknown(200), id(2), b"").unwrap();
    let batch = reader.next_batch(10, 1 << 20, Duration::ZERO).await;
    let seen: Vec<_> = batch.records.iter().map(|r| (r.kind, r.id, &r.payload[..])).collect();
    assert_eq!(seen, [(RecordKind::Click, id(1), &b"a click"[..]), (RecordKind::Unknown(200), id(2), b"")]);
    let mode = fs::metadata(&segment_files(dir.path())[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn after_a_crash_everything_accepted_is_there_and_nothing_drained() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    for n in 0..500 {
        spool.append(RecordKind::Click, id(n), &[7; 50]).unwrap();
    }
    let copy = crashed_copy(dir.path());
    let (again, mut all) = open(copy.path(), SMALL);
    assert_eq!(again.id(), spool.id());
    assert_eq!(again.status().lag_records, 500);
    assert_eq!(again.status().cut_bytes, 0);
    assert_eq!(ids(&mut all).await, (0..500).collect::<Vec<_>>());

    let batch = reader.next_batch(123, 1 << 20, Duration::ZERO).await;
    assert_eq!(batch.records.len(), 123);
    let drained = batch.records.last().unwrap().position.segment;
    reader.commit(batch.end).unwrap();
    assert_eq!(spool.status().lag_records, 377);
    until("drained segments are removed", || {
        directory::list_segments(dir.path()).unwrap().iter().all(|(number, _)| *number >= drained)
    })
    .await;
    spool.close().await;
    let (again, mut left) = open(dir.path(), SMALL);
    assert_eq!(again.status().lag_records, 377);
    assert_eq!(ids(&mut left).await, (123..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_drained_spool_leaves_no_files_and_reuses_no_number() {
    let dir = TempDir::new().unwrap();
    let mut last = Position::default();
    for _ in 0..3 {
        let (spool, mut reader) = open(dir.path(), SMALL);
        for n in 0..200 {
            let position = spool.append(RecordKind::Click, id(n), &[7; 50]).unwrap();
            assert!(position > last, "{position:?} after {last:?}");
            last = position;
        }
        let batch = reader.next_batch(1000, 1 << 20, Duration::ZERO).await;
        assert_eq!(batch.records.len(), 200);
        reader.commit(batch.end).unwrap();
        assert_eq!(spool.status().lag_records, 0);
        spool.close().await;
        assert!(segment_files(dir.path()).len() <= 1, "{:?}", segment_files(dir.path()));
    }
}

#[tokio::test]
async fn a_second_owner_is_refused_until_the_first_is_gone() {
    let dir = TempDir::new().unwrap();
    let (spool, reader) = open(dir.path(), SMALL);
    assert!(matches!(Spool::open(dir.path(), SMALL), Err(SpoolError::InUse { .. })));
    spool.append(RecordKind::Click, id(1), b"x").unwrap();
    let seen = inspect(dir.path()).unwrap();
    assert_eq!((seen.lag_records, seen.id), (1, Some(spool.id())));
    drop((spool, reader));
    open(dir.path(), SMALL);
}

#[tokio::test]
async fn a_full_spool_refuses_in_steps_and_recovers_after_a_commit() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SpoolOptions { max_bytes: 64 << 10, ..SMALL });
    let mut durable_refused_at = None;
    let mut accepted = 0_u128;
    loop {
        if durable_refused_at.is_none() {
            match spool.append_durable(RecordKind::Event, id(accepted), &[1; 500]).await {
                Ok(_) => accepted += 1,
                Err(reason) => {
                    assert_eq!(reason, Refused::Full);
                    durable_refused_at = Some(spool.status().bytes);
                }
            }
            continue;
        }
        match spool.append(RecordKind::Click, id(accepted), &[1; 500]) {
            Ok(_) => accepted += 1,
            Err(reason) => {
                assert_eq!(reason, Refused::Full);
                break;
            }
        }
    }
    let durable_refused_at = durable_refused_at.unwrap();
    assert!((61_000..=62_260).contains(&durable_refused_at), "{durable_refused_at}");
    let status = spool.status();
    assert!((65_000..=65_536).contains(&status.bytes), "{status:?}");
    assert!(status.level >= Level::Critical);
    assert_eq!(status.refuses_durable, Some(Refused::Full));

    let batch = reader.next_batch(1000, 1 << 20, Duration::ZERO).await;
    assert_eq!(batch.records.len() as u128, accepted);
    reader.commit(batch.end).unwrap();
    until("there is room again", || spool.status().level == Level::Normal).await;
    spool.append_durable(RecordKind::Event, id(9999), b"x").await.unwrap();
}

#[tokio::test]
async fn too_large_is_refused_and_the_largest_is_not() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) =
        open(dir.path(), SpoolOptions { segment_bytes: 1 << 20, max_bytes: 8 << 20, ..SMALL });
    let largest = vec![3; segment::MAX_RECORD - segment::FRAME];
    spool.append(RecordKind::Event, id(1), &largest).unwrap();
    assert_eq!(
        spool.append(RecordKind::Event, id(2), &[&largest[..], b"x"].concat()),
        Err(Refused::TooLarge)
    );
    spool.append(RecordKind::Event, id(3), &largest).unwrap();
    // More than a batch may hold, and still handed out, one at a time.
    let batch = reader.next_batch(10, 100, Duration::ZERO).await;
    assert_eq!((batch.records.len(), batch.records[0].payload.len()), (1, largest.len()));
    assert_eq!(ids(&mut reader).await, [3]);
}

#[tokio::test]
async fn the_free_space_bound_refuses() {
    let dir = TempDir::new().unwrap();
    let (spool, _reader) = open(dir.path(), SpoolOptions { min_free_bytes: u64::MAX, ..SMALL });
    until("little space is noticed", || spool.status().refuses == Some(Refused::DiskFull)).await;
    assert_eq!(spool.append(RecordKind::Click, id(1), b"x"), Err(Refused::DiskFull));
}

struct Tmpfs(TempDir);

impl Tmpfs {
    /// `None` where mounting is not allowed.
    fn mount(size: &str) -> Option<Tmpfs> {
        let dir = TempDir::new().unwrap();
        let options = format!("size={size}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).status();
        mount.is_ok_and(|status| status.success()).then_some(Tmpfs(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_recovers_alone() {
    let Some(disk) = Tmpfs::mount("1m") else {
        eprintln!("skipped: mounting a tmpfs is not allowed here");
        return;
    };
    let dir = disk.0.path().join("spool");
    let options = SpoolOptions { segment_bytes: 64 << 10, max_bytes: 1 << 30, ..SMALL };
    let (spool, mut reader) = open(&dir, options);
    let mut accepted = 0_u128;
    let refused = loop {
        match spool.append(RecordKind::Click, id(accepted), &[1; 1000]) {
            Ok(_) => accepted += 1,
            Err(reason) => break reason,
        }
        assert!(accepted < 10_000);
    };
    assert_eq!(refused, Refused::DiskFull);
    assert!(accepted > 700, "{accepted}");
    assert_eq!(spool.append(RecordKind::Click, id(0), b"x"), Err(Refused::DiskFull));

    let batch = reader.next_batch(10_000, 10 << 20, Duration::ZERO).await;
    assert_eq!(batch.records.len() as u128, accepted);
    // An error here is of an earlier checkpoint; the commit counts.
    let _ = reader.commit(batch.end);
    until("appends are accepted again", || spool.append(RecordKind::Click, id(77), b"x").is_ok()).await;
    assert_eq!(ids(&mut reader).await, [77]);
    drop((spool, reader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_appenders_one_reader_every_id_once_in_order() {
    const EACH: u128 = 5_000;
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) =
        open(dir.path(), SpoolOptions { segment_bytes: 64 << 10, max_bytes: 1 << 30, ..SMALL });
    let appenders: Vec<_> = (0..8)
        .map(|thread| {
            let spool = spool.clone();
            thread::spawn(move || {
                (0..EACH)
                    .map(|n| {
                        let n = thread * EACH + n;
                        let payload = vec![n as u8; (n % 300) as usize];
                        (spool.append(RecordKind::Click, id(n), &payload).unwrap(), n)
                    })
                    .collect::<BTreeMap<_, _>>()
            })
        })
        .collect();
    let mut seen = Vec::new();
    while seen.len() < 8 * EACH as usize {
        let next = reader.next_batch(700, 60_000, Duration::from_millis(2));
        let batch = tokio::time::timeout(Duration::from_secs(10), next).await.expect("the reader is woken");
        assert!(batch.records.len() <= 700);
        for record in &batch.records {
            let n = record.id.as_u128();
            assert!(record.payload.len() as u128 == n % 300 && record.payload.iter().all(|b| *b == n as u8));
        }
        seen.extend(batch.records.iter().map(|record| (record.position, record.id.as_u128())));
        reader.commit(batch.end).unwrap();
    }
    assert!(seen.is_sorted(), "in order of position");
    let mut appended = BTreeMap::new();
    for appender in appenders {
        appended.extend(appender.join().unwrap());
    }
    assert_eq!(seen.len(), 8 * EACH as usize);
    assert_eq!(seen.into_iter().collect::<BTreeMap<_, _>>(), appended, "where append said they are");
    assert_eq!(spool.status().lag_records, 0);
}

#[tokio::test]
async fn a_durable_append_waits_for_a_sync_and_shares_it() {
    let dir = TempDir::new().unwrap();
    // Without a waiter no sync would come before the test ends.
    let options = SpoolOptions {
        segment_bytes: 1 << 20,
        max_bytes: 64 << 20,
        sync_interval: Duration::from_hours(1),
        ..SMALL
    };
    let (spool, _reader) = open(dir.path(), options);
    spool.append(RecordKind::Click, id(0), b"x").unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(spool.status().syncs, 0, "a process append waits for the interval");

    let position = spool.append_durable(RecordKind::Event, id(1), b"x").await.unwrap();
    assert_eq!(spool.status().syncs, 1);
    let covered = spool.owner.shared.segment(position.segment).unwrap().synced.load(Ordering::SeqCst);
    assert!(covered > position.offset, "{covered} does not cover {position:?}");

    // A slow disk: beside busy threads a fast one has time for a sync after every few. The point is everybody's, which slows others for a moment.
    fail::cfg("spool.sync.before", "sleep(20)").expect("a point that is there");
    let waiters: Vec<_> = (0..200)
        .map(|n| {
            let spool = spool.clone();
            tokio::spawn(async move {
                let position = spool.append_durable(RecordKind::Event, id(n), b"x").await.unwrap();
                let segment = spool.owner.shared.segment(position.segment).unwrap();
                assert!(segment.synced.load(Ordering::SeqCst) > position.offset);
            })
        })
        .collect();
    for waiter in waiters {
        waiter.await.unwrap();
    }
    fail::remove("spool.sync.before");
    let syncs = spool.status().syncs - 1;
    assert!((1..=20).contains(&syncs), "200 waiters took {syncs} syncs");
}

#[tokio::test]
async fn an_idle_interval_syncs_what_nobody_waits_for() {
    let dir = TempDir::new().unwrap();
    let (spool, _reader) = open(dir.path(), SMALL);
    let position = spool.append(RecordKind::Click, id(0), b"x").unwrap();
    let segment = spool.owner.shared.segment(position.segment).unwrap();
    let started = std::time::Instant::now();
    until("the interval syncs", || segment.synced.load(Ordering::SeqCst) > position.offset).await;
    assert!(started.elapsed() < Duration::from_millis(700), "woken by the append, not by chance");
    let syncs = spool.status().syncs;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(spool.status().syncs, syncs, "nothing new, no sync");
}

#[tokio::test]
async fn a_record_that_nobody_waits_for_is_synced_whether_the_sync_thread_sleeps_or_looks_for_itself() {
    let dir = TempDir::new().unwrap();
    let (spool, _reader) = open(dir.path(), SMALL);
    let sleeps = || spool.owner.shared.sync_sleeps.load(Ordering::SeqCst);
    for (number, asleep) in [(1, true), (2, false), (3, true)] {
        if asleep {
            until("with nothing to do it sleeps", sleeps).await;
        }
        spool.append(RecordKind::Click, id(number), b"x").unwrap();
        until("the record is synced", || spool.status().syncs == number as u64).await;
    }
}

#[tokio::test]
async fn a_sync_covers_the_segments_that_were_filled_before_it() {
    let dir = TempDir::new().unwrap();
    let options = SpoolOptions { sync_interval: Duration::from_hours(1), ..SMALL };
    let (spool, _reader) = open(dir.path(), options);
    for n in 0..200 {
        spool.append(RecordKind::Click, id(n), &[7; 50]).unwrap();
    }
    spool.append_durable(RecordKind::Event, id(200), b"x").await.unwrap();
    let segments = lock(&spool.owner.shared.segments);
    assert!(segments.len() > 3);
    for segment in &*segments {
        assert_eq!(segment.synced.load(Ordering::SeqCst), segment.written(), "segment {}", segment.number);
    }
}

/// What a power cut leaves of `dir`: any subset of the sectors that no sync has covered.
fn power_cut(spool: &Spool, dir: &Path, mut survives: impl FnMut() -> bool) -> TempDir {
    const SECTOR: u64 = 512;
    let copy = crashed_copy(dir);
    for segment in &*lock(&spool.owner.shared.segments) {
        let path = copy.path().join(segment.path.file_name().unwrap());
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        let mut at = segment.synced.load(Ordering::SeqCst);
        while at < segment.written() {
            let end = (at / SECTOR + 1) * SECTOR;
            if !survives() {
                file.write_all_at(&vec![0; (end - at) as usize], at).unwrap();
            }
            at = end;
        }
    }
    copy
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_power_cut_leaves_every_durable_record_and_no_phantom(
        appends in proptest::collection::vec((0_usize..700, proptest::bool::weighted(0.15)), 1..60),
        sectors in proptest::collection::vec(proptest::bool::ANY, 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = TempDir::new().unwrap();
            let options = SpoolOptions { sync_interval: Duration::from_hours(1), ..SMALL };
            let (spool, _reader) = open(dir.path(), options);
            let mut durable = 0;
            for (n, (len, wait)) in appends.iter().enumerate() {
                let payload = vec![n as u8; *len];
                if *wait {
                    spool.append_durable(RecordKind::Event, id(n as u128), &payload).await.unwrap();
                    durable = n + 1;
                } else {
                    spool.append(RecordKind::Event, id(n as u128), &payload).unwrap();
                }
            }
            let mut sectors = sectors.iter().cycle();
            let left = power_cut(&spool, dir.path(), || *sectors.next().unwrap());
            let (again, mut reader) = open(left.path(), SMALL);
            let lag = again.status().lag_records as usize;
            let mut found = Vec::new();
            while found.len() < lag {
                found.extend(reader.next_batch(1000, 1 << 20, Duration::ZERO).await.records);
            }
            let ids: Vec<_> = found.iter().map(|record| record.id.as_u128() as usize).collect();
            assert!(ids.is_sorted() && ids[..durable].iter().copied().eq(0..durable), "{durable}: {ids:?}");
            for record in found {
                let n = record.id.as_u128() as usize;
                assert_eq!(&record.payload[..], vec![n as u8; appends[n].0]);
            }
        });
    }
}

#[test]
fn metrics_have_their_names() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let dir = TempDir::new().unwrap();
    let (spool, reader) = metrics::with_local_recorder(&recorder, || open(dir.path(), SMALL));
    spool.append(RecordKind::Click, id(1), b"x").unwrap();
    spool.append(RecordKind::Unknown(9), id(2), b"x").unwrap();
    spool.append(RecordKind::Click, id(3), &[0; 5000]).unwrap_err();
    drop((spool, reader));
    let text = handle.render();
    for line in [
        "linkforty_spool_append_total{kind=\"click\"} 1",
        "linkforty_spool_append_total{kind=\"other\"} 1",
        "linkforty_spool_refused_total{reason=\"too_large\"} 1",
        "linkforty_spool_lag_records 2",
        "linkforty_spool_bytes 118",
        "linkforty_spool_fsync_seconds_count",
        "linkforty_spool_cut_bytes_total 0",
        "linkforty_spool_quarantined_total 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn damage_found_at_start_costs_one_record_and_is_kept_aside() {
    let dir = TempDir::new().unwrap();
    let (spool, reader) = open(dir.path(), SMALL);
    let places: Vec<_> =
        (0..200).map(|n| spool.append(RecordKind::Click, id(n), &[7; 50]).unwrap()).collect();
    spool.close().await;
    drop((spool, reader));
    let hit = places[70];
    let path = dir.path().join(format!("{:012}.seg", hit.segment));
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0xff], hit.offset + 30).unwrap();

    assert_eq!(inspect(dir.path()).unwrap().lag_records, 199);
    let (spool, mut reader) = open(dir.path(), SMALL);
    assert_eq!(spool.status().quarantined, 1);
    assert_eq!(spool.status().lag_records, 199);
    let all = rest(&mut reader).await;
    let expected: Vec<u128> = (0..200).filter(|n| *n != 70).collect();
    assert_eq!(all.iter().map(|record| record.id.as_u128()).collect::<Vec<_>>(), expected);
    reader.commit(reader.position()).unwrap();
    assert_eq!(spool.status().lag_records, 0);
    spool.close().await;
    let kept = fs::read(dir.path().join("quarantine").join(path.file_name().unwrap())).unwrap();
    assert_eq!(kept[hit.offset as usize + 30], 0xff, "the damaged bytes are still there after draining");
    assert!(!path.exists());
}

#[tokio::test]
async fn damage_that_comes_while_running_costs_one_record() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    let places: Vec<_> = (0..10).map(|n| spool.append(RecordKind::Click, id(n), &[7; 50]).unwrap()).collect();
    let file = fs::OpenOptions::new().write(true).open(&segment_files(dir.path())[0]).unwrap();
    file.write_all_at(&[0xff; 4], places[4].offset).unwrap();
    assert_eq!(ids(&mut reader).await, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(spool.status().quarantined, 1);
    spool.append(RecordKind::Click, id(10), b"x").unwrap();
    assert_eq!(ids(&mut reader).await, [10]);
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_counted_and_not_appended_to() {
    let dir = TempDir::new().unwrap();
    let (spool, reader) = open(dir.path(), SMALL);
    spool.append(RecordKind::Click, id(1), b"whole").unwrap();
    let torn = spool.append(RecordKind::Click, id(2), &[9; 100]).unwrap();
    spool.close().await;
    drop((spool, reader));
    let path = &segment_files(dir.path())[0];
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0; 60], torn.offset + 66).unwrap();

    assert_eq!(inspect(dir.path()).unwrap().cut_bytes, 66);
    let (spool, mut reader) = open(dir.path(), SMALL);
    assert_eq!((spool.status().cut_bytes, spool.status().quarantined), (66, 0));
    assert_eq!(fs::metadata(path).unwrap().len(), torn.offset);
    let next = spool.append(RecordKind::Click, id(3), b"x").unwrap();
    assert!(next.segment > torn.segment);
    assert_eq!(ids(&mut reader).await, [1, 3]);
}

#[tokio::test]
async fn files_without_a_header_or_of_a_newer_format_are_told_apart() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path(), SMALL));
    fs::write(dir.path().join("000000900000.seg"), [0; 4096]).unwrap();
    fs::write(dir.path().join("000000900001.seg"), [0xaa; 4096]).unwrap();
    fs::write(dir.path().join("notes.txt"), "left alone").unwrap();
    let (spool, reader) = open(dir.path(), SMALL);
    assert_eq!(spool.status().quarantined, 1, "zeros were never a segment; the other may have been");
    assert!(dir.path().join("quarantine/000000900001.seg").exists() && dir.path().join("notes.txt").exists());
    assert!(spool.append(RecordKind::Click, id(1), b"x").unwrap().segment > 900_001);
    spool.close().await;
    drop((spool, reader));

    let mut newer = segment::encode_header(segment::Header { number: 999_999, id: 1 });
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..28]);
    newer[28..32].copy_from_slice(&crc.to_le_bytes());
    let path = dir.path().join("000000999999.seg");
    fs::write(&path, newer).unwrap();
    assert!(matches!(Spool::open(dir.path(), SMALL), Err(SpoolError::Version { version: 2, .. })));
    assert!(path.exists());
}

#[tokio::test]
async fn seeking_goes_to_known_borders_only() {
    let dir = TempDir::new().unwrap();
    let (spool, reader) = open(dir.path(), SMALL);
    let places: Vec<_> =
        (0..100).map(|n| spool.append(RecordKind::Click, id(n), &[7; 50]).unwrap()).collect();
    spool.close().await;
    drop((spool, reader));

    let (spool, mut reader) = open(dir.path(), SMALL);
    let fresh = spool.append(RecordKind::Click, id(100), &[7; 50]).unwrap();
    let start = reader.position();
    for unknown in [
        Position { offset: places[60].offset + 1, ..places[60] },
        Position { segment: 77, offset: 64 },
        Position { segment: u64::MAX, offset: 64 },
        Position { offset: fresh.offset + 76, ..fresh },
    ] {
        reader.seek(unknown);
        assert_eq!(reader.position(), start, "{unknown:?}");
    }
    // The database had got to record 60 before its answer was lost.
    reader.seek(places[60]);
    let batch = reader.next_batch(10, 1 << 20, Duration::ZERO).await;
    assert_eq!(batch.records[0].id, id(60));
    reader.seek(places[60]);
    let again = reader.next_batch(10, 1 << 20, Duration::ZERO).await;
    assert_eq!(again.records, batch.records, "a batch can be read again");
    reader.commit(again.end).unwrap();
    assert_eq!(spool.status().lag_records, 31);
    reader.seek(places[5]);
    assert_eq!(reader.position(), again.end, "never before what was committed");
    assert!(reader.commit(Position { segment: again.end.segment, offset: again.end.offset + 1 }).is_err());
    assert_eq!(ids(&mut reader).await, (70..=100).collect::<Vec<_>>());
    let unread = spool.append(RecordKind::Click, id(101), &[7; 50]).unwrap();
    let unread_end = Position { offset: unread.offset + 76, ..unread };
    assert!(reader.commit(unread_end).is_err(), "never handed out");
    // A border inside a batch can be committed too.
    reader.commit(places[75]).unwrap();
    assert_eq!(spool.status().lag_records, 27);
}

#[tokio::test]
async fn a_position_in_a_segment_that_a_power_cut_took_never_means_other_records() {
    let dir = TempDir::new().unwrap();
    let (spool, reader) = open(dir.path(), SMALL);
    let places: Vec<_> =
        (0..100).map(|n| spool.append(RecordKind::Click, id(n), &[7; 50]).unwrap()).collect();
    spool.close().await;
    drop((spool, reader));
    // The consumer had stored this; then the directory entry was lost.
    let stored = places[99];
    fs::remove_file(dir.path().join(format!("{:012}.seg", stored.segment))).unwrap();
    for restart in 1..3 {
        let (spool, mut reader) = open(dir.path(), SMALL);
        let start = reader.position();
        reader.seek(stored);
        assert_eq!(reader.position(), start, "restart {restart}");
        for n in 200..300 {
            assert!(spool.append(RecordKind::Click, id(n), &[7; 50]).unwrap().segment > stored.segment);
        }
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_means_replay_and_a_lost_spool_a_new_identity() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    for n in 0..10 {
        spool.append(RecordKind::Click, id(n), b"x").unwrap();
    }
    let batch = reader.next_batch(4, 1 << 20, Duration::ZERO).await;
    reader.commit(batch.end).unwrap();
    let first = spool.id();
    spool.close().await;
    drop((spool, reader));
    fs::write(dir.path().join("checkpoint"), "nonsense").unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    assert_eq!(spool.id(), first);
    assert_eq!(ids(&mut reader).await, (0..10).collect::<Vec<_>>());
    spool.close().await;
    drop((spool, reader));

    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    for path in segment_files(dir.path()) {
        fs::remove_file(path).unwrap();
    }
    let (spool, _reader) = open(dir.path(), SMALL);
    assert_ne!(spool.id(), first);
}

#[tokio::test]
async fn closing_ends_appends_and_then_the_reader() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    spool.append(RecordKind::Click, id(1), b"x").unwrap();
    spool.close().await;
    assert_eq!(spool.append(RecordKind::Click, id(2), b"x"), Err(Refused::Closed));
    assert_eq!(spool.append_durable(RecordKind::Click, id(2), b"x").await, Err(Refused::Closed));
    assert_eq!(reader.next_batch(10, 1 << 20, Duration::from_secs(5)).await.records.len(), 1);
    assert!(reader.next_batch(10, 1 << 20, Duration::ZERO).await.records.is_empty());
    assert!(reader.commit(reader.position()).is_err());
    open(dir.path(), SMALL);
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_an_append_and_by_close() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    for n in 0..20 {
        let waiting = tokio::spawn(async move {
            let batch = reader.next_batch(10, 1 << 20, Duration::ZERO).await;
            (batch.records.len(), reader)
        });
        tokio::time::sleep(Duration::from_millis(2)).await;
        spool.append(RecordKind::Click, id(n), b"x").unwrap();
        let (seen, back) = tokio::time::timeout(Duration::from_secs(2), waiting).await.unwrap().unwrap();
        assert_eq!(seen, 1);
        reader = back;
    }
    let waiting = tokio::spawn(async move { reader.next_batch(10, 1 << 20, Duration::ZERO).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    spool.close().await;
    assert!(tokio::time::timeout(Duration::from_secs(2), waiting).await.unwrap().unwrap().records.is_empty());
}

#[tokio::test]
async fn lingering_fills_a_batch_and_a_cancelled_read_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    spool.append(RecordKind::Click, id(0), b"x").unwrap();
    let cancelled = reader.next_batch(5, 1 << 20, Duration::from_mins(1));
    assert!(tokio::time::timeout(Duration::from_millis(50), cancelled).await.is_err());
    let appender = spool.clone();
    let late = thread::spawn(move || {
        for n in 1..5 {
            thread::sleep(Duration::from_millis(10));
            appender.append(RecordKind::Click, id(n), b"x").unwrap();
        }
    });
    let full = reader.next_batch(5, 1 << 20, Duration::from_mins(1));
    let batch =
        tokio::time::timeout(Duration::from_secs(5), full).await.expect("full before the linger ends");
    assert_eq!(batch.records.len(), 5);
    late.join().unwrap();
}

#[tokio::test]
async fn the_age_of_the_oldest_record_comes_from_its_id() {
    let dir = TempDir::new().unwrap();
    let (spool, mut reader) = open(dir.path(), SMALL);
    assert_eq!(spool.status().oldest_undrained, None);
    let made = |seconds: u64| uuid::Builder::from_unix_timestamp_millis(seconds * 1000, &[5; 10]).into_uuid();
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    spool.append(RecordKind::Click, made(1_000), b"x").unwrap();
    spool.append(RecordKind::Click, made(2_000), b"x").unwrap();
    assert_eq!(spool.status().oldest_undrained, at(1_000));
    assert_eq!(inspect(dir.path()).unwrap().oldest_undrained, at(1_000));
    let batch = reader.next_batch(1, 1 << 20, Duration::ZERO).await;
    reader.commit(batch.end).unwrap();
    assert_eq!(spool.status().oldest_undrained, at(2_000));
}

/// Runs another test of this file in a process of its own.
pub(super) fn child(test: &str, mode: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.env("SPOOL_CHILD_MODE", mode).env("SPOOL_CHILD_DIR", dir).stdout(Stdio::piped());
    command
}

pub(super) fn child_asked() -> Option<(String, PathBuf)> {
    let mode = std::env::var_os("SPOOL_CHILD_MODE")?.into_string().ok()?;
    Some((mode, PathBuf::from(std::env::var_os("SPOOL_CHILD_DIR")?)))
}

/// The numbers that a child said it had been told are safe.
pub(super) fn acknowledged(line: &str) -> Option<u128> {
    line.strip_prefix("ack ")?.parse().ok()
}

#[test]
#[ignore = "the child of a_killed_process_loses_nothing_it_was_told_is_safe"]
fn appends_until_killed() {
    let Some((first, dir)) = child_asked() else { return };
    let (spool, _reader) = open(&dir, SMALL);
    for n in first.parse::<u128>().unwrap().. {
        spool.append(RecordKind::Click, id(n), &[7; 90]).unwrap();
        println!("ack {n}");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_was_told_is_safe() {
    let dir = TempDir::new().unwrap();
    let mut told = BTreeSet::new();
    for (round, lines) in [1_usize, 40, 333, 500].into_iter().enumerate() {
        let mut running =
            child("spool::tests::appends_until_killed", &(round * 1_000_000).to_string(), dir.path())
                .spawn()
                .unwrap();
        let out = BufReader::new(running.stdout.take().unwrap());
        let mut acks = out.lines().map_while(Result::ok).filter_map(|line| acknowledged(&line));
        told.extend(acks.by_ref().take(lines));
        running.kill().unwrap();
        running.wait().unwrap();
        // What was in the pipe had been said too.
        told.extend(acks);
    }
    let (_spool, mut reader) = open(dir.path(), SMALL);
    let found: BTreeSet<_> = ids(&mut reader).await.into_iter().collect();
    assert!(told.len() >= 874);
    assert!(told.is_subset(&found), "lost: {:?}", told.difference(&found).collect::<Vec<_>>());
}

#[test]
#[ignore = "prints a figure; run with --ignored --nocapture"]
fn nanoseconds_per_append() {
    let dir = TempDir::new().unwrap();
    let (spool, _reader) = open(dir.path(), SpoolOptions { min_free_bytes: 0, ..SpoolOptions::default() });
    for threads in [1_u32, 2, 8] {
        const EACH: u32 = 200_000;
        let started = std::time::Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for n in 0..EACH {
                        spool.append(RecordKind::Click, id(n.into()), &[7; 300]).unwrap();
                    }
                });
            }
        });
        let total = threads * EACH;
        println!("{threads} threads: {} ns/append", started.elapsed().as_nanos() / u128::from(total));
    }
    println!("{:?}", spool.status());
}
