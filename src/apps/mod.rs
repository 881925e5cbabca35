//! Mobile apps, and the files by which Apple and Android know whose links they open.
//!
//! | file | what |
//! |---|---|
//! | `fields.rs` `components.rs` `etag.rs` | what clients may send; pure |
//! | `pattern.rs` `glob.rs` `matching.rs` | whether a URL opens an app, by the rules of Apple and Android; pure |
//! | `place.rs` | on which hosts an app is served; pure |
//! | `association.rs` | the two files; pure |
//! | `associations.rs` `changes.rs` `snapshot.rs` `http.rs` | the files of every host, in memory and fresh; how they are answered |
//! | `advertised.rs` | which apps a postback can be about |
//! | `tokens.rs` | what apps send with their calls, and which app that is |
//! | `meta.rs` | the key of Meta's install referrers, sealed |
//! | `store.rs` | queries |
//! | `grpc.rs` `wire.rs` | `linkforty.v1.AppService` |
//!
//! Guarantees: an app stands in the files of its workspace's hosts and of no others; on the server's own host, whose links are
//! everybody's, only with the operator's leave. Every node serves a change within a second. The files need no
//! store once they were read, also after a restart; while nobody knows them the answer is 503, never 404. None is larger
//! than systems read.

mod advertised;
mod association;
mod associations;
mod changes;
mod components;
mod etag;
mod fields;
mod glob;
mod grpc;
mod http;
mod matching;
mod meta;
mod pattern;
mod place;
mod snapshot;
mod store;
pub mod tokens;
mod wire;

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::Duration;
use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use url::Url;

pub use self::{
    advertised::{InStore, in_store},
    association::{File, OWN_PAGES},
    associations::{Associations, Body, Found, Whose},
    grpc::AppApi,
    http::answer,
};
use self::{
    association::MOST_BYTES,
    changes::Changed,
    fields::{Extent, Field},
    matching::{Tapped, Verdict},
    place::{Place, Standing},
};
use crate::{
    clock::Moment,
    domains,
    entity::{app::Model, app_token},
    env::Env,
    error::{Error, Reason, Result, Violations},
    idempotency::{self, Claim, Request},
    ids::{AppId, WorkspaceId},
    page::{Page, PageRequest},
    pb::v1,
    trail::{self, Action, Changes},
    workspaces::{self, Tenant},
};

/// How long the tokens before a new one stay good, when nobody says: apps that are installed go on sending theirs.
const OVERLAP: Duration = Duration::days(365);
/// The longest they can.
const MOST_OVERLAP: Duration = Duration::days(3650);
/// After which pause a new session begins when an app does not say.
pub const SESSION_GAP_SECONDS: i64 = 30 * 60;
/// How many apps a workspace may have.
const MAX_APPS: usize = 100;

/// An app, and where it is served.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub app: Model,
    pub content: v1::App,
    pub served_hosts: Vec<String>,
    pub token: String,
}

/// What somebody wants changed about an app.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub id: AppId,
    pub etag: String,
    pub fields: BTreeSet<Field>,
    pub content: v1::App,
}

/// What becomes of a URL with one app on one platform.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Match {
    pub app: AppId,
    pub platform: v1::Platform,
    pub standing: Standing,
    /// What the app's components say of it, where it stands in the file.
    pub verdict: Option<Verdict>,
}

/// Creates an app.
pub(crate) async fn create(
    env: &Env,
    tenant: &Tenant,
    content: v1::App,
    request: Option<&Request>,
) -> Result<Shown> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        return made_earlier(env, &tx, tenant, &id).await;
    }
    let place = lock_place(env, &tx, tenant).await?;
    let apps = store::all_of(&tx, tenant.id).await?;
    if apps.len() >= MAX_APPS {
        let message = format!("the workspace has {MAX_APPS} apps, and may not have more");
        return Err(Error::new(Reason::TooManyApps, message).with("limit", MAX_APPS.to_string()));
    }
    // Nobody else's are counted meanwhile: the place is locked.
    workspaces::quotas::require_another(&tx, tenant, v1::Quota::Apps, now).await?;
    check_hosts(&place, &content, &v1::App::default())?;
    let app = model(AppId::mint(&env.ids, now), tenant.id, &content, now);
    check_against_others(&app, &apps)?;
    check_size(&tx, &place, &app, apps).await?;
    store::insert(&tx, &app).await?;
    let token = add_token(env, &tx, &app, now).await?;
    let did = tenant.did(Action::AppCreated, app.id.0, Changes::created(&content));
    trail::note(&tx, &env.ids, [did], now).await?;
    idempotency::made(&tx, request, app.id.to_string()).await?;
    commit(env, tx, tenant.id, now).await?;
    Ok(shown(&place, app, token))
}

/// Returns an app.
pub(crate) async fn get(env: &Env, tenant: &Tenant, id: AppId) -> Result<Shown> {
    let app = store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)?;
    with_token(&env.db.api, &find_place(env, &env.db.api, tenant).await?, app).await
}

/// Fails unless it is an app of the workspace.
pub async fn expect(env: &Env, tenant: &Tenant, id: AppId) -> Result<()> {
    store::find(&env.db.api, tenant.id, id).await?.map(drop).ok_or_else(unknown)
}

/// Returns the apps of a workspace.
pub async fn all(env: &Env, tenant: &Tenant) -> Result<HashSet<AppId>> {
    Ok(store::all_of(&env.db.api, tenant.id).await?.into_iter().map(|app| app.id).collect())
}

/// Returns the apps of a workspace, and after which pause a new session begins in each, in seconds.
pub async fn session_gaps(env: &Env, tenant: &Tenant) -> Result<HashMap<AppId, i64>> {
    let gap = |app: &Model| {
        let attribution = content_of(app).attribution.unwrap_or_default();
        attribution.session_gap.map_or(SESSION_GAP_SECONDS, |gap| gap.seconds)
    };
    Ok(store::all_of(&env.db.api, tenant.id).await?.iter().map(|app| (app.id, gap(app))).collect())
}

/// Returns one page of apps, newest first.
pub(crate) async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Shown>> {
    let place = find_place(env, &env.db.api, tenant).await?;
    let listed = store::list(&env.db.api, tenant.id, page).await?;
    let apps: Vec<AppId> = listed.items.iter().map(|app| app.id).collect();
    let mut tokens = tokens::newest(&env.db.api, tenant.id, &apps).await?;
    Ok(listed.map(|app| {
        let token = tokens.remove(&app.id).unwrap_or_default();
        shown(&place, app, token)
    }))
}

/// Changes an app.
pub(crate) async fn update(
    env: &Env,
    tenant: &Tenant,
    change: Change,
    request: Option<&Request>,
) -> Result<Shown> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        return made_earlier(env, &tx, tenant, &id).await;
    }
    let place = lock_place(env, &tx, tenant).await?;
    let mut apps = store::all_of(&tx, tenant.id).await?;
    let at = apps.iter().position(|app| app.id == change.id).ok_or_else(unknown)?;
    let stored = apps.remove(at);
    etag::require(&change.etag, &stored)?;
    let before = content_of(&stored);
    let mut content = before.clone();
    fields::copy(&change.fields, &change.content, &mut content);
    let mut wrong = Violations::default();
    let content = fields::check(content, Extent::Complete, &mut wrong);
    wrong.into_result(())?;
    check_hosts(&place, &content, &before)?;
    idempotency::made(&tx, request, stored.id.to_string()).await?;
    if content == before {
        let unchanged = with_token(&tx, &place, stored).await?;
        tx.commit().await?;
        return Ok(unchanged);
    }
    let app = Model {
        version: stored.version + 1,
        create_time: stored.create_time,
        meta_key: stored.meta_key,
        ..model(stored.id, tenant.id, &content, now)
    };
    check_against_others(&app, &apps)?;
    check_size(&tx, &place, &app, apps).await?;
    store::save(&tx, &app).await?;
    let did = tenant.did(Action::AppUpdated, app.id.0, Changes::between(&before, &content));
    trail::note(&tx, &env.ids, [did], now).await?;
    let shown = with_token(&tx, &place, app).await?;
    commit(env, tx, tenant.id, now).await?;
    Ok(shown)
}

/// Deletes an app for good.
pub(crate) async fn delete(
    env: &Env,
    tenant: &Tenant,
    id: AppId,
    etag: &str,
    request: Option<&Request>,
) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        return Ok(());
    }
    lock_place(env, &tx, tenant).await?;
    let stored = store::find(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    etag::require(etag, &stored)?;
    store::remove(&tx, tenant.id, id).await?;
    let did = tenant.did(Action::AppDeleted, id.0, Changes::deleted(&content_of(&stored)));
    trail::note(&tx, &env.ids, [did], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    commit(env, tx, tenant.id, now).await
}

/// Gives an app another token. Those before it end after `overlap`.
pub(crate) async fn rotate_token(
    env: &Env,
    tenant: &Tenant,
    id: AppId,
    overlap: Duration,
    request: Option<&Request>,
) -> Result<Shown> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        return made_earlier(env, &tx, tenant, &id).await;
    }
    let place = lock_place(env, &tx, tenant).await?;
    let app = store::find(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    store::end_tokens(&tx, (tenant.id, id), now + overlap, now).await?;
    let token = add_token(env, &tx, &app, now).await?;
    let changes = Changes::none().with("overlap_seconds", overlap.num_seconds());
    trail::note(&tx, &env.ids, [tenant.did(Action::AppTokenRotated, id.0, changes)], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, app.id = %id, principal = %tenant.principal, "an app got another token");
    Ok(shown(&place, app, token))
}

/// Sets the key that Meta encrypts install referrers of an app with, or removes it.
pub(crate) async fn set_meta_referrer_key(
    env: &Env,
    tenant: &Tenant,
    id: AppId,
    key: Option<&[u8]>,
    request: Option<&Request>,
) -> Result<Shown> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        return made_earlier(env, &tx, tenant, &id).await;
    }
    let place = lock_place(env, &tx, tenant).await?;
    let stored = store::find(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    let had = stored.meta_key.is_some();
    let app = Model { meta_key: key.map(|key| meta::seal(env, id, key)), ..stored };
    store::save(&tx, &app).await?;
    let changes = Changes::none().with_both("has_meta_referrer_key", had, key.is_some());
    trail::note(&tx, &env.ids, [tenant.did(Action::AppMetaKeySet, id.0, changes)], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    let shown = with_token(&tx, &place, app).await?;
    tx.commit().await?;
    Ok(shown)
}

/// Returns the key that Meta encrypts install referrers of an app with.
pub async fn meta_referrer_key(
    env: &Env,
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: AppId,
) -> Result<Option<Vec<u8>>, DbErr> {
    let app = store::find(db, workspace, id).await?;
    Ok(app.and_then(|app| meta::open(env, id, &app.meta_key?)))
}

/// Says what becomes of a URL with the workspace's apps, or with one of them.
pub(crate) async fn match_link(
    env: &Env,
    tenant: &Tenant,
    url: &Url,
    id: Option<AppId>,
) -> Result<Vec<Match>> {
    let place = find_place(env, &env.db.api, tenant).await?;
    let apps = match id {
        Some(id) => vec![store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)?],
        None => store::all_of(&env.db.api, tenant.id).await?,
    };
    Ok(apps.iter().flat_map(|app| matches_of(app, &place, url)).collect())
}

fn matches_of(app: &Model, place: &Place, url: &Url) -> Vec<Match> {
    let content = content_of(app);
    let standing = place.standing(&content, url.host_str().unwrap_or_default());
    let (tapped, exclude) = (Tapped::of(url), !content.no_default_exclusions);
    let ios = content.ios.as_ref().map(|ios| (v1::Platform::Ios, matching::apple(ios, exclude, &tapped)));
    let android = content.android.as_ref();
    let android = android.map(|on| (v1::Platform::Android, matching::android(on, exclude, &tapped)));
    let of = |(platform, verdict)| Match {
        app: app.id,
        platform,
        standing,
        verdict: (standing == Standing::Listed).then_some(verdict),
    };
    ios.into_iter().chain(android).map(of).collect()
}

async fn commit(env: &Env, tx: DatabaseTransaction, workspace: WorkspaceId, now: Moment) -> Result<()> {
    let changed = Changed::of(workspace, now);
    changed.notify(&tx).await?;
    changed.commit(env, tx, workspace).await
}

/// Returns where the workspace's apps are served, and lets nobody else change its apps until the transaction ends: what is
/// checked of all of them then holds.
async fn lock_place(env: &Env, tx: &DatabaseTransaction, tenant: &Tenant) -> Result<Place> {
    let workspace = workspaces::lock(tx, tenant.id).await?;
    place_of(env, tx, tenant, workspace).await
}

/// Returns what the files of a host ought to say of the workspace's apps, and of no others if there are any.
pub fn registered<'a>(
    env: &'a Env,
    tenant: &'a Tenant,
    host: &'a str,
) -> BoxFuture<'a, Result<domains::Expected>> {
    Box::pin(async move {
        let place = find_place(env, &env.db.api, tenant).await?;
        if place.suspended {
            return Ok(domains::Expected::default());
        }
        let apps = store::all_of(&env.db.api, tenant.id).await?;
        let here: Vec<v1::App> = apps.iter().map(content_of).filter(|app| place::names(app, host)).collect();
        Ok(association::expected(&here))
    })
}

async fn find_place(env: &Env, db: &impl ConnectionTrait, tenant: &Tenant) -> Result<Place> {
    let workspace = workspaces::find(db, tenant.id).await?;
    place_of(env, db, tenant, workspace).await
}

async fn place_of(
    env: &Env,
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    workspace: Option<workspaces::Workspace>,
) -> Result<Place> {
    let workspace = workspace.ok_or_else(|| Error::not_found("workspace"))?;
    let hosts = domains::hosts(db, tenant).await?;
    let (answering, waiting): (Vec<_>, Vec<_>) = hosts.into_iter().partition(|(_, answers)| *answers);
    let names = |hosts: Vec<(String, bool)>| hosts.into_iter().map(|(host, _)| host).collect();
    Ok(Place {
        own_host: env.config.links_url.host_str().unwrap_or_default().to_owned(),
        apps_allowed: workspace.apps_allowed,
        suspended: workspace.suspend_time.is_some(),
        domains: names(answering),
        waiting: names(waiting),
    })
}

/// Makes sure that newly named hosts are the workspace's. One that was named before may be gone since.
fn check_hosts(place: &Place, content: &v1::App, before: &v1::App) -> Result<()> {
    let mut wrong = Violations::default();
    for (number, host) in content.hosts.iter().enumerate() {
        if !before.hosts.contains(host) && !place.may_be_named(host) {
            wrong.add(format!("app.hosts[{number}]"), "is no host of this workspace");
        }
    }
    wrong.into_result(())
}

/// Makes sure that no other app of the workspace is the same to a store.
fn check_against_others(app: &Model, others: &[Model]) -> Result<()> {
    let taken = |field: &'static str, id: fn(&Model) -> Option<&String>| {
        let own = id(app)?;
        let is_taken = others.iter().any(|other| id(other) == Some(own));
        let message = format!("another app of the workspace has the {field} {own}");
        is_taken.then(|| Error::new(Reason::AlreadyExists, message).with("field", field))
    };
    let bundle = taken("ios.bundle_id", |app| app.ios_bundle_id.as_ref());
    let package = taken("android.package_name", |app| app.android_package_name.as_ref());
    bundle.or(package).map_or(Ok(()), Err)
}

/// Makes sure that systems read the files of all hosts on which the app can stand.
async fn check_size(tx: &DatabaseTransaction, place: &Place, app: &Model, apps: Vec<Model>) -> Result<()> {
    let content = content_of(app);
    if place.served(&content).is_empty() && content.hosts.is_empty() && place.domains.is_empty() {
        return Ok(());
    }
    let apps: Vec<v1::App> = apps.iter().chain([app]).map(content_of).collect();
    if place.standing(&content, &place.own_host) == Standing::Listed {
        let others = store::listed_on_own_host(tx, app.workspace_id).await?;
        let others: Vec<v1::App> = others.iter().map(content_of).collect();
        check_size_on(&place.own_host, others.iter().chain(&apps))?;
    }
    let named: BTreeSet<&String> = content.hosts.iter().filter(|host| **host != place.own_host).collect();
    for host in named {
        check_size_on(host, apps.iter())?;
    }
    if content.hosts.is_empty() {
        let named: BTreeSet<&String> = apps.iter().flat_map(|app| &app.hosts).collect();
        let any = place.domains.iter().find(|domain| !named.contains(domain));
        let hosts = named.into_iter().filter(|host| **host != place.own_host).chain(any);
        for host in hosts {
            check_size_on(host, apps.iter())?;
        }
    }
    Ok(())
}

fn check_size_on<'a>(host: &str, apps: impl Iterator<Item = &'a v1::App>) -> Result<()> {
    let here: Vec<&v1::App> = apps.filter(|app| place::names(app, host)).collect();
    for file in File::ALL {
        let bytes = file.write(&here).map_or(0, |text| text.len());
        if bytes > MOST_BYTES {
            let name = file.name();
            let message =
                format!("the file {name} of {host} would have {bytes} bytes, and may have {MOST_BYTES}");
            return Err(Error::new(Reason::AssociationFileTooLarge, message)
                .with("host", host)
                .with("file", name)
                .with("bytes", bytes.to_string()));
        }
    }
    Ok(())
}

fn model(id: AppId, workspace: WorkspaceId, content: &v1::App, now: Moment) -> Model {
    use prost::Message as _;
    Model {
        id,
        workspace_id: workspace,
        ios_bundle_id: content.ios.as_ref().map(|ios| ios.bundle_id.clone()),
        android_package_name: content.android.as_ref().map(|android| android.package_name.clone()),
        content: content.encode_to_vec(),
        meta_key: None,
        version: 1,
        create_time: now,
        update_time: now,
    }
}

/// Reads what is stored of an app.
fn content_of(app: &Model) -> v1::App {
    use prost::Message as _;
    v1::App::decode(app.content.as_slice()).unwrap_or_default()
}

fn shown(place: &Place, app: Model, token: String) -> Shown {
    let content = content_of(&app);
    Shown { served_hosts: place.served(&content), content, app, token }
}

async fn with_token(db: &impl ConnectionTrait, place: &Place, app: Model) -> Result<Shown> {
    let token = tokens::newest(db, app.workspace_id, &[app.id]).await?.remove(&app.id).unwrap_or_default();
    Ok(shown(place, app, token))
}

async fn add_token(env: &Env, tx: &DatabaseTransaction, app: &Model, now: Moment) -> Result<String> {
    let token = tokens::mint(&env.ids);
    let row = app_token::Model {
        token: token.clone(),
        workspace_id: app.workspace_id,
        app_id: app.id,
        create_time: now,
        expire_time: None,
    };
    store::insert_token(tx, &row).await?;
    Ok(token)
}

/// Answers a repeat with the app as it is now.
async fn made_earlier(env: &Env, tx: &DatabaseTransaction, tenant: &Tenant, id: &str) -> Result<Shown> {
    let id = AppId::parse(id).ok_or_else(|| Error::internal("what a request id led to is no app"))?;
    let app = store::find(tx, tenant.id, id).await?.ok_or_else(unknown)?;
    with_token(tx, &find_place(env, tx, tenant).await?, app).await
}

fn unknown() -> Error {
    Error::not_found("app")
}
