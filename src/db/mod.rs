//! The database: Postgres in production, an SQLite file in embedded mode, one set of entities for both.
//!
//! Four pools of their own, so that none can starve another: `api` for calls, `bulk` for files and batches, `lookup` for redirect misses, `drain`
//! for the spool. Connections to Postgres are made when first needed: a node starts, and redirects what it remembers, while
//! its database is away. On SQLite there is one more, of one connection, by which all transactions go that write: [`Db::writer`].

mod fault;
mod migrate;
mod role;
mod standby;

use std::time::Duration;

use sea_orm::{
    AccessMode, ConnectOptions, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use secrecy::{ExposeSecret as _, SecretString};

pub use self::fault::{Fault, fault};
pub use self::migrate::{Migration, migrate, status, verify};
pub use self::role::Role;
use self::standby::Standby;
use crate::config::Config;

/// The pools.
#[derive(Debug, Clone)]
pub struct Db {
    /// For calls.
    pub api: DatabaseConnection,
    /// For calls that keep a connection busy for long.
    pub bulk: DatabaseConnection,
    /// For redirect look-ups that no cache could answer.
    pub lookup: DatabaseConnection,
    /// For the spool's drain, and all else that nobody waits for.
    pub drain: DatabaseConnection,
    /// Where reports are read, if there is one.
    standby: Option<Standby>,
    /// What writes to SQLite; see [`Db::writer`].
    writer: Option<DatabaseConnection>,
}

/// Which database this is, for the few statements that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Production.
    Postgres,
    /// Embedded mode.
    Sqlite,
}

/// How long a redirect look-up waits for a connection, and how long its statement may run. A wait that ends also ends the
/// making of a new connection, which takes six round trips and a password hash: were it too short, a database some way off, or
/// a slow one, would never be reached at all. Visitors do not wait so long (`links/resolve.rs`).
const LOOKUP_ACQUIRE: Duration = Duration::from_millis(2500);
const LOOKUP_STATEMENT: Duration = Duration::from_millis(200);
/// How many times as long as others a bulk call waits for a connection: those before it take their time.
const BULK_PATIENCE: u32 = 5;
/// A drain batch may be large; nobody waits for it.
const DRAIN_STATEMENT: Duration = Duration::from_secs(30);
/// One each for the drain, what counts, what puts into messages and what delivers those, which all are at it without a pause under load.
const DRAIN_CONNECTIONS: u32 = 4;
/// A connection idle for longer than this is tried before it is used.
const TEST_IF_IDLE_FOR: Duration = Duration::from_secs(10);
const MAX_LIFETIME: Duration = Duration::from_mins(15);
/// How long an SQLite writer waits for the one before it.
const SQLITE_BUSY: Duration = Duration::from_secs(5);
/// After how many pages of 4 KiB what was written is carried from the log into the file: a page that many transactions write is carried once. By default
/// SQLite does it after 1,000, which is less than one batch of clicks.
const SQLITE_CHECKPOINT_PAGES: &str = "16000";
/// How many KiB of the file a connection remembers (a negative number: not pages). 2,000 is SQLite's default.
const SQLITE_CACHE: &str = "-2000";
const SQLITE_WRITER_CACHE: &str = "-65536";
/// How long opening the file may take.
const SQLITE_OPEN: Duration = Duration::from_secs(10);

impl Db {
    /// Opens the pools; connections are made when they are needed. Only a wrong URL fails.
    pub async fn open(config: &Config) -> Result<Self, DbErr> {
        let pools = &config.pools;
        let (api, bulk, lookup, drain) = (
            Pool {
                min: pools.min,
                max: pools.max,
                acquire: pools.acquire_timeout,
                statement: pools.statement_timeout,
            },
            Pool {
                min: 0,
                max: pools.bulk_max,
                acquire: pools.acquire_timeout * BULK_PATIENCE,
                statement: pools.statement_timeout,
            },
            Pool { min: 0, max: pools.lookup_max, acquire: LOOKUP_ACQUIRE, statement: LOOKUP_STATEMENT },
            Pool {
                min: 0,
                max: DRAIN_CONNECTIONS,
                acquire: pools.acquire_timeout,
                statement: DRAIN_STATEMENT,
            },
        );
        let url = config.database.as_ref().map(|database| &database.url);
        let standby = match config.database.as_ref().and_then(|database| database.standby.as_ref()) {
            None => None,
            Some(standby) => {
                // One that is away costs a report no more than it is worth.
                let acquire = pools.acquire_timeout;
                let pool = Pool { min: 0, max: pools.max, acquire, statement: pools.statement_timeout };
                let pool = connect(config, Some(&standby.url), "reports", pool).await?;
                Some(Standby::new(pool, standby.max_lag))
            }
        };
        let writer = match url {
            Some(_) => None,
            None => Some(connect(config, url, "writer", Pool { min: 0, max: 1, ..drain }).await?),
        };
        Ok(Self {
            api: connect(config, url, "api", api).await?,
            bulk: connect(config, url, "bulk", bulk).await?,
            lookup: connect(config, url, "lookup", lookup).await?,
            drain: connect(config, url, "drain", drain).await?,
            standby,
            writer,
        })
    }

    /// Returns the same with the connections of bulk calls where those of others were.
    #[must_use]
    pub fn for_bulk(&self) -> Self {
        Self { api: self.bulk.clone(), ..self.clone() }
    }

    /// Returns the same with the drain's connections where those of calls were.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { api: self.drain.clone(), ..self.clone() }
    }

    /// Returns the connections that reports are read with: those of the standby while there is a good one, else those of calls. Whatever
    /// is read there may be some seconds old, and is never the ground for a write.
    pub async fn for_reports(&self) -> DatabaseConnection {
        match &self.standby {
            Some(standby) => standby.or(&self.api).await,
            None => self.api.clone(),
        }
    }

    /// Says which database this is.
    pub fn dialect(&self) -> Dialect {
        dialect(self.api.get_database_backend())
    }

    /// Returns what transactions write by that would else use this pool: on SQLite one connection for all of them, first come, first served. A
    /// writer of SQLite that finds another at work sleeps for up to a tenth of a second between looks, so that of many some came last
    /// again and again, and of two that always had something to write each slept while the file was free. And what a connection remembers of the
    /// file is worth nothing once another has written.
    pub fn writer<'a>(&'a self, pool: &'a DatabaseConnection) -> &'a DatabaseConnection {
        self.writer.as_ref().unwrap_or(pool)
    }

    /// Begins a transaction that will write. Nothing else than statements happens until its commit.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_on(&self.api).await
    }

    /// The same on another pool.
    pub async fn begin_on(&self, pool: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
        begin(self.writer(pool)).await
    }
}

/// Names a backend as we call it.
pub fn dialect(backend: DbBackend) -> Dialect {
    if backend == DbBackend::Postgres { Dialect::Postgres } else { Dialect::Sqlite }
}

/// Begins a transaction that will write a little, for a visitor, who does not wait in line. On SQLite it takes the write lock at once: a
/// reader that becomes a writer half-way fails at once when another came first, whatever the busy timeout says.
pub async fn begin(pool: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    pool.begin_with_options(TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    })
    .await
}

/// Begins a transaction that only reads, and sees the database as it is at its first statement.
pub async fn begin_snapshot(pool: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    match dialect(pool.get_database_backend()) {
        Dialect::Postgres => {
            pool.begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)).await
        }
        // Every transaction of SQLite is one.
        Dialect::Sqlite => pool.begin().await,
    }
}

struct Pool {
    min: u32,
    max: u32,
    acquire: Duration,
    statement: Duration,
}

async fn connect(
    config: &Config,
    url: Option<&SecretString>,
    name: &str,
    mut pool: Pool,
) -> Result<DatabaseConnection, DbErr> {
    if url.is_none() {
        // A connection here is a file to open: what takes long is the disk, and no other one would be faster.
        pool.acquire = pool.acquire.max(SQLITE_OPEN);
    }
    let mut options = if let Some(url) = url {
        let mut options = ConnectOptions::new(url.expose_secret());
        options
            .set_application_name(format!("linkforty-{name}"))
            .statement_timeout(pool.statement)
            // Our statements are short: compiling one takes longer than running it.
            .map_sqlx_postgres_opts(|options| options.options([("jit", "off")]))
            .test_before_acquire(false)
            .test_before_acquire_if_idle_for(TEST_IF_IDLE_FOR)
            .max_lifetime(MAX_LIFETIME);
        options
    } else {
        let mut options =
            ConnectOptions::new(format!("sqlite://{}?mode=rwc", config.sqlite_file().display()));
        let cache = if name == "writer" { SQLITE_WRITER_CACHE } else { SQLITE_CACHE };
        options.test_before_acquire(false).map_sqlx_sqlite_opts(move |options| {
            use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
            options
                .journal_mode(SqliteJournalMode::Wal)
                // The spool forgets what the database has confirmed, so a confirmation must survive a power cut.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(SQLITE_BUSY)
                .foreign_keys(true)
                .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT_PAGES)
                .pragma("cache_size", cache)
        });
        options
    };
    options
        .min_connections(pool.min.min(pool.max))
        .max_connections(pool.max)
        .acquire_timeout(pool.acquire)
        .connect_timeout(pool.acquire)
        // Postgres may be away when a node starts; opening a file on a slow disk may take longer than a call would wait.
        .connect_lazy(true)
        .sqlx_logging(false);
    sea_orm::Database::connect(options).await
}
