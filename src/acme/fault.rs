//! Why an authority did not do what was asked.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use crate::{
    clock::Moment,
    outbound::{self, Failure},
};

/// What errors of ACME begin with.
const NAMESPACE: &str = "urn:ietf:params:acme:error:";
/// How much is kept of what an authority explains.
const DETAIL: usize = 255;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be reached, or its URL may not be called.
    #[error("{0}")]
    Away(#[source] Failure),
    /// What it says is not ACME.
    #[error("{0}")]
    Unreadable(&'static str),
    /// It opens accounts only for those who have one with it otherwise.
    #[error("it opens accounts only with an external account binding")]
    NeedsExternalAccount,
    /// It refuses.
    #[error("{}: {}", .0.kind, .0.detail)]
    Refused(Problem),
}

/// What an authority says of an error (RFC 7807 and RFC 8555 6.7).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// Its name without the namespace, such as `rateLimited`; empty when it has none of ACME's.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says to people, cut to 255 characters, without control characters.
    pub detail: String,
    /// The status of the answer.
    pub status: u16,
    /// How long it wants to be left alone.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// Returns the problem with what the answer says besides.
    pub(super) fn completed(self, status: StatusCode, retry_after: Option<Duration>) -> Self {
        let Self { kind, detail, .. } = self.tidied();
        let detail = if detail.is_empty() { format!("status {}", status.as_u16()) } else { detail };
        Self { kind, detail, status: status.as_u16(), retry_after }
    }

    /// Returns the problem as it may be shown and logged.
    #[must_use]
    pub fn tidied(self) -> Self {
        let kind = self.kind.strip_prefix(NAMESPACE).unwrap_or_default();
        let kind = kind.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        let detail = self.detail.chars().filter(|character| !character.is_control()).take(DETAIL).collect();
        Self { kind, detail, ..self }
    }
}

/// Reads how long somebody wants to be left alone; `None` where that is over.
pub(super) fn retry_after(headers: &HeaderMap, now: Moment) -> Option<Duration> {
    outbound::retry_after(headers.get(header::RETRY_AFTER)?.to_str().ok()?, now)?.to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_wish_to_be_left_alone_is_read_in_both_forms() {
        let now = from_micros(784_111_777_000_000);
        for (text, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", None),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let headers = [(header::RETRY_AFTER, text.parse().expect("a value"))].into_iter().collect();
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn what_an_authority_says_is_shown_without_what_could_do_harm() {
        let problem = |kind: &str, detail: &str| {
            Problem { kind: kind.into(), detail: detail.into(), ..Problem::default() }.tidied()
        };
        let read = problem("urn:ietf:params:acme:error:rateLimited", "too many\r\nx: y\u{1b}[31m");
        assert_eq!((&*read.kind, &*read.detail), ("rateLimited", "too manyx: y[31m"));
        assert_eq!(problem("about:blank", "").kind, "");
        assert_eq!(problem("", &"é".repeat(1000)).detail.chars().count(), DETAIL);
    }
}
