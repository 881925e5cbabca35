//! Clicks counted by the values of one dimension, of those that fit any combination of others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ConnectionTrait, DbErr};

use super::{
    filter::{fits, of_part, only_link},
    read::{Texts, Walk},
};
use crate::{
    analytics::{
        dims::{self, Agents, Dimension},
        reports::Filter,
        rollup::read::{Measures, Scope, Slots},
        span::moment_of,
    },
    clicks::class::Class,
    db,
    env::Env,
    error::{Error, Reason, Result},
    ids::WorkspaceId,
};

/// How many are read at once.
const PIECE: u64 = 10_000;

/// How many breakdowns of one workspace are read at once on a node.
const AT_ONCE: usize = 2;
const COME_BACK: Duration = Duration::from_secs(2);

/// Counts clicks by the values of `dimension`. Fails with REPORT_TOO_LARGE when there are more than `REPORT_MAX_ROWS` in the scope and the time, and with
/// RATE_LIMITED while two of the workspace are read already.
pub async fn breakdown(
    env: &Env,
    scope: &Scope,
    slots: Slots,
    dimension: Dimension,
    filters: &[Filter],
) -> Result<HashMap<String, Measures>> {
    let Some(mut all) = of_part(&scope.part) else { return Ok(HashMap::new()) };
    let _turn = Turn::take(env.memory.of(Turns::default), scope.workspace)?;
    // It takes a while, and is in nobody's way; all of it is of one moment.
    let db = db::begin_snapshot(&env.for_bulk().db.for_reports().await).await?;
    let link = only_link(&scope.part, filters);
    all.extend_from_slice(filters);
    let mut walk = Walk::new(scope.workspace, link, moment_of(slots.first), moment_of(slots.end));
    let mut texts = Texts::new(env.memory.of(Agents::default));
    let mut counted = HashMap::new();
    let (mut seen, most) = (0, env.config.report_max_rows);
    loop {
        let seen_now = piece(&db, &mut walk, &mut texts, dimension, &all, &mut counted).await?;
        seen += seen_now;
        if seen > most {
            return Err(too_large(most));
        }
        if seen_now < PIECE as usize {
            db.commit().await?;
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

/// How many breakdowns of each workspace are read.
#[derive(Debug, Default)]
struct Turns(Mutex<HashMap<WorkspaceId, usize>>);

impl Turns {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Turn {
    turns: Arc<Turns>,
    workspace: WorkspaceId,
}

impl Turn {
    fn take(turns: Arc<Turns>, workspace: WorkspaceId) -> Result<Self> {
        {
            let mut under_way = turns.lock();
            let count = under_way.entry(workspace).or_default();
            if *count >= AT_ONCE {
                return Err(Error::new(
                    Reason::RateLimited,
                    "two reports of this workspace are read from single clicks at the moment; wait for one",
                )
                .with("limit", "raw_reports")
                .retry_after(COME_BACK));
            }
            *count += 1;
        }
        Ok(Self { turns, workspace })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.turns.lock();
        if let Some(count) = under_way.get_mut(&self.workspace) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.workspace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn two_of_a_workspace_are_read_at_once_and_others_are_not_held_up() {
        let (turns, [one, other]) =
            (Arc::new(Turns::default()), [1, 2].map(|n| WorkspaceId(Uuid::from_u128(n))));
        let take = |workspace| Turn::take(turns.clone(), workspace);
        let (first, second) = (take(one).expect("the first"), take(one).expect("the second"));
        assert_eq!(take(one).expect_err("a third").reason(), Reason::RateLimited);
        let others = take(other).expect("somebody else's");
        drop(first);
        let again = take(one).expect("there is room");
        drop((second, again, others));
        assert!(turns.lock().is_empty());
    }
}
