//! Gives every request an id and a place in a trace, and both to every log line about it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::{Instrument as _, field::Empty};
use uuid::Uuid;

use super::ClientAddress;
use crate::{clock::Moment, env::Env, ids::Ids};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Opens the span that every log line of the request carries, and sends the request id back.
pub(super) async fn identify(State(env): State<Arc<Env>>, mut request: Request, next: Next) -> Response {
    let id = id(request.headers(), &env.ids, env.now());
    let trace = Trace::continued(request.headers(), u64::from_be_bytes(env.ids.bytes::<8>()))
        .unwrap_or_else(|| Trace::begun(env.ids.bytes::<16>(), env.ids.bytes::<8>()));

    let client = request.extensions().get::<ClientAddress>().map(|client| client.0);
    let span = tracing::info_span!(
        "request",
        request_id = id.to_str().unwrap_or_default(),
        trace_id = format_args!("{:032x}", trace.id),
        span_id = format_args!("{:016x}", trace.span),
        parent_id = Empty,
        path = request.uri().path(),
        client = client.map(tracing::field::display),
        caller = Empty,
    );
    if let Some(parent) = trace.parent {
        span.record("parent_id", tracing::field::display(format_args!("{parent:016x}")));
    }
    // Rooms that call others pass these on.
    request.headers_mut().insert(REQUEST_ID, id.clone());
    if let Ok(value) = HeaderValue::try_from(trace.header()) {
        request.headers_mut().insert(TRACEPARENT, value);
    }
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Returns the id that a request came with, where that may stand in logs and headers, or a new one.
pub(super) fn id(headers: &HeaderMap, ids: &Ids, now: Moment) -> HeaderValue {
    headers.get(&REQUEST_ID).filter(|value| is_sane(value)).cloned().unwrap_or_else(|| mint(ids, now))
}

fn mint(ids: &Ids, now: Moment) -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = ids.uuid(now).as_hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// Says whether a client's request id may stand in our logs and headers.
fn is_sane(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// A place in a trace (W3C Trace Context, level 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    id: u128,
    /// The span of this request.
    span: u64,
    /// The span it was called from.
    parent: Option<u64>,
    flags: u8,
}

impl Trace {
    fn begun(id: [u8; 16], span: [u8; 8]) -> Self {
        // All zeros would mean none.
        let (id, span) = (u128::from_be_bytes(id).max(1), u64::from_be_bytes(span).max(1));
        Self { id, span, parent: None, flags: 0 }
    }

    /// Goes on with the trace of the caller, if there is a well-formed one.
    fn continued(headers: &HeaderMap, span: u64) -> Option<Self> {
        let text = headers.get(&TRACEPARENT)?.to_str().ok()?;
        let mut parts = text.split('-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length: usize| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        if !(hex(version, 2) && hex(id, 32) && hex(parent, 16) && hex(flags, 2)) || version == "ff" {
            return None;
        }
        // Version 0 has four parts; later ones may have more.
        if version == "00" && parts.next().is_some() {
            return None;
        }
        let id = u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
        let parent = u64::from_str_radix(parent, 16).ok().filter(|parent| *parent != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()? & 1;
        Some(Self { id, span: span.max(1), parent: Some(parent), flags })
    }

    fn header(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.id, self.span, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_only_when_it_is_well_formed() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (text, continued) in [
            (good, true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_static(text));
            assert_eq!(Trace::continued(&headers, 7).is_some(), continued, "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(good));
        let trace = Trace::continued(&headers, 7).expect("well formed");
        assert_eq!(trace.header(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01");
        assert_eq!(trace.parent, Some(0x00f0_67aa_0ba9_02b7));
    }

    #[test]
    fn request_ids_that_could_spoil_a_log_are_replaced() {
        for (text, expected) in [
            ("abc-123_X.y", true),
            ("", false),
            ("a b", false),
            ("{\"a\":1}", false),
            ("00000000000000000000000000000000000000000000000000000000000000000", false),
        ] {
            assert_eq!(is_sane(&HeaderValue::from_static(text)), expected, "{text}");
        }
    }
}
