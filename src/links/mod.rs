//! Short links: creating, changing, finding and deleting them.
//!
//! | file | what |
//! |---|---|
//! | `fields.rs` `app_fields.rs` `routing.rs` `condition.rs` `code.rs` `etag.rs` | what clients may send; pure |
//! | `described.rs` `routing_tests.rs` | visitors who are described instead of met, and what shall stay true of where they end up |
//! | `dry_run.rs` | what becomes of a visit, asked and not made |
//! | `batch.rs` `weight.rs` | many links in one transaction, each with its own fate; what one answer can carry |
//! | `list.rs` `search/` `store.rs` | queries |
//! | `codes.rs` `aliases.rs` `reuse.rs` | generated codes; further codes of a link; links that are there already |
//! | `revisions.rs` `reports.rs` | what links were before they were changed; what visitors report about them |
//! | `related.rs` `projects/` `templates/` `presets/` | what links name of their workspace, and what they take from it |
//! | `resolve.rs` `target/` `rules.rs` `changes.rs` | from a code to what redirects need of a link, and how they hear that it changed |
//! | `budget/` | how many visits of a link with a limit may still be sent on, leased in parts to each node |
//! | `import/` `export.rs` `flat.rs` `moments.rs` | files of links, and what stands in them |
//! | `past.rs` | links, templates and projects of a LinkForty database |
//! | `fetch.rs` `preview/` | other people's pages and pictures, and what pages say of themselves |
//! | `told.rs` | what those hear of links who want to be told what happens |
//! | `by_app.rs` | links that apps make for their users |
//! | `ephemeral.rs` | links whose parameters are erased once an app has got them |
//! | `credit.rs` | what links say of the installs that are credited to them |
//! | `qr.rs` | the codes that lead to links |
//! | `snapshot.rs` | the hot links on disk, for a restart while no store answers |
//! | `grpc.rs` `wire.rs` | `linkforty.v1.LinkService` |
//!
//! Guarantees: a code belongs to one link of a domain, however many ask for it at once; a code that was asked for is never
//! replaced by another. A change that is stored is told to every node. No limit of
//! clicks is passed, however many ask on however many nodes. A call repeated under its `request_id` has one effect.

mod aliases;
mod app_fields;
mod batch;
mod budget;
mod by_app;
mod changes;
mod code;
mod codes;
mod condition;
mod credit;
mod described;
mod dry_run;
mod ephemeral;
mod etag;
mod export;
mod extras;
mod fetch;
mod fields;
mod flat;
mod grpc;
mod import;
mod list;
mod moments;
mod noted;
pub mod past;
mod presets;
mod preview;
mod projects;
mod qr;
mod related;
mod reports;
mod resolve;
mod reuse;
mod revisions;
mod routing;
mod routing_tests;
mod rules;
mod search;
mod snapshot;
mod store;
mod target;
mod templates;
mod told;
mod weight;
mod wire;

use std::collections::{HashMap, HashSet};

use sea_orm::ConnectionTrait;

pub use self::{
    aliases::{add_alias, remove_alias},
    app_fields::check_scheme,
    batch::{batch_create, batch_delete, batch_update},
    budget::{Budgets, Taken, Unit},
    by_app::{Named, Stores, create_by_app},
    code::is_short_code,
    codes::CodeStyle,
    condition::{Condition, SystemRange, Times, Version},
    credit::{Credited, credited},
    described::{Checks, Decide, Described, DescribedPlace, Detail},
    dry_run::{Question, Which, dry_run},
    ephemeral::{Acknowledged, acknowledge},
    extras::{Extras, House, Targeting},
    fetch::Fetch,
    fields::{Content, Door, Field, LinkChange, MAX_PASSWORD, NOT_A_UUID, NewLink, Place, moment, timestamp},
    grpc::LinkApi,
    import::sweep as sweep_imports,
    list::{Archived, Kin, LinkOrder, LinkQuery, list_statements},
    presets::UtmPresetApi,
    projects::{ProjectApi, expect as expect_project, named},
    qr::{read_query as read_qr_query, undrawable},
    reports::{REPORT_KINDS, Report, list_reports, report},
    resolve::{Answer, Refreshes, Resolver},
    revisions::{list_revisions, restore_revision},
    rules::{Rule, Rules},
    snapshot::Snapshots,
    store::{CountedLink, find_password},
    target::{Decoration, Target, Urls},
    templates::TemplateApi,
    wire::{both, once},
};
use self::{changes::Changes, code::Alphabet, fields::MAX_TITLE, related::Related, told::Fate};
use crate::{
    clock::Moment,
    domains::{self, Home, Homes},
    entity::link::Model,
    env::Env,
    error::{Error, Reason, Result, Violations},
    hashing::{self, Whose},
    idempotency::{self, Claim, Request},
    ids::{LinkId, UtmPresetId},
    page::{Page, PageRequest},
    pb::v1::Quota,
    rpc::Reach,
    trail,
    workspaces::{Tenant, quotas},
};

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

/// How a link is created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Creation {
    /// How its code is made, unless one is asked for.
    pub style: CodeStyle,
    /// What to do when there is such a link already.
    pub existing: Existing,
    /// Which preset it takes campaign parameters from.
    pub preset: Option<UtmPresetId>,
}

/// What to do when there is such a link already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Fail if two such may not be, otherwise make another.
    #[default]
    Refuse,
    /// Return it.
    Reuse,
}

/// Creates a link, or returns the one that is there already. Says which.
pub async fn create(
    env: &Env,
    tenant: &Tenant,
    mut new: NewLink,
    how: Creation,
    request: Option<Request>,
    run: Run,
) -> Result<(Shown, bool)> {
    let now = env.now();
    seal(env, &mut new.content).await?;
    presets::apply(env, tenant, how.preset, &mut new.content).await?;
    if run == Run::CheckOnly {
        let related = Related::of_new(&env.db.api, tenant.id, &[&new.content]).await?;
        related.settle("link.", &mut new.content)?;
        let checks = new.checks;
        let homes = homes_of(&env.db.api, tenant, [&new]).await?;
        let mut draft =
            Draft::of(env, tenant, &homes, new, how.style, now).map_err(|none| none.at("link.domain"))?;
        require_reach(tenant, &draft.link, "link.")?;
        if let Some(found) = reuse::find(env, &env.db.api, tenant, &mut draft, how.existing).await? {
            return Ok((Shown::Link(found), true));
        }
        routing_tests::require(env, &env.db.api, checks, None, &draft.link, now).await?;
        return Ok((Shown::Draft(draft.check(env).await?), false));
    }
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return Ok((made_earlier(&tx, tenant, &id).await?, false));
    }
    let related = Related::of_new(&tx, tenant.id, &[&new.content]).await?;
    related.settle("link.", &mut new.content)?;
    let checks = new.checks;
    let homes = homes_of(&tx, tenant, [&new]).await?;
    let mut draft =
        Draft::of(env, tenant, &homes, new, how.style, now).map_err(|none| none.at("link.domain"))?;
    require_reach(tenant, &draft.link, "link.")?;
    let mut found = reuse::find(env, &tx, tenant, &mut draft, how.existing).await?;
    if found.is_none() {
        routing_tests::require(env, &tx, checks, None, &draft.link, now).await?;
        match insert_one(env, &tx, tenant, &draft).await? {
            Ok(link) => {
                trail::note(&tx, &env.ids, [noted::created(env, tenant, &link)], now).await?;
                told::note(env, &tx, tenant.id, [Fate::Created(&link)], now).await?;
                idempotency::made(&tx, request.as_ref(), link.id.to_string()).await?;
                let changes = Changes::of([&link], now);
                changes.notify(&tx).await?;
                changes.commit(env, tx).await?;
                return Ok((Shown::Link(CountedLink { link, clicks: 0 }), false));
            }
            // Somebody created it at the same time.
            Err(Refusal::Exists) if how.existing == Existing::Reuse => {
                found = reuse::find(env, &tx, tenant, &mut draft, how.existing).await?;
            }
            Err(refusal) => return Err(refusal.of(&draft.link)),
        }
    }
    let found = found.ok_or_else(|| Refusal::Exists.of(&draft.link))?;
    idempotency::made(&tx, request.as_ref(), found.link.id.to_string()).await?;
    tx.commit().await?;
    Ok((Shown::Link(found), true))
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
    store::find(&env.db.api, tenant, id).await?.ok_or_else(unknown)
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
    let query = LinkQuery { reach: tenant.reach.clone(), ..query.clone() };
    Ok(list::list(&env.db.api, tenant.id, &query, page).await?)
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
    let stored = store::lock(&tx, tenant, [id]).await?.remove(&id).ok_or_else(unknown)?;
    etag::require(&change.etag, &stored)?;
    let related = Related::of_changes(&tx, tenant.id, &[&change], &[&stored]).await?;
    let checks = change.checks;
    let link = change.apply(&stored, now, &related)?;
    require_reach(tenant, &link, "link.")?;
    routing_tests::require(env, &tx, checks, Some(&stored), &link, now).await?;
    let clicks = store::clicks_of(&tx, tenant.id, [id]).await?.remove(&id).unwrap_or(0);
    if run == Run::CheckOnly {
        tx.rollback().await?;
        return Ok(Shown::Link(CountedLink { link, clicks }));
    }
    let changed = if link.version == stored.version { Vec::new() } else { vec![link.clone()] };
    if save(&tx, tenant, &changed).await?.len() != changed.len() {
        return Err(etag::mismatch());
    }
    let changes_of: Vec<_> = changed.iter().map(|link| (&stored, link)).collect();
    revisions::record(env, &tx, tenant, &changes_of).await?;
    let notes: Vec<_> = changes_of.iter().map(|pair| noted::updated(env, tenant, pair)).collect();
    trail::note(&tx, &env.ids, notes, now).await?;
    let fates = changes_of.iter().map(|(before, after)| Fate::Updated(before, after));
    told::note(env, &tx, tenant.id, fates, now).await?;
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    let changes = Changes::of(&changed, now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await?;
    Ok(Shown::Link(CountedLink { link, clicks }))
}

/// Stores changed links. An external id that somebody took at this very moment fails the call as a whole.
async fn save(
    tx: &sea_orm::DatabaseTransaction,
    tenant: &Tenant,
    changed: &[Model],
) -> Result<HashSet<LinkId>> {
    store::save(tx, tenant.id, changed).await.map_err(|error| match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => external_id_taken(),
        _ => error.into(),
    })
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
    let stored = store::lock(&tx, tenant, [id]).await?.remove(&id).ok_or_else(unknown)?;
    etag::require(etag, &stored)?;
    store::remove(&tx, tenant.id, [id]).await?;
    budget::forget(&tx, tenant.id, &[id]).await?;
    trail::note(&tx, &env.ids, [noted::deleted(env, tenant, &stored)], now).await?;
    told::note(env, &tx, tenant.id, [Fate::Deleted(&stored)], now).await?;
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
    let original = store::find(&tx, tenant, id).await?.ok_or_else(unknown)?.link;
    let homes = domains::homes(&tx, tenant, domains::host_of(&original.domain)).await?;
    let draft = Draft::copy(env, &homes, original.clone(), short_code, now);
    require_reach(tenant, &draft.link, "")?;
    routing_tests::require(env, &tx, checks, Some(&original), &draft.link, now).await?;
    let link = insert_one(env, &tx, tenant, &draft).await?.map_err(|refusal| refusal.of(&draft.link))?;
    trail::note(&tx, &env.ids, [noted::created(env, tenant, &link)], now).await?;
    told::note(env, &tx, tenant.id, [Fate::Created(&link)], now).await?;
    idempotency::made(&tx, request.as_ref(), link.id.to_string()).await?;
    let changes = Changes::of([&link], now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await?;
    Ok(Shown::Link(CountedLink { link, clicks: 0 }))
}

/// The workspace has no domain of the host that a link is to live on.
#[derive(Debug, Clone, Copy)]
struct NoDomain;

impl NoDomain {
    /// Says so of a field.
    fn at(self, field: &str) -> Error {
        Error::invalid_field(field, "is no domain of the workspace: add it with CreateDomain first")
    }
}

/// Returns where links can live that somebody wants.
async fn homes_of<'a>(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    new: impl IntoIterator<Item = &'a NewLink>,
) -> Result<Homes> {
    let hosts: HashSet<&str> = new
        .into_iter()
        .filter_map(|new| if let Place::Host(host) = &new.place { Some(host.as_str()) } else { None })
        .collect();
    domains::homes(db, tenant, hosts).await
}

/// Returns the domain that a link lives on, if it is among these and not gone.
fn home_of<'a>(homes: &'a Homes, link: &Model) -> Option<&'a Home> {
    let home = domains::host_of(&link.domain).and_then(|host| homes.named(host));
    home.filter(|home| home.namespace == link.domain)
}

/// A link that is not stored yet.
#[derive(Debug, Clone)]
struct Draft {
    link: Model,
    code: Code,
    alphabet: Alphabet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// Somebody wants this one and no other.
    Asked,
    /// Any of this style will do.
    Made(CodeStyle),
}

/// Why a draft is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The code it asks for is in use.
    Code,
    /// There is a link with its external id, or one that it should not repeat.
    Exists,
    /// The workspace has as many links as it may have, which is this many.
    Full(u64),
}

impl Refusal {
    fn of(self, draft: &Model) -> Error {
        match self {
            Self::Code => code_taken(&draft.short_code),
            Self::Exists => external_id_taken(),
            Self::Full(limit) => quotas::exceeded(Quota::Links, limit),
        }
    }
}

impl Draft {
    /// Fails when the workspace has no such domain.
    fn of(
        env: &Env,
        tenant: &Tenant,
        homes: &Homes,
        new: NewLink,
        style: CodeStyle,
        now: Moment,
    ) -> Result<Self, NoDomain> {
        let content = new.content;
        let home = match &new.place {
            Place::Own => None,
            Place::Anywhere => homes.usual(),
            Place::Host(host) => Some(homes.named(host).ok_or(NoDomain)?),
        };
        let alphabet = Alphabet::of(home);
        let (short_code, code) = Self::code(env, new.short_code, alphabet, style);
        let link = Model {
            id: LinkId::mint(&env.ids, now),
            workspace_id: tenant.id,
            domain: home.map_or(domains::OWN, |home| &home.namespace).to_owned(),
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
            project_id: content.project_id,
            template_id: content.template.id(),
            external_id: content.external_id,
            external_user_id: content.external_user_id,
            reuse_key: None,
            source: content.source,
            archived: content.archived,
            attribution_window: content.attribution_window,
            event_attribution_window: content.event_attribution_window,
            redirect_status: content.redirect_status,
            cache_seconds: content.cache_seconds,
            aliases: serde_json::json!([]),
            alias_of: None,
            routing_tests: routing_tests::to_bytes(&content.routing_tests),
            version: 1,
            create_time: now,
            update_time: now,
        };
        Ok(Self { link, code, alphabet })
    }

    /// The copy of a link whose domain is gone lives where links do when nobody says.
    fn copy(env: &Env, homes: &Homes, original: Model, asked: Option<String>, now: Moment) -> Self {
        let home = if domains::host_of(&original.domain).is_none() {
            None
        } else {
            home_of(homes, &original).or(homes.usual())
        };
        let alphabet = Alphabet::of(home);
        let (short_code, code) = Self::code(env, asked, alphabet, CodeStyle::Short);
        let title = if original.title.is_empty() {
            String::new()
        } else {
            original.title.chars().take(MAX_TITLE - COPY.len()).chain(COPY.chars()).collect()
        };
        let id = LinkId::mint(&env.ids, now);
        let link = Model {
            id,
            domain: home.map_or(domains::OWN, |home| &home.namespace).to_owned(),
            short_code,
            title,
            active: true,
            archived: false,
            // What only one link may have.
            external_id: None,
            reuse_key: None,
            aliases: serde_json::json!([]),
            version: 1,
            create_time: now,
            update_time: now,
            ..original
        };
        Self { link, code, alphabet }
    }

    fn code(env: &Env, asked: Option<String>, alphabet: Alphabet, style: CodeStyle) -> (String, Code) {
        match asked {
            Some(asked) => (alphabet.kept(asked), Code::Asked),
            None => (codes::generate(env, style, alphabet), Code::Made(style)),
        }
    }

    /// Says whether the code asked for is free, and returns the link as it would be.
    async fn check(mut self, env: &Env) -> Result<Model> {
        match self.code {
            Code::Made(_) => self.link.short_code.clear(),
            Code::Asked => {
                let code = self.link.short_code.as_str();
                let wanted = [(self.link.domain.as_str(), code)];
                if !store::taken(&env.db.api, wanted).await?.is_empty() {
                    return Err(code_taken(code));
                }
            }
        }
        if let Some(external) = &self.link.external_id
            && !store::external_ids(&env.db.api, self.link.workspace_id, vec![external.clone()])
                .await?
                .is_empty()
        {
            return Err(external_id_taken());
        }
        Ok(self.link)
    }
}

async fn insert_one(
    env: &Env,
    tx: &sea_orm::DatabaseTransaction,
    tenant: &Tenant,
    draft: &Draft,
) -> Result<Result<Model, Refusal>> {
    let id = draft.link.id;
    let mut inserted = insert(env, tx, tenant, vec![draft.clone()]).await?;
    Ok(inserted.stored.remove(&id).ok_or_else(|| inserted.refusal(id)))
}

/// What became of new links.
#[derive(Debug, Default)]
struct Inserted {
    /// Those that are stored.
    stored: HashMap<LinkId, Model>,
    /// Those that are not because there are such links already. Of those in no list the code asked for is taken.
    existing: HashSet<LinkId>,
    /// Those that would have been too many, and how many there may be.
    too_many: HashMap<LinkId, u64>,
}

impl Inserted {
    fn refusal(&self, id: LinkId) -> Refusal {
        match self.too_many.get(&id) {
            Some(limit) => Refusal::Full(*limit),
            None if self.existing.contains(&id) => Refusal::Exists,
            None => Refusal::Code,
        }
    }
}

/// Stores new links that may be. Nothing is asked beforehand: only the unique indexes know, and they know for all nodes. Of more than the
/// workspace may have the first stay.
async fn insert(
    env: &Env,
    tx: &sea_orm::DatabaseTransaction,
    tenant: &Tenant,
    drafts: Vec<Draft>,
) -> Result<Inserted> {
    let limit = quotas::allowed(tenant.quotas, Quota::Links);
    if limit == 0 {
        return insert_all(env, tx, drafts).await;
    }
    let mut order: Vec<LinkId> = drafts.iter().map(|draft| draft.link.id).collect();
    let mut all = insert_all(env, tx, drafts).await?;
    if all.stored.is_empty() {
        return Ok(all);
    }
    // Last, because others of the workspace wait for it.
    let over = quotas::over(tx, tenant.id, (Quota::Links, limit), env.now()).await?;
    order.retain(|id| all.stored.contains_key(id));
    let over = usize::try_from(over).unwrap_or(usize::MAX).min(order.len());
    let last = order.split_off(order.len() - over);
    if !last.is_empty() {
        store::remove(tx, tenant.id, last.iter().copied()).await?;
        all.stored.retain(|id, _| !last.contains(id));
        all.too_many.extend(last.into_iter().map(|id| (id, limit)));
    }
    Ok(all)
}

async fn insert_all(
    env: &Env,
    tx: &sea_orm::DatabaseTransaction,
    mut drafts: Vec<Draft>,
) -> Result<Inserted> {
    let mut all = Inserted::default();
    // Of two that want the same external id the first gets it, in whatever order codes are claimed.
    let mut wanted = HashSet::new();
    drafts.retain(|draft| {
        let first = draft.link.external_id.as_ref().is_none_or(|id| wanted.insert(id.clone()));
        if !first {
            all.existing.insert(draft.link.id);
        }
        first
    });
    for _ in 0..CODE_ATTEMPTS {
        let inserted = store::insert(tx, drafts.iter().map(|draft| draft.link.clone()).collect()).await?;
        let (done, refused): (Vec<_>, Vec<_>) =
            drafts.into_iter().partition(|draft| inserted.contains(&draft.link.id));
        all.stored.extend(done.into_iter().map(|draft| (draft.link.id, draft.link)));
        all.existing.extend(reuse::existing(tx, &refused).await?);
        let again = |draft: &Draft| draft.code != Code::Asked && !all.existing.contains(&draft.link.id);
        drafts = refused.into_iter().filter(again).collect();
        if drafts.is_empty() {
            return Ok(all);
        }
        for draft in &mut drafts {
            if let Code::Made(style) = draft.code {
                draft.link.short_code = codes::again(env, style, draft.alphabet);
            }
        }
    }
    Err(Error::internal(format!("no generated code was free in {CODE_ATTEMPTS} attempts")))
}

/// Answers a repeat with the link as it is now.
async fn made_earlier(tx: &sea_orm::DatabaseTransaction, tenant: &Tenant, id: &str) -> Result<Shown> {
    let id = LinkId::parse(id).ok_or_else(|| Error::internal("what a request id led to is no link"))?;
    store::find(tx, tenant, id).await?.map(Shown::Link).ok_or_else(unknown)
}

/// Fails when whoever calls does not reach a link as it would be: it says so of fields under `path`.
fn require_reach(tenant: &Tenant, link: &Model, path: &str) -> Result<()> {
    let Some(reach) = &tenant.reach else { return Ok(()) };
    let mut wrong = Violations::default();
    if !store::reaches(&Reach { domains: None, ..Reach::clone(reach) }, link) {
        wrong.add(format!("{path}project_id"), "must be one of the projects that this API key is bound to");
    }
    if !store::reaches(&Reach { projects: None, ..Reach::clone(reach) }, link) {
        wrong.add(format!("{path}domain"), "must be one of the domains that this API key is bound to");
    }
    wrong.into_result(())
}

fn unknown() -> Error {
    Error::not_found("link")
}

fn external_id_taken() -> Error {
    Error::new(Reason::AlreadyExists, "the workspace has a link with this external id")
        .with("field", "external_id")
}

fn code_taken(code: &str) -> Error {
    Error::new(Reason::ShortCodeTaken, format!("the short code {code} is in use")).with("short_code", code)
}
