//! Imports of files of links from other tools.
//!
//! | file | what |
//! |---|---|
//! | `split.rs` `json.rs` | from bytes to records; pure |
//! | `bitly.rs` `dub.rs` `shlink.rs` `kutt.rs` `yourls.rs` `forty_core.rs` `table.rs` `entry.rs` | from a record to a link, one file for each tool; pure |
//! | `fate.rs` | what becomes of it; pure |
//! | `step.rs` `store.rs` | up to 1,000 rows in one transaction |
//! | `stream.rs` `wire.rs` | many steps in one call, and the messages |
//!
//! Guarantees: a row and the progress of its import are stored together or not at all, so that an import goes on after any crash
//! exactly where it was; two callers who get on with one import never both import a row; memory is bounded by a part of the
//! file, however long the file is.

mod bitly;
mod dub;
mod entry;
mod errors;
mod fate;
mod forty_core;
mod json;
mod kutt;
pub mod past;
mod shlink;
mod split;
#[cfg(test)]
mod split_tests;
mod step;
mod store;
mod stream;
mod table;
mod wire;
mod yourls;

use chrono::Duration;
use prost::Message as _;
use sea_orm::ConnectionTrait;

pub(super) use self::{
    errors::errors,
    stream::{Inbound, stream, unreadable},
    wire::{check_part, chunk, import_id, shown, started},
};
use crate::{
    domains::{self, Home, Homes},
    entity::link_import::Model,
    env::Env,
    error::{Error, Result},
    idempotency::{self, Claim, Request},
    ids::ImportId,
    links::{NoDomain, Place},
    pb::v1::{ImportExisting, ImportSource, StartImportRequest},
    workspaces::Tenant,
};

/// How long an import is remembered after it last got on.
const LIFE: Duration = Duration::days(7);
/// How many old imports are forgotten at once.
const SWEEP: u64 = 100;

/// What an import was started with. Parsed once, and trusted when it is read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms(StartImportRequest);

impl Terms {
    fn of(import: &Model) -> Result<Self> {
        StartImportRequest::decode(&*import.request).map(Self).map_err(Error::internal)
    }

    fn source(&self) -> ImportSource {
        self.0.source()
    }

    fn existing(&self) -> ImportExisting {
        self.0.existing()
    }

    fn is_dry(&self) -> bool {
        self.0.validate_only
    }

    /// Returns where its links live; fails when the workspace has no such domain, or no longer.
    async fn home(&self, tx: &impl ConnectionTrait, tenant: &Tenant) -> Result<Where> {
        let host = &self.0.domain;
        if host.is_empty() {
            return Ok(Where { place: Place::Own, homes: Homes::default() });
        }
        let homes = domains::homes(tx, tenant, [host.as_str()]).await?;
        if homes.named(host).is_none() {
            return Err(NoDomain.at("domain"));
        }
        Ok(Where { place: Place::Host(host.clone()), homes })
    }
}

/// Where the links of an import live.
#[derive(Debug)]
struct Where {
    place: Place,
    homes: Homes,
}

impl Where {
    /// Returns the domain; `None`: the server's own.
    fn home(&self) -> Option<&Home> {
        if let Place::Host(host) = &self.place { self.homes.named(host) } else { None }
    }

    fn namespace(&self) -> &str {
        self.home().map_or(domains::OWN, |home| &home.namespace)
    }
}

/// Starts an import.
pub async fn start(env: &Env, tenant: &Tenant, terms: Terms, request: Option<Request>) -> Result<Model> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        let id =
            ImportId::parse(&id).ok_or_else(|| Error::internal("what a request id led to is no import"))?;
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    terms.home(&tx, tenant).await?;
    let import = Model {
        id: ImportId::mint(&env.ids, now),
        workspace_id: tenant.id,
        request: terms.0.encode_to_vec(),
        done: false,
        next_offset: 0,
        reading: Vec::new(),
        row_count: 0,
        created: 0,
        changed: 0,
        same: 0,
        conflicts: 0,
        wrong: 0,
        create_time: now,
        update_time: now,
    };
    store::insert(&tx, import.clone()).await?;
    idempotency::made(&tx, request.as_ref(), import.id.to_string()).await?;
    tx.commit().await?;
    Ok(import)
}

/// Returns an import.
pub async fn get(env: &Env, tenant: &Tenant, id: ImportId) -> Result<Model> {
    store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)
}

/// Forgets imports that nobody got on with for a week, of whatever workspace.
pub async fn sweep(env: &Env) -> Result<usize> {
    let old = store::list_old(&env.db.api, env.now() - LIFE, SWEEP).await?;
    for import in &old {
        let tx = env.db.begin().await?;
        store::remove(&tx, import.workspace_id, import.id).await?;
        tx.commit().await?;
    }
    Ok(old.len())
}

fn unknown() -> Error {
    Error::not_found("import")
}
