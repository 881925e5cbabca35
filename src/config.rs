//! Settings: read once, checked once, typed.
//!
//! They come from environment variables through a lookup that is passed in, so tests need no environment. Every
//! problem is reported at once, each with what to do. A secret `NAME` may also be given as a file through `NAME_FILE`.

mod acme;
mod apple;
mod network;
mod people;
mod reader;
mod refusals;
mod secrets;
#[cfg(test)]
mod tests;

use std::{fmt, iter, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use self::reader::Reader;
pub use self::{
    acme::{Acme, Proof},
    apple::P256Key,
    network::{Calls, ClientAuthorities, Limits, Outbound, Tls, Webhooks},
    people::{Mail, Oidc, Security, Sessions, Smtp, is_loopback},
    refusals::Risk,
    secrets::{Secrets, ed25519_keys},
};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether this is production, where nothing is made up and nothing weak is accepted.
    pub stage: Stage,
    /// What production would refuse and the operator takes upon themselves.
    pub accepted_risks: Vec<Risk>,
    /// Where the spool, the embedded database and the embedded secrets live.
    pub data_dir: PathBuf,
    /// The addresses to listen on.
    pub listen: Listen,
    /// How the public reaches the links listener; short URLs start with it.
    pub links_url: Url,
    /// Further hosts that are the links listener's own, in lower case; `*` stands for every host that is no domain of a workspace.
    pub links_hosts: Vec<String>,
    /// What the DNS records of domains lead to: names and addresses; at least one.
    pub domain_targets: Vec<String>,
    /// Name servers to ask; none: those of the machine.
    pub dns_servers: Vec<SocketAddr>,
    /// Where the dashboard is served from: the origins that browsers may call the API from.
    pub frontend_urls: Vec<Url>,
    /// The Postgres database; `None` means embedded mode, on SQLite in `data_dir`.
    pub database: Option<Database>,
    /// Pool sizes and timeouts, for either database.
    pub pools: Pools,
    /// The Redis server; `None` means in-process cache, limits and fan-out.
    pub redis: Option<Redis>,
    /// The secrets; `None` only outside production, where they are made at first start and kept in `data_dir`.
    pub secrets: Option<Secrets>,
    /// Rate limits.
    pub limits: Limits,
    /// How much work there is at once.
    pub calls: Calls,
    /// How long people stay signed in.
    pub sessions: Sessions,
    /// Signing in by another server; `None`: nobody does.
    pub oidc: Option<Oidc>,
    /// The domain that passkeys are for; `None`: the host of the first dashboard.
    pub webauthn_rp_id: Option<String>,
    /// Mail to people.
    pub mail: Mail,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether those proxies say, in `x-lf-bot`, which visits are made by bots.
    pub trust_edge_bot_header: bool,
    /// The MaxMind-format file that countries are looked up in.
    pub geoip_file: Option<PathBuf>,
    /// A file of networks whose addresses too many people share to tell anybody by.
    pub shared_networks_file: Option<PathBuf>,
    /// A key that is believed as Apple's are; never in production.
    pub apple_stand_in_key: Option<P256Key>,
    /// How long an app waits for the answer to its install before it is told to ask again.
    pub install_budget: Duration,
    /// How many installs, and how many events, one report looks at where no rollup has the answer.
    pub report_max_rows: usize,
    /// Calls to URLs that strangers gave.
    pub outbound: Outbound,
    /// Where Apple Ads says what the tokens of installs stand for.
    pub adservices_url: String,
    /// Telling webhook endpoints.
    pub webhooks: Webhooks,
    /// Certificate and key of the links and API listeners; `None` means plain text behind a proxy.
    pub tls: Option<Tls>,
    /// The authority that certificates are got from; `None`: nobody gets any.
    pub acme: Option<Acme>,
    /// Logging.
    pub log: Log,
    /// The spool.
    pub spool: Spool,
    /// The cache of links.
    pub cache: Cache,
    /// Stopping.
    pub shutdown: Shutdown,
    /// How much of what a workspace may have of which the operator says nothing else.
    pub quotas: Quotas,
    /// The first owner's e-mail.
    pub owner_email: String,
    /// Every setting with its effective value, secrets masked, for `linkforty config`.
    pub entries: Vec<Entry>,
}

/// Whether this is production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Real users: everything must be set and strong.
    Production,
    /// Somebody's own machine, a demonstration, a test.
    Development,
}

/// The three listeners.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Redirects and what visitors' devices call.
    pub links: SocketAddr,
    /// What is asked in plain text, by way of port 80: proofs for certificates, and visitors who are sent on to `https://`.
    pub plain: Option<SocketAddr>,
    /// gRPC and grpc-web for people and services.
    pub api: SocketAddr,
    /// Metrics, verbose health, reflection. Loopback or a private network.
    pub ops: SocketAddr,
    /// How many connections each listener holds at the most.
    pub max_connections: usize,
}

/// Where Postgres is.
#[derive(Debug, Clone)]
pub struct Database {
    /// `postgres://user:password@host/database`.
    pub url: SecretString,
    /// A standby of it that reports are read from.
    pub standby: Option<Standby>,
}

/// Where a standby of Postgres is.
#[derive(Debug, Clone)]
pub struct Standby {
    /// `postgres://user:password@host/database`.
    pub url: SecretString,
    /// How far behind it may be to be read from.
    pub max_lag: Duration,
}

/// Pool sizes and timeouts.
#[derive(Debug, Clone)]
pub struct Pools {
    /// Connections kept open.
    pub min: u32,
    /// Connections at the most, for the API.
    pub max: u32,
    /// Connections at the most, for redirect look-ups alone, so that slow API queries cannot starve them.
    pub lookup_max: u32,
    /// Connections at the most, for files and batches alone, so that those cannot starve other calls.
    pub bulk_max: u32,
    /// How long an API call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement of an API call may run.
    pub statement_timeout: Duration,
}

/// Where Redis is.
#[derive(Debug, Clone)]
pub struct Redis {
    /// `redis://`, `rediss://`, `redis-sentinel://` or `redis-cluster://`.
    pub url: SecretString,
    /// What every key and channel starts with.
    pub prefix: String,
    /// How long a cache look-up may take.
    pub timeout: Duration,
}

/// How logs look.
#[derive(Debug, Clone)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a tracing filter.
    pub level: String,
    /// JSON or text.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For eyes.
    Text,
    /// Text on a terminal, else JSON.
    Auto,
}

/// Bounds of the spool.
#[derive(Debug, Clone)]
pub struct Spool {
    /// Bytes it may hold.
    pub max_bytes: u64,
    /// Bytes it leaves free on its disk.
    pub min_free_bytes: u64,
    /// Bytes of one segment file.
    pub segment_bytes: u64,
    /// What to do with a visitor whose click cannot be recorded.
    pub full_policy: FullPolicy,
}

/// What to do with a visitor whose click cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullPolicy {
    /// Send them on and count the click as unrecorded.
    RedirectUnrecorded,
    /// Answer 503.
    Refuse,
}

/// How long a link is believed.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Links held in the process.
    pub entries: usize,
    /// After this a hit refreshes the entry in the background.
    pub soft_ttl: Duration,
    /// After this a hit waits for a fresh answer.
    pub max_stale: Duration,
    /// Until then an entry is still used while no store answers.
    pub max_stale_if_error: Duration,
    /// How long an unknown code is remembered as unknown.
    pub negative_ttl: Duration,
    /// How long Redis keeps an entry.
    pub shared_ttl: Duration,
}

/// How much of what a workspace may have; 0: as many as anybody likes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Links, aliases not counted.
    pub links: u64,
    /// Members.
    pub members: u64,
    /// API keys that are good.
    pub api_keys: u64,
    /// Domains.
    pub domains: u64,
    /// Apps.
    pub apps: u64,
    /// Clicks of people in a calendar month. Only told; no visitor is turned away for it.
    pub clicks_per_month: u64,
}

/// How a node stops.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// How long it goes on accepting after it has said that it is leaving, for the balancer to notice.
    pub delay: Duration,
    /// After this, counted from the signal, everything still open is cut.
    pub deadline: Duration,
}

/// One line of `linkforty config`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The variable.
    pub name: &'static str,
    /// Its effective value; `***` for a secret that is set.
    pub value: String,
    /// Where the value comes from: `environment`, `file` or `default`.
    pub origin: &'static str,
}

/// Why the settings cannot be used: every problem, each with what to do.
#[derive(Debug)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Config {
    /// Reads the settings from the process's environment.
    pub fn from_env() -> Result<Self, Problems> {
        Self::from_env_and(&|_| None)
    }

    /// Reads the settings from the command line, as far as `first` knows them, and from the process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn from_env_and(first: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        Self::from_lookup(&|name| first(name).or_else(|| std::env::var(name).ok()))
    }

    /// Reads the settings through `lookup`.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut read = Reader { lookup, entries: Vec::new(), problems: Vec::new(), refusals: Vec::new() };

        let database = read.secret("DATABASE_URL");
        let standby = read.secret("DATABASE_READ_URL");
        let standby_lag = read.seconds("DATABASE_READ_MAX_LAG_SECONDS", "30");
        let default_stage = if database.is_some() { "production" } else { "development" };
        let stage_name =
            lookup("APP_ENV").or_else(|| lookup("NODE_ENV")).unwrap_or_else(|| default_stage.into());
        read.note("APP_ENV", &stage_name, lookup("APP_ENV").is_some() || lookup("NODE_ENV").is_some());
        let stage = match stage_name.as_str() {
            "production" => Stage::Production,
            "development" | "test" | "staging" => Stage::Development,
            other => {
                read.problem(format!("APP_ENV is {other:?}: it must be production or development"));
                Stage::Production
            }
        };
        let production = stage == Stage::Production;
        let accepted_risks = read.accepted_risks();

        let data_dir = PathBuf::from(read.text("DATA_DIR", "./data"));
        let listen = Listen {
            links: read.parse("LINKS_ADDR", "0.0.0.0:8080", "an address such as 0.0.0.0:8080"),
            plain: read.optional("LINKS_HTTP_ADDR", "an address such as 0.0.0.0:80"),
            api: read.parse("API_ADDR", "0.0.0.0:8081", "an address such as 0.0.0.0:8081"),
            ops: read.parse("OPS_ADDR", "127.0.0.1:9464", "an address such as 127.0.0.1:9464"),
            max_connections: read.parse("MAX_CONNECTIONS", "10000", "a number"),
        };
        let links_url = read.url("LINKS_URL", &format!("http://localhost:{}", listen.links.port()));
        let (links_hosts, domain_targets) = (read.hosts("LINKS_HOSTS", ""), {
            let own = links_url.host_str().unwrap_or("localhost").to_owned();
            read.hosts("DOMAIN_TARGETS", &own)
        });
        let dns_servers = read.text("DNS_SERVERS", "");
        let dns_servers = read.servers("DNS_SERVERS", &dns_servers);
        let frontend = read.text("FRONTEND_URL", if production { "" } else { "http://localhost:8081" });
        let frontend_urls = read.urls("FRONTEND_URL", &frontend);
        let pools = Pools {
            min: read.parse("DATABASE_POOL_MIN", "2", "a number"),
            max: read.parse("DATABASE_POOL_MAX", "10", "a number"),
            lookup_max: read.parse("DATABASE_POOL_LOOKUP_MAX", "4", "a number"),
            bulk_max: read.parse("DATABASE_POOL_BULK_MAX", "4", "a number"),
            acquire_timeout: read.millis("DATABASE_ACQUIRE_TIMEOUT_MS", "2000"),
            statement_timeout: read.millis("DATABASE_STATEMENT_TIMEOUT_MS", "10000"),
        };
        let redis_url = read.secret("REDIS_URL");
        if let Some(Ok(url)) = redis_url.as_ref().map(|url| Url::parse(url.expose_secret())) {
            read.refusals.extend(refusals::of_redis(&url).map(|(risk, says)| (Some(risk), says)));
        }
        let redis_prefix = read.text("REDIS_PREFIX", "linkforty");
        let redis_timeout = read.millis("REDIS_TIMEOUT_MS", "20");
        let redis = redis_url.map(|url| Redis { url, prefix: redis_prefix, timeout: redis_timeout });
        let limits = read.limits(production);
        let calls = read.calls(&pools);
        let sessions = read.sessions();
        let oidc = read.oidc(stage);
        let webauthn_rp_id = read.rp_id(&frontend_urls);
        let mail = read.mail(production);
        let proxies = read.text("TRUSTED_PROXIES", "");
        let trusted_proxies = read.list("TRUSTED_PROXIES", &proxies, "a network such as 10.0.0.0/8");
        let trust_edge_bot_header = read.flag("TRUST_EDGE_BOT_HEADER", false);
        let apple_stand_in_key = read.apple_stand_in_key(production);
        let install_budget = read.millis("INSTALL_BUDGET_MS", "300");
        let report_max_rows = read.parse("REPORT_MAX_ROWS", "1000000", "a number");
        let shared_networks_file =
            Some(read.text("SHARED_NETWORKS_FILE", "")).filter(|file| !file.is_empty());
        let shared_networks_file = shared_networks_file.map(PathBuf::from);
        let geoip_file = Some(read.text("GEOIP_FILE", "")).filter(|file| !file.is_empty()).map(PathBuf::from);
        let outbound = read.outbound();
        let adservices_url = read.text("APPLE_ADSERVICES_URL", "https://api-adservices.apple.com/api/v1/");
        let webhooks = read.webhooks();
        let tls = read.tls();
        let acme = read.acme(stage, &links_url, &listen);
        let log = Log {
            level: read.text("LOG_LEVEL", "info"),
            format: match read.text("LOG_FORMAT", "auto").as_str() {
                "json" => LogFormat::Json,
                "text" => LogFormat::Text,
                "auto" => LogFormat::Auto,
                other => {
                    read.problem(format!("LOG_FORMAT is {other:?}: it must be json, text or auto"));
                    LogFormat::Auto
                }
            },
        };
        let spool = Spool {
            max_bytes: read.parse("SPOOL_MAX_BYTES", "8589934592", "a number of bytes"),
            min_free_bytes: read.parse("SPOOL_MIN_FREE_BYTES", "1073741824", "a number of bytes"),
            segment_bytes: read.parse("SPOOL_SEGMENT_BYTES", "67108864", "a number of bytes"),
            full_policy: match read.text("SPOOL_FULL_POLICY", "redirect_unrecorded").as_str() {
                "redirect_unrecorded" => FullPolicy::RedirectUnrecorded,
                "refuse_503" => FullPolicy::Refuse,
                other => {
                    read.problem(format!(
                        "SPOOL_FULL_POLICY is {other:?}: it must be redirect_unrecorded or refuse_503"
                    ));
                    FullPolicy::RedirectUnrecorded
                }
            },
        };
        let cache = Cache {
            entries: read.parse("CACHE_ENTRIES", "100000", "a number of links"),
            soft_ttl: read.seconds("CACHE_SOFT_TTL_SECONDS", "30"),
            max_stale: read.seconds("CACHE_MAX_STALE_SECONDS", "900"),
            max_stale_if_error: read.seconds("CACHE_MAX_STALE_IF_ERROR_SECONDS", "86400"),
            negative_ttl: read.seconds("CACHE_NEGATIVE_TTL_SECONDS", "10"),
            shared_ttl: read.seconds("CACHE_SHARED_TTL_SECONDS", "600"),
        };
        let shutdown = Shutdown {
            delay: read.millis("SHUTDOWN_DELAY_MS", if production { "5000" } else { "0" }),
            deadline: read.seconds("SHUTDOWN_DEADLINE_SECONDS", "28"),
        };
        let quotas = Quotas {
            links: read.parse("QUOTA_LINKS", "0", "a number, or 0 for as many as anybody likes"),
            members: read.parse("QUOTA_MEMBERS", "0", "a number, or 0 for as many as anybody likes"),
            api_keys: read.parse("QUOTA_API_KEYS", "0", "a number, or 0 for as many as anybody likes"),
            domains: read.parse("QUOTA_DOMAINS", "0", "a number, or 0 for as many as anybody likes"),
            apps: read.parse("QUOTA_APPS", "0", "a number, or 0 for as many as anybody likes"),
            clicks_per_month: read.parse(
                "QUOTA_CLICKS_PER_MONTH",
                "0",
                "a number, or 0 for as many as anybody likes",
            ),
        };
        let owner_email = read.text("OWNER_EMAIL", "owner@localhost");
        let secrets = read.secrets(production);

        if pools.min > pools.max || pools.max == 0 || pools.lookup_max == 0 || pools.bulk_max == 0 {
            read.problem("DATABASE_POOL_MIN must not exceed DATABASE_POOL_MAX, and no pool may be empty");
        }
        if trust_edge_bot_header && trusted_proxies.is_empty() {
            read.problem("TRUST_EDGE_BOT_HEADER=true, but TRUSTED_PROXIES is not set: name the networks of the proxies that write x-lf-bot");
        }
        if shutdown.deadline <= shutdown.delay {
            read.problem("SHUTDOWN_DEADLINE_SECONDS must be longer than SHUTDOWN_DELAY_MS");
        }
        if production {
            if database.is_none() {
                read.problem("DATABASE_URL is not set: production runs on Postgres; set it, or APP_ENV=development for embedded mode");
            }
            if lookup("LINKS_URL").is_none_or(|url| url.is_empty()) {
                read.problem("LINKS_URL is not set: name the address that short links begin with, such as https://go.example.com");
            }
            if frontend_urls.is_empty() {
                read.problem("FRONTEND_URL is not set: name the origins that the dashboard is served from, such as https://dash.example.com");
            }
        }
        if standby.is_some() && database.is_none() {
            read.problem("DATABASE_READ_URL is set, but DATABASE_URL is not: a standby stands by a Postgres");
        }
        let standby = standby
            .and_then(|url| read.postgres("DATABASE_READ_URL", url, secrets.as_ref(), production))
            .map(|url| Standby { url, max_lag: standby_lag });
        let database =
            database.and_then(|url| read.postgres("DATABASE_URL", url, secrets.as_ref(), production));
        let database = database.map(|url| Database { url, standby });
        for url in iter::once(&links_url).chain(&frontend_urls).filter(|_| production) {
            let name = if *url == links_url { "LINKS_URL" } else { "FRONTEND_URL" };
            read.problems.extend(refusals::of_origin(name, url));
        }
        if production {
            read.refuse(&accepted_risks);
        }

        let Reader { entries, problems, .. } = read;
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self {
            stage,
            accepted_risks,
            data_dir,
            listen,
            links_url,
            links_hosts,
            domain_targets,
            dns_servers,
            frontend_urls,
            database,
            pools,
            redis,
            secrets,
            limits,
            calls,
            sessions,
            oidc,
            webauthn_rp_id,
            mail,
            trusted_proxies,
            trust_edge_bot_header,
            geoip_file,
            shared_networks_file,
            apple_stand_in_key,
            install_budget,
            report_max_rows,
            outbound,
            adservices_url,
            webhooks,
            tls,
            acme,
            log,
            spool,
            cache,
            shutdown,
            quotas,
            owner_email,
            entries,
        })
    }

    /// Says whether people come over HTTPS, to this server or to the proxy before it.
    pub fn is_reached_by_https(&self) -> bool {
        self.links_url.scheme() == "https"
    }

    /// Returns the file of the embedded database.
    pub fn sqlite_file(&self) -> PathBuf {
        self.data_dir.join("linkforty.db")
    }

    /// Returns the directory of this node's spool.
    pub fn spool_dir(&self) -> PathBuf {
        self.data_dir.join("spool")
    }

    /// Returns the short URL of a code: on the server's own host, or on another one, which is reached by the same scheme and port.
    pub fn short_url(&self, host: Option<&str>, code: &str) -> String {
        match host {
            None => format!("{}/{code}", self.links_url.as_str().trim_end_matches('/')),
            Some(host) => {
                let port = self.links_url.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{host}{port}/{code}", self.links_url.scheme())
            }
        }
    }

    /// Returns the host of short URLs, with its port when it is not the scheme's own.
    pub fn links_host(&self) -> String {
        let host = self.links_url.host_str().unwrap_or("localhost");
        self.links_url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}
