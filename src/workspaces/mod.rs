//! The one door through which every room enters a workspace.

use sea_orm::EntityTrait as _;
use uuid::Uuid;

use crate::{
    entity::member,
    env::Env,
    error::{Error, Reason, Result},
    ids::WorkspaceId,
    pb::v1::Role,
    rpc::{Caller, Permission},
};

/// A workspace that the caller may be in, for the permission that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    /// Which workspace.
    pub id: WorkspaceId,
    /// Who is in it.
    pub principal: Uuid,
}

/// Lets a caller into a workspace for one permission. An API key may leave `workspace_id` empty and enters its own.
pub async fn enter(env: &Env, caller: &Caller, workspace_id: &str, permission: Permission) -> Result<Tenant> {
    let unknown = || Error::not_found("workspace");
    let (id, may) = match caller {
        Caller::ApiKey { workspace, scopes, .. } => {
            if !workspace_id.is_empty() && WorkspaceId::parse(workspace_id) != Some(*workspace) {
                return Err(unknown());
            }
            (*workspace, scopes.contains(&permission))
        }
        Caller::Person { password_change_required: true, .. } => {
            return Err(Error::new(Reason::PasswordChangeRequired, "change the password first"));
        }
        Caller::Person { user, .. } => {
            let id = WorkspaceId::parse(workspace_id).ok_or_else(unknown)?;
            let member = member::Entity::find_by_id((id, *user)).one(&env.db.api).await?;
            let role = member.ok_or_else(unknown)?.role;
            let least = match permission {
                Permission::LinksRead | Permission::AnalyticsRead | Permission::WorkspacesRead => {
                    Role::Viewer
                }
                Permission::LinksWrite | Permission::ApiKeysRead => Role::Member,
                Permission::ApiKeysWrite => Role::Admin,
            };
            (id, i32::from(role) >= i32::from(least))
        }
    };
    if may { Ok(Tenant { id, principal: caller.principal() }) } else { Err(Error::denied(permission.name())) }
}
