//! `linkforty.sdk.v1.SdkService`: who calls, what do they want, do it, answer.

use std::net::IpAddr;

use http::header::AUTHORIZATION;
use prost::Message as _;
use prost_types::Duration;
use tonic::{Request, Response, Status};

use super::{
    Sdk, events,
    installs::{
        self, Answer,
        report::{self, Scope, read_device},
        settle::matched_factors,
    },
    opens::{self, Asking},
    returns,
    sharing::{self, Wanted},
};
use crate::{
    apps::tokens,
    clock::Moment,
    entity::install::Model,
    env::Env,
    error::{Error, Reason, Result as HouseResult, Violations},
    ids::{ClickId, InstallId, LinkId, parse},
    links::moment,
    pb::sdk::v1::{self as sdk, sdk_service_server::SdkService},
    rpc,
    trail::Origin,
    workspaces::enter_as_app,
};

/// When an app asks again for an install that is not decided.
const RETRY_AFTER: Duration = Duration { seconds: 5, nanos: 0 };
const MAX_URL: usize = 8192;
/// How far a device's clock may be ahead before its time is not believed.
const AHEAD: chrono::Duration = chrono::Duration::minutes(5);
/// How long ago an open may be that is reported.
const LONG_AGO: chrono::Duration = chrono::Duration::days(30);

/// Answers `SdkService`.
#[derive(Debug, Clone)]
pub struct SdkApi {
    /// The handles.
    pub sdk: Sdk,
}

/// Who calls: which app, and from where.
pub(super) struct Calling {
    pub scope: Scope,
    pub client: Option<IpAddr>,
    pub origin: Origin,
}

/// Opens a request: which app calls and what it wants.
pub(super) async fn open<T>(env: &Env, request: Request<T>) -> HouseResult<(Calling, T)> {
    let missing = || {
        Error::new(
            Reason::CredentialsMissing,
            "send the app's token as `authorization: Bearer at_...` metadata",
        )
    };
    let value = request.metadata().as_ref().get(AUTHORIZATION).ok_or_else(missing)?;
    let token = rpc::bearer(value).ok_or_else(missing)?;
    if !tokens::is_token(token) {
        return Err(Error::new(
            Reason::CredentialsInvalid,
            "only the token of an app, `at_...`, opens linkforty.sdk.v1; API keys and access tokens open linkforty.v1",
        ));
    }
    let holder = tokens::holder(env, token).await?.ok_or_else(Error::credentials_invalid)?;
    let origin = rpc::origin(request.metadata().as_ref(), request.extensions());
    Ok((Calling { scope: Scope::from(&*holder), client: origin.address, origin }, request.into_inner()))
}

#[tonic::async_trait]
impl SdkService for SdkApi {
    async fn report_install(
        &self,
        request: Request<sdk::ReportInstallRequest>,
    ) -> Result<Response<sdk::ReportInstallResponse>, Status> {
        rpc::answer(async {
            let env = &self.sdk.env;
            let (calling, asked) = open(env, request).await?;
            let report = report::read(env, &calling.scope, asked, calling.client, env.now())?;
            Ok(install(installs::report(&self.sdk, report).await?))
        })
        .await
    }

    async fn report_open(
        &self,
        request: Request<sdk::ReportOpenRequest>,
    ) -> Result<Response<sdk::ReportOpenResponse>, Status> {
        rpc::answer(async {
            let env = &self.sdk.env;
            let (calling, asked) = open(env, request).await?;
            let mut wrong = Violations::default();
            let install =
                wrong.take("install_id", parse(&asked.install_id).ok_or("must be a UUID of 36 characters"));
            let open = wrong.take("open_id", parse(&asked.open_id).ok_or("must be a UUID of 36 characters"));
            let time = asked.open_time.ok_or("is required");
            let time = wrong.take("open_time", time.and_then(|time| open_time(&time, env.now())));
            let device = read_device(asked.device, &mut wrong);
            let opened = wrong.take("url", read_url(&asked.url));
            wrong.into_result(())?;
            let (Some(install), Some(open), Some(time), Some(())) = (install, open, time, opened) else {
                return Err(Error::internal("an unreadable field passed as a good one"));
            };
            let opened = opens::read_url(&self.sdk, &asked.url).ok_or_else(|| Error::not_found("link"))?;
            let click = Some(opens::click_of_open(calling.scope.workspace, install, open, time));
            let asking = Asking { click, time, device, client: calling.client, identities: Vec::new() };
            let deep_link = opens::open(&self.sdk, Some(calling.scope.workspace), opened, asking).await?;
            let of = LinkId::parse(&deep_link.link_id).zip(ClickId::parse(&deep_link.click_id));
            if let Some(of) = of {
                returns::keep(&self.sdk, &calling.scope, InstallId(install), of, time);
            }
            Ok(sdk::ReportOpenResponse { deep_link: Some(deep_link) })
        })
        .await
    }

    async fn resolve_link(
        &self,
        request: Request<sdk::ResolveLinkRequest>,
    ) -> Result<Response<sdk::ResolveLinkResponse>, Status> {
        rpc::answer(async {
            let env = &self.sdk.env;
            let (calling, asked) = open(env, request).await?;
            let mut wrong = Violations::default();
            let device = read_device(asked.device, &mut wrong);
            wrong.take("url", read_url(&asked.url));
            wrong.into_result(())?;
            let opened = opens::read_url(&self.sdk, &asked.url).ok_or_else(|| Error::not_found("link"))?;
            let allowed = asked.identity.filter(|identity| identity.allowed);
            let identities = allowed.map(|identity| report::identities(env, &calling.scope, &identity));
            let identities = identities.unwrap_or_default();
            let asking = Asking { click: None, time: env.now(), device, client: calling.client, identities };
            let deep_link = opens::open(&self.sdk, Some(calling.scope.workspace), opened, asking).await?;
            Ok(sdk::ResolveLinkResponse { deep_link: Some(deep_link) })
        })
        .await
    }

    async fn record_events(
        &self,
        request: Request<sdk::RecordEventsRequest>,
    ) -> Result<Response<sdk::RecordEventsResponse>, Status> {
        rpc::answer(async {
            let Sdk { env, spool, .. } = &self.sdk;
            let (calling, asked) = open(env, request).await?;
            let install = report::install_id(&asked.install_id)?;
            let source = events::Source { workspace: calling.scope.workspace, app: calling.scope.app };
            let results = events::record(env, spool, source, install, asked.events).await?;
            Ok(sdk::RecordEventsResponse { results })
        })
        .await
    }

    async fn create_link(
        &self,
        request: Request<sdk::CreateLinkRequest>,
    ) -> Result<Response<sdk::CreateLinkResponse>, Status> {
        rpc::answer(async {
            let (calling, asked) = open(&self.sdk.env, request).await?;
            let wanted = Wanted {
                external_user_id: asked.external_user_id,
                parameters: asked.deep_link_parameters,
                path: asked.deep_link_path,
                title: asked.title,
                description: asked.description,
                short_code: asked.short_code,
                utm: asked.utm,
                template_slug: asked.template_slug,
                template_id: String::new(),
                web_url: asked.web_url,
            };
            let (link, deduplicated) =
                sharing::share(&self.sdk, &calling.scope, calling.origin, wanted).await?;
            Ok(sdk::CreateLinkResponse {
                url: link.short_url,
                short_code: link.short_code,
                link_id: link.id,
                deduplicated,
            })
        })
        .await
    }

    async fn set_consent(
        &self,
        request: Request<sdk::SetConsentRequest>,
    ) -> Result<Response<sdk::SetConsentResponse>, Status> {
        rpc::answer(async {
            let env = &self.sdk.env;
            let (calling, asked) = open(env, request).await?;
            let id = report::install_id(&asked.install_id)?;
            let consent = installs::Consent { identity: asked.identity, likeness: asked.probabilistic };
            installs::consent(env, calling.scope.workspace, id, consent).await?;
            Ok(sdk::SetConsentResponse {})
        })
        .await
    }

    async fn forget_install(
        &self,
        request: Request<sdk::ForgetInstallRequest>,
    ) -> Result<Response<sdk::ForgetInstallResponse>, Status> {
        rpc::answer(async {
            let env = &self.sdk.env;
            let (calling, asked) = open(env, request).await?;
            let scope = &calling.scope;
            let app = scope.app.ok_or_else(Error::credentials_invalid)?;
            let tenant = enter_as_app(env, (scope.workspace, app), scope.quotas.as_ref(), calling.origin);
            installs::forget(env, &tenant, report::install_id(&asked.install_id)?).await?;
            Ok(sdk::ForgetInstallResponse {})
        })
        .await
    }
}

fn read_url(url: &str) -> Result<(), &'static str> {
    if (1..=MAX_URL).contains(&url.len()) { Ok(()) } else { Err("must have 1 to 8,192 bytes") }
}

/// Reads when an app was opened: a clock that is far ahead is not believed.
fn open_time(time: &prost_types::Timestamp, now: Moment) -> Result<Moment, &'static str> {
    let time = moment(time)?;
    if time < now - LONG_AGO {
        return Err("must be at most 30 days ago");
    }
    Ok(if time > now + AHEAD { now } else { time })
}

/// Writes what an app is told of its install.
fn install(answer: Answer) -> sdk::ReportInstallResponse {
    match answer {
        Answer::Pending(id) => pending(id),
        Answer::Decided(row) => decided(&row),
    }
}

fn pending(id: InstallId) -> sdk::ReportInstallResponse {
    sdk::ReportInstallResponse {
        install_id: id.to_string(),
        state: sdk::AttributionState::Pending.into(),
        retry_after: Some(RETRY_AFTER),
        ..sdk::ReportInstallResponse::default()
    }
}

fn decided(row: &Model) -> sdk::ReportInstallResponse {
    // Who only saw an ad is told nothing.
    let attributed = row.state == sdk::AttributionState::Attributed as i16 && !row.deep_link.is_empty();
    let deep_link = sdk::DeepLink::decode(&row.deep_link[..]).ok();
    // Whoever made the install up would learn by what.
    let no_match = match sdk::NoMatchReason::try_from(i32::from(row.no_match)).unwrap_or_default() {
        sdk::NoMatchReason::Rejected => sdk::NoMatchReason::NoClick,
        known => known,
    };
    sdk::ReportInstallResponse {
        install_id: row.id.to_string(),
        state: row.state.into(),
        method: row.method.into(),
        score: row.score.into(),
        no_match: no_match.into(),
        deep_link: deep_link.filter(|_| attributed),
        retry_after: None,
        matched_factors: matched_factors(row).into_iter().map(|factor| factor.name().to_owned()).collect(),
    }
}
