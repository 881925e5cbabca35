//! One server, started as in production, with a clock that the test moves.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::FutureExt as _;
use http::Method;
use linkforty::{
    accounts::{FirstSignIn, bootstrap},
    analytics::rollup,
    clock::{SettableClock, from_micros},
    config::Config,
    entity::outbox,
    env::Env,
    feed,
    ids::Ids,
    serve::{self, Ground, Running},
    webhooks,
};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tonic::transport::{Channel, Endpoint};

use super::{canary, plain, postgres::TestDatabase, sqlite};

/// What the server keeps its things in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// SQLite and nothing else.
    Embedded,
    /// Postgres and Redis.
    Production,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "SQLite, embedded",
            Self::Production => "Postgres and Redis",
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "how the tests are run is no setting of the server")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns where the test Postgres and Redis are.
fn production() -> Option<(String, String)> {
    let found = variable("LINKFORTY_TEST_DATABASE_URL").zip(variable("LINKFORTY_TEST_REDIS_URL"));
    assert!(
        found.is_some() || variable("LINKFORTY_TEST_REQUIRE_STORES").as_deref() != Some("1"),
        "LINKFORTY_TEST_REQUIRE_STORES=1, but LINKFORTY_TEST_DATABASE_URL or LINKFORTY_TEST_REDIS_URL is not set: \
         run the tests with tests/services.sh"
    );
    found
}

/// Returns the stores to test on.
pub fn stores() -> Vec<Store> {
    let production = production().map(|_| Store::Production);
    [Store::Embedded].into_iter().chain(production).collect()
}

/// Runs a test on every store, each time on a server of its own, and names the store if it fails.
pub async fn on_every_store(test: impl AsyncFn(&App)) {
    for store in stores() {
        let app = App::start(store).await;
        let outcome = AssertUnwindSafe(test(&app)).catch_unwind().await;
        app.stop().await;
        if let Err(panic) = outcome {
            eprintln!("this was on {store}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// A server for one test.
pub struct App {
    /// The hand of its clock.
    pub clock: SettableClock,
    running: Running,
    settings: HashMap<String, String>,
    /// Holds everything the server keeps in files; goes with the test.
    pub data: TempDir,
    database: Option<TestDatabase>,
    first: OnceCell<Option<FirstSignIn>>,
}

/// Any moment will do, as long as it is always the same.
const NOON: i64 = 1_795_348_800_000_000;

impl App {
    /// Starts a server with the settings that tests use.
    pub async fn start(store: Store) -> Self {
        Self::start_with(store, &[]).await
    }

    /// Starts a server with settings of its own.
    pub async fn start_with(store: Store, changes: &[(&str, &str)]) -> Self {
        canary::listen();
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut settings: HashMap<String, String> = [
            ("APP_ENV", "development"),
            ("LINKS_ADDR", "127.0.0.1:0"),
            ("API_ADDR", "127.0.0.1:0"),
            ("OPS_ADDR", "127.0.0.1:0"),
            ("LINKS_URL", "https://go.example.test"),
            ("FRONTEND_URL", "https://dash.example.test"),
            // Nobody answers there: no test asks the world.
            ("DNS_SERVERS", "127.0.0.1:9"),
            ("JWT_SECRET", "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO"),
            ("SESSION_SECRET", "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa"),
            ("SHUTDOWN_DEADLINE_SECONDS", "5"),
            // Races of a hundred are about who wins, not about who waits; tests of overload say how many places there are.
            ("CALLS_AT_ONCE", "1000"),
            // A machine that tests has other things to do, and the clock that a pending install waits for stands.
            ("INSTALL_BUDGET_MS", "20000"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        settings.insert("DATA_DIR".to_owned(), data.path().join("data").display().to_string());
        let mut database = None;
        if store == Store::Production {
            let (database_url, redis_url) = production().expect("stores() names it only when it is there");
            let own = TestDatabase::create(&database_url).await;
            settings.insert("DATABASE_URL".to_owned(), own.url());
            settings.insert("REDIS_URL".to_owned(), redis_url);
            settings.insert("REDIS_PREFIX".to_owned(), own.name.clone());
            database = Some(own);
        }
        change(&mut settings, changes);
        let clock = SettableClock::at(from_micros(NOON));
        let running = run(&settings, &clock, 40).await;
        Self { clock, running, settings, data, database, first: OnceCell::new() }
    }

    /// Starts another node on the same Postgres and Redis, with a data directory of its own and the same clock. A
    /// setting changed to nothing is not set. Stop it before the first one.
    pub async fn start_beside(&self, changes: &[(&str, &str)]) -> Self {
        assert!(self.settings.contains_key("DATABASE_URL"), "an embedded server is alone");
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut settings = self.settings.clone();
        settings.insert("DATA_DIR".to_owned(), data.path().join("data").display().to_string());
        change(&mut settings, changes);
        let running = run(&settings, &self.clock, 41).await;
        Self { clock: self.clock.clone(), running, settings, data, database: None, first: OnceCell::new() }
    }

    /// Stops the server as an operator does, and starts it again with what it kept.
    pub async fn restart(self) -> Self {
        self.running.stop().await;
        let running = run(&self.settings, &self.clock, 42).await;
        Self { running, ..self }
    }

    /// The same with other settings.
    pub async fn restart_with(mut self, changes: &[(&str, &str)]) -> Self {
        change(&mut self.settings, changes);
        self.restart().await
    }

    /// Returns what the first owner signs in with, and makes sure that there is one: the embedded server made them, the other one is told to.
    /// `None` where somebody else was told.
    pub async fn first_sign_in(&self) -> Option<&FirstSignIn> {
        let made = async || match self.running.first_sign_in.clone() {
            Some(first) => Some(first),
            None => bootstrap(self.env()).await.expect("the stores answer"),
        };
        self.first.get_or_init(made).await.as_ref()
    }

    /// Returns the handles of the server, for what no door shows.
    pub fn env(&self) -> &Env {
        &self.running.env
    }

    /// Returns the server itself.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Returns the address of the links listener.
    pub fn links(&self) -> SocketAddr {
        self.running.links
    }

    /// Returns the address of the API listener.
    pub fn api(&self) -> SocketAddr {
        self.running.api
    }

    /// Returns the address of the ops listener.
    pub fn ops(&self) -> SocketAddr {
        self.running.ops
    }

    /// Opens a connection for calls of the API.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.api())).expect("a valid address");
        endpoint.connect().await.expect("the API listener accepts")
    }

    /// Asks for a page of the links listener, as a browser does that follows nothing.
    pub async fn visit(&self, path: &str) -> plain::Answer {
        plain::get(self.links(), path, &[]).await
    }

    /// Asks for a page of the links listener as somebody in particular.
    pub async fn visit_as(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> plain::Answer {
        plain::send(self.links(), method, path, headers, Bytes::new()).await
    }

    /// Waits until every click that was acknowledged is in the database and counted.
    pub async fn settled(&self) {
        let spool = &self.running.spool;
        eventually("the spool is drained", async || spool.status().lag_records == 0).await;
        self.rolled().await;
    }

    /// Waits until all that is stored is counted.
    pub async fn rolled(&self) {
        let db = &self.env().db.api;
        let end = feed::settled(db).await.expect("the feed has an end");
        eventually("everything is counted", async || {
            rollup::counted(db).await.expect("the roller tells how far it is") >= end
        })
        .await;
    }

    /// Waits until all that happened is told to whoever wants it.
    pub async fn told(&self) {
        let db = &self.env().db.api;
        let end = feed::settled(db).await.expect("the feed has an end");
        let waiting = || outbox::Entity::find().filter(outbox::Column::ToldTime.is_null()).count(db);
        eventually("everything is told", async || {
            webhooks::told(db).await.expect("the stores answer") >= end
                && waiting().await.expect("the stores answer") == 0
        })
        .await;
    }

    /// Returns a connection of whoever owns the tables, for what the server's own role may not do.
    pub async fn owner_db(&self) -> DatabaseConnection {
        match &self.database {
            Some(database) => {
                sea_orm::Database::connect(database.owner_url()).await.expect("the owner gets in")
            }
            None => self.env().db.api.clone(),
        }
    }

    /// Waits until the server has looked at its stores.
    pub async fn eventually_up(&self) {
        eventually("the stores were looked at", async || {
            plain::json(&self.visit("/health").await)["database"]["state"] == "up"
        })
        .await;
    }

    /// Stops the server and removes what it kept.
    pub async fn stop(self) {
        canary::hear("metrics", &plain::get(self.ops(), "/metrics", &[]).await.text());
        self.running.stop().await;
        canary::expect_silence();
        drop(self.data);
        if let Some(database) = self.database {
            database.drop().await;
        }
    }
}

fn change(settings: &mut HashMap<String, String>, changes: &[(&str, &str)]) {
    for (name, value) in changes {
        settings.insert((*name).to_owned(), (*value).to_owned());
    }
}

async fn run(settings: &HashMap<String, String>, clock: &SettableClock, seed: u64) -> Running {
    let config = Config::from_lookup(&|name| settings.get(name).cloned()).expect("the settings are valid");
    if config.database.is_none() {
        sqlite::place_file(&config).await;
    }
    let ground = Ground { clock: Arc::new(clock.clone()), ids: Arc::new(Ids::seeded(seed)) };
    serve::start(config, ground).await.expect("the server starts")
}

/// Waits until something is so, for as long as a slow machine may take.
pub async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    within(Duration::from_secs(30), what, is_so).await;
}

/// Waits until something is so, and not longer than was promised.
pub async fn within(promised: Duration, what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < promised, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
