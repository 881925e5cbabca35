//! The node's own limits.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use governor::{
    Quota, RateLimiter, clock::Clock as GovernorClock, middleware::StateInformationMiddleware, nanos::Nanos,
};
use metrics::counter;

use super::{LimitName, Limits, Rate, Rates, Taken, Verdict, store::Buckets};
use crate::clock::Clock;

/// Keys that have a bucket of their own, per limit; about 100 bytes each.
const KEYS: usize = 100_000;

type Limiter = RateLimiter<String, Buckets, Hand, StateInformationMiddleware>;

/// The node's own limits.
#[derive(Debug)]
pub struct ProcessLimits {
    rates: Rates,
    limiters: [Limiter; LimitName::ALL.len()],
    hand: Hand,
}

impl ProcessLimits {
    /// Returns full buckets that fill as `clock` goes.
    pub fn new(rates: Rates, clock: Arc<dyn Clock>) -> Self {
        let hand = Hand::of(clock);
        let limiters = LimitName::ALL.map(|name| buckets(rates.of(name), KEYS, hand.clone()));
        Self { rates, limiters, hand }
    }

    /// Returns the rate of a limit.
    pub fn rate(&self, name: LimitName) -> Rate {
        self.rates.of(name)
    }

    /// Decides without waiting for anything.
    pub fn decide(&self, name: LimitName, key: &str, cost: u32) -> Verdict {
        let rate = self.rates.of(name);
        let limit = rate.burst.get();
        match self.of(name).check_key_n(&key.to_owned(), rate.cost(cost)) {
            Ok(Ok(snapshot)) => Verdict::Allowed { limit, remaining: snapshot.remaining_burst_capacity() },
            Ok(Err(not_until)) => {
                counter!("linkforty_limited_total", "limit" => name.name(), "by" => "node").increment(1);
                let retry_after = not_until.wait_time_from(self.hand.now()).max(Duration::from_millis(1));
                Verdict::Limited { limit, retry_after }
            }
            Err(_) => unreachable!("the cost is never more than the burst"),
        }
    }

    /// In the order of [`LimitName::ALL`], which is that of the names.
    fn of(&self, name: LimitName) -> &Limiter {
        &self.limiters[name as usize]
    }
}

#[async_trait]
impl Limits for ProcessLimits {
    fn check_here(&self, name: LimitName, key: &str, cost: u32) -> Verdict {
        self.decide(name, key, cost)
    }

    async fn check_everywhere(&self, _: &mut [Taken]) {}

    fn sweep(&self) {
        for name in LimitName::ALL {
            self.of(name).retain_recent();
        }
    }
}

fn buckets(rate: Rate, keys: usize, hand: Hand) -> Limiter {
    let interval = rate.interval();
    let quota =
        Quota::with_period(interval).expect("a minute over a u32 is never zero").allow_burst(rate.burst);
    RateLimiter::new(quota, Buckets::holding(keys), hand)
}

/// Our clock as governor reads it: time that has passed. When the clock goes back it stands still, so that a correction of the
/// machine's time does not lock anybody out.
#[derive(Debug, Clone)]
struct Hand {
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct Seen {
    micros: i64,
    passed: u64,
}

impl Hand {
    fn of(clock: Arc<dyn Clock>) -> Self {
        let micros = clock.now().timestamp_micros();
        Self { clock, seen: Arc::new(Mutex::new(Seen { micros, passed: 0 })) }
    }
}

impl GovernorClock for Hand {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Read with the hand held, or two readers could take each other for a clock that goes back.
        let micros = self.clock.now().timestamp_micros();
        let step = u64::try_from(micros.saturating_sub(seen.micros)).unwrap_or(0);
        seen.micros = micros;
        seen.passed = seen.passed.saturating_add(step);
        Nanos::new(seen.passed.saturating_mul(1_000))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::clock::{SettableClock, from_micros};

    fn limits(per_minute: u32) -> (SettableClock, ProcessLimits) {
        let clock = SettableClock::at(from_micros(1_700_000_000_000_000));
        (clock.clone(), ProcessLimits::new(Rates::testing(per_minute), Arc::new(clock)))
    }

    fn allowed(limit: u32, remaining: u32) -> Verdict {
        Verdict::Allowed { limit, remaining }
    }

    fn limited(limit: u32, millis: u64) -> Verdict {
        Verdict::Limited { limit, retry_after: Duration::from_millis(millis) }
    }

    #[test]
    fn a_bucket_empties_and_fills_evenly() {
        let (clock, limits) = limits(3);
        for (line, (seconds, cost, expected)) in [
            (0, 1, allowed(3, 2)),
            (0, 1, allowed(3, 1)),
            (0, 1, allowed(3, 0)),
            (0, 1, limited(3, 20_000)),
            (19, 1, limited(3, 1_000)),
            (1, 1, allowed(3, 0)),
            (1, 2, limited(3, 39_000)),
            (60, 0, allowed(3, 2)),
            (60, 9, allowed(3, 0)),
            (0, 9, limited(3, 60_000)),
            // The clock is put back by an hour: nobody waits an hour for it.
            (-3_600, 1, limited(3, 20_000)),
            (20, 1, allowed(3, 0)),
        ]
        .into_iter()
        .enumerate()
        {
            clock.advance(TimeDelta::seconds(seconds));
            assert_eq!(limits.decide(LimitName::Caller, "a", cost), expected, "line {line}");
        }
    }

    #[test]
    fn keys_and_limits_do_not_share_buckets() {
        let (_, limits) = limits(1);
        assert!(limits.decide(LimitName::Caller, "a", 1).is_allowed());
        assert!(!limits.decide(LimitName::Caller, "a", 1).is_allowed());
        assert!(limits.decide(LimitName::Caller, "b", 1).is_allowed());
        assert!(limits.decide(LimitName::Address, "a", 1).is_allowed());
        assert!(limits.decide(LimitName::Unlock, "a", 1).is_allowed());
    }

    #[test]
    fn a_sweep_forgets_full_buckets_only() {
        let (clock, limits) = limits(60);
        for key in 0..1_000 {
            limits.decide(LimitName::Address, &key.to_string(), 1);
        }
        limits.decide(LimitName::Address, "busy", 60);
        limits.sweep();
        assert_eq!(limits.of(LimitName::Address).len(), 1_001);
        clock.advance(TimeDelta::seconds(3));
        limits.sweep();
        assert_eq!(limits.of(LimitName::Address).len(), 1);
        assert!(!limits.decide(LimitName::Address, "busy", 60).is_allowed());
    }

    #[test]
    fn every_limit_has_its_buckets() {
        for (place, name) in LimitName::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, place, "{}", name.name());
        }
    }

    /// More keys than there is room for do not make a bucket that is empty full again: who floods under a thousand addresses sets
    /// nobody's count back, their own first one included.
    #[test]
    fn a_flood_of_keys_wins_nobody_another_bucket() {
        let (clock, limits) = limits(60);
        assert!(limits.decide(LimitName::Caller, "busy", 60).is_allowed());
        for round in 0..2 {
            for key in 0..KEYS + KEYS / 2 {
                limits.decide(LimitName::Caller, &format!("{round}-{key}"), 1);
            }
            assert!(limits.of(LimitName::Caller).len() <= KEYS + 64, "round {round}");
            limits.sweep();
            assert!(!limits.decide(LimitName::Caller, "busy", 2).is_allowed(), "round {round}");
            clock.advance(TimeDelta::milliseconds(300));
        }
        // Those who came and went leave nothing.
        clock.advance(TimeDelta::minutes(2));
        limits.sweep();
        assert!(limits.of(LimitName::Caller).is_empty());
        assert!(limits.decide(LimitName::Caller, "busy", 60).is_allowed());
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_limits_itself_alone() {
        let clock = SettableClock::at(from_micros(0));
        let buckets = buckets(Rate::per_minute(2), 640, Hand::of(Arc::new(clock)));
        let known = "known".to_owned();
        assert!(buckets.check_key(&known).is_ok());
        let passed = (0..100_000).filter(|key| buckets.check_key(&key.to_string()).is_ok()).count();
        assert!(buckets.len() <= 640, "{}", buckets.len());
        assert!(passed <= 640 + 64 * 2, "{passed}");
        assert!(buckets.check_key(&known).is_ok(), "who was there before keeps a bucket");
    }
}
