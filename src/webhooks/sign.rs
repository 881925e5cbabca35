//! Signs what is told. Pure.
//!
//! Standard Webhooks 1.0: the id, the moment and the body, joined by dots, under HMAC-SHA256 (`v1`) or Ed25519 (`v1a`). One signature for each
//! secret that is valid, so that a receiver may take the new secret whenever it likes while both are.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};

/// What a secret looks like to people.
const SECRET: &str = "whsec_";
/// What a public key looks like to people.
const PUBLIC: &str = "whpk_";

/// Returns the value of `webhook-signature` under HMAC-SHA256: a signature for each key, the first key's first.
pub fn hmac<'a>(keys: impl IntoIterator<Item = &'a [u8]>, (id, seconds, body): (&str, i64, &[u8])) -> String {
    let content = content(id, seconds, body);
    joined(keys.into_iter().map(|key| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &content);
        format!("v1,{}", STANDARD.encode(tag))
    }))
}

/// The same under Ed25519; each key is a seed of 32 bytes, and one that is not is passed over.
pub fn ed25519<'a>(
    seeds: impl IntoIterator<Item = &'a [u8]>,
    (id, seconds, body): (&str, i64, &[u8]),
) -> String {
    let content = content(id, seconds, body);
    let pairs = seeds.into_iter().filter_map(|seed| Ed25519KeyPair::from_seed_unchecked(seed).ok());
    joined(pairs.map(|pair| format!("v1a,{}", STANDARD.encode(pair.sign(&content)))))
}

/// Returns the value of `X-LinkForty-Signature`: HMAC-SHA256 of the body under the secret as people see it, in hex. That header has room for one.
pub fn of_body(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    let mut text = String::from("sha256=");
    for byte in tag.as_ref() {
        write!(text, "{byte:02x}").expect("a text grows");
    }
    text
}

/// Returns a secret as people see it.
pub fn secret_text(key: &[u8]) -> String {
    format!("{SECRET}{}", STANDARD.encode(key))
}

/// Returns the public key of a seed as people see it; `None` if it is no seed.
pub fn public_key_text(seed: &[u8]) -> Option<String> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    Some(format!("{PUBLIC}{}", STANDARD.encode(pair.public_key())))
}

fn content(id: &str, seconds: i64, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", seconds.to_string().as_bytes(), b".", body].concat()
}

fn joined(signatures: impl Iterator<Item = String>) -> String {
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// The example that the specification's libraries are tested with.
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SECONDS: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn key() -> Vec<u8> {
        STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64")
    }

    #[test]
    fn the_published_vector_comes_out() {
        assert_eq!(
            hmac([&key()[..]], (ID, SECONDS, BODY)),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn each_valid_secret_signs() {
        let both = hmac([&[7; 32][..], &key()], (ID, SECONDS, BODY));
        let (first, second) = both.split_once(' ').expect("two of them");
        assert_eq!(first, hmac([&[7; 32][..]], (ID, SECONDS, BODY)));
        assert_eq!(second, hmac([&key()[..]], (ID, SECONDS, BODY)));
    }

    #[test]
    fn a_signature_is_of_the_id_the_moment_and_the_body() {
        let signed = hmac([&key()[..]], (ID, SECONDS, BODY));
        for other in
            [("msg_p5jXN8AQM9LWM0D4loKWxJel", SECONDS, BODY), (ID, SECONDS + 1, BODY), (ID, SECONDS, b"{}")]
        {
            assert_ne!(hmac([&key()[..]], other), signed, "{other:?}");
        }
    }

    #[test]
    fn whoever_has_the_public_key_can_check() {
        let seed = [3; 32];
        let signed = ed25519([&seed[..]], (ID, SECONDS, BODY));
        let signature = STANDARD.decode(signed.strip_prefix("v1a,").expect("its version")).expect("base64");
        let shown = public_key_text(&seed).expect("a seed");
        let public = STANDARD.decode(shown.strip_prefix("whpk_").expect("its mark")).expect("base64");
        let check = UnparsedPublicKey::new(&ED25519, public);
        check.verify(&content(ID, SECONDS, BODY), &signature).expect("it is signed");
        check.verify(&content(ID, SECONDS, b"{}"), &signature).expect_err("that is not");
        assert_eq!(ed25519([&seed[..31]], (ID, SECONDS, BODY)), "");
        assert_eq!(public_key_text(&[1]), None);
    }

    #[test]
    fn a_body_is_signed_for_receivers_of_before() {
        // RFC 4231, test case 2.
        assert_eq!(
            of_body("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(secret_text(&key()), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    }
}
