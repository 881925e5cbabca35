//! The stores go away, hang and come back.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::support::{Line, Load, Node, on_every_store, on_production, variable, visit, within};

const SOON: Duration = Duration::from_secs(2);
const CATCH_UP: Duration = Duration::from_secs(60);

/// Fifteen seconds; a minute with `LINKFORTY_TEST_LONG=1`.
fn outage() -> Duration {
    Duration::from_secs(if variable("LINKFORTY_TEST_LONG").as_deref() == Some("1") { 60 } else { 15 })
}

#[tokio::test]
async fn warm_links_redirect_and_no_click_is_lost_while_the_database_is_away() {
    // Old after two seconds: during the outage every link is asked for anew again and again, in vain.
    on_every_store(&[("CACHE_SOFT_TTL_SECONDS", "2")], async |world| {
        world.forget_clicks().await;
        let ledger = world.load(Load::STEADY).await;
        sleep(Duration::from_secs(1)).await;
        let outage_begun = world.outage().await;
        sleep(outage()).await;
        assert!(world.node.waiting() > 1000, "the clicks wait in the spool");
        world.end(outage_begun).await;
        let begun = Instant::now();
        within(CATCH_UP, "the drain catches up under load", async || world.node.waiting() < 1000).await;
        eprintln!("{}: caught up {:?} after the database was back", world.store, begun.elapsed());
        let book = ledger.close().await;
        book.assert_all_redirected();
        assert_eq!(book.without_id, 0, "every click is promised");
        world.assert_balanced(&book).await;
    })
    .await;
}

#[tokio::test]
async fn warm_links_redirect_and_no_click_is_lost_while_the_database_hangs() {
    on_production(&[("CACHE_SOFT_TTL_SECONDS", "1")], async |world| {
        let cold = world.create("https://shop.example.com/cold").await;
        world.redis.as_ref().expect("production").flush();
        world.forget_clicks().await;
        let ledger = world.load(Load::STEADY).await;
        sleep(Duration::from_millis(500)).await;
        world.postgres.as_ref().expect("production").freeze();
        sleep(Duration::from_secs(3)).await;
        let asked = Instant::now();
        assert_eq!(world.visit(&cold).await, 503, "nobody can say where a cold link leads");
        assert!(
            asked.elapsed() < SOON,
            "a visitor does not wait for a database that hangs: {:?}",
            asked.elapsed()
        );
        sleep(Duration::from_secs(3)).await;
        world.postgres.as_ref().expect("production").thaw();
        sleep(Duration::from_secs(1)).await;
        let book = ledger.close().await;
        book.assert_all_redirected();
        world.assert_balanced(&book).await;
        within(SOON, "the cold link can be looked up again", async || world.visit(&cold).await == 302).await;
    })
    .await;
}

#[tokio::test]
async fn a_node_starts_while_its_database_is_away_and_stores_what_its_spool_held() {
    // Redis is all there is to ask here; on a busy machine it takes longer than production would wait.
    on_production(&[("REDIS_TIMEOUT_MS", "1000")], async |world| {
        let cold = world.create("https://shop.example.com/cold").await;
        world.forget_clicks().await;
        world.redis.as_ref().expect("production").flush();
        // Fetched by a second node, which puts them into Redis: the first remembers them itself.
        let second = world.another_node(&[]).await;
        within(CATCH_UP, "Redis is up", async || second.metric("linkforty_redis_up").await == 1).await;
        for link in &world.links {
            assert_eq!(visit(&second, &link.short_code).await, 302);
        }
        second.drained().await;
        drop(second);
        world.forget_clicks().await;
        let ledger = world.load(Load::CLOSED).await;
        let outage = world.outage().await;
        within(Duration::from_secs(20), "the spool fills", async || world.node.waiting() > 500).await;
        world.node.kill();
        let mut book = ledger.close().await;

        world.node.start().await;
        within(CATCH_UP, "Redis is up", async || world.node.metric("linkforty_redis_up").await == 1).await;
        for (code, what) in
            [(cold.short_code.as_str(), "a cold link"), ("nobody-made-this", "an unknown code")]
        {
            let status = visit(&world.node, code).await;
            assert_eq!(status, 503, "{what}: nobody can say that it does not exist");
        }
        // These Redis knows.
        let ledger = world.load(Load::CLOSED).await;
        sleep(Duration::from_secs(1)).await;
        let more = ledger.close().await;
        more.assert_all_redirected();
        book.add(more);
        world.end(outage).await;
        world.assert_balanced(&book).await;
        within(CATCH_UP, "the cold link can be looked up again", async || world.visit(&cold).await == 302)
            .await;
    })
    .await;
}

#[tokio::test]
async fn redis_may_be_emptied_hang_and_die_and_no_answer_shows_it() {
    on_production(&[("CACHE_SOFT_TTL_SECONDS", "1")], async |world| {
        world.forget_clicks().await;
        // This one learns of changes from messages alone; the first asks anew every second.
        let second = world.another_node(&[("CACHE_SOFT_TTL_SECONDS", "600")]).await;
        for link in &world.links {
            assert_eq!(visit(&second, &link.short_code).await, 302);
        }
        second.drained().await;
        world.forget_clicks().await;
        let ledgers = [world.load(Load::STEADY).await, world.load_on(&second, Load::STEADY).await];

        world.redis.as_ref().expect("production").flush();
        sleep(Duration::from_millis(1500)).await;
        changes_take_effect(world, &second, "after Redis was emptied").await;
        world.redis.as_ref().expect("production").freeze();
        // A code that this node never heard of, so that it asks Redis first.
        let asked = Instant::now();
        assert_eq!(visit(&second, "nobody-made-this").await, 404);
        assert!(asked.elapsed() < SOON / 4, "nobody waits for a Redis that hangs: {:?}", asked.elapsed());
        sleep(Duration::from_millis(1500)).await;
        changes_take_effect(world, &second, "while Redis hangs").await;
        world.redis.as_ref().expect("production").thaw();
        world.redis.as_mut().expect("production").kill();
        sleep(Duration::from_millis(1500)).await;
        changes_take_effect(world, &second, "while Redis is dead").await;
        world.redis.as_mut().expect("production").start().await;
        sleep(Duration::from_millis(1500)).await;
        changes_take_effect(world, &second, "after Redis came back, empty").await;

        let mut book = super::support::Book::default();
        for ledger in ledgers {
            let visits = ledger.close().await;
            visits.assert_all_redirected();
            assert_eq!(visits.without_id, 0);
            book.add(visits);
        }
        second.drained().await;
        world.rolled().await;
        let books = world.books().await;
        let lost = book.acked.difference(&books.clicks).count();
        assert_eq!(lost, 0, "of {}", book.acked.len());
        assert!(books.letters.is_empty(), "{:?}", books.letters);
        books.assert_totals();
    })
    .await;
}

/// Makes, changes and deletes a link at the first node, and looks at the second.
async fn changes_take_effect(world: &super::support::World, second: &Node, when: &str) {
    let link = world.create("https://shop.example.com/before").await;
    let there = async || {
        let mut line = Line::open(second.links).await.expect("accepts");
        let answer = line.get(&format!("/{}", link.short_code)).await.expect("an answer");
        let location =
            answer.headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        (answer.status, location.to_owned())
    };
    within(SOON, &format!("{when}: a new link redirects"), async || there().await.1.ends_with("/before"))
        .await;
    world.redirect(&link, "https://shop.example.com/after").await;
    within(SOON, &format!("{when}: a changed link leads elsewhere"), async || {
        there().await.1.ends_with("/after")
    })
    .await;
    world.delete(&link).await;
    within(SOON, &format!("{when}: a deleted link is gone"), async || there().await.0 == 404).await;
}

/// A look-up whose visitor has left must end all the same: it holds one of few connections.
#[tokio::test]
async fn visitors_who_leave_before_a_cold_link_is_found_hold_no_connection() {
    on_production(&[], async |world| {
        let mut cold = Vec::new();
        for number in 0..12 {
            cold.push(world.create(&format!("https://shop.example.com/cold/{number}")).await);
        }
        let (last, others) = cold.split_last().expect("there are twelve");
        world.redis.as_mut().expect("production").kill();
        world.postgres.as_ref().expect("production").freeze();
        for link in others {
            let mut line = Line::open(world.node.links).await.expect("accepts");
            let path = format!("/{}", link.short_code);
            // Gone after this.
            let answer = tokio::time::timeout(Duration::from_millis(30), line.get(&path)).await;
            assert!(answer.is_err(), "nobody can answer yet");
        }
        world.postgres.as_ref().expect("production").thaw();
        within(SOON, "another cold link can be looked up", async || world.visit(last).await == 302).await;
    })
    .await;
}
