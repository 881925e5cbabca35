//! Who asks for short codes that nobody made. Each costs a look-up, so an address that goes on guessing waits; whoever follows a link that
//! this node remembers never comes here.

use std::{net::IpAddr, sync::Arc, time::Duration};

use quick_cache::sync::Cache;

use crate::{
    clock::Moment,
    limits::{LimitName, Limits, Verdict},
};

/// How many addresses that have to wait are remembered; of more, those that asked longest ago guess on.
const REMEMBERED: usize = 10_000;

/// Counts guesses by address, of IPv6 by /64, on this node alone.
#[derive(Debug)]
pub(super) struct Guesses {
    limits: Arc<dyn Limits>,
    barred: Cache<IpAddr, Moment>,
}

impl Guesses {
    pub(super) fn new(limits: Arc<dyn Limits>) -> Self {
        Self { limits, barred: Cache::new(REMEMBERED) }
    }

    /// Returns for how long an address has to wait before anything is looked up for it.
    pub(super) fn has_to_wait(&self, network: IpAddr, now: Moment) -> Option<Duration> {
        if self.barred.is_empty() {
            return None;
        }
        let until = self.barred.get(&network)?;
        if let Ok(wait) = (until - now).to_std()
            && !wait.is_zero()
        {
            return Some(wait);
        }
        self.barred.remove(&network);
        None
    }

    /// Notes that an address asked for something that is not there.
    pub(super) fn note(&self, network: IpAddr, now: Moment) {
        if let Verdict::Limited { retry_after, .. } =
            self.limits.check_here(LimitName::Unknown, &network.to_string(), 1)
        {
            metrics::counter!("linkforty_rate_limited_total", "limit" => LimitName::Unknown.name())
                .increment(1);
            let wait = chrono::Duration::from_std(retry_after).unwrap_or(chrono::Duration::minutes(1));
            self.barred.insert(network, now + wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock as _, SettableClock, from_micros},
        limits::{ProcessLimits, Rates, Unlimited},
    };

    #[test]
    fn an_address_that_guesses_waits_and_others_do_not() {
        let clock = SettableClock::at(from_micros(0));
        // One a minute.
        let guesses = Guesses::new(Arc::new(ProcessLimits::new(Rates::testing(1), Arc::new(clock.clone()))));
        let [here, there] = ["198.51.100.7", "2001:db8::"].map(|text| text.parse().expect("an address"));
        guesses.note(here, clock.now());
        assert_eq!(guesses.has_to_wait(here, clock.now()), None, "one is allowed");
        guesses.note(here, clock.now());
        assert_eq!(guesses.has_to_wait(here, clock.now()), Some(Duration::from_mins(1)));
        assert_eq!(guesses.has_to_wait(there, clock.now()), None);
        clock.advance(chrono::Duration::seconds(59));
        assert_eq!(guesses.has_to_wait(here, clock.now()), Some(Duration::from_secs(1)));
        clock.advance(chrono::Duration::seconds(1));
        assert_eq!(guesses.has_to_wait(here, clock.now()), None);
        assert_eq!(guesses.barred.len(), 0);
    }

    #[test]
    fn nobody_waits_without_limits() {
        let guesses = Guesses::new(Arc::new(Unlimited));
        let here = "198.51.100.7".parse().expect("an address");
        for _ in 0..1_000 {
            guesses.note(here, from_micros(0));
        }
        assert_eq!(guesses.has_to_wait(here, from_micros(0)), None);
    }
}
