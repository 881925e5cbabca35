//! Many links in one transaction: items fail one by one and do not stop the others.
//!
//! Nothing here may make a statement fail, because Postgres would then refuse the rest of the transaction. A batch is
//! a handful of statements, however many items it has. A batch whose answer would be too large is refused as a whole.

use std::collections::{HashMap, HashSet};

use chrono::Duration;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde::{Deserialize, Serialize};

use super::{
    Code, CodeStyle, Content, CountedLink, Draft, Inserted, LinkChange, NewLink, Run, Shown, budget,
    changes::Changes, etag, external_id_taken, homes_of, insert, noted, related::Related, require_reach,
    reuse, revisions, routing_tests::Runner, save, seal, store, told, told::Fate, unknown, weight,
};
use crate::{
    clock::Moment,
    domains::Homes,
    entity::link::Model,
    env::Env,
    error::{Error, Reason, Result, Violation},
    idempotency::{self, Claim, Request},
    ids::LinkId,
    trail,
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
    if run == Run::CheckOnly {
        let around = Around::of(env, &env.db.api, tenant, &items, now).await?;
        let (items, drafts) = drafts(env, tenant, &around, items, now);
        let mut would_be = would_be(env, tenant, drafts).await?;
        let results: Results = items
            .into_iter()
            .map(|item| {
                let draft = item?;
                let found = would_be.stored.remove(&draft.id);
                found.map(Shown::Draft).ok_or_else(|| would_be.refusal(draft.id).of(&draft))
            })
            .collect();
        weight::require("links", &results)?;
        return Ok(results);
    }
    let tx = env.db.begin().await?;
    if let Claim::Made(outcome) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return replay(&tx, tenant, &outcome).await;
    }
    let around = Around::of(env, &tx, tenant, &items, now).await?;
    let (items, drafts) = drafts(env, tenant, &around, items, now);
    let mut inserted = insert(env, &tx, tenant, drafts).await?;
    let changes = Changes::of(inserted.stored.values(), now);
    let results: Results = items
        .into_iter()
        .map(|item| {
            let draft = item?;
            let link = inserted.stored.remove(&draft.id);
            let link = link.ok_or_else(|| inserted.refusal(draft.id).of(&draft))?;
            Ok(Shown::Link(CountedLink { link, clicks: 0 }))
        })
        .collect();
    weight::require("links", &results)?;
    let notes: Vec<_> = links_of(&results).map(|link| noted::created(env, tenant, link)).collect();
    trail::note(&tx, &env.ids, notes, now).await?;
    told::note(env, &tx, tenant.id, links_of(&results).map(Fate::Created), now).await?;
    finish(env, tx, changes, request.as_ref(), results).await
}

/// What stands around the items of a call.
struct Around {
    related: Related,
    homes: Homes,
    /// Runs the routing tests, if an item has any.
    tests: Option<Runner>,
}

impl Around {
    async fn of(
        env: &Env,
        db: &impl ConnectionTrait,
        tenant: &Tenant,
        items: &[Result<NewLink>],
        now: Moment,
    ) -> Result<Self> {
        let contents: Vec<&Content> = items.iter().flatten().map(|new| &new.content).collect();
        let tests = if contents.iter().all(|content| content.routing_tests.is_empty()) {
            None
        } else {
            Some(Runner::open(env, db, tenant.id, now).await?)
        };
        let related = Related::of_new(db, tenant.id, &contents).await?;
        Ok(Self { related, homes: homes_of(db, tenant, items.iter().flatten()).await?, tests })
    }
}

/// Makes drafts of the items that can be, and returns for each item the link that it would be.
fn drafts(
    env: &Env,
    tenant: &Tenant,
    around: &Around,
    items: Vec<Result<NewLink>>,
    now: Moment,
) -> (Vec<Result<Model>>, Vec<Draft>) {
    let mut drafts = Vec::with_capacity(items.len());
    let items = items
        .into_iter()
        .zip(0..)
        .map(|(item, place)| {
            let mut new = item?;
            around.related.settle("", &mut new.content)?;
            let checks = new.checks;
            // A microsecond apart, so that they are listed in the order they were sent in.
            let now = now + Duration::microseconds(place);
            let draft = Draft::of(env, tenant, &around.homes, new, CodeStyle::Short, now)
                .map_err(|none| none.at("domain"))?;
            require_reach(tenant, &draft.link, "")?;
            if let Some(tests) = &around.tests {
                tests.require(checks, None, &draft.link)?;
            }
            drafts.push(draft.clone());
            Ok(draft.link)
        })
        .collect();
    (items, drafts)
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
    let stored = store::lock(&tx, tenant, ids.iter().copied()).await?;
    let clicks = store::clicks_of(&tx, tenant.id, ids).await?;
    let (asked, links): (Vec<_>, Vec<_>) = (items.iter().flatten().collect(), stored.values().collect());
    let related = Related::of_changes(&tx, tenant.id, &asked, &links).await?;
    let tested = items.iter().flatten().any(|change| !change.content.routing_tests.is_empty())
        || stored.values().any(|link| link.routing_tests.is_some());
    let tests = if tested { Some(Runner::open(env, &tx, tenant.id, now).await?) } else { None };
    let mut changed = Vec::new();
    let mut results: Results = items
        .into_iter()
        .map(|item| {
            let link = change(item?, tenant, (&stored, &related, tests.as_ref()), &mut changed, now)?;
            let clicks = clicks.get(&link.id).copied().unwrap_or(0);
            Ok(Shown::Link(CountedLink { link, clicks }))
        })
        .collect();
    let clashes = reuse::clashes(&tx, tenant.id, &changed).await?;
    changed.retain(|link| !clashes.contains(&link.id));
    for id in clashes {
        refuse(&mut results, id, external_id_taken);
    }
    weight::require("updates", &results)?;
    if run == Run::CheckOnly {
        tx.rollback().await?;
        return Ok(results);
    }
    let saved = save(&tx, tenant, &changed).await?;
    changed.retain(|link| {
        let lost = !saved.contains(&link.id);
        if lost {
            refuse(&mut results, link.id, etag::mismatch);
        }
        !lost
    });
    let pairs = revisions::pairs(&stored, &changed);
    revisions::record(env, &tx, tenant, &pairs).await?;
    let notes: Vec<_> = pairs.iter().map(|pair| noted::updated(env, tenant, pair)).collect();
    trail::note(&tx, &env.ids, notes, now).await?;
    let fates = pairs.iter().map(|(before, after)| Fate::Updated(before, after));
    told::note(env, &tx, tenant.id, fates, now).await?;
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
    let mut stored = store::lock(&tx, tenant, ids.iter().copied()).await?;
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
    let notes: Vec<_> = links_of(&results).map(|link| noted::deleted(env, tenant, link)).collect();
    trail::note(&tx, &env.ids, notes, now).await?;
    told::note(env, &tx, tenant.id, links_of(&results).map(Fate::Deleted), now).await?;
    // A repeat finds nothing any more, so it is told that they are gone.
    let outcomes = outcomes(&results, Outcome::Gone);
    finish_with(env, tx, changes, request.as_ref(), outcomes).await?;
    Ok(results)
}

/// Returns the links of those items that came to something.
fn links_of(results: &Results) -> impl Iterator<Item = &Model> {
    results.iter().flatten().filter_map(|shown| match shown {
        Shown::Link(counted) => Some(&counted.link),
        _ => None,
    })
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
async fn would_be(env: &Env, tenant: &Tenant, drafts: Vec<Draft>) -> Result<Inserted> {
    let asked = drafts.iter().filter(|draft| draft.code == Code::Asked);
    let codes: HashSet<(&str, &str)> =
        asked.map(|draft| (draft.link.domain.as_str(), draft.link.short_code.as_str())).collect();
    let mut taken = store::taken(&env.db.api, codes).await?;
    let external = drafts.iter().filter_map(|draft| draft.link.external_id.clone()).collect();
    let mut external = store::external_ids(&env.db.api, tenant.id, external).await?;
    let mut free = Inserted::default();
    for mut draft in drafts {
        let id = draft.link.id;
        let mut is_free =
            |draft: &Draft| taken.insert((draft.link.domain.clone(), draft.link.short_code.clone()));
        if let Some(wanted) = &draft.link.external_id
            && *external.entry(wanted.clone()).or_insert(id) != id
        {
            free.existing.insert(id);
        } else if draft.code != Code::Asked || is_free(&draft) {
            if draft.code != Code::Asked {
                draft.link.short_code.clear();
            }
            free.stored.insert(id, draft.link);
        }
    }
    Ok(free)
}

fn change(
    change: LinkChange,
    tenant: &Tenant,
    (stored, related, tests): (&HashMap<LinkId, Model>, &Related, Option<&Runner>),
    changed: &mut Vec<Model>,
    now: Moment,
) -> Result<Model> {
    let stored = stored.get(&change.id).ok_or_else(unknown)?;
    etag::require(&change.etag, stored)?;
    let checks = change.checks;
    let link = change.apply(stored, now, related)?;
    require_reach(tenant, &link, "")?;
    if let Some(tests) = tests {
        tests.require(checks, Some(stored), &link)?;
    }
    if link.version != stored.version {
        changed.push(link.clone());
    }
    Ok(link)
}

/// Takes back the good result of a link that cannot be changed after all.
fn refuse(results: &mut Results, id: LinkId, why: fn() -> Error) {
    for result in results {
        if matches!(result, Ok(Shown::Link(shown)) if shown.link.id == id) {
            *result = Err(why());
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
    links.retain(|_, found| tenant.reach.as_deref().is_none_or(|reach| store::reaches(reach, &found.link)));
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
