//! Queries of `network_claims`.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict, Query},
};

use crate::{
    clock::Moment,
    entity::network_claim::{Column, Entity, Model},
    ids::{InstallId, WorkspaceId},
};

/// Stores claims; one that is there already stays.
pub async fn insert(tx: &impl ConnectionTrait, claims: Vec<Model>) -> Result<(), DbErr> {
    if claims.is_empty() {
        return Ok(());
    }
    let rows = claims.into_iter().map(|claim| claim.into_active_model().reset_all());
    let key = [Column::WorkspaceId, Column::InstallId, Column::Network];
    Entity::insert_many(rows)
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await
        .map(drop)
}

/// Returns the claims of installs, by network.
pub async fn of_installs(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    installs: &[InstallId],
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::InstallId.is_in(installs.iter().copied()))
        .order_by_asc(Column::InstallId)
        .order_by_asc(Column::Network)
        .all(db)
        .await
}

/// Removes the claims of an install.
pub async fn remove(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    install: InstallId,
) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::InstallId.eq(install))
        .exec(tx)
        .await
        .map(drop)
}

/// Returns the claims of which the network is to be asked, those that have been due for longest first. For the node: of all tenants.
pub async fn due(db: &impl ConnectionTrait, now: Moment, most: u64) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        // As it stands in the index.
        .filter(Expr::cust("state = 3"))
        .filter(Column::DueTime.lte(now))
        .order_by_asc(Column::DueTime)
        .limit(most)
        .all(db)
        .await
}

/// Takes a claim until `until`. `false`: somebody else has.
pub async fn lease(db: &impl ConnectionTrait, claim: &Model, until: Moment) -> Result<bool, DbErr> {
    let query = Entity::update_many()
        .col_expr(Column::DueTime, until.into())
        .filter(Column::WorkspaceId.eq(claim.workspace_id))
        .filter(Column::InstallId.eq(claim.install_id))
        .filter(Column::Network.eq(claim.network))
        .filter(Expr::cust("state = 3"))
        .filter(Column::DueTime.eq(claim.due_time));
    Ok(query.exec(db).await?.rows_affected > 0)
}

/// Writes what became of a claim that was taken until `ticket`, unless somebody has taken or removed it meanwhile.
pub async fn settle(db: &impl ConnectionTrait, claim: &Model, ticket: Moment) -> Result<(), DbErr> {
    Entity::update_many()
        .set(claim.clone().into_active_model().reset_all())
        .filter(Column::WorkspaceId.eq(claim.workspace_id))
        .filter(Column::InstallId.eq(claim.install_id))
        .filter(Column::Network.eq(claim.network))
        .filter(Expr::cust("state = 3"))
        .filter(Column::DueTime.eq(ticket))
        .exec(db)
        .await
        .map(drop)
}

/// Removes click ids of claims that came before a moment: at most `most`. Returns how many. For the node: of all tenants.
pub async fn remove_click_ids(db: &impl ConnectionTrait, before: Moment, most: u64) -> Result<u64, DbErr> {
    let key = [Column::WorkspaceId, Column::InstallId, Column::Network];
    let old = Query::select()
        .columns(key)
        .from(Entity)
        // As it stands in the index.
        .and_where(Expr::cust("click_id IS NOT NULL"))
        .and_where(Column::ReceiveTime.lt(before))
        .limit(most)
        .to_owned();
    let place = Expr::tuple(key.map(Expr::col));
    let query = Entity::update_many()
        .col_expr(Column::ClickId, Expr::value(Option::<String>::None))
        .filter(sea_orm::sea_query::ExprTrait::in_subquery(place, old));
    Ok(query.exec(db).await?.rows_affected)
}
