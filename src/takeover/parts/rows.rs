//! Pages of tables: by time and id, or by id where there are few rows.

use anyhow::Context as _;
use sea_orm::{FromQueryResult, Value};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    clock::{Moment, from_micros},
    takeover::source::Source,
};

/// What a row has whose table is read by time and id.
pub trait Timed {
    /// Its id.
    fn id(&self) -> Uuid;
    /// Its time as text, exactly.
    fn time(&self) -> &str;
}

/// Reads the rows behind a place in the order of time and id: `select` up to its WHERE, which is given. Times that no clock shows are
/// not among them.
pub async fn timed<T: FromQueryResult + Send + Sync + Timed>(
    source: &Source,
    select: &str,
    (alias, column): (&str, &str),
    after: &str,
    most: usize,
) -> anyhow::Result<(Vec<T>, String)> {
    let key = format!("{alias}.{column}, {alias}.id");
    let (mut condition, mut values) = (format!("isfinite({alias}.{column})"), Vec::<Value>::new());
    if !after.is_empty() {
        let (time, id) = after.rsplit_once(' ').context("the place of the takeover cannot be read")?;
        let id = Uuid::try_parse(id).context("the place of the takeover cannot be read")?;
        // The first half is what an index on the time alone can find.
        condition = format!(
            "{condition} AND {alias}.{column} >= $1::text::timestamp AND ({key}) > ($1::text::timestamp, $2)"
        );
        values = vec![time.into(), id.into()];
    }
    let sql = format!("{select} AND {condition} ORDER BY {key} LIMIT {most}");
    let rows: Vec<T> = source.rows(sql, values).await?;
    let place = rows.last().map_or_else(|| after.to_owned(), |row| format!("{} {}", row.time(), row.id()));
    Ok((rows, place))
}

/// A row as JSON.
#[derive(Debug, FromQueryResult)]
pub struct Whole {
    /// Its id.
    pub id: Uuid,
    /// All its columns.
    pub columns: String,
}

impl Whole {
    /// Reads its columns.
    pub fn read(self) -> (Uuid, Map<String, Json>) {
        let columns = serde_json::from_str(&self.columns).unwrap_or_default();
        (self.id, columns)
    }
}

/// Reads whole rows behind a place in the order of their ids.
pub async fn whole(
    source: &Source,
    (table, condition): (&str, &str),
    after: &str,
    most: usize,
) -> anyhow::Result<(Vec<(Uuid, Map<String, Json>)>, String)> {
    let (mut behind, mut values) = (String::new(), Vec::<Value>::new());
    if !after.is_empty() {
        let id = Uuid::try_parse(after).context("the place of the takeover cannot be read")?;
        behind = " AND t.id > $1".to_owned();
        values.push(id.into());
    }
    let sql = format!(
        "SELECT t.id, to_jsonb(t)::text AS columns FROM {table} t WHERE {condition}{behind} ORDER BY t.id LIMIT {most}"
    );
    let rows: Vec<Whole> = source.rows(sql, values).await?;
    let place = rows.last().map_or_else(|| after.to_owned(), |row| row.id.to_string());
    Ok((rows.into_iter().map(Whole::read).collect(), place))
}

/// Reads a text; empty where there is none.
pub fn text(columns: &Map<String, Json>, name: &str) -> String {
    columns.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Reads an id.
pub fn id(columns: &Map<String, Json>, name: &str) -> Option<Uuid> {
    columns.get(name).and_then(Json::as_str).and_then(|text| Uuid::try_parse(text).ok())
}

/// Returns a moment that an id can hold and that has been, or why it is none.
pub fn moment(micros: i64, now: Moment) -> Result<Moment, String> {
    let time = from_micros(micros);
    if micros < 0 {
        return Err("its time is before 1970".to_owned());
    }
    if time > now + chrono::Duration::days(1) {
        return Err("its time is yet to come".to_owned());
    }
    Ok(time)
}

/// Returns the rows whose time no clock shows, which have no place in the order of the others. `from` ends in its WHERE.
pub async fn timeless(
    source: &Source,
    from: &str,
    (alias, column): (&str, &str),
) -> anyhow::Result<Vec<Uuid>> {
    #[derive(FromQueryResult)]
    struct Timeless {
        id: Uuid,
    }
    let sql = format!(
        "SELECT {alias}.id {from} AND ({alias}.{column} IS NULL OR NOT isfinite({alias}.{column})) ORDER BY {alias}.id"
    );
    let rows: Vec<Timeless> = source.rows(sql, Vec::new()).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// What is said of such a row.
pub const TIMELESS: &str = "it has no time";
