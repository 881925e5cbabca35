//! What is to be done about a certificate, and when. Pure.
//!
//! A third of its life before its end a certificate is renewed, so that two thirds of that third may fail. Hosts that got theirs together are
//! not renewed together, and do not fail together either: each has a moment of its own, which follows from its name.

use chrono::Duration;

use super::setback::Kind;
use crate::clock::Moment;

/// The longest that an authority may have us wait.
pub(super) const LONGEST: Duration = Duration::days(7);
/// Minutes to wait after the authority was not there, or did not want us.
const AWAY: [i64; 7] = [1, 2, 4, 8, 15, 30, 60];
/// Minutes to wait after it refused: Let's Encrypt bears five refusals an hour of one host.
const REFUSED: [i64; 6] = [2, 15, 60, 4 * 60, 12 * 60, 24 * 60];
/// Minutes to wait after it had enough.
const LIMITED: [i64; 4] = [60, 3 * 60, 12 * 60, 24 * 60];
/// So many refusals in a row of a domain that never had a certificate, and nobody tries any more: about two weeks.
const MOST: u32 = 18;
/// The same where trying does not help.
const MOST_REJECTED: u32 = 3;

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing<'a> {
    pub(super) host: &'a str,
    /// From when until when it is valid; none: there is none.
    pub(super) validity: Option<(Moment, Moment)>,
    /// How often in a row it could not be got.
    pub(super) failures: u32,
    /// Why, and when, the last time.
    pub(super) failure: Option<(Kind, Moment)>,
    /// Whether somebody can ask for another try by `VerifyDomain`.
    pub(super) of_a_domain: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Get the first one, or another one after it was over.
    Order,
    /// Get the next one.
    Renew,
    /// Nothing until then.
    Wait(Moment),
    /// Nothing until somebody asks for it.
    GiveUp(Kind),
}

/// Says what is to be done about a certificate.
pub(super) fn next(certificate: &Standing<'_>, now: Moment) -> Step {
    let Standing { host, validity, failures, failure, of_a_domain } = *certificate;
    let patient_until = match failure {
        Some((kind, at)) if failures > 0 => Some((kind, at + pause(host, kind, failures))),
        _ => None,
    };
    let (due, step) = match validity {
        Some((from, until)) if now < until => (Some(renewal(host, from, until)), Step::Renew),
        Some(_) | None => (None, Step::Order),
    };
    // Who has one wants the next one whatever happens.
    if validity.is_none()
        && of_a_domain
        && let Some((kind, _)) = failure
        && most(kind).is_some_and(|most| failures >= most)
    {
        return Step::GiveUp(kind);
    }
    let wait = patient_until.map(|(_, until)| until).max(due);
    match wait {
        Some(until) if now < until => Step::Wait(until),
        _ => step,
    }
}

/// Returns after how many failures in a row nobody tries any more; `None`: the host is not to blame.
const fn most(kind: Kind) -> Option<u32> {
    match kind {
        Kind::AuthorityAway | Kind::RateLimited | Kind::Account => None,
        Kind::Rejected => Some(MOST_REJECTED),
        Kind::NotProved | Kind::Caa | Kind::NotHere | Kind::Unusable => Some(MOST),
    }
}

/// Returns when a certificate is renewed.
pub(super) fn renewal(host: &str, from: Moment, until: Moment) -> Moment {
    let life = until - from;
    // Up to a twentieth of its life earlier.
    until - life / 3 - life / 20 * share(host) / 1000
}

/// Returns how long to wait after so many failures in a row.
fn pause(host: &str, kind: Kind, failures: u32) -> Duration {
    let minutes = match kind {
        Kind::AuthorityAway | Kind::Account => &AWAY[..],
        Kind::RateLimited => &LIMITED[..],
        Kind::NotProved | Kind::Caa | Kind::Rejected | Kind::NotHere | Kind::Unusable => &REFUSED[..],
    };
    let place = (failures.max(1) as usize - 1).min(minutes.len() - 1);
    let pause = Duration::minutes(minutes[place]);
    // Up to a tenth longer.
    pause + pause / 10 * share(host) / 1000
}

/// Returns a host's own number from 0 to 999.
fn share(host: &str) -> i32 {
    (crc32c::crc32c(host.as_bytes()) % 1000) as i32
}

/// Orders of the last hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recent {
    /// By everybody.
    pub(super) all: u64,
    /// For the workspace that wants another one; none: it is for a host of the server's own.
    pub(super) of_workspace: Option<u64>,
}

/// Says whether another order may be sent: no workspace has more than a third of them.
pub(super) fn may_order(recent: Recent, per_hour: u32) -> bool {
    let per_hour = u64::from(per_hour);
    let room = recent.all < per_hour;
    room && recent.of_workspace.is_none_or(|count| count < (per_hour / 3).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    const HOST: &str = "go.shop.test";

    fn day(days: i64) -> Moment {
        from_micros(1_700_000_000_000_000) + Duration::days(days)
    }

    fn standing(
        validity: Option<(Moment, Moment)>,
        failures: u32,
        failure: Option<(Kind, Moment)>,
    ) -> Standing<'static> {
        Standing { host: HOST, validity, failures, failure, of_a_domain: true }
    }

    #[test]
    fn a_certificate_is_ordered_renewed_waited_for_or_given_up() {
        let valid = Some((day(0), day(90)));
        let renewal = renewal(HOST, day(0), day(90));
        assert!(renewal > day(55) && renewal <= day(60), "{renewal}");
        let minutes = |kind, failures, at: Moment| at + pause(HOST, kind, failures);
        for (what, certificate, now, expected) in [
            ("none yet", standing(None, 0, None), day(0), Step::Order),
            ("a young one", standing(valid, 0, None), day(1), Step::Wait(renewal)),
            ("one that is due", standing(valid, 0, None), renewal, Step::Renew),
            ("one that is over", standing(valid, 0, None), day(90), Step::Order),
            (
                "one that could not be renewed",
                standing(valid, 2, Some((Kind::NotProved, day(61)))),
                day(61),
                Step::Wait(minutes(Kind::NotProved, 2, day(61))),
            ),
            ("the same, later", standing(valid, 2, Some((Kind::NotProved, day(61)))), day(62), Step::Renew),
            ("for ever", standing(valid, 1000, Some((Kind::Rejected, day(61)))), day(63), Step::Renew),
            ("over, for ever", standing(valid, 1000, Some((Kind::Rejected, day(91)))), day(93), Step::Order),
            (
                "a failure before it was due",
                standing(valid, 1, Some((Kind::NotHere, day(1)))),
                day(2),
                Step::Wait(renewal),
            ),
            (
                "a first one that failed",
                standing(None, 1, Some((Kind::Caa, day(0)))),
                day(0),
                Step::Wait(minutes(Kind::Caa, 1, day(0))),
            ),
            (
                "an authority that is away",
                standing(None, 50, Some((Kind::AuthorityAway, day(0)))),
                day(0),
                Step::Wait(minutes(Kind::AuthorityAway, 50, day(0))),
            ),
            (
                "what is never issued",
                standing(None, 3, Some((Kind::Rejected, day(0)))),
                day(0),
                Step::GiveUp(Kind::Rejected),
            ),
            (
                "the same for the server's own host",
                Standing { of_a_domain: false, ..standing(None, 30, Some((Kind::Rejected, day(0)))) },
                day(0),
                Step::Wait(minutes(Kind::Rejected, 30, day(0))),
            ),
            (
                "too many in a row",
                standing(None, MOST, Some((Kind::NotProved, day(0)))),
                day(30),
                Step::GiveUp(Kind::NotProved),
            ),
        ] {
            assert_eq!(next(&certificate, now), expected, "{what}");
        }
    }

    #[test]
    fn no_host_fails_more_often_than_an_authority_bears() {
        for kind in [Kind::NotProved, Kind::Caa, Kind::Rejected, Kind::NotHere, Kind::Unusable] {
            let mut at = Duration::zero();
            let mut within_an_hour = 1;
            for failures in 1.. {
                at += pause(HOST, kind, failures);
                if at >= Duration::hours(1) {
                    break;
                }
                within_an_hour += 1;
            }
            assert!(within_an_hour < 5, "{kind:?}: {within_an_hour} failures in an hour");
        }
        assert!(pause(HOST, Kind::NotProved, 1000) <= Duration::hours(27));
        assert!(pause(HOST, Kind::AuthorityAway, 1000) <= Duration::minutes(66));
    }

    #[test]
    fn hosts_are_not_renewed_together() {
        let moments: std::collections::BTreeSet<Moment> =
            (0..50).map(|number| renewal(&format!("{number}.shop.test"), day(0), day(90))).collect();
        assert!(moments.len() > 40, "{}", moments.len());
        let (first, last) = (moments.first().expect("some"), moments.last().expect("some"));
        assert!(*last - *first > Duration::days(2) && *first > day(55) && *last <= day(60));
        // Certificates of six days are renewed after four.
        let short = renewal(HOST, day(0), day(6));
        assert!(short > day(3) && short <= day(4), "{short}");
    }

    #[test]
    fn no_workspace_takes_all_orders() {
        for (all, of_workspace, per_hour, may) in [
            (0, Some(0), 60, true),
            (59, Some(19), 60, true),
            (60, Some(0), 60, false),
            (30, Some(20), 60, false),
            (30, None, 60, true),
            (60, None, 60, false),
            (0, Some(0), 1, true),
            (0, Some(1), 2, false),
        ] {
            assert_eq!(
                may_order(Recent { all, of_workspace }, per_hour),
                may,
                "{all} {of_workspace:?} {per_hour}"
            );
        }
    }
}
