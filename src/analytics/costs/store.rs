//! Queries of `costs`.

use std::ops::Range;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait as _, Select,
    sea_query::{Condition, Expr, ExprTrait as _, OnConflict},
};
use uuid::Uuid;

use crate::{
    attribution::events::money::Amount,
    entity::cost::{ActiveModel, Column, Entity, Model},
    ids::{AppId, LinkId, WorkspaceId},
    page::{Cursor, Page, PageRequest},
};

/// Each has eighteen values, and SQLite takes 32,766.
const ROWS_A_STATEMENT: usize = 1000;

/// Which costs are meant. What is not set is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CostQuery {
    /// From this day on, in days since 1970.
    pub first: Option<i32>,
    /// Before this day.
    pub end: Option<i32>,
    /// Of this source.
    pub source: Option<String>,
    /// Of this medium.
    pub medium: Option<String>,
    /// Of this campaign.
    pub campaign: Option<String>,
    /// Of this app.
    pub app: Option<AppId>,
    /// Of this link.
    pub link: Option<LinkId>,
}

impl CostQuery {
    fn condition(&self, workspace: WorkspaceId) -> Condition {
        Condition::all()
            .add(Column::WorkspaceId.eq(workspace))
            .add_option(self.first.map(|first| Column::Day.gte(first)))
            .add_option(self.end.map(|end| Column::Day.lt(end)))
            .add_option(self.source.as_ref().map(|source| Column::Source.eq(source)))
            .add_option(self.medium.as_ref().map(|medium| Column::Medium.eq(medium)))
            .add_option(self.campaign.as_ref().map(|campaign| Column::Campaign.eq(campaign)))
            .add_option(self.app.map(|app| Column::AppId.eq(app)))
            .add_option(self.link.map(|link| Column::LinkId.eq(link)))
    }
}

/// A cost, and what it comes to.
#[derive(Debug, Clone)]
pub struct Priced {
    day: i32,
    id: Uuid,
    currency: String,
    amount: Amount,
}

impl Priced {
    /// Returns what a cost comes to, where that is known.
    pub fn of(cost: &Model) -> Option<Self> {
        let amount = Amount::new(cost.reporting_units?, cost.reporting_nanos?);
        Some(Self { day: cost.day, id: cost.id, currency: cost.reporting_currency.clone()?, amount })
    }
}

/// Stores costs in the place of those that are there. No two are the same one's.
pub async fn put(tx: &impl ConnectionTrait, mut costs: Vec<Model>) -> Result<(), DbErr> {
    // In one order, so that two imports do not wait for each other.
    costs.sort_unstable_by_key(|cost| (cost.day, cost.id));
    let rows: Vec<ActiveModel> = costs.into_iter().map(|cost| cost.into_active_model().reset_all()).collect();
    for rows in rows.chunks(ROWS_A_STATEMENT) {
        let conflict = OnConflict::columns([Column::WorkspaceId, Column::Day, Column::Id])
            .update_columns([
                Column::Source,
                Column::Medium,
                Column::Campaign,
                Column::AdGroup,
                Column::Creative,
                Column::Currency,
                Column::Units,
                Column::Nanos,
                Column::ReportingCurrency,
                Column::ReportingUnits,
                Column::ReportingNanos,
                Column::UpdateTime,
            ])
            .to_owned();
        Entity::insert_many(rows.to_vec()).on_conflict(conflict).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Returns one page of costs, the latest day first.
pub async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &CostQuery,
    page: &PageRequest,
) -> Result<Page<Model>, DbErr> {
    let mut query = Entity::find().filter(asked.condition(workspace));
    if let Some((day, id)) = page.after.as_ref().and_then(place) {
        let place = Expr::tuple([Expr::col(Column::Day), Expr::col(Column::Id)]);
        query = query.filter(place.lt(Expr::tuple([Expr::val(day), Expr::val(id)])));
    }
    let rows = query
        .order_by_desc(Column::Day)
        .order_by_desc(Column::Id)
        .limit(u64::from(page.size) + 1)
        .all(db)
        .await?;
    Ok(Page::of(rows, page.size, |cost| Cursor { key: cost.day.to_string(), id: cost.id.to_string() }))
}

fn place(cursor: &Cursor) -> Option<(i32, Uuid)> {
    Some((cursor.key.parse().ok()?, crate::ids::parse(&cursor.id)?))
}

/// Deletes costs and returns how many there were.
pub async fn delete(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    asked: &CostQuery,
) -> Result<u64, DbErr> {
    let deleted = Entity::delete_many().filter(asked.condition(workspace)).exec(tx).await?;
    Ok(deleted.rows_affected)
}

/// Lists costs that wait for a rate, the first day first, behind one of them.
pub async fn waiting(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    after: Option<(i32, Uuid)>,
    most: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query =
        Entity::find().filter(Column::WorkspaceId.eq(workspace)).filter(Column::ReportingCurrency.is_null());
    if let Some((day, id)) = after {
        let place = Expr::tuple([Expr::col(Column::Day), Expr::col(Column::Id)]);
        query = query.filter(place.gt(Expr::tuple([Expr::val(day), Expr::val(id)])));
    }
    query.order_by_asc(Column::Day).order_by_asc(Column::Id).limit(most).all(db).await
}

/// Notes what costs come to, where nothing is noted yet, and returns for how many.
pub async fn set_reporting(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    priced: &[Priced],
) -> Result<u64, DbErr> {
    let mut count = 0;
    for Priced { day, id, currency, amount } in priced {
        let done = Entity::update_many()
            .col_expr(Column::ReportingUnits, Expr::value(amount.units()))
            .col_expr(Column::ReportingNanos, Expr::value(amount.nanos()))
            .col_expr(Column::ReportingCurrency, Expr::value(currency.clone()))
            .filter(Column::WorkspaceId.eq(workspace))
            .filter(Column::Day.eq(*day))
            .filter(Column::Id.eq(*id))
            .filter(Column::ReportingCurrency.is_null())
            .exec(tx)
            .await?;
        count += done.rows_affected;
    }
    Ok(count)
}

/// Adds up what costs come to, by currency and by some columns of theirs. Whole units and billionths are added each for itself.
pub async fn sums(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    days: Range<i32>,
    narrowed: Condition,
    by: &[Column],
) -> Result<Vec<QueryResult>, DbErr> {
    let mut query: Select<Entity> = Entity::find()
        .select_only()
        .columns(by.iter().copied())
        .column(Column::ReportingCurrency)
        .column_as(Expr::cust("CAST(SUM(reporting_units) AS bigint)"), "units")
        .column_as(Expr::cust("CAST(SUM(reporting_nanos) AS bigint)"), "nanos")
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Day.gte(days.start))
        .filter(Column::Day.lt(days.end))
        .filter(Column::ReportingCurrency.is_not_null())
        .filter(narrowed)
        .group_by(Column::ReportingCurrency);
    for column in by {
        query = query.group_by(*column);
    }
    db.query_all_raw(query.build(db.get_database_backend())).await
}
