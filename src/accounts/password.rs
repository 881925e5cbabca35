//! Passwords of people: which are accepted. `hashing` says how they are kept.

use super::common::is_common;
use crate::{
    env::Env,
    error::Result,
    hashing::{self, Whose},
    ids::Ids,
};

const MIN_CHARACTERS: usize = 15;
const MAX_CHARACTERS: usize = 256;
/// Characters of a password we make: none that look alike.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const MADE_CHARACTERS: usize = 20;

/// Says everything that is wrong with a new password; nothing wrong, no lines.
pub fn faults(new: &str, email: &str, current: Option<&str>) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let characters = new.chars().count();
    if characters < MIN_CHARACTERS {
        faults.push("must have at least 15 characters");
    }
    if characters > MAX_CHARACTERS {
        faults.push("must have at most 256 characters");
    }
    if new.trim().to_lowercase() == email {
        faults.push("must not be the e-mail");
    }
    if current == Some(new) {
        faults.push("must not be the current password");
    }
    if characters <= MAX_CHARACTERS && is_common(new) {
        faults.push("must not be a commonly used password");
    }
    faults
}

/// Makes a random password of 20 characters, which are 116 bits.
pub fn make(ids: &Ids) -> String {
    ids.text(ALPHABET, MADE_CHARACTERS)
}

/// Hashes a password, in PHC form.
pub async fn hash(env: &Env, password: &str) -> Result<String> {
    hashing::hash(env, Whose::Person, password).await
}

/// Says whether the password belongs to the stored hash. `None`, for a person who does not exist, takes as long.
pub async fn verify(env: &Env, password: &str, stored: Option<&str>) -> Result<bool> {
    hashing::verify(env, Whose::Person, password, stored).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_at_once() {
        let email = "someone@example.com";
        let cases: &[(&str, Option<&str>, &[&str])] = &[
            ("fX9#kq2LmV0pR7sTw", None, &[]),
            ("fX9#kq2LmV0pR7s", Some("fX9#kq2LmV0pR7sTw"), &[]),
            ("fX9#kq2LmV0pR7", None, &["must have at least 15 characters"]),
            ("über übel ölig ä", None, &[]),
            ("Someone@Example.com", None, &["must not be the e-mail"]),
            ("fX9#kq2LmV0pR7sTw", Some("fX9#kq2LmV0pR7sTw"), &["must not be the current password"]),
            (
                "aaa",
                Some("aaa"),
                &[
                    "must have at least 15 characters",
                    "must not be the current password",
                    "must not be a commonly used password",
                ],
            ),
        ];
        for (new, current, expected) in cases {
            assert_eq!(faults(new, email, *current), *expected, "{new}");
        }
        let long = "fX9#kq2LmV0pR7sT".repeat(16);
        assert!(faults(&long, email, None).is_empty());
        assert_eq!(faults(&(long + "x"), email, None), ["must have at most 256 characters"]);
    }

    #[test]
    fn a_made_password_follows_the_rules() {
        let ids = Ids::seeded(9);
        for _ in 0..200 {
            assert!(faults(&make(&ids), "owner@localhost", None).is_empty());
        }
    }
}
