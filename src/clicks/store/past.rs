//! Clicks that were recorded elsewhere: written in the caller's transaction, counted in the totals of their links, and told to nobody, since
//! the feed does not have them. Read back as they were written.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _, ExprTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryTrait as _,
    sea_query::{Expr, OnConflict},
};

use super::{BETWEEN, Coded, Made, Ready, Row, counts, fresh};
use crate::{
    entity::{
        click::{Column, Entity, Model},
        dictionary, link_total,
    },
    ids::{ClickId, WorkspaceId},
};

/// SQLite takes 32,766 values in a statement; seventeen to a click.
const ROWS_A_STATEMENT: usize = 1900;
const IDS_A_STATEMENT: usize = 5000;
const TEXTS_A_STATEMENT: usize = 1000;

/// Writes clicks as they are, whoever their user agent says that they are of. Returns those that were not there.
pub async fn insert(
    tx: &DatabaseTransaction,
    ready: &Ready,
    rows: &[Row<'_>],
) -> Result<HashSet<ClickId>, DbErr> {
    let coded = ready.coded(rows, |row, _| row.class);
    let mut ids = HashSet::with_capacity(coded.len());
    for some in coded.chunks(ROWS_A_STATEMENT) {
        let models = some.iter().map(|coded| model(coded).into_active_model());
        let there = OnConflict::column(Column::Id).do_nothing().to_owned();
        let mut insert = Entity::insert_many(models).on_conflict(there);
        insert.query().returning_col(Column::Id);
        for row in tx.query_all(insert.query()).await? {
            ids.insert(row.try_get_by_index(0)?);
        }
    }
    let inserted = fresh(&coded, Made::Some(ids));
    for ((workspace, link), (people, others)) in counts(&inserted) {
        use link_total::Column as Total;
        let row =
            link_total::Model { workspace_id: workspace, link_id: link, clicks: people, bot_clicks: others };
        let add = |column: Total, count: i64| (column, Expr::col((link_total::Entity, column)).add(count));
        let again = OnConflict::columns([Total::WorkspaceId, Total::LinkId])
            .values([add(Total::Clicks, people), add(Total::BotClicks, others)])
            .to_owned();
        link_total::Entity::insert(row.into_active_model())
            .on_conflict(again)
            .exec_without_returning(tx)
            .await?;
    }
    Ok(inserted.iter().map(|coded| coded.row.id).collect())
}

fn model(coded: &Coded<'_>) -> Model {
    let row = coded.row;
    Model {
        id: row.id,
        workspace_id: row.workspace,
        link_id: row.link,
        visitor: row.visitor,
        user_agent_id: coded.user_agent,
        referrer_id: coded.referrer,
        language_id: coded.language,
        platform: row.platform,
        class: coded.class.number(),
        step: row.step,
        network: row.network.to_vec(),
        query: Some(row.query).filter(|query| !query.is_empty()).map(str::to_owned),
        country: row.country.map(|country| country.as_str().to_owned()),
        campaign_id: coded.campaign,
        address: row.address,
        place_id: coded.place,
        home_id: coded.home,
    }
}

/// A click with its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its row.
    pub row: Model,
    /// The user agent.
    pub user_agent: String,
    /// The host of the page it came from.
    pub referrer_host: String,
    /// The language.
    pub language: String,
    /// The campaign, as `clicks::query::campaign` writes it.
    pub campaign: String,
    /// Country, part of it and city; empty where nothing is known.
    pub place: [String; 3],
}

/// Returns those of the clicks that are there.
pub async fn read(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[ClickId],
) -> Result<Vec<Told>, DbErr> {
    let mut rows = Vec::with_capacity(ids.len());
    for some in ids.chunks(IDS_A_STATEMENT) {
        let found = Entity::find()
            .filter(Column::WorkspaceId.eq(workspace))
            .filter(Column::Id.is_in(some.iter().copied()));
        rows.extend(found.all(db).await?);
    }
    let named: HashSet<i32> = rows
        .iter()
        .flat_map(|row| {
            [row.user_agent_id, row.referrer_id, row.language_id]
                .into_iter()
                .chain(row.campaign_id)
                .chain(row.place_id)
        })
        .collect();
    let named: Vec<i32> = named.into_iter().collect();
    let mut texts: HashMap<i32, String> = HashMap::with_capacity(named.len());
    for some in named.chunks(TEXTS_A_STATEMENT) {
        let found = dictionary::Entity::find().filter(dictionary::Column::Id.is_in(some.iter().copied()));
        texts.extend(found.all(db).await?.into_iter().map(|text| (text.id, text.value)));
    }
    let text = |id: i32| texts.get(&id).cloned().unwrap_or_default();
    Ok(rows
        .into_iter()
        .map(|row| {
            let place = row.place_id.map(text).unwrap_or_default();
            let mut parts = place.split(BETWEEN).map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            Told {
                user_agent: text(row.user_agent_id),
                referrer_host: text(row.referrer_id),
                language: text(row.language_id),
                campaign: row.campaign_id.map(text).unwrap_or_default(),
                place: [part(), part(), part()],
                row,
            }
        })
        .collect())
}
