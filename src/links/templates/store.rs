//! Queries of the table `templates`.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, LockType, OnConflict},
};
use uuid::Uuid;

use super::known as known_of;
use crate::{
    entity::{
        link,
        template::{ActiveModel, Column, Entity, Model},
    },
    ids::{TemplateId, WorkspaceId},
    links::related::Known,
};

/// Inserts a template; `false` when its slug is taken.
pub async fn insert(tx: &impl ConnectionTrait, template: &Model) -> Result<bool, DbErr> {
    let row = ActiveModel::from(template.clone()).reset_all();
    let taken = OnConflict::columns([Column::WorkspaceId, Column::Slug]).do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(taken).exec_without_returning(tx).await? > 0)
}

/// Returns a template.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: TemplateId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns the template of a slug.
pub async fn find_by_slug(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    slug: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::WorkspaceId.eq(workspace)).filter(Column::Slug.eq(slug)).one(db).await
}

/// Returns a template and keeps everybody else from changing and from naming it until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: TemplateId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).lock_exclusive().one(tx).await
}

/// Returns all templates of a workspace and keeps everybody else from changing them until the transaction ends.
pub async fn lock_all(tx: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .order_by_asc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(tx)
        .await
}

/// Returns what is to be known of those of the templates that exist, and of the default one if it is asked for. Keeps
/// everybody from deleting them until the transaction ends.
pub async fn known(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: impl IntoIterator<Item = TemplateId>,
    with_default: bool,
) -> Result<HashMap<TemplateId, Known>, DbErr> {
    let mut which = Condition::any().add(Column::Id.is_in(ids));
    if with_default {
        which = which.add(Column::IsDefault.eq(true));
    }
    let found = Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(which)
        .lock(LockType::KeyShare)
        .all(tx)
        .await?;
    Ok(found.into_iter().map(|template| (template.id, known_of(&template))).collect())
}

/// Lists up to `limit` templates after `after`, oldest first.
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

/// Returns all templates of a workspace.
pub async fn all(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
) -> Result<HashMap<TemplateId, Model>, DbErr> {
    let all = Entity::find().filter(Column::WorkspaceId.eq(workspace)).all(db).await?;
    Ok(all.into_iter().map(|template| (template.id, template)).collect())
}

/// Stores what changed about a template.
pub async fn save(tx: &impl ConnectionTrait, template: &Model) -> Result<(), DbErr> {
    let row = ActiveModel::from(template.clone()).reset_all();
    Entity::update(row).exec(tx).await.map(drop)
}

/// Makes one template the default, and the others not.
pub async fn set_default(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: Option<TemplateId>,
) -> Result<(), DbErr> {
    let is_it = match id {
        Some(id) => Expr::col(Column::Id).eq(id),
        None => Expr::value(false),
    };
    let which = Condition::any().add(Column::IsDefault.eq(true)).add_option(id.map(|id| Column::Id.eq(id)));
    Entity::update_many()
        .col_expr(Column::IsDefault, is_it)
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(which)
        .exec(tx)
        .await
        .map(drop)
}

/// Says whether a link names a template.
pub async fn is_used(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: TemplateId,
) -> Result<bool, DbErr> {
    let one = link::Entity::find()
        .select_only()
        .column(link::Column::Id)
        .filter(link::Column::WorkspaceId.eq(workspace))
        .filter(link::Column::TemplateId.eq(id))
        .limit(1)
        .into_tuple::<Uuid>()
        .one(db)
        .await?;
    Ok(one.is_some())
}

/// Deletes a template.
pub async fn remove(tx: &impl ConnectionTrait, workspace: WorkspaceId, id: TemplateId) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.eq(id))
        .exec(tx)
        .await
        .map(drop)
}
