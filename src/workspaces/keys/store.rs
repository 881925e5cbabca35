//! Queries of `api_keys`.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DbErr,
    EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::Key;
use crate::{
    clock::Moment,
    entity::api_key::{ActiveModel, Column, Entity},
    ids::{ApiKeyId, WorkspaceId},
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

/// Returns the key with this hash of its secret. The only query without a tenant: the secret says which it is.
pub async fn find_by_hash(db: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<Key>, DbErr> {
    Entity::find().filter(Column::SecretHash.eq(hash)).one(db).await
}

/// Lists up to `limit` of the workspace's keys before `before`, newest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Key>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
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
