//! Writes the answers that are pages: what became of a visit, as views of [`pages`], with the headers a page needs.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::{
    destination::{self, Card, Outcome, Step},
    ending::Ending,
    http::{Call, NO_STORE, Redirects, name_click},
    pages::{self, Look, Page, PasswordState},
    scheme,
    visitor::Platform,
};
use crate::{ids::ClickId, links::Unit, pb::v1};

/// How long a visitor should wait when no store could say where the link goes.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

impl Redirects {
    /// Shows a page instead of sending the visitor on. Pages that lead on are clicks; those that stand in the way are not.
    #[cold]
    pub(super) fn show(
        &self,
        call: &Call<'_>,
        outcome: Outcome<'_>,
        unit: Option<Unit>,
    ) -> Response<Full<Bytes>> {
        let nonce = self.nonce();
        let look = Look { language: call.visit.languages, nonce: &nonce };
        match outcome {
            Outcome::Go { url, step } => self.go(call, url, step, unit, StatusCode::FOUND),
            Outcome::OpenApp { store, web } => {
                let Ok(click) = self.record(call, Step::Scheme, unit) else { return unavailable() };
                self.count(if click.is_some() { Ending::OpenedApp } else { Ending::Unrecorded });
                recorded(open_app(call, &look, (store, web), click), &nonce, click)
            }
            Outcome::Launchpad(ways) => {
                let Ok(click) = self.record(call, Step::Launchpad, unit) else { return unavailable() };
                self.count(if click.is_some() { Ending::Launchpad } else { Ending::Unrecorded });
                recorded(launchpad(call, &look, ways, click, &self.short_url(call.code)), &nonce, click)
            }
            Outcome::Preview(card) => {
                let Ok(click) = self.record(call, Step::Preview, None) else { return unavailable() };
                self.count(if click.is_some() { Ending::Previewed } else { Ending::Unrecorded });
                recorded(preview(call, &look, card, &self.short_url(call.code)), &nonce, click)
            }
            Outcome::Warn { onward } => {
                self.count(Ending::Warned);
                respond(warning(call, &look, onward), &nonce)
            }
            Outcome::Password => {
                self.count(Ending::Locked);
                respond(pages::password(&look, pages::Password { state: PasswordState::Asked }), &nonce)
            }
            Outcome::NoDestination => {
                self.count(Ending::Nowhere);
                respond(pages::no_destination(&look), &nonce)
            }
            Outcome::Gone(_) => {
                self.count(Ending::Gone);
                respond(pages::gone(&look), &nonce)
            }
            Outcome::NotFound(_) => {
                self.count(Ending::Closed);
                not_found()
            }
        }
    }

    /// Returns what scripts and styles of one answer carry, so that no other runs.
    pub(super) fn nonce(&self) -> String {
        STANDARD_NO_PAD.encode(self.0.env.ids.bytes::<16>())
    }

    pub(super) fn short_url(&self, code: &str) -> String {
        format!("{}/{code}", self.0.env.config.links_url.as_str().trim_end_matches('/'))
    }
}

fn open_app(
    call: &Call<'_>,
    look: &Look<'_>,
    (store, web): (Option<&str>, Option<&str>),
    click: Option<ClickId>,
) -> Page {
    let visitor = call.visit.visitor;
    let (store, web) = (decorated(call, store, click), decorated(call, web, click));
    let scheme_url = scheme::custom(call.target, click).unwrap_or_default();
    let intent_url = match visitor.platform {
        Platform::Android => scheme::intent(call.target, click, store.as_deref().or(web.as_deref())),
        Platform::Ios | Platform::Web => None,
    };
    let view = pages::OpenApp {
        scheme_url: &scheme_url,
        intent_url: intent_url.as_deref(),
        platform: visitor.platform,
        store: store.as_deref(),
        web: web.as_deref(),
        in_webview: visitor.in_app_browser,
    };
    pages::open_app(look, view)
}

fn launchpad(
    call: &Call<'_>,
    look: &Look<'_>,
    ways: destination::Launchpad<'_>,
    click: Option<ClickId>,
    short_url: &str,
) -> Page {
    let of_house = call.target.house.as_ref().and_then(|house| house.settings.launchpad.as_ref());
    let empty = v1::Launchpad::default();
    let settings = of_house.unwrap_or(&empty);
    let said = Said::of(call);
    let (ios_store, android_store) =
        (decorated(call, ways.ios_store, click), decorated(call, ways.android_store, click));
    let web = decorated(call, ways.web, click);
    let open_app = scheme::custom(call.target, click).filter(|_| ways.opens_app);
    let view = pages::Launchpad {
        title: said.title,
        description: said.description,
        image: said.image,
        app_name: &settings.app_name,
        app_icon: &settings.app_icon_url,
        accent: &settings.accent_color,
        ios_store: ios_store.as_deref(),
        android_store: android_store.as_deref(),
        open_app: open_app.as_deref(),
        web: web.as_deref(),
        short_url,
        platform: call.visit.visitor.platform,
    };
    pages::launchpad(look, view)
}

fn preview(call: &Call<'_>, look: &Look<'_>, card: Card, short_url: &str) -> Page {
    let Said { title, description, image, site_name } = match card {
        Card::Own => Said::of(call),
        Card::Neutral => Said::default(),
    };
    pages::preview(look, pages::Preview { title, description, image, site_name, short_url })
}

fn warning(call: &Call<'_>, look: &Look<'_>, onward: Option<(&str, Step)>) -> Page {
    let continue_url = onward.map(|(url, _)| call.decorated(url, None));
    let report = call.target.house.as_ref().map(|house| house.settings.report_abuse_url.as_str());
    let view = pages::Warning {
        destination: continue_url.as_deref().unwrap_or_default(),
        report_url: report.filter(|url| !url.is_empty()),
        continue_url: continue_url.as_deref(),
    };
    pages::warning(look, view)
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
        let Some(extras) = call.target.extras.as_deref() else { return Self::default() };
        let (title, description) = if extras.has_password && extras.og.is_some() {
            ("", "")
        } else {
            (&*extras.title, &*extras.description)
        };
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

/// Answers with the page of an unknown link.
pub(super) fn not_found() -> Response<Full<Bytes>> {
    plain(StatusCode::NOT_FOUND, include_bytes!("not_found.html"))
}

/// Asks a visitor to come back.
pub(super) fn unavailable() -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, include_bytes!("unavailable.html"));
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    response
}

/// Answers with a page that is the same for everybody.
fn plain(status: StatusCode, html: &'static [u8]) -> Response<Full<Bytes>> {
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    );
    write(status, Bytes::from_static(html), policy)
}

fn recorded(page: Page, nonce: &str, click: Option<ClickId>) -> Response<Full<Bytes>> {
    let mut response = respond(page, nonce);
    name_click(response.headers_mut(), click);
    response
}

/// Answers with a page: nothing runs in it and nothing styles it but what carries the nonce, and nobody frames it. Forms may
/// lead anywhere on the web: browsers hold where a form leads to in the end against this list too.
pub(super) fn respond(page: Page, nonce: &str) -> Response<Full<Bytes>> {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src https: http: data:; \
         form-action 'self' https: http:; frame-ancestors 'none'; base-uri 'none'"
    );
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    write(page.status, Bytes::from(page.html), policy)
}

fn write(status: StatusCode, html: Bytes, policy: HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
