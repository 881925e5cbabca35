//! The key that Meta encrypts install referrers of an app with: read, and sealed while it is kept.

use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use secrecy::ExposeSecret as _;

use crate::{env::Env, ids::AppId, sealing::Seal};

/// How long a key is, in bytes: AES-256.
const LENGTH: usize = 32;

/// Reads a key as Meta's dashboard shows it; empty is none.
pub fn read(text: &str) -> Result<Option<Vec<u8>>, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let key = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().filter(|key| key.len() == LENGTH);
    key.map(Some).ok_or("must be 64 hexadecimal digits, or empty")
}

/// Seals a key for its app.
pub fn seal(env: &Env, app: AppId, key: &[u8]) -> Vec<u8> {
    of(env).0.seal(&env.ids, app.0.as_bytes(), key)
}

/// Opens the key of an app. `None`: it was sealed under another secret.
pub fn open(env: &Env, app: AppId, sealed: &[u8]) -> Option<Vec<u8>> {
    of(env).0.open(app.0.as_bytes(), sealed)
}

/// What keys are sealed under.
struct KeySeal(Seal);

fn of(env: &Env) -> Arc<KeySeal> {
    env.memory.of(|| {
        KeySeal(Seal::derive(env.secrets.session.expose_secret().as_bytes(), "keys of Meta's referrers"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        let text = "2575590594a9cd809e5bfacf397f8c1ac730dbc38a3e137ecd1ab66591c8c3c9";
        assert_eq!(read(text).map(|key| key.map(|key| key.len())), Ok(Some(32)));
        assert_eq!(read(&text.to_uppercase()), read(&format!(" {text}\n")));
        assert_eq!(read(""), Ok(None));
        for wrong in [&text[1..], &text[..32], "x", &text.replace('2', "g")] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
