//! Marks and the hour each was last seen in, in a table of fixed size that is shared without a lock. Pure.
//!
//! 65,536 buckets of 16 places of 8 bytes. The low 16 bits of a mark say which bucket, the other 48 stand in the place, and with
//! them the hour. A full bucket gives up its oldest.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Moment;

const BUCKETS: usize = 1 << 16;
const PLACES: usize = 16;
/// The bits of a place that hold the hour.
const HOUR: u64 = 0xffff;
/// For how many hours a mark counts.
const LIFE: u16 = 30 * 24;
/// How far the clocks of nodes may be apart, in hours.
const AHEAD: u16 = 24;

/// An hour, counted from 1970 and cut to 16 bits: every seven and a half years they begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hour(pub u16);

impl Hour {
    /// Returns the hour of a moment.
    pub fn of(moment: Moment) -> Self {
        Self((moment.timestamp().div_euclid(3600) & 0xffff) as u16)
    }

    /// Says whether it was in the last 30 days.
    pub fn is_recent(self, now: Self) -> bool {
        self.age(now) <= LIFE
    }

    /// Returns how many hours ago it was. What is a little in the future, by another node's clock, is now.
    fn age(self, now: Self) -> u16 {
        let age = now.0.wrapping_sub(self.0);
        if age > u16::MAX - AHEAD { 0 } else { age }
    }
}

/// What became of a mark that was to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It was there, with that hour or a later one.
    None,
    /// It is there now, with that hour.
    Made,
    /// The same, and another that still counted was forgotten for it.
    MadeInThePlaceOfAnother,
}

/// The marks.
#[derive(Debug)]
pub(super) struct Table(Box<[[AtomicU64; PLACES]]>);

impl Default for Table {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| [const { AtomicU64::new(0) }; PLACES]).collect())
    }
}

impl Table {
    /// Says whether a mark was seen in the 30 days before `now`.
    pub fn knows(&self, mark: u64, now: Hour) -> bool {
        let seen = self.bucket(mark).iter().map(|place| place.load(Ordering::Relaxed));
        seen.filter(|held| is_of(*held, mark)).any(|held| hour(held).is_recent(now))
    }

    /// Remembers that a mark was seen at `seen`.
    pub fn remember(&self, mark: u64, seen: Hour, now: Hour) -> Change {
        let bucket = self.bucket(mark);
        let new = (mark & !HOUR) | u64::from(seen.0);
        // Others write too. Who is beaten looks again; who is beaten all the time gives up, and a visit is forgotten.
        for _ in 0..PLACES {
            let held: [u64; PLACES] = std::array::from_fn(|place| bucket[place].load(Ordering::Relaxed));
            let own = held.iter().position(|held| is_of(*held, mark));
            if let Some(place) = own
                && hour(held[place]).age(now) <= seen.age(now)
            {
                return Change::None;
            }
            let age = |held: u64| if held == 0 { u16::MAX } else { hour(held).age(now) };
            let oldest = (0..PLACES).max_by_key(|place| age(held[*place])).unwrap_or_default();
            let place = own.unwrap_or(oldest);
            let swap = bucket[place].compare_exchange(held[place], new, Ordering::Relaxed, Ordering::Relaxed);
            if swap.is_ok() {
                let lost = own.is_none() && age(held[place]) <= LIFE;
                return if lost { Change::MadeInThePlaceOfAnother } else { Change::Made };
            }
        }
        Change::None
    }

    /// Returns the marks that count, with their hours.
    pub fn recent(&self, now: Hour) -> Vec<(u64, Hour)> {
        let places = self.0.iter().zip(0_u64..).flat_map(|(bucket, number)| {
            bucket.iter().map(move |place| (place.load(Ordering::Relaxed), number))
        });
        places
            .filter(|(held, _)| *held != 0 && hour(*held).is_recent(now))
            .map(|(held, number)| ((held & !HOUR) | number, hour(held)))
            .collect()
    }

    fn bucket(&self, mark: u64) -> &[AtomicU64; PLACES] {
        &self.0[(mark & HOUR) as usize]
    }
}

fn hour(held: u64) -> Hour {
    Hour((held & HOUR) as u16)
}

/// Says whether a place of a mark's bucket holds it. An empty one holds nobody.
fn is_of(held: u64, mark: u64) -> bool {
    held != 0 && held & !HOUR == mark & !HOUR
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mark number `number` of the bucket 7.
    fn mark(number: u64) -> u64 {
        number << 16 | 7
    }

    #[test]
    fn a_mark_counts_for_thirty_days_after_it_was_last_seen() {
        let table = Table::default();
        let start = Hour(65_000);
        let after = |hours: u16| Hour(start.0.wrapping_add(hours));
        assert!(!table.knows(mark(1), start));
        assert_eq!(table.remember(mark(1), start, start), Change::Made);
        assert_eq!(table.remember(mark(1), start, start), Change::None);
        // Over the end of the count, and by a clock that is an hour behind.
        for (now, known) in
            [(after(0), true), (after(LIFE), true), (after(LIFE + 1), false), (Hour(start.0 - 1), true)]
        {
            assert_eq!(table.knows(mark(1), now), known, "{now:?}");
        }
        assert_eq!(table.remember(mark(1), after(100), after(100)), Change::Made);
        assert_eq!(
            table.remember(mark(1), start, after(100)),
            Change::None,
            "an older visit changes nothing"
        );
        assert!(table.knows(mark(1), after(100 + LIFE)));
        assert!(!table.knows(mark(2), after(100)));
        assert_eq!(table.recent(after(100)), [(mark(1), after(100))]);
        assert_eq!(table.recent(after(101 + LIFE)), []);
    }

    #[test]
    fn a_full_bucket_forgets_its_oldest_and_those_that_count_no_more_first() {
        let table = Table::default();
        let places = PLACES as u64;
        for number in 1..=places {
            let now = Hour(1000 + number as u16);
            assert_eq!(table.remember(mark(number), now, now), Change::Made);
        }
        let now = Hour(1100);
        assert_eq!(table.remember(mark(99), now, now), Change::MadeInThePlaceOfAnother);
        let known: Vec<u64> = (1..=places).filter(|number| table.knows(mark(*number), now)).collect();
        assert_eq!(known, (2..=places).collect::<Vec<_>>());
        let later = Hour(1002 + LIFE + 1);
        assert_eq!(table.remember(mark(100), later, later), Change::Made, "mark 2 counts no more");
        assert!(table.knows(mark(3), later) && table.knows(mark(99), later) && table.knows(mark(100), later));
    }

    /// The figure of the documentation: with half a million in the table 4 of 1,000 are forgotten.
    #[test]
    fn half_a_million_are_remembered_nearly_all() {
        let table = Table::default();
        let ids = crate::ids::Ids::seeded(3);
        let marks: Vec<u64> = (0..524_288).map(|_| u64::from_le_bytes(ids.bytes())).collect();
        for mark in &marks {
            table.remember(*mark, Hour(5), Hour(5));
        }
        let known = marks.iter().filter(|mark| table.knows(**mark, Hour(5))).count();
        assert!(known * 1000 > marks.len() * 996, "{known} of {}", marks.len());
        let strangers =
            (0..100_000).filter(|_| table.knows(u64::from_le_bytes(ids.bytes()), Hour(5))).count();
        assert_eq!(strangers, 0);
    }
}
