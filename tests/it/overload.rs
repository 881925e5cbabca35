//! Who is turned away when it is too much, how they are told, and who is not.

use std::time::Duration;

use http::Method;
use linkforty::{
    admission::{Class, Party, Place, Shares},
    pb::v1::{
        BatchCreateLinksRequest, ExportFormat, ExportLinksRequest, GetLinkRequest, GetLinkResponse,
        ImportLinksRequest,
    },
};
use sea_orm::TransactionTrait as _;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::support::{
    ALL_SCOPES, App, ELSEWHERE, HERE, Store, Tenant, call_web, coded, eventually, first_open, iphone, reason,
    send, stores,
};

const GET: &str = "/linkforty.v1.LinkService/GetLink";
/// Somebody who is not of this server's workspaces.
const OTHERS: Party = Party(7);

/// Runs a test on every store with settings of its own.
async fn with_settings(settings: &[(&str, &str)], test: impl AsyncFn(&App, &Tenant)) {
    for store in stores() {
        eprintln!("on {store}");
        let app = App::start_with(store, settings).await;
        let tenant = app.tenant().await;
        test(&app, &tenant).await;
        app.stop().await;
    }
}

/// Everything of a class: the places, and those who wait for one.
struct Full {
    places: Vec<Place>,
    waiting: JoinSet<()>,
}

impl Full {
    /// Gives everything back: first those who wait go, or they would be given what becomes free.
    async fn end(mut self) {
        self.waiting.shutdown().await;
        drop(self.places);
    }
}

/// Takes every place of a class, and every place to wait for one.
async fn fill(app: &App, class: Class) -> Full {
    let admission = &app.running().admission;
    let mut places = Vec::new();
    // Of many parties, of which each has its part.
    while let Ok(place) = admission.enter_at_once(class, Party(places.len() as u128)) {
        places.push(place);
    }
    assert!(!places.is_empty());
    Full { places, waiting: fill_queue(app, class).await }
}

/// Takes every place to wait for one of a class that is full.
async fn fill_queue(app: &App, class: Class) -> JoinSet<()> {
    let admission = &app.running().admission;
    let mut waiting = JoinSet::new();
    let share = Shares::of_places(app.env().config.calls.at_once, app.env().config.pools.bulk_max as usize);
    for number in 0..share.of(class).queue {
        let admission = admission.clone();
        waiting.spawn(async move {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
            if let Ok(arrived) = admission.arrive(class, Party(1_000 + number as u128), deadline) {
                let _ = arrived.place().await;
            }
        });
    }
    // They have come as far as the queue when everything that is ready has been polled.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    waiting
}

/// Fails unless a status says that there is too much to do, and when to come back.
fn expect_overload(status: &Status) {
    assert_eq!((status.code(), &*reason(status)), (Code::Unavailable, "SERVER_OVERLOADED"));
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a delay");
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&delay), "{delay:?}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("in gRPC's words too");
    let pushback: u128 = pushback.to_str().expect("text").parse().expect("a number");
    assert_eq!(pushback, delay.as_millis());
}

async fn get(tenant: &Tenant, id: &str) -> Result<(), Status> {
    tenant.get(id).await.map(drop)
}

async fn batch(tenant: &Tenant) -> Result<(), Status> {
    let request = BatchCreateLinksRequest { links: vec![coded("")], ..BatchCreateLinksRequest::default() };
    tenant.links.clone().batch_create_links(request).await.map(drop)
}

async fn open_app(app: &App, token: &str) -> Result<(), Status> {
    let sdk = app.sdk(token, HERE).await;
    sdk.clone().report_install(first_open("a-device", iphone())).await.map(drop)
}

#[tokio::test]
async fn a_full_class_turns_its_own_calls_away_and_no_others() {
    let settings = [("CALLS_AT_ONCE", "20"), ("TRUSTED_PROXIES", "127.0.0.1/32")];
    with_settings(&settings, async |app, tenant| {
        let (token, link) = (tenant.app_token().await, tenant.create(coded("spring")).await);
        assert_eq!(app.visit("/spring").await.status, 302);
        batch(tenant).await.expect("there is room");
        for full in [Class::Ingest, Class::Interactive, Class::Bulk] {
            let everything = fill(app, full).await;
            for (class, outcome) in [
                (Class::Ingest, open_app(app, &token).await),
                (Class::Interactive, get(tenant, &link.id).await),
                (Class::Bulk, batch(tenant).await),
            ] {
                match outcome {
                    Ok(()) => assert_ne!(class, full),
                    Err(status) => {
                        assert_eq!(class, full, "{status:?}");
                        expect_overload(&status);
                    }
                }
            }
            assert_eq!(app.visit("/spring").await.status, 302);
            // Whoever decides about this node hears that it lives.
            assert_eq!(app.visit("/readyz").await.status, 200);
            let mut health = HealthClient::new(app.channel().await);
            health.check(HealthCheckRequest::default()).await.expect("health has no class");
            everything.end().await;
            // Whoever was turned away hears the same for some milliseconds more (`serve/layers/porch.rs`).
            let is_room = async || get(tenant, &link.id).await.is_ok() && batch(tenant).await.is_ok();
            eventually("there is room again", is_room).await;
        }
        get(tenant, &link.id).await.expect("there is room again");
        let metrics = crate::support::get(app.ops(), "/metrics", &[]).await.text();
        for class in ["ingest", "interactive", "bulk"] {
            for line in [
                format!("linkforty_admitted_total{{class=\"{class}\"}}"),
                format!("linkforty_admission_in_use{{class=\"{class}\"}}"),
                format!("linkforty_admission_waiting{{class=\"{class}\"}}"),
                format!("linkforty_shed_total{{class=\"{class}\",reason=\"full\"}}"),
            ] {
                assert!(metrics.contains(&line), "{line} is not among the metrics");
            }
        }
    })
    .await;
}

/// Apps of old, browsers and everybody else are told in their own words.
#[tokio::test]
async fn everybody_is_told_of_an_overload_in_their_own_words() {
    let app = App::start_with(Store::Embedded, &[("CALLS_AT_ONCE", "20")]).await;
    let tenant = app.tenant().await;
    let full = [fill(&app, Class::Ingest).await, fill(&app, Class::Interactive).await];
    let json = [("content-type", "application/json")];
    let answer = send(app.links(), Method::POST, "/api/sdk/v1/install", &json, "{}".into()).await;
    assert_eq!(answer.status, 503);
    let wait: u64 = answer.header("retry-after").parse().expect("whole seconds");
    assert!((1..=3).contains(&wait), "{wait}");
    assert_eq!(crate::support::json(&answer)["error"]["reason"], "SERVER_OVERLOADED");

    let bearer = format!("Bearer {}", tenant.key);
    let headers = [("authorization", bearer.as_str()), ("origin", "https://dash.example.test")];
    let (outcome, answer) =
        call_web::<GetLinkResponse>(app.api(), GET, &GetLinkRequest::default(), &headers).await;
    expect_overload(&outcome.expect_err("the house is full"));
    assert!(answer.header("access-control-expose-headers").contains("grpc-retry-pushback-ms"));
    for full in full {
        full.end().await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_call_that_waits_gets_the_place_that_becomes_free() {
    with_settings(&[("CALLS_AT_ONCE", "20")], async |app, tenant| {
        let link = tenant.create(coded("")).await;
        let admission = &app.running().admission;
        let mut places = Vec::new();
        while let Ok(place) = admission.enter_at_once(Class::Bulk, Party(places.len() as u128)) {
            places.push(place);
        }
        let waits = tokio::spawn({
            let tenant = tenant.clone();
            async move {
                let links = vec![coded("waited")];
                let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
                tenant.links.clone().batch_create_links(request).await
            }
        });
        get(tenant, &link.id).await.expect("people do not wait for batches");
        assert!(!waits.is_finished());
        drop(places);
        let answer = waits.await.expect("does not panic").expect("has its turn").into_inner();
        assert_eq!(answer.succeeded, 1);
    })
    .await;
}

/// A place belongs to whoever works, not to whoever sends or reads slowly.
#[tokio::test]
async fn an_open_import_holds_a_place_and_a_slow_sender_of_a_call_none() {
    use tokio::io::AsyncWriteExt as _;
    // One place for files.
    let settings = [("CALLS_AT_ONCE", "10"), ("DATABASE_POOL_BULK_MAX", "1")];
    let app = App::start_with(Store::Embedded, &settings).await;
    let tenant = app.tenant().await;
    let link = tenant.create(coded("")).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = tokio::net::TcpStream::connect(app.api()).await.expect("accepts");
        let head = format!(
            "POST {GET} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\n\
             authorization: Bearer {}\r\ncontent-length: 100\r\n\r\nhalf",
            tenant.key
        );
        stream.write_all(head.as_bytes()).await.expect("writes");
        slow.push(stream);
    }
    for _ in 0..5 {
        get(&tenant, &link.id).await.expect("two places are free");
    }
    let (send, parts) = tokio::sync::mpsc::channel(1);
    let import = tokio::spawn({
        let mut links = tenant.links.clone();
        async move { links.import_links(tokio_stream(parts)).await }
    });
    let is_full = async || app.running().admission.enter_at_once(Class::Bulk, OTHERS).is_err();
    eventually("the import has begun", is_full).await;
    let mut full = fill_queue(&app, Class::Bulk).await;
    expect_overload(&batch(&tenant).await.expect_err("the import holds the place"));
    full.shutdown().await;
    // It ends without a word.
    drop(send);
    import.await.expect("does not panic").expect_err("nothing was sent");
    // Whoever was turned away hears it again for a few milliseconds.
    eventually("there is room again", async || batch(&tenant).await.is_ok()).await;
    app.stop().await;
}

fn tokio_stream(
    mut parts: tokio::sync::mpsc::Receiver<ImportLinksRequest>,
) -> impl futures::Stream<Item = ImportLinksRequest> {
    futures::stream::poll_fn(move |cx| parts.poll_recv(cx))
}

/// What keeps connections for long keeps none of those that others need, nor the other way round.
#[tokio::test]
async fn batches_and_people_have_connections_of_their_own() {
    let settings = [
        ("DATABASE_POOL_MIN", "0"),
        ("DATABASE_POOL_MAX", "1"),
        ("DATABASE_POOL_BULK_MAX", "1"),
        ("DATABASE_ACQUIRE_TIMEOUT_MS", "300"),
    ];
    with_settings(&settings, async |app, tenant| {
        let link = tenant.create(coded("")).await;
        let db = &app.env().db;
        let held = db.bulk.begin().await.expect("the one connection for batches");
        get(tenant, &link.id).await.expect("people have theirs");
        batch(tenant).await.expect_err("batches have none");
        held.rollback().await.expect("ends");
        batch(tenant).await.expect("the connection is back");

        // Whose key it is was asked a moment ago.
        let held = db.api.begin().await.expect("the one connection for people");
        let export = ExportLinksRequest { format: ExportFormat::Csv.into(), ..ExportLinksRequest::default() };
        let mut parts = tenant.links.clone().export_links(export).await.expect("begins").into_inner();
        assert!(parts.message().await.expect("files have theirs").is_some());
        held.rollback().await.expect("ends");
    })
    .await;
}

#[tokio::test]
async fn a_full_memory_turns_everybody_away_but_visitors() {
    for store in stores() {
        let app = App::start_with(store, &[("TRUSTED_PROXIES", "127.0.0.1/32")]).await;
        let tenant = app.tenant().await;
        let (token, link) = (tenant.app_token().await, tenant.create(coded("spring")).await);
        assert_eq!(app.visit("/spring").await.status, 302);
        let (id, key) = (tenant.id.clone(), tenant.key.clone());
        // One byte, which any process has.
        let app = app.restart_with(&[("MEMORY_LIMIT", "1")]).await;
        let tenant = app.with_key(&id, key).await;
        eventually("the memory was looked at", async || get(&tenant, &link.id).await.is_err()).await;
        expect_overload(&batch(&tenant).await.expect_err("no memory for batches"));
        expect_overload(&get(&tenant, &link.id).await.expect_err("nor for people"));
        expect_overload(&open_app(&app, &token).await.expect_err("nor for apps"));
        for _ in 0..2 {
            assert_eq!(app.visit("/spring").await.status, 302, "{store}");
        }
        assert_eq!(app.visit("/readyz").await.status, 200);
        app.stop().await;
    }
}

const LIMITED: [(&str, &str); 3] =
    [("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_MAX", "50"), ("TRUSTED_PROXIES", "127.0.0.1/32")];

fn limited(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&LIMITED, more].concat()
}

/// Fails unless a status says that a limit is used up, and when it has room again: within the wait, or somewhat later.
fn expect_limited(status: &Status, limit: &str, wait: Duration) {
    assert_eq!((status.code(), &*reason(status)), (Code::ResourceExhausted, "RATE_LIMITED"));
    let info = status.get_details_error_info().expect("always there");
    assert_eq!(info.metadata["limit"], limit);
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a delay");
    assert!(delay > Duration::ZERO && delay <= wait * 5 / 4 + Duration::from_millis(250), "{delay:?}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("in gRPC's words too");
    assert_eq!(pushback.to_str().expect("text").parse::<u128>(), Ok(delay.as_millis()));
}

#[tokio::test]
async fn every_answer_says_what_is_left_of_the_limits() {
    with_settings(&limited(&[("RATE_LIMIT_WORKSPACE_MAX", "3")]), async |app, tenant| {
        let link = tenant.create(coded("")).await;
        let request = GetLinkRequest { link_id: link.id.clone(), ..GetLinkRequest::default() };
        let answer = tenant.links.clone().get_link(request.clone()).await.expect("within the limits");
        let told = |name: &str| {
            answer.metadata().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        assert_eq!(told("ratelimit-policy"), r#""caller";q=50;w=60, "workspace";q=3;w=60"#);
        assert!(told("ratelimit").contains(r#""workspace";r=1;t=40"#), "{}", told("ratelimit"));
        assert!(told("ratelimit").starts_with(r#""caller";r=4"#), "{}", told("ratelimit"));
        assert_eq!((told("x-ratelimit-limit"), told("x-ratelimit-remaining")), ("3".into(), "1".into()));

        // Another key of the workspace shares what the workspace has.
        let other = app.with_key(&tenant.id, app.key(&tenant.id, &ALL_SCOPES).await).await;
        get(&other, &link.id).await.expect("the last of three");
        let status = get(&other, &link.id).await.expect_err("over the limit");
        expect_limited(&status, "workspace", Duration::from_secs(20));
        assert_eq!(status.metadata().get("x-ratelimit-remaining").expect("is told"), "0");

        // A browser is told the same, and its page may read it.
        let bearer = format!("Bearer {}", tenant.key);
        let headers = [("authorization", bearer.as_str()), ("origin", "https://dash.example.test")];
        let (outcome, answer) = call_web::<GetLinkResponse>(app.api(), GET, &request, &headers).await;
        expect_limited(&outcome.expect_err("over the limit"), "workspace", Duration::from_secs(20));
        assert!(answer.header("ratelimit").contains(r#""workspace";r=0;t=60"#), "{:?}", answer.headers);
        assert!(answer.header("access-control-expose-headers").contains("ratelimit"));

        // Another workspace has its own.
        let elsewhere = app.another_tenant().await;
        elsewhere.create(coded("")).await;
    })
    .await;
}

#[tokio::test]
async fn without_limits_no_answer_speaks_of_them() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let link = tenant.create(coded("")).await;
    let request = GetLinkRequest { link_id: link.id, ..GetLinkRequest::default() };
    let answer = tenant.links.clone().get_link(request).await.expect("is there");
    assert!(answer.metadata().keys().all(|key| !format!("{key:?}").contains("ratelimit")));
    app.stop().await;
}

#[tokio::test]
async fn an_apps_copies_share_a_limit_behind_one_address_and_nowhere_else() {
    with_settings(&limited(&[("RATE_LIMIT_APP_MAX", "3")]), async |app, tenant| {
        let (token, other) = (tenant.app_token().await, tenant.app_token().await);
        // From now on the node knows whose tokens these are.
        for token in [&token, &other] {
            let mut sdk = app.sdk(token, "192.0.2.99").await;
            sdk.report_install(first_open("a-first-device", iphone())).await.expect("within the limit");
        }
        let calls = async |token: &str, from: &str| {
            let mut passed = 0;
            let mut told = None;
            for number in 0..5 {
                let mut sdk = app.sdk(token, from).await;
                match sdk
                    .report_install(first_open(&format!("device-{number}-{}", from.len()), iphone()))
                    .await
                {
                    Ok(_) => passed += 1,
                    Err(status) => {
                        expect_limited(&status, "app", Duration::from_secs(20));
                        told = Some(status);
                    }
                }
            }
            assert!(told.is_some(), "nobody is limited");
            passed
        };
        assert_eq!(calls(&token, HERE).await, 3);
        assert_eq!(calls(&token, ELSEWHERE).await, 3);
        assert_eq!(calls(&other, HERE).await, 3);
        // One household has all of its addresses.
        assert_eq!(calls(&token, "2001:db8:1:2::1").await, 3);
        let mut sdk = app.sdk(&token, "2001:db8:1:2:ffff::9").await;
        sdk.report_install(first_open("a-neighbour", iphone())).await.expect_err("of the same /64");

        // By JSON, where nothing says which app, the host says whose.
        let headers = [("content-type", "application/json"), ("x-forwarded-for", "192.0.2.50")];
        let mut statuses = Vec::new();
        for _ in 0..4 {
            let path = "/api/sdk/v1/resolve/nothing";
            let answer = send(app.links(), Method::GET, path, &headers, bytes::Bytes::new()).await;
            if answer.status == 429 {
                assert_eq!(answer.header("x-ratelimit-remaining"), "0");
                let wait: u64 = answer.header("retry-after").parse().expect("whole seconds");
                assert!((20..=26).contains(&wait), "{wait}");
            }
            statuses.push(answer.status.as_u16());
        }
        assert_eq!(statuses, [404, 404, 404, 429]);
    })
    .await;
}

#[tokio::test]
async fn who_guesses_codes_waits_and_follows_known_links_all_the_same() {
    with_settings(&limited(&[("RATE_LIMIT_UNKNOWN_MAX", "3")]), async |app, tenant| {
        tenant.create(coded("warm")).await;
        tenant.create(coded("cold")).await;
        let visit = async |path: &str, from: &str| app.tap(path, from).await;
        assert_eq!(visit("/warm", ELSEWHERE).await.status, 302);
        let mut statuses = Vec::new();
        for path in ["/guess-1", "/some/guess-2", "/guess-3+", "/guess-4", "/guess-5", "/guess-6/qr", "/cold"]
        {
            let answer = visit(path, HERE).await;
            if answer.status == 429 {
                let wait: u64 = answer.header("retry-after").parse().expect("whole seconds");
                assert_eq!((wait, answer.header("cache-control")), (20, "no-store"));
            }
            statuses.push(answer.status.as_u16());
        }
        // The fourth is what is one too many; whoever made it is told with the fifth.
        assert_eq!(statuses, [404, 404, 404, 404, 429, 429, 429]);
        assert_eq!(visit("/warm", HERE).await.status, 302, "what needs no look-up costs nothing");
        assert_eq!(visit("/cold", ELSEWHERE).await.status, 302);
        assert_eq!(visit("/cold", HERE).await.status, 302, "warm by now");
        assert_eq!(visit("/guess-7", ELSEWHERE).await.status, 404);
        app.clock.advance(chrono::Duration::seconds(21));
        assert_eq!(visit("/guess-8", HERE).await.status, 404);
    })
    .await;
}
