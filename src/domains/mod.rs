//! Domains: the hosts that workspaces have for their links besides the server's own.
//!
//! | file | what |
//! |---|---|
//! | `host.rs` `fields.rs` | what clients may send; pure |
//! | `verify.rs` | whether a host is proved, what becomes of its domain, when to look again; pure |
//! | `looks.rs` | the looks at the DNS |
//! | `check/` `doctor.rs` | what is wrong with a domain and what to do; pure, and the looks for it |
//! | `sites.rs` `shelf.rs` | from the host of a request to its domain, in memory and on disk |
//! | `certificates/` | the certificates that the server gets for hosts by itself |
//! | `changes.rs` | how every node hears that a host begins or ceases to answer |
//! | `store.rs` | queries of `domains` |
//! | `grpc.rs` | `linkforty.v1.DomainService` |
//!
//! Guarantees: a host answers for one workspace at a time, and only for one whose proof was seen; no one else gets it while that
//! proof holds. Links belong to a domain, not to its host: who adds a host after somebody else finds none of their links. A change
//! that is stored reaches every node within a second. Hosts that answered go on answering while no store does.

pub mod certificates;
mod changes;
mod check;
mod doctor;
mod fields;
mod grpc;
mod host;
mod looks;
mod shelf;
mod sites;
mod store;
mod verify;

use std::collections::HashMap;

use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult};

use self::{changes::Changed, verify::State};
pub use self::{
    check::Expected,
    doctor::Checked,
    fields::{Content, DomainChange, NewDomain},
    grpc::DomainApi,
    host::parse as parse_host,
    looks::{EVERY as LOOKS_EVERY, look_at_due},
    sites::{OWN, Served, Site, Sites},
};
pub use crate::entity::domain::Model as Domain;
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::{DomainId, WorkspaceId, parse},
    outbound::Outbound,
    page::{Cursor, Page, PageRequest},
    pb::v1::{self, Quota},
    trail::{self, Action, Changes},
    workspaces::{Tenant, quotas},
};

/// How many domains a workspace may have: each is looked at in the DNS.
const MOST: u64 = 500;
/// Letters and digits that are not taken for each other.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 32^26 is 2^130.
const TOKEN_LENGTH: usize = 26;
/// What follows the host in a namespace; 32^12 is 2^60, and only domains of one host could ever meet.
const NAMESPACE_LENGTH: usize = 12;

/// Adds a domain.
pub async fn create(env: &Env, tenant: &Tenant, new: NewDomain, request: Option<Request>) -> Result<Domain> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let NewDomain { host, content } = new;
    let begun = verify::begin(now, None);
    let domain = Domain {
        id: DomainId::mint(&env.ids, now),
        workspace_id: tenant.id,
        namespace: format!("{host}/{}", env.ids.text(ALPHABET, NAMESPACE_LENGTH)),
        token: env.ids.text(ALPHABET, TOKEN_LENGTH),
        host,
        held_host: None,
        state: begun.state as i16,
        is_default: false,
        ignores_case: content.ignores_case,
        root_url: content.root_url,
        not_found_url: content.not_found_url,
        expired_url: content.expired_url,
        robots_txt: content.robots_txt,
        seen: None,
        verify_time: None,
        look_time: None,
        next_look_time: begun.next_look_time,
        waiting_time: begun.waiting_time,
        looks: begun.looks,
        version: 1,
        create_time: now,
        update_time: now,
    };
    if !store::insert(&tx, &domain).await? {
        return Err(Error::new(Reason::AlreadyExists, "the workspace has this host already")
            .with("field", "domain.host"));
    }
    // Last, because others wait for it: the number is exact however many come at once.
    if store::count_locked(&tx, tenant.id).await? > MOST {
        let message = format!("a workspace may have at most {MOST} domains");
        return Err(Error::new(Reason::DomainLimitReached, message).with("limit", MOST.to_string()));
    }
    quotas::require(&tx, tenant.id, tenant.quotas, Quota::Domains, now).await?;
    let did = tenant.did(Action::DomainCreated, domain.id.0, Changes::created(&noted(env, &domain)));
    trail::note(&tx, &env.ids, [did], now).await?;
    idempotency::made(&tx, request.as_ref(), domain.id.to_string()).await?;
    tx.commit().await?;
    Ok(domain)
}

/// Returns a domain.
pub async fn get(env: &Env, tenant: &Tenant, id: DomainId) -> Result<Domain> {
    store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)
}

/// Returns one page of domains, oldest first.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Domain>> {
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list(&env.db.api, tenant.id, after, u64::from(page.size) + 1).await?;
    Ok(Page::of(rows, page.size, |domain| Cursor { key: String::new(), id: domain.id.to_string() }))
}

/// Changes a domain.
pub async fn update(
    env: &Env,
    tenant: &Tenant,
    change: DomainChange,
    request: Option<Request>,
) -> Result<Domain> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let stored = if change.makes_default() {
        let all = store::lock_all(&tx, tenant.id).await?;
        let stored = all.iter().find(|domain| domain.id == change.id).cloned().ok_or_else(unknown)?;
        require_etag(&change.etag, &stored)?;
        if !State::numbered(stored.state).serves() {
            return Err(Error::new(
                Reason::DomainNotVerified,
                "only a verified domain can become the default one",
            ));
        }
        for other in all.into_iter().filter(|other| other.is_default && other.id != change.id) {
            let version = other.version + 1;
            store::save(&tx, &Domain { is_default: false, version, update_time: now, ..other }).await?;
        }
        stored
    } else {
        store::lock(&tx, tenant.id, change.id).await?.ok_or_else(unknown)?
    };
    require_etag(&change.etag, &stored)?;
    if let Some(path) = change.leads_back(&stored.host) {
        return Err(Error::invalid_field(path, "must not lead to the domain itself"));
    }
    let domain = change.apply(&stored, now);
    if domain.ignores_case != stored.ignores_case
        && store::has_links(&tx, tenant.id, &stored.namespace).await?
    {
        return Err(Error::new(
            Reason::DomainHasLinks,
            "code_case can change only while no link lives on the domain",
        ));
    }
    if domain != stored {
        store::save(&tx, &domain).await?;
        let changes = Changes::between(&noted(env, &stored), &noted(env, &domain));
        trail::note(&tx, &env.ids, [tenant.did(Action::DomainUpdated, domain.id.0, changes)], now).await?;
    }
    idempotency::made(&tx, request.as_ref(), domain.id.to_string()).await?;
    finish(env, tx, &stored, now).await?;
    Ok(domain)
}

/// Deletes a domain for good. Links that live on it stay, and never answer again.
pub async fn delete(
    env: &Env,
    tenant: &Tenant,
    id: DomainId,
    etag: &str,
    links: Links,
    request: Option<Request>,
) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return Ok(());
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    require_etag(etag, &stored)?;
    if links == Links::Forbid && store::has_links(&tx, tenant.id, &stored.namespace).await? {
        return Err(Error::new(
            Reason::DomainHasLinks,
            "links live on the domain: delete them first, or say force, and they never answer again",
        ));
    }
    store::remove(&tx, tenant.id, id).await?;
    let did = tenant.did(Action::DomainDeleted, id.0, Changes::deleted(&noted(env, &stored)));
    trail::note(&tx, &env.ids, [did], now).await?;
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    finish(env, tx, &stored, now).await
}

/// Whether links may live on a domain that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// They may, and stay behind.
    Leave,
    /// They must not.
    Forbid,
}

/// Looks at the DNS now.
pub async fn verify(env: &Env, tenant: &Tenant, id: DomainId, request: Option<Request>) -> Result<Domain> {
    if request.is_some() {
        // A look takes its time, so a repeat is told before it. The claim is made with what comes of the look.
        let tx = env.db.begin().await?;
        if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), env.now()).await? {
            return made_earlier(&tx, tenant, &id).await;
        }
        tx.rollback().await?;
    }
    let domain = get(env, tenant, id).await?;
    let domain = looks::look_at(env, tenant, &domain, request.as_ref()).await?;
    certificates::hurry(env, domain.id, env.now()).await?;
    Ok(domain)
}

/// Returns what the files of a host ought to say of the workspace's apps. Apps know domains and not the other way round.
pub type Registered = for<'a> fn(&'a Env, &'a Tenant, &'a str) -> BoxFuture<'a, Result<Expected>>;

/// Says what is wrong with a domain.
pub async fn check(
    env: &Env,
    tenant: &Tenant,
    (outbound, registered): (&Outbound, Registered),
    id: DomainId,
    expected: Expected,
) -> Result<Checked> {
    let domain = get(env, tenant, id).await?;
    let expected = registered(env, tenant, &domain.host).await?.and(expected);
    Ok(doctor::check_domain(env, outbound, &domain, &expected).await)
}

/// Returns a domain as the audit trail tells of it: what the DNS said of it is noted apart.
fn noted(env: &Env, domain: &Domain) -> v1::Domain {
    v1::Domain { proof: None, ..grpc::shown(env, domain.clone(), None) }
}

/// Returns domains as they are shown, each with its certificate.
async fn shown(env: &Env, tenant: &Tenant, domains: Vec<Domain>) -> Result<Vec<v1::Domain>> {
    let ids: Vec<DomainId> = domains.iter().map(|domain| domain.id).collect();
    let mut certificates = certificates::of_domains(env, tenant.id, &ids).await?;
    let shown = domains.into_iter().map(|domain| {
        let certificate = certificates.remove(&domain.id);
        grpc::shown(env, domain, certificate)
    });
    Ok(shown.collect())
}

/// Commits, and tells the nodes if the domain answered.
async fn finish(env: &Env, tx: DatabaseTransaction, stored: &Domain, now: Moment) -> Result<()> {
    if stored.held_host.is_none() {
        return Ok(tx.commit().await?);
    }
    let told = Changed::of(&stored.host, now);
    told.notify(&tx).await?;
    told.commit(env, tx).await
}

async fn made_earlier(tx: &DatabaseTransaction, tenant: &Tenant, id: &str) -> Result<Domain> {
    let id = DomainId::parse(id).ok_or_else(|| Error::internal("what a request id led to is no domain"))?;
    store::find(tx, tenant.id, id).await?.ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::not_found("domain")
}

/// Returns the etag of a domain: opaque, another one for every version.
fn etag(domain: &Domain) -> String {
    crate::etag::of_version(domain.id.0, domain.version)
}

fn require_etag(given: &str, stored: &Domain) -> Result<()> {
    crate::etag::require("domain", given, &etag(stored))
}

/// Where links can live.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Home {
    /// The host.
    pub host: String,
    /// What `links.domain` says of its links.
    pub namespace: String,
    /// Whether codes are kept in lower case.
    pub ignores_case: bool,
    /// Whether links go there when nobody says where to.
    pub is_default: bool,
}

/// Where the links of one call can live.
#[derive(Debug, Clone, Default)]
pub struct Homes {
    by_host: HashMap<String, Home>,
    default: Option<Home>,
}

/// Returns where the links of one call can live that name these hosts. Inside the transaction that makes them: until its end the case
/// policy of those domains stays as it is.
pub async fn homes(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    hosts: impl IntoIterator<Item = &str>,
) -> Result<Homes> {
    let mut homes = Homes::default();
    for home in store::homes(db, tenant.id, hosts).await? {
        if home.is_default {
            homes.default = Some(home.clone());
        }
        homes.by_host.insert(home.host.clone(), home);
    }
    Ok(homes)
}

impl Homes {
    /// Returns the domain of a host, if the workspace has it.
    pub fn named(&self, host: &str) -> Option<&Home> {
        self.by_host.get(host)
    }

    /// Returns the default domain; `None`: the server's own.
    pub fn usual(&self) -> Option<&Home> {
        self.default.as_ref()
    }
}

/// Returns the hosts of the workspace, each with whether it answers.
pub async fn hosts(db: &impl ConnectionTrait, tenant: &Tenant) -> Result<Vec<(String, bool)>> {
    Ok(store::hosts(db, tenant.id).await?)
}

/// Returns the hosts of the workspace that answer: what leads there comes back.
pub async fn answering(db: &impl ConnectionTrait, tenant: &Tenant) -> Result<Vec<String>> {
    Ok(hosts(db, tenant).await?.into_iter().filter(|(_, answers)| *answers).map(|(host, _)| host).collect())
}

/// Says whether links of the workspace can be on a host: it is the server's own, or one of the workspace's that answer.
pub async fn is_host_of(
    env: &Env,
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    host: &str,
) -> std::result::Result<bool, DbErr> {
    if host::is_ours(host, &env.config) {
        return Ok(true);
    }
    let hosts = store::hosts(db, workspace).await?;
    Ok(hosts.iter().any(|(known, answers)| *answers && known == host))
}

/// Returns a host of the workspace as its links show it; without one, the server's own. NOT_FOUND for any other.
pub async fn expect_host(env: &Env, tenant: &Tenant, host: &str) -> Result<String> {
    let own = env.config.links_host();
    if host.is_empty() || host == own || host::is_ours(host, &env.config) {
        return Ok(own);
    }
    let host = host::parse(host).map_err(|_| unknown())?;
    let hosts = store::hosts(&env.db.api, tenant.id).await?;
    if hosts.iter().any(|(known, _)| *known == host) { Ok(host) } else { Err(unknown()) }
}

/// Returns the host of a namespace; `None` for the server's own.
pub fn host_of(namespace: &str) -> Option<&str> {
    if namespace == OWN { None } else { namespace.split('/').next() }
}
