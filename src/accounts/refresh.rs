//! Decides what a presented refresh token means.

use chrono::Duration;

use super::Session;
use crate::{clock::Moment, config};

/// How long a used refresh token may be presented again: the answer to its first use may have been lost.
pub const REPEAT: Duration = Duration::seconds(30);

/// How long sessions live, as the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lives {
    /// How long a refresh token lives when it is not used.
    pub idle: Duration,
    /// How long a session lives at the most.
    pub session: Duration,
}

impl Lives {
    /// Reads the settings, which are within bounds.
    pub fn of(settings: &config::Sessions) -> Self {
        let duration = |span| Duration::from_std(span).unwrap_or(Duration::MAX);
        Self { idle: duration(settings.idle_timeout), session: duration(settings.lifetime) }
    }
}

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
pub fn refresh_end(session_end: Moment, lives: Lives, now: Moment) -> Moment {
    session_end.min(now + lives.idle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        ids::{Ids, SessionId, UserId},
    };

    const LIVES: Lives = Lives { idle: Duration::days(14), session: Duration::days(90) };

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
            refresh_expire_time: start + LIVES.idle,
            expire_time: start + LIVES.session,
            end_time: None,
            user_agent: String::new(),
            address: String::new(),
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
        assert_eq!(refresh_end(now + LIVES.session, LIVES, now), now + LIVES.idle);
        assert_eq!(refresh_end(now + Duration::days(3), LIVES, now), now + Duration::days(3));
    }
}
