//! What the audit trail says of links: what people decided of them, without their passwords. Pure.

use super::wire;
use crate::{
    entity::link::Model,
    env::Env,
    pb::v1,
    trail::{Action, Changes, Note},
    workspaces::Tenant,
};

/// What stands for a password.
const HIDDEN: &str = "(hidden)";

/// Returns the note that a link was created.
pub(super) fn created(env: &Env, tenant: &Tenant, link: &Model) -> Note {
    tenant.did(Action::LinkCreated, link.id.0, Changes::created(&shown(env, link)))
}

/// Returns the note of what a link became.
pub(super) fn updated(env: &Env, tenant: &Tenant, (before, after): &(&Model, &Model)) -> Note {
    let changes = Changes::between(&shown(env, before), &shown(env, after));
    tenant.did(Action::LinkUpdated, after.id.0, with_password(changes, before, after))
}

/// Returns the note that a link was deleted.
pub(super) fn deleted(env: &Env, tenant: &Tenant, link: &Model) -> Note {
    tenant.did(Action::LinkDeleted, link.id.0, Changes::deleted(&shown(env, link)))
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
