//! Reads a visit and writes its answer. The warm path allocates little, waits for nothing and answers before any router.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::Full;

use super::{
    agent::Agents,
    decorate::{Additions, decorate},
    destination::{Outcome, Step, choose},
    ending::{Ending, Endings},
    history::History,
    visitor::{Before, Password, Programs, Visit, Whereabouts},
};
use crate::{
    clicks::{
        Click, Recorder,
        class::{self, Class, Edge},
    },
    clock::Moment,
    config::FullPolicy,
    env::Env,
    ids::ClickId,
    limits::Limits,
    links::{Answer, Budgets, OWN_DOMAIN, Resolver, Taken, Target, Unit, is_short_code},
};

/// The public door. A cheap clone.
#[derive(Debug, Clone)]
pub struct Redirects(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub env: Env,
    pub limits: Arc<dyn Limits>,
    resolver: Resolver,
    budgets: Budgets,
    recorder: Recorder,
    endings: Endings,
    agents: Agents,
    history: History,
}

/// A visit to a link that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub target: &'a Target,
    pub code: &'a str,
    pub visit: &'a Visit<'a>,
    pub class: Class,
    pub now: Moment,
}

/// Visits differ by visitor and must be counted, so nobody may answer in our place.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");
const CLICK_ID: header::HeaderName = header::HeaderName::from_static("x-click-id");

impl Redirects {
    /// Returns the door over `resolver`, `budgets` and `recorder`. `limits` bound how often passwords are tried; `history` is
    /// asked and told only of links whose rules want to know.
    pub fn new(
        env: Env,
        resolver: Resolver,
        budgets: Budgets,
        recorder: Recorder,
        limits: Arc<dyn Limits>,
        history: History,
    ) -> Self {
        Self(Arc::new(Inner {
            env,
            resolver,
            limits,
            budgets,
            recorder,
            endings: Endings::new(),
            agents: Agents::default(),
            history,
        }))
    }

    /// Counts how a visit ended that did not come as far as here. Every other is counted by [`Redirects::follow`].
    pub fn count(&self, ending: Ending) {
        self.0.endings.count(ending);
    }

    /// Answers a visit to the short link of `code`, by GET or HEAD.
    pub async fn follow(
        &self,
        code: &str,
        request: &Parts,
        client: IpAddr,
        edge: Edge,
    ) -> Response<Full<Bytes>> {
        let now = self.0.env.now();
        let target = match self.find(code, now).await {
            Ok(target) => target,
            Err(missing) => return self.missed(missing, languages(request)),
        };
        let visit = self.read(request, client, &target);
        let class = class::by_request(&request.method, &request.headers, edge);
        let call = Call { target: &target, code, visit: &visit, class, now };
        let Some((outcome, unit)) = self.decide(&target, &visit, now).await else {
            return self.unavailable(visit.languages);
        };
        match outcome {
            Outcome::Go { url, step } => self.go(&call, url, step, unit, StatusCode::FOUND),
            other => self.show(&call, other, unit),
        }
    }

    /// Returns the link of a code.
    pub(super) async fn find(&self, code: &str, now: Moment) -> Result<Arc<Target>, Missing> {
        match self.0.resolver.resolve(OWN_DOMAIN, code, now).await {
            Answer::Found(target) => Ok(target),
            Answer::Unknown => Err(Missing::Unknown),
            Answer::Away => Err(Missing::Away),
        }
    }

    /// Answers, and counts, a visit for which there is no link.
    pub(super) fn missed(&self, missing: Missing, languages: &str) -> Response<Full<Bytes>> {
        match missing {
            Missing::Unknown => {
                self.count(Ending::Unknown);
                self.not_found(languages)
            }
            Missing::Away => {
                self.count(Ending::Away);
                self.unavailable(languages)
            }
        }
    }

    /// Chooses what becomes of a visit, and takes one click of the limit of a link that has one for a visit that is sent on.
    /// `None`, and counted: nobody can say whether there is one left.
    pub(super) async fn decide<'a>(
        &self,
        target: &'a Target,
        visit: &Visit<'_>,
        now: Moment,
    ) -> Option<(Outcome<'a>, Option<Unit>)> {
        let outcome = choose(target, visit, now);
        if !outcome.uses_one_up(target) {
            return Some((outcome, None));
        }
        // In a box: visits to links without a limit should not carry the room that this takes.
        match Box::pin(self.0.budgets.take(target, now)).await {
            Taken::Unit(unit) => Some((outcome, Some(unit))),
            Taken::Unlimited => Some((outcome, None)),
            Taken::UsedUp => Some((choose(target, &Visit { used_up: true, ..*visit }, now), None)),
            Taken::Away => {
                self.count(Ending::Away);
                None
            }
        }
    }

    /// Reads what a request says of its visitor.
    pub(super) fn read<'a>(&'a self, request: &'a Parts, client: IpAddr, target: &'a Target) -> Visit<'a> {
        let agent = text(request, &header::USER_AGENT);
        Visit {
            visitor: self.0.agents.read(agent),
            user_agent: agent,
            languages: languages(request),
            referrer: text(request, &header::REFERER),
            query: request.uri.query().unwrap_or_default(),
            client: Some(client),
            place: Whereabouts::LookUp(&self.0.env.geo),
            software: Programs::LookUp(&self.0.agents),
            before: Before::LookUp(&self.0.history, target),
            password: Password::Unknown,
            used_up: false,
        }
    }

    /// Records the visit, then sends the visitor on. Only an answer to a recorded visit carries a click id.
    pub(super) fn go(
        &self,
        call: &Call<'_>,
        url: &str,
        step: Step,
        unit: Option<Unit>,
        status: StatusCode,
    ) -> Response<Full<Bytes>> {
        // What is saved is always a valid header; anything else is a row written by hand.
        let Ok(plain) = HeaderValue::from_str(url) else {
            tracing::error!(link.id = %call.target.id, "a link's destination cannot stand in a header");
            self.count(Ending::Broken);
            return self.not_found(call.visit.languages);
        };
        let Ok(click) = self.record(call, step, unit) else {
            return self.unavailable(call.visit.languages);
        };
        let location = match call.decorated(url, click) {
            Cow::Borrowed(_) => Ok(plain),
            Cow::Owned(decorated) => HeaderValue::try_from(decorated),
        };
        let Ok(location) = location else {
            tracing::error!(link.id = %call.target.id, "what was added to a URL cannot stand in a header");
            self.count(Ending::Broken);
            return self.not_found(call.visit.languages);
        };
        self.count(if click.is_some() { Ending::Redirected } else { Ending::Unrecorded });
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location);
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        name_click(headers, click);
        response
    }

    /// Records the visit and returns the id of the click; `None`: the spool cannot take it and the visitor goes on all the
    /// same. Fails, and counts that, when the visitor shall not; what a limit must count and cannot does not pass, and its
    /// `unit` goes back.
    pub(super) fn record(
        &self,
        call: &Call<'_>,
        step: Step,
        unit: Option<Unit>,
    ) -> Result<Option<ClickId>, TurnedAway> {
        let Call { target, visit, .. } = call;
        let id = ClickId::mint(&self.0.env.ids, call.now);
        let click = Click {
            workspace: target.workspace_id,
            link: target.id,
            platform: visit.visitor.platform as i16,
            class: call.class,
            step: step.number(),
            client: visit.client,
            user_agent: visit.user_agent,
            referrer: visit.referrer,
            languages: visit.languages,
            query: visit.query,
            parameters: target.decoration.as_deref().map_or(&[], |link| &link.parameters),
            lease: unit.as_ref().map(Unit::lease),
        };
        let recorded = self.0.recorder.record(id, &click);
        let must_be = unit.is_some() || self.0.env.config.spool.full_policy == FullPolicy::Refuse;
        if recorded.is_err() && must_be {
            self.count(Ending::Refused);
            return Err(TurnedAway);
        }
        if let Some(unit) = unit {
            unit.spend();
        }
        if target.rules.ask_who_was_here() && call.class == Class::Human && !visit.visitor.scraper {
            self.0.history.remember(target, visit, call.now);
        }
        Ok(recorded.is_ok().then_some(id))
    }
}

/// Why there is no link to a code.
#[derive(Debug, Clone, Copy)]
pub(super) enum Missing {
    /// Nobody made one.
    Unknown,
    /// No store could say.
    Away,
}

/// The click could not be recorded, and the settings say that then nobody is sent on.
#[derive(Debug)]
pub(super) struct TurnedAway;

impl Call<'_> {
    /// Returns a URL with what the link and the visitor add to it.
    pub fn decorated<'a>(&self, url: &'a str, click: Option<ClickId>) -> Cow<'a, str> {
        let query = if self.target.forward_query { self.visit.query } else { "" };
        decorate(url, Additions { link: self.target.decoration.as_deref(), click, query })
    }
}

/// Says in the headers under which id a visit was recorded.
pub(super) fn name_click(headers: &mut HeaderMap, click: Option<ClickId>) {
    if let Some(id) = click
        && let Ok(id) = HeaderValue::from_str(id.0.as_hyphenated().encode_lower(&mut [0; 36]))
    {
        headers.insert(CLICK_ID, id);
    }
}

/// Returns the code of a path that can be a short link.
pub fn code_of(path: &str) -> Option<&str> {
    path.strip_prefix('/').filter(|code| is_short_code(code))
}

/// Returns the Accept-Language header.
pub(super) fn languages(request: &Parts) -> &str {
    text(request, &header::ACCEPT_LANGUAGE)
}

/// Returns a header as text; bytes that are none become nothing.
fn text<'a>(request: &'a Parts, name: &header::HeaderName) -> &'a str {
    request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
