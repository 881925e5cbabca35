//! Moments as the contract writes them.

use prost_types::Timestamp;

use crate::clock::Moment;

/// Reads a protobuf timestamp, which may hold numbers that no calendar has.
pub fn moment(timestamp: &Timestamp) -> Result<Moment, &'static str> {
    /// 0001-01-01 and the last second of 9999, as protobuf bounds them.
    const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    u32::try_from(timestamp.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000 && SECONDS.contains(&timestamp.seconds))
        .and_then(|nanos| Moment::from_timestamp(timestamp.seconds, nanos))
        .ok_or("must be a moment of the years 1 to 9999")
}

/// Writes a protobuf timestamp.
pub fn timestamp(moment: Moment) -> Timestamp {
    Timestamp { seconds: moment.timestamp(), nanos: moment.timestamp_subsec_nanos() as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_stay_inside_the_calendar() {
        for (seconds, nanos, good) in [
            (0, 0, true),
            (-1, 999_999_999, true),
            (-62_135_596_800, 0, true),
            (253_402_300_799, 999_999_999, true),
            (-62_135_596_801, 0, false),
            (253_402_300_800, 0, false),
            (i64::MIN, 0, false),
            (i64::MAX, 0, false),
            (0, -1, false),
            (0, 1_000_000_000, false),
        ] {
            let written = moment(&Timestamp { seconds, nanos }).map(timestamp).ok();
            assert_eq!(written, good.then_some(Timestamp { seconds, nanos }));
        }
    }
}
