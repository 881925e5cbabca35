//! Whether a link that opens an app brings its user back. Pure.

use chrono::Duration;

use crate::clock::Moment;

/// How long a user must have been away, unless the app says otherwise (Adjust's default).
pub const INACTIVITY: Duration = Duration::days(7);
/// For how long a link has the credit, unless the app says otherwise (Branch's default).
pub const REENGAGEMENT: Duration = Duration::days(30);

/// What an app says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// How long the user must have been away.
    pub inactivity: Duration,
    /// For how long the link has the credit; zero: nobody is brought back.
    pub reengagement: Duration,
}

/// What an open is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// The link brought the user back, and has what they do to its credit until then.
    Back(Moment),
    /// The user was there lately.
    Active,
    /// The user was seen later already: it was told too late for anybody to say.
    Late,
    /// The app does not ask.
    Off,
}

/// Says what an open is, of a user who was last seen at `seen`.
pub fn decide(opened: Moment, seen: Moment, windows: Windows) -> Open {
    if windows.reengagement.is_zero() {
        Open::Off
    } else if opened <= seen {
        Open::Late
    } else if opened - seen < windows.inactivity {
        Open::Active
    } else {
        Open::Back(opened + windows.reengagement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_user_is_brought_back_once_they_have_been_away_for_long_enough() {
        let windows = Windows { inactivity: INACTIVITY, reengagement: REENGAGEMENT };
        let seen = from_micros(1_800_000_000_000_000);
        let micro = Duration::microseconds(1);
        let back = |opened: Moment| Open::Back(opened + REENGAGEMENT);
        for (opened, windows, expected) in [
            (seen + INACTIVITY, windows, back(seen + INACTIVITY)),
            (seen + INACTIVITY - micro, windows, Open::Active),
            (seen + Duration::days(300), windows, back(seen + Duration::days(300))),
            (seen, windows, Open::Late),
            (seen - Duration::days(9), windows, Open::Late),
            (seen + micro, Windows { inactivity: Duration::zero(), ..windows }, back(seen + micro)),
            (seen, Windows { inactivity: Duration::zero(), ..windows }, Open::Late),
            (seen + Duration::days(300), Windows { reengagement: Duration::zero(), ..windows }, Open::Off),
        ] {
            assert_eq!(decide(opened, seen, windows), expected, "{opened} {windows:?}");
        }
    }
}
