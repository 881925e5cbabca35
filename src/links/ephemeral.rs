//! Links that hand their parameters over once: when an app says that it got them, they are erased, from the link and from its history.

use super::{changes::Changes, etag, revisions, save, store, told, told::Fate, unknown};
use crate::{
    entity::link::Model,
    env::Env,
    error::{Error, Result},
    trail::{self, Action},
    workspaces::{self, Tenant},
};

/// What becomes of the parameters of a link that an app has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// They are gone, now or since an earlier call.
    Erased,
    /// The workspace keeps them.
    Kept,
}

/// Erases the deep-link parameters of the link of a code, one of its further codes too, if the workspace wants that of links that were
/// delivered. What its template says is not the link's and stays. A repeat changes nothing.
pub async fn acknowledge(env: &Env, tenant: &Tenant, (domain, code): (&str, &str)) -> Result<Acknowledged> {
    let now = env.now();
    let tx = env.db.begin().await?;
    let found = store::find_by_code(&tx, tenant, domain, code).await?.ok_or_else(unknown)?;
    let workspace = workspaces::find(&tx, tenant.id).await?.ok_or_else(|| Error::not_found("workspace"))?;
    if !workspaces::settings::shown(workspace.settings.as_deref()).ephemeral_deep_links {
        return Ok(Acknowledged::Kept);
    }
    let stored = store::lock(&tx, tenant, [found.id]).await?.remove(&found.id).ok_or_else(unknown)?;
    let mut changed = Vec::new();
    if stored.deep_link_parameters != nothing() {
        let link = Model {
            deep_link_parameters: nothing(),
            version: stored.version + 1,
            update_time: now,
            ..stored.clone()
        };
        changed.push(link);
    }
    if save(&tx, tenant, &changed).await?.len() != changed.len() {
        return Err(etag::mismatch());
    }
    let changes_of: Vec<_> = changed.iter().map(|link| (&stored, link)).collect();
    revisions::record(env, &tx, tenant, &changes_of).await?;
    revisions::erase_parameters(&tx, tenant.id, stored.id).await?;
    // The key is a digest of them, and would have the next link with the same content be this one.
    store::forget_reuse_key(&tx, tenant.id, stored.id).await?;
    if !changed.is_empty() {
        // Without what was erased.
        let did = tenant.did(Action::LinkAcknowledged, stored.id.0, trail::Changes::none());
        trail::note(&tx, &env.ids, [did], now).await?;
        let fates = changes_of.iter().map(|(before, after)| Fate::Updated(before, after));
        told::note(env, &tx, tenant.id, fates, now).await?;
    }
    let changes = Changes::of(&changed, now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await?;
    Ok(Acknowledged::Erased)
}

fn nothing() -> serde_json::Value {
    serde_json::json!({})
}
