//! The two tokens of a session, both made from `JWT_SECRET`. Changing it signs everybody out, unless the one before it stays good for
//! a while (`JWT_SECRET_PREVIOUS`, `linkforty secret rotate`).
//!
//! The **access token** is a JWT (RFC 9068) signed with Ed25519. There is one algorithm, and every key is known by its id: nothing in a
//! token's header chooses another. Where the operator brings keys of their own (`JWT_KEY`), the first of them signs and all of them are
//! believed.
//!
//! The **refresh token** is opaque: the session's id, 32 secret bytes, and a tag, so that a token of ours is told from
//! an invented one without a query. The first secret of a session is random; each next one is a keyed hash of the one
//! before it. So everybody who presents the same token within its time, after a lost answer or from two windows at once,
//! gets the same next one, and a session has one line of tokens however its refreshes race.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::Duration;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::{
    digest, hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::{Moment, from_micros},
    config::{Secrets, ed25519_keys},
    error::{Error, Result},
    ids::{Ids, SessionId, UserId, parse},
    sealing,
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
    /// The first signs, all of them are believed.
    access: Vec<AccessKey>,
    /// The first writes, all of them are read.
    refresh: Vec<RefreshKeys>,
}

struct AccessKey {
    signing: EncodingKey,
    verifying: DecodingKey,
    id: String,
}

struct RefreshKeys {
    next: hmac::Key,
    tag: hmac::Key,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A refresh token that this server made, or one with its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session it belongs to.
    pub session: SessionId,
    secret: [u8; 32],
    /// Which keys of the ring wrote it.
    keys: usize,
}

impl Keyring {
    /// Returns the ring of a node's secrets; nodes that share them read each other's tokens.
    pub fn of(secrets: &Secrets) -> Self {
        let mut ring = Self::derive(secrets.jwt.expose_secret().as_bytes());
        if let Some(previous) = &secrets.jwt_previous {
            let previous = Self::derive(previous.expose_secret().as_bytes());
            ring.access.extend(previous.access);
            ring.refresh.extend(previous.refresh);
        }
        // The settings were read, so they are keys. Tokens that were signed before there were any are believed until they end.
        let own =
            secrets.jwt_keys.iter().flat_map(|pem| ed25519_keys(pem.expose_secret()).unwrap_or_default());
        let own: Vec<AccessKey> = own.filter_map(|pkcs8| AccessKey::of(&pkcs8)).collect();
        ring.access.splice(..0, own);
        ring
    }

    /// Derives the keys from one secret.
    pub fn derive(secret: &[u8]) -> Self {
        let key = |purpose: &[u8]| sealing::derive(b"linkforty session tokens v1", secret, purpose);
        let seed = key(b"access token ed25519 seed");
        Self {
            access: vec![AccessKey::of(&pkcs8(&seed)).expect("every 32 bytes are a seed")],
            refresh: vec![RefreshKeys {
                next: hmac::Key::new(hmac::HMAC_SHA256, &key(b"refresh token next")),
                tag: hmac::Key::new(hmac::HMAC_SHA256, &key(b"refresh token tag")),
            }],
        }
    }

    /// Makes an access token, which ends with the session at the latest, and says when that is. `id` is the token's own.
    pub fn access(
        &self,
        (user, session, id): (UserId, SessionId, Uuid),
        session_end: Moment,
        now: Moment,
    ) -> Result<(String, Moment)> {
        let exp = session_end.min(now + ACCESS_LIFE).timestamp();
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: session.to_string(),
            jti: id.to_string(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp,
        };
        let key = &self.access[0];
        let header =
            Header { typ: Some(TYPE.into()), kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &key.signing).map_err(Error::internal)?;
        Ok((token, from_micros(exp.saturating_mul(1_000_000))))
    }

    /// Reads an access token; `None` unless it is ours, whole, begun and not over.
    pub fn read_access(&self, token: &str, now: Moment) -> Option<(UserId, SessionId)> {
        let named = jsonwebtoken::decode_header(token).ok()?.kid?;
        let key = self.access.iter().find(|key| key.id == named)?;
        let mut wanted = Validation::new(Algorithm::EdDSA);
        wanted.set_issuer(&[ISSUER]);
        wanted.set_audience(&[AUDIENCE]);
        wanted.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // The library asks the machine's clock; we ask ours, below.
        wanted.validate_exp = false;
        let read = jsonwebtoken::decode::<Claims>(token, &key.verifying, &wanted).ok()?;
        let ours = read.header.typ.as_deref() == Some(TYPE);
        let begun = now.timestamp() >= read.claims.nbf.saturating_sub(LEEWAY_SECONDS);
        let over = now.timestamp() >= read.claims.exp.saturating_add(LEEWAY_SECONDS);
        if !ours || !begun || over {
            return None;
        }
        Some((UserId(parse(&read.claims.sub)?), SessionId(parse(&read.claims.sid)?)))
    }

    /// Returns the refresh token that follows `token`: the same one whenever it is asked for, since the keys that wrote a token make the
    /// next one, also when others have come since.
    pub fn next(&self, token: &RefreshToken) -> RefreshToken {
        let secret = hmac::sign(&self.refresh[token.keys].next, &token.bytes());
        let secret = secret.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes");
        RefreshToken { session: token.session, secret, keys: 0 }
    }

    /// Writes a refresh token as clients hold it.
    pub fn write_refresh(&self, token: &RefreshToken) -> String {
        let mut bytes = token.bytes().to_vec();
        let tag = hmac::sign(&self.refresh[0].tag, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a refresh token; `None` unless it was written with these keys.
    pub fn read_refresh(&self, text: &str) -> Option<RefreshToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, given) = bytes.split_at_checked(48)?;
        let wrote = |keys: &RefreshKeys| {
            let tag = hmac::sign(&keys.tag, content);
            bool::from(subtle::ConstantTimeEq::ct_eq(&tag.as_ref()[..TAG], given))
        };
        let keys = self.refresh.iter().position(wrote)?;
        let (session, secret) = content.split_at_checked(16)?;
        Some(RefreshToken {
            session: SessionId(Uuid::from_slice(session).ok()?),
            secret: secret.try_into().ok()?,
            keys,
        })
    }
}

impl AccessKey {
    /// Reads an Ed25519 key in PKCS#8.
    fn of(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
        let public = pair.public_key().as_ref();
        Some(Self {
            signing: EncodingKey::from_ed_der(pkcs8),
            verifying: DecodingKey::from_ed_der(public),
            id: URL_SAFE_NO_PAD.encode(&digest::digest(&digest::SHA256, public).as_ref()[..9]),
        })
    }
}

impl RefreshToken {
    /// Returns the first token of a session.
    pub fn first(session: SessionId, secret: [u8; 32]) -> Self {
        Self { session, secret, keys: 0 }
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

/// Writes a new Ed25519 key as the settings take it.
pub fn new_key(ids: &Ids) -> String {
    let body = STANDARD.encode(pkcs8(&ids.bytes()));
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// Writes an Ed25519 seed as a PKCS#8 version 1 document (RFC 8410, section 7), the form the JWT library wants.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [HEAD.as_slice(), seed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ring.access((user, session, Uuid::nil()), now() + Duration::days(1), now()).expect("signs").0
    }

    /// Signs a token of another shape with the right key.
    fn forged(change: impl FnOnce(&mut Header, &mut Claims)) -> String {
        let (user, session) = people();
        let mut header =
            Header { typ: Some(TYPE.into()), kid: Some(key_id()), ..Header::new(Algorithm::EdDSA) };
        let mut claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: session.to_string(),
            jti: String::new(),
            iat: now().timestamp(),
            nbf: now().timestamp(),
            exp: now().timestamp() + 600,
        };
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &ring().access[0].signing).expect("signs")
    }

    fn key_id() -> String {
        ring().access[0].id.clone()
    }

    fn secrets(jwt: &str, previous: Option<&str>, keys: Option<&str>) -> Secrets {
        Secrets {
            jwt: jwt.into(),
            jwt_previous: previous.map(Into::into),
            jwt_keys: keys.map(Into::into),
            session: "another".into(),
        }
    }

    /// Nodes get the new secret one after the other: first all of them believe it, then it signs, then the old one goes.
    #[test]
    fn a_secret_is_changed_without_signing_anybody_out() {
        let steps = [("old", None), ("old", Some("new")), ("new", Some("old")), ("new", None)];
        let rings = steps.map(|(jwt, previous)| Keyring::of(&secrets(jwt, previous, None)));
        // Two steps that nodes can be in at the same time.
        for pair in rings.windows(2) {
            for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                assert_eq!(to.read_access(&token(from), now()), Some(people()));
                let text = from.write_refresh(&RefreshToken::first(people().1, [7; 32]));
                let (here, there) = (from.read_refresh(&text), to.read_refresh(&text));
                let (here, there) = (here.expect("its own"), there.expect("the other's"));
                assert_eq!(here.hash(), there.hash());
                assert_eq!(from.next(&here).hash(), to.next(&there).hash(), "one line of tokens");
            }
        }
        assert_eq!(rings[3].read_access(&token(&rings[0]), now()), None);
        assert!(
            rings[3]
                .read_refresh(&rings[0].write_refresh(&RefreshToken::first(people().1, [7; 32])))
                .is_none()
        );
    }

    #[test]
    fn the_first_key_of_the_operator_signs_and_all_are_believed() {
        let ids = Ids::seeded(9);
        let (one, two) = (new_key(&ids), new_key(&ids));
        let first = Keyring::of(&secrets("secret", None, Some(&format!("{one}{two}"))));
        let turned = Keyring::of(&secrets("secret", None, Some(&format!("{two}{one}"))));
        assert_ne!(first.access[0].id, turned.access[0].id);
        assert_eq!(turned.read_access(&token(&first), now()), Some(people()));
        assert_eq!(
            first.read_access(&token(&ring()), now()),
            Some(people()),
            "signed before there were keys"
        );
        assert_eq!(ring().read_access(&token(&first), now()), None);
        for wrong in ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(ed25519_keys(wrong).is_err(), "{wrong:?}");
        }
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
        let (token, end) = ring().access((user, session, Uuid::nil()), soon, now()).expect("signs");
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
            ("nbf", forged(|_, claims| claims.nbf = now().timestamp() + 6)),
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
        let header = Header { typ: Some(TYPE.into()), kid: Some(key_id()), ..Header::new(Algorithm::HS256) };
        let public = ring().access[0].verifying.try_get_as_bytes().expect("bytes").to_vec();
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
