//! How the server is, for balancers, people and gRPC clients.
//!
//! A task looks at the stores every five seconds; a request reads what it saw and never waits. Readiness does not depend on stores:
//! a node whose database is away still redirects, and if it said otherwise the balancer would take all nodes away at once.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{shutdown::Life, work::every};
use crate::{
    clock::Moment,
    db::{Db, Dialect},
    env::Env,
};

const EVERY: Duration = Duration::from_secs(5);
/// A store that takes longer than this is down for all it matters.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of the server's health. Clones share it.
#[derive(Clone)]
pub(super) struct Health(Arc<Inner>);

struct Inner {
    env: Env,
    life: Life,
    start_time: Moment,
    started: Instant,
    seen: ArcSwap<Seen>,
    spool: OnceLock<Box<dyn Fn() -> Spool + Send + Sync>>,
    reporter: HealthReporter,
    services: OnceLock<Vec<&'static str>>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("seen", &self.0.seen.load()).finish_non_exhaustive()
    }
}

/// What the task saw when it last looked.
#[derive(Debug, Clone, Default)]
struct Seen {
    database: Store,
    redis: Store,
}

/// One store.
#[derive(Debug, Clone, Default, Serialize)]
struct Store {
    state: Pulse,
    /// How long it took to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
}

/// Whether a store answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Pulse {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    Up,
    Down,
    NotConfigured,
}

/// How the spool is.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Spool {
    /// Records that wait for the database.
    pub lag: u64,
    /// How full it is, in the spool's words.
    pub level: &'static str,
}

/// What `/health` says to everybody.
#[derive(Debug, Serialize)]
struct Answer {
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    database: Store,
    redis: Store,
    #[serde(skip_serializing_if = "Option::is_none")]
    spool: Option<Spool>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

/// What it says to operators besides.
#[derive(Debug, Serialize)]
struct Details {
    ready: bool,
    draining: bool,
    start_time: String,
    stage: String,
    database_kind: &'static str,
    tasks: usize,
}

impl Health {
    pub(super) fn new(env: &Env, life: &Life) -> Self {
        Self(Arc::new(Inner {
            env: env.clone(),
            life: life.clone(),
            start_time: env.now(),
            started: Instant::now(),
            seen: ArcSwap::default(),
            spool: OnceLock::new(),
            reporter: HealthReporter::new(),
            services: OnceLock::new(),
        }))
    }

    /// Asks `look` how the spool is whenever somebody asks for the health.
    #[expect(dead_code, reason = "the spool's branch calls it")]
    pub(super) fn watch_spool(&self, look: impl Fn() -> Spool + Send + Sync + 'static) {
        let _ = self.0.spool.set(Box::new(look));
    }

    /// Returns the HTTP paths of a listener.
    pub(super) fn routes(&self, eyes: Eyes) -> Router {
        let health = move |State(health): State<Self>| async move { Json(health.answer(eyes)) };
        Router::new()
            .route("/health", get(health))
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .with_state(self.clone())
    }

    /// Returns what `grpc.health.v1` reports from; `services` are the names it knows.
    pub(super) fn reporter(&self, services: Vec<&'static str>) -> HealthReporter {
        let _ = self.0.services.set(services);
        self.0.reporter.clone()
    }

    /// Says that the server answers.
    async fn arrive(&self) {
        self.report(ServingStatus::Serving).await;
    }

    /// Says that the server is leaving.
    pub(super) async fn leave(&self) {
        self.report(ServingStatus::NotServing).await;
    }

    async fn report(&self, status: ServingStatus) {
        for service in self.0.services.get().into_iter().flatten() {
            self.0.reporter.set_service_status(*service, status).await;
        }
        self.0.reporter.set_service_status("", status).await;
    }

    /// Looks at the stores until told to stop.
    pub(super) async fn watch(self, token: CancellationToken) {
        if !self.0.life.draining.is_cancelled() {
            self.arrive().await;
        }
        every(EVERY, token, move || {
            let health = self.clone();
            async move { health.look().await }
        })
        .await;
    }

    async fn look(&self) {
        let env = &self.0.env;
        let (database, redis) = tokio::join!(look_at_database(&env.db), look_at_redis(env));
        let before = self.0.seen.load();
        tell("database", before.database.state, database.state);
        tell("redis", before.redis.state, redis.state);
        self.0.seen.store(Arc::new(Seen { database, redis }));
    }

    fn answer(&self, eyes: Eyes) -> Answer {
        let Inner { env, life, start_time, started, seen, spool, .. } = &*self.0;
        let seen = seen.load();
        let degraded = seen.database.state == Pulse::Down || seen.redis.state == Pulse::Down;
        Answer {
            status: if degraded { "degraded" } else { "ok" },
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: started.elapsed().as_secs(),
            database: seen.database.clone(),
            redis: seen.redis.clone(),
            spool: spool.get().map(|look| look()),
            details: (eyes == Eyes::Operators).then(|| Details {
                ready: life.is_ready(),
                draining: life.draining.is_cancelled(),
                start_time: start_time.to_rfc3339(),
                stage: format!("{:?}", env.config.stage).to_lowercase(),
                database_kind: match env.db.dialect() {
                    Dialect::Postgres => "postgres",
                    Dialect::Sqlite => "sqlite",
                },
                tasks: life.tasks.len(),
            }),
        }
    }
}

/// Who reads an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eyes {
    /// Anybody.
    Public,
    /// Those who run it.
    Operators,
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    if health.0.life.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn look_at_database(db: &Db) -> Store {
    let begun = Instant::now();
    let answered = matches!(timeout(PATIENCE, db.api.ping()).await, Ok(Ok(())));
    Store::seen(answered, begun)
}

async fn look_at_redis(env: &Env) -> Store {
    if env.config.redis.is_none() {
        return Store { state: Pulse::NotConfigured, latency_ms: None };
    }
    let begun = Instant::now();
    let answered = matches!(timeout(PATIENCE, env.cache.get("health")).await, Ok(Ok(_)));
    Store::seen(answered, begun)
}

impl Store {
    fn seen(answered: bool, begun: Instant) -> Self {
        let latency = (begun.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
        Self {
            state: if answered { Pulse::Up } else { Pulse::Down },
            latency_ms: answered.then_some(latency),
        }
    }
}

/// Says it once when a store goes or comes.
fn tell(store: &'static str, before: Pulse, now: Pulse) {
    metrics::gauge!("linkforty_store_up", "store" => store).set(if now == Pulse::Down { 0.0 } else { 1.0 });
    match (before, now) {
        (Pulse::Down, Pulse::Up) => tracing::info!(store, "the store answers again"),
        (Pulse::Up | Pulse::Unknown, Pulse::Down) => {
            tracing::error!(store, "the store does not answer; going on without it");
        }
        _ => {}
    }
}
