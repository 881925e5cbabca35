//! How much of what a workspace may have: what the operator says of it, and otherwise what the settings say of all.
//!
//! What is counted is counted behind the row of the workspace, after the rows are there, so that the number is exact however many
//! come at once on however many nodes. Who has no quota pays nothing: what a workspace may have comes along with who is let into it.

use sea_orm::ConnectionTrait;
use serde_json::{Map, Value};

use super::{Tenant, Workspace, store};
use crate::{
    clock::Moment,
    config::Quotas,
    env::Env,
    error::{Error, Reason, Result},
    ids::WorkspaceId,
    pb::v1::Quota,
    trail::{self, Action, Changes},
};

/// Every quota, in the order in which they are told.
pub const ALL: [Quota; 6] =
    [Quota::Links, Quota::Members, Quota::ApiKeys, Quota::Domains, Quota::Apps, Quota::ClicksPerMonth];

/// How much of something a workspace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Of what.
    pub quota: Quota,
    /// How many there are.
    pub used: u64,
    /// How many there may be; 0: as many as anybody likes.
    pub allowed: u64,
}

/// Returns the name that operators, programs and the database know a quota by.
pub const fn name(quota: Quota) -> &'static str {
    match quota {
        Quota::Unspecified => "",
        Quota::Links => "links",
        Quota::Members => "members",
        Quota::ApiKeys => "api_keys",
        Quota::Domains => "domains",
        Quota::Apps => "apps",
        Quota::ClicksPerMonth => "clicks_per_month",
    }
}

/// Returns how many there may be; 0: as many as anybody likes.
pub const fn allowed(quotas: Quotas, quota: Quota) -> u64 {
    match quota {
        Quota::Unspecified => 0,
        Quota::Links => quotas.links,
        Quota::Members => quotas.members,
        Quota::ApiKeys => quotas.api_keys,
        Quota::Domains => quotas.domains,
        Quota::Apps => quotas.apps,
        Quota::ClicksPerMonth => quotas.clicks_per_month,
    }
}

/// Returns what a workspace may have, given what the operator says of it alone.
pub fn effective(env: &Env, stored: Option<&Value>) -> Quotas {
    let defaults = env.config.quotas;
    let Some(stored) = stored else { return defaults };
    let number = |quota, default| stored.get(name(quota)).and_then(Value::as_u64).unwrap_or(default);
    Quotas {
        links: number(Quota::Links, defaults.links),
        members: number(Quota::Members, defaults.members),
        api_keys: number(Quota::ApiKeys, defaults.api_keys),
        domains: number(Quota::Domains, defaults.domains),
        apps: number(Quota::Apps, defaults.apps),
        clicks_per_month: number(Quota::ClicksPerMonth, defaults.clicks_per_month),
    }
}

/// Says what is used and what is allowed.
pub async fn usage(env: &Env, tenant: &Tenant) -> Result<Vec<Usage>> {
    let workspace = super::get(env, tenant).await?;
    let quotas = effective(env, workspace.quotas.as_ref());
    let mut usages = Vec::with_capacity(ALL.len());
    for quota in ALL {
        let used = store::count(&env.db.api, tenant.id, quota, env.now(), None).await?;
        usages.push(Usage { quota, used, allowed: allowed(quotas, quota) });
    }
    Ok(usages)
}

/// Says of a workspace alone what it may have; `None`: what the settings say. The operator's; no call over the network comes here.
pub async fn set(env: &Env, tenant: &Tenant, changes: &[(Quota, Option<u64>)]) -> Result<()> {
    let tx = env.db.begin().await?;
    let stored = store::lock(&tx, tenant.id).await?.ok_or_else(|| Error::not_found("workspace"))?;
    let mut own: Map<String, Value> =
        stored.quotas.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    for (quota, limit) in changes {
        match limit {
            Some(limit) => drop(own.insert(name(*quota).to_owned(), (*limit).into())),
            None => drop(own.remove(name(*quota))),
        }
    }
    let quotas = if own.is_empty() { None } else { Some(Value::Object(own)) };
    let changed = Changes::none().with_both("quotas", stored.quotas.clone(), quotas.clone());
    trail::note(&tx, &env.ids, [tenant.did(Action::WorkspaceQuotasChanged, tenant.id.0, changed)], env.now())
        .await?;
    store::save(&tx, &Workspace { quotas, update_time: env.now(), ..stored }).await?;
    tx.commit().await?;
    super::keys::forget_beliefs(env, tenant).await
}

/// Fails when there are more than may be. To be asked when they are stored; until the transaction ends nobody else's of this workspace
/// are counted.
pub async fn require(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    quotas: Quotas,
    quota: Quota,
    now: Moment,
) -> Result<()> {
    let limit = allowed(quotas, quota);
    if limit > 0 && over(tx, workspace, (quota, limit), now).await? > 0 {
        return Err(exceeded(quota, limit));
    }
    Ok(())
}

/// Fails when one more would be too many. Not exact: what is told here early is decided by [`require`].
pub async fn require_another(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    quota: Quota,
    now: Moment,
) -> Result<()> {
    let limit = allowed(tenant.quotas, quota);
    if limit > 0 && store::count(db, tenant.id, quota, now, Some(limit)).await? >= limit {
        return Err(exceeded(quota, limit));
    }
    Ok(())
}

/// Returns by how many there are more than `limit`, and keeps everybody else from counting until the transaction ends.
pub async fn over(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    (quota, limit): (Quota, u64),
    now: Moment,
) -> Result<u64> {
    store::lock_row(tx, workspace).await?;
    Ok(store::count(tx, workspace, quota, now, None).await?.saturating_sub(limit))
}

/// Returns the error for something that would be one too many.
pub fn exceeded(quota: Quota, limit: u64) -> Error {
    let what = name(quota);
    Error::new(
        Reason::QuotaExceeded,
        format!("the workspace may have {limit} {} and no more", what.replace('_', " ")),
    )
    .with("quota", what)
    .with("limit", limit.to_string())
}
