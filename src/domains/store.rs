//! Queries of the table `domains`. What starts from no tenant says so.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{Domain, Home};
use crate::{
    clock::Moment,
    entity::{
        domain::{ActiveModel, Column, Entity},
        link, workspace,
    },
    ids::{DomainId, WorkspaceId},
};

/// Inserts a domain; `false` when the workspace has this host already.
pub async fn insert(tx: &impl ConnectionTrait, domain: &Domain) -> Result<bool, DbErr> {
    let row: ActiveModel = domain.clone().into();
    let taken = OnConflict::columns([Column::WorkspaceId, Column::Host]).do_nothing().to_owned();
    Ok(Entity::insert(row.reset_all()).on_conflict(taken).exec_without_returning(tx).await? > 0)
}

/// Keeps everybody else from adding domains to the workspace until the transaction ends, and returns how many it has.
pub async fn count_locked(tx: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<u64, DbErr> {
    // No key of the row changes, so who only refers to it need not wait.
    let _: Option<WorkspaceId> = workspace::Entity::find_by_id(workspace)
        .select_only()
        .column(workspace::Column::Id)
        .lock(sea_orm::sea_query::LockType::NoKeyUpdate)
        .into_tuple()
        .one(tx)
        .await?;
    Entity::find().filter(Column::WorkspaceId.eq(workspace)).count(tx).await
}

/// Returns a domain of the workspace.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: DomainId,
) -> Result<Option<Domain>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns a domain of the workspace and keeps everybody else from changing it until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: DomainId,
) -> Result<Option<Domain>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).lock_exclusive().one(tx).await
}

/// The same of all domains of the workspace, in the order of their ids, so that two callers never wait for each other.
pub async fn lock_all(tx: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Vec<Domain>, DbErr> {
    let all = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    all.order_by_asc(Column::Id).lock_exclusive().all(tx).await
}

/// Lists up to `limit` of the workspace's domains after `after`, oldest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Domain>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.order_by_asc(Column::Id).limit(limit).all(db).await
}

/// Returns the domains of the workspace with these hosts, and its default one. Inside a transaction their case policy stays until its
/// end.
pub async fn homes(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    hosts: impl IntoIterator<Item = &str>,
) -> Result<Vec<Home>, DbErr> {
    let wanted = Condition::any().add(Column::IsDefault.eq(true)).add(Column::Host.is_in(hosts));
    Entity::find()
        .select_only()
        .columns([Column::Host, Column::Namespace, Column::IgnoresCase, Column::IsDefault])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(wanted)
        .lock_shared()
        .into_model::<Home>()
        .all(db)
        .await
}

/// Returns the hosts of the workspace in their order, each with whether it answers.
pub async fn hosts(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Vec<(String, bool)>, DbErr> {
    let rows = Entity::find()
        .select_only()
        .columns([Column::Host, Column::HeldHost])
        .filter(Column::WorkspaceId.eq(workspace))
        .order_by_asc(Column::Host)
        .into_tuple::<(String, Option<String>)>()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(host, held)| (host, held.is_some())).collect())
}

/// Stores a domain as it became.
pub async fn save(tx: &impl ConnectionTrait, domain: &Domain) -> Result<(), DbErr> {
    let row: ActiveModel = domain.clone().into();
    Entity::update(row.reset_all()).exec(tx).await.map(drop)
}

/// Deletes a domain of the workspace.
pub async fn remove(tx: &impl ConnectionTrait, workspace: WorkspaceId, id: DomainId) -> Result<(), DbErr> {
    Entity::delete_by_id(id).filter(Column::WorkspaceId.eq(workspace)).exec(tx).await.map(drop)
}

/// Says whether links live in the namespace.
pub async fn has_links(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    namespace: &str,
) -> Result<bool, DbErr> {
    // By namespace, which the index of codes begins with.
    let one: Option<WorkspaceId> = link::Entity::find()
        .select_only()
        .column(link::Column::WorkspaceId)
        .filter(link::Column::Domain.eq(namespace))
        .filter(link::Column::WorkspaceId.eq(workspace))
        .limit(1)
        .into_tuple()
        .one(tx)
        .await?;
    Ok(one.is_some())
}

/// Returns all domains that answer, whoever has them. For the node, which is above the tenants.
pub async fn serving(db: &impl ConnectionTrait) -> Result<Vec<Domain>, DbErr> {
    Entity::find().filter(Column::HeldHost.is_not_null()).all(db).await
}

/// Returns the domain that has a host and keeps everybody else from changing it until the transaction ends. For the look at the
/// DNS, which is above the tenants.
pub async fn lock_holder(tx: &impl ConnectionTrait, host: &str) -> Result<Option<Domain>, DbErr> {
    Entity::find().filter(Column::HeldHost.eq(host)).lock_exclusive().one(tx).await
}

/// Returns up to `limit` domains, whoever has them, that are to be looked at by `now`, the longest due first.
pub async fn due(db: &impl ConnectionTrait, now: Moment, limit: u64) -> Result<Vec<Domain>, DbErr> {
    let due = Entity::find().filter(Column::NextLookTime.lte(now));
    due.order_by_asc(Column::NextLookTime).limit(limit).all(db).await
}

/// Puts off the look at a domain until `until`; `false` when another node has done so.
pub async fn put_off(db: &impl ConnectionTrait, domain: &Domain, until: Moment) -> Result<bool, DbErr> {
    let done = Entity::update_many()
        .col_expr(Column::NextLookTime, Expr::value(until))
        .filter(Column::Id.eq(domain.id))
        .filter(Column::NextLookTime.eq(domain.next_look_time))
        .exec(db)
        .await?;
    Ok(done.rows_affected > 0)
}
