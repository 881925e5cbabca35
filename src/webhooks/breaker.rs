//! Decides whether an endpoint is called now, by how it answered before. Pure; each node knows what it has seen itself.

use chrono::TimeDelta;

use crate::clock::Moment;

/// After so many failures in a row an endpoint is tried one at a time.
const ENOUGH: u32 = 5;
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(1);
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(2);
/// However long a receiver asks to be left alone: its deliveries wait as long as it asked, the endpoint not longer than this.
const LONGEST_REST: TimeDelta = TimeDelta::minutes(10);

/// What an attempt says of an endpoint, whatever it says of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Somebody answers there: yes, or no for good.
    Alive,
    /// Nobody does, or only that something is wrong.
    Down,
    /// It is asked too much, and says how long it wants to be left alone, if it does.
    Busy(Option<TimeDelta>),
}

/// What is known of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    /// Not called before then.
    rest_until: Option<Moment>,
    /// Whether it has ever answered, and did the last time.
    proved: bool,
}

/// How much an endpoint may be called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// As much as any.
    Many,
    /// Once, while no other call to it is under way.
    One,
    /// Not before then.
    Not(Moment),
}

impl Breaker {
    /// Says how much the endpoint may be called now.
    pub fn allows(&self, now: Moment) -> Allowed {
        match self.rest_until {
            Some(until) if now < until => Allowed::Not(until),
            _ if self.failures >= ENOUGH => Allowed::One,
            _ => Allowed::Many,
        }
    }

    /// Says whether the last that was heard of it was good. Who has proved nothing must not take all places.
    pub const fn is_proved(&self) -> bool {
        self.proved
    }

    /// Returns what is known after an attempt that ended at `now`.
    #[must_use]
    pub fn after(self, heard: Heard, now: Moment) -> Self {
        match heard {
            Heard::Alive => {
                Self { failures: 0, rest_until: self.rest_until.filter(|until| now < *until), proved: true }
            }
            Heard::Down => {
                let failures = self.failures.saturating_add(1);
                let rest = (failures >= ENOUGH).then(|| now + pause(failures));
                Self { failures, rest_until: self.rest_until.max(rest), proved: false }
            }
            Heard::Busy(asked) => {
                let failures = self.failures.saturating_add(1);
                let asked = asked.unwrap_or_default().clamp(TimeDelta::zero(), LONGEST_REST);
                let rest = if failures >= ENOUGH { asked.max(pause(failures)) } else { asked };
                let rest = (rest > TimeDelta::zero()).then(|| now + rest);
                Self { failures, rest_until: self.rest_until.max(rest), proved: false }
            }
        }
    }
}

/// Says what an answer means for the endpoint.
pub fn heard(status: Option<u16>, retry_after: Option<TimeDelta>) -> Heard {
    match status {
        Some(429 | 502 | 504) => Heard::Busy(retry_after),
        Some(503) if retry_after.is_some() => Heard::Busy(retry_after),
        Some(200..=299 | 400..=407 | 409..=424 | 426..=428 | 430..=499) => Heard::Alive,
        _ => Heard::Down,
    }
}

fn pause(failures: u32) -> TimeDelta {
    let doublings = (failures - ENOUGH).min(10);
    (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn at(seconds: i64) -> Moment {
        from_micros(1_800_000_000_000_000) + TimeDelta::seconds(seconds)
    }

    #[test]
    fn five_failures_in_a_row_leave_one_call_at_a_time_and_growing_pauses() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker = breaker.after(Heard::Down, at(0));
            assert_eq!(breaker.allows(at(0)), Allowed::Many);
        }
        let mut now = 0;
        for pause in [1, 2, 4, 8, 16, 32, 64, 120, 120] {
            breaker = breaker.after(Heard::Down, at(now));
            assert_eq!(breaker.allows(at(now + pause - 1)), Allowed::Not(at(now + pause)), "{now}");
            now += pause;
            assert_eq!(breaker.allows(at(now)), Allowed::One);
        }
        breaker = breaker.after(Heard::Alive, at(now));
        assert_eq!((breaker.allows(at(now)), breaker.is_proved()), (Allowed::Many, true));
    }

    #[test]
    fn a_failure_between_answers_changes_little() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            breaker = breaker.after(Heard::Down, at(0)).after(Heard::Down, at(0)).after(Heard::Alive, at(0));
        }
        assert_eq!(breaker.allows(at(0)), Allowed::Many);
        breaker = breaker.after(Heard::Down, at(0));
        assert!(!breaker.is_proved());
    }

    #[test]
    fn an_endpoint_is_left_alone_as_long_as_it_asks_up_to_a_bound() {
        for (asked, rest) in [(30, 30), (86_400, 600)] {
            let breaker = Breaker::default().after(Heard::Busy(Some(TimeDelta::seconds(asked))), at(0));
            assert_eq!(breaker.allows(at(rest - 1)), Allowed::Not(at(rest)), "{asked}");
            assert_eq!(breaker.allows(at(rest)), Allowed::Many);
            // What was under way meanwhile does not end the rest.
            let breaker = breaker.after(Heard::Alive, at(1));
            assert_eq!(breaker.allows(at(rest - 1)), Allowed::Not(at(rest)));
        }
        let breaker = Breaker::default().after(Heard::Busy(None), at(0));
        assert_eq!(breaker.allows(at(0)), Allowed::Many);
    }

    #[test]
    fn an_answer_for_good_is_no_failure_of_the_endpoint() {
        let minute = Some(TimeDelta::minutes(1));
        for (status, retry_after, expected) in [
            (Some(200), None, Heard::Alive),
            (Some(400), None, Heard::Alive),
            (Some(404), None, Heard::Alive),
            (Some(302), None, Heard::Down),
            (Some(408), None, Heard::Down),
            (Some(425), None, Heard::Down),
            (Some(429), None, Heard::Busy(None)),
            (Some(429), minute, Heard::Busy(minute)),
            (Some(500), minute, Heard::Down),
            (Some(502), None, Heard::Busy(None)),
            (Some(503), None, Heard::Down),
            (Some(503), minute, Heard::Busy(minute)),
            (Some(504), None, Heard::Busy(None)),
            (None, None, Heard::Down),
        ] {
            assert_eq!(heard(status, retry_after), expected, "{status:?} {retry_after:?}");
        }
    }
}
