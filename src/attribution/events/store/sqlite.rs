//! The statements of SQLite.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::{Priced, Revenue, Written, feed_of, revenues};
use crate::{attribution::events::properties, clock::Moment, feed, ids::EventId};

/// SQLite takes 32,766 values in a statement; twenty-three to an event.
const ROWS_A_STATEMENT: usize = 1000;

pub(super) async fn write(
    pool: &SqlitePool,
    rows: &[Priced<'_>],
    now: Moment,
) -> Result<Written, sqlx::Error> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut inserted = HashSet::with_capacity(rows.len());
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        insert(&mut tx, chunk, &mut inserted).await?;
    }
    let losers = claim(&mut tx, &revenues(rows, &inserted)).await?;
    for id in &losers {
        sqlx::query("UPDATE events SET duplicate_revenue = true WHERE id = ?")
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    feed::append_to_sqlite(&mut tx, &feed_of(rows, &inserted, &losers), now).await?;
    tx.commit().await?;
    Ok(Written { inserted, duplicate_revenue: losers.len() as u64 })
}

async fn insert(
    tx: &mut SqliteConnection,
    rows: &[Priced<'_>],
    inserted: &mut HashSet<EventId>,
) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO events (id, workspace_id, install_id, app_id, link_id, click_id, link_open_time, event_time, receive_time,
                             content_hash, units, reporting_units, nanos, reporting_nanos, rate_day, duplicate_revenue,
                             event_key, name, session, currency, reporting_currency, transaction_id, properties) ",
    );
    insert.push_values(rows, |mut values, Priced { row, reporting, home: _ }| {
        let (revenue, reporting) = (row.revenue.as_ref(), reporting.as_ref());
        values
            .push_bind(row.id.0)
            .push_bind(row.source.workspace.0)
            .push_bind(row.install.0)
            .push_bind(row.source.app.map(|app| app.0))
            .push_bind(row.link.map(|link| link.0))
            .push_bind(row.click.map(|click| click.0))
            .push_bind(row.link_open_time)
            .push_bind(row.time)
            .push_bind(row.received)
            .push_bind(row.content)
            .push_bind(revenue.map(|revenue| revenue.amount.units()))
            .push_bind(reporting.map(|reporting| reporting.amount.units()))
            .push_bind(revenue.map(|revenue| revenue.amount.nanos()))
            .push_bind(reporting.map(|reporting| reporting.amount.nanos()))
            .push_bind(reporting.and_then(|reporting| reporting.day))
            .push_bind(false)
            .push_bind(row.key.clone())
            .push_bind(row.name.clone())
            .push_bind(row.session.clone())
            .push_bind(revenue.map(|revenue| revenue.currency.clone()))
            .push_bind(reporting.map(|reporting| reporting.currency.clone()))
            .push_bind(row.transaction.clone())
            .push_bind(properties::object(row.properties.iter()));
    });
    insert.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
    for row in insert.build().fetch_all(tx).await? {
        inserted.insert(EventId(row.try_get(0)?));
    }
    Ok(())
}

/// Claims transactions and returns the events whose transaction another event has.
async fn claim(tx: &mut SqliteConnection, revenues: &[Revenue<'_>]) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut losers = Vec::new();
    for (scope, refund, transaction, event) in revenues {
        let claimed = sqlx::query(
            "INSERT INTO event_transactions (scope_id, refund, transaction_id, event_id) VALUES (?, ?, ?, ?)
             ON CONFLICT (scope_id, refund, transaction_id) DO NOTHING",
        )
        .bind(scope)
        .bind(refund)
        .bind(*transaction)
        .bind(event.0)
        .execute(&mut *tx)
        .await?;
        if claimed.rows_affected() == 0 {
            losers.push(event.0);
        }
    }
    Ok(losers)
}

pub(super) async fn contents(pool: &SqlitePool, ids: &[Uuid]) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let mut found = Vec::new();
    for chunk in ids.chunks(ROWS_A_STATEMENT) {
        let mut select = QueryBuilder::<Sqlite>::new("SELECT id, content_hash FROM events WHERE id IN (");
        let mut places = select.separated(", ");
        for id in chunk {
            places.push_bind(id);
        }
        select.push(")");
        found.extend(select.build_query_as::<(Uuid, i64)>().fetch_all(pool).await?);
    }
    Ok(found)
}
