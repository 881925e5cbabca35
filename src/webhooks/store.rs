//! Queries of `webhook_messages`, `webhook_deliveries`, `webhook_progress` and the outbox, by whoever puts what happened into messages. What
//! happened is of all workspaces at once, so these are the few that do not start from one.

pub mod deliveries;
pub mod endpoints;

use std::collections::HashSet;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _, Statement, sea_query::Expr,
};
use uuid::Uuid;

use super::Message;
use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    entity::{
        outbox, webhook_attempt, webhook_delivery, webhook_endpoint, webhook_message, webhook_progress,
        workspace,
    },
    ids::{ClickId, MessageId, WebhookEndpointId, WorkspaceId, floor},
};

/// SQLite takes 32,766 values in a statement; a message has seven, a delivery nine.
const ROWS: usize = 3000;
/// How many rows one statement forgets.
const FORGOTTEN_AT_ONCE: u64 = 500;

/// How far the feed has been told, and how often something was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Just behind the row of the feed with this number.
    pub seq: i64,
    /// How often.
    pub round: i64,
}

/// What there may be to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// How far the feed has been told.
    pub progress: Progress,
    /// Whether something in the outbox waits to be told.
    pub untold: bool,
    /// Whether anybody wants to be told anything.
    pub listening: bool,
}

/// Returns what there may be to do.
pub async fn look(db: &impl ConnectionTrait) -> Result<Sight, DbErr> {
    let disabled = webhook_endpoint::DISABLED;
    let sql = format!(
        "SELECT seq, round,
            (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE told_time IS NULL LIMIT 1) AS untold),
            (SELECT count(*) FROM (SELECT 1 FROM webhook_endpoints WHERE state <> {disabled} LIMIT 1) AS listening)
        FROM webhook_progress WHERE id = 1"
    );
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("how far the feed was told".to_owned()))?;
    let some = |at: usize| row.try_get_by_index::<i64>(at).map(|count| count > 0);
    Ok(Sight {
        progress: Progress { seq: row.try_get_by_index(0)?, round: row.try_get_by_index(1)? },
        untold: some(2)?,
        listening: some(3)?,
    })
}

/// Returns how far the feed has been told, and keeps everybody else from telling until the transaction ends; `None`: somebody else is at it.
/// On SQLite the transaction itself is that lock.
pub async fn take(tx: &impl ConnectionTrait) -> Result<Option<Progress>, DbErr> {
    let lock = match dialect(tx.get_database_backend()) {
        Dialect::Sqlite => "",
        Dialect::Postgres => "FOR UPDATE SKIP LOCKED",
    };
    let sql = format!("SELECT seq, round FROM webhook_progress WHERE id = 1 {lock}");
    let row = tx.query_one_raw(Statement::from_string(tx.get_database_backend(), sql)).await?;
    row.map(|row| Ok(Progress { seq: row.try_get_by_index(0)?, round: row.try_get_by_index(1)? })).transpose()
}

/// Notes how far the feed has been told.
pub async fn advance(tx: &impl ConnectionTrait, Progress { seq, round }: Progress) -> Result<(), DbErr> {
    let row = webhook_progress::Model { id: 1, seq, round };
    webhook_progress::Entity::update(webhook_progress::ActiveModel::from(row).reset_all())
        .exec(tx)
        .await
        .map(drop)
}

/// Returns every endpoint that something is kept for: whose, which, what it wants.
pub async fn listening(
    db: &impl ConnectionTrait,
) -> Result<Vec<(WorkspaceId, WebhookEndpointId, Vec<u8>)>, DbErr> {
    use webhook_endpoint::{Column, DISABLED, Entity};
    // What is deleted is erased bit by bit.
    let alive = workspace::Entity::find()
        .select_only()
        .column(workspace::Column::Id)
        .filter(workspace::Column::DeleteTime.is_null())
        .into_query();
    Entity::find()
        .select_only()
        .columns([Column::WorkspaceId, Column::Id, Column::Settings])
        .filter(Column::State.ne(DISABLED))
        .filter(Column::WorkspaceId.in_subquery(alive))
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await
}

/// Returns what waits in the outbox, oldest first.
pub async fn untold(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<outbox::Model>, DbErr> {
    use outbox::{Column, Entity};
    let waiting = Entity::find().filter(Column::ToldTime.is_null()).order_by_asc(Column::Id);
    waiting.limit(limit).all(db).await
}

/// Notes that something in the outbox was told, and forgets what there was to tell.
pub async fn set_told(tx: &impl ConnectionTrait, ids: &[Uuid], now: Moment) -> Result<(), DbErr> {
    use outbox::{Column, Entity};
    if ids.is_empty() {
        return Ok(());
    }
    Entity::update_many()
        .col_expr(Column::ToldTime, Expr::value(now))
        .col_expr(Column::Body, Expr::value(None::<Vec<u8>>))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .exec(tx)
        .await
        .map(drop)
}

/// Stores messages.
pub async fn insert_messages(tx: &impl ConnectionTrait, messages: Vec<Message>) -> Result<(), DbErr> {
    use webhook_message::{ActiveModel, Entity};
    let mut rows = messages.into_iter().map(|message| ActiveModel::from(message.write()).reset_all());
    loop {
        let some: Vec<ActiveModel> = rows.by_ref().take(ROWS).collect();
        if some.is_empty() {
            return Ok(());
        }
        Entity::insert_many(some).exec_without_returning(tx).await?;
    }
}

/// Stores who is to be told which message, due at once.
pub async fn insert_deliveries(
    tx: &impl ConnectionTrait,
    deliveries: &[(WorkspaceId, WebhookEndpointId, MessageId)],
    now: Moment,
) -> Result<(), DbErr> {
    use webhook_delivery::{ActiveModel, Entity, Model};
    for some in deliveries.chunks(ROWS) {
        let rows = some.iter().map(|(workspace_id, endpoint_id, message_id)| Model {
            endpoint_id: *endpoint_id,
            message_id: *message_id,
            workspace_id: *workspace_id,
            next_time: now,
            update_time: now,
            attempts: 0,
            last_status: None,
            state: super::DeliveryState::Due as i16,
            last_outcome: 0,
        });
        let rows = rows.map(|row| ActiveModel::from(row).reset_all());
        Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Returns the queries of clicks that are stored and have one.
pub async fn queries_of(
    db: &impl ConnectionTrait,
    clicks: Vec<(WorkspaceId, ClickId)>,
) -> Result<Vec<(WorkspaceId, ClickId, String)>, DbErr> {
    use crate::entity::click::{Column, Entity};
    let mut found = Vec::new();
    for some in clicks.chunks(ROWS) {
        let rows: Vec<(WorkspaceId, ClickId, String)> = Entity::find()
            .select_only()
            .columns([Column::WorkspaceId, Column::Id, Column::Query])
            .filter(Column::Id.is_in(some.iter().map(|(_, click)| *click)))
            .filter(Column::Query.is_not_null())
            .into_tuple()
            .all(db)
            .await?;
        // Anybody can name a click: only one of the same workspace says anything.
        let wanted: HashSet<_> = some.iter().copied().collect();
        found.extend(rows.into_iter().filter(|(workspace, click, _)| wanted.contains(&(*workspace, *click))));
    }
    Ok(found)
}

/// Forgets some messages written before `end` with their deliveries, and some attempts begun before. Returns how many messages and attempts.
pub async fn forget_before(db: &impl ConnectionTrait, end: Moment) -> Result<u64, DbErr> {
    use webhook_attempt as attempt;
    use webhook_delivery as delivery;
    use webhook_message as message;
    let old: Vec<Uuid> = attempt::Entity::find()
        .select_only()
        .column(attempt::Column::Id)
        .filter(attempt::Column::Id.lt(floor(end)))
        .order_by_asc(attempt::Column::Id)
        .limit(FORGOTTEN_AT_ONCE)
        .into_tuple()
        .all(db)
        .await?;
    let mut gone = 0;
    if !old.is_empty() {
        gone += attempt::Entity::delete_many()
            .filter(attempt::Column::Id.is_in(old))
            .exec(db)
            .await?
            .rows_affected;
    }
    let old: Vec<(Uuid, WorkspaceId)> = message::Entity::find()
        .select_only()
        .columns([message::Column::Id, message::Column::WorkspaceId])
        .filter(message::Column::Id.lt(floor(end)))
        .order_by_asc(message::Column::Id)
        .limit(FORGOTTEN_AT_ONCE)
        .into_tuple()
        .all(db)
        .await?;
    if old.is_empty() {
        return Ok(gone);
    }
    // Deliveries first: what dies in between finds the message again.
    delivery::Entity::delete_many()
        .filter(delivery::Column::WorkspaceId.is_in(old.iter().map(|(_, workspace)| *workspace)))
        .filter(delivery::Column::MessageId.is_in(old.iter().map(|(id, _)| *id)))
        .exec(db)
        .await?;
    let messages = message::Entity::delete_many()
        .filter(message::Column::Id.is_in(old.iter().map(|(id, _)| *id)))
        .exec(db)
        .await?;
    Ok(gone + messages.rows_affected)
}
