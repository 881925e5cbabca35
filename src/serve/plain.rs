//! The listener behind port 80 (`LINKS_HTTP_ADDR`): it answers authorities that look whether a host is ours, and sends browsers on to
//! `https://`. Nothing else: a program that calls without encryption has sent its credentials to everybody, so it is refused, and its owner
//! notices.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Request},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderValue, Method, StatusCode, header};

use super::{
    layers::{self, Methods},
    refusal::{refuse, refuse_with, unknown_path},
};
use crate::{
    domains::{
        self, Site, Sites,
        certificates::{Answered, Challenges},
    },
    env::Env,
    error::{Error, Reason},
};

/// Returns the listener's router.
pub(super) fn router(env: &Env, sites: Sites, challenges: Option<Challenges>) -> Router {
    let port = env.config.links_url.port();
    let router = Router::new()
        .route(
            "/.well-known/acme-challenge/{token}",
            get(async move |Path(token): Path<String>| answer(challenges.as_ref(), &token).await),
        )
        .fallback(async move |request: Request| send_on(&sites, port, &request));
    layers::common(router, "plain", env, &Arc::new(Methods::of_the_contract()))
}

async fn answer(challenges: Option<&Challenges>, token: &str) -> Response {
    let answered = match challenges {
        Some(challenges) => challenges.text(token).await,
        None => Answered::Unknown,
    };
    match answered {
        Answered::Yes(text) => {
            let mut response = text.into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Answered::Unknown => refuse(unknown_path()),
        Answered::Away => refuse(Error::store_unavailable("the answer cannot be looked up at the moment")),
    }
}

/// Sends browsers on to the same page, encrypted.
fn send_on(sites: &Sites, port: Option<u16>, request: &Request) -> Response {
    let host = host(request);
    let name = host.split(':').next().unwrap_or_default().trim_end_matches('.');
    let is_known = match sites.named(name.as_bytes()) {
        Site::Of(_) => true,
        // An address and `localhost` are the server's own too, and nobody has a certificate for them.
        Site::Own => domains::parse_host(name).is_ok(),
        Site::Unknown => false,
        Site::Away => return refuse(Error::store_unavailable("nobody knows this host at the moment")),
    };
    if !is_known {
        return refuse_with(StatusCode::MISDIRECTED_REQUEST, unknown_path());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return refuse(Error::new(
            Reason::HttpsRequired,
            "call by https://; what was sent here was sent for everybody to read",
        ));
    }
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    match HeaderValue::try_from(format!("https://{name}{port}{path}")) {
        Ok(location) => {
            let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
            response.headers_mut().insert(header::LOCATION, location);
            // Not for good: whoever takes the host elsewhere takes its visitors along.
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
            response
        }
        Err(_) => refuse(unknown_path()),
    }
}

fn host(request: &Request) -> &str {
    match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    }
}
