//! API keys, the credentials of programs.
//!
//! - [`secret`] what a key looks like
//! - [`uses`]   when and how often each was used
//! - [`rotate`] another secret for a key
//! - [`certificate`] services that show a certificate instead of a secret
//! - [`warn`]   keys that end soon
//! - `store`    queries of `api_keys` and `api_key_uses`
//! - [`grpc`]   `ApiKeyService`
//!
//! Guarantees: a secret is shown once and stored only as a hash. A revoked key, and a secret that was replaced, is refused at once by the
//! node that did it, as fast as messages travel by the others, and after ten seconds when none arrives; an expired one by its
//! hour on every node. While the database is away only keys used in the last ten seconds are let in.

pub mod certificate;
pub mod grpc;
pub mod rotate;
pub mod secret;
mod store;
pub mod uses;
pub mod warn;

use std::sync::Arc;

use chrono::Duration;
use uuid::Uuid;

use self::secret::Mode;
use super::{Tenant, quotas};
pub use crate::entity::{api_key::Model as Key, api_key_use::Model as DayOfUse};
use crate::{
    cache::{Belief, Beliefs},
    clock::Moment,
    env::Env,
    error::{Error, Result},
    idempotency::{self, Claim},
    ids::{ApiKeyId, DomainId, ProjectId, WorkspaceId, parse},
    page::{Cursor, Page, PageRequest},
    pb::v1::{self, Quota},
    rpc::{Caller, Permission, Reach},
    trail::{self, Action, Changes, Origin},
};

/// How long a key lives when nobody says.
pub const DEFAULT_LIFE: Duration = Duration::days(90);
/// How long a key lives at the most.
pub const MAX_LIFE: Duration = Duration::days(366);
/// How long a key for trying things out lives, if nobody says, and at the most.
pub const TEST_LIFE: Duration = Duration::days(30);
/// From when on a secret is old.
pub const OLD: Duration = Duration::days(90);
/// How many keys a node believes at once.
const BELIEFS: usize = 10_000;

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for.
    pub name: String,
    /// What it may do: at least one thing, each once.
    pub scopes: Vec<Permission>,
    /// When it ends; `None` is after [`DEFAULT_LIFE`], or [`TEST_LIFE`].
    pub expire_time: Option<Moment>,
    /// Whether people depend on it.
    pub mode: Mode,
    /// The projects whose links it reaches, each once; none: whatever project they are in.
    pub projects: Vec<ProjectId>,
    /// The domains whose links it reaches, each once; none: wherever they live.
    pub domains: Vec<DomainId>,
    /// The name in a client certificate that opens it instead of a secret: only the operator says that.
    pub certificate_name: Option<String>,
}

impl NewKey {
    /// Returns a key that does `scopes` for 90 days.
    pub fn new(name: impl Into<String>, scopes: Vec<Permission>) -> Self {
        Self {
            name: name.into(),
            scopes,
            expire_time: None,
            mode: Mode::Live,
            projects: Vec::new(),
            domains: Vec::new(),
            certificate_name: None,
        }
    }
}

/// A key that was created, or got another secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The key.
    pub key: Key,
    /// Its secret; `None` when the request was a repeat, since it is stored nowhere, and of a key that a certificate opens.
    pub secret: Option<String>,
}

/// Which keys to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    /// All, revoked and expired ones included.
    #[default]
    All,
    /// Those that are good and were not used for so long, or whose secret is old.
    Stale(Duration),
}

impl Which {
    /// Returns what tells one list from another.
    pub fn name(self) -> Vec<u8> {
        match self {
            Self::All => Vec::new(),
            Self::Stale(unused) => [b"stale".as_slice(), &unused.num_days().to_be_bytes()].concat(),
        }
    }
}

/// What is believed of a key that was good when it was looked up.
#[derive(Debug, Clone)]
struct Good {
    id: ApiKeyId,
    workspace: WorkspaceId,
    scopes: Vec<Permission>,
    quotas: Option<serde_json::Value>,
    reach: Option<Arc<Reach>>,
    expire_time: Moment,
}

impl Good {
    async fn of(
        env: &Env,
        key: &Key,
        quotas: Option<serde_json::Value>,
        expire_time: Moment,
    ) -> Result<Self> {
        let (id, workspace, scopes) = (key.id, key.workspace_id, scopes_of(key));
        Ok(Self { id, workspace, scopes, quotas, reach: reach_of(env, key).await?, expire_time })
    }
}

/// Creates a key in the workspace. A repeat of `request` returns the key without its secret.
pub async fn create(
    env: &Env,
    tenant: &Tenant,
    new: NewKey,
    request: Option<&idempotency::Request>,
) -> Result<Created> {
    let now = env.now();
    let Minted { secret, prefix, hash } = match &new.certificate_name {
        None => mint(env, new.mode)?,
        Some(_) => Minted::without_secret(env),
    };
    let key = Key {
        id: ApiKeyId::mint(&env.ids, now),
        workspace_id: tenant.id,
        name: new.name,
        prefix,
        secret_hash: hash,
        scopes: new.scopes.iter().map(|scope| scope.name()).collect(),
        create_time: now,
        expire_time: new.expire_time.unwrap_or(now + life(new.mode)),
        revoke_time: None,
        last_use_time: None,
        test: new.mode == Mode::Test,
        previous_hash: None,
        previous_expire_time: None,
        rotate_time: None,
        project_ids: bound_to(new.projects.iter().map(|id| id.0)),
        domain_ids: bound_to(new.domains.iter().map(|id| id.0)),
        warned_days: 0,
        certificate_name: new.certificate_name,
    };
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    if store::count_projects(&tx, tenant.id, &new.projects).await? < new.projects.len() as u64 {
        return Err(Error::invalid_field("api_key.project_ids", "must be projects of the workspace"));
    }
    if store::namespaces(&tx, tenant.id, &new.domains).await?.len() < new.domains.len() {
        return Err(Error::invalid_field("api_key.domain_ids", "must be domains of the workspace"));
    }
    store::insert(&tx, &key).await.map_err(|error| certificate::taken(&key, error))?;
    quotas::require(&tx, tenant.id, tenant.quotas, Quota::ApiKeys, now).await?;
    let changes = Changes::created(&v1::ApiKey::from(key.clone()));
    trail::note(&tx, &env.ids, [tenant.did(Action::ApiKeyCreated, key.id.0, changes)], now).await?;
    idempotency::made(&tx, request, key.id.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, key.id = %key.id, principal = %tenant.principal, "an API key was created");
    Ok(Created { key, secret })
}

/// A new secret.
struct Minted {
    /// What is told once; `None`: nothing.
    secret: Option<String>,
    /// What of it is shown later.
    prefix: String,
    /// What is stored.
    hash: Vec<u8>,
}

impl Minted {
    /// Returns no secret, stored as what no secret hashes to.
    fn without_secret(env: &Env) -> Self {
        Self { secret: None, prefix: String::new(), hash: env.ids.bytes::<32>().to_vec() }
    }
}

fn mint(env: &Env, mode: Mode) -> Result<Minted> {
    let secret = secret::mint(&env.ids, mode);
    let hash = secret::hash(&secret).ok_or_else(|| Error::internal("a new secret has no right form"))?;
    let prefix = secret::prefix(&secret).to_owned();
    Ok(Minted { secret: Some(secret), prefix, hash: hash.to_vec() })
}

fn life(mode: Mode) -> Duration {
    if mode == Mode::Test { TEST_LIFE } else { DEFAULT_LIFE }
}

/// Returns how long a key may live.
pub fn max_life(mode: Mode) -> Duration {
    if mode == Mode::Test { TEST_LIFE } else { MAX_LIFE }
}

/// Lists the workspace's keys, newest first.
pub async fn list(env: &Env, tenant: &Tenant, which: Which, page: &PageRequest) -> Result<Page<Key>> {
    let before = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let limit = u64::from(page.size) + 1;
    let rows = store::list(&env.db.api, tenant.id, (which, env.now()), before, limit).await?;
    Ok(Page::of(rows, page.size, |key| Cursor { key: String::new(), id: key.id.to_string() }))
}

/// Returns a key of the workspace, and how often it was used on each of the last `days` days, the present one last. Days without a call
/// are not among them.
pub async fn usage(env: &Env, tenant: &Tenant, id: ApiKeyId, days: i32) -> Result<(Key, Vec<DayOfUse>)> {
    let key = store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)?;
    let from = uses::day_of(env.now()) - days + 1;
    Ok((key, store::uses(&env.db.api, tenant.id, id, from).await?))
}

/// Ends a key of the workspace, at once and for good.
pub async fn revoke(env: &Env, tenant: &Tenant, id: ApiKeyId) -> Result<Key> {
    let now = env.now();
    let tx = env.db.begin().await?;
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    if stored.revoke_time.is_none() {
        store::revoke(&tx, tenant.id, id, now).await?;
        trail::note(&tx, &env.ids, [tenant.did(Action::ApiKeyRevoked, id.0, Changes::none())], now).await?;
    }
    tx.commit().await?;
    let key = Key { revoke_time: stored.revoke_time.or(Some(now)), ..stored };
    // Also when it was revoked before: the message may have been lost the first time.
    forget(env, [&key]).await;
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
            let found = store::find_by_hash(&env.db.api, &hash).await?;
            let found = found.filter(|(key, _)| key.revoke_time.is_none());
            let (key, quotas) = found.ok_or_else(Error::credentials_invalid)?;
            let good = Good::of(env, &key, quotas, end_of(&key, &hash)).await?;
            beliefs(env).keep(asked, &belief_key(&hash), good.clone(), now);
            good
        }
    };
    let_in(env, good, now)
}

/// Lets a key in that was good when it was looked up, if it has not ended since.
fn let_in(env: &Env, good: Good, now: Moment) -> Result<Caller> {
    if now >= good.expire_time {
        return Err(Error::credentials_invalid());
    }
    uses(env).note(good.id, good.workspace, now);
    let Good { id, workspace, scopes, quotas, reach, expire_time: _ } = good;
    Ok(Caller::ApiKey { id, workspace, scopes, quotas, reach, origin: Origin::default() })
}

/// Returns which links a key reaches; `None`: all. A domain that is gone has none.
async fn reach_of(env: &Env, key: &Key) -> Result<Option<Arc<Reach>>> {
    if key.project_ids.is_none() && key.domain_ids.is_none() {
        return Ok(None);
    }
    let projects = key.project_ids.as_ref().map(|ids| ids_of(ids).map(ProjectId).collect());
    let domains = match &key.domain_ids {
        None => None,
        Some(ids) => {
            let ids: Vec<DomainId> = ids_of(ids).map(DomainId).collect();
            Some(store::namespaces(&env.db.api, key.workspace_id, &ids).await?)
        }
    };
    Ok(Some(Arc::new(Reach { projects, domains })))
}

/// Returns the ids that a key is bound to, as they are stored.
pub(super) fn ids_of(stored: &serde_json::Value) -> impl Iterator<Item = Uuid> {
    stored.as_array().into_iter().flatten().filter_map(|id| parse(id.as_str()?))
}

fn bound_to(ids: impl ExactSizeIterator<Item = Uuid>) -> Option<serde_json::Value> {
    (ids.len() > 0).then(|| ids.map(|id| id.to_string()).collect())
}

/// Returns when the secret of this hash ends: with the key, and one that was replaced earlier.
fn end_of(key: &Key, hash: &[u8]) -> Moment {
    let replaced = key.previous_expire_time.filter(|_| key.secret_hash != hash);
    replaced.map_or(key.expire_time, |end| end.min(key.expire_time))
}

/// Notes that a call of a key was answered with an error.
pub fn note_error(env: &Env, key: ApiKeyId, workspace: WorkspaceId) {
    uses(env).note_error(key, workspace, env.now());
}

/// Writes down which keys were used lately, and how often. To be called every few seconds; a key is written once a minute at the most.
pub async fn flush_last_use(env: &Env) -> Result<()> {
    let due = uses(env).due(env.now());
    if due.is_empty() {
        return Ok(());
    }
    let written = write_uses(env, &due).await;
    if written.is_err() {
        uses(env).put_back(due);
    }
    written
}

async fn write_uses(env: &Env, due: &[uses::Due]) -> Result<()> {
    // In the order of the ids, as they come, so that two nodes wait for each other's rows and never in a circle.
    let tx = env.db.begin().await?;
    for one in due {
        store::note_use(&tx, one.key, one.last).await?;
        for day in &one.days {
            store::add_use(&tx, day).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Makes every node look again at the keys of a workspace.
pub async fn forget_beliefs(env: &Env, tenant: &Tenant) -> Result<()> {
    let keys = store::good(&env.db.api, tenant.id, env.now()).await?;
    forget(env, &keys).await;
    Ok(())
}

/// Removes all keys of a workspace inside somebody else's transaction, and returns those that were good: [`forget`] them after the
/// commit.
pub(super) async fn remove_all(
    tx: &sea_orm::DatabaseTransaction,
    workspace: WorkspaceId,
    now: Moment,
) -> Result<Vec<Key>> {
    let good = store::good(tx, workspace, now).await?;
    store::remove_all(tx, workspace).await?;
    Ok(good)
}

/// Ends what nodes believe of keys.
pub(super) async fn forget<'a>(env: &Env, keys: impl IntoIterator<Item = &'a Key>) {
    for key in keys {
        for hash in [Some(&key.secret_hash), key.previous_hash.as_ref()].into_iter().flatten() {
            beliefs(env).retract(&*env.fanout, &belief_key(hash)).await;
        }
        if let Some(name) = &key.certificate_name {
            beliefs(env).retract(&*env.fanout, &certificate::belief_key(name)).await;
        }
    }
}

/// Returns what a stored key may do. A name this version does not know gives nothing.
pub fn scopes_of(key: &Key) -> Vec<Permission> {
    let names = key.scopes.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(|name| Permission::named(name.as_str()?)).collect()
}

async fn made_earlier(tx: &sea_orm::DatabaseTransaction, tenant: &Tenant, id: &str) -> Result<Created> {
    let id = ApiKeyId::parse(id).ok_or_else(|| Error::internal("a request id led to no id"))?;
    let key = store::find(tx, tenant.id, id).await?.ok_or_else(unknown)?;
    Ok(Created { key, secret: None })
}

fn unknown() -> Error {
    Error::not_found("API key")
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
