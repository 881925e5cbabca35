//! Where a stream stands, sealed so that a client can bring it back: authenticated and bound to the workspace, so that nobody can write one
//! or take another's.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Duration;
use ring::hmac;
use secrecy::ExposeSecret as _;

use crate::{
    clock::{Moment, from_micros},
    env::Env,
    error::{Error, Reason, Result},
    feed::Position,
    ids::WorkspaceId,
};

/// How long a cursor is good for. Rows are kept for longer, so what lies behind a good one is there.
pub const LIFE: Duration = Duration::hours(24);
const TAG_BYTES: usize = 16;
const CONTENT_BYTES: usize = 1 + 8 + 4 + 8;
const VERSION: u8 = 1;

/// Just behind some item: rows before `row` are done, and so many items of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The row.
    pub row: Position,
    /// How many of its items are done; [`Cursor::ALL`]: all, however many they are.
    pub taken: u32,
    /// When that was the end of the feed.
    pub time: Moment,
}

impl Cursor {
    /// All items of a row.
    pub const ALL: u32 = u32::MAX;
}

/// Seals and opens cursors.
#[derive(Debug)]
pub struct CursorSeal(hmac::Key);

impl CursorSeal {
    /// Returns this server's.
    pub fn of(env: &Env) -> std::sync::Arc<Self> {
        env.memory.of(|| Self::new(env.secrets.session.expose_secret().as_bytes()))
    }

    fn new(secret: &[u8]) -> Self {
        let purpose = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&purpose, b"linkforty resume cursor v1").as_ref()))
    }

    /// Returns a cursor as clients get it.
    pub fn seal(&self, workspace: WorkspaceId, cursor: Cursor) -> String {
        let mut bytes = Vec::with_capacity(CONTENT_BYTES + TAG_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&cursor.row.0.to_be_bytes());
        bytes.extend_from_slice(&cursor.taken.to_be_bytes());
        bytes.extend_from_slice(&cursor.time.timestamp_micros().to_be_bytes());
        let tag = self.tag(workspace, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a client sent.
    pub fn open(&self, workspace: WorkspaceId, text: &str, now: Moment) -> Result<Cursor> {
        let cursor = self.read(workspace, text).ok_or_else(|| {
            Error::invalid_field("resume_cursor", "is not one that this server gave out for this workspace")
        })?;
        if cursor.time < now - LIFE {
            return Err(Error::new(
                Reason::ResumeCursorExpired,
                "resume_cursor is older than 24 hours; begin without one",
            ));
        }
        Ok(cursor)
    }

    fn read(&self, workspace: WorkspaceId, text: &str) -> Option<Cursor> {
        // One text has one reading: trailing bits that mean nothing are refused.
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, tag) = bytes.split_at_checked(CONTENT_BYTES)?;
        let expected = self.tag(workspace, content);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&expected.as_ref()[..TAG_BYTES], tag)) {
            return None;
        }
        let (version, rest) = content.split_first()?;
        let (row, rest) = rest.split_first_chunk()?;
        let (taken, rest) = rest.split_first_chunk()?;
        let (time, _) = rest.split_first_chunk()?;
        (*version == VERSION).then(|| Cursor {
            row: Position(i64::from_be_bytes(*row)),
            taken: u32::from_be_bytes(*taken),
            time: from_micros(i64::from_be_bytes(*time)),
        })
    }

    fn tag(&self, workspace: WorkspaceId, content: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(workspace.0.as_bytes());
        context.update(content);
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cursor_opens_where_it_was_given_out_for_a_day() {
        let (seal, other) = (CursorSeal::new(b"secret"), CursorSeal::new(b"other"));
        let (mine, theirs) = (WorkspaceId(Uuid::from_u128(1)), WorkspaceId(Uuid::from_u128(2)));
        let made = from_micros(1_000_000);
        for cursor in [
            Cursor { row: Position(0), taken: Cursor::ALL, time: made },
            Cursor { row: Position(i64::MAX), taken: 7, time: made },
        ] {
            let text = seal.seal(mine, cursor);
            assert_eq!(seal.open(mine, &text, made + LIFE).expect("good"), cursor);
            let late = seal.open(mine, &text, made + LIFE + Duration::seconds(1)).expect_err("too old");
            assert_eq!(late.reason(), Reason::ResumeCursorExpired);
            for wrong in [
                seal.open(theirs, &text, made),
                other.open(mine, &text, made),
                seal.open(mine, &text[1..], made),
                seal.open(mine, &format!("{text}A"), made),
                seal.open(mine, "", made),
                seal.open(mine, "no cursor!", made),
            ] {
                assert_eq!(wrong.expect_err("not good").reason(), Reason::InvalidFields);
            }
        }
    }

    #[test]
    fn a_changed_cursor_is_refused_whatever_changed() {
        let seal = CursorSeal::new(b"secret");
        let (mine, made) = (WorkspaceId(Uuid::from_u128(1)), from_micros(0));
        let text = seal.seal(mine, Cursor { row: Position(99), taken: 3, time: made });
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(seal.open(mine, &changed, made).is_err(), "changed at {place}");
        }
    }
}
