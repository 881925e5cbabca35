//! Whether a host is proved, what becomes of its domain, and when somebody looks again. Pure.
//!
//! The proof is a TXT record with the domain's token and a way here. Silence of name servers proves nothing either way, so it
//! changes no state: a broken resolver of ours disables nobody.

use std::net::IpAddr;

use chrono::Duration;

use crate::{clock::Moment, dns::Told};

/// How long a proof is waited for, and how long a domain whose proof is gone goes on answering.
const PATIENCE: Duration = Duration::hours(72);
/// How often a proof is looked for that was there.
const AGAIN: Duration = Duration::hours(24);
/// How often a proof is looked for that has gone, or of which nothing was heard.
const SOON: Duration = Duration::hours(1);
/// Minutes until the next look for a proof that was never there; after these, every hour.
const BACK_OFF: [i64; 6] = [1, 2, 4, 8, 15, 30];
/// What the value of the TXT record begins with.
const PREFIX: &str = "linkforty-verification=";

/// Where a domain stands. The numbers are those of `linkforty.v1.DomainState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Never proved.
    Pending = 1,
    /// Proved.
    Verified = 2,
    /// Proved once, and the proof has gone.
    Failing = 3,
    /// The proof has gone for good, or never came to stay.
    Disabled = 4,
}

impl State {
    /// Returns the state of that number; one nobody knows answers for nothing.
    pub fn numbered(number: i16) -> Self {
        match number {
            1 => Self::Pending,
            2 => Self::Verified,
            3 => Self::Failing,
            _ => Self::Disabled,
        }
    }

    /// Says whether the domain answers.
    pub const fn serves(self) -> bool {
        matches!(self, Self::Verified | Self::Failing)
    }
}

/// What a look saw of one record. The numbers are those of `linkforty.v1.DnsStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What is asked for.
    Right = 1,
    /// Nothing.
    Missing = 2,
    /// Something else.
    Wrong = 3,
    /// No answer.
    Silent = 4,
}

/// What a look makes of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It is whole.
    Whole,
    /// It is whole, and so is that of another workspace, which has the host.
    Rivalled,
    /// Something of it is missing or wrong.
    Broken,
    /// Nobody could say.
    Unclear,
}

/// How far the proof of a domain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Since when a proof is waited for that is not there.
    pub waiting_time: Moment,
    /// Looks since then.
    pub looks: i32,
    /// When the proof was last whole.
    pub verify_time: Option<Moment>,
    /// When somebody looks next; `None`: never.
    pub next_look_time: Option<Moment>,
}

/// Returns the value of the TXT record that proves `token`.
pub fn txt_value(token: &str) -> String {
    format!("{PREFIX}{token}")
}

/// Says whether the texts of a name prove a token. Others may stand beside it, such as that of another workspace.
pub fn ownership(texts: &Told<String>, token: &str) -> Sight {
    match texts {
        Told::Silence => Sight::Silent,
        Told::Values(values) if values.iter().any(|value| value.trim() == txt_value(token)) => Sight::Right,
        // What is there for something else is no attempt of theirs.
        Told::Values(values) if values.iter().any(|value| value.trim().starts_with(PREFIX)) => Sight::Wrong,
        Told::Values(_) | Told::Nothing => Sight::Missing,
    }
}

/// Says whether a host leads here: it is an alias of one of our names, or all of its addresses are ours.
pub fn way_here(
    aliases: &Told<String>,
    addresses: &Told<IpAddr>,
    our_names: &[&str],
    our_addresses: &[IpAddr],
) -> Sight {
    if aliases.values().iter().any(|alias| our_names.contains(&alias.as_str())) {
        return Sight::Right;
    }
    match addresses {
        Told::Values(found) if found.iter().all(|address| our_addresses.contains(address)) => Sight::Right,
        Told::Values(_) => Sight::Wrong,
        Told::Silence => Sight::Silent,
        Told::Nothing if aliases.values().is_empty() => Sight::Missing,
        Told::Nothing => Sight::Wrong,
    }
}

/// Puts two sights together.
pub fn proof(ownership: Sight, address: Sight) -> Proof {
    match (ownership, address) {
        (Sight::Right, Sight::Right) => Proof::Whole,
        (Sight::Missing | Sight::Wrong, _) | (_, Sight::Missing | Sight::Wrong) => Proof::Broken,
        (Sight::Silent, _) | (_, Sight::Silent) => Proof::Unclear,
    }
}

/// Returns where a domain stands whose proof is waited for from `now` on.
pub fn begin(now: Moment, verify_time: Option<Moment>) -> Standing {
    Standing { state: State::Pending, waiting_time: now, looks: 0, verify_time, next_look_time: Some(now) }
}

/// Returns where a domain stands after a look.
pub fn judge(before: Standing, proof: Proof, now: Moment) -> Standing {
    let waited = now - before.waiting_time >= PATIENCE;
    let looked = Standing { looks: before.looks.saturating_add(1), ..before };
    match (before.state, proof) {
        (State::Disabled, _) => Standing { next_look_time: None, ..before },
        (_, Proof::Whole) => Standing {
            state: State::Verified,
            waiting_time: now,
            looks: 0,
            verify_time: Some(now),
            next_look_time: Some(now + AGAIN),
        },
        (State::Pending, _) => {
            Standing { next_look_time: (!waited).then(|| now + back_off(looked.looks)), ..looked }
        }
        (State::Verified | State::Failing, Proof::Unclear) => {
            Standing { next_look_time: Some(now + SOON), ..before }
        }
        (State::Verified, Proof::Broken | Proof::Rivalled) => Standing {
            state: State::Failing,
            waiting_time: now,
            looks: 1,
            next_look_time: Some(now + SOON),
            ..before
        },
        (State::Failing, Proof::Broken | Proof::Rivalled) if waited => disabled(looked),
        (State::Failing, Proof::Broken | Proof::Rivalled) => {
            Standing { next_look_time: Some(now + SOON), ..looked }
        }
    }
}

/// Returns where a domain stands that has lost its host.
pub fn disabled(before: Standing) -> Standing {
    Standing { state: State::Disabled, next_look_time: None, ..before }
}

/// Returns how long after this many looks the next one comes.
fn back_off(looks: i32) -> Duration {
    let place = usize::try_from(looks - 1).unwrap_or(0);
    BACK_OFF.get(place).map_or(SOON, |minutes| Duration::minutes(*minutes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn at(minutes: i64) -> Moment {
        from_micros(0) + Duration::minutes(minutes)
    }

    const DAY: i64 = 24 * 60;

    fn standing(state: State, waiting: i64, looks: i32, verified: Option<i64>) -> Standing {
        Standing {
            state,
            waiting_time: at(waiting),
            looks,
            verify_time: verified.map(at),
            next_look_time: Some(at(0)),
        }
    }

    #[test]
    fn each_look_has_its_consequence() {
        use Proof::{Broken, Rivalled, Unclear, Whole};
        use State::{Disabled, Failing, Pending, Verified};
        for (state, waited, looks, proof, after, looks_after, next) in [
            (Pending, 0, 0, Whole, Verified, 0, Some(DAY)),
            (Pending, 0, 0, Broken, Pending, 1, Some(1)),
            (Pending, 0, 0, Unclear, Pending, 1, Some(1)),
            (Pending, 0, 0, Rivalled, Pending, 1, Some(1)),
            (Pending, 1, 1, Broken, Pending, 2, Some(2)),
            (Pending, 30, 5, Broken, Pending, 6, Some(30)),
            (Pending, 60, 6, Broken, Pending, 7, Some(60)),
            (Pending, 3 * DAY - 1, 70, Broken, Pending, 71, Some(60)),
            (Pending, 3 * DAY, 71, Broken, Pending, 72, None),
            (Pending, 3 * DAY, 71, Whole, Verified, 0, Some(DAY)),
            (Verified, 100 * DAY, 0, Whole, Verified, 0, Some(DAY)),
            (Verified, 100 * DAY, 0, Unclear, Verified, 0, Some(60)),
            (Verified, 100 * DAY, 0, Broken, Failing, 1, Some(60)),
            (Failing, 60, 1, Whole, Verified, 0, Some(DAY)),
            (Failing, 60, 1, Broken, Failing, 2, Some(60)),
            (Failing, 60, 1, Rivalled, Failing, 2, Some(60)),
            (Failing, 30 * DAY, 9, Unclear, Failing, 9, Some(60)),
            (Failing, 3 * DAY - 1, 71, Broken, Failing, 72, Some(60)),
            (Failing, 3 * DAY, 72, Broken, Disabled, 73, None),
            (Failing, 3 * DAY, 72, Whole, Verified, 0, Some(DAY)),
            (Disabled, DAY, 3, Whole, Disabled, 3, None),
            (Disabled, DAY, 3, Broken, Disabled, 3, None),
        ] {
            let now = 200 * DAY;
            let before = standing(state, now - waited, looks, Some(5));
            let judged = judge(before, proof, at(now));
            let name = format!("{state:?} for {waited} minutes, {proof:?}");
            assert_eq!((judged.state, judged.looks), (after, looks_after), "{name}");
            assert_eq!(judged.next_look_time, next.map(|minutes| at(now + minutes)), "{name}");
            let verified = if after == Verified && proof == Whole { at(now) } else { at(5) };
            assert_eq!(judged.verify_time, Some(verified), "{name}");
            let moved = judged.waiting_time == at(now);
            assert_eq!(
                moved,
                waited == 0 || (proof == Whole && state != Disabled) || state == Verified && proof == Broken,
                "{name}"
            );
        }
    }

    #[test]
    fn a_proof_that_never_comes_is_looked_for_less_and_less_and_then_no_more() {
        let mut standing = begin(at(0), None);
        let mut looks = Vec::new();
        while let Some(next) = standing.next_look_time {
            looks.push((next - at(0)).num_minutes());
            standing = judge(standing, Proof::Broken, next);
        }
        assert_eq!(looks[..9], [0, 1, 3, 7, 15, 30, 60, 120, 180]);
        assert_eq!((looks.len(), *looks.last().expect("some")), (78, 3 * DAY));
        assert_eq!(standing.state, State::Pending);
        assert!(looks.windows(3).all(|pair| pair[1] - pair[0] <= pair[2] - pair[1]));
    }

    #[test]
    fn a_proof_that_goes_keeps_its_host_for_three_days() {
        let mut standing = judge(begin(at(0), None), Proof::Whole, at(0));
        let mut ended = None;
        while let Some(next) = standing.next_look_time {
            assert!(standing.state.serves());
            ended = Some(next);
            standing = judge(standing, Proof::Broken, next);
        }
        assert_eq!((standing.state, ended), (State::Disabled, Some(at(DAY + 3 * DAY))));
        assert!(!standing.state.serves());
    }

    #[test]
    fn only_its_own_token_proves_a_domain() {
        let texts = |values: &[&str]| match values {
            [] => Told::Nothing,
            values => Told::Values(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        for (values, sight) in [
            (&[][..], Sight::Missing),
            (&["v=spf1 -all"], Sight::Missing),
            (&["linkforty-verification=abc"], Sight::Right),
            (&[" linkforty-verification=abc "], Sight::Right),
            (&["linkforty-verification=other", "linkforty-verification=abc"], Sight::Right),
            (&["linkforty-verification=other"], Sight::Wrong),
            (&["linkforty-verification=abcd"], Sight::Wrong),
            (&["linkforty-verification=ABC"], Sight::Wrong),
            (&["abc"], Sight::Missing),
        ] {
            assert_eq!(ownership(&texts(values), "abc"), sight, "{values:?}");
        }
        assert_eq!(ownership(&Told::Silence, "abc"), Sight::Silent);
    }

    #[test]
    fn a_host_leads_here_by_alias_or_by_all_of_its_addresses() {
        let names = |values: &[&str]| match values {
            [] => Told::Nothing,
            values => Told::Values(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()),
        };
        let addresses = |values: &[&str]| match values {
            [] => Told::Nothing,
            values => Told::Values(values.iter().map(|value| value.parse().expect("an address")).collect()),
        };
        let ours = ["192.0.2.1".parse().expect("an address"), "2001:db8::1".parse().expect("an address")];
        for (alias, found, sight) in [
            (&["go.example.com"][..], &[][..], Sight::Right),
            (&["go.example.com"], &["198.51.100.1"], Sight::Right),
            (&[], &["192.0.2.1"], Sight::Right),
            (&[], &["192.0.2.1", "2001:db8::1"], Sight::Right),
            (&["edge.dns.test"], &["192.0.2.1"], Sight::Right),
            (&[], &["192.0.2.1", "198.51.100.1"], Sight::Wrong),
            (&[], &["198.51.100.1"], Sight::Wrong),
            (&["shops.example.net"], &["198.51.100.1"], Sight::Wrong),
            (&["gone.example.net"], &[], Sight::Wrong),
            (&[], &[], Sight::Missing),
        ] {
            let seen = way_here(&names(alias), &addresses(found), &["go.example.com"], &ours);
            assert_eq!(seen, sight, "{alias:?} {found:?}");
        }
        let silent = way_here(&Told::Nothing, &Told::Silence, &["go.example.com"], &ours);
        assert_eq!(silent, Sight::Silent);
        let known = way_here(&names(&["go.example.com"]), &Told::Silence, &["go.example.com"], &ours);
        assert_eq!(known, Sight::Right);
    }

    #[test]
    fn a_proof_is_both_and_what_is_wrong_counts_more_than_silence() {
        use Sight::{Missing, Right, Silent, Wrong};
        for (ownership, address, expected) in [
            (Right, Right, Proof::Whole),
            (Right, Missing, Proof::Broken),
            (Wrong, Right, Proof::Broken),
            (Silent, Wrong, Proof::Broken),
            (Missing, Silent, Proof::Broken),
            (Right, Silent, Proof::Unclear),
            (Silent, Right, Proof::Unclear),
            (Silent, Silent, Proof::Unclear),
        ] {
            assert_eq!(proof(ownership, address), expected, "{ownership:?} {address:?}");
        }
    }
}
