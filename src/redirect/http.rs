//! Reads a visit and writes its answer. The warm path allocates little, waits for nothing and answers before any router.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::Full;

use super::{
    decorate::{Additions, decorate},
    destination::{Closed, Outcome, choose},
    ending::{Ending, Endings},
    visitor::{Visit, Visitor},
};
use crate::{
    clicks::{
        Click, Recorder,
        class::{self, Edge},
    },
    clock::Moment,
    config::FullPolicy,
    env::Env,
    ids::ClickId,
    links::{Answer, Budgets, OWN_DOMAIN, Resolver, Taken, Target, Unit, is_short_code},
};

/// The public door. A cheap clone.
#[derive(Debug, Clone)]
pub struct Redirects(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Env,
    resolver: Resolver,
    budgets: Budgets,
    recorder: Recorder,
    endings: Endings,
}

/// How long a visitor should wait when no store could say where the link goes.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");
/// Visits differ by visitor and must be counted, so nobody may answer in our place.
const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");
const CLICK_ID: header::HeaderName = header::HeaderName::from_static("x-click-id");

impl Redirects {
    /// Returns the door over `resolver`, `budgets` and `recorder`.
    pub fn new(env: Env, resolver: Resolver, budgets: Budgets, recorder: Recorder) -> Self {
        Self(Arc::new(Inner { env, resolver, budgets, recorder, endings: Endings::new() }))
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
        let target = match self.0.resolver.resolve(OWN_DOMAIN, code, now).await {
            Answer::Found(target) => target,
            Answer::Unknown => {
                self.count(Ending::Unknown);
                return Some(not_found());
            }
            Answer::Away => {
                self.count(Ending::Away);
                return Some(unavailable());
            }
        };
        // In a box: visits to links without a limit should not carry the room that this takes.
        let (unit, used_up) = match target.max_clicks {
            0 => (None, false),
            _ => match Box::pin(self.take(request, client, &target, now)).await {
                Taken::Unit(unit) => (Some(unit), false),
                Taken::Unlimited => (None, false),
                Taken::UsedUp => (None, true),
                Taken::Away => {
                    self.count(Ending::Away);
                    return Some(unavailable());
                }
            },
        };
        let visit = Visit { used_up, ..read(request, client) };
        match choose(&target, &visit, now) {
            Outcome::Go { url, step } => {
                let click = Click {
                    workspace: target.workspace_id,
                    link: target.id,
                    platform: visit.visitor.platform as i16,
                    class: class::by_request(&request.method, &request.headers, edge),
                    step: step.number(),
                    client: Some(client),
                    user_agent: visit.user_agent,
                    referrer: visit.referrer,
                    languages: visit.languages,
                    query: visit.query,
                    lease: unit.as_ref().map(Unit::lease),
                };
                Some(self.go(&target, url, &click, ClickId::mint(&self.0.env.ids, now), unit))
            }
            Outcome::NotFound(
                Closed::Inactive | Closed::NotStarted | Closed::Expired | Closed::Exhausted,
            ) => {
                self.count(Ending::Closed);
                Some(not_found())
            }
        }
    }

    /// Takes one click of the limit of a link, if the visitor would be sent on otherwise.
    async fn take(&self, request: &Parts, client: IpAddr, target: &Target, now: Moment) -> Taken {
        match choose(target, &read(request, client), now) {
            Outcome::Go { .. } => self.0.budgets.take(target, now).await,
            Outcome::NotFound(_) => Taken::Unlimited,
        }
    }

    /// Records the visit, then sends the visitor on. Only an answer to a recorded visit carries a click id. What a limit must
    /// count and cannot does not pass: its `unit` goes back.
    fn go(
        &self,
        target: &Target,
        url: &str,
        click: &Click<'_>,
        id: ClickId,
        unit: Option<Unit>,
    ) -> Response<Full<Bytes>> {
        // What is saved is always a valid header; anything else is a row written by hand.
        let Ok(plain) = HeaderValue::from_str(url) else {
            tracing::error!(link.id = %target.id, "a link's destination cannot stand in a header");
            self.count(Ending::Broken);
            return not_found();
        };
        let recorded = self.0.recorder.record(id, click);
        let must_be = unit.is_some() || self.0.env.config.spool.full_policy == FullPolicy::Refuse;
        if recorded.is_err() && must_be {
            self.count(Ending::Refused);
            return unavailable();
        }
        if let Some(unit) = unit {
            unit.spend();
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
            return not_found();
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

/// Reads a visit. Whether the clicks of its link are used up, no request can say.
fn read(request: &Parts, client: IpAddr) -> Visit<'_> {
    let agent = text(request, &header::USER_AGENT);
    Visit {
        visitor: Visitor::of(agent),
        user_agent: agent,
        languages: text(request, &header::ACCEPT_LANGUAGE),
        referrer: text(request, &header::REFERER),
        query: request.uri.query().unwrap_or_default(),
        client: Some(client),
        used_up: false,
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

fn not_found() -> Response<Full<Bytes>> {
    page(StatusCode::NOT_FOUND, include_bytes!("not_found.html"))
}

fn unavailable() -> Response<Full<Bytes>> {
    let mut response = page(StatusCode::SERVICE_UNAVAILABLE, include_bytes!("unavailable.html"));
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    response
}

fn page(status: StatusCode, html: &'static [u8]) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(html)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
    );
    response
}
