//! Sums by value over any number of rows. Pure.
//!
//! Rows have their values in the order of their codes and mostly the same ones, so they are added by walking along what is there: no value is
//! looked up by its name, nor made anew for each row.

use super::{
    content::{self, NOTHING, OTHER, Totals},
    measures::Measures,
};

/// What was counted of each value of a dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(Vec<(u32, Measures)>);

impl Sums {
    /// Adds those slots of a row that count. `None` for bytes that hold no content.
    pub fn add(&mut self, bytes: &[u8], dimension: u8, counts: impl Fn(u8) -> bool) -> Option<()> {
        let mut adding =
            Adding { sums: &mut self.0, at: 0, new: Vec::new(), ignored: Measures::default(), counts };
        content::add_of(bytes, dimension, &mut adding)?;
        let new = adding.new;
        if new.is_empty() {
            return Some(());
        }
        let own = std::mem::take(&mut self.0);
        self.0.reserve(own.len() + new.len());
        let (mut own, mut new) = (own.into_iter().peekable(), new.into_iter().peekable());
        while let (Some((one, _)), Some((other, _))) = (own.peek(), new.peek()) {
            self.0.extend(if one < other { own.next() } else { new.next() });
        }
        self.0.extend(own.chain(new));
        Some(())
    }

    /// Gives the empty value what the others lack of a total, and drops what came to nothing.
    pub fn complete(&mut self, mut total: Measures) {
        self.0.retain(|(value, measures)| *value != NOTHING && !measures.is_zero());
        for (_, measures) in &self.0 {
            total -= measures;
        }
        if !total.is_zero() {
            self.0.insert(0, (NOTHING, total));
        }
    }

    /// Returns codes and what was counted of them, in the order of codes.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Measures)> {
        self.0.iter().map(|(value, measures)| (*value, measures))
    }

    /// Returns the `most` greatest values, and all that are as great as the last of them, in no order. What is counted together is none.
    pub fn greatest(&self, most: usize, by: impl Fn(&Measures) -> i64) -> Vec<(u32, &Measures)> {
        let mut all: Vec<(u32, &Measures)> = self.iter().filter(|(value, _)| *value != OTHER).collect();
        if most == 0 {
            return Vec::new();
        }
        if all.len() <= most {
            return all;
        }
        let (_, (_, last), _) = all.select_nth_unstable_by_key(most - 1, |(_, of)| std::cmp::Reverse(by(of)));
        let least = by(last);
        all.retain(|(_, measures)| by(measures) >= least);
        all
    }
}

impl FromIterator<(u32, Measures)> for Sums {
    fn from_iter<I: IntoIterator<Item = (u32, Measures)>>(all: I) -> Self {
        let mut sums: Vec<(u32, Measures)> = all.into_iter().collect();
        sums.sort_by_key(|(value, _)| *value);
        Self(sums)
    }
}

impl IntoIterator for Sums {
    type Item = (u32, Measures);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A row that is being added.
struct Adding<'a, F> {
    sums: &'a mut [(u32, Measures)],
    /// Where in the sums the row is; nothing before that comes any more.
    at: usize,
    /// Values that are not among the sums.
    new: Vec<(u32, Measures)>,
    /// What does not count goes here.
    ignored: Measures,
    counts: F,
}

impl<F: Fn(u8) -> bool> Totals for Adding<'_, F> {
    #[inline]
    fn at(&mut self, value: u32, slot: u8) -> &mut Measures {
        if !(self.counts)(slot) {
            return &mut self.ignored;
        }
        // By steps that double, so that a row of few values passes over many sums.
        let mut step = 1;
        while self.sums.get(self.at).is_some_and(|(own, _)| *own < value) {
            let behind = self.at + step;
            if self.sums.get(behind).is_some_and(|(own, _)| *own <= value) {
                self.at = behind;
                step *= 2;
            } else if step == 1 {
                self.at += 1;
            } else {
                step = 1;
            }
        }
        if self.sums.get(self.at).is_some_and(|(own, _)| *own == value) {
            return &mut self.sums[self.at].1;
        }
        if self.new.last().is_none_or(|(last, _)| *last != value) {
            self.new.push((value, Measures::default()));
        }
        let last = self.new.len() - 1;
        &mut self.new[last].1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{
        super::content::{Content, Place},
        *,
    };

    fn clicks(clicks: i64) -> Measures {
        Measures { clicks, ..Measures::default() }
    }

    #[test]
    fn the_empty_value_is_what_the_others_lack_of_the_total() {
        let mut sums = Sums(vec![(4, clicks(3)), (5, clicks(0)), (9, clicks(-1))]);
        sums.complete(clicks(7));
        assert_eq!(sums, Sums(vec![(NOTHING, clicks(5)), (4, clicks(3)), (9, clicks(-1))]));
        let mut whole = Sums(vec![(4, clicks(7))]);
        whole.complete(clicks(7));
        assert_eq!(whole, Sums(vec![(4, clicks(7))]));
    }

    #[test]
    fn the_greatest_are_named_with_those_that_are_as_great_as_the_last() {
        let sums: Sums = [(0, 2), (1, 50), (4, 3), (5, 2), (6, 9), (7, 1)]
            .map(|(at, of)| (at, clicks(of)))
            .into_iter()
            .collect();
        for (most, expected) in [
            (0, &[][..]),
            (1, &[6]),
            (2, &[4, 6]),
            (3, &[0, 4, 5, 6]),
            (4, &[0, 4, 5, 6]),
            (5, &[0, 4, 5, 6, 7]),
            (50, &[0, 4, 5, 6, 7]),
        ] {
            let mut found: Vec<u32> =
                sums.greatest(most, |measures| measures.clicks).into_iter().map(|(value, _)| value).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{most}");
        }
    }

    proptest! {
        #[test]
        fn rows_add_up_whatever_values_they_share(
            rows in prop::collection::vec(prop::collection::vec((0_u32..60, 0_u8..4, 1_i64..300, 0_i64..2), 0..40), 0..6),
            dense in prop::collection::vec(2_u32..400, 0..300),
        ) {
            let mut sums = Sums::default();
            let mut expected: BTreeMap<u32, Measures> = BTreeMap::new();
            let dense = dense.into_iter().map(|value| (value, 1, 1, 0)).collect();
            for row in [dense].into_iter().chain(rows) {
                let cells = row.iter().map(|(value, slot, clicks, events)| {
                    let place = Place { dimension: 3, value: value + 2, slot: *slot };
                    (place, Measures { clicks: *clicks, events: *events, ..Measures::default() })
                });
                let content = Content::new(cells.collect(), None);
                for (place, measures) in content.cells().iter().filter(|(place, _)| place.slot != 2) {
                    *expected.entry(place.value).or_default() += measures;
                }
                sums.add(&content.encode(), 3, |slot| slot != 2).expect("content");
                sums.add(&content.encode(), 4, |_| true).expect("content");
            }
            prop_assert_eq!(sums.0, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
