//! The numbers that stand for values in rollups, in the table `dictionary`. Only the roller and rebuilds make new ones.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use quick_cache::sync::Cache;
use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::content::{NOTHING, OTHER};
use crate::{
    analytics::dims,
    db::{Dialect, dialect},
};

/// The sort of text in the dictionary that is the value of a dimension. Those of `clicks` are below.
const KIND: i16 = 16;
/// Codes are numbers of the dictionary and this.
const FIRST: u32 = 1;
/// Texts a statement takes; they may be long.
const TEXTS_A_STATEMENT: usize = 5000;

/// Remembers the codes of texts.
#[derive(Debug)]
pub struct Names(Cache<Arc<str>, u32>);

/// Codes that were looked up or made.
#[derive(Debug)]
pub struct New(HashMap<String, u32>);

const REMEMBERED: usize = 200_000;

impl Default for Names {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Names {
    /// Returns the codes of texts, in their order, and makes those that are missing. Those are to be remembered once the transaction has
    /// ended well.
    pub async fn codes(
        &self,
        db: &impl ConnectionTrait,
        texts: &[Arc<str>],
    ) -> Result<(Vec<u32>, New), DbErr> {
        let known = |text: &Arc<str>| fixed(text).or_else(|| self.0.get(text));
        let mut missing: Vec<&str> =
            texts.iter().filter(|text| known(text).is_none()).map(|text| &**text).collect();
        missing.sort_unstable();
        missing.dedup();
        let mut found: HashMap<String, u32> = HashMap::new();
        for some in missing.chunks(TEXTS_A_STATEMENT) {
            let json = json(some.iter().map(|text| stored(text)));
            let insert = match dialect(db.get_database_backend()) {
                Dialect::Postgres => {
                    "INSERT INTO dictionary (kind, value) SELECT $1, value FROM json_array_elements_text($2::json) AS value
                     ON CONFLICT (kind, value) DO NOTHING"
                }
                // `WHERE true` tells the conflict from a join.
                Dialect::Sqlite => {
                    "INSERT INTO dictionary (kind, value) SELECT $1, value FROM json_each($2) WHERE true
                     ON CONFLICT (kind, value) DO NOTHING"
                }
            };
            db.execute_raw(Statement::from_sql_and_values(
                db.get_database_backend(),
                insert,
                [KIND.into(), json.clone().into()],
            ))
            .await?;
            found.extend(find(db, json).await?);
        }
        let codes: Result<Vec<u32>, DbErr> = texts
            .iter()
            .map(|text| {
                let code = found.get(&**text).copied().or_else(|| known(text));
                code.ok_or_else(|| DbErr::Custom("a value got no number".to_owned()))
            })
            .collect();
        Ok((codes?, New(found)))
    }

    /// Remembers codes.
    pub fn remember(&self, New(found): New) {
        for (text, code) in found {
            self.0.insert(Arc::from(text), code);
        }
    }
}

/// Returns the codes of those of the texts that have one.
pub async fn codes_of(db: &impl ConnectionTrait, texts: &[&str]) -> Result<HashMap<String, u32>, DbErr> {
    let mut codes: HashMap<String, u32> =
        texts.iter().filter_map(|text| Some(((*text).to_owned(), fixed(text)?))).collect();
    let others: Vec<&str> = texts.iter().filter(|text| fixed(text).is_none()).copied().collect();
    for some in others.chunks(TEXTS_A_STATEMENT) {
        codes.extend(find(db, json(some.iter().map(|text| stored(text)))).await?);
    }
    Ok(codes)
}

/// Returns the texts of codes.
pub async fn texts_of(
    db: &impl ConnectionTrait,
    codes: &HashSet<u32>,
) -> Result<HashMap<u32, String>, DbErr> {
    let mut texts: HashMap<u32, String> =
        codes.iter().filter_map(|code| Some((*code, special(*code)?.to_owned()))).collect();
    let numbers: Vec<u32> =
        codes.iter().filter(|code| special(**code).is_none()).map(|code| code - FIRST).collect();
    if numbers.is_empty() {
        return Ok(texts);
    }
    let list = serde_json::to_string(&numbers).unwrap_or_default();
    let sql = match dialect(db.get_database_backend()) {
        Dialect::Postgres => {
            "SELECT id, value FROM dictionary
             WHERE id = ANY (ARRAY(SELECT value::integer FROM json_array_elements_text($1::json) AS value))"
        }
        Dialect::Sqlite => "SELECT id, value FROM dictionary WHERE id IN (SELECT value FROM json_each($1))",
    };
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [list.into()]);
    for row in db.query_all_raw(statement).await? {
        let (id, value): (i32, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        texts.insert(code(id), told(value));
    }
    Ok(texts)
}

async fn find(db: &impl ConnectionTrait, json: String) -> Result<Vec<(String, u32)>, DbErr> {
    let sql = match dialect(db.get_database_backend()) {
        Dialect::Postgres => {
            "SELECT id, value FROM dictionary
             WHERE kind = $1 AND value = ANY (ARRAY(SELECT json_array_elements_text($2::json)))"
        }
        Dialect::Sqlite => {
            "SELECT id, value FROM dictionary WHERE kind = $1 AND value IN (SELECT value FROM json_each($2))"
        }
    };
    let statement =
        Statement::from_sql_and_values(db.get_database_backend(), sql, [KIND.into(), json.into()]);
    let rows = db.query_all_raw(statement).await?;
    rows.into_iter().map(|row| Ok((told(row.try_get_by_index(1)?), code(row.try_get_by_index(0)?)))).collect()
}

fn code(number: i32) -> u32 {
    number.unsigned_abs() + FIRST
}

/// Values with a code of their own.
fn fixed(text: &str) -> Option<u32> {
    match text {
        "" => Some(NOTHING),
        dims::OTHER => Some(OTHER),
        _ => None,
    }
}

fn special(code: u32) -> Option<&'static str> {
    match code {
        NOTHING => Some(""),
        OTHER => Some(dims::OTHER),
        _ => None,
    }
}

/// Returns a text as it is stored.
fn stored(text: &str) -> String {
    text.replace(dims::SEPARATOR, dims::STORED_SEPARATOR.encode_utf8(&mut [0; 4]))
}

/// Returns a stored text as it is told.
fn told(text: String) -> String {
    if text.contains(dims::STORED_SEPARATOR) {
        text.replace(dims::STORED_SEPARATOR, dims::SEPARATOR.encode_utf8(&mut [0; 4]))
    } else {
        text
    }
}

fn json(texts: impl Iterator<Item = String>) -> String {
    serde_json::to_string(&texts.collect::<Vec<_>>()).unwrap_or_default()
}
