//! The landing page of a link: what it is about, and every way on from here.

use std::borrow::Cow;

use askama::Template;
use http::StatusCode;

use super::{
    Look, Nonce, Page,
    accent::Accent,
    page::Has,
    qr::Code,
    texts::Texts,
    urls::{AppUrl, WebUrl},
    user_text::{shown, shown_if_any},
};
use crate::redirect::visitor::Platform;

/// What the page shows. Whatever cannot be shown safely is left out.
#[derive(Debug, Clone, Copy)]
pub struct Launchpad<'a> {
    /// What the link is about; empty for a name of ours.
    pub title: &'a str,
    /// More about it.
    pub description: Option<&'a str>,
    /// A picture, https.
    pub image: Option<&'a str>,
    /// The name of the app.
    pub app_name: Option<&'a str>,
    /// The icon of the app, https.
    pub app_icon: Option<&'a str>,
    /// The workspace's colour, `#rrggbb`.
    pub accent: Option<&'a str>,
    /// The app in the App Store.
    pub ios_store: Option<&'a str>,
    /// The app on Google Play.
    pub android_store: Option<&'a str>,
    /// What opens the app: its scheme, an intent, or https. Only by a tap.
    pub open_app: Option<&'a str>,
    /// What to see without the app.
    pub web: Option<&'a str>,
    /// The short URL itself, with whatever query should go to the phone; what the code says.
    pub short_url: &'a str,
    /// The visitor's device.
    pub platform: Platform,
}

#[derive(Template)]
#[template(path = "launchpad.html")]
struct Html<'a> {
    texts: &'static Texts,
    nonce: Nonce,
    title: Cow<'a, str>,
    description: Option<Cow<'a, str>>,
    image: Option<WebUrl>,
    app_name: Option<Cow<'a, str>>,
    app_icon: Option<WebUrl>,
    accent: Option<Accent>,
    ways: Vec<Way>,
    code: Option<Code>,
}

/// A button.
#[derive(Debug)]
struct Way {
    url: String,
    label: String,
    /// Whether it leads to the web, which need not know of this page.
    web: bool,
}

/// Shows the landing page of a link. 200.
pub fn launchpad(look: &Look, launchpad: Launchpad<'_>) -> Page {
    let texts = look.language.texts();
    let picture = |url: Option<&str>| url.and_then(WebUrl::picture);
    let app_name = shown_if_any(launchpad.app_name);
    let title = shown_if_any(Some(launchpad.title));
    let html = Html {
        texts,
        nonce: look.nonce,
        title: title.or_else(|| app_name.clone()).unwrap_or(Cow::Borrowed(texts.shared_link)),
        description: shown_if_any(launchpad.description),
        image: picture(launchpad.image),
        app_name,
        app_icon: picture(launchpad.app_icon),
        accent: launchpad.accent.and_then(Accent::parse),
        ways: ways(texts, &launchpad),
        // A phone cannot photograph itself.
        code: (launchpad.platform == Platform::Web)
            .then(|| WebUrl::parse(launchpad.short_url).and_then(|url| Code::draw(&url.to_string())))
            .flatten(),
    };
    let has = Has {
        style: html.accent.map(|_| look.nonce),
        pictures: html.image.is_some() || html.app_icon.is_some(),
        ..Has::default()
    };
    Page::new(StatusCode::OK, has, &html)
}

/// Returns the buttons for a device, the one most visitors want first.
fn ways(texts: &Texts, launchpad: &Launchpad<'_>) -> Vec<Way> {
    let Launchpad { app_name, ios_store, android_store, open_app, web, platform, .. } = *launchpad;
    let web_way = |url: Option<&str>, label: &str| {
        url.and_then(WebUrl::parse).map(|url| Way {
            url: url.to_string(),
            label: label.to_owned(),
            web: true,
        })
    };
    let open = open_app.filter(|_| platform != Platform::Web).and_then(|url| {
        let label = match app_name {
            Some(name) if !name.trim().is_empty() => texts.launchpad_open.replace("{app}", &shown(name)),
            _ => texts.open_button.to_owned(),
        };
        AppUrl::parse(url)
            .or_else(|| AppUrl::intent(url))
            .map(|url| url.to_string())
            .or_else(|| WebUrl::parse(url).map(|url| url.to_string()))
            .map(|url| Way { url, label, web: false })
    });
    let ios = web_way(ios_store.filter(|_| platform != Platform::Android), texts.get_ios);
    let android = web_way(android_store.filter(|_| platform != Platform::Ios), texts.get_android);
    [open, ios, android, web_way(web, texts.continue_web)].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Launchpad<'static> = Launchpad {
        title: "Spring sale",
        description: None,
        image: None,
        app_name: Some("Shop"),
        app_icon: None,
        accent: None,
        ios_store: Some("https://apps.apple.com/app/id1"),
        android_store: Some("https://play.google.com/store/apps/details?id=com.example"),
        open_app: Some("myapp://spring"),
        web: Some("https://example.com/"),
        short_url: "https://go.example.com/spring",
        platform: Platform::Web,
    };

    #[test]
    fn each_device_gets_the_ways_that_it_can_go() {
        let texts = Look::plain().language.texts();
        let labels = |launchpad: Launchpad<'_>| {
            ways(texts, &launchpad).into_iter().map(|way| way.label).collect::<Vec<_>>()
        };
        let (open, ios, android, web) =
            ("Open in Shop", texts.get_ios, texts.get_android, texts.continue_web);
        assert_eq!(labels(FULL), [ios, android, web]);
        assert_eq!(labels(Launchpad { platform: Platform::Ios, ..FULL }), [open, ios, web]);
        assert_eq!(labels(Launchpad { platform: Platform::Android, ..FULL }), [open, android, web]);
        for (open_app, there) in [
            ("intent://x#Intent;scheme=myapp;end", true),
            ("https://example.com/app", true),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
        ] {
            let launchpad = Launchpad { platform: Platform::Ios, open_app: Some(open_app), ..FULL };
            assert_eq!(labels(launchpad).first().is_some_and(|label| label == open), there, "{open_app}");
        }
    }

    #[test]
    fn only_a_desktop_is_shown_a_code() {
        let html = |launchpad: Launchpad<'_>| {
            let page = super::launchpad(&Look::plain(), launchpad);
            (String::from_utf8(page.html.to_vec()).expect("UTF-8"), page.csp)
        };
        let (page, csp) = html(FULL);
        assert!(page.contains("<figure") && !csp.to_str().expect("text").contains("img-src"), "{csp:?}");
        assert!(!html(Launchpad { platform: Platform::Ios, ..FULL }).0.contains("<figure"));
        let (page, csp) =
            html(Launchpad { accent: Some("#ffee00"), image: Some("https://img.example/a.png"), ..FULL });
        assert!(page.contains("--accent: #ffee00; --on-accent: #000000;"), "{page}");
        assert!(csp.to_str().expect("text").contains("img-src https:"));
    }
}
