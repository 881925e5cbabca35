//! Decides what becomes of a delivery after an attempt. Pure.

use chrono::TimeDelta;

use super::endpoint::DisableReason;
use crate::{clock::Moment, outbound};

/// How long before each attempt it is waited: 75 hours and 35 minutes in all, as Standard Webhooks 1.0 has it.
pub const SCHEDULE: [TimeDelta; 10] = [
    TimeDelta::zero(),
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(14),
    TimeDelta::hours(20),
    TimeDelta::hours(24),
];
/// By how many thousandths a wait is longer or shorter, so that what failed together does not come again together.
const JITTER: i32 = 200;
/// However long a receiver asks us to wait.
const LONGEST: TimeDelta = TimeDelta::hours(24);
/// How long an endpoint may do nothing but fail.
const PATIENCE: TimeDelta = TimeDelta::hours(120);

/// How an attempt ended. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Outcome {
    /// The receiver answered 2xx.
    Delivered = 1,
    /// It answered, but not 2xx.
    Status = 2,
    /// The answer did not come in time.
    Timeout = 3,
    /// There was no connection: nobody took it, or not in time.
    Connect = 4,
    /// The host's name leads nowhere.
    Name = 5,
    /// The certificate proves nothing, or there was no agreement on encryption.
    Tls = 6,
    /// What came is no answer, or far more than one.
    Answer = 7,
    /// The URL or the address it leads to is not called.
    Refused = 8,
}

/// What the receiver said of itself in an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// How the attempt ended.
    pub outcome: Outcome,
    /// The status, where there was one.
    pub status: Option<u16>,
    /// How long the receiver asks us to wait.
    pub retry_after: Option<TimeDelta>,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has it.
    Done,
    /// It is tried again then.
    Again(Moment),
    /// It is given up.
    GivenUp,
    /// It is given up, and so is the endpoint.
    Disable(DisableReason),
}

/// Decides what becomes of a delivery after its attempt number `attempt` (from 1), which ended at `now`. `dice` is a random number below
/// a million.
pub fn next(attempt: u32, told: Told, now: Moment, dice: u32) -> Fate {
    match (told.outcome, told.status) {
        (Outcome::Delivered, _) => return Fate::Done,
        (Outcome::Status, Some(410)) => return Fate::Disable(DisableReason::Gone),
        (Outcome::Status, Some(status)) if !may_change(status) => return Fate::GivenUp,
        _ => {}
    }
    let Some(wait) = usize::try_from(attempt).ok().and_then(|attempt| SCHEDULE.get(attempt)) else {
        return Fate::GivenUp;
    };
    let asked = told.retry_after.unwrap_or_default().clamp(TimeDelta::zero(), LONGEST);
    Fate::Again(now + shaken(*wait, dice).max(asked))
}

/// Says whether an endpoint that has failed since `since` and nothing else is to be disabled.
pub fn is_hopeless(since: Moment, now: Moment) -> bool {
    now - since >= PATIENCE
}

/// Reads how long a receiver asks us to wait: not at all when that is over, and a day at the most.
pub fn retry_after(value: &str, now: Moment) -> Option<TimeDelta> {
    outbound::retry_after(value, now).map(|wait| wait.clamp(TimeDelta::zero(), LONGEST))
}

/// Says whether a status may be another one next time. What is refused for what it is will be refused again.
const fn may_change(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429) || status >= 500 || status < 400
}

fn shaken(wait: TimeDelta, dice: u32) -> TimeDelta {
    let dice = i32::try_from(dice.min(999_999)).unwrap_or(0);
    let thousandths = 1000 - JITTER + dice * 2 * JITTER / 1_000_000;
    wait * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    const EVEN: u32 = 500_000;

    fn noon() -> Moment {
        from_micros(1_795_348_800_000_000)
    }

    fn status(status: u16) -> Told {
        let outcome = if (200..300).contains(&status) { Outcome::Delivered } else { Outcome::Status };
        Told { outcome, status: Some(status), retry_after: None }
    }

    fn failed(outcome: Outcome) -> Told {
        Told { outcome, status: None, retry_after: None }
    }

    #[test]
    fn every_answer_has_its_fate() {
        let again = Fate::Again(noon() + TimeDelta::seconds(5));
        for (told, expected) in [
            (status(200), Fate::Done),
            (status(204), Fate::Done),
            (status(299), Fate::Done),
            (status(301), again),
            (status(302), again),
            (status(304), again),
            (status(400), Fate::GivenUp),
            (status(401), Fate::GivenUp),
            (status(404), Fate::GivenUp),
            (status(408), again),
            (status(409), again),
            (status(410), Fate::Disable(DisableReason::Gone)),
            (status(413), Fate::GivenUp),
            (status(425), again),
            (status(429), again),
            (status(500), again),
            (status(503), again),
            (status(599), again),
            (failed(Outcome::Timeout), again),
            (failed(Outcome::Connect), again),
            (failed(Outcome::Name), again),
            (failed(Outcome::Tls), again),
            (failed(Outcome::Answer), again),
            (failed(Outcome::Refused), again),
        ] {
            assert_eq!(next(1, told, noon(), EVEN), expected, "{told:?}");
        }
    }

    #[test]
    fn seventy_five_hours_pass_in_no_time() {
        for (dice, hours) in [(0, 60.4), (EVEN, 75.5), (999_999, 90.6)] {
            let (begin, mut now, mut attempt) = (noon(), noon(), 1);
            let mut waits = Vec::new();
            while let Fate::Again(then) = next(attempt, status(500), now, dice) {
                waits.push((then - now).num_seconds());
                now = then;
                attempt += 1;
            }
            assert_eq!(attempt, 10, "ten attempts in all");
            let took = (now - begin).as_seconds_f64() / 3600.0;
            assert!((took - hours).abs() < 0.2, "{took} hours at {dice}");
            if dice == EVEN {
                assert_eq!(waits, [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]);
            }
        }
        assert_eq!(next(10, status(500), noon(), EVEN), Fate::GivenUp);
        assert_eq!(next(u32::MAX, status(500), noon(), EVEN), Fate::GivenUp);
        assert_eq!(next(u32::MAX, status(200), noon(), EVEN), Fate::Done);
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_and_never_for_less() {
        for (attempt, asked, expected) in [
            (1, TimeDelta::seconds(120), TimeDelta::seconds(120)),
            (1, TimeDelta::zero(), TimeDelta::seconds(5)),
            (1, TimeDelta::seconds(-9), TimeDelta::seconds(5)),
            (3, TimeDelta::seconds(120), TimeDelta::minutes(30)),
            (1, TimeDelta::days(30), TimeDelta::hours(24)),
        ] {
            let told = Told { retry_after: Some(asked), ..status(429) };
            assert_eq!(
                next(attempt, told, noon(), EVEN),
                Fate::Again(noon() + expected),
                "{attempt} {asked}"
            );
        }
        let told = Told { retry_after: Some(TimeDelta::seconds(9)), ..status(503) };
        assert_eq!(next(10, told, noon(), EVEN), Fate::GivenUp, "it buys no attempt");
    }

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        // 2026-11-22T12:00:00Z, which was a Sunday.
        let now = noon();
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("999999999999999999999999", Some(86_400)),
            (&*(now + TimeDelta::seconds(90)).format("%a, %d %b %Y %H:%M:%S GMT").to_string(), Some(90)),
            (&*(now - TimeDelta::hours(1)).format("%a, %d %b %Y %H:%M:%S GMT").to_string(), Some(0)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, now).map(|wait| wait.num_seconds()), expected, "{value:?}");
        }
    }

    #[test]
    fn five_days_of_failures_are_enough() {
        assert!(!is_hopeless(noon(), noon() + TimeDelta::hours(119)));
        assert!(is_hopeless(noon(), noon() + TimeDelta::hours(120)));
    }
}
