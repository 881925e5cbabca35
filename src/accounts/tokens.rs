//! The two tokens of a session, both made from `JWT_SECRET`: changing it signs everybody out.
//!
//! The **access token** is a JWT (RFC 9068) signed with Ed25519. There is one algorithm and one key, known by its id;
//! nothing in a token's header chooses another.
//!
//! The **refresh token** is opaque: the session's id, 32 secret bytes, and a tag, so that a token of ours is told from
//! an invented one without a query. The first secret of a session is random; each next one is a keyed hash of the one
//! before it. So everybody who presents the same token within its time, after a lost answer or from two windows at once,
//! gets the same next one, and a session has one line of tokens however its refreshes race.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Duration;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::{
    digest, hkdf, hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Moment, from_micros},
    error::{Error, Result},
    ids::{SessionId, UserId, parse},
};

/// How long an access token lives.
pub const ACCESS_LIFE: Duration = Duration::minutes(10);
/// How far the clocks of two nodes may be apart.
const LEEWAY_SECONDS: i64 = 5;
const ISSUER: &str = "linkforty";
const AUDIENCE: &str = "linkforty.v1";
const TYPE: &str = "at+jwt";
const TAG: usize = 16;

/// The keys that tokens are made with and checked against.
pub struct Keyring {
    signing: EncodingKey,
    verifying: DecodingKey,
    key_id: String,
    next: hmac::Key,
    tag: hmac::Key,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    iat: i64,
    exp: i64,
}

/// A refresh token that this server made, or one with its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session it belongs to.
    pub session: SessionId,
    secret: [u8; 32],
}

impl Keyring {
    /// Derives the keys from a secret; nodes that share it read each other's tokens.
    pub fn derive(secret: &[u8]) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"linkforty session tokens v1").extract(secret);
        let seed = expand(&root, b"access token ed25519 seed");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("every 32 bytes are a seed");
        let public = pair.public_key().as_ref();
        Self {
            signing: EncodingKey::from_ed_der(&pkcs8(&seed)),
            verifying: DecodingKey::from_ed_der(public),
            key_id: URL_SAFE_NO_PAD.encode(&digest::digest(&digest::SHA256, public).as_ref()[..9]),
            next: hmac::Key::new(hmac::HMAC_SHA256, &expand(&root, b"refresh token next")),
            tag: hmac::Key::new(hmac::HMAC_SHA256, &expand(&root, b"refresh token tag")),
        }
    }

    /// Makes an access token, which ends with the session at the latest, and says when that is.
    pub fn access(
        &self,
        user: UserId,
        session: SessionId,
        session_end: Moment,
        now: Moment,
    ) -> Result<(String, Moment)> {
        let exp = session_end.min(now + ACCESS_LIFE).timestamp();
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: session.to_string(),
            iat: now.timestamp(),
            exp,
        };
        let header = Header {
            typ: Some(TYPE.into()),
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.signing).map_err(Error::internal)?;
        Ok((token, from_micros(exp.saturating_mul(1_000_000))))
    }

    /// Reads an access token; `None` unless it is ours, whole and not over.
    pub fn read_access(&self, token: &str, now: Moment) -> Option<(UserId, SessionId)> {
        let mut wanted = Validation::new(Algorithm::EdDSA);
        wanted.set_issuer(&[ISSUER]);
        wanted.set_audience(&[AUDIENCE]);
        wanted.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The library asks the machine's clock; we ask ours, below.
        wanted.validate_exp = false;
        let read = jsonwebtoken::decode::<Claims>(token, &self.verifying, &wanted).ok()?;
        let ours = read.header.typ.as_deref() == Some(TYPE)
            && read.header.kid.as_deref() == Some(self.key_id.as_str());
        if !ours || now.timestamp() >= read.claims.exp.saturating_add(LEEWAY_SECONDS) {
            return None;
        }
        Some((UserId(parse(&read.claims.sub)?), SessionId(parse(&read.claims.sid)?)))
    }

    /// Returns the refresh token that follows `token`: the same one whenever it is asked for.
    pub fn next(&self, token: &RefreshToken) -> RefreshToken {
        let secret = hmac::sign(&self.next, &token.bytes());
        let secret = secret.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes");
        RefreshToken { session: token.session, secret }
    }

    /// Writes a refresh token as clients hold it.
    pub fn write_refresh(&self, token: &RefreshToken) -> String {
        let mut bytes = token.bytes().to_vec();
        let tag = hmac::sign(&self.tag, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a refresh token; `None` unless it was written with these keys.
    pub fn read_refresh(&self, text: &str) -> Option<RefreshToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, given) = bytes.split_at_checked(48)?;
        let tag = hmac::sign(&self.tag, content);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&tag.as_ref()[..TAG], given)) {
            return None;
        }
        let (session, secret) = content.split_at_checked(16)?;
        Some(RefreshToken {
            session: SessionId(uuid::Uuid::from_slice(session).ok()?),
            secret: secret.try_into().ok()?,
        })
    }
}

impl RefreshToken {
    /// Returns the first token of a session.
    pub fn first(session: SessionId, secret: [u8; 32]) -> Self {
        Self { session, secret }
    }

    /// Returns what is stored of it.
    pub fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.bytes()).as_ref().to_vec()
    }

    fn bytes(&self) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..16].copy_from_slice(self.session.0.as_bytes());
        bytes[16..].copy_from_slice(&self.secret);
        bytes
    }
}

fn expand(root: &hkdf::Prk, purpose: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    root.expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are not too many for HKDF-SHA256");
    key
}

/// Writes an Ed25519 seed as a PKCS#8 version 1 document (RFC 8410, section 7), the form the JWT library wants.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [HEAD.as_slice(), seed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    fn now() -> Moment {
        from_micros(1_800_000_000_000_000)
    }

    fn ring() -> Keyring {
        Keyring::derive(b"secret")
    }

    fn people() -> (UserId, SessionId) {
        let ids = Ids::seeded(1);
        (UserId::mint(&ids, now()), SessionId::mint(&ids, now()))
    }

    fn token(ring: &Keyring) -> String {
        let (user, session) = people();
        ring.access(user, session, now() + Duration::days(1), now()).expect("signs").0
    }

    /// Signs a token of another shape with the right key.
    fn forged(change: impl FnOnce(&mut Header, &mut Claims)) -> String {
        let (user, session) = people();
        let mut header =
            Header { typ: Some(TYPE.into()), kid: Some(ring().key_id), ..Header::new(Algorithm::EdDSA) };
        let mut claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: session.to_string(),
            iat: now().timestamp(),
            exp: now().timestamp() + 600,
        };
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &ring().signing).expect("signs")
    }

    #[test]
    fn a_token_is_read_by_every_node_with_the_secret_and_by_no_other() {
        let token = token(&ring());
        assert_eq!(Keyring::derive(b"secret").read_access(&token, now()), Some(people()));
        assert_eq!(Keyring::derive(b"other").read_access(&token, now()), None);
        assert_eq!(ring().read_access(&forged(|_, _| ()), now()), Some(people()));
    }

    #[test]
    fn a_token_ends_after_ten_minutes_and_with_its_session() {
        let (user, session) = people();
        let token = token(&ring());
        assert!(ring().read_access(&token, now() + Duration::seconds(604)).is_some());
        assert!(ring().read_access(&token, now() + Duration::seconds(605)).is_none());
        let soon = now() + Duration::seconds(30);
        let (token, end) = ring().access(user, session, soon, now()).expect("signs");
        assert_eq!(end, soon);
        assert!(ring().read_access(&token, soon + Duration::seconds(5)).is_none());
    }

    #[test]
    fn the_right_key_under_a_wrong_name_is_refused() {
        for (what, token) in [
            ("kid", forged(|header, _| header.kid = Some("other".into()))),
            ("no kid", forged(|header, _| header.kid = None)),
            ("typ", forged(|header, _| header.typ = Some("JWT".into()))),
            ("no typ", forged(|header, _| header.typ = None)),
            ("aud", forged(|_, claims| claims.aud = "other".into())),
            ("iss", forged(|_, claims| claims.iss = "other".into())),
            ("sub", forged(|_, claims| claims.sub = "x".into())),
            ("sid", forged(|_, claims| claims.sid = String::new())),
            ("exp", forged(|_, claims| claims.exp = now().timestamp() - 5)),
        ] {
            assert_eq!(ring().read_access(&token, now()), None, "{what}");
        }
    }

    #[test]
    fn another_algorithm_is_refused() {
        let token = token(&ring());
        let claims = token.split('.').nth(1).expect("three parts");
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        assert_eq!(ring().read_access(&format!("{none}.{claims}."), now()), None);

        // The classic: the public key, which is no secret, used as one.
        let header =
            Header { typ: Some(TYPE.into()), kid: Some(ring().key_id), ..Header::new(Algorithm::HS256) };
        let public = ring().verifying.try_get_as_bytes().expect("bytes").to_vec();
        let content: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
        let token = jsonwebtoken::encode(&header, &content, &EncodingKey::from_secret(&public));
        assert_eq!(ring().read_access(&token.expect("signs"), now()), None);
    }

    #[test]
    fn a_changed_token_is_refused_wherever_it_changed() {
        let ring = ring();
        let token = token(&ring);
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(ring.read_access(&changed, now()), None, "changed at {place}");
        }
    }

    #[test]
    fn the_next_refresh_token_is_the_same_for_everybody_who_asks() {
        let first = RefreshToken::first(people().1, [7; 32]);
        let next = ring().next(&first);
        assert!(next == Keyring::derive(b"secret").next(&first));
        assert!(next.hash() != first.hash() && next.session == first.session);
        assert!(Keyring::derive(b"other").next(&first) != next);
    }

    #[test]
    fn a_refresh_token_is_read_back_and_an_invented_one_is_not() {
        let first = RefreshToken::first(people().1, [7; 32]);
        let text = ring().write_refresh(&first);
        assert!(ring().read_refresh(&text) == Some(first));
        assert!(Keyring::derive(b"other").read_refresh(&text).is_none());
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(ring().read_refresh(&changed).is_none(), "changed at {place}");
        }
        assert!(ring().read_refresh("").is_none() && ring().read_refresh(&(text + "A")).is_none());
    }
}
