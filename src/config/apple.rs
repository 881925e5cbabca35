//! Public keys that stand in for Apple's, so that postbacks can be made up where nobody is misled by them.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::reader::Reader;

/// How every `SubjectPublicKeyInfo` of a point on P-256 begins (RFC 5480); the uncompressed point follows.
const BEGINNING: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const POINT: usize = 65;

/// A public key of ECDSA on P-256: the uncompressed point. Read from what Apple publishes, the base64 of a `SubjectPublicKeyInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P256Key(pub [u8; POINT]);

/// A text that is no public key of P-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKey;

impl FromStr for P256Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let bytes = STANDARD.decode(text).map_err(|_| NoKey)?;
        let point = bytes.strip_prefix(&BEGINNING).ok_or(NoKey)?;
        let point: [u8; POINT] = point.try_into().map_err(|_| NoKey)?;
        if point[0] == 4 { Ok(Self(point)) } else { Err(NoKey) }
    }
}

impl Reader<'_> {
    pub(super) fn apple_stand_in_key(&mut self, production: bool) -> Option<P256Key> {
        let form = "the base64 of a public key of P-256 (SubjectPublicKeyInfo, DER)";
        let key = self.optional("APPLE_STAND_IN_KEY", form);
        if production && self.find("APPLE_STAND_IN_KEY").is_some() {
            self.problem("APPLE_STAND_IN_KEY is set: in production only Apple signs postbacks; take it away");
            return None;
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const APPLE: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWdp8GPcGqmhgzEFj9Z2nSpQVddayaPe4FMzqM9wib1+aHaaIzoHoLN9zW4K8y4SPykE3YVK3sVqW6Af0lfx3gg==";
    /// On P-192.
    const OTHER: &str = "MEkwEwYHKoZIzj0CAQYIKoZIzj0DAQEDMgAEMyHD625uvsmGq4C43cQ9BnfN2xslVT5V1nOmAMP6qaRRUll3PB1JYmgSm+62sosG";

    #[test]
    fn keys_of_other_curves_are_no_keys() {
        assert_eq!(APPLE.parse::<P256Key>().expect("a key").0[..3], [4, 0x59, 0xda]);
        for wrong in ["", "x", OTHER, &APPLE[..80], &APPLE.replace("QgAEW", "QgADW")] {
            assert_eq!(wrong.parse::<P256Key>(), Err(NoKey), "{wrong}");
        }
    }

    #[test]
    fn production_starts_with_no_stand_in() {
        let config = |stage: &'static str| {
            let lookup = move |name: &str| match name {
                "APP_ENV" => Some(stage.to_owned()),
                "APPLE_STAND_IN_KEY" => Some(APPLE.to_owned()),
                _ => None,
            };
            Config::from_lookup(&lookup)
        };
        assert!(config("development").expect("good settings").apple_stand_in_key.is_some());
        let refused = config("production").expect_err("is refused").to_string();
        assert!(refused.contains("APPLE_STAND_IN_KEY is set"), "{refused}");
    }
}
