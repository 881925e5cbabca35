//! The statements of Postgres.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::{Coded, Counts, Kind, Made, Progress, by_lease, counts, feed_of, fresh};
use crate::{
    clicks::class::Class,
    feed,
    geo::Country,
    ids::{LeaseId, time_of},
};

/// What Postgres says when no partition fits.
const CHECK_VIOLATION: &str = "23514";

pub(super) async fn write(
    pool: &PgPool,
    rows: &[Coded<'_>],
    progress: Progress,
) -> Result<Vec<Class>, sqlx::Error> {
    match try_write(pool, rows, progress).await {
        Err(error) if code(&error).as_deref() == Some(CHECK_VIOLATION) => {
            for day in days(rows) {
                make_partitions(pool, day, day).await?;
            }
            try_write(pool, rows, progress).await
        }
        done => done,
    }
}

async fn try_write(pool: &PgPool, rows: &[Coded<'_>], progress: Progress) -> Result<Vec<Class>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let inserted = fresh(rows, insert(&mut tx, rows).await?);
    add_counts(&mut tx, &counts(&inserted)).await?;
    add_to_leases(&mut tx, &by_lease(&inserted)).await?;
    sqlx::query(
        "INSERT INTO spool_progress (spool_id, segment, position, update_time) VALUES ($1, $2, $3, $4)
         ON CONFLICT (spool_id) DO UPDATE
         SET segment = excluded.segment, position = excluded.position, update_time = excluded.update_time",
    )
    .bind(progress.spool)
    .bind(progress.position.segment.cast_signed())
    .bind(progress.position.offset.cast_signed())
    .bind(progress.now)
    .execute(&mut *tx)
    .await?;
    feed::append_to_postgres(&mut tx, &feed_of(&inserted), progress.now).await?;
    tx.commit().await?;
    Ok(inserted.iter().map(|coded| coded.class).collect())
}

async fn insert(tx: &mut PgConnection, rows: &[Coded<'_>]) -> Result<Made, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Made::All);
    }
    // Nothing comes back when every row is new, and else one array and not a row for each click, which would cost as much as
    // the rest of the drain.
    let found: Option<Vec<Uuid>> = sqlx::query_scalar(
        "WITH inserted AS (
         INSERT INTO clicks (id, workspace_id, link_id, visitor, user_agent_id, referrer_id, language_id,
                             platform, bot, step, network, query, country, campaign_id, address, place_id, home_id)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::integer[], $6::integer[],
                              $7::integer[], $8::smallint[], $9::smallint[], $10::smallint[], $11::bytea[], $12::text[],
                              $13::char(2)[], $14::integer[], $15::integer[], $17::integer[], $18::integer[])
         ON CONFLICT (id) DO NOTHING
         RETURNING id)
         SELECT CASE WHEN count(*) < $16 THEN coalesce(array_agg(id), '{}') END FROM inserted",
    )
    .bind(column(rows, |row| row.row.id.0))
    .bind(column(rows, |row| row.row.workspace.0))
    .bind(column(rows, |row| row.row.link.0))
    .bind(column(rows, |row| row.row.visitor))
    .bind(column(rows, |row| row.user_agent))
    .bind(column(rows, |row| row.referrer))
    .bind(column(rows, |row| row.language))
    .bind(column(rows, |row| row.row.platform))
    .bind(column(rows, |row| row.class.number()))
    .bind(column(rows, |row| row.row.step))
    .bind(column(rows, |row| row.row.network))
    .bind(column(rows, |row| Some(row.row.query).filter(|query| !query.is_empty())))
    .bind(column(rows, |row| row.row.country.as_ref().map(Country::as_str)))
    .bind(column(rows, |row| row.campaign))
    .bind(column(rows, |row| row.row.address))
    .bind(rows.len() as i64)
    .bind(column(rows, |row| row.place))
    .bind(column(rows, |row| row.home))
    .fetch_one(&mut *tx)
    .await?;
    Ok(found.map_or(Made::All, |ids| Made::Some(ids.into_iter().collect())))
}

async fn add_counts(tx: &mut PgConnection, counts: &Counts) -> Result<(), sqlx::Error> {
    if counts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO link_totals (workspace_id, link_id, clicks, bot_clicks)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[])
         ON CONFLICT (workspace_id, link_id) DO UPDATE
         SET clicks = link_totals.clicks + excluded.clicks, bot_clicks = link_totals.bot_clicks + excluded.bot_clicks",
    )
    .bind(counts.iter().map(|count| count.0.0.0).collect::<Vec<_>>())
    .bind(counts.iter().map(|count| count.0.1.0).collect::<Vec<_>>())
    .bind(counts.iter().map(|count| count.1.0).collect::<Vec<_>>())
    .bind(counts.iter().map(|count| count.1.1).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await
    .map(drop)
}

/// Adds to what is recorded of leases, and forgets those of which everything is.
async fn add_to_leases(tx: &mut PgConnection, used: &BTreeMap<LeaseId, i64>) -> Result<(), sqlx::Error> {
    if used.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE click_leases SET drained = drained + used.count
         FROM unnest($1::uuid[], $2::bigint[]) AS used (id, count) WHERE click_leases.id = used.id",
    )
    .bind(used.keys().map(|lease| lease.0).collect::<Vec<_>>())
    .bind(used.values().copied().collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM click_leases WHERE id = ANY($1) AND drained = units")
        .bind(used.keys().map(|lease| lease.0).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await
        .map(drop)
}

/// Gives numbers to the texts that have none and returns those of all.
pub(super) async fn name(
    pool: &PgPool,
    texts: &[(Kind, &str)],
) -> Result<HashMap<(i16, String), i32>, sqlx::Error> {
    let kinds: Vec<i16> = texts.iter().map(|text| text.0 as i16).collect();
    let values: Vec<&str> = texts.iter().map(|text| text.1).collect();
    sqlx::query(
        "INSERT INTO dictionary (kind, value) SELECT * FROM unnest($1::smallint[], $2::text[])
         ON CONFLICT (kind, value) DO NOTHING",
    )
    .bind(&kinds)
    .bind(&values)
    .execute(pool)
    .await?;
    let rows = sqlx::query(
        "SELECT kind, value, id FROM dictionary
         JOIN unnest($1::smallint[], $2::text[]) AS wanted (kind, value) USING (kind, value)",
    )
    .bind(&kinds)
    .bind(&values)
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

pub(super) async fn make_partitions(
    pool: &PgPool,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT linkforty_make_click_partitions($1, $2)")
        .bind(first)
        .bind(last)
        .fetch_one(pool)
        .await
}

/// One column of the rows, as UNNEST takes it.
fn column<'a, T>(rows: &'a [Coded<'a>], of: impl Fn(&'a Coded<'a>) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

fn days(rows: &[Coded<'_>]) -> HashSet<NaiveDate> {
    rows.iter().map(|row| time_of(row.row.id.0).date_naive()).collect()
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned)
}
