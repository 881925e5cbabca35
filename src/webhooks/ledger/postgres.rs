//! The statements of Postgres.

use sqlx::{PgConnection, PgPool};

use super::{Entry, Row};
use crate::{clock::Moment, ids::WebhookEndpointId};

/// One statement: who else is about to claim passes over what this one holds. Rows are found again by their place, since no plan can know how
/// few they are; locked, they stay there.
pub(super) async fn claim(
    pool: &PgPool,
    rooms: &[(WebhookEndpointId, usize)],
    now: Moment,
    until: Moment,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as(
        "WITH picked AS MATERIALIZED (
             SELECT due.place FROM unnest($1::uuid[], $2::bigint[]) AS wanted (id, room)
             JOIN webhook_endpoints ON webhook_endpoints.id = wanted.id AND webhook_endpoints.state = 1
             CROSS JOIN LATERAL (
                 SELECT ctid AS place FROM webhook_deliveries
                 WHERE endpoint_id = wanted.id AND state = 1 AND next_time <= $3
                 ORDER BY next_time LIMIT wanted.room FOR UPDATE SKIP LOCKED) AS due),
         claimed AS (
             UPDATE webhook_deliveries SET next_time = $4 WHERE ctid = ANY (ARRAY(SELECT place FROM picked))
             RETURNING endpoint_id, message_id, attempts)
         SELECT claimed.endpoint_id, claimed.attempts, message.id, message.workspace_id,
                message.endpoint_id, message.event_type, message.subject_id, message.time, message.body
         FROM claimed JOIN webhook_messages AS message ON message.id = claimed.message_id",
    )
    .bind(rooms.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
    .bind(rooms.iter().map(|(_, room)| i64::try_from(*room).unwrap_or(i64::MAX)).collect::<Vec<_>>())
    .bind(now)
    .bind(until)
    .fetch_all(pool)
    .await
}

pub(super) async fn record(pool: &PgPool, entries: &[Entry], now: Moment) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    update(&mut tx, entries, now).await?;
    insert_attempts(&mut tx, entries).await?;
    fail::fail_point!("webhooks.record.mid");
    tx.commit().await
}

async fn update(tx: &mut PgConnection, entries: &[Entry], now: Moment) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE webhook_deliveries
         SET state = entry.state, next_time = entry.next_time, update_time = $1,
             attempts = coalesce(entry.number, attempts), last_outcome = coalesce(entry.outcome, last_outcome),
             last_status = CASE WHEN entry.number IS NULL THEN last_status ELSE entry.status END
         FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::smallint[], $6::timestamptz[], $7::integer[],
                     $8::smallint[], $9::integer[])
              AS entry (endpoint_id, message_id, until, state, next_time, number, outcome, status)
         WHERE webhook_deliveries.endpoint_id = entry.endpoint_id AND webhook_deliveries.message_id = entry.message_id
           AND webhook_deliveries.state = 1 AND webhook_deliveries.next_time = entry.until",
    )
    .bind(now)
    .bind(column(entries, |entry| entry.endpoint.0))
    .bind(column(entries, |entry| entry.message.0))
    .bind(column(entries, |entry| entry.until))
    .bind(column(entries, |entry| entry.state as i16))
    .bind(column(entries, |entry| entry.next_time))
    .bind(column(entries, |entry| entry.attempt.as_ref().map(|attempt| attempt.number)))
    .bind(column(entries, |entry| entry.attempt.as_ref().map(|attempt| attempt.outcome as i16)))
    .bind(column(entries, |entry| entry.attempt.as_ref().and_then(|attempt| attempt.status).map(i32::from)))
    .execute(tx)
    .await
    .map(drop)
}

/// What belongs to a delivery that is gone, with its endpoint, is not written.
async fn insert_attempts(tx: &mut PgConnection, entries: &[Entry]) -> Result<(), sqlx::Error> {
    let made: Vec<_> = entries.iter().filter_map(|entry| Some((entry, entry.attempt.as_ref()?))).collect();
    if made.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO webhook_attempts (id, workspace_id, endpoint_id, message_id, number, took_ms, status, outcome, response)
         SELECT attempt.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::integer[], $6::integer[], $7::integer[],
                             $8::smallint[], $9::bytea[])
              AS attempt (id, workspace_id, endpoint_id, message_id, number, took_ms, status, outcome, response)
         JOIN webhook_deliveries ON webhook_deliveries.endpoint_id = attempt.endpoint_id
          AND webhook_deliveries.message_id = attempt.message_id
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(column(&made, |(_, attempt)| attempt.id))
    .bind(column(&made, |(entry, _)| entry.workspace.0))
    .bind(column(&made, |(entry, _)| entry.endpoint.0))
    .bind(column(&made, |(entry, _)| entry.message.0))
    .bind(column(&made, |(_, attempt)| attempt.number))
    .bind(column(&made, |(_, attempt)| attempt.took_ms))
    .bind(column(&made, |(_, attempt)| attempt.status.map(i32::from)))
    .bind(column(&made, |(_, attempt)| attempt.outcome as i16))
    .bind(column(&made, |(_, attempt)| attempt.response.clone()))
    .execute(tx)
    .await
    .map(drop)
}

fn column<E, T>(entries: &[E], of: impl Fn(&E) -> T) -> Vec<T> {
    entries.iter().map(of).collect()
}
