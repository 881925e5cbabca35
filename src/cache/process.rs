//! What stands in where nothing is shared: one node, or a node without Redis.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::{Away, Fanout, SharedCache, Signal, Topic};

/// How many messages a subscriber may lag behind.
pub const CAPACITY: usize = 1024;

/// A cache that holds nothing. What one node alone would keep here it keeps in its own cache already: a second copy in the
/// same process would cost memory and a second invalidation, and answer no look-up more.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSharedCache;

#[async_trait]
impl SharedCache for NoSharedCache {
    async fn get(&self, _: &str) -> Result<Option<Bytes>, Away> {
        Ok(None)
    }

    async fn set(&self, _: &str, _: Bytes, _: Duration) -> Result<(), Away> {
        Ok(())
    }

    async fn add(&self, _: &str, _: Bytes, _: Duration) -> Result<(), Away> {
        Ok(())
    }
}

/// The subscribers of this process. Whatever brings messages from outside tells them here; on its own it is the whole
/// fan-out of a single node, which never has a gap. Clones share the subscribers.
#[derive(Debug, Clone)]
pub struct ProcessFanout {
    links: broadcast::Sender<Signal>,
    credentials: broadcast::Sender<Signal>,
    live: broadcast::Sender<Signal>,
    visitors: broadcast::Sender<Signal>,
}

impl Default for ProcessFanout {
    fn default() -> Self {
        Self {
            links: broadcast::Sender::new(CAPACITY),
            credentials: broadcast::Sender::new(CAPACITY),
            live: broadcast::Sender::new(CAPACITY),
            visitors: broadcast::Sender::new(CAPACITY),
        }
    }
}

impl ProcessFanout {
    /// Tells every subscriber of `topic` in this process.
    pub fn tell(&self, topic: Topic, signal: Signal) {
        // Nobody listening is no failure.
        let _ = self.of(topic).send(signal);
    }

    /// Tells every subscriber of `topics` that messages may have been missed.
    pub fn tell_gap(&self, topics: &[Topic]) {
        for topic in topics {
            self.tell(*topic, Signal::Gap);
        }
    }

    fn of(&self, topic: Topic) -> &broadcast::Sender<Signal> {
        match topic {
            Topic::Links => &self.links,
            Topic::Credentials => &self.credentials,
            Topic::Live => &self.live,
            Topic::Visitors => &self.visitors,
        }
    }
}

#[async_trait]
impl Fanout for ProcessFanout {
    async fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Away> {
        self.tell(topic, Signal::Message(message));
        Ok(())
    }

    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<Signal> {
        self.of(topic).subscribe()
    }
}

#[cfg(test)]
mod tests {
    use broadcast::error::TryRecvError;

    use super::*;

    #[tokio::test]
    async fn messages_reach_all_subscribers_of_their_topic_and_nobody_else() {
        let fanout = ProcessFanout::default();
        let (mut one, mut two) = (fanout.subscribe(Topic::Links), fanout.clone().subscribe(Topic::Links));
        let mut other = fanout.subscribe(Topic::Live);
        fanout.publish(Topic::Links, Bytes::from_static(b"a")).await.unwrap();
        let message = Signal::Message(Bytes::from_static(b"a"));
        assert_eq!((one.recv().await, two.recv().await), (Ok(message.clone()), Ok(message)));
        assert_eq!(other.try_recv(), Err(TryRecvError::Empty));
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_that_it_lagged() {
        let fanout = ProcessFanout::default();
        let mut slow = fanout.subscribe(Topic::Live);
        for _ in 0..=CAPACITY {
            fanout.publish(Topic::Live, Bytes::new()).await.unwrap();
        }
        assert_eq!(slow.try_recv(), Err(TryRecvError::Lagged(1)));
    }
}
