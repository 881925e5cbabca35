//! What people call things that reports show, and the single rows that some reports look at, in SQL that both databases read alike.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _, Statement, Value,
};

use super::{
    reports::Named,
    rollup::read::{Part, Scope},
};
use crate::{
    attribution::events,
    clock::Moment,
    entity::{link, project},
    ids::{EventId, InstallId, LinkId, ProjectId, WorkspaceId, floor},
};

/// Returns what people call those of the links that exist.
pub async fn links(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[LinkId],
) -> Result<HashMap<LinkId, Named>, DbErr> {
    use link::Column;
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(LinkId, String, String)> = link::Entity::find()
        .select_only()
        .columns([Column::Id, Column::ShortCode, Column::Title])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, code, title)| (id, Named { code, title })).collect())
}

/// Returns the names of those of the projects that exist.
pub async fn projects(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[ProjectId],
) -> Result<HashMap<ProjectId, String>, DbErr> {
    use project::Column;
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(ProjectId, String)> = project::Entity::find()
        .select_only()
        .columns([Column::Id, Column::Name])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().collect())
}

/// An install as a report looks at it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct InstallRow {
    /// The id.
    pub id: InstallId,
    /// The link it is credited to.
    pub link_id: Option<LinkId>,
    /// When it was.
    pub install_time: Moment,
    /// When the click was that it is credited to.
    pub click_time: Option<Moment>,
    /// Whether it is of no developers' device, and in the scope.
    pub fits: bool,
}

/// Returns the statement for the installs between two moments, at most `most`, by an index on their time: those that do not fit are looked at too, and
/// count.
pub fn installs(
    db: &impl ConnectionTrait,
    scope: &Scope,
    (start, end): (Moment, Moment),
    most: usize,
) -> Statement {
    let mut values: Vec<Value> = vec![scope.workspace.into(), start.into(), end.into()];
    let (join, fits, filter) = match &scope.part {
        Part::Link(id) => {
            values.push((*id).into());
            ("", "", "AND installs.link_id = $4")
        }
        Part::App(id) => {
            values.push((*id).into());
            ("", "AND COALESCE(installs.app_id = $4, FALSE)", "")
        }
        Part::Project(id) => {
            values.push((*id).into());
            (
                "LEFT JOIN links ON links.id = installs.link_id AND links.workspace_id = installs.workspace_id",
                "AND COALESCE(links.project_id = $4, FALSE)",
                "",
            )
        }
        // Requests of a domain are refused.
        Part::All | Part::Domain(_) => ("", "", ""),
    };
    let sql = format!(
        "SELECT installs.id AS id, installs.link_id AS link_id, installs.install_time AS install_time,
             installs.click_time AS click_time, (installs.test = FALSE {fits}) AS fits
         FROM installs {join}
         WHERE installs.workspace_id = $1 AND installs.install_time >= $2 AND installs.install_time < $3 {filter}
         LIMIT {most}"
    );
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

/// An event as a report looks at it.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct EventRow {
    /// The id.
    pub id: EventId,
    /// In which install.
    pub install_id: InstallId,
    /// When it happened.
    pub event_time: Moment,
    /// What happened.
    pub name: String,
    /// What it earned: whole units.
    pub reporting_units: Option<i64>,
    /// Billionths of a unit.
    pub reporting_nanos: Option<i32>,
    /// Of which currency.
    pub reporting_currency: Option<String>,
    /// Whether another event earned the same before.
    pub duplicate_revenue: bool,
}

/// Returns the statement for the events between two moments, at most `most`, of these names (none: any) and of these installs (none: any), by
/// an index that begins with what is given.
pub fn events(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    (start, end): (Moment, Moment),
    (names, installs): (&[String], &[InstallId]),
    most: usize,
) -> Statement {
    let mut values: Vec<Value> = vec![workspace.into(), floor(start).into(), events::id_after(end).into()];
    let mut filter = String::new();
    for (column, given) in [
        ("name", names.iter().map(|name| Value::from(name.as_str())).collect::<Vec<_>>()),
        ("install_id", installs.iter().map(|id| Value::from(*id)).collect()),
    ] {
        if !given.is_empty() {
            let places: Vec<String> =
                (1..=given.len()).map(|place| format!("${}", values.len() + place)).collect();
            filter.push_str(&format!(" AND {column} IN ({})", places.join(", ")));
            values.extend(given);
        }
    }
    let sql = format!(
        "SELECT id, install_id, event_time, name, reporting_units, reporting_nanos, reporting_currency, duplicate_revenue
         FROM events WHERE workspace_id = $1 AND id >= $2 AND id < $3{filter} LIMIT {most}"
    );
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
