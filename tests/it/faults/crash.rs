//! The process dies.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use super::support::{Load, on_every_store, random, variable, within};

const KILLS: usize = 20;

/// `LINKFORTY_TEST_SEED` repeats a run's moments, as far as the machine does.
#[tokio::test]
async fn a_node_killed_at_twenty_random_moments_loses_no_click_and_counts_none_twice() {
    let seed = variable("LINKFORTY_TEST_SEED")
        .map_or_else(|| u64::from_be_bytes(random()), |seed| seed.parse().expect("a number"));
    eprintln!("LINKFORTY_TEST_SEED={seed}");
    on_every_store(&[], async |world| {
        world.forget_clicks().await;
        let mut dice = StdRng::seed_from_u64(seed);
        let ledger = world.load(Load::CLOSED).await;
        for kill in 0..KILLS {
            let delay = dice.random_range(50..800);
            sleep(Duration::from_millis(delay)).await;
            eprintln!("kill {kill}, {delay} ms after the start, {} visits so far", ledger.answered());
            world.node.kill();
            world.node.start().await;
        }
        sleep(Duration::from_millis(200)).await;
        let book = ledger.close().await;
        assert!(book.acked.len() > KILLS * 10, "that was no load: {book}");
        world.assert_balanced(&book).await;
    })
    .await;
}

/// Under load, a few hundred clicks after the start: in the middle of an append, a rotation, a sync or a commit.
#[tokio::test]
async fn a_node_that_dies_at_a_named_place_loses_no_click_and_counts_none_twice() {
    on_every_store(&[("SPOOL_SEGMENT_BYTES", "65536")], async |world| {
        world.forget_clicks().await;
        world.node.kill();
        let places =
            ["spool.append.after:300", "drain.commit.after:3", "spool.rotate.mid:4", "spool.sync.before:20"];
        let mut book = super::support::Book::default();
        for place in places {
            world.node.start_with(&[("FAILPOINT_ABORT", place)]).await;
            let ledger = world.load(Load::CLOSED).await;
            world.node.wait_for_abort().await;
            let visits = ledger.close().await;
            eprintln!("{place}: {visits}");
            book.add(visits);
        }
        world.node.start().await;
        world.assert_balanced(&book).await;
    })
    .await;
}

/// On either side of its commit: what was counted is noted with it, or neither is.
#[tokio::test]
async fn a_roller_that_dies_around_its_commit_counts_everything_once() {
    on_every_store(&[], async |world| {
        world.forget_clicks().await;
        world.node.kill();
        let mut book = super::support::Book::default();
        for place in ["roller.commit.before:3", "roller.commit.after:3", "roller.commit.before:4"] {
            world.node.start_with(&[("FAILPOINT_ABORT", place)]).await;
            let ledger = world.load(Load::CLOSED).await;
            world.node.wait_for_abort().await;
            let visits = ledger.close().await;
            eprintln!("{place}: {visits}");
            book.add(visits);
        }
        world.node.start().await;
        world.assert_balanced(&book).await;
        let told = world.node.run(&["rollup", "rebuild", "--verify"]);
        assert!(told.ends_with("days compared, 0 differences"), "{told}");
        world.node.run(&["rollup", "rebuild"]);
        world.assert_balanced(&book).await;
    })
    .await;
}

#[tokio::test]
async fn a_node_that_dies_while_it_recovers_recovers_the_next_time() {
    on_every_store(&[("SPOOL_SEGMENT_BYTES", "65536")], async |world| {
        world.forget_clicks().await;
        let ledger = world.load(Load::CLOSED).await;
        let outage = world.outage().await;
        within(Duration::from_secs(20), "there are several segments", async || world.node.waiting() > 2000)
            .await;
        world.node.kill();
        let book = ledger.close().await;
        world.end(outage).await;
        for nth in 1..=3 {
            world.node.launch(&[("FAILPOINT_ABORT", &format!("spool.recover.mid:{nth}"))]);
            world.node.wait_for_abort().await;
        }
        world.node.start().await;
        world.assert_balanced(&book).await;
    })
    .await;
}

/// A checkpoint lost with its disk, a database restored to yesterday: what was stored comes again.
#[tokio::test]
async fn a_spool_drained_a_second_time_counts_nothing_twice() {
    on_every_store(&[], async |world| {
        world.node.drained().await;
        // Of our own visits; they will come again as well.
        let before = world.books().await.clicks;
        let ledger = world.load(Load::CLOSED).await;
        sleep(Duration::from_millis(500)).await;
        let mut book = ledger.close().await;
        book.acked.extend(before);
        world.assert_balanced(&book).await;
        world.node.kill();
        world.forget_progress().await;
        let again = world.node.waiting();
        assert!(again >= book.acked.len() as u64, "only {again} records would come again");
        world.node.start().await;
        world.assert_balanced(&book).await;
    })
    .await;
}
