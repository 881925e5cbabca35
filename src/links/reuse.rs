//! Links that are there already: the one with the same external id, or the one that was created for the same user elsewhere with
//! the same content. The unique indexes say so to all who ask at once.

use std::collections::HashSet;

use prost::Message as _;
use ring::digest;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{Code, CountedLink, Draft, Existing, store, wire};
use crate::{
    entity::link::Model,
    env::Env,
    ids::{LinkId, WorkspaceId},
    pb::v1,
    workspaces::Tenant,
};

/// Returns the link that stands for a draft, if links are to be reused and there is one. A draft without an external id gets
/// what it is found by the next time.
pub(super) async fn find(
    env: &Env,
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    draft: &mut Draft,
    existing: Existing,
) -> Result<Option<CountedLink>, DbErr> {
    if existing == Existing::Refuse {
        return Ok(None);
    }
    if draft.link.external_id.is_none() {
        draft.link.reuse_key = Some(key(env, draft));
    }
    store::find_same(db, tenant, &draft.link).await
}

/// Returns a digest of everything that somebody decided about a draft; passwords are not compared.
fn key(env: &Env, draft: &Draft) -> Vec<u8> {
    let mut link = draft.link.clone();
    if draft.code != Code::Asked {
        link.short_code.clear();
    }
    let content = v1::Link { archived: false, ..wire::content(&env.config, link) };
    digest::digest(&digest::SHA256, &content.encode_to_vec()).as_ref().to_vec()
}

/// Returns those of the drafts that were refused because there are such links.
pub(super) async fn existing(tx: &DatabaseTransaction, refused: &[Draft]) -> Result<HashSet<LinkId>, DbErr> {
    let Some(first) = refused.first() else { return Ok(HashSet::new()) };
    let workspace = first.link.workspace_id;
    let external = refused.iter().filter_map(|draft| draft.link.external_id.clone()).collect();
    let keys = refused.iter().filter_map(|draft| draft.link.reuse_key.clone()).collect();
    let external = store::external_ids(tx, workspace, external).await?;
    let keys = store::reuse_keys(tx, workspace, keys).await?;
    let exists = |link: &Model| {
        link.external_id.as_ref().is_some_and(|id| external.contains_key(id))
            || link.reuse_key.as_ref().is_some_and(|key| keys.contains(key))
    };
    Ok(refused.iter().map(|draft| &draft.link).filter(|link| exists(link)).map(|link| link.id).collect())
}

/// Returns those of the changed links whose external id another link has; of two that want the same one the first gets it.
pub(super) async fn clashes(
    tx: &DatabaseTransaction,
    workspace: WorkspaceId,
    changed: &[Model],
) -> Result<HashSet<LinkId>, DbErr> {
    let wanted: Vec<(LinkId, String)> =
        changed.iter().filter_map(|link| Some((link.id, link.external_id.clone()?))).collect();
    let ids = wanted.iter().map(|(_, external)| external.clone()).collect();
    let mut taken = store::external_ids(tx, workspace, ids).await?;
    let mut clashes = HashSet::new();
    for (id, external) in wanted {
        if *taken.entry(external).or_insert(id) != id {
            clashes.insert(id);
        }
    }
    Ok(clashes)
}
