//! Which domain a request is for: from its host to what redirects need of a domain, in memory.
//!
//! All hosts that answer are held, read from the database at the start, with every change that is told, after every gap, and twice a
//! minute besides. What is held is kept on disk too (`shelf.rs`), so that a restart without a database serves the same hosts, as long
//! as links may be served without one (`CACHE_MAX_STALE_IF_ERROR_SECONDS`). While it is not known whether what is held is all there
//! is, an unknown host is [`Site::Away`], never [`Site::Unknown`].

use std::{
    borrow::Cow,
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{header, request::Parts};
use tokio::{
    sync::{Mutex, broadcast},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{changes, shelf::Shelf, store};
use crate::{
    cache::Signal,
    clock::Moment,
    config::Config,
    entity::domain,
    env::Env,
    ids::{DomainId, WorkspaceId},
};

/// The namespace of links on the server's own hosts.
pub const OWN: &str = "";
/// How often it is considered whether to read the hosts again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long they are believed when nobody says that they have changed.
const BELIEVED: chrono::Duration = chrono::Duration::seconds(30);
/// How long reading them may take, pool included.
const READING: Duration = Duration::from_secs(3);
/// The longest name of a host.
const MAX_HOST: usize = 253;

/// Where a request is for.
#[derive(Debug, Clone)]
pub enum Site {
    /// The server's own hosts.
    Own,
    /// A domain of a workspace.
    Of(Arc<Served>),
    /// No host of this server.
    Unknown,
    /// Nobody can say: no store answers.
    Away,
}

/// What redirects need of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Which.
    pub id: DomainId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// The host, in lower case, punycode.
    pub host: Box<str>,
    /// What `links.domain` says of its links.
    pub namespace: Box<str>,
    /// Whether codes are looked up in lower case.
    pub ignores_case: bool,
    /// Where visitors of no link go; empty: nowhere.
    pub root_url: Box<str>,
    /// Where visitors of an unknown link go; empty: nowhere.
    pub not_found_url: Box<str>,
    /// Where visitors of a link that is over go; empty: nowhere.
    pub expired_url: Box<str>,
    /// What crawlers are told; empty: the server's own text.
    pub robots_txt: Box<str>,
}

impl From<domain::Model> for Served {
    fn from(row: domain::Model) -> Self {
        Self {
            id: row.id,
            workspace_id: row.workspace_id,
            host: row.host.into(),
            namespace: row.namespace.into(),
            ignores_case: row.ignores_case,
            root_url: row.root_url.into(),
            not_found_url: row.not_found_url.into(),
            expired_url: row.expired_url.into(),
            robots_txt: row.robots_txt.into(),
        }
    }
}

impl Site {
    /// Returns what `links.domain` says of its links.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Of(domain) => &domain.namespace,
            Self::Own | Self::Unknown | Self::Away => OWN,
        }
    }

    /// Returns a code as it is looked up here.
    pub fn code<'a>(&self, code: &'a str) -> Cow<'a, str> {
        match self {
            Self::Of(domain) if domain.ignores_case && code.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Cow::Owned(code.to_ascii_lowercase())
            }
            _ => Cow::Borrowed(code),
        }
    }

    /// Returns the domain, unless it is the server's own or none.
    pub fn domain(&self) -> Option<&Served> {
        match self {
            Self::Of(domain) => Some(domain),
            Self::Own | Self::Unknown | Self::Away => None,
        }
    }
}

/// Finds sites. A cheap clone.
#[derive(Debug, Clone)]
pub struct Sites(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Env,
    own: OwnHosts,
    held: Arc<Held>,
}

/// The hosts that answer, as this node knows them. Part of the process's memory, so that whoever changes a domain here is heard at
/// once.
#[derive(Debug)]
struct Held {
    table: ArcSwap<Table>,
    /// Goes up whenever something may have changed that cannot be read at once.
    changes: AtomicU64,
    /// How many of these are in the table.
    known: AtomicU64,
    /// One reader at a time, so that an older answer never replaces a newer one. Holds the file they are kept in.
    reading: Mutex<Shelf>,
}

/// The hosts that answer.
#[derive(Debug, Default, Clone)]
pub(super) struct Table {
    /// By host.
    pub hosts: HashMap<Box<str>, Arc<Served>>,
    /// When the database said so; none: never.
    pub confirmed: Option<Moment>,
}

impl Held {
    /// Says whether something may have changed that is not in the table.
    fn is_behind(&self) -> bool {
        self.known.load(Ordering::Acquire) < self.changes.load(Ordering::Acquire)
    }
}

fn held(env: &Env) -> Arc<Held> {
    env.memory.of(|| Held {
        table: ArcSwap::default(),
        changes: AtomicU64::new(1),
        known: AtomicU64::new(0),
        reading: Mutex::new(Shelf::new(&env.config.data_dir)),
    })
}

/// Reads the hosts from the database; `false`: it does not answer.
pub(super) async fn read(env: &Env) -> bool {
    let held = held(env);
    let mut shelf = held.reading.lock().await;
    let now = env.now();
    // What changes from here on may not be in the answer.
    let changes = held.changes.load(Ordering::Acquire);
    let Ok(Ok(rows)) = timeout(READING, store::serving(&env.db.lookup)).await else { return false };
    let hosts: HashMap<Box<str>, Arc<Served>> =
        rows.into_iter().map(|row| (row.host.as_str().into(), Arc::new(row.into()))).collect();
    metrics::gauge!("linkforty_domains_serving").set(hosts.len() as f64);
    let table = Arc::new(Table { hosts, confirmed: Some(now) });
    held.table.store(table.clone());
    held.known.store(changes, Ordering::Release);
    shelf.keep(table).await;
    true
}

impl Sites {
    /// Returns what the last run left, or what the database says where there was none, as on a new node. Before the listeners open:
    /// the first visitor finds it.
    pub async fn load(env: &Env) -> Self {
        let held = held(env);
        let left = held.reading.lock().await.take(env.now());
        match left {
            Some(table) => held.table.store(Arc::new(table)),
            // Where it does not answer either, whoever comes is told so until it does.
            None => drop(read(env).await),
        }
        Self(Arc::new(Inner { env: env.clone(), own: OwnHosts::of(&env.config), held }))
    }

    /// Returns where a request is for. One for the server's own host, as it stands in short URLs, takes a comparison.
    pub fn of(&self, request: &Parts) -> Site {
        // HTTP/2 has it in `:authority`, HTTP/1.1 in `Host` unless the whole URL was asked for.
        let host = match request.uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => match request.headers.get(header::HOST) {
                Some(host) => host.as_bytes(),
                // HTTP/1.0 need not say.
                None => return Site::Own,
            },
        };
        if host == &*self.0.own.usual {
            return Site::Own;
        }
        match self.named(host) {
            Site::Unknown if self.0.own.all_others => Site::Own,
            site => site,
        }
    }

    /// Returns what a host is that somebody names; only what is known by its name is the server's own.
    pub fn named(&self, host: &[u8]) -> Site {
        let name = without_port(host);
        let mut buffer = [0; MAX_HOST];
        let Some(lower) = buffer.get_mut(..name.len()) else { return Site::Unknown };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let Ok(name) = str::from_utf8(lower) else { return Site::Unknown };
        if self.0.own.are(name) {
            return Site::Own;
        }
        let held = &self.0.held;
        // Before the table, which is stored before it is said to know more.
        let behind = held.is_behind();
        let table = held.table.load();
        match (table.hosts.get(name), table.confirmed) {
            (Some(domain), Some(at)) if !self.is_too_old(at) => Site::Of(domain.clone()),
            (None, Some(_)) if !behind => Site::Unknown,
            _ => Site::Away,
        }
    }

    fn is_too_old(&self, confirmed: Moment) -> bool {
        let bound = self.0.env.config.cache.max_stale_if_error;
        (self.0.env.now() - confirmed).to_std().is_ok_and(|age| age >= bound)
    }

    /// Reads the hosts when they may have changed on any node, until `stop`.
    pub async fn listen(self, mut news: broadcast::Receiver<Signal>, stop: CancellationToken) {
        let Inner { env, held, .. } = &*self.0;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => self.is_due(),
                signal = news.recv() => match signal {
                    // Until it is read, what was is as good an answer as everywhere else.
                    Ok(Signal::Message(message)) => changes::is_ours(&message),
                    Ok(Signal::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => {
                        held.changes.fetch_add(1, Ordering::AcqRel);
                        true
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            };
            if due {
                match stop.run_until_cancelled(read(env)).await {
                    Some(true) => {}
                    Some(false) => {
                        held.changes.fetch_add(1, Ordering::AcqRel);
                    }
                    None => return,
                }
            }
        }
    }

    /// Says whether what is held has been believed for long enough.
    fn is_due(&self) -> bool {
        let held = &self.0.held;
        let now = self.0.env.now();
        held.is_behind()
            // Also after a clock that was set back.
            || held.table.load().confirmed.is_none_or(|at| now - at >= BELIEVED || now < at)
    }
}

/// The hosts that are the server's own.
#[derive(Debug)]
struct OwnHosts {
    /// As it stands in short URLs, port included.
    usual: Box<[u8]>,
    /// Names without port.
    names: Vec<String>,
    /// Whatever is no domain of a workspace is the server's own (`LINKS_HOSTS=*`).
    all_others: bool,
}

impl OwnHosts {
    fn of(config: &Config) -> Self {
        let mut names: Vec<String> = config.links_hosts.iter().filter(|host| *host != "*").cloned().collect();
        names.extend(config.links_url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
        Self {
            usual: config.links_host().into_bytes().into(),
            names,
            all_others: config.links_hosts.iter().any(|host| host == "*"),
        }
    }

    /// Who comes by an address or from the same machine (health checks, a person with curl) means the server itself.
    fn are(&self, name: &str) -> bool {
        name == "localhost" || self.names.iter().any(|own| own == name) || name.parse::<IpAddr>().is_ok()
    }
}

/// Returns a host as it stands in a request without its port, its last dot and the brackets of an address.
fn without_port(host: &[u8]) -> &[u8] {
    if let Some(inner) = host.strip_prefix(b"[") {
        return inner.split(|byte| *byte == b']').next().unwrap_or_default();
    }
    let name = host.split(|byte| *byte == b':').next().unwrap_or_default();
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(ignores_case: bool) -> Site {
        Site::Of(Arc::new(Served {
            id: DomainId(uuid::Uuid::nil()),
            workspace_id: WorkspaceId(uuid::Uuid::nil()),
            host: "go.shop.test".into(),
            namespace: "go.shop.test/1".into(),
            ignores_case,
            root_url: "".into(),
            not_found_url: "".into(),
            expired_url: "".into(),
            robots_txt: "".into(),
        }))
    }

    #[test]
    fn hosts_are_read_in_every_form() {
        for (host, name) in [
            ("go.example.com", "go.example.com"),
            ("go.example.com:8080", "go.example.com"),
            ("go.example.com.", "go.example.com"),
            ("go.example.com.:443", "go.example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:8080", "::1"),
            ("[::1]", "::1"),
            ("", ""),
            (":80", ""),
        ] {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes(), "{host}");
        }
    }

    #[test]
    fn the_server_s_own_hosts_are_told_from_others() {
        let settings = |name: &str| match name {
            "LINKS_URL" => Some("https://go.example.com:8443".to_owned()),
            "LINKS_HOSTS" => Some("links, old.example.com".to_owned()),
            _ => None,
        };
        let own = OwnHosts::of(&Config::from_lookup(&settings).expect("good settings"));
        assert_eq!(&*own.usual, b"go.example.com:8443");
        for (name, is_own) in [
            ("go.example.com", true),
            ("links", true),
            ("old.example.com", true),
            ("localhost", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("10.1.2.3", true),
            ("example.com", false),
            ("go.example.com.evil.test", false),
            ("", false),
        ] {
            assert_eq!(own.are(name), is_own, "{name}");
        }
        assert!(!own.all_others);
    }

    #[test]
    fn codes_lose_their_case_only_where_it_does_not_count() {
        for (site, code, looked_up) in [
            (Site::Own, "Spring", "Spring"),
            (served(false), "Spring", "Spring"),
            (served(true), "Spring", "spring"),
            (served(true), "spring", "spring"),
        ] {
            assert_eq!(site.code(code), looked_up);
        }
        assert_eq!((Site::Own.namespace(), served(true).namespace()), ("", "go.shop.test/1"));
    }
}
