//! Clicks as they are recorded: who sees which, once, and how a stream ends.

use std::{
    fs,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use linkforty::{
    attribution,
    cache::{Signal, Topic},
    clicks::{Click as Visit, Recorder, class::Class, drain, live::BUFFERED},
    ids::{ApiKeyId, ClickId, LinkId, WorkspaceId},
    pb::v1::{
        Click, ClickClass, Lagged, Platform, WatchEventsRequest, WatchEventsResponse,
        watch_events_response::Event,
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
        ALL_SCOPES, App, DESKTOP, IPHONE, Store, Tenant, WebStream, link, on_every_store, reason, stores,
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

/// Returns the next event, whatever it is.
async fn any(stream: &mut Streaming<WatchEventsResponse>) -> Event {
    let next = timeout(PROMISED, stream.message()).await.expect("in time").expect("goes on");
    next.expect("it has no end").event.expect("an event")
}

/// That the node has just found its way to Redis is told as a gap of unknown size, at any time: it says nothing about these
/// tests.
const JUST_FOUND: Event = Event::Lagged(Lagged { missed: 0 });

/// Returns the next event.
async fn next(stream: &mut Streaming<WatchEventsResponse>) -> Event {
    loop {
        let event = any(stream).await;
        if event != JUST_FOUND {
            return event;
        }
    }
}

async fn click(stream: &mut Streaming<WatchEventsResponse>) -> Click {
    match next(stream).await {
        Event::Click(click) => click,
        other => panic!("no click: {other:?}"),
    }
}

async fn silent(stream: &mut Streaming<WatchEventsResponse>) {
    let gap = Some(Event::Lagged(Lagged { missed: 0 }));
    let heard = timeout(Duration::from_millis(700), async {
        loop {
            match stream.message().await {
                Ok(Some(event)) if event.event == gap => {}
                heard => return heard,
            }
        }
    });
    let heard = heard.await;
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

/// Waits until what one node sends live reaches the other: Redis takes a moment after a start, and until then it is lost.
async fn hears(speaker: &App, listener: &App) {
    let mut heard = listener.env().fanout.subscribe(Topic::Live);
    for _ in 0..50 {
        // No click at all, which watchers drop.
        let _ = speaker.env().fanout.publish(Topic::Live, Bytes::from_static(b"probe")).await;
        let signal = timeout(Duration::from_millis(200), heard.recv()).await;
        if matches!(signal, Ok(Ok(Signal::Message(_)))) {
            return;
        }
    }
    panic!("the nodes are not in touch");
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
    hears(&app, &beside).await;
    hears(&beside, &app).await;
    let (mut here, mut there) = (watch(&tenant).await, watch(&there).await);
    for on in [&app, &beside] {
        visit(on, "/spring", DESKTOP).await;
        let seen = click(&mut here).await;
        assert_eq!(click(&mut there).await, seen);
    }
    // Somebody watches over there alone: this node's drain learns of it within half a second.
    drop(here);
    tokio::time::sleep(Duration::from_millis(600)).await;
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

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed_and_goes_on() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(link("spring", DESTINATION)).await;
        let mut stream = watch(&tenant).await;
        // More than the buffers of both sides hold, by far.
        let many = 6 * BUFFERED;
        let recorder = Recorder::new(app.running().spool.clone(), b"secret", app.env().geo.clone());
        let query = "x".repeat(1000);
        for _ in 0..many {
            let visit = Visit {
                workspace: WorkspaceId::parse(&tenant.id).expect("an id"),
                link: LinkId::parse(&made.id).expect("an id"),
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
        app.settled().await;
        let (mut seen, mut missed) = (0, 0);
        while seen + missed < many {
            match next(&mut stream).await {
                Event::Click(_) => seen += 1,
                Event::Lagged(lagged) => missed += usize::try_from(lagged.missed).expect("a count"),
                Event::Heartbeat(_) => {}
            }
        }
        assert_eq!(seen + missed, many);
        assert!(missed > 0 && seen >= BUFFERED, "{seen} seen, {missed} missed");
        visit(app, "/spring", DESKTOP).await;
        assert_eq!(click(&mut stream).await.query, "");
    })
    .await;
}

/// Lets half a minute pass and returns the next event. A gap that is told just then is a sign of life too, and puts the next
/// off by as much.
async fn life(app: &App, stream: &mut Streaming<WatchEventsResponse>) -> Event {
    loop {
        app.clock.advance(chrono::Duration::seconds(31));
        let event = any(stream).await;
        if event != JUST_FOUND {
            return event;
        }
    }
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
        let gap = Some(Event::Lagged(Lagged { missed: 0 }));
        let bearer = format!("Bearer {}", tenant.key);
        let headers = [("authorization", &*bearer), ("origin", "https://dash.example.test")];
        let request = WatchEventsRequest::default();
        let mut stream = WebStream::open(app.api(), WATCH, &request, &headers).await;
        let first = timeout(PROMISED, stream.next::<WatchEventsResponse>()).await.expect("in time");
        assert!(matches!(first.expect("goes on").event, Some(Event::Heartbeat(_))));
        for _ in 0..3 {
            visit(&app, "/spring", DESKTOP).await;
            let mut event = gap.clone();
            while event == gap {
                let next = timeout(PROMISED, stream.next::<WatchEventsResponse>()).await.expect("in time");
                event = next.expect("goes on").event;
            }
            let Some(Event::Click(seen)) = event else { panic!("no click") };
            assert_eq!(seen.link_id, made.id);
        }
        let reading = tokio::spawn(async move { stream.next::<WatchEventsResponse>().await });
        app.stop().await;
        let status = reading.await.expect("no panic").expect_err("it ends");
        assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "SHUTTING_DOWN"));
    }
}
