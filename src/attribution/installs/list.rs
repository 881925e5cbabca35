//! Lists of installs, newest first.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};

use crate::{
    clock::{Moment, from_micros},
    entity::install::{Column, Entity, Model},
    ids::{AppId, InstallId, LinkId, WorkspaceId},
    page::{Cursor, Page, PageRequest},
    pb::sdk::v1::AttributionState,
};

/// Which installs somebody wants to see. What is not set is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallQuery {
    /// Of one app.
    pub app: Option<AppId>,
    /// Credited to one link.
    pub link: Option<LinkId>,
    /// In one state, by its number.
    pub state: Option<i16>,
    /// Found in one way, by its number.
    pub method: Option<i16>,
    /// From this moment on.
    pub start: Option<Moment>,
    /// Before this moment.
    pub end: Option<Moment>,
    /// Developers' devices too.
    pub test: bool,
}

/// Returns one page of installs, newest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &InstallQuery,
    page: &PageRequest,
) -> Result<Page<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Some(app) = asked.app {
        query = query.filter(Column::AppId.eq(app));
    }
    if let Some(link) = asked.link {
        query = query.filter(Column::LinkId.eq(link));
    }
    if let Some(state) = asked.state {
        query = query.filter(Column::State.eq(state));
    }
    if let Some(method) = asked.method {
        query = query.filter(Column::Method.eq(method));
    }
    if let Some(start) = asked.start {
        query = query.filter(Column::InstallTime.gte(start));
    }
    if let Some(end) = asked.end {
        query = query.filter(Column::InstallTime.lt(end));
    }
    if !asked.test {
        query = query.filter(Column::Test.eq(false));
    }
    if let Some((time, id)) = page.after.as_ref().and_then(position) {
        // Ids of installs have no order of time: of one moment they have their own.
        let place = Expr::tuple([Expr::col(Column::InstallTime), Expr::col(Column::Id)]);
        query = query.filter(place.lt(Expr::tuple([Expr::val(time), Expr::val(id.0)])));
    }
    let rows = query
        .order_by_desc(Column::InstallTime)
        .order_by_desc(Column::Id)
        .limit(u64::from(page.size) + 1)
        .all(db)
        .await?;
    let cursor =
        |row: &Model| Cursor { key: row.install_time.timestamp_micros().to_string(), id: row.id.to_string() };
    Ok(Page::of(rows, page.size, cursor))
}

/// An attributed install, as far as it says who assisted it.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Attributed {
    pub id: InstallId,
    pub install_time: Moment,
    pub link_id: Option<LinkId>,
    pub facts: String,
}

/// How many are read in one go: facts may be large.
const READ_AT_ONCE: u64 = 500;

/// Returns the newest attributed installs of a span behind a place, of one app or of all.
pub async fn attributed(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    app: Option<AppId>,
    (start, end): (Moment, Moment),
    after: Option<(Moment, InstallId)>,
) -> Result<Vec<Attributed>, DbErr> {
    let mut query = Entity::find()
        .select_only()
        .columns([Column::Id, Column::InstallTime, Column::LinkId, Column::Facts])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::State.eq(AttributionState::Attributed as i16))
        .filter(Column::Test.eq(false))
        .filter(Column::Facts.ne(""))
        .filter(Column::InstallTime.gte(start))
        .filter(Column::InstallTime.lt(end));
    if let Some(app) = app {
        query = query.filter(Column::AppId.eq(app));
    }
    if let Some((time, id)) = after {
        let place = Expr::tuple([Expr::col(Column::InstallTime), Expr::col(Column::Id)]);
        query = query.filter(place.lt(Expr::tuple([Expr::val(time), Expr::val(id.0)])));
    }
    query
        .order_by_desc(Column::InstallTime)
        .order_by_desc(Column::Id)
        .limit(READ_AT_ONCE)
        .into_model()
        .all(db)
        .await
}

fn position(cursor: &Cursor) -> Option<(Moment, InstallId)> {
    Some((from_micros(cursor.key.parse().ok()?), InstallId::parse(&cursor.id)?))
}
