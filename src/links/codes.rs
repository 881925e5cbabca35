//! Makes up codes, on any number of nodes that do not know of each other, so that no two are the same.
//!
//! The short ones are a sequence behind a keyed permutation. All 57^8 codes of 8 characters are numbered by a Feistel network
//! under a key that all nodes share, so that neighbours in number look like any two codes. Each process takes a block of 2^20
//! numbers at random and counts through it: within a block nothing repeats, and two blocks are the same only by a chance of 1
//! in 10^8, where of a million random codes each of four nodes two would be the same with one of 1 in 14. Whose code it is decides the
//! unique index, as for codes that people ask for; a code that was taken makes the process leave its block.
//!
//! Whoever knows some codes learns nothing about the others without the key. They are short all the same: who tries 10^14 codes
//! finds every link. The long ones are 128 random bits.

use std::sync::{Mutex, PoisonError};

use ring::hmac;
use secrecy::ExposeSecret as _;

use super::code::{ALPHABET, Alphabet, LOWER_ALPHABET, is_decent};
use crate::{env::Env, ids::Ids};

/// How a code is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CodeStyle {
    /// 8 characters, 10 where case does not count: 33^10, about 10^15.
    #[default]
    Short,
    /// 22 characters that nobody finds by trying, 26 where case does not count: 57^22 and 33^26 are more than 2^128.
    Unguessable,
}

const SHORT: u32 = 8;
const LONG: usize = 22;
const LOWER_SHORT: usize = 10;
const LOWER_LONG: usize = 26;
/// How many values half of a short code has.
const HALF: u64 = 57_u64.pow(SHORT / 2);
const ROUNDS: u8 = 8;
const BLOCK: u64 = 1 << 20;
const BLOCKS: u32 = (HALF * HALF / BLOCK) as u32;

/// What a process makes short codes from.
#[derive(Debug)]
struct Codes {
    key: hmac::Key,
    place: Mutex<Place>,
}

/// A block, and where in it the next number is.
#[derive(Debug, Clone, Copy)]
struct Place {
    block: u64,
    next: u64,
    left: u64,
}

/// Makes up a code that nobody need be ashamed of. Whether it is free shows when it is stored.
pub(super) fn generate(env: &Env, style: CodeStyle, alphabet: Alphabet) -> String {
    match (style, alphabet) {
        (CodeStyle::Short, Alphabet::Mixed) => codes(env).next(&env.ids),
        (CodeStyle::Short, Alphabet::Lower) => random(&env.ids, LOWER_ALPHABET, LOWER_SHORT),
        (CodeStyle::Unguessable, Alphabet::Mixed) => random(&env.ids, ALPHABET, LONG),
        (CodeStyle::Unguessable, Alphabet::Lower) => random(&env.ids, LOWER_ALPHABET, LOWER_LONG),
    }
}

/// Makes up another code, because this one was taken.
pub(super) fn again(env: &Env, style: CodeStyle, alphabet: Alphabet) -> String {
    codes(env).leave(&env.ids);
    generate(env, style, alphabet)
}

fn random(ids: &Ids, characters: &[u8], length: usize) -> String {
    loop {
        let code = ids.text(characters, length);
        if is_decent(&code) {
            return code;
        }
    }
}

fn codes(env: &Env) -> std::sync::Arc<Codes> {
    env.memory.of(|| {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, env.secrets.session.expose_secret().as_bytes());
        Codes::new(hmac::sign(&secret, b"linkforty short codes v1").as_ref(), &env.ids)
    })
}

impl Codes {
    fn new(key: &[u8], ids: &Ids) -> Self {
        let place = Mutex::new(Place::random(ids));
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), place }
    }

    fn next(&self, ids: &Ids) -> String {
        loop {
            let code = self.code(self.number(ids));
            if is_decent(&code) {
                return code;
            }
        }
    }

    fn leave(&self, ids: &Ids) {
        *self.lock() = Place::random(ids);
    }

    fn number(&self, ids: &Ids) -> u64 {
        let mut place = self.lock();
        if place.left == 0 {
            *place = Place::random(ids);
        }
        let number = place.block * BLOCK + place.next;
        place.next = (place.next + 1) % BLOCK;
        place.left -= 1;
        number
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Place> {
        // A place that somebody panicked over is still a place.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the code of a number below 57^8: another one for every number.
    fn code(&self, number: u64) -> String {
        let (mut left, mut right) = (number / HALF, number % HALF);
        for round in 0..ROUNDS {
            (left, right) = (right, (left + self.scramble(round, right)) % HALF);
        }
        let mut rest = left * HALF + right;
        let character = |_| {
            let character = ALPHABET[(rest % 57) as usize];
            rest /= 57;
            char::from(character)
        };
        (0..SHORT).map(character).collect()
    }

    fn scramble(&self, round: u8, half: u64) -> u64 {
        let mut input = [round; 9];
        input[1..].copy_from_slice(&half.to_le_bytes());
        let tag = hmac::sign(&self.key, &input);
        let first = tag.as_ref().first_chunk::<8>().copied().unwrap_or_default();
        u64::from_le_bytes(first) % HALF
    }
}

impl Place {
    /// Begins somewhere in a block, so that two that take the same one do not follow each other step by step.
    fn random(ids: &Ids) -> Self {
        let next = u64::from(ids.below(BLOCK as u32));
        Self { block: ids.below(BLOCKS).into(), next, left: BLOCK }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::links::code::check;

    #[test]
    fn generated_codes_pass_their_own_rules_and_differ() {
        let ids = Ids::seeded(40);
        let codes = Codes::new(b"key", &ids);
        let made: HashSet<String> = (0..20_000).map(|_| codes.next(&ids)).collect();
        assert_eq!(made.len(), 20_000);
        for code in &made {
            assert_eq!(check(code), Ok(()), "{code}");
            assert_eq!(code.len(), SHORT as usize);
            assert!(!code.contains(['0', 'O', '1', 'l', 'I']), "{code}");
            assert!(is_decent(code), "{code}");
        }
    }

    #[test]
    fn codes_without_case_are_what_they_become_in_lower_case() {
        let ids = Ids::seeded(41);
        for length in [LOWER_SHORT, LOWER_LONG] {
            let made: HashSet<String> = (0..20_000).map(|_| random(&ids, LOWER_ALPHABET, length)).collect();
            assert_eq!(made.len(), 20_000);
            for code in &made {
                assert_eq!((check(code), code.len()), (Ok(()), length), "{code}");
                assert_eq!(*code, Alphabet::Lower.kept(code.clone()));
                assert!(
                    !code.contains(['0', 'o', '1', 'l', 'i']) || !code.contains(['0', '1', 'l']),
                    "{code}"
                );
            }
        }
    }

    /// No node knows of another: what keeps them apart is that no two blocks overlap and no block repeats itself.
    #[test]
    fn four_nodes_make_a_million_codes_each_and_no_two_are_the_same() {
        const EACH: usize = 1_000_000;
        let node = |seed: u64| {
            let ids = Ids::seeded(seed);
            let codes = Codes::new(b"a key that all nodes share", &ids);
            let pack =
                |code: String| code.bytes().fold(0_u64, |packed, byte| (packed << 8) | u64::from(byte));
            (0..EACH).map(|_| pack(codes.next(&ids))).collect::<Vec<_>>()
        };
        let mut all: Vec<u64> = std::thread::scope(|scope| {
            let nodes: Vec<_> = (0..4).map(|seed| scope.spawn(move || node(seed))).collect();
            nodes.into_iter().flat_map(|node| node.join().expect("no node fails")).collect()
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4 * EACH);
    }

    #[test]
    fn the_network_gives_every_number_a_code_of_its_own() {
        // As a bijection of a small piece: neighbours, both ends, and the other half.
        let codes = Codes::new(b"key", &Ids::seeded(1));
        let numbers = (0..1000).chain(HALF * HALF - 1000..HALF * HALF).chain((1..1000).map(|n| n * HALF));
        let numbers: HashSet<u64> = numbers.collect();
        let made: HashSet<String> = numbers.iter().map(|number| codes.code(*number)).collect();
        assert_eq!(made.len(), numbers.len());
        let other = Codes::new(b"another key", &Ids::seeded(1));
        assert_ne!(codes.code(7), other.code(7));
    }

    /// Each character of the next code is as likely as any, whatever the one before was.
    #[test]
    fn the_next_code_says_nothing_of_the_one_before() {
        let codes = Codes::new(b"key", &Ids::seeded(1));
        const PAIRS: usize = 57 * 57 * 20;
        let texts: Vec<Vec<u8>> = (0..=PAIRS as u64).map(|number| codes.code(number).into_bytes()).collect();
        for place in 0..SHORT as usize {
            let mut counts = vec![0_u32; 256 * 256];
            for pair in texts.windows(2) {
                counts[usize::from(pair[0][place]) * 256 + usize::from(pair[1][place])] += 1;
            }
            let chi_squared: f64 = counts
                .iter()
                .filter(|count| **count > 0)
                .map(|count| (f64::from(*count) - 20.0).powi(2) / 20.0)
                .sum();
            // 3,248 degrees of freedom: the mean, give or take six standard deviations. Pairs that never came are far less
            // than that.
            assert!((2760.0..3740.0).contains(&chi_squared), "place {place}: {chi_squared}");
        }
    }

    #[test]
    fn who_leaves_a_block_counts_on_elsewhere() {
        let ids = Ids::seeded(9);
        let codes = Codes::new(b"key", &ids);
        let before = codes.number(&ids);
        assert_eq!(codes.number(&ids) % BLOCK, (before + 1) % BLOCK);
        codes.leave(&ids);
        assert_ne!(codes.number(&ids) / BLOCK, before / BLOCK);
        // A block that is used up is left too, and none is left before that.
        let mut place = Place { block: 3, next: BLOCK - 1, left: BLOCK };
        *codes.lock() = place;
        let numbers: HashSet<u64> = (0..BLOCK).map(|_| codes.number(&ids)).collect();
        assert_eq!(numbers.len() as u64, BLOCK);
        assert!(numbers.iter().all(|number| number / BLOCK == 3));
        place = *codes.lock();
        assert_eq!(place.left, 0);
    }
}
