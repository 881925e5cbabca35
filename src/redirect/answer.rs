//! Writes the answers that are pages: what became of a visit, as views of [`pages`], with the headers a page needs.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header, request::Parts};
use http_body_util::Full;

use super::{
    destination::{self, Card, Closed, Outcome, Step},
    ending::Ending,
    http::{Call, NO_STORE, Redirects, languages, name_click},
    pages::{self, Look, Page, PasswordState},
    scheme,
    visitor::{Password, Platform},
};
use crate::{clicks::query::TOKEN, domains::Site, ids::ClickId, links::Unit, pb::v1};

/// What crawlers are told where nobody says anything else.
const ALLOW_ALL: &str = "User-agent: *\nDisallow:\n";

impl Redirects {
    /// Shows a page instead of sending the visitor on. Pages that lead on are clicks; those that stand in the way are not.
    #[cold]
    pub(super) fn show(
        &self,
        call: &Call<'_>,
        outcome: Outcome<'_>,
        unit: Option<Unit>,
    ) -> Response<Full<Bytes>> {
        let look = self.look_of(call.visit.languages);
        let away = || pages::unavailable(&look).into();
        match outcome {
            Outcome::Go { url, step } => self.go(call, url, step, unit, StatusCode::FOUND),
            Outcome::OpenApp { store, web } => {
                let Ok(click) = self.record(call, Step::Scheme, unit) else { return away() };
                self.count(if click.is_some() { Ending::OpenedApp } else { Ending::Unrecorded });
                recorded(open_app(call, &look, (store, web), click), click)
            }
            Outcome::Pasteboard { store, step } => {
                let Ok(click) = self.record(call, step, unit) else { return away() };
                self.count(if click.is_some() { Ending::Pasteboard } else { Ending::Unrecorded });
                let store = call.decorated(store, click);
                let Some(token) = call.token(click) else {
                    // Nothing to carry: as without the page. After the form with the password browsers must not send it again.
                    let by_form = call.visit.password == Password::Given;
                    let status = if by_form { StatusCode::SEE_OTHER } else { StatusCode::FOUND };
                    return onward(&store, status).unwrap_or_else(|| pages::no_destination(&look).into());
                };
                let text = format!("{}?{TOKEN}={token}", self.short_url(call.site, call.code));
                recorded(pages::pasteboard(&look, pages::Pasteboard { store: &store, text: &text }), click)
            }
            Outcome::Launchpad(ways) => {
                let Ok(click) = self.record(call, Step::Launchpad, unit) else { return away() };
                self.count(if click.is_some() { Ending::Launchpad } else { Ending::Unrecorded });
                recorded(launchpad(call, &look, ways, click, &self.short_url(call.site, call.code)), click)
            }
            Outcome::Preview(card) => {
                let Ok(click) = self.record(call, Step::Preview, None) else { return away() };
                self.count(if click.is_some() { Ending::Previewed } else { Ending::Unrecorded });
                recorded(preview(call, &look, card, &self.short_url(call.site, call.code)), click)
            }
            Outcome::Warn { onward } => {
                self.count(Ending::Warned);
                warning(call, &look, onward, &self.report_url(call.site, call.code)).into()
            }
            Outcome::Password => {
                self.count(Ending::Locked);
                pages::password(&look, pages::Password { state: PasswordState::Ask }).into()
            }
            Outcome::NoDestination => {
                self.count(Ending::Nowhere);
                pages::no_destination(&look).into()
            }
            Outcome::Gone(_) => {
                self.count(Ending::Gone);
                pages::gone(&look).into()
            }
            Outcome::NotFound(closed) => {
                self.count(Ending::Closed);
                match closed {
                    Closed::Expired | Closed::Exhausted => {
                        let elsewhere = call
                            .site
                            .domain()
                            .and_then(|domain| onward(&domain.expired_url, StatusCode::FOUND));
                        elsewhere.unwrap_or_else(|| pages::expired(&look).into())
                    }
                    Closed::Inactive | Closed::NotStarted | Closed::NotTargeted => {
                        self.not_there(call.site, call.visit.languages)
                    }
                }
            }
        }
    }

    /// Returns how pages look to a visitor who sent this Accept-Language header.
    pub(super) fn look_of(&self, languages: &str) -> Look {
        Look::of(languages, &self.0.env.ids)
    }

    /// Answers with the page of an unknown link.
    pub(super) fn not_found(&self, languages: &str) -> Response<Full<Bytes>> {
        pages::not_found(&self.look_of(languages)).into()
    }

    /// Asks a visitor to come back. Never a 404, which would be believed and remembered.
    pub(super) fn unavailable(&self, languages: &str) -> Response<Full<Bytes>> {
        pages::unavailable(&self.look_of(languages)).into()
    }

    /// Answers for a link that is not there, as the domain wants it.
    pub(super) fn not_there(&self, site: &Site, languages: &str) -> Response<Full<Bytes>> {
        let elsewhere = site.domain().and_then(|domain| onward(&domain.not_found_url, StatusCode::FOUND));
        elsewhere.unwrap_or_else(|| self.not_found(languages))
    }

    /// Answers a request for a host that is none of ours: that no link is there, and on a connection that may be shared by several hosts
    /// (HTTP/2), that this is the wrong one.
    #[cold]
    pub(super) fn misdirected(&self, request: &Parts) -> Response<Full<Bytes>> {
        let mut response = self.not_found(languages(request));
        if request.version == Version::HTTP_2 {
            *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
        }
        response
    }

    /// Answers a visit to a domain itself, `/`; `None`: the server's own, which has a page of its own there or none.
    pub fn root(&self, site: &Site, request: &Parts) -> Option<Response<Full<Bytes>>> {
        match site {
            Site::Own => None,
            Site::Of(domain) => Some(
                onward(&domain.root_url, StatusCode::FOUND)
                    .unwrap_or_else(|| self.not_there(site, languages(request))),
            ),
            Site::Unknown => Some(self.misdirected(request)),
            Site::Away => Some(self.unavailable(languages(request))),
        }
    }

    /// Tells crawlers what they may fetch: everything, unless the domain says otherwise. Networks that obey could not show previews of
    /// links otherwise.
    pub fn robots(&self, site: &Site, request: &Parts) -> Response<Full<Bytes>> {
        let text = match site {
            Site::Own => "",
            Site::Of(domain) => &domain.robots_txt,
            Site::Unknown => return self.misdirected(request),
            Site::Away => return self.unavailable(languages(request)),
        };
        let text = if text.is_empty() { ALLOW_ALL.to_owned() } else { text.to_owned() };
        let mut response = Response::new(Full::from(text));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        response
    }

    fn report_url(&self, site: &Site, code: &str) -> String {
        self.short_url(site, &format!("report/{code}"))
    }

    pub(super) fn short_url(&self, site: &Site, code: &str) -> String {
        self.0.env.config.short_url(site.domain().map(|domain| &*domain.host), code)
    }
}

/// Sends a visitor to a URL, unless it is empty.
fn onward(url: &str, status: StatusCode) -> Option<Response<Full<Bytes>>> {
    let location = HeaderValue::from_str(url).ok().filter(|_| !url.is_empty())?;
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    Some(response)
}

/// What the page that opens the app leads on to.
pub(super) struct AppUrls<'a> {
    pub scheme: String,
    pub intent: Option<String>,
    pub store: Option<Cow<'a, str>>,
    pub web: Option<Cow<'a, str>>,
}

impl<'a> AppUrls<'a> {
    pub fn of(
        call: &Call<'_>,
        (store, web): (Option<&'a str>, Option<&'a str>),
        click: Option<ClickId>,
    ) -> Self {
        let (store, web) = (decorated(call, store, click), decorated(call, web, click));
        let scheme = scheme::custom(call.target, click).unwrap_or_default();
        let intent = match call.visit.visitor.platform {
            Platform::Android => scheme::intent(call.target, click, store.as_deref().or(web.as_deref())),
            Platform::Ios | Platform::Web => None,
        };
        Self { scheme, intent, store, web }
    }
}

fn open_app(
    call: &Call<'_>,
    look: &Look,
    ways: (Option<&str>, Option<&str>),
    click: Option<ClickId>,
) -> Page {
    let visitor = call.visit.visitor;
    let urls = AppUrls::of(call, ways, click);
    let view = pages::OpenApp {
        scheme_url: &urls.scheme,
        intent_url: urls.intent.as_deref(),
        platform: visitor.platform,
        store: urls.store.as_deref(),
        web: urls.web.as_deref(),
        in_webview: visitor.in_app_browser,
    };
    pages::open_app(look, view)
}

/// What the launchpad leads on to.
pub(super) struct LaunchpadUrls<'a> {
    pub ios_store: Option<Cow<'a, str>>,
    pub android_store: Option<Cow<'a, str>>,
    pub web: Option<Cow<'a, str>>,
    pub open_app: Option<String>,
}

impl<'a> LaunchpadUrls<'a> {
    pub fn of(call: &Call<'_>, ways: destination::Launchpad<'a>, click: Option<ClickId>) -> Self {
        Self {
            ios_store: decorated(call, ways.ios_store, click),
            android_store: decorated(call, ways.android_store, click),
            web: decorated(call, ways.web, click),
            open_app: scheme::custom(call.target, click).filter(|_| ways.opens_app),
        }
    }
}

fn launchpad(
    call: &Call<'_>,
    look: &Look,
    ways: destination::Launchpad<'_>,
    click: Option<ClickId>,
    short_url: &str,
) -> Page {
    let of_house = call.target.house.as_ref().and_then(|house| house.settings.launchpad.as_ref());
    let empty = v1::Launchpad::default();
    let settings = of_house.unwrap_or(&empty);
    let said = Said::of(call);
    let LaunchpadUrls { ios_store, android_store, web, open_app } = LaunchpadUrls::of(call, ways, click);
    let view = pages::Launchpad {
        title: said.title,
        description: given(said.description),
        image: given(said.image),
        app_name: given(&settings.app_name),
        app_icon: given(&settings.app_icon_url),
        accent: given(&settings.accent_color),
        ios_store: ios_store.as_deref(),
        android_store: android_store.as_deref(),
        open_app: open_app.as_deref(),
        web: web.as_deref(),
        short_url,
        platform: call.visit.visitor.platform,
    };
    pages::launchpad(look, view)
}

fn preview(call: &Call<'_>, look: &Look, card: Card, short_url: &str) -> Page {
    let Said { title, description, image, site_name } = match card {
        Card::Own => Said::of(call),
        Card::Neutral => Said::default(),
    };
    let view = pages::Preview {
        title,
        description: given(description),
        image: given(image),
        site_name: given(site_name),
        short_url,
    };
    pages::preview(look, view)
}

fn warning(call: &Call<'_>, look: &Look, onward: Option<(&str, Step)>, own_report: &str) -> Page {
    let continue_url = onward.map(|(url, _)| call.decorated(url, None));
    let report = call.target.house.as_ref().map(|house| house.settings.report_abuse_url.as_str());
    let view = pages::Warning {
        destination: continue_url.as_deref().unwrap_or_default(),
        report_url: Some(report.filter(|url| !url.is_empty()).unwrap_or(own_report)),
        continue_url: continue_url.as_deref(),
    };
    pages::warning(look, view)
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// What a link says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    pub title: &'a str,
    pub description: &'a str,
    pub image: &'a str,
    pub site_name: &'a str,
}

impl<'a> Said<'a> {
    /// What previews show, and where that says nothing, what the link says to people. A link with a password says no more
    /// than what is meant for previews.
    pub fn of(call: &Call<'a>) -> Self {
        let title = &*call.target.title;
        let Some(extras) = call.target.extras.as_deref() else { return Self { title, ..Self::default() } };
        let (title, description) =
            if extras.has_password && extras.og.is_some() { ("", "") } else { (title, &*extras.description) };
        let Some(og) = extras.og.as_deref() else { return Self { title, description, ..Self::default() } };
        let or = |own: &'a str, other: &'a str| if own.is_empty() { other } else { own };
        Self {
            title: or(&og.title, title),
            description: or(&og.description, description),
            image: &og.image_url,
            site_name: &og.site_name,
        }
    }
}

fn decorated<'a>(call: &Call<'_>, url: Option<&'a str>, click: Option<ClickId>) -> Option<Cow<'a, str>> {
    url.map(|url| call.decorated(url, click))
}

/// Answers with a page to a recorded visit.
fn recorded(page: Page, click: Option<ClickId>) -> Response<Full<Bytes>> {
    let mut response: Response<_> = page.into();
    name_click(response.headers_mut(), click);
    response
}
