//! Workspaces, the tenants; who belongs to them; and the one door through which every room enters one.
//!
//! - [`roles`] the table of what each role may do
//! - [`members`] the people of a workspace; [`invitations`] how they come
//! - [`quotas`] how much of what a workspace may have
//! - [`ending`] how a workspace is deleted, and what it held erased
//! - [`keys`]  API keys, the credentials of programs
//! - [`settings`] what holds for all links of a workspace; `changes` tells the nodes of it
//! - `store`   queries of `workspaces`, `members` and `invitations`
//! - [`grpc`]  `WorkspaceService`
//!
//! Guarantees: a [`Tenant`] exists only after the caller's right to it was checked, and only this room makes one. An
//! unknown workspace, somebody else's and one that is no id at all answer the same. A role counts from the moment it
//! is committed: memberships are read for every call and never cached.

mod changes;
pub mod ending;
pub mod grpc;
pub mod invitations;
pub mod keys;
pub mod members;
pub mod quotas;
pub mod roles;
pub mod settings;
mod store;

use std::sync::Arc;

use sea_orm::ConnectionTrait;
use serde_json::Value as Json;
use uuid::Uuid;

use self::changes::Changed;
pub use self::{
    changes::{changed_workspace, on_change},
    invitations::{Invitation, Newcomers},
    roles::Role,
    store::{changed_since, find, first, lock},
};
pub use crate::entity::workspace::Model as Workspace;
use crate::{
    clock::Moment,
    config::Quotas,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim},
    ids::{AppId, UserId, WorkspaceId, parse},
    page::{Cursor, Page, PageRequest},
    pb::v1::{self, Quota},
    rpc::{Caller, Permission, Reach},
    trail::{self, Action, Actor, Changes, Note, Origin, Who},
};

const MAX_NAME_CHARACTERS: usize = 100;
const MAX_REASON: usize = 1000;
/// How many memberships of one person are told at once.
const MAX_MEMBERSHIPS: u64 = 1000;

/// A workspace that the caller may be in, for the permission that was asked for.
#[expect(
    clippy::manual_non_exhaustive,
    reason = "this is about other rooms; non_exhaustive is about other crates"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Which workspace.
    pub id: WorkspaceId,
    /// Who is in it: the id of the person or of the API key, all zero for the operator at the command line.
    pub principal: Uuid,
    /// The person's role; `None` for API keys and the operator.
    pub role: Option<Role>,
    /// How much of what the workspace may have; of what keys and apps come in with, as it was ten seconds ago at the latest.
    pub quotas: Quotas,
    /// Which links of it the API key reaches; `None`: all.
    pub reach: Option<Arc<Reach>>,
    /// The same as the audit trail has it.
    actor: Actor,
    /// Keeps the other rooms from making one.
    _made_here: (),
}

impl Tenant {
    /// Returns who is in it, if it is a person.
    pub fn person(&self) -> Option<UserId> {
        self.role.map(|_| UserId(self.principal))
    }

    /// Fails for an API key that reaches only some links, where a call is about more than that.
    pub fn require_all_links(&self) -> Result<()> {
        if self.reach.is_some() { Err(bound()) } else { Ok(()) }
    }

    /// Returns the note that this caller does something here, for the transaction that does it.
    pub fn did(&self, action: Action, target: Uuid, changes: Changes) -> Note {
        self.actor.clone().did(Some(self.id), action, Some(target), changes)
    }
}

/// One workspace of a person and their role in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The workspace.
    pub workspace: Workspace,
    /// The role.
    pub role: Role,
}

/// Lets a caller into a workspace for one permission. An API key may leave `workspace_id` empty and enters its own.
///
/// Fails with NOT_FOUND for a workspace that the caller does not belong to, whether it exists or not; with
/// PERMISSION_MISSING when the role or the scopes do not reach; with PASSWORD_CHANGE_REQUIRED before anything else.
pub async fn enter(env: &Env, caller: &Caller, workspace_id: &str, permission: Permission) -> Result<Tenant> {
    match caller {
        Caller::ApiKey { id, workspace, scopes, quotas, reach, origin: _ } => {
            if !workspace_id.is_empty() && WorkspaceId::parse(workspace_id) != Some(*workspace) {
                return Err(Error::not_found("workspace"));
            }
            if !permission.is_in(scopes) {
                return Err(Error::denied(permission.name()));
            }
            if reach.is_some() && !permission.is_about_links() {
                return Err(bound());
            }
            let quotas = quotas::effective(env, quotas.as_ref());
            let (reach, actor) = (reach.clone(), caller.actor());
            Ok(Tenant { id: *workspace, principal: id.0, role: None, quotas, reach, actor, _made_here: () })
        }
        Caller::Person { .. } => {
            let user = person(caller)?;
            if workspace_id.is_empty() {
                return Err(Error::invalid_field("workspace_id", "must be the UUID of a workspace"));
            }
            let id = WorkspaceId::parse(workspace_id).ok_or_else(|| Error::not_found("workspace"))?;
            let standing = store::find_standing(&env.db.api, id, user).await?;
            let standing = standing.ok_or_else(|| Error::not_found("workspace"))?;
            let role = role(standing.role)?;
            if !role.may(permission) {
                return Err(Error::denied(permission.name()));
            }
            let quotas = quotas::effective(env, standing.quotas.as_ref());
            let actor = caller.actor();
            Ok(Tenant { id, principal: user.0, role: Some(role), quotas, reach: None, actor, _made_here: () })
        }
    }
}

/// Says whether a caller who was let into a workspace has another permission there too.
pub fn may(caller: &Caller, tenant: &Tenant, permission: Permission) -> bool {
    match caller {
        Caller::ApiKey { scopes, reach, .. } => {
            permission.is_in(scopes) && (reach.is_none() || permission.is_about_links())
        }
        Caller::Person { .. } => tenant.role.is_some_and(|role| role.may(permission)),
    }
}

/// Lets the operator at the command line into a workspace; `None` means the only one there is. No call over the
/// network may come here.
pub async fn enter_as_operator(env: &Env, workspace_id: Option<&str>) -> Result<Tenant> {
    let found = if let Some(text) = workspace_id {
        let id = WorkspaceId::parse(text).ok_or_else(|| Error::not_found("workspace"))?;
        store::find(&env.db.api, id).await?.filter(|found| found.delete_time.is_none())
    } else {
        let mut some = store::oldest(&env.db.api, 2).await?;
        if some.len() > 1 {
            return Err(Error::invalid_field("workspace_id", "must be given: there are several"));
        }
        some.pop()
    };
    let found = found.ok_or_else(|| Error::not_found("workspace"))?;
    let quotas = quotas::effective(env, found.quotas.as_ref());
    let (principal, actor) = (Uuid::nil(), Actor::here(Who::Operator));
    Ok(Tenant { id: found.id, principal, role: None, quotas, reach: None, actor, _made_here: () })
}

/// Lets an app into its workspace, for what every copy of it may do. Its token says which app it is; what it may do is for the room
/// to say, and is never more than to add something of its own. `quotas` is what the operator says of the workspace.
pub fn enter_as_app(
    env: &Env,
    (id, app): (WorkspaceId, AppId),
    quotas: Option<&Json>,
    origin: Origin,
) -> Tenant {
    let quotas = quotas::effective(env, quotas);
    let actor = Actor { who: Who::App(app), origin };
    Tenant { id, principal: app.0, role: None, quotas, reach: None, actor, _made_here: () }
}

/// Lets whoever has the secret of a share of the workspace in, to see what is shared. The room that knows its shares says that this is one.
/// Fails as for an unknown workspace when it is suspended or deleted.
pub async fn enter_by_share(env: &Env, id: WorkspaceId, share: Uuid, origin: Origin) -> Result<Tenant> {
    let found = store::find(&env.db.api, id).await?;
    let found = found.filter(|found| found.suspend_time.is_none() && found.delete_time.is_none());
    let found = found.ok_or_else(|| Error::not_found("workspace"))?;
    let quotas = quotas::effective(env, found.quotas.as_ref());
    let actor = Actor { who: Who::Anybody, origin };
    Ok(Tenant { id, principal: share, role: None, quotas, reach: None, actor, _made_here: () })
}

/// Returns the person who calls, or the error that only a person may, or that their password comes first.
pub fn person(caller: &Caller) -> Result<UserId> {
    match caller {
        Caller::Person { user, password_change_required: false, .. } => Ok(*user),
        Caller::Person { .. } => Err(Error::new(
            Reason::PasswordChangeRequired,
            "this password was set by somebody else: change it first, with AuthService.ChangePassword",
        )),
        Caller::ApiKey { .. } => Err(people_only()),
    }
}

/// Returns the error for an API key that calls what only a person may.
pub fn people_only() -> Error {
    Error::new(Reason::PermissionMissing, "this call needs a signed-in person; an API key cannot make it")
        .with("permission", "person")
}

/// Returns the error for an API key that reaches only some links and asks for something else.
fn bound() -> Error {
    Error::new(
        Reason::PermissionMissing,
        "this API key is bound to projects or domains: it reaches their links, and nothing else",
    )
    .with("permission", "all_links")
}

/// Reads the name of a workspace or of something in one, blanks around it cut off, or says what is wrong with it.
pub fn name(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARACTERS || name.chars().any(char::is_control) {
        return Err("must have 1 to 100 characters, none of them a control character");
    }
    Ok(name.to_owned())
}

/// Creates a workspace that `owner` owns. A repeat of `request` returns the workspace made the first time.
pub async fn create(
    env: &Env,
    owner: UserId,
    (name, actor): (String, Actor),
    request: Option<&idempotency::Request>,
) -> Result<Membership> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        let id = WorkspaceId::parse(&id).ok_or_else(|| Error::internal("a request id led to no id"))?;
        return membership(&tx, id, owner).await;
    }
    let made = found(env, &tx, owner, (name, actor), now).await?;
    idempotency::made(&tx, request, made.workspace.id.to_string()).await?;
    tx.commit().await?;
    Ok(made)
}

/// Creates a workspace inside somebody else's transaction.
pub async fn found(
    env: &Env,
    tx: &impl ConnectionTrait,
    owner: UserId,
    (name, actor): (String, Actor),
    now: Moment,
) -> Result<Membership> {
    let workspace = Workspace {
        id: WorkspaceId::mint(&env.ids, now),
        name,
        create_time: now,
        update_time: now,
        settings: None,
        suspend_time: None,
        suspend_reason: String::new(),
        redirect_time: None,
        // The first workspace is the operator's own, and nobody who makes one later may be taken for it.
        apps_allowed: store::oldest(tx, 1).await?.is_empty(),
        quotas: None,
        delete_time: None,
    };
    store::insert(tx, &workspace).await?;
    store::insert_member(tx, workspace.id, owner, Role::Owner, now).await?;
    let changes = Changes::none().with("name", workspace.name.clone()).with("owner", owner.to_string());
    let note = actor.did(Some(workspace.id), Action::WorkspaceCreated, Some(workspace.id.0), changes);
    trail::note(tx, &env.ids, [note], now).await?;
    Ok(Membership { workspace, role: Role::Owner })
}

/// Makes a person a member inside somebody else's transaction. There is one owner, made with the workspace.
pub async fn join(
    env: &Env,
    tx: &impl ConnectionTrait,
    tenant: &Tenant,
    user: UserId,
    role: Role,
    now: Moment,
) -> Result<()> {
    if role == Role::Owner {
        return Err(Error::invalid_field(
            "role",
            "must be viewer, member or admin: a workspace has one owner",
        ));
    }
    if store::insert_member(tx, tenant.id, user, role, now).await? {
        let did = tenant.did(Action::MemberAdded, user.0, Changes::none().with("role", role.name()));
        trail::note(tx, &env.ids, [did], now).await?;
        quotas::require(tx, tenant.id, tenant.quotas, Quota::Members, now).await
    } else {
        Err(Error::new(Reason::AlreadyExists, "this person belongs to the workspace already")
            .with("field", "user"))
    }
}

/// Returns the workspace that was entered.
pub async fn get(env: &Env, tenant: &Tenant) -> Result<Workspace> {
    store::find(&env.db.api, tenant.id).await?.ok_or_else(|| Error::not_found("workspace"))
}

/// Changes a workspace. A repeat of `request` changes nothing more.
pub async fn update(
    env: &Env,
    tenant: &Tenant,
    change: settings::Change,
    request: Option<&idempotency::Request>,
) -> Result<Workspace> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        return store::find(&tx, tenant.id).await?.ok_or_else(|| Error::not_found("workspace"));
    }
    let stored = store::lock(&tx, tenant.id).await?.ok_or_else(|| Error::not_found("workspace"))?;
    let changed = change.apply(&stored, now);
    let changes =
        Changes::between(&v1::Workspace::from(stored.clone()), &v1::Workspace::from(changed.clone()));
    if !changes.is_empty() {
        trail::note(&tx, &env.ids, [tenant.did(Action::WorkspaceUpdated, tenant.id.0, changes)], now).await?;
    }
    idempotency::made(&tx, request, tenant.id.to_string()).await?;
    save(env, tx, &stored, &changed).await?;
    Ok(changed)
}

/// Suspends a workspace, so that all its links are gone, or restores it (`None`). The operator's alone; no call over the
/// network comes here. Says whether that changed anything.
pub async fn suspend(env: &Env, tenant: &Tenant, reason: Option<&str>) -> Result<bool> {
    let reason = reason.map(self::reason).transpose();
    let reason = reason.map_err(|description| Error::invalid_field("reason", description))?;
    let now = env.now();
    let tx = env.db.begin().await?;
    let stored = store::lock(&tx, tenant.id).await?.ok_or_else(|| Error::not_found("workspace"))?;
    let mut changed = stored.clone();
    changed.suspend_time = reason.as_ref().map(|_| stored.suspend_time.unwrap_or(now));
    changed.suspend_reason = reason.unwrap_or_default();
    if changed.suspend_time != stored.suspend_time {
        changed.redirect_time = Some(later(stored.redirect_time, now));
    }
    if changed == stored {
        return Ok(false);
    }
    let (action, changes) = match changed.suspend_time {
        Some(_) => {
            (Action::WorkspaceSuspended, Changes::none().with("reason", changed.suspend_reason.clone()))
        }
        None => (Action::WorkspaceRestored, Changes::none()),
    };
    trail::note(&tx, &env.ids, [tenant.did(action, tenant.id.0, changes)], now).await?;
    changed.update_time = now;
    save(env, tx, &stored, &changed).await?;
    Ok(true)
}

/// Lets the apps of a workspace open links on the server's own host, which all workspaces share, or lets them no longer. The
/// operator's alone; no call over the network comes here. Says whether that changed anything.
pub async fn allow_apps(env: &Env, tenant: &Tenant, allowed: bool) -> Result<bool> {
    let now = env.now();
    let tx = env.db.begin().await?;
    let stored = store::lock(&tx, tenant.id).await?.ok_or_else(|| Error::not_found("workspace"))?;
    if stored.apps_allowed == allowed {
        return Ok(false);
    }
    let changes = Changes::none().with_both("apps_allowed", stored.apps_allowed, allowed);
    trail::note(&tx, &env.ids, [tenant.did(Action::WorkspaceAppsAllowed, tenant.id.0, changes)], now).await?;
    let mut changed = stored.clone();
    changed.apps_allowed = allowed;
    // No redirect depends on it, but the nodes hear by this that they have to look.
    changed.redirect_time = Some(later(stored.redirect_time, now));
    changed.update_time = now;
    save(env, tx, &stored, &changed).await?;
    Ok(true)
}

/// Lists all workspaces, oldest first. For the operator, who is above the tenants.
pub async fn list_all(env: &Env, page: &PageRequest) -> Result<Page<Workspace>> {
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list_all(&env.db.api, after, u64::from(page.size) + 1).await?;
    Ok(Page::of(rows, page.size, |workspace| Cursor { key: String::new(), id: workspace.id.to_string() }))
}

/// Stores a workspace as it became, and tells the nodes if its links follow something new.
async fn save(
    env: &Env,
    tx: sea_orm::DatabaseTransaction,
    stored: &Workspace,
    changed: &Workspace,
) -> Result<()> {
    if changed != stored {
        store::save(&tx, changed).await?;
    }
    let Some(at) = changed.redirect_time.filter(|at| Some(*at) != stored.redirect_time) else {
        return Ok(tx.commit().await?);
    };
    let told = Changed::of(stored.id, at);
    told.notify(&tx).await?;
    told.commit(env, tx).await
}

/// Commits a transaction after which all links of the workspace follow something new, and tells the nodes.
pub async fn commit_for_all_links(
    env: &Env,
    tx: sea_orm::DatabaseTransaction,
    tenant: &Tenant,
    now: Moment,
) -> Result<()> {
    let stored = store::lock(&tx, tenant.id).await?.ok_or_else(|| Error::not_found("workspace"))?;
    let changed = Workspace { redirect_time: Some(later(stored.redirect_time, now)), ..stored.clone() };
    save(env, tx, &stored, &changed).await
}

/// Returns when a change is said to be made: now, but after the one before, whatever the clocks of two nodes say.
fn later(before: Option<Moment>, now: Moment) -> Moment {
    before.map_or(now, |before| now.max(before + chrono::Duration::microseconds(1)))
}

/// Reads why a workspace is suspended, or says what is wrong with that.
fn reason(text: &str) -> Result<String, &'static str> {
    let reason = text.trim();
    if reason.is_empty() || reason.chars().nth(MAX_REASON).is_some() || reason.chars().any(char::is_control) {
        return Err("must have 1 to 1,000 characters, none of them a control character");
    }
    Ok(reason.to_owned())
}

/// Lists the person's workspaces, oldest first.
pub async fn list(env: &Env, user: UserId, page: &PageRequest) -> Result<Page<Membership>> {
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list_of(&env.db.api, user, after, u64::from(page.size) + 1).await?;
    let items = rows.into_iter().map(told).collect::<Result<_>>()?;
    Ok(Page::of(items, page.size, |membership| Cursor {
        key: String::new(),
        id: membership.workspace.id.to_string(),
    }))
}

/// Returns the person's workspaces by name: the oldest 1,000 if there are more.
pub async fn memberships_of(env: &Env, user: UserId) -> Result<Vec<Membership>> {
    let rows = store::list_of(&env.db.api, user, None, MAX_MEMBERSHIPS).await?;
    let mut memberships = rows.into_iter().map(told).collect::<Result<Vec<_>>>()?;
    memberships
        .sort_by_cached_key(|membership| (membership.workspace.name.to_lowercase(), membership.workspace.id));
    Ok(memberships)
}

async fn membership(db: &impl ConnectionTrait, id: WorkspaceId, user: UserId) -> Result<Membership> {
    let member = store::find_member(db, id, user).await?.ok_or_else(|| Error::not_found("workspace"))?;
    let workspace = store::find(db, id).await?.ok_or_else(|| Error::not_found("workspace"))?;
    Ok(Membership { workspace, role: role(member.role)? })
}

fn told((member, workspace): (crate::entity::member::Model, Workspace)) -> Result<Membership> {
    Ok(Membership { workspace, role: role(member.role)? })
}

/// A number no role has gives no rights at all.
fn role(number: i16) -> Result<Role> {
    Role::numbered(number).ok_or_else(|| Error::internal(format!("no role has the number {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_100_characters() {
        for wrong in ["", "  ", "a\nb", &"é".repeat(101)] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
        let long = "é".repeat(100);
        for (text, read) in [("A", "A"), (" Acme GmbH ", "Acme GmbH"), (&long, &long)] {
            assert_eq!(name(text).as_deref(), Ok(read));
        }
    }
}
