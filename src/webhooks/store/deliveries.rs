//! Queries of the tables `webhook_deliveries`, `webhook_messages` and `webhook_attempts`, as people ask them.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::Expr,
};
use uuid::Uuid;

use crate::{
    clock::Moment,
    entity::{
        webhook_attempt::{self, Entity as Attempts},
        webhook_delivery::{Column, Entity, Model},
        webhook_message::{self, Entity as Messages},
    },
    ids::{MessageId, WebhookAttemptId, WebhookEndpointId, WorkspaceId},
    webhooks::DeliveryState,
};

/// A place in the order in which deliveries are listed: messages by age, newest first, and endpoints within each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The message.
    pub message: MessageId,
    /// The endpoint.
    pub endpoint: WebhookEndpointId,
}

impl Place {
    /// Returns the place of a row.
    pub const fn of(row: &Model) -> Self {
        Self { message: row.message_id, endpoint: row.endpoint_id }
    }
}

/// What is known of a message without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Head {
    /// Which.
    pub id: MessageId,
    /// What happened.
    pub event_type: i16,
    /// To what.
    pub subject_id: Uuid,
    /// When.
    pub time: Moment,
}

/// An attempt without what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Try {
    /// Which.
    pub id: WebhookAttemptId,
    /// Who was called.
    pub endpoint_id: WebhookEndpointId,
    /// With what.
    pub message_id: MessageId,
    /// Which try it was.
    pub number: i32,
    /// How long it took, in milliseconds.
    pub took_ms: i32,
    /// What was answered, if anything.
    pub status: Option<i32>,
    /// What came of it.
    pub outcome: i16,
}

/// Returns up to `limit` deliveries behind `after`, newest first, of messages whose ids are in `from..until`.
pub async fn list(
    db: &impl ConnectionTrait,
    (workspace, endpoint): (WorkspaceId, Option<WebhookEndpointId>),
    (from, until): (Uuid, Uuid),
    after: Option<Place>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::MessageId.gte(from))
        .filter(Column::MessageId.lt(until));
    if let Some(endpoint) = endpoint {
        query = query.filter(Column::EndpointId.eq(endpoint));
    }
    if let Some(Place { message, endpoint }) = after {
        // Both, since the first alone is what an index begins with.
        let same = Condition::all().add(Column::MessageId.eq(message)).add(Column::EndpointId.lt(endpoint));
        query = query
            .filter(Column::MessageId.lte(message))
            .filter(Condition::any().add(Column::MessageId.lt(message)).add(same));
    }
    query.order_by_desc(Column::MessageId).order_by_desc(Column::EndpointId).limit(limit).all(db).await
}

/// Returns one delivery.
pub async fn find(
    db: &impl ConnectionTrait,
    (workspace, endpoint): (WorkspaceId, WebhookEndpointId),
    message: MessageId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id((endpoint, message)).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns what is known of messages.
pub async fn heads(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: Vec<MessageId>,
) -> Result<HashMap<MessageId, Head>, DbErr> {
    use webhook_message::Column;
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = Messages::find()
        .select_only()
        .columns([Column::Id, Column::EventType, Column::SubjectId, Column::Time])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.is_in(ids))
        .into_model::<Head>()
        .all(db)
        .await?;
    Ok(found.into_iter().map(|head| (head.id, head)).collect())
}

/// Returns up to `limit` attempts about messages, newest first.
pub async fn attempts(
    db: &impl ConnectionTrait,
    (workspace, endpoint): (WorkspaceId, Option<WebhookEndpointId>),
    messages: Vec<MessageId>,
    limit: u64,
) -> Result<Vec<Try>, DbErr> {
    use webhook_attempt::Column;
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Attempts::find()
        .select_only()
        .columns([
            Column::Id,
            Column::EndpointId,
            Column::MessageId,
            Column::Number,
            Column::TookMs,
            Column::Status,
            Column::Outcome,
        ])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::MessageId.is_in(messages));
    if let Some(endpoint) = endpoint {
        query = query.filter(Column::EndpointId.eq(endpoint));
    }
    query.order_by_desc(Column::Id).limit(limit).into_model::<Try>().all(db).await
}

/// Returns what was answered to attempts.
pub async fn answers(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[WebhookAttemptId],
) -> Result<HashMap<WebhookAttemptId, Vec<u8>>, DbErr> {
    use webhook_attempt::Column;
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(WebhookAttemptId, Option<Vec<u8>>)> = Attempts::find()
        .select_only()
        .columns([Column::Id, Column::Response])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .into_tuple()
        .all(db)
        .await?;
    Ok(found.into_iter().filter_map(|(id, answer)| Some((id, answer?))).collect())
}

/// Has messages sent to an endpoint again, those of them that are in one of `states`; their attempts begin anew. Returns how many that are.
pub async fn send_again(
    tx: &impl ConnectionTrait,
    (workspace, endpoint): (WorkspaceId, WebhookEndpointId),
    messages: &[MessageId],
    states: &[DeliveryState],
    now: Moment,
) -> Result<u64, DbErr> {
    let changed = Entity::update_many()
        .col_expr(Column::State, Expr::value(DeliveryState::Due as i16))
        .col_expr(Column::Attempts, Expr::value(0_i32))
        .col_expr(Column::NextTime, Expr::value(now))
        .col_expr(Column::UpdateTime, Expr::value(now))
        .filter(Column::EndpointId.eq(endpoint))
        .filter(Column::MessageId.is_in(messages.iter().copied()))
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::State.is_in(states.iter().map(|state| *state as i16)))
        .exec(tx)
        .await?;
    Ok(changed.rows_affected)
}

/// Forgets up to `limit` deliveries of an endpoint, and their attempts. Returns how many deliveries that were.
pub async fn forget(
    tx: &impl ConnectionTrait,
    (workspace, endpoint): (WorkspaceId, WebhookEndpointId),
    limit: u64,
) -> Result<u64, DbErr> {
    let messages: Vec<MessageId> = Entity::find()
        .select_only()
        .column(Column::MessageId)
        .filter(Column::EndpointId.eq(endpoint))
        .filter(Column::WorkspaceId.eq(workspace))
        .limit(limit)
        .into_tuple()
        .all(tx)
        .await?;
    if messages.is_empty() {
        return Ok(0);
    }
    Attempts::delete_many()
        .filter(webhook_attempt::Column::WorkspaceId.eq(workspace))
        .filter(webhook_attempt::Column::MessageId.is_in(messages.iter().copied()))
        .filter(webhook_attempt::Column::EndpointId.eq(endpoint))
        .exec(tx)
        .await?;
    let gone = Entity::delete_many()
        .filter(Column::EndpointId.eq(endpoint))
        .filter(Column::MessageId.is_in(messages))
        .filter(Column::WorkspaceId.eq(workspace))
        .exec(tx)
        .await?;
    Ok(gone.rows_affected)
}
