//! What the HTTP door answered, as far as it can be told apart from outside.

use bytes::Bytes;
use http::{HeaderMap, Response};
use linkforty::{
    ids::Ids,
    pb::v1::{PageLinks, Resolution, ResolutionOutcome as Outcome},
    redirect::pages::{self, Look},
};
use url::Url;

/// Where warnings of all others lead.
const OWN_REPORTS: &str = "https://go.example.test/report/";

/// What stands before the token of a click in the URL of a store, as it is and inside of another URL; and what stands for no token.
const TOKENS: [&str; 2] = ["referrer=lf%3D", "referrer%3Dlf%253D"];
const NO_TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const NO_CLICK: &str = "00000000-0000-0000-0000-000000000000";

/// An answer.
pub struct Answered {
    pub status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answered {
    pub fn of(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.to_vec()).expect("pages are UTF-8");
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| str::from_utf8(value.as_bytes()).expect("UTF-8"))
    }

    /// Returns the `Location`, with the id of no click in place of the id of the click.
    pub fn location(&self) -> String {
        self.without_click(self.header("location"))
    }

    fn without_click(&self, text: &str) -> String {
        match self.header("x-click-id") {
            "" => text.to_owned(),
            click => without_token(&text.replace(click, NO_CLICK)),
        }
    }

    /// Returns the outcomes that look like this from outside.
    fn outcomes(&self, ids: &Ids, languages: &str) -> &'static [Outcome] {
        let look = Look::of(languages, ids);
        let is = |page: pages::Page| self.body.as_bytes() == page.html;
        let shows = |mark: &str| self.body.contains(mark);
        match self.status {
            302 | 303 => &[Outcome::Redirect],
            410 if is(pages::gone(&look)) => &[Outcome::Suspended, Outcome::Disabled],
            404 if is(pages::expired(&look)) => &[Outcome::Expired, Outcome::UsedUp],
            404 if is(pages::not_found(&look)) => {
                &[Outcome::Inactive, Outcome::NotStarted, Outcome::NotTargeted, Outcome::Broken]
            }
            200 if is(pages::no_destination(&look)) => &[Outcome::NoDestination],
            200 if shows("name=\"password\"") => &[Outcome::Password],
            200 if shows("<main class=\"launchpad") => &[Outcome::Launchpad],
            200 if shows("property=\"og:type\"") => &[Outcome::Preview, Outcome::NeutralPreview],
            200 if shows("<main class=\"alarm\"") => &[Outcome::Warning],
            200 if shows("<main class=\"pasteboard\"") => &[Outcome::Pasteboard],
            200 if shows("<script nonce=") => &[Outcome::OpenApp],
            other => panic!("nobody knows what {other} is: {}", self.body),
        }
    }

    /// Says in what this is not what was told, if it is not. `report` is an address that warnings name where the workspace has one.
    pub fn disagrees(&self, told: &Resolution, ids: &Ids, languages: &str, report: &str) -> Option<String> {
        if i32::from(self.status) != told.http_status {
            return Some("another status".to_owned());
        }
        if self.location() != told.location {
            return Some("another Location".to_owned());
        }
        if !self.outcomes(ids, languages).contains(&told.outcome()) {
            return Some("another outcome".to_owned());
        }
        let leads_on = matches!(
            told.outcome(),
            Outcome::OpenApp | Outcome::Launchpad | Outcome::Warning | Outcome::Pasteboard
        );
        let none = PageLinks::default();
        let known = told.page_links.as_ref().unwrap_or(&none);
        let PageLinks { scheme_url, intent_url, ios_store_url, android_store_url, web_url } = known;
        let known =
            [scheme_url, intent_url, ios_store_url, android_store_url, web_url].map(|url| as_read(url));
        let reports = |link: &str| link == report || link.starts_with(OWN_REPORTS);
        let strange = self.links().find(|link| !reports(link) && !known.contains(link));
        strange.filter(|_| leads_on).map(|link| format!("a page that leads to {link}"))
    }

    /// Returns what the page leads on to.
    fn links(&self) -> impl Iterator<Item = String> {
        let found = self.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        found.map(|link| self.without_click(&plain(link)))
    }
}

/// Puts what stands for no token in the place of a token of a click.
fn without_token(text: &str) -> String {
    TOKENS.iter().fold(text.to_owned(), |text, mark| match text.split_once(mark) {
        Some((before, rest)) if rest.len() >= NO_TOKEN.len() => {
            format!("{before}{mark}{NO_TOKEN}{}", &rest[NO_TOKEN.len()..])
        }
        _ => text,
    })
}

/// Pages write URLs of the web as browsers read them.
fn as_read(url: &str) -> String {
    let web = url.starts_with("http").then(|| Url::parse(url).ok()).flatten();
    web.map_or_else(|| url.to_owned(), String::from)
}

/// Reads the text of an attribute.
fn plain(escaped: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .into_iter()
        .fold(escaped.to_owned(), |text, (from, to)| text.replace(from, to))
}
