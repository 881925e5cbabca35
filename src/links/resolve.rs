//! From a code to its target: process, then Redis, then database, each with its own bound on time and staleness.
//!
//! - A hit younger than `soft_ttl` is the answer; an older one is the answer too, and is fetched anew behind it.
//! - Beyond `max_stale` a hit waits for a fresh answer, unless no store gives one: then it serves until `max_stale_if_error`.
//! - Concurrent misses of one code ask once. Unknown codes are remembered apart from known ones, so that no flood of
//!   guesses pushes a link out.
//! - A change anywhere arrives as a message and drops the entry; a gap in the messages makes every entry old.
//! - "No store answers" is never taken for "no such link".

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, Shared},
};
use metrics::{Counter, counter};
use quick_cache::sync::Cache;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    changes,
    target::{Target, find_target},
};
use crate::{cache::Signal, clock::Moment, config, env::Env};

/// What is known of a code.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The link.
    Found(Arc<Target>),
    /// No link has this code.
    Unknown,
    /// Nobody could say: no store answers.
    Away,
}

/// How many unknown codes are remembered.
const UNKNOWN_CODES: usize = 20_000;
/// How many changed codes are remembered.
const CHANGED_CODES: usize = 20_000;
/// A look-up in the database may take this long, pool included; nothing of it is on the path of a warm link.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(400);
/// How many refreshes may wait; beyond, a hit simply stays old until the next one.
const REFRESHES: usize = 1024;
/// How many refreshes run at once: no more than the look-up pool has connections.
const REFRESHES_AT_ONCE: usize = 4;
/// Resolves codes. A cheap clone.
#[derive(Debug, Clone)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Env,
    known: Cache<Key, Arc<Entry>>,
    unknown: Cache<Key, Moment>,
    /// When links changed, as far as messages said. The shared cache may hold older answers still.
    changed: Cache<Key, Moment>,
    flights: Mutex<HashMap<Key, Flight>>,
    /// Entries fetched before this moment (microseconds) are old, however young.
    distrust_before: AtomicI64,
    refresh: mpsc::Sender<Key>,
    hits: Counter,
    stale_hits: Counter,
    shared_hits: Counter,
    failures: Counter,
}

/// `domain` and `short_code` in one text. The default domain is empty, which makes the key the code alone.
type Key = Box<str>;

#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    fetched: Moment,
    refreshing: AtomicBool,
}

/// A look-up under way, which everybody who wants the same code waits for.
#[derive(Debug, Clone)]
struct Flight {
    answer: Shared<BoxFuture<'static, Answer>>,
    /// Set when the link changed meanwhile: the answer may be shown to those who asked before, but not kept.
    overtaken: Arc<AtomicBool>,
}

/// The codes to fetch anew; [`Resolver::refresh`] works on them.
#[derive(Debug)]
pub struct Refreshes(mpsc::Receiver<Key>);

impl Resolver {
    /// Returns a resolver, and what its worker needs.
    pub fn new(env: Env) -> (Self, Refreshes) {
        let (refresh, refreshes) = mpsc::channel(REFRESHES);
        let inner = Inner {
            known: Cache::new(env.config.cache.entries.max(1)),
            unknown: Cache::new(UNKNOWN_CODES),
            changed: Cache::new(CHANGED_CODES),
            flights: Mutex::default(),
            distrust_before: AtomicI64::new(i64::MIN),
            refresh,
            hits: counter!("linkforty_link_cache_hits_total", "level" => "process"),
            stale_hits: counter!("linkforty_link_cache_stale_hits_total"),
            shared_hits: counter!("linkforty_link_cache_hits_total", "level" => "shared"),
            failures: counter!("linkforty_link_lookup_failures_total"),
            env,
        };
        (Self(Arc::new(inner)), Refreshes(refreshes))
    }

    /// Returns what is known of `code` on `domain` at `now`.
    pub async fn resolve(&self, domain: &str, code: &str, now: Moment) -> Answer {
        let joined;
        let key = if domain.is_empty() {
            code
        } else {
            joined = key_of(domain, code);
            &joined
        };
        let settings = &self.0.env.config.cache;
        let held = self.0.known.get(key);
        if let Some(entry) = &held {
            match freshness(entry.fetched, self.0.distrusted_before(), now, settings) {
                Freshness::Fresh => {
                    self.0.hits.increment(1);
                    return Answer::Found(entry.target.clone());
                }
                Freshness::Old => {
                    self.0.hits.increment(1);
                    self.0.stale_hits.increment(1);
                    if !entry.refreshing.swap(true, Ordering::Relaxed)
                        && self.0.refresh.try_send(key.into()).is_err()
                    {
                        entry.refreshing.store(false, Ordering::Relaxed);
                    }
                    return Answer::Found(entry.target.clone());
                }
                Freshness::TooOld => {}
            }
        } else if let Some(since) = self.0.unknown.get(key)
            && now - since < life(settings.negative_ttl)
        {
            return Answer::Unknown;
        }
        match (self.look_up(key).await, held) {
            (Answer::Away, Some(entry)) if now - entry.fetched < life(settings.max_stale_if_error) => {
                self.0.stale_hits.increment(1);
                Answer::Found(entry.target.clone())
            }
            (answer, _) => answer,
        }
    }

    /// Fetches old entries anew, a few at a time, until `stop`.
    pub async fn refresh(self, refreshes: &mut Refreshes, stop: CancellationToken) {
        let keys = futures::stream::unfold(&mut refreshes.0, async |keys| Some((keys.recv().await?, keys)));
        let work = keys.for_each_concurrent(REFRESHES_AT_ONCE, |key| async {
            let key = key;
            self.look_up(&key).await;
        });
        tokio::select! { () = stop.cancelled() => {}, () = work => {} }
    }

    /// Drops what changed on any node, until `stop`.
    pub async fn listen(self, mut changes: broadcast::Receiver<Signal>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                signal = changes.recv() => match signal {
                    Ok(Signal::Message(message)) => self.changed(&message),
                    Ok(Signal::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => self.distrust(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            }
        }
    }

    /// Drops what is known of the links that a message names.
    fn changed(&self, message: &Bytes) {
        let now = self.0.env.now();
        for (domain, code) in changes::read(&String::from_utf8_lossy(message)) {
            let key = key_of(domain, code);
            if let Some(flight) = self.0.lock().get(&key) {
                flight.overtaken.store(true, Ordering::Release);
            }
            self.0.known.remove(&key);
            self.0.unknown.remove(&key);
            self.0.changed.insert(key, now);
        }
    }

    /// Makes everything known old: messages were missed.
    fn distrust(&self) {
        let now = self.0.env.now();
        self.0.distrust_before.store(now.timestamp_micros(), Ordering::Release);
        self.0.unknown.clear();
    }

    /// Asks the shared cache and the database, together with everybody who asks for the same now, and remembers.
    async fn look_up(&self, key: &str) -> Answer {
        let flight = {
            let mut flights = self.0.lock();
            if let Some(flight) = flights.get(key) {
                flight.clone()
            } else {
                let overtaken = Arc::new(AtomicBool::new(false));
                let answer = self.take_off(key.into(), overtaken.clone()).boxed().shared();
                let flight = Flight { answer, overtaken };
                flights.insert(key.into(), flight.clone());
                flight
            }
        };
        flight.answer.await
    }

    /// Begins a look-up, which ends by itself: a visitor may leave before, and with nobody to poll it, it would keep one of few
    /// connections until somebody asks for the same code again.
    fn take_off(&self, key: Key, overtaken: Arc<AtomicBool>) -> impl Future<Output = Answer> + use<> {
        let inner = self.0.clone();
        let work = fetch_and_keep(inner.clone(), key.clone(), overtaken);
        let work = tokio::spawn(work.in_current_span());
        async move {
            work.await.unwrap_or_else(|error| {
                tracing::error!(%error, code = &*key, "a look-up failed by our fault");
                inner.lock().remove(&key);
                Answer::Away
            })
        }
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn distrusted_before(&self) -> i64 {
        self.distrust_before.load(Ordering::Acquire)
    }
}

async fn fetch_and_keep(inner: Arc<Inner>, key: Key, overtaken: Arc<AtomicBool>) -> Answer {
    let now = inner.env.now();
    let answer = fetch(&inner, &key, now).await;
    let mut flights = inner.lock();
    flights.remove(&key);
    if !overtaken.load(Ordering::Acquire) {
        match &answer {
            Answer::Found(target) => {
                let entry =
                    Entry { target: target.clone(), fetched: now, refreshing: AtomicBool::new(false) };
                inner.unknown.remove(&key);
                inner.known.insert(key, Arc::new(entry));
            }
            Answer::Unknown => {
                inner.known.remove(&key);
                inner.unknown.insert(key, now);
            }
            Answer::Away => {
                // The entry stays as old as it is; let the next hit ask again.
                if let Some(entry) = inner.known.get(&key) {
                    entry.refreshing.store(false, Ordering::Relaxed);
                }
            }
        }
    }
    answer
}

async fn fetch(inner: &Inner, key: &str, now: Moment) -> Answer {
    let env = &inner.env;
    let shared_life = env.config.cache.shared_ttl;
    let (domain, code) = key.split_once('\t').unwrap_or(("", key));
    let shared_key = changes::shared_key(domain, code);
    // Who changed a link replaces it in the shared cache too, but may have died before that.
    let distrusted = inner.changed.get(key).is_some_and(|since| now - since < life(shared_life));
    let shared = if distrusted { Ok(None) } else { env.cache.get(&shared_key).await };
    if let Ok(Some(bytes)) = &shared
        && let Some(target) = Target::decode(bytes)
    {
        inner.shared_hits.increment(1);
        return Answer::Found(Arc::new(target));
    }
    match tokio::time::timeout(LOOKUP_TIMEOUT, find_target(&env.db.lookup, domain, code)).await {
        Ok(Ok(Some(target))) => {
            let bytes = Bytes::from(target.encode());
            // A tombstone stands there when what was read just now may be old already. All who heard of the change know
            // better than the shared cache, so they may overwrite it.
            let kept = match shared {
                Ok(_) if distrusted => env.cache.set(&shared_key, bytes, shared_life).await,
                Ok(_) => env.cache.add(&shared_key, bytes, shared_life).await,
                Err(away) => Err(away),
            };
            if kept.is_err() {
                tracing::trace!("the shared cache did not take a link");
            }
            Answer::Found(Arc::new(target))
        }
        Ok(Ok(None)) => Answer::Unknown,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a link could not be looked up");
            inner.failures.increment(1);
            Answer::Away
        }
        Err(_) => {
            inner.failures.increment(1);
            Answer::Away
        }
    }
}

fn key_of(domain: &str, code: &str) -> Key {
    if domain.is_empty() { code.into() } else { format!("{domain}\t{code}").into() }
}

/// How far an entry can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Fresh,
    Old,
    TooOld,
}

/// Judges an entry by its age. One that was fetched before messages were missed is old at the least.
fn freshness(fetched: Moment, distrusted_before: i64, now: Moment, settings: &config::Cache) -> Freshness {
    let age = now - fetched;
    if age >= life(settings.max_stale) {
        Freshness::TooOld
    } else if age >= life(settings.soft_ttl) || fetched.timestamp_micros() < distrusted_before {
        Freshness::Old
    } else {
        Freshness::Fresh
    }
}

fn life(duration: Duration) -> chrono::Duration {
    chrono::Duration::from_std(duration).unwrap_or(chrono::Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn an_entry_grows_old_by_age_or_by_a_gap() {
        let settings = config::Config::from_lookup(&|_| None).expect("the defaults").cache;
        let second = |n: i64| from_micros(n * 1_000_000);
        for (age, distrusted, expected) in [
            (0, i64::MIN, Freshness::Fresh),
            (29, i64::MIN, Freshness::Fresh),
            (30, i64::MIN, Freshness::Old),
            (899, i64::MIN, Freshness::Old),
            (900, i64::MIN, Freshness::TooOld),
            (1, 1, Freshness::Old),
        ] {
            assert_eq!(
                freshness(second(0), distrusted, second(age), &settings),
                expected,
                "{age} {distrusted}"
            );
        }
    }

    #[test]
    fn a_key_of_the_own_domain_is_the_code_alone() {
        assert_eq!((&*key_of("", "a"), &*key_of("x", "a")), ("a", "x\ta"));
    }
}
