//! `linkforty.v1.WorkspaceService`.

use prost::Message as _;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;

use super::{Membership, Role, Workspace, settings};
use crate::{
    clock::Moment,
    destination_url::Own,
    env::Env,
    error::{Result, Violations},
    idempotency,
    ids::WorkspaceId,
    pb::v1::{self, workspace_service_server::WorkspaceService},
    rpc::{Caller, Permission, answer, open},
};

/// The service.
#[derive(Debug, Clone)]
pub struct WorkspaceApi {
    env: Env,
}

impl WorkspaceApi {
    /// Returns the service.
    pub fn new(env: Env) -> Self {
        Self { env }
    }
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
            let made = super::create(&self.env, user, name, once.as_ref()).await?;
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
}

/// The tenant of calls outside any.
const NOWHERE: WorkspaceId = WorkspaceId(Uuid::nil());

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

pub(crate) fn timestamp(moment: Moment) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: moment.timestamp(),
        nanos: i32::try_from(moment.timestamp_subsec_nanos()).unwrap_or_default(),
    }
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
