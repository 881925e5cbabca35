//! Days, weeks and months of a time zone in quarter-hours: through days of 23 and 25 hours, hours that come twice, days that never
//! were. Pure.

use chrono::{
    DateTime, Datelike as _, Days, Duration, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime,
    TimeZone as _, Timelike as _,
};
use chrono_tz::{GapInfo, Tz};

use super::{
    rollup::read::Slots,
    span::{Span, moment_of, slot_of},
};
use crate::{clock::Moment, pb::v1::Granularity};

/// How many buckets a report has at the most.
pub const MOST_BUCKETS: usize = 2000;

/// Cuts a span into buckets, oldest first, each beginning where the one before ends. `None`: there would be more than [`MOST_BUCKETS`].
pub fn buckets(span: Span, granularity: Granularity) -> Option<Vec<Slots>> {
    let Slots { first, end } = span.slots;
    let mut edges = vec![first];
    if granularity == Granularity::Hour {
        for slot in first + 1..end {
            if begins_hour(slot, span.zone) {
                edges.push(slot);
                if edges.len() > MOST_BUCKETS {
                    return None;
                }
            }
        }
    } else {
        let mut date = date_of(first, span.zone);
        loop {
            date = next(date, granularity);
            let edge = start_of(date, span.zone);
            if edge >= end {
                break;
            }
            // A day that was left out ends where it begins.
            if edges.last().is_some_and(|last| edge > *last) {
                edges.push(edge);
                if edges.len() > MOST_BUCKETS {
                    return None;
                }
            }
        }
    }
    let ends = edges.iter().skip(1).copied().chain([end]);
    Some(
        edges
            .iter()
            .zip(ends)
            .map(|(first, end)| Slots { first: *first, end })
            .filter(|slots| slots.first < slots.end)
            .collect(),
    )
}

/// Returns the time before a span: the same local times, earlier by as many days as it is long, a part of one counting as one. It ends where the span
/// begins, or before; it may be empty where clocks were put forward.
pub fn previous(span: Span) -> Span {
    let (start, end) = (local(span.start(), span.zone), local(span.end(), span.zone));
    let length = end - start;
    let days = length.num_days() + i64::from(length > Duration::days(length.num_days()));
    let earlier = |time: NaiveDateTime| resolve(time - Duration::days(days.max(1)), span.zone);
    let end = earlier(end).min(span.slots.first);
    // Whole days end where the span begins, even in an hour that comes twice.
    let end = if length == Duration::days(days) { span.slots.first } else { end };
    let first = earlier(start).min(end);
    Span { slots: Slots { first, end }, ..span }
}

/// Returns the moment with the same local time some days before.
pub fn days_before(moment: Moment, days: i64, zone: Tz) -> Moment {
    let then = local(moment, zone) - Duration::days(days);
    at(then, zone)
}

/// Returns the local date at the beginning of a quarter-hour.
pub fn date_of(slot: i32, zone: Tz) -> NaiveDate {
    local(moment_of(slot), zone).date()
}

/// Returns the local date of a moment.
pub fn date_at(moment: Moment, zone: Tz) -> NaiveDate {
    local(moment, zone).date()
}

/// Returns the quarter-hour that a local day begins with: the one where the day before is over. Of a day that was left out it is the next day's.
pub fn start_of(date: NaiveDate, zone: Tz) -> i32 {
    let midnight = date.and_time(NaiveTime::MIN);
    if let MappedLocalTime::Ambiguous(_, later) = zone.from_local_datetime(&midnight) {
        let before = later.clone() - Duration::microseconds(1);
        if before.date_naive() < date {
            return slot_of(&later);
        }
    }
    resolve(midnight, zone)
}

fn next(date: NaiveDate, granularity: Granularity) -> NaiveDate {
    let days = |days: u32| date.checked_add_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MAX);
    match granularity {
        Granularity::Week => days(7 - date.weekday().num_days_from_monday()),
        Granularity::Month => {
            let (year, month) =
                if date.month() == 12 { (date.year() + 1, 1) } else { (date.year(), date.month() + 1) };
            NaiveDate::from_ymd_opt(year, month, 1).unwrap_or(NaiveDate::MAX)
        }
        _ => days(1),
    }
}

/// An hour begins when the minutes are 0, and where clocks change.
fn begins_hour(slot: i32, zone: Tz) -> bool {
    let (time, before) = (local(moment_of(slot), zone), local(moment_of(slot - 1), zone));
    time.minute() == 0 || time - before != moment_of(slot) - moment_of(slot - 1)
}

fn local(moment: Moment, zone: Tz) -> NaiveDateTime {
    moment.with_timezone(&zone).naive_local()
}

fn resolve(time: NaiveDateTime, zone: Tz) -> i32 {
    slot_of(&at(time, zone))
}

/// Returns the moment of a local time: the first one where it comes twice, and where clocks skip it the moment they do.
fn at(time: NaiveDateTime, zone: Tz) -> Moment {
    match zone.from_local_datetime(&time) {
        MappedLocalTime::Single(found) | MappedLocalTime::Ambiguous(found, _) => found.to_utc(),
        MappedLocalTime::None => {
            let after = GapInfo::new(&time, &zone).and_then(|gap| gap.end);
            // The table of a zone has no gap without an end.
            after.map_or_else(|| time.and_utc(), |after: DateTime<Tz>| after.to_utc())
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::TZ_VARIANTS;
    use proptest::prelude::*;

    use super::*;

    fn slot(text: &str) -> i32 {
        slot_of(&text.parse::<Moment>().expect("the test's own moment"))
    }

    fn span(start: &str, end: &str, zone: &str) -> Span {
        let zone = zone.parse().expect("the test's own zone");
        Span { slots: Slots { first: slot(start), end: slot(end) }, zone }
    }

    /// The buckets as the minutes they have.
    fn lengths(span: Span, granularity: Granularity) -> Vec<i32> {
        let buckets = buckets(span, granularity).expect("few enough");
        buckets.iter().map(|bucket| (bucket.end - bucket.first) * 15).collect()
    }

    const DAY: i32 = 24 * 60;

    #[test]
    fn days_are_as_long_as_clocks_make_them() {
        for (start, end, zone, expected) in [
            // 29 March and 25 October 2026 in Zurich.
            ("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z", "Europe/Zurich", vec![DAY, DAY - 60, DAY]),
            ("2026-10-23T22:00:00Z", "2026-10-26T23:00:00Z", "Europe/Zurich", vec![DAY, DAY + 60, DAY]),
            ("2026-03-07T05:00:00Z", "2026-03-10T04:00:00Z", "America/New_York", vec![DAY, DAY - 60, DAY]),
            ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", "America/New_York", vec![DAY + 60]),
            // Half an hour.
            ("2026-04-04T13:00:00Z", "2026-04-06T13:30:00Z", "Australia/Lord_Howe", vec![DAY + 30, DAY]),
            ("2026-10-03T13:30:00Z", "2026-10-05T13:00:00Z", "Australia/Lord_Howe", vec![DAY - 30, DAY]),
            // 5:30 and 5:45 ahead.
            ("2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z", "Asia/Kolkata", vec![18 * 60 + 30, 5 * 60 + 30]),
            (
                "2026-06-01T00:00:00Z",
                "2026-06-02T00:00:00Z",
                "Asia/Kathmandu",
                vec![18 * 60 + 15, 5 * 60 + 45],
            ),
            // Midnight was left out: the day begins at one.
            ("2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z", "Africa/Cairo", vec![DAY - 60]),
            // It comes twice.
            ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", "America/Havana", vec![DAY + 60]),
            // Samoa had no 30 December 2011, and Kwajalein no 21 August 1993.
            ("2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z", "Pacific/Apia", vec![DAY, DAY]),
            ("1993-08-20T12:00:00Z", "1993-08-22T12:00:00Z", "Pacific/Kwajalein", vec![DAY, DAY]),
            // One minute of 29 October 2006 comes before the last hour of the 28th comes again: that hour is the 28th's.
            ("2006-10-28T02:30:00Z", "2006-10-30T03:30:00Z", "America/St_Johns", vec![DAY + 60, DAY]),
            // A part of a day on both sides.
            ("2026-06-01T12:00:00Z", "2026-06-03T00:15:00Z", "UTC", vec![DAY / 2, DAY, 15]),
            ("2026-06-01T12:00:00Z", "2026-06-01T12:15:00Z", "UTC", vec![15]),
        ] {
            assert_eq!(lengths(span(start, end, zone), Granularity::Day), expected, "{start} {zone}");
            assert_eq!(lengths(span(start, end, zone), Granularity::Unspecified), expected, "{start} {zone}");
        }
    }

    #[test]
    fn hours_are_those_of_the_clock() {
        for (start, end, zone, expected) in [
            // Two to three does not exist; it exists twice.
            ("2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z", "Europe/Zurich", vec![60, 60, 60]),
            ("2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z", "Europe/Zurich", vec![60, 60, 60]),
            ("2026-06-01T00:00:00Z", "2026-06-01T02:00:00Z", "Asia/Kolkata", vec![30, 60, 30]),
            ("2026-06-01T00:00:00Z", "2026-06-01T02:00:00Z", "Asia/Kathmandu", vec![15, 60, 45]),
            // 1:00 to 2:00, 1:30 to 2:00 once more, 2:00 to 3:00.
            ("2026-04-04T14:00:00Z", "2026-04-04T16:30:00Z", "Australia/Lord_Howe", vec![60, 30, 60]),
            // 1:00 to 2:00, 2:30 to 3:00, 3:00 to 4:00.
            ("2026-10-03T14:30:00Z", "2026-10-03T17:00:00Z", "Australia/Lord_Howe", vec![60, 30, 60]),
        ] {
            assert_eq!(lengths(span(start, end, zone), Granularity::Hour), expected, "{start} {zone}");
        }
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let year = span("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "UTC");
        let days = |lengths: Vec<i32>| lengths.into_iter().map(|minutes| minutes / DAY).collect::<Vec<_>>();
        assert_eq!(days(lengths(year, Granularity::Month)), [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);
        let weeks = days(lengths(year, Granularity::Week));
        assert_eq!((weeks.len(), weeks[0], weeks[52]), (53, 4, 4));
        assert!(weeks[1..52].iter().all(|days| *days == 7));
        let leap = span("2028-02-28T12:00:00Z", "2028-03-01T12:00:00Z", "UTC");
        assert_eq!(lengths(leap, Granularity::Month), [DAY + DAY / 2, DAY / 2]);
        let zurich = span("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "Europe/Zurich");
        assert_eq!(lengths(zurich, Granularity::Month), [31 * DAY - 60]);
    }

    #[test]
    fn there_are_at_most_two_thousand_buckets() {
        let utc = Tz::UTC;
        for (slots, granularity, number) in [
            (8000, Granularity::Hour, Some(2000)),
            (8001, Granularity::Hour, None),
            (2000 * 96, Granularity::Day, Some(2000)),
            (2000 * 96 + 1, Granularity::Day, None),
            (3653 * 96, Granularity::Week, Some(523)),
        ] {
            let span = Span { slots: Slots { first: 0, end: slots }, zone: utc };
            assert_eq!(buckets(span, granularity).map(|buckets| buckets.len()), number, "{slots}");
        }
        let nothing = Span { slots: Slots { first: 7, end: 7 }, zone: utc };
        assert_eq!(buckets(nothing, Granularity::Day), Some(vec![]));
    }

    #[test]
    fn the_time_before_has_the_same_local_times() {
        for (start, end, zone, from, to) in [
            (
                "2026-06-08T00:00:00Z",
                "2026-06-15T00:00:00Z",
                "UTC",
                "2026-06-01T00:00:00Z",
                "2026-06-08T00:00:00Z",
            ),
            // Today so far, and yesterday until then.
            (
                "2026-06-08T00:00:00Z",
                "2026-06-08T15:30:00Z",
                "UTC",
                "2026-06-07T00:00:00Z",
                "2026-06-07T15:30:00Z",
            ),
            (
                "2026-06-08T12:00:00Z",
                "2026-06-09T12:15:00Z",
                "UTC",
                "2026-06-06T12:00:00Z",
                "2026-06-07T12:15:00Z",
            ),
            // A week with a day of 25 hours.
            (
                "2026-10-25T23:00:00Z",
                "2026-11-01T23:00:00Z",
                "Europe/Zurich",
                "2026-10-18T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            // The hour that comes twice, and the second one of them.
            (
                "2026-10-25T01:00:00Z",
                "2026-10-26T01:00:00Z",
                "Europe/Zurich",
                "2026-10-24T00:00:00Z",
                "2026-10-25T01:00:00Z",
            ),
            // The hour that the day before did not have.
            (
                "2026-03-30T00:00:00Z",
                "2026-03-30T01:00:00Z",
                "Europe/Zurich",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:00:00Z",
            ),
        ] {
            let before = previous(span(start, end, zone));
            assert_eq!(
                (before.start(), before.end()),
                (moment_of(slot(from)), moment_of(slot(to))),
                "{start} {zone}"
            );
        }
    }

    /// Since 2012 all zones are whole quarter-hours off, and none goes back from past midnight to before it by other than whole ones.
    fn spans() -> impl Strategy<Value = Span> {
        let first = slot("2012-01-01T00:00:00Z")..slot("2036-01-01T00:00:00Z");
        (0..TZ_VARIANTS.len(), first, 1..4000_i32).prop_map(|(zone, first, length)| Span {
            slots: Slots { first, end: first + length },
            zone: TZ_VARIANTS[zone],
        })
    }

    proptest! {
        #[test]
        fn buckets_cover_the_span_and_are_of_one_day(span in spans()) {
            for granularity in [Granularity::Hour, Granularity::Day, Granularity::Week, Granularity::Month] {
                let buckets = buckets(span, granularity).expect("few enough");
                prop_assert_eq!(buckets[0].first, span.slots.first);
                prop_assert_eq!(buckets[buckets.len() - 1].end, span.slots.end);
                for pair in buckets.windows(2) {
                    prop_assert_eq!(pair[0].end, pair[1].first);
                }
                for bucket in buckets {
                    prop_assert!(bucket.first < bucket.end);
                    let name = |slot: i32| {
                        let time = moment_of(slot).with_timezone(&span.zone);
                        match granularity {
                            Granularity::Hour => time.format("%F %H %z").to_string(),
                            Granularity::Week => time.format("%G %V").to_string(),
                            Granularity::Month => time.format("%Y %m").to_string(),
                            _ => time.format("%F").to_string(),
                        }
                    };
                    for slot in bucket.first..bucket.end {
                        prop_assert_eq!(name(slot), name(bucket.first));
                    }
                    if bucket.end < span.slots.end {
                        prop_assert_ne!(name(bucket.end), name(bucket.first));
                    }
                }
            }
        }

        #[test]
        fn the_time_before_is_before(span in spans()) {
            let before = previous(span);
            prop_assert!(before.slots.first <= before.slots.end);
            prop_assert!(before.slots.end <= span.slots.first);
            let days = (span.slots.end - span.slots.first) / 96 + 2;
            prop_assert!(before.slots.first >= span.slots.first - days * 96 - 100);
        }
    }
}
