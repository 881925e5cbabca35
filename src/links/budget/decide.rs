//! What a visit to a link with a limit gets, how much a node asks for, and what a lease comes to in the end: pure.

use crate::{clock::Moment, entity::click_lease::Model, ids::LeaseId};

/// The largest lease: what a dead node can keep from others until its lease ends.
const LARGEST: i64 = 64;
/// A lease is an eighth of what is left, so that several nodes come to the end together and none hoards the last ones.
const SHARES: i64 = 8;

/// How many nodes share the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nodes {
    /// An embedded server: there is nobody to leave anything for.
    One,
    /// As many as there are.
    Several,
}

/// Returns how much to ask for when `left` is thought to be left; `None`: nobody asked yet.
pub(super) fn lease_size(left: Option<i64>, nodes: Nodes) -> i64 {
    let share = match (left, nodes) {
        (None, Nodes::One) => LARGEST,
        (None, Nodes::Several) => 1,
        (Some(left), Nodes::One) => left,
        (Some(left), Nodes::Several) => left / SHARES,
    };
    share.clamp(1, LARGEST)
}

/// Returns how much to ask for after `asked` was refused with `left` left; `None`: there is nothing to be had. Goes down
/// with every refusal, so that asking ends whatever others take meanwhile.
pub(super) fn smaller(asked: i64, left: i64, nodes: Nodes) -> Option<i64> {
    (asked > 1 && left > 0).then(|| lease_size(Some(left), nodes).min(asked / 2))
}

/// What this node knows of the limit of a link.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The version of the link it was heard from.
    pub version: i64,
    /// How many clicks the link has in all.
    pub limit: i64,
    /// How many were left when the database was last asked.
    pub left: Option<i64>,
    /// What this node may use up.
    pub lease: Option<Lease>,
    /// What the database said when there was nothing left.
    pub used_up: Option<UsedUp>,
    /// When somebody last wanted a click.
    pub last_visit: Moment,
}

/// What this node may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub id: LeaseId,
    pub units: i64,
    pub left: i64,
    /// Well before others may think that the node is dead: clocks differ.
    pub usable_until: Moment,
}

/// How far "used up" can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsedUp {
    /// Every click was recorded: it stays so until the limit changes.
    ForGood,
    /// Some lease of another node is not used up yet, and may come back.
    Until(Moment),
}

/// What a visit gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// One of the lease.
    Pass,
    /// Nothing, and nobody need be asked.
    UsedUp,
    /// The database has to be asked.
    Ask,
    /// The lease must go back first, because the limit is lower now; then the database has to be asked.
    GiveUp,
}

/// Decides what a visit at `now` gets by a link whose limit is `limit` as of `version`. An older version than the known one
/// says nothing new.
pub(super) fn next(known: &Known, version: i64, limit: i64, now: Moment) -> Next {
    let changed = version > known.version && limit != known.limit;
    let lease = known.lease.as_ref().filter(|lease| lease.left > 0);
    if changed && limit < known.limit && lease.is_some() {
        return Next::GiveUp;
    }
    if lease.is_some_and(|lease| now < lease.usable_until) {
        return Next::Pass;
    }
    let nothing = match known.used_up {
        None => false,
        Some(UsedUp::ForGood) => true,
        Some(UsedUp::Until(moment)) => now < moment,
    };
    if nothing && !changed { Next::UsedUp } else { Next::Ask }
}

/// How the account of a lease is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settlement {
    /// Its node gives it back and says how many it used.
    GivenBack { used: i64 },
    /// Its node was started anew, and all that it recorded before is stored.
    Recovered,
    /// It is over. Its node may come back all the same with clicks that nobody has seen yet.
    Ended,
}

/// What becomes of a lease and of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// Nothing: somebody else will see to it.
    Left,
    /// What counts as used changes by this; the lease goes.
    Gone(i64),
    /// What counts as used changes by this; the lease stays, for clicks that come late.
    Kept(i64),
}

/// Decides what a lease comes to.
pub(super) fn settle(lease: &Model, settlement: Settlement, now: Moment) -> Settled {
    let recorded = lease.drained - lease.units;
    match settlement {
        // From its end on, only what is recorded counts.
        Settlement::GivenBack { .. } if lease.end_time <= now => Settled::Left,
        Settlement::GivenBack { used } => Settled::Gone(used - lease.units),
        Settlement::Recovered => Settled::Gone(recorded),
        Settlement::Ended if lease.end_time > now => Settled::Left,
        Settlement::Ended => Settled::Kept(recorded),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        clock::from_micros,
        ids::{LinkId, WorkspaceId},
    };

    #[test]
    fn leases_shrink_with_what_is_left() {
        for (left, among_several, alone) in [
            (None, 1, 64),
            (Some(1_000_000_000), 64, 64),
            (Some(512), 64, 64),
            (Some(511), 63, 64),
            (Some(100), 12, 64),
            (Some(36), 4, 36),
            (Some(15), 1, 15),
            (Some(1), 1, 1),
            (Some(0), 1, 1),
            (Some(-5), 1, 1),
        ] {
            assert_eq!(lease_size(left, Nodes::Several), among_several, "{left:?}");
            assert_eq!(lease_size(left, Nodes::One), alone, "{left:?}");
        }
    }

    #[test]
    fn after_a_refusal_less_is_asked_for_until_nothing_is() {
        for (asked, left, nodes, next) in [
            (64, 40, Nodes::Several, Some(5)),
            (64, 40, Nodes::One, Some(32)),
            (5, 1_000, Nodes::Several, Some(2)),
            (2, 1, Nodes::Several, Some(1)),
            (1, 1_000, Nodes::Several, None),
            (64, 0, Nodes::One, None),
            (64, -3, Nodes::One, None),
        ] {
            assert_eq!(smaller(asked, left, nodes), next, "{asked} of {left}, {nodes:?}");
        }
    }

    fn lease(left: i64) -> Lease {
        Lease { id: LeaseId(Uuid::nil()), units: 9, left, usable_until: from_micros(100) }
    }

    #[test]
    fn a_visit_passes_waits_or_is_turned_away() {
        let until = Some(UsedUp::Until(from_micros(50)));
        for (what, lease, used_up, (version, limit), at, expected) in [
            ("a lease", Some(lease(1)), None, (1, 10), 0, Next::Pass),
            ("a lease, whatever was said before", Some(lease(1)), until, (1, 10), 0, Next::Pass),
            ("a lease that is used up", Some(lease(0)), None, (1, 10), 0, Next::Ask),
            ("a lease that may be over for others", Some(lease(1)), None, (1, 10), 100, Next::Ask),
            ("nothing yet", None, None, (1, 10), 0, Next::Ask),
            ("used up", None, Some(UsedUp::ForGood), (1, 10), 99, Next::UsedUp),
            ("used up, as far as is known", None, until, (1, 10), 49, Next::UsedUp),
            ("used up a while ago", None, until, (1, 10), 50, Next::Ask),
            ("used up, then raised", None, Some(UsedUp::ForGood), (2, 11), 0, Next::Ask),
            ("used up, then renamed", None, Some(UsedUp::ForGood), (2, 10), 0, Next::UsedUp),
            ("used up, seen by an older copy", None, Some(UsedUp::ForGood), (0, 11), 0, Next::UsedUp),
            ("a lease, then lowered", Some(lease(1)), None, (2, 9), 0, Next::GiveUp),
            ("a lease, then raised", Some(lease(1)), None, (2, 11), 0, Next::Pass),
            ("a lease, then renamed", Some(lease(1)), None, (2, 10), 0, Next::Pass),
            ("a lease, seen by an older copy", Some(lease(1)), None, (0, 9), 0, Next::Pass),
            ("a lease that is used up, then lowered", Some(lease(0)), None, (2, 9), 0, Next::Ask),
        ] {
            let known =
                Known { version: 1, limit: 10, left: None, lease, used_up, last_visit: from_micros(0) };
            assert_eq!(next(&known, version, limit, from_micros(at)), expected, "{what}");
        }
    }

    #[test]
    fn a_lease_comes_to_what_was_used_of_it() {
        use Settlement::{Ended, GivenBack, Recovered};
        let (early, late) = (0, 100);
        for (units, drained, settlement, at, expected) in [
            (10, 0, GivenBack { used: 0 }, early, Settled::Gone(-10)),
            (10, 2, GivenBack { used: 7 }, early, Settled::Gone(-3)),
            (10, 2, GivenBack { used: 7 }, late, Settled::Left),
            (10, 4, Recovered, early, Settled::Gone(-6)),
            (10, 10, Recovered, late, Settled::Gone(0)),
            // Others gave the rest away, then the node came back with more.
            (4, 9, Recovered, late, Settled::Gone(5)),
            (10, 4, Ended, early, Settled::Left),
            (10, 4, Ended, late, Settled::Kept(-6)),
            (4, 4, Ended, late, Settled::Kept(0)),
            (4, 9, Ended, late, Settled::Kept(5)),
        ] {
            let lease = Model {
                id: LeaseId(Uuid::nil()),
                workspace_id: WorkspaceId(Uuid::nil()),
                link_id: LinkId(Uuid::nil()),
                spool_id: Uuid::nil(),
                run_id: Uuid::nil(),
                units,
                drained,
                end_time: from_micros(100),
            };
            let settled = settle(&lease, settlement, from_micros(at));
            assert_eq!(settled, expected, "{drained} of {units}, {settlement:?} at {at}");
        }
    }
}
