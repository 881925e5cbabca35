//! Queries of `rollups`, `roll_progress` and `undecided_events` that write. Any number of rows is one statement, whose keys come as JSON and
//! whose contents as one text of bytes: so neither database has a bound on how many.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult as _,
    QueryFilter as _, Statement, Value, sea_query::OnConflict,
};

use super::{content::Content, credits::Counted, key::Key};
use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    entity::{
        click_rollup, roll_progress,
        undecided_event::{ActiveModel, Column, Entity},
    },
    ids::{EventId, InstallId, WorkspaceId, floor},
};

/// How many rows are read and written in one go.
const ROWS_A_STATEMENT: usize = 4000;
const EVENTS_A_STATEMENT: usize = 1000;

/// How far the feed has been counted, and how often rollups have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Just behind the row of the feed with this number.
    pub seq: i64,
    /// How often.
    pub round: i64,
}

/// Returns how far the feed has been counted.
pub async fn progress(db: &impl ConnectionTrait) -> Result<Progress, DbErr> {
    let row = roll_progress::Entity::find_by_id(1_i16).one(db).await?;
    Ok(row.map_or(Progress { seq: 0, round: 0 }, |row| Progress { seq: row.seq, round: row.round }))
}

/// The same, and whoever else asks so waits until the transaction ends; `None`: somebody else has it. On SQLite the transaction itself
/// is that lock.
pub async fn take(tx: &impl ConnectionTrait, patience: Patience) -> Result<Option<Progress>, DbErr> {
    let lock = match (dialect(tx.get_database_backend()), patience) {
        (Dialect::Sqlite, _) => "",
        (Dialect::Postgres, Patience::None) => "FOR UPDATE SKIP LOCKED",
        (Dialect::Postgres, Patience::Endless) => "FOR UPDATE",
    };
    let sql = format!("SELECT seq, round FROM roll_progress WHERE id = 1 {lock}");
    let row = tx.query_one_raw(Statement::from_string(tx.get_database_backend(), sql)).await?;
    row.map(|row| Ok(Progress { seq: row.try_get_by_index(0)?, round: row.try_get_by_index(1)? })).transpose()
}

/// Whether one waits for what somebody else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// No.
    None,
    /// Yes.
    Endless,
}

/// Notes how far the feed has been counted.
pub async fn advance(tx: &impl ConnectionTrait, to: Progress) -> Result<(), DbErr> {
    roll_progress::Entity::update(roll_progress::ActiveModel {
        id: Set(1),
        seq: Set(to.seq),
        round: Set(to.round),
    })
    .exec(tx)
    .await
    .map(drop)
}

/// Adds to rows. Nobody else may write any meanwhile: see [`take`].
pub async fn add(tx: &impl ConnectionTrait, rows: BTreeMap<Key, Content>, round: i64) -> Result<(), DbErr> {
    let mut rows: Vec<(Key, Content)> = rows.into_iter().collect();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS_A_STATEMENT));
        let some = std::mem::replace(&mut rows, rest);
        let stored = contents(tx, &some).await?;
        let mut written = Vec::with_capacity(some.len());
        for ((key, content), stored) in some.into_iter().zip(stored) {
            let mut sum = match &stored {
                Some(bytes) => Content::decode(bytes)
                    .ok_or_else(|| DbErr::Custom(format!("the rollup {key:?} cannot be read")))?,
                None => Content::default(),
            };
            sum.merge(content);
            written.push(Written {
                key,
                content: sum.encode(),
                clicks: sum.clicks(),
                is_empty: sum.is_empty(),
            });
        }
        put(tx, &written, round).await?;
        let gone: Vec<Key> = written.iter().filter(|row| row.is_empty).map(|row| row.key).collect();
        remove(tx, &gone).await?;
    }
    Ok(())
}

/// Returns what is stored of rows, in their order.
async fn contents(tx: &impl ConnectionTrait, rows: &[(Key, Content)]) -> Result<Vec<Option<Vec<u8>>>, DbErr> {
    let sql = match dialect(tx.get_database_backend()) {
        Dialect::Postgres => {
            "SELECT wanted.at, rollups.content FROM json_to_recordset($1::json)
                 AS wanted (at integer, w uuid, s smallint, p integer, b smallint, l smallint, t integer)
             JOIN rollups ON rollups.workspace_id = wanted.w AND rollups.scope = wanted.s AND rollups.part = wanted.p
                 AND rollups.bundle = wanted.b AND rollups.level = wanted.l AND rollups.period = wanted.t"
        }
        Dialect::Sqlite => {
            "SELECT wanted.value ->> 'at', rollups.content FROM json_each($1) AS wanted
             CROSS JOIN rollups ON rollups.workspace_id = unhex(wanted.value ->> 'w')
                 AND rollups.scope = wanted.value ->> 's' AND rollups.part = wanted.value ->> 'p'
                 AND rollups.bundle = wanted.value ->> 'b' AND rollups.level = wanted.value ->> 'l'
                 AND rollups.period = wanted.value ->> 't'"
        }
    };
    let keys = keys(rows.iter().map(|(key, _)| (key, 0, 0, 0)));
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [keys.into()]);
    let mut found = vec![None; rows.len()];
    for row in tx.query_all_raw(statement).await? {
        let at: i32 = row.try_get_by_index(0)?;
        let place = usize::try_from(at).ok().and_then(|at| found.get_mut(at));
        *place.ok_or_else(|| DbErr::Custom("a row that nobody asked for".to_owned()))? =
            Some(row.try_get_by_index(1)?);
    }
    Ok(found)
}

/// A row as it is to be.
struct Written {
    key: Key,
    content: Vec<u8>,
    clicks: i64,
    is_empty: bool,
}

/// Writes rows.
async fn put(tx: &impl ConnectionTrait, rows: &[Written], round: i64) -> Result<(), DbErr> {
    let mut bytes = Vec::with_capacity(rows.iter().map(|row| row.content.len()).sum());
    let mut places = Vec::with_capacity(rows.len());
    for Written { key, content, clicks, .. } in rows.iter().filter(|row| !row.is_empty) {
        places.push((key, bytes.len() + 1, content.len(), *clicks));
        bytes.extend_from_slice(content);
    }
    if places.is_empty() {
        return Ok(());
    }
    let sql = match dialect(tx.get_database_backend()) {
        Dialect::Postgres => {
            "INSERT INTO rollups (workspace_id, scope, part, bundle, level, period, clicks, version, content)
             SELECT w, s, p, b, l, t, c, $2, substring($3::bytea FROM o FOR n) FROM json_to_recordset($1::json)
                 AS new (w uuid, s smallint, p integer, b smallint, l smallint, t integer, o integer, n integer, c bigint)
             ON CONFLICT (workspace_id, scope, part, bundle, level, period)
             DO UPDATE SET version = excluded.version, clicks = excluded.clicks, content = excluded.content"
        }
        Dialect::Sqlite => {
            "INSERT INTO rollups (workspace_id, scope, part, bundle, level, period, clicks, version, content)
             SELECT unhex(value ->> 'w'), value ->> 's', value ->> 'p', value ->> 'b', value ->> 'l', value ->> 't',
                 value ->> 'c', $2,
                 substr($3, value ->> 'o', value ->> 'n') FROM json_each($1) WHERE true
             ON CONFLICT (workspace_id, scope, part, bundle, level, period)
             DO UPDATE SET version = excluded.version, clicks = excluded.clicks, content = excluded.content"
        }
    };
    let values = [Value::from(keys(places.into_iter())), round.into(), bytes.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// Removes rows in which nothing is left.
async fn remove(tx: &impl ConnectionTrait, gone: &[Key]) -> Result<(), DbErr> {
    for key in gone {
        let Key { workspace, scope, part, bundle, level, period } = *key;
        let sql = "DELETE FROM rollups WHERE workspace_id = $1 AND scope = $2 AND part = $3 AND bundle = $4
             AND level = $5 AND period = $6";
        let values: [Value; 6] = [
            workspace.into(),
            (scope as i16).into(),
            part.cast_signed().into(),
            (bundle as i16).into(),
            (level as i16).into(),
            period.into(),
        ];
        tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    }
    Ok(())
}

fn keys<'a>(rows: impl Iterator<Item = (&'a Key, usize, usize, i64)>) -> String {
    use std::fmt::Write as _;
    let mut json = String::from("[");
    for (at, (key, offset, length, clicks)) in rows.enumerate() {
        let Key { workspace, scope, part, bundle, level, period } = *key;
        let (scope, bundle, level) = (scope as i16, bundle as i16, level as i16);
        let workspace = workspace.0.simple();
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            json,
            "{comma}{{\"at\":{at},\"w\":\"{workspace}\",\"s\":{scope},\"p\":{},\"b\":{bundle},\"l\":{level},\"t\":{period},\"o\":{offset},\"n\":{length},\"c\":{clicks}}}",
            part.cast_signed(),
        );
    }
    json.push(']');
    json
}

/// Removes a row of an earlier release and returns what it was at that moment.
pub async fn take_old(
    tx: &impl ConnectionTrait,
    row: &click_rollup::Model,
) -> Result<Option<click_rollup::Model>, DbErr> {
    let sql = "DELETE FROM click_rollups WHERE workspace_id = $1 AND link_id = $2 AND hour = $3
         RETURNING workspace_id, link_id, hour, clicks, bot_clicks";
    let values: [Value; 3] = [row.workspace_id.into(), row.link_id.into(), row.hour.into()];
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    click_rollup::Model::find_by_statement(statement).one(tx).await
}

/// Remembers events that are counted before their install is decided.
pub async fn remember(tx: &impl ConnectionTrait, events: &[(WorkspaceId, &Counted)]) -> Result<(), DbErr> {
    for some in events.chunks(EVENTS_A_STATEMENT) {
        let rows = some.iter().map(|(workspace, counted)| ActiveModel {
            workspace_id: Set(*workspace),
            install_id: Set(counted.event.install),
            event_id: Set(counted.event.id),
            content: Set(serde_json::to_vec(counted).unwrap_or_default()),
        });
        let key = [Column::WorkspaceId, Column::InstallId, Column::EventId];
        let again = OnConflict::columns(key).update_column(Column::Content).to_owned();
        Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Returns what is remembered of the events of installs.
pub async fn remembered(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    installs: &HashSet<InstallId>,
) -> Result<HashMap<InstallId, Vec<Counted>>, DbErr> {
    let installs: Vec<InstallId> = installs.iter().copied().collect();
    let mut found: HashMap<InstallId, Vec<Counted>> = HashMap::new();
    for some in installs.chunks(EVENTS_A_STATEMENT) {
        let rows = Entity::find()
            .filter(Column::WorkspaceId.eq(workspace))
            .filter(Column::InstallId.is_in(some.iter().copied()))
            .all(tx)
            .await?;
        for row in rows {
            let counted = serde_json::from_slice(&row.content).map_err(|error| {
                DbErr::Custom(format!("event {} is remembered badly: {error}", row.event_id))
            })?;
            found.entry(row.install_id).or_default().push(counted);
        }
    }
    Ok(found)
}

/// Forgets events of a workspace.
pub async fn forget(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    events: &[(InstallId, EventId)],
) -> Result<(), DbErr> {
    for some in events.chunks(EVENTS_A_STATEMENT) {
        Entity::delete_many()
            .filter(Column::WorkspaceId.eq(workspace))
            .filter(Column::InstallId.is_in(some.iter().map(|(install, _)| *install)))
            .filter(Column::EventId.is_in(some.iter().map(|(_, event)| *event)))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Forgets events that happened before a moment.
pub async fn forget_before(db: &impl ConnectionTrait, before: Moment) -> Result<u64, DbErr> {
    let old = Entity::delete_many().filter(Column::EventId.lt(EventId(floor(before))));
    Ok(old.exec(db).await?.rows_affected)
}

/// Returns the first and the last day of which a workspace has rollups.
pub async fn days(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Option<(i32, i32)>, DbErr> {
    let sql = "SELECT MIN(period), MAX(period) FROM rollups
         WHERE workspace_id = $1 AND scope = 0 AND part = 0 AND bundle = 0 AND level = 1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [workspace.into()]);
    let Some(row) = db.query_one_raw(statement).await? else { return Ok(None) };
    let (first, last): (Option<i32>, Option<i32>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok(first.zip(last))
}

/// Returns all rows of a day of a workspace, its hours among them.
pub async fn of_day(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    day: i32,
) -> Result<BTreeMap<Key, Vec<u8>>, DbErr> {
    use crate::entity::rollup;
    let sql = format!("SELECT * FROM rollups WHERE {}", of_one_day(db));
    let statement =
        Statement::from_sql_and_values(db.get_database_backend(), sql, day_values(workspace, day));
    let rows = rollup::Entity::find().from_raw_sql(statement).all(db).await?;
    rows.into_iter()
        .map(|row| {
            let key = Key::stored(&row);
            let key =
                key.ok_or_else(|| DbErr::Custom("a rollup of no release that is known here".to_owned()))?;
            Ok((key, row.content))
        })
        .collect()
}

/// Removes all rows of a day of a workspace.
pub async fn clear_day(tx: &impl ConnectionTrait, workspace: WorkspaceId, day: i32) -> Result<(), DbErr> {
    let sql = format!("DELETE FROM rollups WHERE {}", of_one_day(tx));
    let values = day_values(workspace, day);
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// Returns what says that a row is of a day of a workspace. On Postgres there is an index of `period + 0`, for this and for nothing else: see its migration.
fn of_one_day(db: &impl ConnectionTrait) -> String {
    let period = match dialect(db.get_database_backend()) {
        Dialect::Postgres => "(period + 0)",
        Dialect::Sqlite => "period",
    };
    format!(
        "workspace_id = $1 AND (level = 1 AND {period} = $2 OR level = 0 AND {period} >= $3 AND {period} < $4)"
    )
}

fn day_values(workspace: WorkspaceId, day: i32) -> [Value; 4] {
    let a_day = super::key::HOURS_A_DAY;
    [workspace.into(), day.into(), (day * a_day).into(), ((day + 1) * a_day).into()]
}
