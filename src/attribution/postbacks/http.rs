//! Where devices send postbacks: two paths of the links listener, on every host that answers.
//!
//! | answer | when |
//! |---|---|
//! | 200 | it is stored, or on this node's disk; also when it is forged, repeated or about an app that nobody has here |
//! | 400 | it names no app: nobody could be asked whose it is |
//! | 404 | the host is none of this server's |
//! | 413, 415 | it is more than 16 KiB, or no JSON |
//! | 503 | it can be kept nowhere at the moment. Apple sends it again, up to nine times in nine days |

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::receive;
use crate::{attribution::Sdk, error::Error, pb::v1::PostbackKind};

/// The largest body. Real ones have less than 2 KiB.
const MAX_BODY: usize = 16 * 1024;
/// Where devices send those of SKAdNetwork.
const SKADNETWORK: &str = "/.well-known/skadnetwork/report-attribution";
/// The same of AdAttributionKit.
const AD_ATTRIBUTION_KIT: &str = "/.well-known/appattribution/report-attribution";

/// Says whether devices send postbacks to a path.
pub fn is_postback(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path == SKADNETWORK || path == AD_ATTRIBUTION_KIT
}

/// Returns the routes. Apple's own URL ends with a slash; proxies take it off.
pub fn router(sdk: Sdk) -> Router {
    let skan = async |State(sdk): State<Sdk>, request: Request| {
        answer(&sdk, PostbackKind::Skadnetwork, request).await
    };
    let aak = async |State(sdk): State<Sdk>, request: Request| {
        answer(&sdk, PostbackKind::AdAttributionKit, request).await
    };
    let slashed = |path: &str| format!("{path}/");
    Router::new()
        .route(SKADNETWORK, post(skan))
        .route(&slashed(SKADNETWORK), post(skan))
        .route(AD_ATTRIBUTION_KIT, post(aak))
        .route(&slashed(AD_ATTRIBUTION_KIT), post(aak))
        .with_state(sdk)
}

async fn answer(sdk: &Sdk, kind: PostbackKind, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        return written(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json");
    }
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return written(StatusCode::PAYLOAD_TOO_LARGE, "the body must be at most 16 KiB");
    };
    match receive(sdk, &sdk.sites.of(&parts), kind, &body).await {
        Ok(_) => written(StatusCode::OK, ""),
        Err(error) => failed(&error),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = said.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn failed(error: &Error) -> Response {
    let status =
        StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::warn!(cause = %error.inward(), "a postback could not be kept");
    }
    let says = error.violations().first().map_or(error.message(), |violation| violation.description.as_str());
    written(status, says)
}

/// Answers in JSON. Nobody reads it but people who try.
fn written(status: StatusCode, error: &str) -> Response {
    let body = if error.is_empty() { json!({}) } else { json!({ "error": error }) };
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_paths_are_known_with_and_without_the_slash() {
        for (path, expected) in [
            ("/.well-known/skadnetwork/report-attribution/", true),
            ("/.well-known/skadnetwork/report-attribution", true),
            ("/.well-known/appattribution/report-attribution/", true),
            ("/.well-known/appattribution/report-attribution", true),
            ("/.well-known/appattribution/report-attribution//", false),
            ("/.well-known/appattribution/", false),
            ("/report-attribution/", false),
        ] {
            assert_eq!(is_postback(path), expected, "{path}");
        }
    }
}
