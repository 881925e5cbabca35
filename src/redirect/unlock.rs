//! Visitors type in the password of a link.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use tokio::time::timeout;
use url::form_urlencoded;

use super::{
    destination::{Outcome, choose},
    ending::Ending,
    http::{Call, NO_STORE, Redirects, code_of, is_form, long_form},
    pages::{self, PasswordState},
    visitor::{Password, Visit},
};
use crate::{
    clicks::class::{self, Edge},
    domains::Site,
    hashing::{self, Whose},
    limits::LimitName,
    links,
};

/// The hash is read for every attempt and never remembered: it stays in the database.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(800);

/// Returns the code of a link that a request can be an attempt to unlock.
pub fn attempted(request: &Parts) -> Option<&str> {
    if request.method != http::Method::POST || !is_form(&request.headers) {
        return None;
    }
    let path = request.uri.path();
    code_of(path).or_else(|| long_form(path).map(|(_, code)| code))
}

impl Redirects {
    /// Answers an attempt to unlock the link of `code` on `site`: who knows the password goes where the link leads, and that is the click. Attempts
    /// are counted by `household`, the address or the network around it.
    pub async fn unlock(
        &self,
        (site, code): (&Site, &str),
        request: &Parts,
        (client, household): (IpAddr, IpAddr),
        edge: Edge,
        form: &[u8],
    ) -> Response<Full<Bytes>> {
        let now = self.0.env.now();
        let target = match self.find(site, code, now).await {
            Ok(target) => target,
            Err(missing) => return self.missed(missing, site, request),
        };
        let visit = self.read(request, client, &target);
        // The method is that of the form; who sends it has a browser.
        let class = class::by_request(&http::Method::GET, &request.headers, edge);
        let tokens = Some(self.0.recorder.tokens());
        let call = Call { target: &target, site, code, visit: &visit, class, now, tokens };
        match choose(&target, &visit, now) {
            Outcome::Password => {}
            Outcome::Go { .. }
            | Outcome::OpenApp { .. }
            | Outcome::Pasteboard { .. }
            | Outcome::Launchpad(_)
            | Outcome::Preview(_) => {
                // The password was taken away meanwhile.
                return self.again(code);
            }
            other => return self.show(&call, other, None),
        }
        let limits =
            [(LimitName::Unlock, household.to_string()), (LimitName::UnlockLink, target.id.to_string())];
        if let Some(seconds) = self.throttled(&limits).await {
            self.count(Ending::Throttled);
            return self.ask(&call, PasswordState::Throttled { seconds });
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
                return self.unavailable(visit.languages);
            }
        };
        match hashing::verify(&self.0.env, Whose::Link, &given, Some(&stored)).await {
            Ok(true) => {}
            Ok(false) => {
                self.count(Ending::Locked);
                return self.ask(&call, PasswordState::Wrong);
            }
            Err(error) => {
                tracing::warn!(cause = %error.inward(), link.id = %target.id, "a password cannot be checked");
                self.count(Ending::Overloaded);
                return self.unavailable(visit.languages);
            }
        }
        let visit = Visit { password: Password::Given, ..visit };
        let call = Call { visit: &visit, ..call };
        let Some((outcome, unit)) = self.decide(&target, &visit, now).await else {
            return self.unavailable(visit.languages);
        };
        match outcome {
            Outcome::Go { url, step } => self.go(&call, url, step, unit, StatusCode::SEE_OTHER),
            other => self.show(&call, other, unit),
        }
    }

    fn ask(&self, call: &Call<'_>, state: PasswordState) -> Response<Full<Bytes>> {
        pages::password(&self.look_of(call.visit.languages), pages::Password { state }).into()
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
