//! Queries of the table `webhook_endpoints`, as people ask them.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::{
    entity::webhook_endpoint::{ActiveModel, Column, Entity},
    ids::{WebhookEndpointId, WorkspaceId},
    webhooks::Endpoint,
};

/// Inserts an endpoint.
pub async fn insert(tx: &impl ConnectionTrait, endpoint: &Endpoint) -> Result<(), DbErr> {
    let row = ActiveModel::from(endpoint.clone().write()).reset_all();
    Entity::insert(row).exec_without_returning(tx).await.map(drop)
}

/// Says how many endpoints there are.
pub async fn count(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::WorkspaceId.eq(workspace)).count(db).await
}

/// Returns an endpoint.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: WebhookEndpointId,
) -> Result<Option<Endpoint>, DbErr> {
    let this = Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace));
    this.one(db).await?.map(Endpoint::read).transpose()
}

/// Returns an endpoint and keeps everybody else from changing it until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: WebhookEndpointId,
) -> Result<Option<Endpoint>, DbErr> {
    let this = Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace));
    this.lock_exclusive().one(tx).await?.map(Endpoint::read).transpose()
}

/// Lists up to `limit` endpoints after `after`, oldest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Endpoint>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    let rows = query.order_by_asc(Column::Id).limit(limit).all(db).await?;
    rows.into_iter().map(Endpoint::read).collect()
}

/// Stores what changed about an endpoint that is locked.
pub async fn save(tx: &impl ConnectionTrait, endpoint: &Endpoint) -> Result<(), DbErr> {
    let row = ActiveModel::from(endpoint.clone().write()).reset_all();
    Entity::update(row).exec(tx).await.map(drop)
}

/// Deletes an endpoint, and nothing else.
pub async fn remove(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: WebhookEndpointId,
) -> Result<(), DbErr> {
    let this = Entity::delete_many().filter(Column::WorkspaceId.eq(workspace)).filter(Column::Id.eq(id));
    this.exec(tx).await.map(drop)
}
