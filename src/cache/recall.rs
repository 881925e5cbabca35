//! What this node asked the database a moment ago, and goes on believing while the database is away.

use std::{hash::Hash, sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use tokio::time::timeout;

use crate::{
    clock::Moment,
    error::{Error, Result},
};

/// How long an answer of the database is believed without asking again.
const LIFE: chrono::Duration = chrono::Duration::seconds(10);
/// How long the database may take for what is known, and for what is not.
const HURRY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(2);

/// What is there and what is not, each with when the database said so. Apart, so that nobody can push what is there out by asking for what
/// is not.
pub struct Recall<K, V> {
    there: Cache<K, (Moment, Arc<V>)>,
    missing: Cache<K, Moment>,
}

impl<K: Hash + Eq + Clone, V> Recall<K, V> {
    /// Returns no answers yet, and room for `capacity` of each sort.
    pub fn new(capacity: usize) -> Self {
        Self { there: Cache::new(capacity), missing: Cache::new(capacity) }
    }

    /// Returns what `key` was when it was asked for last, and that is not long ago. Asks nobody.
    pub fn known(&self, key: &K) -> Option<Arc<V>> {
        self.there.get(key).map(|(_, value)| value)
    }

    /// Returns what `key` is, which `find` asks the database if that was not asked lately. When the database fails, what was there goes on
    /// being there for `bound` after it was last seen.
    pub async fn ask<E: Into<Error>>(
        &self,
        key: &K,
        now: Moment,
        bound: Duration,
        find: impl Future<Output = Result<Option<V>, E>>,
    ) -> Result<Option<Arc<V>>> {
        let known = self.there.get(key);
        if let Some((since, value)) = &known
            && now - *since < LIFE
        {
            return Ok(Some(value.clone()));
        }
        if self.missing.get(key).is_some_and(|since| now - since < LIFE) {
            return Ok(None);
        }
        // Whoever is known already does not wait for a database that is away.
        let patience = if known.is_some() { HURRY } else { PATIENCE };
        let failed = match timeout(patience, find).await {
            Ok(Ok(Some(found))) => {
                let found = Arc::new(found);
                self.there.insert(key.clone(), (now, found.clone()));
                self.missing.remove(key);
                return Ok(Some(found));
            }
            Ok(Ok(None)) => {
                self.there.remove(key);
                self.missing.insert(key.clone(), now);
                return Ok(None);
            }
            Ok(Err(error)) => error.into(),
            Err(late) => Error::store_unavailable(late),
        };
        let bound = chrono::Duration::from_std(bound).unwrap_or(chrono::Duration::MAX);
        match known {
            Some((since, value)) if now - since < bound => Ok(Some(value)),
            _ => Err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::clock::from_micros;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(second: i64) -> Moment {
        from_micros(second * 1_000_000)
    }

    fn away() -> std::future::Ready<Result<Option<u8>>> {
        ready(Err(Error::store_unavailable("away")))
    }

    #[tokio::test]
    async fn what_was_there_is_there_while_the_database_is_away_and_no_longer_than_the_bound() {
        let recall = Recall::<&str, u8>::new(10);
        let there = recall.ask(&"a", at(0), HOUR, ready(Ok::<_, Error>(Some(7)))).await;
        assert_eq!(there.ok().flatten().as_deref(), Some(&7));
        // Young: nobody is asked. Older: the database is, and its silence changes nothing.
        for (second, expected) in [(9, true), (10, true), (3599, true), (3600, false)] {
            let answer = recall.ask(&"a", at(second), HOUR, away()).await;
            assert_eq!(answer.ok().flatten().as_deref(), expected.then_some(&7), "{second}");
        }
        assert!(recall.ask(&"b", at(0), HOUR, away()).await.is_err());
        let gone = recall.ask(&"a", at(20), HOUR, ready(Ok::<_, Error>(None))).await;
        assert_eq!(gone.ok().flatten(), None);
        assert!(recall.ask(&"a", at(31), HOUR, away()).await.is_err(), "it is not there any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_answered_although_the_database_hangs() {
        let recall = Recall::<&str, u8>::new(10);
        recall.ask(&"a", at(0), HOUR, ready(Ok::<_, Error>(Some(7)))).await.expect("is found");
        let hangs = || pending::<Result<Option<u8>>>();
        let answer = recall.ask(&"a", at(60), HOUR, hangs()).await.expect("is known");
        assert_eq!(answer.as_deref(), Some(&7));
        assert!(recall.ask(&"b", at(60), HOUR, hangs()).await.is_err());
    }

    #[tokio::test]
    async fn what_is_missing_is_asked_for_again_after_ten_seconds() {
        let recall = Recall::<&str, u8>::new(10);
        recall.ask(&"a", at(0), HOUR, ready(Ok::<_, Error>(None))).await.expect("is answered");
        for (second, expected) in [(9, None), (10, Some(7))] {
            let answer = recall.ask(&"a", at(second), HOUR, ready(Ok::<_, Error>(Some(7)))).await;
            assert_eq!(answer.expect("is answered").as_deref().copied(), expected, "{second}");
        }
    }
}
