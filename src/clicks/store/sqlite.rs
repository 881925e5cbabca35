//! The statements of SQLite.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::{Coded, Counts, Kind, Made, Progress, by_lease, counts, feed_of, fresh};
use crate::{clicks::class::Class, feed, ids::LeaseId};

/// SQLite takes 32,766 values in a statement; seventeen to a click.
const ROWS_A_STATEMENT: usize = 1900;
/// The same; four to a link. A statement for each link took longer than the clicks themselves.
const TOTALS_A_STATEMENT: usize = 2000;
/// Two values to a text, and the statement should stay small.
const TEXTS_A_STATEMENT: usize = 500;

pub(super) async fn write(
    pool: &SqlitePool,
    rows: &[Coded<'_>],
    progress: Progress,
) -> Result<Vec<Class>, sqlx::Error> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut inserted = HashSet::with_capacity(rows.len());
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        insert(&mut tx, chunk, &mut inserted).await?;
    }
    let inserted = fresh(rows, Made::Some(inserted));
    add_counts(&mut tx, &counts(&inserted)).await?;
    add_to_leases(&mut tx, &by_lease(&inserted)).await?;
    sqlx::query(
        "INSERT INTO spool_progress (spool_id, segment, position, update_time) VALUES (?, ?, ?, ?)
         ON CONFLICT (spool_id) DO UPDATE
         SET segment = excluded.segment, position = excluded.position, update_time = excluded.update_time",
    )
    .bind(progress.spool)
    .bind(progress.position.segment.cast_signed())
    .bind(progress.position.offset.cast_signed())
    .bind(progress.now)
    .execute(&mut *tx)
    .await?;
    feed::append_to_sqlite(&mut tx, &feed_of(&inserted), progress.now).await?;
    tx.commit().await?;
    Ok(inserted.iter().map(|coded| coded.class).collect())
}

async fn insert(
    tx: &mut SqliteConnection,
    rows: &[Coded<'_>],
    inserted: &mut HashSet<Uuid>,
) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO clicks (id, workspace_id, link_id, visitor, user_agent_id, referrer_id, language_id,
                             platform, bot, step, network, query, country, campaign_id, address, place_id, home_id) ",
    );
    insert.push_values(rows, |mut values, coded| {
        let row = coded.row;
        values
            .push_bind(row.id.0)
            .push_bind(row.workspace.0)
            .push_bind(row.link.0)
            .push_bind(row.visitor)
            .push_bind(coded.user_agent)
            .push_bind(coded.referrer)
            .push_bind(coded.language)
            .push_bind(row.platform)
            .push_bind(coded.class.number())
            .push_bind(row.step)
            .push_bind(row.network.to_vec())
            .push_bind(if row.query.is_empty() { None } else { Some(row.query.to_owned()) })
            .push_bind(row.country.map(|country| country.as_str().to_owned()))
            .push_bind(coded.campaign)
            .push_bind(row.address)
            .push_bind(coded.place)
            .push_bind(coded.home);
    });
    insert.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
    for row in insert.build().fetch_all(tx).await? {
        inserted.insert(row.try_get(0)?);
    }
    Ok(())
}

async fn add_counts(tx: &mut SqliteConnection, counts: &Counts) -> Result<(), sqlx::Error> {
    let counts: Vec<_> = counts.iter().collect();
    for chunk in counts.chunks(TOTALS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO link_totals (workspace_id, link_id, clicks, bot_clicks) ",
        );
        insert.push_values(chunk, |mut values, ((workspace, link), (people, others))| {
            values.push_bind(workspace.0).push_bind(link.0).push_bind(*people).push_bind(*others);
        });
        insert.push(
            " ON CONFLICT (workspace_id, link_id) DO UPDATE
              SET clicks = clicks + excluded.clicks, bot_clicks = bot_clicks + excluded.bot_clicks",
        );
        insert.build().execute(&mut *tx).await?;
    }
    Ok(())
}

/// Adds to what is recorded of leases, and forgets those of which everything is.
async fn add_to_leases(tx: &mut SqliteConnection, used: &BTreeMap<LeaseId, i64>) -> Result<(), sqlx::Error> {
    for (lease, count) in used {
        sqlx::query("UPDATE click_leases SET drained = drained + ? WHERE id = ?")
            .bind(count)
            .bind(lease.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM click_leases WHERE id = ? AND drained = units")
            .bind(lease.0)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Gives numbers to the texts that have none and returns those of all.
pub(super) async fn name(
    pool: &SqlitePool,
    texts: &[(Kind, &str)],
) -> Result<HashMap<(i16, String), i32>, sqlx::Error> {
    let mut found = HashMap::with_capacity(texts.len());
    for chunk in texts.chunks(TEXTS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO dictionary (kind, value) ");
        insert.push_values(chunk, |mut values, text| {
            values.push_bind(text.0 as i16).push_bind(text.1.to_owned());
        });
        insert.push(" ON CONFLICT (kind, value) DO NOTHING");
        insert.build().execute(pool).await?;

        let mut select =
            QueryBuilder::<Sqlite>::new("SELECT kind, value, id FROM dictionary WHERE (kind, value) IN (");
        select.push_values(chunk, |mut values, text| {
            values.push_bind(text.0 as i16).push_bind(text.1.to_owned());
        });
        select.push(")");
        for row in select.build().fetch_all(pool).await? {
            found.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
    }
    Ok(found)
}
