//! Whether an ID token was signed by a key that its provider publishes. Pure.
//!
//! The algorithms are a list of ours: nothing that a token or a provider says adds `none`, or one whose key is a shared secret. A key
//! is for the algorithms of its kind alone, and for the one it names if it names one.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;

use super::fault::Fault;

/// A provider has two or three.
const MOST_KEYS: usize = 64;
/// RSA keys of 2,048 to 8,192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Coordinates of P-256 and keys of Ed25519.
const CURVE_BYTES: usize = 32;

/// The keys of a provider that can be used.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    kind: Kind,
    verifying: DecodingKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    Ed25519,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads a JSON Web Key Set (RFC 7517). Keys that are for something else, of another kind or too weak are left out, as it wants.
    pub fn read(json: &[u8]) -> Option<Self> {
        let published: Published = serde_json::from_slice(json).ok()?;
        let keys = published.keys.into_iter().take(MOST_KEYS);
        Some(Self(keys.filter_map(|key| Key::of(serde_json::from_value(key).ok()?)).collect()))
    }

    /// Says whether there is a key that a token can be signed by.
    pub fn know(&self, token: &Signed<'_>) -> bool {
        self.find(token).is_some()
    }

    /// Returns the claims of a token that one of the keys signed.
    pub fn verify<'a>(&self, token: &'a Signed<'_>) -> Result<&'a [u8], Fault> {
        let key = self.find(token).ok_or(Fault::Key)?;
        let signed =
            crypto::verify(token.signature, token.message.as_bytes(), &key.verifying, token.algorithm);
        if matches!(signed, Ok(true)) { Ok(&token.claims) } else { Err(Fault::Signature) }
    }

    /// Returns the key that a token names; of a token that names none the only one that it can be.
    fn find(&self, token: &Signed<'_>) -> Option<&Key> {
        let mut fitting = self.0.iter().filter(|key| key.is_for(token));
        let first = fitting.next();
        if token.header.kid.is_none() && fitting.next().is_some() { None } else { first }
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let Jwk { kty, usage, alg, kid, crv, n, e, x, y } = jwk;
        if usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
        let (kind, verifying) = match (&*kty, crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (n?, e?);
                if !RSA_BYTES.contains(&bytes(&n)) || !(1..=4).contains(&bytes(&e)) {
                    return None;
                }
                (Kind::Rsa, DecodingKey::from_rsa_components(&n, &e))
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (x?, y?);
                if bytes(&x) != CURVE_BYTES || bytes(&y) != CURVE_BYTES {
                    return None;
                }
                (Kind::P256, DecodingKey::from_ec_components(&x, &y))
            }
            ("OKP", Some("Ed25519")) => {
                let x = x?;
                if bytes(&x) != CURVE_BYTES {
                    return None;
                }
                (Kind::Ed25519, DecodingKey::from_ed_components(&x))
            }
            _ => return None,
        };
        Some(Self { id: kid, algorithm: alg, kind, verifying: verifying.ok()? })
    }

    fn is_for(&self, token: &Signed<'_>) -> bool {
        let named = token.header.kid.is_none() || token.header.kid == self.id;
        let own = self.algorithm.as_ref().is_none_or(|own| *own == token.header.alg);
        named && own && self.kind == kind_of(token.algorithm)
    }
}

const fn kind_of(algorithm: Algorithm) -> Kind {
    match algorithm {
        Algorithm::ES256 => Kind::P256,
        Algorithm::EdDSA => Kind::Ed25519,
        _ => Kind::Rsa,
    }
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// A token in its parts; whether it was signed is still to be seen.
#[derive(Debug)]
pub struct Signed<'a> {
    header: Header,
    /// What it says it was signed by: one of ours.
    pub algorithm: Algorithm,
    message: &'a str,
    signature: &'a str,
    claims: Vec<u8>,
}

impl<'a> Signed<'a> {
    /// Takes a token apart. Refused are algorithms that are not on the list, tokens of another type, and what says that it must not be
    /// read without knowing more.
    pub fn read(token: &'a str) -> Result<Self, Fault> {
        let (message, signature) = token.rsplit_once('.').ok_or(Fault::Form)?;
        let (header, claims) = message.split_once('.').ok_or(Fault::Form)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Form);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Fault::Form)?;
        let claims = decoded(claims)?;
        let algorithm = match &*header.alg {
            "RS256" => Algorithm::RS256,
            "PS256" => Algorithm::PS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(Fault::Algorithm),
        };
        let other = header.typ.as_ref().is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT"));
        if other || header.crit.is_some() {
            return Err(Fault::Form);
        }
        Ok(Self { header, algorithm, message, signature, claims })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(header: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(header), part(&json!({})))
    }

    #[test]
    fn what_a_header_says_is_held_against_a_list() {
        for (header, fault) in [
            (json!({"alg": "RS256"}), None),
            (json!({"alg": "PS256", "typ": "jwt"}), None),
            (json!({"alg": "ES256", "typ": "JWT", "kid": "a"}), None),
            (json!({"alg": "EdDSA"}), None),
            (json!({"alg": "none"}), Some(Fault::Algorithm)),
            (json!({"alg": "None"}), Some(Fault::Algorithm)),
            (json!({"alg": ""}), Some(Fault::Algorithm)),
            (json!({"alg": "HS256"}), Some(Fault::Algorithm)),
            (json!({"alg": "ES256K"}), Some(Fault::Algorithm)),
            (json!({"alg": "RS1"}), Some(Fault::Algorithm)),
            (json!({"alg": "ES256", "typ": "at+jwt"}), Some(Fault::Form)),
            (json!({"alg": "ES256", "crit": ["b64"]}), Some(Fault::Form)),
            (json!({"alg": 7}), Some(Fault::Form)),
            (json!({}), Some(Fault::Form)),
        ] {
            assert_eq!(Signed::read(&token(&header)).err(), fault, "{header}");
        }
        for text in ["", ".", "..", "a.b", "a.b.c", "e30.e30.", "e30"] {
            assert_eq!(Signed::read(text).err(), Some(Fault::Form), "{text}");
        }
    }

    #[test]
    fn a_key_is_taken_for_what_it_is_for_and_if_it_is_strong() {
        let long = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0x81; bytes]);
        let rsa = |bytes: usize| json!({"kty": "RSA", "kid": "a", "n": long(bytes), "e": "AQAB"});
        let mut for_encryption = rsa(256);
        for_encryption["use"] = json!("enc");
        let mut of_one = rsa(256);
        of_one["alg"] = json!("PS256");
        let curve = |crv: &str, bytes: usize| json!({"kty": "EC", "kid": "a", "crv": crv, "x": long(bytes), "y": long(bytes)});
        let okp = |crv: &str, bytes: usize| json!({"kty": "OKP", "kid": "a", "crv": crv, "x": long(bytes)});
        for (key, alg, known) in [
            (rsa(256), "RS256", true),
            (rsa(256), "PS256", true),
            (rsa(256), "ES256", false),
            (rsa(128), "RS256", false),
            (rsa(1025), "RS256", false),
            (for_encryption, "RS256", false),
            (of_one.clone(), "PS256", true),
            (of_one, "RS256", false),
            (curve("P-256", 32), "ES256", true),
            (curve("P-256", 32), "RS256", false),
            (curve("P-256", 31), "ES256", false),
            (curve("secp256k1", 32), "ES256", false),
            (okp("Ed25519", 32), "EdDSA", true),
            (okp("Ed448", 57), "EdDSA", false),
            (okp("X25519", 32), "EdDSA", false),
            (json!({"kty": "oct", "kid": "a", "k": long(32)}), "RS256", false),
            (json!({"kty": "RSA", "kid": "a"}), "RS256", false),
            (json!("key"), "RS256", false),
        ] {
            let set = json!({"keys": [key]});
            let keys = Keys::read(set.to_string().as_bytes()).expect("a set");
            for (kid, known) in [(json!("a"), known), (json!("b"), false), (Value::Null, known)] {
                let token = token(&json!({"alg": alg, "kid": kid}));
                assert_eq!(keys.know(&Signed::read(&token).expect("a token")), known, "{set} {alg} {kid}");
            }
        }
        let two = json!({"keys": [rsa(256), rsa(257)]});
        let keys = Keys::read(two.to_string().as_bytes()).expect("a set");
        let unnamed = token(&json!({"alg": "RS256"}));
        assert!(!keys.know(&Signed::read(&unnamed).expect("a token")), "it may be either");
        for nonsense in ["", "[]", "{}", "{\"keys\": 7}"] {
            assert!(Keys::read(nonsense.as_bytes()).is_none(), "{nonsense}");
        }
    }
}
