//! How long a change takes to reach another node: what its own histogram says, which operators alert on.

use std::time::Duration;

use super::support::{Node, World, on_production, visit, within};

/// How many changes are made. One of a hundred may be late.
const CHANGES: u64 = 120;
const HEALED: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ninety_nine_of_a_hundred_changes_reach_the_other_node_within_a_second() {
    on_production(&[], async |world| {
        let second = world.another_node(&[]).await;
        within(HEALED, "Redis is up", async || second.metric("linkforty_redis_up").await == 1).await;
        assert_changes_arrive(world, &second, "by Redis and by Postgres").await;

        // The second path alone.
        if let Some(redis) = &mut world.redis {
            redis.kill();
        }
        within(HEALED, "Redis is away", async || second.metric("linkforty_redis_up").await == 0).await;
        assert_changes_arrive(world, &second, "by Postgres alone").await;
    })
    .await;
}

async fn assert_changes_arrive(world: &World, second: &Node, way: &str) {
    let link = &world.links[0];
    assert_eq!(visit(second, &link.short_code).await, 302);
    let (heard_before, in_time_before) = delays(second).await;
    for number in 0..CHANGES {
        world.redirect(link, &format!("https://shop.example.com/{number}")).await;
    }
    within(HEALED, "every change is heard", async || delays(second).await.0 - heard_before >= CHANGES).await;
    let (heard, in_time) = delays(second).await;
    let (heard, in_time) = (heard - heard_before, in_time - in_time_before);
    eprintln!("{way}: {in_time} of {heard} within a second");
    assert!(in_time * 100 >= heard * 99, "{way}: {in_time} of {heard} within a second");
}

/// Returns how many changes a node has heard of, and how many of them within a second.
async fn delays(node: &Node) -> (u64, u64) {
    const NAME: &str = "linkforty_link_change_delay_seconds";
    let in_time = node.metric_of(&format!("{NAME}_bucket"), "le=\"1\"").await;
    (node.metric(&format!("{NAME}_count")).await, in_time)
}
