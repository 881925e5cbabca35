//! Keeps a store that hangs from costing every request its timeout.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures in a row after which nothing is asked any more.
const FAILURES: u32 = 5;
/// How long nothing is asked, then one call tries.
const OPEN_FOR: Duration = Duration::from_millis(500);

/// Counts failures in a row; after five of them it admits one call every 500 ms until one succeeds.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<Run>);

/// A run of failures.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Run {
    failures: u32,
    next_try: Option<Instant>,
}

impl Run {
    /// Says whether a call may go. One that goes while the breaker is open is the probe: it puts the next try off itself, so a
    /// probe that is dropped half-way does not leave the breaker waiting for it.
    fn admit(&mut self, now: Instant) -> bool {
        match self.next_try {
            Some(at) if now < at => false,
            Some(_) => {
                self.next_try = Some(now + OPEN_FOR);
                true
            }
            None => true,
        }
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.next_try = Some(now + OPEN_FOR);
        }
    }
}

impl Breaker {
    /// Says whether a call may go.
    pub fn admits(&self, now: Instant) -> bool {
        self.with(|run| run.admit(now))
    }

    /// Notes that a call got its answer.
    pub fn succeeded(&self) {
        self.with(|run| *run = Run::default());
    }

    /// Notes that a call got none.
    pub fn failed(&self, now: Instant) {
        self.with(|run| run.failed(now));
    }

    /// Says whether calls are being refused.
    pub fn is_open(&self) -> bool {
        self.with(|run| run.next_try.is_some())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Run) -> T) -> T {
        // A count that somebody panicked over is still a count.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_open_it_and_one_success_closes_it() {
        enum Step {
            Admitted,
            Refused,
            Fails,
            Succeeds,
        }
        use Step::{Admitted, Fails, Refused, Succeeds};
        let start = Instant::now();
        let breaker = Breaker::default();
        for (line, (millis, step)) in [
            (0, Fails),
            (0, Fails),
            (0, Fails),
            (0, Fails),
            (0, Succeeds),
            (1, Fails),
            (1, Fails),
            (1, Fails),
            (1, Fails),
            (1, Admitted),
            (1, Fails),
            (2, Refused),
            (500, Refused),
            (501, Admitted),
            (501, Refused),
            (1_000, Refused),
            // The probe of 501 never came back.
            (1_001, Admitted),
            (1_002, Fails),
            (1_400, Refused),
            (1_502, Admitted),
            (1_503, Succeeds),
            (1_503, Admitted),
            (1_503, Admitted),
        ]
        .into_iter()
        .enumerate()
        {
            let now = start + Duration::from_millis(millis);
            match step {
                Admitted => assert!(breaker.admits(now), "line {line}"),
                Refused => assert!(!breaker.admits(now), "line {line}"),
                Fails => breaker.failed(now),
                Succeeds => breaker.succeeded(),
            }
        }
    }
}
