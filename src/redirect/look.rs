//! Where a link leads, for those who look before they follow it: `GET /{code}+`. No click.

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use http_body_util::Full;

use super::{
    answer::{not_found, respond, unavailable},
    destination::{Outcome, choose},
    ending::Ending,
    http::{Redirects, code_of},
    pages::{self, Look},
    visitor::{Password, Platform, Visit, Visitor, Whereabouts},
};
use crate::{
    clock::Moment,
    ids::LinkId,
    links::{Answer, OWN_DOMAIN, Target},
};

/// Returns the code of a path that asks where a short link leads.
pub fn looked_up(path: &str) -> Option<&str> {
    code_of(path.strip_suffix('+')?)
}

impl Redirects {
    /// Says where a link leads; `None` for a path that does not ask that.
    pub async fn look(&self, request: &Parts) -> Option<Response<Full<Bytes>>> {
        let code = looked_up(request.uri.path())?;
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
        let nonce = self.nonce();
        let languages = request.headers.get(http::header::ACCEPT_LANGUAGE);
        let language = languages.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let look = Look { language, nonce: &nonce };
        let destination = match shown(&target, now) {
            Shown::Gone => {
                self.count(Ending::Gone);
                return Some(respond(pages::gone(&look), &nonce));
            }
            Shown::Nothing => {
                self.count(Ending::Closed);
                return Some(not_found());
            }
            Shown::Hidden => None,
            Shown::Destination(url) => Some(url),
        };
        self.count(Ending::Looked);
        let title = target.extras.as_deref().filter(|extras| !extras.has_password);
        let view = pages::PublicPreview {
            destination,
            title: title.map_or("", |extras| &extras.title),
            created: &month(target.id),
            short_url: &self.short_url(code),
        };
        Some(respond(pages::public_preview(&look, view), &nonce))
    }
}

/// What is said of where a link leads.
#[derive(Debug, PartialEq, Eq)]
enum Shown<'a> {
    /// That it is not available any more.
    Gone,
    /// What is said of an unknown one.
    Nothing,
    /// That it exists.
    Hidden,
    /// This.
    Destination(&'a str),
}

/// Decides as for a visitor about whom nothing is known but that they are no phone. Rules and targeting are about visitors, so
/// they say nothing here.
fn shown(link: &Target, now: Moment) -> Shown<'_> {
    if link.house.as_ref().is_some_and(|house| house.settings.public_preview == Some(false)) {
        return Shown::Nothing;
    }
    let visit = Visit {
        visitor: Visitor { platform: Platform::Web, in_app_browser: false, scraper: false },
        user_agent: "",
        languages: "",
        referrer: "",
        query: "",
        client: None,
        country: Whereabouts::Known(None),
        password: Password::Unknown,
        used_up: false,
    };
    match choose(link, &visit, now) {
        Outcome::Gone(_) => return Shown::Gone,
        Outcome::Password | Outcome::Warn { .. } => return Shown::Hidden,
        Outcome::NotFound(super::destination::Closed::NotTargeted) => {}
        Outcome::NotFound(_) => return Shown::Nothing,
        // Who could look would need no click.
        _ if link.max_clicks != 0 => return Shown::Hidden,
        _ => {}
    }
    let urls = [
        &link.destination_url,
        &link.web_url,
        &link.ios_url,
        &link.android_url,
        &link.ios_universal_link,
        &link.android_app_link,
    ];
    urls.into_iter().find(|url| !url.is_empty()).map_or(Shown::Hidden, |url| Shown::Destination(url))
}

/// Returns the month a link was created in. Its id says when.
fn month(link: LinkId) -> String {
    let seconds = link.0.get_timestamp().map_or(0, |time| time.to_unix().0);
    let moment = i64::try_from(seconds).ok().and_then(|seconds| Moment::from_timestamp(seconds, 0));
    moment.map(|moment| moment.format("%Y-%m").to_string()).unwrap_or_default()
}
