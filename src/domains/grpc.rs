//! `linkforty.v1.DomainService`: who calls, may they, what do they want, do it, answer.

use std::mem::take;

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{Domain, Expected, Links, Registered, check, etag, fields, looks};
use crate::{
    clock::Moment,
    domains,
    env::Env,
    error::{Error, Result, Violations},
    ids::DomainId,
    outbound::Outbound,
    pb::v1::{
        self, CheckDomainRequest, CheckDomainResponse, CreateDomainRequest, CreateDomainResponse,
        DeleteDomainRequest, DeleteDomainResponse, GetDomainRequest, GetDomainResponse, ListDomainsRequest,
        ListDomainsResponse, UpdateDomainRequest, UpdateDomainResponse, VerifyDomainRequest,
        VerifyDomainResponse, domain_service_server::DomainService,
    },
    rpc::{self, Permission, timestamp},
    workspaces::{self, Tenant, grpc::request_id},
};

/// Answers `DomainService`.
#[derive(Debug, Clone)]
pub struct DomainApi {
    /// The handles.
    pub env: Env,
    /// Calls the hosts that are checked.
    pub outbound: Outbound,
    /// Says what the files of a host ought to say.
    pub registered: Registered,
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
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let new = fields::new_domain(asked.domain, (&env.config, &hosts), &mut wrong);
            let once = request_id(&id, tenant.id, tenant.principal, "CreateDomain", &content, &mut wrong);
            let (new, once) = wrong.into_result((new, once))?;
            let new = new.ok_or_else(unread)?;
            let domain = Box::pin(domains::create(env, &tenant, new, once)).await?;
            Ok(CreateDomainResponse { domain: Some(one(env, &tenant, domain).await?) })
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
            Ok(GetDomainResponse { domain: Some(one(env, &tenant, domain).await?) })
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
                domains: domains::shown(env, &tenant, page.items).await?,
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
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let change =
                fields::change(asked.domain, asked.update_mask.as_ref(), (&env.config, &hosts), &mut wrong);
            let once = request_id(&id, tenant.id, tenant.principal, "UpdateDomain", &content, &mut wrong);
            let (change, once) = wrong.into_result((change, once))?;
            let change = change.ok_or_else(unread)?;
            let domain = Box::pin(domains::update(env, &tenant, change, once)).await?;
            Ok(UpdateDomainResponse { domain: Some(one(env, &tenant, domain).await?) })
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
            let (caller, mut asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::DomainsWrite).await?;
            let (once, mut wrong) = (take(&mut asked.request_id), Violations::default());
            let content = asked.encode_to_vec();
            let once = request_id(&once, tenant.id, tenant.principal, "VerifyDomain", &content, &mut wrong);
            let id = DomainId::parse(&asked.domain_id);
            if id.is_none() {
                wrong.add("domain_id", NOT_A_UUID);
            }
            let (id, once) = wrong.into_result((id, once))?;
            let domain = Box::pin(domains::verify(env, &tenant, id.ok_or_else(unread)?, once)).await?;
            Ok(VerifyDomainResponse { domain: Some(one(env, &tenant, domain).await?) })
        })
        .await
    }

    async fn check_domain(
        &self,
        request: Request<CheckDomainRequest>,
    ) -> Result<Response<CheckDomainResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::DomainsRead).await?;
            let mut wrong = Violations::default();
            let id = DomainId::parse(&asked.domain_id);
            if id.is_none() {
                wrong.add("domain_id", NOT_A_UUID);
            }
            let expected = expected(&asked, &mut wrong);
            let id = wrong.into_result(id)?.ok_or_else(unread)?;
            let checked =
                Box::pin(domains::check(env, &tenant, (&self.outbound, self.registered), id, expected))
                    .await?;
            let names = checked.certificate.iter().flat_map(|read| &read.names);
            Ok(CheckDomainResponse {
                certificate_expire_time: checked.certificate.as_ref().map(|read| time(read.not_after)),
                certificate_names: names.take(MAX_EXPECTED).cloned().collect(),
                findings: checked.findings,
                check_time: Some(time(env.now())),
            })
        })
        .await
    }
}

/// Returns a domain as it is shown.
async fn one(env: &Env, tenant: &Tenant, domain: Domain) -> Result<v1::Domain> {
    let shown = domains::shown(env, tenant, vec![domain]).await?;
    shown.into_iter().next().ok_or_else(unread)
}

const MAX_EXPECTED: usize = 20;

/// Reads what somebody expects in the files of a domain.
fn expected(asked: &CheckDomainRequest, wrong: &mut Violations) -> Expected {
    let mut expected = Expected::default();
    if asked.expected_app_ids.len() > MAX_EXPECTED {
        wrong.add("expected_app_ids", "must be at most 20");
    }
    for (place, id) in asked.expected_app_ids.iter().enumerate() {
        if !check::is_app_id(id) {
            wrong.add(
                format!("expected_app_ids[{place}]"),
                "must be the team's ten characters, a dot and the bundle id",
            );
        }
        expected.app_ids.push(id.clone());
    }
    if asked.expected_android_apps.len() > MAX_EXPECTED {
        wrong.add("expected_android_apps", "must be at most 20");
    }
    for (place, app) in asked.expected_android_apps.iter().enumerate() {
        let path = format!("expected_android_apps[{place}]");
        if !check::is_package(&app.package_name) {
            wrong.add(format!("{path}.package_name"), "must be a package name, such as com.example.app");
        }
        match check::fingerprint(&app.sha256_fingerprint) {
            Some(fingerprint) => expected.android_apps.push((app.package_name.clone(), fingerprint)),
            None => wrong.add(format!("{path}.sha256_fingerprint"), "must be 32 bytes in hexadecimal"),
        }
    }
    expected
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

pub(super) fn shown(env: &Env, domain: Domain, certificate: Option<v1::DomainCertificate>) -> v1::Domain {
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
        certificate,
    }
}
