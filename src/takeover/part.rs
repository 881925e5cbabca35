//! What every part has in common: it is read in pages, in an order that lasts; each page becomes rows here, which are stored in one transaction
//! with how far the part came; and what both databases hold in the end is read again and compared.

use std::collections::{HashMap, HashSet};

use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::{
    Run, Told,
    content::{Content, Sum},
    remarks::Remarks,
    report::{Compared, Found, PartReport},
    source::Source,
    store,
};
use crate::{
    clicks::past::Past,
    env::Env,
    ids::AppId,
    links::past::{Ground, Stored},
    outbound::Outbound,
    workspaces::Tenant,
};

/// What all parts need.
pub struct Cx<'a> {
    /// The handles, in the background.
    pub env: Env,
    /// The workspace.
    pub tenant: &'a Tenant,
    /// The LinkForty database.
    pub source: Source,
    /// Where links are to live.
    pub ground: Ground,
    /// The app that installs and events are of.
    pub app: Option<AppId>,
    /// Knows which URLs may be called.
    pub outbound: Outbound,
    /// Makes clicks.
    pub past: Past,
    /// Which takeover this is.
    pub fingerprint: Vec<u8>,
    /// What is to be done.
    pub run: Run,
    /// Hears how far it is.
    pub tell: &'a dyn Fn(&Told),
}

/// What becomes of a row of the source.
#[derive(Debug)]
pub enum Fate<R> {
    /// It is carried.
    Carried {
        /// Its id there.
        of: Uuid,
        /// What it is here.
        row: R,
        /// What of it is left out.
        left_out: Vec<String>,
    },
    /// It is not.
    Refused {
        /// Its id there.
        of: Uuid,
        /// Why.
        why: String,
    },
}

impl<R> Fate<R> {
    /// Puts together what reading came to.
    pub fn of(of: Uuid, read: Result<(R, Vec<String>), String>) -> Self {
        match read {
            Ok((row, left_out)) => Self::Carried { of, row, left_out },
            Err(why) => Self::Refused { of, why },
        }
    }
}

/// Some rows of the source, in their order.
#[derive(Debug)]
pub struct Page<R> {
    /// The rows.
    pub rows: Vec<Fate<R>>,
    /// The place of the last.
    pub place: String,
    /// Whether there are no more.
    pub is_last: bool,
}

/// A part of what LinkForty holds.
pub trait Part {
    /// Its number, which is stored.
    const NUMBER: i16;
    /// What it is called.
    const NAME: &'static str;
    /// The table of the source.
    const TABLE: &'static str;
    /// How many rows a step has.
    const STEP: usize;
    /// A row as it is kept.
    type Row;
    /// Rows that can be stored.
    type Ready;

    /// Says how many rows there are.
    async fn count(cx: &Cx<'_>) -> anyhow::Result<u64>;
    /// Reads the rows behind a place; an empty one is the beginning.
    async fn page(cx: &Cx<'_>, after: &str) -> anyhow::Result<Page<Self::Row>>;
    /// Does what must be done before the transaction.
    async fn prepare(cx: &Cx<'_>, rows: Vec<Self::Row>) -> anyhow::Result<Self::Ready>;
    /// Stores rows.
    async fn insert(cx: &Cx<'_>, tx: &DatabaseTransaction, ready: Self::Ready) -> anyhow::Result<Stored>;
    /// Returns what those rows say that are there.
    async fn stored(cx: &Cx<'_>, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, Vec<Vec<u8>>)>>;
    /// Returns the id of a row here.
    fn id(row: &Self::Row) -> Uuid;
    /// Returns what a row says.
    fn parts(row: &Self::Row) -> Vec<Vec<u8>>;
}

/// A row on its way.
struct Carried {
    of: Uuid,
    id: Uuid,
    content: Content,
}

/// Takes a page apart: what is carried, and what is to be remarked.
fn sort<P: Part>(page: Vec<Fate<P::Row>>, remarks: &mut Remarks) -> (Vec<Carried>, Vec<P::Row>) {
    let (mut carried, mut rows) = (Vec::with_capacity(page.len()), Vec::with_capacity(page.len()));
    for fate in page {
        match fate {
            Fate::Refused { of, why } => remarks.refuse(of, &why),
            Fate::Carried { of, row, left_out } => {
                left_out.iter().for_each(|what| remarks.leave_out(of, what));
                carried.push(Carried { of, id: P::id(&row), content: Content::of(&P::parts(&row)) });
                rows.push(row);
            }
        }
    }
    (carried, rows)
}

/// Carries a part to its end, from where it is.
pub async fn carry<P: Part>(cx: &Cx<'_>, all: u64, report: &mut PartReport) -> anyhow::Result<()> {
    let db = &cx.env.db.api;
    loop {
        let now = cx.env.now();
        let mut part = store::find(db, cx.tenant.id, &cx.fingerprint, P::NUMBER, now).await?;
        let mut remarks: Remarks = serde_json::from_str(&part.remarks).unwrap_or_default();
        if part.done {
            report.seen = part.seen.unsigned_abs();
            report.stored = part.stored.unsigned_abs();
            report.present = part.present.unsigned_abs();
            report.carried = Sum::read(&part.checksum).to_string();
            report.remarks = remarks;
            return Ok(());
        }
        let page = P::page(cx, &part.place).await?;
        let count = page.rows.len();
        let (carried, rows) = sort::<P>(page.rows, &mut remarks);
        let ready = P::prepare(cx, rows).await?;
        let tx = cx.env.db.begin_on(db).await?;
        let Stored { inserted, refused } = P::insert(cx, &tx, ready).await?;
        let mut sum = Sum::read(&part.checksum);
        let mut met: HashSet<Uuid> = HashSet::with_capacity(carried.len());
        for row in carried {
            if let Some(why) = refused.get(&row.id) {
                remarks.refuse(row.of, why);
                remarks.displaced += 1;
                continue;
            }
            sum.add(row.content);
            if inserted.contains(&row.id) && met.insert(row.id) {
                part.stored += 1
            } else {
                part.present += 1
            }
        }
        part.seen += count as i64;
        part.done = page.is_last;
        part.place = page.place;
        part.checksum = sum.bytes();
        part.remarks = serde_json::to_string(&remarks)?;
        part.update_time = now;
        let done = part.seen.unsigned_abs();
        store::save(&tx, part).await?;
        tx.commit().await?;
        (cx.tell)(&Told { what: format!("carrying {}", P::NAME), done, all });
    }
}

/// Says what would become of each row.
pub async fn attempt<P: Part>(cx: &Cx<'_>, all: u64, report: &mut PartReport) -> anyhow::Result<()> {
    let mut place = String::new();
    let mut sum = Sum::default();
    loop {
        let page = P::page(cx, &place).await?;
        report.seen += page.rows.len() as u64;
        let (carried, _) = sort::<P>(page.rows, &mut report.remarks);
        let ids: Vec<Uuid> = carried.iter().map(|row| row.id).collect();
        let there = P::stored(cx, &ids).await?.len() as u64;
        report.present += there;
        report.stored += carried.len() as u64 - there;
        carried.iter().for_each(|row| sum.add(row.content));
        (cx.tell)(&Told { what: format!("reading {}", P::NAME), done: report.seen, all });
        place = page.place;
        if page.is_last {
            report.carried = sum.to_string();
            return Ok(());
        }
    }
}

/// Reads a part of both databases again and compares.
pub async fn compare<P: Part>(cx: &Cx<'_>, all: u64, report: &mut PartReport) -> anyhow::Result<()> {
    let (mut compared, mut remarks) = (Compared::default(), Remarks::default());
    let (mut theirs, mut ours, mut missing) = (Sum::default(), Sum::default(), Sum::default());
    let (mut place, mut done) = (String::new(), 0);
    loop {
        let page = P::page(cx, &place).await?;
        done += page.rows.len() as u64;
        let (carried, _) = sort::<P>(page.rows, &mut remarks);
        let ids: Vec<Uuid> = carried.iter().map(|row| row.id).collect();
        let stored: HashMap<Uuid, Content> =
            P::stored(cx, &ids).await?.into_iter().map(|(id, parts)| (id, Content::of(&parts))).collect();
        stored.values().for_each(|content| ours.add(*content));
        compared.here += stored.len() as u64;
        for row in carried {
            let Some(content) = stored.get(&row.id) else {
                compared.missing.add(row.of);
                missing.add(row.content);
                continue;
            };
            if *content != row.content {
                compared.different.add(row.of);
            }
            theirs.add(row.content);
            compared.there += 1;
        }
        (cx.tell)(&Told { what: format!("comparing {}", P::NAME), done, all });
        place = page.place;
        if page.is_last {
            break;
        }
    }
    let part = store::find(&cx.env.db.api, cx.tenant.id, &cx.fingerprint, P::NUMBER, cx.env.now()).await?;
    let known: Remarks = serde_json::from_str(&part.remarks).unwrap_or_default();
    if compared.missing.rows == known.displaced {
        // They were refused, and that is told.
        compared.missing = Found::default();
    } else {
        theirs.add_all(missing);
        compared.there += compared.missing.rows;
    }
    compared.checksum_there = theirs.to_string();
    compared.checksum_here = ours.to_string();
    if cx.run == Run::Compare {
        report.seen = done;
        report.remarks = remarks;
    }
    report.compared = Some(compared);
    Ok(())
}

impl Found {
    /// Adds a row.
    pub fn add(&mut self, row: Uuid) {
        self.rows += 1;
        if self.first.len() < 10 {
            self.first.push(row);
        }
    }
}
