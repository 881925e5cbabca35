//! Limits that all nodes share, in Redis.

use std::time::Duration;

use async_trait::async_trait;
use metrics::counter;

use super::{LimitName, Limits, ProcessLimits, Verdict};
use crate::cache::{Redis, Script};

/// The node's own limits, and behind them those that all nodes share.
#[derive(Debug)]
pub struct SharedLimits {
    local: ProcessLimits,
    redis: Redis,
    script: Script,
}

impl SharedLimits {
    /// Puts the shared limits behind the node's own.
    pub fn new(local: ProcessLimits, redis: Redis) -> Self {
        Self { local, redis, script: Script::new("limit", include_str!("gcra.lua")) }
    }
}

#[async_trait]
impl Limits for SharedLimits {
    /// What the node itself refuses needs no Redis; what Redis cannot say, the node has said.
    async fn check_everywhere(&self, name: LimitName, key: &str, cost: u32, here: Verdict) -> Verdict {
        let rate = self.local.rate(name);
        let (limit, interval) = (rate.burst.get(), rate.interval().as_micros());
        let arguments = [
            i64::try_from(interval).unwrap_or(i64::MAX).max(1),
            i64::from(limit),
            i64::from(rate.cost(cost).get()),
        ];
        let answer = self.redis.limit(&self.script, &format!("{}:{key}", name.name()), &arguments).await;
        match answer.as_deref() {
            Ok([1, _, left]) => {
                Verdict::Allowed { limit, remaining: u32::try_from(*left).unwrap_or(0).min(limit) }
            }
            Ok([0, wait, _]) => {
                counter!("linkforty_limited_total", "limit" => name.name(), "by" => "all").increment(1);
                let wait = u64::try_from(*wait).unwrap_or(0).max(1_000);
                Verdict::Limited { limit, retry_after: Duration::from_micros(wait) }
            }
            _ => {
                counter!("linkforty_limits_alone_total").increment(1);
                here
            }
        }
    }

    fn check_here(&self, name: LimitName, key: &str, cost: u32) -> Verdict {
        self.local.decide(name, key, cost)
    }

    fn sweep(&self) {
        self.local.sweep();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use super::*;
    use crate::{
        cache::testing::{Server, client, connected, settings},
        clock::SystemClock,
        config,
        limits::Rates,
    };

    fn local(per_minute: u32) -> ProcessLimits {
        ProcessLimits::new(Rates::testing(per_minute), Arc::new(SystemClock))
    }

    async fn node(server: &Server, per_minute: u32) -> SharedLimits {
        SharedLimits::new(local(per_minute), client(server).await)
    }

    #[tokio::test]
    async fn two_nodes_share_one_limit() {
        let Some(server) = Server::start() else { return };
        let (one, two) = (node(&server, 10).await, node(&server, 10).await);
        let mut left = Vec::new();
        for _ in 0..5 {
            for node in [&one, &two] {
                match node.check(LimitName::Caller, "key", 1).await {
                    Verdict::Allowed { limit: 10, remaining } => left.push(remaining),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(left, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        match one.check(LimitName::Caller, "key", 1).await {
            Verdict::Limited { limit: 10, retry_after } => {
                assert!(retry_after <= Duration::from_secs(6) && retry_after > Duration::from_secs(4));
            }
            other => panic!("{other:?}"),
        }
        assert!(two.check(LimitName::Caller, "other", 1).await.is_allowed());
        assert!(two.check(LimitName::Unlock, "key", 1).await.is_allowed());
    }

    #[tokio::test]
    async fn a_shared_limit_is_exact_however_many_call_at_once() {
        let Some(server) = Server::start() else { return };
        // Nobody may fall back to counting alone here, however busy the machine is.
        let patient = config::Redis { timeout: Duration::from_secs(5), ..settings(&server.url()) };
        let mut nodes = Vec::new();
        for _ in 0..2 {
            let redis = Redis::connect(&patient).await.expect("a valid URL");
            connected(&redis).await;
            nodes.push(SharedLimits::new(local(50), redis));
        }
        let calls = (0..200).map(|call| nodes[call % 2].check(LimitName::Caller, "key", 1));
        let started = Instant::now();
        let verdicts = futures::future::join_all(calls).await;
        let allowed = verdicts.iter().filter(|verdict| verdict.is_allowed()).count();
        // One call more each 1.2 s.
        let filled = started.elapsed().as_millis() as usize / 1_200 + 1;
        assert!((50..=50 + filled).contains(&allowed), "{allowed}");
    }

    #[tokio::test]
    async fn an_emptied_redis_forgets_buckets_and_script_and_nobody_notices() {
        let Some(server) = Server::start() else { return };
        let node = node(&server, 10).await;
        assert!(node.check(LimitName::Caller, "key", 1).await.is_allowed());
        server.cli(&["FLUSHALL"]);
        server.cli(&["SCRIPT", "FLUSH"]);
        assert_eq!(
            node.check(LimitName::Caller, "key", 1).await,
            Verdict::Allowed { limit: 10, remaining: 9 }
        );
    }

    #[tokio::test]
    async fn a_redis_that_hangs_costs_a_few_waits_and_then_none() {
        let Some(server) = Server::start() else { return };
        let node = node(&server, 1_000).await;
        assert!(node.check(LimitName::Caller, "key", 1).await.is_allowed());
        server.hang();
        let started = Instant::now();
        let mut allowed = 0;
        for _ in 0..1_200 {
            allowed += u32::from(node.check(LimitName::Caller, "key", 1).await.is_allowed());
        }
        // 100 ms each for the first five, and for a probe each half second; without the breaker it would be two minutes.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        server.go_on();
        let filled = started.elapsed().as_millis() as u32 / 60 + 1;
        assert!((999..=999 + filled).contains(&allowed), "{allowed}: the node counts by itself");
        connected(&node.redis).await;
    }

    #[tokio::test]
    async fn without_redis_the_node_counts_alone_and_waits_for_nothing() {
        let Some(mut server) = Server::start() else { return };
        let node = node(&server, 100).await;
        assert!(node.check(LimitName::Caller, "key", 1).await.is_allowed());
        server.kill();
        let started = Instant::now();
        let mut allowed = 0;
        for _ in 0..200 {
            allowed += u32::from(node.check(LimitName::Caller, "key", 1).await.is_allowed());
        }
        assert!((99..=100).contains(&allowed), "{allowed}");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}
