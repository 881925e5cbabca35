//! What browsers are told of every answer that is not a page of its own making: nothing in it is to be run, framed, guessed at or kept.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::env::Env;

/// What no answer goes without. Those that say something else of themselves, such as pages, keep it.
const TOLD: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Two years, as lists that browsers ship with ask for. Subdomains too: whoever holds the name holds those.
pub(in crate::serve) const ONLY_HTTPS: HeaderValue =
    HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// What a listener tells.
#[derive(Debug, Clone, Copy)]
pub(in crate::serve) struct Told {
    /// Whether answers are nobody's to keep.
    pub(super) secret: bool,
    /// Whether the host is reached over HTTPS and never otherwise.
    pub(super) only_https: bool,
}

impl Told {
    /// Returns what a listener of the house tells.
    pub(in crate::serve) fn by(listener: &str, env: &Env) -> Self {
        let api = listener == "api";
        // Of the links listener's hosts only its own are ours to speak for, and those are not told apart here.
        Self { secret: api, only_https: api && env.config.is_reached_by_https() }
    }

    /// Adds it to an answer that does not say otherwise.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        for (name, value) in TOLD {
            headers.entry(name).or_insert(value);
        }
        if self.secret {
            headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        if self.only_https {
            headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(ONLY_HTTPS);
        }
    }
}

/// Tells browsers.
pub(super) async fn tell(State(told): State<Told>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    told.write(response.headers_mut());
    response
}
