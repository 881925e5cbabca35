//! The events that this node heard of last, so that a repeat costs neither the disk nor the database, and other content under the same id is refused at
//! once. Only a help: what is forgotten here the database knows.

use std::{
    collections::HashMap,
    mem::take,
    sync::{Mutex, PoisonError},
};

use super::key::Key;

/// How many are remembered, at least; twice as many at the most. About 60 bytes each.
const REMEMBERED: usize = 100_000;

/// What is remembered.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Generations>);

/// The older half is forgotten when the younger is full.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Said>,
    old: HashMap<Key, Said>,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    content: i64,
    kept: bool,
}

/// What was known of an event when it was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: from now on it is known by this content.
    New,
    /// It came before, and may not be on the disk yet.
    Coming,
    /// It is on the disk or in the database.
    Kept,
    /// The id has other content.
    Other,
}

impl Recent {
    /// Returns the content that is on the disk or in the database under each id, as far as it is remembered.
    pub fn kept(&self, keys: impl Iterator<Item = Key>) -> Vec<Option<i64>> {
        let said = self.lock();
        keys.map(|key| said.get(key).filter(|said| said.kept).map(|said| said.content)).collect()
    }

    /// Claims ids, each for its content, in one go: of two calls that claim the same one is first.
    pub fn claim(&self, events: impl Iterator<Item = (Key, i64)>) -> Vec<Claim> {
        let mut said = self.lock();
        events
            .map(|(key, content)| match said.get(key) {
                None => {
                    said.put(key, Said { content, kept: false });
                    Claim::New
                }
                Some(known) if known.content != content => Claim::Other,
                Some(Said { kept: true, .. }) => Claim::Kept,
                Some(_) => Claim::Coming,
            })
            .collect()
    }

    /// Notes what an id stands for: what is on the disk, or what the database says.
    pub fn keep(&self, events: impl Iterator<Item = (Key, i64)>) {
        let mut said = self.lock();
        for (key, content) in events {
            said.put(key, Said { content, kept: true });
        }
    }

    /// Gives claims back that came to nothing.
    pub fn forget(&self, events: impl Iterator<Item = (Key, i64)>) {
        let mut said = self.lock();
        for (key, content) in events {
            let Generations { young, old } = &mut *said;
            for half in [young, old] {
                if half.get(&key).is_some_and(|known| known.content == content && !known.kept) {
                    half.remove(&key);
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        // A map that somebody panicked over is still a map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&self, key: Key) -> Option<Said> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn put(&mut self, key: Key, said: Said) {
        if self.young.len() >= REMEMBERED && !self.young.contains_key(&key) {
            self.old = take(&mut self.young);
        }
        self.young.insert(key, said);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::attribution::events::key::key_of;

    fn key(number: usize) -> Key {
        key_of(Uuid::nil(), &format!("event-{number}"))
    }

    #[test]
    fn the_first_content_of_an_id_is_the_one() {
        let recent = Recent::default();
        let claim = |number, content| recent.claim([(key(number), content)].into_iter())[0];
        assert_eq!(claim(1, 7), Claim::New);
        assert_eq!(claim(1, 7), Claim::Coming);
        assert_eq!(claim(1, 8), Claim::Other);
        recent.keep([(key(1), 7)].into_iter());
        assert_eq!(claim(1, 7), Claim::Kept);
        recent.forget([(key(1), 7)].into_iter());
        assert_eq!(claim(1, 7), Claim::Kept, "what is kept is not forgotten");
        assert_eq!(claim(2, 7), Claim::New);
        recent.forget([(key(2), 9)].into_iter());
        assert_eq!(claim(2, 7), Claim::Coming, "somebody else's claim");
        recent.forget([(key(2), 7)].into_iter());
        assert_eq!(claim(2, 9), Claim::New);
        // The database knows better.
        recent.keep([(key(2), 5)].into_iter());
        assert_eq!((claim(2, 9), claim(2, 5)), (Claim::Other, Claim::Kept));
        assert_eq!(claim(3, 1), Claim::New);
        assert_eq!(recent.kept([1, 2, 3, 4].map(key).into_iter()), [Some(7), Some(5), None, None]);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let recent = Recent::default();
        recent.keep((0..REMEMBERED + 1).map(|number| (key(number), 1)));
        assert_eq!(recent.claim([(key(0), 1)].into_iter()), [Claim::Kept]);
        recent.keep((REMEMBERED..3 * REMEMBERED).map(|number| (key(number), 1)));
        assert_eq!(recent.claim([(key(0), 1)].into_iter()), [Claim::New]);
        let said = recent.lock();
        assert!(said.young.len() <= REMEMBERED && said.old.len() <= REMEMBERED);
    }
}
