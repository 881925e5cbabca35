//! The pages, in every state and language, and with everything strangers ever wrote into such pages. Here they are drawn, and written
//! to `LINKFORTY_PAGES_DIR` where that is set; `tests/pages` looks at them in Chromium (`make test-pages`).

use std::{fs, path::Path};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use linkforty::redirect::{
    pages::{
        self, Language, Launchpad, Look, Nonce, OpenApp, Page, Password, PasswordState, Pasteboard, Preview,
        PublicPreview, ReportState, Warning,
    },
    visitor::Platform,
};
use serde_json::{Value, json};

use crate::support::variable;

const CORPUS: &str = include_str!("../pages/corpus.json");
const SHORT: &str = "https://go.example.com/spring?utm_source=poster";

/// What people write into a link, by kind.
#[derive(Clone, Copy)]
struct Input<'a> {
    words: &'a str,
    more_words: &'a str,
    web: Option<&'a str>,
    picture: Option<&'a str>,
    app: &'a str,
    intent: Option<&'a str>,
    accent: Option<&'a str>,
}

const PLAIN: Input<'static> = Input {
    words: "The spring collection",
    more_words: "Light coats, linen and everything for long evenings outside. In the app from today, in shops on Friday.",
    web: Some("https://shop.example.com/spring?collection=linen"),
    picture: Some("https://img.example/spring.png"),
    app: "myapp://spring/linen",
    intent: Some("intent://spring/linen#Intent;scheme=myapp;package=com.example.shop;end"),
    accent: Some("#1f7a5c"),
};

/// Returns the pages that show something of users, drawn with `input`.
fn with(look: &Look, input: Input<'_>) -> Vec<(&'static str, Page)> {
    let Input { words, more_words, web, picture, app, intent, accent } = input;
    let launchpad = Launchpad {
        title: words,
        description: Some(more_words),
        image: picture,
        app_name: Some(if words == PLAIN.words { "Example Shop" } else { words }),
        app_icon: picture,
        accent,
        ios_store: web,
        android_store: web,
        open_app: Some(app),
        web,
        short_url: SHORT,
        platform: Platform::Web,
    };
    let open_app = OpenApp {
        scheme_url: app,
        intent_url: intent,
        platform: Platform::Ios,
        store: web,
        web,
        in_webview: false,
    };
    let destination = web.unwrap_or_default();
    let copied = if words == PLAIN.words { "https://go.example.com/spring?lf=token" } else { words };
    let host = web.map(|_| if input.web == PLAIN.web { "shop.example.com" } else { destination });
    let preview = Preview {
        title: words,
        description: Some(more_words),
        image: picture,
        site_name: Some(words),
        short_url: web.unwrap_or_default(),
    };
    let public = PublicPreview {
        title: Some(words),
        short_url: if input.web == PLAIN.web { SHORT } else { destination },
        destination: web,
        host,
        created: chrono::NaiveDate::from_ymd_opt(2026, 11, 22),
    };
    vec![
        ("warning", pages::warning(look, Warning { destination, continue_url: web, report_url: web })),
        ("open_app", pages::open_app(look, open_app)),
        ("open_app_webview", pages::open_app(look, OpenApp { in_webview: true, ..open_app })),
        ("open_app_android", pages::open_app(look, OpenApp { platform: Platform::Android, ..open_app })),
        ("open_app_web_only", pages::open_app(look, OpenApp { store: None, ..open_app })),
        ("pasteboard", pages::pasteboard(look, Pasteboard { store: destination, text: copied })),
        ("launchpad", pages::launchpad(look, launchpad)),
        ("launchpad_phone", pages::launchpad(look, Launchpad { platform: Platform::Ios, ..launchpad })),
        ("report", pages::report(look, public.short_url, ReportState::Ask)),
        ("report_unread", pages::report(look, public.short_url, ReportState::Unread)),
        ("report_throttled", pages::report(look, public.short_url, ReportState::Throttled { seconds: 300 })),
        ("preview", pages::preview(look, preview)),
        ("public_preview", pages::public_preview(look, public)),
    ]
}

/// Returns every page in every state.
fn every(look: &Look) -> Vec<(&'static str, Page)> {
    let asks = |state| pages::password(look, Password { state });
    let mut all = vec![
        ("not_found", pages::not_found(look)),
        ("expired", pages::expired(look)),
        ("gone", pages::gone(look)),
        ("unavailable", pages::unavailable(look)),
        ("no_destination", pages::no_destination(look)),
        ("password", asks(PasswordState::Ask)),
        ("password_wrong", asks(PasswordState::Wrong)),
        ("password_throttled", asks(PasswordState::Throttled { seconds: 300 })),
        ("reported", pages::reported(look)),
    ];
    all.extend(with(look, PLAIN));
    all
}

fn look(language: Language) -> Look {
    Look { language, nonce: Nonce(*b"only for tests!!") }
}

/// Returns a page as the browser will get it.
fn sent(page: Page) -> Value {
    let html = String::from_utf8(page.html.to_vec()).expect("UTF-8");
    let response: Response<Full<Bytes>> = page.into();
    let headers: serde_json::Map<String, Value> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").into()))
        .collect();
    for name in [
        "content-security-policy",
        "cache-control",
        "x-robots-tag",
        "x-content-type-options",
        "referrer-policy",
    ] {
        assert!(headers.contains_key(name), "{name} is missing");
    }
    json!({ "status": response.status().as_u16(), "headers": headers, "html": html })
}

fn write(name: &str, pages: &[Value]) {
    if let Some(dir) = variable("LINKFORTY_PAGES_DIR") {
        fs::create_dir_all(&dir).expect("a directory");
        let text = serde_json::to_string(pages).expect("JSON");
        fs::write(Path::new(&dir).join(name), text).expect("written");
    }
}

#[test]
fn every_page_is_drawn_in_every_language() {
    let mut drawn = Vec::new();
    for language in Language::all() {
        for (name, page) in every(&look(language)) {
            let mut page = sent(page);
            let html = page["html"].as_str().expect("text");
            assert_eq!(html.matches("<h1").count(), 1, "{name}");
            assert_eq!(html.matches("<main").count(), 1, "{name}");
            assert!(!html.contains("{n}") && !html.contains("{wait}") && !html.contains("{app}"), "{name}");
            page["name"] = name.into();
            page["language"] = language.tag().into();
            drawn.push(page);
        }
    }
    write("pages.json", &drawn);
}

#[test]
fn what_strangers_write_is_drawn_as_text() {
    let corpus: Vec<String> = serde_json::from_str(CORPUS).expect("a list of texts");
    assert!(corpus.len() >= 60);
    let look = look(Language::of(""));
    let mut drawn = Vec::new();
    let mut add = |payload: &str, place: &str, input: Input<'_>| {
        for (name, page) in with(&look, input) {
            let mut page = sent(page);
            let html = page["html"].as_str().expect("text");
            if payload.contains(['<', '"']) && payload.len() > 8 {
                assert!(!html.contains(payload), "{name} has {payload:?} as it came");
            }
            page["name"] = name.into();
            page["payload"] = payload.into();
            page["place"] = place.into();
            drawn.push(page);
        }
    };
    add("", "none", PLAIN);
    for payload in &corpus {
        add(payload, "words", Input { words: payload, more_words: payload, ..PLAIN });
        let some = Some(payload.as_str());
        add(
            payload,
            "urls",
            Input { web: some, picture: some, app: payload, intent: some, accent: some, ..PLAIN },
        );
    }
    write("strangers.json", &drawn);
}
