//! Queries of the table `projects`.

use std::collections::HashSet;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, LockType},
};
use uuid::Uuid;

use super::Project;
use crate::{
    clock::Moment,
    entity::{
        link::{self, Column as LinkColumn},
        project::{ActiveModel, Column, Entity},
    },
    ids::{LinkId, ProjectId, WorkspaceId},
};

/// The links of one statement that takes links out of a project.
const LINKS_AT_ONCE: u64 = 5000;
/// The same, where somebody is told of each.
const TOLD_AT_ONCE: u64 = 1000;

/// Inserts a project.
pub async fn insert(tx: &impl ConnectionTrait, project: &Project) -> Result<(), DbErr> {
    let row = ActiveModel::from(project.clone()).reset_all();
    Entity::insert(row).exec_without_returning(tx).await.map(drop)
}

/// Returns a project.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ProjectId,
) -> Result<Option<Project>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns a project and keeps everybody else from changing it until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ProjectId,
) -> Result<Option<Project>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).lock_exclusive().one(tx).await
}

/// Returns those of the projects that exist, and keeps everybody from deleting them until the transaction ends.
pub async fn existing(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: HashSet<ProjectId>,
) -> Result<HashSet<ProjectId>, DbErr> {
    let found = Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.is_in(ids))
        .lock(LockType::KeyShare)
        .all(tx)
        .await?;
    Ok(found.into_iter().map(|project| project.id).collect())
}

/// Lists up to `limit` projects after `after`, oldest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Project>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.order_by_asc(Column::Id).limit(limit).all(db).await
}

/// Stores what changed about a project.
pub async fn save(tx: &impl ConnectionTrait, project: &Project) -> Result<(), DbErr> {
    let row = ActiveModel::from(project.clone()).reset_all();
    Entity::update(row).exec(tx).await.map(drop)
}

/// Takes some links out of a project and returns how many.
pub async fn take_out(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ProjectId,
    now: Moment,
) -> Result<u64, DbErr> {
    let some = link::Entity::find()
        .select_only()
        .column(LinkColumn::Id)
        .filter(LinkColumn::WorkspaceId.eq(workspace))
        .filter(LinkColumn::ProjectId.eq(id))
        .limit(LINKS_AT_ONCE)
        .into_query();
    let taken = link::Entity::update_many()
        .col_expr(LinkColumn::ProjectId, Expr::value(None::<Uuid>))
        .col_expr(LinkColumn::Version, Expr::col(LinkColumn::Version).add(1_i64))
        .col_expr(LinkColumn::UpdateTime, Expr::value(now))
        .filter(LinkColumn::Id.in_subquery(some))
        .exec(db)
        .await?;
    Ok(taken.rows_affected)
}

/// Returns some links of a project, locked.
pub async fn some_links(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ProjectId,
) -> Result<Vec<link::Model>, DbErr> {
    link::Entity::find()
        .filter(LinkColumn::WorkspaceId.eq(workspace))
        .filter(LinkColumn::ProjectId.eq(id))
        .limit(TOLD_AT_ONCE)
        .lock(LockType::Update)
        .all(tx)
        .await
}

/// Returns what a link becomes that is taken out of its project.
pub fn without_project(link: &link::Model, now: Moment) -> link::Model {
    link::Model { project_id: None, version: link.version + 1, update_time: now, ..link.clone() }
}

/// Takes locked links out of their project.
pub async fn take_these_out(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    links: impl Iterator<Item = LinkId>,
    now: Moment,
) -> Result<(), DbErr> {
    link::Entity::update_many()
        .col_expr(LinkColumn::ProjectId, Expr::value(None::<Uuid>))
        .col_expr(LinkColumn::Version, Expr::col(LinkColumn::Version).add(1_i64))
        .col_expr(LinkColumn::UpdateTime, Expr::value(now))
        .filter(LinkColumn::WorkspaceId.eq(workspace))
        .filter(LinkColumn::Id.is_in(links))
        .exec(tx)
        .await
        .map(drop)
}

/// Deletes a project; `false` when there is none.
pub async fn remove(tx: &impl ConnectionTrait, workspace: WorkspaceId, id: ProjectId) -> Result<bool, DbErr> {
    let gone = Entity::delete_many()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.eq(id))
        .exec(tx)
        .await?;
    Ok(gone.rows_affected > 0)
}
