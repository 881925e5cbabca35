//! The node dies in the middle of telling something, on either side of every step; and what it tells, it tells to the hostile.

use std::time::Duration;

use linkforty::{
    clock::{Clock as _, SystemClock},
    entity::{webhook_delivery, webhook_endpoint, webhook_message},
    ids::{Ids, WebhookEndpointId, WorkspaceId},
    sealing::Seal,
    webhooks::{
        Endpoint, EventType, Filter, Settings,
        endpoint::{self, ClickMode, Format, Sealed, Signing, State},
    },
};
use sea_orm::{Database, DatabaseConnection, EntityTrait as _, IntoActiveModel as _};
use serde_json::json;
use uuid::Uuid;

use super::support::{World, on_every_store, within};
use crate::support::{Mood, Receiver, hooks, told};

/// Claimed and not called; called and not written down; the endpoint's standing written and not the delivery; in the transaction; after it.
const PLACES: [&str; 5] = [
    "webhooks.claimed.after:2",
    "webhooks.called.after:5",
    "webhooks.record.before:1",
    "webhooks.record.mid:1",
    "webhooks.recorded.after:1",
];
const EACH: usize = 20;
/// How often the hostile are told something by endpoints that nothing is known of yet.
const ROUNDS: usize = 8;
/// How many endpoints of each kind a round has: together more than there are places for calls.
const OF_EACH_KIND: usize = 12;
/// What a process may be larger after all rounds than after the first two, which fill every place. Four megabytes were seen, of a thousand
/// endpoints that are new to it; bodies that were kept would be eight megabytes a round.
const GROWTH: u64 = 8 << 20;
/// What two rounds may cost a process that has just started, with the connections and caches that it begins with.
const PLACES_COST: u64 = 48 << 20;
const SECRET: &str = "4f0c7a9d3b5e61827a9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a";
const KILLS: usize = 5;

#[tokio::test]
async fn whatever_step_a_node_dies_at_everything_is_told_and_repeats_have_their_ids() {
    let receiver = Receiver::open().await;
    on_every_store(&guest_settings(&receiver.port.to_string()), async |world| {
        let ids = Ids::from_os();
        let db = Database::connect(world.database()).await.expect("the database opens");
        let before = receiver.count();
        let hook = hook(&db, &ids, world, &receiver.url("/")).await;
        let mut messages = Vec::new();
        for place in PLACES {
            world.node.kill();
            world.node.start_with(&[("FAILPOINT_ABORT", place)]).await;
            messages.extend(tell(&db, &ids, world, &[hook], EACH).await);
            world.node.wait_for_abort().await;
            eprintln!("{place}: {} requests so far", receiver.count() - before);
            passes(world).await;
            world.node.start().await;
            all_told(world).await;
        }
        for _ in 0..KILLS {
            messages.extend(tell(&db, &ids, world, &[hook], EACH).await);
            tokio::time::sleep(Duration::from_millis(u64::from(ids.below(60)))).await;
            world.node.kill();
            passes(world).await;
            world.node.start().await;
        }
        passes(world).await;
        all_told(world).await;
        db.close().await.expect("it closes");

        let heard = receiver.heard().split_off(before);
        let mut told_ids: Vec<String> =
            heard.iter().map(|heard| heard.header("webhook-id").to_owned()).collect();
        eprintln!("{}: {} things told in {} requests", world.store, messages.len(), told_ids.len());
        for one in &heard {
            let same = heard.iter().filter(|other| other.header("webhook-id") == one.header("webhook-id"));
            assert!(same.clone().all(|other| other.body == one.body), "a repeat says the same");
        }
        told_ids.sort_unstable();
        told_ids.dedup();
        let mut expected: Vec<String> = messages.iter().map(|message| told(*message)).collect();
        expected.sort_unstable();
        assert_eq!(told_ids, expected, "each, and nothing else");
        let delivered = "webhook_deliveries WHERE state = 2 AND attempts >= 1";
        assert_eq!(world.count(delivered).await, i64::try_from(messages.len()).expect("few"));
        receiver.is(Mood::status(200));
    })
    .await;
}

/// Measured at the process, as whoever runs it would.
#[tokio::test]
async fn receivers_that_hang_drip_and_flood_leave_the_node_as_small_as_it_was() {
    let receiver = Receiver::open().await;
    let moods = Mood::hostile();
    for (kind, (_, mood)) in moods.iter().enumerate() {
        receiver.at(&format!("/{kind}"), mood.clone());
    }
    let port = receiver.port.to_string();
    let settings = [
        &guest_settings(&port)[..],
        // All of them are one host, and the slow ones take their time many times over.
        &[("OUTBOUND_TIMEOUT_MS", "1000"), ("OUTBOUND_MAX_PER_HOST", "64")],
    ]
    .concat();
    on_every_store(&settings, async |world| {
        let ids = Ids::from_os();
        let db = Database::connect(world.database()).await.expect("the database opens");
        let before = receiver.count();
        let mut peaks = vec![world.node.peak_memory()];
        for _ in 0..ROUNDS {
            let mut hostile = Vec::new();
            for place in 0..moods.len() * OF_EACH_KIND {
                let url = receiver.url(&format!("/{}", place % moods.len()));
                hostile.push(hook(&db, &ids, world, &url).await);
            }
            tell(&db, &ids, world, &hostile, 1).await;
            within(Duration::from_secs(120), "each was tried", async || {
                world.count("webhook_deliveries WHERE attempts = 0").await == 0
            })
            .await;
            peaks.push(world.node.peak_memory());
        }
        db.close().await.expect("it closes");
        let heard = receiver.count() - before;
        let shown: Vec<u64> = peaks.iter().map(|peak| peak >> 20).collect();
        eprintln!("{}: MiB at the most, before and after each round: {shown:?}; {heard} calls", world.store);
        assert!(heard >= ROUNDS * moods.len() * OF_EACH_KIND, "every endpoint was called");
        assert!(peaks[2] - peaks[0] <= PLACES_COST, "the calls under way are bounded");
        assert!(peaks[ROUNDS] - peaks[2] <= GROWTH, "what was called is forgotten");
    })
    .await;
}

/// What lets a node call a receiver of a test.
fn guest_settings(port: &str) -> [(&'static str, &str); 5] {
    [
        // Receivers of tests speak plain HTTP.
        ("APP_ENV", "development"),
        ("OUTBOUND_ALLOW_NETWORKS", "127.0.0.2/32"),
        ("OUTBOUND_ALLOW_PORTS", port),
        ("SESSION_SECRET", SECRET),
        ("JWT_SECRET", "9a8b7c6d5e4f30214a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f"),
    ]
}

async fn all_told(world: &World) {
    within(Duration::from_secs(30), "all is told", async || {
        world.count("webhook_deliveries WHERE state = 1").await == 0
    })
    .await;
}

/// A minute passes: what was claimed by a node that is dead may be claimed again.
async fn passes(world: &World) {
    let sql = "UPDATE webhook_deliveries SET next_time = update_time WHERE state = 1";
    world.execute(sql).await;
}

async fn hook(db: &DatabaseConnection, ids: &Ids, world: &World, url: &str) -> WebhookEndpointId {
    let now = SystemClock.now();
    let sealed = Sealed { secrets: vec![hooks::secret(hooks::KEY, now, None)], headers: Vec::new() };
    let id = WebhookEndpointId::mint(ids, now);
    let seal = Seal::derive(SECRET.as_bytes(), "secrets of webhook endpoints");
    let endpoint = Endpoint {
        id,
        workspace: workspace(world),
        name: "Orders".to_owned(),
        url: url.to_owned(),
        settings: Settings {
            event_types: vec![EventType::LinkCreated],
            filter: Filter::default(),
            format: Format::Standard,
            clicks: ClickMode::Batched,
            click_sample: endpoint::EVERY_CLICK,
            signing: Signing::Hmac,
            postback: None,
        },
        sealed: sealed.seal(&seal, ids, id),
        state: State::Active,
        failing_since: None,
        version: 1,
        create_time: now,
        update_time: now,
    };
    let row = endpoint.write().into_active_model();
    webhook_endpoint::Entity::insert(row).exec_without_returning(db).await.expect("it is stored");
    id
}

async fn tell(
    db: &DatabaseConnection,
    ids: &Ids,
    world: &World,
    hooks: &[WebhookEndpointId],
    count: usize,
) -> Vec<linkforty::ids::MessageId> {
    let data: Vec<_> = (0..count).map(|number| json!({ "number": number })).collect();
    let (messages, deliveries) =
        hooks::due(ids, workspace(world), hooks, EventType::LinkCreated, &data, SystemClock.now());
    let told = messages.iter().map(|message| message.id).collect();
    let rows = messages.into_iter().map(|message| message.write().into_active_model());
    webhook_message::Entity::insert_many(rows).exec_without_returning(db).await.expect("they are stored");
    let rows = deliveries.into_iter().map(sea_orm::IntoActiveModel::into_active_model);
    webhook_delivery::Entity::insert_many(rows).exec_without_returning(db).await.expect("they are stored");
    told
}

fn workspace(world: &World) -> WorkspaceId {
    WorkspaceId(Uuid::parse_str(&world.links[0].workspace_id).expect("an id"))
}
