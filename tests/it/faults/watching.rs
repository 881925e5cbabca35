//! Somebody watches while connections break and nodes die: what they saw, put together, is what was stored, once and in its order.

use std::{
    collections::HashSet,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use http::Method;
use linkforty::{
    clock::{Clock as _, SystemClock},
    feed::{self, Items, Position},
    pb::{
        sdk::v1::{
            Device, Event, Platform, RecordEventsRequest, ReportInstallRequest,
            sdk_service_client::SdkServiceClient,
        },
        v1::{
            App, CreateAppRequest, WatchEventsRequest, analytics_service_client::AnalyticsServiceClient,
            app_service_client::AppServiceClient, watch_events_response::Event as Shown,
        },
    },
};
use prost_types::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::{Request, transport::Endpoint};

use super::support::{Load, Node, World, on_every_store, random, variable, within};
use crate::support::{Bearer, IPHONE, Store, send};

const ROUNDS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(5);
/// Long enough for a node that was killed to come back and store what it had.
const CATCH_UP: Duration = Duration::from_secs(60);

/// One thing that a stream showed or the feed holds: what it is, its id, and how far it is decided.
type Item = (&'static str, String, i32);

/// Watches by whichever node answers, hangs up whenever it likes, and comes back with its cursor.
struct Watcher {
    apis: Vec<std::net::SocketAddr>,
    key: String,
    cursor: String,
    seen: Vec<Item>,
    hung_up: u32,
}

impl Watcher {
    /// Watches until so long nothing came after `stop`.
    async fn watch(mut self, stop: Arc<AtomicBool>, seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut last = Instant::now();
        while !(stop.load(Ordering::SeqCst) && last.elapsed() > PATIENCE) {
            let api = self.apis[dice.random_range(0..self.apis.len())];
            let take =
                if dice.random_bool(0.3) { dice.random_range(0..3) } else { dice.random_range(0..1500) };
            let until = Duration::from_millis(dice.random_range(20..1200));
            let before = self.seen.len();
            // However it goes, what was seen was seen.
            let _ = timeout(until, self.stream(api, take)).await;
            self.hung_up += 1;
            if self.seen.len() > before {
                last = Instant::now();
            }
        }
        self
    }

    /// Reads so many items of a stream of one node.
    async fn stream(&mut self, api: std::net::SocketAddr, take: usize) -> Option<()> {
        let endpoint = Endpoint::from_shared(format!("http://{api}")).ok()?;
        let channel = endpoint.connect_timeout(Duration::from_millis(300)).connect().await.ok()?;
        let mut client = AnalyticsServiceClient::with_interceptor(channel, Bearer(self.key.clone()));
        let request = WatchEventsRequest {
            include_bots: true,
            resume_cursor: self.cursor.clone(),
            ..WatchEventsRequest::default()
        };
        let mut stream = match client.watch_events(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => {
                assert_ne!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
                return None;
            }
        };
        let mut taken = 0;
        while taken < take {
            let message = stream.message().await.ok()??;
            self.cursor = message.resume_cursor;
            match message.event? {
                Shown::Click(click) => self.seen.push(("click", click.id, 0)),
                Shown::Install(install) => self.seen.push(("install", install.id, install.state)),
                Shown::AppEvent(event) => self.seen.push(("event", event.id, 0)),
                Shown::Lagged(lagged) => panic!("{lagged:?}"),
                Shown::Heartbeat(_) => continue,
            }
            taken += 1;
        }
        Some(())
    }
}

/// Returns what the feed holds behind a position.
async fn stored(world: &World, mut position: Position) -> Vec<Item> {
    let db = sea_orm::Database::connect(world.database()).await.expect("the database answers");
    let mut items = Vec::new();
    loop {
        let rows = feed::read_after(&db, None, position, 100).await.expect("reads");
        let Some(last) = rows.last() else { return items };
        position = last.position;
        for row in &rows {
            match &*row.items {
                Items::Clicks(clicks) => {
                    items.extend(clicks.iter().map(|click| ("click", click.id.to_string(), 0)));
                }
                Items::Installs(installs) => items.extend(
                    installs.iter().map(|one| ("install", one.id.to_string(), i32::from(one.now.state))),
                ),
                Items::Events(events) => {
                    items.extend(events.iter().map(|event| ("event", event.id.to_string(), 0)));
                }
            }
        }
    }
}

async fn an_app(world: &World) -> String {
    let key = world.node.run(&["key", "create", "--name", "apps", "--scopes", "apps.write", "--secret-only"]);
    let endpoint = Endpoint::from_shared(format!("http://{}", world.node.api)).expect("a valid address");
    let mut apps = AppServiceClient::with_interceptor(endpoint.connect_lazy(), Bearer(key));
    let app = App { name: "Shop".to_owned(), url_schemes: vec!["shop".to_owned()], ..App::default() };
    let request = CreateAppRequest { app: Some(app), ..CreateAppRequest::default() };
    apps.create_app(request).await.expect("makes one").into_inner().app.expect("always there").app_token
}

/// Phones that tap a link, install the app and report what users do, each once, whatever comes of it.
async fn use_apps(links: std::net::SocketAddr, token: String, code: String, stop: Arc<AtomicBool>) {
    let endpoint = Endpoint::from_shared(format!("http://{links}")).expect("a valid address");
    let channel = endpoint.timeout(PATIENCE).connect_lazy();
    let mut sdk = SdkServiceClient::new(channel);
    let mut number = u32::from(links.port()) * 100_000;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let from = format!("203.0.{}.{}", 113 + number / 200 % 100, 1 + number % 200);
        let headers = [("x-forwarded-for", &*from), ("user-agent", IPHONE), ("accept-language", "de-CH")];
        if number % 2 == 0 {
            let path = format!("/{code}");
            let visit = async { send(links, Method::GET, &path, &headers, bytes::Bytes::new()).await };
            // A node that dies answers nobody.
            if TcpStream::connect(links).await.is_ok() {
                let _ = timeout(PATIENCE, AssertUnwindSafe(visit).catch_unwind()).await;
            }
        }
        let device = Device {
            platform: Platform::Ios.into(),
            os_version: "17.5".to_owned(),
            language: "de-CH".to_owned(),
            ..Device::default()
        };
        let value = |text: &str| text.parse().expect("a header value");
        let mut request = Request::new(ReportInstallRequest {
            installation_id: format!("phone-{number}"),
            device: Some(device),
            ..ReportInstallRequest::default()
        });
        request.metadata_mut().insert("authorization", value(&format!("Bearer {token}")));
        request.metadata_mut().insert("x-forwarded-for", value(&from));
        if let Ok(told) = sdk.report_install(request).await {
            let now = Timestamp { seconds: SystemClock.now().timestamp(), nanos: 0 };
            let events = (0..number % 7).map(|nth| Event {
                event_id: format!("event-{number}-{nth}"),
                name: "open".to_owned(),
                event_time: Some(now),
                ..Event::default()
            });
            let mut request = Request::new(RecordEventsRequest {
                install_id: told.into_inner().install_id,
                events: events.collect(),
            });
            request.metadata_mut().insert("authorization", value(&format!("Bearer {token}")));
            let _ = sdk.record_events(request).await;
        } else {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// `LINKFORTY_TEST_SEED` repeats a run's moments, as far as the machine does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_sees_what_was_stored_once_and_in_its_order_while_nodes_die() {
    let seed = variable("LINKFORTY_TEST_SEED")
        .map_or_else(|| u64::from_be_bytes(random()), |seed| seed.parse().expect("a number"));
    eprintln!("LINKFORTY_TEST_SEED={seed}");
    on_every_store(&[("TRUSTED_PROXIES", "127.0.0.1/32")], async |world| {
        world.node.drained().await;
        let token = an_app(world).await;
        let scopes = "analytics.read";
        let key = world.node.run(&["key", "create", "--name", "watch", "--scopes", scopes, "--secret-only"]);
        let db = sea_orm::Database::connect(world.database()).await.expect("the database answers");
        let mut other: Option<Node> = match world.store {
            Store::Production => Some(world.another_node(&[]).await),
            Store::Embedded => None,
        };
        let apis: Vec<_> =
            [Some(world.node.api), other.as_ref().map(|node| node.api)].into_iter().flatten().collect();
        // Nothing happens yet, so the first stream and the feed begin at the same place.
        let begin = feed::settled(&db).await.expect("answers");
        let watchers = (0..2).map(|_| Watcher {
            apis: apis.clone(),
            key: key.clone(),
            cursor: String::new(),
            seen: Vec::new(),
            hung_up: 0,
        });
        let mut watchers: Vec<Watcher> = watchers.collect();
        for watcher in &mut watchers {
            let api = watcher.apis[0];
            // Takes no item, and is told where it stands with the first heartbeat.
            let _ = timeout(Duration::from_secs(2), watcher.stream(api, 1)).await;
            assert!(!watcher.cursor.is_empty() && watcher.seen.is_empty());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let watching: Vec<_> = watchers
            .into_iter()
            .zip(1..)
            .map(|(watcher, nth)| tokio::spawn(watcher.watch(stop.clone(), seed.wrapping_add(nth))))
            .collect();

        let quiet = Arc::new(AtomicBool::new(false));
        let code = world.links[0].short_code.clone();
        let links: Vec<_> =
            [Some(world.node.links), other.as_ref().map(|node| node.links)].into_iter().flatten().collect();
        let phones: Vec<_> = links
            .iter()
            .map(|links| tokio::spawn(use_apps(*links, token.clone(), code.clone(), quiet.clone())))
            .collect();
        let mut ledgers = vec![world.load(Load::STEADY).await];
        if let Some(other) = &other {
            ledgers.push(world.load_on(other, Load::STEADY).await);
        }
        let mut dice = StdRng::seed_from_u64(seed);
        for round in 0..ROUNDS {
            sleep(Duration::from_millis(dice.random_range(300..1200))).await;
            match &mut other {
                Some(other) if round % 2 == 1 => {
                    other.kill();
                    other.start().await;
                }
                _ => {
                    world.node.kill();
                    world.node.start().await;
                }
            }
        }
        let mut acked = HashSet::new();
        for ledger in ledgers {
            acked.extend(ledger.close().await.acked);
        }
        quiet.store(true, Ordering::SeqCst);
        for phone in phones {
            // One that a dying node answered nothing gave up.
            let _ = phone.await;
        }
        within(CATCH_UP, "the spools are drained", async || {
            world.node.waiting() == 0 && other.as_ref().is_none_or(|node| node.waiting() == 0)
        })
        .await;
        within(CATCH_UP, "installs that were put off are decided", async || {
            let pending =
                Statement::from_string(db.get_database_backend(), "SELECT 1 FROM installs WHERE state = 3");
            db.query_one_raw(pending).await.expect("answers").is_none()
        })
        .await;
        stop.store(true, Ordering::SeqCst);

        let stored = stored(world, begin).await;
        let count = |what: &str| stored.iter().filter(|item| item.0 == what).count();
        eprintln!(
            "{}: {} clicks, {} installs, {} events",
            world.store,
            count("click"),
            count("install"),
            count("event")
        );
        assert!(count("click") > 500 && count("install") > 10 && count("event") > 10);
        let clicks: HashSet<&str> =
            stored.iter().filter(|item| item.0 == "click").map(|item| &*item.1).collect();
        assert!(acked.iter().all(|id| clicks.contains(&*id.to_string())), "a promised click is not there");
        let distinct: HashSet<&Item> = stored.iter().collect();
        assert_eq!(distinct.len(), stored.len(), "something stands there twice");
        for watcher in watching {
            let watcher = watcher.await.expect("no watcher panics");
            eprintln!("{} items, {} connections", watcher.seen.len(), watcher.hung_up);
            assert!(watcher.hung_up > 10);
            let first = watcher.seen.iter().zip(&stored).position(|(seen, stored)| seen != stored);
            assert_eq!(first, None, "the first that differs");
            assert_eq!(watcher.seen.len(), stored.len());
        }
        if let Some(mut other) = other {
            other.kill();
        }
    })
    .await;
}
