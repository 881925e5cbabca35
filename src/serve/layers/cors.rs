//! Which browser pages may call.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};
use url::Url;

/// Headers of an answer that a page may read.
const EXPOSED: [HeaderName; 12] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("retry-after"),
    HeaderName::from_static("grpc-retry-pushback-ms"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];
/// Headers of a request that a page may send.
const ALLOWED: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("connect-protocol-version"),
];
/// The longest that browsers accept is two hours; a changed setting should be felt sooner.
const REMEMBERED_FOR: Duration = Duration::from_mins(10);

/// Whether pages may send the cookie along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookies {
    /// They may: the API has one.
    Allowed,
    /// There is none.
    None,
}

/// Lets the pages of the dashboard call, and no others.
pub(super) fn layer(frontend_urls: &[Url], cookies: Cookies) -> CorsLayer {
    let origins: Vec<HeaderValue> =
        frontend_urls.iter().filter_map(|url| HeaderValue::from_str(&origin(url)).ok()).collect();
    let known = origins.clone();
    let credentials =
        AllowCredentials::predicate(move |origin, _| cookies == Cookies::Allowed && known.contains(origin));
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(credentials)
        .allow_methods([Method::POST, Method::GET])
        .allow_headers(ALLOWED)
        .expose_headers(EXPOSED)
        .max_age(REMEMBERED_FOR)
}

/// Returns an origin as browsers write it.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
