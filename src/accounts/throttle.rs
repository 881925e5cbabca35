//! Decides when somebody may try again to guess a secret.
//!
//! Tries are counted before they are made and forgiven with time, in three places at once: for an account from one network, for a
//! network, and for an account from everywhere. Some are free, then each waits twice as long as the one before, up to a bound. What
//! waits is not counted, so nobody is ever locked out for good; and the account-wide count does not hold a network from which the
//! person signed in lately, so strangers who guess cannot keep them out.

use std::time::Duration;

use chrono::TimeDelta;

use crate::clock::Moment;

/// After the free tries the first one waits so long.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(1);
/// How many doublings are remembered: as many as it takes to reach the longest wait.
const MOST_DOUBLINGS: u32 = 10;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A password.
    SignIn,
    /// To have a mail sent to somebody.
    Mail,
    /// A code of a second factor.
    Code,
}

/// For what tries are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// An account from one network.
    Pair,
    /// A network, whatever the account.
    Network,
    /// An account from everywhere.
    Account,
}

/// What a count allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How many tries wait for nothing.
    pub free: u32,
    /// The longest wait.
    pub longest: TimeDelta,
    /// How long it takes until a try is forgiven.
    pub forgiven_after: TimeDelta,
}

/// The tries so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// How many, when the last one was made.
    pub count: u32,
    /// When that was.
    pub last: Moment,
}

/// Whether the next try may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// After so long.
    Wait(Duration),
}

impl Purpose {
    /// Returns its name, as errors and metrics carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Mail => "account_mail",
            Self::Code => "second_factor",
        }
    }
}

/// Returns the rule for a purpose and a scope.
pub const fn rule(purpose: Purpose, scope: Scope) -> Rule {
    let free = match (purpose, scope) {
        (Purpose::SignIn | Purpose::Code, Scope::Account) => 10,
        (Purpose::SignIn | Purpose::Code, Scope::Pair) | (Purpose::Mail, Scope::Account) => 5,
        (Purpose::Mail, Scope::Pair) => 3,
        // Offices share one.
        (_, Scope::Network) => 30,
    };
    match scope {
        // A day has 96 of these waits: fewer than the hundred tries in a row that NIST SP 800-63B allows.
        Scope::Pair | Scope::Account => {
            Rule { free, longest: TimeDelta::minutes(15), forgiven_after: TimeDelta::minutes(30) }
        }
        Scope::Network => {
            Rule { free, longest: TimeDelta::minutes(1), forgiven_after: TimeDelta::minutes(1) }
        }
    }
}

impl Tries {
    /// Returns no tries.
    pub const fn none(now: Moment) -> Self {
        Self { count: 0, last: now }
    }

    /// Returns how many are left of them at `now`.
    fn left(self, rule: Rule, now: Moment) -> u32 {
        let quiet = (now - self.last).num_seconds().max(0) / rule.forgiven_after.num_seconds().max(1);
        self.count.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
    }

    /// Returns the tries with the one that is made at `now`.
    #[must_use]
    pub fn and_one(self, rule: Rule, now: Moment) -> Self {
        let most = rule.free + MOST_DOUBLINGS;
        Self { count: self.left(rule, now).saturating_add(1).min(most), last: now }
    }
}

/// Decides whether the next try may be made at `now`.
pub fn judge(rule: Rule, tries: Tries, now: Moment) -> Verdict {
    let left = tries.left(rule, now);
    let Some(over) = left.checked_sub(rule.free) else { return Verdict::Allowed };
    let wait = (FIRST_WAIT * (1 << over.min(MOST_DOUBLINGS))).min(rule.longest);
    // A clock that was put back makes nobody wait longer than that.
    let rest = (tries.last + wait - now).min(wait);
    match rest.to_std() {
        Ok(rest) if !rest.is_zero() => Verdict::Wait(rest),
        _ => Verdict::Allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    const RULE: Rule = rule(Purpose::SignIn, Scope::Pair);

    fn start() -> Moment {
        from_micros(1_800_000_000_000_000)
    }

    fn wait(seconds: u64) -> Verdict {
        Verdict::Wait(Duration::from_secs(seconds))
    }

    #[test]
    fn a_few_tries_are_free_and_then_each_waits_twice_as_long() {
        for (count, after, expected) in [
            (0, 0, Verdict::Allowed),
            (4, 0, Verdict::Allowed),
            (5, 0, wait(1)),
            (5, 1, Verdict::Allowed),
            (6, 0, wait(2)),
            (6, 1, wait(1)),
            (9, 0, wait(16)),
            (9, 16, Verdict::Allowed),
            (14, 0, wait(512)),
            (15, 0, wait(900)),
            (15, 899, wait(1)),
            (15, 900, Verdict::Allowed),
            (u32::MAX, 0, wait(900)),
            // One is forgiven in half an hour.
            (6, 1_800, Verdict::Allowed),
            (5, -3_600, wait(1)),
        ] {
            let tries = Tries { count, last: start() };
            let now = start() + TimeDelta::seconds(after);
            assert_eq!(judge(RULE, tries, now), expected, "{count} tries, {after} s later");
        }
    }

    #[test]
    fn tries_add_up_to_a_bound_and_are_forgiven_one_by_one() {
        let mut tries = Tries::none(start());
        for _ in 0..100 {
            tries = tries.and_one(RULE, start());
        }
        assert_eq!(tries.count, 15);
        for (hours, expected) in [(0, 15), (1, 14), (4, 8), (7, 2), (8, 1), (1_000, 1)] {
            let later = start() + TimeDelta::hours(hours);
            assert_eq!(tries.and_one(RULE, later).count, expected, "after {hours} h");
        }
    }

    #[test]
    fn whoever_never_stops_gets_fewer_than_a_hundred_tries_a_day() {
        for scope in [Scope::Pair, Scope::Account] {
            let rule = rule(Purpose::SignIn, scope);
            let (mut tries, mut made, mut now) = (Tries::none(start()), 0, start());
            while now < start() + TimeDelta::days(7) {
                match judge(rule, tries, now) {
                    Verdict::Allowed => {
                        tries = tries.and_one(rule, now);
                        made += 1;
                    }
                    Verdict::Wait(rest) => now += TimeDelta::from_std(rest).expect("minutes"),
                }
            }
            assert!(made < 7 * 100, "{scope:?}: {made} in a week");
        }
    }

    #[test]
    fn an_office_is_not_held_for_long() {
        let rule = rule(Purpose::SignIn, Scope::Network);
        let tries = Tries { count: u32::MAX, last: start() };
        assert_eq!(judge(rule, tries, start()), wait(60));
    }
}
