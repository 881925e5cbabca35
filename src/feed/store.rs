//! Queries of `feed`. What the drain appends is sqlx's on SeaORM's own pools, as all it writes.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Statement,
};
use sqlx::{PgConnection, QueryBuilder, Sqlite, SqliteConnection};

use super::{Entry, LIFE, Position, Row, content};
use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    entity::feed::{ActiveModel, Column, Entity, Model},
    ids::WorkspaceId,
};

/// SQLite takes 32,766 values in a statement; four to a row.
const ROWS_A_STATEMENT: usize = 500;
/// How many rows are forgotten in one step.
const FORGOTTEN_AT_ONCE: u64 = 200;

/// Appends rows, in the transaction that stores what they say, and as late in it as can be: until it ends nobody sees what others append
/// behind them. Postgres' own `READ COMMITTED` is enough.
pub async fn append(tx: &impl ConnectionTrait, entries: Vec<Entry>, now: Moment) -> Result<(), DbErr> {
    if entries.is_empty() {
        return Ok(());
    }
    if dialect(tx.get_database_backend()) == Dialect::Postgres {
        let enter = Statement::from_string(tx.get_database_backend(), "SELECT linkforty_feed_enter()");
        tx.execute_raw(enter).await?;
    }
    let rows = entries.into_iter().map(|Entry { workspace, kind, payload }| ActiveModel {
        seq: NotSet,
        workspace_id: Set(workspace),
        time: Set(now),
        kind: Set(kind as i16),
        payload: Set(payload),
    });
    Entity::insert_many(rows).exec_without_returning(tx).await.map(drop)
}

/// The same on a connection of sqlx.
pub async fn append_to_postgres(
    tx: &mut PgConnection,
    entries: &[Entry],
    now: Moment,
) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query("SELECT linkforty_feed_enter()").execute(&mut *tx).await?;
    sqlx::query(
        "INSERT INTO feed (workspace_id, time, kind, payload)
         SELECT workspace_id, $2::timestamptz, kind, payload FROM unnest($1::uuid[], $3::smallint[], $4::bytea[])
              AS new (workspace_id, kind, payload)",
    )
    .bind(entries.iter().map(|entry| entry.workspace.0).collect::<Vec<_>>())
    .bind(now)
    .bind(entries.iter().map(|entry| entry.kind as i16).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| &entry.payload[..]).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await
    .map(drop)
}

/// The same on a connection of sqlx to SQLite.
pub async fn append_to_sqlite(
    tx: &mut SqliteConnection,
    entries: &[Entry],
    now: Moment,
) -> Result<(), sqlx::Error> {
    for chunk in entries.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO feed (workspace_id, time, kind, payload) ");
        insert.push_values(chunk, |mut values, entry| {
            values
                .push_bind(entry.workspace.0)
                .push_bind(now)
                .push_bind(entry.kind as i16)
                .push_bind(entry.payload.clone());
        });
        insert.build().execute(&mut *tx).await?;
    }
    Ok(())
}

/// Returns the place up to which nothing can appear any more: what is stored later has a higher number. Where the feed is read from when
/// nobody says from where.
pub async fn settled(db: &impl ConnectionTrait) -> Result<Position, DbErr> {
    let sql = match dialect(db.get_database_backend()) {
        Dialect::Postgres => "SELECT linkforty_feed_settled()",
        // Where there is one writer, all that can be seen is settled. The number outlives the rows.
        Dialect::Sqlite => "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'feed'), 0)",
    };
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the end of the feed".to_owned()))?;
    Ok(Position(row.try_get_by_index(0)?))
}

/// Returns the rows behind a position, of one workspace or of all, in their order: at most `limit`, and fewer at the end. Not in a transaction
/// that reads a snapshot (`REPEATABLE READ`): what appears between its first question and this one would be passed over.
pub async fn read_after(
    db: &impl ConnectionTrait,
    workspace: Option<WorkspaceId>,
    position: Position,
    limit: u64,
) -> Result<Vec<Row>, DbErr> {
    let end = settled(db).await?;
    let of: Option<&[WorkspaceId]> = workspace.as_ref().map(std::slice::from_ref);
    read_between(db, of, (position, end), limit).await
}

/// Returns the rows behind one position and not behind another, which was settled before this was asked: of some workspaces, or of all.
pub async fn read_between(
    db: &impl ConnectionTrait,
    workspaces: Option<&[WorkspaceId]>,
    (after, end): (Position, Position),
    limit: u64,
) -> Result<Vec<Row>, DbErr> {
    if after >= end {
        return Ok(Vec::new());
    }
    let mut query = Entity::find().filter(Column::Seq.gt(after.0)).filter(Column::Seq.lte(end.0));
    if let Some(workspaces) = workspaces {
        query = query.filter(Column::WorkspaceId.is_in(workspaces.iter().copied()));
    }
    let rows = query.order_by_asc(Column::Seq).limit(limit).all(db).await?;
    rows.into_iter().map(row).collect()
}

/// Returns all rows of a workspace behind a position that can be seen, settled or not. For whoever looks at one moment, a snapshot.
pub async fn all_after(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    position: Position,
) -> Result<Vec<Row>, DbErr> {
    let query = Entity::find().filter(Column::Seq.gt(position.0)).filter(Column::WorkspaceId.eq(workspace));
    let rows = query.order_by_asc(Column::Seq).all(db).await?;
    rows.into_iter().map(row).collect()
}

fn row(Model { seq, workspace_id, time, kind, payload }: Model) -> Result<Row, DbErr> {
    let items = content::read(kind, &payload)
        .ok_or_else(|| DbErr::Custom(format!("row {seq} of the feed is of no release that is known here")))?;
    Ok(Row { position: Position(seq), workspace: workspace_id, time, items: items.into() })
}

/// Forgets rows that are older than [`LIFE`] and not behind `counted`, oldest first and at most 200. Returns how many.
pub async fn forget(db: &impl ConnectionTrait, counted: Position, now: Moment) -> Result<u64, DbErr> {
    let oldest: Vec<(i64, Moment)> = Entity::find()
        .select_only()
        .columns([Column::Seq, Column::Time])
        .filter(Column::Seq.lte(counted.0))
        .order_by_asc(Column::Seq)
        .limit(FORGOTTEN_AT_ONCE)
        .into_tuple()
        .all(db)
        .await?;
    // Up to the first that is young: what is left has no holes.
    let Some((last, _)) = oldest.iter().take_while(|(_, time)| *time < now - LIFE).last() else {
        return Ok(0);
    };
    let gone = Entity::delete_many().filter(Column::Seq.lte(*last)).exec(db).await?;
    Ok(gone.rows_affected)
}
