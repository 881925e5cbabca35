//! Templates: what links have in common.
//!
//! | file | what |
//! |---|---|
//! | `defaults.rs` `linkforty.rs` | what clients may send, in our words and in those of a LinkForty template; pure |
//! | `inherit.rs` | what a link takes from its template; pure |
//! | `store.rs` `grpc.rs` | queries; `linkforty.v1.TemplateService` |
//!
//! Guarantees: a link follows its template, on every node within a second, because what it takes is taken when it is looked
//! up and a change drops every link of the workspace that is remembered. No link names a template that is gone or another
//! workspace's. A workspace has one default template at the most.

mod defaults;
mod grpc;
pub(super) mod inherit;
mod linkforty;
pub(super) mod store;

use std::collections::BTreeSet;

use super::{
    code,
    fields::{Door, leads},
};
use crate::{
    clock::Moment,
    entity::template::Model,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::{TemplateId, parse},
    page::{Cursor, Page, PageRequest},
    pb::v1,
    trail::{self, Action, Changes, Note},
    workspaces::{self, Tenant},
};

pub use self::grpc::TemplateApi;

/// Reads a template of LinkForty.
pub(super) fn read_past(door: &Door<'_>, template: v1::Template, settings: &str) -> Result<NewTemplate> {
    grpc::read_new(door, Some(template), settings)
}

/// How often another slug is made up when one is taken.
const SLUG_ATTEMPTS: usize = 8;

/// A template somebody wants.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTemplate {
    /// What people call it.
    pub name: String,
    /// The slug asked for; `None`: any.
    pub slug: Option<String>,
    /// What it is for.
    pub description: String,
    /// What its links have.
    pub defaults: v1::LinkDefaults,
}

/// What somebody wants changed about a template.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateChange {
    /// Which.
    pub id: TemplateId,
    /// The etag it must have; empty: any.
    pub etag: String,
    /// The slug it must have, because slugs do not change; empty: any.
    pub slug: String,
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// Which fields of the defaults change.
    pub fields: BTreeSet<&'static str>,
    /// What they change to; the other fields mean nothing.
    pub defaults: v1::LinkDefaults,
}

/// Creates a template.
pub async fn create(env: &Env, tenant: &Tenant, new: NewTemplate, request: Option<Request>) -> Result<Model> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        let id = TemplateId::parse(&id).ok_or_else(unknown)?;
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    let mut template = Model {
        id: TemplateId::mint(&env.ids, now),
        workspace_id: tenant.id,
        name: new.name,
        slug: String::new(),
        description: new.description,
        defaults: prost::Message::encode_to_vec(&new.defaults),
        is_default: false,
        version: 1,
        create_time: now,
        update_time: now,
    };
    let mut made = false;
    for _ in 0..SLUG_ATTEMPTS {
        template.slug = new.slug.clone().unwrap_or_else(|| code::slug(&env.ids));
        made = store::insert(&tx, &template).await?;
        if made || new.slug.is_some() {
            break;
        }
    }
    if !made {
        return Err(Error::new(Reason::AlreadyExists, "the workspace has a template with this slug")
            .with("field", "template.slug"));
    }
    let changes = Changes::created(&v1::Template::from(template.clone()));
    trail::note(&tx, &env.ids, [tenant.did(Action::TemplateCreated, template.id.0, changes)], now).await?;
    idempotency::made(&tx, request.as_ref(), template.id.to_string()).await?;
    tx.commit().await?;
    Ok(template)
}

/// Returns a template.
pub async fn get(env: &Env, tenant: &Tenant, id: TemplateId) -> Result<Model> {
    store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)
}

/// Says whether links that name no template get one that leads somewhere.
pub async fn default_leads(env: &Env, tenant: &Tenant) -> Result<bool> {
    let known = store::known(&env.db.api, tenant.id, [], true).await?;
    Ok(known.values().any(|known| known.is_default && known.leads))
}

/// Lists templates, oldest first.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Model>> {
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list(&env.db.api, tenant.id, after, u64::from(page.size) + 1).await?;
    let weights = rows.iter().map(|row| row.defaults.len() + row.description.len() + 1024);
    let size = super::list::fitting(weights, page.size);
    Ok(Page::of(rows, size, |template| Cursor { key: String::new(), id: template.id.to_string() }))
}

/// Changes a template, and tells the nodes if its links follow something new.
pub async fn update(
    env: &Env,
    tenant: &Tenant,
    change: TemplateChange,
    request: Option<Request>,
) -> Result<Model> {
    let now = env.now();
    let id = change.id;
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    let changed = change.apply(&stored, now)?;
    if changed != stored {
        store::save(&tx, &changed).await?;
        let changes =
            Changes::between(&v1::Template::from(stored.clone()), &v1::Template::from(changed.clone()));
        trail::note(&tx, &env.ids, [tenant.did(Action::TemplateUpdated, id.0, changes)], now).await?;
    }
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    if changed.defaults == stored.defaults {
        tx.commit().await?;
    } else {
        workspaces::commit_for_all_links(env, tx, tenant, now).await?;
    }
    Ok(changed)
}

/// Deletes a template that no link uses.
pub async fn delete(env: &Env, tenant: &Tenant, id: TemplateId, request: Option<Request>) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return Ok(());
    }
    // Who is about to use it holds its row, and whoever comes later does not find it.
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    if store::is_used(&tx, tenant.id, id).await? {
        return Err(Error::new(Reason::TemplateInUse, "links take from this template"));
    }
    store::remove(&tx, tenant.id, id).await?;
    let changes = Changes::deleted(&v1::Template::from(stored));
    trail::note(&tx, &env.ids, [tenant.did(Action::TemplateDeleted, id.0, changes)], now).await?;
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    Ok(tx.commit().await?)
}

/// Makes a template the default of the workspace; `None`: it has none any more.
pub async fn set_default(
    env: &Env,
    tenant: &Tenant,
    id: Option<TemplateId>,
    request: Option<Request>,
) -> Result<Option<Model>> {
    let now = env.now();
    let tx = env.db.begin().await?;
    let claim = idempotency::claim(&tx, request.as_ref(), now).await?;
    // All of them, so that two callers do not make two defaults.
    let mut all = store::lock_all(&tx, tenant.id).await?;
    let place = id.map(|id| all.iter().position(|template| template.id == id).ok_or_else(unknown));
    let place = place.transpose()?;
    if claim == Claim::Fresh {
        store::set_default(&tx, tenant.id, id).await?;
        let changed = all.iter().filter(|template| template.is_default != (Some(template.id) == id));
        let notes: Vec<Note> = changed
            .map(|template| {
                let changes =
                    Changes::none().with_both("is_default", template.is_default, !template.is_default);
                tenant.did(Action::TemplateUpdated, template.id.0, changes)
            })
            .collect();
        trail::note(&tx, &env.ids, notes, now).await?;
        idempotency::made(&tx, request.as_ref(), "").await?;
        tx.commit().await?;
        return Ok(place.map(|place| Model { is_default: true, ..all.swap_remove(place) }));
    }
    Ok(place.map(|place| all.swap_remove(place)))
}

impl TemplateChange {
    fn apply(self, stored: &Model, now: Moment) -> Result<Model> {
        crate::etag::require("template", &self.etag, &etag(stored))?;
        if !self.slug.is_empty() && self.slug != stored.slug {
            return Err(Error::invalid_field(
                "template.slug",
                "cannot change after creation: leave it out, or send the stored one",
            ));
        }
        let mut template = stored.clone();
        template.name = self.name.unwrap_or(template.name);
        template.description = self.description.unwrap_or(template.description);
        if !self.fields.is_empty() {
            let mut defaults = defaults::stored(&stored.defaults);
            for field in self.fields {
                defaults::copy(field, &self.defaults, &mut defaults);
            }
            template.defaults = prost::Message::encode_to_vec(&defaults);
        }
        if template != *stored {
            template.version += 1;
            template.update_time = now;
        }
        Ok(template)
    }
}

/// Returns the etag of a template.
fn etag(template: &Model) -> String {
    crate::etag::of_version(template.id.0, template.version)
}

/// Returns what is to be known of a template when a link names it.
fn known(template: &Model) -> super::related::Known {
    let defaults = defaults::stored(&template.defaults);
    super::related::Known { leads: leads(&defaults), tags: defaults.tags, is_default: template.is_default }
}

fn unknown() -> Error {
    Error::not_found("template")
}
