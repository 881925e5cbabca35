//! The links listener: a redirect is looked for before anything else, through as few layers as can be answered for; what is no
//! short link goes on to a router with the usual ones.

use std::{
    any::Any,
    convert::Infallible,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use axum::{Router, extract, response::IntoResponse as _, routing::get};
use bytes::Bytes;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Either, Ready, ready},
};
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt as _;

use super::{
    guesses::Guesses,
    health::{Eyes, Health},
    layers::{
        self, Methods, ONLY_HTTPS, Redirected, client_address, is_trusted, network_of, overloaded, panic_text,
    },
    listen::{Peer, with_peer},
    refusal::{is_method_path, refuse, refuse_with, unknown_method, unknown_path, whole_seconds},
};
use crate::{
    admission::{Admission, Class, Party},
    apps::{self, Associations, File, Found, Whose},
    attribution::postbacks::is_postback,
    clicks::class::Edge,
    domains::{Site, Sites},
    env::Env,
    error::{Error, Reason},
    limits::Limits,
    redirect::{
        Ending, Redirects, Waits, attempted, code_of, drawn, is_form, long_form, looked_up, reported, viewed,
    },
};

/// The largest form that can hold a password.
const MAX_FORM: usize = 4096;
/// The largest form that can hold a report: every character may take twelve bytes.
const MAX_REPORT: usize = 32 * 1024;
/// The longest a visitor is made to wait.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(2);

/// Answers the requests of the listener. Clones share everything.
#[derive(Clone)]
pub(super) struct Visits(Arc<Shared>);

struct Shared {
    env: Env,
    sites: Sites,
    redirects: Redirects,
    admission: Admission,
    guesses: Guesses,
    calls: Handle,
    redirected: Redirected,
    router: Router,
    /// Whether the server's own host is never reached but over HTTPS.
    only_https: bool,
}

/// What visitors that cannot be answered at once are bounded by.
pub(super) struct Bounds {
    pub admission: Admission,
    pub limits: Arc<dyn Limits>,
    /// Where calls of apps are worked on.
    pub calls: Handle,
}

/// A redirect's few bytes, or whatever the router makes.
type Body = http_body_util::Either<Full<Bytes>, axum::body::Body>;
/// What is answered at once, or whatever takes longer.
pub(super) type Answering =
    Either<Ready<Result<Response<Body>, Infallible>>, BoxFuture<'static, Result<Response<Body>, Infallible>>>;

impl Visits {
    pub(super) fn new(
        env: &Env,
        health: &Health,
        sites: Sites,
        redirects: Redirects,
        associations: Associations,
        for_apps: Router,
        bounds: Bounds,
    ) -> Self {
        let router = Router::new()
            .merge(health.routes(Eyes::Public))
            .merge(for_apps)
            .merge(files(&sites, &associations))
            .fallback(async |method: Method, uri: http::Uri| {
                let reads = matches!(method, Method::GET | Method::HEAD);
                match uri.path() {
                    path if is_method_path(path) => refuse(unknown_method()),
                    path if !reads && is_visit(path) && !is_of_apps(path) => only_followed(),
                    _ => refuse(unknown_path()),
                }
            });
        Self(Arc::new(Shared {
            env: env.clone(),
            sites,
            redirects,
            admission: bounds.admission,
            guesses: Guesses::new(bounds.limits),
            calls: bounds.calls,
            redirected: Redirected::new(),
            only_https: env.config.is_reached_by_https(),
            router: layers::common(router, "links", env, &Arc::new(Methods::of_the_contract())),
        }))
    }

    /// Answers one request: a visit to a warm link at once, everything else as soon as it can. What waits is in a box, so that a
    /// visit that waits for nothing does not carry the room that the longest wait takes.
    pub(super) fn answer(&self, peer: Peer, request: Request<Incoming>) -> Answering {
        let (parts, body) = request.into_parts();
        let mut waits = None;
        if matches!(parts.method, Method::GET | Method::HEAD)
            && let Some(code) = code_of(parts.uri.path())
        {
            let begun = Instant::now();
            let site = self.0.sites.of(&parts);
            match visit_at_once(&self.0, peer, &site, code, &parts) {
                Ok(mut response) => {
                    self.0.keep_to_https(&site, &mut response);
                    self.0.redirected.count(response.status().as_u16(), begun.elapsed());
                    return Either::Left(ready(Ok(response.map(Body::Left))));
                }
                Err(why) => waits = Some((why, site, begun)),
            }
        }
        Either::Right(Box::pin(answer_later(self.0.clone(), peer, parts, body, waits)))
    }
}

impl Shared {
    /// Has browsers come over HTTPS from now on, to the server's own host: of others their workspaces decide.
    fn keep_to_https<B>(&self, site: &Site, response: &mut Response<B>) {
        if self.only_https && matches!(site, Site::Own) {
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, ONLY_HTTPS);
        }
    }
}

/// Returns the routes of the files by which Apple and Android know whose apps open links. Apple asks in two places.
fn files(sites: &Sites, associations: &Associations) -> Router {
    let file = |file: File| {
        let (sites, associations) = (sites.clone(), associations.clone());
        get(async move |request: extract::Request| answer_file(&sites, &associations, file, request).await)
    };
    Router::new()
        .route("/.well-known/apple-app-site-association", file(File::Apple))
        .route("/apple-app-site-association", file(File::Apple))
        .route("/.well-known/assetlinks.json", file(File::Android))
}

async fn answer_file(
    sites: &Sites,
    associations: &Associations,
    file: File,
    request: extract::Request,
) -> axum::response::Response {
    let parts = request.into_parts().0;
    let site = sites.of(&parts);
    let found = match &site {
        Site::Own => associations.find(file, Whose::Own).await,
        Site::Of(domain) => associations.find(file, Whose::Of(domain.workspace_id, &domain.host)).await,
        Site::Unknown => Found::None,
        Site::Away => Found::Away,
    };
    match found {
        Found::File(body) => apps::answer(&body, &parts.headers).into_response(),
        Found::None => refuse(Error::not_found("file: no app opens links of this host")),
        // Never a 404, which would be believed for days.
        Found::Away => refuse(Error::store_unavailable("nobody knows the association files yet")),
    }
}

async fn answer_later(
    shared: Arc<Shared>,
    peer: Peer,
    parts: Parts,
    body: Incoming,
    waits: Option<(Waits, Site, Instant)>,
) -> Result<Response<Body>, Infallible> {
    let path = parts.uri.path();
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let (begun, mut response) = if let Some((waits, site, begun)) = waits {
        let (client, edge) = known(&shared, peer, &parts);
        // A path that names no code does not wait for a link.
        let code = code_of(path).unwrap_or_default();
        let followed = shared.redirects.follow_later(&site, code, &parts, client, edge, waits);
        (begun, guarded(&shared, network_of(client), path, followed).await)
    } else if reads
        && let (begun, Some(response)) = (Instant::now(), aside(&shared, peer, path, &parts).await)
    {
        (begun, response)
    } else if let Some(code) = reported(path).filter(|_| reads || is_report(&parts)) {
        let mut response = report(&shared, peer, code, &parts, body).await;
        shared.keep_to_https(&shared.sites.of(&parts), &mut response);
        return Ok(response.map(Body::Left));
    } else if let Some(code) = attempted(&parts) {
        let begun = Instant::now();
        (begun, attempt(&shared, peer, code, &parts, body).await)
    } else {
        if !reads && is_visit(path) && !is_of_apps(path) {
            shared.redirects.count(Ending::Method);
        }
        let of_apps = is_of_apps(path);
        let request = with_peer(Request::from_parts(parts, axum::body::Body::new(body)), peer);
        let answered = shared.router.clone().oneshot(request);
        let response = if of_apps {
            // Whoever hangs up ends it, as if it were worked on here.
            let worked = AbortOnDropHandle::new(shared.calls.spawn(answered)).await;
            worked.unwrap_or_else(|_| Ok(refuse(Error::internal("a call ended before its answer"))))?
        } else {
            answered.await?
        };
        return Ok(response.map(Body::Right));
    };
    shared.keep_to_https(&shared.sites.of(&parts), &mut response);
    shared.redirected.count(response.status().as_u16(), begun.elapsed());
    Ok(response.map(Body::Left))
}

/// Answers a visit to a short link that need not wait for anything, and answers for a defect of ours.
fn visit_at_once(
    shared: &Shared,
    peer: Peer,
    site: &Site,
    code: &str,
    parts: &Parts,
) -> Result<Response<Full<Bytes>>, Waits> {
    let (client, edge) = known(shared, peer, parts);
    let work = || shared.redirects.follow_at_once(site, code, parts, client, edge);
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Ok(failed(shared, parts.uri.path(), &*panic)))
}

/// Answers what is about links and domains without being a link, and links in their long form. A code may be asked for at `/{code}/qr`, so no
/// template's link can be `qr`.
async fn aside(shared: &Shared, peer: Peer, path: &str, parts: &Parts) -> Option<Response<Full<Bytes>>> {
    if path == "/" {
        return shared.redirects.root(&shared.sites.of(parts), parts);
    }
    if path == "/robots.txt" {
        return Some(shared.redirects.robots(&shared.sites.of(parts), parts));
    }
    if let Some(code) = drawn(path) {
        let site = shared.sites.of(parts);
        let household = network_of(known(shared, peer, parts).0);
        let drawn = shared.redirects.draw(&site, code, parts, household);
        return Some(guarded(shared, household, path, drawn).await);
    }
    if let Some(code) = looked_up(path) {
        let site = shared.sites.of(parts);
        let household = network_of(known(shared, peer, parts).0);
        return Some(guarded(shared, household, path, shared.redirects.look(&site, code, parts)).await);
    }
    let place = long_form(path)?;
    let site = shared.sites.of(parts);
    let (client, edge) = known(shared, peer, parts);
    if let Some(code) = viewed(path) {
        let seen = shared.redirects.view(&site, code, parts, client, edge);
        return Some(guarded(shared, network_of(client), path, seen).await);
    }
    let followed = shared.redirects.follow_long(&site, place, parts, client, edge);
    Some(guarded(shared, network_of(client), path, followed).await)
}

/// Answers an attempt to unlock a link.
async fn attempt(
    shared: &Shared,
    peer: Peer,
    code: &str,
    parts: &Parts,
    body: Incoming,
) -> Response<Full<Bytes>> {
    let (client, edge) = known(shared, peer, parts);
    let unlocked = async {
        let Ok(form) = Limited::new(body, MAX_FORM).collect().await else {
            shared.redirects.count(Ending::Method);
            return too_large();
        };
        let visitor = (client, network_of(client));
        let site = shared.sites.of(parts);
        shared.redirects.unlock((&site, code), parts, visitor, edge, &form.to_bytes()).await
    };
    guarded(shared, network_of(client), parts.uri.path(), unlocked).await
}

/// Answers who wants to report a link, or did.
async fn report(
    shared: &Shared,
    peer: Peer,
    code: &str,
    parts: &Parts,
    body: Incoming,
) -> Response<Full<Bytes>> {
    let household = network_of(known(shared, peer, parts).0);
    let heard = async {
        let site = shared.sites.of(parts);
        if parts.method != Method::POST {
            return shared.redirects.ask_for_report(&site, code, parts).await;
        }
        let Ok(form) = Limited::new(body, MAX_REPORT).collect().await else { return too_large() };
        shared.redirects.hear_report((&site, code), parts, household, &form.to_bytes()).await
    };
    guarded(shared, household, parts.uri.path(), heard).await
}

/// Returns where a request came from, and whether what a proxy says of bots counts.
fn known(shared: &Shared, peer: Peer, parts: &Parts) -> (IpAddr, Edge) {
    let config = &shared.env.config;
    let believed = config.trust_edge_bot_header && is_trusted(peer.remote.ip(), &config.trusted_proxies);
    let edge = if believed { Edge::Believed } else { Edge::Ignored };
    (client_address(peer.remote.ip(), &parts.headers, &config.trusted_proxies), edge)
}

/// Waits for an answer, but neither for long nor with too many others nor for somebody who only guesses, and answers for a defect of
/// ours.
async fn guarded(
    shared: &Shared,
    household: IpAddr,
    path: &str,
    work: impl Future<Output = Response<Full<Bytes>>>,
) -> Response<Full<Bytes>> {
    let now = shared.env.now();
    if let Some(wait) = shared.guesses.has_to_wait(household, now) {
        shared.redirects.count(Ending::Throttled);
        let error = Error::new(Reason::RateLimited, "too many codes that nobody made; wait a moment");
        return sorry(&error.retry_after(wait));
    }
    // Visitors take no turns: whoever comes is one of the links'.
    let Ok(_place) = shared.admission.enter_at_once(Class::Redirect, Party(0)) else {
        shared.redirects.count(Ending::Overloaded);
        return sorry(&overloaded(&shared.env.ids));
    };
    match timeout(LONGEST, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(response)) => {
            if response.status() == http::StatusCode::NOT_FOUND {
                shared.guesses.note(household, now);
            }
            response
        }
        Ok(Err(panic)) => failed(shared, path, &*panic),
        Err(_) => {
            shared.redirects.count(Ending::Late);
            tracing::warn!(path, "a redirect took too long");
            sorry(&Error::new(Reason::StoreUnavailable, "the link cannot be looked up at the moment"))
        }
    }
}

/// Says whether a path is one that apps and the devices they are on call.
fn is_of_apps(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/linkforty.sdk.") || is_postback(path)
}

/// Says whether a path can be a short link, in either form.
fn is_visit(path: &str) -> bool {
    code_of(path).is_some() || long_form(path).is_some()
}

/// Says whether a request can carry what a visitor reports.
fn is_report(request: &Parts) -> bool {
    request.method == Method::POST && is_form(&request.headers)
}

/// Answers for a defect of ours.
#[cold]
fn failed(shared: &Shared, path: &str, panic: &(dyn Any + Send)) -> Response<Full<Bytes>> {
    shared.redirects.count(Ending::Failed);
    let error = Error::internal(panic_text(panic));
    tracing::error!(cause = %error.inward(), path, "a redirect failed by our fault");
    sorry(&error)
}

/// Refuses what is done to a link other than following it.
fn only_followed() -> axum::response::Response {
    let error = Error::not_found("page: links are followed, by GET or HEAD");
    let mut response = refuse_with(http::StatusCode::METHOD_NOT_ALLOWED, error);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn too_large() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("That is longer than any form here.\n"));
    *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Asks a visitor to come back. Never a 404, which would be believed and remembered.
fn sorry(error: &Error) -> Response<Full<Bytes>> {
    let mut response =
        Response::new(Full::from("This link cannot be opened at the moment. Please try again.\n"));
    *response.status_mut() = http::StatusCode::from_u16(error.kind().http_status())
        .unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let wait = error.retry_delay().map_or(1, whole_seconds);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}
