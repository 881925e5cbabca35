//! The paths that the SDKs of LinkForty call, which are in apps that nobody can change: the same decisions as by gRPC, in their words.
//!
//! | file | what |
//! |---|---|
//! | `body.rs` `event.rs` `times.rs` | what SDKs send; pure |
//! | `wire.rs` | what they read; pure |
//! | `scope.rs` | whose app calls |
//!
//! | path | needs |
//! |---|---|
//! | `POST /api/sdk/v1/install` | nothing; an app token or an API key says whose it is |
//! | `POST /api/sdk/v1/event` | an install id |
//! | `GET /api/sdk/v1/resolve/{code}`, `.../{slug}/{code}` | nothing |
//! | `POST /api/sdk/v1/links`, `POST /api/links` | an app token, or an API key with `links.write` |
//! | `POST /api/sdk/v1/acknowledge/{code}` | an app token, or an API key with `links.write`, of the link's workspace |
//! | `GET /api/sdk/v1/health` | nothing |
//!
//! Guarantees: a body is answered with JSON, whatever becomes of it; 5xx is answered only where the same may succeed later.

mod body;
mod event;
mod scope;
mod times;
mod wire;

pub use self::event::revenue;

use std::{net::IpAddr, time::Duration};

use axum::{
    Router,
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use data_encoding::HEXLOWER;
use http::{HeaderMap, StatusCode, header, request::Parts};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use self::{
    body::Body,
    scope::{enter_to_create, scope, who},
};
use super::{
    Sdk,
    decide::System,
    device::system_named,
    events,
    installs::{self, Answer, report::known_by},
    networks::referrer::unwrapped,
    opens::{self, Asking, Opened},
    sharing::{Wanted, share_in},
};
use crate::{
    clicks::query::hints,
    domains::Site,
    env::Env,
    error::{Error, Kind, Reason, Result},
    ids::InstallId,
    links::{Acknowledged, acknowledge as acknowledge_link, moment},
    pb::{
        internal::v1::InstallRecord,
        sdk::v1::{Device, EventStatus, Platform},
    },
    rpc::{ClientAddress, origin},
};

/// The largest body.
const MAX_BODY: usize = 1024 * 1024;
/// How long the database may take to say whose an install is.
const PATIENCE: Duration = Duration::from_millis(250);
const MAX_NAME: usize = 50;
const HOUR: u32 = 3600;
/// LinkForty's longest window.
const MAX_WINDOW_HOURS: u32 = 2160;

/// Returns the routes.
pub fn router(sdk: Sdk) -> Router {
    Router::new()
        .route("/api/sdk/v1/install", post(install))
        .route("/api/sdk/v1/event", post(record_event))
        .route("/api/sdk/v1/resolve/{code}", get(resolve))
        .route("/api/sdk/v1/resolve/{slug}/{code}", get(resolve_long))
        .route("/api/sdk/v1/links", post(create_link))
        .route("/api/links", post(create_link))
        .route("/api/sdk/v1/acknowledge/{code}", post(acknowledge))
        .route("/api/sdk/v1/health", get(health))
        .with_state(sdk)
}

async fn install(State(sdk): State<Sdk>, request: Request) -> Response {
    answered(async {
        let (parts, mut body) = read(request).await?;
        let report = report(&sdk, &parts, &mut body).await?;
        let echoed = body.text("ipAddress", 64);
        let known = InstallId::parse(&body.text("installId", 64));
        body.end()?;
        let answer = match known {
            Some(id) => recognise(&sdk.env, &report, id).await,
            None => None,
        };
        let answer = match answer {
            Some(answer) => answer,
            None => installs::report(&sdk, report).await?,
        };
        let mut told = wire::install(&answer);
        if !echoed.is_empty() {
            told["clientReportedIp"] = echoed.into();
        }
        Ok(told)
    })
    .await
}

async fn record_event(State(sdk): State<Sdk>, request: Request) -> Response {
    answered(async {
        let env = &sdk.env;
        let (parts, mut body) = read(request).await?;
        let key = header_text(&parts.headers, &header::HeaderName::from_static("idempotency-key"));
        let (install, sent) = event::read(&mut body, &key);
        let Some(install) = install else {
            body.end()?;
            return Err(Error::internal("an unreadable field passed as a good one"));
        };
        let (source, zone) = source(&sdk, &parts, install).await?;
        let event = sent.event(install, &zone, (&env.ids, env.now()), &mut body);
        body.end()?;
        let time = event.event_time.as_ref().and_then(|time| moment(time).ok()).unwrap_or_else(|| env.now());
        let id = events::id_of(source.scope(), &event.event_id, time);
        let results = events::record(env, &sdk.spool, source, install, vec![event]).await?;
        let result = results.into_iter().next().ok_or_else(|| Error::internal("an event without a fate"))?;
        match result.status() {
            EventStatus::Accepted => {
                Ok(json!({ "success": true, "eventId": id.to_string(), "acknowledged": true }))
            }
            EventStatus::Refused => Err(refused(&result.error)),
            EventStatus::Retry | EventStatus::Unspecified => {
                Err(Error::store_unavailable("the event could not be kept"))
            }
        }
    })
    .await
}

/// Returns whose the event of an install is, and the zone of its device. An install that was answered and is not stored yet is
/// unknown to the database; its id is of a form of its own. While the database is away every install is believed.
async fn source(sdk: &Sdk, parts: &Parts, install: InstallId) -> Result<(events::Source, String)> {
    let site = sdk.sites.of(parts);
    let who = who(&sdk.env, &parts.headers, "").await?;
    let scope = async || scope(sdk, who, &site).await;
    match timeout(PATIENCE, installs::find_anywhere(&sdk.env, install)).await {
        Ok(Ok(Some(row))) => {
            let report = InstallRecord::decode(&row.report[..]).unwrap_or_default();
            Ok((events::Source { workspace: row.workspace_id, app: row.app_id }, report.time_zone))
        }
        Ok(Ok(None)) if !is_provisional(install) => Err(Error::not_found("install")),
        Ok(Ok(None) | Err(_)) | Err(_) => {
            let scope = scope().await?;
            Ok((events::Source { workspace: scope.workspace, app: scope.app }, String::new()))
        }
    }
}

/// Says whether an id was made by [`installs::report::provisional_id`]: no other install has one of that version.
fn is_provisional(install: InstallId) -> bool {
    install.0.get_version_num() == 8
}

/// Says why an event is refused: another one has its id, or a field of it is wrong.
fn refused(why: &str) -> Error {
    let (field, why) = why.split_once(": ").unwrap_or(("event", why));
    if field == "event_id" {
        return Error::new(Reason::AlreadyExists, why.to_owned());
    }
    Error::invalid_field(field, why)
}

/// Returns the install that an SDK says it is, if that is known.
async fn recognise(env: &Env, report: &InstallRecord, id: InstallId) -> Option<Answer> {
    let (workspace, _) = installs::whose(report).ok()?;
    let found = timeout(PATIENCE, installs::find(env, workspace, id)).await;
    found.ok()?.ok().flatten().map(installs::answer)
}

/// Reads the report of an install.
async fn report(sdk: &Sdk, parts: &Parts, body: &mut Body) -> Result<InstallRecord> {
    let (env, now) = (&sdk.env, sdk.env.now());
    let token = body.text("appToken", MAX_NAME);
    let scope = scope(sdk, who(env, &parts.headers, &token).await?, &sdk.sites.of(parts)).await?;
    let mut user_agent = body.text("userAgent", 512);
    if user_agent.is_empty() {
        user_agent = header_text(&parts.headers, &header::USER_AGENT);
    }
    let platform = platform(&body.text("platform", 32), &user_agent);
    let (mut name, mut version) = (body.text("sdkName", MAX_NAME), body.text("sdkVersion", MAX_NAME));
    if name.is_empty() {
        let said = header_text(&parts.headers, &header::HeaderName::from_static("x-linkforty-sdk"));
        let (said_name, said_version) = said.split_once('/').unwrap_or((&said, ""));
        name = said_name.chars().take(MAX_NAME).collect();
        version = said_version.chars().take(MAX_NAME).collect();
    }
    let hours = body.count("attributionWindowHours").min(MAX_WINDOW_HOURS);
    let base = scope.begin(env, client(parts), platform, now);
    let mut report = InstallRecord {
        os_version: body.text("platformVersion", 32),
        model: body.text("deviceModel", 64),
        time_zone: body.text("timezone", 64),
        language: body.text("language", 35),
        screen_width: body.count("screenWidth").min(100_000),
        screen_height: body.count("screenHeight").min(100_000),
        app_version: body.text("appVersion", 64),
        sdk_name: name,
        sdk_version: version,
        user_agent,
        window_seconds: i64::from(hours * HOUR),
        store_referrer: unwrapped(&body.text("installReferrer", 2048)).into_owned(),
        opened_url: body.text("clickId", 2048),
        ..base
    };
    let device = body.text("deviceId", 255);
    let (keys, fleeting) = if device.is_empty() {
        (vec![scope.key(env, "likeness", &likeness(&report))], true)
    } else {
        (vec![scope.key(env, "device", &device)], false)
    };
    known_by(&mut report, keys, fleeting, now);
    Ok(report)
}

/// Returns what a device is known by that has no id.
fn likeness(report: &InstallRecord) -> String {
    let network = HEXLOWER.encode(&report.network);
    let screen = format!("{}x{}", report.screen_width, report.screen_height);
    let parts =
        [&network, &report.user_agent, &report.os_version, &screen, &report.time_zone, &report.language];
    parts.map(String::as_str).join("\n")
}

/// Returns the platform that an app says, or its user agent.
pub fn platform(said: &str, user_agent: &str) -> Platform {
    match system_named(said) {
        Some(System::Ios) => return Platform::Ios,
        Some(System::Android) => return Platform::Android,
        Some(System::Other) | None => {}
    }
    let agent = user_agent.to_ascii_lowercase();
    if ["ios/", "iphone", "ipad", "ipod"].iter().any(|name| agent.contains(name)) {
        Platform::Ios
    } else if agent.contains("android") {
        Platform::Android
    } else {
        Platform::Unspecified
    }
}

async fn resolve(State(sdk): State<Sdk>, Path(code): Path<String>, request: Request) -> Response {
    resolved(&sdk, None, code, request).await
}

async fn resolve_long(
    State(sdk): State<Sdk>,
    Path((slug, code)): Path<(String, String)>,
    request: Request,
) -> Response {
    resolved(&sdk, Some(slug), code, request).await
}

async fn resolved(sdk: &Sdk, slug: Option<String>, code: String, request: Request) -> Response {
    answered(async {
        let (parts, _) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let workspace = who(&sdk.env, &parts.headers, "").await?.workspace();
        let hints = hints(&query);
        let user_agent = header_text(&parts.headers, &header::USER_AGENT);
        let said = hints.platform.unwrap_or_default();
        let device = Device {
            platform: platform(&said, &user_agent).into(),
            language: hints.language.unwrap_or_default(),
            ..Device::default()
        };
        let opened = Opened { site: sdk.sites.of(&parts), slug, code, query };
        let asking = Asking {
            click: None,
            time: sdk.env.now(),
            device,
            client: client(&parts),
            identities: Vec::new(),
        };
        Ok(wire::deep_link(&opens::open(sdk, workspace, opened, asking).await?))
    })
    .await
}

async fn create_link(State(sdk): State<Sdk>, request: Request) -> Response {
    answered(async {
        let (parts, mut body) = read(request).await?;
        let who = who(&sdk.env, &parts.headers, "").await?;
        let (scope, tenant) =
            enter_to_create(&sdk.env, who, origin(&parts.headers, &parts.extensions)).await?;
        let wanted = Wanted {
            external_user_id: body.text("externalUserId", 256),
            parameters: body.texts("deepLinkParameters"),
            path: body.text("deepLinkPath", 2049),
            title: body.text("title", 256),
            description: body.text("description", 2001),
            short_code: body.text("customCode", 64),
            utm: body.texts("utmParameters"),
            template_slug: body.text("templateSlug", 64),
            template_id: body.text("templateId", 64),
            web_url: body.text("webFallbackUrl", 2049),
        };
        body.end()?;
        let (link, deduplicated) = share_in(&sdk, &scope, &tenant, wanted).await?;
        Ok(json!({
            "url": link.short_url,
            "short_url": link.short_url,
            "shortCode": link.short_code,
            "short_code": link.short_code,
            "linkId": link.id,
            "id": link.id,
            "deduplicated": deduplicated,
        }))
    })
    .await
}

/// An app says that it got what a link hands over. Where the workspace wants that, it is erased.
async fn acknowledge(State(sdk): State<Sdk>, Path(code): Path<String>, request: Request) -> Response {
    answered(async {
        let (parts, _) = request.into_parts();
        let who = who(&sdk.env, &parts.headers, "").await?;
        let (_, tenant) = enter_to_create(&sdk.env, who, origin(&parts.headers, &parts.extensions)).await?;
        let site = sdk.sites.of(&parts);
        match site {
            Site::Own | Site::Of(_) => {}
            Site::Unknown => return Err(Error::not_found("link")),
            Site::Away => return Err(Error::store_unavailable("nobody knows the domains yet")),
        }
        let erased = acknowledge_link(&sdk.env, &tenant, (site.namespace(), &site.code(&code))).await?;
        let erased = erased == Acknowledged::Erased;
        Ok(json!({ "success": true, "acknowledged": true, "erased": erased }))
    })
    .await
}

async fn health(State(sdk): State<Sdk>) -> Response {
    let now = sdk.env.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    written(StatusCode::OK, &json!({ "status": "healthy", "version": "v1", "timestamp": now }))
}

/// Reads the body of a request.
async fn read(request: Request) -> Result<(Parts, Body)> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, MAX_BODY).await;
    let bytes = bytes.map_err(|_| Error::invalid_field("body", "must be at most 1 MiB"))?;
    Ok((parts, Body::read(&bytes)?))
}

fn client(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(|client| client.0)
}

fn header_text(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Answers in JSON, whatever became of it.
async fn answered(work: impl Future<Output = Result<Value>>) -> Response {
    match work.await {
        Ok(value) => written(StatusCode::OK, &value),
        Err(error) => failed(&error),
    }
}

fn written(status: StatusCode, value: &Value) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, value.to_string()).into_response()
}

/// Writes an error in the words of LinkForty's API. SDKs send again what is answered with 5xx, so that is kept for what may succeed then.
fn failed(error: &Error) -> Response {
    let status = match error.kind() {
        // What stands in the way is something of the caller's.
        Kind::Precondition => 409,
        kind => kind.http_status(),
    };
    if error.kind() == Kind::Internal {
        tracing::error!(cause = %error.inward(), "a call of an SDK failed");
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields =
        error.violations().iter().map(|wrong| (wrong.field.clone(), Value::from(wrong.description.as_str())));
    let mut body = json!({
        "success": false,
        "error": status.canonical_reason().unwrap_or("Error"),
        "message": error.message(),
        "reason": error.reason_name(),
        "statusCode": status.as_u16(),
    });
    let validation: serde_json::Map<String, Value> = fields.collect();
    if !validation.is_empty() {
        body["validation"] = validation.into();
    }
    let mut response = written(status, &body);
    if let Some(delay) = error.retry_delay() {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds.max(1)));
    }
    response
}
