//! Many links in one transaction: items fail one by one and do not stop the others.
//!
//! Nothing here may make a statement fail, because Postgres would then refuse the rest of the transaction. A batch is
//! a handful of statements, however many items it has. A batch whose answer would be too large is refused as a whole.

use std::collections::{HashMap, HashSet};

use chrono::Duration;
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};

use super::{
    Code, Content, CountedLink, Draft, LinkChange, NewLink, Run, Shown, budget, changes::Changes, code_taken,
    etag, insert, routing_tests::Runner, seal, store, unknown, weight,
};
use crate::{
    clock::Moment,
    entity::link::Model,
    env::Env,
    error::{Error, Reason, Result, Violation},
    idempotency::{self, Claim, Request},
    ids::LinkId,
    workspaces::Tenant,
};

/// Each takes some tens of milliseconds to hash.
const MAX_PASSWORDS: usize = 50;

/// What became of each item, in the order of the request.
pub type Results = Vec<Result<Shown>>;

/// Creates links. Of two items that want the same code the first wins.
pub async fn batch_create(
    env: &Env,
    tenant: &Tenant,
    mut items: Vec<Result<NewLink>>,
    request: Option<Request>,
    run: Run,
) -> Result<Results> {
    let now = env.now();
    seal_all(env, "links", items.iter_mut().flatten().map(|new| &mut new.content)).await?;
    let tests = if items.iter().flatten().any(|new| !new.content.routing_tests.is_empty()) {
        Some(Runner::open(env, &env.db.api, tenant.id, now).await?)
    } else {
        None
    };
    let mut drafts = Vec::with_capacity(items.len());
    let mut items: Vec<Result<(LinkId, String)>> = items
        .into_iter()
        .zip(0..)
        .map(|(item, place)| {
            // A microsecond apart, so that they are listed in the order they were sent in.
            let (item, now) = (item?, now + Duration::microseconds(place));
            let checks = item.checks;
            let draft = Draft::of(env, tenant, item, now);
            if let Some(tests) = &tests {
                tests.require(checks, None, &draft.link)?;
            }
            let key = (draft.link.id, draft.link.short_code.clone());
            drafts.push(draft);
            Ok(key)
        })
        .collect();
    if run == Run::CheckOnly {
        let mut would_be = would_be(env, drafts).await?;
        let results: Results = items
            .drain(..)
            .map(|item| {
                let (id, code) = item?;
                would_be.remove(&id).map(Shown::Draft).ok_or_else(|| code_taken(&code))
            })
            .collect();
        weight::require("links", &results)?;
        return Ok(results);
    }
    let tx = env.db.begin().await?;
    if let Claim::Made(outcome) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return replay(&tx, tenant, &outcome).await;
    }
    let mut stored = insert(env, &tx, drafts).await?;
    let changes = Changes::of(stored.values(), now);
    let results: Results = items
        .drain(..)
        .map(|item| {
            let (id, code) = item?;
            let link = stored.remove(&id).ok_or_else(|| code_taken(&code))?;
            Ok(Shown::Link(CountedLink { link, clicks: 0 }))
        })
        .collect();
    weight::require("links", &results)?;
    finish(env, tx, changes, request.as_ref(), results).await
}

/// Changes links.
pub async fn batch_update(
    env: &Env,
    tenant: &Tenant,
    mut items: Vec<Result<LinkChange>>,
    request: Option<Request>,
    run: Run,
) -> Result<Results> {
    let now = env.now();
    seal_all(env, "updates", items.iter_mut().flatten().map(|change| &mut change.content)).await?;
    let tx = env.db.begin().await?;
    if let Claim::Made(outcome) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return replay(&tx, tenant, &outcome).await;
    }
    let ids: Vec<LinkId> = items.iter().flatten().map(|change| change.id).collect();
    let stored = store::lock(&tx, tenant.id, ids.iter().copied()).await?;
    let clicks = store::clicks_of(&tx, tenant.id, ids).await?;
    let tested = items.iter().flatten().any(|change| !change.content.routing_tests.is_empty())
        || stored.values().any(|link| link.routing_tests.is_some());
    let tests = if tested { Some(Runner::open(env, &tx, tenant.id, now).await?) } else { None };
    let mut changed = Vec::new();
    let mut results: Results = items
        .into_iter()
        .map(|item| {
            let link = change(item?, &stored, tests.as_ref(), &mut changed, now)?;
            let clicks = clicks.get(&link.id).copied().unwrap_or(0);
            Ok(Shown::Link(CountedLink { link, clicks }))
        })
        .collect();
    weight::require("updates", &results)?;
    if run == Run::CheckOnly {
        tx.rollback().await?;
        return Ok(results);
    }
    let saved = store::save(&tx, tenant.id, &changed).await?;
    changed.retain(|link| {
        let lost = !saved.contains(&link.id);
        if lost {
            refuse(&mut results, link.id);
        }
        !lost
    });
    finish(env, tx, Changes::of(&changed, now), request.as_ref(), results).await
}

/// Deletes links for good.
pub async fn batch_delete(
    env: &Env,
    tenant: &Tenant,
    items: Vec<Result<LinkId>>,
    request: Option<Request>,
    run: Run,
) -> Result<Results> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(outcome) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return replay(&tx, tenant, &outcome).await;
    }
    let ids: Vec<LinkId> = items.iter().flatten().copied().collect();
    let mut stored = store::lock(&tx, tenant.id, ids.iter().copied()).await?;
    let clicks = store::clicks_of(&tx, tenant.id, ids).await?;
    let changes = Changes::of(stored.values(), now);
    let going: Vec<LinkId> = stored.keys().copied().collect();
    let results: Results = items
        .into_iter()
        .map(|item| {
            let link = stored.remove(&item?).ok_or_else(unknown)?;
            let clicks = clicks.get(&link.id).copied().unwrap_or(0);
            Ok(Shown::Link(CountedLink { link, clicks }))
        })
        .collect();
    weight::require("link_ids", &results)?;
    if run == Run::CheckOnly {
        tx.rollback().await?;
        return Ok(results);
    }
    budget::forget(&tx, tenant.id, &going).await?;
    store::remove(&tx, tenant.id, going).await?;
    // A repeat finds nothing any more, so it is told that they are gone.
    let outcomes = outcomes(&results, Outcome::Gone);
    finish_with(env, tx, changes, request.as_ref(), outcomes).await?;
    Ok(results)
}

/// Makes hashes of the passwords of a batch, one after the other.
async fn seal_all<'a>(env: &Env, field: &str, contents: impl Iterator<Item = &'a mut Content>) -> Result<()> {
    let contents: Vec<&mut Content> = contents.filter(|content| !content.password.is_empty()).collect();
    if contents.len() > MAX_PASSWORDS {
        return Err(Error::invalid_field(field, "must set the passwords of at most 50 links"));
    }
    for content in contents {
        seal(env, content).await?;
    }
    Ok(())
}

/// Returns the drafts that could be created, as they would be.
async fn would_be(env: &Env, drafts: Vec<Draft>) -> Result<HashMap<LinkId, Model>> {
    let asked = drafts.iter().filter(|draft| draft.code == Code::Asked);
    let codes: HashSet<&str> = asked.map(|draft| draft.link.short_code.as_str()).collect();
    let mut taken = store::taken(&env.db.api, super::OWN_DOMAIN, codes).await?;
    let mut free = HashMap::new();
    for mut draft in drafts {
        if draft.code == Code::Made {
            draft.link.short_code.clear();
        } else if !taken.insert(draft.link.short_code.clone()) {
            continue;
        }
        free.insert(draft.link.id, draft.link);
    }
    Ok(free)
}

fn change(
    change: LinkChange,
    stored: &HashMap<LinkId, Model>,
    tests: Option<&Runner>,
    changed: &mut Vec<Model>,
    now: Moment,
) -> Result<Model> {
    let stored = stored.get(&change.id).ok_or_else(unknown)?;
    etag::require(&change.etag, stored)?;
    let checks = change.checks;
    let link = change.apply(stored, now)?;
    if let Some(tests) = tests {
        tests.require(checks, Some(stored), &link)?;
    }
    if link.version != stored.version {
        changed.push(link.clone());
    }
    Ok(link)
}

/// Takes back the good result of a link that somebody changed in between.
fn refuse(results: &mut Results, id: LinkId) {
    for result in results {
        if matches!(result, Ok(Shown::Link(shown)) if shown.link.id == id) {
            *result = Err(etag::mismatch());
        }
    }
}

async fn finish(
    env: &Env,
    tx: DatabaseTransaction,
    changes: Changes,
    request: Option<&Request>,
    results: Results,
) -> Result<Results> {
    finish_with(env, tx, changes, request, outcomes(&results, Outcome::Done)).await?;
    Ok(results)
}

async fn finish_with(
    env: &Env,
    tx: DatabaseTransaction,
    changes: Changes,
    request: Option<&Request>,
    outcomes: Vec<Outcome>,
) -> Result<()> {
    let outcomes = serde_json::to_string(&outcomes).map_err(Error::internal)?;
    idempotency::made(&tx, request, outcomes).await?;
    changes.notify(&tx).await?;
    changes.commit(env, tx).await
}

/// What is written down of an item, to answer a repeat.
#[derive(Debug, Serialize, Deserialize)]
enum Outcome {
    /// The link is there: show it as it is now.
    Done(LinkId),
    /// The link was deleted.
    Gone(LinkId),
    /// The item failed: the number of the reason, the message, the wrong fields.
    Failed(i32, String, Vec<(String, String)>),
}

fn outcomes(results: &Results, good: fn(LinkId) -> Outcome) -> Vec<Outcome> {
    results
        .iter()
        .map(|result| match result {
            Ok(Shown::Link(shown)) => good(shown.link.id),
            Ok(Shown::Draft(link)) => good(link.id),
            Ok(Shown::Id(id)) => good(*id),
            Err(error) => Outcome::Failed(
                error.reason().into(),
                error.message().to_owned(),
                error
                    .violations()
                    .iter()
                    .map(|wrong| (wrong.field.clone(), wrong.description.clone()))
                    .collect(),
            ),
        })
        .collect()
}

/// Answers a repeat: the same results, the links as they are now.
async fn replay(tx: &DatabaseTransaction, tenant: &Tenant, outcome: &str) -> Result<Results> {
    let outcomes: Vec<Outcome> = serde_json::from_str(outcome).map_err(Error::internal)?;
    let ids =
        outcomes.iter().filter_map(|outcome| if let Outcome::Done(id) = outcome { Some(*id) } else { None });
    let mut links = store::find_many(tx, tenant.id, ids).await?;
    let results: Results = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Done(id) => links.remove(&id).map(Shown::Link).ok_or_else(unknown),
            Outcome::Gone(id) => Ok(Shown::Id(id)),
            Outcome::Failed(reason, message, wrong) => {
                let wrong = wrong.into_iter().map(|(field, description)| Violation { field, description });
                let reason = Reason::try_from(reason).unwrap_or_default();
                Err(Error::new(reason, message).about(wrong.collect()))
            }
        })
        .collect();
    if weight::fits(&results) {
        return Ok(results);
    }
    // They have grown since. What was done cannot be refused any more.
    let id = |shown| match shown {
        Shown::Link(shown) => Shown::Id(shown.link.id),
        other => other,
    };
    Ok(results.into_iter().map(|result| result.map(id)).collect())
}
