//! How long somebody who answers wants to be left alone.

use chrono::{DateTime, TimeDelta};

use crate::clock::Moment;

/// Reads `Retry-After`: seconds, or a date of HTTP (RFC 9110 10.2.3), which may be over. `None` for anything else. More seconds than a span of time has are the longest
/// one: whoever goes by it has a bound of its own.
pub fn retry_after(text: &str, now: Moment) -> Option<TimeDelta> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::MAX));
    }
    Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now)
}
