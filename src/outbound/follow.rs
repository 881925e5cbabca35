//! Pages as a browser finds them: behind a few redirects, each of which is judged as if a stranger had given it.

use http::{StatusCode, header};
use tokio::time::Instant;
use url::Url;

use super::{Failure, Outbound, OutboundRequest, OutboundResponse, OutboundUrl, Refused, TenantHeaders};

/// How many redirects are followed: to https, to `www`, to a language, and one more.
const REDIRECTS: usize = 4;

/// What is found in the end.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Where.
    pub url: OutboundUrl,
    /// What answers there.
    pub response: OutboundResponse,
}

impl Outbound {
    /// Checks the URL of a page that people are sent to, or that a host redirects to. Its fragment is left out. Where http is not called,
    /// https is in its place: hardly a host has only the former.
    pub fn page_url(&self, raw: &str) -> Result<OutboundUrl, Refused> {
        let raw = raw.split('#').next().unwrap_or_default();
        match self.url(raw) {
            Err(Refused::Plain) => {
                // A port that says no more than the scheme does is gone once it is parsed.
                let mut url = Url::parse(raw).map_err(|_| Refused::Invalid)?;
                url.set_scheme("https").map_err(|()| Refused::Invalid)?;
                self.url(url.as_str())
            }
            checked => checked,
        }
    }

    /// Sends a request without a body and follows redirects. The bounds on bytes hold for each answer, the one on time for all of
    /// them together. The stranger's own headers go to the first host and no further.
    pub async fn fetch(&self, first: OutboundRequest) -> Result<Fetched, Failure> {
        let longest = first.timeout.unwrap_or(self.timeout).min(self.timeout);
        let deadline = Instant::now() + longest;
        let mut request = OutboundRequest { timeout: Some(longest), ..first };
        for _ in 0..=REDIRECTS {
            let url = request.url.clone();
            let response = self.send(request.clone()).await?;
            let Some(location) = location(&response) else { return Ok(Fetched { url, response }) };
            let next = Url::parse(url.as_str()).and_then(|from| from.join(&location));
            let next = next.map_err(|_| Failure::Redirect(Refused::Invalid))?;
            request.url = self.page_url(next.as_str()).map_err(Failure::Redirect)?;
            request.tenant_headers = TenantHeaders::default();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::Timeout);
            }
            request.timeout = Some(left);
        }
        Err(Failure::Redirects)
    }
}

/// Returns where an answer sends us on to; as a text, whatever bytes stand there.
fn location(response: &OutboundResponse) -> Option<String> {
    let is_redirect = matches!(
        response.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers.get(header::LOCATION).filter(|_| is_redirect)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}
