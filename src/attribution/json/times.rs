//! Reads the times that SDKs write: with `Z`, with an offset, with up to nine digits of a second, and with no zone at all. Pure.

use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::clock::{Moment, cut};

/// Reads a time. One without a zone is of the zone of the device, where that is a real one, else in UTC. `None`: it is no time.
pub fn read(text: &str, device_zone: &str) -> Option<Moment> {
    let text = text.trim();
    let told = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.with_timezone(&Utc),
        Err(_) => local(text, device_zone)?,
    };
    Some(cut(told))
}

fn local(text: &str, device_zone: &str) -> Option<DateTime<Utc>> {
    let text = text.replacen(' ', "T", 1);
    let naive = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    let zone: Tz = device_zone.parse().unwrap_or(Tz::UTC);
    // An hour that is skipped or there twice is read as it would be in winter, or else in UTC.
    let local = zone.from_local_datetime(&naive);
    Some(local.latest().map_or_else(|| Utc.from_utc_datetime(&naive), |time| time.with_timezone(&Utc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sdk_writes_times_in_its_own_way() {
        for (text, zone, expected) in [
            ("2026-06-01T10:00:00Z", "", Some("2026-06-01T10:00:00+00:00")),
            ("2026-06-01T10:00:00.123456789Z", "", Some("2026-06-01T10:00:00.123456+00:00")),
            ("2026-06-01T10:00:00.5+02:00", "", Some("2026-06-01T08:00:00.500+00:00")),
            ("2026-06-01T10:00:00.123", "Europe/Zurich", Some("2026-06-01T08:00:00.123+00:00")),
            ("2026-06-01 10:00:00", "Europe/Zurich", Some("2026-06-01T08:00:00+00:00")),
            ("2026-06-01T10:00:00", "CEST", Some("2026-06-01T10:00:00+00:00")),
            // The hour that summer time skips.
            ("2026-03-29T02:30:00", "Europe/Zurich", Some("2026-03-29T02:30:00+00:00")),
            ("yesterday", "", None),
            ("", "", None),
            ("2026-13-01T00:00:00Z", "", None),
        ] {
            let read = read(text, zone).map(|time| time.to_rfc3339());
            assert_eq!(read.as_deref(), expected, "{text} {zone}");
        }
    }
}
