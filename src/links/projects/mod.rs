//! Projects: folders that links are kept in.
//!
//! Guarantees: a link is never in a project of another workspace, nor in one that is gone. Deleting a project deletes no link.

mod grpc;
pub(super) mod store;

use super::{told, told::Fate};
use crate::{
    clock::Moment,
    entity::link::Model as Link,
    env::Env,
    error::{Error, Result},
    idempotency::{self, Claim, Request},
    ids::{ProjectId, parse},
    outbox::{self, Kind},
    page::{Cursor, Page, PageRequest},
    pb::v1,
    trail::{self, Action, Changes},
    workspaces::Tenant,
};

pub use self::grpc::ProjectApi;
pub(super) use self::grpc::check_description;
pub use self::grpc::named;
pub use crate::entity::project::Model as Project;

/// What somebody decides about a project; `None` in a change: it stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectChange {
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// Creates a project.
pub async fn create(
    env: &Env,
    tenant: &Tenant,
    new: ProjectChange,
    request: Option<Request>,
) -> Result<Project> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        let id = ProjectId::parse(&id).ok_or_else(unknown)?;
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    let project = Project {
        id: ProjectId::mint(&env.ids, now),
        workspace_id: tenant.id,
        name: new.name.unwrap_or_default(),
        description: new.description.unwrap_or_default(),
        create_time: now,
        update_time: now,
    };
    store::insert(&tx, &project).await?;
    let changes = Changes::created(&v1::Project::from(project.clone()));
    trail::note(&tx, &env.ids, [tenant.did(Action::ProjectCreated, project.id.0, changes)], now).await?;
    idempotency::made(&tx, request.as_ref(), project.id.to_string()).await?;
    tx.commit().await?;
    Ok(project)
}

/// Returns a project.
pub async fn get(env: &Env, tenant: &Tenant, id: ProjectId) -> Result<Project> {
    store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)
}

/// Fails unless it is a project of the workspace.
pub async fn expect(env: &Env, tenant: &Tenant, id: ProjectId) -> Result<()> {
    get(env, tenant, id).await.map(drop)
}

/// Lists projects, oldest first.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Project>> {
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list(&env.db.api, tenant.id, after, u64::from(page.size) + 1).await?;
    Ok(Page::of(rows, page.size, |project| Cursor { key: String::new(), id: project.id.to_string() }))
}

/// Changes a project.
pub async fn update(
    env: &Env,
    tenant: &Tenant,
    id: ProjectId,
    change: ProjectChange,
    request: Option<Request>,
) -> Result<Project> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    let changed = apply(change, &stored, now);
    if changed != stored {
        store::save(&tx, &changed).await?;
        let changes = Changes::between(&v1::Project::from(stored), &v1::Project::from(changed.clone()));
        trail::note(&tx, &env.ids, [tenant.did(Action::ProjectUpdated, id.0, changes)], now).await?;
    }
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    tx.commit().await?;
    Ok(changed)
}

/// Deletes a project. Its links are taken out of it some at a time, so that no statement takes long and nobody waits for
/// long; redirects do not depend on projects, so nobody is told.
pub async fn delete(env: &Env, tenant: &Tenant, id: ProjectId, request: Option<Request>) -> Result<()> {
    let now = env.now();
    let known = store::find(&env.db.api, tenant.id, id).await?.is_some();
    while known && take_out(env, tenant, id, now).await? > 0 {}
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return Ok(());
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    // What was put in since is taken out by the foreign key.
    store::remove(&tx, tenant.id, id).await?;
    let changes = Changes::deleted(&v1::Project::from(stored));
    trail::note(&tx, &env.ids, [tenant.did(Action::ProjectDeleted, id.0, changes)], now).await?;
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    Ok(tx.commit().await?)
}

/// Takes some links out of a project and returns how many. Whoever wants to know is told of each.
async fn take_out(env: &Env, tenant: &Tenant, id: ProjectId, now: Moment) -> Result<u64> {
    if !outbox::is_wanted(&env.db.api, tenant.id, &[Kind::LinkUpdated]).await? {
        return Ok(store::take_out(&env.db.api, tenant.id, id, now).await?);
    }
    let tx = env.db.begin().await?;
    let before = store::some_links(&tx, tenant.id, id).await?;
    let after: Vec<Link> = before.iter().map(|link| store::without_project(link, now)).collect();
    store::take_these_out(&tx, tenant.id, after.iter().map(|link| link.id), now).await?;
    let fates = before.iter().zip(&after).map(|(before, after)| Fate::Updated(before, after));
    told::note(env, &tx, tenant.id, fates, now).await?;
    tx.commit().await?;
    Ok(after.len() as u64)
}

fn apply(change: ProjectChange, stored: &Project, now: Moment) -> Project {
    let ProjectChange { name, description } = change;
    let mut project = stored.clone();
    project.name = name.unwrap_or(project.name);
    project.description = description.unwrap_or(project.description);
    if project != *stored {
        project.update_time = now;
    }
    project
}

fn unknown() -> Error {
    Error::not_found("project")
}
