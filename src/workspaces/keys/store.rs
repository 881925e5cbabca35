//! Queries of `api_keys` and `api_key_uses`.

use chrono::Duration;
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, ExprTrait as _,
    IntoActiveModel as _, JoinType, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    SelectTwo,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{DayOfUse, Key, OLD, Which};
use crate::{
    clock::Moment,
    entity::{
        api_key::{ActiveModel, Column, Entity},
        api_key_use::{Column as UseColumn, Entity as Uses},
        domain, project, workspace,
    },
    ids::{ApiKeyId, DomainId, ProjectId, WorkspaceId},
};

/// Inserts a key.
pub async fn insert(tx: &impl ConnectionTrait, key: &Key) -> Result<(), DbErr> {
    let row: ActiveModel = key.clone().into();
    Entity::insert(row.reset_all()).exec_without_returning(tx).await.map(drop)
}

/// Returns a key of the workspace, if it has this one.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ApiKeyId,
) -> Result<Option<Key>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns a key of the workspace and keeps everybody else from changing it until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ApiKeyId,
) -> Result<Option<Key>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).lock_exclusive().one(tx).await
}

/// Stores what changed about a key.
pub async fn save(tx: &impl ConnectionTrait, key: &Key) -> Result<(), DbErr> {
    Entity::update(key.clone().into_active_model().reset_all()).exec(tx).await.map(drop)
}

/// Returns the key with this hash of its secret, or of the one before, and what the operator says its workspace may have. The only query
/// without a tenant: the secret says which it is.
pub async fn find_by_hash(
    db: &impl ConnectionTrait,
    hash: &[u8],
) -> Result<Option<(Key, Option<serde_json::Value>)>, DbErr> {
    let hashed = Condition::any().add(Column::SecretHash.eq(hash)).add(Column::PreviousHash.eq(hash));
    let found = with_workspace().filter(hashed).one(db).await?;
    Ok(found.and_then(|(key, workspace)| Some((key, workspace?.quotas))))
}

/// Returns the keys that are not revoked and that a certificate with these names opens, two at the most, and what the operator says their
/// workspaces may have. Without a tenant too: the certificate says which it is.
pub async fn find_by_certificate(
    db: &impl ConnectionTrait,
    names: &[String],
) -> Result<Vec<(Key, Option<serde_json::Value>)>, DbErr> {
    let named = Column::CertificateName.is_in(names).and(Column::RevokeTime.is_null());
    let found = with_workspace().filter(named).limit(2).all(db).await?;
    Ok(found.into_iter().filter_map(|(key, workspace)| Some((key, workspace?.quotas))).collect())
}

/// Keys of workspaces that are not about to be erased.
fn with_workspace() -> SelectTwo<Entity, workspace::Entity> {
    Entity::find()
        .select_also(workspace::Entity)
        .join(
            JoinType::InnerJoin,
            Entity::belongs_to(workspace::Entity).from(Column::WorkspaceId).to(workspace::Column::Id).into(),
        )
        .filter(workspace::Column::DeleteTime.is_null())
}

/// Lists up to `limit` of the workspace's keys before `before`, newest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    (which, now): (Which, Moment),
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Key>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Which::Stale(unused) = which {
        query = query.filter(good_at(now)).filter(stale(now, unused));
    }
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
}

fn good_at(now: Moment) -> Condition {
    Condition::all().add(Column::RevokeTime.is_null()).add(Column::ExpireTime.gt(now))
}

/// Says which keys nobody has used for so long, and which have an old secret.
fn stale(now: Moment, unused: Duration) -> Condition {
    let (long_ago, old) = (now - unused, now - OLD);
    Condition::any()
        .add(Column::LastUseTime.lte(long_ago))
        .add(Column::LastUseTime.is_null().and(Column::CreateTime.lte(long_ago)))
        .add(Column::RotateTime.lte(old))
        .add(Column::RotateTime.is_null().and(Column::CreateTime.lte(old)))
}

/// Returns the keys of the workspace that are good.
pub async fn good(db: &impl ConnectionTrait, workspace: WorkspaceId, now: Moment) -> Result<Vec<Key>, DbErr> {
    Entity::find().filter(Column::WorkspaceId.eq(workspace)).filter(good_at(now)).all(db).await
}

/// Counts those of the projects that the workspace has.
pub async fn count_projects(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[ProjectId],
) -> Result<u64, DbErr> {
    if ids.is_empty() {
        return Ok(0);
    }
    let found = project::Entity::find().filter(project::Column::WorkspaceId.eq(workspace));
    found.filter(project::Column::Id.is_in(ids.iter().copied())).count(db).await
}

/// Returns what links of those of the domains that the workspace has say of where they live.
pub async fn namespaces(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[DomainId],
) -> Result<Vec<String>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    domain::Entity::find()
        .select_only()
        .column(domain::Column::Namespace)
        .filter(domain::Column::WorkspaceId.eq(workspace))
        .filter(domain::Column::Id.is_in(ids.iter().copied()))
        .into_tuple()
        .all(db)
        .await
}

/// Removes every key of the workspace.
pub async fn remove_all(tx: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::WorkspaceId.eq(workspace)).exec(tx).await.map(drop)
}

/// Returns up to `limit` keys of all workspaces that end within as many days as one of `steps` says, and of which that step was not
/// told yet. For the node, which is above the tenants.
pub async fn ending(
    db: &impl ConnectionTrait,
    now: Moment,
    steps: [i16; 3],
    limit: u64,
) -> Result<Vec<Key>, DbErr> {
    let due = steps.into_iter().fold(Condition::any(), |any, step| {
        let told = Column::WarnedDays.eq(0).or(Column::WarnedDays.gt(step));
        any.add(Column::ExpireTime.lte(now + Duration::days(i64::from(step))).and(told))
    });
    Entity::find()
        .filter(good_at(now))
        .filter(due)
        .order_by_asc(Column::ExpireTime)
        .limit(limit)
        .all(db)
        .await
}

/// Writes down that a step was told of a key that is still as it was; `false` when somebody else did.
pub async fn set_warned(tx: &impl ConnectionTrait, key: &Key, step: i16) -> Result<bool, DbErr> {
    let changed = Entity::update_many()
        .col_expr(Column::WarnedDays, Expr::value(step))
        .filter(Column::WorkspaceId.eq(key.workspace_id))
        .filter(Column::Id.eq(key.id))
        .filter(Column::WarnedDays.eq(key.warned_days))
        .filter(Column::ExpireTime.eq(key.expire_time))
        .filter(Column::RevokeTime.is_null())
        .exec(tx)
        .await?;
    Ok(changed.rows_affected > 0)
}

/// Ends a key of the workspace unless it was ended before.
pub async fn revoke(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ApiKeyId,
    now: Moment,
) -> Result<(), DbErr> {
    Entity::update_many()
        .set(ActiveModel { revoke_time: Set(Some(now)), ..Default::default() })
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.eq(id))
        .filter(Column::RevokeTime.is_null())
        .exec(tx)
        .await
        .map(drop)
}

/// Notes when a key was last used, unless a later use is noted: nodes write in any order.
pub async fn note_use(tx: &impl ConnectionTrait, id: ApiKeyId, at: Moment) -> Result<(), DbErr> {
    Entity::update_many()
        .set(ActiveModel { last_use_time: Set(Some(at)), ..Default::default() })
        .filter(Column::Id.eq(id))
        .filter(Condition::any().add(Column::LastUseTime.is_null()).add(Column::LastUseTime.lt(at)))
        .exec(tx)
        .await
        .map(drop)
}

/// Adds to what is counted of a day.
pub async fn add_use(tx: &impl ConnectionTrait, day: &DayOfUse) -> Result<(), DbErr> {
    let add = |column: UseColumn, more: i64| Expr::col((Uses, column)).add(more);
    let conflict = OnConflict::columns([UseColumn::WorkspaceId, UseColumn::ApiKeyId, UseColumn::Day])
        .value(UseColumn::Calls, add(UseColumn::Calls, day.calls))
        .value(UseColumn::Errors, add(UseColumn::Errors, day.errors))
        .to_owned();
    let row = day.clone().into_active_model().reset_all();
    Uses::insert(row).on_conflict(conflict).exec_without_returning(tx).await.map(drop)
}

/// Returns how often a key of the workspace was used from a day on.
pub async fn uses(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    key: ApiKeyId,
    from: i32,
) -> Result<Vec<DayOfUse>, DbErr> {
    Uses::find()
        .filter(UseColumn::WorkspaceId.eq(workspace))
        .filter(UseColumn::ApiKeyId.eq(key))
        .filter(UseColumn::Day.gte(from))
        .order_by_asc(UseColumn::Day)
        .all(db)
        .await
}

/// Forgets what was counted before a day. For the node.
pub async fn forget_uses(db: &impl ConnectionTrait, before: i32) -> Result<u64, DbErr> {
    Ok(Uses::delete_many().filter(UseColumn::Day.lt(before)).exec(db).await?.rows_affected)
}
