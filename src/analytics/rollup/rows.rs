//! Rows as an answer reads them: each once, and from the database only if it is not remembered as it is now.
//!
//! Every writing of a row has a version of its own, so one that is remembered under its version is what is stored. The database is asked for the
//! versions of all rows that an answer needs, and gives the small ones whole; then for those large ones that nobody remembers. So the days that are
//! over, which is nearly all there is, are carried over once and not with every report, and what comes late shows at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use metrics::counter;
use quick_cache::{DefaultHashBuilder, Weighter, sync::Cache};
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use super::{
    content,
    key::{Bundle, Key, Level, Scoped},
    names,
    sketch::Sketch,
};
use crate::{
    db::{Dialect, dialect},
    ids::WorkspaceId,
};

/// Bytes of rows that a process remembers.
const REMEMBERED: u64 = 32 << 20;
/// How many those may be, more or less.
const EXPECTED: usize = 20_000;
/// Bytes of texts that a process remembers, and how many those may be.
const REMEMBERED_TEXTS: u64 = 8 << 20;
const TEXTS: usize = 40_000;
/// Parts of workspaces whose numbers a process remembers.
const CODES: usize = 10_000;
/// What a row or a text takes beside its bytes.
const OVERHEAD: u64 = 128;
/// Rows up to this size are given with their versions and not remembered: that would cost as much as it saves.
const SMALL: usize = 256;

/// The large rows that were read lately, with their versions, and texts with their numbers, which nobody changes.
#[derive(Debug)]
pub struct Kept {
    rows: Cache<Key, (i64, Bytes), Weight>,
    texts: Cache<u32, Arc<str>, Weight>,
    codes: Cache<String, u32>,
    remembered: AtomicU64,
    read: AtomicU64,
    bytes: AtomicU64,
}

/// What reading has cost since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Rows that were remembered.
    pub remembered: u64,
    /// Rows whose content the database gave.
    pub read: u64,
    /// The bytes of those.
    pub bytes: u64,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, (i64, Bytes)> for Weight {
    fn weight(&self, _: &Key, (_, content): &(i64, Bytes)) -> u64 {
        content.len() as u64 + OVERHEAD
    }
}

impl Weighter<u32, Arc<str>> for Weight {
    fn weight(&self, _: &u32, text: &Arc<str>) -> u64 {
        text.len() as u64 + OVERHEAD
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            rows: Cache::with_weighter(EXPECTED, REMEMBERED, Weight),
            texts: Cache::with_weighter(TEXTS, REMEMBERED_TEXTS, Weight),
            codes: Cache::new(CODES),
            remembered: AtomicU64::new(0),
            read: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }
}

impl Kept {
    /// Returns what reading has cost so far.
    pub fn cost(&self) -> Cost {
        let [remembered, read, bytes] =
            [&self.remembered, &self.read, &self.bytes].map(|count| count.load(Ordering::Relaxed));
        Cost { remembered, read, bytes }
    }

    /// Returns the texts of codes.
    pub async fn texts(
        &self,
        db: &impl ConnectionTrait,
        codes: HashSet<u32>,
    ) -> Result<HashMap<u32, Arc<str>>, DbErr> {
        let mut texts = HashMap::with_capacity(codes.len());
        let mut missing = HashSet::new();
        for code in codes {
            match self.texts.get(&code) {
                Some(text) => {
                    texts.insert(code, text);
                }
                None => {
                    missing.insert(code);
                }
            }
        }
        if !missing.is_empty() {
            for (code, text) in names::texts_of(db, &missing).await? {
                let text: Arc<str> = text.into();
                self.texts.insert(code, text.clone());
                texts.insert(code, text);
            }
        }
        Ok(texts)
    }

    /// Returns the code of a text; `None` if it has none.
    pub async fn code(&self, db: &impl ConnectionTrait, text: String) -> Result<Option<u32>, DbErr> {
        if let Some(code) = self.codes.get(&text) {
            return Ok(Some(code));
        }
        let code = names::codes_of(db, &[&text]).await?.remove(&text);
        if let Some(code) = code {
            self.codes.insert(text, code);
        }
        Ok(code)
    }

    fn get(&self, key: &Key, version: i64) -> Option<Bytes> {
        let (stored, content) = self.rows.get(key)?;
        (stored == version).then(|| {
            self.remembered.fetch_add(1, Ordering::Relaxed);
            counter!("linkforty_rollup_rows_total", "from" => "memory").increment(1);
            content
        })
    }

    fn note_read(&self, bytes: usize) {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        counter!("linkforty_rollup_rows_total", "from" => "database").increment(1);
    }
}

/// Rows of one part of a workspace.
pub struct Rows<'a, C> {
    db: &'a C,
    kept: &'a Kept,
    workspace: WorkspaceId,
    scope: Scoped,
    part: u32,
    /// What was asked for so far; `None`: there is no such row.
    found: HashMap<Place, Option<Bytes>, DefaultHashBuilder>,
}

/// Which row.
type Place = (Bundle, Level, i32);
/// Periods of rows of one sort.
type Wanted = BTreeMap<(Bundle, Level), BTreeSet<i32>>;

impl<'a, C: ConnectionTrait> Rows<'a, C> {
    /// Rows of a part, none of which was read yet.
    pub fn new(db: &'a C, kept: &'a Kept, workspace: WorkspaceId, (scope, part): (Scoped, u32)) -> Self {
        Self { db, kept, workspace, scope, part, found: HashMap::default() }
    }

    /// Reads rows that were not asked for yet, all in one statement or two.
    pub async fn fetch(&mut self, wanted: impl Iterator<Item = Place>) -> Result<(), DbErr> {
        let mut missing = Wanted::new();
        for (bundle, level, period) in wanted {
            if !self.found.contains_key(&(bundle, level, period)) {
                missing.entry((bundle, level)).or_default().insert(period);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let mut large = Wanted::new();
        for (place, version, content) in self.select(&missing, &if_small()).await? {
            let content = content.or_else(|| self.kept.get(&self.key(place), version));
            if content.is_none() {
                large.entry((place.0, place.1)).or_default().insert(place.2);
            }
            self.found.insert(place, content);
        }
        if !large.is_empty() {
            for (place, version, content) in self.select(&large, "content").await? {
                if let Some(content) = &content {
                    self.kept.rows.insert(self.key(place), (version, content.clone()));
                }
                self.found.insert(place, content);
            }
        }
        for ((bundle, level), periods) in missing {
            for period in periods {
                self.found.entry((bundle, level, period)).or_insert(None);
            }
        }
        Ok(())
    }

    /// Returns what a row that was asked for holds.
    pub fn get(&self, bundle: Bundle, level: Level, period: i32) -> Option<&[u8]> {
        self.found.get(&(bundle, level, period))?.as_deref()
    }

    fn key(&self, (bundle, level, period): Place) -> Key {
        Key { workspace: self.workspace, scope: self.scope, part: self.part, bundle, level, period }
    }

    /// Returns rows with their versions and what `content` gives of each.
    async fn select(
        &self,
        wanted: &Wanted,
        content: &str,
    ) -> Result<Vec<(Place, i64, Option<Bytes>)>, DbErr> {
        let mut values: Vec<Value> =
            vec![self.workspace.into(), (self.scope as i16).into(), self.part.cast_signed().into()];
        let mut parts = Vec::with_capacity(wanted.len());
        for (at, ((bundle, level), periods)) in wanted.iter().enumerate() {
            let mut place = |value: Value| {
                values.push(value);
                values.len()
            };
            let (bundle, level) = (place((*bundle as i16).into()), place((*level as i16).into()));
            let which = match ends(periods) {
                Some(Range { start, end }) => {
                    format!("period >= ${} AND period < ${}", place(start.into()), place(end.into()))
                }
                None => {
                    let list = place(serde_json::to_string(periods).unwrap_or_default().into());
                    format!("period {}", among(self.db, list))
                }
            };
            parts.push(format!(
                "SELECT {at}, period, version, {content} FROM rollups
                 WHERE workspace_id = $1 AND scope = $2 AND part = $3 AND bundle = ${bundle} AND level = ${level} AND {which}"
            ));
        }
        let sorts: Vec<(Bundle, Level)> = wanted.keys().copied().collect();
        let statement =
            Statement::from_sql_and_values(self.db.get_database_backend(), parts.join(" UNION ALL "), values);
        let rows = self.db.query_all_raw(statement).await?;
        let rows = rows.into_iter().map(|row| {
            let at: i32 = row.try_get_by_index(0)?;
            let sort = usize::try_from(at).ok().and_then(|at| sorts.get(at));
            let (bundle, level) =
                *sort.ok_or_else(|| DbErr::Custom("a row that nobody asked for".to_owned()))?;
            let content: Option<Vec<u8>> = row.try_get_by_index(3)?;
            if let Some(content) = &content {
                self.kept.note_read(content.len());
            }
            Ok((
                (bundle, level, row.try_get_by_index(1)?),
                row.try_get_by_index(2)?,
                content.map(Bytes::from),
            ))
        });
        rows.collect()
    }
}

/// Estimates how many distinct visitors each of some links had on days, in the order of the links, whose codes are asked for. Of the days of a link only
/// the sketch is remembered: the rest of it nobody asks for with many links at once.
pub async fn visitors_of_links(
    db: &impl ConnectionTrait,
    kept: &Kept,
    workspace: WorkspaceId,
    links: &[u32],
    days: Range<i32>,
) -> Result<Vec<u64>, DbErr> {
    let mut sketches: BTreeMap<u32, Sketch> = links.iter().map(|link| (*link, Sketch::default())).collect();
    let mut add = |link: u32, encoded: &[u8]| -> Result<(), DbErr> {
        if let Some(sketch) = sketches.get_mut(&link).filter(|_| !encoded.is_empty()) {
            sketch.merge(&Sketch::decode(encoded).ok_or_else(malformed)?);
        }
        Ok(())
    };
    if links.is_empty() || days.is_empty() {
        return Ok(vec![0; links.len()]);
    }
    let key = |part, period| Key {
        workspace,
        scope: Scoped::Link,
        part,
        // No row has this: what is remembered is a part of one.
        bundle: Bundle::Visitors,
        level: Level::Day,
        period,
    };
    let (mut missing, mut periods) = (BTreeSet::new(), BTreeSet::new());
    let all: BTreeSet<u32> = links.iter().copied().collect();
    for (part, period, version, content) in
        days_of_links(db, workspace, &all, days.clone(), &if_small()).await?
    {
        match content {
            Some(content) => {
                kept.note_read(content.len());
                add(part, content::encoded_visitors(&content).ok_or_else(malformed)?)?;
            }
            None => match kept.get(&key(part, period), version) {
                Some(sketch) => add(part, &sketch)?,
                None => {
                    missing.insert(part);
                    periods.insert(period);
                }
            },
        }
    }
    if let (Some(first), Some(last)) = (periods.first(), periods.last()) {
        let large = format!("CASE WHEN length(content) > {SMALL} THEN content END");
        // All between, though some may be remembered: a sketch that is added twice is added once.
        for (part, period, version, content) in
            days_of_links(db, workspace, &missing, *first..last + 1, &large).await?
        {
            let Some(content) = content else { continue };
            kept.note_read(content.len());
            let sketch = content::encoded_visitors(&content).ok_or_else(malformed)?;
            add(part, sketch)?;
            kept.rows.insert(key(part, period), (version, Bytes::copy_from_slice(sketch)));
        }
    }
    Ok(links.iter().map(|link| sketches.get(link).map_or(0, Sketch::estimate)).collect())
}

/// Returns days of links: the code of the link, the day, the version and what `content` gives.
async fn days_of_links(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    links: &BTreeSet<u32>,
    days: Range<i32>,
    content: &str,
) -> Result<Vec<(u32, i32, i64, Option<Vec<u8>>)>, DbErr> {
    let links: Vec<i32> = links.iter().map(|link| link.cast_signed()).collect();
    let values: [Value; 7] = [
        workspace.into(),
        (Scoped::Link as i16).into(),
        serde_json::to_string(&links).unwrap_or_default().into(),
        (Bundle::Whole as i16).into(),
        (Level::Day as i16).into(),
        days.start.into(),
        days.end.into(),
    ];
    let sql = format!(
        "SELECT part, period, version, {content} FROM rollups
         WHERE workspace_id = $1 AND scope = $2 AND part {} AND bundle = $4 AND level = $5 AND period >= $6 AND period < $7",
        among(db, 3)
    );
    let rows =
        db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    let rows = rows.into_iter().map(|row| {
        let part: i32 = row.try_get_by_index(0)?;
        let (period, version) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        Ok((part.cast_unsigned(), period, version, row.try_get_by_index(3)?))
    });
    rows.collect()
}

/// Returns what is selected of contents that come at once.
fn if_small() -> String {
    format!("CASE WHEN length(content) <= {SMALL} THEN content END")
}

/// Returns what says that something is in a list of numbers, which is a parameter.
fn among(db: &impl ConnectionTrait, list: usize) -> String {
    match dialect(db.get_database_backend()) {
        Dialect::Postgres => {
            format!(
                "= ANY (ARRAY(SELECT value::integer FROM json_array_elements_text(${list}::json) AS value))"
            )
        }
        Dialect::Sqlite => format!("IN (SELECT value FROM json_each(${list}))"),
    }
}

/// Returns the ends of periods that follow on each other.
fn ends(periods: &BTreeSet<i32>) -> Option<Range<i32>> {
    let (first, last) = (*periods.first()?, *periods.last()?);
    ((last - first) as usize + 1 == periods.len()).then_some(first..last + 1)
}

/// The error of a row that cannot be read.
pub fn malformed() -> DbErr {
    DbErr::Custom("a row of rollups is of no release that is known here".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_that_follow_on_each_other_are_a_range() {
        for (periods, expected) in
            [(&[][..], None), (&[3], Some(3..4)), (&[-1, 0, 1], Some(-1..2)), (&[1, 3], None)]
        {
            assert_eq!(ends(&periods.iter().copied().collect()), expected, "{periods:?}");
        }
    }
}
