//! The process dies, or the disk fails, at named places. Each in a process of its own: failpoints are global.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::AtomicU32;

use tempfile::TempDir;

use super::tests::{SMALL, acknowledged, child, child_asked, id, ids, open, until};
use super::*;

fn say(n: u128) {
    let mut out = io::stdout().lock();
    writeln!(out, "ack {n}").and_then(|()| out.flush()).unwrap();
}

/// Dies at the `nth` time that this place is reached.
fn die_at(place: &str, nth: u32) {
    let reached = AtomicU32::new(0);
    fail::cfg_callback(place, move || {
        if reached.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            std::process::abort();
        }
    })
    .unwrap();
}

/// Runs a mode of [`one_fault`] and returns whether it ended well and what it was told is safe.
fn run(mode: &str, dir: &Path) -> (bool, BTreeSet<u128>) {
    let output = child("spool::fault_tests::one_fault", mode, dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("running 1 test"), "the child ran: {text}");
    (output.status.success(), text.lines().filter_map(acknowledged).collect())
}

#[tokio::test]
#[ignore = "the child of the tests below"]
async fn one_fault() {
    let Some((mode, dir)) = child_asked() else { return };
    match mode.as_str() {
        "append" => die_at("spool.append.after", 150),
        "rotate" => die_at("spool.rotate.mid", 3),
        "recover" => die_at("spool.recover.mid", 2),
        "sync" => die_at("spool.sync.before", 2),
        "checkpoint" => die_at("spool.checkpoint.before", 1),
        _ => {}
    }
    let (spool, mut reader) = open(&dir, SMALL);
    match mode.as_str() {
        "checkpoint" => {
            for n in 0..300 {
                spool.append(RecordKind::Click, id(n), &[7; 90]).unwrap();
            }
            let batch = reader.next_batch(200, 1 << 20, Duration::ZERO).await;
            reader.commit(batch.end).unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        "sync fails twice" => {
            spool.append_durable(RecordKind::Event, id(1000), b"before").await.unwrap();
            fail::cfg("spool.sync.before", "2*return->off").unwrap();
            let waiting: Vec<_> = (0..100)
                .map(|n| {
                    let spool = spool.clone();
                    tokio::spawn(async move {
                        spool.append_durable(RecordKind::Event, id(n), &[7; 90]).await.unwrap();
                        say(n);
                    })
                })
                .collect();
            for one in waiting {
                one.await.unwrap();
            }
            let status = spool.status();
            assert_eq!(status.lag_records, 101, "rewritten, not doubled: {status:?}");
            let seen = ids(&mut reader).await;
            assert_eq!(seen.len(), 101, "nothing read before the failure, nothing twice after it");
            assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), (0..100).chain([1000]).collect());
            // Hard: no goodbye, so that the parent sees what the files hold.
            std::process::exit(0);
        }
        "sync fails" => {
            fail::cfg("spool.sync.before", "return").unwrap();
            assert_eq!(spool.append_durable(RecordKind::Event, id(1), b"x").await, Err(Refused::Failed));
            assert_eq!(spool.status().refuses_durable, Some(Refused::Failed));
            assert_eq!(spool.append_durable(RecordKind::Event, id(2), b"x").await, Err(Refused::Failed));
            for n in 3..500 {
                spool.append(RecordKind::Click, id(n), &[7; 90]).unwrap();
                say(n);
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(spool.status().bytes < 120_000, "failing does not grow the spool: {:?}", spool.status());
            fail::cfg("spool.sync.before", "off").unwrap();
            until("durable appends are accepted again", || spool.status().refuses_durable.is_none()).await;
            spool.append_durable(RecordKind::Event, id(500), b"x").await.unwrap();
            say(500);
            let files = directory::list_segments(&dir).unwrap().len();
            assert!(files < 30, "failed segments are removed: {files}");
            std::process::exit(0);
        }
        "rotate fails" => {
            fail::cfg("spool.rotate.mid", "return").unwrap();
            let mut n = 0;
            while spool.append(RecordKind::Click, id(n), &[7; 90]).is_ok() {
                say(n);
                n += 1;
            }
            assert_eq!(spool.append(RecordKind::Click, id(n), b"x"), Err(Refused::Failed));
            fail::cfg("spool.rotate.mid", "off").unwrap();
            until("appends are accepted again", || spool.append(RecordKind::Click, id(n), b"x").is_ok())
                .await;
            say(n);
        }
        _ => {
            for n in 0..300 {
                spool.append(RecordKind::Click, id(n), &[7; 90]).unwrap();
                say(n);
                if mode == "sync" && n % 50 == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn death_at_any_named_place_loses_nothing_acknowledged() {
    for mode in ["append", "rotate", "sync"] {
        let dir = TempDir::new().unwrap();
        let (ended_well, told) = run(mode, dir.path());
        assert!(!ended_well && !told.is_empty(), "{mode}: it died after {}", told.len());
        let (spool, mut reader) = open(dir.path(), SMALL);
        let found = ids(&mut reader).await;
        let unique: BTreeSet<_> = found.iter().copied().collect();
        assert!(told.is_subset(&unique), "{mode}: lost {:?}", told.difference(&unique).collect::<Vec<_>>());
        assert_eq!(found.len(), unique.len(), "{mode}: nothing twice");
        assert_eq!(spool.status().quarantined, 0, "{mode}");
    }
}

#[tokio::test]
async fn death_during_recovery_and_before_a_checkpoint_only_means_replay() {
    let dir = TempDir::new().unwrap();
    let (ended_well, told) = run("fill", dir.path());
    assert!(ended_well && told.len() == 300);
    for _ in 0..2 {
        assert!(!run("recover", dir.path()).0, "it died in recovery");
    }
    let (spool, mut reader) = open(dir.path(), SMALL);
    assert_eq!(ids(&mut reader).await, (0..300).collect::<Vec<_>>());
    assert_eq!(spool.status().quarantined, 0);

    let dir = TempDir::new().unwrap();
    assert!(!run("checkpoint", dir.path()).0, "it died before the checkpoint");
    let (_spool, mut reader) = open(dir.path(), SMALL);
    assert_eq!(ids(&mut reader).await, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failed_sync_loses_nothing() {
    for mode in ["sync fails twice", "sync fails", "rotate fails"] {
        let dir = TempDir::new().unwrap();
        let (ended_well, told) = run(mode, dir.path());
        assert!(ended_well, "{mode}: see the child's output above");
        assert!(told.len() > 20, "{mode}: {}", told.len());
        let (_spool, mut reader) = open(dir.path(), SMALL);
        let found: BTreeSet<_> = ids(&mut reader).await.into_iter().collect();
        assert!(told.is_subset(&found), "{mode}: lost {:?}", told.difference(&found).collect::<Vec<_>>());
    }
}
