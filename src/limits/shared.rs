//! Limits that all nodes share, in Redis.

use std::time::Duration;

use async_trait::async_trait;
use metrics::counter;

use super::{LimitName, Limits, ProcessLimits, Taken, Verdict};
use crate::cache::{Counter, Script};

/// The node's own limits, and behind them those that all nodes share.
#[derive(Debug)]
pub struct SharedLimits {
    local: ProcessLimits,
    counter: Counter,
    script: Script,
}

impl SharedLimits {
    /// Puts the shared limits behind the node's own.
    pub fn new(local: ProcessLimits, counter: Counter) -> Self {
        Self { local, counter, script: Script::new("limit", include_str!("gcra.lua")) }
    }

    /// Returns what the script is told of a bucket: microseconds between two calls, the burst, and what the call costs.
    fn arguments(&self, Taken { name, cost, .. }: &Taken) -> [i64; 3] {
        let rate = self.local.rate(*name);
        let interval = i64::try_from(rate.interval().as_micros()).unwrap_or(i64::MAX).max(1);
        [interval, i64::from(rate.burst.get()), i64::from(rate.cost(*cost).get())]
    }
}

#[async_trait]
impl Limits for SharedLimits {
    /// What the node itself refuses needs no Redis; what Redis cannot say, the node has said.
    async fn check_everywhere(&self, taken: &mut [Taken]) {
        if taken.is_empty() {
            return;
        }
        let keys: Vec<String> = taken.iter().map(|one| format!("{}:{}", one.name.name(), one.key)).collect();
        let arguments = taken.iter().flat_map(|one| self.arguments(one)).collect();
        match self.counter.call(&self.script, &keys, arguments).await.as_deref() {
            Ok([0, _, left @ ..]) if left.len() == taken.len() => {
                for (one, left) in taken.iter_mut().zip(left) {
                    let limit = self.local.rate(one.name).burst.get();
                    let remaining = u32::try_from(*left).unwrap_or(0).min(limit);
                    one.verdict = Verdict::Allowed { limit, remaining };
                }
            }
            Ok([place, wait]) if (1..=taken.len() as i64).contains(place) => {
                let one = &mut taken[*place as usize - 1];
                counter!("linkforty_limited_total", "limit" => one.name.name(), "by" => "all").increment(1);
                let retry_after = Duration::from_micros(u64::try_from(*wait).unwrap_or(0).max(1_000));
                one.verdict = Verdict::Limited { limit: self.local.rate(one.name).burst.get(), retry_after };
            }
            _ => counter!("linkforty_limits_alone_total").increment(1),
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

    use tokio::runtime::Handle;

    use super::*;
    use crate::{
        cache::{
            Redis,
            testing::{Server, client, connected, settings},
        },
        clock::SystemClock,
        config,
        limits::Rates,
    };

    fn local(per_minute: u32) -> ProcessLimits {
        ProcessLimits::new(Rates::testing(per_minute), Arc::new(SystemClock))
    }

    async fn node(server: &Server, per_minute: u32) -> SharedLimits {
        SharedLimits::new(local(per_minute), client(server).await.counter())
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
            let redis = Redis::connect(&patient, &Handle::current()).await.expect("a valid URL");
            connected(&redis).await;
            nodes.push(SharedLimits::new(local(50), redis.counter()));
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
    async fn of_limits_that_are_asked_together_all_are_taken_from_or_none() {
        let Some(server) = Server::start() else { return };
        // Of passwords one a minute, of calls ten: the node's own buckets are not asked here.
        let node = node(&server, 10).await;
        let ask = async |names: &[LimitName]| {
            let allowed = Verdict::Allowed { limit: 10, remaining: 0 };
            let taken =
                |name: &LimitName| Taken { name: *name, key: "{a}".to_owned(), cost: 1, verdict: allowed };
            let mut taken: Vec<Taken> = names.iter().map(taken).collect();
            node.check_everywhere(&mut taken).await;
            taken.into_iter().map(|one| one.verdict).collect::<Vec<_>>()
        };
        let left = |limit, remaining| Verdict::Allowed { limit, remaining };
        use LimitName::{Caller, Unlock};
        assert_eq!(ask(&[Caller, Unlock]).await, [left(10, 9), left(1, 0)]);
        // The second has nothing left, and the first keeps what it has.
        let [first, second] = ask(&[Caller, Unlock]).await[..] else { panic!("two were asked") };
        assert_eq!(first, left(10, 0), "what the node said");
        assert!(matches!(second, Verdict::Limited { limit: 1, retry_after } if retry_after.as_secs() > 50));
        assert_eq!(ask(&[Caller]).await, [left(10, 8)]);
        let [refused, untouched] = ask(&[Unlock, Caller]).await[..] else { panic!("two were asked") };
        assert!(!refused.is_allowed() && untouched == left(10, 0));
        assert_eq!(ask(&[Caller]).await, [left(10, 7)]);
        assert_eq!(ask(&[]).await, []);
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
        let redis = client(&server).await;
        let node = SharedLimits::new(local(1_000), redis.counter());
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
        connected(&redis).await;
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
