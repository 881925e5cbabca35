//! Queries of the table `click_rollups`, in SQL that both databases read alike: each sums a range of one index.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement, Value};

use super::{Clicks, Span};
use crate::ids::{LinkId, WorkspaceId};

/// One of the most clicked links.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct TopLink {
    /// Which link.
    pub link_id: LinkId,
    /// Its code; `None` when it was deleted.
    pub short_code: Option<String>,
    /// Its title; `None` when it was deleted.
    pub title: Option<String>,
    /// Clicks by people.
    pub clicks: i64,
}

#[derive(FromQueryResult)]
struct Day {
    day: i32,
    clicks: i64,
    bot_clicks: i64,
}

/// Sums the clicks of each day of the span that has any.
pub async fn by_day(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    link: Option<LinkId>,
    span: Span,
) -> Result<HashMap<i32, Clicks>, DbErr> {
    let one_link = if link.is_some() { "AND link_id = $4" } else { "" };
    let sql = format!(
        "SELECT hour / 24 AS day, CAST(SUM(clicks) AS BIGINT) AS clicks, CAST(SUM(bot_clicks) AS BIGINT) AS bot_clicks
         FROM click_rollups
         WHERE workspace_id = $1 AND hour >= $2 AND hour < $3 {one_link}
         GROUP BY hour / 24"
    );
    let days = Day::find_by_statement(statement(db, sql, workspace, link, span)).all(db).await?;
    Ok(days.into_iter().map(|day| (day.day, Clicks { people: day.clicks, bots: day.bot_clicks })).collect())
}

/// Returns the most clicked links of the span, deleted ones included.
pub async fn top_links(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    link: Option<LinkId>,
    span: Span,
    most: u64,
) -> Result<Vec<TopLink>, DbErr> {
    let one_link = if link.is_some() { "AND link_id = $4" } else { "" };
    let sql = format!(
        "SELECT top.link_id AS link_id, links.short_code AS short_code, links.title AS title, top.clicks AS clicks
         FROM (
             SELECT link_id, CAST(SUM(clicks) AS BIGINT) AS clicks
             FROM click_rollups
             WHERE workspace_id = $1 AND hour >= $2 AND hour < $3 {one_link}
             GROUP BY link_id
             HAVING SUM(clicks) > 0
             ORDER BY 2 DESC, 1
             LIMIT {most}
         ) AS top
         LEFT JOIN links ON links.id = top.link_id AND links.workspace_id = $1
         ORDER BY top.clicks DESC, top.link_id"
    );
    TopLink::find_by_statement(statement(db, sql, workspace, link, span)).all(db).await
}

fn statement(
    db: &impl ConnectionTrait,
    sql: String,
    workspace: WorkspaceId,
    link: Option<LinkId>,
    span: Span,
) -> Statement {
    let mut values: Vec<Value> = vec![workspace.into(), span.first.into(), span.end.into()];
    values.extend(link.map(Value::from));
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
