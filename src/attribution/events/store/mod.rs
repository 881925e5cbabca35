//! Queries of `events`, `event_transactions` and `event_properties`. What the drain writes is sqlx's on SeaORM's own pools, as for clicks.

mod postgres;
mod sqlite;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::NaiveDate;
use prost::Message as _;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, RuntimeErr, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{money::Amount, rates::Reporting, record::Row};
use crate::{
    clicks::Home,
    clock::Moment,
    db::{self, Db, Dialect, dialect},
    entity::{
        event::{self, Entity as Events, Model as Event},
        event_property, workspace,
    },
    feed,
    ids::{EventId, WorkspaceId},
    pb::v1,
};

/// An event and what it earned in the currency of its workspace.
#[derive(Debug)]
pub struct Priced<'a> {
    pub row: &'a Row,
    pub reporting: Option<Reporting>,
    /// Where the link is that opened the app last.
    pub home: Arc<Home>,
}

/// What a batch came to.
#[derive(Debug)]
pub struct Written {
    /// The events that were not there.
    pub inserted: HashSet<EventId>,
    /// How many of those have revenue that another event has already.
    pub duplicate_revenue: u64,
}

/// One revenue that may count: of what scope and transaction, and which event has it.
type Revenue<'a> = (Uuid, bool, &'a str, EventId);

/// Writes a batch, claims its transactions and tells the feed, in one transaction of the database. Rows that are there already change
/// nothing.
pub async fn write(db: &DatabaseConnection, rows: &[Priced<'_>], now: Moment) -> Result<Written, DbErr> {
    match dialect(db.get_database_backend()) {
        Dialect::Postgres => postgres::write(db.get_postgres_connection_pool(), rows, now).await,
        Dialect::Sqlite => sqlite::write(db.get_sqlite_connection_pool(), rows, now).await,
    }
    .map_err(sql)
}

/// Returns the content of those events that are stored.
pub async fn contents(db: &DatabaseConnection, ids: &[EventId]) -> Result<HashMap<EventId, i64>, DbErr> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    match dialect(db.get_database_backend()) {
        Dialect::Postgres => postgres::contents(db.get_postgres_connection_pool(), &ids).await,
        Dialect::Sqlite => sqlite::contents(db.get_sqlite_connection_pool(), &ids).await,
    }
    .map(|rows| rows.into_iter().map(|(id, content)| (EventId(id), content)).collect())
    .map_err(sql)
}

/// Makes the partitions of the days from `first` to `last` that are not there yet, and returns how many it made. For
/// Postgres only.
pub async fn make_partitions(
    db: &DatabaseConnection,
    first: NaiveDate,
    last: NaiveDate,
) -> Result<i32, DbErr> {
    postgres::make_partitions(db.get_postgres_connection_pool(), first, last).await.map_err(sql)
}

/// Returns the currencies of those of the workspaces that have one; `None`: of all, for the operator.
pub async fn reporting_currencies(
    db: &impl ConnectionTrait,
    workspaces: Option<&BTreeSet<WorkspaceId>>,
) -> Result<HashMap<WorkspaceId, String>, DbErr> {
    let rows: Vec<(WorkspaceId, Option<Vec<u8>>)> = workspace::Entity::find()
        .select_only()
        .columns([workspace::Column::Id, workspace::Column::Settings])
        .filter(workspace::Column::Settings.is_not_null())
        .apply_if(workspaces, |query, workspaces| {
            query.filter(workspace::Column::Id.is_in(workspaces.iter().copied()))
        })
        .into_tuple()
        .all(db)
        .await?;
    let currency = |(id, settings): (WorkspaceId, Option<Vec<u8>>)| {
        let settings = v1::WorkspaceSettings::decode(settings?.as_slice()).ok()?;
        Some((id, settings.reporting_currency)).filter(|(_, currency)| !currency.is_empty())
    };
    Ok(rows.into_iter().filter_map(currency).collect())
}

/// Adds names to those of a scope, as long as there are not `most`, and returns all of them.
pub async fn add_names(
    db: &DatabaseConnection,
    scope: Uuid,
    new: &BTreeSet<String>,
    most: usize,
) -> Result<HashSet<String>, DbErr> {
    use event_property::{ActiveModel, Column, Entity};
    let tx = db::begin(db).await?;
    if dialect(db.get_database_backend()) == Dialect::Postgres {
        // Nodes add to the names of one app one after the other, or there would be more than `most`.
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 31))";
        let statement =
            sea_orm::Statement::from_sql_and_values(db.get_database_backend(), lock, [scope.into()]);
        tx.execute_raw(statement).await?;
    }
    let stored: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Name)
        .filter(Column::ScopeId.eq(scope))
        .into_tuple()
        .all(&tx)
        .await?;
    let mut names: HashSet<String> = stored.into_iter().collect();
    let room = most.saturating_sub(names.len());
    let added: Vec<String> = new.iter().filter(|name| !names.contains(*name)).take(room).cloned().collect();
    if !added.is_empty() {
        let rows = added.iter().map(|name| ActiveModel { scope_id: Set(scope), name: Set(name.clone()) });
        let conflict = OnConflict::columns([Column::ScopeId, Column::Name]).do_nothing().to_owned();
        Entity::insert_many(rows).on_conflict(conflict).exec_without_returning(&tx).await?;
        names.extend(added);
    }
    tx.commit().await?;
    Ok(names)
}

/// Lists events of a workspace whose revenue waits for a rate, oldest first.
pub async fn waiting(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    after: Option<EventId>,
    most: u64,
) -> Result<Vec<Event>, DbErr> {
    use event::Column;
    let mut query = Events::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Units.is_not_null())
        .filter(Column::ReportingUnits.is_null());
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.order_by_asc(Column::Id).limit(most).all(db).await
}

/// Notes what the revenue of events came to, where nothing is noted yet, and tells the feed. Returns for how many.
pub async fn set_reporting(
    db: &Db,
    of: Vec<(Event, Reporting, Arc<Home>)>,
    now: Moment,
) -> Result<u64, DbErr> {
    use event::Column;
    use sea_orm::sea_query::Expr;
    if of.is_empty() {
        return Ok(0);
    }
    let tx = db.begin().await?;
    let mut changed = Vec::new();
    for (event, reporting, home) in of {
        let Reporting { currency, amount, day } = &reporting;
        let done = Events::update_many()
            .col_expr(Column::ReportingUnits, Expr::value(amount.units()))
            .col_expr(Column::ReportingNanos, Expr::value(amount.nanos()))
            .col_expr(Column::ReportingCurrency, Expr::value(currency.clone()))
            .col_expr(Column::RateDay, Expr::value(*day))
            .filter(Column::Id.eq(event.id))
            .filter(Column::ReportingUnits.is_null())
            .exec(&tx)
            .await?;
        if done.rows_affected > 0 {
            changed.push((event.workspace_id, priced_later(event, &reporting, &home)));
        }
    }
    let count = changed.len() as u64;
    feed::append(&tx, feed::events(changed), now).await?;
    tx.commit().await?;
    Ok(count)
}

fn priced_later(event: Event, reporting: &Reporting, home: &Home) -> feed::Event {
    let (units, nanos) = (event.units.unwrap_or_default(), event.nanos.unwrap_or_default());
    feed::Event {
        id: event.id,
        install: event.install_id,
        app: event.app_id,
        name: event.name,
        time: event.event_time,
        revenue: event.currency.map(|currency| feed::Money { currency, units, nanos }),
        reporting: Some(money(&reporting.currency, reporting.amount)),
        duplicate_revenue: event.duplicate_revenue,
        link: event.link_id,
        click: event.click_id,
        link_open_time: event.link_open_time,
        domain: home.domain.clone(),
        project: home.project.clone(),
        priced_later: true,
    }
}

/// Puts the events that were inserted into rows of the feed; `losers` earned what another has already.
fn feed_of(rows: &[Priced<'_>], inserted: &HashSet<EventId>, losers: &[Uuid]) -> Vec<feed::Entry> {
    let mut seen = HashSet::new();
    let fresh = rows.iter().filter(|priced| inserted.contains(&priced.row.id) && seen.insert(priced.row.id));
    feed::events(fresh.map(|Priced { row, reporting, home }| {
        let event = feed::Event {
            id: row.id,
            install: row.install,
            app: row.source.app,
            name: row.name.clone(),
            time: row.time,
            revenue: row.revenue.as_ref().map(|revenue| money(&revenue.currency, revenue.amount)),
            reporting: reporting.as_ref().map(|reporting| money(&reporting.currency, reporting.amount)),
            duplicate_revenue: losers.contains(&row.id.0),
            link: row.link,
            click: row.click,
            link_open_time: row.link_open_time,
            domain: home.domain.clone(),
            project: home.project.clone(),
            priced_later: false,
        };
        (row.source.workspace, event)
    }))
}

fn money(currency: &str, amount: Amount) -> feed::Money {
    feed::Money { currency: currency.to_owned(), units: amount.units(), nanos: amount.nanos() }
}

/// What of a batch counts as revenue if nothing else of its transaction did before: by transaction, in one order on every node, so that
/// none waits for another that waits for it; of one transaction the first of the batch.
fn revenues<'a>(rows: &'a [Priced<'_>], inserted: &HashSet<EventId>) -> Vec<Revenue<'a>> {
    let mut seen = HashSet::new();
    let mut revenues: Vec<Revenue<'a>> = rows
        .iter()
        .filter(|priced| inserted.contains(&priced.row.id) && seen.insert(priced.row.id))
        .filter_map(|priced| {
            let row = priced.row;
            let revenue = row.revenue.as_ref()?;
            Some((row.source.scope(), revenue.amount.is_refund(), row.transaction.as_deref()?, row.id))
        })
        .collect();
    revenues.sort_by(|one, other| (one.0, one.1, one.2).cmp(&(other.0, other.1, other.2)));
    revenues
}

fn sql(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
