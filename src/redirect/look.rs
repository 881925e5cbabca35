//! Where a link leads, for those who look before they follow it: `GET /{code}+`. No click.

use bytes::Bytes;
use chrono::NaiveDate;
use http::{Response, request::Parts};
use http_body_util::Full;

use super::{
    destination::{Outcome, choose},
    ending::Ending,
    http::{Redirects, code_of, languages},
    pages,
    visitor::Visit,
};
use crate::{clock::Moment, domains::Site, ids::LinkId, links::Target};

/// Returns the code of a path that asks where a short link leads.
pub fn looked_up(path: &str) -> Option<&str> {
    code_of(path.strip_suffix('+')?)
}

impl Redirects {
    /// Says where the link of `code` on `site` leads.
    pub async fn look(&self, site: &Site, code: &str, request: &Parts) -> Response<Full<Bytes>> {
        let now = self.0.env.now();
        let target = match self.find(site, code, now).await {
            Ok(target) => target,
            Err(missing) => return self.missed(missing, site, request),
        };
        let look = self.look_of(languages(request));
        let destination = match shown(&target, now) {
            Shown::Gone => {
                self.count(Ending::Gone);
                return pages::gone(&look).into();
            }
            Shown::Nothing => {
                self.count(Ending::Closed);
                return pages::not_found(&look).into();
            }
            Shown::Hidden => None,
            Shown::Destination(url) => Some(url),
        };
        self.count(Ending::Looked);
        let locked = target.extras.as_deref().is_some_and(|extras| extras.has_password);
        let title = (!locked && !target.title.is_empty()).then_some(&*target.title);
        let url = destination.and_then(|url| url::Url::parse(url).ok());
        let view = pages::PublicPreview {
            destination,
            host: url.as_ref().and_then(url::Url::host_str),
            title,
            created: made_on(target.id),
            short_url: &self.short_url(site, code),
        };
        pages::public_preview(&look, view).into()
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
    match choose(link, &Visit::of_nobody(), now) {
        Outcome::Gone(_) => return Shown::Gone,
        Outcome::Password | Outcome::Warn { .. } => return Shown::Hidden,
        Outcome::NotFound(super::destination::Closed::NotTargeted) => {}
        Outcome::NotFound(_) => return Shown::Nothing,
        // Who could look would need no click.
        _ if link.max_clicks != 0 => return Shown::Hidden,
        _ => {}
    }
    let others = &link.addresses;
    let urls = [
        &*link.destination_url,
        &others.web_url,
        &others.ios_url,
        &others.android_url,
        &others.ios_universal_link,
        &others.android_app_link,
    ];
    urls.into_iter().find(|url| !url.is_empty()).map_or(Shown::Hidden, Shown::Destination)
}

/// Returns the day a link was created on. Its id says when.
fn made_on(link: LinkId) -> Option<NaiveDate> {
    let seconds = link.0.get_timestamp()?.to_unix().0;
    Moment::from_timestamp(i64::try_from(seconds).ok()?, 0).map(|moment| moment.date_naive())
}
