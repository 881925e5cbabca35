//! What a replay reads, of the tables `installs` and `clicks`.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select, Statement, Value,
    sea_query::{Expr, ExprTrait as _},
};

use super::Asked;
use crate::{
    clock::Moment,
    entity::install::{Column, Entity, Model},
    ids::{ClickId, InstallId, WorkspaceId},
};

fn of(workspace: WorkspaceId, asked: &Asked) -> Select<Entity> {
    let query = Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::InstallTime.gte(asked.span.0))
        .filter(Column::InstallTime.lt(asked.span.1))
        .filter(Column::Test.eq(false));
    match asked.app {
        Some(app) => query.filter(Column::AppId.eq(app)),
        None => query,
    }
}

/// Returns the installs that will be decided again, with the click of each, at most `most`.
pub async fn owners(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &Asked,
    most: u64,
) -> Result<Vec<(InstallId, Option<ClickId>)>, DbErr> {
    let query = of(workspace, asked).select_only().columns([Column::Id, Column::ClickId]);
    query.limit(most).into_tuple().all(db).await
}

/// Returns installs in the order of time, behind one of them.
pub async fn installs(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &Asked,
    after: Option<(Moment, InstallId)>,
    most: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query = of(workspace, asked);
    if let Some((time, id)) = after {
        let place = Expr::tuple([Expr::col(Column::InstallTime), Expr::col(Column::Id)]);
        query = query.filter(place.gt(Expr::tuple([Expr::val(time), Expr::val(id.0)])));
    }
    query.order_by_asc(Column::InstallTime).order_by_asc(Column::Id).limit(most).all(db).await
}

/// Returns the campaigns of those of the clicks that are stored.
pub async fn campaigns(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    clicks: &[ClickId],
) -> Result<HashMap<ClickId, String>, DbErr> {
    #[derive(FromQueryResult)]
    struct Found {
        id: ClickId,
        campaign: String,
    }
    if clicks.is_empty() {
        return Ok(HashMap::new());
    }
    let places: Vec<String> = (0..clicks.len()).map(|at| format!("${}", at + 2)).collect();
    let sql = format!(
        "SELECT clicks.id AS id, dictionary.value AS campaign FROM clicks
         JOIN dictionary ON dictionary.id = clicks.campaign_id
         WHERE clicks.workspace_id = $1 AND clicks.id IN ({})",
        places.join(", ")
    );
    let values = [Value::from(workspace.0)].into_iter().chain(clicks.iter().map(|click| click.0.into()));
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let found = Found::find_by_statement(statement).all(db).await?;
    Ok(found.into_iter().map(|found| (found.id, found.campaign)).collect())
}
