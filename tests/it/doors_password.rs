//! Links with a password: who knows it goes on, who guesses waits, and nobody reads it.

use bytes::Bytes;
use http::Method;
use linkforty::pb::v1::{BatchCreateLinksRequest, Link};

use crate::{
    doors::{DESTINATION, as_agent, now},
    support::{Answer, App, DESKTOP, Store, link, on_every_store, send, stores, wrong},
};

const FORM: &str = "application/x-www-form-urlencoded";

async fn try_form(app: &App, path: &str, kind: &str, body: &str) -> Answer {
    let headers = [("user-agent", DESKTOP), ("content-type", kind)];
    send(app.links(), Method::POST, path, &headers, Bytes::copy_from_slice(body.as_bytes())).await
}

fn locked(code: &str) -> Link {
    Link { password: "ünlöck me+&".into(), ..link(code, DESTINATION) }
}

#[tokio::test]
async fn who_knows_the_password_goes_on_and_that_is_the_click() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(locked("vault")).await;
        assert!(made.has_password && made.password.is_empty());
        let read = tenant.get(&made.id).await.expect("it is there");
        assert!(read.has_password && read.password.is_empty());

        let page = as_agent(app, "/vault", DESKTOP).await;
        assert_eq!((page.status.as_u16(), page.header("x-click-id")), (200, ""));
        assert!(page.text().contains("password") && !page.text().contains("secret-place"), "{}", page.text());
        for body in ["password=wrong", "password=", "", "pass=x", "password=%00", "%ff%fe=&&&"] {
            let answer = try_form(app, "/vault", FORM, body).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (403, ""), "{body}");
            assert!(!answer.text().contains("secret-place"));
        }
        let right = "password=%C3%BCnl%C3%B6ck+me%2B%26";
        let answer =
            try_form(app, "/vault?a=1", "Application/X-WWW-Form-Urlencoded; charset=utf-8", right).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert_eq!(answer.header("location"), format!("{DESTINATION}?a=1"));
        assert_eq!(answer.header("cache-control"), "private, no-store");
        assert!(!answer.header("x-click-id").is_empty());
        app.settled().await;
        assert_eq!(tenant.get(&made.id).await.expect("it is there").click_count, 1);

        // Neither another form of content nor a longer one comes as far as the password.
        for (kind, body, status) in
            [("application/json", "{}", 405), ("", right, 405), (FORM, &"x".repeat(5000), 413)]
        {
            let answer = try_form(app, "/vault", kind, body).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (status, ""), "{kind}");
        }
        // Whoever was asked by a page from before goes the way of everybody.
        tenant.update(Link { id: made.id, ..Link::default() }, &["password"]).await;
        let answer = try_form(app, "/vault", FORM, right).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/vault"));
        assert_eq!(as_agent(app, "/vault", DESKTOP).await.header("location"), DESTINATION);
        assert_eq!(try_form(app, "/unknown", FORM, right).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn a_warning_comes_behind_the_password() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant
            .create(Link { warn_time: now(app), password: "open".into(), ..link("both", DESTINATION) })
            .await;
        assert!(!as_agent(app, "/both", DESKTOP).await.text().contains("secret-place"));
        let answer = try_form(app, "/both", FORM, "password=open").await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("secret-place"), "{}", answer.text());
        let scraper = as_agent(app, "/both", "Twitterbot/1.0").await;
        assert!(!scraper.text().contains("secret-place"));
    })
    .await;
}

#[tokio::test]
async fn guesses_are_slowed_down() {
    for store in stores() {
        let settings = [("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_UNLOCK_MAX", "3")];
        let app = App::start_with(store, &settings).await;
        app.tenant().await.create(locked("vault")).await;
        let mut statuses = Vec::new();
        for _ in 0..5 {
            statuses.push(try_form(&app, "/vault", FORM, "password=guess").await.status.as_u16());
        }
        assert_eq!(statuses, [403, 403, 403, 429, 429], "{store}");
        let answer = try_form(&app, "/vault", FORM, "password=%C3%BCnl%C3%B6ck+me%2B%26").await;
        assert_eq!(answer.status, 429, "also who knows it: {store}");
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
        assert_eq!(as_agent(&app, "/vault", DESKTOP).await.status, 200, "looking is free");
        app.stop().await;
    }
}

#[tokio::test]
async fn passwords_are_bounded() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let long = Link { password: "ä".repeat(201), ..link("", DESTINATION) };
    assert_eq!(wrong(&tenant.try_create(long).await.expect_err("too long")), ["link.password"]);
    let links = vec![locked(""); 51];
    let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
    let refused = tenant.links.clone().batch_create_links(request).await.expect_err("too many");
    assert_eq!(wrong(&refused), ["links"]);
    let links = vec![locked("one"), locked("one"), link("two", DESTINATION)];
    let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
    let made = tenant.links.clone().batch_create_links(request).await.expect("creates").into_inner();
    assert_eq!((made.succeeded, made.failed), (2, 1));
    assert_eq!(try_form(&app, "/one", FORM, "password=%C3%BCnl%C3%B6ck+me%2B%26").await.status, 303);
    app.stop().await;
}
