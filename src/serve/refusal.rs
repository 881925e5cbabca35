//! How a layer says no.
//!
//! A layer knows that a call is refused and why, not how its caller speaks. So it answers with [`refuse`], which carries the
//! house's error, and one layer further out, [`word`], writes it down: as a trailers-only gRPC status, the same for grpc-web, or as
//! JSON for everybody else.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};

use crate::{
    error::{Error, Reason},
    rpc,
};

const GRPC_STATUS: &str = "grpc-status";
const GRPC_STATUS_DETAILS: &str = "grpc-status-details-bin";

/// A refusal on its way out.
#[derive(Debug, Clone)]
struct Refused(Arc<Error>);

/// Answers with an error.
pub(super) fn refuse(error: Error) -> Response {
    let status =
        StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    refuse_with(status, error)
}

/// Answers with an error, and with a status of its own for those who speak plain HTTP.
pub(super) fn refuse_with(status: StatusCode, error: Error) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(Refused(Arc::new(error)));
    response
}

/// Writes refusals as the caller speaks. Also gives the statuses that tonic makes by itself the reason that every error has.
pub(super) async fn word(request: Request, next: Next) -> Response {
    let tongue = Tongue::of(&request);
    let mut response = next.run(request).await;
    if let Some(Refused(error)) = response.extensions_mut().remove::<Refused>() {
        let mut answer = tongue.answer(response.status(), &error);
        // What layers said in headers of their own, such as how much is left of a limit.
        let said = response.headers_mut().drain().filter_map(|(name, value)| Some((name?, value)));
        for (name, value) in said.filter(|(name, _)| *name != CONTENT_LENGTH) {
            answer.headers_mut().entry(name).or_insert(value);
        }
        return answer;
    }
    match unexplained(&response) {
        Some(error) => tongue.answer(response.status(), &error),
        None => response,
    }
}

/// How a caller speaks.
enum Tongue {
    Grpc,
    GrpcWeb(HeaderValue),
    Plain { to_a_method: bool },
}

impl Tongue {
    fn of(request: &Request) -> Self {
        let content_type = request.headers().get(CONTENT_TYPE);
        match content_type.map(HeaderValue::as_bytes) {
            Some(bytes) if bytes.starts_with(b"application/grpc-web") => {
                Self::GrpcWeb(HeaderValue::from_bytes(bytes).unwrap_or(HeaderValue::from_static("")))
            }
            Some(bytes) if bytes.starts_with(b"application/grpc") => Self::Grpc,
            _ => Self::Plain { to_a_method: is_method_path(request.uri().path()) },
        }
    }

    fn answer(self, status: StatusCode, error: &Error) -> Response {
        match self {
            // Trailers only: the status stands among the headers and there is no body. grpc-web clients read it there too.
            Self::Grpc => grpc(HeaderValue::from_static("application/grpc"), error),
            Self::GrpcWeb(content_type) => grpc(content_type, error),
            Self::Plain { to_a_method } => {
                let body = serde_json::json!({
                    "error": { "reason": error.reason_name(), "message": error.message() }
                });
                let mut response = (status, body.to_string()).into_response();
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                if let Some(delay) = error.retry_delay() {
                    headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
                }
                // A gRPC client behind something that changed its content type still learns why.
                if to_a_method {
                    add_status(headers, error);
                }
                response
            }
        }
    }
}

/// Returns a wait in whole seconds, none of them too few.
pub(super) fn whole_seconds(delay: Duration) -> u64 {
    (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1)
}

/// Returns the headers that say no to a program that speaks gRPC.
pub(super) fn to_a_program(error: &Error) -> HeaderMap {
    grpc(HeaderValue::from_static("application/grpc"), error).into_parts().0.headers
}

fn grpc(content_type: HeaderValue, error: &Error) -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    add_status(response.headers_mut(), error);
    response
}

fn add_status(headers: &mut HeaderMap, error: &Error) {
    if rpc::status(error).add_header(headers).is_err() {
        headers.insert(GRPC_STATUS, HeaderValue::from(error.kind().grpc_code()));
    }
}

/// Returns what an error of tonic's own means in our words.
fn unexplained(response: &Response) -> Option<Error> {
    let headers = response.headers();
    if headers.contains_key(GRPC_STATUS_DETAILS) {
        return None;
    }
    match headers.get(GRPC_STATUS)?.as_bytes() {
        b"12" => Some(unknown_method()),
        // tonic's only OUT_OF_RANGE: a message over the size limit.
        // What tonic calls internal of its own accord is a message that it cannot read.
        b"13" => {
            Some(Error::new(Reason::NotGrpc, "the request holds no message, or one that cannot be read"))
        }
        b"11" => Some(Error::new(Reason::InvalidFields, "the message is larger than 1 MiB; split it up")),
        _ => None,
    }
}

/// Says that a path is no method.
pub(super) fn unknown_method() -> Error {
    Error::new(Reason::UnknownMethod, "there is no such method here")
}

/// Says that there is nothing at a path.
pub(super) fn unknown_path() -> Error {
    Error::not_found("page")
}

/// Says whether a path looks like `/package.Service/Method`.
pub(super) fn is_method_path(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    matches!((parts.next(), parts.next(), parts.next()), (Some(service), Some(method), None) if service.contains('.') && !method.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_paths_are_told_from_others() {
        for (path, expected) in [
            ("/linkforty.v1.LinkService/GetLink", true),
            ("/grpc.health.v1.Health/Check", true),
            ("/health", false),
            ("/", false),
            ("/a.b/", false),
            ("/.well-known/x/y", false),
            ("/spring", false),
        ] {
            assert_eq!(is_method_path(path), expected, "{path}");
        }
    }
}
