//! What the drain counts. The handles are made beforehand, like those of every path that is walked often.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::class::{Class, NUMBERS};

/// The drain's metrics. A cheap clone.
#[derive(Debug, Clone)]
pub struct Meters {
    /// Records that were carried over, whatever became of them.
    pub(super) records: Counter,
    /// How many the last batch had.
    pub(super) batch_records: Gauge,
    /// How long a batch took.
    pub(super) batch_seconds: Histogram,
    /// Times the database did not take a batch.
    pub(super) failures: Counter,
    /// Records that were set aside.
    pub(super) dead_letters: Counter,
    /// Clicks that were there already.
    duplicates: Counter,
    /// Clicks that were stored, by the number of their class.
    recorded: [Counter; NUMBERS.len()],
}

impl Meters {
    /// Registers them.
    pub fn new() -> Self {
        Self {
            records: counter!("linkforty_drain_records_total"),
            batch_records: gauge!("linkforty_drain_batch_records"),
            batch_seconds: histogram!("linkforty_drain_batch_seconds"),
            failures: counter!("linkforty_drain_failures_total"),
            dead_letters: counter!("linkforty_dead_letters_total"),
            duplicates: counter!("linkforty_clicks_duplicate_total"),
            recorded: NUMBERS
                .map(|(class, _)| counter!("linkforty_clicks_recorded_total", "class" => class.name())),
        }
    }

    /// Counts what a batch of `rows` clicks stored: after the commit, so that what was not stored is not counted.
    pub(super) fn stored(&self, rows: usize, inserted: impl ExactSizeIterator<Item = Class>) {
        self.duplicates.increment((rows - inserted.len()) as u64);
        for class in inserted {
            self.recorded[usize::from(class.number().unsigned_abs())].increment(1);
        }
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_counter() {
        for (place, (class, number)) in NUMBERS.into_iter().enumerate() {
            assert_eq!((usize::from(number.unsigned_abs()), class.number()), (place, number));
        }
    }
}
