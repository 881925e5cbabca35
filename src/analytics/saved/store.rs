//! Queries of the tables `reports` and `report_shares`.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::{
    entity::{
        report_share::{self, Entity as Shares, Model as Share},
        saved_report::{ActiveModel, Column, Entity, Model},
    },
    ids::{ReportShareId, SavedReportId, WorkspaceId},
};

/// Inserts a report.
pub async fn insert(tx: &impl ConnectionTrait, report: &Model) -> Result<(), DbErr> {
    let row = ActiveModel::from(report.clone()).reset_all();
    Entity::insert(row).exec_without_returning(tx).await.map(drop)
}

/// Says how many reports there are.
pub async fn count(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::WorkspaceId.eq(workspace)).count(db).await
}

/// Returns a report.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: SavedReportId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns a report and keeps everybody else from changing it until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: SavedReportId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).lock_exclusive().one(tx).await
}

/// Lists up to `limit` reports after `after`, oldest first.
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

/// Stores what changed about a report.
pub async fn save(tx: &impl ConnectionTrait, report: &Model) -> Result<(), DbErr> {
    let row = ActiveModel::from(report.clone()).reset_all();
    Entity::update(row).exec(tx).await.map(drop)
}

/// Deletes a report, and its shares with it.
pub async fn remove(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: SavedReportId,
) -> Result<(), DbErr> {
    let this = Entity::delete_many().filter(Column::WorkspaceId.eq(workspace)).filter(Column::Id.eq(id));
    this.exec(tx).await.map(drop)
}

/// Inserts a share.
pub async fn insert_share(tx: &impl ConnectionTrait, share: &Share) -> Result<(), DbErr> {
    let row = report_share::ActiveModel::from(share.clone()).reset_all();
    Shares::insert(row).exec_without_returning(tx).await.map(drop)
}

/// Lists the shares of a report, oldest first.
pub async fn shares(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    report: SavedReportId,
) -> Result<Vec<Share>, DbErr> {
    Shares::find()
        .filter(report_share::Column::WorkspaceId.eq(workspace))
        .filter(report_share::Column::ReportId.eq(report))
        .order_by_asc(report_share::Column::Id)
        .all(db)
        .await
}

/// Returns a share.
pub async fn find_share(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ReportShareId,
) -> Result<Option<Share>, DbErr> {
    Shares::find_by_id(id).filter(report_share::Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns the share whose token hashes to `hash`, and its report, whosever they are: the token says it.
pub async fn opened(db: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<(Share, Option<Model>)>, DbErr> {
    let share = Shares::find().filter(report_share::Column::TokenHash.eq(hash)).one(db).await?;
    let Some(share) = share else { return Ok(None) };
    let report = find(db, share.workspace_id, share.report_id).await?;
    Ok(Some((share, report)))
}

/// Deletes a share.
pub async fn remove_share(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ReportShareId,
) -> Result<bool, DbErr> {
    let gone = Shares::delete_many()
        .filter(report_share::Column::WorkspaceId.eq(workspace))
        .filter(report_share::Column::Id.eq(id))
        .exec(tx)
        .await?;
    Ok(gone.rows_affected > 0)
}
