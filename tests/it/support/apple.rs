//! A key that stands in for Apple's, and postbacks signed by it.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        KeyPair as _,
    },
};
use serde_json::{Value, json};

/// Where devices send postbacks of SKAdNetwork.
pub const SKADNETWORK: &str = "/.well-known/skadnetwork/report-attribution/";
/// The same of AdAttributionKit.
pub const AD_ATTRIBUTION_KIT: &str = "/.well-known/appattribution/report-attribution/";
/// The App Store id of the advertised app.
pub const STORE_ID: u64 = 525_463_029;
/// How a public key on P-256 begins in DER, before the point.
const BEGINNING: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// Whoever signs as Apple does.
pub struct Apple {
    random: SystemRandom,
    key: Vec<u8>,
}

impl Apple {
    /// Makes a key.
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("makes one");
        Self { random, key: key.as_ref().to_vec() }
    }

    fn pair(&self, algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(algorithm, &self.key, &self.random).expect("it is a key")
    }

    /// Returns the public key as `APPLE_STAND_IN_KEY` takes it.
    pub fn setting(&self) -> String {
        let pair = self.pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let beginning = STANDARD.decode(BEGINNING).expect("base64");
        // The point begins with the 4 that is the last byte of the beginning.
        STANDARD.encode([&beginning[..26], pair.public_key().as_ref()].concat())
    }

    /// Signs a postback of SKAdNetwork.
    pub fn skan(&self, order: &[&str], mut fields: Value) -> Value {
        let text = |name: &&str| match &fields[*name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let text = order.iter().map(text).collect::<Vec<_>>().join("\u{2063}");
        let pair = self.pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let signature = pair.sign(&self.random, text.as_bytes()).expect("signs");
        fields["attribution-signature"] = STANDARD.encode(signature).into();
        fields
    }

    /// Signs a postback of AdAttributionKit under the key of a name.
    pub fn aak(&self, kid: &str, payload: &Value) -> Value {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&json!({ "alg": "ES256", "kid": kid })), encode(payload));
        let pair = self.pair(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let signature = pair.sign(&self.random, text.as_bytes()).expect("signs");
        let jws = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
        json!({ "jws-string": jws, "conversion-value": 24, "ad-interaction-type": "click", "country-code": "CH" })
    }

    /// Returns a postback of SKAdNetwork 4 with its own transaction, and what is changed of it before it is signed.
    pub fn skan4(&self, transaction: &str, changes: &Value) -> Value {
        let mut fields = json!({
            "version": "4.0", "ad-network-id": "example123.skadnetwork", "source-identifier": "5239", "app-id": STORE_ID,
            "transaction-id": transaction, "redownload": false, "source-app-id": 1_234_567_891_u64, "fidelity-type": 1,
            "did-win": true, "postback-sequence-index": 0,
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            fields[name] = value.clone();
        }
        let order: Vec<&str> = SKAN4.iter().copied().filter(|name| !fields[*name].is_null()).collect();
        let mut signed = self.skan(&order, fields);
        if let Some(fields) = signed.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        signed
    }
}

/// The order of SKAdNetwork 4.
const SKAN4: [&str; 11] = [
    "version",
    "ad-network-id",
    "source-identifier",
    "app-id",
    "transaction-id",
    "redownload",
    "source-app-id",
    "source-domain",
    "fidelity-type",
    "did-win",
    "postback-sequence-index",
];
