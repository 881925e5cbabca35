//! An authenticator for one test, and the browser around it: it makes passkeys (ES256) and signs by them, and lies as it is told.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const CREDENTIAL_INCLUDED: u8 = 0x40;

/// The authenticator, with one passkey at a time.
pub struct Authenticator {
    /// The page that the browser shows.
    pub origin: String,
    /// The domain that it signs for.
    pub rp_id: String,
    /// Whether it makes sure who uses it.
    pub verifies: bool,
    /// How often it has signed.
    pub counter: u32,
    /// What it calls its passkey.
    pub credential_id: Vec<u8>,
    /// What it calls the person.
    pub user_handle: String,
    /// Its key.
    pub pair: EcdsaKeyPair,
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

impl Authenticator {
    /// Returns one that sits before the dashboard of the tests.
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random);
        let mut credential_id = vec![0; 32];
        random.fill(&mut credential_id).expect("random bytes");
        Self {
            origin: "https://dash.example.test".into(),
            rp_id: "dash.example.test".into(),
            verifies: true,
            counter: 0,
            credential_id,
            user_handle: String::new(),
            pair: pair.expect("its own"),
        }
    }

    /// Makes a passkey, as `navigator.credentials.create` does.
    pub fn create(&mut self, options: &str) -> Value {
        let options: Value = serde_json::from_str(options).expect("JSON");
        self.user_handle = options["user"]["id"].as_str().expect("a handle").to_owned();
        let public = &self.pair.public_key().as_ref()[1..];
        let id = &self.credential_id;
        let mut data = self.data(CREDENTIAL_INCLUDED);
        data.extend([0; 16]);
        data.extend(u16::try_from(id.len()).expect("a short id").to_be_bytes());
        data.extend(id);
        // A key of COSE (RFC 9053): EC2, ES256, P-256, x, y.
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&public[..32]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&public[32..]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).expect("a short text"));
        object.extend(&data);
        json!({
            "id": text(id), "rawId": text(id), "type": "public-key", "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(self.client_data("webauthn.create", &options)),
                "attestationObject": text(object),
                "transports": ["internal"],
            },
        })
    }

    /// Signs, as `navigator.credentials.get` does.
    pub fn get(&mut self, options: &str) -> Value {
        let options: Value = serde_json::from_str(options).expect("JSON");
        self.counter += 1;
        let client_data = self.client_data("webauthn.get", &options);
        let data = self.data(0);
        let signed = [data.clone(), sha256(client_data.as_bytes())].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).expect("signs");
        json!({
            "id": text(&self.credential_id), "rawId": text(&self.credential_id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(client_data),
                "authenticatorData": text(data),
                "signature": text(signature),
                "userHandle": self.user_handle,
            },
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let origin = &self.origin;
        json!({"type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": false})
            .to_string()
    }

    fn data(&self, more: u8) -> Vec<u8> {
        let verified = if self.verifies { USER_VERIFIED } else { 0 };
        let mut data = sha256(self.rp_id.as_bytes());
        data.push(USER_PRESENT | verified | more);
        data.extend(self.counter.to_be_bytes());
        data
    }
}
