//! Clicks counted by the values of one dimension, of those that fit any combination of others.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{ConnectionTrait, DbErr};

use super::{
    filter::{Filter, fits, of_part, only_link},
    read::{Texts, Walk},
};
use crate::{
    analytics::{
        dims::{self, Agents, Dimension},
        rollup::{
            measures::Measures,
            read::{Scope, Slots},
        },
        span::moment_of,
    },
    clicks::class::Class,
    error::{Error, Reason, Result},
};

/// How many clicks one breakdown looks at.
pub const MOST: usize = 1_000_000;
/// How many are read at once.
const PIECE: u64 = 10_000;

/// Counts clicks by the values of `dimension`. Fails with REPORT_TOO_LARGE when there are more than [`MOST`] in the scope and the time.
pub async fn breakdown(
    db: &impl ConnectionTrait,
    agents: Arc<Agents>,
    scope: &Scope,
    slots: Slots,
    dimension: Dimension,
    filters: &[Filter],
) -> Result<HashMap<String, Measures>> {
    let Some(mut all) = of_part(&scope.part) else { return Ok(HashMap::new()) };
    let link = only_link(&scope.part, filters);
    all.extend_from_slice(filters);
    let mut walk = Walk::new(scope.workspace, link, moment_of(slots.first), moment_of(slots.end));
    let mut texts = Texts::new(agents);
    let mut counted = HashMap::new();
    let mut seen = 0;
    loop {
        let seen_now = piece(db, &mut walk, &mut texts, dimension, &all, &mut counted).await?;
        seen += seen_now;
        if seen > MOST {
            return Err(too_large(MOST));
        }
        if seen_now < PIECE as usize {
            return Ok(counted);
        }
        // Whoever else has something to do on this thread does it now.
        tokio::task::yield_now().await;
    }
}

/// Counts the next clicks, and says how many those were.
async fn piece(
    db: &impl ConnectionTrait,
    walk: &mut Walk,
    texts: &mut Texts,
    dimension: Dimension,
    filters: &[Filter],
    counted: &mut HashMap<String, Measures>,
) -> Result<usize, DbErr> {
    let rows = walk.next(db, PIECE).await?;
    texts.learn(db, &rows).await?;
    for row in &rows {
        let facts = texts.facts(row);
        let agent = texts.agent(&facts);
        let values = dims::of(&facts, &agent);
        if !fits(filters, &values) {
            continue;
        }
        let value = &*values[dimension.index()];
        let measures = match counted.get_mut(value) {
            Some(measures) => measures,
            None => counted.entry(value.to_owned()).or_default(),
        };
        if row.class != Class::Human.number() {
            measures.bot_clicks += 1;
        } else {
            measures.clicks += 1;
            measures.opens += i64::from(dims::is_open(row.step));
        }
    }
    Ok(rows.len())
}

/// Returns the error for more clicks than one call looks at.
pub fn too_large(limit: usize) -> Error {
    Error::new(
        Reason::ReportTooLarge,
        format!(
            "more than {limit} clicks would have to be looked at: ask for a shorter time, one link, or fewer dimensions at once"
        ),
    )
    .with("rows", "clicks")
    .with("limit", limit.to_string())
}
