//! Webhook endpoints and what they are to be told, put where the server finds them, for tests of the telling itself.

use chrono::Duration;
use linkforty::{
    clock::Moment,
    entity::{webhook_attempt, webhook_delivery, webhook_endpoint, webhook_message},
    ids::{Ids, MessageId, WebhookEndpointId, WorkspaceId, parse},
    webhooks::{
        DeliveryState, Endpoint, EventType, Filter, Message, Settings,
        endpoint::{self, ClickMode, Format, Sealed, Secret, Signing, State},
        message::told_id,
        wake,
    },
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _,
};
use serde_json::Value as Json;

use super::{App, app::eventually};

/// The secret that endpoints begin with.
pub const KEY: [u8; 32] = [7; 32];

/// An endpoint that is told everything as Standard Webhooks has it.
pub fn an_endpoint(app: &App, workspace: &str, url: &str) -> (Endpoint, Sealed) {
    let now = app.env().now();
    let ids = &app.env().ids;
    let settings = Settings {
        event_types: EventType::ALL.into_iter().filter(|one| *one != EventType::TestSent).collect(),
        filter: Filter::default(),
        format: Format::Standard,
        clicks: ClickMode::Batched,
        click_sample: endpoint::EVERY_CLICK,
        signing: Signing::Hmac,
        postback: None,
    };
    let endpoint = Endpoint {
        id: WebhookEndpointId::mint(ids, now),
        workspace: WorkspaceId(parse(workspace).expect("an id")),
        name: "Orders".to_owned(),
        url: url.to_owned(),
        settings,
        sealed: Vec::new(),
        state: State::Active,
        failing_since: None,
        version: 1,
        create_time: now,
        update_time: now,
    };
    (endpoint, Sealed { secrets: vec![secret(KEY, now, None)], headers: Vec::new() })
}

/// A secret.
pub fn secret(key: [u8; 32], create_time: Moment, expire_time: Option<Moment>) -> Secret {
    Secret { key, create_time, expire_time, text: None }
}

impl App {
    /// Stores an endpoint and returns its id.
    pub async fn hook(&self, (mut endpoint, sealed): (Endpoint, Sealed)) -> WebhookEndpointId {
        let env = self.env();
        endpoint.sealed = sealed.seal(&endpoint::seal(env), &env.ids, endpoint.id);
        let id = endpoint.id;
        let row = endpoint.write().into_active_model();
        webhook_endpoint::Entity::insert(row)
            .exec_without_returning(&env.db.api)
            .await
            .expect("it is stored");
        id
    }

    /// Stores an endpoint as it is now, and returns it.
    pub async fn stored_hook(&self, id: WebhookEndpointId) -> Endpoint {
        let row = webhook_endpoint::Entity::find_by_id(id)
            .one(&self.env().db.api)
            .await
            .expect("the stores answer");
        Endpoint::read(row.expect("it is there")).expect("it is readable")
    }

    /// Changes an endpoint in the store, as somebody would.
    pub async fn change_hook(&self, id: WebhookEndpointId, change: impl FnOnce(&mut Endpoint)) {
        let mut endpoint = self.stored_hook(id).await;
        change(&mut endpoint);
        endpoint.version += 1;
        let row = endpoint.write().into_active_model().reset_all();
        row.update(&self.env().db.api).await.expect("it is stored");
    }

    /// Makes a message due for endpoints, and returns it.
    pub async fn tell(&self, to: &[WebhookEndpointId], event_type: EventType, data: &Json) -> MessageId {
        self.tell_many(to, event_type, std::slice::from_ref(data)).await[0]
    }

    /// The same with many, in one transaction.
    pub async fn tell_many(
        &self,
        to: &[WebhookEndpointId],
        event_type: EventType,
        data: &[Json],
    ) -> Vec<MessageId> {
        let env = self.env();
        let workspace = self.stored_hook(to[0]).await.workspace;
        let (messages, deliveries) = due(&env.ids, workspace, to, event_type, data, env.now());
        let ids = messages.iter().map(|message| message.id).collect();
        let tx = env.db.begin().await.expect("the stores answer");
        let rows = messages.into_iter().map(|message| message.write().into_active_model());
        webhook_message::Entity::insert_many(rows)
            .exec_without_returning(&tx)
            .await
            .expect("they are stored");
        let rows: Vec<_> = deliveries.into_iter().map(sea_orm::IntoActiveModel::into_active_model).collect();
        for rows in rows.chunks(1000) {
            let insert = webhook_delivery::Entity::insert_many(rows.to_vec());
            insert.exec_without_returning(&tx).await.expect("they are stored");
        }
        tx.commit().await.expect("the stores answer");
        wake(env);
        ids
    }

    /// Returns what became of telling an endpoint a message.
    pub async fn delivery(&self, endpoint: WebhookEndpointId, message: MessageId) -> webhook_delivery::Model {
        let found = webhook_delivery::Entity::find_by_id((endpoint, message)).one(&self.env().db.api).await;
        found.expect("the stores answer").expect("it is there")
    }

    /// Returns the attempts to tell an endpoint a message, the first one first.
    pub async fn attempts(
        &self,
        endpoint: WebhookEndpointId,
        message: MessageId,
    ) -> Vec<webhook_attempt::Model> {
        webhook_attempt::Entity::find()
            .filter(webhook_attempt::Column::EndpointId.eq(endpoint))
            .filter(webhook_attempt::Column::MessageId.eq(message))
            .order_by_asc(webhook_attempt::Column::Number)
            .all(&self.env().db.api)
            .await
            .expect("the stores answer")
    }

    /// Waits until an attempt number `number` is written down, and returns the delivery as it is then.
    pub async fn tried(
        &self,
        endpoint: WebhookEndpointId,
        message: MessageId,
        number: i32,
    ) -> webhook_delivery::Model {
        eventually(&format!("attempt {number} is written down"), async || {
            self.delivery(endpoint, message).await.attempts >= number
        })
        .await;
        self.delivery(endpoint, message).await
    }

    /// Waits until so many deliveries to an endpoint are in a state.
    pub async fn delivered(&self, endpoint: WebhookEndpointId, state: DeliveryState, count: u64) {
        eventually(&format!("{count} are {state:?}"), async || {
            self.deliveries(endpoint, state).await == count
        })
        .await;
    }

    /// Counts the deliveries to an endpoint that are in a state.
    pub async fn deliveries(&self, endpoint: WebhookEndpointId, state: DeliveryState) -> u64 {
        webhook_delivery::Entity::find()
            .filter(webhook_delivery::Column::EndpointId.eq(endpoint))
            .filter(webhook_delivery::Column::State.eq(state as i16))
            .count(&self.env().db.api)
            .await
            .expect("the stores answer")
    }

    /// Moves the clock to just when a delivery is due again.
    pub async fn skip_to(&self, delivery: &webhook_delivery::Model) {
        self.clock.set(delivery.next_time + Duration::milliseconds(1));
    }
}

/// Returns the rows that make messages due.
pub fn due(
    ids: &Ids,
    workspace: WorkspaceId,
    to: &[WebhookEndpointId],
    event_type: EventType,
    data: &[Json],
    now: Moment,
) -> (Vec<Message>, Vec<webhook_delivery::Model>) {
    let message = |data: &Json| Message {
        id: MessageId::mint(ids, now),
        workspace,
        endpoint: None,
        event_type,
        subject: ids.uuid(now),
        time: now,
        body: serde_json::to_vec(data).expect("JSON"),
    };
    let messages: Vec<Message> = data.iter().map(message).collect();
    let delivery = |message: MessageId, endpoint: WebhookEndpointId| webhook_delivery::Model {
        endpoint_id: endpoint,
        message_id: message,
        workspace_id: workspace,
        next_time: now,
        update_time: now,
        attempts: 0,
        last_status: None,
        state: DeliveryState::Due as i16,
        last_outcome: 0,
    };
    let deliveries = messages
        .iter()
        .flat_map(|message| to.iter().map(|endpoint| delivery(message.id, *endpoint)))
        .collect();
    (messages, deliveries)
}

/// Returns the id that a receiver is told of a message.
pub fn told(message: MessageId) -> String {
    told_id(message)
}
