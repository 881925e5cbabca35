//! Writes batches of clicks and keeps the totals that follow from them, in one transaction with the spool's progress.
//!
//! The SQL is sqlx's on SeaORM's own pools: UNNEST on Postgres writes several times what multi-row inserts do.

pub mod past;
mod postgres;
mod sqlite;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use chrono::NaiveDate;
use quick_cache::{DefaultHashBuilder, sync::Cache};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};
use uuid::Uuid;

use super::{
    class::{self, Class},
    homes::{Home, Homes},
    query,
};
use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    feed,
    geo::Country,
    ids::{ClickId, LeaseId, LinkId, WorkspaceId},
    spool::Position,
};

/// One click as the spool holds it. Its texts are those of the batch it was read from.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    pub id: ClickId,
    pub workspace: WorkspaceId,
    pub link: LinkId,
    pub platform: i16,
    pub class: Class,
    pub step: i16,
    pub network: &'a [u8],
    pub visitor: i64,
    pub user_agent: &'a str,
    pub referrer_host: &'a str,
    pub language: &'a str,
    pub query: &'a str,
    /// The link's own, `name=value` each.
    pub link_campaign: Vec<&'a str>,
    pub country: Option<Country>,
    pub lease: Option<LeaseId>,
    pub address: Option<i32>,
    pub region: &'a str,
    pub city: &'a str,
}

/// The sorts of text in the dictionary. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Kind {
    UserAgent = 1,
    Referrer = 2,
    Language = 3,
    Campaign = 4,
    /// Country, part of it and city, with [`BETWEEN`] between them.
    Place = 5,
    /// The host of a link and its project, with [`BETWEEN`] between them.
    Home = 6,
}

/// What stands between the parts of a text: Postgres holds no NUL.
pub const BETWEEN: char = '\u{1f}';

/// How far a spool has been drained, and when that was.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub spool: Uuid,
    pub position: Position,
    pub now: Moment,
}

/// A click with its texts replaced by their numbers.
#[derive(Debug, Clone, Copy)]
struct Coded<'a> {
    row: &'a Row<'a>,
    class: Class,
    user_agent: i32,
    referrer: i32,
    language: i32,
    campaign: Option<i32>,
    place: Option<i32>,
    home: Option<i32>,
    campaign_text: &'a str,
    home_text: &'a Home,
}

/// Rows that were really inserted.
type Inserted<'a> = Vec<&'a Coded<'a>>;

/// What the drain has to count: clicks by people and others, by workspace and link. Sorted, so that two nodes lock the same rows in the same
/// order.
type Counts = Vec<((WorkspaceId, LinkId), (i64, i64))>;

/// Texts whose numbers are known, and what their user agents say.
#[derive(Debug)]
pub struct Dictionary {
    numbers: Cache<(Kind, Arc<str>), i32>,
    classes: Cache<Arc<str>, Class>,
}

const REMEMBERED_TEXTS: usize = 50_000;

impl Default for Dictionary {
    fn default() -> Self {
        Self { numbers: Cache::new(REMEMBERED_TEXTS), classes: Cache::new(REMEMBERED_TEXTS) }
    }
}

impl Dictionary {
    fn class(&self, agent: &str) -> Class {
        if let Some(known) = self.classes.get(agent) {
            return known;
        }
        let class = class::by_user_agent(agent);
        self.classes.insert(Arc::from(agent), class);
        class
    }
}

/// Writes a batch and what follows from it, and notes how far the spool has been drained: all in one transaction. Rows that
/// are there already change nothing; who made the others is returned.
pub async fn write(
    db: &DatabaseConnection,
    (dictionary, homes): (&Dictionary, &Homes),
    rows: &[Row<'_>],
    progress: Progress,
) -> Result<Vec<Class>, DbErr> {
    let ready = Ready::of(db, (dictionary, homes), rows).await?;
    let classes = |row: &Row<'_>, by_agent| if row.class == Class::Human { by_agent } else { row.class };
    let coded = ready.coded(rows, classes);
    match dialect(db.get_database_backend()) {
        Dialect::Postgres => postgres::write(db.get_postgres_connection_pool(), &coded, progress).await,
        Dialect::Sqlite => sqlite::write(db.get_sqlite_connection_pool(), &coded, progress).await,
    }
    .map_err(sql)
}

/// What rows need before they can be written: their texts have numbers, and their links a place.
#[derive(Debug)]
pub struct Ready {
    campaigns: Vec<String>,
    homes: Vec<Arc<Home>>,
    numbers: Vec<i32>,
    classes: Vec<Class>,
    named: Vec<Named>,
}

impl Ready {
    /// Looks up links and texts. Outside of the transaction of the rows: see [`numbers`].
    pub async fn of(
        db: &DatabaseConnection,
        (dictionary, homes): (&Dictionary, &Homes),
        rows: &[Row<'_>],
    ) -> Result<Self, DbErr> {
        let campaigns: Vec<String> =
            rows.iter().map(|row| query::campaign(row.query, &row.link_campaign)).collect();
        let homes = homes.of(db, rows.iter().map(|row| (row.workspace, row.link))).await?;
        let places = Places::of(rows);
        let texts = Texts::of(rows, &campaigns, &places, &homes);
        let numbers = numbers(db, dictionary, &texts.distinct).await?;
        let classes = texts.classes(dictionary);
        let named = texts.places;
        Ok(Self { campaigns, homes, numbers, classes, named })
    }

    /// Returns the rows as they are written. `class` says of each who made it, asked with what its user agent says.
    fn coded<'a>(&'a self, rows: &'a [Row<'a>], class: impl Fn(&Row<'_>, Class) -> Class) -> Vec<Coded<'a>> {
        let Self { campaigns, homes, numbers, classes, named } = self;
        rows.iter()
            .zip(named)
            .zip(campaigns.iter().zip(homes))
            .map(|((row, named), of)| {
                let Named { always: [user_agent, referrer, language], campaign, place, home } = named;
                Coded {
                    row,
                    class: class(row, classes[*user_agent]),
                    user_agent: numbers[*user_agent],
                    referrer: numbers[*referrer],
                    language: numbers[*language],
                    campaign: campaign.map(|campaign| numbers[campaign]),
                    place: place.map(|place| numbers[place]),
                    home: home.map(|home| numbers[home]),
                    campaign_text: of.0,
                    home_text: of.1,
                }
            })
            .collect()
    }
}

/// Returns how far this database has drained a spool.
pub async fn progress(db: &DatabaseConnection, spool: Uuid) -> Result<Option<Position>, DbErr> {
    use sea_orm::EntityTrait as _;
    let row = crate::entity::spool_progress::Entity::find_by_id(spool).one(db).await?;
    Ok(row.map(|row| Position { segment: row.segment.cast_unsigned(), offset: row.position.cast_unsigned() }))
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

/// Sets a record aside that this database refuses.
pub async fn bury(
    db: &DatabaseConnection,
    spool: Uuid,
    (id, kind, payload): (Uuid, u8, &[u8]),
    error: &str,
    now: Moment,
) -> Result<(), DbErr> {
    use crate::entity::dead_letter::{ActiveModel, Column, Entity};
    use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};
    Entity::insert(ActiveModel {
        id: Set(id),
        spool_id: Set(spool),
        kind: Set(i16::from(kind)),
        payload: Set(payload.to_vec()),
        error: Set(error.to_owned()),
        create_time: Set(now),
    })
    .on_conflict(OnConflict::column(Column::Id).do_nothing().to_owned())
    .exec_without_returning(db)
    .await
    .map(drop)
}

/// Which rows of a batch were really inserted.
#[derive(Debug)]
enum Made {
    /// Every one: the batch is new, and held none twice.
    All,
    /// Those with these ids.
    Some(HashSet<Uuid>),
}

/// Returns the rows that were really inserted, each once even when the batch held it twice.
fn fresh<'a>(rows: &'a [Coded<'a>], made: Made) -> Inserted<'a> {
    match made {
        Made::All => rows.iter().collect(),
        Made::Some(mut ids) => rows.iter().filter(|coded| ids.remove(&coded.row.id.0)).collect(),
    }
}

/// Puts the rows that were inserted into those of the feed.
fn feed_of(inserted: &[&Coded<'_>]) -> Vec<feed::Entry> {
    feed::clicks(inserted.iter().map(|coded| {
        let Coded { row, class, campaign_text, home_text, .. } = coded;
        let click = feed::Click {
            id: row.id,
            link: row.link,
            domain: &*home_text.domain,
            project: &*home_text.project,
            platform: row.platform,
            class: class.number(),
            step: row.step,
            visitor: row.visitor,
            user_agent: row.user_agent,
            referrer_host: row.referrer_host,
            language: row.language,
            query: row.query,
            country: row.country.as_ref().map_or("", Country::as_str),
            region: row.region,
            city: row.city,
            campaign: campaign_text,
        };
        (row.workspace, click)
    }))
}

/// Counts the rows that were inserted.
fn counts(inserted: &[&Coded<'_>]) -> Counts {
    let mut counts: HashMap<_, (i64, i64), DefaultHashBuilder> = HashMap::default();
    for Coded { row, class, .. } in inserted {
        let (people, others) = counts.entry((row.workspace, row.link)).or_default();
        if *class == Class::Human { *people += 1 } else { *others += 1 }
    }
    let mut counts = Counts::from_iter(counts);
    counts.sort_unstable();
    counts
}

/// Counts the rows that used a part of a lease, by lease.
fn by_lease(inserted: &[&Coded<'_>]) -> BTreeMap<LeaseId, i64> {
    let mut used = BTreeMap::new();
    for lease in inserted.iter().filter_map(|one| one.row.lease) {
        *used.entry(lease).or_default() += 1;
    }
    used
}

/// Where the visitors of a batch are: each place once as it is stored, and which of them each row has.
struct Places {
    distinct: Vec<String>,
    of: Vec<Option<usize>>,
}

impl Places {
    fn of<'a>(rows: &'a [Row<'a>]) -> Self {
        let mut distinct = Vec::new();
        let mut known: HashMap<(Country, &str, &str), usize, DefaultHashBuilder> = HashMap::default();
        let place = |row: &'a Row<'a>| {
            let country = row.country?;
            let at = *known.entry((country, row.region, row.city)).or_insert_with(|| {
                distinct.push(format!("{}{BETWEEN}{}{BETWEEN}{}", country.as_str(), row.region, row.city));
                distinct.len() - 1
            });
            Some(at)
        };
        let of = rows.iter().map(place).collect();
        Self { distinct, of }
    }
}

/// The texts of a batch, each once, and which of them each row has.
struct Texts<'a> {
    distinct: Vec<(Kind, &'a str)>,
    places: Vec<Named>,
}

/// Which texts a row has: user agent, referrer, language, and what else there is.
#[derive(Debug)]
struct Named {
    always: [usize; 3],
    campaign: Option<usize>,
    place: Option<usize>,
    home: Option<usize>,
}

impl<'a> Texts<'a> {
    fn of(rows: &'a [Row<'a>], campaigns: &'a [String], wheres: &'a Places, homes: &'a [Arc<Home>]) -> Self {
        let mut distinct = Vec::new();
        let mut known: HashMap<(Kind, &str), usize, DefaultHashBuilder> = HashMap::default();
        let mut place = |kind, text: &'a str| {
            *known.entry((kind, text)).or_insert_with(|| {
                distinct.push((kind, text));
                distinct.len() - 1
            })
        };
        let places = rows
            .iter()
            .zip(campaigns)
            .zip(wheres.of.iter().zip(homes))
            .map(|((row, campaign), (at, home))| Named {
                always: [
                    place(Kind::UserAgent, row.user_agent),
                    place(Kind::Referrer, row.referrer_host),
                    place(Kind::Language, row.language),
                ],
                campaign: (!campaign.is_empty()).then(|| place(Kind::Campaign, campaign)),
                place: at.map(|at| place(Kind::Place, &wheres.distinct[at])),
                home: (!home.text.is_empty()).then(|| place(Kind::Home, &home.text)),
            })
            .collect();
        Self { distinct, places }
    }

    /// What each text says of its visitor. Only user agents say something.
    fn classes(&self, dictionary: &Dictionary) -> Vec<Class> {
        let class = |(kind, text): &(Kind, &str)| match kind {
            Kind::UserAgent => dictionary.class(text),
            _ => Class::Human,
        };
        self.distinct.iter().map(class).collect()
    }
}

/// Returns the numbers of texts, in their order, giving new ones to new texts. Not part of the batch's transaction: a
/// number that nobody uses harms nobody, and waiting for each other's new texts would.
async fn numbers(
    db: &DatabaseConnection,
    dictionary: &Dictionary,
    texts: &[(Kind, &str)],
) -> Result<Vec<i32>, DbErr> {
    let known = |text: &(Kind, &str)| dictionary.numbers.get(&(text.0, Arc::from(text.1)));
    let mut missing: Vec<(Kind, &str)> = texts.iter().filter(|text| known(text).is_none()).copied().collect();
    let mut named = HashMap::new();
    if !missing.is_empty() {
        // In one order on every node, so that none waits for another that waits for it.
        missing.sort_unstable();
        named = match dialect(db.get_database_backend()) {
            Dialect::Postgres => postgres::name(db.get_postgres_connection_pool(), &missing).await,
            Dialect::Sqlite => sqlite::name(db.get_sqlite_connection_pool(), &missing).await,
        }
        .map_err(sql)?;
        for ((kind, text), number) in
            missing.iter().filter_map(|text| Some((text, named.get(&(text.0 as i16, text.1.to_owned()))?)))
        {
            dictionary.numbers.insert((*kind, Arc::from(*text)), *number);
        }
    }
    texts
        .iter()
        .map(|text| {
            named
                .get(&(text.0 as i16, text.1.to_owned()))
                .copied()
                .or_else(|| known(text))
                .ok_or_else(|| DbErr::Custom("a text got no number".to_owned()))
        })
        .collect()
}

fn sql(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::from_micros, ids::Ids};

    #[test]
    fn only_inserted_rows_count_and_each_once() {
        let ids = Ids::seeded(3);
        let row = |class| Row {
            id: ClickId(ids.uuid(from_micros(7_200_000_000))),
            workspace: WorkspaceId(Uuid::nil()),
            link: LinkId(Uuid::nil()),
            platform: 0,
            class,
            step: 4,
            network: &[],
            visitor: 0,
            user_agent: "",
            referrer_host: "",
            language: "",
            query: "",
            link_campaign: Vec::new(),
            country: None,
            lease: (class == Class::Human).then_some(LeaseId(Uuid::nil())),
            address: None,
            region: "",
            city: "",
        };
        let home = Home::default();
        let preview = Class::Preview;
        let rows = [row(Class::Human), row(preview), row(Class::Human)];
        let mut coded: Vec<Coded<'_>> = rows
            .iter()
            .map(|row| Coded {
                row,
                class: row.class,
                user_agent: 1,
                referrer: 1,
                language: 1,
                campaign: None,
                place: None,
                home: None,
                campaign_text: "",
                home_text: &home,
            })
            .collect();
        coded.push(Coded { class: Class::Human, ..coded[0] });
        let inserted = HashSet::from([rows[0].id.0, rows[1].id.0]);
        let fresh = fresh(&coded, Made::Some(inserted));
        assert_eq!(
            fresh.iter().map(|one| (one.row.id, one.class)).collect::<Vec<_>>(),
            [(rows[0].id, Class::Human), (rows[1].id, preview)]
        );
        assert_eq!(by_lease(&fresh), BTreeMap::from([(LeaseId(Uuid::nil()), 1)]));
        let link = (rows[0].workspace, rows[0].link);
        assert_eq!(counts(&fresh), [(link, (1, 1))]);
        assert_eq!(super::fresh(&coded[..3], Made::All).len(), 3);
    }
}
