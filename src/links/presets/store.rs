//! Queries of the table `utm_presets`.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, SqlErr, sea_query::OnConflict,
};
use uuid::Uuid;

use crate::{
    entity::utm_preset::{ActiveModel, Column, Entity, Model},
    ids::{UtmPresetId, WorkspaceId},
};

/// Inserts a preset; `false` when its name is taken.
pub async fn insert(tx: &impl ConnectionTrait, preset: &Model) -> Result<bool, DbErr> {
    let row = ActiveModel::from(preset.clone()).reset_all();
    let taken = OnConflict::columns([Column::WorkspaceId, Column::Name]).do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(taken).exec_without_returning(tx).await? > 0)
}

/// Returns a preset.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: UtmPresetId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns a preset and keeps everybody else from changing it until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: UtmPresetId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).lock_exclusive().one(tx).await
}

/// Lists up to `limit` presets after `after`, oldest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.order_by_asc(Column::Id).limit(limit).all(db).await
}

/// Stores what changed about a preset; `false`, and the transaction is of no more use, when its name is taken.
pub async fn save(tx: &impl ConnectionTrait, preset: &Model) -> Result<bool, DbErr> {
    let row = ActiveModel::from(preset.clone()).reset_all();
    match Entity::update(row).exec(tx).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes a preset; `false` when there is none.
pub async fn remove(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: UtmPresetId,
) -> Result<bool, DbErr> {
    let gone = Entity::delete_many()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.eq(id))
        .exec(tx)
        .await?;
    Ok(gone.rows_affected > 0)
}
