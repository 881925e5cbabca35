//! Carries events from the spool into the database. May be done any number of times: rows that are there change nothing, and what is counted
//! is what was really inserted.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use sea_orm::DbErr;

use super::{
    meters, names,
    rates::{Book, day_of},
    record::{self, Row},
    store::{self, Priced},
};
use crate::{
    clicks::{Homes, drain::Unreadable},
    env::Env,
    feed::tail,
    ids::{EventId, LinkId, WorkspaceId},
    spool::Record,
};

/// Writes events, each with its place in the batch, and returns the places of those that nobody can read.
pub async fn carry(env: &Env, records: &[(usize, &Record)]) -> Result<Vec<Unreadable>, DbErr> {
    let mut unreadable = Vec::new();
    let mut rows: Vec<Row> = Vec::with_capacity(records.len());
    for (place, record) in records {
        match record::decode(record.id, &record.payload) {
            Some(row) => rows.push(row),
            None => unreadable.push(Unreadable(*place)),
        }
    }
    if rows.is_empty() {
        return Ok(unreadable);
    }
    let meters = meters::of(env);
    let dropped = names::keep_known(env, &mut rows).await?;
    let priced = price(env, &rows).await?;
    let written = store::write(env.db.writer(&env.db.drain), &priced, env.now()).await?;
    if !written.inserted.is_empty() {
        tail::wake(env);
    }
    meters.names_dropped.increment(dropped);
    meters.stored.increment(written.inserted.len() as u64);
    meters.duplicate_revenue.increment(written.duplicate_revenue);
    let conflicts = conflicts(env, &rows, &written).await?;
    let duplicates = (rows.len() - written.inserted.len()) as u64;
    meters.conflicts.increment(conflicts);
    meters.duplicates.increment(duplicates - conflicts);
    Ok(unreadable)
}

/// Counts the rows that say something else than what is stored under their id.
async fn conflicts(env: &Env, rows: &[Row], written: &store::Written) -> Result<u64, DbErr> {
    if written.inserted.len() == rows.len() {
        return Ok(0);
    }
    let mut seen: HashMap<EventId, i64> = HashMap::new();
    let fresh = |row: &&Row| written.inserted.contains(&row.id);
    for row in rows.iter().filter(fresh) {
        seen.entry(row.id).or_insert(row.content);
    }
    let others: Vec<EventId> = rows.iter().filter(|row| !fresh(row)).map(|row| row.id).collect();
    seen.extend(store::contents(&env.db.drain, &others).await?);
    Ok(rows.iter().filter(|row| seen.get(&row.id).is_some_and(|content| *content != row.content)).count()
        as u64)
}

/// Converts what events earned into what their workspaces count in.
pub(super) async fn price<'a>(env: &Env, rows: &'a [Row]) -> Result<Vec<Priced<'a>>, DbErr> {
    let with_revenue = || rows.iter().filter_map(|row| Some((row, row.revenue.as_ref()?)));
    let workspaces: BTreeSet<WorkspaceId> = with_revenue().map(|(row, _)| row.source.workspace).collect();
    let mut currencies = HashMap::new();
    let mut book = Book::default();
    if !workspaces.is_empty() {
        currencies = store::reporting_currencies(&env.db.drain, Some(&workspaces)).await?;
        let wanted: Vec<(i32, &str, &str)> = with_revenue()
            .filter_map(|(row, revenue)| {
                let to = currencies.get(&row.source.workspace)?;
                Some((day_of(row.time), revenue.currency.as_str(), to.as_str()))
            })
            .collect();
        book = Book::of(&env.db.drain, &wanted).await?;
    }
    // An event without a link is nowhere.
    let none = LinkId(uuid::Uuid::nil());
    let links = rows.iter().map(|row| (row.source.workspace, row.link.unwrap_or(none)));
    let homes = match rows.iter().any(|row| row.link.is_some()) {
        true => Homes::here(env).of(&env.db.drain, links).await?,
        false => vec![Arc::default(); rows.len()],
    };
    Ok(rows
        .iter()
        .zip(homes)
        .map(|(row, home)| {
            let reporting = row.revenue.as_ref().and_then(|revenue| {
                let to = currencies.get(&row.source.workspace)?;
                book.convert(revenue.amount, &revenue.currency, to, day_of(row.time))
            });
            Priced { row, reporting, home }
        })
        .collect())
}
