//! What visitors read when they are not simply sent on: plain views in, a status and HTML out. Pure.

use std::fmt::Write as _;

use http::StatusCode;

use super::visitor::Platform;

/// How a page looks to this visitor.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The Accept-Language header.
    pub language: &'a str,
    /// What scripts and styles of this answer carry.
    pub nonce: &'a str,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The status it is answered with.
    pub status: StatusCode,
    /// Its text.
    pub html: String,
}

/// A link that is warned of.
#[derive(Debug, Clone, Copy)]
pub struct Warning<'a> {
    /// Where it leads; empty when that is not to be said.
    pub destination: &'a str,
    /// Where it can be reported.
    pub report_url: Option<&'a str>,
    /// Where the visitor may go on to.
    pub continue_url: Option<&'a str>,
}

/// How it stands with the password of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordState {
    /// It is asked for.
    Asked,
    /// What was typed in was wrong.
    Wrong,
    /// Too many were tried.
    Throttled,
    /// Nobody can say at the moment.
    Unavailable,
}

/// A link that asks for a password.
#[derive(Debug, Clone, Copy)]
pub struct Password {
    /// How it stands.
    pub state: PasswordState,
}

/// A link that opens an app.
#[derive(Debug, Clone, Copy)]
pub struct OpenApp<'a> {
    /// What opens it.
    pub scheme_url: &'a str,
    /// What opens it on Android.
    pub intent_url: Option<&'a str>,
    /// The device.
    pub platform: Platform,
    /// Where the app is to be had.
    pub store: Option<&'a str>,
    /// Where to go without it.
    pub web: Option<&'a str>,
    /// Whether this is the browser inside another app.
    pub in_webview: bool,
}

/// The ways into an app.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the contract explains them")]
pub struct Launchpad<'a> {
    pub title: &'a str,
    pub description: &'a str,
    pub image: &'a str,
    pub app_name: &'a str,
    pub app_icon: &'a str,
    pub accent: &'a str,
    pub ios_store: Option<&'a str>,
    pub android_store: Option<&'a str>,
    /// What opens the app.
    pub open_app: Option<&'a str>,
    pub web: Option<&'a str>,
    pub short_url: &'a str,
    pub platform: Platform,
}

/// What a preview shows.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the contract explains them")]
pub struct Preview<'a> {
    pub title: &'a str,
    pub description: &'a str,
    pub image: &'a str,
    pub site_name: &'a str,
    pub short_url: &'a str,
}

/// Where a link leads, for those who look before they follow it.
#[derive(Debug, Clone, Copy)]
pub struct PublicPreview<'a> {
    /// Where; `None` when that is not to be said.
    pub destination: Option<&'a str>,
    /// May be empty.
    pub title: &'a str,
    /// The month the link was created in, `2026-11`.
    pub created: &'a str,
    /// The link.
    pub short_url: &'a str,
}

/// There is no such link.
pub fn not_found(_: &Look<'_>) -> Page {
    Page { status: StatusCode::NOT_FOUND, html: include_str!("not_found.html").to_owned() }
}

/// The link's time is over.
pub fn expired(look: &Look<'_>) -> Page {
    not_found(look)
}

/// The link is not available any more.
pub fn gone(_: &Look<'_>) -> Page {
    page(StatusCode::GONE, "Link not available", "<p>This link is no longer available.</p>")
}

/// The link leads nowhere for this visitor.
pub fn no_destination(_: &Look<'_>) -> Page {
    page(StatusCode::OK, "Nothing to open here", "<p>This link is made for another device.</p>")
}

/// The link is warned of.
pub fn warning(_: &Look<'_>, view: Warning<'_>) -> Page {
    let mut body = String::from("<p>This link may be harmful.</p>");
    if !view.destination.is_empty() {
        let _ = write!(body, "<p>It leads to <code>{}</code></p>", escape(view.destination));
    }
    if let Some(url) = view.continue_url.filter(|url| is_web(url)) {
        let url = escape(url);
        let _ =
            write!(body, "<p><a href=\"{url}\" rel=\"nofollow noopener noreferrer\">Continue anyway</a></p>");
    }
    if let Some(url) = view.report_url.filter(|url| is_web(url)) {
        let _ = write!(body, "<p><a href=\"{}\" rel=\"nofollow noopener\">Report it</a></p>", escape(url));
    }
    page(StatusCode::OK, "Be careful", &body)
}

/// The link asks for a password.
pub fn password(_: &Look<'_>, view: Password) -> Page {
    let (status, words) = match view.state {
        PasswordState::Asked => (StatusCode::OK, ""),
        PasswordState::Wrong => (StatusCode::FORBIDDEN, "<p role=\"alert\">This password is wrong.</p>"),
        PasswordState::Throttled => {
            (StatusCode::TOO_MANY_REQUESTS, "<p role=\"alert\">Too many attempts. Wait a moment.</p>")
        }
        PasswordState::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "<p role=\"alert\">The password cannot be checked at the moment. Try again.</p>",
        ),
    };
    let form = "<form method=\"post\"><label>Password <input type=\"password\" name=\"password\" required \
                maxlength=\"200\" autocomplete=\"off\" autofocus></label> <button>Open</button></form>";
    page(status, "Password needed", &format!("{words}{form}"))
}

/// The link opens an app.
pub fn open_app(look: &Look<'_>, view: OpenApp<'_>) -> Page {
    let open = escape(view.intent_url.unwrap_or(view.scheme_url));
    let next =
        if view.in_webview { view.web.or(view.store) } else { view.store.or(view.web) }.unwrap_or_default();
    let next = escape(next);
    let script = "const b=document.body.dataset;location.href=b.open;\
                  if(b.next)setTimeout(()=>{if(!document.hidden)location.href=b.next},1500)";
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Opening the app</title></head>\
         <body data-open=\"{open}\" data-next=\"{next}\"><p><a href=\"{open}\">Open the app</a></p>\
         <p><a href=\"{next}\">Continue without it</a></p><script nonce=\"{}\">{script}</script></body></html>",
        look.nonce
    );
    Page { status: StatusCode::OK, html }
}

/// The ways into an app.
pub fn launchpad(_: &Look<'_>, view: Launchpad<'_>) -> Page {
    let mut body = format!("<p>{}</p>", escape(view.description));
    for (url, words) in [
        (view.ios_store, "App Store"),
        (view.android_store, "Google Play"),
        (view.open_app, "Open in the app"),
        (view.web, "Continue on the web"),
    ] {
        if let Some(url) = url {
            let _ = write!(body, "<p><a href=\"{}\">{words}</a></p>", escape(url));
        }
    }
    let title = if view.app_name.is_empty() { view.title } else { view.app_name };
    page(StatusCode::OK, title, &body)
}

/// What a preview shows.
pub fn preview(_: &Look<'_>, view: Preview<'_>) -> Page {
    let title = if view.title.is_empty() { "Shared link" } else { view.title };
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>",
        escape(title)
    );
    for (name, text) in [
        ("og:title", title),
        ("og:description", view.description),
        ("og:image", view.image),
        ("og:site_name", view.site_name),
        ("og:url", view.short_url),
        ("og:type", "website"),
    ] {
        if !text.is_empty() {
            let _ = write!(html, "<meta property=\"{name}\" content=\"{}\">", escape(text));
        }
    }
    html.push_str("</head><body></body></html>");
    Page { status: StatusCode::OK, html }
}

/// Where a link leads.
pub fn public_preview(_: &Look<'_>, view: PublicPreview<'_>) -> Page {
    let destination = view.destination.map_or_else(String::new, |url| {
        format!("<p>{} leads to <code>{}</code></p>", escape(view.short_url), escape(url))
    });
    let body = format!("<p>{}</p>{destination}<p>{}</p>", escape(view.title), escape(view.created));
    page(StatusCode::OK, "Where this link leads", &body)
}

fn page(status: StatusCode, title: &str, body: &str) -> Page {
    let title = escape(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    Page { status, html }
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
