//! Other people's pages and pictures, fetched for members of a workspace: so many a minute, so many at once, and with a reason for everything
//! that can go wrong.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode, header};
use tokio::sync::Semaphore;

use crate::{
    env::Env,
    error::{Error, Reason, Result},
    limits::{LimitName, Limits, Verdict},
    outbound::{Failure, Fetched, Outbound, OutboundRequest},
    workspaces::Tenant,
};

/// How many are fetched at once, by all workspaces: a page may take a MiB of memory while it is read.
const AT_ONCE: usize = 16;
/// How long one may take, redirects and all.
const LONGEST: Duration = Duration::from_secs(5);
/// Whom hosts meet. Some have tags for those only who say what they are.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static("Mozilla/5.0 (compatible; linkforty; link preview bot)");
/// How much of a content type is told.
const SHOWN: usize = 100;

/// Calls other people's hosts for members.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// The one client for strangers' URLs.
    pub outbound: Outbound,
    /// How often a workspace may.
    pub limits: Arc<dyn Limits>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The types that are asked for.
    pub accept: &'static str,
    /// How many bytes of it are read.
    pub bytes: usize,
}

struct Places(Arc<Semaphore>);

impl Fetch {
    /// Fetches what is at `url`, which stands in the request as `field`. Whatever comes back has the status 200 and is not compressed.
    pub(super) async fn get(
        &self,
        env: &Env,
        tenant: &Tenant,
        (field, url): (&str, &str),
        wanted: Wanted,
    ) -> Result<Fetched> {
        let url =
            self.outbound.page_url(url).map_err(|wrong| Error::invalid_field(field, wrong.to_string()))?;
        let verdict = self.limits.check(LimitName::Fetch, &tenant.id.to_string(), 1).await;
        if let Verdict::Limited { retry_after, .. } = verdict {
            return Err(Error::new(
                Reason::RateLimited,
                "too many pages fetched for this workspace; try again later",
            )
            .with("limit", LimitName::Fetch.name())
            .retry_after(retry_after));
        }
        let places = env.memory.of(|| Places(Arc::new(Semaphore::new(AT_ONCE))));
        let _place = places.0.acquire().await.map_err(Error::internal)?;
        let mut request = OutboundRequest {
            timeout: Some(LONGEST),
            max_response_bytes: wanted.bytes,
            ..OutboundRequest::get(url)
        };
        request.headers.insert(header::USER_AGENT, USER_AGENT);
        request.headers.insert(header::ACCEPT, HeaderValue::from_static(wanted.accept));
        let fetched = self.outbound.fetch(request).await.map_err(|failure| failed(field, &failure))?;
        let response = &fetched.response;
        if response.status != StatusCode::OK {
            let status = response.status.as_u16();
            return Err(Error::new(Reason::FetchStatus, format!("the host answers with {status}"))
                .with("status", status.to_string()));
        }
        let encoding = response.headers.get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(unreadable(&fetched, "the host compresses its answer, which it was asked not to do"));
        }
        Ok(fetched)
    }
}

/// Says that what was fetched is not what was looked for.
pub(super) fn unreadable(fetched: &Fetched, why: impl Into<Cow<'static, str>>) -> Error {
    let kind: String = content_type(fetched).chars().take(SHOWN).collect();
    Error::new(Reason::FetchUnreadable, why).with("content_type", kind)
}

/// Returns what a host calls what it sent; empty when that is no ASCII.
pub(super) fn content_type(fetched: &Fetched) -> &str {
    let value = fetched.response.headers.get(header::CONTENT_TYPE);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Says why nothing was fetched, in the words of [`Failure`], which say nothing of our networks.
fn failed(field: &str, failure: &Failure) -> Error {
    let message = failure.to_string();
    match failure {
        // The settings of the day: it was checked a moment ago.
        Failure::Refused(refused) => Error::invalid_field(field, refused.to_string()),
        Failure::Busy => Error::new(Reason::ServerOverloaded, message).retry_after(Duration::from_secs(1)),
        Failure::Address { .. } | Failure::Redirect(_) => Error::new(Reason::FetchRefused, message),
        Failure::Flood | Failure::HeadersTooLarge => Error::new(Reason::FetchTooLarge, message),
        Failure::Name(_)
        | Failure::NoAddress
        | Failure::Connect(_)
        | Failure::Certificate(_)
        | Failure::Tls(_)
        | Failure::ConnectTimeout
        | Failure::Timeout
        | Failure::Redirects
        | Failure::Protocol(_)
        | Failure::Closed(_) => Error::new(Reason::FetchFailed, message).with("failure", failure.name()),
    }
}
