//! Recovery codes: what gets a person in who lost their authenticator app.
//!
//! Sixteen characters of 31, which are 79 bits: their hashes need no slow function.

use ring::digest;

use crate::ids::{Ids, UserId};

/// How many a person has.
pub const COUNT: usize = 10;
/// None that look alike.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS: usize = 4;
const GROUP: usize = 4;

/// Makes a person's codes, as they are shown.
pub fn make(ids: &Ids) -> Vec<String> {
    let code = |_| (0..GROUPS).map(|_| ids.text(ALPHABET, GROUP)).collect::<Vec<_>>().join("-");
    (0..COUNT).map(code).collect()
}

/// Returns what is stored of a code of a person, however they typed it.
pub fn hash(user: UserId, code: &str) -> Vec<u8> {
    let code: String = code.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"linkforty recovery code v1");
    hash.update(user.0.as_bytes());
    hash.update(code.as_bytes());
    hash.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn codes_differ_and_are_known_however_they_are_typed() {
        let ids = Ids::seeded(5);
        let codes = make(&ids);
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), 10);
        let (ann, bob) = (UserId::mint(&ids, from_micros(0)), UserId::mint(&ids, from_micros(0)));
        for code in &codes {
            assert_eq!(code.len(), 19, "{code}");
            let typed = format!(" {} ", code.to_uppercase().replace('-', " "));
            assert_eq!(hash(ann, code), hash(ann, &typed));
            assert_ne!(hash(ann, code), hash(bob, code));
        }
    }
}
