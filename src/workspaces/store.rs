//! Queries of `workspaces` and `members`.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait, JoinType,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, RelationDef,
};
use uuid::Uuid;

use super::{Role, Workspace};
use crate::{
    clock::Moment,
    entity::{
        domain,
        member::{self, Entity as Members, Model as Member},
        workspace::{self, Entity as Workspaces},
    },
    ids::{UserId, WorkspaceId},
};

/// Inserts a workspace.
pub async fn insert(tx: &impl ConnectionTrait, workspace: &Workspace) -> Result<(), DbErr> {
    let row: workspace::ActiveModel = workspace.clone().into();
    Workspaces::insert(row.reset_all()).exec_without_returning(tx).await.map(drop)
}

/// Inserts a membership; `false` when the person belongs to the workspace already.
pub async fn insert_member(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    user: UserId,
    role: Role,
    now: Moment,
) -> Result<bool, DbErr> {
    let row = member::ActiveModel {
        workspace_id: Set(workspace),
        user_id: Set(user),
        role: Set(role.number()),
        create_time: Set(now),
    };
    let key = [member::Column::WorkspaceId, member::Column::UserId];
    let conflict = sea_orm::sea_query::OnConflict::columns(key).do_nothing().to_owned();
    Ok(Members::insert(row).on_conflict(conflict).exec_without_returning(tx).await? > 0)
}

/// Returns the workspace, if there is one.
pub async fn find(db: &impl ConnectionTrait, id: WorkspaceId) -> Result<Option<Workspace>, DbErr> {
    Workspaces::find_by_id(id).one(db).await
}

/// Returns the workspace and keeps everybody else from changing it until the transaction ends.
pub async fn lock(tx: &impl ConnectionTrait, id: WorkspaceId) -> Result<Option<Workspace>, DbErr> {
    Workspaces::find_by_id(id).lock_exclusive().one(tx).await
}

/// Returns the workspace's hosts that answer.
pub async fn answering_hosts(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
) -> Result<Vec<String>, DbErr> {
    let held = domain::Entity::find()
        .select_only()
        .column(domain::Column::HeldHost)
        .filter(domain::Column::WorkspaceId.eq(workspace))
        .filter(domain::Column::HeldHost.is_not_null());
    held.into_tuple().all(db).await
}

/// Stores what changed about a workspace.
pub async fn save(tx: &impl ConnectionTrait, workspace: &Workspace) -> Result<(), DbErr> {
    let row: workspace::ActiveModel = workspace.clone().into();
    Workspaces::update(row.reset_all()).exec(tx).await.map(drop)
}

/// Returns the workspaces whose links follow something new since `since`, and since when; the latest if there are many.
/// For the node, which is above the tenants.
pub async fn changed_since(
    db: &impl ConnectionTrait,
    since: Moment,
    limit: u64,
) -> Result<Vec<(WorkspaceId, Moment)>, DbErr> {
    Workspaces::find()
        .select_only()
        .columns([workspace::Column::Id, workspace::Column::RedirectTime])
        .filter(workspace::Column::RedirectTime.gte(since))
        .order_by_desc(workspace::Column::RedirectTime)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
}

/// Lists up to `limit` of all workspaces after `after`, oldest first. For the operator only, who is above the tenants.
pub async fn list_all(
    db: &impl ConnectionTrait,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Workspace>, DbErr> {
    let mut query = Workspaces::find();
    if let Some(after) = after {
        query = query.filter(workspace::Column::Id.gt(after));
    }
    query.order_by_asc(workspace::Column::Id).limit(limit).all(db).await
}

/// Lists up to `limit` of all workspaces, oldest first. For the operator only, who is above the tenants.
pub async fn oldest(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Workspace>, DbErr> {
    Workspaces::find().order_by_asc(workspace::Column::Id).limit(limit).all(db).await
}

/// Returns the first of all workspaces, the operator's own. For the node.
pub async fn first(db: &impl ConnectionTrait) -> Result<Option<Workspace>, DbErr> {
    Ok(oldest(db, 1).await?.pop())
}

/// Returns the person's membership of the workspace, if there is one.
pub async fn find_member(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<Option<Member>, DbErr> {
    Members::find_by_id((workspace, user)).one(db).await
}

/// Lists up to `limit` of the person's workspaces after `after`, oldest first, each with the membership.
pub async fn list_of(
    db: &impl ConnectionTrait,
    user: UserId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<(Member, Workspace)>, DbErr> {
    let mut query = Members::find()
        .select_also(Workspaces)
        .join(JoinType::InnerJoin, workspace_of_member())
        .filter(member::Column::UserId.eq(user));
    if let Some(after) = after {
        query = query.filter(member::Column::WorkspaceId.gt(after));
    }
    let rows = query.order_by_asc(member::Column::WorkspaceId).limit(limit).all(db).await?;
    Ok(rows.into_iter().filter_map(|(member, workspace)| Some((member, workspace?))).collect())
}

fn workspace_of_member() -> RelationDef {
    Members::belongs_to(Workspaces).from(member::Column::WorkspaceId).to(workspace::Column::Id).into()
}
