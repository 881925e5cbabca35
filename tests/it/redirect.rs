//! Visitors follow short links: where they go, what they are told, and how soon a change counts.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use linkforty::{
    cache::{Signal, Topic},
    pb::v1::{
        LanguageCondition, Link, Platform, PlatformCondition, QueryCondition, RoutingCondition, RoutingRule,
        Utm, routing_condition::Condition, routing_rule::Action,
    },
};
use prost_types::Timestamp;
use sea_orm::{ConnectionTrait as _, Statement};

use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::broadcast::Receiver};

use crate::support::{
    Answer, App, DESKTOP, IPHONE, PIXEL, Store, Tenant, eventually, get, get_many, link, on_every_store,
    stores, within,
};

/// The browser inside Instagram.
const IN_APP: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 335.0.0.0";

const IOS: &str = "https://apps.apple.com/app/id1";
const ANDROID: &str = "https://play.google.com/store/apps/details?id=a";
const WEB: &str = "https://example.com/web";
const DESTINATION: &str = "https://example.com/any";

async fn with_agent(app: &App, path: &str, agent: &str) -> Answer {
    get(app.links(), path, &[("user-agent", agent)]).await
}

/// Where a visit leads: its `location`, or the status when it has none.
async fn leads(app: &App, path: &str) -> String {
    let answer = app.visit(path).await;
    match answer.leads_to() {
        "" => answer.status.as_u16().to_string(),
        location => location.to_owned(),
    }
}

/// What a visitor can tell two answers apart by.
fn face(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"))
        .map(|(name, value)| (name.to_string(), format!("{value:?}")))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, answer.text())
}

#[tokio::test]
async fn every_device_goes_where_the_chain_says() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        for (code, ios, android, web, expected) in [
            ("all", IOS, ANDROID, WEB, [IOS, ANDROID, WEB, WEB]),
            ("stores", IOS, ANDROID, "", [IOS, ANDROID, DESTINATION, IOS]),
            ("web", "", "", WEB, [WEB; 4]),
            ("plain", "", "", "", [DESTINATION; 4]),
            ("ios", IOS, "", "", [IOS, DESTINATION, DESTINATION, IOS]),
        ] {
            let made = Link {
                ios_url: ios.into(),
                android_url: android.into(),
                web_url: web.into(),
                ..link(code, DESTINATION)
            };
            tenant.create(made).await;
            for (agent, expected) in [IPHONE, PIXEL, DESKTOP, IN_APP].into_iter().zip(expected) {
                let answer = with_agent(app, &format!("/{code}"), agent).await;
                assert_eq!((answer.status.as_u16(), answer.leads_to()), (302, expected), "{code} {agent}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn urls_carry_what_the_link_and_the_visitor_bring() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let play = "https://play.google.com/store/apps/details?id=com.example";
        let made = Link {
            ios_universal_link: "https://app.example.com/i".into(),
            android_url: play.into(),
            deep_link_parameters: [("id".to_owned(), "42".to_owned())].into(),
            utm: Some(Utm { source: "a b".into(), ..Utm::default() }),
            append_click_id: true,
            ..link("all", "https://example.com/x?id=1&k=v#f")
        };
        tenant.create(made.clone()).await;
        tenant.create(Link { forward_query: Some(false), ..link("mute", DESTINATION) }).await;
        tenant.create(link("plain", DESTINATION)).await;
        for (path, agent, expected) in [
            ("/all", IPHONE, "https://app.example.com/i?utm_source=a+b&id=42&lf_click={id}"),
            (
                "/all?x=1&id=7&utm_source=no",
                IN_APP,
                "https://app.example.com/i?utm_source=a+b&id=42&lf_click={id}&x=1",
            ),
            ("/all?x=1", PIXEL, play),
            (
                "/all?k=w&x=%20",
                DESKTOP,
                "https://example.com/x?id=42&k=v&utm_source=a+b&lf_click={id}&x=%20#f",
            ),
            ("/mute?x=1", DESKTOP, DESTINATION),
            ("/plain?x=1", DESKTOP, &format!("{DESTINATION}?x=1")),
            ("/plain", DESKTOP, DESTINATION),
        ] {
            let answer = with_agent(app, path, agent).await;
            let expected = expected.replace("{id}", answer.header("x-click-id"));
            assert_eq!(answer.leads_to(), expected, "{path} {agent}");
        }
    })
    .await;
}

/// The rules of a link decide before its other fields, a rule nobody understands decides nothing.
#[tokio::test]
async fn rules_send_whom_they_fit() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let rule = |name: &str, url: &str, condition| RoutingRule {
            name: name.into(),
            conditions: vec![RoutingCondition { condition: Some(condition) }],
            action: Some(Action::Url(url.into())),
            active: None,
        };
        let english =
            Condition::Languages(LanguageCondition { languages: vec!["en".into()], min_quality: None });
        let phones = Condition::Platforms(PlatformCondition {
            platforms: vec![Platform::Ios.into(), Platform::Android.into()],
        });
        let off = RoutingRule {
            active: Some(false),
            ..rule(
                "off",
                "https://example.com/off",
                Condition::Query(QueryCondition { name: "x".into(), value: None }),
            )
        };
        let rules = vec![
            off,
            rule("english", "https://example.com/en", english),
            rule("phones", "https://example.com/app", phones),
        ];
        let made = tenant
            .create(Link { routing_rules: rules, web_url: WEB.into(), ..link("ruled", DESTINATION) })
            .await;
        assert_eq!(made.routing_rules.len(), 3);
        assert_eq!(made.routing_rules[1].active, Some(true));
        for (agent, language, expected) in [
            (DESKTOP, "en-GB,de;q=0.5", "https://example.com/en?x=1"),
            (IPHONE, "en", "https://example.com/en?x=1"),
            (IPHONE, "de,en;q=0.5", "https://example.com/app?x=1"),
            (PIXEL, "", "https://example.com/app?x=1"),
            (DESKTOP, "de", "https://example.com/web?x=1"),
        ] {
            let headers = [("user-agent", agent), ("accept-language", language)];
            let answer = get(app.links(), "/ruled?x=1", &headers).await;
            assert_eq!(answer.leads_to(), expected, "{agent} {language}");
        }
        app.settled().await;
        let rows = app
            .env()
            .db
            .api
            .query_all_raw(Statement::from_string(
                app.env().db.api.get_database_backend(),
                "SELECT step FROM clicks",
            ))
            .await
            .expect("clicks");
        let mut steps: Vec<String> =
            rows.iter().map(|row| row.try_get_by_index::<i16>(0).expect("a step").to_string()).collect();
        steps.sort();
        assert_eq!(steps, ["101", "101", "102", "102", "3"]);

        // Rules that are no rules, written by hand, are as good as none.
        let garbage = format!(
            "UPDATE links SET routing_rules = {}",
            match app.env().db.api.get_database_backend() {
                sea_orm::DbBackend::Postgres => "'\\xff00ff'::bytea",
                _ => "x'ff00ff'",
            }
        );
        app.env().db.api.execute_unprepared(&garbage).await.expect("updates");
        tenant.create(Link { web_url: WEB.into(), ..link("fresh", DESTINATION) }).await;
        let update = tenant
            .update(Link { id: made.id.clone(), title: "x".into(), ..Link::default() }, &["title"])
            .await;
        assert_eq!(update.routing_rules.len(), 0);
        assert_eq!(with_agent(app, "/ruled", IPHONE).await.leads_to(), WEB);
    })
    .await;
}

#[tokio::test]
async fn a_redirect_is_private_fresh_and_has_a_click_id() {
    on_every_store(async |app| {
        app.tenant().await.create(link("spring", DESTINATION)).await;
        let first = app.visit("/spring").await;
        assert_eq!(first.status, 302);
        assert_eq!(first.header("cache-control"), "private, no-store");
        let second = app.visit("/spring").await;
        for answer in [&first, &second] {
            let id = uuid::Uuid::parse_str(answer.header("x-click-id")).expect("a UUID");
            assert_eq!(id.get_version_num(), 7);
        }
        assert_ne!(first.header("x-click-id"), second.header("x-click-id"));
        assert!(first.body.is_empty());

        // HEAD says the same of itself, without a body.
        let head = app.visit_as(Method::HEAD, "/spring", &[]).await;
        assert_eq!((head.status.as_u16(), head.leads_to()), (302, DESTINATION));
        assert_eq!(head.header("cache-control"), "private, no-store");
        let head = app.visit_as(Method::HEAD, "/nothing-here", &[]).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (404, 0));
    })
    .await;
}

#[tokio::test]
async fn a_link_that_is_off_or_not_open_yet_looks_like_an_unknown_one_and_one_that_is_over_says_so() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let now = app.env().now().timestamp();
        let at = |seconds: i64| Some(Timestamp { seconds: now + seconds, nanos: 0 });
        tenant.create(Link { active: Some(false), ..link("inactive", DESTINATION) }).await;
        tenant.create(Link { start_time: at(60), ..link("early", DESTINATION) }).await;
        tenant.create(Link { expire_time: at(60), ..link("late", DESTINATION) }).await;
        let unknown = face(&app.visit("/unknown").await);
        assert_eq!(unknown.0, 404);
        assert!(!unknown.1.iter().any(|(name, _)| name == "x-click-id"));
        for (code, open_before, open_after) in
            [("inactive", false, false), ("early", false, true), ("late", true, false)]
        {
            for (moved, open) in [(0, open_before), (60, open_after)] {
                app.clock.advance(chrono::Duration::seconds(moved));
                let answer = app.visit(&format!("/{code}")).await;
                assert_eq!(answer.status == 302, open, "{code} after {moved} s");
                if code == "late" && !open {
                    assert_eq!(answer.status, 404);
                    assert!(answer.text().contains("This link has expired"));
                } else if !open {
                    assert_eq!(face(&answer), unknown, "{code} after {moved} s");
                }
                app.clock.advance(chrono::Duration::seconds(-moved));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_servers_own_paths_are_no_links() {
    let app = App::start(Store::Embedded).await;
    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(app.visit(path).await.status, 200, "{path}");
    }
    // Reserved, and nothing there yet: the router answers, as it does for what cannot be a code.
    for path in ["/admin", "/API", "/metrics", "/", "/.well-known/assetlinks.json"] {
        let answer = app.visit(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
    }
    app.stop().await;
}

/// However a path is written, a visitor ends at what somebody stored or nowhere.
#[tokio::test]
async fn odd_paths_lead_nowhere_else() {
    let app = App::start(Store::Embedded).await;
    app.tenant().await.create(link("code", "https://example.com/a?b=c")).await;
    let long = format!("/{}", "a".repeat(129));
    let longer = format!("/{}", "a".repeat(4000));
    for path in [
        "//evil.com",
        "//evil.com/code",
        "///evil.com",
        "/\\evil.com",
        "/%5cevil.com",
        "/%2e%2e",
        "/%2e%2e/code",
        "/../code",
        "/./code",
        "/code/",
        "/code//",
        "/code/evil.com",
        "/code;a",
        "/%63ode",
        "/code%00",
        "/code%0d%0alocation:%20https://evil.com",
        "/code%20",
        "/caf%C3%A9",
        "/%ff%fe",
        "/CODE",
        "/@evil.com",
        "/https://evil.com",
        "/javascript:alert(1)",
        &long,
        &longer,
    ] {
        let answer = app.visit(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.leads_to(), "", "{path}");
    }
    // A visitor's query fills what is free behind the question mark, and moves nobody to another host.
    for (path, forwarded) in [
        ("/code", ""),
        ("/code?", ""),
        ("/code?b=evil&to=https://evil.com", "&to=https://evil.com"),
        ("/code?%0d%0ax", "&%0d%0ax"),
        ("/code?//evil.com", "&//evil.com"),
    ] {
        let answer = app.visit(path).await;
        let expected = format!("https://example.com/a?b=c{forwarded}");
        assert_eq!((answer.status.as_u16(), answer.leads_to()), (302, &*expected), "{path}");
    }
    // Whoever it says it came through.
    for headers in [[("x-forwarded-host", "evil.com")], [("x-original-url", "//evil.com")]] {
        let answer = get(app.links(), "/code", &headers).await;
        assert_eq!(answer.leads_to(), "https://example.com/a?b=c", "{headers:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn links_are_followed_not_posted_to() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let made = tenant.create(link("code", DESTINATION)).await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = app.visit_as(method.clone(), "/code", &[]).await;
        assert!(matches!(answer.status.as_u16(), 200 | 404 | 405), "{method}: {}", answer.status);
        assert_eq!((answer.leads_to(), answer.header("x-click-id")), ("", ""), "{method}");
    }
    app.settled().await;
    assert_eq!(tenant.get(&made.id).await.expect("it is there").click_count, 0);
    app.stop().await;
}

/// What somebody saved is what they see when they try it: not soon, at once.
#[tokio::test]
async fn a_change_counts_at_once_where_it_was_made() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        for round in 0..25 {
            let path = format!("/round{round}");
            // Remembered as unknown, and there all the same from the moment it is.
            assert_eq!(leads(app, &path).await, "404");
            let made = tenant.create(link(&path[1..], "https://example.com/1")).await;
            assert_eq!(leads(app, &path).await, "https://example.com/1", "created in round {round}");
            let edit = Link { destination_url: "https://example.com/2".into(), ..made.clone() };
            let made = tenant.update(Link { etag: String::new(), ..edit }, &["destination_url"]).await;
            assert_eq!(leads(app, &path).await, "https://example.com/2", "edited in round {round}");
            let off = Link { active: Some(false), etag: String::new(), ..made.clone() };
            tenant.update(off, &["active"]).await;
            assert_eq!(leads(app, &path).await, "404", "deactivated in round {round}");
            let on = Link { active: Some(true), etag: String::new(), ..made.clone() };
            tenant.update(on, &["active"]).await;
            assert_eq!(leads(app, &path).await, "https://example.com/2", "activated in round {round}");
            tenant.delete(&made.id).await;
            assert_eq!(leads(app, &path).await, "404", "deleted in round {round}");
        }
    })
    .await;
}

/// Waits until what `here` changes is heard `there`.
pub async fn in_touch(here: &App, there: &App, tenant: &Tenant) {
    let probe = tenant.create(link("", DESTINATION)).await;
    let mut heard = there.env().fanout.subscribe(Topic::Links);
    let mut round = 0;
    loop {
        round += 1;
        let title = format!("{round}");
        tenant.update(Link { title, etag: String::new(), ..probe.clone() }, &["title"]).await;
        let signal = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await;
        if matches!(signal, Ok(Ok(Signal::Message(_)))) {
            break;
        }
        assert!(round < 50, "the nodes are not in touch");
    }
    here.clock.advance(chrono::Duration::seconds(1));
}

/// Waits until a change was heard by every way there is: a message that comes later would make a warm link cold again.
pub async fn quiet(heard: &mut Receiver<Signal>) {
    while tokio::time::timeout(Duration::from_millis(300), heard.recv()).await.is_ok() {}
}

const PROMISED: Duration = Duration::from_secs(1);

/// The clock stands still, so nothing grows old: only the message can bring the change.
#[tokio::test]
async fn a_change_reaches_the_other_nodes_within_a_second() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let tenant = here.tenant().await;
    // By Redis, and by Postgres alone.
    for settings in [&[][..], &[("REDIS_URL", "")]] {
        let there = here.start_beside(settings).await;
        in_touch(&here, &there, &tenant).await;
        for round in 0..5 {
            let path = format!("/far{}-{round}", settings.len());
            assert_eq!(leads(&there, &path).await, "404");
            let made = tenant.create(link(&path[1..], "https://example.com/1")).await;
            let there_leads = async |to: &str| {
                within(PROMISED, to, async || leads(&there, &path).await == to).await;
            };
            there_leads("https://example.com/1").await;
            let edit = Link { destination_url: "https://example.com/2".into(), etag: String::new(), ..made };
            let made = tenant.update(edit, &["destination_url"]).await;
            there_leads("https://example.com/2").await;
            let off = Link { active: Some(false), etag: String::new(), ..made.clone() };
            tenant.update(off, &["active"]).await;
            there_leads("404").await;
            let on = Link { active: Some(true), etag: String::new(), ..made.clone() };
            tenant.update(on, &["active"]).await;
            there_leads("https://example.com/2").await;
            tenant.delete(&made.id).await;
            there_leads("404").await;
        }
        there.stop().await;
    }
    here.stop().await;
}

/// Redis on its own: the row is changed behind the server's back, so Postgres notifies nobody.
#[tokio::test]
async fn a_message_by_redis_alone_is_heard() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let there = here.start_beside(&[]).await;
    let tenant = here.tenant().await;
    in_touch(&here, &there, &tenant).await;
    let mut heard = there.env().fanout.subscribe(Topic::Links);
    tenant.create(link("code", "https://example.com/1")).await;
    quiet(&mut heard).await;
    assert_eq!(leads(&there, "/code").await, "https://example.com/1");
    let sql =
        "UPDATE links SET destination_url = 'https://example.com/2', version = 2 WHERE short_code = 'code'";
    here.env().db.api.execute_unprepared(sql).await.expect("updates");
    assert_eq!(leads(&there, "/code").await, "https://example.com/1");
    here.env().fanout.publish(Topic::Links, Bytes::from_static(b"\ncode")).await.expect("Redis takes it");
    within(PROMISED, "the other node hears it", async || {
        leads(&there, "/code").await == "https://example.com/2"
    })
    .await;
    there.stop().await;
    here.stop().await;
}

/// Without Redis, whose time is not ours: what it still holds would answer in place of the database.
#[tokio::test]
async fn warm_links_go_on_without_a_database_and_cold_ones_are_never_called_unknown() {
    for store in stores() {
        let app = App::start_with(store, &[("REDIS_URL", "")]).await;
        let tenant = app.tenant().await;
        let mut heard = app.env().fanout.subscribe(Topic::Links);
        tenant.create(link("warm", WEB)).await;
        tenant.create(link("cold", DESTINATION)).await;
        quiet(&mut heard).await;
        assert_eq!(leads(&app, "/warm").await, WEB);
        assert_eq!(leads(&app, "/unknown").await, "404");
        app.env().db.lookup.close_by_ref().await.expect("closes");
        // Fresh, grown old, and so old that only an error excuses it; the settings say 30 s, 15 min and 24 h.
        for (minutes, expected) in [(0, WEB), (1, WEB), (30, WEB), (12 * 60, WEB), (24 * 60, "503")] {
            app.clock.advance(chrono::Duration::minutes(minutes));
            assert_eq!(leads(&app, "/warm").await, expected, "{minutes} minutes later");
        }
        for path in ["/cold", "/unknown", "/unheard-of"] {
            let answer = app.visit(path).await;
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "2"), "{path}");
            assert_eq!(answer.header("cache-control"), "private, no-store", "{path}");
        }
        app.stop().await;
    }
}

/// Nothing listens there: connections are refused, as by a Postgres that is down.
#[tokio::test]
async fn a_node_that_never_saw_its_database_says_503() {
    let away =
        [("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none"), ("DATABASE_ACQUIRE_TIMEOUT_MS", "200")];
    let app = App::start_with(Store::Embedded, &away).await;
    let answers = join_all((0..20).map(|n| {
        let app = &app;
        async move { app.visit(&format!("/code{n}")).await.status.as_u16() }
    }))
    .await;
    assert!(answers.iter().all(|status| *status == 503), "{answers:?}");
    app.stop().await;
}

/// Puts a view in place of the table of links that counts how often it is asked, and takes its time. Metrics would not do:
/// they belong to the process, which tests share.
const COUNTED: &str = "
    ALTER TABLE links RENAME TO stored_links;
    CREATE SEQUENCE asked;
    CREATE VIEW links AS SELECT stored_links.* FROM stored_links, (SELECT nextval('asked'), pg_sleep(0.1) OFFSET 0) AS once;
";

#[tokio::test]
async fn a_hundred_cold_visits_ask_the_database_once() {
    if !stores().contains(&Store::Production) {
        return;
    }
    for settings in [&[][..], &[("REDIS_URL", "")]] {
        let app = App::start_with(Store::Production, settings).await;
        app.tenant().await.create(link("crowd", DESTINATION)).await;
        let db = app.owner_db().await;
        db.execute_unprepared(COUNTED).await.expect("the view is made");
        let visits = join_all((0..100).map(|_| leads(&app, "/crowd"))).await;
        assert!(visits.iter().all(|to| to == DESTINATION), "{visits:?}");
        let sql = Statement::from_string(db.get_database_backend(), "SELECT last_value FROM asked");
        let row = db.query_one_raw(sql).await.expect("answers").expect("a row");
        let asked: i64 = row.try_get_by_index(0).expect("a number");
        assert_eq!(asked, 1);
        app.stop().await;
    }
}

/// Whoever hangs up while the database is asked leaves nothing behind that others would wait for.
#[tokio::test]
async fn visitors_who_hang_up_take_no_connection_with_them() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let app = App::start_with(Store::Production, &[("REDIS_URL", "")]).await;
    app.tenant().await.create(link("cold", DESTINATION)).await;
    let db = app.owner_db().await;
    db.execute_unprepared(COUNTED).await.expect("the view is made");
    // Twice as many as there are connections for look-ups; the row is there, so each takes its tenth of a second.
    for n in 0..8 {
        let sql = format!(
            "INSERT INTO stored_links SELECT (json_populate_record(stored_links, json_build_object(\
            'id', gen_random_uuid(), 'short_code', 'slow{n}'))).* FROM stored_links WHERE short_code = 'cold'"
        );
        db.execute_unprepared(&sql).await.expect("a copy");
        let mut visitor = TcpStream::connect(app.links()).await.expect("accepts");
        let request = format!("GET /slow{n} HTTP/1.1\r\nhost: x\r\n\r\n");
        visitor.write_all(request.as_bytes()).await.expect("writes");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    db.execute_unprepared("DROP VIEW links; ALTER TABLE stored_links RENAME TO links")
        .await
        .expect("as before");
    eventually("a cold link is found", async || leads(&app, "/cold").await == DESTINATION).await;
    for n in 0..8 {
        assert_eq!(leads(&app, &format!("/slow{n}")).await, DESTINATION);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_flood_of_guesses_pushes_no_link_out() {
    let app = App::start_with(Store::Embedded, &[("CACHE_ENTRIES", "100")]).await;
    let mut heard = app.env().fanout.subscribe(Topic::Links);
    app.tenant().await.create(link("warm", DESTINATION)).await;
    quiet(&mut heard).await;
    assert_eq!(leads(&app, "/warm").await, DESTINATION);
    // More than are remembered as unknown. A machine with other things to do may answer some of them with 503.
    assert!(knock(&app, 30_000).await > 20_000);
    // With the database gone, only what was remembered can answer.
    app.env().db.lookup.close_by_ref().await.expect("closes");
    assert_eq!(leads(&app, "/warm").await, DESTINATION);
    app.stop().await;
}

/// Asks for codes that nobody made, over a few connections that stay open, and returns how many were said to be unknown.
async fn knock(app: &App, count: usize) -> usize {
    const CONNECTIONS: usize = 8;
    let unknown = join_all((0..CONNECTIONS).map(async |connection| {
        let paths = (connection..count).step_by(CONNECTIONS).map(|n| format!("/guess{n}"));
        let statuses = get_many(app.links(), paths).await;
        assert!(statuses.iter().all(|status| matches!(status, 404 | 503)));
        statuses.iter().filter(|status| **status == 404).count()
    }))
    .await;
    unknown.iter().sum()
}
