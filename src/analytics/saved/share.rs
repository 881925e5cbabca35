//! Links to reports: made, opened, ended.

use std::{net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{query, store, unknown, veil::veil};
use crate::{
    clock::Moment,
    entity::report_share::Model as Share,
    env::Env,
    error::{Error, Kind, Reason, Result},
    hashing::{self, Whose},
    idempotency::{self, Claim, Request},
    ids::{ReportShareId, SavedReportId},
    limits::{LimitName, Limits, Verdict},
    pb::v1::{ReportResult, ReportShare},
    trail::{self, Action, Actor, Changes, Origin, Who},
    workspaces::{self, Tenant},
};

/// How many shares a report has at the most.
const MOST: usize = 20;
/// What every token begins with, and nothing else does.
const START: &str = "rs_";
const RANDOM_BYTES: usize = 32;
/// How many characters a token has.
const LENGTH: usize = START.len() + 43;
/// How many of them are shown later.
const PREFIX: usize = START.len() + 5;

/// What a new share is to be.
#[derive(Debug, Clone)]
pub struct NewShare {
    /// Of which report.
    pub report: SavedReportId,
    /// When it ends, if ever.
    pub expire_time: Option<Moment>,
    /// What has to be known besides.
    pub password: Option<String>,
}

/// A share that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The share.
    pub share: Share,
    /// What opens it; `None` when the request was a repeat, since it is stored nowhere.
    pub token: Option<String>,
}

/// What whoever opens a share sees.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What the report is called.
    pub name: String,
    /// What it says.
    pub result: ReportResult,
    /// When the share ends, if ever.
    pub expire_time: Option<Moment>,
}

/// Who opens a share, and how often they may try passwords.
#[derive(Debug)]
pub struct Visitor<'a> {
    /// From where.
    pub origin: Origin,
    /// What limits go by.
    pub network: Option<IpAddr>,
    /// Counts tries.
    pub limits: &'a Arc<dyn Limits>,
}

/// Shares a report.
pub async fn create(env: &Env, tenant: &Tenant, new: NewShare, request: Option<&Request>) -> Result<Made> {
    // A hash takes a while: not within the transaction.
    let password_hash = match &new.password {
        None => None,
        Some(password) => Some(hashing::hash(env, Whose::Share, password).await?),
    };
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        let id = ReportShareId::parse(&id).ok_or_else(unknown_share)?;
        let share = store::find_share(&tx, tenant.id, id).await?.ok_or_else(unknown_share)?;
        return Ok(Made { share, token: None });
    }
    // Behind the row of the report, so that the number is exact however many come at once.
    store::lock(&tx, tenant.id, new.report).await?.ok_or_else(unknown)?;
    if store::shares(&tx, tenant.id, new.report).await?.len() >= MOST {
        return Err(Error::new(
            Reason::TooManyReportShares,
            format!("the report has {MOST} shares and may have no more"),
        )
        .with("limit", MOST.to_string()));
    }
    let token = START.to_owned() + &URL_SAFE_NO_PAD.encode(env.ids.bytes::<RANDOM_BYTES>());
    let share = Share {
        id: ReportShareId::mint(&env.ids, now),
        workspace_id: tenant.id,
        report_id: new.report,
        prefix: token[..PREFIX].to_owned(),
        token_hash: hashing::of_token(&token),
        password_hash,
        expire_time: new.expire_time,
        create_time: now,
    };
    store::insert_share(&tx, &share).await?;
    let changes = Changes::created(&ReportShare::from(share.clone()));
    trail::note(&tx, &env.ids, [tenant.did(Action::ReportShared, share.id.0, changes)], now).await?;
    idempotency::made(&tx, request, share.id.to_string()).await?;
    tx.commit().await?;
    Ok(Made { share, token: Some(token) })
}

/// Lists the shares of a report.
pub async fn list(env: &Env, tenant: &Tenant, report: SavedReportId) -> Result<Vec<Share>> {
    super::get(env, tenant, report).await?;
    Ok(store::shares(&env.db.api, tenant.id, report).await?)
}

/// Ends a share.
pub async fn revoke(env: &Env, tenant: &Tenant, id: ReportShareId, request: Option<&Request>) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        return Ok(());
    }
    let share = store::find_share(&tx, tenant.id, id).await?.ok_or_else(unknown_share)?;
    if !store::remove_share(&tx, tenant.id, id).await? {
        return Err(unknown_share());
    }
    let changes = Changes::deleted(&ReportShare::from(share));
    trail::note(&tx, &env.ids, [tenant.did(Action::ReportShareRevoked, id.0, changes)], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    Ok(tx.commit().await?)
}

/// Shows a shared report to whoever has its token.
pub async fn open(
    env: &Env,
    token: &str,
    password: &str,
    page_token: &str,
    visitor: Visitor<'_>,
) -> Result<Opened> {
    // What cannot be a token is not looked up.
    if token.len() != LENGTH || !token.starts_with(START) {
        return Err(nothing());
    }
    let found = store::opened(&env.db.api, &hashing::of_token(token)).await?;
    let (share, report) = found.ok_or_else(nothing)?;
    let report = report.ok_or_else(nothing)?;
    if share.expire_time.is_some_and(|end| end <= env.now()) {
        return Err(nothing());
    }
    let tenant = workspaces::enter_by_share(env, share.workspace_id, share.id.0, visitor.origin.clone());
    let tenant = tenant.await.map_err(hidden)?;
    if let Some(stored) = &share.password_hash {
        unlock(env, &share, stored, password, &visitor).await?;
    }
    let query = query::stored(&report)?;
    let mut result = query::answer(env, &tenant, &query, page_token).await.map_err(hidden)?;
    veil(&query, &mut result);
    Ok(Opened { name: report.name, result, expire_time: share.expire_time })
}

/// Tries a password. An empty one is no try, but the question whether there must be one.
async fn unlock(env: &Env, share: &Share, stored: &str, password: &str, visitor: &Visitor<'_>) -> Result<()> {
    if password.is_empty() {
        return Err(locked());
    }
    let network = visitor.network.map(|network| (LimitName::Share, network.to_string()));
    for (name, key) in network.into_iter().chain([(LimitName::ShareReport, share.id.to_string())]) {
        if let Verdict::Limited { retry_after, .. } = visitor.limits.check(name, &key, 1).await {
            metrics::counter!("linkforty_rate_limited_total", "limit" => name.name()).increment(1);
            return Err(Error::new(Reason::RateLimited, "too many tries; wait a moment")
                .with("limit", name.name())
                .retry_after(retry_after));
        }
    }
    if hashing::verify(env, Whose::Share, password, Some(stored)).await? {
        return Ok(());
    }
    let actor = Actor { who: Who::Anybody, origin: visitor.origin.clone() };
    let note =
        actor.did(Some(share.workspace_id), Action::ReportShareRefused, Some(share.id.0), Changes::none());
    trail::note(&env.db.api, &env.ids, [note], env.now()).await?;
    Err(locked())
}

/// What is unknown of the workspace is told of no part of it.
fn hidden(error: Error) -> Error {
    if error.kind() == Kind::NotFound { nothing() } else { error }
}

fn locked() -> Error {
    Error::new(Reason::ReportShareLocked, "this report asks for a password")
}

fn nothing() -> Error {
    Error::not_found("shared report")
}

fn unknown_share() -> Error {
    Error::not_found("share")
}
