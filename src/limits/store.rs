//! Where the node's own buckets are kept: bounded, whoever comes.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use governor::{
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

/// A power of two.
const SHARDS: usize = 64;

/// Buckets by key, up to a number. When there is no room, keys that have none share one bucket per shard: a flood of keys
/// limits itself, and those who were there before keep their own.
#[derive(Debug)]
pub struct Buckets {
    hasher: RandomState,
    keys_per_shard: usize,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug, Default)]
struct Shard {
    own: HashMap<String, Nanos>,
    shared: Option<Nanos>,
}

impl Buckets {
    /// Returns room for about `keys` keys.
    pub fn holding(keys: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            keys_per_shard: keys.div_ceil(SHARDS),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl StateStore for Buckets {
    type Key = String;

    fn measure_and_replace<T, F, E>(&self, key: &String, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let index = (self.hasher.hash_one(key) as usize) % SHARDS;
        let mut shard = lock(&self.shards[index]);
        let Shard { own, shared } = &mut *shard;
        if let Some(state) = own.get_mut(key) {
            let (outcome, next) = decide(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        if own.len() < self.keys_per_shard {
            let (outcome, next) = decide(None)?;
            own.insert(key.clone(), next);
            return Ok(outcome);
        }
        let (outcome, next) = decide(*shared)?;
        *shared = Some(next);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<String> for Buckets {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.own.retain(|_, state| *state >= drop_below);
            // Gives back what a flood took.
            if shard.own.capacity() > 4 * shard.own.len().max(16) {
                shard.own.shrink_to_fit();
            }
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).own.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Every state is a number, written whole.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
