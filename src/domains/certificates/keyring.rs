//! The certificates that this node shows, by host, in memory: a handshake waits for nothing.
//!
//! They are read from the database at the start, with every change of hosts that is told, after every gap, and twice a minute besides; only
//! those that are new are opened. What is held is kept on disk too (`shelf.rs`).

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use tokio::{
    sync::{Mutex, broadcast},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    keys,
    shelf::{Kept, Shelf},
    store,
};
use crate::{
    cache::Signal,
    clock::{Moment, from_micros},
    domains::changes,
    env::Env,
};

/// How often it is considered whether to read them again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long they are believed when nobody says that they have changed.
const BELIEVED: chrono::Duration = chrono::Duration::seconds(30);
/// How long reading them may take, pool included.
const READING: Duration = Duration::from_secs(5);
/// How many are read by one statement.
const ROWS: usize = 200;

/// Finds the certificate of a host. A cheap clone.
#[derive(Debug, Clone)]
pub struct Keyring {
    env: Env,
    held: Arc<Held>,
}

struct Held {
    table: ArcSwap<Table>,
    /// Something may have changed that could not be read.
    is_behind: AtomicBool,
    /// One reader at a time, so that an older answer never replaces a newer one.
    shelf: Mutex<Shelf>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("hosts", &self.table.load().hosts.len()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Table {
    hosts: HashMap<Box<str>, Shown>,
    /// When the database said so; none: never.
    confirmed: Option<Moment>,
}

/// A certificate as it is shown.
#[derive(Clone)]
struct Shown {
    /// As it is stored, for the file.
    kept: Kept,
    /// None: the key was sealed under another secret.
    certified: Option<Arc<CertifiedKey>>,
}

impl Shown {
    fn of(env: &Env, kept: Kept) -> Self {
        let key = keys::open(env, &keys::of_certificate(&kept.host), &kept.private_key);
        let certified = key.and_then(|key| keys::certified(&kept.chain, &key)).map(Arc::new);
        if certified.is_none() {
            tracing::error!(
                host = kept.host,
                "a certificate cannot be used: its key was sealed under another SESSION_SECRET; get another one by `linkforty certificates renew`"
            );
        }
        Self { kept, certified }
    }
}

fn held(env: &Env) -> Arc<Held> {
    env.memory.of(|| Held {
        table: ArcSwap::default(),
        is_behind: AtomicBool::new(true),
        shelf: Mutex::new(Shelf::new(&env.config.data_dir)),
    })
}

/// Reads the certificates from the database; `false`: it does not answer.
pub(super) async fn read(env: &Env) -> bool {
    let held = held(env);
    let mut shelf = held.shelf.lock().await;
    held.is_behind.store(false, Ordering::Release);
    let read = timeout(READING, read_changes(env, &held.table.load())).await;
    let Ok(Ok((table, changed))) = read else {
        held.is_behind.store(true, Ordering::Release);
        return false;
    };
    let kept = changed.then(|| table.hosts.values().map(|shown| shown.kept.clone()).collect());
    let next_end = table.hosts.values().map(|shown| shown.kept.expire_micros).min();
    held.table.store(Arc::new(table));
    if let Some(kept) = kept {
        shelf.keep(kept).await;
    }
    let left = next_end.map_or(f64::NAN, |end| (from_micros(end) - env.now()).as_seconds_f64());
    metrics::gauge!("linkforty_certificate_next_expiry_seconds").set(left);
    if let Ok(counts) = store::count(&env.db.drain, env.now()).await {
        for (state, count) in ["active", "expired", "pending", "failed"].into_iter().zip(counts) {
            metrics::gauge!("linkforty_certificates", "state" => state).set(count as f64);
        }
    }
    true
}

/// Returns what is to be shown, and whether it is something else than before.
async fn read_changes(env: &Env, before: &Table) -> Result<(Table, bool), sea_orm::DbErr> {
    let now = env.now();
    let db = &env.db.drain;
    let mut hosts = HashMap::new();
    let mut fresh = Vec::new();
    for (host, version) in store::shown(db).await? {
        match before.hosts.get(&*host) {
            Some(shown) if shown.kept.version == version => drop(hosts.insert(host.into(), shown.clone())),
            _ => fresh.push(host),
        }
    }
    let changed = !fresh.is_empty() || hosts.len() != before.hosts.len();
    for fresh in fresh.chunks(ROWS) {
        for row in store::of_hosts(db, fresh).await? {
            let (Some(chain), Some(private_key), Some(end)) = (row.chain, row.private_key, row.expire_time)
            else {
                continue;
            };
            let (host, expire_micros) = (row.host, end.timestamp_micros());
            let kept = Kept { host: host.clone(), version: row.version, chain, private_key, expire_micros };
            hosts.insert(host.into(), Shown::of(env, kept));
        }
    }
    Ok((Table { hosts, confirmed: Some(now) }, changed))
}

impl Keyring {
    /// Returns what the last run left, or what the database says where there was nothing, as on a new node; `None`: this server gets
    /// no certificates. Before the listeners open: the first handshake finds it.
    pub async fn load(env: &Env) -> Option<Self> {
        env.config.acme.as_ref()?;
        let held = held(env);
        let kept = held.shelf.lock().await.take();
        if kept.is_empty() {
            // Where it does not answer either, handshakes fail until it does.
            read(env).await;
        } else {
            let hosts = kept.into_iter().map(|kept| (kept.host.as_str().into(), Shown::of(env, kept)));
            held.table.store(Arc::new(Table { hosts: hosts.collect(), confirmed: None }));
        }
        Some(Self { env: env.clone(), held })
    }

    /// Returns the certificate of a host, in lower case as handshakes name it.
    pub fn of(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.held.table.load().hosts.get(host)?.certified.clone()
    }

    /// Reads them when they may have changed on any node, until `stop`.
    pub async fn listen(self, mut news: broadcast::Receiver<Signal>, stop: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => self.is_due(),
                signal = news.recv() => match signal {
                    Ok(Signal::Message(message)) => changes::is_ours(&message),
                    Ok(Signal::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => true,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            };
            if due && stop.run_until_cancelled(read(&self.env)).await.is_none() {
                return;
            }
        }
    }

    /// Says whether what is held has been believed for long enough.
    fn is_due(&self) -> bool {
        let now = self.env.now();
        let confirmed = self.held.table.load().confirmed;
        self.held.is_behind.load(Ordering::Acquire)
            // Also after a clock that was set back.
            || confirmed.is_none_or(|at| now - at >= BELIEVED || now < at)
    }
}
