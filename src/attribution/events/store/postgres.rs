//! The statements of Postgres.

use std::collections::HashSet;

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Priced, Revenue, Written, feed_of, revenues};
use crate::{
    attribution::events::properties,
    clock::Moment,
    feed,
    ids::{EventId, time_of},
};

/// What Postgres says when no partition fits.
const CHECK_VIOLATION: &str = "23514";

pub(super) async fn write(pool: &PgPool, rows: &[Priced<'_>], now: Moment) -> Result<Written, sqlx::Error> {
    match try_write(pool, rows, now).await {
        Err(error) if is_missing_partition(&error) => {
            let days: HashSet<NaiveDate> =
                rows.iter().map(|priced| time_of(priced.row.id.0).date_naive()).collect();
            for day in days {
                make_partitions(pool, day, day).await?;
            }
            try_write(pool, rows, now).await
        }
        done => done,
    }
}

async fn try_write(pool: &PgPool, rows: &[Priced<'_>], now: Moment) -> Result<Written, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let inserted = insert(&mut tx, rows).await?;
    let losers = claim(&mut tx, &revenues(rows, &inserted)).await?;
    if !losers.is_empty() {
        sqlx::query("UPDATE events SET duplicate_revenue = true WHERE id = ANY($1)")
            .bind(&losers)
            .execute(&mut *tx)
            .await?;
    }
    feed::append_to_postgres(&mut tx, &feed_of(rows, &inserted, &losers), now).await?;
    tx.commit().await?;
    Ok(Written { inserted, duplicate_revenue: losers.len() as u64 })
}

async fn insert(tx: &mut PgConnection, rows: &[Priced<'_>]) -> Result<HashSet<EventId>, sqlx::Error> {
    // Nothing comes back when every row is new, and else one array.
    let found: Option<Vec<Uuid>> = sqlx::query_scalar(
        "WITH inserted AS (
         INSERT INTO events (id, workspace_id, install_id, app_id, link_id, click_id, link_open_time, event_time, receive_time,
                             content_hash, units, reporting_units, nanos, reporting_nanos, rate_day, duplicate_revenue,
                             event_key, name, session, currency, reporting_currency, transaction_id, properties)
         SELECT id, workspace_id, install_id, app_id, link_id, click_id, link_open_time, event_time, receive_time,
                content_hash, units, reporting_units, nanos, reporting_nanos, rate_day, false,
                event_key, name, session, currency, reporting_currency, transaction_id, properties
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::timestamptz[],
                     $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::bigint[], $12::bigint[], $13::integer[],
                     $14::integer[], $15::integer[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[],
                     $21::text[], $22::text[])
              AS new (id, workspace_id, install_id, app_id, link_id, click_id, link_open_time, event_time, receive_time,
                      content_hash, units, reporting_units, nanos, reporting_nanos, rate_day,
                      event_key, name, session, currency, reporting_currency, transaction_id, properties)
         ON CONFLICT (id) DO NOTHING
         RETURNING id)
         SELECT CASE WHEN count(*) < $23 THEN coalesce(array_agg(id), '{}') END FROM inserted",
    )
    .bind(column(rows, |one| one.row.id.0))
    .bind(column(rows, |one| one.row.source.workspace.0))
    .bind(column(rows, |one| one.row.install.0))
    .bind(column(rows, |one| one.row.source.app.map(|app| app.0)))
    .bind(column(rows, |one| one.row.link.map(|link| link.0)))
    .bind(column(rows, |one| one.row.click.map(|click| click.0)))
    .bind(column(rows, |one| one.row.link_open_time))
    .bind(column(rows, |one| one.row.time))
    .bind(column(rows, |one| one.row.received))
    .bind(column(rows, |one| one.row.content))
    .bind(column(rows, |one| one.row.revenue.as_ref().map(|revenue| revenue.amount.units())))
    .bind(column(rows, |one| one.reporting.as_ref().map(|reporting| reporting.amount.units())))
    .bind(column(rows, |one| one.row.revenue.as_ref().map(|revenue| revenue.amount.nanos())))
    .bind(column(rows, |one| one.reporting.as_ref().map(|reporting| reporting.amount.nanos())))
    .bind(column(rows, |one| one.reporting.as_ref().and_then(|reporting| reporting.day)))
    .bind(column(rows, |one| one.row.key.as_str()))
    .bind(column(rows, |one| one.row.name.as_str()))
    .bind(column(rows, |one| one.row.session.as_deref()))
    .bind(column(rows, |one| one.row.revenue.as_ref().map(|revenue| revenue.currency.as_str())))
    .bind(column(rows, |one| one.reporting.as_ref().map(|reporting| reporting.currency.as_str())))
    .bind(column(rows, |one| one.row.transaction.as_deref()))
    .bind(column(rows, |one| properties::object(one.row.properties.iter())))
    .bind(rows.len() as i64)
    .fetch_one(&mut *tx)
    .await?;
    Ok(match found {
        None => rows.iter().map(|one| one.row.id).collect(),
        Some(ids) => ids.into_iter().map(EventId).collect(),
    })
}

/// Claims transactions and returns the events whose transaction another event has.
async fn claim(tx: &mut PgConnection, revenues: &[Revenue<'_>]) -> Result<Vec<Uuid>, sqlx::Error> {
    if revenues.is_empty() {
        return Ok(Vec::new());
    }
    let won: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO event_transactions (scope_id, refund, transaction_id, event_id)
         SELECT * FROM unnest($1::uuid[], $2::boolean[], $3::text[], $4::uuid[])
         ON CONFLICT (scope_id, refund, transaction_id) DO NOTHING
         RETURNING event_id",
    )
    .bind(revenues.iter().map(|one| one.0).collect::<Vec<_>>())
    .bind(revenues.iter().map(|one| one.1).collect::<Vec<_>>())
    .bind(revenues.iter().map(|one| one.2).collect::<Vec<_>>())
    .bind(revenues.iter().map(|one| one.3.0).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    let won: HashSet<Uuid> = won.into_iter().collect();
    Ok(revenues.iter().map(|one| one.3.0).filter(|id| !won.contains(id)).collect())
}

pub(super) async fn contents(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT id, content_hash FROM events WHERE id = ANY($1)").bind(ids).fetch_all(pool).await
}

pub(super) async fn make_partitions(
    pool: &PgPool,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT linkforty_make_event_partitions($1, $2)")
        .bind(first)
        .bind(last)
        .fetch_one(pool)
        .await
}

/// One column of the rows, as UNNEST takes it.
fn column<'a, 'r, T>(rows: &'a [Priced<'r>], of: impl Fn(&'a Priced<'r>) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

fn is_missing_partition(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == CHECK_VIOLATION)
}
