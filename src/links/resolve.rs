//! From a code to its target: process, then Redis, then database, each with its own bound on time and staleness.
//!
//! - A hit younger than `soft_ttl` is the answer; an older one is the answer too, and is fetched anew behind it.
//! - Beyond `max_stale` a hit waits for a fresh answer, unless no store gives one: then it serves until `max_stale_if_error`.
//! - Concurrent misses of one code ask once, and who hangs up stops nobody's look-up. Unknown codes are remembered apart
//!   from known ones, so that no flood of guesses pushes a link out.
//! - An entry that [`super::snapshot`] brought over a restart is old, and its first visitor waits a moment for a fresh answer:
//!   what happened meanwhile nobody told us.
//! - A change drops the entry: on the node that made it before its caller is answered, on others by a message. A gap in
//!   the messages makes every entry old.
//! - A change of a workspace drops all of its entries in the same way, and what the shared cache holds of it from before is not
//!   believed. Which workspaces changed is asked of the database at the start and after a gap; where there is one node, whose
//!   operator changes things from another process, all the time.
//! - "No store answers" is never taken for "no such link".

use std::{
    borrow::Cow,
    collections::HashMap,
    panic::AssertUnwindSafe,
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
use metrics::{Counter, counter, histogram};
use quick_cache::sync::Cache;
use tokio::{
    sync::{broadcast, mpsc},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    changes,
    extras::House,
    snapshot::Row,
    target::{Target, find_target},
};
use crate::{
    cache::Signal,
    clock::Moment,
    config,
    db::Dialect,
    env::Env,
    ids::WorkspaceId,
    workspaces::{changed_since, changed_workspace, on_change},
};

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
/// How many changed workspaces are remembered, and how many have settings that their links share.
const WORKSPACES: usize = 10_000;
/// What the shared cache learnt of a workspace until so long after a change is not believed: a look-up may have begun before
/// it, and the clocks of two nodes may differ.
const DOUBT: chrono::Duration = chrono::Duration::seconds(5);
/// How often the database is asked which workspaces changed, while that is not known.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long visitors wait for a look-up; nothing of it is on the path of a warm link.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(800);
/// How long the database may take for a look-up, pool included. Longer than visitors wait: an answer that comes too late for
/// the first of them is there for the next, and a connection that takes long to make is made all the same.
const FLIGHT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the first visitor of a link that was remembered over a restart waits for a fresh answer.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(150);
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
    held: Arc<Held>,
    refresh: mpsc::Sender<Key>,
    hits: Counter,
    stale_hits: Counter,
    shared_hits: Counter,
    failures: Counter,
}

/// What this node remembers of links. Part of the process's memory, so that whoever changes a link here is heard at once.
#[derive(Debug)]
struct Held {
    known: Cache<Key, Arc<Entry>>,
    unknown: Cache<Key, Moment>,
    /// When links changed, as far as is known here. The shared cache may hold older answers still.
    changed: Cache<Key, Moment>,
    /// When workspaces changed, as far as is known here.
    workspaces: Cache<WorkspaceId, Moment>,
    /// What workspaces say of all of their links, once for all of them.
    houses: Cache<WorkspaceId, Arc<House>>,
    flights: Mutex<HashMap<Key, Flight>>,
    /// Entries fetched before this moment (microseconds) are old, however young.
    distrust_before: AtomicI64,
}

/// `domain` and `short_code` in one text. The default domain is empty, which makes the key the code alone.
type Key = Box<str>;

#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    fetched: Moment,
    refreshing: AtomicBool,
    /// When somebody last asked for it, in seconds: what a snapshot keeps is chosen by this.
    used: AtomicI64,
    /// It is from before a restart, and no store was asked since.
    unconfirmed: AtomicBool,
}

impl Entry {
    fn new(target: Arc<Target>, fetched: Moment) -> Self {
        Self {
            target,
            fetched,
            refreshing: AtomicBool::new(false),
            used: AtomicI64::new(fetched.timestamp()),
            unconfirmed: AtomicBool::new(false),
        }
    }

    /// Notes that somebody asked for it. Written once a second at most: the threads that serve share this line of memory.
    fn note_use(&self, now: Moment) {
        let second = now.timestamp();
        if self.used.load(Ordering::Relaxed) != second {
            self.used.store(second, Ordering::Relaxed);
        }
    }
}

/// A look-up under way, which everybody who wants the same code waits for.
#[derive(Debug, Clone)]
struct Flight {
    answer: Shared<BoxFuture<'static, Answer>>,
    /// Set when the link changed meanwhile: the answer may be shown to those who asked before, but neither kept nor shown
    /// to those who ask after.
    overtaken: Arc<AtomicBool>,
}

/// Drops what this node remembers of the links that a message names.
pub fn forget(env: &Env, message: &str) {
    held(env).forget(message, env.now());
}

fn held(env: &Env) -> Arc<Held> {
    env.memory.of(|| Held::new(env.config.cache.entries))
}

/// The codes to fetch anew; [`Resolver::refresh`] works on them.
#[derive(Debug)]
pub struct Refreshes(mpsc::Receiver<Key>);

impl Resolver {
    /// Returns a resolver, and what its worker needs.
    pub fn new(env: Env) -> (Self, Refreshes) {
        let (refresh, refreshes) = mpsc::channel(REFRESHES);
        let held = held(&env);
        let hears = held.clone();
        on_change(&env, move |workspace, at| hears.forget_all_of(workspace, at));
        let inner = Inner {
            held,
            refresh,
            hits: counter!("linkforty_link_cache_hits_total", "level" => "process"),
            stale_hits: counter!("linkforty_link_cache_stale_hits_total"),
            shared_hits: counter!("linkforty_link_cache_hits_total", "level" => "shared"),
            failures: counter!("linkforty_link_lookup_failures_total"),
            env,
        };
        (Self(Arc::new(inner)), Refreshes(refreshes))
    }

    /// Returns the link of `code` on `domain` if this node remembers it well enough to answer at once: what every warm visit
    /// asks, and it waits for nothing.
    pub fn recall(&self, domain: &str, code: &str, now: Moment) -> Option<Arc<Target>> {
        let entry = with_key(domain, code, |key| self.0.held.known.get(key))?;
        self.recall_entry(&entry, domain, code, now)
    }

    fn recall_entry(&self, entry: &Entry, domain: &str, code: &str, now: Moment) -> Option<Arc<Target>> {
        entry.note_use(now);
        if entry.unconfirmed.load(Ordering::Relaxed) {
            return None;
        }
        let distrusted_before = self.0.held.distrusted_before();
        match freshness(entry.fetched, distrusted_before, now, &self.0.env.config.cache) {
            Freshness::Fresh => {}
            Freshness::Old => {
                self.0.stale_hits.increment(1);
                if !entry.refreshing.swap(true, Ordering::Relaxed)
                    && self.0.refresh.try_send(key_of(domain, code).into()).is_err()
                {
                    entry.refreshing.store(false, Ordering::Relaxed);
                }
            }
            Freshness::TooOld => return None,
        }
        self.0.hits.increment(1);
        Some(entry.target.clone())
    }

    /// Returns what is known of `code` on `domain` at `now`.
    pub async fn resolve(&self, domain: &str, code: &str, now: Moment) -> Answer {
        let key = key_of(domain, code);
        let settings = &self.0.env.config.cache;
        let remembered = &self.0.held;
        let held = remembered.known.get(&*key);
        if let Some(entry) = &held {
            if let Some(target) = self.recall_entry(entry, domain, code, now) {
                return Answer::Found(target);
            }
            if entry.unconfirmed.load(Ordering::Relaxed) {
                return self.confirm(&key, entry, now).await;
            }
        } else if let Some(since) = remembered.unknown.get(&*key)
            && now - since < life(settings.negative_ttl)
        {
            return Answer::Unknown;
        }
        match (self.look_up(&key).await, held) {
            (Answer::Away, Some(entry)) if now - entry.fetched < life(settings.max_stale_if_error) => {
                self.0.stale_hits.increment(1);
                Answer::Found(entry.target.clone())
            }
            (answer, _) => answer,
        }
    }

    /// Asks the stores about an entry from before a restart, which has not seen what changed meanwhile. When none of them
    /// answers soon it is the answer, and from then on an old entry as any other: nobody waits for it again.
    async fn confirm(&self, key: &str, entry: &Entry, now: Moment) -> Answer {
        let answer = tokio::time::timeout(CONFIRM_TIMEOUT, self.look_up(key)).await;
        if let Ok(answer @ (Answer::Found(_) | Answer::Unknown)) = answer {
            return answer;
        }
        if now - entry.fetched >= life(self.0.env.config.cache.max_stale_if_error) {
            return self.look_up(key).await;
        }
        entry.unconfirmed.store(false, Ordering::Relaxed);
        self.0.stale_hits.increment(1);
        Answer::Found(entry.target.clone())
    }

    /// Remembers what the last run remembered, as far as it may still be used, and returns how many links that are.
    pub(super) fn remember(&self, rows: Vec<Row>) -> usize {
        let (now, bound) = (self.0.env.now(), life(self.0.env.config.cache.max_stale_if_error));
        let held = &self.0.held;
        // Everything so far is old.
        held.distrust(now);
        let mut remembered = 0;
        for Row { key, fetched, target } in rows {
            // A moment to come is a clock that was set back: old all the same.
            let fetched = fetched.min(now - chrono::Duration::microseconds(1));
            if now - fetched < bound {
                let target = held.at_home(Arc::unwrap_or_clone(target));
                let entry = Entry { unconfirmed: AtomicBool::new(true), ..Entry::new(target, fetched) };
                held.known.insert(key, Arc::new(entry));
                remembered += 1;
            }
        }
        remembered
    }

    /// Returns the `most` entries that were asked for last and may still be used at `now`.
    pub(super) fn hottest(&self, most: usize, now: Moment) -> Vec<Row> {
        let bound = life(self.0.env.config.cache.max_stale_if_error);
        let usable = self.0.held.known.iter().filter(|(_, entry)| now - entry.fetched < bound);
        let mut entries: Vec<_> =
            usable.map(|(key, entry)| (entry.used.load(Ordering::Relaxed), key, entry)).collect();
        if entries.len() > most {
            entries.select_nth_unstable_by_key(most, |(used, _, _)| std::cmp::Reverse(*used));
            entries.truncate(most);
        }
        entries
            .into_iter()
            .map(|(_, key, entry)| Row { key, fetched: entry.fetched, target: entry.target.clone() })
            .collect()
    }

    /// Fetches old entries anew, a few at a time, until `stop`.
    pub async fn refresh(self, refreshes: &mut Refreshes, stop: CancellationToken) {
        let keys = futures::stream::unfold(&mut refreshes.0, async |keys| Some((keys.recv().await?, keys)));
        let work = keys.for_each_concurrent(REFRESHES_AT_ONCE, |key| async {
            let key = key;
            self.flight(&key).answer.await;
        });
        tokio::select! { () = stop.cancelled() => {}, () = work => {} }
    }

    /// Drops what changed on any node, until `stop`.
    pub async fn listen(self, mut changes: broadcast::Receiver<Signal>, stop: CancellationToken) {
        // Once for each way a change is heard by; the clocks of two nodes may differ.
        let delay = histogram!("linkforty_link_change_delay_seconds");
        let alone = self.0.env.db.dialect() == Dialect::Sqlite;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missed_some = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick(), if missed_some || alone => missed_some = !self.look_for_changes().await,
                signal = changes.recv() => match signal {
                    Ok(Signal::Message(message)) => {
                        let message = String::from_utf8_lossy(&message);
                        forget(&self.0.env, &message);
                        if let Some(made) = changes::made_at(&message) {
                            let passed = self.0.env.now() - made;
                            delay.record(passed.to_std().unwrap_or_default());
                        }
                    }
                    Ok(Signal::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => {
                        self.0.held.distrust(self.0.env.now());
                        missed_some = true;
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            }
        }
    }

    /// Asks the database which workspaces changed while nobody may have told this node. Says whether it answered; while it
    /// does not, what is held of them is as old as that of links may be.
    async fn look_for_changes(&self) -> bool {
        let Inner { env, held, .. } = &*self.0;
        // No entry that is believed, here or in the shared cache, is older.
        let since = env.now() - life(env.config.cache.shared_ttl.max(env.config.cache.max_stale)) - DOUBT;
        let changed = changed_since(&env.db.lookup, since, WORKSPACES as u64);
        let Ok(Ok(changed)) = tokio::time::timeout(LOOKUP_TIMEOUT, changed).await else { return false };
        for (workspace, at) in changed {
            if held.workspaces.get(&workspace) != Some(at) {
                held.forget_all_of(workspace, at);
            }
        }
        true
    }

    /// Asks the shared cache and the database, together with everybody who asks for the same now, and remembers, also what
    /// comes too late for those who asked.
    async fn look_up(&self, key: &str) -> Answer {
        let flight = self.flight(key);
        tokio::time::timeout(LOOKUP_TIMEOUT, flight.answer).await.unwrap_or(Answer::Away)
    }

    /// Joins the look-up under way, or begins one. It is a task of its own: left to its callers, it would stop half-way when
    /// the last of them hangs up, and keep its connection to the database for good.
    fn flight(&self, key: &str) -> Flight {
        let mut flights = self.0.held.lock();
        if let Some(flight) = flights.get(key)
            && !flight.overtaken.load(Ordering::Acquire)
        {
            return flight.clone();
        }
        let overtaken = Arc::new(AtomicBool::new(false));
        let work = fetch_and_keep(self.0.clone(), key.into(), overtaken.clone());
        let work = tokio::spawn(work.in_current_span());
        let answer = async { work.await.unwrap_or(Answer::Away) }.boxed().shared();
        let flight = Flight { answer, overtaken };
        flights.insert(key.into(), flight.clone());
        flight
    }
}

impl Held {
    fn new(entries: usize) -> Self {
        Self {
            known: Cache::new(entries.max(1)),
            unknown: Cache::new(UNKNOWN_CODES),
            changed: Cache::new(CHANGED_CODES),
            workspaces: Cache::new(WORKSPACES),
            houses: Cache::new(WORKSPACES),
            flights: Mutex::default(),
            distrust_before: AtomicI64::new(i64::MIN),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn distrusted_before(&self) -> i64 {
        self.distrust_before.load(Ordering::Acquire)
    }

    /// Drops what is known of the links that a message names.
    fn forget(&self, message: &str, now: Moment) {
        if let Some((workspace, at)) = changed_workspace(message) {
            return self.forget_all_of(workspace, at);
        }
        for (domain, code) in changes::read(message) {
            let key = key_of(domain, code);
            let flights = self.lock();
            if let Some(flight) = flights.get(&*key) {
                flight.overtaken.store(true, Ordering::Release);
            }
            self.known.remove(&*key);
            self.unknown.remove(&*key);
            self.changed.insert(key.into(), now);
        }
    }

    /// Drops what is known of the links of a workspace that changed at `at`. Nobody knows which workspace a look-up under way
    /// is about, so none of them is believed.
    fn forget_all_of(&self, workspace: WorkspaceId, at: Moment) {
        let flights = self.lock();
        let latest = self.workspaces.get(&workspace).map_or(at, |known| known.max(at));
        self.workspaces.insert(workspace, latest);
        flights.values().for_each(|flight| flight.overtaken.store(true, Ordering::Release));
        self.known.retain(|_, entry| entry.target.workspace_id != workspace);
    }

    /// Says whether what the shared cache holds is from before a change of the workspace. What does not say when it was
    /// learnt is of the version before.
    fn is_outdated(&self, target: &Target, learnt: Option<Moment>) -> bool {
        let changed = self.workspaces.get(&target.workspace_id);
        changed.is_some_and(|at| learnt.is_none_or(|learnt| learnt < at + DOUBT))
    }

    /// Returns a target that shares with those of its workspace what they have in common.
    fn at_home(&self, mut target: Target) -> Arc<Target> {
        if let Some(house) = &target.house {
            match self.houses.get(&target.workspace_id) {
                Some(shared) if shared == *house => target.house = Some(shared),
                _ => self.houses.insert(target.workspace_id, house.clone()),
            }
        }
        Arc::new(target)
    }

    /// Makes everything known old: messages were missed.
    fn distrust(&self, now: Moment) {
        self.distrust_before.store(now.timestamp_micros(), Ordering::Release);
        self.unknown.clear();
    }
}

async fn fetch_and_keep(inner: Arc<Inner>, key: Key, overtaken: Arc<AtomicBool>) -> Answer {
    let now = inner.env.now();
    // A panic is in the log; whoever asks next begins anew.
    let answer = AssertUnwindSafe(fetch(&inner, &key, now)).catch_unwind().await.unwrap_or(Answer::Away);
    let held = &inner.held;
    let mut flights = held.lock();
    if flights.get(&key).is_some_and(|flight| Arc::ptr_eq(&flight.overtaken, &overtaken)) {
        flights.remove(&key);
    }
    if !overtaken.load(Ordering::Acquire) {
        match &answer {
            Answer::Found(target) => {
                held.unknown.remove(&key);
                held.known.insert(key, Arc::new(Entry::new(target.clone(), now)));
            }
            Answer::Unknown => {
                held.known.remove(&key);
                held.unknown.insert(key, now);
            }
            Answer::Away => {
                // The entry stays as old as it is; let the next hit ask again.
                if let Some(entry) = held.known.get(&key) {
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
    let mut distrusted = inner.held.changed.get(key).is_some_and(|since| now - since < life(shared_life));
    let shared = if distrusted { Ok(None) } else { env.cache.get(&shared_key).await };
    if let Ok(Some(bytes)) = &shared
        && let Some((target, learnt)) = Target::decode_fetched(bytes)
    {
        if !inner.held.is_outdated(&target, learnt) {
            inner.shared_hits.increment(1);
            return Answer::Found(inner.held.at_home(target));
        }
        distrusted = true;
    }
    match tokio::time::timeout(FLIGHT_TIMEOUT, find_target(&env.db.lookup, domain, code)).await {
        Ok(Ok(Some(target))) => {
            let bytes = Bytes::from(target.encode_fetched(now));
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
            Answer::Found(inner.held.at_home(target))
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

fn key_of<'a>(domain: &str, code: &'a str) -> Cow<'a, str> {
    if domain.is_empty() { Cow::Borrowed(code) } else { Cow::Owned(format!("{domain}\t{code}")) }
}

/// The longest key that is put together without asking for memory: a host, a tab and a code.
const KEY_BYTES: usize = 253 + 1 + 128;

/// Hands the key to `work` without asking for memory: every warm visit has one.
fn with_key<T>(domain: &str, code: &str, work: impl FnOnce(&str) -> T) -> T {
    let length = domain.len() + 1 + code.len();
    if domain.is_empty() || length > KEY_BYTES {
        return work(&key_of(domain, code));
    }
    let mut key = [0; KEY_BYTES];
    key[..domain.len()].copy_from_slice(domain.as_bytes());
    key[domain.len()] = b'\t';
    key[domain.len() + 1..length].copy_from_slice(code.as_bytes());
    // Two texts with a tab between them are one.
    work(str::from_utf8(&key[..length]).unwrap_or_default())
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
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let fetched = fetched.timestamp_micros();
    let age = now.timestamp_micros().saturating_sub(fetched);
    if age >= micros(settings.max_stale) {
        Freshness::TooOld
    } else if age >= micros(settings.soft_ttl) || fetched < distrusted_before {
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
    use crate::{clock::from_micros, pb::v1};

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
    fn what_changed_is_forgotten_and_a_look_up_under_way_is_not_believed() {
        let held = Held::new(10);
        let mut flights = Vec::new();
        for code in ["spring", "autumn"] {
            held.unknown.insert(code.into(), from_micros(0));
            let answer = futures::future::ready(Answer::Unknown).boxed().shared();
            let flight = Flight { answer, overtaken: Arc::new(AtomicBool::new(false)) };
            held.lock().insert(code.into(), flight.clone());
            flights.push(flight);
        }
        held.forget("\nspring", from_micros(7));
        let overtaken: Vec<bool> =
            flights.iter().map(|flight| flight.overtaken.load(Ordering::Acquire)).collect();
        assert_eq!(overtaken, [true, false]);
        assert_eq!((held.unknown.get("spring"), held.changed.get("spring")), (None, Some(from_micros(7))));
        assert_eq!((held.unknown.get("autumn"), held.changed.get("autumn")), (Some(from_micros(0)), None));
    }

    fn target(workspace: u128, settings: v1::WorkspaceSettings) -> Target {
        Target {
            workspace_id: WorkspaceId(uuid::Uuid::from_u128(workspace)),
            house: House::shared(Some(settings), false),
            ..Target::bare()
        }
    }

    #[test]
    fn a_change_of_a_workspace_drops_its_links_and_disbelieves_what_is_shared_of_it() {
        let held = Held::new(10);
        let moment = |seconds: i64| from_micros(seconds * 1_000_000);
        let (ours, theirs) = (target(1, Default::default()), target(2, Default::default()));
        for (key, target) in [("ours", &ours), ("theirs", &theirs)] {
            held.known.insert(key.into(), Arc::new(Entry::new(Arc::new(target.clone()), moment(0))));
        }
        let answer = futures::future::ready(Answer::Unknown).boxed().shared();
        let flight = Flight { answer, overtaken: Arc::default() };
        held.lock().insert("new".into(), flight.clone());
        held.forget(&format!(":workspace\n{}\n{}", ours.workspace_id, 100_000_000), moment(100));
        assert!(held.known.get("ours").is_none() && held.known.get("theirs").is_some());
        assert!(flight.overtaken.load(Ordering::Acquire));
        for (learnt, outdated) in
            [(None, true), (Some(99), true), (Some(100), true), (Some(104), true), (Some(105), false)]
        {
            assert_eq!(held.is_outdated(&ours, learnt.map(moment)), outdated, "{learnt:?}");
            assert!(!held.is_outdated(&theirs, learnt.map(moment)));
        }
        // An older change that is told later takes nothing back.
        held.forget_all_of(ours.workspace_id, moment(50));
        assert_eq!(held.workspaces.get(&ours.workspace_id), Some(moment(100)));
    }

    #[test]
    fn links_of_a_workspace_share_what_it_says_of_them() {
        let held = Held::new(10);
        let web = |url: &str| v1::WorkspaceSettings { web_url: url.into(), ..Default::default() };
        let house = |target: Target| held.at_home(target).house.clone().expect("it says something");
        let first = house(target(1, web("a")));
        assert!(Arc::ptr_eq(&first, &house(target(1, web("a")))));
        assert!(!Arc::ptr_eq(&first, &house(target(2, web("a")))));
        assert_eq!(house(target(1, web("b"))).settings.web_url, "b");
        assert!(held.at_home(target(1, Default::default())).house.is_none());
    }

    #[test]
    fn a_key_of_the_own_domain_is_the_code_alone() {
        assert_eq!((&*key_of("", "a"), &*key_of("x", "a")), ("a", "x\ta"));
        for domain in ["", "x", "go.example.com", &"x".repeat(300)] {
            for code in ["a", &"a".repeat(128)] {
                assert_eq!(with_key(domain, code, str::to_owned), key_of(domain, code));
            }
        }
    }
}
