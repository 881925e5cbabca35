//! Which deliveries are due, whose turn it is to send them, and what became of them.
//!
//! A node claims a delivery by moving its next attempt on by [`LEASE`] and commits before it calls anybody. If it dies, that attempt comes. What
//! became of a delivery is written only by whoever claimed it last: the moment it moved the attempt to is its ticket, since no two claims
//! of a delivery have the same. The SQL is sqlx's on SeaORM's own pools, for its arrays.

mod postgres;
mod sqlite;

use chrono::TimeDelta;
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult as _, RuntimeErr, Statement};
use uuid::Uuid;

use super::{
    endpoint::Endpoint,
    message::{DeliveryState, Message},
    retry::Outcome,
};
use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    entity::{webhook_endpoint, webhook_message},
    ids::{MessageId, WebhookEndpointId, WorkspaceId},
};

/// How long a claim lasts: four times as long as a call may take.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How many endpoints are looked at in one go.
pub const AT_ONCE: usize = 256;

/// A delivery that this node is to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// To whom.
    pub endpoint: WebhookEndpointId,
    /// What.
    pub message: Message,
    /// How often it was tried.
    pub attempts: i32,
    /// Until when nobody else does. The ticket.
    pub until: Moment,
}

/// What became of a claimed delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// To whom.
    pub endpoint: WebhookEndpointId,
    /// What.
    pub message: MessageId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// The ticket.
    pub until: Moment,
    /// What it is from now on.
    pub state: DeliveryState,
    /// When it is tried next.
    pub next_time: Moment,
    /// The attempt; `None`: there was none, it is only put back.
    pub attempt: Option<Attempted>,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// Its id, whose time part is when it began.
    pub id: Uuid,
    /// Which it was of its delivery, from 1.
    pub number: i32,
    /// How it ended.
    pub outcome: Outcome,
    /// The status, where there was one.
    pub status: Option<u16>,
    /// How long it took.
    pub took_ms: i32,
    /// The beginning of the answer's body, where there was one.
    pub response: Option<Vec<u8>>,
}

/// Returns the endpoints behind `after`, in the order of their ids, for which something is due: at most [`AT_ONCE`]. Looks at each endpoint that
/// anything waits for, not at each delivery.
pub async fn due(
    db: &DatabaseConnection,
    after: WebhookEndpointId,
    now: Moment,
) -> Result<Vec<Endpoint>, DbErr> {
    let sql = "
        WITH RECURSIVE waiting (id) AS (
            SELECT (SELECT endpoint_id FROM webhook_deliveries WHERE state = 1 AND endpoint_id > $1
                    ORDER BY endpoint_id LIMIT 1)
            UNION ALL
            SELECT (SELECT endpoint_id FROM webhook_deliveries WHERE state = 1 AND endpoint_id > waiting.id
                    ORDER BY endpoint_id LIMIT 1)
            FROM waiting WHERE waiting.id IS NOT NULL)
        SELECT webhook_endpoints.* FROM waiting JOIN webhook_endpoints ON webhook_endpoints.id = waiting.id
        WHERE webhook_endpoints.state = 1 AND EXISTS (
            SELECT 1 FROM webhook_deliveries
            WHERE endpoint_id = waiting.id AND webhook_deliveries.state = 1 AND next_time <= $2)
        ORDER BY waiting.id LIMIT $3";
    let values = [after.0.into(), now.into(), (AT_ONCE as i64).into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = webhook_endpoint::Model::find_by_statement(statement).all(db).await?;
    rows.into_iter().map(Endpoint::read).collect()
}

/// Claims so many deliveries of each endpoint, the oldest that are due, until `until`. An endpoint that is told nothing any more gets none.
pub async fn claim(
    db: &DatabaseConnection,
    rooms: &[(WebhookEndpointId, usize)],
    now: Moment,
    until: Moment,
) -> Result<Vec<Claimed>, DbErr> {
    let rows = match dialect(db.get_database_backend()) {
        Dialect::Postgres => {
            postgres::claim(db.get_postgres_connection_pool(), rooms, now, until).await.map_err(failed)?
        }
        Dialect::Sqlite => {
            sqlite::claim(db.get_sqlite_connection_pool(), rooms, now, until).await.map_err(failed)?
        }
    };
    rows.into_iter().map(|row| read(row, until)).collect()
}

/// Writes down what became of deliveries, in one transaction. What somebody else has claimed meanwhile is left as it is; its attempt is
/// written down all the same.
pub async fn record(db: &DatabaseConnection, entries: &[Entry], now: Moment) -> Result<(), DbErr> {
    if entries.is_empty() {
        return Ok(());
    }
    match dialect(db.get_database_backend()) {
        Dialect::Postgres => {
            postgres::record(db.get_postgres_connection_pool(), entries, now).await.map_err(failed)
        }
        Dialect::Sqlite => {
            sqlite::record(db.get_sqlite_connection_pool(), entries, now).await.map_err(failed)
        }
    }
}

/// What waits to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// How many deliveries to endpoints that are told anything.
    pub waiting: i64,
    /// When the first of them is or was due.
    pub oldest: Option<Moment>,
}

/// Counts what waits to be told.
pub async fn backlog(db: &DatabaseConnection) -> Result<Backlog, DbErr> {
    #[derive(sea_orm::FromQueryResult)]
    struct Row {
        waiting: i64,
        oldest: Option<Moment>,
    }
    let sql = "SELECT count(*) AS waiting, min(next_time) AS oldest FROM webhook_deliveries
        JOIN webhook_endpoints ON webhook_endpoints.id = webhook_deliveries.endpoint_id
        WHERE webhook_deliveries.state = 1 AND webhook_endpoints.state = 1";
    let row = Row::find_by_statement(Statement::from_string(db.get_database_backend(), sql)).one(db).await?;
    Ok(row
        .map_or(Backlog { waiting: 0, oldest: None }, |Row { waiting, oldest }| Backlog { waiting, oldest }))
}

/// A claimed delivery as it is read: the endpoint and the attempts so far, and then the message.
type Row = (Uuid, i32, Uuid, Uuid, Option<Uuid>, i16, Uuid, Moment, Vec<u8>);

fn read(row: Row, until: Moment) -> Result<Claimed, DbErr> {
    let (endpoint, attempts, id, workspace, only_endpoint, event_type, subject_id, time, body) = row;
    let message = Message::read(webhook_message::Model {
        id: MessageId(id),
        workspace_id: WorkspaceId(workspace),
        endpoint_id: only_endpoint.map(WebhookEndpointId),
        event_type,
        subject_id,
        time,
        body,
    })?;
    Ok(Claimed { endpoint: WebhookEndpointId(endpoint), message, attempts, until })
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
