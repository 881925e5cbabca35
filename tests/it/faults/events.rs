//! Apps report what users do while nodes die and databases are away: what was acknowledged is there, once.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use linkforty::{
    attribution::events,
    clock::{Clock as _, SystemClock, from_micros},
    ids::AppId,
    pb::{
        sdk::v1::{Event, EventStatus, Money, RecordEventsRequest, sdk_service_client::SdkServiceClient},
        v1::{App, CreateAppRequest, app_service_client::AppServiceClient},
    },
};
use prost_types::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::{task::JoinHandle, time::sleep};
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use super::support::{World, on_every_store, random, variable, within};
use crate::support::Bearer;

const REPORTERS: u64 = 6;
const KILLS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(5);
/// However a test goes wrong, its load ends.
const MOST_BATCHES: u64 = 3000;
const CATCH_UP: Duration = Duration::from_secs(60);

/// What apps sent and what they were promised.
#[derive(Debug, Default)]
struct Told {
    sent: HashSet<Uuid>,
    acked: HashSet<Uuid>,
    answers: u64,
}

/// Apps that report, until they are told to stop. Each sends a batch again, up to five times at once, until all of it is acknowledged.
struct Reporters {
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

async fn create_app(world: &World) -> App {
    let scopes = "apps.read,apps.write";
    let key = world.node.run(&["key", "create", "--name", "apps", "--scopes", scopes, "--secret-only"]);
    let endpoint = Endpoint::from_shared(format!("http://{}", world.node.api)).expect("a valid address");
    let mut client = AppServiceClient::with_interceptor(endpoint.connect_lazy(), Bearer(key));
    let app = App { name: "Shop".into(), url_schemes: vec!["shop".into()], ..App::default() };
    let request = CreateAppRequest { app: Some(app), ..CreateAppRequest::default() };
    client.create_app(request).await.expect("the app is made").into_inner().app.expect("always there")
}

impl Reporters {
    fn begin(world: &World, app: &App, seed: u64) -> Self {
        let (told, stop) = (Arc::<Mutex<Told>>::default(), Arc::<AtomicBool>::default());
        let scope = AppId::parse(&app.id).expect("an id").0;
        // Days of different partitions: yesterday's last second, today's first, and much earlier.
        let today = now() - now() % 86_400;
        let times = [now() - 5, today, today - 1, now() - 29 * 86_400];
        let batches = Arc::new(AtomicU64::new(0));
        let tasks = (0..REPORTERS)
            .map(|number| {
                let endpoint = Endpoint::from_shared(format!("http://{}", world.node.links));
                let channel = endpoint.expect("a valid address").timeout(PATIENCE).connect_lazy();
                let (token, told) = (app.app_token.clone(), told.clone());
                let (stop, batches) = (stop.clone(), batches.clone());
                tokio::spawn(async move {
                    let mut dice = StdRng::seed_from_u64(seed.wrapping_add(number));
                    while !stop.load(Ordering::SeqCst)
                        && batches.fetch_add(1, Ordering::SeqCst) < MOST_BATCHES
                    {
                        let batch = batch(&mut dice, &times);
                        report(&channel, &token, scope, &batch, &told, &mut dice).await;
                    }
                })
            })
            .collect();
        Self { told, stop, tasks }
    }

    fn acked(&self) -> usize {
        self.told.lock().expect("nobody panics here").acked.len()
    }

    /// Stops, when what was begun is acknowledged.
    async fn end(self) -> Told {
        self.stop.store(true, Ordering::SeqCst);
        join_all(self.tasks).await.into_iter().for_each(|ended| ended.expect("no reporter panics"));
        std::mem::take(&mut *self.told.lock().expect("nobody panics here"))
    }
}

/// The node's clock is the machine's, and so is a device's.
fn now() -> i64 {
    SystemClock.now().timestamp()
}

fn batch(dice: &mut StdRng, times: &[i64]) -> Vec<Event> {
    (0..dice.random_range(1..40))
        .map(|_| Event {
            event_id: format!("{:032x}", dice.random::<u128>()),
            name: "purchase".to_owned(),
            event_time: Some(Timestamp { seconds: times[dice.random_range(0..times.len())], nanos: 0 }),
            revenue: Some(Money { currency: "CHF".to_owned(), units: 1, nanos: 500_000_000 }),
            transaction_id: format!("{:032x}", dice.random::<u128>()),
            ..Event::default()
        })
        .collect()
}

/// Reports a batch until it is acknowledged, and writes down what is.
async fn report(
    channel: &Channel,
    token: &str,
    scope: Uuid,
    batch: &[Event],
    told: &Mutex<Told>,
    dice: &mut StdRng,
) {
    let id = |event: &Event| {
        let seconds = event.event_time.map_or(0, |time| time.seconds);
        events::id_of(scope, &event.event_id, from_micros(seconds * 1_000_000)).0
    };
    told.lock().expect("nobody panics here").sent.extend(batch.iter().map(id));
    let client = SdkServiceClient::with_interceptor(channel.clone(), Bearer(token.to_owned()));
    loop {
        let request = RecordEventsRequest {
            install_id: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506".to_owned(),
            events: batch.to_vec(),
        };
        let calls = (0..dice.random_range(1..=5)).map(|_| {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.record_events(request).await }
        });
        let mut all = false;
        for answer in join_all(calls).await {
            let Ok(answer) = answer else { continue };
            let results = answer.into_inner().results;
            let mut told = told.lock().expect("nobody panics here");
            told.answers += 1;
            for (event, result) in batch.iter().zip(&results) {
                assert_ne!(result.status(), EventStatus::Refused, "{result:?}");
                if result.status() == EventStatus::Accepted {
                    told.acked.insert(id(event));
                }
            }
            all |= results.iter().all(|result| result.status() == EventStatus::Accepted);
        }
        if all {
            return;
        }
        sleep(Duration::from_millis(dice.random_range(20..200))).await;
    }
}

/// Reads the ids of all events, and how many of them have revenue that does not count.
macro_rules! read {
    ($connection:expr) => {{
        let rows = sqlx::query("SELECT id, duplicate_revenue FROM events").fetch_all(&mut $connection).await;
        let rows = rows.expect("events can be read");
        let letters = sqlx::query("SELECT id FROM dead_letters").fetch_all(&mut $connection).await;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        let duplicates = rows.iter().filter(|row| row.get::<bool, _>(1)).count();
        (ids, duplicates, letters.expect("letters can be read").len())
    }};
}

async fn assert_balanced(world: &World, told: &Told) {
    within(CATCH_UP, "the spool is drained", async || world.node.waiting() == 0).await;
    let url = world.database();
    let (ids, duplicates, letters) = if url.starts_with("postgres:") {
        let mut connection = PgConnection::connect(&url).await.expect("Postgres answers");
        read!(connection)
    } else {
        let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
        read!(connection)
    };
    let stored: HashSet<Uuid> = ids.iter().copied().collect();
    eprintln!(
        "{}: {} answers, {} events sent, {} acknowledged, {} stored",
        world.store,
        told.answers,
        told.sent.len(),
        told.acked.len(),
        ids.len()
    );
    assert_eq!(told.acked.difference(&stored).count(), 0, "acknowledged events are lost");
    assert_eq!(ids.len(), stored.len(), "events are stored twice");
    assert_eq!(stored.difference(&told.sent).count(), 0, "nobody sent these");
    assert_eq!((duplicates, letters), (0, 0), "a repeat is no other purchase, and nothing was set aside");
}

/// `LINKFORTY_TEST_SEED` repeats a run's moments, as far as the machine does.
fn seed() -> u64 {
    let seed = variable("LINKFORTY_TEST_SEED")
        .map_or_else(|| u64::from_be_bytes(random()), |seed| seed.parse().expect("a number"));
    eprintln!("LINKFORTY_TEST_SEED={seed}");
    seed
}

#[tokio::test]
async fn a_node_killed_at_random_moments_loses_no_event_and_stores_none_twice() {
    let seed = seed();
    on_every_store(&[], async |world| {
        let app = create_app(world).await;
        let mut dice = StdRng::seed_from_u64(seed);
        let reporters = Reporters::begin(world, &app, seed);
        for _ in 0..KILLS {
            sleep(Duration::from_millis(dice.random_range(100..900))).await;
            world.node.kill();
            world.node.start().await;
        }
        within(PATIENCE, "events are acknowledged", async || reporters.acked() > 100).await;
        let told = reporters.end().await;
        assert_balanced(world, &told).await;
        // What was stored comes again with the spool of yesterday.
        world.node.kill();
        world.forget_progress().await;
        world.node.start().await;
        assert_balanced(world, &told).await;
    })
    .await;
}

#[tokio::test]
async fn a_node_that_dies_at_a_named_place_loses_no_event_and_stores_none_twice() {
    let seed = seed();
    on_every_store(&[("SPOOL_SEGMENT_BYTES", "65536")], async |world| {
        let app = create_app(world).await;
        world.node.kill();
        let mut told = Told::default();
        let places = [
            "spool.append.after:30",
            "events.kept.after:20",
            "drain.carried.after:3",
            "drain.commit.after:3",
            "spool.sync.before:20",
        ];
        for (number, place) in places.into_iter().enumerate() {
            world.node.start_with(&[("FAILPOINT_ABORT", place)]).await;
            let reporters = Reporters::begin(world, &app, seed.wrapping_add(100 * number as u64));
            world.node.wait_for_abort().await;
            world.node.start().await;
            let some = reporters.end().await;
            world.node.kill();
            told.sent.extend(some.sent);
            told.acked.extend(some.acked);
            told.answers += some.answers;
        }
        world.node.start().await;
        assert_balanced(world, &told).await;
    })
    .await;
}

#[tokio::test]
async fn events_are_acknowledged_while_the_database_is_away_and_stored_when_it_is_back() {
    let seed = seed();
    on_every_store(&[], async |world| {
        let app = create_app(world).await;
        let reporters = Reporters::begin(world, &app, seed);
        within(PATIENCE, "events are acknowledged", async || reporters.acked() > 100).await;
        let outage = world.outage().await;
        sleep(Duration::from_secs(1)).await;
        let before = reporters.acked();
        sleep(Duration::from_secs(11)).await;
        assert!(reporters.acked() > before + 100, "events go on being acknowledged");
        assert!(world.node.waiting() > 100, "they wait in the spool");
        world.end(outage).await;
        let told = reporters.end().await;
        assert_balanced(world, &told).await;
    })
    .await;
}
