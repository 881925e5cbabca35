//! Passwords, and tokens of our own, as they are kept. Passwords: Argon2id with the parameters OWASP names (19 MiB, two passes, one lane).
//!
//! Each hash takes one core and 19 MiB for some tens of milliseconds, so few run at once and few more wait, apart for each
//! kind: a flood of sign-ins costs those who flood and nobody else, and one of guesses at a link no sign-in. A password
//! is taken byte for byte: nothing is cut off, folded or normalised.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc::PasswordHash},
};
use ring::digest;
use tokio::sync::Semaphore;

use crate::{
    env::Env,
    error::{Error, Reason, Result},
};

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The hash of nobody's password: 32 bytes that were not hashed from anything, under the parameters above.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdCEhIQ$Xv0m3cQ1tq8Zk2o5hJr7YpLw9aBdEfGiKlMnOsTuVxA";
/// How many run or wait at once of a kind; the next one is turned away.
const PLACES: usize = 32;
const COME_BACK: Duration = Duration::from_secs(2);

/// Returns what is stored of a token of our own: they are long and random, so whoever reads the hash finds none.
pub fn of_token(token: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, token.as_bytes()).as_ref().to_vec()
}

/// Whose password it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A person's. Two hashes run at once: as many as the smallest machine we expect has cores.
    Person,
    /// A link's. One runs at once.
    Link,
    /// A shared report's. One runs at once.
    Share,
}

/// Lets few hashes run at once and few more wait.
#[derive(Debug)]
struct Bench {
    places: Arc<Semaphore>,
    seats: Arc<Semaphore>,
}

#[derive(Debug)]
struct Benches {
    people: Bench,
    links: Bench,
    shares: Bench,
}

/// Returns what stands for a password that does not exist: no password belongs to it, and trying one takes as long as ever.
pub fn of_no_password() -> String {
    NOBODYS.to_owned()
}

/// Hashes a password, in PHC form.
pub async fn hash(env: &Env, whose: Whose, password: &str) -> Result<String> {
    let (password, salt) = (password.to_owned(), env.ids.bytes::<16>());
    on_the_bench(env, whose, move || {
        argon2().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
    })
    .await?
    .map_err(|error| Error::internal(error.to_string()))
}

/// Says whether the password belongs to the stored hash. `None`, for a person who does not exist, takes as long.
pub async fn verify(env: &Env, whose: Whose, password: &str, stored: Option<&str>) -> Result<bool> {
    let (password, stored) = (password.to_owned(), stored.map(str::to_owned));
    on_the_bench(env, whose, move || verify_now(&password, stored.as_deref()))
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
async fn on_the_bench<T: Send + 'static>(
    env: &Env,
    whose: Whose,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let benches = env.memory.of(Benches::default);
    let bench = match whose {
        Whose::Person => &benches.people,
        Whose::Link => &benches.links,
        Whose::Share => &benches.shares,
    };
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

impl Bench {
    fn of(at_once: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), seats: Arc::new(Semaphore::new(at_once)) }
    }
}

impl Default for Benches {
    fn default() -> Self {
        Self { people: Bench::of(2), links: Bench::of(1), shares: Bench::of(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
