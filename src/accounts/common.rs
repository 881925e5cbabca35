//! Which passwords are too common to be worth anything, at 15 characters and more.
//!
//! `common_passwords.txt` holds the passwords of at least 15 characters, `common_words.txt` the plain words, of the
//! list of 20,000 common passwords by Royce Williams that Django ships (5.2, BSD-3-Clause; taken on 2026-11-22), and a
//! few words of our own. Few leaked passwords are that long, so most of the work is done by patterns: something short
//! repeated, runs along the keyboard or the alphabet, one common word with digits and signs around it.
//!
//! Its limits: it knows English and keyboards, no breach database and nothing about the person but their e-mail.

use std::{collections::HashSet, sync::LazyLock};

static PASSWORDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());
static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("common_words.txt").lines().collect());

/// What people run their fingers along.
const ROWS: [&str; 12] = [
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiop",
    "azertyuiop",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "qazwsxedcrfvtgbyhnujmikolp",
    "!@#$%^&*()",
];
/// A password that repeats something of up to this length is no longer than that.
const MAX_UNIT: usize = 6;
/// Runs at least this long on the average make a password one of runs.
const RUN: usize = 4;

/// Says whether a password is too common, whatever its case.
pub fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    let letters: Vec<char> = lower.chars().collect();
    PASSWORDS.contains(lower.as_str())
        || repeats(&letters, MAX_UNIT)
        || runs(&letters)
        || one_word(&lower)
        || one_word(&plain(&lower))
}

/// Says whether the whole text is one piece of at most `unit` characters over and over.
fn repeats(text: &[char], unit: usize) -> bool {
    (1..=unit.min(text.len() / 2))
        .any(|unit| text.iter().zip(&text[unit..]).all(|(before, after)| before == after))
}

/// Says whether the whole text consists of runs along a row, one after the other.
fn runs(text: &[char]) -> bool {
    let breaks = text.windows(2).filter(|pair| !adjacent(pair[0], pair[1])).count();
    (breaks + 1) * RUN <= text.len()
}

fn adjacent(one: char, other: char) -> bool {
    let pair = |row: &str| {
        row.chars().zip(row.chars().skip(1)).any(|(a, b)| (a, b) == (one, other) || (b, a) == (one, other))
    };
    one == other || ROWS.into_iter().any(pair)
}

/// Says whether the text is one common word, once or more, with nothing but digits and signs around it.
fn one_word(text: &str) -> bool {
    let core: Vec<char> = text.trim_matches(|c: char| !c.is_alphabetic()).chars().collect();
    (1..=core.len()).filter(|unit| core.len().is_multiple_of(*unit)).any(|unit| {
        let word: String = core[..unit].iter().collect();
        WORDS.contains(word.as_str()) && core.chunks(unit).all(|chunk| chunk == &core[..unit])
    })
}

/// Undoes the usual disguises inside a word; the digits and signs around it stay what they are.
pub fn plain(text: &str) -> String {
    let core = text.trim_end_matches(|c: char| !c.is_alphabetic());
    core.chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_passwords_are_known_by_list_and_by_pattern() {
        for password in [
            "kartoffelpuffer",
            "ManchesterUnited",
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabca",
            "123412341234123",
            "1234567890123456",
            "qwertyuiopasdfgh",
            "QWERTYUIOP123456",
            "1q2w3e4r5t6y7u8i9",
            "zyxwvutsrqponml",
            "passwordpassword",
            "Password12345678",
            "P@ssw0rd!2026!!!",
            "!!!!summer!!!!!!2026",
            "LinkForty2026!!",
        ] {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn phrases_and_random_texts_are_not() {
        for password in [
            "correct horse battery",
            "purple monkey dishwasher",
            "wir essen heute kuchen",
            "fX9#kq2LmV0pR7sTw",
            "la lune est belle ce soir",
            "über den wolken 1974",
            "3141592653589793",
            "Грибы растут в лесу",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }
}
