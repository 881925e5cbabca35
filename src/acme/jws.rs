//! Keys of accounts, and messages signed with them (RFC 7515, as RFC 8555 6.2 narrows it: ES256, flattened).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest, hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

/// The length of a coordinate on P-256.
const COORDINATE: usize = 32;

/// Returns bytes as JSON carries them here.
pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key of an account.
#[derive(Debug)]
pub struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Key {
    /// Makes a key and returns it as PKCS #8, to be kept.
    pub fn generate() -> Vec<u8> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .expect("the machine has randomness")
            .as_ref()
            .to_vec()
    }

    /// Reads a key that was kept.
    pub fn read(pkcs8: &[u8]) -> Option<Self> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).ok()?;
        Some(Self { pair, random })
    }

    /// Returns what proves, to who knows the account, that a challenge's token was meant for it (RFC 8555 8.1).
    pub fn authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }

    /// Returns the two coordinates of the public key.
    fn coordinates(&self) -> (String, String) {
        // An uncompressed point begins with a byte that says so.
        let point = &self.pair.public_key().as_ref()[1..];
        (encoded(&point[..COORDINATE]), encoded(&point[COORDINATE..]))
    }

    fn public(&self) -> Value {
        let (x, y) = self.coordinates();
        json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y })
    }

    /// Returns the thumbprint of the public key (RFC 7638): of its members in the order of their names, without spaces.
    fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        encoded(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&self.random, message).expect("the machine has randomness").as_ref().to_vec()
    }
}

/// Who signs.
pub(super) enum Signer<'a> {
    /// Somebody who shows the key: there is no account yet.
    Key(&'a Key),
    /// An account, by its URL.
    Account(&'a Key, &'a str),
}

impl Signer<'_> {
    /// Signs a payload, or the wish to see what is at the URL.
    pub(super) fn sign(&self, nonce: &str, url: &str, payload: Option<&Value>) -> Value {
        let (key, head) = match self {
            Self::Key(key) => {
                (key, json!({ "alg": "ES256", "jwk": key.public(), "nonce": nonce, "url": url }))
            }
            Self::Account(key, kid) => {
                (key, json!({ "alg": "ES256", "kid": kid, "nonce": nonce, "url": url }))
            }
        };
        flattened(&head, payload, |message| key.sign(message))
    }
}

/// An account that the operator has with the authority otherwise (RFC 8555 7.3.4).
pub struct ExternalAccount {
    id: String,
    key: hmac::Key,
}

impl std::fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalAccount").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ExternalAccount {
    /// Returns the account of an id and a key as authorities hand it out, in base64url; `None`: the key is none.
    pub fn new(id: &str, key: &str) -> Option<Self> {
        let key = URL_SAFE_NO_PAD.decode(key.trim_end_matches('=')).ok().filter(|key| !key.is_empty())?;
        Some(Self { id: id.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// Binds a key to the account.
    pub(super) fn bind(&self, key: &Key, url: &str) -> Value {
        let head = json!({ "alg": "HS256", "kid": self.id, "url": url });
        flattened(&head, Some(&key.public()), |message| hmac::sign(&self.key, message).as_ref().to_vec())
    }
}

fn flattened(head: &Value, payload: Option<&Value>, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Value {
    let head = encoded(head.to_string().as_bytes());
    let payload = payload.map(|payload| encoded(payload.to_string().as_bytes())).unwrap_or_default();
    let signature = encoded(&sign(format!("{head}.{payload}").as_bytes()));
    json!({ "protected": head, "payload": payload, "signature": signature })
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn decoded(value: &Value) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(value.as_str().expect("text")).expect("base64url")
    }

    #[test]
    fn what_is_signed_is_signed_by_the_key_that_it_shows() {
        let key = Key::read(&Key::generate()).expect("a key");
        let signed = Signer::Key(&key).sign("n1", "https://ca.test/new", Some(&json!({ "a": 1 })));
        let head: Value = serde_json::from_slice(&decoded(&signed["protected"])).expect("JSON");
        assert_eq!((&head["alg"], &head["nonce"]), (&json!("ES256"), &json!("n1")));
        assert_eq!(head["url"], "https://ca.test/new");
        let point = [&[4][..], &decoded(&head["jwk"]["x"]), &decoded(&head["jwk"]["y"])].concat();
        let message =
            format!("{}.{}", signed["protected"].as_str().unwrap(), signed["payload"].as_str().unwrap());
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(message.as_bytes(), &decoded(&signed["signature"]))
            .expect("the signature is the key's");
        assert_eq!(decoded(&signed["payload"]), br#"{"a":1}"#);

        let asked =
            Signer::Account(&key, "https://ca.test/acct/1").sign("n2", "https://ca.test/order/1", None);
        let head: Value = serde_json::from_slice(&decoded(&asked["protected"])).expect("JSON");
        assert_eq!((&head["kid"], head.get("jwk")), (&json!("https://ca.test/acct/1"), None));
        assert_eq!(asked["payload"], "");
    }

    #[test]
    fn a_key_that_was_kept_has_the_thumbprint_it_had() {
        let kept = Key::generate();
        let [first, second] = [(); 2].map(|()| Key::read(&kept).expect("a key").authorization("token"));
        assert_eq!(first, second);
        assert!(first.starts_with("token.") && first.len() == 6 + 43, "{first}");
        assert!(Key::read(b"no key").is_none());
    }

    #[test]
    fn an_external_account_vouches_for_the_key() {
        let key = Key::read(&Key::generate()).expect("a key");
        let external = ExternalAccount::new("kid-1", "c2VjcmV0LXNlY3JldA==").expect("a key of theirs");
        let bound = external.bind(&key, "https://ca.test/new");
        let head: Value = serde_json::from_slice(&decoded(&bound["protected"])).expect("JSON");
        assert_eq!(head, json!({ "alg": "HS256", "kid": "kid-1", "url": "https://ca.test/new" }));
        let message =
            format!("{}.{}", bound["protected"].as_str().unwrap(), bound["payload"].as_str().unwrap());
        hmac::verify(
            &hmac::Key::new(hmac::HMAC_SHA256, b"secret-secret"),
            message.as_bytes(),
            &decoded(&bound["signature"]),
        )
        .expect("the signature is theirs");
        assert!(ExternalAccount::new("kid-1", "?").is_none() && ExternalAccount::new("kid-1", "").is_none());
    }
}
