//! Against real servers, which are killed, stopped and emptied.

use tokio::{
    runtime::Handle,
    sync::broadcast,
    time::{sleep, timeout},
};

use super::{
    testing::{Server, client, connected, settings},
    *,
};
use crate::cache::{Fanout as _, Signal};

const LIFE: Duration = Duration::from_mins(1);

/// Subscribes and listens.
fn listening(redis: &Redis, token: &CancellationToken) -> ProcessFanout {
    let hub = ProcessFanout::default();
    tokio::spawn(redis.listener(hub.clone()).run(token.clone()));
    hub
}

async fn next(receiver: &mut broadcast::Receiver<Signal>) -> Signal {
    timeout(Duration::from_secs(15), receiver.recv()).await.expect("a signal in time").expect("a signal")
}

fn message(text: &'static str) -> Signal {
    Signal::Message(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn what_is_stored_is_read_until_it_expires_and_added_only_where_nothing_stands() {
    let Some(server) = Server::start() else { return };
    let redis = client(&server).await;
    assert_eq!(redis.get("a").await, Ok(None));
    for key in ["a", "b", "c"] {
        redis.set(key, Bytes::from_static(&[0, 255, 10]), LIFE).await.unwrap();
    }
    assert_eq!(redis.get("a").await, Ok(Some(Bytes::from_static(&[0, 255, 10]))));
    assert_eq!(server.cli(&["EXISTS", "linkforty:c:a"]), "1");
    let life: i64 = server.cli(&["PTTL", "linkforty:c:a"]).parse().unwrap();
    assert!((50_000..=60_000).contains(&life), "{life}");
    redis.add("b", Bytes::from_static(b"new"), LIFE).await.unwrap();
    redis.add("d", Bytes::from_static(b"new"), LIFE).await.unwrap();
    assert_eq!(redis.get("b").await, Ok(Some(Bytes::from_static(&[0, 255, 10]))));
    assert_eq!(redis.get("d").await, Ok(Some(Bytes::from_static(b"new"))));
    redis.set("c", Bytes::new(), Duration::from_millis(30)).await.unwrap();
    sleep(Duration::from_millis(60)).await;
    assert_eq!(redis.get("c").await, Ok(None));
}

#[tokio::test]
async fn an_emptied_server_is_an_empty_cache() {
    let Some(server) = Server::start() else { return };
    let redis = client(&server).await;
    redis.set("a", Bytes::from_static(b"x"), LIFE).await.unwrap();
    server.cli(&["FLUSHALL"]);
    assert_eq!(redis.get("a").await, Ok(None));
}

#[tokio::test]
async fn a_message_reaches_both_nodes_once() {
    let Some(server) = Server::start() else { return };
    let (one, two) = (client(&server).await, client(&server).await);
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let (hub_one, hub_two) = (listening(&one, &token), listening(&two, &token));
    let (mut at_one, mut at_two) = (hub_one.subscribe(Topic::Links), hub_two.subscribe(Topic::Links));
    let mut credentials = hub_two.subscribe(Topic::Credentials);
    for receiver in [&mut at_one, &mut at_two, &mut credentials] {
        assert_eq!(next(receiver).await, Signal::Gap);
    }
    one.publish(Topic::Links, Bytes::from_static(b"first")).await.unwrap();
    two.publish(Topic::Links, Bytes::from_static(b"second")).await.unwrap();
    for receiver in [&mut at_one, &mut at_two] {
        assert_eq!(next(receiver).await, message("first"));
        assert_eq!(next(receiver).await, message("second"));
    }
    sleep(Duration::from_millis(50)).await;
    assert!(at_one.is_empty() && at_two.is_empty() && credentials.is_empty());
}

#[tokio::test]
async fn a_restart_is_a_gap_and_then_messages_come_again() {
    let Some(mut server) = Server::start() else { return };
    let redis = client(&server).await;
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&redis, &token).subscribe(Topic::Links);
    assert_eq!(next(&mut links).await, Signal::Gap);
    server.kill();
    assert_eq!(redis.get("a").await, Err(Away));
    sleep(Duration::from_millis(300)).await;
    server.launch();
    assert_eq!(next(&mut links).await, Signal::Gap);
    connected(&redis).await;
    redis.publish(Topic::Links, Bytes::from_static(b"again")).await.expect("it is back");
    assert_eq!(next(&mut links).await, message("again"));
    assert_eq!(redis.get("a").await, Ok(None));
}

#[tokio::test]
async fn a_server_absent_at_the_start_is_used_when_it_appears() {
    let Some(mut server) = Server::absent() else { return };
    let started = Instant::now();
    let redis = Redis::connect(&settings(&server.url()), &Handle::current()).await.expect("a valid URL");
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&redis, &token).subscribe(Topic::Links);
    tokio::spawn(redis.clone().watch(token.clone()));
    assert_eq!(redis.get("a").await, Err(Away));
    assert_eq!(redis.set("a", Bytes::new(), LIFE).await, Err(Away));
    assert_eq!(redis.publish(Topic::Links, Bytes::new()).await, Err(Away));
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert!(!redis.state().up);
    server.launch();
    assert_eq!(next(&mut links).await, Signal::Gap);
    for _ in 0..100 {
        if redis.state().up {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(redis.state().up && redis.state().latency.is_some());
    sleep(Duration::from_millis(600)).await;
    assert_eq!(redis.get("a").await, Ok(None));
}

#[tokio::test]
async fn a_server_that_hangs_costs_almost_nothing_and_is_noticed() {
    let Some(server) = Server::start() else { return };
    let redis = client(&server).await;
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&redis, &token).subscribe(Topic::Links);
    assert_eq!(next(&mut links).await, Signal::Gap);
    redis.get("a").await.unwrap();
    server.hang();
    let started = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(redis.get("a").await, Err(Away));
    }
    // Five times the timeout of 100 ms; the rest is refused at once.
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    assert!(!redis.ping().await.up);
    // Long enough for the silence of the listening connection to be noticed.
    sleep(Duration::from_secs(12)).await;
    server.go_on();
    assert_eq!(next(&mut links).await, Signal::Gap);
    connected(&redis).await;
    redis.publish(Topic::Links, Bytes::from_static(b"again")).await.expect("it is back");
    loop {
        match next(&mut links).await {
            Signal::Gap => {}
            heard @ Signal::Message(_) => break assert_eq!(heard, message("again")),
        }
    }
}

#[tokio::test]
async fn a_user_without_dangerous_commands_can_do_everything() {
    let Some(server) = Server::start() else { return };
    let rights = "on >pw resetkeys ~linkforty:* resetchannels &linkforty:* +@all -@dangerous -@admin";
    let mut rule = vec!["ACL", "SETUSER", "app"];
    rule.extend(rights.split(' '));
    assert_eq!(server.cli(&rule), "OK");
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
    let redis = Redis::connect(&settings(&url), &Handle::current()).await.expect("a valid URL");
    connected(&redis).await;
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&redis, &token).subscribe(Topic::Links);
    assert_eq!(next(&mut links).await, Signal::Gap);
    redis.set("a", Bytes::from_static(b"x"), LIFE).await.unwrap();
    assert!(redis.get("a").await.unwrap().is_some());
    redis.add("b", Bytes::from_static(b"x"), LIFE).await.unwrap();
    let script = Script::new("limit", "return {redis.call('TIME')[1] * 0 + 7}");
    assert_eq!(redis.counter().call(&script, &["k".to_owned()], Vec::new()).await, Ok(vec![7]));
    redis.publish(Topic::Links, Bytes::from_static(b"m")).await.unwrap();
    assert_eq!(next(&mut links).await, message("m"));
}

#[tokio::test]
async fn a_wrong_password_is_an_absence_that_ends_when_it_is_set_right() {
    let Some(server) = Server::start() else { return };
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
    let redis = Redis::connect(&settings(&url), &Handle::current()).await.expect("a valid URL");
    assert_eq!(redis.get("a").await, Err(Away));
    server.cli(&["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all"]);
    connected(&redis).await;
}

#[tokio::test]
async fn a_refusal_is_an_absence_that_opens_no_breaker() {
    let Some(server) = Server::start_with(&["--maxmemory", "1mb"]) else { return };
    let redis = client(&server).await;
    for _ in 0..10 {
        assert_eq!(redis.set("a", Bytes::from(vec![0; 100_000]), LIFE).await, Err(Away));
    }
    assert_eq!(redis.get("a").await, Ok(None));
}

#[tokio::test]
async fn sentinels_lead_to_the_master_and_to_the_next_one() {
    let (Some(mut first), Some(mut sentinel)) = (Server::start(), Server::absent()) else { return };
    let follow = ["--replicaof", "127.0.0.1", &first.port.to_string()].map(str::to_owned);
    let second = Server::start_with(&follow.each_ref().map(String::as_str)).expect("redis-server is here");
    sentinel.launch_sentinel(&format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 2000\n",
        first.port
    ));
    let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=main", sentinel.port);
    let redis = Redis::connect(&settings(&url), &Handle::current()).await.expect("a valid URL");
    connected(&redis).await;
    redis.set("a", Bytes::from_static(b"x"), LIFE).await.unwrap();
    assert_eq!(first.cli(&["EXISTS", "linkforty:c:a"]), "1");
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&redis, &token).subscribe(Topic::Links);
    assert_eq!(next(&mut links).await, Signal::Gap);
    // The sentinel must have seen the second before it can choose it.
    for _ in 0..300 {
        if sentinel.cli(&["SENTINEL", "replicas", "main"]).contains(&second.port.to_string()) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    first.kill();
    for _ in 0..300 {
        if redis.set("b", Bytes::from_static(b"x"), LIFE).await.is_ok() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(second.cli(&["EXISTS", "linkforty:c:b"]), "1");
    assert_eq!(next(&mut links).await, Signal::Gap);
}

#[tokio::test]
async fn a_cluster_of_three_takes_everything() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        // The port of the cluster's own talk is 10,000 higher, which not every free port leaves room for.
        let node = loop {
            let Some(node) = Server::absent() else { return };
            if node.port < 55_000 {
                break node;
            }
        };
        nodes.push(node);
    }
    for node in &mut nodes {
        node.launch_clustered();
    }
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.push("--cluster-yes");
    let made = nodes[0].cli(&create);
    assert!(made.contains("All 16384 slots covered"), "{made}");
    let redis = Redis::connect(&settings(&format!("redis-cluster://{}", addresses[0])), &Handle::current())
        .await
        .expect("valid");
    connected(&redis).await;
    let token = CancellationToken::new();
    let _stop = token.clone().drop_guard();
    let mut links = listening(&redis, &token).subscribe(Topic::Links);
    assert_eq!(next(&mut links).await, Signal::Gap);
    let names: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    for name in &names {
        redis.set(name, Bytes::from_static(b"x"), LIFE).await.unwrap();
    }
    for name in &names {
        assert!(redis.get(name).await.unwrap().is_some());
    }
    let script = Script::new("limit", "return {7}");
    let counter = redis.counter();
    for name in &names {
        // What is asked together has to lie in one slot.
        let keys = [format!("one:{{{name}}}:a"), format!("other:{{{name}}}")];
        assert_eq!(counter.call(&script, &keys, Vec::new()).await, Ok(vec![7]));
    }
    redis.publish(Topic::Links, Bytes::from_static(b"m")).await.unwrap();
    loop {
        match next(&mut links).await {
            Signal::Gap => {}
            heard @ Signal::Message(_) => break assert_eq!(heard, message("m")),
        }
    }
}
