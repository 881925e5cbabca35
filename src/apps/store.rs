//! Queries of the tables `apps` and `app_tokens`. Those of the node, which is above the tenants, say so.

use prost::Message as _;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    JoinType, QueryFilter as _, QueryOrder as _, QuerySelect as _, RelationDef, sea_query::ExprTrait as _,
};

use super::tokens::{Holder, holder_of};
use crate::{
    clock::Moment,
    entity::{
        app::{Column, Entity, Model},
        app_token, workspace,
    },
    ids::{AppId, WorkspaceId},
    page::{Cursor, Page, PageRequest},
};

/// What the apps of one page may come to: other stacks' clients take messages of no more than 4 MiB.
const PAGE_BYTES: usize = 3 << 20;

/// Stores a new app.
pub async fn insert(tx: &impl ConnectionTrait, app: &Model) -> Result<(), DbErr> {
    let row = app.clone().into_active_model().reset_all();
    Entity::insert(row).exec_without_returning(tx).await.map(drop)
}

/// Stores what an app became.
pub async fn save(tx: &impl ConnectionTrait, app: &Model) -> Result<(), DbErr> {
    let row = app.clone().into_active_model().reset_all();
    Entity::update_many()
        .set(row)
        .filter(Column::WorkspaceId.eq(app.workspace_id))
        .filter(Column::Id.eq(app.id))
        .exec(tx)
        .await
        .map(drop)
}

/// Deletes an app for good.
pub async fn remove(tx: &impl ConnectionTrait, workspace: WorkspaceId, id: AppId) -> Result<(), DbErr> {
    let query = Entity::delete_many().filter(Column::WorkspaceId.eq(workspace)).filter(Column::Id.eq(id));
    query.exec(tx).await.map(drop)
}

/// Returns an app.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: AppId,
) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::WorkspaceId.eq(workspace)).filter(Column::Id.eq(id)).one(db).await
}

/// Returns all apps of a workspace, oldest first. They are not many.
pub async fn all_of(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::WorkspaceId.eq(workspace)).order_by_asc(Column::Id).all(db).await
}

/// Returns one page of apps, newest first: fewer than asked for when they are large, but at least one.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    page: &PageRequest,
) -> Result<Page<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Some(last) = page.after.as_ref().and_then(|cursor| AppId::parse(&cursor.id)) {
        query = query.filter(Column::Id.lt(last));
    }
    let rows = query.order_by_desc(Column::Id).limit(u64::from(page.size) + 1).all(db).await?;
    let mut bytes = 0;
    let fits = rows.iter().take_while(|app| {
        bytes += app.content.encoded_len();
        bytes <= PAGE_BYTES
    });
    let size = u32::try_from(fits.count().max(1)).unwrap_or(u32::MAX);
    let size = Ord::min(size, page.size);
    Ok(Page::of(rows, size, |last| Cursor { key: String::new(), id: last.id.to_string() }))
}

/// Returns the apps of other workspaces than this one that may stand on the server's own host, in the order of its files.
/// For the node.
pub async fn listed_on_own_host(db: &impl ConnectionTrait, but: WorkspaceId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .join(JoinType::InnerJoin, workspace_of_app())
        .filter(workspace::Column::AppsAllowed.eq(true))
        .filter(workspace::Column::SuspendTime.is_null())
        .filter(Column::WorkspaceId.ne(but))
        .order_by_asc(Column::WorkspaceId)
        .order_by_asc(Column::Id)
        .all(db)
        .await
}

/// Returns the apps of all workspaces that are not suspended, or of one, each with whether it may stand on the server's own
/// host; a workspace's are in the order of files. For the node.
pub async fn listed(
    db: &impl ConnectionTrait,
    only: Option<WorkspaceId>,
) -> Result<Vec<(Model, bool)>, DbErr> {
    let mut query = Entity::find()
        .select_also(workspace::Entity)
        .join(JoinType::InnerJoin, workspace_of_app())
        .filter(workspace::Column::SuspendTime.is_null());
    if let Some(only) = only {
        query = query.filter(Column::WorkspaceId.eq(only));
    }
    let rows = query.order_by_asc(Column::Id).all(db).await?;
    Ok(rows.into_iter().filter_map(|(app, workspace)| Some((app, workspace?.apps_allowed))).collect())
}

/// Stores a token.
pub async fn insert_token(tx: &impl ConnectionTrait, token: &app_token::Model) -> Result<(), DbErr> {
    let row = token.clone().into_active_model().reset_all();
    app_token::Entity::insert(row).exec_without_returning(tx).await.map(drop)
}

/// Returns the tokens of apps, oldest first.
pub async fn tokens(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    apps: &[AppId],
) -> Result<Vec<app_token::Model>, DbErr> {
    app_token::Entity::find()
        .filter(app_token::Column::WorkspaceId.eq(workspace))
        .filter(app_token::Column::AppId.is_in(apps.iter().copied()))
        .order_by_asc(app_token::Column::CreateTime)
        .order_by_asc(app_token::Column::Token)
        .all(db)
        .await
}

/// Ends the tokens of an app at `end`, those that end earlier excepted, and forgets those that are over at `now`.
pub async fn end_tokens(
    tx: &impl ConnectionTrait,
    (workspace, app): (WorkspaceId, AppId),
    end: Moment,
    now: Moment,
) -> Result<(), DbErr> {
    use app_token::Column as Token;
    let of_app = || Token::WorkspaceId.eq(workspace).and(Token::AppId.eq(app));
    app_token::Entity::delete_many().filter(of_app()).filter(Token::ExpireTime.lte(now)).exec(tx).await?;
    app_token::Entity::update_many()
        .col_expr(Token::ExpireTime, end.into())
        .filter(of_app())
        .filter(Token::ExpireTime.is_null().or(Token::ExpireTime.gt(end)))
        .exec(tx)
        .await
        .map(drop)
}

/// Returns the app that a token names, unless the token is over or the workspace suspended. For the node: the token says whose.
pub async fn holder(db: &impl ConnectionTrait, token: &str, now: Moment) -> Result<Option<Holder>, DbErr> {
    use app_token::Column as Token;
    let Some(token) = app_token::Entity::find_by_id(token.to_owned())
        .filter(Token::ExpireTime.is_null().or(Token::ExpireTime.gt(now)))
        .one(db)
        .await?
    else {
        return Ok(None);
    };
    let found = Entity::find_by_id(token.app_id)
        .select_also(workspace::Entity)
        .join(JoinType::InnerJoin, workspace_of_app())
        .filter(Column::WorkspaceId.eq(token.workspace_id))
        .filter(workspace::Column::SuspendTime.is_null())
        .one(db)
        .await?;
    Ok(found.and_then(|(app, workspace)| Some(holder_of(&app, workspace?))))
}

fn workspace_of_app() -> RelationDef {
    Entity::belongs_to(workspace::Entity).from(Column::WorkspaceId).to(workspace::Column::Id).into()
}
