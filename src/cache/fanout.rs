//! The ways out: Redis first, Postgres second.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::{Away, Fanout, ProcessFanout, Redis, Signal, Topic, notify::Notifier};

/// A fan-out over Redis, Postgres or both.
///
/// A message goes out by Redis; by Postgres while Redis is away or where there is none; and where neither carries it, the
/// subscribers of this node still hear it. [`Topic::Live`] never goes by Postgres: a commit that notifies waits for every
/// other commit that does, and batches are too many for that.
#[derive(Debug)]
pub struct Paths {
    hub: ProcessFanout,
    redis: Option<Redis>,
    notifier: Option<Notifier>,
}

impl Paths {
    pub(super) const fn new(hub: ProcessFanout, redis: Option<Redis>, notifier: Option<Notifier>) -> Self {
        Self { hub, redis, notifier }
    }
}

#[async_trait]
impl Fanout for Paths {
    async fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Away> {
        if let Some(redis) = &self.redis
            && redis.publish(topic, message.clone()).await.is_ok()
        {
            return Ok(());
        }
        if let Some(notifier) = &self.notifier
            && topic != Topic::Live
            && notifier.publish(topic, &message).await.is_ok()
        {
            return Ok(());
        }
        self.hub.tell(topic, Signal::Message(message));
        if topic == Topic::Live && self.redis.is_none() { Ok(()) } else { Err(Away) }
    }

    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<Signal> {
        self.hub.subscribe(topic)
    }
}
