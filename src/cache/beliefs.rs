//! What this node believes of credentials, for a few seconds, so that not every call asks the database.
//!
//! A belief ends with [`LIFE`], with a message on [`Topic::Credentials`] that names it, and with every gap in those
//! messages. Messages are read before each look, not in the background: what was told before a call is known to that call.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use super::{Fanout, Signal, Topic};
use crate::clock::Moment;

/// How long a belief lasts when nothing contradicts it: also the longest that another node may go on believing a
/// revoked credential, when no message reaches it.
pub const LIFE: Duration = Duration::from_secs(10);

/// Bounded beliefs under keys that say what kind of thing they are of: all kinds share one topic.
pub struct Beliefs<V>(Mutex<Inner<V>>);

struct Inner<V> {
    news: Receiver<Signal>,
    /// Counts what was heard, so that an answer asked for before some news is not believed after it.
    heard: u64,
    cache: quick_cache::unsync::Cache<Bytes, (Moment, V)>,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belief<V> {
    /// Asked no longer than [`LIFE`] ago, and nothing else heard since.
    Known(V),
    /// Ask the database, then [`Beliefs::keep`] the answer under this.
    Unknown(Asked),
}

/// When a question was put, in terms of the news heard before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked(u64);

impl<V: Clone> Beliefs<V> {
    /// Returns no beliefs yet, and room for `capacity` of them.
    pub fn new(capacity: usize, fanout: &dyn Fanout) -> Self {
        let news = fanout.subscribe(Topic::Credentials);
        Self(Mutex::new(Inner { news, heard: 0, cache: quick_cache::unsync::Cache::new(capacity) }))
    }

    /// Returns what is believed of `key` at `now`.
    pub fn look(&self, key: &[u8], now: Moment) -> Belief<V> {
        let mut inner = self.lock();
        inner.listen();
        match inner.cache.get(key) {
            Some((since, value)) if *since <= now && now < *since + LIFE => Belief::Known(value.clone()),
            _ => Belief::Unknown(Asked(inner.heard)),
        }
    }

    /// Believes `value` of `key` from `now` on, unless anything was heard since the question was put.
    pub fn keep(&self, asked: Asked, key: &[u8], value: V, now: Moment) {
        let mut inner = self.lock();
        inner.listen();
        if inner.heard == asked.0 {
            inner.cache.insert(Bytes::copy_from_slice(key), (now, value));
        }
    }

    /// Ends the belief of `key`, here at once and on the other nodes as fast as the fan-out is. Call it after the
    /// commit: whoever asks afterwards finds the new truth.
    pub async fn retract(&self, fanout: &dyn Fanout, key: &[u8]) {
        self.lock().forget(key);
        if fanout.publish(Topic::Credentials, Bytes::copy_from_slice(key)).await.is_err() {
            tracing::warn!(
                seconds = LIFE.as_secs(),
                "other nodes were not told that a credential changed; they may believe it for a while"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        self.0.lock().unwrap_or_else(|poisoned| {
            // Somebody panicked in the middle: better to know nothing.
            let mut inner = PoisonError::into_inner(poisoned);
            inner.cache.clear();
            inner
        })
    }
}

impl<V> Inner<V> {
    fn listen(&mut self) {
        loop {
            match self.news.try_recv() {
                Ok(Signal::Message(key)) => self.forget(&key),
                Ok(Signal::Gap) | Err(TryRecvError::Lagged(_)) => {
                    self.heard += 1;
                    self.cache.clear();
                }
                Err(TryRecvError::Empty) => return,
                // The fan-out is gone: nothing heard is nothing known.
                Err(TryRecvError::Closed) => {
                    self.heard += 1;
                    self.cache.clear();
                    return;
                }
            }
        }
    }

    fn forget(&mut self, key: &[u8]) {
        self.heard += 1;
        self.cache.remove(key);
    }
}

impl<V> fmt::Debug for Beliefs<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beliefs")
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::broadcast;

    use super::*;
    use crate::{cache::Away, clock::from_micros};

    #[derive(Debug)]
    struct Wire(broadcast::Sender<Signal>);

    #[async_trait]
    impl Fanout for Wire {
        async fn publish(&self, _: Topic, message: Bytes) -> Result<(), Away> {
            self.0.send(Signal::Message(message)).map(drop).map_err(|_| Away)
        }
        fn subscribe(&self, _: Topic) -> Receiver<Signal> {
            self.0.subscribe()
        }
    }

    fn asked<V: Clone + fmt::Debug>(beliefs: &Beliefs<V>, now: Moment) -> Asked {
        match beliefs.look(b"k", now) {
            Belief::Unknown(asked) => asked,
            Belief::Known(value) => panic!("already known: {value:?}"),
        }
    }

    #[test]
    fn a_belief_ends_with_its_life() {
        let (wire, now) = (Wire(broadcast::channel(8).0), from_micros(0));
        let beliefs = Beliefs::new(8, &wire);
        beliefs.keep(asked(&beliefs, now), b"k", 1, now);
        assert_eq!(beliefs.look(b"k", now + Duration::from_millis(9_999)), Belief::Known(1));
        asked(&beliefs, now + LIFE);
        // A clock that went back says nothing about how old a belief is.
        asked(&beliefs, now - Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_message_ends_it_on_every_node() {
        let (wire, now) = (Wire(broadcast::channel(8).0), from_micros(0));
        let (here, there) = (Beliefs::new(8, &wire), Beliefs::new(8, &wire));
        here.keep(asked(&here, now), b"k", 1, now);
        there.keep(asked(&there, now), b"k", 1, now);
        here.retract(&wire, b"k").await;
        asked(&here, now);
        asked(&there, now);
    }

    #[tokio::test]
    async fn an_answer_older_than_the_news_is_not_believed() {
        let (wire, now) = (Wire(broadcast::channel(8).0), from_micros(0));
        let beliefs = Beliefs::new(8, &wire);
        let early = asked(&beliefs, now);
        beliefs.retract(&wire, b"k").await;
        beliefs.keep(early, b"k", 1, now);
        asked(&beliefs, now);
    }

    #[test]
    fn a_gap_or_a_lag_ends_everything() {
        let (wire, now) = (Wire(broadcast::channel(2).0), from_micros(0));
        let beliefs = Beliefs::new(8, &wire);
        beliefs.keep(asked(&beliefs, now), b"k", 1, now);
        wire.0.send(Signal::Gap).expect("somebody listens");
        beliefs.keep(asked(&beliefs, now), b"k", 1, now);
        for _ in 0..5 {
            wire.0.send(Signal::Message(Bytes::from_static(b"other"))).expect("somebody listens");
        }
        asked(&beliefs, now);
    }
}
