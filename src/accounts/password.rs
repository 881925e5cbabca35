//! Passwords of people: which are accepted. `hashing` says how they are kept.

use super::{User, common};
use crate::{
    env::Env,
    error::Result,
    hashing::{self, Whose},
    ids::Ids,
};

const MIN_CHARACTERS: usize = 15;
/// Where a code is asked for besides.
const MIN_CHARACTERS_OF_TWO: usize = 12;
/// What a password must not contain, besides words of the person.
const PRODUCT: &str = "linkforty";
/// Shorter parts of an e-mail or a name stand in many a word.
const MIN_WORD_CHARACTERS: usize = 4;
const MAX_CHARACTERS: usize = 256;
/// Characters of a password we make: none that look alike.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const MADE_CHARACTERS: usize = 20;

/// Whose password it is to be.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// Their e-mail.
    pub email: &'a str,
    /// Their name; may be empty.
    pub display_name: &'a str,
    /// Whether a second factor is asked for besides.
    pub second_factor: bool,
}

impl<'a> Person<'a> {
    /// Returns somebody who has no second factor.
    pub fn of(user: &'a User) -> Self {
        Self { email: &user.email, display_name: &user.display_name, second_factor: false }
    }

    /// Returns what is easily guessed of them, in lower case.
    fn words(self) -> impl Iterator<Item = String> {
        let of = |text: &str| {
            let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
            words.filter(|word| word.chars().count() >= MIN_WORD_CHARACTERS).collect::<Vec<_>>()
        };
        of(self.email).into_iter().chain(of(self.display_name)).chain([PRODUCT.to_owned()])
    }
}

/// Says whether a password is too short for somebody without a second factor.
pub fn needs_second_factor(password: &str) -> bool {
    password.chars().count() < MIN_CHARACTERS
}

/// Says everything that is wrong with a new password; nothing wrong, no lines.
pub fn faults(new: &str, person: Person<'_>, current: Option<&str>) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let characters = new.chars().count();
    if person.second_factor && characters < MIN_CHARACTERS_OF_TWO {
        faults.push("must have at least 12 characters");
    } else if !person.second_factor && characters < MIN_CHARACTERS {
        faults.push("must have at least 15 characters");
    }
    if characters > MAX_CHARACTERS {
        faults.push("must have at most 256 characters");
    }
    let lower = new.to_lowercase();
    let plain = common::plain(&lower);
    if person.words().any(|word| lower.contains(&word) || plain.contains(&word)) {
        faults.push("must not contain parts of the e-mail or the name, nor linkforty");
    }
    if current == Some(new) {
        faults.push("must not be the current password");
    }
    if characters <= MAX_CHARACTERS && common::is_common(new) {
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
        let person =
            Person { email: "someone@example.com", display_name: "Zoë Ann O'Brien", second_factor: false };
        let word = "must not contain parts of the e-mail or the name, nor linkforty";
        let cases: &[(&str, Option<&str>, &[&str])] = &[
            ("fX9#kq2LmV0pR7sTw", None, &[]),
            ("fX9#kq2LmV0pR7s", Some("fX9#kq2LmV0pR7sTw"), &[]),
            ("fX9#kq2LmV0pR7", None, &["must have at least 15 characters"]),
            ("über übel ölig ä", None, &[]),
            ("Someone@Example.com", None, &[word]),
            ("fX9#kq2 someone 7s", None, &[word]),
            ("50m30n3 fX9#kq2 pR7s", None, &[word]),
            ("fX9#kq2 EXAMPLE 7s", None, &[word]),
            ("a brien in the woods", None, &[word]),
            ("LinkForty fX9#kq2 7s", None, &[word]),
            // Short parts stand in many a word.
            ("annual zoë complaints", None, &[]),
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
            assert_eq!(faults(new, person, *current), *expected, "{new}");
        }
        let long = "fX9#kq2LmV0pR7sT".repeat(16);
        assert!(faults(&long, person, None).is_empty());
        assert_eq!(faults(&(long + "x"), person, None), ["must have at most 256 characters"]);
    }

    #[test]
    fn with_a_second_factor_twelve_characters_are_enough() {
        let one = Person { email: "someone@example.com", display_name: "", second_factor: false };
        let two = Person { second_factor: true, ..one };
        for (new, of_one, of_two) in [
            ("fX9#kq2LmV0", "must have at least 15 characters", "must have at least 12 characters"),
            ("fX9#kq2LmV0p", "must have at least 15 characters", ""),
            ("fX9#kq2LmV0pR7", "must have at least 15 characters", ""),
            ("fX9#kq2LmV0pR7s", "", ""),
        ] {
            let told = |person| faults(new, person, None).join("; ");
            assert_eq!((&*told(one), &*told(two)), (of_one, of_two), "{new}");
            assert_eq!(needs_second_factor(new), !of_one.is_empty(), "{new}");
        }
    }

    #[test]
    fn a_made_password_follows_the_rules() {
        let ids = Ids::seeded(9);
        let person = Person { email: "owner@localhost", display_name: "Owner", second_factor: false };
        for _ in 0..200 {
            assert!(faults(&make(&ids), person, None).is_empty());
        }
    }
}
