//! Reads a visit and writes its answer. The warm path allocates little, waits for nothing and answers before any router.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::Full;

use super::{
    agent::Agents,
    decorate::{Additions, Mark, decorate},
    destination::{Outcome, Step, choose},
    ending::{Ending, Endings},
    history::History,
    manner,
    visitor::{Before, Password, Programs, Visit, Whereabouts},
};
use crate::{
    clicks::{
        Click, ClickTokens, Recorder,
        class::{self, Class, Edge},
    },
    clock::Moment,
    config::FullPolicy,
    domains::Site,
    env::Env,
    ids::ClickId,
    limits::{LimitName, Limits, Verdict},
    links::{Answer, Budgets, Resolver, Taken, Target, Unit, is_short_code},
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
    pub recorder: Recorder,
    endings: Endings,
    agents: Agents,
    history: History,
}

/// A visit to a link that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub target: &'a Target,
    pub site: &'a Site,
    pub code: &'a str,
    pub visit: &'a Visit<'a>,
    pub class: Class,
    pub now: Moment,
    /// What makes the token of the click.
    pub tokens: Option<&'a ClickTokens>,
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

    /// Answers a visit to the short link of `code` on `site`, by GET or HEAD.
    pub async fn follow(
        &self,
        site: &Site,
        code: &str,
        request: &Parts,
        client: IpAddr,
        edge: Edge,
    ) -> Response<Full<Bytes>> {
        match self.follow_at_once(site, code, request, client, edge) {
            Ok(answer) => answer,
            Err(waits) => self.follow_later(site, code, request, client, edge, waits).await,
        }
    }

    /// Answers a visit as [`Redirects::follow`] does, if that can be done at once: the link is warm and has no limit of clicks.
    pub fn follow_at_once(
        &self,
        site: &Site,
        code: &str,
        request: &Parts,
        client: IpAddr,
        edge: Edge,
    ) -> Result<Response<Full<Bytes>>, Waits> {
        let now = self.0.env.now();
        if !matches!(site, Site::Own | Site::Of(_)) {
            return Err(Waits(None));
        }
        let recalled = self.0.resolver.recall(site.namespace(), &site.code(code), now);
        let Some(target) = recalled else { return Err(Waits(None)) };
        if target.max_clicks != 0 {
            return Err(Waits(Some(target)));
        }
        let visit = self.read(request, client, &target);
        let class = class::by_request(&request.method, &request.headers, edge);
        let tokens = Some(self.0.recorder.tokens());
        let call = Call { target: &target, site, code, visit: &visit, class, now, tokens };
        Ok(match choose(&target, &visit, now) {
            Outcome::Go { url, step } => self.go(&call, url, step, None, StatusCode::FOUND),
            other => self.show(&call, other, None),
        })
    }

    /// Answers a visit that [`Redirects::follow_at_once`] could not answer.
    pub async fn follow_later(
        &self,
        site: &Site,
        code: &str,
        request: &Parts,
        client: IpAddr,
        edge: Edge,
        Waits(found): Waits,
    ) -> Response<Full<Bytes>> {
        let now = self.0.env.now();
        let found = match found {
            Some(target) => Ok(target),
            None => self.find(site, code, now).await,
        };
        match found {
            Ok(target) => self.arrive((&target, site, code, now), request, client, edge).await,
            Err(missing) => self.missed(missing, site, request),
        }
    }

    /// Answers a visit to a short link in its long form, by GET or HEAD: unknown unless the link has a template of this slug.
    #[cold]
    pub async fn follow_long(
        &self,
        site: &Site,
        (slug, code): (&str, &str),
        request: &Parts,
        client: IpAddr,
        edge: Edge,
    ) -> Response<Full<Bytes>> {
        let now = self.0.env.now();
        let found = match self.find(site, code, now).await {
            Ok(target) if target.extras.as_ref().is_none_or(|extras| *extras.slug != *slug) => {
                Err(Missing::Unknown)
            }
            found => found,
        };
        match found {
            Ok(target) => self.arrive((&target, site, code, now), request, client, edge).await,
            Err(missing) => self.missed(missing, site, request),
        }
    }

    /// Answers a visit to a link that was found.
    pub(super) async fn arrive(
        &self,
        (target, site, code, now): (&Target, &Site, &str, Moment),
        request: &Parts,
        client: IpAddr,
        edge: Edge,
    ) -> Response<Full<Bytes>> {
        let visit = self.read(request, client, target);
        let class = class::by_request(&request.method, &request.headers, edge);
        let tokens = Some(self.0.recorder.tokens());
        let call = Call { target, site, code, visit: &visit, class, now, tokens };
        let Some((outcome, unit)) = self.decide(target, &visit, now).await else {
            return self.unavailable(visit.languages);
        };
        match outcome {
            Outcome::Go { url, step } => self.go(&call, url, step, unit, StatusCode::FOUND),
            other => self.show(&call, other, unit),
        }
    }

    /// Returns the link of a code.
    pub(super) async fn find(&self, site: &Site, code: &str, now: Moment) -> Result<Arc<Target>, Missing> {
        match site {
            Site::Own | Site::Of(_) => {}
            Site::Unknown => return Err(Missing::Misdirected),
            Site::Away => return Err(Missing::Away),
        }
        match self.0.resolver.resolve(site.namespace(), &site.code(code), now).await {
            Answer::Found(target) => Ok(target),
            Answer::Unknown => Err(Missing::Unknown),
            Answer::Away => Err(Missing::Away),
        }
    }

    /// Answers, and counts, a visit for which there is no link.
    pub(super) fn missed(&self, missing: Missing, site: &Site, request: &Parts) -> Response<Full<Bytes>> {
        match missing {
            Missing::Unknown => {
                self.count(Ending::Unknown);
                self.not_there(site, languages(request))
            }
            Missing::Misdirected => {
                self.count(Ending::Misdirected);
                self.misdirected(request)
            }
            Missing::Away => {
                self.count(Ending::Away);
                self.unavailable(languages(request))
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
        match self.0.budgets.take(target, now).await {
            Taken::Unit(unit) => Some((outcome, Some(unit))),
            Taken::Unlimited => Some((outcome, None)),
            Taken::UsedUp => Some((choose(target, &Visit { used_up: true, ..*visit }, now), None)),
            Taken::Away => {
                self.count(Ending::Away);
                None
            }
        }
    }

    /// Takes one of each of these limits, until one is used up: then returns in how many whole seconds, rounded up, it has room again.
    pub(super) async fn throttled(&self, limits: &[(LimitName, String)]) -> Option<u32> {
        for (name, key) in limits {
            if let Verdict::Limited { retry_after, .. } = self.0.limits.check(*name, key, 1).await {
                let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
                return Some(u32::try_from(seconds).unwrap_or(u32::MAX));
            }
        }
        None
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
        let (status, kept) = match &call.target.extras {
            Some(extras) if status == StatusCode::FOUND => manner::of(call.target, extras, call.now),
            _ => (status, NO_STORE),
        };
        // Three here, and one that may come at the door.
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::LOCATION, location);
        headers.insert(header::CACHE_CONTROL, kept);
        name_click(&mut headers, click);
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
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

/// Why a visit cannot be answered at once. Holds the link if it is known.
#[derive(Debug)]
pub struct Waits(Option<Arc<Target>>);

/// Why there is no link to a code.
#[derive(Debug, Clone, Copy)]
pub(super) enum Missing {
    /// Nobody made one.
    Unknown,
    /// The host is none of ours.
    Misdirected,
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
        let Target { id: link, workspace_id: workspace, .. } = *self.target;
        let click = click.map(|click| Mark { click, link, workspace, tokens: self.tokens });
        decorate(url, Additions { link: self.target.decoration.as_deref(), click, query })
    }

    /// Returns the token of the click; `None`: it was not recorded.
    pub fn token(&self, click: Option<ClickId>) -> Option<String> {
        Some(self.tokens?.mint(self.target.workspace_id, self.target.id, click?))
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

/// The first part of paths at which links are reported. Templates cannot be called so.
const REPORT: &str = "report";

/// Returns the slug and the code of a path that can be a short link in its long form.
#[inline(never)]
pub fn long_form(path: &str) -> Option<(&str, &str)> {
    let (slug, code) = path.strip_prefix('/')?.split_once('/')?;
    (slug != REPORT && is_short_code(slug) && is_short_code(code)).then_some((slug, code))
}

/// Says whether a request carries a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Returns the Accept-Language header.
pub(super) fn languages(request: &Parts) -> &str {
    text(request, &header::ACCEPT_LANGUAGE)
}

/// Returns a header as text; bytes that are none become nothing.
fn text<'a>(request: &'a Parts, name: &header::HeaderName) -> &'a str {
    let bytes = request.headers.get(name).map_or(&[][..], HeaderValue::as_bytes);
    // What `to_str` says, a word at a time: hyper lets nothing of ASCII pass that no text has.
    if bytes.is_ascii() { str::from_utf8(bytes).unwrap_or_default() } else { "" }
}
