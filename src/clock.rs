//! The only way to learn what time it is.
//!
//! Everything that decides by time takes `now` as a value; whoever takes it first asks the [`Clock`] in `Env`.
//! Tests hand in a [`SettableClock`] and move it instead of sleeping.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, Duration, SecondsFormat, Timelike as _, Utc};

/// A moment in UTC, cut to microseconds: what both databases can hold without loss.
pub type Moment = DateTime<Utc>;

/// Tells the time.
pub trait Clock: Send + Sync + Debug {
    /// Returns the present moment, cut to microseconds.
    fn now(&self) -> Moment;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn now(&self) -> Moment {
        cut(Utc::now())
    }
}

/// A clock that stands still until a test moves it. Clones share the hand.
#[derive(Debug, Clone)]
pub struct SettableClock(Arc<AtomicI64>);

impl SettableClock {
    /// Returns a clock that stands at `at`.
    pub fn at(at: Moment) -> Self {
        Self(Arc::new(AtomicI64::new(at.timestamp_micros())))
    }

    /// Moves the clock on (or back) by `step`.
    pub fn advance(&self, step: Duration) {
        self.0.fetch_add(step.num_microseconds().unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Puts the clock at `at`.
    pub fn set(&self, at: Moment) {
        self.0.store(at.timestamp_micros(), Ordering::SeqCst);
    }
}

impl Clock for SettableClock {
    fn now(&self) -> Moment {
        from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Returns the moment `micros` microseconds after 1970, or 1970 itself for a number no calendar holds.
pub fn from_micros(micros: i64) -> Moment {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// Cuts a moment to microseconds.
pub fn cut(moment: Moment) -> Moment {
    // Every visit asks for the time; its date need not be found anew.
    let whole = moment.naive_utc();
    whole.with_nanosecond(whole.nanosecond() / 1000 * 1000).map_or(moment, |cut| cut.and_utc())
}

/// Writes a moment as JSON has it (RFC 3339), with as many digits as it needs: as the contract's messages do.
pub fn text(moment: Moment) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_cut_to_microseconds() {
        for (nanos, micros) in
            [(1_999_999, 1999), (0, 0), (-1, -1), (1_700_000_000_123_456_789, 1_700_000_000_123_456)]
        {
            assert_eq!(cut(DateTime::from_timestamp_nanos(nanos)), from_micros(micros), "{nanos}");
        }
    }

    #[test]
    fn a_settable_clock_moves_for_all_its_clones() {
        let clock = SettableClock::at(from_micros(1_000_000));
        let other = clock.clone();
        clock.advance(Duration::seconds(5));
        assert_eq!(other.now(), from_micros(6_000_000));
    }
}
