//! Keeps out what browsers send for other people's pages.
//!
//! tonic looks at neither content type nor origin, and a page may send a cross-site POST with a plain content type without
//! asking first. With tokens in a header that is harmless; a call that carries the dashboard's cookie must have come from the
//! dashboard, and say so.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, ORIGIN},
};
use url::Url;

use super::cors;
use crate::{
    accounts::cookie,
    env::Env,
    error::{Error, Reason},
    serve::refusal::{refuse, refuse_with},
};

/// Refuses what is no gRPC and what pages of other origins send.
pub(super) async fn content_type_and_origin(
    State(env): State<Arc<Env>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_grpc(request.headers()) {
        return refuse_with(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Error::new(
                Reason::NotGrpc,
                "methods are called with gRPC or grpc-web: content-type application/grpc",
            ),
        );
    }
    let headers = request.headers();
    if cookie::read(&env.config, headers).is_some() && !cookie::is_sent_by_the_dashboard(&env.config, headers)
    {
        return refuse(Error::new(
            Reason::CookieNotAllowed,
            "the session cookie is for pages of the dashboard, which the operator lists in FRONTEND_URL",
        ));
    }
    if !is_welcome(request.headers(), &env.config.frontend_urls) {
        return refuse(Error::new(
            Reason::OriginNotAllowed,
            "pages of this origin may not call; the operator lists those that may in FRONTEND_URL",
        ));
    }
    next.run(request).await
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let kind = value.split(';').next().unwrap_or_default().trim();
    ["application/grpc", "application/grpc-web", "application/grpc-web-text"]
        .iter()
        .any(|known| kind.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest == "+proto"))
}

/// Programs send no origin. Pages always do, when they call other sites.
fn is_welcome(headers: &HeaderMap, frontend_urls: &[Url]) -> bool {
    headers.get(ORIGIN).is_none_or(|origin| {
        frontend_urls.iter().any(|url| cors::origin(url).as_bytes() == origin.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_grpc_content_types_pass() {
        for (content_type, expected) in [
            (Some("application/grpc"), true),
            (Some("application/grpc+proto"), true),
            (Some("application/grpc-web"), true),
            (Some("application/grpc-web+proto"), true),
            (Some("application/grpc-web-text+proto"), true),
            (Some("application/grpc-web;charset=utf-8"), true),
            (Some("application/grpc+json"), false),
            (Some("application/grpcx"), false),
            (Some("application/json"), false),
            (Some("text/plain"), false),
            (Some("text/plain; application/grpc"), false),
            (Some("application/x-www-form-urlencoded"), false),
            (Some(""), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(content_type) = content_type {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            assert_eq!(is_grpc(&headers), expected, "{content_type:?}");
        }
    }

    #[test]
    fn only_pages_of_the_dashboard_pass() {
        let frontend: Vec<Url> = vec!["https://dash.example.com".parse().expect("a URL")];
        for (origin, expected) in [
            (None, true),
            (Some("https://dash.example.com"), true),
            (Some("https://dash.example.com:8443"), false),
            (Some("http://dash.example.com"), false),
            (Some("https://dash.example.com.evil.example"), false),
            (Some("https://evil.example"), false),
            (Some("null"), false),
            (Some(""), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_welcome(&headers, &frontend), expected, "{origin:?}");
        }
    }
}
