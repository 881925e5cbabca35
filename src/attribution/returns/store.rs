//! Queries of `app_opens`.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use crate::{
    clock::{Moment, from_micros},
    entity::{
        app_open::{Column, Entity, Model},
        event,
    },
    ids::{AppId, ClickId, EventId, InstallId, LinkId, WorkspaceId, floor, time_of},
    page::{Cursor, Page, PageRequest},
};

/// Which times are asked for. What is not set is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenQuery {
    /// Of one app.
    pub app: Option<AppId>,
    /// By one link.
    pub link: Option<LinkId>,
    /// Of one install.
    pub install: Option<InstallId>,
    /// From this moment on.
    pub start: Option<Moment>,
    /// Before this moment.
    pub end: Option<Moment>,
}

/// A user who was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The open.
    pub open: Model,
    /// Until when its link has the credit.
    pub credit_end: Moment,
    /// How many events there were until then.
    pub events: u64,
}

/// Stores an open. `false`: it is there already.
pub async fn insert(db: &impl ConnectionTrait, open: Model) -> Result<bool, DbErr> {
    let row = open.into_active_model().reset_all();
    let again = OnConflict::column(Column::ClickId).do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(again).exec_without_returning(db).await? > 0)
}

/// Returns when the user of an install was last seen before a moment, by an event or by another open.
pub async fn last_seen(
    db: &impl ConnectionTrait,
    (workspace, install): (WorkspaceId, InstallId),
    but: ClickId,
    before: Moment,
) -> Result<Option<Moment>, DbErr> {
    let opened: Option<Moment> = Entity::find()
        .select_only()
        .column(Column::OpenTime)
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::InstallId.eq(install))
        .filter(Column::OpenTime.lt(before))
        .filter(Column::ClickId.ne(but))
        .order_by_desc(Column::OpenTime)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    let happened: Option<EventId> = event::Entity::find()
        .select_only()
        .column(event::Column::Id)
        .filter(event::Column::WorkspaceId.eq(workspace))
        .filter(event::Column::InstallId.eq(install))
        .filter(event::Column::Id.lt(floor(before)))
        .order_by_desc(event::Column::Id)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    Ok(opened.into_iter().chain(happened.map(|event| time_of(event.0))).max())
}

/// Returns one page of the times that users were brought back, newest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &OpenQuery,
    page: &PageRequest,
) -> Result<Page<Returned>, DbErr> {
    let mut query = Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        // As it stands in the index.
        .filter(Expr::cust("credit_time IS NOT NULL"))
        .filter(Column::Test.eq(false));
    if let Some(app) = asked.app {
        query = query.filter(Column::AppId.eq(app));
    }
    if let Some(link) = asked.link {
        query = query.filter(Column::LinkId.eq(link));
    }
    if let Some(install) = asked.install {
        query = query.filter(Column::InstallId.eq(install));
    }
    if let Some(start) = asked.start {
        query = query.filter(Column::OpenTime.gte(start));
    }
    if let Some(end) = asked.end {
        query = query.filter(Column::OpenTime.lt(end));
    }
    if let Some((time, id)) = page.after.as_ref().and_then(position) {
        let place = Expr::tuple([Expr::col(Column::OpenTime), Expr::col(Column::ClickId)]);
        query = query.filter(place.lt(Expr::tuple([Expr::val(time), Expr::val(id.0)])));
    }
    let rows = query
        .order_by_desc(Column::OpenTime)
        .order_by_desc(Column::ClickId)
        .limit(u64::from(page.size) + 1)
        .all(db)
        .await?;
    let cursor = |row: &Model| Cursor {
        key: row.open_time.timestamp_micros().to_string(),
        id: row.click_id.to_string(),
    };
    let Page { items, next } = Page::of(rows, page.size, cursor);
    let mut returned = Vec::with_capacity(items.len());
    for open in items {
        returned.push(completed(db, open).await?);
    }
    Ok(Page { items: returned, next })
}

fn position(cursor: &Cursor) -> Option<(Moment, ClickId)> {
    Some((from_micros(cursor.key.parse().ok()?), ClickId::parse(&cursor.id)?))
}

/// Adds until when an open has the credit, and what for.
async fn completed(db: &impl ConnectionTrait, open: Model) -> Result<Returned, DbErr> {
    let next: Option<Moment> = Entity::find()
        .select_only()
        .column(Column::OpenTime)
        .filter(Column::WorkspaceId.eq(open.workspace_id))
        .filter(Column::InstallId.eq(open.install_id))
        .filter(Column::OpenTime.gt(open.open_time))
        .filter(Expr::cust("credit_time IS NOT NULL"))
        .order_by_asc(Column::OpenTime)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    let until = open.credit_time.unwrap_or(open.open_time);
    let credit_end = next.map_or(until, |next| Ord::min(next, until));
    let events = event::Entity::find()
        .filter(event::Column::WorkspaceId.eq(open.workspace_id))
        .filter(event::Column::InstallId.eq(open.install_id))
        .filter(event::Column::Id.gte(floor(open.open_time)))
        .filter(event::Column::Id.lt(floor(credit_end)))
        .count(db)
        .await?;
    Ok(Returned { open, credit_end, events })
}

/// Forgets the opens of an install.
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
