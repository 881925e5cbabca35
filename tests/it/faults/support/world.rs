//! A node, the stores it works on, a few links in them and a key to make more.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use linkforty::pb::v1::{
    CreateLinkRequest, DeleteLinkRequest, Link, UpdateLinkRequest, link_service_client::LinkServiceClient,
};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

use super::{
    ALONE, Book, Books, Ledger, Line, Load, Node, random,
    servers::{Postgres, Redis},
    variable, within,
};
use crate::support::{Bearer, Store};

/// Everything that one test breaks.
pub struct World {
    /// What the node keeps its things in.
    pub store: Store,
    /// The node.
    pub node: Node,
    /// Its PostgreSQL; none when embedded.
    pub postgres: Option<Postgres>,
    /// Its Redis; none when embedded.
    pub redis: Option<Redis>,
    /// The links that visitors follow.
    pub links: Vec<Link>,
    settings: Vec<(String, String)>,
    key: String,
}

const LINKS: usize = 5;

/// Runs a test embedded and, where the programs are, on a Postgres and a Redis of its own; one at a time.
pub async fn on_every_store(settings: &[(&str, &str)], test: impl AsyncFn(&mut World)) {
    let _alone = ALONE.lock().await;
    for store in [Store::Embedded, Store::Production] {
        run(store, settings, &test).await;
    }
}

/// Runs a test on a Postgres and a Redis of its own, one at a time.
pub async fn on_production(settings: &[(&str, &str)], test: impl AsyncFn(&mut World)) {
    let _alone = ALONE.lock().await;
    run(Store::Production, settings, &test).await;
}

async fn run(store: Store, settings: &[(&str, &str)], test: &impl AsyncFn(&mut World)) {
    let Some(mut world) = World::begin(store, settings).await else { return };
    let outcome = AssertUnwindSafe(test(&mut world)).catch_unwind().await;
    if let Err(panic) = outcome {
        eprintln!("this was on {store}");
        // Dropped while we panic, so that the node's output is shown.
        let _world = world;
        std::panic::resume_unwind(panic);
    }
}

impl World {
    async fn begin(store: Store, changes: &[(&str, &str)]) -> Option<Self> {
        let mut settings = Vec::new();
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        let (mut postgres, mut redis) = (None, None);
        if store == Store::Production {
            (postgres, redis) = (Postgres::begin().await, Redis::begin().await);
            let (Some(postgres), Some(redis)) = (&postgres, &redis) else {
                let must = variable("LINKFORTY_TEST_REQUIRE_STORES").as_deref() == Some("1");
                assert!(
                    !must,
                    "LINKFORTY_TEST_PG_BIN or LINKFORTY_TEST_REDIS_SERVER is not set: use tests/services.sh"
                );
                eprintln!(
                    "SKIPPED on {store}: LINKFORTY_TEST_PG_BIN or LINKFORTY_TEST_REDIS_SERVER is not set"
                );
                return None;
            };
            set("APP_ENV", "production".to_owned());
            // Its Postgres is the test's own, superuser and all.
            set("ACCEPTED_RISKS", "database_superuser".to_owned());
            set("DATABASE_URL", postgres.url());
            set("REDIS_URL", redis.url());
            for name in ["JWT_SECRET", "SESSION_SECRET"] {
                set(name, random::<32>().iter().map(|byte| format!("{byte:02x}")).collect());
            }
        }
        for (name, value) in changes {
            set(name, (*value).to_owned());
        }
        let node = Node::new(settings.iter().cloned());
        node.run(&["migrate", "up"]);
        node.run(&["user", "bootstrap"]);
        let scopes = "links.read,links.write";
        let key = node.run(&["key", "create", "--name", "faults", "--scopes", scopes, "--secret-only"]);
        let mut world = Self { store, node, postgres, redis, links: Vec::new(), settings, key };
        world.node.start().await;
        for number in 0..LINKS {
            let link = world.create(&format!("https://shop.example.com/{number}")).await;
            assert_eq!(world.visit(&link).await, 302);
            world.links.push(link);
        }
        Some(world)
    }

    /// Starts another node on the same stores, with settings of its own.
    pub async fn another_node(&self, changes: &[(&str, &str)]) -> Node {
        let changes = changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut node = Node::new(self.settings.iter().cloned().chain(changes));
        node.start().await;
        node
    }

    /// Begins a load on the links of this world. Then every link is warm.
    pub async fn load(&self, load: Load) -> Ledger {
        self.load_on(&self.node, load).await
    }

    /// Begins a load on the same links at a node.
    pub async fn load_on(&self, node: &Node, load: Load) -> Ledger {
        let codes: Vec<String> = self.links.iter().map(|link| link.short_code.clone()).collect();
        let ledger = Ledger::open(node.links, &codes, load);
        within(Duration::from_secs(10), "visits are answered", async || ledger.answered() > 100).await;
        ledger
    }

    /// Follows a link once and returns the status. The clicks of such visits are told apart from those of a load by nobody:
    /// see [`World::forget_clicks`].
    pub async fn visit(&self, link: &Link) -> u16 {
        visit(&self.node, &link.short_code).await
    }

    /// Waits until everything acknowledged should be stored, then checks it against the ledger.
    pub async fn assert_balanced(&self, book: &Book) {
        eprintln!("{}: {book}", self.store);
        self.rolled().await;
        self.books().await.assert_balanced(book);
    }

    /// Waits until everything acknowledged is stored and counted.
    pub async fn rolled(&self) {
        self.node.drained().await;
        let behind = "feed WHERE seq > (SELECT seq FROM roll_progress)";
        within(Duration::from_secs(60), "everything is counted", async || self.count(behind).await == 0)
            .await;
    }

    /// Reads the database.
    pub async fn books(&self) -> Books {
        Books::read(&self.database()).await
    }

    /// Forgets the clicks so far: those of a test's own visits stand in no ledger.
    pub async fn forget_clicks(&self) {
        self.rolled().await;
        for table in ["clicks", "rollups", "link_totals", "dead_letters"] {
            super::books::execute(&self.database(), &format!("DELETE FROM {table}")).await;
        }
    }

    /// Counts the rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        super::books::count(&self.database(), table).await
    }

    /// Runs one statement on the database.
    pub async fn execute(&self, sql: &str) {
        super::books::execute(&self.database(), sql).await;
    }

    /// Makes spool and database forget how far the spool was drained.
    pub async fn forget_progress(&self) {
        std::fs::remove_file(self.node.spool().join("checkpoint")).expect("there is a checkpoint");
        super::books::execute(&self.database(), "DELETE FROM spool_progress").await;
    }

    /// Returns the address of the database.
    pub fn database(&self) -> String {
        match &self.postgres {
            Some(postgres) => postgres.url(),
            None => format!("sqlite://{}", self.node.data().join("linkforty.db").display()),
        }
    }

    /// Makes a link.
    pub async fn create(&self, destination: &str) -> Link {
        self.create_link(Link { destination_url: destination.to_owned(), ..Link::default() }).await
    }

    /// Makes a link of some sort.
    pub async fn create_link(&self, link: Link) -> Link {
        let request = CreateLinkRequest { link: Some(link), ..CreateLinkRequest::default() };
        let created = self.api().create_link(request).await.expect("the link is made");
        created.into_inner().link.expect("the answer holds it")
    }

    /// Sends a link's visitors elsewhere.
    pub async fn redirect(&self, link: &Link, destination: &str) {
        let link = Link { id: link.id.clone(), destination_url: destination.to_owned(), ..Link::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["destination_url".to_owned()] });
        let request = UpdateLinkRequest { link: Some(link), update_mask, ..UpdateLinkRequest::default() };
        self.api().update_link(request).await.expect("the link is changed");
    }

    /// Deletes a link.
    pub async fn delete(&self, link: &Link) {
        let request = DeleteLinkRequest { link_id: link.id.clone(), ..DeleteLinkRequest::default() };
        self.api().delete_link(request).await.expect("the link is deleted");
    }

    /// Takes the database away, whichever it is.
    pub async fn outage(&mut self) -> Outage {
        match &mut self.postgres {
            Some(postgres) => {
                postgres.stop();
                Outage(None)
            }
            None => {
                let mut connection =
                    SqliteConnection::connect(&self.database()).await.expect("the file opens");
                connection.execute("BEGIN IMMEDIATE").await.expect("nobody else writes for so long");
                Outage(Some(connection))
            }
        }
    }

    /// Gives it back.
    pub async fn end(&mut self, outage: Outage) {
        if let Some(connection) = outage.0 {
            connection.close().await.expect("the lock is given back");
        }
        if let Some(postgres) = &mut self.postgres {
            postgres.start().await;
        }
    }

    /// Returns the key that may read and write links.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns a client for that key. It connects when it is used.
    pub fn api(&self) -> LinkServiceClient<InterceptedService<Channel, Bearer>> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.node.api)).expect("a valid address");
        LinkServiceClient::with_interceptor(endpoint.connect_lazy(), Bearer(self.key.clone()))
    }
}

/// Postgres is stopped; or somebody else holds the write lock of the SQLite file, which then refuses the drain just as long.
pub struct Outage(Option<SqliteConnection>);

/// Follows a code at a node and returns the status.
pub async fn visit(node: &Node, code: &str) -> u16 {
    let mut line = Line::open(node.links).await.expect("the node accepts");
    line.get(&format!("/{code}")).await.expect("an answer").status
}
