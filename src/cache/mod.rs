//! What nodes share: a cache and a fan-out of small messages. Redis where there is one, the process itself where not.
//!
//! Neither is ever the only holder of a fact, and nothing waits for either: a call has a timeout of its own and failing
//! is an ordinary answer, [`Away`]. Nothing here is called for a redirect that the process remembers.
//!
//! | where | the cache | a message goes out by | and comes in by |
//! | --- | --- | --- | --- |
//! | embedded | none: the process's own is enough | the process | the process |
//! | Postgres alone | none | Postgres `NOTIFY` | Postgres `LISTEN` |
//! | Postgres and Redis | Redis | Redis, or Postgres while Redis is away | both: a message may come twice |

mod beliefs;
mod breaker;
mod fanout;
mod notify;
mod process;
mod recall;
mod redis;

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use tokio::{runtime::Handle, sync::broadcast};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
pub use self::redis::testing;
pub use self::{
    beliefs::{Belief, Beliefs},
    fanout::Paths,
    notify::notify,
    process::{NoSharedCache, ProcessFanout},
    recall::Recall,
    redis::{Counter, Redis, Script, State, WrongUrl},
};
use crate::{config::Config, ids::Ids};

/// The store does not answer, or not in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared cache does not answer")]
pub struct Away;

/// A cache that all nodes share.
#[async_trait]
pub trait SharedCache: Send + Sync + Debug {
    /// Returns what is stored under `key`.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Away>;
    /// Stores `value` under `key` for `life`.
    async fn set(&self, key: &str, value: Bytes, life: Duration) -> Result<(), Away>;
    /// Stores `value` under `key` for `life` unless something is stored there.
    async fn add(&self, key: &str, value: Bytes, life: Duration) -> Result<(), Away>;
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Links that changed: caches drop them.
    Links,
    /// Sessions and API keys that ended or changed: [`Beliefs`] drop them.
    Credentials,
    /// That the feed has grown: whoever shows it looks. A loss is no harm: they look all the time, and without Redis it stays in the process.
    Live,
    /// Visitors who followed a link that treats those differently who come again. A loss is no harm.
    Visitors,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 4] = [Self::Links, Self::Credentials, Self::Live, Self::Visitors];

    /// Returns the topic's name as channels carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Credentials => "credentials",
            Self::Live => "live",
            Self::Visitors => "visitors",
        }
    }
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A message.
    Message(Bytes),
    /// Messages may have been missed (the connection was lost, or this subscriber was too slow): believe nothing older.
    Gap,
}

/// Carries small messages to all nodes, this one included. A message may come twice, and may be lost: a loss is told as
/// [`Signal::Gap`].
#[async_trait]
pub trait Fanout: Send + Sync + Debug {
    /// Sends a message to all subscribers of `topic` on all nodes. When nothing can carry it the subscribers of this
    /// node hear it all the same, and the answer is [`Away`].
    async fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Away>;
    /// Returns a receiver of everything sent from now on. A receiver that lags behind by more than 1,024 messages
    /// gets `RecvError::Lagged`, which means the same as a gap.
    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<Signal>;
}

/// Work that goes on as long as the node runs. `serve` spawns it and waits for its end.
pub struct Task {
    /// What logs call it.
    pub name: &'static str,
    work: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl Task {
    fn new<F>(name: &'static str, work: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, work: Box::new(|token| Box::pin(work(token))) }
    }

    /// Works until `token` is cancelled.
    pub async fn run(self, token: CancellationToken) {
        (self.work)(token).await;
    }
}

impl Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the settings came to.
#[derive(Debug)]
pub struct Opened {
    /// The cache that all nodes share.
    pub cache: Arc<dyn SharedCache>,
    /// The messages that all nodes hear.
    pub fanout: Arc<dyn Fanout>,
    /// Redis, where it is configured: its state for health, its scripts for limits.
    pub redis: Option<Redis>,
    /// What has to run for messages to come in. Without it everything can be asked and sent, but nothing is heard.
    pub tasks: Vec<Task>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    /// About `REDIS_URL`.
    #[error(transparent)]
    Redis(#[from] WrongUrl),
    /// About `DATABASE_URL`.
    #[error("DATABASE_URL cannot be used to listen for changes: {0}")]
    Database(#[source] sqlx::Error),
}

/// Opens what the settings ask for. Waits for nothing: a store that is away now may come later. What visitors wait for is read by their own
/// threads, `visitors`, and all else by the present ones.
pub async fn open(config: &Config, ids: Arc<Ids>, visitors: &Handle) -> Result<Opened, CannotOpen> {
    let hub = ProcessFanout::default();
    let mut tasks = Vec::new();

    let redis = match &config.redis {
        Some(settings) => Some(Redis::connect(settings, visitors).await?),
        None => None,
    };
    if let Some(redis) = &redis {
        let (watched, listener) = (redis.clone(), redis.listener(hub.clone()));
        tasks.push(Task::new("redis-watch", |token| watched.watch(token)));
        tasks.push(Task::new("redis-listen", |token| listener.run(token)));
    }

    let notifier = match &config.database {
        Some(database) => {
            let url = database.url.expose_secret();
            let listener = notify::Listener::new(url, hub.clone(), ids).map_err(CannotOpen::Database)?;
            tasks.push(Task::new("database-listen", |token| listener.run(token)));
            Some(notify::Notifier::new(url).map_err(CannotOpen::Database)?)
        }
        None => None,
    };

    let cache: Arc<dyn SharedCache> = match &redis {
        Some(redis) => Arc::new(redis.clone()),
        None => Arc::new(NoSharedCache),
    };
    let fanout: Arc<dyn Fanout> = if redis.is_none() && notifier.is_none() {
        Arc::new(hub)
    } else {
        Arc::new(Paths::new(hub, redis.clone(), notifier))
    };
    Ok(Opened { cache, fanout, redis, tasks })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(settings: &[(&str, &str)]) -> Opened {
        let find = |name: &str| settings.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        let config = Config::from_lookup(&find).expect("valid settings");
        open(&config, Arc::new(Ids::seeded(1)), &Handle::current()).await.expect("nothing is waited for")
    }

    #[tokio::test]
    async fn the_settings_say_what_is_shared_and_by_what() {
        let database = ("DATABASE_URL", "postgres://app@127.0.0.1:1/linkforty");
        let redis = ("REDIS_URL", "redis://127.0.0.1:1");
        let stage = ("APP_ENV", "development");
        for (settings, tasks) in [
            (vec![stage], vec![]),
            (vec![stage, database], vec!["database-listen"]),
            (vec![stage, redis], vec!["redis-watch", "redis-listen"]),
            (vec![stage, database, redis], vec!["redis-watch", "redis-listen", "database-listen"]),
        ] {
            let opened = opened(&settings).await;
            let names: Vec<&str> = opened.tasks.iter().map(|task| task.name).collect();
            assert_eq!(names, tasks);
            assert_eq!(opened.redis.is_some(), settings.contains(&redis));
            let token = CancellationToken::new();
            let running: Vec<_> =
                opened.tasks.into_iter().map(|task| tokio::spawn(task.run(token.clone()))).collect();
            let shared = opened.cache.get("a").await;
            assert_eq!(shared, if settings.contains(&redis) { Err(Away) } else { Ok(None) });
            let mut links = opened.fanout.subscribe(Topic::Links);
            let sent = opened.fanout.publish(Topic::Links, Bytes::from_static(b"a")).await;
            assert_eq!(sent.is_ok(), settings.len() == 1, "only the process itself needs nobody");
            assert_eq!(links.recv().await, Ok(Signal::Message(Bytes::from_static(b"a"))));
            token.cancel();
            for task in running {
                let ended = tokio::time::timeout(Duration::from_secs(2), task).await;
                ended.expect("it stops when told").expect("it does not panic");
            }
        }
    }
}
