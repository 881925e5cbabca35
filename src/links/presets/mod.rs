//! Presets: campaign parameters under a name, for links that are created.
//!
//! Guarantees: a workspace has one preset of a name, however many ask for it at once. Links keep what they got.

mod grpc;
mod store;

use super::{
    Content,
    app_fields::{self, Texts},
};
use crate::{
    entity::utm_preset::Model,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::{UtmPresetId, parse},
    page::{Cursor, Page, PageRequest},
    pb::v1,
    trail::{self, Action, Changes},
    workspaces::Tenant,
};

pub use self::grpc::UtmPresetApi;

/// What somebody decides about a preset; `None` in a change: it stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PresetChange {
    /// What people call it.
    pub name: Option<String>,
    /// The parameters.
    pub utm: Option<Texts>,
}

/// Creates a preset.
pub async fn create(
    env: &Env,
    tenant: &Tenant,
    new: PresetChange,
    request: Option<Request>,
) -> Result<Model> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        let id = UtmPresetId::parse(&id).ok_or_else(unknown)?;
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    let preset = Model {
        id: UtmPresetId::mint(&env.ids, now),
        workspace_id: tenant.id,
        name: new.name.unwrap_or_default(),
        utm: app_fields::to_json(&new.utm.unwrap_or_default()),
        create_time: now,
        update_time: now,
    };
    if !store::insert(&tx, &preset).await? {
        return Err(taken());
    }
    let changes = Changes::created(&v1::UtmPreset::from(preset.clone()));
    trail::note(&tx, &env.ids, [tenant.did(Action::UtmPresetCreated, preset.id.0, changes)], now).await?;
    idempotency::made(&tx, request.as_ref(), preset.id.to_string()).await?;
    tx.commit().await?;
    Ok(preset)
}

/// Lists presets, oldest first.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Model>> {
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list(&env.db.api, tenant.id, after, u64::from(page.size) + 1).await?;
    Ok(Page::of(rows, page.size, |preset| Cursor { key: String::new(), id: preset.id.to_string() }))
}

/// Changes a preset.
pub async fn update(
    env: &Env,
    tenant: &Tenant,
    id: UtmPresetId,
    change: PresetChange,
    request: Option<Request>,
) -> Result<Model> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    let mut changed = stored.clone();
    changed.name = change.name.unwrap_or(changed.name);
    changed.utm = change.utm.map_or(changed.utm, |utm| app_fields::to_json(&utm));
    if changed != stored {
        changed.update_time = now;
        if !store::save(&tx, &changed).await? {
            return Err(taken());
        }
        let changes = Changes::between(&v1::UtmPreset::from(stored), &v1::UtmPreset::from(changed.clone()));
        trail::note(&tx, &env.ids, [tenant.did(Action::UtmPresetUpdated, id.0, changes)], now).await?;
    }
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    tx.commit().await?;
    Ok(changed)
}

/// Deletes a preset.
pub async fn delete(env: &Env, tenant: &Tenant, id: UtmPresetId, request: Option<Request>) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return Ok(());
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    store::remove(&tx, tenant.id, id).await?;
    let changes = Changes::deleted(&v1::UtmPreset::from(stored));
    trail::note(&tx, &env.ids, [tenant.did(Action::UtmPresetDeleted, id.0, changes)], now).await?;
    idempotency::made(&tx, request.as_ref(), id.to_string()).await?;
    Ok(tx.commit().await?)
}

/// Gives a new link the parameters of a preset that it does not set itself.
pub(super) async fn apply(
    env: &Env,
    tenant: &Tenant,
    id: Option<UtmPresetId>,
    content: &mut Content,
) -> Result<()> {
    let Some(id) = id else { return Ok(()) };
    let preset = store::find(&env.db.api, tenant.id, id).await?;
    let preset =
        preset.ok_or_else(|| Error::invalid_field("utm_preset_id", "is no preset of this workspace"))?;
    for (name, text) in app_fields::from_json(preset.utm) {
        content.utm.entry(name).or_insert(text);
    }
    Ok(())
}

fn unknown() -> Error {
    Error::not_found("preset")
}

fn taken() -> Error {
    Error::new(Reason::AlreadyExists, "the workspace has a preset of this name")
        .with("field", "utm_preset.name")
}
