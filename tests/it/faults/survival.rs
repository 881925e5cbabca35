//! Where a visitor is sent while stores are away: every combination, also just after a restart.

use std::time::{Duration, Instant};

use linkforty::pb::v1::Link;
use tokio::time::sleep;

use super::support::{Line, Node, World, on_production, random, visit, within};

/// How a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Up,
    /// Nobody listens.
    Refused,
    /// Connections are accepted and never answered.
    Hanging,
}
use Is::{Hanging, Refused, Up};

/// Postgres, Redis, and the status for a link that the process knows, one that only Redis knows, one that only Postgres
/// knows, and a code that nobody made. While Redis is away, what it knew is known to Postgres alone. Redis loses
/// everything when it is ended, so those rows stand last.
const MATRIX: &[(Is, Is, [u16; 4])] = &[
    (Up, Up, [302, 302, 302, 404]),
    (Hanging, Up, [302, 302, 503, 503]),
    (Refused, Up, [302, 302, 503, 503]),
    (Up, Hanging, [302, 302, 302, 404]),
    (Hanging, Hanging, [302, 503, 503, 503]),
    (Refused, Hanging, [302, 503, 503, 503]),
    (Up, Refused, [302, 302, 302, 404]),
    (Hanging, Refused, [302, 503, 503, 503]),
    (Refused, Refused, [302, 503, 503, 503]),
];
const KINDS: [&str; 4] = ["warm", "in Redis only", "cold", "unknown"];
/// No visitor waits longer, whatever hangs.
const LONGEST: Duration = Duration::from_millis(2500);
/// Nor for a link that the node knows. In memory it takes microseconds; this is for a machine that others use too.
const WARM: Duration = Duration::from_secs(1);
const HEALED: Duration = Duration::from_secs(30);
/// Longer than a changed link stays out of Redis.
const BURIED: Duration = Duration::from_millis(5200);

/// The links of one row, one for each kind but the last.
struct Row {
    links: Vec<Link>,
}

#[tokio::test]
async fn visitors_are_sent_on_whatever_stores_are_away() {
    on_production(&[], async |world| {
        let begun = Instant::now();
        // Two of each: before the restart and after it.
        let mut rows = Vec::new();
        for row in 0..MATRIX.len() * 2 {
            let mut links = Vec::new();
            for kind in 0..3 {
                links.push(world.create(&format!("https://shop.example.com/{row}/{kind}")).await);
            }
            rows.push(Row { links });
        }
        sleep(BURIED).await;
        let second = world.another_node(&[]).await;
        within(HEALED, "Redis is up", async || second.metric("linkforty_redis_up").await == 1).await;
        for row in &rows {
            assert_eq!(visit(&second, &row.links[1].short_code).await, 302);
        }
        drop(second);
        eprintln!("prepared after {:?}", begun.elapsed());

        for (number, (postgres, redis, expected)) in MATRIX.iter().enumerate() {
            let name = format!("Postgres {postgres:?}, Redis {redis:?}");
            whole(&world.node, &name).await;
            for row in &rows[number * 2..number * 2 + 2] {
                assert_eq!(visit(&world.node, &row.links[0].short_code).await, 302, "{name}: warming up");
            }
            break_stores(world, *postgres, *redis);
            assert_row(&world.node, &format!("{name}, running"), &rows[number * 2], expected).await;
            world.node.terminate();
            world.node.wait(HEALED).await;
            world.node.start().await;
            if *redis == Up {
                let up = async || world.node.metric("linkforty_redis_up").await == 1;
                within(HEALED, "Redis is up", up).await;
            }
            if *postgres == Up {
                let up = async || visit(&world.node, &nobody()).await == 404;
                within(HEALED, "Postgres is up", up).await;
            }
            assert_row(&world.node, &format!("{name}, just restarted"), &rows[number * 2 + 1], expected)
                .await;
            mend_stores(world, *postgres, *redis).await;
            eprintln!("{name}: done after {:?}", begun.elapsed());
        }
    })
    .await;
}

/// Fails unless every kind of link is answered as the row says.
async fn assert_row(node: &Node, name: &str, row: &Row, expected: &[u16; 4]) {
    for (kind, expected) in expected.iter().enumerate() {
        let what = format!("{name}, {}", KINDS[kind]);
        let unknown = nobody();
        let code = row.links.get(kind).map_or(unknown.as_str(), |link| &link.short_code);
        let asked = Instant::now();
        let mut line = Line::open(node.links).await.expect("the node accepts");
        let answer = line.get(&format!("/{code}")).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let took = asked.elapsed();
        assert_eq!(answer.status, *expected, "{what} (after {took:?})");
        let header =
            |name| answer.headers.get(name).map(|value| value.to_str().expect("it is text").to_owned());
        let location = (*expected == 302).then(|| row.links[kind].destination_url.clone());
        assert_eq!(header("location"), location, "{what}");
        assert_eq!(header("retry-after").is_some(), *expected == 503, "{what}: {:?}", answer.headers);
        let patience = if kind == 0 { WARM } else { LONGEST };
        assert!(took < patience, "{what}: answered after {took:?}");
    }
}

/// Waits until the node reaches both stores.
async fn whole(node: &Node, name: &str) {
    let what = format!("before {name}: Redis is up");
    within(HEALED, &what, async || node.metric("linkforty_redis_up").await == 1).await;
    let what = format!("before {name}: Postgres answers");
    within(HEALED, &what, async || visit(node, &nobody()).await == 404).await;
}

/// Returns a code that nobody made and nobody has asked for.
fn nobody() -> String {
    format!("nobody-{}", u64::from_be_bytes(random()))
}

fn break_stores(world: &mut World, postgres: Is, redis: Is) {
    let (postgres_server, redis_server) = (world.postgres.as_mut(), world.redis.as_mut());
    let postgres_server = postgres_server.expect("production");
    let redis_server = redis_server.expect("production");
    match postgres {
        Up => {}
        Hanging => postgres_server.freeze(),
        Refused => postgres_server.stop(),
    }
    match redis {
        Up => {}
        Hanging => redis_server.freeze(),
        Refused => redis_server.kill(),
    }
}

async fn mend_stores(world: &mut World, postgres: Is, redis: Is) {
    let (postgres_server, redis_server) = (world.postgres.as_mut(), world.redis.as_mut());
    let postgres_server = postgres_server.expect("production");
    let redis_server = redis_server.expect("production");
    match postgres {
        Up => {}
        Hanging => postgres_server.thaw(),
        Refused => postgres_server.start().await,
    }
    match redis {
        Up => {}
        Hanging => redis_server.thaw(),
        Refused => redis_server.start().await,
    }
}

#[tokio::test]
async fn what_was_changed_while_a_node_was_down_is_not_brought_back_by_it() {
    on_production(&[], async |world| {
        let [deleted, edited, kept] = [0, 1, 2].map(|number| world.links[number].clone());
        let mut second = world.another_node(&[]).await;
        for link in [&deleted, &edited, &kept] {
            assert_eq!(visit(&second, &link.short_code).await, 302);
        }
        second.terminate();
        second.wait(HEALED).await;
        world.delete(&deleted).await;
        world.redirect(&edited, "https://shop.example.com/new").await;
        second.start().await;
        assert!(second.metric("linkforty_snapshot_entries").await >= 3, "the node remembers");

        let asked = Instant::now();
        let first = [visit(&second, &deleted.short_code).await, visit(&second, &kept.short_code).await];
        eprintln!("the first visits got {first:?} after {:?}", asked.elapsed());
        assert_eq!(first[1], 302);
        sleep(Duration::from_millis(700)).await;
        assert_eq!(visit(&second, &deleted.short_code).await, 404, "a deleted link comes back");
        let mut line = Line::open(second.links).await.expect("the node accepts");
        let path = format!("/{}", edited.short_code);
        line.get(&path).await.expect("an answer");
        sleep(Duration::from_millis(700)).await;
        let answer = line.get(&path).await.expect("an answer");
        assert_eq!(answer.headers["location"], "https://shop.example.com/new");

        // The moment of a change travels with the news of it.
        within(HEALED, "Redis is up", async || second.metric("linkforty_redis_up").await == 1).await;
        let heard = async || second.metric("linkforty_link_change_delay_seconds_count").await;
        let before = heard().await;
        world.redirect(&kept, "https://shop.example.com/newer").await;
        within(HEALED, "the change is heard and measured", async || heard().await > before).await;
    })
    .await;
}
