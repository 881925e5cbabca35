//! The statements of SQLite.

use sqlx::SqlitePool;

use super::{Entry, Row};
use crate::{clock::Moment, ids::WebhookEndpointId};

/// A statement of its own for each: nothing leaves the process, and nobody else writes meanwhile.
pub(super) async fn claim(
    pool: &SqlitePool,
    rooms: &[(WebhookEndpointId, usize)],
    now: Moment,
    until: Moment,
) -> Result<Vec<Row>, sqlx::Error> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut rows: Vec<Row> = Vec::new();
    for (endpoint, room) in rooms {
        let from = rows.len();
        let found: Vec<Row> = sqlx::query_as(
            "SELECT delivery.endpoint_id, delivery.attempts, message.id, message.workspace_id,
                    message.endpoint_id, message.event_type, message.subject_id, message.time, message.body
             FROM webhook_deliveries AS delivery
             JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
             JOIN webhook_messages AS message ON message.id = delivery.message_id
             WHERE delivery.endpoint_id = ? AND delivery.state = 1 AND delivery.next_time <= ? AND endpoint.state = 1
             ORDER BY delivery.next_time LIMIT ?",
        )
        .bind(endpoint.0)
        .bind(now)
        .bind(i64::try_from(*room).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
        rows.extend(found);
        for (_, _, message, ..) in &rows[from..] {
            sqlx::query(
                "UPDATE webhook_deliveries SET next_time = ? WHERE endpoint_id = ? AND message_id = ?",
            )
            .bind(until)
            .bind(endpoint.0)
            .bind(message)
            .execute(&mut *tx)
            .await?;
        }
    }
    tx.commit().await?;
    Ok(rows)
}

pub(super) async fn record(pool: &SqlitePool, entries: &[Entry], now: Moment) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    for entry in entries {
        let attempt = entry.attempt.as_ref();
        let number = attempt.map(|attempt| attempt.number);
        sqlx::query(
            "UPDATE webhook_deliveries
             SET state = ?1, next_time = ?2, update_time = ?3, attempts = coalesce(?4, attempts),
                 last_outcome = coalesce(?5, last_outcome),
                 last_status = CASE WHEN ?4 IS NULL THEN last_status ELSE ?6 END
             WHERE endpoint_id = ?7 AND message_id = ?8 AND state = 1 AND next_time = ?9",
        )
        .bind(entry.state as i16)
        .bind(entry.next_time)
        .bind(now)
        .bind(number)
        .bind(attempt.map(|attempt| attempt.outcome as i16))
        .bind(attempt.and_then(|attempt| attempt.status).map(i32::from))
        .bind(entry.endpoint.0)
        .bind(entry.message.0)
        .bind(entry.until)
        .execute(&mut *tx)
        .await?;
        let Some(attempt) = attempt else { continue };
        sqlx::query(
            "INSERT INTO webhook_attempts (id, workspace_id, endpoint_id, message_id, number, took_ms, status, outcome, response)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
             WHERE EXISTS (SELECT 1 FROM webhook_deliveries WHERE endpoint_id = ?3 AND message_id = ?4)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(attempt.id)
        .bind(entry.workspace.0)
        .bind(entry.endpoint.0)
        .bind(entry.message.0)
        .bind(attempt.number)
        .bind(attempt.took_ms)
        .bind(attempt.status.map(i32::from))
        .bind(attempt.outcome as i16)
        .bind(attempt.response.clone())
        .execute(&mut *tx)
        .await?;
    }
    fail::fail_point!("webhooks.record.mid");
    tx.commit().await
}
