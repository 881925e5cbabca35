//! Queries of `fraud_rules`, and what reports read of installs and clicks.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement, Value,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::Asked;
use crate::{
    clock::Moment,
    entity::{
        fraud_rule::{Column as Rule, Entity as Rules, Model},
        install::{Column, Entity},
    },
    ids::{InstallId, LinkId, WorkspaceId, floor},
    pb::sdk::v1::AttributionState,
};

/// Returns what a workspace says of rules.
pub async fn of_workspace(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Vec<Model>, DbErr> {
    Rules::find().filter(Rule::WorkspaceId.eq(workspace)).all(db).await
}

/// Keeps what a workspace says of a rule.
pub async fn save(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    rule: &str,
    (action, threshold): (i16, i32),
    now: Moment,
) -> Result<(), DbErr> {
    let row = Model { workspace_id: workspace, rule: rule.to_owned(), action, threshold, update_time: now };
    Rules::insert(row.into_active_model())
        .on_conflict(
            OnConflict::columns([Rule::WorkspaceId, Rule::Rule])
                .update_columns([Rule::Action, Rule::Threshold, Rule::UpdateTime])
                .to_owned(),
        )
        .exec_without_returning(tx)
        .await
        .map(drop)
}

/// An install as a report reads it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct InstallRow {
    pub id: InstallId,
    pub link_id: Option<LinkId>,
    pub click_time: Option<Moment>,
    pub install_time: Moment,
    pub flags: i32,
    pub no_match: i16,
}

/// Returns installs in the order of time, behind one of them. Those of developers' devices and those that are not decided are left out.
pub async fn installs(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &Asked,
    after: Option<(Moment, InstallId)>,
    most: u64,
) -> Result<Vec<InstallRow>, DbErr> {
    let mut query = Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::LinkId,
            Column::ClickTime,
            Column::InstallTime,
            Column::Flags,
            Column::NoMatch,
        ])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::InstallTime.gte(asked.span.0))
        .filter(Column::InstallTime.lt(asked.span.1))
        .filter(Column::Test.eq(false))
        .filter(Column::State.ne(AttributionState::Pending as i16));
    if let Some(app) = asked.app {
        query = query.filter(Column::AppId.eq(app));
    }
    if let Some(link) = asked.link {
        query = query.filter(Column::LinkId.eq(link));
    }
    if let Some((time, id)) = after {
        let place = Expr::tuple([Expr::col(Column::InstallTime), Expr::col(Column::Id)]);
        query = query.filter(place.gt(Expr::tuple([Expr::val(time), Expr::val(id.0)])));
    }
    query
        .order_by_asc(Column::InstallTime)
        .order_by_asc(Column::Id)
        .limit(most)
        .into_model::<InstallRow>()
        .all(db)
        .await
}

/// Counts the clicks that people made on each link.
pub async fn clicks(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &Asked,
) -> Result<HashMap<LinkId, i64>, DbErr> {
    #[derive(FromQueryResult)]
    struct Count {
        link_id: LinkId,
        clicks: i64,
    }
    let of_link = if asked.link.is_some() { " AND link_id = $4" } else { "" };
    let sql = format!(
        "SELECT link_id, COUNT(*) AS clicks FROM clicks
         WHERE workspace_id = $1 AND id >= $2 AND id < $3 AND bot = 0{of_link} GROUP BY link_id"
    );
    let mut values: Vec<Value> =
        vec![workspace.0.into(), floor(asked.span.0).into(), floor(asked.span.1).into()];
    values.extend(asked.link.map(|link| Value::from(link.0)));
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let counted = Count::find_by_statement(statement).all(db).await?;
    Ok(counted.into_iter().map(|count| (count.link_id, count.clicks)).collect())
}
