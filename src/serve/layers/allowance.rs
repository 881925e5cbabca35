//! Says in headers what is left of limits, whether the call went well or not; gRPC clients see them as metadata.
//!
//! | header | says |
//! |---|---|
//! | `RateLimit-Policy` | `"caller";q=100;w=60`: of each limit, how many calls in how many seconds |
//! | `RateLimit` | `"caller";r=42;t=35`: how many are left, and in how many seconds all of them are |
//! | `X-RateLimit-Limit` `-Remaining` `-Reset` | the same of the limit that is nearest, as older clients read it; the last in Unix time |
//!
//! The first two are those of the IETF's draft (draft-ietf-httpapi-ratelimit-headers-10).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    clock::Moment,
    limits::{LimitName, Verdict},
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
const OLD_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const OLD_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const OLD_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Every bucket holds what fills it in a minute.
const WINDOW: u64 = 60;

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    pub name: LimitName,
    pub limit: u32,
    pub remaining: u32,
}

impl Allowance {
    pub(super) const fn of(name: LimitName, verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed { limit, remaining } => Self { name, limit, remaining },
            Verdict::Limited { limit, .. } => Self { name, limit, remaining: 0 },
        }
    }

    /// Returns in how many seconds the bucket is full again if nobody calls meanwhile.
    fn reset(&self) -> u64 {
        let used = u64::from(self.limit.saturating_sub(self.remaining));
        (used * WINDOW).div_ceil(u64::from(self.limit.max(1)))
    }
}

/// Writes what is left of limits at `now`. Nothing, where there are none.
pub(super) fn write(headers: &mut HeaderMap, allowances: &[Allowance], now: Moment) {
    // The one that whoever goes on calling will meet first.
    let Some(nearest) = allowances.iter().min_by_key(|allowance| allowance.remaining) else { return };
    let (mut policy, mut left) = (String::new(), String::new());
    for allowance in allowances {
        let comma = if policy.is_empty() { "" } else { ", " };
        let (name, limit, remaining) = (allowance.name.name(), allowance.limit, allowance.remaining);
        let _ = write!(policy, r#"{comma}"{name}";q={limit};w={WINDOW}"#);
        let _ = write!(left, r#"{comma}"{name}";r={remaining};t={}"#, allowance.reset());
    }
    for (name, text) in [(POLICY, policy), (LEFT, left)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
    headers.insert(OLD_LIMIT, nearest.limit.into());
    headers.insert(OLD_REMAINING, nearest.remaining.into());
    let reset = u64::try_from(now.timestamp()).unwrap_or(0) + nearest.reset();
    headers.insert(OLD_RESET, reset.into());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn every_limit_is_told_and_the_nearest_in_the_old_way() {
        let caller = Allowance::of(LimitName::Caller, Verdict::Allowed { limit: 100, remaining: 42 });
        let workspace = Allowance::of(LimitName::Workspace, Verdict::Allowed { limit: 1000, remaining: 7 });
        let limited = Verdict::Limited { limit: 3, retry_after: Duration::from_millis(1) };
        let address = Allowance::of(LimitName::Address, limited);
        for (allowances, expected) in [
            (&[][..], [None; 5]),
            (
                &[caller],
                [
                    Some(r#""caller";q=100;w=60"#),
                    Some(r#""caller";r=42;t=35"#),
                    Some("100"),
                    Some("42"),
                    Some("1700000035"),
                ],
            ),
            (
                &[caller, workspace],
                [
                    Some(r#""caller";q=100;w=60, "workspace";q=1000;w=60"#),
                    Some(r#""caller";r=42;t=35, "workspace";r=7;t=60"#),
                    Some("1000"),
                    Some("7"),
                    Some("1700000060"),
                ],
            ),
            (
                &[address],
                [
                    Some(r#""address";q=3;w=60"#),
                    Some(r#""address";r=0;t=60"#),
                    Some("3"),
                    Some("0"),
                    Some("1700000060"),
                ],
            ),
        ] {
            let mut headers = HeaderMap::new();
            write(&mut headers, allowances, from_micros(1_700_000_000_000_000));
            let told = [POLICY, LEFT, OLD_LIMIT, OLD_REMAINING, OLD_RESET]
                .map(|name| headers.get(name).map(|value| value.to_str().expect("text").to_owned()));
            assert_eq!(told, expected.map(|text| text.map(str::to_owned)), "{allowances:?}");
        }
    }
}
