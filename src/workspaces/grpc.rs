//! `linkforty.v1.WorkspaceService`.

use prost::Message;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;

use super::{
    Membership, Newcomers, Role, Tenant, Workspace, ending,
    invitations::{self, Guest, Invitation, Sent},
    members::{self, Person},
    quotas::{self, Usage},
    settings,
};
use crate::{
    destination_url::Own,
    env::Env,
    error::{Error, Result, Violations},
    idempotency,
    ids::{InvitationId, SessionId, UserId, WorkspaceId},
    pb::v1::{self, workspace_service_server::WorkspaceService},
    rpc::{self, Caller, Permission, answer, open, timestamp},
};

/// The service.
#[derive(Debug, Clone)]
pub struct WorkspaceApi {
    /// The handles.
    pub env: Env,
    /// How accounts are made for people who were invited.
    pub newcomers: Newcomers,
}

#[async_trait]
impl WorkspaceService for WorkspaceApi {
    async fn create_workspace(
        &self,
        request: Request<v1::CreateWorkspaceRequest>,
    ) -> Result<Response<v1::CreateWorkspaceResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let user = super::person(&caller)?;
            let once = std::mem::take(&mut asked.request_id);
            let content = asked.encode_to_vec();
            let mut violations = Violations::default();
            let name = super::name(&asked.workspace.unwrap_or_default().name);
            let name = violations.take("workspace.name", name).unwrap_or_default();
            let once = request_id(&once, NOWHERE, user.0, "CreateWorkspace", &content, &mut violations);
            let (name, once) = violations.into_result((name, once))?;
            let named = (name, caller.actor());
            let made = super::create(&self.env, user, named, once.as_ref()).await?;
            Ok(v1::CreateWorkspaceResponse { workspace: Some(made.into()) })
        })
        .await
    }

    async fn get_workspace(
        &self,
        request: Request<v1::GetWorkspaceRequest>,
    ) -> Result<Response<v1::GetWorkspaceResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::WorkspacesRead).await?;
            let found = super::get(&self.env, &tenant).await?;
            Ok(v1::GetWorkspaceResponse { workspace: Some(told(found, tenant.role)) })
        })
        .await
    }

    async fn update_workspace(
        &self,
        request: Request<v1::UpdateWorkspaceRequest>,
    ) -> Result<Response<v1::UpdateWorkspaceResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::WorkspacesWrite).await?;
            let once = std::mem::take(&mut asked.request_id);
            let content = asked.encode_to_vec();
            let mut violations = Violations::default();
            let hosts = super::store::answering_hosts(&self.env.db.api, tenant.id).await?;
            let own = Own { url: &self.env.config.links_url, hosts: &hosts };
            let change = settings::read(asked.workspace, asked.update_mask.as_ref(), own, &mut violations);
            let (id, principal) = (tenant.id, tenant.principal);
            let once = request_id(&once, id, principal, "UpdateWorkspace", &content, &mut violations);
            let (change, once) = violations.into_result((change, once))?;
            let changed = Box::pin(super::update(&self.env, &tenant, change, once.as_ref())).await?;
            Ok(v1::UpdateWorkspaceResponse { workspace: Some(told(changed, tenant.role)) })
        })
        .await
    }

    async fn list_workspaces(
        &self,
        request: Request<v1::ListWorkspacesRequest>,
    ) -> Result<Response<v1::ListWorkspacesResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let now = self.env.now();
            let question = [b"ListWorkspaces".as_slice(), caller.principal().as_bytes()].concat();
            if let Caller::ApiKey { .. } = caller {
                let tenant = super::enter(&self.env, &caller, "", Permission::WorkspacesRead).await?;
                self.env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
                let workspaces = vec![told(super::get(&self.env, &tenant).await?, None)];
                return Ok(v1::ListWorkspacesResponse { workspaces, next_page_token: String::new() });
            }
            let user = super::person(&caller)?;
            let page = self.env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = super::list(&self.env, user, &page).await?;
            Ok(v1::ListWorkspacesResponse {
                next_page_token: self.env.pages.token(page.next.as_ref(), &question, now),
                workspaces: page.items.into_iter().map(v1::Workspace::from).collect(),
            })
        })
        .await
    }

    async fn delete_workspace(
        &self,
        request: Request<v1::DeleteWorkspaceRequest>,
    ) -> Result<Response<v1::DeleteWorkspaceResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let once = std::mem::take(&mut asked.request_id);
            let content = asked.encode_to_vec();
            let mut violations = Violations::default();
            let principal = caller.principal();
            // Whoever asks again belongs to no workspace of that id any more.
            let once = request_id(&once, NOWHERE, principal, "DeleteWorkspace", &content, &mut violations);
            if violations.is_empty() && ending::is_done(&self.env, once.as_ref()).await? {
                return Ok(v1::DeleteWorkspaceResponse {});
            }
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::WorkspacesDelete).await?;
            violations.into_result(())?;
            ending::delete(&self.env, &tenant, &asked.confirmation, once.as_ref()).await?;
            Ok(v1::DeleteWorkspaceResponse {})
        })
        .await
    }

    async fn get_usage(
        &self,
        request: Request<v1::GetUsageRequest>,
    ) -> Result<Response<v1::GetUsageResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::WorkspacesRead).await?;
            let usages = quotas::usage(&self.env, &tenant).await?;
            Ok(v1::GetUsageResponse { usages: usages.into_iter().map(v1::Usage::from).collect() })
        })
        .await
    }

    async fn list_members(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::MembersRead).await?;
            let now = self.env.now();
            let question = question("ListMembers", &tenant);
            let page = self.env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = members::list(&self.env, &tenant, &page).await?;
            Ok(v1::ListMembersResponse {
                next_page_token: self.env.pages.token(page.next.as_ref(), &question, now),
                members: page.items.into_iter().map(v1::Member::from).collect(),
            })
        })
        .await
    }

    async fn update_member_role(
        &self,
        request: Request<v1::UpdateMemberRoleRequest>,
    ) -> Result<Response<v1::UpdateMemberRoleResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::MembersWrite).await?;
            let id = std::mem::take(&mut asked.request_id);
            let user = user_id(&asked.user_id)?;
            let mut violations = Violations::default();
            let role = violations.take("role", read_role(asked.role())).unwrap_or(Role::Viewer);
            let once = once(&tenant, "UpdateMemberRole", &id, &asked, &mut violations);
            let once = violations.into_result(once)?;
            let change = (user, role, asked.etag.as_str());
            let member = members::change_role(&self.env, &tenant, change, once.as_ref()).await?;
            Ok(v1::UpdateMemberRoleResponse { member: Some(member.into()) })
        })
        .await
    }

    async fn remove_member(
        &self,
        request: Request<v1::RemoveMemberRequest>,
    ) -> Result<Response<v1::RemoveMemberResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let once = std::mem::take(&mut asked.request_id);
            let content = asked.encode_to_vec();
            let mut violations = Violations::default();
            let principal = caller.principal();
            // Who left belongs there no more, and may ask again all the same.
            let once = request_id(&once, NOWHERE, principal, "RemoveMember", &content, &mut violations);
            if violations.is_empty() && ending::is_done(&self.env, once.as_ref()).await? {
                return Ok(v1::RemoveMemberResponse {});
            }
            let user = UserId::parse(&asked.user_id);
            let needed = match (&caller, user) {
                (Caller::Person { user: myself, .. }, Some(user)) => {
                    members::needed_to_remove(Some(*myself), user)
                }
                _ => Permission::MembersWrite,
            };
            let tenant = super::enter(&self.env, &caller, &asked.workspace_id, needed).await?;
            let user = user_id(&asked.user_id)?;
            violations.into_result(())?;
            members::remove(&self.env, &tenant, user, once.as_ref()).await?;
            Ok(v1::RemoveMemberResponse {})
        })
        .await
    }

    async fn transfer_ownership(
        &self,
        request: Request<v1::TransferOwnershipRequest>,
    ) -> Result<Response<v1::TransferOwnershipResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::WorkspacesTransfer).await?;
            let id = std::mem::take(&mut asked.request_id);
            let user = user_id(&asked.user_id)?;
            let mut violations = Violations::default();
            let once = once(&tenant, "TransferOwnership", &id, &asked, &mut violations);
            let once = violations.into_result(once)?;
            let owner = members::transfer(&self.env, &tenant, user, once.as_ref()).await?;
            Ok(v1::TransferOwnershipResponse { owner: Some(owner.into()) })
        })
        .await
    }

    async fn invite_member(
        &self,
        request: Request<v1::InviteMemberRequest>,
    ) -> Result<Response<v1::InviteMemberResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::MembersWrite).await?;
            let once = std::mem::take(&mut asked.request_id);
            let content = asked.encode_to_vec();
            let mut violations = Violations::default();
            let new = invitations::read(&asked.invitation.unwrap_or_default(), &mut violations);
            let (id, principal) = (tenant.id, tenant.principal);
            let once = request_id(&once, id, principal, "InviteMember", &content, &mut violations);
            let (new, once) = violations.into_result((new, once))?;
            let new = new.ok_or_else(|| Error::internal("an invitation was neither right nor wrong"))?;
            let sent = invitations::invite(&self.env, &tenant, new, once.as_ref()).await?;
            let (invitation, token, accept_url) = self.shown(sent);
            Ok(v1::InviteMemberResponse { invitation, token, accept_url })
        })
        .await
    }

    async fn list_invitations(
        &self,
        request: Request<v1::ListInvitationsRequest>,
    ) -> Result<Response<v1::ListInvitationsResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::MembersRead).await?;
            let now = self.env.now();
            let question = question("ListInvitations", &tenant);
            let page = self.env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = invitations::list(&self.env, &tenant, &page).await?;
            Ok(v1::ListInvitationsResponse {
                next_page_token: self.env.pages.token(page.next.as_ref(), &question, now),
                invitations: page.items.into_iter().map(v1::Invitation::from).collect(),
            })
        })
        .await
    }

    async fn revoke_invitation(
        &self,
        request: Request<v1::RevokeInvitationRequest>,
    ) -> Result<Response<v1::RevokeInvitationResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::MembersWrite).await?;
            let id = std::mem::take(&mut asked.request_id);
            let invitation = invitation_id(&asked.invitation_id)?;
            let mut violations = Violations::default();
            let once = once(&tenant, "RevokeInvitation", &id, &asked, &mut violations);
            let once = violations.into_result(once)?;
            invitations::revoke(&self.env, &tenant, invitation, once.as_ref()).await?;
            Ok(v1::RevokeInvitationResponse {})
        })
        .await
    }

    async fn resend_invitation(
        &self,
        request: Request<v1::ResendInvitationRequest>,
    ) -> Result<Response<v1::ResendInvitationResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let tenant =
                super::enter(&self.env, &caller, &asked.workspace_id, Permission::MembersWrite).await?;
            let id = std::mem::take(&mut asked.request_id);
            let invitation = invitation_id(&asked.invitation_id)?;
            let mut violations = Violations::default();
            let once = once(&tenant, "ResendInvitation", &id, &asked, &mut violations);
            let once = violations.into_result(once)?;
            let sent = invitations::resend(&self.env, &tenant, invitation, once.as_ref()).await?;
            let (invitation, token, accept_url) = self.shown(sent);
            Ok(v1::ResendInvitationResponse { invitation, token, accept_url })
        })
        .await
    }

    async fn accept_invitation(
        &self,
        request: Request<v1::AcceptInvitationRequest>,
    ) -> Result<Response<v1::AcceptInvitationResponse>, Status> {
        answer(async {
            let caller = request.extensions().get::<Caller>().cloned();
            let origin = rpc::origin(request.metadata().as_ref(), request.extensions());
            let v1::AcceptInvitationRequest { token, new_account, request_id: once } = request.into_inner();
            let person = caller.as_ref().map(super::person).transpose()?;
            let guest = match (person, new_account) {
                (Some(_), Some(_)) => {
                    return Err(Error::invalid_field(
                        "new_account",
                        "must be unset for a person who is signed in",
                    ));
                }
                (Some(user), None) => Guest::Person(user, session_of(caller.as_ref())),
                (None, Some(account)) => Guest::Newcomer(account),
                (None, None) => Guest::Unknown,
            };
            let mut violations = Violations::default();
            // Under the name of the token, which nobody else has. The password is not among what is remembered.
            let (principal, content) =
                (invitations::holder(&token), person.map_or([0; 16], |user| *user.0.as_bytes()));
            let once = request_id(&once, NOWHERE, principal, "AcceptInvitation", &content, &mut violations);
            let once = violations.into_result(once)?;
            let guest = (guest, origin);
            let joined = invitations::accept(&self.env, self.newcomers, &token, guest, once.as_ref());
            Ok(v1::AcceptInvitationResponse { membership: Some(Box::pin(joined).await?.into()) })
        })
        .await
    }
}

impl WorkspaceApi {
    /// Returns what whoever invites is told, this once.
    fn shown(&self, sent: Sent) -> (Option<v1::Invitation>, String, String) {
        let token = sent.token.unwrap_or_default();
        let url = Some(&token).filter(|token| !token.is_empty());
        let url = url.and_then(|token| invitations::accept_url(&self.env, token)).unwrap_or_default();
        (Some(sent.invitation.into()), token, url)
    }
}

fn session_of(caller: Option<&Caller>) -> Option<SessionId> {
    match caller {
        Some(Caller::Person { session, .. }) => Some(*session),
        _ => None,
    }
}

fn question(method: &str, tenant: &Tenant) -> Vec<u8> {
    [method.as_bytes(), tenant.id.0.as_bytes()].concat()
}

fn user_id(text: &str) -> Result<UserId> {
    UserId::parse(text).ok_or_else(|| Error::not_found("member"))
}

fn invitation_id(text: &str) -> Result<InvitationId> {
    InvitationId::parse(text).ok_or_else(|| Error::not_found("invitation"))
}

/// Reads a role that somebody can be given.
fn read_role(role: v1::Role) -> Result<Role, &'static str> {
    match role {
        v1::Role::Viewer => Ok(Role::Viewer),
        v1::Role::Member => Ok(Role::Member),
        v1::Role::Admin => Ok(Role::Admin),
        v1::Role::Owner => Err("must be viewer, member or admin: TransferOwnership makes somebody the owner"),
        v1::Role::Unspecified => Err("must be viewer, member or admin"),
    }
}

/// The tenant of calls outside any.
const NOWHERE: WorkspaceId = WorkspaceId(Uuid::nil());

/// Reads the request id of a call whose request, without it, is `content`, together with the other fields, so that all that is wrong is
/// told at once.
pub(crate) fn once(
    tenant: &Tenant,
    method: &str,
    id: &str,
    content: &impl Message,
    wrong: &mut Violations,
) -> Option<idempotency::Request> {
    request_id(id, tenant.id, tenant.principal, method, &content.encode_to_vec(), wrong)
}

/// Reads a request id together with the other fields, so that all that is wrong is told at once.
pub(crate) fn request_id(
    request_id: &str,
    workspace: WorkspaceId,
    principal: Uuid,
    method: &str,
    content: &[u8],
    violations: &mut Violations,
) -> Option<idempotency::Request> {
    idempotency::Request::parse(request_id, workspace, principal, method, content).unwrap_or_else(|error| {
        for violation in error.violations() {
            violations.add(violation.field.as_str(), violation.description.as_str());
        }
        None
    })
}

fn told(workspace: Workspace, role: Option<Role>) -> v1::Workspace {
    let Workspace { id, name, create_time, update_time, settings, suspend_time, .. } = workspace;
    v1::Workspace {
        id: id.to_string(),
        name,
        role: role.map_or(v1::Role::Unspecified, v1::Role::from).into(),
        create_time: Some(timestamp(create_time)),
        update_time: Some(timestamp(update_time)),
        settings: Some(settings::shown(settings.as_deref())),
        suspend_time: suspend_time.map(timestamp),
    }
}

impl From<Workspace> for v1::Workspace {
    fn from(workspace: Workspace) -> Self {
        told(workspace, None)
    }
}

impl From<Membership> for v1::Workspace {
    fn from(membership: Membership) -> Self {
        told(membership.workspace, Some(membership.role))
    }
}

impl From<Membership> for v1::Membership {
    fn from(membership: Membership) -> Self {
        Self {
            workspace_id: membership.workspace.id.to_string(),
            workspace_name: membership.workspace.name,
            role: v1::Role::from(membership.role).into(),
        }
    }
}

impl From<Person> for v1::Member {
    fn from(person: Person) -> Self {
        let etag = members::etag(&person);
        Self {
            user_id: person.user_id.to_string(),
            email: person.email,
            display_name: person.display_name,
            role: i32::from(person.role),
            create_time: Some(timestamp(person.create_time)),
            etag,
        }
    }
}

impl From<Invitation> for v1::Invitation {
    fn from(invitation: Invitation) -> Self {
        // The hash stays here.
        let Invitation {
            id,
            workspace_id: _,
            email,
            role,
            token_hash: _,
            inviter_id,
            create_time,
            expire_time,
        } = invitation;
        Self {
            id: id.to_string(),
            email,
            role: i32::from(role),
            inviter_id: inviter_id.map(|id| id.to_string()).unwrap_or_default(),
            create_time: Some(timestamp(create_time)),
            expire_time: Some(timestamp(expire_time)),
        }
    }
}

impl From<Usage> for v1::Usage {
    fn from(usage: Usage) -> Self {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Self { quota: usage.quota.into(), used: number(usage.used), allowed: number(usage.allowed) }
    }
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Member => Self::Member,
            Role::Admin => Self::Admin,
            Role::Owner => Self::Owner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_number_of_a_role_is_the_contract_s() {
        for role in Role::ALL {
            assert_eq!(i32::from(role.number()), i32::from(v1::Role::from(role)));
        }
    }
}
