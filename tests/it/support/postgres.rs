//! A database for each test, copied from a template that is migrated once.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use linkforty::db;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::sync::Mutex;
use url::Url;

/// The template of this process, once it is there. Copies are made one at a time: Postgres wants a template for itself.
static TEMPLATE: Mutex<Option<String>> = Mutex::const_new(None);
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A database of one test.
pub struct TestDatabase {
    server: Url,
    /// Its name; no other test has it.
    pub name: String,
}

impl TestDatabase {
    /// Copies the template.
    pub async fn create(server: &str) -> Self {
        let server = Url::parse(server).expect("LINKFORTY_TEST_DATABASE_URL is a URL");
        let mut template = TEMPLATE.lock().await;
        if template.is_none() {
            *template = Some(make_template(&server).await);
        }
        let template = template.as_deref().expect("it was just made");
        let name = format!("linkforty_test_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run(&server, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { server, name }
    }

    /// Returns the address of the database for the server: its role may read and write rows and nothing else.
    pub fn url(&self) -> String {
        self.signed_in_as("linkforty_app")
    }

    /// Returns the address for who owns the tables.
    pub fn owner_url(&self) -> String {
        self.signed_in_as("linkforty_owner")
    }

    fn signed_in_as(&self, role: &str) -> String {
        at(&as_role(&self.server, role), &self.name).to_string()
    }

    /// Removes it, whoever is still connected.
    pub async fn drop(self) {
        run(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
    }
}

/// What operators run.
const ROLES: &str = include_str!("../../../deploy/postgres-roles.sql");

async fn make_template(server: &Url) -> String {
    remove_leftovers(server).await;
    let name = format!("linkforty_test_template_{}", process::id());
    run(server, &format!("CREATE DATABASE {name}")).await;
    run(&at(server, &name), ROLES).await;
    let password = server.password().unwrap_or_default();
    for role in ["linkforty_owner", "linkforty_app"] {
        run(server, &format!("ALTER ROLE {role} PASSWORD '{password}'")).await;
    }
    let owner = at(&as_role(server, "linkforty_owner"), &name);
    let pool = sea_orm::Database::connect(owner.as_str()).await.expect("the template answers");
    db::migrate(&pool).await.expect("the migrations run");
    pool.close().await.expect("the template is left alone");
    name
}

/// Removes what test processes left behind that are gone.
async fn remove_leftovers(server: &Url) {
    let mut connection = PgConnection::connect(server.as_str()).await.expect("the test Postgres answers");
    let rows = connection
        .fetch_all("SELECT datname FROM pg_database WHERE datname LIKE 'linkforty\\_test\\_%'")
        .await
        .expect("databases can be listed");
    for name in rows.iter().map(|row| row.get::<String, _>(0)) {
        let process = name.trim_start_matches("linkforty_test_").trim_start_matches("template_");
        let process = process.split('_').next().unwrap_or_default();
        let lives = std::path::Path::new("/proc").join(process).exists();
        if !lives || process == process::id().to_string() {
            run(server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        }
    }
}

/// Signs in as somebody else, who has the same password in tests.
fn as_role(server: &Url, role: &str) -> Url {
    let mut url = server.clone();
    url.set_username(role).expect("there is a host");
    url
}

fn at(server: &Url, database: &str) -> Url {
    let mut url = server.clone();
    url.set_path(database);
    url
}

async fn run(server: &Url, sql: &str) {
    let mut connection = PgConnection::connect(server.as_str()).await.expect("the test Postgres answers");
    let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    statement.execute(&mut connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let _ = connection.close().await;
}
