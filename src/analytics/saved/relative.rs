//! Spans of time that move along, such as the last 30 days. Pure.

use chrono::{Datelike as _, Days, Months, NaiveDate};
use chrono_tz::Tz;

use crate::{
    analytics::{
        calendar::{date_at, start_of},
        span::{moment_of, zone},
    },
    clock::Moment,
    error::{Result, Violations},
    pb::v1::{RelativeSpan, RelativeUnit, ReportSpan},
    rpc::timestamp,
};

/// A span that moves along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relative {
    unit: RelativeUnit,
    count: u32,
    complete_only: bool,
    zone: Tz,
}

impl Relative {
    /// Reads what the contract says; `path` is where it stands.
    pub fn read(path: &str, given: &RelativeSpan) -> Result<Self> {
        let mut wrong = Violations::default();
        let unit = match RelativeUnit::try_from(given.unit) {
            Ok(RelativeUnit::Unspecified) => Err("is required"),
            Ok(unit) => Ok(unit),
            Err(_) => Err("is no unit this server knows"),
        };
        let unit = wrong.take(&format!("{path}.unit"), unit);
        let (most, says) = match unit {
            Some(RelativeUnit::Week) => (520, "must be 1 to 520"),
            Some(RelativeUnit::Month) => (120, "must be 1 to 120"),
            _ => (3650, "must be 1 to 3,650"),
        };
        let count = u32::try_from(given.count).ok().filter(|count| (1..=most).contains(count));
        let count = wrong.take(&format!("{path}.count"), count.ok_or(says));
        let zone = wrong.take(&format!("{path}.time_zone"), zone(&given.time_zone));
        wrong.into_result(())?;
        Ok(Self {
            unit: unit.unwrap_or_default(),
            count: count.unwrap_or(1),
            complete_only: given.complete_only,
            zone: zone.unwrap_or(Tz::UTC),
        })
    }

    /// Returns the span as it is at `now`: the same for all of a local day.
    pub fn at(self, now: Moment) -> ReportSpan {
        let (first, end) = self.dates(date_at(now, self.zone));
        let moment = |date| Some(timestamp(moment_of(start_of(date, self.zone))));
        ReportSpan {
            start_time: moment(first),
            end_time: moment(end),
            time_zone: self.zone.name().to_owned(),
        }
    }

    /// Returns the first day, and the one behind the last.
    fn dates(self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        // The calendar goes on for long enough in both directions.
        let present = match self.unit {
            RelativeUnit::Week => {
                let monday = Days::new(u64::from(today.weekday().num_days_from_monday()));
                today.checked_sub_days(monday).unwrap_or(today)
            }
            RelativeUnit::Month => today.with_day(1).unwrap_or(today),
            RelativeUnit::Day | RelativeUnit::Unspecified => today,
        };
        let end = if self.complete_only { present } else { self.later(present, 1) };
        (self.earlier(end, self.count), end)
    }

    fn later(self, date: NaiveDate, count: u32) -> NaiveDate {
        let later = match self.unit {
            RelativeUnit::Week => date.checked_add_days(Days::new(7 * u64::from(count))),
            RelativeUnit::Month => date.checked_add_months(Months::new(count)),
            RelativeUnit::Day | RelativeUnit::Unspecified => date.checked_add_days(Days::new(count.into())),
        };
        later.unwrap_or(date)
    }

    fn earlier(self, date: NaiveDate, count: u32) -> NaiveDate {
        let earlier = match self.unit {
            RelativeUnit::Week => date.checked_sub_days(Days::new(7 * u64::from(count))),
            RelativeUnit::Month => date.checked_sub_months(Months::new(count)),
            RelativeUnit::Day | RelativeUnit::Unspecified => date.checked_sub_days(Days::new(count.into())),
        };
        earlier.unwrap_or(date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::moment;

    fn asked(unit: RelativeUnit, count: i32, complete_only: bool, zone: &str) -> RelativeSpan {
        RelativeSpan { unit: unit.into(), count, complete_only, time_zone: zone.to_owned() }
    }

    #[test]
    fn spans_move_along_with_the_days_of_their_zone() {
        use RelativeUnit::{Day, Month, Week};
        // A Sunday; in Auckland it is Monday already.
        let now = "2026-11-22T12:00:00Z";
        for (unit, count, complete, zone, first, end) in [
            (Day, 1, false, "", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Day, 1, true, "", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            (Day, 30, false, "", "2026-10-24T00:00:00Z", "2026-11-23T00:00:00Z"),
            // Through the end of summer time.
            (Day, 30, false, "Europe/Zurich", "2026-10-23T22:00:00Z", "2026-11-22T23:00:00Z"),
            (Day, 1, false, "Pacific/Auckland", "2026-11-22T11:00:00Z", "2026-11-23T11:00:00Z"),
            (Day, 1, false, "Asia/Kathmandu", "2026-11-21T18:15:00Z", "2026-11-22T18:15:00Z"),
            (Week, 1, false, "", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Week, 2, true, "", "2026-11-02T00:00:00Z", "2026-11-16T00:00:00Z"),
            (Week, 1, false, "Pacific/Auckland", "2026-11-22T11:00:00Z", "2026-11-29T11:00:00Z"),
            (Month, 1, false, "", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            (Month, 3, true, "", "2026-08-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            (Month, 120, false, "", "2016-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ] {
            let span = Relative::read("x", &asked(unit, count, complete, zone)).expect("good");
            let span = span.at(now.parse().expect("the test's own moment"));
            let read = |time: Option<prost_types::Timestamp>| {
                moment(&time.expect("always there"))
                    .expect("a moment")
                    .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            };
            let told = (read(span.start_time), read(span.end_time));
            assert_eq!(told, (first.to_owned(), end.to_owned()), "{unit:?} {count} {complete} {zone}");
        }
    }

    #[test]
    fn everything_wrong_with_a_span_is_told() {
        use RelativeUnit::{Day, Month, Unspecified, Week};
        for (given, fields) in [
            (asked(Unspecified, 0, false, "Mars"), &["s.unit", "s.count", "s.time_zone"][..]),
            (asked(Day, 3651, false, ""), &["s.count"]),
            (asked(Week, 521, false, ""), &["s.count"]),
            (asked(Month, 121, false, ""), &["s.count"]),
            (asked(Month, -1, false, ""), &["s.count"]),
            (RelativeSpan { unit: 9, count: 1, ..RelativeSpan::default() }, &["s.unit"]),
        ] {
            let error = Relative::read("s", &given).expect_err("is wrong");
            let found: Vec<_> = error.violations().iter().map(|violation| &*violation.field).collect();
            assert_eq!(found, fields, "{given:?}");
        }
    }
}
