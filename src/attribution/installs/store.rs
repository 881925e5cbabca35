//! Queries of the tables `installs`, `install_keys` and `click_identities`, and the clicks that an install could be credited to, in SQL
//! that both databases read alike.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveModelTrait as _, ActiveValue, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    FromQueryResult, IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement,
    Value,
    sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict},
};
use uuid::Uuid;

use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    entity::{
        click_identity,
        install::{ActiveModel, Column, Entity, Model},
        install_key,
    },
    ids::{ClickId, InstallId, LinkId, WorkspaceId, floor},
};

/// A click as a candidate is read.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct ClickRow {
    pub id: ClickId,
    pub link_id: LinkId,
    pub visitor: i64,
    pub class: i16,
    pub network: Vec<u8>,
    pub address: Option<i32>,
    pub query: Option<String>,
    pub user_agent: String,
    pub language: String,
    pub claimed: bool,
}

const CLICK: &str =
    "SELECT clicks.id AS id, clicks.link_id AS link_id, clicks.visitor AS visitor, clicks.bot AS class,
    clicks.network AS network, clicks.address AS address, clicks.query AS query,
    agents.value AS user_agent, languages.value AS language,
    EXISTS (SELECT 1 FROM installs WHERE installs.click_id = clicks.id AND installs.test = false) AS claimed
    FROM clicks
    JOIN dictionary AS agents ON agents.id = clicks.user_agent_id
    JOIN dictionary AS languages ON languages.id = clicks.language_id";

/// Returns the newest clicks that people made from a network between two moments, at most `most`.
pub async fn clicks_of_network(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    network: &[u8],
    (from, to): (Moment, Moment),
    most: u32,
) -> Result<Vec<ClickRow>, DbErr> {
    // `bot = 0` as it stands in the index.
    let sql = format!(
        "{CLICK} WHERE clicks.workspace_id = $1 AND clicks.network = $2 AND clicks.bot = 0
         AND clicks.id >= $3 AND clicks.id < $4 ORDER BY clicks.id DESC LIMIT {most}"
    );
    let after = floor(to + chrono::Duration::milliseconds(1));
    let values: [Value; 4] = [workspace.0.into(), network.to_vec().into(), floor(from).into(), after.into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    ClickRow::find_by_statement(statement).all(db).await
}

/// Returns those of the clicks that are stored.
pub async fn clicks(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[ClickId],
) -> Result<Vec<ClickRow>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (0..ids.len()).map(|at| format!("${}", at + 2)).collect();
    let sql = format!("{CLICK} WHERE clicks.workspace_id = $1 AND clicks.id IN ({})", places.join(", "));
    let values = [Value::from(workspace.0)].into_iter().chain(ids.iter().map(|id| id.0.into()));
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    ClickRow::find_by_statement(statement).all(db).await
}

/// Returns those of the clicks that installs have, stored or not.
pub async fn claimed(db: &impl ConnectionTrait, clicks: &[ClickId]) -> Result<HashSet<ClickId>, DbErr> {
    if clicks.is_empty() {
        return Ok(HashSet::new());
    }
    let found: Vec<ClickId> = Entity::find()
        .select_only()
        .column(Column::ClickId)
        .filter(Column::ClickId.is_in(clicks.iter().copied()))
        // As it stands in the index.
        .filter(Expr::cust("test = false"))
        .into_tuple()
        .all(db)
        .await?;
    Ok(found.into_iter().collect())
}

/// Returns the newest clicks that came with one of the identities, at most `most`.
pub async fn clicks_of_identities(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    identities: &[Vec<u8>],
    (from, to): (Moment, Moment),
    most: u64,
) -> Result<Vec<ClickId>, DbErr> {
    use click_identity::Column as Identity;
    if identities.is_empty() {
        return Ok(Vec::new());
    }
    click_identity::Entity::find()
        .select_only()
        .column(Identity::ClickId)
        .filter(Identity::WorkspaceId.eq(workspace))
        .filter(Identity::Key.is_in(identities.iter().cloned()))
        .filter(Identity::ClickId.gte(floor(from)))
        .filter(Identity::ClickId.lt(floor(to + chrono::Duration::milliseconds(1))))
        .order_by_desc(Identity::ClickId)
        .limit(most)
        .into_tuple()
        .all(db)
        .await
}

/// Notes that a click came with identities.
pub async fn identify(
    db: &impl ConnectionTrait,
    (workspace, link, click): (WorkspaceId, LinkId, ClickId),
    identities: &[Vec<u8>],
) -> Result<(), DbErr> {
    if identities.is_empty() {
        return Ok(());
    }
    let rows = identities.iter().map(|key| {
        let row = click_identity::Model {
            workspace_id: workspace,
            key: key.clone(),
            click_id: click,
            link_id: link,
        };
        row.into_active_model()
    });
    use click_identity::Column as Identity;
    let key = [Identity::WorkspaceId, Identity::Key, Identity::ClickId];
    click_identity::Entity::insert_many(rows)
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(db)
        .await
        .map(drop)
}

/// Returns the installs that keys are known to be of, with when each key was last seen.
pub async fn known(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    keys: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, (InstallId, Moment)>, DbErr> {
    use install_key::Column as Key;
    let rows = install_key::Entity::find()
        .filter(Key::WorkspaceId.eq(workspace))
        .filter(Key::Key.is_in(keys.iter().cloned()))
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.key, (row.install_id, row.seen_time))).collect())
}

/// Takes a key for an install, unless it is another's who was seen since `fresh_since`. Returns whose it is now. Whoever takes the same
/// key at the same time waits until the transaction ends.
pub async fn take_key(
    tx: &impl ConnectionTrait,
    (workspace, key): (WorkspaceId, &[u8]),
    install: InstallId,
    now: Moment,
    fresh_since: Option<Moment>,
) -> Result<InstallId, DbErr> {
    // Without a bound every key is fresh.
    let fresh_since = fresh_since.unwrap_or(Moment::UNIX_EPOCH);
    let sql = "INSERT INTO install_keys (workspace_id, key, install_id, seen_time) VALUES ($1, $2, $3, $4)
        ON CONFLICT (workspace_id, key) DO UPDATE SET
        install_id = CASE WHEN install_keys.seen_time < $5 THEN excluded.install_id ELSE install_keys.install_id END,
        seen_time = excluded.seen_time
        RETURNING install_id";
    let values: [Value; 5] =
        [workspace.0.into(), key.to_vec().into(), install.0.into(), now.into(), fresh_since.into()];
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    let row = tx.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a key that was just written".to_owned()))?;
    Ok(InstallId(row.try_get_by_index::<Uuid>(0)?))
}

/// Returns an install.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: InstallId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns an install of whatever workspace. For the node.
pub async fn find_anywhere(db: &impl ConnectionTrait, id: InstallId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Stores an install. `false`: its click has been claimed meanwhile, or its id is in use.
pub async fn insert(tx: &impl ConnectionTrait, install: &Model) -> Result<bool, DbErr> {
    let row = install.clone().into_active_model().reset_all();
    let anything = OnConflict::new().do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(anything).exec_without_returning(tx).await? > 0)
}

/// Stores what became of a pending install. `false`: it is not pending any more. Fails when its click has been claimed meanwhile.
pub async fn settle(tx: &impl ConnectionTrait, install: &Model) -> Result<bool, DbErr> {
    // That the device came again was noted meanwhile, and is no part of the decision.
    let row = ActiveModel {
        reinstalls: ActiveValue::NotSet,
        reinstall_time: ActiveValue::NotSet,
        ..install.clone().into_active_model().reset_all()
    };
    let query = Entity::update_many()
        .set(row)
        .filter(Column::WorkspaceId.eq(install.workspace_id))
        .filter(Column::Id.eq(install.id))
        .filter(Column::State.eq(super::PENDING));
    Ok(query.exec(tx).await?.rows_affected > 0)
}

/// Puts a pending install off.
pub async fn put_off(db: &impl ConnectionTrait, id: InstallId, due: Moment) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::DueTime, due.into())
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(super::PENDING))
        .exec(db)
        .await
        .map(drop)
}

/// Notes that a device installed the app again.
pub async fn note_reinstall(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: InstallId,
    now: Moment,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Reinstalls, Expr::col(Column::Reinstalls).add(1))
        .col_expr(Column::ReinstallTime, now.into())
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.eq(id))
        .exec(tx)
        .await
        .map(drop)
}

/// Says whether a pending install is due. For the node: of all tenants.
pub async fn is_any_due(db: &impl ConnectionTrait, now: Moment) -> Result<bool, DbErr> {
    let due: Option<InstallId> = Entity::find()
        .select_only()
        .column(Column::Id)
        // As it stands in the index.
        .filter(Expr::cust("state = 3"))
        .filter(Column::DueTime.lte(now))
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    Ok(due.is_some())
}

/// Returns the pending install that has been due for longest, and keeps other nodes from deciding it until the transaction ends. For
/// the node: of all tenants.
pub async fn pending(tx: &impl ConnectionTrait, now: Moment) -> Result<Option<Model>, DbErr> {
    let mut query = Entity::find()
        // As it stands in the index.
        .filter(Expr::cust("state = 3"))
        .filter(Column::DueTime.lte(now))
        .order_by_asc(Column::DueTime);
    if dialect(tx.get_database_backend()) == Dialect::Postgres {
        query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    query.one(tx).await
}

/// Forgets what an install is known by.
pub async fn forget_keys(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: InstallId,
) -> Result<(), DbErr> {
    use install_key::Column as Key;
    install_key::Entity::delete_many()
        .filter(Key::WorkspaceId.eq(workspace))
        .filter(Key::InstallId.eq(id))
        .exec(tx)
        .await
        .map(drop)
}

/// Stores what is left of an install that is forgotten.
pub async fn save(tx: &impl ConnectionTrait, install: &Model) -> Result<(), DbErr> {
    Entity::update_many()
        .set(install.clone().into_active_model().reset_all())
        .filter(Column::WorkspaceId.eq(install.workspace_id))
        .filter(Column::Id.eq(install.id))
        .exec(tx)
        .await
        .map(drop)
}
