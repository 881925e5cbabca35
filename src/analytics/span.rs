//! Which time a report is about: whole quarter-hours, since no time zone of today is off by less, and whose days they fall into. Pure.

use chrono::{DateTime, Duration};
use chrono_tz::Tz;
use prost_types::Timestamp;

use super::{calendar, rollup::read::Slots};
use crate::{
    clock::{Moment, from_micros},
    error::{Result, Violations},
    pb::v1::ReportSpan,
    rpc::{moment, timestamp},
};

const SLOT_MICROS: i64 = 900_000_000;
/// Quarter-hours of a day of UTC.
pub const SLOTS_A_DAY: i32 = 96;
const DEFAULT_DAYS: i64 = 30;
const NOT_A_ZONE: &str = "must be a name of the IANA time zone database, such as Europe/Zurich";

/// A span of time and the zone whose days, weeks and months are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which quarter-hours.
    pub slots: Slots,
    /// Whose days.
    pub zone: Tz,
}

/// What a report does with the span it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To how many quarter-hours it is rounded.
    pub unit: i64,
    /// How many days it may have.
    pub most_days: i64,
    /// The same in words.
    pub most: &'static str,
}

/// Of reports that are read from rollups.
pub const YEARS: Limits = Limits { unit: 1, most_days: 3653, most: "10 years" };
/// Of reports that are read from single rows.
pub const YEAR: Limits = Limits { unit: 1, most_days: 366, most: "366 days" };
/// Of the overview, which counted hours once.
pub const YEAR_OF_HOURS: Limits = Limits { unit: 4, ..YEAR };

impl Span {
    /// Reads a span: its start is cut, its end raised. `path` is where the request has it, with its dot.
    pub fn read(path: &str, asked: &ReportSpan, limits: Limits, now: Moment) -> Result<Self> {
        let mut wrong = Violations::default();
        let time = |field: &str, given: &Option<Timestamp>, wrong: &mut Violations| {
            given.as_ref().map(|given| wrong.take(&format!("{path}{field}"), moment(given)))
        };
        let start = time("start_time", &asked.start_time, &mut wrong);
        let end = time("end_time", &asked.end_time, &mut wrong);
        let zone = wrong.take(&format!("{path}time_zone"), zone(&asked.time_zone));
        let (Some(zone), false) = (zone, matches!((start, end), (Some(None), _) | (_, Some(None)))) else {
            return Err(crate::error::Error::invalid(wrong.into_inner()));
        };
        let (start, end) = (start.flatten(), end.flatten());
        // What happens now counts, also on the stroke of the hour.
        let until = end.unwrap_or(now + Duration::microseconds(1));
        let from = start.unwrap_or_else(|| calendar::days_before(until, DEFAULT_DAYS, zone));
        let field = format!("{path}end_time");
        if from >= until {
            let later = if end.is_some() { "start_time" } else { "start_time, and that before now" };
            wrong.add(field, format!("must be after {later}"));
        } else if until - from > Duration::days(limits.most_days) {
            wrong.add(field, format!("must be at most {} after start_time", limits.most));
        }
        let unit = limits.unit * SLOT_MICROS;
        let slot = |units: i64| i32::try_from(units * limits.unit).unwrap_or(i32::MAX);
        let first = slot(from.timestamp_micros().div_euclid(unit));
        let end = slot(until.timestamp_micros().saturating_add(unit - 1).div_euclid(unit));
        wrong.into_result(Self { slots: Slots { first, end }, zone })
    }

    /// Returns the span as the contract has it.
    pub fn shown(self) -> ReportSpan {
        ReportSpan {
            start_time: Some(timestamp(self.start())),
            end_time: Some(timestamp(self.end())),
            time_zone: self.zone.name().to_owned(),
        }
    }

    /// Returns the moment it begins.
    pub fn start(self) -> Moment {
        moment_of(self.slots.first)
    }

    /// Returns the moment it ends.
    pub fn end(self) -> Moment {
        moment_of(self.slots.end)
    }
}

/// Reads the name of a time zone; without one it is UTC.
pub fn zone(name: &str) -> Result<Tz, &'static str> {
    if name.is_empty() { Ok(Tz::UTC) } else { name.parse().map_err(|_| NOT_A_ZONE) }
}

/// Returns the moment that a quarter-hour begins.
pub fn moment_of(slot: i32) -> Moment {
    from_micros(i64::from(slot) * SLOT_MICROS)
}

/// Returns the quarter-hour that a moment is in.
pub fn slot_of<Z: chrono::TimeZone>(moment: &DateTime<Z>) -> i32 {
    // The years 1 to 9999 hold few enough of them for 32 bits.
    i32::try_from(moment.timestamp_micros().div_euclid(SLOT_MICROS)).unwrap_or(i32::MAX)
}

/// Returns the days of UTC that quarter-hours touch, as days since 1970.
pub fn utc_days(slots: Slots) -> std::ops::Range<i32> {
    let first = slots.first.div_euclid(SLOTS_A_DAY);
    first..(slots.end + SLOTS_A_DAY - 1).div_euclid(SLOTS_A_DAY).max(first)
}

/// Says whether quarter-hours begin and end at midnight UTC.
pub fn is_of_utc_days(slots: Slots) -> bool {
    slots.first.rem_euclid(SLOTS_A_DAY) == 0 && slots.end.rem_euclid(SLOTS_A_DAY) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        text.parse().expect("the test's own moment")
    }

    fn asked(start: Option<&str>, end: Option<&str>, zone: &str) -> ReportSpan {
        let time = |text: Option<&str>| text.map(|text| timestamp(at(text)));
        ReportSpan { start_time: time(start), end_time: time(end), time_zone: zone.to_owned() }
    }

    #[test]
    fn spans_are_rounded_outwards() {
        let now = "2026-11-22T10:20:30Z";
        for (limits, start, end, first, last) in [
            (
                YEAR_OF_HOURS,
                Some("2026-11-20T08:59:59Z"),
                Some("2026-11-21T09:00:00Z"),
                "2026-11-20T08:00:00Z",
                "2026-11-21T09:00:00Z",
            ),
            (
                YEARS,
                Some("2026-11-20T08:59:59Z"),
                Some("2026-11-21T09:00:00Z"),
                "2026-11-20T08:45:00Z",
                "2026-11-21T09:00:00Z",
            ),
            (
                YEAR_OF_HOURS,
                Some("2026-11-20T08:00:00Z"),
                Some("2026-11-20T08:00:00.000001Z"),
                "2026-11-20T08:00:00Z",
                "2026-11-20T09:00:00Z",
            ),
            (
                YEAR,
                Some("2026-11-20T08:00:00Z"),
                Some("2026-11-20T08:00:00.000001Z"),
                "2026-11-20T08:00:00Z",
                "2026-11-20T08:15:00Z",
            ),
            (
                YEAR_OF_HOURS,
                Some("2026-11-22T00:00:00Z"),
                None,
                "2026-11-22T00:00:00Z",
                "2026-11-22T11:00:00Z",
            ),
            (YEARS, None, None, "2026-10-23T10:15:00Z", "2026-11-22T10:30:00Z"),
            (
                YEAR_OF_HOURS,
                None,
                Some("2026-11-01T00:00:00Z"),
                "2026-10-02T00:00:00Z",
                "2026-11-01T00:00:00Z",
            ),
            (
                YEAR_OF_HOURS,
                Some("2025-11-21T00:00:00Z"),
                Some("2026-11-22T00:00:00Z"),
                "2025-11-21T00:00:00Z",
                "2026-11-22T00:00:00Z",
            ),
            (
                YEARS,
                Some("1969-12-31T23:50:00Z"),
                Some("1970-01-01T00:10:00Z"),
                "1969-12-31T23:45:00Z",
                "1970-01-01T00:15:00Z",
            ),
            (
                YEARS,
                Some("0001-01-01T00:00:00Z"),
                Some("0001-01-02T00:00:00Z"),
                "0001-01-01T00:00:00Z",
                "0001-01-02T00:00:00Z",
            ),
            (
                YEARS,
                Some("9999-12-31T00:00:00Z"),
                Some("9999-12-31T23:59:59Z"),
                "9999-12-31T00:00:00Z",
                "+10000-01-01T00:00:00Z",
            ),
        ] {
            let span = Span::read("", &asked(start, end, ""), limits, at(now)).expect("a good span");
            assert_eq!((span.start(), span.end()), (at(first), at(last)), "{start:?} to {end:?}");
        }
    }

    #[test]
    fn the_present_moment_counts_on_the_stroke_of_the_hour_too() {
        for (now, last) in [
            ("2026-11-22T09:59:59.999999Z", "2026-11-22T10:00:00Z"),
            ("2026-11-22T10:00:00Z", "2026-11-22T10:15:00Z"),
        ] {
            let span = Span::read("", &ReportSpan::default(), YEARS, at(now)).expect("a good span");
            assert_eq!(span.end(), at(last), "{now}");
        }
    }

    #[test]
    fn thirty_days_are_days_of_the_zone() {
        let now = at("2026-11-10T11:00:00Z");
        // Noon in Zurich, before and after clocks were put back.
        let span = Span::read("", &asked(None, None, "Europe/Zurich"), YEARS, now).expect("a good span");
        assert_eq!(span.start(), at("2026-10-11T10:00:00Z"));
    }

    #[test]
    fn bad_spans_are_refused_and_every_field_is_named() {
        let now = "2026-11-22T10:20:30Z";
        let bad = Timestamp { seconds: 0, nanos: -1 };
        for (limits, asked, fields) in [
            (
                YEARS,
                asked(Some("2026-11-22T00:00:00Z"), Some("2026-11-21T00:00:00Z"), ""),
                &["s.end_time"][..],
            ),
            (YEARS, asked(Some("2026-11-22T00:00:00Z"), Some("2026-11-22T00:00:00Z"), ""), &["s.end_time"]),
            (YEARS, asked(Some("2026-11-23T00:00:00Z"), None, ""), &["s.end_time"]),
            (
                YEAR,
                asked(Some("2025-11-21T00:00:00Z"), Some("2026-11-22T00:00:00.000001Z"), ""),
                &["s.end_time"],
            ),
            (YEARS, asked(Some("2016-11-20T00:00:00Z"), Some("2026-11-22T00:00:00Z"), ""), &["s.end_time"]),
            (YEARS, asked(Some("0001-01-01T00:00:00Z"), Some("9999-12-31T23:59:59Z"), ""), &["s.end_time"]),
            (YEARS, asked(None, None, "CEST"), &["s.time_zone"]),
            (YEARS, asked(None, None, "europe/zurich"), &["s.time_zone"]),
            (YEARS, asked(None, None, "+01:00"), &["s.time_zone"]),
            (
                YEARS,
                ReportSpan { start_time: Some(bad), end_time: Some(bad), time_zone: "Mars/Base".into() },
                &["s.start_time", "s.end_time", "s.time_zone"],
            ),
        ] {
            let error = Span::read("s.", &asked, limits, at(now)).expect_err("a bad span");
            let named: Vec<_> = error.violations().iter().map(|wrong| &*wrong.field).collect();
            assert_eq!(named, fields, "{asked:?}");
        }
    }

    #[test]
    fn days_of_utc_are_those_that_are_touched() {
        for (first, end, days, whole) in [
            (0, 96, 0..1, true),
            (0, 95, 0..1, false),
            (1, 97, 0..2, false),
            (-1, 96, -1..1, false),
            (-96, 0, -1..0, true),
            (5, 5, 0..1, false),
        ] {
            let slots = Slots { first, end };
            assert_eq!((utc_days(slots), is_of_utc_days(slots)), (days, whole), "{first} to {end}");
        }
    }
}
