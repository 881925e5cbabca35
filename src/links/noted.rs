//! What the audit trail says of links: what people decided of them, without their passwords.

use sea_orm::{ConnectionTrait, DbErr};

use super::wire;
use crate::{
    clock::Moment,
    entity::link::Model,
    env::Env,
    pb::v1,
    trail::{self, Action, Changes},
    workspaces::Tenant,
};

/// What stands for a password.
const HIDDEN: &str = "(hidden)";

/// Notes that links were created.
pub(super) async fn created<'a>(
    env: &Env,
    tx: &impl ConnectionTrait,
    tenant: &Tenant,
    links: impl IntoIterator<Item = &'a Model>,
    now: Moment,
) -> Result<(), DbErr> {
    let did = |link: &Model| tenant.did(Action::LinkCreated, link.id.0, Changes::created(&shown(env, link)));
    let notes: Vec<_> = links.into_iter().map(did).collect();
    trail::note(tx, &env.ids, notes, now).await
}

/// Notes what links became.
pub(super) async fn updated(
    env: &Env,
    tx: &impl ConnectionTrait,
    tenant: &Tenant,
    changed: &[(&Model, &Model)],
    now: Moment,
) -> Result<(), DbErr> {
    let notes: Vec<_> = changed
        .iter()
        .map(|(before, after)| {
            let changes = Changes::between(&shown(env, before), &shown(env, after));
            tenant.did(Action::LinkUpdated, after.id.0, with_password(changes, before, after))
        })
        .collect();
    trail::note(tx, &env.ids, notes, now).await
}

/// Notes that links were deleted.
pub(super) async fn deleted<'a>(
    env: &Env,
    tx: &impl ConnectionTrait,
    tenant: &Tenant,
    links: impl IntoIterator<Item = &'a Model>,
    now: Moment,
) -> Result<(), DbErr> {
    let did = |link: &Model| tenant.did(Action::LinkDeleted, link.id.0, Changes::deleted(&shown(env, link)));
    let notes: Vec<_> = links.into_iter().map(did).collect();
    trail::note(tx, &env.ids, notes, now).await
}

fn shown(env: &Env, link: &Model) -> v1::Link {
    wire::content(&env.config, link.clone())
}

/// Says that there is another password, and not which.
fn with_password(changes: Changes, before: &Model, after: &Model) -> Changes {
    let told = |link: &Model| link.password_hash.as_ref().map(|_| HIDDEN);
    if before.password_hash == after.password_hash {
        return changes;
    }
    changes.with_both("password", told(before), told(after))
}
