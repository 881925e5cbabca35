//! How an association file is answered: as Apple's and Google's fetchers want it, without a redirect and as
//! `application/json` and nothing else.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::associations::Body;

/// How long others may keep a file. Apple keeps it for as long as it likes.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Answers with a file, or says that it is still what the asker has.
pub fn answer(body: &Body, request: &HeaderMap) -> Response<Full<Bytes>> {
    let known = is_known(request, &body.etag);
    let bytes = if known { Bytes::new() } else { body.bytes.clone() };
    let mut response = Response::new(Full::new(bytes));
    let headers = response.headers_mut();
    headers.insert(header::ETAG, body.etag.clone());
    headers.insert(header::CACHE_CONTROL, CACHED);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Compares weakly, as RFC 9110 wants it here: a proxy that compressed the file has made its tag weak.
fn is_known(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let given = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let body = Body::of("{}".to_owned());
        let tag = body.etag.to_str().expect("text");
        for (given, status) in [
            (None, 200),
            (Some(tag.to_owned()), 304),
            (Some(format!("W/{tag}")), 304),
            (Some(format!("\"x\", {tag}")), 304),
            (Some("*".to_owned()), 304),
            (Some("\"x\"".to_owned()), 200),
            (Some(tag.trim_matches('"').to_owned()), 200),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(given) = &given {
                headers.insert(header::IF_NONE_MATCH, given.parse().expect("a header"));
            }
            let response = answer(&body, &headers);
            assert_eq!(response.status(), status, "{given:?}");
            assert_eq!(response.headers()[header::ETAG], body.etag);
            assert_eq!(response.headers().contains_key(header::CONTENT_TYPE), status == 200);
        }
    }
}
