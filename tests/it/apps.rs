//! Apps: created and changed by members, and published in the files by which Apple and Android know of them.

use std::time::Duration;

use http::Method;
use linkforty::{
    pb::v1::{
        AndroidApp, AndroidComponent, App as MobileApp, AppLinkMatch, AppLinkOutcome as Outcome,
        AppleComponent, DeleteAppRequest, GetAppRequest, IosApp, ListAppsRequest, MatchAppLinkRequest,
        Platform, UpdateAppRequest,
    },
    workspaces::{allow_apps, enter_as_operator, suspend},
};
use prost_types::FieldMask;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    redirect::in_touch,
    support::{
        Answer, App, Store, Tenant, get, json as read, on_every_store, reason, request_id, stores, within,
        wrong,
    },
};

const APPLE: &str = "/.well-known/apple-app-site-association";
const LEGACY: &str = "/apple-app-site-association";
const ANDROID: &str = "/.well-known/assetlinks.json";
const FILES: [&str; 3] = [APPLE, LEGACY, ANDROID];
const PROMISED: Duration = Duration::from_secs(1);
const OWN_HOST: &str = "go.example.test";
const FINGERPRINT: &str =
    "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5";

/// An app on both platforms whose ids end with `name`.
fn shop(name: &str) -> MobileApp {
    MobileApp {
        name: name.to_owned(),
        ios: Some(IosApp {
            bundle_id: format!("com.example.{name}"),
            app_id_prefixes: vec!["ABCDE12345".to_owned()],
            ..IosApp::default()
        }),
        android: Some(AndroidApp {
            package_name: format!("com.example.{name}"),
            sha256_fingerprints: vec![FINGERPRINT.to_owned()],
            ..AndroidApp::default()
        }),
        ..MobileApp::default()
    }
}

fn path(pattern: &str) -> AppleComponent {
    AppleComponent { path: Some(pattern.to_owned()), ..AppleComponent::default() }
}

/// The apps that a file names, in its order.
fn named(answer: &Answer) -> Vec<String> {
    if answer.status == 404 {
        return Vec::new();
    }
    assert_eq!(answer.status, 200, "{}", answer.text());
    let file = read(answer);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match &file["applinks"]["details"] {
        Value::Array(details) => details.iter().map(|detail| text(&detail["appIDs"][0])).collect(),
        _ => file
            .as_array()
            .expect("statements")
            .iter()
            .map(|of| text(&of["target"]["package_name"]))
            .collect(),
    }
}

async fn lists(app: &App, name: &str) -> bool {
    named(&app.visit(APPLE).await).contains(&format!("ABCDE12345.com.example.{name}"))
}

async fn update(tenant: &Tenant, app: MobileApp, paths: &[&str]) -> Result<MobileApp, Status> {
    let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    let request = UpdateAppRequest { app: Some(app), update_mask, ..UpdateAppRequest::default() };
    Ok(tenant.apps.clone().update_app(request).await?.into_inner().app.expect("always there"))
}

async fn delete(tenant: &Tenant, request: DeleteAppRequest) -> Result<(), Status> {
    tenant.apps.clone().delete_app(request).await.map(drop)
}

async fn find(tenant: &Tenant, id: &str) -> Result<MobileApp, Status> {
    let request = GetAppRequest { app_id: id.to_owned(), ..GetAppRequest::default() };
    Ok(tenant.apps.clone().get_app(request).await?.into_inner().app.expect("always there"))
}

async fn matches(tenant: &Tenant, url: &str, app_id: &str) -> Vec<AppLinkMatch> {
    let request =
        MatchAppLinkRequest { url: url.to_owned(), app_id: app_id.to_owned(), ..Default::default() };
    tenant.apps.clone().match_app_link(request).await.expect("answers").into_inner().matches
}

async fn outcomes(tenant: &Tenant, url: &str) -> Vec<(Platform, Outcome)> {
    matches(tenant, url, "").await.iter().map(|of| (of.platform(), of.outcome())).collect()
}

#[tokio::test]
async fn an_app_is_created_read_changed_and_deleted() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create_app(shop("shop")).await;
        assert_eq!(
            (made.workspace_id.as_str(), made.served_hosts.as_slice()),
            (&*tenant.id, &[OWN_HOST.to_owned()][..])
        );
        assert_eq!((made.name.as_str(), made.ios.clone()), ("shop", shop("shop").ios));
        assert!(made.create_time.is_some() && made.create_time == made.update_time && !made.etag.is_empty());
        assert_eq!(find(&tenant, &made.id).await.expect("it is there"), made);

        app.clock.advance(chrono::Duration::seconds(1));
        let mut edit = MobileApp { id: made.id.clone(), etag: made.etag.clone(), ..MobileApp::default() };
        edit.ios = Some(IosApp { components: vec![path("/p/*")], ..IosApp::default() });
        let changed = update(&tenant, edit.clone(), &["ios.components"]).await.expect("updates");
        let ios = changed.ios.clone().expect("it has one");
        assert_eq!((ios.bundle_id.as_str(), ios.components), ("com.example.shop", vec![path("/p/*")]));
        assert_ne!((&changed.etag, changed.update_time), (&made.etag, made.update_time));

        let refused = update(&tenant, edit.clone(), &["ios.components"]).await.expect_err("an old etag");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::Aborted, "ETAG_MISMATCH"));
        let same = update(&tenant, MobileApp { etag: String::new(), ..edit }, &["ios.components"]).await;
        assert_eq!(same.expect("nothing changes"), changed);
        let cleared = MobileApp { id: made.id.clone(), ..MobileApp::default() };
        let cleared = update(&tenant, cleared, &["android"]).await.expect("updates");
        assert_eq!(cleared.android, None);
        let nothing = MobileApp { id: made.id.clone(), ..MobileApp::default() };
        let refused = update(&tenant, nothing, &["ios"]).await.expect_err("nothing is left of it");
        assert_eq!(wrong(&refused), ["app"]);

        let gone = DeleteAppRequest { app_id: made.id.clone(), etag: made.etag, ..Default::default() };
        let refused = delete(&tenant, gone.clone()).await.expect_err("an old etag");
        assert_eq!(reason(&refused), "ETAG_MISMATCH");
        let gone = DeleteAppRequest { etag: String::new(), request_id: request_id(), ..gone };
        for _ in 0..2 {
            delete(&tenant, gone.clone()).await.expect("deletes, and a repeat succeeds");
        }
        let refused = find(&tenant, &made.id).await.expect_err("it is gone");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::NotFound, "NOT_FOUND"));
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_has_one_effect() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let ask = |name: &str, request_id: &str| linkforty::pb::v1::CreateAppRequest {
            app: Some(shop(name)),
            request_id: request_id.to_owned(),
            ..Default::default()
        };
        let id = request_id();
        let made = tenant.apps.clone().create_app(ask("shop", &id)).await.expect("creates").into_inner();
        let again = tenant.apps.clone().create_app(ask("shop", &id)).await.expect("a repeat").into_inner();
        assert_eq!(again, made);
        let other = tenant.apps.clone().create_app(ask("other", &id)).await.expect_err("other content");
        assert_eq!(reason(&other), "IDEMPOTENCY_KEY_REUSED");
        let refused = tenant.apps.clone().create_app(ask("", "x")).await.expect_err("two faults");
        assert_eq!(
            wrong(&refused),
            ["request_id", "app.name", "app.ios.bundle_id", "app.android.package_name"]
        );
    })
    .await;
}

#[tokio::test]
async fn apps_are_listed_newest_first_page_by_page() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut expected = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            app.clock.advance(chrono::Duration::milliseconds(1));
            expected.insert(0, tenant.create_app(shop(name)).await);
        }
        let (mut listed, mut sizes, mut page_token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let ask = ListAppsRequest { page_size: 2, page_token, ..ListAppsRequest::default() };
            let page = tenant.apps.clone().list_apps(ask).await.expect("lists").into_inner();
            sizes.push(page.apps.len());
            listed.extend(page.apps);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!((listed, sizes), (expected, vec![2, 2, 1]));
    })
    .await;
}

/// A page ends before its message is larger than clients take.
#[tokio::test]
async fn pages_of_large_apps_end_earlier() {
    let app = App::start(Store::Embedded).await;
    // Where no file is too large for them.
    let (_, tenant) = (app.tenant().await, app.another_tenant().await);
    for number in 0..34 {
        let mut large = shop(&format!("app{number}"));
        let component = |place: usize| path(&format!("/{place:0480}"));
        large.ios.as_mut().expect("it has one").components = (0..195).map(component).collect();
        tenant.create_app(large).await;
    }
    let (mut count, mut pages, mut page_token) = (0, 0, String::new());
    loop {
        let ask = ListAppsRequest { page_size: 1000, page_token, ..ListAppsRequest::default() };
        let page = tenant.apps.clone().list_apps(ask).await.expect("lists").into_inner();
        (count, pages, page_token) = (count + page.apps.len(), pages + 1, page.next_page_token);
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((count, pages), (34, 2));
    app.stop().await;
}

#[tokio::test]
async fn a_workspace_has_an_id_of_a_store_once() {
    on_every_store(async |app| {
        let (tenant, theirs) = (app.tenant().await, app.another_tenant().await);
        let made = tenant.create_app(shop("shop")).await;
        theirs.create_app(shop("shop")).await;
        for (android, field) in [(None, "ios.bundle_id"), (shop("shop").android, "android.package_name")] {
            let ios = if android.is_none() { shop("shop").ios } else { None };
            let refused = tenant.try_create_app(MobileApp { ios, android, ..shop("x") }).await;
            let refused = refused.expect_err("it is taken");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "ALREADY_EXISTS"));
            assert_eq!(refused.get_details_error_info().expect("always there").metadata["field"], field);
        }
        let other = tenant.create_app(shop("other")).await;
        let edit = MobileApp { id: other.id, ..shop("shop") };
        let refused = update(&tenant, edit, &["ios"]).await.expect_err("it is taken");
        assert_eq!(reason(&refused), "ALREADY_EXISTS");
        // Its own is no other's.
        update(&tenant, MobileApp { id: made.id, ..shop("shop") }, &["*"]).await.expect("updates");

        let racing = (0..20).map(|_| tenant.try_create_app(shop("raced")));
        let raced = futures::future::join_all(racing).await;
        assert_eq!(raced.iter().filter(|made| made.is_ok()).count(), 1, "{raced:?}");
        let lost = raced.iter().filter_map(|made| made.as_ref().err());
        assert!(
            lost.clone().all(|refused| reason(refused) == "ALREADY_EXISTS"),
            "{:?}",
            lost.collect::<Vec<_>>()
        );
    })
    .await;
}

#[tokio::test]
async fn only_hosts_of_the_workspace_can_be_named() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let on = |hosts: &[&str]| MobileApp {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..shop("shop")
        };
        let refused =
            tenant.try_create_app(on(&[OWN_HOST, "theirs.example.com"])).await.expect_err("not theirs");
        assert_eq!(wrong(&refused), ["app.hosts[1]"]);
        let made = tenant.create_app(on(&[OWN_HOST])).await;
        assert_eq!(made.served_hosts, [OWN_HOST]);
        let edit = MobileApp { id: made.id, ..on(&["theirs.example.com"]) };
        let refused = update(&tenant, edit, &["hosts"]).await.expect_err("not theirs");
        assert_eq!(wrong(&refused), ["app.hosts[0]"]);
    })
    .await;
}

#[tokio::test]
async fn both_files_are_answered_as_fetchers_want_them() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        for file in FILES {
            let answer = app.visit(file).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (404, ""), "{file}");
            assert_eq!(answer.header("cache-control"), "no-store", "{file}");
        }
        let made = tenant.create_app(shop("shop")).await;
        for file in FILES {
            // Who changed it sees it at once.
            let answer = app.visit(file).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (200, ""), "{file}");
            assert_eq!(answer.header("content-type"), "application/json", "{file}");
            assert_eq!(answer.header("cache-control"), "public, max-age=300", "{file}");
            let etag = answer.header("etag");
            assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
            let known = get(app.links(), file, &[("if-none-match", etag)]).await;
            assert_eq!((known.status.as_u16(), known.body.len(), known.header("etag")), (304, 0, etag));
            let head = app.visit_as(Method::HEAD, file, &[]).await;
            assert_eq!((head.status.as_u16(), head.body.len(), head.header("etag")), (200, 0, etag));
            assert_eq!(head.header("content-length"), answer.body.len().to_string(), "{file}");
            assert_eq!(app.visit_as(Method::POST, file, &[]).await.status, 405, "{file}");
            // No credentials, no browser and no compression is asked for or needed.
            let odd = [("user-agent", "AASA-Bot/1.0.0"), ("accept-encoding", "gzip, br"), ("accept", "*/*")];
            assert_eq!(get(app.links(), file, &odd).await.body, answer.body);
        }
        assert_eq!(app.visit(APPLE).await.body, app.visit(LEGACY).await.body);

        let pages = [
            "/.well-known/*",
            "/health",
            "/livez",
            "/readyz",
            "/robots.txt",
            "/favicon.ico",
            "/*+",
            "/qr/*",
            "/*/qr",
            "/*.qr",
        ];
        let excluded = |word: &str| -> Vec<Value> {
            pages
                .iter()
                .map(|page| json!({"/": page, "exclude": true, word: "a page of the link server"}))
                .collect()
        };
        let with = |mut pages: Vec<Value>, last: Value| {
            pages.push(last);
            pages
        };
        assert_eq!(
            read(&app.visit(APPLE).await),
            json!({"applinks": {"details": [{
                "appIDs": ["ABCDE12345.com.example.shop"],
                "components": with(excluded("comment"), json!({"/": "/?*"})),
            }]}})
        );
        assert_eq!(
            read(&app.visit(ANDROID).await),
            json!([{
                "relation": ["delegate_permission/common.handle_all_urls"],
                "target": {
                    "namespace": "android_app",
                    "package_name": "com.example.shop",
                    "sha256_cert_fingerprints": [FINGERPRINT],
                },
                "relation_extensions": {"delegate_permission/common.handle_all_urls": {
                    "dynamic_app_link_components": with(excluded("comments"), json!({"/": "*"})),
                }},
            }])
        );

        let before = app.visit(APPLE).await;
        let mut edit = MobileApp { id: made.id.clone(), no_default_exclusions: true, ..MobileApp::default() };
        edit.ios = Some(IosApp { webcredentials: true, components: vec![path("/p/*")], ..IosApp::default() });
        let paths = ["no_default_exclusions", "ios.webcredentials", "ios.components", "android"];
        update(&tenant, edit, &paths).await.expect("updates");
        let after = app.visit(APPLE).await;
        assert_ne!(after.header("etag"), before.header("etag"));
        assert_eq!(
            read(&after),
            json!({
                "applinks": {"details": [
                    {"appIDs": ["ABCDE12345.com.example.shop"], "components": [{"/": "/p/*"}]},
                ]},
                "webcredentials": {"apps": ["ABCDE12345.com.example.shop"]},
            })
        );
        assert_eq!(app.visit(ANDROID).await.status, 404, "no app is on Android any more");
        delete(&tenant, DeleteAppRequest { app_id: made.id, ..Default::default() }).await.expect("deletes");
        assert_eq!(app.visit(APPLE).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn no_link_can_take_the_place_of_a_file() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    for code in ["apple-app-site-association", "Apple-App-Site-Association", "assetlinks", "well-known"] {
        let refused = tenant.try_create(crate::support::coded(code)).await.expect_err(code);
        assert_eq!(wrong(&refused), ["link.short_code"], "{code}");
    }
    app.stop().await;
}

/// All workspaces share the server's own host, and an app in its file opens everybody's links.
#[tokio::test]
async fn an_app_of_another_workspace_stands_on_the_shared_host_only_with_leave() {
    on_every_store(async |app| {
        let first = app.tenant().await;
        // Ids of one moment have no order.
        app.clock.advance(chrono::Duration::milliseconds(1));
        let second = app.another_tenant().await;
        first.create_app(shop("first")).await;
        let made = second.create_app(shop("second")).await;
        assert_eq!(made.served_hosts, [""; 0]);
        assert!(lists(app, "first").await && !lists(app, "second").await);
        let url = format!("https://{OWN_HOST}/spring");
        let both = |outcome| vec![(Platform::Ios, outcome), (Platform::Android, outcome)];
        assert_eq!(outcomes(&second, &url).await, both(Outcome::HostNotAllowed));
        assert_eq!(outcomes(&first, &url).await, both(Outcome::Opens));

        let env = app.env();
        let operator = enter_as_operator(env, Some(&second.id)).await.expect("it is there");
        for (allowed, changes) in [(true, true), (true, false), (false, true), (false, false), (true, true)] {
            assert_eq!(allow_apps(env, &operator, allowed).await.expect("changes"), changes);
            within(PROMISED, "the operator's word counts", async || lists(app, "second").await == allowed)
                .await;
            let on_android = named(&app.visit(ANDROID).await).contains(&"com.example.second".to_owned());
            assert_eq!(on_android, allowed);
            let served = find(&second, &made.id).await.expect("it is there").served_hosts;
            assert_eq!(served.len(), usize::from(allowed));
            assert!(lists(app, "first").await);
        }
        // The first workspace's apps come first: of several that a URL opens, Apple's systems take the first.
        let ids = ["ABCDE12345.com.example.first", "ABCDE12345.com.example.second"];
        assert_eq!(named(&app.visit(APPLE).await), ids);

        suspend(env, &operator, Some("phishing")).await.expect("suspends");
        within(PROMISED, "its apps are gone", async || !lists(app, "second").await).await;
        assert_eq!(outcomes(&second, &url).await, both(Outcome::Suspended));
        suspend(env, &operator, None).await.expect("restores");
        within(PROMISED, "its apps are back", async || lists(app, "second").await).await;

        // The first one's leave can be taken too.
        let operator = enter_as_operator(env, Some(&first.id)).await.expect("it is there");
        assert!(allow_apps(env, &operator, false).await.expect("changes"));
        within(PROMISED, "it is gone", async || !lists(app, "first").await && lists(app, "second").await)
            .await;
    })
    .await;
}

/// The clock stands still, so nothing grows old: only the message can bring the change.
#[tokio::test]
async fn a_change_of_an_app_reaches_all_nodes_within_a_second() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let tenant = here.tenant().await;
    // By Redis and Postgres, and by Postgres alone.
    for settings in [&[][..], &[("REDIS_URL", "")]] {
        let there = here.start_beside(settings).await;
        in_touch(&here, &there, &tenant).await;
        let far = there.with_key(&tenant.id, tenant.key.clone()).await;
        for round in 0..3 {
            let name = format!("app{}x{round}", settings.len());
            let (makes, changes) = if round % 2 == 0 { (&tenant, &far) } else { (&far, &tenant) };
            let made = makes.create_app(shop(&name)).await;
            for node in [&here, &there] {
                within(PROMISED, "it is there", async || lists(node, &name).await).await;
            }
            let mut edit = MobileApp { id: made.id.clone(), ..MobileApp::default() };
            edit.ios = Some(IosApp { components: vec![path("/edited")], ..IosApp::default() });
            update(changes, edit, &["ios.components"]).await.expect("updates");
            for node in [&here, &there] {
                within(PROMISED, "it is edited", async || node.visit(APPLE).await.text().contains("/edited"))
                    .await;
            }
            delete(makes, DeleteAppRequest { app_id: made.id, ..Default::default() }).await.expect("deletes");
            for node in [&here, &there] {
                within(PROMISED, "it is gone", async || !lists(node, &name).await).await;
            }
        }
        there.stop().await;
    }
    here.stop().await;
}

#[tokio::test]
async fn a_file_that_systems_would_not_read_is_refused() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let large = |name: &str, count: usize| {
            let component = |place: usize| path(&format!("/{place:0480}"));
            let mut app = shop(name);
            app.ios.as_mut().expect("it has one").components = (0..count).map(component).collect();
            app
        };
        let first = tenant.create_app(large("first", 180)).await;
        let refused = tenant.try_create_app(large("second", 180)).await.expect_err("together too large");
        assert_eq!(
            (refused.code(), &*reason(&refused)),
            (Code::FailedPrecondition, "ASSOCIATION_FILE_TOO_LARGE")
        );
        let info = refused.get_details_error_info().expect("always there");
        assert_eq!(
            (info.metadata["host"].as_str(), info.metadata["file"].as_str()),
            (OWN_HOST, "apple-app-site-association")
        );
        assert!(info.metadata["bytes"].parse::<usize>().expect("a number") > 131_072);
        assert!(app.visit(APPLE).await.body.len() <= 131_072 && lists(app, "first").await);
        let second = tenant.create_app(large("second", 1)).await;
        let edit = MobileApp { id: second.id, ..large("second", 180) };
        let refused = update(&tenant, edit, &["ios"]).await.expect_err("together too large");
        assert_eq!(reason(&refused), "ASSOCIATION_FILE_TOO_LARGE");

        // Another workspace's apps count where they stand, and only there.
        app.clock.advance(chrono::Duration::milliseconds(1));
        let theirs = app.another_tenant().await;
        let operator = enter_as_operator(app.env(), Some(&theirs.id)).await.expect("it is there");
        theirs.create_app(large("theirs", 180)).await;
        allow_apps(app.env(), &operator, true).await.expect("changes");
        // What the operator lets in all the same does not harm those that are there.
        within(PROMISED, "the first is still there", async || lists(app, "first").await).await;
        let refused = theirs.try_create_app(large("more", 1)).await.expect_err("there is no room");
        assert_eq!(reason(&refused), "ASSOCIATION_FILE_TOO_LARGE");
        delete(&tenant, DeleteAppRequest { app_id: first.id, ..Default::default() }).await.expect("deletes");
        within(PROMISED, "there is room", async || named(&app.visit(APPLE).await).len() == 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_workspace_has_a_hundred_apps_at_the_most() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    for _ in 0..100 {
        tenant.create_app(crate::support::an_app()).await;
    }
    let refused = tenant.try_create_app(crate::support::an_app()).await.expect_err("one too many");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "TOO_MANY_APPS"));
    assert_eq!(refused.get_details_error_info().expect("always there").metadata["limit"], "100");
    app.stop().await;
}

#[tokio::test]
async fn a_tapped_link_is_explained_component_by_component() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut first = shop("first");
        first.ios.as_mut().expect("it has one").components = vec![
            AppleComponent { exclude: true, ..path("/p/private/*") },
            AppleComponent { case_sensitive: Some(false), ..path("/p/*") },
        ];
        first.android.as_mut().expect("it has one").components =
            vec![AndroidComponent { path: Some("/p/????".into()), ..Default::default() }];
        let first = tenant.create_app(first).await;
        app.clock.advance(chrono::Duration::milliseconds(1));
        let other = MobileApp { hosts: vec![OWN_HOST.to_owned()], android: None, ..shop("other") };
        let other = tenant.create_app(other).await;
        use Outcome::{Excluded, HostUnknown, NoComponent, Opens, OwnPage};
        // Of the first app on iOS and on Android, and of the second, which is on iOS alone.
        for (url, expected, places) in [
            ("https://go.example.test/p/1234", [Opens, Opens, Opens], [Some(1), Some(0), None]),
            ("http://GO.example.test:8080/P/1234?x=y#z", [Opens, NoComponent, Opens], [Some(1), None, None]),
            ("https://go.example.test/p/private/x", [Excluded, NoComponent, Opens], [Some(0), None, None]),
            ("https://go.example.test/q", [NoComponent, NoComponent, Opens], [None, None, None]),
            ("https://go.example.test/", [NoComponent, NoComponent, NoComponent], [None, None, None]),
            ("https://go.example.test/p/x+", [OwnPage, OwnPage, OwnPage], [None, None, None]),
            ("https://theirs.example/p/1234", [HostUnknown, HostUnknown, HostUnknown], [None, None, None]),
        ] {
            let answers = matches(&tenant, url, "").await;
            let of = |of: &AppLinkMatch| (of.app_id.clone(), of.platform());
            assert_eq!(
                answers.iter().map(of).collect::<Vec<_>>(),
                [
                    (first.id.clone(), Platform::Ios),
                    (first.id.clone(), Platform::Android),
                    (other.id.clone(), Platform::Ios)
                ]
            );
            assert_eq!(answers.iter().map(AppLinkMatch::outcome).collect::<Vec<_>>(), expected, "{url}");
            assert_eq!(answers.iter().map(|of| of.component_index).collect::<Vec<_>>(), places, "{url}");
            let own_page = if expected[0] == OwnPage { "/*+" } else { "" };
            assert!(answers.iter().all(|of| of.own_page == own_page), "{url}");
            let listed = expected[0] != HostUnknown;
            assert_eq!(answers[1].opens_before_android_15, listed, "{url}");
            assert!(!answers[0].opens_before_android_15 && !answers[2].opens_before_android_15);
            assert_eq!(matches(&tenant, url, &other.id).await, answers[2..], "{url}");
            // The file says the same as the answer: what is decided is what is published.
            assert_eq!(answers[0].misses.len(), if expected[0] == NoComponent { 2 } else { 0 }, "{url}");
        }
        let missed = matches(&tenant, "https://go.example.test/q", &first.id).await;
        let miss = &missed[1].misses[0];
        assert_eq!((miss.component_index, miss.pattern.as_str(), miss.found.as_str()), (0, "/p/????", "/q"));
        for (url, app_id, fields) in [
            ("", "", &["url"][..]),
            ("go.example.test/p", "", &["url"]),
            ("myapp://p", "x", &["url", "app_id"]),
        ] {
            let ask = MatchAppLinkRequest { url: url.into(), app_id: app_id.into(), ..Default::default() };
            let refused = tenant.apps.clone().match_app_link(ask).await.expect_err("it is wrong");
            assert_eq!(wrong(&refused), fields, "{url}");
        }
    })
    .await;
}
