use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::{
    cache::{Away, ProcessFanout, SharedCache},
    clock::SettableClock,
    config::Config,
    db,
    links::Answer,
};

const NOON: i64 = 1_800_000_000_000_000;
const MINUTE: i64 = 60_000_000;

/// A store that the test breaks.
#[derive(Debug, Clone, Default)]
enum Says {
    /// Nothing, and the database has no tables.
    #[default]
    Away,
    Hangs,
    Link(Target),
}

#[derive(Debug, Default)]
struct Shared(Mutex<Says>);

#[async_trait]
impl SharedCache for Shared {
    async fn get(&self, _: &str) -> Result<Option<Bytes>, Away> {
        let says = self.0.lock().expect("nobody panics here").clone();
        match says {
            Says::Away => Err(Away),
            Says::Hangs => std::future::pending().await,
            Says::Link(target) => Ok(Some(target.encode().into())),
        }
    }
    async fn set(&self, _: &str, _: Bytes, _: Duration) -> Result<(), Away> {
        Err(Away)
    }
    async fn add(&self, _: &str, _: Bytes, _: Duration) -> Result<(), Away> {
        Err(Away)
    }
}

/// A node that comes back to its data directory.
struct Node {
    folder: tempfile::TempDir,
    clock: SettableClock,
    shared: Arc<Shared>,
}

impl Node {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: SettableClock::at(from_micros(NOON)),
            shared: Arc::default(),
        }
    }

    async fn start(&self) -> (Env, Resolver, Snapshots) {
        let config = Config::from_lookup(&|name| match name {
            "DATA_DIR" => Some(self.folder.path().display().to_string()),
            "APP_ENV" => Some("test".into()),
            _ => None,
        });
        let config = Arc::new(config.expect("the settings are right"));
        let wires = (self.shared.clone() as _, Arc::new(ProcessFanout::default()) as _);
        let env = Env::of_test(config, &self.clock, 7, wires).await;
        let (resolver, _) = Resolver::new(env.clone());
        let snapshots = Snapshots::load(&env, resolver.clone());
        (env, resolver, snapshots)
    }

    fn shared_says(&self, says: Says) {
        *self.shared.0.lock().expect("nobody panics here") = says;
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }

    fn keep(&self, rows: &[Row]) {
        files::replace(&self.folder.path().join(NAME), &encode(rows, from_micros(NOON)).0)
            .expect("it is written");
    }

    fn kept(&self) -> Vec<Row> {
        read(&self.path()).expect("it is whole").map(|(rows, _)| rows).unwrap_or_default()
    }
}

fn target(destination: &str) -> Target {
    Target { destination_url: destination.into(), version: 3, ..Target::bare() }
}

fn row(code: &str, age: i64) -> Row {
    let fetched = from_micros(NOON - age);
    Row { key: code.into(), fetched, target: Arc::new(target(&format!("https://old.example/{code}"))) }
}

/// Says where a visitor is sent.
async fn place(resolver: &Resolver, env: &Env, code: &str) -> String {
    match resolver.resolve("", code, env.now()).await {
        Answer::Found(target) => target.destination_url.to_string(),
        Answer::Unknown => "unknown".to_owned(),
        Answer::Away => "away".to_owned(),
    }
}

#[tokio::test]
async fn links_redirect_after_a_restart_without_any_store_until_they_are_too_old() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let node = Node::new();
    let ages = [
        ("now", 0),
        ("young", MINUTE),
        ("old", 60 * MINUTE),
        ("last", DAY - 1),
        ("over", DAY),
        ("future", -5),
    ];
    node.keep(&ages.map(|(code, age)| row(code, age)));
    let (env, resolver, _) = node.start().await;
    for (code, age) in ages {
        let expected = if age < DAY { format!("https://old.example/{code}") } else { "away".to_owned() };
        for visit in ["first", "second"] {
            assert_eq!(place(&resolver, &env, code).await, expected, "{code}, {visit} visit");
        }
    }
    // Their age goes on to be counted from when a store knew them, also that of a link nobody has asked for yet.
    assert_eq!(resolver.remember(vec![row("over", DAY), row("unasked", DAY - 1)]), 1, "one is too old");
    node.clock.advance(chrono::Duration::microseconds(1));
    for code in ["last", "unasked"] {
        assert_eq!(place(&resolver, &env, code).await, "away", "{code}");
    }
}

#[tokio::test]
async fn the_first_visitor_after_a_restart_gets_what_the_store_says_now() {
    let node = Node::new();
    node.keep(&[row("edited", MINUTE), row("deleted", MINUTE)]);
    let (env, resolver, _) = node.start().await;
    node.shared_says(Says::Link(target("https://new.example/")));
    assert_eq!(place(&resolver, &env, "edited").await, "https://new.example/");
    // No Redis now, and a database that has no such link.
    node.shared_says(Says::Away);
    db::migrate(&env.db.api).await.expect("migrates");
    assert_eq!(place(&resolver, &env, "deleted").await, "unknown");
}

#[tokio::test]
async fn one_visitor_waits_for_a_store_that_hangs_and_none_after() {
    let node = Node::new();
    node.keep(&[row("a", MINUTE)]);
    let (env, resolver, _) = node.start().await;
    node.shared_says(Says::Hangs);
    for patience in [Duration::from_millis(600), Duration::from_millis(100)] {
        let asked = std::time::Instant::now();
        assert_eq!(place(&resolver, &env, "a").await, "https://old.example/a");
        assert!(asked.elapsed() < patience, "waited {:?} of {patience:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn a_file_of_no_use_is_set_aside_and_the_node_starts() {
    let node = Node::new();
    let (good, _) = encode(&[row("a", 0)], from_micros(NOON));
    for bytes in [&good[..good.len() / 2], b"", b"something else", &good[1..]] {
        fs::write(node.path(), bytes).expect("it is written");
        let (env, resolver, _) = node.start().await;
        assert_eq!(place(&resolver, &env, "a").await, "away");
        assert!(!node.path().exists());
        assert_eq!(fs::read(node.folder.path().join(ASIDE)).expect("it is set aside"), bytes);
    }
}

#[tokio::test]
async fn the_file_holds_the_links_that_were_asked_for_last() {
    let node = Node::new();
    node.keep(&["a", "b", "c", "d"].map(|code| row(code, MINUTE)));
    let (env, resolver, _) = node.start().await;
    node.clock.advance(chrono::Duration::seconds(1));
    for code in ["b", "d"] {
        place(&resolver, &env, code).await;
    }
    let mut hottest: Vec<String> =
        resolver.hottest(2, env.now()).into_iter().map(|row| row.key.into_string()).collect();
    hottest.sort();
    assert_eq!(hottest, ["b", "d"]);
    assert_eq!(resolver.hottest(9, env.now()).len(), 4);
}

#[tokio::test]
async fn the_file_is_written_every_minute_and_at_the_stop() {
    let node = Node::new();
    node.shared_says(Says::Link(target("https://old.example/a")));
    let (env, resolver, snapshots) = node.start().await;
    tokio::time::pause();
    let stop = CancellationToken::new();
    let work = tokio::spawn(snapshots.run(stop.clone()));
    place(&resolver, &env, "a").await;
    tokio::time::sleep(EVERY - Duration::from_secs(1)).await;
    assert!(!node.path().exists(), "a cold start does not overwrite what the last run left");
    tokio::time::sleep(LOOK_EVERY + Duration::from_secs(1)).await;
    assert_eq!(node.kept().len(), 1);
    place(&resolver, &env, "b").await;
    stop.cancel();
    work.await.expect("it ends");
    assert_eq!(node.kept().len(), 2, "what came after the last minute is written at the stop");
    tokio::time::resume();
    let (_, again, _) = node.start().await;
    node.shared_says(Says::Away);
    assert_eq!(place(&again, &env, "b").await, "https://old.example/a");
}
