//! The golden vectors: what LinkForty's own tests assert of the parts that both have, asked of our doors.
//!
//! | there | here |
//! |---|---|
//! | bot-detection | [`bots_are_told_by_proxy_method_and_user_agent`] |
//! | client-ip | [`the_address_is_the_connections_unless_a_trusted_proxy_says_otherwise`]; of the body of an install: with attribution |
//! | event-emitter | `watch.rs`: `a_click_is_seen_at_once_by_those_who_want_it`, `a_node_that_leaves_ends_its_streams` |
//! | fingerprint | [`addresses_that_say_nothing_of_a_place_are_not_kept`]; hashes, scores and installs: with attribution |
//! | link-resolution-cache | `redirect.rs`: `a_change_reaches_the_other_nodes_within_a_second`, `a_message_by_redis_alone_is_heard`; the clean miss without Redis: `faults/survival.rs` |
//! | link-safety | [`a_link_that_is_off_looks_like_none`]; warnings, restrictions and their pages: with the pages |
//! | utils | [`codes_are_short_and_differ_or_are_the_ones_asked_for`], [`devices_are_told_by_words_in_any_case`], [`what_is_added_to_a_url_is_encoded_as_forms_are`], [`countries_come_from_public_addresses_alone`]; browser and system by name: with the reports |
//! | webhook | with webhooks |
//! | health | [`health_asks_no_store_and_is_no_short_code`] |
//! | redirect.safety | [`a_link_that_is_off_looks_like_none`]; suspension and warnings: with the pages |
//! | redirect | [`apps_are_told_by_their_tokens`], [`the_store_or_the_web_comes_first_by_browser`] |
//! | sdk-cache-bypass, sdk.event | with attribution |
//!
//! Two differ on purpose: `OPTIONS` follows no link and is no click, and an address in front of a proxy is believed by
//! `TRUSTED_PROXIES`, never by a header alone.

use std::{collections::HashSet, fs};

use http::Method;
use linkforty::{
    entity::click,
    pb::v1::{Link, Utm},
};
use sea_orm::{EntityTrait as _, QueryOrder as _};

use crate::support::{App, Shape, Store, a_link, countries, get, link};

const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const DESTINATION: &str = "https://example.com/any";
const IOS: &str = "https://apps.apple.com/app/id1";
const ANDROID: &str = "https://play.google.com/store/apps/details?id=a";
const WEB: &str = "https://example.com/web";

/// Makes the visits one after the other and returns what is kept of them, in their order.
async fn kept(app: &App, visits: &[(Method, &[(&str, &str)])]) -> Vec<click::Model> {
    for (method, headers) in visits {
        app.visit_as(method.clone(), "/all", headers).await;
        // Ids of one moment are in no order.
        app.clock.advance(chrono::Duration::seconds(1));
    }
    app.settled().await;
    let clicks = click::Entity::find().order_by_asc(click::Column::Id);
    clicks.all(&app.env().db.api).await.expect("clicks can be read")
}

#[tokio::test]
async fn bots_are_told_by_proxy_method_and_user_agent() {
    const HUMAN: i16 = 0;
    const BY_METHOD: i16 = 1;
    const BY_AGENT: i16 = 2;
    const BY_EDGE: i16 = 3;
    const PREVIEW: i16 = 4;
    let agent = |agent: &'static str| ("user-agent", agent);
    let cases: &[(Method, &[(&str, &str)], i16, i16)] = &[
        // What it is where a proxy is trusted, and where none is.
        (Method::GET, &[agent(GOOGLEBOT)], BY_AGENT, BY_AGENT),
        (Method::GET, &[agent("facebookexternalhit/1.1")], PREVIEW, PREVIEW),
        (Method::GET, &[agent("curl/8.4.0")], BY_AGENT, BY_AGENT),
        (Method::GET, &[agent(DESKTOP)], HUMAN, HUMAN),
        (Method::HEAD, &[agent(DESKTOP)], BY_METHOD, BY_METHOD),
        (Method::GET, &[], HUMAN, HUMAN),
        (Method::GET, &[agent("")], HUMAN, HUMAN),
        (Method::HEAD, &[agent(GOOGLEBOT), ("x-lf-bot", "1")], BY_EDGE, BY_METHOD),
        (Method::GET, &[agent(GOOGLEBOT), ("x-lf-bot", "0")], BY_AGENT, BY_AGENT),
        (Method::GET, &[agent(DESKTOP), ("x-lf-bot", "1")], BY_EDGE, HUMAN),
        (Method::GET, &[agent(DESKTOP), ("x-lf-bot", "true")], BY_EDGE, HUMAN),
        (Method::GET, &[agent(DESKTOP), ("x-lf-bot", "TRUE")], BY_EDGE, HUMAN),
        (Method::GET, &[agent(DESKTOP), ("x-lf-bot", "1"), ("x-lf-bot", "0")], BY_EDGE, HUMAN),
        (Method::GET, &[agent(DESKTOP), ("x-lf-bot", "0")], HUMAN, HUMAN),
        (Method::GET, &[agent(DESKTOP), ("x-lf-bot", "yes")], HUMAN, HUMAN),
    ];
    let visits: Vec<_> = cases.iter().map(|(method, headers, _, _)| (method.clone(), *headers)).collect();
    for trusted in [true, false] {
        let trust = if trusted { "true" } else { "false" };
        let settings = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("TRUST_EDGE_BOT_HEADER", trust)];
        let app = App::start_with(Store::Embedded, &settings).await;
        app.tenant().await.create(link("all", DESTINATION)).await;
        // No link is followed with it, and nobody makes a click of it.
        app.visit_as(Method::OPTIONS, "/all", &[agent(DESKTOP)]).await;
        let kept = kept(&app, &visits).await;
        assert_eq!(kept.len(), cases.len());
        for (click, (method, headers, believed, ignored)) in kept.iter().zip(cases) {
            let expected = if trusted { believed } else { ignored };
            assert_eq!(click.class, *expected, "{method} {headers:?}, trusted: {trusted}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn the_address_is_the_connections_unless_a_trusted_proxy_says_otherwise() {
    let from = |from: &'static str| ("x-forwarded-for", from);
    let cases: &[(&[(&str, &str)], &[u8])] = &[
        (&[from("203.0.113.7")], &[203, 0, 113]),
        (&[from("::ffff:203.0.113.7")], &[203, 0, 113]),
        // What a client wrote stands left of what the proxy added.
        (&[from("198.51.100.1, 203.0.113.7")], &[203, 0, 113]),
        (&[from("198.51.100.1"), from("203.0.113.7")], &[203, 0, 113]),
        (&[from("203.0.113.7, 127.0.0.9")], &[203, 0, 113]),
        (&[], &[]),
        (&[from("nonsense")], &[]),
        (&[("x-real-ip", "203.0.113.7"), ("cf-connecting-ip", "203.0.113.7")], &[]),
    ];
    let visits: Vec<_> = cases.iter().map(|(headers, _)| (Method::GET, *headers)).collect();
    for trusted in ["127.0.0.0/8", "10.0.0.0/8"] {
        let app = App::start_with(Store::Embedded, &[("TRUSTED_PROXIES", trusted)]).await;
        app.tenant().await.create(link("all", DESTINATION)).await;
        for (click, (headers, network)) in kept(&app, &visits).await.iter().zip(cases) {
            // The tests call from 127.0.0.1, of which nothing is kept.
            let expected = if trusted == "127.0.0.0/8" { *network } else { &[] };
            assert_eq!(click.network, expected, "{headers:?}, {trusted} trusted");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn addresses_that_say_nothing_of_a_place_are_not_kept() {
    const V6: &[u8] = &[0x26, 0x07, 0xf8, 0xb0, 0x40, 0x05];
    let cases: &[(&str, &[u8])] = &[
        ("8.8.8.8", &[8, 8, 8]),
        ("203.0.113.7", &[203, 0, 113]),
        ("::ffff:8.8.8.8", &[8, 8, 8]),
        ("2607:f8b0:4005:805::200e", V6),
        ("0.1.2.3", &[]),
        ("10.1.2.3", &[]),
        ("100.64.0.1", &[]),
        ("100.127.255.255", &[]),
        ("::ffff:100.64.0.1", &[]),
        ("100.63.255.255", &[100, 63, 255]),
        ("100.128.0.1", &[100, 128, 0]),
        ("169.254.1.1", &[]),
        ("172.16.0.1", &[]),
        ("172.31.255.255", &[]),
        ("172.32.0.1", &[172, 32, 0]),
        ("192.0.0.1", &[]),
        ("192.168.1.1", &[]),
        ("198.18.0.1", &[]),
        ("198.19.255.255", &[]),
        ("::", &[]),
        ("::1", &[]),
        ("fc00::1", &[]),
        ("fdff::1", &[]),
        ("fe80::1", &[]),
        ("febf::1", &[]),
        ("", &[]),
        ("999.1.1.1", &[]),
    ];
    let app = App::start_with(Store::Embedded, &[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    app.tenant().await.create(link("all", DESTINATION)).await;
    let headers: Vec<[(&str, &str); 1]> =
        cases.iter().map(|(from, _)| [("x-forwarded-for", *from)]).collect();
    let visits: Vec<_> = headers.iter().map(|headers| (Method::GET, &headers[..])).collect();
    for (click, (from, network)) in kept(&app, &visits).await.iter().zip(cases) {
        assert_eq!(click.network, *network, "{from}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_link_that_is_off_looks_like_none() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let unknown = app.visit("/nothing").await;
    assert_eq!(unknown.status, 404);
    for (code, active, expected) in
        [("unsaid", None, 302), ("on", Some(true), 302), ("off", Some(false), 404)]
    {
        tenant.create(Link { active, ..link(code, DESTINATION) }).await;
        let answer = app.visit(&format!("/{code}")).await;
        assert_eq!(answer.status.as_u16(), expected, "{code}");
        if expected == 404 {
            assert_eq!(answer.body, unknown.body, "{code}");
            assert_eq!(answer.header("x-click-id"), "", "{code}");
        } else {
            assert_eq!(answer.leads_to(), DESTINATION, "{code}");
        }
    }
    app.settled().await;
    let clicks = click::Entity::find().all(&app.env().db.api).await.expect("clicks can be read");
    assert_eq!(clicks.len(), 2, "who is shown nothing has clicked on nothing");
    app.stop().await;
}

#[tokio::test]
async fn codes_are_short_and_differ_or_are_the_ones_asked_for() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let mut codes = HashSet::new();
    for _ in 0..50 {
        let code = tenant.create(a_link()).await.short_code;
        assert_eq!(code.len(), 8, "{code}");
        assert!(codes.insert(code));
    }
    for code in ["a", "spring-sale", "Spring_2026"] {
        assert_eq!(tenant.create(link(code, DESTINATION)).await.short_code, code);
    }
    app.stop().await;
}

/// A link on which every device ends elsewhere.
fn everywhere(code: &str) -> Link {
    let stores = Link { ios_url: IOS.into(), android_url: ANDROID.into(), ..link(code, DESTINATION) };
    Link { web_url: WEB.into(), forward_query: Some(false), ..stores }
}

#[tokio::test]
async fn devices_are_told_by_words_in_any_case() {
    let app = App::start(Store::Embedded).await;
    app.tenant().await.create(everywhere("all")).await;
    for (agent, expected) in [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)", IOS),
        ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X)", IOS),
        ("Mozilla/5.0 (iPod touch; CPU iPhone OS 12_0 like Mac OS X)", IOS),
        ("MOZILLA/5.0 (IPHONE)", IOS),
        ("mozilla/5.0 (ipad)", IOS),
        ("Mozilla/5.0 (Linux; Android 14)", ANDROID),
        ("mozilla/5.0 (linux; ANDROID 14)", ANDROID),
        (DESKTOP, WEB),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", WEB),
        ("", WEB),
    ] {
        let answer = get(app.links(), "/all", &[("user-agent", agent)]).await;
        assert_eq!(answer.leads_to(), expected, "{agent}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_added_to_a_url_is_encoded_as_forms_are() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let utm = |source: &str, medium: &str, campaign: &str| {
        let texts = [source, medium, campaign].map(str::to_owned);
        let [source, medium, campaign] = texts;
        Some(Utm { source, medium, campaign, ..Utm::default() })
    };
    for (code, url, utm, expected) in [
        ("one", "https://example.com/", utm("twitter", "", ""), "https://example.com/?utm_source=twitter"),
        (
            "all",
            "https://example.com/",
            utm("twitter", "social", "launch"),
            "https://example.com/?utm_campaign=launch&utm_medium=social&utm_source=twitter",
        ),
        (
            "there",
            "https://example.com/page?existing=1",
            utm("twitter", "", ""),
            "https://example.com/page?existing=1&utm_source=twitter",
        ),
        ("none", "https://example.com/page?existing=1", None, "https://example.com/page?existing=1"),
        (
            "spaces",
            "https://example.com/",
            utm("a b", "", "summer sale"),
            "https://example.com/?utm_campaign=summer+sale&utm_source=a+b",
        ),
        (
            "odd",
            "https://example.com/",
            utm("a&b=c", "", "50%"),
            "https://example.com/?utm_campaign=50%25&utm_source=a%26b%3Dc",
        ),
    ] {
        tenant.create(Link { utm, ..link(code, url) }).await;
        assert_eq!(app.visit(&format!("/{code}")).await.leads_to(), expected, "{code}");
    }
    app.stop().await;
}

#[tokio::test]
async fn countries_come_from_public_addresses_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("countries.mmdb");
    let networks = [("8.8.8.0/24", "US"), ("10.0.0.0/8", "US"), ("127.0.0.0/8", "US")];
    fs::write(&file, countries(Shape::Nested, &networks)).expect("writes");
    let path = file.display().to_string();
    let settings = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("GEOIP_FILE", &path)];
    let app = App::start_with(Store::Embedded, &settings).await;
    app.tenant().await.create(link("all", DESTINATION)).await;
    let cases =
        [("8.8.8.8", Some("US")), ("10.0.0.1", None), ("127.0.0.1", None), ("nonsense", None), ("", None)];
    let headers = cases.map(|(from, _)| [("x-forwarded-for", from)]);
    let visits: Vec<_> = headers.iter().map(|headers| (Method::GET, &headers[..])).collect();
    let kept = kept(&app, &visits).await;
    let found: Vec<Option<&str>> = kept.iter().map(|click| click.country.as_deref()).collect();
    assert_eq!(found, cases.map(|(_, country)| country));
    app.stop().await;
}

#[tokio::test]
async fn health_asks_no_store_and_is_no_short_code() {
    let away =
        [("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none"), ("REDIS_URL", "redis://127.0.0.1:9/0")];
    let app = App::start_with(Store::Embedded, &away).await;
    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(app.visit(path).await.status, 200, "{path}");
    }
    app.stop().await;
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    for code in ["health", "Health", "readyz"] {
        tenant.try_create(link(code, DESTINATION)).await.expect_err(code);
    }
    assert_eq!(app.visit("/health").await.header("content-type"), "application/json");
    app.stop().await;
}

#[tokio::test]
async fn apps_are_told_by_their_tokens() {
    let app = App::start(Store::Embedded).await;
    app.tenant().await.create(everywhere("all")).await;
    let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";
    let android = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0.0.0 Mobile Safari/537.36";
    for (system, store, tokens) in [
        (
            iphone,
            IOS,
            &[
                "GSA/300.0",
                "Gmail/6.0",
                "[FBAN/FBIOS;]",
                "[FBAV/450.0;]",
                "Instagram 330.0",
                "Twitter for iPhone",
                "[LinkedInApp]",
                "MicroMessenger/8.0",
                "Outlook-iOS/2.0",
                "YahooMobile/1.0",
            ][..],
        ),
        (
            android,
            ANDROID,
            &[
                "[FB_IAB/FB4A;]",
                "[FBAN/EMA;]",
                "[FBAV/450.0;]",
                "Instagram 330.0",
                "Line/14.0",
                "KAKAOTALK 10.0",
                "TwitterAndroid",
                "[LinkedInApp]",
                "MicroMessenger/8.0",
                "Outlook-Android/4.0",
                "WhatsApp/2.24",
                "[Pinterest/Android]",
                "Telegram-Android/10.0",
                "Snapchat/12.0",
                "(x; wv)",
                "(x;\twv)",
            ],
        ),
    ] {
        let from = async |agent: String| {
            get(app.links(), "/all", &[("user-agent", &agent)]).await.leads_to().to_owned()
        };
        assert_eq!(from(system.to_owned()).await, store);
        for token in tokens {
            assert_eq!(from(format!("{system} {token}")).await, WEB, "{token}");
            assert_eq!(from(format!("{system} {}", token.to_uppercase())).await, WEB, "{token} in capitals");
        }
    }
    // The same words on a desktop are a desktop.
    let answer = get(app.links(), "/all", &[("user-agent", &format!("{DESKTOP} Instagram FBAN"))]).await;
    assert_eq!(answer.leads_to(), WEB);
    app.stop().await;
}

/// The matrix of stores and web: what is chosen, and the reason that is stored for it.
#[tokio::test]
async fn the_store_or_the_web_comes_first_by_browser() {
    const BY_IOS: i16 = 1;
    const BY_ANDROID: i16 = 2;
    const BY_WEB: i16 = 3;
    const BY_NONE: i16 = 4;
    let iphone =
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1";
    let android = "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126.0.0.0 Mobile Safari/537.36";
    let in_app = |agent: &str| format!("{agent} Instagram 330.0");
    let (iphone_app, android_app) = (in_app(iphone), in_app(android));
    let mut cases = Vec::new();
    for (agent, store, by, inside) in [
        (iphone, IOS, BY_IOS, false),
        (&iphone_app, IOS, BY_IOS, true),
        (android, ANDROID, BY_ANDROID, false),
        (&android_app, ANDROID, BY_ANDROID, true),
    ] {
        for (has_store, has_web) in [(true, true), (true, false), (false, true), (false, false)] {
            let expected = match (has_store, has_web) {
                (true, true) if inside => (WEB, BY_WEB),
                (true, _) => (store, by),
                (false, true) => (WEB, BY_WEB),
                (false, false) => (DESTINATION, BY_NONE),
            };
            cases.push((agent, has_store, has_web, expected));
        }
    }
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    for (has_store, has_web) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut made = everywhere(&format!("{has_store}-{has_web}"));
        if !has_store {
            (made.ios_url, made.android_url) = (String::new(), String::new());
        }
        if !has_web {
            made.web_url = String::new();
        }
        tenant.create(made).await;
    }
    for (agent, has_store, has_web, (url, _)) in &cases {
        let answer = get(app.links(), &format!("/{has_store}-{has_web}"), &[("user-agent", agent)]).await;
        assert_eq!(answer.leads_to(), *url, "{agent}, store {has_store}, web {has_web}");
        app.clock.advance(chrono::Duration::seconds(1));
    }
    let kept = kept(&app, &[]).await;
    for (click, (agent, has_store, has_web, (_, step))) in kept.iter().zip(&cases) {
        assert_eq!(click.step, *step, "{agent}, store {has_store}, web {has_web}");
    }
    assert_eq!(kept.len(), cases.len());
    app.stop().await;
}
