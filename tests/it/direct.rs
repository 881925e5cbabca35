//! The rooms behind their generated clients, without sockets: an environment of its own for each test, on SQLite and, when
//! `LINKFORTY_TEST_DATABASE_URL` says where, on Postgres.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use linkforty::{
    analytics::AnalyticsApi,
    cache::{Away, Fanout, SharedCache, Signal, Topic},
    clock::{Clock as _, Moment, SettableClock},
    config::Config,
    db::{Db, migrate},
    entity::workspace,
    env::{Env, secrets},
    ids::{ApiKeyId, Ids, WorkspaceId},
    links::LinkApi,
    pb::v1::{
        CreateLinkRequest, Link, analytics_service_client::AnalyticsServiceClient,
        analytics_service_server::AnalyticsServiceServer, link_service_client::LinkServiceClient,
        link_service_server::LinkServiceServer,
    },
    rpc::{Caller, Permission},
};
use sea_orm::{ActiveModelTrait as _, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _};
use tokio::sync::broadcast;
use tonic::{Request, Status, service::interceptor::InterceptedService};
use tonic_types::StatusExt as _;

/// Puts the caller where the server's layer would.
#[derive(Debug, Clone)]
pub struct As(Caller);

impl tonic::service::Interceptor for As {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.extensions_mut().insert(self.0.clone());
        Ok(request)
    }
}

pub type Links = LinkServiceClient<InterceptedService<LinkServiceServer<LinkApi>, As>>;
pub type Analytics = AnalyticsServiceClient<InterceptedService<AnalyticsServiceServer<AnalyticsApi>, As>>;

/// One test's world.
pub struct App {
    pub env: Env,
    pub clock: SettableClock,
    pub fanout: Arc<Ears>,
    _data: tempfile::TempDir,
}

/// A tenant and who calls there.
#[derive(Clone)]
pub struct Tenant {
    pub id: WorkspaceId,
    pub links: Links,
    pub analytics: Analytics,
}

/// Runs a test on every store there is.
pub fn on_every_store<F: Future<Output = ()>>(test: impl Fn(App) -> F) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        test(App::start(None).await).await;
        if let Some(url) = postgres().await {
            test(App::start(Some(url)).await).await;
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "where the test's database is, is no setting of the server")]
async fn postgres() -> Option<String> {
    let url = std::env::var("LINKFORTY_TEST_DATABASE_URL").ok()?;
    let admin = sea_orm::Database::connect(&url).await.expect("the test's Postgres answers");
    let name = format!("links_{}", uuid::Uuid::from_bytes(Ids::from_os().bytes()).simple());
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database is made");
    let mut url = url::Url::parse(&url).expect("a URL");
    url.set_path(&name);
    Some(url.to_string())
}

impl App {
    pub async fn start(database: Option<String>) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let config = Config::from_lookup(&|name| match name {
            "APP_ENV" => Some("test".into()),
            "DATA_DIR" => Some(data.path().display().to_string()),
            "LINKS_URL" => Some("https://go.example.com".into()),
            "DATABASE_URL" => database.clone(),
            "DATABASE_ACQUIRE_TIMEOUT_MS" => Some("20000".into()),
            _ => None,
        })
        .expect("good settings");
        let clock = SettableClock::at("2026-11-22T10:20:30.123456Z".parse().expect("a moment"));
        let ids = Arc::new(Ids::from_os());
        let db = Db::open(&config).await.expect("the store opens");
        migrate(&db.api).await.expect("the schema is made");
        let secrets = secrets(&config, &ids).expect("secrets are made");
        let fanout = Arc::new(Ears::default());
        let shared = (Arc::new(NoCache) as Arc<dyn SharedCache>, fanout.clone() as Arc<dyn Fanout>);
        let env = Env::new(Arc::new(config), Arc::new(clock.clone()), ids, db, shared, secrets);
        Self { env, clock, fanout, _data: data }
    }

    /// Makes a workspace and an API key that may do everything there.
    pub async fn tenant(&self) -> Tenant {
        let now = self.now();
        let id = WorkspaceId::mint(&self.env.ids, now);
        let row = workspace::Model { id, name: "Acme".into(), create_time: now, update_time: now };
        let row = row.into_active_model().reset_all();
        workspace::Entity::insert(row).exec(&self.env.db.api).await.expect("a workspace is made");
        self.caller(id, Permission::ALL.to_vec())
    }

    pub fn caller(&self, id: WorkspaceId, scopes: Vec<Permission>) -> Tenant {
        let key = ApiKeyId::mint(&self.env.ids, self.now());
        let caller = As(Caller::ApiKey { id: key, workspace: id, scopes });
        let links = LinkServiceServer::new(LinkApi { env: self.env.clone() });
        let analytics = AnalyticsServiceServer::new(AnalyticsApi { env: self.env.clone() });
        Tenant {
            id,
            links: LinkServiceClient::new(InterceptedService::new(links, caller.clone())),
            analytics: AnalyticsServiceClient::new(InterceptedService::new(analytics, caller)),
        }
    }

    pub fn now(&self) -> Moment {
        self.clock.now()
    }
}

impl Tenant {
    /// Creates a link, as a user would.
    pub async fn create(&mut self, link: Link) -> Result<Link, Status> {
        let request = CreateLinkRequest { link: Some(link), ..CreateLinkRequest::default() };
        Ok(self.links.create_link(request).await?.into_inner().link.expect("the link"))
    }
}

/// A link to somewhere.
pub fn a_link() -> Link {
    Link { destination_url: "https://example.com/page".into(), ..Link::default() }
}

/// A link with that code.
pub fn coded(short_code: impl Into<String>) -> Link {
    Link { short_code: short_code.into(), ..a_link() }
}

/// A fresh request id.
pub fn request_id() -> String {
    uuid::Uuid::from_bytes(Ids::from_os().bytes()).to_string()
}

/// Returns the reason of a failure.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Returns the paths of the wrong fields.
pub fn wrong(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

#[derive(Debug)]
struct NoCache;

#[async_trait]
impl SharedCache for NoCache {
    async fn get(&self, _: &str) -> Result<Option<Bytes>, Away> {
        Err(Away)
    }
    async fn set(&self, _: &str, _: Bytes, _: Duration) -> Result<(), Away> {
        Err(Away)
    }
    async fn add(&self, _: &str, _: Bytes, _: std::time::Duration) -> Result<(), Away> {
        Err(Away)
    }
}

/// Hears what was published.
#[derive(Debug, Default)]
pub struct Ears(Mutex<Vec<Bytes>>);

impl Ears {
    /// Returns the domains and codes told since the last call.
    pub fn heard(&self) -> Vec<(String, String)> {
        let messages = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut heard = Vec::new();
        for message in messages {
            let text = std::str::from_utf8(&message).expect("text");
            heard.extend(pairs(text));
        }
        heard
    }
}

#[async_trait]
impl Fanout for Ears {
    async fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Away> {
        assert_eq!(topic, Topic::Links);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        Ok(())
    }
    fn subscribe(&self, _: Topic) -> broadcast::Receiver<Signal> {
        broadcast::channel(1).1
    }
}

/// Reads a message about changed links: two lines for each. The last one, alone, is the moment of the change.
pub fn pairs(message: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = message.lines().collect();
    lines.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}
