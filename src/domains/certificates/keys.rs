//! Keys, requests and certificates, as they are sealed, sent and shown.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use ring::digest;
use rustls::{
    crypto::ring::{default_provider, sign::any_supported_type},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;

use crate::{clock::Moment, env::Env, outbound::Certificate, sealing::Seal};

/// Certificates of one chain that are read.
const CHAIN: usize = 10;

struct Sealing(Seal);

fn sealing(env: &Env) -> std::sync::Arc<Sealing> {
    env.memory.of(|| {
        let secret = env.secrets.session.expose_secret().as_bytes();
        Sealing(Seal::derive(secret, "keys of certificates"))
    })
}

/// Seals a key for what `of` names.
pub(super) fn seal(env: &Env, of: &str, key: &[u8]) -> Vec<u8> {
    sealing(env).0.seal(&env.ids, of.as_bytes(), key)
}

/// Opens a key; `None`: it was sealed for something else, or under another `SESSION_SECRET`.
pub(super) fn open(env: &Env, of: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    sealing(env).0.open(of.as_bytes(), sealed)
}

/// Names the key of an account.
pub(super) fn of_account(directory: &str) -> String {
    format!("account {directory}")
}

/// Names the key of an order.
pub(super) fn of_order(host: &str) -> String {
    format!("order {host}")
}

/// Names the key of a certificate.
pub(super) fn of_certificate(host: &str) -> String {
    format!("certificate {host}")
}

/// Makes a key for a certificate, on P-256: PKCS #8.
pub(super) fn generate() -> Option<Vec<u8>> {
    KeyPair::generate().ok().map(|pair| pair.serialize_der())
}

/// Returns the request for a certificate of a host (PKCS #10).
pub(super) fn request(host: &str, key: &[u8]) -> Option<Vec<u8>> {
    let pair = KeyPair::try_from(&PrivatePkcs8KeyDer::from(key)).ok()?;
    let mut wanted = CertificateParams::new([host.to_owned()]).ok()?;
    // The host stands among the names; the rest nobody reads.
    wanted.distinguished_name = DistinguishedName::new();
    wanted.serialize_request(&pair).ok().map(|request| request.der().to_vec())
}

/// Returns what is shown in handshakes; `None`: chain and key do not belong together, or cannot be read.
pub(super) fn certified(chain: &str, key: &[u8]) -> Option<CertifiedKey> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).take(CHAIN).collect::<Result<_, _>>().ok()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    CertifiedKey::from_der(chain, key, &default_provider()).ok()
}

/// Says what a certificate that an authority sent says of itself, or why it is none for a host.
pub(super) fn check(host: &str, chain: &str, key: &[u8], now: Moment) -> Result<Certificate, &'static str> {
    let certified = certified(chain, key).ok_or("it is not for the key that was sent")?;
    let own = certified.end_entity_cert().map_err(|_| "there is none")?;
    let read = Certificate::read(own).ok_or("it cannot be read")?;
    if !read.names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Err("it is for another host");
    }
    if read.not_after <= now || read.not_after <= read.not_before {
        return Err("it is over already");
    }
    Ok(read)
}

/// Returns the certificate that proves a host (RFC 8737): signed by itself, with a digest of the answer.
pub(super) fn answering(host: &str, answer: &str) -> Option<CertifiedKey> {
    let pair = KeyPair::generate().ok()?;
    let mut wanted = CertificateParams::new([host.to_owned()]).ok()?;
    let digest = digest::digest(&digest::SHA256, answer.as_bytes());
    wanted.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let own = wanted.self_signed(&pair).ok()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    // Unchecked: it has a critical extension, which nobody knows who shakes hands for anything else.
    Some(CertifiedKey::new(vec![own.der().clone()], any_supported_type(&key).ok()?))
}

#[cfg(test)]
mod tests {
    use rcgen::date_time_ymd;

    use super::*;
    use crate::clock::from_micros;

    fn signed(host: &str, key: &[u8]) -> String {
        let pair = KeyPair::try_from(&PrivatePkcs8KeyDer::from(key)).expect("a key");
        let mut wanted = CertificateParams::new([host.to_owned()]).expect("a name");
        (wanted.not_before, wanted.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 4, 1));
        wanted.self_signed(&pair).expect("signs").pem()
    }

    #[test]
    fn a_certificate_is_good_for_its_host_its_key_and_its_time() {
        let (key, other) = (generate().expect("a key"), generate().expect("a key"));
        let chain = signed("go.shop.test", &key);
        let now = from_micros(1_769_904_000_000_000);
        let read = check("go.shop.test", &chain, &key, now).expect("it is good");
        assert_eq!(read.not_after.to_rfc3339(), "2026-04-01T00:00:00+00:00");
        for (host, chain, key, now, wrong) in [
            ("a.shop.test", &*chain, &key, now, "it is for another host"),
            ("go.shop.test", &chain, &other, now, "it is not for the key that was sent"),
            ("go.shop.test", &chain, &key, read.not_after, "it is over already"),
            ("go.shop.test", "", &key, now, "it is not for the key that was sent"),
            (
                "go.shop.test",
                "-----BEGIN CERTIFICATE-----\n",
                &key,
                now,
                "it is not for the key that was sent",
            ),
        ] {
            assert_eq!(check(host, chain, key, now).expect_err(wrong), wrong);
        }
    }

    #[test]
    fn a_request_names_its_host_and_nothing_else() {
        let request = request("go.shop.test", &generate().expect("a key")).expect("a request");
        let text = String::from_utf8_lossy(&request);
        assert!(text.contains("go.shop.test") && !text.contains("rcgen"), "{text}");
    }

    #[test]
    fn an_answer_holds_the_digest_of_what_was_asked() {
        let answer = answering("go.shop.test", "token.thumbprint").expect("an answer");
        let own = answer.end_entity_cert().expect("one");
        let digest = digest::digest(&digest::SHA256, b"token.thumbprint");
        assert!(own.windows(32).any(|part| part == digest.as_ref()));
        assert_eq!(Certificate::read(own).expect("it can be read").names, ["go.shop.test"]);
    }
}
