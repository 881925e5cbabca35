//! `linkforty.v1.AuditService`: who calls, may they, what do they want, do it, answer.

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, async_trait};

use super::{Audience, Order, export, export::Export, wire};
use crate::{
    env::Env,
    error::{Error, Result, both},
    pb::v1::{
        ExportAuditEventsRequest, ExportAuditEventsResponse, ExportFormat, ListAuditEventsRequest,
        ListAuditEventsResponse, audit_service_server::AuditService,
    },
    rpc::{self, Caller, Permission, Vigil},
    workspaces,
};

/// Answers `AuditService`.
#[derive(Debug, Clone)]
pub struct AuditApi {
    env: Env,
}

impl AuditApi {
    /// Returns the service.
    pub fn new(env: Env) -> Self {
        Self { env }
    }
}

#[async_trait]
impl AuditService for AuditApi {
    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let audience = audience(env, &caller, &asked.workspace_id).await?;
            let now = env.now();
            let of_query =
                ListAuditEventsRequest { page_size: 0, page_token: String::new(), ..asked.clone() };
            let question = question("ListAuditEvents", &caller, &of_query);
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now);
            let (query, page) = both(wire::query(asked.filter), page)?;
            let page = super::list(env, audience, &query, Order::Newest, &page).await?;
            Ok(ListAuditEventsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                audit_events: page.items.into_iter().map(wire::event).collect(),
            })
        })
        .await
    }

    type ExportAuditEventsStream = BoxStream<'static, Result<ExportAuditEventsResponse, Status>>;

    async fn export_audit_events(
        &self,
        request: Request<ExportAuditEventsRequest>,
    ) -> Result<Response<Self::ExportAuditEventsStream>, Status> {
        let opened = async {
            let env = &self.env.for_bulk();
            let caller = rpc::caller(&request)?;
            let vigil = Vigil::of(&request, env.now())?;
            let asked = request.into_inner();
            let audience = audience(env, &caller, &asked.workspace_id).await?;
            let format = match asked.format() {
                ExportFormat::Unspecified => Err(Error::invalid_field("format", "must be CSV or NDJSON")),
                format => Ok(format),
            };
            let of_query = ExportAuditEventsRequest { page_token: String::new(), ..asked.clone() };
            let question = question("ExportAuditEvents", &caller, &of_query);
            let page = env.pages.request(0, &asked.page_token, &question, env.now());
            let ((format, query), page) = both(both(format, wire::query(asked.filter)), page)?;
            let workspace_id = asked.workspace_id;
            Ok(export::export(
                env,
                Export { format, audience, workspace_id, query, after: page.after, question, vigil },
            ))
        };
        let parts = opened.await.map_err(|error: Error| rpc::status(&error))?;
        Ok(Response::new(Box::pin(parts)))
    }
}

/// Says whose events the caller may see by the workspace they name.
pub(super) async fn audience(env: &Env, caller: &Caller, workspace_id: &str) -> Result<Audience> {
    if workspace_id.is_empty() && matches!(caller, Caller::Person { .. }) {
        return Ok(Audience::User(workspaces::person(caller)?));
    }
    let tenant = workspaces::enter(env, caller, workspace_id, Permission::AuditRead).await?;
    Ok(Audience::Workspace(tenant.id))
}

fn question(method: &str, caller: &Caller, asked: &impl prost::Message) -> Vec<u8> {
    [method.as_bytes(), caller.principal().as_bytes(), &asked.encode_to_vec()].concat()
}
