//! How many names of properties an app may have: the first 1,000 that it ever used, on the first level. Others are left out of what is stored and counted; the
//! event itself is kept. So an app that puts ids into names costs itself a property and nobody else an index.
//!
//! The drain looks: what it has seen it remembers, and asks the database only about names that are new to it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    mem::take,
    sync::{Mutex, PoisonError},
};

use sea_orm::DbErr;
use uuid::Uuid;

use super::{record::Row, store};
use crate::env::Env;

/// How many names of properties an app may have.
pub const MOST_NAMES: usize = 1000;
/// Of how many apps the names are remembered.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
struct Known(Mutex<HashMap<Uuid, Names>>);

/// The names of one app.
#[derive(Debug, Clone, Default)]
struct Names {
    known: HashSet<String>,
    /// Nothing can be added any more, and `known` is all there is.
    full: bool,
}

/// Leaves out the properties whose names are too many for their app, and returns how many that were.
pub async fn keep_known(env: &Env, rows: &mut [Row]) -> Result<u64, DbErr> {
    let memory = env.memory.of(Known::default);
    let mut new: BTreeMap<Uuid, BTreeSet<String>> = BTreeMap::new();
    {
        let known = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows.iter() {
            let scope = row.source.scope();
            let names = known.get(&scope);
            for property in &row.properties {
                if names.is_none_or(|names| !names.full && !names.known.contains(&property.name)) {
                    new.entry(scope).or_default().insert(property.name.clone());
                }
            }
        }
    }
    for (scope, names) in new {
        let stored = store::add_names(env.db.writer(&env.db.drain), scope, &names, MOST_NAMES).await?;
        let names = Names { full: stored.len() >= MOST_NAMES, known: stored };
        let mut known = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(scope, names);
    }
    let known = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut dropped = 0;
    for row in rows {
        // An app that was just forgotten has had room for what it said.
        let Some(names) = known.get(&row.source.scope()) else { continue };
        let before = row.properties.len();
        row.properties = take(&mut row.properties)
            .into_iter()
            .filter(|property| names.known.contains(&property.name))
            .collect();
        dropped += (before - row.properties.len()) as u64;
    }
    Ok(dropped)
}
