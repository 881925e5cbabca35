//! How fast an endpoint is called: a bucket of tokens that fills at a rate, which an endpoint that is asked too much lowers. Pure.
//!
//! Time is that of a stopwatch, not of the calendar: what is told here is about how many calls a machine gets in a second.

use std::time::Duration;

/// How far apart calls are at full speed, on average: 2,000 a second.
const FULL: Duration = Duration::from_micros(500);
/// The first step down, each further one, and the last.
const SLOWED: Duration = Duration::from_millis(100);
const SLOWER: u32 = 2;
const SLOWEST: Duration = Duration::from_secs(10);
/// How many calls may come in one go at full speed; one that is slowed down gets one.
const BURST: u32 = 200;

/// How fast one endpoint is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    apart: Duration,
    /// When the bucket will be full again.
    full_at: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { apart: FULL, full_at: Duration::ZERO }
    }
}

impl Pace {
    /// Takes a token, or says when there will be one.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let burst = if self.apart == FULL { BURST } else { 1 };
        let earliest = self.full_at.saturating_sub(self.apart * (burst - 1));
        if earliest > now {
            return Err(earliest);
        }
        self.full_at = self.full_at.max(now) + self.apart;
        Ok(())
    }

    /// Slows down.
    pub fn slow_down(&mut self, now: Duration) {
        self.apart = (self.apart * SLOWER).clamp(SLOWED, SLOWEST);
        self.full_at = self.full_at.max(now) + self.apart;
    }

    /// Speeds up again after an answer: by a fifth, until it is at full speed.
    pub fn speed_up(&mut self) {
        if self.apart > FULL {
            let faster = self.apart * 4 / 5;
            self.apart = if faster < SLOWED { FULL } else { faster };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls there are in a time, if there is always one waiting.
    fn calls(pace: &mut Pace, from: Duration, until: Duration) -> usize {
        let (mut now, mut calls) = (from, 0);
        while now < until {
            match pace.take(now) {
                Ok(()) => calls += 1,
                Err(then) => now = then,
            }
        }
        calls
    }

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let mut pace = Pace::default();
        let second = Duration::from_secs(1);
        assert_eq!(calls(&mut pace, Duration::ZERO, second), 2199);
        assert_eq!(calls(&mut pace, second, 2 * second), 2000);
        assert_eq!(calls(&mut pace, 60 * second, 61 * second), 2199, "the bucket holds no more");
    }

    #[test]
    fn who_is_asked_too_much_is_asked_less_until_it_answers_again() {
        let mut pace = Pace::default();
        let second = Duration::from_secs(1);
        pace.slow_down(second);
        let slow = calls(&mut pace, second, 11 * second);
        assert!((95..=101).contains(&slow), "{slow}");
        pace.slow_down(11 * second);
        let slower = calls(&mut pace, 11 * second, 21 * second);
        assert!((45..=51).contains(&slower), "{slower}");
        for _ in 0..20 {
            pace.slow_down(21 * second);
        }
        let slowest = calls(&mut pace, 1000 * second, 1100 * second);
        assert!((9..=11).contains(&slowest), "{slowest}");
        for _ in 0..40 {
            pace.speed_up();
        }
        assert_eq!(pace.apart, FULL);
    }
}
