//! API keys, the credentials of programs.
//!
//! - [`secret`] what a key looks like
//! - [`uses`]   when each was last used
//! - `store`    queries of `api_keys`
//! - [`grpc`]   `ApiKeyService`
//!
//! Guarantees: a secret is shown once and stored only as a hash. A revoked key is refused at once by the node that
//! revoked it, as fast as messages travel by the others, and after ten seconds when none arrives; an expired one by its
//! hour on every node. While the database is away only keys used in the last ten seconds are let in.

pub mod grpc;
pub mod secret;
mod store;
pub mod uses;

use std::sync::Arc;

use chrono::Duration;

use super::Tenant;
pub use crate::entity::api_key::Model as Key;
use crate::{
    cache::{Belief, Beliefs},
    clock::Moment,
    env::Env,
    error::{Error, Result},
    idempotency::{self, Claim},
    ids::{ApiKeyId, WorkspaceId, parse},
    page::{Cursor, Page, PageRequest},
    rpc::{Caller, Permission},
    trail::Origin,
};

/// How long a key lives when nobody says.
pub const DEFAULT_LIFE: Duration = Duration::days(90);
/// How long a key lives at the most.
pub const MAX_LIFE: Duration = Duration::days(366);
/// How many keys a node believes at once.
const BELIEFS: usize = 10_000;

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for.
    pub name: String,
    /// What it may do: at least one thing, each once.
    pub scopes: Vec<Permission>,
    /// When it ends; `None` is after [`DEFAULT_LIFE`].
    pub expire_time: Option<Moment>,
}

/// A key that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The key.
    pub key: Key,
    /// Its secret; `None` when the request was a repeat, since it is stored nowhere.
    pub secret: Option<String>,
}

/// What is believed of a key that was good when it was looked up.
#[derive(Debug, Clone)]
struct Good {
    id: ApiKeyId,
    workspace: WorkspaceId,
    scopes: Vec<Permission>,
    expire_time: Moment,
}

/// Creates a key in the workspace. A repeat of `request` returns the key without its secret.
pub async fn create(
    env: &Env,
    tenant: &Tenant,
    new: NewKey,
    request: Option<&idempotency::Request>,
) -> Result<Created> {
    let now = env.now();
    let secret = secret::mint(&env.ids);
    let hash = secret::hash(&secret).ok_or_else(|| Error::internal("a new secret has no right form"))?;
    let key = Key {
        id: ApiKeyId::mint(&env.ids, now),
        workspace_id: tenant.id,
        name: new.name,
        prefix: secret::prefix(&secret).to_owned(),
        secret_hash: hash.to_vec(),
        scopes: new.scopes.iter().map(|scope| scope.name()).collect(),
        create_time: now,
        expire_time: new.expire_time.unwrap_or(now + DEFAULT_LIFE),
        revoke_time: None,
        last_use_time: None,
    };
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        let id = ApiKeyId::parse(&id).ok_or_else(|| Error::internal("a request id led to no id"))?;
        let key = store::find(&tx, tenant.id, id).await?.ok_or_else(|| Error::not_found("API key"))?;
        return Ok(Created { key, secret: None });
    }
    store::insert(&tx, &key).await?;
    idempotency::made(&tx, request, key.id.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, key.id = %key.id, principal = %tenant.principal, "an API key was created");
    Ok(Created { key, secret: Some(secret) })
}

/// Lists the workspace's keys, newest first.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Key>> {
    let before = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list(&env.db.api, tenant.id, before, u64::from(page.size) + 1).await?;
    Ok(Page::of(rows, page.size, |key| Cursor { key: String::new(), id: key.id.to_string() }))
}

/// Ends a key of the workspace, at once and for good.
pub async fn revoke(env: &Env, tenant: &Tenant, id: ApiKeyId) -> Result<Key> {
    store::revoke(&env.db.api, tenant.id, id, env.now()).await?;
    let key = store::find(&env.db.api, tenant.id, id).await?.ok_or_else(|| Error::not_found("API key"))?;
    // Also when it was revoked before: the message may have been lost the first time.
    beliefs(env).retract(&*env.fanout, &belief_key(&key.secret_hash)).await;
    tracing::info!(workspace.id = %tenant.id, key.id = %id, principal = %tenant.principal, "an API key was revoked");
    Ok(key)
}

/// Says which program calls. An unknown, a revoked and an expired key are refused in the same words.
pub async fn authenticate(env: &Env, secret: &str) -> Result<Caller> {
    let now = env.now();
    let hash = secret::hash(secret).ok_or_else(Error::credentials_invalid)?;
    let good = match beliefs(env).look(&belief_key(&hash), now) {
        Belief::Known(good) => good,
        Belief::Unknown(asked) => {
            let key = store::find_by_hash(&env.db.api, &hash).await?;
            let key = key.filter(|key| key.revoke_time.is_none()).ok_or_else(Error::credentials_invalid)?;
            let good = Good {
                id: key.id,
                workspace: key.workspace_id,
                scopes: scopes_of(&key),
                expire_time: key.expire_time,
            };
            beliefs(env).keep(asked, &belief_key(&hash), good.clone(), now);
            good
        }
    };
    if now >= good.expire_time {
        return Err(Error::credentials_invalid());
    }
    uses(env).note(good.id, now);
    Ok(Caller::ApiKey {
        id: good.id,
        workspace: good.workspace,
        scopes: good.scopes,
        origin: Origin::default(),
    })
}

/// Writes down which keys were used lately. To be called every few seconds; a key is written once a minute at the most.
pub async fn flush_last_use(env: &Env) -> Result<()> {
    let due = uses(env).due(env.now());
    if due.is_empty() {
        return Ok(());
    }
    let written = write_uses(env, &due).await;
    if written.is_err() {
        uses(env).put_back(&due);
    }
    written
}

async fn write_uses(env: &Env, due: &[(ApiKeyId, Moment)]) -> Result<()> {
    let mut due = due.to_vec();
    // In the order of the ids, so that two nodes wait for each other's rows and never in a circle.
    due.sort_unstable();
    let tx = env.db.begin().await?;
    for (id, at) in due {
        store::note_use(&tx, id, at).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Returns what a stored key may do. A name this version does not know gives nothing.
pub fn scopes_of(key: &Key) -> Vec<Permission> {
    let names = key.scopes.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(|name| Permission::named(name.as_str()?)).collect()
}

fn belief_key(hash: &[u8]) -> Vec<u8> {
    [b"key ", hash].concat()
}

fn beliefs(env: &Env) -> Arc<Beliefs<Good>> {
    env.memory.of(|| Beliefs::new(BELIEFS, &*env.fanout))
}

fn uses(env: &Env) -> Arc<uses::Uses> {
    env.memory.of(uses::Uses::default)
}
