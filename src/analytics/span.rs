//! Which hours are counted. Pure.

use chrono::Duration;

use crate::{
    clock::{Moment, from_micros},
    error::{Result, Violations},
};

const HOUR_MICROS: i64 = 3_600_000_000;
const HOURS_A_DAY: i32 = 24;
const DEFAULT_LENGTH: Duration = Duration::days(30);
const MAX_LENGTH: Duration = Duration::days(366);

/// A span of whole hours, each the number of hours since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first hour counted.
    pub first: i32,
    /// The first hour not counted any more.
    pub end: i32,
}

impl Span {
    /// Reads a span: its start is cut to the hour, its end raised to one.
    pub fn new(start: Option<Moment>, end: Option<Moment>, now: Moment) -> Result<Self> {
        // What happens now counts, also on the stroke of the hour.
        let until = end.unwrap_or(now + Duration::microseconds(1));
        let from = start.unwrap_or_else(|| until - DEFAULT_LENGTH);
        let mut wrong = Violations::default();
        if from >= until {
            let later = if end.is_some() { "start_time" } else { "start_time, and that before now" };
            wrong.add("end_time", format!("must be after {later}"));
        } else if until - from > MAX_LENGTH {
            wrong.add("end_time", "must be at most 366 days after start_time");
        }
        wrong.into_result(Self {
            first: hours(from.timestamp_micros()),
            end: hours(until.timestamp_micros().saturating_add(HOUR_MICROS - 1)),
        })
    }

    /// Returns the days the span touches, each the number of days since 1970, oldest first.
    pub fn days(self) -> impl Iterator<Item = i32> {
        self.first.div_euclid(HOURS_A_DAY)..=(self.end - 1).div_euclid(HOURS_A_DAY)
    }

    /// Returns the moment the span begins.
    pub fn start_time(self) -> Moment {
        from_micros(i64::from(self.first) * HOUR_MICROS)
    }

    /// Returns the moment the span ends.
    pub fn end_time(self) -> Moment {
        from_micros(i64::from(self.end) * HOUR_MICROS)
    }
}

/// The years 1 to 9999 hold few enough hours for 32 bits.
fn hours(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(HOUR_MICROS)).unwrap_or(i32::MAX)
}

/// Returns a day as `YYYY-MM-DD`.
pub fn date(day: i32) -> String {
    from_micros(i64::from(day) * i64::from(HOURS_A_DAY) * HOUR_MICROS).format("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        text.parse().expect("the test's own moment")
    }

    #[test]
    fn spans_are_rounded_outwards() {
        let now = "2026-11-22T10:20:30Z";
        for (start, end, first, last, days) in [
            (
                Some("2026-11-20T08:59:59Z"),
                Some("2026-11-21T09:00:00Z"),
                "2026-11-20T08:00:00Z",
                "2026-11-21T09:00:00Z",
                2,
            ),
            (
                Some("2026-11-20T08:00:00Z"),
                Some("2026-11-20T08:00:00.000001Z"),
                "2026-11-20T08:00:00Z",
                "2026-11-20T09:00:00Z",
                1,
            ),
            (
                Some("2026-11-20T00:00:00Z"),
                Some("2026-11-21T00:00:00Z"),
                "2026-11-20T00:00:00Z",
                "2026-11-21T00:00:00Z",
                1,
            ),
            (
                Some("2026-11-20T23:30:00Z"),
                Some("2026-11-21T00:30:00Z"),
                "2026-11-20T23:00:00Z",
                "2026-11-21T01:00:00Z",
                2,
            ),
            (Some("2026-11-22T00:00:00Z"), None, "2026-11-22T00:00:00Z", "2026-11-22T11:00:00Z", 1),
            (None, Some("2026-11-01T00:00:00Z"), "2026-10-02T00:00:00Z", "2026-11-01T00:00:00Z", 30),
            (None, None, "2026-10-23T10:00:00Z", "2026-11-22T11:00:00Z", 31),
            (
                Some("2025-11-21T00:00:00Z"),
                Some("2026-11-22T00:00:00Z"),
                "2025-11-21T00:00:00Z",
                "2026-11-22T00:00:00Z",
                366,
            ),
            (
                Some("1969-12-31T23:30:00Z"),
                Some("1970-01-01T00:30:00Z"),
                "1969-12-31T23:00:00Z",
                "1970-01-01T01:00:00Z",
                2,
            ),
        ] {
            let span = Span::new(start.map(at), end.map(at), at(now)).expect("a good span");
            assert_eq!((span.start_time(), span.end_time()), (at(first), at(last)), "{start:?} to {end:?}");
            assert_eq!(span.days().count(), days, "{start:?} to {end:?}");
        }
    }

    #[test]
    fn the_present_moment_counts_on_the_stroke_of_the_hour_too() {
        for (now, last) in [
            ("2026-11-22T09:59:59.999999Z", "2026-11-22T10:00:00Z"),
            ("2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"),
        ] {
            let span = Span::new(None, None, at(now)).expect("a good span");
            assert_eq!(span.end_time(), at(last), "{now}");
        }
    }

    #[test]
    fn bad_spans_are_refused() {
        let now = "2026-11-22T10:20:30Z";
        for (start, end) in [
            (Some("2026-11-22T00:00:00Z"), Some("2026-11-21T00:00:00Z")),
            (Some("2026-11-22T00:00:00Z"), Some("2026-11-22T00:00:00Z")),
            (Some("2026-11-23T00:00:00Z"), None),
            (Some("2025-11-21T00:00:00Z"), Some("2026-11-22T00:00:00.000001Z")),
            (Some("0001-01-01T00:00:00Z"), Some("9999-12-31T23:59:59Z")),
        ] {
            assert!(Span::new(start.map(at), end.map(at), at(now)).is_err(), "{start:?} to {end:?}");
        }
    }

    #[test]
    fn days_have_names() {
        for (day, name) in [(0, "1970-01-01"), (-1, "1969-12-31"), (20_779, "2026-11-22")] {
            assert_eq!(date(day), name);
        }
    }
}
