//! `linkforty.v1.DomainService`: who calls, may they, what do they want, do it, answer.

use std::mem::take;

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{Domain, Links, etag, fields, looks};
use crate::{
    clock::Moment,
    domains,
    env::Env,
    error::{Error, Result, Violations},
    ids::DomainId,
    pb::v1::{
        self, CreateDomainRequest, CreateDomainResponse, DeleteDomainRequest, DeleteDomainResponse,
        GetDomainRequest, GetDomainResponse, ListDomainsRequest, ListDomainsResponse, UpdateDomainRequest,
        UpdateDomainResponse, VerifyDomainRequest, VerifyDomainResponse,
        domain_service_server::DomainService,
    },
    rpc::{self, Permission},
    workspaces::{
        self,
        grpc::{request_id, timestamp},
    },
};

/// Answers `DomainService`.
#[derive(Debug, Clone)]
pub struct DomainApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl DomainService for DomainApi {
    async fn create_domain(
        &self,
        request: Request<CreateDomainRequest>,
    ) -> Result<Response<CreateDomainResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::DomainsWrite).await?;
            let (id, mut wrong) = (take(&mut asked.request_id), Violations::default());
            let content = asked.encode_to_vec();
            let new = fields::new_domain(asked.domain, &env.config, &mut wrong);
            let once = request_id(&id, tenant.id, tenant.principal, "CreateDomain", &content, &mut wrong);
            let (new, once) = wrong.into_result((new, once))?;
            let new = new.ok_or_else(unread)?;
            let domain = domains::create(env, &tenant, new, once).await?;
            Ok(CreateDomainResponse { domain: Some(shown(env, domain)) })
        })
        .await
    }

    async fn get_domain(
        &self,
        request: Request<GetDomainRequest>,
    ) -> Result<Response<GetDomainResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::DomainsRead).await?;
            let domain = domains::get(env, &tenant, domain_id(&asked.domain_id)?).await?;
            Ok(GetDomainResponse { domain: Some(shown(env, domain)) })
        })
        .await
    }

    async fn list_domains(
        &self,
        request: Request<ListDomainsRequest>,
    ) -> Result<Response<ListDomainsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::DomainsRead).await?;
            let now = env.now();
            let question = [b"ListDomains".as_slice(), tenant.id.0.as_bytes()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = domains::list(env, &tenant, &page).await?;
            Ok(ListDomainsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                domains: page.items.into_iter().map(|domain| shown(env, domain)).collect(),
            })
        })
        .await
    }

    async fn update_domain(
        &self,
        request: Request<UpdateDomainRequest>,
    ) -> Result<Response<UpdateDomainResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::DomainsWrite).await?;
            let (id, mut wrong) = (take(&mut asked.request_id), Violations::default());
            let content = asked.encode_to_vec();
            let change = fields::change(asked.domain, asked.update_mask.as_ref(), &env.config, &mut wrong);
            let once = request_id(&id, tenant.id, tenant.principal, "UpdateDomain", &content, &mut wrong);
            let (change, once) = wrong.into_result((change, once))?;
            let change = change.ok_or_else(unread)?;
            let domain = Box::pin(domains::update(env, &tenant, change, once)).await?;
            Ok(UpdateDomainResponse { domain: Some(shown(env, domain)) })
        })
        .await
    }

    async fn delete_domain(
        &self,
        request: Request<DeleteDomainRequest>,
    ) -> Result<Response<DeleteDomainResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::DomainsWrite).await?;
            let (once, mut wrong) = (take(&mut asked.request_id), Violations::default());
            let content = asked.encode_to_vec();
            let once = request_id(&once, tenant.id, tenant.principal, "DeleteDomain", &content, &mut wrong);
            let id = DomainId::parse(&asked.domain_id);
            if id.is_none() {
                wrong.add("domain_id", NOT_A_UUID);
            }
            let (id, once) = wrong.into_result((id, once))?;
            let links = if asked.force { Links::Leave } else { Links::Forbid };
            domains::delete(env, &tenant, id.ok_or_else(unread)?, &asked.etag, links, once).await?;
            Ok(DeleteDomainResponse {})
        })
        .await
    }

    async fn verify_domain(
        &self,
        request: Request<VerifyDomainRequest>,
    ) -> Result<Response<VerifyDomainResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::DomainsWrite).await?;
            let domain = Box::pin(domains::verify(env, &tenant, domain_id(&asked.domain_id)?)).await?;
            Ok(VerifyDomainResponse { domain: Some(shown(env, domain)) })
        })
        .await
    }
}

const NOT_A_UUID: &str = "must be a UUID of 36 characters";

fn domain_id(id: &str) -> Result<DomainId> {
    DomainId::parse(id).ok_or_else(|| Error::invalid_field("domain_id", NOT_A_UUID))
}

fn unread() -> Error {
    Error::internal("what cannot be read passed as good")
}

pub(super) fn time(moment: Moment) -> prost_types::Timestamp {
    timestamp(moment)
}

fn shown(env: &Env, domain: Domain) -> v1::Domain {
    let case = if domain.ignores_case { v1::CodeCase::Insensitive } else { v1::CodeCase::Sensitive };
    v1::Domain {
        id: domain.id.to_string(),
        workspace_id: domain.workspace_id.to_string(),
        state: domain.state.into(),
        code_case: case.into(),
        proof: Some(looks::proof_of(env, &domain)),
        etag: etag(&domain),
        host: domain.host,
        is_default: domain.is_default,
        root_url: domain.root_url,
        not_found_url: domain.not_found_url,
        expired_url: domain.expired_url,
        robots_txt: domain.robots_txt,
        create_time: Some(time(domain.create_time)),
        update_time: Some(time(domain.update_time)),
    }
}
