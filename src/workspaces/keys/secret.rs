//! What an API key looks like: `lf_live_` or `lf_test_`, 32 random characters of `[0-9A-Za-z]`, and a checksum of six.
//!
//! The checksum is the CRC-32 (IEEE 802.3, as in zlib) of all that precedes it, in base 62 with the digits `0-9A-Za-z`,
//! the most significant first, filled up with `0`. Anybody can check it without asking us: a secret scanner knows a
//! key from a look-alike, and a mistyped key costs no database query.

use ring::digest;

use crate::ids::Ids;

/// What every key starts with, and nothing else does.
pub const START: &str = "lf_";
const STARTS: [&str; 2] = [Mode::Live.start(), Mode::Test.start()];
const START_LENGTH: usize = 8;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM: usize = 32;
const CHECKSUM: usize = 6;
const PREFIX: usize = 12;

/// What a key is for, as everybody can read in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// For programs that people depend on.
    #[default]
    Live,
    /// For trying things out.
    Test,
}

impl Mode {
    const fn start(self) -> &'static str {
        match self {
            Self::Live => "lf_live_",
            Self::Test => "lf_test_",
        }
    }
}

/// Returns a new secret. 62^32 are 190 bits: too many to guess, enough for a fast hash.
pub fn mint(ids: &Ids, mode: Mode) -> String {
    let body = mode.start().to_owned() + &ids.text(DIGITS, RANDOM);
    let checksum = checksum(&body);
    body + &checksum
}

/// Returns what a secret is stored and found as, or `None` for what cannot be one.
pub fn hash(secret: &str) -> Option<[u8; 32]> {
    let (body, given) = secret.split_at_checked(START_LENGTH + RANDOM)?;
    let random = STARTS.into_iter().find_map(|start| body.strip_prefix(start))?;
    if !random.bytes().all(|byte| byte.is_ascii_alphanumeric()) || checksum(body) != given {
        return None;
    }
    digest::digest(&digest::SHA256, secret.as_bytes()).as_ref().try_into().ok()
}

/// Returns the part that is shown, to recognise a key by.
pub fn prefix(secret: &str) -> &str {
    secret.get(..PREFIX).unwrap_or(secret)
}

fn checksum(text: &str) -> String {
    let mut rest = crc32(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

/// The CRC-32 of zlib, gzip and PNG. A bit at a time is fast enough for 40 characters.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let out = crc & 1;
            crc >>= 1;
            if out == 1 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_scanners_compute() {
        // The check value of CRC-32/ISO-HDLC, and in base 62.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum("123456789"), "3jZRME");
    }

    #[test]
    fn a_minted_secret_is_known_and_any_changed_one_is_not() {
        let test = mint(&Ids::seeded(3), Mode::Test);
        assert!(test.starts_with("lf_test_") && hash(&test).is_some());
        let secret = mint(&Ids::seeded(3), Mode::Live);
        assert_eq!(secret.len(), 46);
        assert!(secret.starts_with("lf_live_") && hash(&secret).is_some());
        assert_ne!(hash(&test), hash(&secret));
        assert_eq!(prefix(&secret).len(), 12);
        for place in 0..secret.len() {
            let mut changed = secret.clone().into_bytes();
            changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
            assert_eq!(hash(&String::from_utf8(changed).expect("ASCII")), None, "changed at {place}");
        }
    }

    #[test]
    fn what_is_no_secret_is_not_looked_up() {
        let secret = mint(&Ids::seeded(3), Mode::Live);
        let longer = format!("{secret}0");
        let wide = format!("lf_live_{}", "é".repeat(19));
        for text in ["", "lf_live_", "lf_", &secret[..45], &longer, &wide] {
            assert_eq!(hash(text), None, "{text}");
        }
    }
}
