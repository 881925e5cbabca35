//! The people of a workspace: who they are, what they are, and how that changes.
//!
//! Guarantees: a workspace has one owner, whatever happens at once on however many nodes: changes of people queue up behind the row of
//! their workspace, each asks again there whether whoever makes it still may, and a unique index has the last word.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

pub use super::store::Person;
use super::{
    Role, Tenant, Workspace, role,
    roles::{self, Obstacle},
    store,
};
use crate::{
    clock::from_micros,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::{UserId, WorkspaceId, parse},
    page::{Cursor, Page, PageRequest},
    rpc::Permission,
    trail::{self, Action, Changes},
};

/// Lists the people of the workspace, those who came first at the top.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Person>> {
    let after = page
        .after
        .as_ref()
        .and_then(|cursor| Some((from_micros(cursor.key.parse().ok()?), UserId(parse(&cursor.id)?))));
    let rows = store::list_people(&env.db.api, tenant.id, after, u64::from(page.size) + 1).await?;
    Ok(Page::of(rows, page.size, |person| Cursor {
        key: person.create_time.timestamp_micros().to_string(),
        id: person.user_id.to_string(),
    }))
}

/// Returns the e-mails of those who own a workspace.
pub async fn owners(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Vec<String>> {
    Ok(store::owners(db, workspace).await?)
}

/// Makes a member of another role; `etag` is that of the member as it was read, or empty.
pub async fn change_role(
    env: &Env,
    tenant: &Tenant,
    (user, to, etag): (UserId, Role, &str),
    request: Option<&Request>,
) -> Result<Person> {
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, env.now()).await? {
        return store::find_person(&tx, tenant.id, user).await?.ok_or_else(unknown);
    }
    lock(&tx, tenant, Permission::MembersWrite).await?;
    let stored = store::find_person(&tx, tenant.id, user).await?.ok_or_else(unknown)?;
    require_etag(etag, &stored)?;
    roles::change(role(stored.role)?, to).map_err(refused)?;
    if stored.role != to.number() {
        store::set_role(&tx, tenant.id, user, to).await?;
        let changes = Changes::none().with_both("role", role(stored.role)?.name(), to.name());
        trail::note(&tx, &env.ids, [tenant.did(Action::MemberRoleChanged, user.0, changes)], env.now())
            .await?;
    }
    idempotency::made(&tx, request, user.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, user.id = %user, role = to.name(), principal = %tenant.principal, "a member has another role");
    Ok(Person { role: to.number(), ..stored })
}

/// Removes a member; themselves too, who need less for it.
pub async fn remove(env: &Env, tenant: &Tenant, user: UserId, request: Option<&Request>) -> Result<()> {
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, env.now()).await? {
        return Ok(());
    }
    lock(&tx, tenant, needed_to_remove(tenant.person(), user)).await?;
    let stored = store::find_member(&tx, tenant.id, user).await?.ok_or_else(unknown)?;
    roles::removal(role(stored.role)?).map_err(refused)?;
    store::remove_member(&tx, tenant.id, user).await?;
    let changes = Changes::none().without("role", role(stored.role)?.name());
    trail::note(&tx, &env.ids, [tenant.did(Action::MemberRemoved, user.0, changes)], env.now()).await?;
    idempotency::made(&tx, request, user.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, user.id = %user, principal = %tenant.principal, "a member is one no more");
    Ok(())
}

/// Returns what it takes to remove `user`, for the person who asks; `None`: it is no person.
pub fn needed_to_remove(person: Option<UserId>, user: UserId) -> Permission {
    if person == Some(user) { Permission::MembersRead } else { Permission::MembersWrite }
}

/// Makes a member the owner, and the owner until then an admin.
pub async fn transfer(env: &Env, tenant: &Tenant, to: UserId, request: Option<&Request>) -> Result<Person> {
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, env.now()).await? {
        return store::find_person(&tx, tenant.id, to).await?.ok_or_else(unknown);
    }
    lock(&tx, tenant, Permission::WorkspacesTransfer).await?;
    let next = store::find_person(&tx, tenant.id, to).await?.ok_or_else(unknown)?;
    let before = store::find_owner(&tx, tenant.id).await?;
    if before != Some(to) {
        // In this order, because there are never two.
        if let Some(before) = before {
            store::set_role(&tx, tenant.id, before, Role::Admin).await?;
        }
        store::set_role(&tx, tenant.id, to, Role::Owner).await?;
        let id = |user: UserId| user.to_string();
        let changes = Changes::none().with_both("owner", before.map(id), id(to));
        trail::note(&tx, &env.ids, [tenant.did(Action::OwnershipTransferred, to.0, changes)], env.now())
            .await?;
    }
    idempotency::made(&tx, request, to.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, user.id = %to, principal = %tenant.principal, "a workspace has another owner");
    Ok(Person { role: Role::Owner.number(), ..next })
}

/// Keeps everybody else from changing the people of the workspace until the transaction ends, and asks again whether whoever calls
/// may: since they were let in somebody may have changed their own role.
pub(super) async fn lock(
    tx: &DatabaseTransaction,
    tenant: &Tenant,
    permission: Permission,
) -> Result<Workspace> {
    let workspace = store::lock(tx, tenant.id).await?.filter(|found| found.delete_time.is_none());
    let workspace = workspace.ok_or_else(|| Error::not_found("workspace"))?;
    if let Some(user) = tenant.person() {
        let member = store::find_member(tx, tenant.id, user).await?;
        if !role(member.ok_or_else(|| Error::not_found("workspace"))?.role)?.may(permission) {
            return Err(Error::denied(permission.name()));
        }
    }
    Ok(workspace)
}

/// Returns the etag of a member: opaque, another one for every role.
pub fn etag(person: &Person) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(person.user_id.0.as_bytes());
    hash.update(&person.role.to_be_bytes());
    URL_SAFE_NO_PAD.encode(&hash.finish().as_ref()[..9])
}

fn require_etag(given: &str, stored: &Person) -> Result<()> {
    crate::etag::require("member", given, &etag(stored))
}

fn refused(obstacle: Obstacle) -> Error {
    match obstacle {
        Obstacle::OneOwner => Error::invalid_field(
            "role",
            "must be viewer, member or admin: TransferOwnership makes somebody the owner",
        ),
        Obstacle::IsOwner => Error::new(
            Reason::OwnerRequired,
            "this person owns the workspace: make somebody else the owner first, with TransferOwnership",
        ),
    }
}

fn unknown() -> Error {
    Error::not_found("member")
}
