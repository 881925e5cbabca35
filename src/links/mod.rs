//! Short links: creating, changing, finding and deleting them.
//!
//! | file | what |
//! |---|---|
//! | `fields.rs` `app_fields.rs` `routing.rs` `condition.rs` `code.rs` `etag.rs` | what clients may send; pure |
//! | `described.rs` `routing_tests.rs` | visitors who are described instead of met, and what shall stay true of where they end up |
//! | `dry_run.rs` | what becomes of a visit, asked and not made |
//! | `batch.rs` `weight.rs` | many links in one transaction, each with its own fate; what one answer can carry |
//! | `list.rs` `store.rs` | queries |
//! | `resolve.rs` `target.rs` `changes.rs` | from a code to what redirects need of a link, and how they hear that it changed |
//! | `budget/` | how many visits of a link with a limit may still be sent on, leased in parts to each node |
//! | `import/` `export.rs` `flat.rs` `spreadsheet.rs` `moments.rs` | files of links, and what stands in them |
//! | `qr.rs` | the codes that lead to links |
//! | `snapshot.rs` | the hot links on disk, for a restart while no store answers |
//! | `grpc.rs` `wire.rs` | `linkforty.v1.LinkService` |
//!
//! Guarantees: a code belongs to one link of a domain, however many ask for it at once; a code that was asked for is never
//! replaced by another. A change that is stored is told to every node. No limit of
//! clicks is passed, however many ask on however many nodes. A call repeated under its `request_id` has one effect.

mod app_fields;
mod batch;
mod budget;
mod changes;
mod code;
mod condition;
mod described;
mod dry_run;
mod etag;
mod export;
mod extras;
mod fields;
mod flat;
mod grpc;
mod import;
mod list;
mod moments;
mod qr;
mod resolve;
mod routing;
mod routing_tests;
mod snapshot;
mod spreadsheet;
mod store;
mod target;
mod weight;
mod wire;

use std::collections::{HashMap, HashSet};

pub use self::{
    app_fields::check_scheme,
    batch::{batch_create, batch_delete, batch_update},
    budget::{Budgets, Taken, Unit},
    code::is_short_code,
    condition::{Condition, SystemRange, Times, Version},
    described::{Checks, Decide, Described, DescribedPlace, Detail},
    dry_run::{Question, Which, dry_run},
    extras::{Extras, House, Targeting},
    fields::{Content, Door, Field, LinkChange, MAX_PASSWORD, NOT_A_UUID, NewLink, moment, timestamp},
    grpc::LinkApi,
    import::sweep as sweep_imports,
    list::{LinkOrder, LinkQuery},
    qr::{read_query as read_qr_query, undrawable},
    resolve::{Answer, Refreshes, Resolver},
    routing::{Rule, Rules},
    snapshot::Snapshots,
    store::{CountedLink, find_password},
    target::{Decoration, Target},
    wire::both,
};
use self::{changes::Changes, fields::MAX_TITLE};
use crate::{
    clock::Moment,
    entity::link::Model,
    env::Env,
    error::{Error, Reason, Result},
    hashing::{self, Whose},
    idempotency::{self, Claim, Request},
    ids::LinkId,
    page::{Page, PageRequest},
    workspaces::Tenant,
};

/// The domain of links that live on the server's own.
pub const OWN_DOMAIN: &str = "";
/// What the title of a copy ends with.
const COPY: &str = " (Copy)";
/// How often another code is made up when one is taken. With 10^14 codes the second is already a surprise.
const CODE_ATTEMPTS: usize = 8;

/// Whether a call stores what it does or only says what would become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It does it.
    Store,
    /// It checks everything and stores nothing.
    CheckOnly,
}

/// What a call shows of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The link.
    Link(CountedLink),
    /// The link as it would be created; it has no id, and no code unless one was asked for.
    Draft(Model),
    /// Which link it was, to a repeat: the link was deleted under the same request id, or has grown with its neighbours
    /// beyond what one answer can carry.
    Id(LinkId),
}

/// Creates a link.
pub async fn create(
    env: &Env,
    tenant: &Tenant,
    mut new: NewLink,
    request: Option<Request>,
    run: Run,
) -> Result<Shown> {
    let now = env.now();
    seal(env, &mut new.content).await?;
    let checks = new.checks;
    let draft = Draft::of(env, tenant, new, now);
    if run == Run::CheckOnly {
        routing_tests::require(env, &env.db.api, checks, None, &draft.link, now).await?;
        return draft.check(env).await.map(Shown::Draft);
    }
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    routing_tests::require(env, &tx, checks, None, &draft.link, now).await?;
    let link = insert_one(env, &tx, draft).await?;
    idempotency::made(&tx, request.as_ref(), link.id.to_string()).await?;
    let changes = Changes::of([&link], now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await?;
    Ok(Shown::Link(CountedLink { link, clicks: 0 }))
}

/// Makes a hash of the password in what somebody sent. Before the transaction: it takes a while.
async fn seal(env: &Env, content: &mut Content) -> Result<()> {
    let password = std::mem::take(&mut content.password);
    if !password.is_empty() {
        content.password_hash = Some(hashing::hash(env, Whose::Link, &password).await?);
    }
    Ok(())
}

/// Returns a link.
pub async fn get(env: &Env, tenant: &Tenant, id: LinkId) -> Result<CountedLink> {
    store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)
}

/// Fails unless every one of these is a link of the workspace.
pub async fn expect_all(env: &Env, tenant: &Tenant, ids: &HashSet<LinkId>) -> Result<()> {
    let found = store::find_many(&env.db.api, tenant.id, ids.iter().copied()).await?;
    if found.len() == ids.len() { Ok(()) } else { Err(unknown()) }
}

/// Returns one page of links.
pub async fn list(
    env: &Env,
    tenant: &Tenant,
    query: &LinkQuery,
    page: &PageRequest,
) -> Result<Page<CountedLink>> {
    Ok(list::list(&env.db.api, tenant.id, query, page).await?)
}

/// Changes a link.
pub async fn update(
    env: &Env,
    tenant: &Tenant,
    mut change: LinkChange,
    request: Option<Request>,
    run: Run,
) -> Result<Shown> {
    let now = env.now();
    seal(env, &mut change.content).await?;
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let id = change.id;
    let stored = store::lock(&tx, tenant.id, [id]).await?.remove(&id).ok_or_else(unknown)?;
    etag::require(&change.etag, &stored)?;
    let checks = change.checks;
    let link = change.apply(&stored, now)?;
    routing_tests::require(env, &tx, checks, Some(&stored), &link, now).await?;
    let clicks = store::clicks_of(&tx, tenant.id, [id]).await?.remove(&id).unwrap_or(0);
    if run == Run::CheckOnly {
        tx.rollback().await?;
        return Ok(Shown::Link(CountedLink { link, clicks }));
    }
    let changed = if link.version == stored.version { Vec::new() } else { vec![link.clone()] };
    if store::save(&tx, tenant.id, &changed).await?.len() != changed.len() {
        return Err(etag::mismatch());
    }
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    let changes = Changes::of(&changed, now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await?;
    Ok(Shown::Link(CountedLink { link, clicks }))
}

/// Deletes a link for good. Its clicks stay in the totals of the workspace.
pub async fn delete(
    env: &Env,
    tenant: &Tenant,
    id: LinkId,
    etag: &str,
    request: Option<Request>,
) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return Ok(());
    }
    let stored = store::lock(&tx, tenant.id, [id]).await?.remove(&id).ok_or_else(unknown)?;
    etag::require(etag, &stored)?;
    store::remove(&tx, tenant.id, [id]).await?;
    budget::forget(&tx, tenant.id, &[id]).await?;
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    let changes = Changes::of([&stored], now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await
}

/// Creates a copy of a link, active, with the code asked for or any.
pub async fn duplicate(
    env: &Env,
    tenant: &Tenant,
    id: LinkId,
    (short_code, checks): (Option<String>, Checks),
    request: Option<Request>,
) -> Result<Shown> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let original = store::find(&tx, tenant.id, id).await?.ok_or_else(unknown)?.link;
    let draft = Draft::copy(env, original.clone(), short_code, now);
    routing_tests::require(env, &tx, checks, Some(&original), &draft.link, now).await?;
    let link = insert_one(env, &tx, draft).await?;
    idempotency::made(&tx, request.as_ref(), link.id.to_string()).await?;
    let changes = Changes::of([&link], now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await?;
    Ok(Shown::Link(CountedLink { link, clicks: 0 }))
}

/// A link that is not stored yet.
struct Draft {
    link: Model,
    code: Code,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    /// Somebody wants this one and no other.
    Asked,
    /// Any will do.
    Made,
}

impl Draft {
    fn of(env: &Env, tenant: &Tenant, new: NewLink, now: Moment) -> Self {
        let content = new.content;
        let (short_code, code) = Self::code(env, new.short_code);
        let link = Model {
            id: LinkId::mint(&env.ids, now),
            workspace_id: tenant.id,
            domain: OWN_DOMAIN.to_owned(),
            short_code,
            destination_url: content.destination_url,
            title: content.title,
            description: content.description,
            ios_url: content.ios_url,
            android_url: content.android_url,
            web_url: content.web_url,
            app_scheme: content.app_scheme,
            ios_universal_link: content.ios_universal_link,
            android_app_link: content.android_app_link,
            deep_link_path: content.deep_link_path,
            deep_link_parameters: app_fields::to_json(&content.deep_link_parameters),
            utm: app_fields::to_json(&content.utm),
            append_click_id: content.append_click_id,
            forward_query: content.forward_query,
            routing_rules: routing::to_bytes(&content.routing_rules),
            active: content.active,
            start_time: content.start_time,
            expire_time: content.expire_time,
            max_clicks: content.max_clicks,
            tags: content.tags.into(),
            targeting: extras::to_bytes(content.targeting.as_ref()),
            og: extras::to_bytes(content.og.as_ref()),
            warn_time: content.warn_time,
            disable_time: content.disable_time,
            disable_reason: content.disable_reason,
            password_hash: content.password_hash,
            launchpad_mode: content.launchpad_mode,
            routing_tests: routing_tests::to_bytes(&content.routing_tests),
            version: 1,
            create_time: now,
            update_time: now,
        };
        Self { link, code }
    }

    fn copy(env: &Env, original: Model, asked: Option<String>, now: Moment) -> Self {
        let (short_code, code) = Self::code(env, asked);
        let title = if original.title.is_empty() {
            String::new()
        } else {
            original.title.chars().take(MAX_TITLE - COPY.len()).chain(COPY.chars()).collect()
        };
        let id = LinkId::mint(&env.ids, now);
        let link = Model {
            id,
            short_code,
            title,
            active: true,
            version: 1,
            create_time: now,
            update_time: now,
            ..original
        };
        Self { link, code }
    }

    fn code(env: &Env, asked: Option<String>) -> (String, Code) {
        asked.map_or_else(|| (code::generate(&env.ids), Code::Made), |asked| (asked, Code::Asked))
    }

    /// Says whether the code asked for is free, and returns the link as it would be.
    async fn check(mut self, env: &Env) -> Result<Model> {
        match self.code {
            Code::Made => self.link.short_code.clear(),
            Code::Asked => {
                let code = self.link.short_code.as_str();
                if !store::taken(&env.db.api, &self.link.domain, [code]).await?.is_empty() {
                    return Err(code_taken(code));
                }
            }
        }
        Ok(self.link)
    }
}

async fn insert_one(env: &Env, tx: &sea_orm::DatabaseTransaction, draft: Draft) -> Result<Model> {
    let (id, code) = (draft.link.id, draft.link.short_code.clone());
    insert(env, tx, vec![draft]).await?.remove(&id).ok_or_else(|| code_taken(&code))
}

/// Stores new links and returns those that got their code; of those that are missing, the code asked for is taken.
/// Nothing is asked beforehand: only the unique index knows, and it knows for all nodes.
async fn insert(
    env: &Env,
    tx: &sea_orm::DatabaseTransaction,
    mut drafts: Vec<Draft>,
) -> Result<HashMap<LinkId, Model>> {
    let mut stored = HashMap::with_capacity(drafts.len());
    for _ in 0..CODE_ATTEMPTS {
        let inserted = store::insert(tx, drafts.iter().map(|draft| draft.link.clone()).collect()).await?;
        let (done, refused): (Vec<_>, Vec<_>) =
            drafts.into_iter().partition(|draft| inserted.contains(&draft.link.id));
        stored.extend(done.into_iter().map(|draft| (draft.link.id, draft.link)));
        drafts = refused.into_iter().filter(|draft| draft.code == Code::Made).collect();
        if drafts.is_empty() {
            return Ok(stored);
        }
        for draft in &mut drafts {
            draft.link.short_code = code::generate(&env.ids);
        }
    }
    Err(Error::internal(format!("no generated code was free in {CODE_ATTEMPTS} attempts")))
}

/// Answers a repeat with the link as it is now.
async fn made_earlier(tx: &sea_orm::DatabaseTransaction, tenant: &Tenant, id: &str) -> Result<Shown> {
    let id = LinkId::parse(id).ok_or_else(|| Error::internal("what a request id led to is no link"))?;
    store::find(tx, tenant.id, id).await?.map(Shown::Link).ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::not_found("link")
}

fn code_taken(code: &str) -> Error {
    Error::new(Reason::ShortCodeTaken, format!("the short code {code} is in use")).with("short_code", code)
}
