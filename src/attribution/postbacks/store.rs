//! Queries of `postbacks`, `postback_refusals` and `conversion_schemas`.

use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
    sea_query::{Expr, ExprTrait as _, OnConflict, SimpleExpr},
};

use crate::{
    clock::Moment,
    entity::{
        conversion_schema,
        postback::{Column, Entity, Model},
        postback_refusal,
    },
    ids::{AppId, PostbackId, WorkspaceId, floor},
    page::{Cursor, Page, PageRequest},
    pb::v1::PostbackOutcome,
};

/// Rows that one statement of a sweep takes away.
const BATCH: u64 = 1000;

/// Which postbacks somebody wants to see. What is not set is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostbackQuery {
    /// Of one app.
    pub app: Option<AppId>,
    /// Of one ad network; empty: of any.
    pub ad_network: String,
    /// That this became of, by its number.
    pub outcome: Option<i16>,
    /// Of one kind, by its number.
    pub kind: Option<i16>,
    /// From this moment on.
    pub start: Option<Moment>,
    /// Before this moment.
    pub end: Option<Moment>,
}

/// Stores a postback unless it is there; says whether it was not.
pub async fn insert(tx: &impl ConnectionTrait, row: &Model) -> Result<bool, DbErr> {
    let row = row.clone().into_active_model().reset_all();
    let known = OnConflict::new().do_nothing().to_owned();
    Ok(Entity::insert(row).on_conflict(known).exec_without_returning(tx).await? > 0)
}

/// Returns the postback that is the same, with its body.
pub async fn same(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    (app, key): (AppId, &[u8]),
) -> Result<Option<(PostbackId, Vec<u8>)>, DbErr> {
    Entity::find()
        .select_only()
        .columns([Column::Id, Column::Body])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::AppId.eq(app))
        .filter(Column::DedupeKey.eq(key))
        .into_tuple()
        .one(tx)
        .await
}

/// Notes that a postback came again.
pub async fn note_repeat(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: PostbackId,
    differs: bool,
) -> Result<(), DbErr> {
    let more = |column: Column, by: i32| Expr::col(column).add(by);
    Entity::update_many()
        .col_expr(Column::Repeats, more(Column::Repeats, 1))
        .col_expr(Column::DifferingRepeats, more(Column::DifferingRepeats, i32::from(differs)))
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.eq(id))
        .exec(tx)
        .await
        .map(drop)
}

/// Takes a postback away that is more than are kept.
pub async fn remove(tx: &impl ConnectionTrait, workspace: WorkspaceId, id: PostbackId) -> Result<(), DbErr> {
    let query = Entity::delete_many().filter(Column::WorkspaceId.eq(workspace)).filter(Column::Id.eq(id));
    query.exec(tx).await.map(drop)
}

/// Counts a postback that is not verified. Returns how many of its app have been on its day, whatever became of them; others that count for the app
/// wait until the transaction ends.
pub async fn count_refusal(tx: &impl ConnectionTrait, row: &Model) -> Result<i64, DbErr> {
    use postback_refusal::{ActiveModel, Column, Entity};
    let one = ActiveModel {
        app_id: Set(row.app_id),
        workspace_id: Set(row.workspace_id),
        day: Set(row.day),
        outcome: Set(row.outcome),
        count: Set(1),
    };
    let more = OnConflict::columns([Column::AppId, Column::Day, Column::Outcome])
        .value(Column::Count, Expr::col((Entity, Column::Count)).add(1))
        .to_owned();
    Entity::insert(one).on_conflict(more).exec_without_returning(tx).await?;
    let counts: Vec<i64> = Entity::find()
        .select_only()
        .column(Column::Count)
        .filter(Column::WorkspaceId.eq(row.workspace_id))
        .filter(Column::AppId.eq(row.app_id))
        .filter(Column::Day.eq(row.day))
        .into_tuple()
        .all(tx)
        .await?;
    Ok(counts.into_iter().sum())
}

/// Returns one page of postbacks, newest first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &PostbackQuery,
    page: &PageRequest,
) -> Result<Page<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::WorkspaceId.eq(workspace));
    if let Some(app) = asked.app {
        query = query.filter(Column::AppId.eq(app));
    }
    if !asked.ad_network.is_empty() {
        query = query.filter(Column::AdNetworkId.eq(&asked.ad_network));
    }
    if let Some(outcome) = asked.outcome {
        query = query.filter(Column::Outcome.eq(outcome));
    }
    if let Some(kind) = asked.kind {
        query = query.filter(Column::Kind.eq(kind));
    }
    if let Some(start) = asked.start {
        query = query.filter(Column::Id.gte(PostbackId(floor(start))));
    }
    if let Some(end) = asked.end {
        query = query.filter(Column::Id.lt(PostbackId(floor(end))));
    }
    if let Some(last) = page.after.as_ref().and_then(|cursor| PostbackId::parse(&cursor.id)) {
        query = query.filter(Column::Id.lt(last));
    }
    let rows = query.order_by_desc(Column::Id).limit(u64::from(page.size) + 1).all(db).await?;
    Ok(Page::of(rows, page.size, |last| Cursor { key: String::new(), id: last.id.to_string() }))
}

/// Returns a postback.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: PostbackId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns all schemas of apps.
pub async fn schemas(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    apps: impl IntoIterator<Item = AppId>,
) -> Result<Vec<conversion_schema::Model>, DbErr> {
    use conversion_schema::{Column, Entity};
    Entity::find().filter(Column::WorkspaceId.eq(workspace)).filter(Column::AppId.is_in(apps)).all(db).await
}

/// Returns the schema of an app that was stored last.
pub async fn newest_schema(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    app: AppId,
) -> Result<Option<conversion_schema::Model>, DbErr> {
    use conversion_schema::{Column, Entity};
    Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::AppId.eq(app))
        .order_by_desc(Column::Version)
        .one(db)
        .await
}

/// Stores a schema and forgets those before the last `kept`; `false`: somebody else has stored one of its version.
pub async fn insert_schema(
    tx: &impl ConnectionTrait,
    row: &conversion_schema::Model,
    kept: i64,
) -> Result<bool, DbErr> {
    use conversion_schema::{Column, Entity};
    let known = OnConflict::columns([Column::AppId, Column::Version]).do_nothing().to_owned();
    let new = row.clone().into_active_model().reset_all();
    if Entity::insert(new).on_conflict(known).exec_without_returning(tx).await? == 0 {
        return Ok(false);
    }
    Entity::delete_many()
        .filter(Column::WorkspaceId.eq(row.workspace_id))
        .filter(Column::AppId.eq(row.app_id))
        .filter(Column::Version.lte(row.version - kept))
        .exec(tx)
        .await?;
    Ok(true)
}

/// Which postbacks a report is about: those of an app that came between two days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The app.
    pub app: AppId,
    /// The first moment.
    pub start: Moment,
    /// The first moment after it.
    pub end: Moment,
    /// Of one kind, by its number.
    pub kind: Option<i16>,
}

/// What the rows of a report are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Everything.
    None,
    /// The day they came.
    Day,
    /// The ad network.
    AdNetwork,
    /// The campaign.
    Source,
}

impl Grouping {
    fn column(self) -> Option<Column> {
        match self {
            Self::None => None,
            Self::Day => Some(Column::Day),
            Self::AdNetwork => Some(Column::AdNetworkId),
            Self::Source => Some(Column::SourceIdentifier),
        }
    }

    /// Returns the text of what a row is about: of a day its number.
    fn key(self) -> SimpleExpr {
        match self.column() {
            None => Expr::cust("''"),
            Some(Column::Day) => Expr::col(Column::Day).cast_as("text"),
            Some(column) => Expr::col(column),
        }
    }
}

/// Postbacks that are alike in all that a report tells.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Alike {
    /// What the row is about.
    pub key: String,
    /// What became of them.
    pub outcome: i16,
    /// Which of an install's.
    pub sequence_index: Option<i16>,
    /// Whether the ad won.
    pub did_win: Option<bool>,
    /// What the user did.
    pub conversion_type: i16,
    /// The fine value.
    pub fine_value: Option<i16>,
    /// The coarse value.
    pub coarse_value: Option<i16>,
    /// How many.
    pub count: i64,
}

fn in_scope(scope: Scope) -> Select<Entity> {
    let query = Entity::find()
        .select_only()
        .filter(Column::WorkspaceId.eq(scope.workspace))
        .filter(Column::AppId.eq(scope.app))
        .filter(Column::Id.gte(PostbackId(floor(scope.start))))
        .filter(Column::Id.lt(PostbackId(floor(scope.end))))
        .filter(Column::Outcome.ne(PostbackOutcome::Development as i16));
    query.apply_if(scope.kind, |query, kind| query.filter(Column::Kind.eq(kind)))
}

/// Returns what the rows are about, up to `most`: days in their order, others by how many there are.
pub async fn keys(
    db: &impl ConnectionTrait,
    scope: Scope,
    grouping: Grouping,
    most: u64,
) -> Result<Vec<String>, DbErr> {
    let Some(column) = grouping.column() else { return Ok(vec![String::new()]) };
    let query = in_scope(scope).expr_as(grouping.key(), "key").group_by(column);
    let query = match grouping {
        Grouping::Day => query.order_by_asc(column),
        _ => query.order_by_desc(Column::Id.count()).order_by_asc(column),
    };
    query.limit(most).into_tuple().all(db).await
}

/// Counts the postbacks that are read by one schema: those with these keys, or all of them together.
pub async fn counts(
    db: &impl ConnectionTrait,
    scope: Scope,
    (start, end): (Option<Moment>, Option<Moment>),
    rows: Option<(Grouping, &[String])>,
) -> Result<Vec<Alike>, DbErr> {
    let alike = [
        Column::Outcome,
        Column::SequenceIndex,
        Column::DidWin,
        Column::ConversionType,
        Column::FineValue,
        Column::CoarseValue,
    ];
    let mut span = Condition::all();
    if let Some(start) = start {
        span = span.add(Column::ValueTime.gte(start));
    }
    if let Some(end) = end {
        span = span.add(Column::ValueTime.lt(end));
    }
    let grouping = rows.map_or(Grouping::None, |(grouping, _)| grouping);
    let mut query = in_scope(scope)
        .filter(span)
        .expr_as(grouping.key(), "key")
        .columns(alike)
        .expr_as(Column::Id.count(), "count");
    for column in alike {
        query = query.group_by(column);
    }
    if let (Some(column), Some((_, keys))) = (grouping.column(), rows) {
        query = query.group_by(column);
        query = match grouping {
            Grouping::Day => {
                query.filter(column.is_in(keys.iter().filter_map(|day| day.parse::<i32>().ok())))
            }
            _ => query.filter(column.is_in(keys.iter().map(String::as_str))),
        };
    }
    query.into_model::<Alike>().all(db).await
}

/// Returns how many were not verified on the days of a span, kept or not, by what became of them.
pub async fn refusals(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    app: AppId,
    (first, after): (i32, i32),
) -> Result<Vec<(i16, i64)>, DbErr> {
    use postback_refusal::{Column, Entity};
    let rows: Vec<(i16, i64)> = Entity::find()
        .select_only()
        .columns([Column::Outcome, Column::Count])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::AppId.eq(app))
        .filter(Column::Day.gte(first))
        .filter(Column::Day.lt(after))
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows)
}

/// Takes some of what came before a moment away. Returns how many rows that were, and whether there may be more.
pub async fn sweep(db: &impl ConnectionTrait, before: Moment, day: i32) -> Result<(u64, bool), DbErr> {
    let old = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Id.lt(PostbackId(floor(before))))
        .limit(BATCH);
    let gone = Entity::delete_many().filter(Column::Id.in_subquery(old.into_query())).exec(db).await?;
    let counts = postback_refusal::Entity::delete_many()
        .filter(postback_refusal::Column::Day.lt(day))
        .exec(db)
        .await?;
    Ok((gone.rows_affected + counts.rows_affected, gone.rows_affected == BATCH))
}
