//! What happens, as it is stored: who sees what, once, how a stream goes on where another ended, and how it ends.

use std::{
    fs,
    time::{Duration, Instant},
};

use http::Method;
use linkforty::{
    attribution,
    clicks::{Click as Visit, Recorder, class::Class, drain},
    feed,
    ids::{ApiKeyId, ClickId, LinkId, WorkspaceId},
    pb::{
        sdk::v1 as sdk,
        v1::{
            Click, ClickClass, CreateProjectRequest, Link, Platform, Project, WatchEventsRequest,
            WatchEventsResponse, WatchKind, project_service_client::ProjectServiceClient,
            watch_events_response::Event,
        },
    },
    spool::{Spool, SpoolOptions},
    workspaces::{
        enter_as_operator,
        keys::{self, NewKey},
    },
};
use sea_orm::ConnectionTrait as _;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::{
    clicks::copy,
    support::{
        ALL_SCOPES, App, Bearer, DESKTOP, ELSEWHERE, HERE, IPHONE, Sdk, Store, Tenant, WebStream,
        behind_a_proxy, first_open, iphone, link, on_every_store, pixel, reason, report, stores, wrong,
    },
};

const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const DESTINATION: &str = "https://example.com/any";
const WATCH: &str = "/linkforty.v1.AnalyticsService/WatchEvents";
/// How long a click may take to be seen.
const PROMISED: Duration = Duration::from_secs(2);

async fn open(
    tenant: &Tenant,
    request: WatchEventsRequest,
) -> Result<Streaming<WatchEventsResponse>, Status> {
    let mut stream = tenant.analytics.clone().watch_events(request).await?.into_inner();
    let first = stream.message().await?.expect("a first message");
    assert!(matches!(first.event, Some(Event::Heartbeat(_))), "{first:?}");
    Ok(stream)
}

async fn watch(tenant: &Tenant) -> Streaming<WatchEventsResponse> {
    open(tenant, WatchEventsRequest::default()).await.expect("watches")
}

/// Returns the next message.
async fn message(stream: &mut Streaming<WatchEventsResponse>) -> WatchEventsResponse {
    let next = timeout(PROMISED, stream.message()).await.expect("in time").expect("goes on");
    next.expect("it has no end")
}

/// Returns the next event.
async fn next(stream: &mut Streaming<WatchEventsResponse>) -> Event {
    message(stream).await.event.expect("an event")
}

async fn click(stream: &mut Streaming<WatchEventsResponse>) -> Click {
    match next(stream).await {
        Event::Click(click) => click,
        other => panic!("no click: {other:?}"),
    }
}

async fn silent(stream: &mut Streaming<WatchEventsResponse>) {
    let heard = timeout(Duration::from_millis(700), stream.message()).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn end(stream: &mut Streaming<WatchEventsResponse>) -> Status {
    timeout(Duration::from_secs(5), async {
        loop {
            if let Err(status) = stream.message().await.map(|event| event.expect("it ends with a status")) {
                return status;
            }
        }
    })
    .await
    .expect("it ends in time")
}

async fn visit(app: &App, path: &str, agent: &str) {
    app.visit_as(Method::GET, path, &[("user-agent", agent)]).await;
}

#[tokio::test]
async fn a_click_is_seen_at_once_by_those_who_want_it() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let spring = tenant.create(link("spring", DESTINATION)).await;
        let autumn = tenant.create(link("autumn", DESTINATION)).await;
        other.create(link("theirs", DESTINATION)).await;
        let mut people = watch(&tenant).await;
        let everything = WatchEventsRequest { include_bots: true, ..WatchEventsRequest::default() };
        let mut everything = open(&tenant, everything).await.expect("watches");
        let one = WatchEventsRequest { link_ids: vec![autumn.id.clone()], ..WatchEventsRequest::default() };
        let mut one = open(&tenant, one).await.expect("watches");
        let mut theirs = watch(&other).await;

        let headers = [
            ("user-agent", IPHONE),
            ("referer", "https://mail.example.com/inbox?secret"),
            ("accept-language", "de-CH,de;q=0.9"),
        ];
        app.visit_as(Method::GET, "/spring?utm_source=mail", &headers).await;
        let seen = click(&mut people).await;
        assert_eq!(
            (&*seen.link_id, seen.platform(), seen.class()),
            (&*spring.id, Platform::Ios, ClickClass::Human)
        );
        assert_eq!(
            (&*seen.referrer_host, &*seen.language, &*seen.query),
            ("mail.example.com", "de-CH", "utm_source=mail")
        );
        assert_eq!(seen.time.expect("always there").seconds, app.env().now().timestamp());
        assert_eq!(click(&mut everything).await, seen);

        visit(app, "/spring", GOOGLEBOT).await;
        app.visit_as(Method::HEAD, "/autumn", &[("user-agent", DESKTOP)]).await;
        visit(app, "/theirs", DESKTOP).await;
        visit(app, "/autumn", DESKTOP).await;
        assert_eq!(click(&mut everything).await.class(), ClickClass::Bot);
        assert_eq!(click(&mut everything).await.class(), ClickClass::Bot);
        let person = click(&mut everything).await;
        assert_eq!((&*person.link_id, person.platform()), (&*autumn.id, Platform::Web));
        assert_eq!(click(&mut people).await, person);
        assert_eq!(click(&mut one).await, person);
        assert_ne!(click(&mut theirs).await.link_id, autumn.id);
        for stream in [&mut people, &mut everything, &mut one, &mut theirs] {
            silent(stream).await;
        }

        // A stream that has nothing to say says that it is alive.
        app.clock.advance(chrono::Duration::seconds(15));
        assert!(matches!(next(&mut people).await, Event::Heartbeat(_)));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let theirs = other.create(link("theirs", DESTINATION)).await;
        let ask = |link_ids| WatchEventsRequest { link_ids, ..WatchEventsRequest::default() };
        let status = open(&tenant, ask(vec![theirs.id])).await.expect_err("not theirs to see");
        assert_eq!((status.code(), &*reason(&status)), (Code::NotFound, "NOT_FOUND"));
        let status = open(&tenant, ask(vec!["x".into()])).await.expect_err("no id");
        assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "INVALID_FIELDS"));
        // A cursor is of one workspace, and nobody can write one.
        let opened = other.analytics.clone().watch_events(WatchEventsRequest::default()).await;
        let theirs = message(&mut opened.expect("watches").into_inner()).await.resume_cursor;
        for cursor in [theirs.as_str(), &theirs[1..], "AAAA", "no cursor", &"A".repeat(10_000)] {
            let status = open(&tenant, resuming(cursor)).await.expect_err("not theirs to read");
            assert_eq!(
                (status.code(), wrong(&status)),
                (Code::InvalidArgument, vec!["resume_cursor".to_owned()])
            );
        }

        let mut streams = Vec::new();
        for _ in 0..100 {
            streams.push(watch(&tenant).await);
        }
        // One connection holds no more streams than that.
        let elsewhere = app.tenant_of(&tenant.id).await;
        let status = open(&elsewhere, ask(Vec::new())).await.expect_err("too many");
        assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "RATE_LIMITED"));
        assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()));
        watch(&other).await;
        streams.pop();
        crate::support::eventually("a place is free again", async || {
            open(&elsewhere, ask(Vec::new())).await.is_ok()
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_click_on_one_node_is_seen_on_another() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let app = App::start(Store::Production).await;
    let beside = app.start_beside(&[]).await;
    let tenant = app.tenant().await;
    let there = beside.tenant_of(&tenant.id).await;
    tenant.create(link("spring", DESTINATION)).await;
    let (mut here, mut there) = (watch(&tenant).await, watch(&there).await);
    for on in [&app, &beside] {
        visit(on, "/spring", DESKTOP).await;
        let seen = click(&mut here).await;
        assert_eq!(click(&mut there).await, seen);
    }
    drop(here);
    visit(&app, "/spring", DESKTOP).await;
    click(&mut there).await;
    silent(&mut there).await;
    beside.stop().await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_drained_again_is_not_seen_again() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(link("spring", DESTINATION)).await;
        let mut stream = watch(&tenant).await;
        for _ in 0..20 {
            visit(app, "/spring", DESKTOP).await;
        }
        app.settled().await;
        for _ in 0..20 {
            click(&mut stream).await;
        }
        let replayed = app.data.path().join("replayed");
        copy(&app.env().config.spool_dir(), &replayed);
        for entry in fs::read_dir(&replayed).expect("the copy is there") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains("checkpoint")) {
                fs::remove_file(&path).expect("removes");
            }
        }
        app.env().db.api.execute_unprepared("DELETE FROM spool_progress").await.expect("forgets");
        let options = SpoolOptions { min_free_bytes: 0, ..SpoolOptions::default() };
        let (spool, mut reader) = Spool::open(&replayed, options).expect("the copy opens");
        let drained =
            drain::once((app.env(), attribution::carry), &spool, &mut reader).await.expect("drains");
        assert!(drained >= 20);
        spool.close().await;
        silent(&mut stream).await;
    })
    .await;
}

/// Records visits of a link with long queries, numbered in their order.
fn record_many(app: &App, workspace: &str, link: &str, many: usize) {
    let recorder = Recorder::new(app.running().spool.clone(), b"secret", app.env().geo.clone());
    for number in 0..many {
        let query = format!("{number}&{}", "x".repeat(1000));
        let visit = Visit {
            workspace: WorkspaceId::parse(workspace).expect("an id"),
            link: LinkId::parse(link).expect("an id"),
            platform: 0,
            class: Class::Human,
            step: 4,
            client: None,
            user_agent: DESKTOP,
            referrer: "",
            languages: "",
            query: &query,
            parameters: &[],
            lease: None,
        };
        recorder.record(ClickId::mint(&app.env().ids, app.env().now()), &visit).expect("records");
    }
}

fn number_of(click: &Click) -> usize {
    click.query.split('&').next().and_then(|number| number.parse().ok()).expect("a numbered click")
}

#[tokio::test]
async fn a_slow_reader_reads_on_and_misses_nothing() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(link("spring", DESTINATION)).await;
        let mut stream = watch(&tenant).await;
        // More than all buffers between the two hold, by far.
        let many = 6000;
        record_many(app, &tenant.id, &made.id, many);
        app.settled().await;
        for number in 0..many {
            assert_eq!(number_of(&click(&mut stream).await), number);
        }
        visit(app, "/spring", DESKTOP).await;
        assert_eq!(click(&mut stream).await.query, "");
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_is_more_than_a_day_behind_is_told_what_it_missed() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(link("spring", DESTINATION)).await;
        for (hours, exact) in [(24, true), (26, false)] {
            let (mut stream, mut other) = (watch(&tenant).await, watch(&tenant).await);
            let many = 6000;
            record_many(app, &tenant.id, &made.id, many);
            app.settled().await;
            // The other one was up with everything before it stopped reading.
            for _ in 0..many {
                click(&mut other).await;
            }
            app.clock.advance(chrono::Duration::minutes(hours * 60 + 45));
            feed::sweep(app.env(), feed::Position(i64::MAX)).await.expect("sweeps");
            visit(app, "/spring", DESKTOP).await;
            app.settled().await;
            let (mut seen, mut missed) = (0, None);
            loop {
                match next(&mut stream).await {
                    Event::Click(click) if click.query.is_empty() => break,
                    Event::Click(click) => {
                        assert_eq!((number_of(&click), missed), (seen, None), "what is missing is the rest");
                        seen += 1;
                    }
                    Event::Lagged(lagged) => missed = Some(usize::try_from(lagged.missed).expect("a count")),
                    _ => {}
                }
            }
            assert!(seen > 0 && seen < many, "{seen}");
            assert_eq!(missed, Some(if exact { many - seen } else { 0 }));
            while !matches!(next(&mut other).await, Event::Click(click) if click.query.is_empty()) {}
        }
    })
    .await;
}

fn resuming(cursor: &str) -> WatchEventsRequest {
    WatchEventsRequest { resume_cursor: cursor.to_owned(), ..WatchEventsRequest::default() }
}

#[tokio::test]
async fn a_stream_goes_on_right_behind_the_message_it_is_opened_with() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(link("spring", DESTINATION)).await;
        let mut stream = tenant
            .analytics
            .clone()
            .watch_events(WatchEventsRequest::default())
            .await
            .expect("watches")
            .into_inner();
        let begin = message(&mut stream).await.resume_cursor;
        drop(stream);
        // Nobody watches now.
        let many = 2500;
        record_many(app, &tenant.id, &made.id, many);
        app.settled().await;
        let (mut cursor, mut seen) = (begin.clone(), 0);
        for take in [1, 1, 2, 997, 1, 600, 898] {
            let mut stream = open(&tenant, resuming(&cursor)).await.expect("goes on");
            for _ in 0..take {
                let message = message(&mut stream).await;
                let Some(Event::Click(click)) = message.event else { panic!("no click") };
                assert_eq!(number_of(&click), seen);
                (cursor, seen) = (message.resume_cursor, seen + 1);
            }
        }
        assert_eq!(seen, many);
        let mut stream = open(&tenant, resuming(&cursor)).await.expect("goes on");
        silent(&mut stream).await;
        // Another filter, and from the beginning.
        let bots = WatchEventsRequest { classes: vec![ClickClass::Bot.into()], ..resuming(&begin) };
        let mut bots = open(&tenant, bots).await.expect("goes on");
        visit(app, "/spring", GOOGLEBOT).await;
        let last = message(&mut bots).await;
        assert!(matches!(&last.event, Some(Event::Click(click)) if click.class() == ClickClass::Bot));
        visit(app, "/spring", DESKTOP).await;
        let mut stream = open(&tenant, resuming(&last.resume_cursor)).await.expect("goes on");
        assert_eq!(click(&mut stream).await.query, "");
        silent(&mut stream).await;

        app.clock.advance(chrono::Duration::hours(24));
        open(&tenant, resuming(&cursor)).await.expect("still good");
        app.clock.advance(chrono::Duration::seconds(1));
        let status = open(&tenant, resuming(&cursor)).await.expect_err("too old");
        assert_eq!((status.code(), &*reason(&status)), (Code::OutOfRange, "RESUME_CURSOR_EXPIRED"));
    })
    .await;
}

/// Copies of one app on phones: they report installs, and events.
async fn phone(app: &App, token: &str) -> Sdk {
    app.sdk(token, HERE).await
}

async fn record(sdk: &Sdk, install: &str, of: &[(&str, &str)]) {
    let now = app_time();
    let events = of.iter().map(|(id, name)| sdk::Event {
        event_id: (*id).to_owned(),
        name: (*name).to_owned(),
        event_time: now,
        revenue: Some(sdk::Money { currency: "CHF".to_owned(), units: 3, nanos: 500_000_000 }),
        ..sdk::Event::default()
    });
    let request = sdk::RecordEventsRequest { install_id: install.to_owned(), events: events.collect() };
    let answer = sdk.clone().record_events(request).await.expect("records").into_inner();
    for result in answer.results {
        assert_eq!(result.status(), sdk::EventStatus::Accepted, "{result:?}");
    }
}

/// The clock of tests stands here.
fn app_time() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_795_348_800, nanos: 0 })
}

#[tokio::test]
async fn installs_and_events_are_seen_too_by_those_who_want_them() {
    behind_a_proxy(async |app, tenant| {
        let spring = tenant.create(link("spring", DESTINATION)).await;
        let autumn = tenant.create(link("autumn", DESTINATION)).await;
        let token = tenant.app_token().await;
        let ask = WatchEventsRequest::default;
        let kind = |kind: WatchKind| WatchEventsRequest { kinds: vec![kind.into()], ..ask() };
        let of_link = |id: &str| WatchEventsRequest { link_ids: vec![id.to_owned()], ..ask() };
        let names =
            WatchEventsRequest { event_names: vec!["purchase".to_owned()], ..kind(WatchKind::Events) };
        let open = async |request| open(tenant, request).await.expect("watches");
        let mut everything = open(ask()).await;
        let mut installs = open(kind(WatchKind::Installs)).await;
        let mut events = open(kind(WatchKind::Events)).await;
        let mut purchases = open(names).await;
        let mut of_spring = open(of_link(&spring.id)).await;
        let mut of_autumn = open(of_link(&autumn.id)).await;

        app.tap("/spring", HERE).await;
        let tapped = click(&mut everything).await;
        assert_eq!(click(&mut of_spring).await, tapped);
        app.settled().await;
        let sdk = phone(app, &token).await;
        let told = report(&sdk, first_open("phone-0001", iphone())).await;
        let Event::Install(install) = next(&mut installs).await else { panic!("no install") };
        assert_eq!(
            (&*install.id, &*install.link_id, &*install.click_id),
            (&*told.install_id, &*spring.id, &*tapped.id)
        );
        assert_eq!(
            (install.state(), install.method()),
            (sdk::AttributionState::Attributed, sdk::MatchMethod::Probabilistic)
        );
        assert_eq!(next(&mut everything).await, Event::Install(install.clone()));
        assert_eq!(next(&mut of_spring).await, Event::Install(install));
        // An organic one is of no link.
        let elsewhere = app.sdk(&token, ELSEWHERE).await;
        report(&elsewhere, first_open("phone-0002", pixel())).await;
        let Event::Install(organic) = next(&mut installs).await else { panic!("no install") };
        assert_eq!((organic.state(), &*organic.link_id), (sdk::AttributionState::Organic, ""));

        record(&sdk, &told.install_id, &[("event-001", "open"), ("event-002", "purchase")]).await;
        record(&sdk, &told.install_id, &[("event-002", "purchase"), ("event-003", "purchase")]).await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let Event::AppEvent(event) = next(&mut events).await else { panic!("no event") };
            assert_eq!((event.install_id, event.event_time), (told.install_id.clone(), app_time()));
            let revenue = event.revenue.expect("it earned something");
            assert_eq!((&*revenue.currency, revenue.units, revenue.nanos), ("CHF", 3, 500_000_000));
            seen.push(event.name);
        }
        assert_eq!(seen, ["open", "purchase", "purchase"]);
        for _ in 0..2 {
            assert!(matches!(next(&mut purchases).await, Event::AppEvent(event) if event.name == "purchase"));
        }
        for stream in [&mut installs, &mut events, &mut purchases, &mut of_spring, &mut of_autumn] {
            silent(stream).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_shown_can_be_of_one_project_one_domain_and_some_countries() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let project = async |tenant: &Tenant| {
            let mut projects =
                ProjectServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()));
            let project = Project { name: "Spring".to_owned(), ..Project::default() };
            let request = CreateProjectRequest { project: Some(project), ..CreateProjectRequest::default() };
            projects.create_project(request).await.expect("creates").into_inner().project.expect("there").id
        };
        let (mine, theirs) = (project(&tenant).await, project(&other).await);
        let inside = tenant.create(Link { project_id: mine.clone(), ..link("spring", DESTINATION) }).await;
        let outside = tenant.create(link("autumn", DESTINATION)).await;
        let of_project = |project_id: &str| WatchEventsRequest {
            project_id: project_id.to_owned(),
            ..WatchEventsRequest::default()
        };
        let of_domain =
            |domain: &str| WatchEventsRequest { domain: domain.to_owned(), ..WatchEventsRequest::default() };
        let mut of_mine = open(&tenant, of_project(&mine)).await.expect("watches");
        let mut own = open(&tenant, of_domain("go.example.test")).await.expect("watches");
        let nowhere =
            WatchEventsRequest { countries: vec!["CH".to_owned()], ..WatchEventsRequest::default() };
        let mut nowhere = open(&tenant, nowhere).await.expect("watches");
        for request in [of_project(&theirs), of_domain("theirs.example"), of_domain("no host")] {
            let status = open(&tenant, request).await.expect_err("not the workspace's");
            assert_eq!((status.code(), &*reason(&status)), (Code::NotFound, "NOT_FOUND"));
        }
        visit(app, "/autumn", DESKTOP).await;
        assert_eq!(click(&mut own).await.link_id, outside.id);
        visit(app, "/spring", DESKTOP).await;
        let seen = click(&mut of_mine).await;
        assert_eq!(
            (&*seen.link_id, &*seen.project_id, &*seen.domain),
            (&*inside.id, &*mine, "go.example.test")
        );
        assert_eq!(click(&mut own).await, seen);
        silent(&mut of_mine).await;
        silent(&mut nowhere).await;
    })
    .await;
}

/// Lets half a minute pass and returns the next event.
async fn life(app: &App, stream: &mut Streaming<WatchEventsResponse>) -> Event {
    app.clock.advance(chrono::Duration::seconds(31));
    next(stream).await
}

#[tokio::test]
async fn a_revoked_key_ends_its_stream() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let operator = enter_as_operator(app.env(), Some(&tenant.id)).await.expect("is there");
        let new = NewKey::new("short", ALL_SCOPES.to_vec());
        let made = keys::create(app.env(), &operator, new, None).await.expect("creates");
        let id: ApiKeyId = made.key.id;
        let short = app.with_key(&tenant.id, made.secret.expect("a new key has one")).await;
        let (mut ended, mut stays) = (watch(&short).await, watch(&tenant).await);
        assert!(matches!(life(app, &mut ended).await, Event::Heartbeat(_)), "it is still good");
        keys::revoke(app.env(), &operator, id).await.expect("revokes");
        app.clock.advance(chrono::Duration::seconds(31));
        let status = end(&mut ended).await;
        assert_eq!((status.code(), &*reason(&status)), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
        assert!(matches!(next(&mut stays).await, Event::Heartbeat(_)));
    })
    .await;
}

#[tokio::test]
async fn a_node_that_leaves_ends_its_streams() {
    for store in stores() {
        let app = App::start_with(store, &[("SHUTDOWN_DEADLINE_SECONDS", "20")]).await;
        let tenant = app.tenant().await;
        let mut stream = watch(&tenant).await;
        let begun = Instant::now();
        let reading = tokio::spawn(async move { end(&mut stream).await });
        app.stop().await;
        let status = reading.await.expect("no panic");
        assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "SHUTTING_DOWN"));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_page_watches_too() {
    for store in stores() {
        let app = App::start_with(store, &[("SHUTDOWN_DEADLINE_SECONDS", "20")]).await;
        let tenant = app.tenant().await;
        let made = tenant.create(link("spring", DESTINATION)).await;
        let bearer = format!("Bearer {}", tenant.key);
        let headers = [("authorization", &*bearer), ("origin", "https://dash.example.test")];
        let request = WatchEventsRequest::default();
        let mut stream = WebStream::open(app.api(), WATCH, &request, &headers).await;
        let first = timeout(PROMISED, stream.next::<WatchEventsResponse>()).await.expect("in time");
        assert!(matches!(first.expect("goes on").event, Some(Event::Heartbeat(_))));
        let mut cursor = String::new();
        for _ in 0..3 {
            visit(&app, "/spring", DESKTOP).await;
            let next = timeout(PROMISED, stream.next::<WatchEventsResponse>()).await.expect("in time");
            let next = next.expect("goes on");
            let Some(Event::Click(seen)) = next.event else { panic!("no click") };
            assert_eq!(seen.link_id, made.id);
            cursor = next.resume_cursor;
        }
        // A page that lost its connection opens another.
        drop(stream);
        visit(&app, "/spring", IPHONE).await;
        let mut stream = WebStream::open(app.api(), WATCH, &resuming(&cursor), &headers).await;
        for is_first in [true, false] {
            let next = timeout(PROMISED, stream.next::<WatchEventsResponse>()).await.expect("in time");
            match next.expect("goes on").event {
                Some(Event::Heartbeat(_)) => assert!(is_first),
                Some(Event::Click(seen)) => assert_eq!((is_first, seen.platform()), (false, Platform::Ios)),
                other => panic!("{other:?}"),
            }
        }
        let reading = tokio::spawn(async move { stream.next::<WatchEventsResponse>().await });
        app.stop().await;
        let status = reading.await.expect("no panic").expect_err("it ends");
        assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "SHUTTING_DOWN"));
    }
}
