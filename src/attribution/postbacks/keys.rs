//! The keys that Apple signs postbacks with. Pure.
//!
//! They are constants: Apple publishes them on the pages below and has changed none since 2021. `APPLE_STAND_IN_KEY` is believed besides them, each as
//! the other's equal; production does not start with it.

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey, VerificationAlgorithm,
};

use crate::config::{Config, P256Key};

/// SKAdNetwork from 2.1 on, and AdAttributionKit under `apple-cas-identifier/0`.
/// <https://developer.apple.com/documentation/storekit/verifying-an-install-validation-postback>
const PRODUCTION: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWdp8GPcGqmhgzEFj9Z2nSpQVddayaPe4FMzqM9wib1+aHaaIzoHoLN9zW4K8y4SPykE3YVK3sVqW6Af0lfx3gg==";
/// AdAttributionKit on devices of developers: ads that are shown and tapped there.
/// <https://developer.apple.com/documentation/adattributionkit/verifying-a-postback>
const DEVELOPMENT_0: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELeEDzpJEP+/qRSE5hJVC1p1J0ssUnQGMzBBbvnACBok8OVGGLgxL0myrKiy6lvRtSlLRsWit87i+vftD8AEqeQ==";
/// The same: postbacks that are made in the settings for developers.
const DEVELOPMENT_1: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YzdO7eM97s/IJ25kdW5CZ3A14USE5IJ5Ha/vhWaxI6UBI1ZxCEvjrKxVluVGe6qWwF1BDFq+QHqKfH5u+wxHQ==";

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// DER, as SKAdNetwork has it.
    Der,
    /// r and s, 32 bytes each, as JSON Web Signatures have it.
    Raw,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Real installs.
    Production,
    /// Those of developers.
    Development,
}

/// The keys that are believed.
#[derive(Debug)]
pub struct Keys {
    production: Vec<P256Key>,
    development: [Vec<P256Key>; 2],
}

impl Keys {
    /// Returns Apple's keys, and the one that stands in for them if there is one.
    pub fn of(config: &Config) -> Self {
        Self::with(config.apple_stand_in_key)
    }

    /// Returns Apple's keys and another one that is as good.
    pub fn with(other: Option<P256Key>) -> Self {
        let keys = |text: &str| {
            let key: P256Key = text.parse().expect("Apple's keys are points on P-256: a test reads them");
            other.into_iter().chain([key]).collect()
        };
        Self { production: keys(PRODUCTION), development: [keys(DEVELOPMENT_0), keys(DEVELOPMENT_1)] }
    }

    /// Says whether Apple signed a text of SKAdNetwork.
    pub fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        verifies(&self.production, Form::Der, text, signature)
    }

    /// Returns what the key is for that has a name; `None`: no key of Apple's has it.
    pub fn named(&self, name: &str) -> Option<Named<'_>> {
        let (purpose, keys) = match name {
            "apple-cas-identifier/0" => (Purpose::Production, &self.production),
            "apple-development-identifier/0" => (Purpose::Development, &self.development[0]),
            "apple-development-identifier/1" => (Purpose::Development, &self.development[1]),
            _ => return None,
        };
        Some(Named { purpose, keys })
    }
}

/// The key of a name.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// What it is for.
    pub purpose: Purpose,
    keys: &'a [P256Key],
}

impl Named<'_> {
    /// Says whether it signed a text.
    pub fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        verifies(self.keys, Form::Raw, text, signature)
    }
}

fn verifies(keys: &[P256Key], form: Form, text: &[u8], signature: &[u8]) -> bool {
    let algorithm: &'static dyn VerificationAlgorithm = match form {
        Form::Der => &ECDSA_P256_SHA256_ASN1,
        Form::Raw => &ECDSA_P256_SHA256_FIXED,
    };
    keys.iter().any(|key| UnparsedPublicKey::new(algorithm, key.0).verify(text, signature).is_ok())
}
