//! The spool reaches its bound, its disk is full, and it holds what no database takes.

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use linkforty::{
    pb::internal::v1::ClickRecord,
    spool::{RecordKind, Spool, SpoolOptions},
};
use prost::Message as _;
use tokio::time::sleep;
use uuid::Uuid;

use super::support::{Book, Load, World, on_every_store, random, within};

const RECOVERY: Duration = Duration::from_secs(30);

/// A spool of about four thousand clicks.
const SMALL: &[(&str, &str)] = &[("SPOOL_MAX_BYTES", "1048576"), ("SPOOL_SEGMENT_BYTES", "65536")];

#[tokio::test]
async fn a_full_spool_lets_visitors_pass_and_counts_whom_it_cannot_record() {
    on_every_store(SMALL, async |world| {
        world.forget_clicks().await;
        let ledger = world.load(Load::CLOSED).await;
        let outage = world.outage().await;
        within(RECOVERY, "the spool is full", async || unrecorded(world).await > 500).await;
        world.end(outage).await;
        recovers_alone(world).await;
        let book = ledger.close().await;
        book.assert_all_redirected();
        assert_unrecorded_are_counted(world, &book).await;
        world.assert_balanced(&book).await;
    })
    .await;
}

#[tokio::test]
async fn a_full_spool_sends_visitors_away_where_that_is_wanted() {
    let settings = [SMALL, &[("SPOOL_FULL_POLICY", "refuse_503")]].concat();
    on_every_store(&settings, async |world| {
        world.forget_clicks().await;
        let ledger = world.load(Load::CLOSED).await;
        let outage = world.outage().await;
        within(RECOVERY, "the spool is full", async || unrecorded(world).await > 500).await;
        world.end(outage).await;
        recovers_alone(world).await;
        let book = ledger.close().await;
        assert_eq!(book.without_id, 0, "no redirect without a promise");
        assert_eq!(book.answers.keys().collect::<Vec<_>>(), [&302, &503], "{book}");
        assert_eq!(book.unanswered + book.refused, 0, "{book}");
        assert_eq!(unrecorded(world).await, book.answers[&503], "the refused are counted");
        world.assert_balanced(&book).await;
    })
    .await;
}

/// The spool on a disk of its own, which somebody else fills. Needs the right to mount.
#[tokio::test]
async fn a_full_disk_lets_visitors_pass_and_counts_whom_it_cannot_record() {
    let settings = [("SPOOL_MIN_FREE_BYTES", "0"), ("SPOOL_SEGMENT_BYTES", "262144")];
    on_every_store(&settings, async |world| {
        world.node.drained().await;
        world.node.kill();
        let Some(disk) = Disk::mount(world.node.spool(), "8m") else { return };
        world.node.start().await;
        world.forget_clicks().await;
        let ledger = world.load(Load::CLOSED).await;
        // Otherwise drained segments make room.
        let outage = world.outage().await;
        disk.fill();
        within(RECOVERY, "the disk is full", async || unrecorded(world).await > 500).await;
        disk.clear();
        recovers_alone(world).await;
        world.end(outage).await;
        let book = ledger.close().await;
        book.assert_all_redirected();
        assert_unrecorded_are_counted(world, &book).await;
        world.assert_balanced(&book).await;
        world.node.kill();
    })
    .await;
}

#[tokio::test]
async fn a_disk_with_little_room_left_is_not_filled_by_us() {
    let settings = [("SPOOL_MIN_FREE_BYTES", "2097152"), ("SPOOL_SEGMENT_BYTES", "131072")];
    on_every_store(&settings, async |world| {
        world.node.drained().await;
        world.node.kill();
        let Some(disk) = Disk::mount(world.node.spool(), "3m") else { return };
        world.node.start().await;
        world.forget_clicks().await;
        let ledger = world.load(Load::CLOSED).await;
        let outage = world.outage().await;
        within(RECOVERY, "the watermark is reached", async || unrecorded(world).await > 500).await;
        assert!(disk.free() > 1 << 20, "{} bytes are left", disk.free());
        world.end(outage).await;
        recovers_alone(world).await;
        let book = ledger.close().await;
        book.assert_all_redirected();
        assert_unrecorded_are_counted(world, &book).await;
        world.assert_balanced(&book).await;
        world.node.kill();
    })
    .await;
}

#[tokio::test]
async fn records_that_no_database_takes_are_set_aside_and_their_neighbours_stored() {
    on_every_store(&[], async |world| {
        world.forget_clicks().await;
        world.node.kill();
        let link = Uuid::parse_str(&world.links[0].id).expect("an id");
        let workspace = Uuid::parse_str(&world.links[0].workspace_id).expect("an id");
        let click = |agent: &str| {
            ClickRecord {
                workspace_id: workspace.as_bytes().to_vec().into(),
                link_id: link.as_bytes().to_vec().into(),
                network: vec![127, 0, 0].into(),
                user_agent: agent.to_owned(),
                ..ClickRecord::default()
            }
            .encode_to_vec()
        };
        let options = SpoolOptions { min_free_bytes: 0, segment_bytes: 1 << 20, ..SpoolOptions::default() };
        let (spool, reader) = Spool::open(&world.node.spool(), options).expect("the node does not run");
        let newest = world.books().await.clicks.len();
        assert_eq!(newest, 0);
        let mut good = Vec::new();
        let append = |kind, payload: &[u8]| {
            let id = fresh_id();
            spool.append(kind, id, payload).expect("there is room");
            id
        };
        for _ in 0..20 {
            good.push(append(RecordKind::Click, &click("curl/8")));
        }
        let garbage = append(RecordKind::Click, b"\xff\xfe no click at all");
        let stranger = append(RecordKind::Unknown(77), b"of a release to come");
        for _ in 0..20 {
            good.push(append(RecordKind::Click, &click("curl/8")));
        }
        // Postgres has no way to store this character, SQLite has.
        let nul = append(RecordKind::Click, &click("cu\0rl"));
        for _ in 0..20 {
            good.push(append(RecordKind::Click, &click("curl/8")));
        }
        spool.close().await;
        drop((spool, reader));

        world.node.start().await;
        world.rolled().await;
        let books = world.books().await;
        let mut set_aside: Vec<Uuid> = books.letters.iter().map(|(id, _)| *id).collect();
        let mut expected = vec![garbage, stranger];
        if world.postgres.is_some() {
            expected.push(nul);
        } else {
            good.push(nul);
        }
        set_aside.sort_unstable();
        expected.sort_unstable();
        assert_eq!(set_aside, expected, "{:?}", books.letters);
        assert_eq!(books.rows, good.len());
        assert!(good.iter().all(|id| books.clicks.contains(id)), "a neighbour of a bad record is missing");
        books.assert_totals();
        // And the spool goes on.
        assert_eq!(world.visit(&world.links[1]).await, 302);
        world.rolled().await;
        assert_eq!(world.books().await.rows, good.len() + 1);
    })
    .await;
}

/// A UUIDv7 of about now: its click finds a partition that is there.
fn fresh_id() -> Uuid {
    use linkforty::clock::{Clock as _, SystemClock};
    let millis = SystemClock.now().timestamp_millis();
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).expect("after 1970"), &random())
        .into_uuid()
}

async fn unrecorded(world: &World) -> u64 {
    world.node.metric("linkforty_clicks_unrecorded_total").await
}

/// Waits until a visit is recorded again, with nobody's help.
async fn recovers_alone(world: &World) {
    within(RECOVERY, "visits are recorded again", async || {
        let before = unrecorded(world).await;
        sleep(Duration::from_millis(300)).await;
        unrecorded(world).await == before
    })
    .await;
}

async fn assert_unrecorded_are_counted(world: &World, book: &Book) {
    assert!(book.without_id > 0, "the spool was never full: {book}");
    assert_eq!(unrecorded(world).await, book.without_id, "every redirect without an id is counted");
}

/// A small disk of one test's own.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one; `None`, with a word why, where that is not allowed.
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).expect("the directory is there");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            Ok(output) => {
                eprintln!("SKIPPED: no disk can be mounted: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: no disk can be mounted: {error}");
                None
            }
        }
    }

    /// Takes all the room.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("a file can be made");
        for size in [65536, 512] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Gives it back.
    fn clear(&self) {
        fs::remove_file(self.0.join("filler")).expect("it is there");
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.0).expect("it is mounted");
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the node may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
