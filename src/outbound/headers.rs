//! The headers that a stranger may add to calls we make for them. Pure.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// How many headers somebody may add, and how many bytes of names and values.
const MAX_HEADERS: usize = 32;
const MAX_BYTES: usize = 8 * 1024;
/// Headers that decide where a message goes, where it ends or how it is packed (RFC 9110 7.6, RFC 9112). They are ours.
const RESERVED: &[HeaderName] = &[
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::ACCEPT_ENCODING,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::USER_AGENT,
    header::VIA,
    header::FORWARDED,
];
/// The same, of those that have no constant: hop-by-hop ones of old, and what proxies say of the caller.
const RESERVED_BEGINNINGS: &[&str] = &["proxy-", "keep-alive", "http2-settings", "x-forwarded-", "x-real-ip"];

/// Headers that a stranger gave, checked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TenantHeaders(HeaderMap);

impl TenantHeaders {
    /// Checks headers that a stranger gave. The error names the header, as it was written.
    pub fn parse<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, HeaderRefused> {
        let mut headers = HeaderMap::new();
        let mut bytes = 0;
        for (name, value) in given {
            let refuse = |why| Err(HeaderRefused { name: name.to_owned(), why });
            bytes += name.len() + value.len();
            if headers.len() == MAX_HEADERS || bytes > MAX_BYTES {
                return refuse(HeaderFault::TooMany);
            }
            let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
                return refuse(HeaderFault::Name);
            };
            if is_reserved(&parsed) {
                return refuse(HeaderFault::Reserved);
            }
            // Bytes beyond ASCII mean something else to every receiver.
            let Some(mut value) = value.is_ascii().then(|| HeaderValue::from_str(value).ok()).flatten()
            else {
                return refuse(HeaderFault::Value);
            };
            if headers.contains_key(&parsed) {
                return refuse(HeaderFault::Twice);
            }
            // Often a credential: debug output does not show it.
            value.set_sensitive(true);
            headers.insert(parsed, value);
        }
        Ok(Self(headers))
    }

    pub(super) const fn map(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for TenantHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantHeaders").field(&self.0).finish()
    }
}

/// A header that is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRefused {
    /// Its name, as it was given.
    pub name: String,
    /// What is wrong with it.
    pub why: HeaderFault,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFault {
    /// The name is none.
    Name,
    /// The value has a line break, another control character, or a character beyond ASCII.
    Value,
    /// The header is ours to set.
    Reserved,
    /// It was given before.
    Twice,
    /// More than 32 headers, or more than 8 KiB of them.
    TooMany,
}

impl fmt::Display for HeaderRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            HeaderFault::Name => "must be named by letters, digits and hyphens",
            HeaderFault::Value => "must have a value of printable ASCII characters",
            HeaderFault::Reserved => "must not be set: this server sets it itself",
            HeaderFault::Twice => "must be given once",
            HeaderFault::TooMany => "is one too many: at most 32 headers of together 8 KiB",
        })
    }
}

impl std::error::Error for HeaderRefused {}

fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(name)
        || RESERVED_BEGINNINGS.iter().any(|beginning| name.as_str().starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_let_through_or_named() {
        use HeaderFault::{Name, Reserved, TooMany, Twice, Value};
        let many: Vec<String> = (0..33).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
        let long = "a".repeat(8 * 1024);
        for (given, expected) in [
            (&[][..], Ok(())),
            (&[("Authorization", "Bearer 7"), ("x-empty", ""), ("content-type", "text/plain")], Ok(())),
            (&many[..32], Ok(())),
            (&many, Err(TooMany)),
            (&[("x", &long[2..])], Ok(())),
            (&[("x", &long)], Err(TooMany)),
            (&[("", "1")], Err(Name)),
            (&[("x y", "1")], Err(Name)),
            (&[("x:", "1")], Err(Name)),
            (&[("x\r\nhost", "1")], Err(Name)),
            (&[(":authority", "1")], Err(Name)),
            (&[("x", "1\r\nhost: inside")], Err(Value)),
            (&[("x", "1\nhost: inside")], Err(Value)),
            (&[("x", "1\0")], Err(Value)),
            (&[("x", "é")], Err(Value)),
            (&[("x", "1"), ("X", "2")], Err(Twice)),
            (&[("Host", "inside")], Err(Reserved)),
            (&[("HOST", "inside")], Err(Reserved)),
            (&[("connection", "keep-alive")], Err(Reserved)),
            (&[("keep-alive", "1")], Err(Reserved)),
            (&[("proxy-authorization", "1")], Err(Reserved)),
            (&[("Proxy-Connection", "1")], Err(Reserved)),
            (&[("te", "trailers")], Err(Reserved)),
            (&[("trailer", "x")], Err(Reserved)),
            (&[("Transfer-Encoding", "chunked")], Err(Reserved)),
            (&[("Content-Length", "7")], Err(Reserved)),
            (&[("content-encoding", "gzip")], Err(Reserved)),
            (&[("accept-encoding", "gzip")], Err(Reserved)),
            (&[("upgrade", "h2c")], Err(Reserved)),
            (&[("http2-settings", "")], Err(Reserved)),
            (&[("expect", "100-continue")], Err(Reserved)),
            (&[("X-Forwarded-For", "10.0.0.1")], Err(Reserved)),
            (&[("forwarded", "for=10.0.0.1")], Err(Reserved)),
            (&[("user-agent", "somebody")], Err(Reserved)),
        ] {
            let parsed = TenantHeaders::parse(given.iter().copied());
            assert_eq!(parsed.map(|_| ()).map_err(|refused| refused.why), expected, "{given:.80?}");
        }
    }

    #[test]
    fn values_stay_out_of_debug_output() {
        let headers = TenantHeaders::parse([("authorization", "Bearer 7")]).expect("good headers");
        assert!(!format!("{headers:?}").contains("Bearer"), "{headers:?}");
    }
}
