//! Redis, through fred. Nothing outside this folder knows fred.
//!
//! Redis is never waited for: it may be absent at the start and come later; a call has a timeout, is tried once, and
//! after five failures in a row only one call every 500 ms is made at all (`breaker.rs`). Three connections: one that visitors look up over,
//! one that listens, and one for the rest, limits ([`Counter`]) included.
//!
//! Commands: `HELLO SELECT PING CLIENT|ID GET SET EVALSHA EVAL TIME PUBLISH SUBSCRIBE`, in a cluster also `CLUSTER|SLOTS
//! CLUSTER|INFO`, at Sentinels `SENTINEL`. An ACL user without `@dangerous` and `@admin` may call them all; fred also asks `INFO
//! server` and can do without the answer. Keys are `{prefix}:c:*` and `{prefix}:l:*`, channels `{prefix}:f:*`:
//! `ACL SETUSER linkforty on >… resetkeys ~linkforty:* resetchannels &linkforty:* +@all -@dangerous -@admin`.

mod listen;
mod settings;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use fred::{
    clients::{Client, WithOptions},
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, KeysInterface as _, LuaInterface as _, PubsubInterface as _},
    types::{ConnectHandle, Expiration, SetOptions, Value, config::Options},
};
use futures::future::{join_all, try_join_all};
use metrics::{counter, gauge, histogram};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use self::{listen::Listener, settings::WrongUrl};
use super::{Away, ProcessFanout, SharedCache, Topic, breaker::Breaker};
use crate::config;

/// How long anything but a cache look-up may take.
const TIMEOUT: Duration = Duration::from_millis(100);
/// How long the question whether it is there may take, and how often it is asked.
const PING_TIMEOUT: Duration = Duration::from_millis(500);
const PING_EVERY: Duration = Duration::from_secs(1);
/// How often a refusal is logged.
const SAY_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// How long a goodbye may take.
const QUIT: Duration = Duration::from_millis(500);
/// fred gives up on a server that it takes for a wrong setting; we do not.
const CONNECT_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The shared cache on Redis, and what limits and health need of it. Clones share the connections.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    config: fred::types::config::Config,
    prefix: String,
    look_up: WithOptions<Client>,
    count: WithOptions<Client>,
    other: WithOptions<Client>,
    breaker: Breaker,
    state: Mutex<State>,
    connections: Mutex<Vec<Connection>>,
    refusal: Mutex<Option<Instant>>,
}

/// A connection that is made and made anew.
struct Connection {
    client: Client,
    /// Whose threads read and write.
    threads: Handle,
    task: ConnectHandle,
}

impl Connection {
    fn begin(client: Client, threads: &Handle) -> Self {
        let _threads = threads.enter();
        Self { task: client.connect(), threads: threads.clone(), client }
    }

    fn begin_again_if_given_up(&mut self) {
        if self.task.is_finished() {
            *self = Self::begin(self.client.clone(), &self.threads);
        }
    }
}

/// Options of a command that is tried once.
fn once(timeout: Duration) -> Options {
    Options { timeout: Some(timeout), max_attempts: Some(1), fail_fast: true, ..Options::default() }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.0.prefix).field("state", &self.state()).finish()
    }
}

/// How Redis is, as last seen by the ping that goes out every second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Whether it answers.
    pub up: bool,
    /// How long its last answer took.
    pub latency: Option<Duration>,
}

/// A Lua script, sent once and then called by its hash.
#[derive(Debug)]
pub struct Script {
    name: &'static str,
    source: &'static str,
    sha: String,
}

impl Script {
    /// Prepares a script. `name` is the command that metrics count it under.
    pub fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, sha: fred::util::sha1_hash(source) }
    }
}

impl Redis {
    /// Prepares the connections and begins to make them, in the background and for as long as it takes. Only a URL that cannot
    /// be read fails. What is looked up is read by `visitors`, and the rest by the present runtime: whoever waits for an answer should have no
    /// other threads to wait for than those it runs on, and what calls leave behind should wake no visitor's.
    #[expect(clippy::unused_async, reason = "it needs a runtime, and says so by being async")]
    pub async fn connect(settings: &config::Redis, visitors: &Handle) -> Result<Self, WrongUrl> {
        let config = settings::config(settings)?;
        let (looks_up, other) = (settings::client(&config), settings::client(&config));
        let connections = vec![
            Connection::begin(looks_up.clone(), visitors),
            Connection::begin(other.clone(), &Handle::current()),
        ];
        Ok(Self(Arc::new(Inner {
            config,
            prefix: settings.prefix.clone(),
            look_up: looks_up.with_options(&once(settings.timeout)),
            count: other.with_options(&once(settings.timeout)),
            other: other.with_options(&once(TIMEOUT)),
            breaker: Breaker::default(),
            state: Mutex::default(),
            connections: Mutex::new(connections),
            refusal: Mutex::default(),
        })))
    }

    /// Says how Redis is. Down until the first answer.
    pub fn state(&self) -> State {
        *lock(&self.0.state)
    }

    /// Asks every second how Redis is, until `token` is cancelled.
    pub async fn watch(self, token: CancellationToken) {
        let mut known = false;
        loop {
            let state = self.ping().await;
            let before = std::mem::replace(&mut *lock(&self.0.state), state);
            gauge!("linkforty_redis_up").set(if state.up { 1.0 } else { 0.0 });
            let open = self.0.breaker.is_open();
            gauge!("linkforty_redis_breaker_open").set(if open { 1.0 } else { 0.0 });
            match (before.up, state.up) {
                (false, true) => tracing::info!("Redis answers"),
                (true, false) => tracing::warn!("Redis does not answer; going on without it"),
                (false, false) if !known => tracing::warn!("Redis does not answer yet; starting without it"),
                _ => {}
            }
            known = true;
            lock(&self.0.connections).iter_mut().for_each(Connection::begin_again_if_given_up);
            if token.run_until_cancelled(tokio::time::sleep(PING_EVERY)).await.is_none() {
                break;
            }
        }
        let clients = self.clients();
        let _ = tokio::time::timeout(QUIT, join_all(clients.iter().map(Client::quit))).await;
    }

    /// Returns what listens on Redis for the subscribers of `hub`.
    pub fn listener(&self, hub: ProcessFanout) -> Listener {
        Listener::new(&self.0.config, &self.0.prefix, hub)
    }

    /// Sends a message to all nodes that listen, this one included.
    pub async fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Away> {
        let channel = listen::channel(&self.0.prefix, topic);
        let sent = self.0.other.publish::<i64, _, _>(channel, Value::Bytes(message));
        self.call("publish", sent).await.map(drop)
    }

    /// Returns what counts for limits.
    pub fn counter(&self) -> Counter {
        Counter(self.clone())
    }

    fn clients(&self) -> Vec<Client> {
        lock(&self.0.connections).iter().map(|connection| connection.client.clone()).collect()
    }

    fn cached(&self, key: &str) -> String {
        format!("{}:c:{key}", self.0.prefix)
    }

    /// Asks over every connection: whoever asks how Redis is means all that it is for.
    async fn ping(&self) -> State {
        let options = Options { timeout: Some(PING_TIMEOUT), ..self.0.other.options().clone() };
        let clients = self.clients();
        let pings = clients.iter().map(|client| client.with_options(&options));
        let started = Instant::now();
        if try_join_all(pings.map(|client| async move { client.ping::<()>(None).await })).await.is_err() {
            counter!("linkforty_redis_errors_total", "command" => "ping").increment(1);
            return State { up: false, latency: None };
        }
        let took = started.elapsed();
        histogram!("linkforty_redis_latency_seconds", "command" => "ping").record(took.as_secs_f64());
        State { up: true, latency: Some(took) }
    }

    async fn call<T>(
        &self,
        command: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Away> {
        let started = Instant::now();
        if !self.0.breaker.admits(started) {
            return Err(Away);
        }
        let error = match work.await {
            Ok(answer) => {
                self.0.breaker.succeeded();
                histogram!("linkforty_redis_latency_seconds", "command" => command)
                    .record(started.elapsed().as_secs_f64());
                return Ok(answer);
            }
            Err(error) => error,
        };
        counter!("linkforty_redis_errors_total", "command" => command).increment(1);
        if is_refusal(&error) {
            // It answers, and quickly, if not what we want.
            self.0.breaker.succeeded();
            self.say_refused(command, &error);
        } else {
            self.0.breaker.failed(Instant::now());
        }
        Err(Away)
    }

    async fn store(
        &self,
        command: &'static str,
        key: &str,
        value: Bytes,
        life: Duration,
        condition: Option<SetOptions>,
    ) -> Result<(), Away> {
        let millis = i64::try_from(life.as_millis()).unwrap_or(i64::MAX).max(1);
        let life = Some(Expiration::PX(millis));
        let set = self.0.other.set::<Option<String>, _, _>(
            self.cached(key),
            Value::Bytes(value),
            life,
            condition,
            false,
        );
        // Nothing comes back when the condition did not hold, which is an answer as good as OK.
        self.call(command, set).await.map(drop)
    }

    fn say_refused(&self, command: &str, error: &Error) {
        let mut said = lock(&self.0.refusal);
        if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN_AFTER) {
            *said = Some(Instant::now());
            tracing::warn!(command, error = error.details(), "Redis refuses a command");
        }
    }
}

/// Counts on Redis, for limits that all nodes share. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Counter(Redis);

impl Counter {
    /// Calls a script with keys that all lie in one slot of a cluster, and that answers with numbers.
    pub async fn call(
        &self,
        script: &Script,
        keys: &[String],
        arguments: Vec<i64>,
    ) -> Result<Vec<i64>, Away> {
        let Self(redis) = self;
        let Inner { prefix, count, .. } = &*redis.0;
        let keys: Vec<String> = keys.iter().map(|key| format!("{prefix}:l:{key}")).collect();
        redis
            .call(script.name, async {
                let known = count.evalsha(script.sha.clone(), keys.clone(), arguments.clone()).await;
                match known {
                    Err(error) if error.details().starts_with("NOSCRIPT") => {
                        count.eval(script.source, keys, arguments).await
                    }
                    other => other,
                }
            })
            .await
    }
}

#[async_trait]
impl SharedCache for Redis {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Away> {
        self.call("get", self.0.look_up.get(self.cached(key))).await
    }

    async fn set(&self, key: &str, value: Bytes, life: Duration) -> Result<(), Away> {
        self.store("set", key, value, life, None).await
    }

    async fn add(&self, key: &str, value: Bytes, life: Duration) -> Result<(), Away> {
        self.store("add", key, value, life, Some(SetOptions::NX)).await
    }
}

/// Says whether the server itself said no, rather than nothing.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Auth
            | ErrorKind::InvalidArgument
            | ErrorKind::InvalidCommand
            | ErrorKind::NotFound
            | ErrorKind::Parse
            | ErrorKind::Unknown
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Each holds one value that is always whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
