//! What must not stand in the database as it is, but is needed again: sealed under a key derived from `SESSION_SECRET`.
//!
//! A sealed text begins with the id of its key, so that one made under another secret is told from one that was changed, and carries a
//! nonce of its own. It opens only for the thing it was sealed for: copied into another row it is worth nothing.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hkdf,
};

use crate::ids::Ids;

const KEY_ID: usize = 4;

/// Derives a key of 32 bytes from a secret (HKDF-SHA-256, RFC 5869): another one for every family of keys and every purpose in it.
pub fn derive(family: &[u8], secret: &[u8], purpose: &[u8]) -> [u8; 32] {
    let root = hkdf::Salt::new(hkdf::HKDF_SHA256, family).extract(secret);
    let mut key = [0; 32];
    root.expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are not too many for HKDF-SHA256");
    key
}

/// A key for one purpose.
#[derive(Clone)]
pub struct Seal {
    id: [u8; KEY_ID],
    key: LessSafeKey,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// Derives the key of a purpose from a secret.
    pub fn derive(secret: &[u8], purpose: &str) -> Self {
        let key = derive(b"linkforty sealing v1", secret, purpose.as_bytes());
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest::digest(&digest::SHA256, &key).as_ref()[..KEY_ID]);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the key has the right length");
        Self { id, key: LessSafeKey::new(key) }
    }

    /// Seals `content` for the thing that `of` names.
    pub fn seal(&self, ids: &Ids, of: &[u8], content: &[u8]) -> Vec<u8> {
        let nonce = ids.bytes::<NONCE_LEN>();
        let mut sealed = content.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(of), &mut sealed)
            .expect("what is sealed is far from the longest text there may be");
        [&self.id[..], &nonce, &sealed].concat()
    }

    /// Opens what was sealed for the thing that `of` names; `None` if it was not, or under another key, or was changed.
    pub fn open(&self, of: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (id, rest) = sealed.split_at_checked(KEY_ID)?;
        let (nonce, content) = rest.split_at_checked(NONCE_LEN)?;
        if id != self.id {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut content = content.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(of), &mut content).ok()?.len();
        content.truncate(length);
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_thing_under_its_key_and_whole() {
        let (seal, ids) = (Seal::derive(b"secret", "test"), Ids::seeded(3));
        let sealed = seal.seal(&ids, b"row 1", b"content");
        assert!(!sealed.windows(7).any(|part| part == b"content"));
        assert_eq!(Seal::derive(b"secret", "test").open(b"row 1", &sealed).as_deref(), Some(&b"content"[..]));
        assert_ne!(seal.seal(&ids, b"row 1", b"content"), sealed, "each has a nonce of its own");
        assert_eq!(seal.open(b"row 2", &sealed), None);
        assert_eq!(Seal::derive(b"secret", "other").open(b"row 1", &sealed), None);
        assert_eq!(Seal::derive(b"other", "test").open(b"row 1", &sealed), None);
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(seal.open(b"row 1", &changed), None, "changed at {place}");
            assert_eq!(seal.open(b"row 1", &sealed[..place]), None, "cut at {place}");
        }
    }
}
