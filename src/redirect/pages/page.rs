//! A page and its answer: the one place that writes the headers of pages.

use std::{fmt::Write as _, sync::LazyLock};

use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use ring::digest::{SHA256, digest};

use super::Nonce;
use crate::redirect::http::NO_STORE;

/// What every page wears. A constant, so the policy names it by its hash and pages without anything of their own are constants too.
pub(super) const STYLE: &str = include_str!("style.css");
static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| STANDARD.encode(digest(&SHA256, STYLE.as_bytes()).as_ref()));

/// A page, ready to be sent. A cheap clone.
#[derive(Debug, Clone)]
pub struct Page {
    /// The status of the answer.
    pub status: StatusCode,
    /// The document, UTF-8.
    pub html: Bytes,
    /// The policy it stands under.
    pub csp: HeaderValue,
    /// After how many seconds it is worth asking again.
    pub retry_after: Option<u32>,
}

/// What a page has besides text and the shared style.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Has {
    /// A style of its own.
    pub style: Option<Nonce>,
    /// A script.
    pub script: Option<Nonce>,
    /// Pictures from elsewhere.
    pub pictures: bool,
    /// A form.
    pub form: bool,
}

impl Page {
    pub(super) fn new(status: StatusCode, has: Has, template: &impl Template) -> Self {
        let html =
            template.render().expect("our templates only write texts into a String, which cannot fail");
        Self { status, html: html.into(), csp: policy(has), retry_after: None }
    }
}

/// Returns the policy that allows what a page has, and nothing else.
fn policy(has: Has) -> HeaderValue {
    let mut policy = format!("default-src 'none'; style-src 'sha256-{}'", *STYLE_HASH);
    let mut add = |part: std::fmt::Arguments<'_>| {
        policy.write_fmt(part).expect("writing into a String cannot fail");
    };
    if let Some(nonce) = has.style {
        add(format_args!(" 'nonce-{nonce}'"));
    }
    if let Some(nonce) = has.script {
        add(format_args!("; script-src 'nonce-{nonce}'"));
    }
    if has.pictures {
        add(format_args!("; img-src https:"));
    }
    add(format_args!("; form-action {}", if has.form { FORM } else { "'none'" }));
    add(format_args!("; frame-ancestors 'none'; base-uri 'none'"));
    HeaderValue::try_from(policy).expect("made of visible ASCII")
}

/// Browsers hold where a form leads to in the end against this list too, and a right password leads anywhere on the web.
const FORM: &str = "'self' https: http:";

impl From<Page> for Response<Full<Bytes>> {
    fn from(page: Page) -> Self {
        let Page { status, html, csp, retry_after } = page;
        let mut response = Response::new(Full::new(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Not `no-referrer`: under it browsers hide from us where the password form was sent from.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(header::CONTENT_SECURITY_POLICY, csp);
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redirect::pages::accent::contrast;

    #[test]
    fn a_policy_allows_what_the_page_has_and_nothing_else() {
        let hash = &*STYLE_HASH;
        let nonce = Nonce([0; 16]);
        let zero = "AAAAAAAAAAAAAAAAAAAAAA==";
        for (has, expected) in [
            (Has::default(), format!("style-src 'sha256-{hash}'; form-action 'none'")),
            (
                Has { script: Some(nonce), ..Has::default() },
                format!("style-src 'sha256-{hash}'; script-src 'nonce-{zero}'; form-action 'none'"),
            ),
            (
                Has { style: Some(nonce), pictures: true, ..Has::default() },
                format!("style-src 'sha256-{hash}' 'nonce-{zero}'; img-src https:; form-action 'none'"),
            ),
            (Has { form: true, ..Has::default() }, format!("style-src 'sha256-{hash}'; form-action {FORM}")),
        ] {
            let expected = format!("default-src 'none'; {expected}; frame-ancestors 'none'; base-uri 'none'");
            assert_eq!(policy(has), expected);
        }
    }

    /// Returns the colours that the `number`th block of the style names.
    fn palette(number: usize) -> impl Fn(&str) -> [u8; 3] {
        let block =
            STYLE.split(":root {").nth(number + 1).and_then(|rest| rest.split('}').next()).expect("a block");
        move |name: &str| {
            let value = block
                .split(&format!("--{name}: #"))
                .nth(1)
                .and_then(|rest| rest.get(..6))
                .expect("the palette names it");
            let channel = |at: usize| u8::from_str_radix(&value[at..at + 2], 16).expect("hexadecimal");
            [channel(0), channel(2), channel(4)]
        }
    }

    #[test]
    fn every_text_can_be_read_in_light_and_dark() {
        for number in [0, 1] {
            let colour = palette(number);
            for (text, ground, least) in [
                ("ink", "card", 4.5),
                ("soft", "card", 4.5),
                ("link", "card", 4.5),
                ("on-link", "link", 4.5),
                ("link", "tint", 4.5),
                ("ink", "tint", 4.5),
                ("alarm", "alarm-tint", 4.5),
                ("wrong", "wrong-tint", 4.5),
                // Borders of what can be pressed or filled in.
                ("field", "card", 3.0),
                ("wrong", "card", 3.0),
            ] {
                let found = contrast(colour(text), colour(ground));
                assert!(found >= least, "{text} on {ground} in palette {number}: {found:.2}");
            }
        }
    }
}
