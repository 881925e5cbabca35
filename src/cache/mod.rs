//! What nodes share: a cache and a fan-out of small messages. Redis where there is one, the process itself where not.
//!
//! Neither is ever the only holder of a fact, and nothing waits for either: a call has a timeout of its own and failing
//! is an ordinary answer, [`Away`].

mod beliefs;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

pub use self::beliefs::{Belief, Beliefs};

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
    /// Forgets what is stored under `keys`.
    async fn remove(&self, keys: &[String]) -> Result<(), Away>;
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Links that changed: caches drop them.
    Links,
    /// Clicks as they are recorded: live feeds show them.
    Live,
    /// Sessions and API keys that ended or changed: [`Beliefs`] drop them.
    Credentials,
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A message.
    Message(Bytes),
    /// Messages may have been missed (the connection was lost, or this subscriber was too slow): believe nothing older.
    Gap,
}

/// Carries small messages to all nodes, this one included. At most once; a loss is told as [`Signal::Gap`].
#[async_trait]
pub trait Fanout: Send + Sync + Debug {
    /// Sends a message to all subscribers of `topic` on all nodes.
    async fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Away>;
    /// Returns a receiver of everything sent from now on. A receiver that lags behind by more than 1,024 messages
    /// gets `RecvError::Lagged`, which means the same as a gap.
    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<Signal>;
}
