//! The API listener: the list of services, and what else answers there.

use std::sync::Arc;

use axum::Router;
use tonic::{codec::CompressionEncoding::Gzip, server::NamedService, service::Routes};
use tonic_health::{pb::health_server::HealthServer, server::HealthService};

use super::{
    health::{Eyes, Health},
    layers::{self, Apps, Gate, Limiters, Methods},
    refusal::{is_method_path, refuse, unknown_method, unknown_path},
    shutdown::Life,
};
use crate::{
    accounts::{grpc::AuthApi, people},
    analytics::{AnalyticsApi, ReportApi, costs::CostApi},
    apps::{self, AppApi},
    attribution::{
        AttributionApi, Sdk, SdkApi,
        events::ByEvent,
        json_routes,
        postbacks::{self, PostbackApi},
    },
    audit::grpc::AuditApi,
    domains::DomainApi,
    env::Env,
    limits::Limits,
    links::{Fetch, LinkApi, ProjectApi, TemplateApi, UtmPresetApi},
    outbound::Outbound,
    pb::sdk::v1::sdk_service_server::SdkServiceServer,
    pb::v1::{
        analytics_service_server::AnalyticsServiceServer, api_key_service_server::ApiKeyServiceServer,
        app_service_server::AppServiceServer, attribution_service_server::AttributionServiceServer,
        audit_service_server::AuditServiceServer, auth_service_server::AuthServiceServer,
        cost_service_server::CostServiceServer, domain_service_server::DomainServiceServer,
        link_service_server::LinkServiceServer, postback_service_server::PostbackServiceServer,
        project_service_server::ProjectServiceServer, report_service_server::ReportServiceServer,
        template_service_server::TemplateServiceServer, utm_preset_service_server::UtmPresetServiceServer,
        webhook_service_server::WebhookServiceServer, workspace_service_server::WorkspaceServiceServer,
    },
    redirect,
    webhooks::{Tests, WebhookApi},
    workspaces::{grpc::WorkspaceApi, keys::grpc::ApiKeyApi},
};

/// The largest message a client may send.
pub(super) const MOST_IN: usize = 1024 * 1024;
/// The largest message it is sent; other stacks' clients accept no more.
const MOST_OUT: usize = 4 * 1024 * 1024;

/// Bounds a service. What is sent is compressed for clients that ask for it; small answers switch it off themselves
/// (`rpc::answer`), since compressing them costs more than it saves.
macro_rules! bounded {
    ($service:expr) => {
        $service
            .accept_compressed(Gzip)
            .send_compressed(Gzip)
            .max_decoding_message_size(MOST_IN)
            .max_encoding_message_size(MOST_OUT)
    };
}

/// The services and their names.
pub(super) struct Services {
    routes: Routes,
    names: Vec<&'static str>,
}

impl Services {
    fn with<S>(mut self, service: S) -> Self
    where
        S: tower::Service<http::Request<tonic::body::Body>, Error = std::convert::Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }
}

/// Lists the services of the contract, one line each.
fn api_services(env: &Env, outbound: &Outbound, shares: &Arc<dyn Limits>) -> Services {
    let env = || env.clone();
    let tests = Tests { outbound: outbound.clone(), limits: shares.clone() };
    let fetch = Fetch { outbound: outbound.clone(), limits: shares.clone() };
    Services { routes: Routes::default(), names: Vec::new() }
        .with(bounded!(AuthServiceServer::new(AuthApi::new(env(), outbound))))
        .with(bounded!(WorkspaceServiceServer::new(WorkspaceApi {
            env: env(),
            newcomers: people::NEWCOMERS
        })))
        .with(bounded!(ApiKeyServiceServer::new(ApiKeyApi::new(env()))))
        .with(bounded!(DomainServiceServer::new(DomainApi {
            env: env(),
            outbound: outbound.clone(),
            registered: apps::registered
        })))
        .with(bounded!(AppServiceServer::new(AppApi { env: env() })))
        .with(bounded!(LinkServiceServer::new(LinkApi { env: env(), decide: redirect::dry_run, fetch })))
        .with(bounded!(ProjectServiceServer::new(ProjectApi { env: env() })))
        .with(bounded!(TemplateServiceServer::new(TemplateApi { env: env() })))
        .with(bounded!(UtmPresetServiceServer::new(UtmPresetApi { env: env() })))
        .with(bounded!(AnalyticsServiceServer::new(AnalyticsApi { env: env() })))
        .with(bounded!(ReportServiceServer::new(ReportApi { env: env(), limits: shares.clone() })))
        .with(bounded!(CostServiceServer::new(CostApi { env: env() })))
        .with(bounded!(AttributionServiceServer::new(AttributionApi { env: env() })))
        .with(bounded!(PostbackServiceServer::new(PostbackApi { env: env() })))
        .with(bounded!(WebhookServiceServer::new(WebhookApi { env: env(), tests })))
        .with(bounded!(AuditServiceServer::new(AuditApi::new(env()))))
}

/// Returns the router of what apps call, for the links listener.
pub(super) fn for_apps(sdk: &Sdk, life: &Life, walls: (&Gate, Option<&Limiters>)) -> Router {
    let api = SdkApi { sdk: sdk.clone() };
    let service = bounded!(SdkServiceServer::new(api.clone()));
    let router = Routes::new(ByEvent::new(service, api, MOST_IN)).into_axum_router().reset_fallback();
    let apps = Apps { env: Arc::new(sdk.env.clone()), sites: sdk.sites.clone() };
    let others = json_routes(sdk.clone()).merge(postbacks::router(sdk.clone()));
    layers::app_calls(router, others, apps, life, walls)
}

/// Returns the API listener's router.
pub(super) fn router(
    env: &Env,
    outbound: &Outbound,
    life: &Life,
    health: &Health,
    shares: &Arc<dyn Limits>,
    walls: (&Gate, Option<&Limiters>),
) -> Router {
    let services = api_services(env, outbound, shares);
    let reporter = health.reporter(services.names.clone());
    let services = services.with(bounded!(HealthServer::new(HealthService::from_health_reporter(reporter))));
    // tonic's own fallback would answer every unknown path; ours tells methods from pages.
    let calls = services.routes.into_axum_router().reset_fallback();
    let router = layers::calls(calls, env, life, walls).merge(health.routes(Eyes::Public)).fallback(
        async |uri: http::Uri| {
            refuse(if is_method_path(uri.path()) { unknown_method() } else { unknown_path() })
        },
    );
    layers::common(router, "api", env, &Arc::new(Methods::of_the_contract()))
}
