//! Where a visitor is sent while stores are away: every combination, also just after a restart.

use std::time::{Duration, Instant};

use linkforty::pb::v1::Link;
use tokio::time::sleep;

use super::support::{Line, Node, Postgres, Redis, Way, World, on_production, random, visit, within};

/// How a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Up,
    /// Nobody listens.
    Refused,
    /// Connections are accepted and never answered.
    Hanging,
    /// Every answer comes late.
    Slow,
}
use Is::{Hanging, Refused, Slow, Up};

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
/// The same while one of them is slow. Redis then is as good as away: whoever waits for it waits for nothing that Postgres would
/// not say. Postgres still says what it knows, also to a node that has to connect first.
const SLOW_MATRIX: &[(Is, Is, [u16; 4])] = &[
    (Slow, Up, [302, 302, 302, 404]),
    (Up, Slow, [302, 302, 302, 404]),
    (Slow, Slow, [302, 302, 302, 404]),
    (Hanging, Slow, [302, 503, 503, 503]),
    (Refused, Slow, [302, 503, 503, 503]),
    (Slow, Hanging, [302, 302, 302, 404]),
    (Slow, Refused, [302, 302, 302, 404]),
];
/// How long each answer of a slow store takes. Connecting to Postgres takes six of them.
const LATE: Duration = Duration::from_millis(100);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_are_sent_on_whatever_stores_are_away_or_slow() {
    on_production(&[], async |world| {
        let begun = Instant::now();
        let (slow_rows, rows) = (rows(world, SLOW_MATRIX.len()).await, rows(world, MATRIX.len()).await);
        sleep(BURIED).await;
        tell_redis(world, &rows).await;
        eprintln!("prepared after {:?}", begun.elapsed());

        for (number, (postgres, redis, expected)) in MATRIX.iter().enumerate() {
            let name = format!("Postgres {postgres:?}, Redis {redis:?}");
            whole(&world.node, &name).await;
            for row in &rows[number * 2..number * 2 + 2] {
                assert_eq!(visit(&world.node, &row.links[0].short_code).await, 302, "{name}: warming up");
            }
            break_stores(world, *postgres, *redis);
            assert_row(&world.node, &format!("{name}, running"), &rows[number * 2], expected).await;
            restart(&mut world.node, &[]).await;
            reaches(&world.node, *postgres, *redis).await;
            assert_row(&world.node, &format!("{name}, just restarted"), &rows[number * 2 + 1], expected)
                .await;
            mend_stores(world, *postgres, *redis).await;
            eprintln!("{name}: done after {:?}", begun.elapsed());
        }
        while_slow(world, &slow_rows, begun).await;
    })
    .await;
}

/// The rows of the slow.
async fn while_slow(world: &mut World, rows: &[Row], begun: Instant) {
    tell_redis(world, rows).await;
    let (postgres_server, redis_server) = stores(world);
    let ways = [Way::to(postgres_server.port()).await, Way::to(redis_server.port()).await];
    let direct = [postgres_server.url(), redis_server.url()];
    for (number, (postgres, redis, expected)) in SLOW_MATRIX.iter().enumerate() {
        let name = format!("Postgres {postgres:?}, Redis {redis:?}");
        let by = |place: usize, is: Is| {
            if is == Slow { ways[place].by(&direct[place]) } else { direct[place].clone() }
        };
        let (database, cache) = (by(0, *postgres), by(1, *redis));
        let settings = [("DATABASE_URL", &*database), ("REDIS_URL", &*cache)];
        restart(&mut world.node, &settings).await;
        whole(&world.node, &name).await;
        for row in &rows[number * 2..number * 2 + 2] {
            assert_eq!(visit(&world.node, &row.links[0].short_code).await, 302, "{name}: warming up");
        }
        break_stores(world, *postgres, *redis);
        for (way, is) in ways.iter().zip([postgres, redis]) {
            way.hold_back(if *is == Slow { LATE } else { Duration::ZERO });
        }
        let running = format!("{name}, running");
        assert_row(&world.node, &running, &rows[number * 2], expected).await;
        assert_quick(&world.node, &running, &rows[number * 2]).await;
        restart(&mut world.node, &settings).await;
        reaches(&world.node, *postgres, *redis).await;
        let restarted = format!("{name}, just restarted");
        assert_row(&world.node, &restarted, &rows[number * 2 + 1], expected).await;
        assert_quick(&world.node, &restarted, &rows[number * 2 + 1]).await;
        for way in &ways {
            way.hold_back(Duration::ZERO);
        }
        mend_stores(world, *postgres, *redis).await;
        eprintln!("{name}: done after {:?}", begun.elapsed());
    }
}

/// Ends a node and starts it again.
async fn restart(node: &mut Node, settings: &[(&str, &str)]) {
    node.terminate();
    node.wait(HEALED).await;
    node.start_with(settings).await;
}

/// Waits until a node that has just started reaches the stores that it can reach.
async fn reaches(node: &Node, postgres: Is, redis: Is) {
    if redis == Up {
        within(HEALED, "Redis is up", async || node.metric("linkforty_redis_up").await == 1).await;
    }
    if matches!(postgres, Up | Slow) {
        // Two at once: a visitor who finds the only connection taken waits for another one to be made, which takes too long
        // when Postgres is slow.
        let (one, other) = (nobody(), nobody());
        let up = async || tokio::join!(visit(node, &one), visit(node, &other)) == (404, 404);
        within(HEALED, "Postgres is up", up).await;
    }
}

/// Makes links for so many rows, twice: before the restart and after it.
async fn rows(world: &World, count: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for row in 0..count * 2 {
        let mut links = Vec::new();
        for kind in 0..3 {
            links.push(world.create(&format!("https://shop.example.com/{row}/{kind}")).await);
        }
        rows.push(Row { links });
    }
    rows
}

/// Has Redis know the second link of each row. They must be no longer buried there.
async fn tell_redis(world: &World, rows: &[Row]) {
    let second = world.another_node(&[]).await;
    within(HEALED, "Redis is up", async || second.metric("linkforty_redis_up").await == 1).await;
    for row in rows {
        assert_eq!(visit(&second, &row.links[1].short_code).await, 302);
    }
}

/// Fails unless a link that the node knows is answered without waiting for a slow store. The machine may be busy: once in ten
/// times is enough, which no visitor who waits for an answer of a store would manage.
async fn assert_quick(node: &Node, name: &str, row: &Row) {
    let mut quickest = Duration::MAX;
    for _ in 0..10 {
        let asked = Instant::now();
        assert_eq!(visit(node, &row.links[0].short_code).await, 302, "{name}");
        quickest = quickest.min(asked.elapsed());
    }
    assert!(quickest < LATE / 2, "{name}: a warm link took {quickest:?} at best");
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

fn stores(world: &mut World) -> (&mut Postgres, &mut Redis) {
    (world.postgres.as_mut().expect("production"), world.redis.as_mut().expect("production"))
}

/// Slow is what is between.
fn break_stores(world: &mut World, postgres: Is, redis: Is) {
    let (postgres_server, redis_server) = stores(world);
    match postgres {
        Up | Slow => {}
        Hanging => postgres_server.freeze(),
        Refused => postgres_server.stop(),
    }
    match redis {
        Up | Slow => {}
        Hanging => redis_server.freeze(),
        Refused => redis_server.kill(),
    }
}

async fn mend_stores(world: &mut World, postgres: Is, redis: Is) {
    let (postgres_server, redis_server) = stores(world);
    match postgres {
        Up | Slow => {}
        Hanging => postgres_server.thaw(),
        Refused => postgres_server.start().await,
    }
    match redis {
        Up | Slow => {}
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
