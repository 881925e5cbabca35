//! Endpoints: added, changed, deleted, and given other secrets.

use chrono::Duration;

use super::{
    Endpoint, Filter,
    endpoint::{MOST, Sealed, State, seal},
    fields::{self, Decided},
    secrets,
    store::{deliveries, endpoints as store},
    wake, wire,
};
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::{WebhookEndpointId, parse},
    outbound::Outbound,
    page::{Cursor, Page, PageRequest},
    pb::v1,
    trail::{self, Action, Changes},
    workspaces::{self, Tenant},
};

/// How many deliveries of a deleted endpoint one transaction forgets, and how many transactions there are: what is left goes with its age.
const BATCH: u64 = 1000;
const BATCHES: usize = 100;

/// An endpoint, and what is secret about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What is secret; nothing where it was sealed under another `SESSION_SECRET`.
    pub sealed: Sealed,
}

/// An endpoint that has a new secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The endpoint.
    pub opened: Opened,
    /// What is told of the secret; `None`: the request was a repeat.
    pub secret: Option<String>,
}

impl Opened {
    fn of(env: &Env, endpoint: Endpoint) -> Self {
        let sealed = endpoint.open(&seal(env)).unwrap_or_default();
        Self { endpoint, sealed }
    }

    /// Returns it as it is shown.
    pub fn shown(&self, now: Moment) -> v1::WebhookEndpoint {
        wire::shown(&self.endpoint, &self.sealed, now)
    }
}

/// Adds an endpoint. A repeat of `request` returns it without its secret.
pub async fn create(env: &Env, tenant: &Tenant, decided: Decided, request: Option<&Request>) -> Result<Made> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        let id = WebhookEndpointId::parse(&id).ok_or_else(unknown)?;
        let endpoint = store::find(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
        return Ok(Made { opened: Opened::of(env, endpoint), secret: None });
    }
    // Behind the row of the workspace, so that the number is exact however many come at once.
    workspaces::lock(&tx, tenant.id).await?;
    if store::count(&tx, tenant.id).await? >= MOST {
        let message = format!("the workspace has {MOST} webhook endpoints and may have no more");
        return Err(Error::new(Reason::TooManyWebhookEndpoints, message).with("limit", MOST.to_string()));
    }
    let Decided { name, url, settings, headers, state } = decided;
    let id = WebhookEndpointId::mint(&env.ids, now);
    let secret = secrets::mint(&env.ids, now);
    let told = secrets::told(&secret, &settings);
    let sealed = Sealed { secrets: vec![secret], headers };
    let endpoint = Endpoint {
        id,
        workspace: tenant.id,
        name,
        url,
        settings,
        sealed: sealed.seal(&seal(env), &env.ids, id),
        state: state.unwrap_or(State::Active),
        failing_since: None,
        version: 1,
        create_time: now,
        update_time: now,
    };
    store::insert(&tx, &endpoint).await?;
    let opened = Opened { endpoint, sealed };
    let changes = Changes::created(&opened.shown(now));
    trail::note(&tx, &env.ids, [tenant.did(Action::WebhookEndpointCreated, id.0, changes)], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    tx.commit().await?;
    Ok(Made { opened, secret: Some(told) })
}

/// Returns an endpoint.
pub async fn get(env: &Env, tenant: &Tenant, id: WebhookEndpointId) -> Result<Opened> {
    let found = store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)?;
    Ok(Opened::of(env, found))
}

/// Lists endpoints, oldest first.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Opened>> {
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list(&env.db.api, tenant.id, after, u64::from(page.size) + 1).await?;
    let page = Page::of(rows, page.size, |one| Cursor { key: String::new(), id: one.id.to_string() });
    Ok(page.map(|endpoint| Opened::of(env, endpoint)))
}

/// A change of an endpoint.
#[derive(Debug)]
pub struct Change<'a> {
    /// Of which.
    pub id: WebhookEndpointId,
    /// What it is to be; `etag` is the one it must have, unless it is empty.
    pub asked: &'a v1::WebhookEndpoint,
    /// Which fields of it are meant.
    pub fields: &'a [&'static str],
}

/// Checks a change as far as that can be done before it: returns the filter that the endpoint is to have, if that changes.
pub async fn check(
    env: &Env,
    outbound: &Outbound,
    tenant: &Tenant,
    change: &Change<'_>,
) -> Result<Option<Filter>> {
    let stored = get(env, tenant, change.id).await?;
    let Decided { mut settings, .. } =
        fields::change(outbound, change.asked, change.fields, (&stored.endpoint, &stored.sealed))?;
    if !change.fields.contains(&"filter") {
        return Ok(None);
    }
    fields::expect(env, tenant, &mut settings.filter).await?;
    Ok(Some(settings.filter))
}

/// Changes an endpoint. `filter` is what [`check`] returned.
pub async fn update(
    env: &Env,
    outbound: &Outbound,
    tenant: &Tenant,
    (change, filter): (&Change<'_>, Option<Filter>),
    request: Option<&Request>,
) -> Result<Opened> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        let endpoint = store::find(&tx, tenant.id, change.id).await?.ok_or_else(unknown)?;
        return Ok(Opened::of(env, endpoint));
    }
    let stored = store::lock(&tx, tenant.id, change.id).await?.ok_or_else(unknown)?;
    crate::etag::require("webhook endpoint", &change.asked.etag, &wire::etag(&stored))?;
    let before = Opened::of(env, stored);
    let decided = fields::change(outbound, change.asked, change.fields, (&before.endpoint, &before.sealed))?;
    let mut after = applied(env, &before, decided, filter);
    let is_resumed = after.endpoint.state == State::Active && before.endpoint.state != State::Active;
    // What failed before says nothing of what is called now.
    if is_resumed || after.endpoint.url != before.endpoint.url {
        after.endpoint.failing_since = None;
    }
    if after.endpoint != before.endpoint {
        after.endpoint.version += 1;
        after.endpoint.update_time = now;
        store::save(&tx, &after.endpoint).await?;
        let changes = differences(&before, &after, now);
        let did = tenant.did(Action::WebhookEndpointUpdated, change.id.0, changes);
        trail::note(&tx, &env.ids, [did], now).await?;
    }
    idempotency::made(&tx, request, change.id.to_string()).await?;
    tx.commit().await?;
    if is_resumed {
        wake(env);
    }
    Ok(after)
}

/// Returns the endpoint as it is decided.
fn applied(env: &Env, before: &Opened, decided: Decided, filter: Option<Filter>) -> Opened {
    let Decided { name, url, mut settings, headers, state } = decided;
    settings.filter = filter.unwrap_or(settings.filter);
    let mut endpoint = before.endpoint.clone();
    let mut sealed = before.sealed.clone();
    // Sealed anew only if something else is in it: each sealing looks different.
    if headers != sealed.headers {
        sealed.headers = headers;
        endpoint.sealed = sealed.seal(&seal(env), &env.ids, endpoint.id);
    }
    endpoint.state = state.unwrap_or(endpoint.state);
    Opened { endpoint: Endpoint { name, url, settings, ..endpoint }, sealed }
}

/// Returns what is different. What headers say is not told, but that it changed.
fn differences(before: &Opened, after: &Opened, now: Moment) -> Changes {
    let changes = Changes::between(&before.shown(now), &after.shown(now));
    let names = |opened: &Opened| -> Vec<String> {
        opened.sealed.headers.iter().map(|(name, _)| name.clone()).collect()
    };
    if before.sealed.headers != after.sealed.headers && names(before) == names(after) {
        return changes.with("headers", "(hidden)");
    }
    changes
}

/// Deletes an endpoint, with what it was sent and was still to be sent.
pub async fn delete(
    env: &Env,
    tenant: &Tenant,
    id: WebhookEndpointId,
    request: Option<&Request>,
) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        return Ok(());
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    store::remove(&tx, tenant.id, id).await?;
    let changes = Changes::deleted(&Opened::of(env, stored).shown(now));
    trail::note(&tx, &env.ids, [tenant.did(Action::WebhookEndpointDeleted, id.0, changes)], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    tx.commit().await?;
    // Nobody sees or sends any of it from here on.
    if let Err(error) = forget(env, tenant, id).await {
        tracing::warn!(error = error.inward(), endpoint.id = %id, "deliveries of a deleted webhook endpoint stay until they are old");
    }
    Ok(())
}

async fn forget(env: &Env, tenant: &Tenant, id: WebhookEndpointId) -> Result<()> {
    for _ in 0..BATCHES {
        let tx = env.db.begin().await?;
        let forgotten = deliveries::forget(&tx, (tenant.id, id), BATCH).await?;
        tx.commit().await?;
        if forgotten < BATCH {
            break;
        }
    }
    Ok(())
}

/// Gives an endpoint another secret; the one until now is good for `overlap` longer. A repeat of `request` returns the endpoint without it.
pub async fn rotate(
    env: &Env,
    tenant: &Tenant,
    (id, overlap): (WebhookEndpointId, Duration),
    request: Option<&Request>,
) -> Result<Made> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        let endpoint = store::find(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
        return Ok(Made { opened: Opened::of(env, endpoint), secret: None });
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    if !secrets::are_of(&stored.settings) {
        return Err(Error::invalid_field(
            "webhook_endpoint_id",
            "is that of a postback, which is not signed",
        ));
    }
    let before = Opened::of(env, stored);
    let secret = secrets::mint(&env.ids, now);
    let told = secrets::told(&secret, &before.endpoint.settings);
    let mut after = before.clone();
    after.sealed.secrets = secrets::rotated(&before.sealed.secrets, secret, overlap, now);
    after.endpoint.sealed = after.sealed.seal(&seal(env), &env.ids, id);
    after.endpoint.version += 1;
    after.endpoint.update_time = now;
    store::save(&tx, &after.endpoint).await?;
    let changes = Changes::between(&before.shown(now), &after.shown(now));
    trail::note(&tx, &env.ids, [tenant.did(Action::WebhookSecretRotated, id.0, changes)], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, endpoint.id = %id, principal = %tenant.principal, "a webhook secret was rotated");
    Ok(Made { opened: after, secret: Some(told) })
}

/// Returns the error for an endpoint that is not there.
pub fn unknown() -> Error {
    Error::not_found("webhook endpoint")
}
