//! The links listener: a redirect is looked for before anything else, through as few layers as can be answered for; what is no
//! short link goes on to a router with the usual ones.

use std::{
    convert::Infallible, net::IpAddr, panic::AssertUnwindSafe, pin::pin, sync::Arc, task::Poll, time::Instant,
};

use axum::{Router, body::Body, extract, response::IntoResponse as _, routing::get};
use bytes::Bytes;
use futures::{FutureExt as _, poll};
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::timeout};
use tower::ServiceExt as _;

use super::{
    health::{Eyes, Health},
    layers::{self, Methods, Redirected, client_address, is_trusted, network_of, overloaded, panic_text},
    listen::{Peer, with_peer},
    refusal::{refuse, unknown_path},
};
use crate::{
    apps::{self, Associations, File, Found, Whose},
    clicks::class::Edge,
    env::Env,
    error::{Error, Reason},
    redirect::{Ending, Redirects, attempted, code_of, drawn, looked_up},
};

/// How many redirects are worked on at once. One out of memory takes microseconds; so many at once means that they wait for
/// the database.
const AT_ONCE: usize = 4096;
/// The largest form that can hold a password.
const MAX_FORM: usize = 4096;
/// The longest a visitor is made to wait.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(2);

/// Answers the requests of the listener. Clones share everything.
#[derive(Clone)]
pub(super) struct Visits(Arc<Shared>);

struct Shared {
    env: Env,
    redirects: Redirects,
    places: Semaphore,
    redirected: Redirected,
    router: Router,
}

/// A redirect's few bytes, or whatever the router makes.
type Answer = Response<Either<Full<Bytes>, Body>>;

impl Visits {
    pub(super) fn new(env: &Env, health: &Health, redirects: Redirects, associations: Associations) -> Self {
        let router = Router::new()
            .merge(health.routes(Eyes::Public))
            .merge(files(&associations))
            .fallback(async || refuse(unknown_path()));
        Self(Arc::new(Shared {
            env: env.clone(),
            redirects,
            places: Semaphore::new(AT_ONCE),
            redirected: Redirected::new(),
            router: layers::common(router, "links", env, &Arc::new(Methods::of_the_contract())),
        }))
    }

    /// Answers one request.
    pub(super) async fn answer(self, peer: Peer, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let Self(shared) = self;
        let (parts, body) = request.into_parts();
        if matches!(parts.method, Method::GET | Method::HEAD) {
            let begun = Instant::now();
            if let Some(response) = visit(&shared, peer, &parts).await {
                shared.redirected.count(response.status().as_u16(), begun.elapsed());
                return Ok(response.map(Either::Left));
            }
        }
        if let Some(code) = attempted(&parts) {
            let begun = Instant::now();
            let response = attempt(&shared, peer, code, &parts, body).await;
            shared.redirected.count(response.status().as_u16(), begun.elapsed());
            return Ok(response.map(Either::Left));
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) && code_of(parts.uri.path()).is_some() {
            shared.redirects.count(Ending::Method);
        }
        let request = with_peer(Request::from_parts(parts, Body::new(body)), peer);
        let response = shared.router.clone().oneshot(request).await?;
        Ok(response.map(Either::Right))
    }
}

/// Returns the routes of the files by which Apple and Android know whose apps open links. Apple asks in two places.
fn files(associations: &Associations) -> Router {
    let file = |file: File| {
        let associations = associations.clone();
        get(async move |request: extract::Request| answer_file(&associations, file, request).await)
    };
    Router::new()
        .route("/.well-known/apple-app-site-association", file(File::Apple))
        .route("/apple-app-site-association", file(File::Apple))
        .route("/.well-known/assetlinks.json", file(File::Android))
}

async fn answer_file(
    associations: &Associations,
    file: File,
    request: extract::Request,
) -> axum::response::Response {
    let parts = request.into_parts().0;
    match associations.find(file, Whose::Own).await {
        Found::File(body) => apps::answer(&body, &parts.headers).into_response(),
        Found::None => refuse(Error::not_found("file: no app opens links of this host")),
        // Never a 404, which would be believed for days.
        Found::Away => refuse(Error::store_unavailable("nobody knows the association files yet")),
    }
}

/// Answers a visit to a short link, a question where it leads, or one for its code; `None` for any other path.
async fn visit(shared: &Shared, peer: Peer, parts: &Parts) -> Option<Response<Full<Bytes>>> {
    let path = parts.uri.path();
    let Some(code) = code_of(path) else {
        if let Some(code) = drawn(path) {
            let (client, _) = known(shared, peer, parts);
            let drawing = shared.redirects.draw(code, parts, network_of(client));
            return Some(guarded(shared, path, drawing).await);
        }
        let code = looked_up(path)?;
        return Some(guarded(shared, path, shared.redirects.look(code, parts)).await);
    };
    let (client, edge) = known(shared, peer, parts);
    Some(guarded(shared, path, shared.redirects.follow(code, parts, client, edge)).await)
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
        shared.redirects.unlock(code, parts, visitor, edge, &form.to_bytes()).await
    };
    guarded(shared, parts.uri.path(), unlocked).await
}

/// Returns where a request came from, and whether what a proxy says of bots counts.
fn known(shared: &Shared, peer: Peer, parts: &Parts) -> (IpAddr, Edge) {
    let config = &shared.env.config;
    let believed = config.trust_edge_bot_header && is_trusted(peer.remote.ip(), &config.trusted_proxies);
    let edge = if believed { Edge::Believed } else { Edge::Ignored };
    (client_address(peer.remote.ip(), &parts.headers, &config.trusted_proxies), edge)
}

/// Waits for an answer, but neither for long nor with too many others, and answers for a defect of ours.
async fn guarded(
    shared: &Shared,
    path: &str,
    work: impl Future<Output = Response<Full<Bytes>>>,
) -> Response<Full<Bytes>> {
    let Ok(_place) = shared.places.try_acquire() else {
        shared.redirects.count(Ending::Overloaded);
        return sorry(&overloaded());
    };
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    // A warm link's answer is there at once, and needs no timer.
    let answer = match poll!(work.as_mut()) {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => timeout(LONGEST, work).await,
    };
    match answer {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            shared.redirects.count(Ending::Failed);
            let error = Error::internal(panic_text(&*panic));
            tracing::error!(cause = %error.inward(), path, "a redirect failed by our fault");
            sorry(&error)
        }
        Err(_) => {
            shared.redirects.count(Ending::Late);
            tracing::warn!(path, "a redirect took too long");
            sorry(&Error::new(Reason::StoreUnavailable, "the link cannot be looked up at the moment"))
        }
    }
}

fn too_large() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("No password is that long.\n"));
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
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
