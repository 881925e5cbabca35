//! Who gets a place, who waits for one and who is turned away. Pure: everything it goes by is handed in.

use std::time::Duration;

use super::memory::Pressure;

/// What work is for, in the order in which it matters: what comes last is given up first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Visitors who wait, for the database as a rule. Those who wait for nothing take no place.
    Redirect,
    /// What apps report.
    Ingest,
    /// What a person waits for, and programs that do what persons do.
    Interactive,
    /// Files, batches, and whatever reads row by row.
    Bulk,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Redirect, Self::Ingest, Self::Interactive, Self::Bulk];

    /// Returns the class's name as metrics carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Ingest => "ingest",
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

/// What a class may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Places it has whatever the others do.
    pub reserved: usize,
    /// Places it has at the most, what others lend included.
    pub most: usize,
    /// It borrows only while all classes together use fewer places than this.
    pub borrows_below: usize,
    /// Places that one party may have while others of the class are about.
    pub of_one: usize,
    /// How many may wait.
    pub queue: usize,
    /// How many of one party may wait while others of the class are about.
    pub queue_of_one: usize,
    /// How long it is worth to wait for a place.
    pub patience: Duration,
    /// A queue that was not empty for so long is no burst.
    pub burst: Duration,
    /// Nobody joins such a queue who would have to wait for as many turns.
    pub turns: usize,
}

/// What the classes may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares([Share; Class::ALL.len()]);

/// How many redirects may wait at once. They wait together, for one answer each link, and cost little but memory.
const REDIRECTS: usize = 4096;

impl Shares {
    /// Shares `at_once` places out: 40 in 100 for redirects, 30 for what apps report, 20 for people and 10 for the rest, of which those
    /// who need a connection to the database for long have no more than `bulk` leaves room for.
    pub fn of_places(at_once: usize, bulk: usize) -> Self {
        let part = |hundredths: usize| (at_once * hundredths / 100).max(1);
        let share = |reserved: usize, most: usize, below: usize| Share {
            reserved,
            most,
            borrows_below: part(below),
            of_one: (reserved / 4).max(1),
            queue: reserved * 25,
            queue_of_one: reserved * 10,
            patience: Duration::from_secs(10),
            burst: Duration::from_secs(1),
            turns: 8,
        };
        let bulk = part(10).min(bulk.max(1) * 2);
        Self([
            // Nobody waits for leave to wait.
            Share { queue: 0, queue_of_one: 0, ..share(REDIRECTS.max(part(40)), REDIRECTS.max(part(40)), 0) },
            // It waits for the disk, or for a database that may be away, and hardly for a processor.
            share(part(30), part(240), 300),
            // Each uses the processor, and one party's are the others' wait: three of twenty leave most of it to them, and something to do
            // while the database does its part.
            Share { of_one: (part(20) * 3 / 20).max(1), ..share(part(20), part(40), 70) },
            // One call may take that long.
            Share { burst: Duration::from_secs(5), ..share(bulk, bulk, 0) },
        ])
    }

    /// Returns what a class may have.
    pub const fn of(&self, class: Class) -> &Share {
        &self.0[class as usize]
    }

    /// Returns the same with another share for a class.
    #[must_use]
    pub const fn with(mut self, class: Class, share: Share) -> Self {
        self.0[class as usize] = share;
        self
    }
}

/// Where things stand when somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Places in use, by class.
    pub in_use: [usize; Class::ALL.len()],
    /// How many of the class wait.
    pub waiting: usize,
    /// Places that the party has in the class.
    pub has: usize,
    /// How many of the party's calls wait.
    pub waits: usize,
    /// Others of the class have been about lately.
    pub others: bool,
}

/// What becomes of somebody who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// There is a place.
    Admitted,
    /// There may be one soon.
    Queued,
    /// There is none, nor will be in time.
    Shed(Why),
}

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No place, and no place to wait.
    Full,
    /// The memory is nearly full.
    Memory,
    /// The call's deadline would pass before its turn.
    Deadline,
    /// It waited for as long as it was worth.
    Waited,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Full, Self::Memory, Self::Deadline, Self::Waited];

    /// Returns the reason's name as metrics and errors carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Memory => "memory",
            Self::Deadline => "deadline",
            Self::Waited => "waited",
        }
    }
}

/// Decides about somebody who comes.
pub fn admit(class: Class, standing: &Standing, pressure: Pressure, shares: &Shares) -> Decision {
    let share = shares.of(class);
    if pressure.sheds(class) {
        Decision::Shed(Why::Memory)
    } else if has_room(class, standing, shares) {
        Decision::Admitted
    } else if standing.waiting < share.queue && (standing.waits < share.queue_of_one || !standing.others) {
        Decision::Queued
    } else {
        Decision::Shed(Why::Full)
    }
}

/// Says whether there is a place of the class for the party.
pub fn has_room(class: Class, standing: &Standing, shares: &Shares) -> bool {
    let share = shares.of(class);
    let in_use = standing.in_use[class as usize];
    let all: usize = standing.in_use.iter().sum();
    let of_the_class = in_use < share.reserved || (in_use < share.most && all < share.borrows_below);
    of_the_class && (standing.has < share.of_one || !standing.others)
}

/// What somebody sees who is about to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// How many of the party's calls wait already.
    pub ahead: usize,
    /// Places that will serve them: those that the party may have.
    pub places: usize,
    /// What a call of the class takes, half of them less.
    pub median: Duration,
    /// For how long that queue has not been empty.
    pub standing: Duration,
}

/// Returns how many more of a party find a place to wait in after one more does, as far as the party's own queue goes.
pub fn room(share: &Share, queue: &Queue) -> usize {
    most_of_no_burst(share, queue).unwrap_or(share.queue_of_one).saturating_sub(queue.ahead + 1)
}

/// Returns how many of a party may wait in a queue that is no burst.
fn most_of_no_burst(share: &Share, queue: &Queue) -> Option<usize> {
    (queue.standing >= share.burst).then(|| share.turns * queue.places.max(1))
}

/// Returns how long to wait, or why it is not worth it. `left` is what the call has until its deadline.
pub fn patience(share: &Share, queue: &Queue, left: Duration) -> Result<Duration, Why> {
    let turns = queue.ahead / queue.places.max(1);
    // What is under way is half done when somebody comes.
    let expected = queue.median.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX)) + queue.median / 2;
    let stands = most_of_no_burst(share, queue).is_some_and(|most| queue.ahead >= most);
    if expected + queue.median > left {
        Err(Why::Deadline)
    } else if stands || expected > share.patience {
        Err(Why::Full)
    } else {
        // What the call itself takes, and time to say no in, is left of it.
        Ok(share.patience.min(left.saturating_sub(queue.median.max(left / 10))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> Shares {
        Shares::of_places(100, 4)
    }

    #[test]
    fn reserved_places_are_given_borrowed_ones_lent_and_the_rest_waits_or_goes() {
        use Class::{Bulk, Ingest, Interactive, Redirect};
        use Decision::{Admitted, Queued, Shed};
        // Class; places in use of redirect, ingest, interactive, bulk; how many of the class wait.
        for (class, in_use, waiting, expected) in [
            (Redirect, [0, 0, 0, 0], 0, Admitted),
            (Redirect, [4095, 240, 40, 8], 0, Admitted),
            (Redirect, [4096, 0, 0, 0], 0, Shed(Why::Full)),
            (Ingest, [0, 29, 0, 0], 0, Admitted),
            // Its own share whatever the others do.
            (Ingest, [4096, 29, 40, 8], 0, Admitted),
            (Ingest, [0, 239, 20, 8], 0, Admitted),
            (Ingest, [0, 240, 0, 0], 0, Queued),
            // Visitors who wait want theirs back.
            (Ingest, [270, 30, 0, 0], 0, Queued),
            (Ingest, [270, 30, 0, 0], 750, Shed(Why::Full)),
            (Interactive, [0, 0, 19, 0], 0, Admitted),
            (Interactive, [4096, 240, 19, 8], 0, Admitted),
            (Interactive, [0, 0, 39, 0], 0, Admitted),
            (Interactive, [0, 0, 40, 0], 0, Queued),
            (Interactive, [40, 10, 20, 0], 0, Queued),
            (Interactive, [40, 9, 20, 0], 0, Admitted),
            (Interactive, [40, 10, 20, 0], 500, Shed(Why::Full)),
            (Bulk, [0, 0, 0, 7], 0, Admitted),
            (Bulk, [4096, 240, 40, 7], 0, Admitted),
            // It borrows nothing: what it needs are connections to the database.
            (Bulk, [0, 0, 0, 8], 0, Queued),
            (Bulk, [0, 0, 0, 8], 200, Shed(Why::Full)),
        ] {
            let standing = Standing { in_use, waiting, ..Standing::default() };
            let decision = admit(class, &standing, Pressure::None, &shares());
            assert_eq!(decision, expected, "{class:?} {in_use:?} {waiting}");
        }
    }

    #[test]
    fn one_party_has_its_part_while_others_are_about() {
        use Decision::{Admitted, Queued, Shed};
        for (has, waits, others, expected) in [
            (2, 0, true, Admitted),
            (3, 0, true, Queued),
            (3, 199, true, Queued),
            (3, 200, true, Shed(Why::Full)),
            // Alone it may wait as it likes, up to the end of the queue.
            (40, 499, false, Queued),
            (40, 500, false, Shed(Why::Full)),
            (19, 0, false, Admitted),
        ] {
            let standing = Standing { in_use: [0, 0, has, 0], waiting: waits, has, waits, others };
            let decision = admit(Class::Interactive, &standing, Pressure::None, &shares());
            assert_eq!(decision, expected, "{has} {waits} {others}");
        }
    }

    #[test]
    fn memory_is_kept_for_what_matters_more() {
        use Pressure::{Bulk, Ingest, Interactive, None};
        for (pressure, shed) in [
            (None, &[][..]),
            (Bulk, &[Class::Bulk]),
            (Interactive, &[Class::Bulk, Class::Interactive]),
            (Ingest, &[Class::Bulk, Class::Interactive, Class::Ingest]),
        ] {
            for class in Class::ALL {
                let decision = admit(class, &Standing::default(), pressure, &shares());
                let expected =
                    if shed.contains(&class) { Decision::Shed(Why::Memory) } else { Decision::Admitted };
                assert_eq!(decision, expected, "{pressure:?} {class:?}");
            }
        }
    }

    #[test]
    fn shares_are_those_of_the_settings_and_never_nothing() {
        for (at_once, bulk, reserved) in [
            (100, 4, [4096, 30, 20, 8]),
            (1000, 4, [4096, 300, 200, 8]),
            (1000, 100, [4096, 300, 200, 100]),
            (1, 1, [4096, 1, 1, 1]),
        ] {
            let shares = Shares::of_places(at_once, bulk);
            assert_eq!(Class::ALL.map(|class| shares.of(class).reserved), reserved, "{at_once} {bulk}");
            for class in Class::ALL {
                let share = shares.of(class);
                assert!(share.of_one >= 1 && share.most >= share.reserved, "{class:?}");
            }
        }
    }

    #[test]
    fn there_is_room_for_as_many_as_would_not_be_turned_away() {
        let share = *shares().of(Class::Interactive);
        // Ahead, for how long the queue stands in milliseconds.
        for (ahead, standing, expected) in [
            (0, 0, 199),
            (198, 999, 1),
            (199, 999, 0),
            (500, 999, 0),
            (0, 1_000, 15),
            (14, 1_000, 1),
            (15, 1_000, 0),
        ] {
            let (median, standing) = (Duration::from_millis(4), Duration::from_millis(standing));
            let mut queue = Queue { ahead, places: 2, median, standing };
            let more = room(&share, &queue);
            assert_eq!(more, expected, "{queue:?}");
            // The last of them still finds one, and who comes then does not.
            if standing >= share.burst {
                let long = Duration::from_secs(30);
                queue.ahead = ahead + more;
                assert!(patience(&share, &queue, long).is_ok());
                queue.ahead += 1;
                assert_eq!(patience(&share, &queue, long), Err(Why::Full));
            }
        }
    }

    #[test]
    fn nobody_waits_for_longer_than_it_is_worth() {
        let share = *shares().of(Class::Interactive);
        let millis = Duration::from_millis;
        // Ahead, places, median, for how long the queue stands, left; times in milliseconds.
        for (ahead, places, median, standing, left, expected) in [
            (0, 5, 4, 0, 30_000, Ok(10_000)),
            (0, 5, 4, 1_000, 30_000, Ok(10_000)),
            // The deadline is nearer.
            (0, 5, 4, 0, 50, Ok(45)),
            (0, 5, 20, 0, 50, Ok(30)),
            (0, 5, 4, 0, 6, Ok(2)),
            (0, 5, 4, 0, 5, Err(Why::Deadline)),
            (0, 5, 0, 0, 0, Ok(0)),
            (40, 5, 4, 0, 37, Err(Why::Deadline)),
            // Eight turns: worth it in a burst, not in a queue that does not end.
            (40, 5, 20, 999, 30_000, Ok(10_000)),
            (40, 5, 20, 1_000, 30_000, Err(Why::Full)),
            (39, 5, 20, 1_000, 30_000, Ok(10_000)),
            (100, 5, 500, 0, 30_000, Err(Why::Full)),
            (usize::MAX, 0, 4, 0, 30_000, Err(Why::Deadline)),
        ] {
            let queue = Queue { ahead, places, median: millis(median), standing: millis(standing) };
            let worth = patience(&share, &queue, millis(left));
            assert_eq!(worth, expected.map(millis), "{queue:?}, {left} left");
        }
    }
}
