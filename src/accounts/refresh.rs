//! Decides what a presented refresh token means.

use chrono::Duration;

use super::Session;
use crate::clock::Moment;

/// How long a used refresh token may be presented again: the answer to its first use may have been lost.
pub const REPEAT: Duration = Duration::seconds(30);
/// How long a refresh token lives when it is not used.
pub const IDLE_LIFE: Duration = Duration::days(14);
/// How long a session lives at the most.
pub const SESSION_LIFE: Duration = Duration::days(90);

/// What a presented refresh token means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one that is good now: put the next in its place.
    Rotate,
    /// It was good until a moment ago: answer as the first time.
    Repeat,
    /// It was used up long ago, so somebody holds a copy: end the session.
    Stolen,
    /// The session or the token is over.
    Over,
}

/// Decides what the token with the hash `presented` means to its session.
pub fn judge(session: &Session, presented: &[u8], now: Moment) -> Verdict {
    if session.end_time.is_some() || now >= session.expire_time {
        return Verdict::Over;
    }
    if session.refresh_hash == presented {
        return if now < session.refresh_expire_time { Verdict::Rotate } else { Verdict::Over };
    }
    if session.previous_refresh_hash.as_deref() == Some(presented) && now <= session.rotate_time + REPEAT {
        return Verdict::Repeat;
    }
    Verdict::Stolen
}

/// Returns when a refresh token made at `now` ends.
pub fn refresh_end(session_end: Moment, now: Moment) -> Moment {
    session_end.min(now + IDLE_LIFE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        ids::{Ids, SessionId, UserId},
    };

    #[test]
    fn a_token_means_what_the_table_says() {
        let start = from_micros(1_800_000_000_000_000);
        let ids = Ids::seeded(1);
        let session = Session {
            id: SessionId::mint(&ids, start),
            user_id: UserId::mint(&ids, start),
            refresh_hash: vec![2],
            previous_refresh_hash: Some(vec![1]),
            rotate_time: start,
            create_time: start,
            refresh_expire_time: start + IDLE_LIFE,
            expire_time: start + SESSION_LIFE,
            end_time: None,
        };
        let ended = Session { end_time: Some(start), ..session.clone() };
        let fresh = Session { previous_refresh_hash: None, ..session.clone() };
        let busy = Session { refresh_expire_time: start + Duration::days(95), ..session.clone() };
        let (second, day) = (Duration::seconds(1), Duration::days(1));
        for (what, session, token, after, expected) in [
            ("the newest", &session, 2, second, Verdict::Rotate),
            ("the newest, idle for 14 days", &session, 2, day * 14, Verdict::Over),
            ("the one before, at once", &session, 1, Duration::zero(), Verdict::Repeat),
            ("the one before, 30 seconds later", &session, 1, second * 30, Verdict::Repeat),
            ("the one before, 31 seconds later", &session, 1, second * 31, Verdict::Stolen),
            ("an older one", &session, 0, second, Verdict::Stolen),
            ("an older one of a session without history", &fresh, 1, second, Verdict::Stolen),
            ("the newest of an ended session", &ended, 2, second, Verdict::Over),
            ("an older one of an ended session", &ended, 0, second, Verdict::Over),
            ("the newest after 90 days", &busy, 2, day * 90, Verdict::Over),
        ] {
            assert_eq!(judge(session, &[token], start + after), expected, "{what}");
        }
    }

    #[test]
    fn a_refresh_token_does_not_outlive_its_session() {
        let now = from_micros(0);
        assert_eq!(refresh_end(now + SESSION_LIFE, now), now + IDLE_LIFE);
        assert_eq!(refresh_end(now + Duration::days(3), now), now + Duration::days(3));
    }
}
