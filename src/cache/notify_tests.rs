//! Against the server that `LINKFORTY_TEST_DATABASE_URL` names, where it names one. Each test has a database of its own:
//! what is told in one is not heard in another.

use std::{process::Command, time::Instant};

use tokio::{runtime::Handle, sync::broadcast};

use super::*;
use crate::cache::{Fanout as _, Paths, Redis, testing};

/// Makes a database; `None`, said aloud, where there is no server.
#[expect(clippy::disallowed_methods, reason = "the test's own setting, not the program's")]
async fn database(name: &str) -> Option<String> {
    let Ok(url) = std::env::var("LINKFORTY_TEST_DATABASE_URL") else {
        eprintln!("LINKFORTY_TEST_DATABASE_URL is not set: nothing was tested");
        return None;
    };
    let mut server = PgConnection::connect(&url).await.expect("the server is up");
    for statement in
        [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")]
    {
        server.execute(sqlx::AssertSqlSafe(statement)).await.expect("a superuser");
    }
    let mut url = url::Url::parse(&url).expect("a URL");
    url.set_path(name);
    Some(url.into())
}

/// Returns the process that serves our listener.
async fn backend(url: &str) -> i32 {
    let mut admin = PgConnection::connect(url).await.expect("the database is up");
    sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'linkforty-listen' AND datname = current_database()",
    )
    .fetch_one(&mut admin)
    .await
    .expect("our listener is there")
}

fn listening(url: &str, token: &CancellationToken) -> ProcessFanout {
    let hub = ProcessFanout::default();
    let listener = Listener::new(url, hub.clone(), Arc::new(Ids::seeded(1))).expect("a valid URL");
    tokio::spawn(listener.run(token.clone()));
    hub
}

async fn next(receiver: &mut broadcast::Receiver<Signal>) -> Signal {
    timeout(Duration::from_secs(15), receiver.recv()).await.expect("a signal in time").expect("a signal")
}

fn message(text: &str) -> Signal {
    Signal::Message(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn what_postgres_cannot_carry_goes_out_as_a_gap() {
    let longest = "x".repeat(MAX_PAYLOAD);
    let too_long = "x".repeat(MAX_PAYLOAD + 1);
    for (sent, expected) in [
        (b"go.example.com/spring".as_slice(), message("go.example.com/spring")),
        (longest.as_bytes(), message(&longest)),
        (too_long.as_bytes(), Signal::Gap),
        (&[0xff, 0xfe], Signal::Gap),
        (b"a\0b", Signal::Gap),
        (b"", Signal::Gap),
    ] {
        assert_eq!(heard(payload(sent)), expected);
    }
}

#[test]
fn channels_lead_back_to_their_topics() {
    for topic in TOPICS {
        assert_eq!(topic_of(&channel(topic)), Some(topic));
    }
    assert_eq!((topic_of("linkforty_live"), topic_of("links")), (None, None));
}

#[test]
fn pauses_grow_and_stay_bounded() {
    let ids = Ids::seeded(1);
    for (attempt, whole) in [(0, 100), (1, 200), (4, 1_600), (6, 5_000), (1_000, 5_000)] {
        for _ in 0..50 {
            let pause = pause(attempt, &ids).as_millis();
            assert!((whole / 2..=whole).contains(&pause), "{attempt}: {pause}");
        }
    }
}

#[tokio::test]
async fn nodes_without_redis_hear_each_other() {
    let Some(url) = database("notify_nodes").await else { return };
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let hubs = [listening(&url, &token), listening(&url, &token)];
    let [mut one, mut two] = hubs.each_ref().map(|hub| hub.subscribe(Topic::Links));
    let mut other = hubs[0].subscribe(Topic::Credentials);
    for receiver in [&mut one, &mut two, &mut other] {
        assert_eq!(next(receiver).await, Signal::Gap);
    }
    let [first, _] = hubs;
    let node = Paths::new(first, None, Some(Notifier::new(&url).expect("a valid URL")));
    for text in ["a", "b"] {
        node.publish(Topic::Links, Bytes::copy_from_slice(text.as_bytes()))
            .await
            .expect("the database is up");
    }
    node.publish(Topic::Credentials, Bytes::from_static(&[0xff])).await.expect("the database is up");
    for receiver in [&mut one, &mut two] {
        assert_eq!(next(receiver).await, message("a"));
        assert_eq!(next(receiver).await, message("b"));
    }
    assert_eq!(next(&mut other).await, Signal::Gap);
    let mut live = node.subscribe(Topic::Live);
    node.publish(Topic::Live, Bytes::from_static(b"click")).await.expect("it stays in the process");
    assert_eq!(next(&mut live).await, message("click"));
}

#[tokio::test]
async fn a_change_is_heard_when_it_commits_and_not_before() {
    use sea_orm::TransactionTrait as _;
    let Some(url) = database("notify_commit").await else { return };
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&url, &token).subscribe(Topic::Links);
    assert_eq!(next(&mut links).await, Signal::Gap);
    let db = sea_orm::Database::connect(url.as_str()).await.expect("the database is up");
    let tx = db.begin().await.expect("a transaction");
    notify(&tx, Topic::Links, "rolled back").await.expect("sent");
    tx.rollback().await.expect("rolled back");
    let tx = db.begin().await.expect("a transaction");
    notify(&tx, Topic::Links, "committed").await.expect("sent");
    sleep(Duration::from_millis(50)).await;
    assert!(links.is_empty());
    tx.commit().await.expect("committed");
    assert_eq!(next(&mut links).await, message("committed"));
}

#[tokio::test]
async fn a_lost_connection_is_a_gap_and_then_messages_come_again() {
    let Some(url) = database("notify_lost").await else { return };
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&url, &token).subscribe(Topic::Links);
    assert_eq!(next(&mut links).await, Signal::Gap);
    let notifier = Notifier::new(&url).expect("a valid URL");
    notifier.publish(Topic::Links, b"before").await.expect("the database is up");
    assert_eq!(next(&mut links).await, message("before"));
    let mut admin = PgConnection::connect(&url).await.expect("the database is up");
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name LIKE 'linkforty-%' AND datname = current_database()",
    )
    .execute(&mut admin)
    .await
    .expect("a superuser");
    assert_eq!(next(&mut links).await, Signal::Gap);
    // Its connection is gone, too; it makes another.
    notifier.publish(Topic::Links, b"after").await.expect("the database is up");
    assert_eq!(next(&mut links).await, message("after"));
}

#[tokio::test]
async fn a_connection_that_hangs_is_noticed_within_ten_seconds() {
    let Some(url) = database("notify_hang").await else { return };
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&url, &token).subscribe(Topic::Links);
    assert_eq!(next(&mut links).await, Signal::Gap);
    let pid = backend(&url).await.to_string();
    let signal = |signal: &str| {
        Command::new("kill").args([signal, pid.as_str()]).status().expect("kill runs").success()
    };
    if !signal("-STOP") {
        eprintln!("the database server is on another machine: nothing was tested");
        return;
    }
    let started = Instant::now();
    let heard = timeout(Duration::from_secs(10), links.recv()).await;
    signal("-CONT");
    assert_eq!(heard, Ok(Ok(Signal::Gap)), "after {:?}", started.elapsed());
    Notifier::new(&url)
        .expect("a valid URL")
        .publish(Topic::Links, b"again")
        .await
        .expect("the database is up");
    assert_eq!(next(&mut links).await, message("again"));
}

#[tokio::test]
async fn while_redis_is_away_messages_go_by_the_database() {
    let Some(url) = database("notify_redis_away").await else { return };
    let Some(absent) = testing::Server::absent() else { return };
    let redis =
        Redis::connect(&testing::settings(&absent.url()), &Handle::current()).await.expect("a valid URL");
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let (hub, other) = (listening(&url, &token), listening(&url, &token));
    let (mut own, mut elsewhere) = (hub.subscribe(Topic::Links), other.subscribe(Topic::Links));
    for receiver in [&mut own, &mut elsewhere] {
        assert_eq!(next(receiver).await, Signal::Gap);
    }
    let node = Paths::new(hub, Some(redis), Some(Notifier::new(&url).expect("a valid URL")));
    node.publish(Topic::Links, Bytes::from_static(b"a")).await.expect("the database is up");
    for receiver in [&mut own, &mut elsewhere] {
        assert_eq!(next(receiver).await, message("a"));
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_told_in_time_and_this_node_still_hears() {
    let away = "postgres://app:pw@127.0.0.1:1/linkforty";
    let hub = ProcessFanout::default();
    let mut links = hub.subscribe(Topic::Links);
    let node = Paths::new(hub, None, Some(Notifier::new(away).expect("a valid URL")));
    let published = timeout(PUBLISH * 2, node.publish(Topic::Links, Bytes::from_static(b"a"))).await;
    assert_eq!(published, Ok(Err(Away)));
    assert_eq!(next(&mut links).await, message("a"));
}
