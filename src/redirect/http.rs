//! Reads a visit and writes its answer. The warm path allocates little, waits for nothing and answers before any router.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::Full;

use super::{
    decorate::{Additions, decorate},
    destination::{Closed, Outcome, choose},
    ending::{Ending, Endings},
    pages::{self, Look},
    visitor::{Visit, Visitor},
};
use crate::{
    clicks::{
        Click, Recorder,
        class::{self, Edge},
    },
    config::FullPolicy,
    env::Env,
    ids::ClickId,
    links::{Answer, OWN_DOMAIN, Resolver, Target, is_short_code},
};

/// The public door. A cheap clone.
#[derive(Debug, Clone)]
pub struct Redirects(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Env,
    resolver: Resolver,
    recorder: Recorder,
    endings: Endings,
}

/// Visits differ by visitor and must be counted, so nobody may answer in our place.
const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");
const CLICK_ID: header::HeaderName = header::HeaderName::from_static("x-click-id");

impl Redirects {
    /// Returns the door over `resolver` and `recorder`.
    pub fn new(env: Env, resolver: Resolver, recorder: Recorder) -> Self {
        Self(Arc::new(Inner { env, resolver, recorder, endings: Endings::new() }))
    }

    /// Counts how a visit ended that did not come as far as here. Every other is counted by [`Redirects::follow`].
    pub fn count(&self, ending: Ending) {
        self.0.endings.count(ending);
    }

    /// Answers a visit to a short link; `None` for a path that cannot be one.
    pub async fn follow(&self, request: &Parts, client: IpAddr, edge: Edge) -> Option<Response<Full<Bytes>>> {
        let code = code_of(request.uri.path())?;
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return None;
        }
        let now = self.0.env.now();
        let languages = text(request, &header::ACCEPT_LANGUAGE);
        let target = match self.0.resolver.resolve(OWN_DOMAIN, code, now).await {
            Answer::Found(target) => target,
            Answer::Unknown => {
                self.count(Ending::Unknown);
                return Some(pages::not_found(&self.look(languages)).into());
            }
            Answer::Away => {
                self.count(Ending::Away);
                return Some(pages::unavailable(&self.look(languages)).into());
            }
        };
        let agent = text(request, &header::USER_AGENT);
        let visit = Visit {
            visitor: Visitor::of(agent),
            user_agent: agent,
            languages,
            referrer: text(request, &header::REFERER),
            query: request.uri.query().unwrap_or_default(),
            client: Some(client),
        };
        match choose(&target, &visit, now) {
            Outcome::Go { url, step } => {
                let click = Click {
                    workspace: target.workspace_id,
                    link: target.id,
                    platform: visit.visitor.platform as i16,
                    class: class::by_request(&request.method, &request.headers, edge),
                    step: step.number(),
                    client: Some(client),
                    user_agent: agent,
                    referrer: visit.referrer,
                    languages: visit.languages,
                    query: visit.query,
                };
                Some(self.go(&target, url, &click, ClickId::mint(&self.0.env.ids, now)))
            }
            Outcome::NotFound(Closed::Inactive | Closed::NotStarted | Closed::Expired) => {
                self.count(Ending::Closed);
                Some(pages::not_found(&self.look(languages)).into())
            }
        }
    }

    /// Returns how a page looks to a visitor.
    fn look(&self, languages: &str) -> Look {
        Look::of(languages, &self.0.env.ids)
    }

    /// Records the visit, then sends the visitor on. Only an answer to a recorded visit carries a click id.
    fn go(&self, target: &Target, url: &str, click: &Click<'_>, id: ClickId) -> Response<Full<Bytes>> {
        // What is saved is always a valid header; anything else is a row written by hand.
        let Ok(plain) = HeaderValue::from_str(url) else {
            tracing::error!(link.id = %target.id, "a link's destination cannot stand in a header");
            self.count(Ending::Broken);
            return pages::not_found(&self.look(click.languages)).into();
        };
        let recorded = self.0.recorder.record(id, click);
        if recorded.is_err() && self.0.env.config.spool.full_policy == FullPolicy::Refuse {
            self.count(Ending::Refused);
            return pages::unavailable(&self.look(click.languages)).into();
        }
        let additions = Additions {
            link: target.decoration.as_deref(),
            click: recorded.is_ok().then_some(id),
            query: if target.forward_query { click.query } else { "" },
        };
        let location = match decorate(url, additions) {
            Cow::Borrowed(_) => Ok(plain),
            Cow::Owned(decorated) => HeaderValue::try_from(decorated),
        };
        let Ok(location) = location else {
            tracing::error!(link.id = %target.id, "what was added to a URL cannot stand in a header");
            self.count(Ending::Broken);
            return pages::not_found(&self.look(click.languages)).into();
        };
        self.count(if recorded.is_ok() { Ending::Redirected } else { Ending::Unrecorded });
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::FOUND;
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location);
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        if recorded.is_ok()
            && let Ok(id) = HeaderValue::from_str(id.0.as_hyphenated().encode_lower(&mut [0; 36]))
        {
            headers.insert(CLICK_ID, id);
        }
        response
    }
}

/// Returns the code of a path that can be a short link.
pub fn code_of(path: &str) -> Option<&str> {
    path.strip_prefix('/').filter(|code| is_short_code(code))
}

/// Returns a header as text; bytes that are none become nothing.
fn text<'a>(request: &'a Parts, name: &header::HeaderName) -> &'a str {
    request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
