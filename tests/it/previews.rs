//! Previews taken from other people's pages, some of them hostile.

use linkforty::pb::v1::{
    CreateLinkRequest, CreateLinkResponse, ErrorReason, FetchPreviewRequest, Link, Og, Preview,
    UpdateLinkRequest, UpdateLinkResponse,
};
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Says, Stranger, Tenant, coded, html, link, moved, reason, request_id, respond, wrong};

const PAGE: &str = r#"<!doctype html><title>Shoes</title><meta property="og:title" content="New &amp; red">
    <meta name="description" content="Shoes for you"><meta property="og:image" content="/shoes.png">
    <meta property="og:site_name" content="Shop"><link rel="canonical" href="/shoes">"#;

async fn preview(tenant: &Tenant, url: &str) -> Result<Preview, Status> {
    let request = FetchPreviewRequest { url: url.to_owned(), ..FetchPreviewRequest::default() };
    let answer = tenant.links.clone().fetch_preview(request).await?.into_inner();
    Ok(answer.preview.expect("always there"))
}

async fn create(tenant: &Tenant, link: Link) -> Result<CreateLinkResponse, Status> {
    let request = CreateLinkRequest {
        link: Some(link),
        fetch_preview: true,
        request_id: request_id(),
        ..CreateLinkRequest::default()
    };
    Ok(tenant.links.clone().create_link(request).await?.into_inner())
}

async fn update(tenant: &Tenant, link: Link, paths: &[&str]) -> Result<UpdateLinkResponse, Status> {
    let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
    let request = UpdateLinkRequest {
        link: Some(link),
        update_mask: Some(mask),
        fetch_preview: true,
        ..UpdateLinkRequest::default()
    };
    Ok(tenant.links.clone().update_link(request).await?.into_inner())
}

/// Returns a fact that an error tells programs.
fn fact(status: &Status, name: &str) -> String {
    let info = status.get_details_error_info().expect("every error has a reason");
    info.metadata.get(name).cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_preview_is_what_a_page_says_of_itself() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[]).await;
    let tenant = app.tenant().await;
    stranger.at("/de/shoes?a=b", html(PAGE));
    let read = preview(&tenant, &stranger.url("/de/shoes?a=b#red")).await.expect("reads");
    let expected = Preview {
        title: "New & red".into(),
        description: "Shoes for you".into(),
        image_url: stranger.url("/shoes.png"),
        site_name: "Shop".into(),
        canonical_url: stranger.url("/shoes"),
        url: stranger.url("/de/shoes?a=b"),
    };
    assert_eq!(read, expected);
    let [asked] = &*stranger.heard() else { panic!("one request") };
    assert!(asked.starts_with("GET /de/shoes?a=b HTTP/1.1\r\n"), "{asked}");
    for line in [
        "user-agent: Mozilla/5.0 (compatible; linkforty; link preview bot)",
        "accept: text/html,application/xhtml+xml",
        "accept-encoding: identity",
    ] {
        assert!(asked.lines().any(|one| one == line), "{asked}");
    }
    assert!(!asked.contains("cookie") && !asked.contains("authorization"), "{asked}");

    stranger.at(
        "/old",
        respond(
            "200 OK",
            "content-type: Text/HTML;charset=\"windows-1251\"\r\n",
            b"<title>\xcf\xf0\xe8\xe2\xe5\xf2</title>",
        ),
    );
    stranger.at("/typeless", respond("200 OK", "", "<title>typeless</title>"));
    stranger.at("/silent", html("nothing of itself"));
    stranger.at(
        "/unsaid",
        respond(
            "200 OK",
            "content-type: application/xhtml+xml\r\n",
            b"<title>\xcf\xf0\xe8\xe2\xe5\xf2</title>",
        ),
    );
    assert_eq!(preview(&tenant, &stranger.url("/old")).await.expect("reads").title, "Привет");
    assert_eq!(preview(&tenant, &stranger.url("/unsaid")).await.expect("reads").title, "Ïðèâåò");
    assert_eq!(preview(&tenant, &stranger.url("/typeless")).await.expect("reads").title, "typeless");
    let silent = Preview { url: stranger.url("/silent"), ..Preview::default() };
    assert_eq!(preview(&tenant, &stranger.url("/silent")).await.expect("reads"), silent);
    app.stop().await;
}

#[tokio::test]
async fn a_page_is_found_behind_a_few_redirects_and_each_is_judged() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[]).await;
    let tenant = app.tenant().await;
    stranger.at("/0", html("<title>there</title><meta property=og:image content=a.png>"));
    for hop in 1..=5 {
        stranger.at(&format!("/{hop}"), moved(&format!("{}#part", hop - 1)));
    }
    let found = preview(&tenant, &stranger.url("/4")).await.expect("reads");
    assert_eq!((&*found.title, &*found.url), ("there", &*stranger.url("/0")));
    assert_eq!(found.image_url, stranger.url("/a.png"));
    let endless = preview(&tenant, &stranger.url("/5")).await.expect_err("too far");
    assert_eq!((&*reason(&endless), &*fact(&endless, "failure")), ("FETCH_FAILED", "redirects"));
    stranger.at("/round", moved("/round"));
    let round = preview(&tenant, &stranger.url("/round")).await.expect_err("goes round");
    assert_eq!(fact(&round, "failure"), "redirects");

    let before = stranger.heard().len();
    for to in [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1]/",
        "http://metadata.test/",
        "http://inside.test/",
        "http://user:pw@shop.test/",
        "http://shop.test:22/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "gopher://shop.test/",
        "http://",
    ] {
        stranger.at("/away", moved(to));
        let refused = preview(&tenant, &stranger.url("/away")).await.expect_err(to);
        assert_eq!(reason(&refused), "FETCH_REFUSED", "{to}: {refused:?}");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        // What is told is what the stranger wrote, or that it is not public; never what is there.
        assert!(!refused.message().contains("169.254"), "{}", refused.message());
    }
    assert_eq!(stranger.heard().len(), before + 13, "nobody else was called");
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told_with_its_reason() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[("OUTBOUND_CONNECT_TIMEOUT_MS", "400"), ("OUTBOUND_TIMEOUT_MS", "800")]).await;
    let tenant = app.tenant().await;
    for url in [
        "",
        "shop.test",
        "ftp://shop.test/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://user:pw@shop.test/",
        "http://shop.test:22/",
        "http://shop.test/\n",
        &format!("http://shop.test/{}", "x".repeat(2048)),
    ] {
        let refused = preview(&tenant, url).await.expect_err(url);
        assert_eq!(
            (&*reason(&refused), wrong(&refused)),
            ("INVALID_FIELDS", vec!["url".to_owned()]),
            "{url:.60}"
        );
    }
    for host in ["inside.test", "metadata.test"] {
        let refused = preview(&tenant, &stranger.url_of(host, "/")).await.expect_err(host);
        assert_eq!(reason(&refused), "FETCH_REFUSED", "{host}");
        assert!(!refused.message().contains("127.0.0.1") && !refused.message().contains("169.254"));
    }
    let nobody = preview(&tenant, &stranger.url_of("nobody.test", "/")).await.expect_err("no such name");
    assert_eq!(reason(&nobody), "FETCH_FAILED");

    for (status, told) in [
        ("404 Not Found", "404"),
        ("500 Oops", "500"),
        ("204 No Content", "204"),
        ("304 Not Modified", "304"),
    ] {
        stranger.at("/status", respond(status, "", ""));
        let refused = preview(&tenant, &stranger.url("/status")).await.expect_err(status);
        assert_eq!((&*reason(&refused), &*fact(&refused, "status")), ("FETCH_STATUS", told));
    }
    for (headers, kind) in [
        ("content-type: image/png\r\n", "image/png"),
        ("content-type: application/json; charset=utf-8\r\n", "application/json; charset=utf-8"),
        ("content-type: text/html\r\ncontent-encoding: gzip\r\n", "text/html"),
        ("content-type: text/htmlish\r\n", "text/htmlish"),
    ] {
        stranger.at("/kind", respond("200 OK", headers, b"\x1f\x8b\x08\x00<title>bomb</title>"));
        let refused = preview(&tenant, &stranger.url("/kind")).await.expect_err(kind);
        assert_eq!((&*reason(&refused), &*fact(&refused, "content_type")), ("FETCH_UNREADABLE", kind));
    }
    stranger.at("/slow", Says::Nothing);
    let slow = preview(&tenant, &stranger.url("/slow")).await.expect_err("never answers");
    assert_eq!((&*reason(&slow), &*fact(&slow, "failure")), ("FETCH_FAILED", "timeout"));
    stranger.at("/noise", Says::This(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()));
    let noise = preview(&tenant, &stranger.url("/noise")).await.expect_err("no HTTP");
    assert_eq!((&*reason(&noise), &*fact(&noise, "failure")), ("FETCH_FAILED", "protocol"));
    assert!(!noise.message().contains("SSH"), "what others say is not repeated: {}", noise.message());
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "x".repeat(20_000));
    stranger.at("/headers", Says::This(head.into_bytes()));
    let headers = preview(&tenant, &stranger.url("/headers")).await.expect_err("too many headers");
    assert_eq!(reason(&headers), "FETCH_TOO_LARGE");
    app.stop().await;
}

#[tokio::test]
async fn a_hostile_page_costs_no_more_than_another() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[]).await;
    let tenant = app.tenant().await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<title>early</title>".to_vec();
    stranger.at("/endless", Says::WithoutEnd(head, vec![b'x'; 64 * 1024]));
    assert_eq!(preview(&tenant, &stranger.url("/endless")).await.expect("reads").title, "early");

    stranger.at("/huge", html(format!("<title>{}</title>", "long ".repeat(100_000))));
    let huge = preview(&tenant, &stranger.url("/huge")).await.expect("reads").title;
    assert_eq!(huge.chars().count(), 255, "{huge:.40}");
    assert!(huge.ends_with('…'));

    let script = "<title><script>alert(1)</script>\u{202e}\0\u{7}</title>\
                  <meta property=og:description content='&lt;img src=x onerror=alert(1)&gt;'>\
                  <meta property=og:image content='javascript:alert(1)'>";
    stranger.at("/script", html(script));
    let read = preview(&tenant, &stranger.url("/script")).await.expect("reads");
    assert_eq!(read.title, "<script>alert(1)</script>\u{fffd}", "a text, and nothing unseen in it");
    assert_eq!(read.description, "<img src=x onerror=alert(1)>");
    assert_eq!(read.image_url, "");
    // What a preview shows is written as text there too.
    let made = create(&tenant, link("evil", &stranger.url("/script"))).await.expect("creates");
    assert_eq!(made.link.expect("shown").og.expect("filled").title, read.title);
    let bot = [("user-agent", "facebookexternalhit/1.1")];
    let shown = app.visit_as(http::Method::GET, "/evil", &bot).await;
    assert_eq!(shown.status, 200);
    assert!(!shown.text().contains("<script>alert"), "{}", shown.text());
    assert!(!shown.text().contains("<img src=x"), "{}", shown.text());
    app.stop().await;
}

#[tokio::test]
async fn a_new_link_gets_from_its_page_what_it_does_not_have() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[]).await;
    let tenant = app.tenant().await;
    stranger.at("/shoes", html(PAGE));
    let made = create(&tenant, link("shoes", &stranger.url("/shoes"))).await.expect("creates");
    assert_eq!(made.preview_error, None);
    let made = made.link.expect("shown");
    let whole = Og {
        title: "New & red".into(),
        description: "Shoes for you".into(),
        image_url: stranger.url("/shoes.png"),
        site_name: "Shop".into(),
    };
    assert_eq!((made.og.as_ref(), &*made.title), (Some(&whole), "New & red"));
    assert_eq!(tenant.get(&made.id).await.expect("there").og, Some(whole.clone()));

    let og = Og { title: "Mine".into(), ..Og::default() };
    let own = Link { title: "Own".into(), og: Some(og), ..link("own", &stranger.url("/shoes")) };
    let own = create(&tenant, own).await.expect("creates").link.expect("shown");
    assert_eq!((own.og, &*own.title), (Some(Og { title: "Mine".into(), ..whole.clone() }), "Own"));

    let before = stranger.heard().len();
    let full = Link { title: "t".into(), og: Some(whole.clone()), ..link("full", &stranger.url("/shoes")) };
    create(&tenant, full).await.expect("creates");
    assert_eq!(stranger.heard().len(), before, "there was nothing to ask for");

    let web = Link { web_url: stranger.url("/shoes"), ..link("web", "https://example.com/") };
    let web = create(&tenant, web).await.expect("creates").link.expect("shown");
    assert_eq!(web.og, Some(whole), "where visitors on the web go");

    let lost = create(&tenant, link("lost", &stranger.url("/lost"))).await.expect("creates all the same");
    let error = lost.preview_error.expect("it says why");
    assert_eq!((error.reason(), error.code), (ErrorReason::FetchStatus, 9));
    assert_eq!(lost.link.expect("shown").og, None);
    let inside = create(&tenant, link("inside", "http://127.0.0.1/")).await.expect("creates all the same");
    assert_eq!(inside.preview_error.expect("it says why").reason(), ErrorReason::InvalidFields);

    let app_only = Link { app_scheme: "shop".into(), ..link("app", "") };
    let refused = create(&tenant, app_only).await.expect_err("there is no page");
    assert_eq!((&*reason(&refused), wrong(&refused)), ("INVALID_FIELDS", vec!["fetch_preview".to_owned()]));
    let request = CreateLinkRequest {
        link: Some(Link { external_user_id: "u".into(), ..link("", &stranger.url("/shoes")) }),
        fetch_preview: true,
        reuse_existing: true,
        ..CreateLinkRequest::default()
    };
    let refused = tenant.links.clone().create_link(request).await.expect_err("what a page says changes");
    assert_eq!(wrong(&refused), ["fetch_preview"]);
    app.stop().await;
}

#[tokio::test]
async fn a_changed_link_gets_its_preview_from_where_it_leads_then() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[]).await;
    let tenant = app.tenant().await;
    stranger.at("/a", html("<title>A</title><meta name=description content=first>"));
    stranger.at("/b", html("<title>B</title><meta name=description content=second>"));
    let made = tenant.create(link("spring", &stranger.url("/a"))).await;
    let id = || Link { id: made.id.clone(), ..Link::default() };
    let changed = update(&tenant, id(), &[]).await.expect("updates").link.expect("shown");
    let of = |title: &str, description: &str| {
        Some(Og { title: title.into(), description: description.into(), ..Og::default() })
    };
    assert_eq!((changed.og, &*changed.title), (of("A", "first"), "A"));

    let moved = Link { destination_url: stranger.url("/b"), ..id() };
    let kept = update(&tenant, moved, &["destination_url"]).await.expect("updates").link.expect("shown");
    assert_eq!(kept.og, of("A", "first"), "what it has it keeps");
    let anew = update(&tenant, id(), &["og"]).await.expect("updates").link.expect("shown");
    assert_eq!((anew.og, &*anew.title), (of("B", "second"), "A"));
    stranger.at("/b", respond("503 Service Unavailable", "", ""));
    let lost = update(&tenant, Link { description: "later".into(), ..id() }, &["description", "og"]).await;
    let lost = lost.expect("updates all the same");
    assert_eq!(lost.preview_error.expect("it says why").reason(), ErrorReason::FetchStatus);
    let lost = lost.link.expect("shown");
    assert_eq!((lost.og, &*lost.description), (None, "later"));
    let unknown = Link { id: request_id(), ..Link::default() };
    assert_eq!(reason(&update(&tenant, unknown, &["og"]).await.expect_err("nobody's")), "NOT_FOUND");
    app.stop().await;
}

#[tokio::test]
async fn a_workspace_fetches_so_many_pages_a_minute() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_MAX", "6")]).await;
    let tenant = app.tenant().await;
    stranger.at("/", html(PAGE));
    let key = app.key(&tenant.id, &crate::support::ALL_SCOPES).await;
    let colleague = app.with_key(&tenant.id, key).await;
    for _ in 0..3 {
        preview(&tenant, &stranger.url("/")).await.expect("reads");
        preview(&colleague, &stranger.url("/")).await.expect("reads");
    }
    let refused = preview(&colleague, &stranger.url("/")).await.expect_err("too many");
    assert_eq!((&*reason(&refused), &*fact(&refused, "limit")), ("RATE_LIMITED", "fetch"));
    assert!(refused.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()));
    let without = create(&colleague, Link { destination_url: stranger.url("/"), ..coded("late") }).await;
    let without = without.expect("creates all the same");
    assert_eq!(without.preview_error.expect("it says why").reason(), ErrorReason::RateLimited);
    let other = app.another_tenant().await;
    preview(&other, &stranger.url("/")).await.expect("another workspace's share is its own");
    assert_eq!(stranger.heard().len(), 7);
    app.stop().await;
}
