//! Hears messages on Redis.
//!
//! fred connects again by itself; we subscribe again ourselves, because a gap told before the subscriptions stand would leave
//! a moment that nobody answers for. Plain channels, not client tracking: fred forgets its tracking with the connection.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::{ClientLike as _, EventInterface as _, PubsubInterface as _},
    types::{
        ClusterHash, Message,
        config::{Config, Options},
    },
    util::redis_keyslot,
};
use metrics::counter;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{CONNECT_AGAIN_AFTER, PING_TIMEOUT, QUIT, settings};
use crate::cache::{ProcessFanout, Signal, Topic};

/// How often the connection is tried: an idle one that died tells nobody. fred drops it when no answer comes for 2 s.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Returns the channel of a topic.
pub fn channel(prefix: &str, topic: Topic) -> String {
    format!("{prefix}:f:{}", topic.name())
}

/// Hears messages on Redis and tells the subscribers of this node.
#[derive(Debug)]
pub struct Listener {
    client: Client,
    channels: Vec<(String, Topic)>,
    hub: ProcessFanout,
}

impl Listener {
    pub(super) fn new(config: &Config, prefix: &str, hub: ProcessFanout) -> Self {
        let channels = Topic::ALL.into_iter().map(|topic| (channel(prefix, topic), topic)).collect();
        Self { client: settings::client(config), channels, hub }
    }

    /// Listens until `token` is cancelled. Each time it starts to hear, the first signal is a gap.
    pub async fn run(self, token: CancellationToken) {
        // fred's futures are large.
        token.run_until_cancelled(Box::pin(self.listen_forever())).await;
        let _ = tokio::time::timeout(QUIT, self.client.quit()).await;
    }

    async fn listen_forever(&self) {
        let mut probe = interval(PROBE_EVERY);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut messages = self.client.message_rx();
            let mut connected = self.client.reconnect_rx();
            let mut cluster = self.client.cluster_change_rx();
            let mut connection = self.client.connect();
            let mut subscribed = false;
            loop {
                tokio::select! {
                    message = messages.recv() => match message {
                        Ok(message) => self.tell(message),
                        Err(RecvError::Lagged(_)) => self.hub.tell_gap(&Topic::ALL),
                        Err(RecvError::Closed) => break,
                    },
                    Ok(_) = connected.recv() => subscribed = self.subscribe().await,
                    Ok(_) = cluster.recv() => subscribed = self.subscribe().await,
                    _ = probe.tick() => if self.client.is_connected() {
                        if subscribed { self.probe().await } else { subscribed = self.subscribe().await }
                    },
                    _ = &mut connection => break,
                }
            }
            // fred takes this server for a wrong setting and gives up. Settings change at the server, too.
            sleep(CONNECT_AGAIN_AFTER).await;
        }
    }

    fn tell(&self, message: Message) {
        let Some((_, topic)) = self.channels.iter().find(|(channel, _)| *channel == *message.channel) else {
            return;
        };
        match message.value.into_bytes() {
            Some(bytes) => self.hub.tell(*topic, Signal::Message(bytes)),
            None => self.hub.tell(*topic, Signal::Gap),
        }
    }

    /// Subscribes, then says that what came before may have been missed. Says whether it could.
    async fn subscribe(&self) -> bool {
        let channels: Vec<String> = self.channels.iter().map(|(channel, _)| channel.clone()).collect();
        let options = Options { timeout: Some(PING_TIMEOUT), max_attempts: Some(1), ..Options::default() };
        match self.client.with_options(&options).subscribe(channels).await {
            Ok(()) => {
                self.hub.tell_gap(&Topic::ALL);
                true
            }
            Err(error) => {
                counter!("linkforty_redis_errors_total", "command" => "subscribe").increment(1);
                tracing::debug!(%error, "Redis did not take the subscriptions; trying on");
                false
            }
        }
    }

    async fn probe(&self) {
        // In a cluster fred subscribes at the node of this slot.
        let slot = redis_keyslot(self.client.id().as_bytes());
        let options = Options {
            timeout: Some(PING_TIMEOUT),
            max_attempts: Some(1),
            fail_fast: true,
            cluster_hash: Some(ClusterHash::Custom(slot)),
            ..Options::default()
        };
        if self.client.with_options(&options).ping::<()>(None).await.is_err() {
            counter!("linkforty_redis_errors_total", "command" => "ping").increment(1);
        }
    }
}
