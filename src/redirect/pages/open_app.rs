//! The page that opens an app: by itself where a browser lets it, by a button everywhere.

use askama::Template;
use http::StatusCode;

use super::{
    Look, Nonce, Page,
    page::Has,
    texts::Texts,
    urls::{AppUrl, WebUrl},
};
use crate::redirect::visitor::Platform;

/// Reads nothing but the page's own attributes and its fragment.
pub(super) const SCRIPT: &str = include_str!("open_app.js");

/// The app and what there is beside it.
#[derive(Debug, Clone, Copy)]
pub struct OpenApp<'a> {
    /// What opens the app, by the app's own scheme.
    pub scheme_url: &'a str,
    /// The same for Android browsers, which refuse a bare scheme: an `intent:` URL.
    pub intent_url: Option<&'a str>,
    /// The visitor's device.
    pub platform: Platform,
    /// Where the app can be had.
    pub store: Option<&'a str>,
    /// What to see without the app.
    pub web: Option<&'a str>,
    /// Whether this is the browser inside another app, where nothing may open by itself.
    pub in_webview: bool,
}

#[derive(Template)]
#[template(path = "open_app.html")]
struct Html {
    texts: &'static Texts,
    icon: &'static str,
    nonce: Nonce,
    automatic: bool,
    fallback: Option<&'static str>,
    open: Option<AppUrl>,
    store: Option<WebUrl>,
    store_label: &'static str,
    web: Option<WebUrl>,
    in_webview: bool,
}

/// Opens an app. 200.
pub fn open_app(look: &Look, app: OpenApp<'_>) -> Page {
    let texts = look.language.texts();
    let OpenApp { scheme_url, intent_url, platform, store, web, in_webview } = app;
    let open = opener(scheme_url, intent_url, platform, in_webview);
    let (store, web) = (store.and_then(WebUrl::parse), web.and_then(WebUrl::parse));
    let automatic = open.is_some() && !in_webview;
    let html = Html {
        texts,
        icon: "M14 4h6v6M20 4l-9 9M18 14v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1h5",
        nonce: look.nonce,
        automatic,
        fallback: automatic.then(|| fallback(store.is_some(), web.is_some())).flatten(),
        open,
        store_label: if platform == Platform::Android { texts.get_android } else { texts.get_ios },
        store,
        web,
        in_webview,
    };
    Page::new(StatusCode::OK, Has { script: Some(look.nonce), ..Has::default() }, &html)
}

/// Returns what the button opens. Android's in-app browsers show an error for a bare scheme, so there it is an intent or nothing.
fn opener(
    scheme_url: &str,
    intent_url: Option<&str>,
    platform: Platform,
    in_webview: bool,
) -> Option<AppUrl> {
    let bare = || AppUrl::parse(scheme_url);
    match (platform, in_webview) {
        (Platform::Android, true) => intent_url.and_then(AppUrl::intent),
        (Platform::Android, false) => intent_url.and_then(AppUrl::intent).or_else(bare),
        (Platform::Ios | Platform::Web, _) => bare(),
    }
}

/// Returns where those end whose app did not open. A browser would have opened an app that is there, so the store comes first.
fn fallback(store: bool, web: bool) -> Option<&'static str> {
    if store { Some("store") } else { web.then_some("web") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_an_app_depends_on_the_browser() {
        let (bare, intent) = ("myapp://x", "intent://x#Intent;scheme=myapp;end");
        for (scheme_url, intent_url, platform, in_webview, expected) in [
            (bare, Some(intent), Platform::Ios, false, Some(bare)),
            (bare, Some(intent), Platform::Ios, true, Some(bare)),
            (bare, Some(intent), Platform::Android, false, Some(intent)),
            (bare, Some(intent), Platform::Android, true, Some(intent)),
            (bare, None, Platform::Android, false, Some(bare)),
            (bare, None, Platform::Android, true, None),
            ("javascript:alert(1)", None, Platform::Ios, false, None),
            ("https://example.com", None, Platform::Ios, false, None),
            (bare, Some("intent://x#Intent;scheme=javascript;end"), Platform::Android, false, Some(bare)),
            ("data:x", Some("javascript:alert(1)"), Platform::Android, false, None),
        ] {
            let found = opener(scheme_url, intent_url, platform, in_webview).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{scheme_url} {intent_url:?} {platform:?} {in_webview}");
        }
    }

    #[test]
    fn nothing_happens_by_itself_inside_another_app() {
        let page = |in_webview, store| {
            let app = OpenApp {
                scheme_url: "myapp://x",
                intent_url: None,
                platform: Platform::Ios,
                store,
                web: Some("https://example.com/"),
                in_webview,
            };
            String::from_utf8(open_app(&Look::plain(), app).html.to_vec()).expect("UTF-8")
        };
        let store = Some("https://apps.apple.com/app/id1");
        assert!(page(false, store).contains("<main data-automatic data-fallback=\"store\">"));
        assert!(page(false, None).contains("<main data-automatic data-fallback=\"web\">"));
        assert!(
            page(false, Some("javascript:alert(1)")).contains("<main data-automatic data-fallback=\"web\">")
        );
        let inside = page(true, store);
        assert!(inside.contains("<main>") && inside.contains("class=\"note\""), "{inside}");
    }
}
