//! An ad for a link that somebody saw: `GET /i/{code}`, a picture of one pixel. No click, and no visit that anything counts.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::Full;

use super::{
    destination::{Outcome, choose},
    ending::Ending,
    http::{NO_STORE, Redirects, code_of},
    visitor::Visit,
};
use crate::{
    clicks::{
        Click,
        class::{self, Class, Edge},
    },
    domains::Site,
    ids::ClickId,
};

/// What stands before the code. A template may be called so: its links are followed as ever.
const BEFORE: &str = "i";
/// The step of a view, which led nowhere. No number of a redirect's step.
const STEP: i16 = 0;
/// A transparent GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";

/// Returns the code of a path that tells of a view.
pub fn viewed(path: &str) -> Option<&str> {
    code_of(path.strip_prefix("/")?.strip_prefix(BEFORE)?)
}

impl Redirects {
    /// Notes that somebody saw an ad for a link, and answers with the pixel. A link that leads nowhere now is not advertised: nothing is noted then.
    pub async fn view(
        &self,
        site: &Site,
        code: &str,
        request: &Parts,
        client: IpAddr,
        edge: Edge,
    ) -> Response<Full<Bytes>> {
        let now = self.0.env.now();
        let target = match self.find(site, code, now).await {
            Ok(target) => target,
            Err(missing) => return self.missed(missing, site, request),
        };
        if target.extras.as_ref().is_some_and(|extras| &*extras.slug == BEFORE) {
            return self.arrive((&target, site, code, now), request, client, edge).await;
        }
        let visit = self.read(request, client, &target);
        let class = class::by_request(&request.method, &request.headers, edge);
        let closed =
            matches!(choose(&target, &Visit::of_nobody(), now), Outcome::Gone(_) | Outcome::NotFound(_));
        if class == Class::Human && !closed {
            let seen = Click {
                workspace: target.workspace_id,
                link: target.id,
                platform: visit.visitor.platform as i16,
                class,
                step: STEP,
                client: visit.client,
                user_agent: visit.user_agent,
                referrer: "",
                languages: visit.languages,
                query: visit.query,
                parameters: &[],
                lease: None,
            };
            let id = ClickId::mint(&self.0.env.ids, now);
            if self.0.recorder.record_view(id, &seen).is_err() {
                // The spool says so itself; the page that shows the ad need not know.
                tracing::debug!(link.id = %target.id, "a view was not recorded");
            }
        }
        self.count(Ending::Viewed);
        pixel()
    }
}

fn pixel() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(PIXEL));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/gif"));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_told_of_at_a_path_of_its_own() {
        assert_eq!(viewed("/i/spring"), Some("spring"));
        for path in ["/i/", "/i", "/ispring", "/i/spring/", "/x/spring", "/i//spring"] {
            assert_eq!(viewed(path), None, "{path}");
        }
    }
}
