//! The process dies while what happened is put into messages for webhooks.

use std::{collections::BTreeSet, time::Duration};

use linkforty::{
    clock::from_micros,
    entity::{webhook_delivery, webhook_message, workspace},
    ids::{Ids, WebhookEndpointId},
    pb::v1::ClickClass,
    webhooks::{
        Endpoint, EventType, Filter, Settings,
        endpoint::{ClickMode, EVERY_CLICK, Format, Signing, State},
    },
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Database, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _,
};

use super::support::{Book, Load, on_every_store, within};

const EVERYBODY: [ClickClass; 5] =
    [ClickClass::Human, ClickClass::Bot, ClickClass::Preview, ClickClass::Prefetch, ClickClass::Monitor];

/// On either side of its commit: how far it came is noted with the messages, or neither is.
#[tokio::test]
async fn what_happened_is_put_into_one_message_however_often_the_node_dies_meanwhile() {
    on_every_store(&[], async |world| {
        let db = Database::connect(world.database()).await.expect("the database opens");
        let workspace =
            workspace::Entity::find().one(&db).await.expect("it answers").expect("there is one").id;
        let (ids, now) = (Ids::from_os(), from_micros(1_790_000_000_000_000));
        let id = WebhookEndpointId::mint(&ids, now);
        let endpoint = Endpoint {
            id,
            workspace,
            name: "nowhere".to_owned(),
            url: "https://hooks.invalid/".to_owned(),
            settings: Settings {
                event_types: vec![EventType::ClickRecorded],
                // The load has programs in it too.
                filter: Filter { classes: EVERYBODY.to_vec(), ..Filter::default() },
                format: Format::Standard,
                clicks: ClickMode::Each,
                click_sample: EVERY_CLICK,
                signing: Signing::Hmac,
                postback: None,
            },
            sealed: Vec::new(),
            // Nobody is there to be told: the messages wait.
            state: State::Paused,
            failing_since: None,
            version: 1,
            create_time: now,
            update_time: now,
        };
        world.forget_clicks().await;
        let behind = "feed WHERE seq > (SELECT seq FROM webhook_progress)";
        let told = async || world.count(behind).await == 0;
        within(Duration::from_secs(60), "what was before is told to nobody", told).await;
        endpoint.write().into_active_model().reset_all().insert(&db).await.expect("is stored");
        world.node.kill();
        let mut book = Book::default();
        for place in ["fan_out.commit.before:3", "fan_out.commit.after:2", "fan_out.commit.before:2"] {
            world.node.start_with(&[("FAILPOINT_ABORT", place)]).await;
            let ledger = world.load(Load::CLOSED).await;
            world.node.wait_for_abort().await;
            let visits = ledger.close().await;
            eprintln!("{place}: {visits}");
            book.add(visits);
        }
        world.node.start().await;
        world.rolled().await;
        let told = async || world.count(behind).await == 0;
        within(Duration::from_secs(60), "everything is told", told).await;

        let messages = webhook_message::Entity::find().all(&db).await.expect("it answers");
        let told: BTreeSet<String> = messages.iter().map(|message| message.subject_id.to_string()).collect();
        assert_eq!(told.len(), messages.len(), "one message of each click");
        let missing = book.acked.iter().filter(|click| !told.contains(&click.to_string())).count();
        assert_eq!(missing, 0, "of {} clicks", book.acked.len());
        assert_eq!(messages.len() as i64, world.count("clicks").await);
        let of_it = webhook_delivery::Entity::find().filter(webhook_delivery::Column::EndpointId.eq(id));
        let delivered: BTreeSet<_> =
            of_it.all(&db).await.expect("it answers").iter().map(|delivery| delivery.message_id).collect();
        assert_eq!(delivered, messages.iter().map(|message| message.id).collect());
    })
    .await;
}
