//! Ads for links that somebody saw: no clicks, kept in a table of their own for as long as an install may be credited to them, and counted nowhere.
//!
//! They come as clicks do, by the spool. Of a device whose network names it, with consent, nothing is kept but a keyed hash; the same is noted
//! of clicks.

use chrono::Duration;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult as _,
    IntoActiveModel as _, QueryFilter as _, QuerySelect as _, Statement, Value, sea_query::OnConflict,
};

use super::installs::{
    report::identity,
    store::{ClickRow, identify as note_identities},
};
use crate::{
    clicks::{
        class::{Class, by_user_agent},
        decode,
        drain::Unreadable,
        query::{ad_id, without_ad_ids},
    },
    clock::Moment,
    entity::view::{Column, Entity, Model},
    env::Env,
    error::Result,
    ids::{ClickId, WorkspaceId, floor},
    spool::Record,
};

/// How long they are kept: the longest window, and as long again for what comes late.
const KEPT: Duration = Duration::hours(48);
/// How many one statement removes.
const AT_ONCE: u64 = 1000;
/// How many rows one statement inserts: SQLite knows 32,766 parameters.
const ROWS_AT_ONCE: usize = 500;

/// Writes views that the spool holds. Returns those that nobody can read.
pub(super) async fn carry(env: &Env, records: &[(usize, &Record)]) -> Result<Vec<Unreadable>, DbErr> {
    let mut unreadable = Vec::new();
    let mut rows = Vec::new();
    for (place, record) in records {
        match read(env, record) {
            Some(row) => rows.push(row),
            None => unreadable.push(Unreadable(*place)),
        }
    }
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().map(|row| row.clone().into_active_model().reset_all());
        Entity::insert_many(rows)
            .on_conflict(OnConflict::column(Column::Id).do_nothing().to_owned())
            .exec_without_returning(env.db.writer(&env.db.drain))
            .await?;
    }
    Ok(unreadable)
}

fn read(env: &Env, record: &Record) -> Option<Model> {
    let row = decode(record.id, &record.payload)?;
    let class = if row.class == Class::Human { by_user_agent(row.user_agent) } else { row.class };
    let identity = ad_id(row.query).map(|id| identity(env, row.workspace, "device", &id));
    Some(Model {
        id: row.id,
        workspace_id: row.workspace,
        link_id: row.link,
        class: class.number(),
        network: row.network.to_vec(),
        address: row.address,
        visitor: row.visitor,
        identity,
        user_agent: row.user_agent.to_owned(),
        language: row.language.to_owned(),
        query: without_ad_ids(row.query),
    })
}

/// Notes of which device a click is, where its network says so with consent.
pub(super) async fn identify(env: &Env, record: &Record) -> Result<(), DbErr> {
    let Some(row) = decode(record.id, &record.payload) else { return Ok(()) };
    let Some(id) = ad_id(row.query) else { return Ok(()) };
    let key = identity(env, row.workspace, "device", &id);
    note_identities(env.db.writer(&env.db.drain), (row.workspace, row.link, row.id), &[key]).await
}

/// The views that an install could be credited to, and which of them are of its device.
#[derive(Debug, Default)]
pub struct Seen {
    /// The views, those of the device first.
    pub rows: Vec<ClickRow>,
    /// How many of them are of the device.
    pub of_device: usize,
}

/// Returns the newest views of a device, and those that people of a network had, between two moments; of each at most `most`, and none of the
/// network if there were more.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    (identities, network): (&[Vec<u8>], &[u8]),
    (from, to): (Moment, Moment),
    most: u32,
) -> Result<Seen, DbErr> {
    let mut seen = Seen::default();
    let span: [Value; 3] =
        [workspace.0.into(), floor(from).into(), floor(to + Duration::milliseconds(1)).into()];
    if !identities.is_empty() {
        let places: Vec<String> = (0..identities.len()).map(|at| format!("${}", at + 4)).collect();
        let filter = format!("identity IN ({})", places.join(", "));
        let values = span.iter().cloned().chain(identities.iter().map(|key| key.clone().into()));
        seen.rows = rows(db, &filter, values.collect(), most).await?;
        seen.of_device = seen.rows.len();
    }
    if !network.is_empty() {
        let values = span.into_iter().chain([network.to_vec().into()]).collect();
        // `class = 0` as it stands in the index.
        let found = rows(db, "network = $4 AND class = 0", values, most + 1).await?;
        if found.len() <= most as usize {
            let new = found
                .into_iter()
                .filter(|row| !seen.rows[..seen.of_device].iter().any(|own| own.id == row.id));
            let new: Vec<ClickRow> = new.collect();
            seen.rows.extend(new);
        }
    }
    Ok(seen)
}

async fn rows(
    db: &impl ConnectionTrait,
    filter: &str,
    values: Vec<Value>,
    most: u32,
) -> Result<Vec<ClickRow>, DbErr> {
    let sql = format!(
        "SELECT id, link_id, visitor, class, network, address, query, user_agent, language,
         EXISTS (SELECT 1 FROM installs WHERE installs.click_id = views.id AND installs.test = false) AS claimed
         FROM views WHERE workspace_id = $1 AND id >= $2 AND id < $3 AND {filter} ORDER BY id DESC LIMIT {most}"
    );
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    ClickRow::find_by_statement(statement).all(db).await
}

/// Removes views that no install can be credited to any more. Returns how many.
pub async fn forget(env: &Env) -> Result<u64> {
    let before = floor(env.now() - KEPT);
    let mut removed = 0;
    loop {
        let old: Vec<ClickId> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.lt(before))
            .limit(AT_ONCE)
            .into_tuple()
            .all(&env.db.drain)
            .await?;
        if old.is_empty() {
            return Ok(removed);
        }
        let query = Entity::delete_many().filter(Column::Id.is_in(old));
        removed += query.exec(env.db.writer(&env.db.drain)).await?.rows_affected;
    }
}
