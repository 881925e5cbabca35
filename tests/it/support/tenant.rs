//! Workspaces to test in, made as the operator makes them, and typed clients for whoever holds a token or a key.

use linkforty::{
    entity::user,
    ids::Ids,
    pb::v1::{
        self, CreateDomainRequest, CreateLinkRequest, DeleteLinkRequest, Domain, GetDomainRequest,
        GetLinkRequest, GetOverviewRequest, GetOverviewResponse, Link, UpdateLinkRequest,
        analytics_service_client::AnalyticsServiceClient, app_service_client::AppServiceClient,
        domain_service_client::DomainServiceClient, link_service_client::LinkServiceClient,
        postback_service_client::PostbackServiceClient, report_service_client::ReportServiceClient,
        webhook_service_client::WebhookServiceClient,
    },
    rpc::Permission,
    trail::{Actor, Who},
    workspaces::{
        self, enter_as_operator,
        keys::{self, NewKey},
    },
};
use prost_types::FieldMask;
use sea_orm::EntityTrait as _;
use tonic::{Status, service::interceptor::InterceptedService, transport::Channel};
use uuid::Uuid;

use super::{App, Bearer};

/// Links, for whoever holds a token.
pub type Links = LinkServiceClient<InterceptedService<Channel, Bearer>>;
/// Domains, for whoever holds a token.
pub type Domains = DomainServiceClient<InterceptedService<Channel, Bearer>>;
/// Numbers, for whoever holds a token.
pub type Analytics = AnalyticsServiceClient<InterceptedService<Channel, Bearer>>;

/// Apps, for whoever holds a token.
pub type Apps = AppServiceClient<InterceptedService<Channel, Bearer>>;

/// Postbacks, for whoever holds a token.
pub type Postbacks = PostbackServiceClient<InterceptedService<Channel, Bearer>>;

/// Kept reports, for whoever holds a token.
pub type Reports = ReportServiceClient<InterceptedService<Channel, Bearer>>;

/// Webhook endpoints, for whoever holds a token.
pub type Webhooks = WebhookServiceClient<InterceptedService<Channel, Bearer>>;

/// What an API key can be allowed at most.
pub const ALL_SCOPES: [Permission; 16] = [
    Permission::LinksRead,
    Permission::LinksWrite,
    Permission::AnalyticsRead,
    Permission::AnalyticsExport,
    Permission::ReportsWrite,
    Permission::CostsWrite,
    Permission::WorkspacesRead,
    Permission::ApiKeysRead,
    Permission::DomainsRead,
    Permission::DomainsWrite,
    Permission::AppsRead,
    Permission::AppsWrite,
    Permission::MembersRead,
    Permission::AuditRead,
    Permission::WebhooksRead,
    Permission::WebhooksWrite,
];

/// A workspace and a key that may do there whatever a key may.
#[derive(Clone)]
pub struct Tenant {
    /// The id of the workspace.
    pub id: String,
    /// The secret of the key.
    pub key: String,
    /// Its links.
    pub links: Links,
    /// Its domains.
    pub domains: Domains,
    /// Its numbers.
    pub analytics: Analytics,
    /// Its apps.
    pub apps: Apps,
    /// What Apple says of installs.
    pub postbacks: Postbacks,
    /// Its kept reports.
    pub reports: Reports,
    /// Its webhook endpoints.
    pub webhooks: Webhooks,
}

impl App {
    /// Returns the first workspace.
    pub async fn tenant(&self) -> Tenant {
        self.first_sign_in().await;
        let first = enter_as_operator(self.env(), None).await.expect("there is one workspace");
        self.tenant_of(&first.id.to_string()).await
    }

    /// Returns a new workspace, which the first person owns too.
    pub async fn another_tenant(&self) -> Tenant {
        let owner = user::Entity::find().one(&self.env().db.api).await.expect("the stores answer");
        let owner = owner.expect("tenant() was called").id;
        let made =
            workspaces::create(self.env(), owner, ("Another".to_owned(), Actor::here(Who::Operator)), None)
                .await
                .expect("creates");
        self.tenant_of(&made.workspace.id.to_string()).await
    }

    /// Returns clients of a workspace, through this node.
    pub async fn tenant_of(&self, id: &str) -> Tenant {
        let key = self.key(id, &ALL_SCOPES).await;
        self.with_key(id, key).await
    }

    /// Returns the clients of a key, through this node.
    pub async fn with_key(&self, id: &str, key: String) -> Tenant {
        let (channel, bearer) = (self.channel().await, Bearer(key.clone()));
        Tenant {
            id: id.to_owned(),
            key,
            links: LinkServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            domains: DomainServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            analytics: AnalyticsServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            apps: AppServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            postbacks: PostbackServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            reports: ReportServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            webhooks: WebhookServiceClient::with_interceptor(channel, bearer),
        }
    }

    /// Makes an API key and returns its secret.
    pub async fn key(&self, workspace: &str, scopes: &[Permission]) -> String {
        let tenant = enter_as_operator(self.env(), Some(workspace)).await.expect("it is there");
        let new = NewKey::new("test", scopes.to_vec());
        let created = keys::create(self.env(), &tenant, new, None).await.expect("creates");
        created.secret.expect("a new key has one")
    }
}

/// A link that leads to `destination_url` and has the code asked for.
pub fn link(short_code: &str, destination_url: &str) -> Link {
    Link { short_code: short_code.to_owned(), destination_url: destination_url.to_owned(), ..Link::default() }
}

/// A link to somewhere, with any code.
pub fn a_link() -> Link {
    coded("")
}

/// A link to somewhere that has the code asked for.
pub fn coded(short_code: impl AsRef<str>) -> Link {
    link(short_code.as_ref(), "https://example.com/page")
}

/// An app that is nowhere yet.
pub fn an_app() -> v1::App {
    v1::App { name: "Shop".to_owned(), url_schemes: vec!["shop".to_owned()], ..v1::App::default() }
}

/// A fresh request id.
pub fn request_id() -> String {
    Uuid::from_bytes(Ids::from_os().bytes()).to_string()
}

impl Tenant {
    /// Creates a link.
    pub async fn create(&self, link: Link) -> Link {
        self.try_create(link).await.expect("creates")
    }

    /// Creates a link, if it may be.
    pub async fn try_create(&self, link: Link) -> Result<Link, Status> {
        let request = CreateLinkRequest { link: Some(link), ..CreateLinkRequest::default() };
        Ok(self.links.clone().create_link(request).await?.into_inner().link.expect("always there"))
    }

    /// Returns a link.
    pub async fn get(&self, id: &str) -> Result<Link, Status> {
        let request = GetLinkRequest { link_id: id.to_owned(), ..GetLinkRequest::default() };
        Ok(self.links.clone().get_link(request).await?.into_inner().link.expect("always there"))
    }

    /// Writes the fields that `paths` names.
    pub async fn update(&self, link: Link, paths: &[&str]) -> Link {
        let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        let request = UpdateLinkRequest { link: Some(link), update_mask, ..UpdateLinkRequest::default() };
        let made = self.links.clone().update_link(request).await.expect("updates");
        made.into_inner().link.expect("always there")
    }

    /// Deletes a link.
    pub async fn delete(&self, id: &str) {
        let request = DeleteLinkRequest { link_id: id.to_owned(), ..DeleteLinkRequest::default() };
        self.links.clone().delete_link(request).await.expect("deletes");
    }

    /// Adds a domain.
    pub async fn add_domain(&self, host: &str) -> Domain {
        self.try_add(Domain { host: host.to_owned(), ..Domain::default() }).await.expect("adds")
    }

    /// Adds a domain, if it may be.
    pub async fn try_add(&self, domain: Domain) -> Result<Domain, Status> {
        let request = CreateDomainRequest { domain: Some(domain), ..CreateDomainRequest::default() };
        Ok(self.domains.clone().create_domain(request).await?.into_inner().domain.expect("always there"))
    }

    /// Returns a domain.
    pub async fn domain(&self, id: &str) -> Domain {
        let request = GetDomainRequest { domain_id: id.to_owned(), ..GetDomainRequest::default() };
        let found = self.domains.clone().get_domain(request).await.expect("is there");
        found.into_inner().domain.expect("always there")
    }

    /// Creates an app.
    pub async fn create_app(&self, app: v1::App) -> v1::App {
        self.try_create_app(app).await.expect("creates")
    }

    /// Creates an app, if it may be.
    pub async fn try_create_app(&self, app: v1::App) -> Result<v1::App, Status> {
        let request = v1::CreateAppRequest { app: Some(app), ..v1::CreateAppRequest::default() };
        Ok(self.apps.clone().create_app(request).await?.into_inner().app.expect("always there"))
    }

    /// Adds a webhook endpoint. Returns it with its secret.
    pub async fn add_endpoint(&self, endpoint: v1::WebhookEndpoint) -> (v1::WebhookEndpoint, String) {
        self.try_add_endpoint(endpoint).await.expect("adds")
    }

    /// Adds a webhook endpoint, if it may be.
    pub async fn try_add_endpoint(
        &self,
        endpoint: v1::WebhookEndpoint,
    ) -> Result<(v1::WebhookEndpoint, String), Status> {
        let request = v1::CreateWebhookEndpointRequest {
            webhook_endpoint: Some(endpoint),
            ..v1::CreateWebhookEndpointRequest::default()
        };
        let made = self.webhooks.clone().create_webhook_endpoint(request).await?.into_inner();
        Ok((made.webhook_endpoint.expect("always there"), made.secret))
    }

    /// Returns the numbers of the last thirty days, of one link unless `link_id` is empty.
    pub async fn overview(&self, link_id: &str) -> GetOverviewResponse {
        let request = GetOverviewRequest { link_id: link_id.to_owned(), ..GetOverviewRequest::default() };
        self.analytics.clone().get_overview(request).await.expect("numbers").into_inner()
    }
}
