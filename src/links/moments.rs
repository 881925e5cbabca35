//! Moments as files write them; pure.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

use crate::clock::{Moment, cut};

const WRONG: &str = "must be a moment such as 2026-01-31T12:00:00Z";
/// With an offset from UTC. JavaScript's own spelling is the last one.
const ZONED: [&str; 4] = [
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%a %b %d %Y %H:%M:%S GMT%z",
];
/// In UTC.
const PLAIN: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
/// From here on a number of seconds is one of milliseconds: the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

/// Reads a moment as the tools of this world write it. Without an offset it is UTC, a day is its beginning, a number counts from
/// 1970.
pub fn read(text: &str) -> Result<Moment, &'static str> {
    let text = text.trim();
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    // `... GMT+0000 (Coordinated Universal Time)`
    let text = text.split(" (").next().unwrap_or(text);
    let moment = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    let zoned = || ZONED.iter().find_map(|form| DateTime::parse_from_str(text, form).ok());
    let plain = || PLAIN.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    moment
        .or_else(|| zoned().map(|moment| moment.to_utc()))
        .or_else(|| plain().or_else(day).map(|moment| moment.and_utc()))
        .or_else(|| number(text))
        .map(cut)
        .ok_or(WRONG)
}

fn number(text: &str) -> Option<DateTime<Utc>> {
    let number: i64 = text.parse().ok()?;
    if number.abs() < MILLISECONDS {
        DateTime::from_timestamp(number, 0)
    } else {
        DateTime::from_timestamp_millis(number)
    }
}

/// Writes a moment.
pub fn write(moment: Moment) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_tools_write_them() {
        let noon = "2024-03-01T12:00:00Z";
        for (text, read_as) in [
            (noon, Some(noon)),
            ("2024-03-01T13:00:00+01:00", Some(noon)),
            ("2024-03-01T12:00:00+0000", Some(noon)),
            ("2024-03-01T12:00:00.250Z", Some("2024-03-01T12:00:00.250Z")),
            ("2024-03-01 12:00:00", Some(noon)),
            ("2024-03-01 12:00:00 UTC", Some(noon)),
            (" 2024-03-01 12:00 ", Some(noon)),
            ("2024-03-01", Some("2024-03-01T00:00:00Z")),
            ("1709294400", Some(noon)),
            ("1709294400000", Some(noon)),
            ("Fri Mar 01 2024 12:00:00 GMT+0000 (Coordinated Universal Time)", Some(noon)),
            ("yesterday", None),
            ("2024-13-01", None),
            ("", None),
        ] {
            assert_eq!(read(text).map(write).ok().as_deref(), read_as, "{text:?}");
        }
    }
}
