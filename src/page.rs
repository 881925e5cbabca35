//! Pages of a list and the sealed tokens that lead from one to the next (AIP-158).
//!
//! A token says where the last page ended. It is authenticated, so nobody can write one; bound to its question, so
//! that it cannot be used with other filters; and never authority: the tenant always comes from the caller.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message as _;
use ring::{digest, hmac};

use crate::{
    clock::Moment,
    error::{Error, Reason, Result},
    pb::internal::v1::{PageToken, PageTokenV1, page_token::VersionOneof},
};

/// How many rows a page has when the caller does not say.
pub const DEFAULT_SIZE: u32 = 50;
/// How many rows a page has at the most.
pub const MAX_SIZE: u32 = 1000;
/// How long a token is good for, in seconds.
const TOKEN_LIFE_SECONDS: i64 = 24 * 60 * 60;
const TAG_BYTES: usize = 16;

/// The row a page ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The sort key, in the room's own notation.
    pub key: String,
    /// The id, which settles ties.
    pub id: String,
}

/// Which page is asked for.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// How many rows, 1 to [`MAX_SIZE`].
    pub size: u32,
    /// The row the page before ended with.
    pub after: Option<Cursor>,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of `rows`, of which one more than `size` was asked for: the extra one says that there is more.
    pub fn of(mut rows: Vec<T>, size: u32, cursor: impl FnOnce(&T) -> Cursor) -> Self {
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = if more { rows.last().map(cursor) } else { None };
        Self { items: rows, next }
    }

    /// Returns a page without rows, the last one.
    pub fn nothing() -> Self {
        Self { items: Vec::new(), next: None }
    }

    /// Turns every row into something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

/// Seals and opens page tokens.
#[derive(Debug, Clone)]
pub struct PageSeal(hmac::Key);

impl PageSeal {
    /// Returns a seal; nodes that share `secret` read each other's tokens.
    pub fn new(secret: &[u8]) -> Self {
        let purpose = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&purpose, b"linkforty page token v1").as_ref()))
    }

    /// Returns the token for the page after `cursor`, or the empty one at the end. `question` is everything about the
    /// call but its size and token: the method, the caller's tenant, the filters.
    pub fn token(&self, next: Option<&Cursor>, question: &[u8], now: Moment) -> String {
        let Some(cursor) = next else { return String::new() };
        let token = PageToken {
            version_oneof: Some(VersionOneof::V1(PageTokenV1 {
                question: hash(question).into(),
                key: cursor.key.clone(),
                id: cursor.id.clone(),
                made_at_seconds: now.timestamp(),
            })),
        };
        let mut bytes = token.encode_to_vec();
        let tag = hmac::sign(&self.0, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what the client sent: `size` 0 means the default, too much means the most there is, a negative one and a
    /// token of another question are errors.
    pub fn request(&self, size: i32, token: &str, question: &[u8], now: Moment) -> Result<PageRequest> {
        let size = match u32::try_from(size) {
            Err(_) => return Err(Error::invalid_field("page_size", "must not be negative")),
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
        };
        let after = if token.is_empty() { None } else { Some(self.open(token, question, now)?) };
        Ok(PageRequest { size, after })
    }

    fn open(&self, token: &str, question: &[u8], now: Moment) -> Result<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad_token())?;
        let (content, tag) =
            bytes.split_at_checked(bytes.len().saturating_sub(TAG_BYTES)).ok_or_else(bad_token)?;
        let expected = hmac::sign(&self.0, content);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&expected.as_ref()[..TAG_BYTES], tag)) {
            return Err(bad_token());
        }
        let token = PageToken::decode(content).map_err(|_| bad_token())?;
        let Some(VersionOneof::V1(token)) = token.version_oneof else { return Err(bad_token()) };
        let age = now.timestamp() - token.made_at_seconds;
        if token.question != hash(question) || age > TOKEN_LIFE_SECONDS {
            return Err(bad_token());
        }
        Ok(Cursor { key: token.key, id: token.id })
    }
}

fn hash(question: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, question).as_ref().to_vec()
}

fn bad_token() -> Error {
    Error::new(
        Reason::PageTokenInvalid,
        "page_token is not one of this server's, too old, or of a call with other parameters",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn cursor() -> Cursor {
        Cursor { key: "2026".into(), id: "7".into() }
    }

    #[test]
    fn a_token_opens_for_its_own_question_only() {
        let (seal, now) = (PageSeal::new(b"secret"), from_micros(0));
        let token = seal.token(Some(&cursor()), b"question", now);
        assert_eq!(seal.request(0, &token, b"question", now).expect("own token").after, Some(cursor()));
        assert!(seal.request(0, &token, b"other", now).is_err());
        assert!(PageSeal::new(b"other").request(0, &token, b"question", now).is_err());
        let late = now + chrono::Duration::hours(25);
        assert!(seal.request(0, &token, b"question", late).is_err());
    }

    #[test]
    fn a_changed_token_is_refused_whatever_changed() {
        let (seal, now) = (PageSeal::new(b"secret"), from_micros(0));
        let token = seal.token(Some(&cursor()), b"question", now);
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            if changed != token {
                assert!(seal.request(0, &changed, b"question", now).is_err(), "changed at {place}");
            }
        }
    }

    #[test]
    fn sizes_follow_aip_158() {
        let (seal, now) = (PageSeal::new(b"secret"), from_micros(0));
        let size = |asked| seal.request(asked, "", b"", now).map(|page| page.size).ok();
        assert_eq!((size(0), size(7), size(5000), size(-1)), (Some(50), Some(7), Some(1000), None));
    }

    #[test]
    fn the_extra_row_says_that_there_is_more() {
        let page = Page::of(vec![1, 2, 3], 2, |n| Cursor { key: n.to_string(), id: String::new() });
        assert_eq!((page.items, page.next.map(|next| next.key)), (vec![1, 2], Some("2".to_owned())));
        assert!(Page::of(vec![1, 2], 2, |_| cursor()).next.is_none());
    }
}
