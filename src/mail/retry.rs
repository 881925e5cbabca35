//! Decides when a mail that could not be sent is tried again.

use chrono::TimeDelta;

use crate::clock::Moment;

const FIRST: TimeDelta = TimeDelta::seconds(15);
const LONGEST: TimeDelta = TimeDelta::hours(1);
const MOST_DOUBLINGS: i32 = 10;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The mail server has it.
    Sent,
    /// The mail server will never take it: there is no such mailbox, for example.
    Refused,
    /// Something went wrong that may go right later.
    Failed,
    /// The settings name no mail server.
    Nowhere,
}

/// What becomes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done with.
    Done,
    /// It is given up.
    GivenUp,
    /// It is tried again then.
    Again(Moment),
}

/// Decides what becomes of a mail after its attempt number `attempts`, which ended at `now`; at `expire_time` it has had its time.
pub fn decide(outcome: Outcome, attempts: i32, expire_time: Moment, now: Moment) -> Fate {
    match outcome {
        Outcome::Sent | Outcome::Nowhere => Fate::Done,
        Outcome::Refused => Fate::GivenUp,
        Outcome::Failed => {
            let doublings = (attempts - 1).clamp(0, MOST_DOUBLINGS);
            let next = now + (FIRST * (1 << doublings)).min(LONGEST);
            if next < expire_time { Fate::Again(next) } else { Fate::GivenUp }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_mail_is_tried_again_ever_more_slowly_until_its_time_is_over() {
        let now = from_micros(1_800_000_000_000_000);
        let in_seconds = |seconds| Fate::Again(now + TimeDelta::seconds(seconds));
        let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
        for (outcome, attempts, left, expected) in [
            (Outcome::Sent, 1, day, Fate::Done),
            (Outcome::Sent, 9, -day, Fate::Done),
            (Outcome::Nowhere, 1, day, Fate::Done),
            (Outcome::Refused, 1, day, Fate::GivenUp),
            (Outcome::Failed, 1, day, in_seconds(15)),
            (Outcome::Failed, 2, day, in_seconds(30)),
            (Outcome::Failed, 5, day, in_seconds(240)),
            (Outcome::Failed, 9, day, in_seconds(3_600)),
            (Outcome::Failed, i32::MAX, day, in_seconds(3_600)),
            (Outcome::Failed, 0, day, in_seconds(15)),
            (Outcome::Failed, 9, hour, Fate::GivenUp),
            (Outcome::Failed, 1, TimeDelta::seconds(15), Fate::GivenUp),
            (Outcome::Failed, 1, -hour, Fate::GivenUp),
        ] {
            assert_eq!(decide(outcome, attempts, now + left, now), expected, "{outcome:?} {attempts} {left}");
        }
    }
}
