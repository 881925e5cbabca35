//! Events that another product recorded: kept as it said that they were, with their money, and told to nobody.

use std::collections::HashSet;

use chrono::NaiveDate;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryTrait as _,
    sea_query::{Expr, OnConflict},
};

use super::{
    Source,
    carry::price,
    fields::{self, MOST_EARLY},
    key::{content_hash, id_of},
    names, properties,
    rates::Reporting,
    record::Row,
    store,
};
use crate::{
    clock::Moment,
    db::Dialect,
    entity::{
        event::{Column, Entity, Model},
        event_transaction,
    },
    env::Env,
    ids::{EventId, InstallId, WorkspaceId, time_of},
    links::timestamp,
    pb::sdk::v1 as sdk,
};

/// SQLite takes 32,766 values in a statement; twenty-three to an event.
const ROWS_A_STATEMENT: usize = 1000;

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEvent(Row);

/// Reads an event that the other product heard of at `received`. A device's clock that is more than a day ahead says nothing, and neither do
/// data that are no properties here: the event is kept all the same, and what was left out is told.
pub fn read(
    source: Source,
    install: InstallId,
    mut event: sdk::Event,
    received: Moment,
) -> Result<(PastEvent, Vec<String>), String> {
    let mut left_out = Vec::new();
    let said = event.event_time.as_ref().and_then(|time| crate::links::moment(time).ok());
    if said.is_none_or(|time| time > received + MOST_EARLY) {
        event.event_time = Some(timestamp(received));
    }
    let read = match fields::read(&event, received) {
        Err(refusal) if refusal.field == "properties" => {
            left_out.push(refusal.text);
            event.properties = None;
            fields::read(&event, received)
        }
        read => read,
    };
    let read = read.map_err(|refusal| refusal.text)?;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let row = Row {
        id: id_of(source.scope(), &read.key, read.time),
        source,
        install,
        content: content_hash(install, &event),
        key: read.key,
        name: read.name,
        time: read.time.min(received),
        received,
        session: text(read.session),
        properties: read.properties,
        revenue: read.revenue,
        transaction: text(read.transaction),
        link: read.link,
        click: read.click,
        link_open_time: read.link_open_time,
    };
    Ok((PastEvent(row), left_out))
}

impl PastEvent {
    /// Returns its id.
    pub const fn id(&self) -> EventId {
        self.0.id
    }

    /// Returns what it says, part by part, but for what it comes to in the currency of the workspace.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        parts(&model(&self.0, None))
    }
}

/// Events that can be stored, and what each earned in the currency of its workspace.
#[derive(Debug)]
pub struct ReadyEvents(Vec<(Row, Option<Reporting>)>);

/// Prepares events, outside of the transaction that stores them: converts what they earned, learns the names of their properties and makes the
/// partitions of their days.
pub async fn prepare(env: &Env, events: Vec<PastEvent>) -> Result<ReadyEvents, DbErr> {
    let mut rows: Vec<Row> = events.into_iter().map(|event| event.0).collect();
    if env.db.dialect() == Dialect::Postgres {
        let days: HashSet<NaiveDate> = rows.iter().map(|row| time_of(row.id.0).date_naive()).collect();
        for day in days {
            store::make_partitions(&env.db.drain, day, day).await?;
        }
    }
    names::keep_known(env, &mut rows).await?;
    let reporting: Vec<Option<Reporting>> =
        price(env, &rows).await?.into_iter().map(|priced| priced.reporting).collect();
    Ok(ReadyEvents(rows.into_iter().zip(reporting).collect()))
}

/// Stores events and claims their transactions. Returns those that were not there.
pub async fn insert(tx: &DatabaseTransaction, ready: &ReadyEvents) -> Result<HashSet<EventId>, DbErr> {
    let mut inserted = HashSet::with_capacity(ready.0.len());
    for some in ready.0.chunks(ROWS_A_STATEMENT) {
        let models = some.iter().map(|(row, reporting)| model(row, reporting.as_ref()).into_active_model());
        let there = OnConflict::column(Column::Id).do_nothing().to_owned();
        let mut insert = Entity::insert_many(models).on_conflict(there);
        insert.query().returning_col(Column::Id);
        for row in tx.query_all(insert.query()).await? {
            inserted.insert(row.try_get_by_index::<EventId>(0)?);
        }
    }
    let losers = claim(tx, ready, &inserted).await?;
    if !losers.is_empty() {
        Entity::update_many()
            .col_expr(Column::DuplicateRevenue, Expr::value(true))
            .filter(Column::Id.is_in(losers))
            .exec(tx)
            .await?;
    }
    Ok(inserted)
}

/// Claims the transactions of those events that were inserted, and returns those whose transaction another event has.
async fn claim(
    tx: &DatabaseTransaction,
    ready: &ReadyEvents,
    inserted: &HashSet<EventId>,
) -> Result<Vec<EventId>, DbErr> {
    use event_transaction::Column as Transaction;
    let mut seen = HashSet::new();
    let mut wanted: Vec<event_transaction::Model> = ready
        .0
        .iter()
        .map(|(row, _)| row)
        .filter(|row| inserted.contains(&row.id) && seen.insert(row.id))
        .filter_map(|row| {
            let revenue = row.revenue.as_ref()?;
            Some(event_transaction::Model {
                scope_id: row.source.scope(),
                refund: revenue.amount.is_refund(),
                transaction_id: row.transaction.clone()?,
                event_id: row.id,
            })
        })
        .collect();
    // In the order of those who claim them while they are drained.
    wanted.sort_by(|one, other| {
        (one.scope_id, one.refund, &one.transaction_id).cmp(&(
            other.scope_id,
            other.refund,
            &other.transaction_id,
        ))
    });
    let mut won: HashSet<EventId> = HashSet::new();
    for some in wanted.chunks(ROWS_A_STATEMENT) {
        let key = [Transaction::ScopeId, Transaction::Refund, Transaction::TransactionId];
        let rows = some.iter().cloned().map(event_transaction::Model::into_active_model);
        let taken = OnConflict::columns(key).do_nothing().to_owned();
        let mut insert = event_transaction::Entity::insert_many(rows).on_conflict(taken);
        insert.query().returning_col(Transaction::EventId);
        for row in tx.query_all(insert.query()).await? {
            won.insert(row.try_get_by_index(0)?);
        }
    }
    Ok(wanted.into_iter().map(|row| row.event_id).filter(|id| !won.contains(id)).collect())
}

/// Returns what those of the events say that are there, as [`PastEvent::parts`] does.
pub async fn stored(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[EventId],
) -> Result<Vec<(EventId, Vec<Vec<u8>>)>, DbErr> {
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(ROWS_A_STATEMENT) {
        let rows = Entity::find()
            .filter(Column::WorkspaceId.eq(workspace))
            .filter(Column::Id.is_in(some.iter().copied()))
            .all(db)
            .await?;
        found.extend(rows.iter().map(|row| (row.id, parts(row))));
    }
    Ok(found)
}

fn model(row: &Row, reporting: Option<&Reporting>) -> Model {
    Model {
        id: row.id,
        workspace_id: row.source.workspace,
        install_id: row.install,
        app_id: row.source.app,
        link_id: row.link,
        click_id: row.click,
        link_open_time: row.link_open_time,
        event_time: row.time,
        receive_time: row.received,
        content_hash: row.content,
        units: row.revenue.as_ref().map(|revenue| revenue.amount.units()),
        reporting_units: reporting.map(|reporting| reporting.amount.units()),
        nanos: row.revenue.as_ref().map(|revenue| revenue.amount.nanos()),
        reporting_nanos: reporting.map(|reporting| reporting.amount.nanos()),
        rate_day: reporting.and_then(|reporting| reporting.day),
        duplicate_revenue: false,
        event_key: row.key.clone(),
        name: row.name.clone(),
        session: row.session.clone(),
        currency: row.revenue.as_ref().map(|revenue| revenue.currency.clone()),
        reporting_currency: reporting.map(|reporting| reporting.currency.clone()),
        transaction_id: row.transaction.clone(),
        properties: properties::object(row.properties.iter()),
    }
}

fn parts(row: &Model) -> Vec<Vec<u8>> {
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let time = |time: Option<Moment>| time.map(|time| time.timestamp_micros().to_be_bytes().to_vec());
    let text = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
    vec![
        row.id.0.as_bytes().to_vec(),
        row.install_id.0.as_bytes().to_vec(),
        id(row.app_id.map(|app| app.0)),
        id(row.link_id.map(|link| link.0)),
        id(row.click_id.map(|click| click.0)),
        time(row.link_open_time).unwrap_or_default(),
        time(Some(row.event_time)).unwrap_or_default(),
        time(Some(row.receive_time)).unwrap_or_default(),
        row.content_hash.to_be_bytes().to_vec(),
        row.units.map(|units| units.to_be_bytes().to_vec()).unwrap_or_default(),
        row.nanos.map(|nanos| nanos.to_be_bytes().to_vec()).unwrap_or_default(),
        row.event_key.clone().into_bytes(),
        row.name.clone().into_bytes(),
        text(&row.session),
        text(&row.currency),
        text(&row.transaction_id),
        text(&row.properties),
    ]
}
