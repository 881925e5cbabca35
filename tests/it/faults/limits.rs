//! A node dies that holds a part of a link's limit.

use std::time::Duration;

use linkforty::pb::v1::Link;
use tokio::time::sleep;

use super::support::{Line, Node, World, on_every_store, on_production, visit, within};

/// Visits a link until it is turned away, and says how often it was sent on.
async fn exhaust(node: &Node, code: &str) -> usize {
    let mut passed = 0;
    loop {
        match visit(node, code).await {
            302 => passed += 1,
            404 => return passed,
            // A machine with other things to do: nobody could say in time.
            503 => sleep(Duration::from_millis(50)).await,
            other => panic!("the link answers {other}"),
        }
    }
}

/// Has so many visitors sent on, however long that takes.
async fn pass(world: &World, link: &Link, count: usize) {
    for _ in 0..count {
        within(Duration::from_secs(20), "a click is left", async || world.visit(link).await == 302).await;
    }
}

async fn limited(world: &World, max_clicks: i64) -> Link {
    world
        .create_link(Link {
            max_clicks,
            destination_url: "https://shop.example.com/few".to_owned(),
            ..Link::default()
        })
        .await
}

/// Goes on until as many have passed as may, and makes sure that not one more does.
async fn use_up(node: &Node, code: &str, rest: usize) {
    let passed = std::cell::Cell::new(0);
    within(Duration::from_secs(30), "the rest comes back", async || {
        passed.set(passed.get() + exhaust(node, code).await);
        passed.get() >= rest
    })
    .await;
    for _ in 0..20 {
        passed.set(passed.get() + exhaust(node, code).await);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(passed.get(), rest);
}

/// Visits a link whose database is away until nothing is left that the node holds, and returns how many passed.
async fn pass_while_held(world: &World, link: &Link) -> usize {
    let mut passed = 0;
    loop {
        match world.visit(link).await {
            302 => passed += 1,
            503 => return passed,
            other => panic!("the link answers {other}"),
        }
    }
}

#[tokio::test]
async fn what_a_killed_node_held_comes_back_with_it_to_the_last_click() {
    on_every_store(&[], async |world| {
        world.forget_clicks().await;
        let link = limited(world, 60).await;
        for _ in 0..3 {
            // What the node before held is there as soon as its spool is drained.
            pass(world, &link, 7).await;
            world.node.kill();
            world.node.start().await;
        }
        use_up(&world.node, &link.short_code, 60 - 21).await;
        world.node.drained().await;
        assert_eq!(world.books().await.rows, 60);
    })
    .await;
}

#[tokio::test]
async fn while_a_node_is_dead_the_others_pass_what_it_does_not_hold() {
    on_production(&[], async |world| {
        world.forget_clicks().await;
        let link = limited(world, 400).await;
        let second = world.another_node(&[]).await;
        pass(world, &link, 5).await;
        world.node.kill();
        let passed = exhaust(&second, &link.short_code).await;
        assert!((400 - 5 - 64..=400 - 5).contains(&passed), "{passed} of 400");
        sleep(Duration::from_secs(3)).await;
        assert_eq!(exhaust(&second, &link.short_code).await, 0, "nobody knows what the dead node used");
        world.node.start().await;
        use_up(&second, &link.short_code, 400 - 5 - passed).await;
        world.node.drained().await;
        second.drained().await;
        assert_eq!(world.books().await.rows, 400);
    })
    .await;
}

/// Clicks that were sent on and are not stored yet are counted all the same: by the spool.
#[tokio::test]
async fn a_node_killed_while_its_database_is_away_passes_not_one_too_many() {
    on_every_store(&[], async |world| {
        world.forget_clicks().await;
        let link = limited(world, 300).await;
        // The second lease is larger than one.
        pass(world, &link, 2).await;
        let outage = world.outage().await;
        let passed = 2 + pass_while_held(world, &link).await;
        assert!(passed > 2, "what the node holds passes");
        world.node.kill();
        world.end(outage).await;
        world.node.start().await;
        use_up(&world.node, &link.short_code, 300 - passed).await;
        world.node.drained().await;
        assert_eq!(world.books().await.rows, 300);
    })
    .await;
}

/// Everything is stored and the spool does not know: no other click need come for the rest to be given back.
#[tokio::test]
async fn a_node_that_dies_between_the_database_and_its_own_checkpoint_gives_the_rest_back() {
    on_every_store(&[], async |world| {
        world.forget_clicks().await;
        let link = limited(world, 400).await;
        world.node.kill();
        world.node.start_with(&[("FAILPOINT_ABORT", "drain.commit.after:1")]).await;
        // The second lease is larger than one. The node may be gone before the second answer.
        let mut passed = 0;
        while let Some(status) = try_visit(&world.node, &link.short_code).await {
            assert!(matches!(status, 302 | 503), "{status}");
            passed += usize::from(status == 302);
            sleep(Duration::from_millis(5)).await;
        }
        assert!((1..400).contains(&passed), "{passed}");
        world.node.wait_for_abort().await;
        world.node.start().await;
        world.node.drained().await;
        let recorded = world.books().await.rows;
        assert!(recorded >= passed, "{recorded} of {passed}");
        use_up(&world.node, &link.short_code, 400 - recorded).await;
        world.node.drained().await;
        assert_eq!(world.books().await.rows, 400);
    })
    .await;
}

/// Visits a link of a node that may die meanwhile.
async fn try_visit(node: &Node, code: &str) -> Option<u16> {
    let mut line = Line::open(node.links).await.ok()?;
    Some(line.get(&format!("/{code}")).await.ok()?.status)
}

/// A database that hangs may grant a lease whose node has stopped waiting for it.
#[tokio::test]
async fn what_a_hanging_database_granted_unheard_is_not_lost() {
    on_production(&[], async |world| {
        world.forget_clicks().await;
        let link = limited(world, 300).await;
        pass(world, &link, 2).await;
        world.postgres.as_ref().expect("production").freeze();
        let passed = 2 + pass_while_held(world, &link).await;
        for _ in 0..5 {
            assert_eq!(world.visit(&link).await, 503);
            sleep(Duration::from_millis(200)).await;
        }
        world.postgres.as_ref().expect("production").thaw();
        pass(world, &link, 1).await;
        use_up(&world.node, &link.short_code, 300 - passed - 1).await;
        world.node.drained().await;
        assert_eq!(world.books().await.rows, 300);
    })
    .await;
}
