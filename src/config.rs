//! Settings: read once, checked once, typed.
//!
//! They come from environment variables through a lookup that is passed in, so tests need no environment. Every
//! problem is reported at once, each with what to do. A secret `NAME` may also be given as a file through `NAME_FILE`.

mod acme;
mod refusals;

use std::{
    fmt, fs, iter,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use ring::signature::Ed25519KeyPair;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use self::refusals::{MAKE_ONE, SHORTEST_SECRET, weakness};
pub use self::{
    acme::{Acme, Proof},
    refusals::Risk,
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
    /// How long an app waits for the answer to its install before it is told to ask again.
    pub install_budget: Duration,
    /// Calls to URLs that strangers gave.
    pub outbound: Outbound,
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

/// The secrets that everything else is derived from.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Signs access tokens.
    pub jwt: SecretString,
    /// What else is believed, while it is changed.
    pub jwt_previous: Option<SecretString>,
    /// Keys of the operator that sign access tokens instead, in PEM.
    pub jwt_keys: Option<SecretString>,
    /// Seals page tokens, hashes visitors.
    pub session: SecretString,
}

/// Rate limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Whether callers are limited at all.
    pub enabled: bool,
    /// Calls each API key, person or address may make in a minute.
    pub per_minute: u32,
    /// Passwords of links that each address may try in a minute, and links it may report.
    pub unlock_per_minute: u32,
}

/// How long people stay signed in.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// After so long without a refresh a session is over.
    pub idle_timeout: Duration,
    /// After so long it is over whatever happens.
    pub lifetime: Duration,
}

/// A server that says who people are, by OpenID Connect.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// What it calls itself, letter by letter.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What we show it.
    pub client_secret: SecretString,
    /// What people know it by.
    pub display_name: String,
    /// What it is asked for, `openid` among it.
    pub scopes: String,
    /// Whether whom it vouches for and nobody knows gets an account.
    pub create_accounts: bool,
    /// The domains that e-mails must be of, in lower case; none: any.
    pub allowed_email_domains: Vec<String>,
    /// Networks that are not on the public internet and in which it may be.
    pub allow_networks: Vec<IpNet>,
}

/// Mail to people.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The server that takes it; `None`: it is printed, in production nowhere.
    pub smtp: Option<Smtp>,
    /// Who it is from: an e-mail, or a name and an e-mail in angle brackets.
    pub from: String,
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// User and password.
    pub credentials: Option<(String, SecretString)>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From the first byte on.
    Tls,
    /// After `STARTTLS`, without which nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// Calls to URLs that strangers gave.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Networks that are not on the public internet and may be called all the same.
    pub allow_networks: Vec<IpNet>,
    /// Ports that may be called besides 443 (and 80 for `http://`, in development).
    pub allow_ports: Vec<u16>,
    /// PEM file with authorities whose certificates are believed besides those of the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long it may take to look a name up, to connect and to shake hands.
    pub connect_timeout: Duration,
    /// How long a call may take in all.
    pub timeout: Duration,
    /// Calls under way to one host at the most.
    pub max_per_host: u32,
}

/// Certificate files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// Whose certificates callers of the API may show instead of a secret.
    pub clients: Option<ClientAuthorities>,
}

/// Who vouches for callers of the API.
#[derive(Debug, Clone)]
pub struct ClientAuthorities {
    /// PEM file with the authorities.
    pub file: PathBuf,
    /// Whether nobody gets in without a certificate of theirs.
    pub required: bool,
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

/// An access token lives ten minutes.
const SHORTEST_SESSION: Duration = Duration::from_mins(15);
const LONGEST_SESSION: Duration = Duration::from_hours(365 * 24);

/// Reads Ed25519 keys from a PEM text, each a `PRIVATE KEY` (RFC 5958, as `openssl genpkey -algorithm ed25519` writes them), or says what
/// is wrong with it.
pub fn ed25519_keys(pem: &str) -> Result<Vec<Vec<u8>>, &'static str> {
    const WRONG: &str = "must hold Ed25519 keys in PEM, each between `-----BEGIN PRIVATE KEY-----` and `-----END PRIVATE KEY-----`";
    let keys: Result<Vec<Vec<u8>>, _> = PrivatePkcs8KeyDer::pem_slice_iter(pem.as_bytes())
        .map(|key| key.map(|key| key.secret_pkcs8_der().to_vec()).map_err(|_| WRONG))
        .collect();
    let keys = keys?;
    let good =
        !keys.is_empty() && keys.iter().all(|key| Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).is_ok());
    if good { Ok(keys) } else { Err(WRONG) }
}

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
        let limits = Limits {
            enabled: read.flag("RATE_LIMIT_ENABLED", production),
            per_minute: read.parse("RATE_LIMIT_MAX", "100", "a number of calls a minute"),
            unlock_per_minute: read.parse("RATE_LIMIT_UNLOCK_MAX", "10", "a number of attempts a minute"),
        };
        let sessions = read.sessions();
        let oidc = read.oidc(stage);
        let webauthn_rp_id = read.rp_id(&frontend_urls);
        let mail = read.mail(production);
        let proxies = read.text("TRUSTED_PROXIES", "");
        let trusted_proxies = read.list("TRUSTED_PROXIES", &proxies, "a network such as 10.0.0.0/8");
        let trust_edge_bot_header = read.flag("TRUST_EDGE_BOT_HEADER", false);
        let install_budget = read.millis("INSTALL_BUDGET_MS", "300");
        let shared_networks_file =
            Some(read.text("SHARED_NETWORKS_FILE", "")).filter(|file| !file.is_empty());
        let shared_networks_file = shared_networks_file.map(PathBuf::from);
        let geoip_file = Some(read.text("GEOIP_FILE", "")).filter(|file| !file.is_empty()).map(PathBuf::from);
        let outbound = read.outbound();
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

        if pools.min > pools.max || pools.max == 0 || pools.lookup_max == 0 {
            read.problem("DATABASE_POOL_MIN must not exceed DATABASE_POOL_MAX, and no pool may be empty");
        }
        if limits.enabled && (limits.per_minute == 0 || limits.unlock_per_minute == 0) {
            read.problem("RATE_LIMIT_MAX and RATE_LIMIT_UNLOCK_MAX must be at least 1; to limit nothing set RATE_LIMIT_ENABLED=false");
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
        let database = database.and_then(|url| read.database(url, secrets.as_ref(), production));
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
            sessions,
            oidc,
            webauthn_rp_id,
            mail,
            trusted_proxies,
            trust_edge_bot_header,
            geoip_file,
            shared_networks_file,
            install_budget,
            outbound,
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

/// Reads settings, remembers what they came to, and collects problems.
struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    entries: Vec<Entry>,
    problems: Vec<String>,
    /// What only production minds.
    refusals: Vec<(Option<Risk>, String)>,
}

impl Reader<'_> {
    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    fn note(&mut self, name: &'static str, value: &str, set: bool) {
        let origin = if set { "environment" } else { "default" };
        self.entries.push(Entry { name, value: value.to_owned(), origin });
    }

    /// An empty variable counts as unset: that is what compose files and unit files make of a missing one.
    fn find(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn text(&mut self, name: &'static str, default: &str) -> String {
        let found = self.find(name);
        let value = found.clone().unwrap_or_else(|| default.to_owned());
        self.note(name, &value, found.is_some());
        value
    }

    fn parse<T: FromStr>(&mut self, name: &'static str, default: &str, form: &str) -> T {
        let value = self.text(name, default);
        value.parse().unwrap_or_else(|_| {
            self.problem(format!("{name} is {value:?}: it must be {form}"));
            default.parse().unwrap_or_else(|_| unreachable!("the default of {name} has the right form"))
        })
    }

    fn optional<T: FromStr>(&mut self, name: &'static str, form: &str) -> Option<T> {
        let value = self.text(name, "");
        if value.is_empty() {
            return None;
        }
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.problem(format!("{name} is {value:?}: it must be {form}"));
        }
        parsed
    }

    fn millis(&mut self, name: &'static str, default: &str) -> Duration {
        Duration::from_millis(self.parse(name, default, "a number of milliseconds"))
    }

    fn seconds(&mut self, name: &'static str, default: &str) -> Duration {
        Duration::from_secs(self.parse(name, default, "a number of seconds"))
    }

    fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self.text(name, if default { "true" } else { "false" }).as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            other => {
                self.problem(format!("{name} is {other:?}: it must be true or false"));
                default
            }
        }
    }

    fn list<T: FromStr>(&mut self, name: &'static str, value: &str, form: &str) -> Vec<T> {
        let mut list = Vec::new();
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match item.parse() {
                Ok(parsed) => list.push(parsed),
                Err(_) => self.problem(format!("{name} holds {item:?}: it must be {form}")),
            }
        }
        list
    }

    /// Reads names and addresses, in lower case; what is an address in brackets loses them.
    fn hosts(&mut self, name: &'static str, default: &str) -> Vec<String> {
        let value = self.text(name, default);
        let form = "a host such as go.example.com, without scheme and port";
        let hosts: Vec<String> = self.list(name, &value, form);
        let hosts = hosts
            .into_iter()
            .map(|host| host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase());
        let hosts: Vec<String> = hosts.collect();
        for host in &hosts {
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            let is_name =
                host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
            if !is_address && (!is_name || host.is_empty()) && (host != "*" || name != "LINKS_HOSTS") {
                self.problem(format!("{name} holds {host:?}: it must be {form}"));
            }
        }
        hosts
    }

    /// Reads addresses of name servers, port 53 where none is named.
    fn servers(&mut self, name: &'static str, value: &str) -> Vec<SocketAddr> {
        let mut servers = Vec::new();
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let address = item.parse().or_else(|_| item.parse().map(|ip| SocketAddr::new(ip, 53)));
            match address {
                Ok(address) => servers.push(address),
                Err(_) => {
                    self.problem(format!("{name} holds {item:?}: it must be an address such as 192.0.2.53"))
                }
            }
        }
        servers
    }

    fn url(&mut self, name: &'static str, default: &str) -> Url {
        let value = self.text(name, default);
        self.urls(name, &value).into_iter().next().unwrap_or_else(|| {
            Url::parse("http://localhost").unwrap_or_else(|_| unreachable!("a constant URL"))
        })
    }

    fn urls(&mut self, name: &'static str, value: &str) -> Vec<Url> {
        let urls: Vec<Url> = self.list(name, value, "an address such as https://go.example.com");
        for url in &urls {
            let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !bare {
                self.problem(format!(
                    "{name} holds {url}: it must be http(s)://host[:port] and nothing more"
                ));
            }
        }
        urls
    }

    /// Reads a secret from the variable itself or from the file that `NAME_FILE` names.
    fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        let direct = self.find(name);
        let file = self.find(&format!("{name}_FILE"));
        let (value, origin) = match (direct, file) {
            (Some(_), Some(_)) => {
                self.problem(format!("{name} and {name}_FILE are both set: keep one"));
                (None, "file")
            }
            (Some(value), None) => (Some(value), "environment"),
            (None, Some(file)) => match fs::read_to_string(&file) {
                Ok(text) => {
                    self.look_at_file(&format!("{name}_FILE"), Path::new(&file));
                    (Some(text.trim().to_owned()), "file")
                }
                Err(error) => {
                    self.problem(format!("{name}_FILE names {file}, which cannot be read: {error}"));
                    (None, "file")
                }
            },
            (None, None) => (None, "default"),
        };
        let shown = if value.is_some() { "***" } else { "" };
        self.entries.push(Entry { name, value: shown.to_owned(), origin });
        value.map(SecretString::from)
    }

    /// Notes a file with a secret that too many can read.
    fn look_at_file(&mut self, name: &str, file: &Path) {
        self.refusals.extend(refusals::of_file(name, file).map(|(risk, says)| (Some(risk), says)));
    }

    fn accepted_risks(&mut self) -> Vec<Risk> {
        let names = self.text("ACCEPTED_RISKS", "");
        let mut risks = Vec::new();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match Risk::named(name) {
                Some(risk) => risks.push(risk),
                None => {
                    let all = Risk::ALL.map(Risk::name).join(", ");
                    self.problem(format!("ACCEPTED_RISKS holds {name:?}: it must be some of {all}"));
                }
            }
        }
        risks
    }

    /// Makes a problem of everything that production refuses and nobody has accepted.
    fn refuse(&mut self, accepted: &[Risk]) {
        for (risk, says) in std::mem::take(&mut self.refusals) {
            match risk {
                Some(risk) if accepted.contains(&risk) => {}
                Some(risk) => self
                    .problem(format!("{says}; or take it upon yourself with ACCEPTED_RISKS={}", risk.name())),
                None => self.problem(says),
            }
        }
    }

    fn database(
        &mut self,
        url: SecretString,
        secrets: Option<&Secrets>,
        production: bool,
    ) -> Option<Database> {
        let Some(read) = Url::parse(url.expose_secret())
            .ok()
            .filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))
        else {
            self.problem("DATABASE_URL is not a postgres:// URL; leave it unset for embedded mode on SQLite");
            return None;
        };
        let secrets = secrets.into_iter().flat_map(|known| [&known.jwt, &known.session]);
        let secrets: Vec<&str> = secrets.map(|secret| secret.expose_secret()).collect();
        self.refusals.extend(refusals::of_database(&read, &secrets));
        let url = if production { SecretString::from(refusals::verified(&read).as_str()) } else { url };
        Some(Database { url })
    }

    fn secrets(&mut self, production: bool) -> Option<Secrets> {
        let jwt = self.secret("JWT_SECRET");
        let session = self.secret("SESSION_SECRET");
        for (name, secret) in [("JWT_SECRET", &jwt), ("SESSION_SECRET", &session)] {
            match secret {
                Some(secret) => {
                    if let Some(weakness) = weakness(secret.expose_secret(), SHORTEST_SECRET)
                        && production
                    {
                        self.problem(format!("{name} {weakness}: {MAKE_ONE}"));
                    }
                }
                None if production => self.problem(format!("{name} is not set: {MAKE_ONE}")),
                None => {}
            }
        }
        let jwt_previous = self.secret("JWT_SECRET_PREVIOUS");
        if let Some(weakness) =
            jwt_previous.as_ref().and_then(|secret| weakness(secret.expose_secret(), SHORTEST_SECRET))
            && production
        {
            self.problem(format!("JWT_SECRET_PREVIOUS {weakness}: {MAKE_ONE}"));
        }
        let jwt_keys = self.secret("JWT_KEY");
        if let Some(Err(wrong)) = jwt_keys.as_ref().map(|pem| ed25519_keys(pem.expose_secret())) {
            self.problem(format!("JWT_KEY {wrong}"));
        }
        let (jwt, session) = (jwt?, session?);
        if production && jwt.expose_secret() == session.expose_secret() {
            self.problem(format!("SESSION_SECRET repeats JWT_SECRET: {MAKE_ONE}"));
        }
        Some(Secrets { jwt, jwt_previous, jwt_keys, session })
    }

    /// Reads a length of time such as `30m`, `12h` or `14d`.
    fn span(&mut self, name: &'static str, default: &str) -> Duration {
        let value = self.text(name, default);
        span(&value).unwrap_or_else(|| {
            self.problem(format!(
                "{name} is {value:?}: it must be a number with s, m, h or d, such as 30m or 14d"
            ));
            span(default).unwrap_or_else(|| unreachable!("the default of {name} has the right form"))
        })
    }

    fn sessions(&mut self) -> Sessions {
        let sessions = Sessions {
            idle_timeout: self.span("SESSION_IDLE_TIMEOUT", "14d"),
            lifetime: self.span("SESSION_LIFETIME", "90d"),
        };
        // Clients refresh when an access token ends: a session that is in use would be over before.
        if sessions.idle_timeout < SHORTEST_SESSION {
            self.problem("SESSION_IDLE_TIMEOUT must be at least 15m");
        }
        if sessions.idle_timeout > sessions.lifetime || sessions.lifetime > LONGEST_SESSION {
            self.problem("SESSION_LIFETIME must be at least SESSION_IDLE_TIMEOUT and at most 365d");
        }
        sessions
    }

    fn oidc(&mut self, stage: Stage) -> Option<Oidc> {
        let issuer = self.text("OIDC_ISSUER", "");
        let client_id = self.text("OIDC_CLIENT_ID", "");
        let client_secret = self.secret("OIDC_CLIENT_SECRET");
        let display_name = self.text("OIDC_DISPLAY_NAME", "Single sign-on");
        let scopes = self.text("OIDC_SCOPES", "openid email profile");
        let create_accounts = self.flag("OIDC_CREATE_ACCOUNTS", false);
        let domains = self.text("OIDC_ALLOWED_EMAIL_DOMAINS", "");
        let networks = self.text("OIDC_ALLOW_NETWORKS", "");
        let allow_networks: Vec<IpNet> =
            self.list("OIDC_ALLOW_NETWORKS", &networks, "a network such as 10.1.0.0/16");
        if issuer.is_empty() {
            if !client_id.is_empty() || client_secret.is_some() {
                self.problem("OIDC_ISSUER is not set: name the provider that OIDC_CLIENT_ID and OIDC_CLIENT_SECRET are for, or set none of them");
            }
            return None;
        }
        if !is_issuer(&issuer, stage) {
            self.problem(format!(
                "OIDC_ISSUER is {issuer:?}: it must be the provider's https:// address, letter by letter as its discovery document says it, \
                 without query and fragment (http:// for a provider on this machine, in development)"
            ));
        }
        if client_id.is_empty() || client_secret.is_none() {
            self.problem("OIDC_CLIENT_ID or OIDC_CLIENT_SECRET is not set: the provider gave you both when you registered this server there");
        }
        if !scopes.split(' ').any(|scope| scope == "openid") {
            self.problem("OIDC_SCOPES must contain openid, or the provider says nothing of who somebody is");
        }
        if allow_networks.iter().any(|network| network.prefix_len() == 0) {
            self.problem("OIDC_ALLOW_NETWORKS allows every address: name the networks that are meant");
        }
        let allowed_email_domains = domains.split(',').map(|domain| domain.trim().to_lowercase());
        let allowed_email_domains = allowed_email_domains.filter(|domain| !domain.is_empty()).collect();
        Some(Oidc {
            issuer,
            client_id,
            client_secret: client_secret?,
            display_name,
            scopes,
            create_accounts,
            allowed_email_domains,
            allow_networks,
        })
    }

    /// Reads the domain that passkeys are for. A browser takes the dashboard's host, or one above it that is somebody's own.
    fn rp_id(&mut self, frontends: &[Url]) -> Option<String> {
        let id = self.text("WEBAUTHN_RP_ID", "").to_ascii_lowercase();
        if id.is_empty() {
            return None;
        }
        let host = frontends.first().and_then(Url::host_str).unwrap_or_default();
        let above = host == id || host.strip_suffix(&*id).is_some_and(|rest| rest.ends_with('.'));
        let own = id == "localhost" || psl::domain_str(&id).is_some();
        if !above || !own {
            self.problem(format!(
                "WEBAUTHN_RP_ID is {id:?}: it must be the host of the first FRONTEND_URL, or a domain above it that people can register"
            ));
        }
        Some(id)
    }

    fn mail(&mut self, production: bool) -> Mail {
        let driver = self.text("MAIL_DRIVER", "log");
        let url = self.secret("SMTP_URL");
        let from = self.text("MAIL_FROM", "linkforty@localhost");
        if from.parse::<lettre::message::Mailbox>().is_err() {
            self.problem(format!(
                "MAIL_FROM is {from:?}: it must be an e-mail, or a name and an e-mail such as linkforty <no-reply@example.com>"
            ));
        }
        let smtp = match (driver.as_str(), url) {
            ("log", _) => None,
            ("smtp", Some(url)) => smtp(url.expose_secret()).map_or_else(
                |problem| {
                    self.problem(format!("SMTP_URL {problem}"));
                    None
                },
                Some,
            ),
            ("smtp", None) => {
                self.problem("SMTP_URL is not set: MAIL_DRIVER=smtp needs one, such as smtps://user:password@mail.example.com");
                None
            }
            (other, _) => {
                self.problem(format!("MAIL_DRIVER is {other:?}: it must be smtp or log"));
                None
            }
        };
        if let Some(Smtp { security: Security::None, credentials: Some(_), .. }) = smtp
            && production
        {
            self.problem("SMTP_URL has a password and tls=none: it would be sent for everybody to read");
        }
        Mail { smtp, from }
    }

    fn outbound(&mut self) -> Outbound {
        let networks = self.text("OUTBOUND_ALLOW_NETWORKS", "");
        let allow_networks: Vec<IpNet> =
            self.list("OUTBOUND_ALLOW_NETWORKS", &networks, "a network such as 10.1.0.0/16");
        // It would hand out the machine itself and the cloud's credentials, which nobody means to.
        if allow_networks.iter().any(|network| network.prefix_len() == 0) {
            self.problem("OUTBOUND_ALLOW_NETWORKS allows every address: name the networks that are meant");
        }
        let ports = self.text("OUTBOUND_ALLOW_PORTS", "");
        let outbound = Outbound {
            allow_networks,
            allow_ports: self.list("OUTBOUND_ALLOW_PORTS", &ports, "a port such as 8443"),
            ca_file: Some(self.text("OUTBOUND_CA_FILE", ""))
                .filter(|file| !file.is_empty())
                .map(PathBuf::from),
            connect_timeout: self.millis("OUTBOUND_CONNECT_TIMEOUT_MS", "5000"),
            timeout: self.millis("OUTBOUND_TIMEOUT_MS", "30000"),
            max_per_host: self.parse("OUTBOUND_MAX_PER_HOST", "8", "a number of calls"),
        };
        if outbound.connect_timeout.is_zero() || outbound.timeout.is_zero() || outbound.max_per_host == 0 {
            self.problem(
                "OUTBOUND_CONNECT_TIMEOUT_MS, OUTBOUND_TIMEOUT_MS and OUTBOUND_MAX_PER_HOST must be at least 1",
            );
        }
        outbound
    }

    fn tls(&mut self) -> Option<Tls> {
        let certificate = self.text("TLS_CERTIFICATE_FILE", "");
        let key = self.text("TLS_KEY_FILE", "");
        match (certificate.is_empty(), key.is_empty()) {
            (true, true) => {
                if !self.text("TLS_CLIENT_CA_FILE", "").is_empty() {
                    self.problem("TLS_CLIENT_CA_FILE needs TLS_CERTIFICATE_FILE and TLS_KEY_FILE: certificates are shown in TLS");
                }
                None
            }
            (false, false) => {
                self.look_at_file("TLS_KEY_FILE", Path::new(&key));
                Some(Tls {
                    certificate: certificate.into(),
                    key: key.into(),
                    clients: self.client_authorities(),
                })
            }
            _ => {
                self.problem("TLS_CERTIFICATE_FILE and TLS_KEY_FILE go together: set both or neither");
                None
            }
        }
    }

    fn client_authorities(&mut self) -> Option<ClientAuthorities> {
        let file = self.text("TLS_CLIENT_CA_FILE", "");
        let required = match self.text("TLS_CLIENT_CERTIFICATE", "optional").as_str() {
            "optional" => false,
            "required" => true,
            other => {
                self.problem(format!("TLS_CLIENT_CERTIFICATE is {other:?}: it must be optional or required"));
                false
            }
        };
        (!file.is_empty()).then(|| ClientAuthorities { file: file.into(), required })
    }
}

/// Says whether a URL is of this machine alone.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Says whether a text can be the name of a provider (OpenID Connect Discovery 1.0, section 3).
fn is_issuer(issuer: &str, stage: Stage) -> bool {
    let Ok(url) = Url::parse(issuer) else { return false };
    let encrypted = match url.scheme() {
        "https" => true,
        "http" => stage == Stage::Development && is_loopback(&url),
        _ => false,
    };
    encrypted && url.username().is_empty() && url.query().is_none() && url.fragment().is_none()
}

/// Reads the address of a mail server: `smtps://` encrypts from the first byte on, `smtp://` by `STARTTLS`, unless `?tls=none`.
fn smtp(url: &str) -> Result<Smtp, &'static str> {
    const FORM: &str = "must be smtps://user:password@host[:port] or smtp://user:password@host[:port], user and password as in a URL";
    let url = Url::parse(url).map_err(|_| FORM)?;
    let (security, port) = match (url.scheme(), url.query()) {
        ("smtps", None) => (Security::Tls, 465),
        ("smtp", None) => (Security::StartTls, 587),
        ("smtp", Some("tls=none")) => (Security::None, 25),
        _ => return Err(FORM),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(FORM)?.to_owned();
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(FORM);
    }
    let decoded = |text: &str| {
        percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| FORM)
    };
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) => Some((decoded(user)?, SecretString::from(decoded(password)?))),
        (_, None) => return Err(FORM),
    };
    Ok(Smtp { host, port: url.port().unwrap_or(port), security, credentials })
}

/// Reads a length of time in seconds, minutes, hours or days.
fn span(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(unit).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const JWT: &str = "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO";
    const SESSION: &str = "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa";

    fn load(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
        let map: HashMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_lookup(&|name| map.get(name).cloned())
    }

    fn production(changes: &[(&'static str, &'static str)]) -> Result<Config, Problems> {
        let mut pairs = vec![
            ("DATABASE_URL", "postgres://app:q1J8mWv0Zr5T@db/linkforty"),
            ("LINKS_URL", "https://go.example.com"),
            ("JWT_SECRET", JWT),
            ("SESSION_SECRET", SESSION),
            ("FRONTEND_URL", "https://dash.example.com"),
        ];
        for change in changes {
            pairs.retain(|pair| pair.0 != change.0);
            pairs.push(*change);
        }
        load(&pairs)
    }

    #[test]
    fn nothing_set_means_embedded() {
        let config = load(&[]).expect("the defaults are valid");
        assert_eq!(config.stage, Stage::Development);
        assert!(config.database.is_none() && config.redis.is_none() && config.secrets.is_none());
        assert_eq!(config.links_url.as_str(), "http://localhost:8080/");
    }

    #[test]
    fn a_database_means_production_with_limits_on() {
        let config = production(&[]).expect("valid");
        assert_eq!(config.stage, Stage::Production);
        assert!(config.limits.enabled);
    }

    #[test]
    fn production_refuses_weak_secrets_and_names_each() {
        for (name, value, says) in [
            ("JWT_SECRET", "", "JWT_SECRET is not set"),
            ("JWT_SECRET", "short", "shorter than 32"),
            ("SESSION_SECRET", "changeme-changeme-changeme-changeme", "sample value"),
            ("SESSION_SECRET", "abababababababababababababababababab", "repeats itself"),
            ("SESSION_SECRET", JWT, "repeats JWT_SECRET"),
            ("FRONTEND_URL", "", "FRONTEND_URL is not set"),
            ("FRONTEND_URL", "*", "FRONTEND_URL holds"),
            ("DATABASE_URL", "mysql://x/y", "not a postgres:// URL"),
            ("DATABASE_URL", "postgres://app:pw@db/x", "the password in DATABASE_URL is shorter than 12"),
            (
                "DATABASE_URL",
                "postgres://app:q1J8mWv0Zr5T@db/x?sslmode=disable",
                "ACCEPTED_RISKS=database_tls",
            ),
            ("REDIS_URL", "redis://cache", "ACCEPTED_RISKS=redis_password"),
            ("LINKS_URL", "", "LINKS_URL is not set"),
            ("LINKS_URL", "http://go.example.com", "LINKS_URL holds http://go.example.com"),
            ("FRONTEND_URL", "http://dash.example.com", "FRONTEND_URL holds http://dash.example.com"),
            ("ACCEPTED_RISKS", "all", "ACCEPTED_RISKS holds \"all\""),
            ("DATABASE_POOL_MAX", "1", "DATABASE_POOL_MIN must not exceed"),
            ("RATE_LIMIT_MAX", "many", "RATE_LIMIT_MAX is \"many\""),
            ("OUTBOUND_ALLOW_NETWORKS", "10.0.0.0/8,inside", "OUTBOUND_ALLOW_NETWORKS holds \"inside\""),
            ("OUTBOUND_ALLOW_NETWORKS", "::/0", "OUTBOUND_ALLOW_NETWORKS allows every address"),
            ("OUTBOUND_ALLOW_PORTS", "8443,99999", "OUTBOUND_ALLOW_PORTS holds \"99999\""),
            ("OUTBOUND_MAX_PER_HOST", "0", "must be at least 1"),
            ("LINKS_HOSTS", "https://go.example.com", "LINKS_HOSTS holds"),
            ("DOMAIN_TARGETS", "*", "DOMAIN_TARGETS holds"),
            ("DNS_SERVERS", "192.0.2.53,ns", "DNS_SERVERS holds \"ns\""),
            ("NODE_ENV", "prod", "APP_ENV is \"prod\""),
            ("MAIL_DRIVER", "sendmail", "MAIL_DRIVER is \"sendmail\""),
            ("MAIL_DRIVER", "smtp", "SMTP_URL is not set"),
            ("MAIL_FROM", "nobody", "MAIL_FROM is \"nobody\""),
            ("SESSION_IDLE_TIMEOUT", "30", "SESSION_IDLE_TIMEOUT is \"30\""),
            ("SESSION_IDLE_TIMEOUT", "14m", "SESSION_IDLE_TIMEOUT must be at least 15m"),
            ("SESSION_IDLE_TIMEOUT", "91d", "SESSION_LIFETIME must be at least"),
            ("SESSION_LIFETIME", "366d", "and at most 365d"),
            ("SESSION_LIFETIME", "99999999999999999999d", "SESSION_LIFETIME is"),
            ("SESSION_LIFETIME", "é", "SESSION_LIFETIME is"),
        ] {
            let problems = production(&[(name, value)]).expect_err(says).to_string();
            assert!(problems.contains(says), "{name}={value}: {problems}");
        }
        let all = load(&[("APP_ENV", "production")]).expect_err("nothing is set").0;
        assert_eq!(all.len(), 5, "{all:?}");
    }

    #[test]
    fn a_risk_that_somebody_accepts_lets_that_pass_and_nothing_else() {
        let url = "postgres://postgres:q1J8mWv0Zr5T@db/x?sslmode=disable";
        let problems = |accepted| {
            production(&[("DATABASE_URL", url), ("ACCEPTED_RISKS", accepted)]).map_err(|all| all.0.len())
        };
        assert_eq!(problems("").expect_err("two"), 2);
        assert_eq!(problems("database_tls,readable_secrets").expect_err("one"), 1);
        let config = problems(" database_tls , database_superuser").expect("both are accepted");
        assert_eq!(config.accepted_risks, [Risk::DatabaseTls, Risk::DatabaseSuperuser]);
        // What the URL leaves unsaid is checked all the same.
        let config = production(&[]).expect("valid").database.expect("it is set");
        assert!(config.url.expose_secret().ends_with("?sslmode=verify-full"));
    }

    #[test]
    fn a_mail_server_is_reached_encrypted_unless_somebody_insists() {
        let reach = |url: &'static str| {
            production(&[("MAIL_DRIVER", "smtp"), ("SMTP_URL", url)]).map(|config| {
                let smtp = config.mail.smtp.expect("it is set");
                let user =
                    smtp.credentials.map(|(user, password)| (user, password.expose_secret().to_owned()));
                (smtp.host, smtp.port, smtp.security, user)
            })
        };
        let user = || Some(("a@b".to_owned(), "p w/".to_owned()));
        let host = || "mail.example.com".to_owned();
        for (url, expected) in [
            ("smtps://a%40b:p%20w%2F@mail.example.com", (host(), 465, Security::Tls, user())),
            ("smtp://a%40b:p%20w%2F@mail.example.com", (host(), 587, Security::StartTls, user())),
            ("smtp://mail.example.com:2525", (host(), 2525, Security::StartTls, None)),
            ("smtp://mail.example.com?tls=none", (host(), 25, Security::None, None)),
        ] {
            assert_eq!(reach(url).expect(url), expected, "{url}");
        }
        for url in [
            "mail.example.com",
            "https://mail.example.com",
            "smtp://user@mail.example.com",
            "smtps://mail.example.com?tls=none",
            "smtp://mail.example.com/inbox",
            "smtp://user:hushhush@mail.example.com?tls=none",
        ] {
            let problems = reach(url).expect_err(url).to_string();
            assert!(problems.contains("SMTP_URL"), "{url}: {problems}");
            assert!(!problems.contains("hushhush"), "{problems}");
        }
    }

    #[test]
    fn a_provider_is_named_whole_and_reached_encrypted() {
        let whole = [
            ("OIDC_ISSUER", "https://id.example.com/realms/main"),
            ("OIDC_CLIENT_ID", "linkforty"),
            ("OIDC_CLIENT_SECRET", "hushhush"),
        ];
        let with = |change: (&'static str, &'static str)| {
            let mut pairs = whole.to_vec();
            pairs.retain(|pair| pair.0 != change.0);
            pairs.push(change);
            production(&pairs)
        };
        let oidc = with(("OIDC_ALLOWED_EMAIL_DOMAINS", "Example.COM, example.org")).expect("valid").oidc;
        let oidc = oidc.expect("it is set");
        assert_eq!(oidc.allowed_email_domains, ["example.com", "example.org"]);
        assert_eq!((&*oidc.scopes, oidc.create_accounts), ("openid email profile", false));
        assert!(production(&[]).expect("valid").oidc.is_none());
        for (name, value, says) in [
            ("OIDC_ISSUER", "", "OIDC_ISSUER is not set"),
            ("OIDC_ISSUER", "id.example.com", "OIDC_ISSUER is \"id.example.com\""),
            ("OIDC_ISSUER", "http://id.example.com", "OIDC_ISSUER is"),
            ("OIDC_ISSUER", "http://localhost:8080", "OIDC_ISSUER is"),
            ("OIDC_ISSUER", "https://id.example.com/?realm=main", "OIDC_ISSUER is"),
            ("OIDC_CLIENT_ID", "", "OIDC_CLIENT_ID or OIDC_CLIENT_SECRET"),
            ("OIDC_CLIENT_SECRET", "", "OIDC_CLIENT_ID or OIDC_CLIENT_SECRET"),
            ("OIDC_SCOPES", "email", "OIDC_SCOPES must contain openid"),
            ("OIDC_CREATE_ACCOUNTS", "perhaps", "OIDC_CREATE_ACCOUNTS is"),
            ("OIDC_ALLOW_NETWORKS", "0.0.0.0/0", "OIDC_ALLOW_NETWORKS allows every address"),
        ] {
            let problems = with((name, value)).expect_err(says).to_string();
            assert!(problems.contains(says), "{name}={value}: {problems}");
        }
        let mut here = whole.to_vec();
        here[0].1 = "http://localhost:8080/realms/main";
        assert!(load(&here).expect("it is on this machine").oidc.is_some());
    }

    #[test]
    fn passkeys_are_for_the_dashboard_or_a_domain_above_it() {
        for (id, good) in [
            ("dash.example.com", true),
            ("Example.com", true),
            ("com", false),
            ("other.com", false),
            ("ample.com", false),
            ("x.dash.example.com", false),
            ("https://dash.example.com", false),
        ] {
            let told = production(&[("WEBAUTHN_RP_ID", id)]);
            let problems = told.as_ref().map_err(ToString::to_string).err().unwrap_or_default();
            assert_eq!(told.is_ok(), good, "{id}: {problems}");
            assert!(good || problems.contains("WEBAUTHN_RP_ID is"), "{problems}");
        }
        assert!(load(&[("FRONTEND_URL", "http://localhost:5173"), ("WEBAUTHN_RP_ID", "localhost")]).is_ok());
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_is_masked() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), format!("{JWT}\n")).expect("writable");
        let path: &'static str = Box::leak(file.path().display().to_string().into_boxed_str());
        let config = production(&[("JWT_SECRET", ""), ("JWT_SECRET_FILE", path)]).expect("valid");
        assert_eq!(
            config.secrets.as_ref().map(|secrets| secrets.jwt.expose_secret().to_owned()),
            Some(JWT.to_owned())
        );
        assert!(config.entries.iter().all(|entry| !entry.value.contains(JWT)));
        assert!(!format!("{config:?}").contains(JWT));
        let both = production(&[("JWT_SECRET_FILE", path)]).expect_err("set twice").to_string();
        assert!(both.contains("both set"));
    }
}
