//! Visitors type in the password of a link.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use tokio::time::timeout;
use url::form_urlencoded;

use super::{
    answer::{not_found, respond, unavailable},
    destination::{Outcome, choose},
    ending::Ending,
    http::{Call, NO_STORE, Redirects, code_of},
    pages::{self, Look, PasswordState},
    visitor::{Password, Visit},
};
use crate::{
    clicks::class::{self, Edge},
    hashing::{self, Whose},
    limits::{LimitName, Verdict},
    links::{self, Answer, OWN_DOMAIN},
};

/// The hash is read for every attempt and never remembered: it stays in the database.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(800);
/// What an attempt is sent as.
const FORM: &str = "application/x-www-form-urlencoded";

/// Says whether a request can be an attempt to unlock a link.
pub fn is_attempt(request: &Parts) -> bool {
    let kind = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    request.method == http::Method::POST
        && kind.is_some_and(|kind| kind.eq_ignore_ascii_case(FORM))
        && code_of(request.uri.path()).is_some()
}

impl Redirects {
    /// Answers an attempt to unlock a link: who knows the password goes where the link leads, and that is the click. Attempts
    /// are counted by `household`, the address or the network around it.
    pub async fn unlock(
        &self,
        request: &Parts,
        (client, household): (IpAddr, IpAddr),
        edge: Edge,
        form: &[u8],
    ) -> Response<Full<Bytes>> {
        let Some(code) = code_of(request.uri.path()) else { return not_found() };
        let now = self.0.env.now();
        let target = match self.0.resolver.resolve(OWN_DOMAIN, code, now).await {
            Answer::Found(target) => target,
            Answer::Unknown => {
                self.count(Ending::Unknown);
                return not_found();
            }
            Answer::Away => {
                self.count(Ending::Away);
                return unavailable();
            }
        };
        let visit = self.read(request, client);
        // The method is that of the form; who sends it has a browser.
        let class = class::by_request(&http::Method::GET, &request.headers, edge);
        let call = Call { target: &target, code, visit: &visit, class, now };
        match choose(&target, &visit, now) {
            Outcome::Password => {}
            Outcome::Go { .. } | Outcome::OpenApp { .. } | Outcome::Launchpad(_) | Outcome::Preview(_) => {
                // The password was taken away meanwhile.
                return self.again(code);
            }
            other => return self.show(&call, other, None),
        }
        for (name, key) in
            [(LimitName::Unlock, household.to_string()), (LimitName::UnlockLink, target.id.to_string())]
        {
            if let Verdict::Limited { retry_after, .. } = self.0.limits.check(name, &key, 1).await {
                self.count(Ending::Throttled);
                return self.ask(&call, PasswordState::Throttled, Some(retry_after));
            }
        }
        let given = form_urlencoded::parse(form).find(|(name, _)| name == "password");
        let given = given.map(|(_, value)| value).unwrap_or_default();
        let db = &self.0.env.db.lookup;
        let stored = links::find_password(db, target.workspace_id, target.id);
        let stored = match timeout(LOOKUP_TIMEOUT, stored).await {
            Ok(Ok(Some(stored))) => stored,
            Ok(Ok(None)) => return self.again(code),
            Ok(Err(_)) | Err(_) => {
                self.count(Ending::Away);
                return self.ask(&call, PasswordState::Unavailable, Some(Duration::from_secs(2)));
            }
        };
        match hashing::verify(&self.0.env, Whose::Link, &given, Some(&stored)).await {
            Ok(true) => {}
            Ok(false) => {
                self.count(Ending::Locked);
                return self.ask(&call, PasswordState::Wrong, None);
            }
            Err(error) => {
                tracing::warn!(cause = %error.inward(), link.id = %target.id, "a password cannot be checked");
                self.count(Ending::Overloaded);
                return self.ask(&call, PasswordState::Unavailable, Some(Duration::from_secs(2)));
            }
        }
        let visit = Visit { password: Password::Given, ..visit };
        let call = Call { visit: &visit, ..call };
        let Some((outcome, unit)) = self.decide(&target, &visit, now).await else { return unavailable() };
        match outcome {
            Outcome::Go { url, step } => self.go(&call, url, step, unit, StatusCode::SEE_OTHER),
            other => self.show(&call, other, unit),
        }
    }

    fn ask(
        &self,
        call: &Call<'_>,
        state: PasswordState,
        retry_after: Option<Duration>,
    ) -> Response<Full<Bytes>> {
        let nonce = self.nonce();
        let look = Look { language: call.visit.languages, nonce: &nonce };
        let mut response = respond(pages::password(&look, pages::Password { state }), &nonce);
        if let Some(wait) = retry_after {
            // Whole seconds, rounded up.
            let seconds = HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }

    /// Sends a visitor to the link itself, to follow it like everybody.
    fn again(&self, code: &str) -> Response<Full<Bytes>> {
        self.count(Ending::Locked);
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        // A code is letters, digits and dashes.
        if let Ok(location) = HeaderValue::try_from(format!("/{code}")) {
            headers.insert(header::LOCATION, location);
        }
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        response
    }
}
