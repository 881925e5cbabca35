//! Passwords: which are accepted, and how they are kept.
//!
//! Kept as Argon2id with the parameters OWASP names (19 MiB, two passes, one lane). Each hash takes one core and 19 MiB
//! for some tens of milliseconds, so two run at once and a few wait: a flood of sign-ins costs those who flood and nobody
//! else. A password is taken byte for byte: nothing is cut off, folded or normalised.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::common::is_common;
use crate::{
    env::Env,
    error::{Error, Reason, Result},
    ids::Ids,
};

const MIN_CHARACTERS: usize = 15;
const MAX_CHARACTERS: usize = 256;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The hash of nobody's password: 32 bytes that were not hashed from anything, under the parameters above.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdCEhIQ$Xv0m3cQ1tq8Zk2o5hJr7YpLw9aBdEfGiKlMnOsTuVxA";
/// How many hashes run at once: as many as the smallest machine we expect has cores.
const AT_ONCE: usize = 2;
/// How many run or wait at once; the next one is turned away.
const PLACES: usize = 32;
const COME_BACK: Duration = Duration::from_secs(2);
/// Characters of a password we make: none that look alike.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const MADE_CHARACTERS: usize = 20;

/// Lets few hashes run at once and few more wait.
#[derive(Debug)]
struct Bench {
    places: Arc<Semaphore>,
    seats: Arc<Semaphore>,
}

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
    let (password, salt) = (password.to_owned(), env.ids.bytes::<16>());
    on_the_bench(env, move || {
        argon2().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
    })
    .await?
    .map_err(|error| Error::internal(error.to_string()))
}

/// Says whether the password belongs to the stored hash. `None`, for a person who does not exist, takes as long.
pub async fn verify(env: &Env, password: &str, stored: Option<&str>) -> Result<bool> {
    let (password, stored) = (password.to_owned(), stored.map(str::to_owned));
    on_the_bench(env, move || verify_now(&password, stored.as_deref()))
        .await?
        .map_err(|error| Error::internal(error.to_string()))
}

fn verify_now(password: &str, stored: Option<&str>) -> password_hash::Result<bool> {
    // One path for both, so that neither can come to take longer than the other.
    let hash = PasswordHash::new(stored.unwrap_or(NOBODYS))?;
    match argon2().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(stored.is_some()),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error),
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Runs `work` on a blocking thread, when it is its turn.
async fn on_the_bench<T: Send + 'static>(env: &Env, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let bench = env.memory.of(Bench::default);
    let place = bench.places.clone().try_acquire_owned().map_err(|_| {
        Error::new(Reason::ServerOverloaded, "too many passwords are being checked at the moment; try again")
            .retry_after(COME_BACK)
    })?;
    let seat = bench.seats.clone().acquire_owned().await.map_err(Error::internal)?;
    // Both go with the work: a caller who hangs up does not make room for another while their hash still runs.
    let turn = (place, seat);
    tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    })
    .await
    .map_err(Error::internal)
}

impl Default for Bench {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), seats: Arc::new(Semaphore::new(AT_ONCE)) }
    }
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
    fn a_hash_says_how_it_was_made_and_knows_its_password() {
        let hash = argon2().hash_password_with_salt(b"one", &[1; 16]).expect("hashes").to_string();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(verify_now("one", Some(&hash)), Ok(true));
        assert_eq!(verify_now("two", Some(&hash)), Ok(false));
        assert_eq!(verify_now("one", None), Ok(false));
        // Nobody's takes as long as anybody's only while it is made the same way.
        let way = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(way(NOBODYS), way(&hash));
        assert_eq!(NOBODYS.len(), hash.len());
        assert!(verify_now("one", Some("no hash")).is_err());
    }

    #[test]
    fn a_made_password_follows_the_rules() {
        let ids = Ids::seeded(9);
        for _ in 0..200 {
            assert!(faults(&make(&ids), "owner@localhost", None).is_empty());
        }
    }
}
