//! When each key was last used: counted in memory and written now and then, since nobody waits for it and a call that
//! reads should not write. What a node has not written when it dies is forgotten.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{Duration, DurationRound as _};

use crate::{clock::Moment, ids::ApiKeyId};

/// How often a key's last use is written at the most.
pub const EVERY: Duration = Duration::minutes(1);

/// The keys used lately.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<ApiKeyId, Use>>);

#[derive(Debug, Clone, Copy)]
struct Use {
    last: Moment,
    written: Option<Moment>,
}

impl Uses {
    /// Notes that a key was used.
    pub fn note(&self, key: ApiKeyId, now: Moment) {
        let mut uses = self.lock();
        let entry = uses.entry(key).or_insert(Use { last: now, written: None });
        entry.last = entry.last.max(now);
    }

    /// Takes what is to be written now, each cut to the minute. Keys that were not used for a while are forgotten.
    pub fn due(&self, now: Moment) -> Vec<(ApiKeyId, Moment)> {
        let mut uses = self.lock();
        uses.retain(|_, one| one.written.is_none_or(|written| one.last > written || now < written + EVERY));
        let mut due = Vec::new();
        for (key, one) in uses.iter_mut() {
            if one.written.is_none_or(|written| one.last > written && now >= written + EVERY) {
                one.written = Some(now);
                due.push((*key, one.last.duration_trunc(EVERY).unwrap_or(one.last)));
            }
        }
        due
    }

    /// Puts back what could not be written.
    pub fn put_back(&self, due: &[(ApiKeyId, Moment)]) {
        let mut uses = self.lock();
        for (key, at) in due {
            uses.entry(*key).or_insert(Use { last: *at, written: None }).written = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ApiKeyId, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::from_micros, ids::Ids};

    #[test]
    fn a_key_is_written_once_a_minute_and_only_when_used() {
        let (uses, start) = (Uses::default(), from_micros(1_800_000_030_000_000));
        let key = ApiKeyId::mint(&Ids::seeded(1), start);
        let minute = start.duration_trunc(EVERY).expect("no edge of time");
        uses.note(key, start);
        assert_eq!(uses.due(start), vec![(key, minute)]);
        uses.note(key, start + Duration::seconds(10));
        assert_eq!(uses.due(start + Duration::seconds(59)), vec![]);
        assert_eq!(uses.due(start + Duration::seconds(60)), vec![(key, minute)]);
        assert_eq!(uses.due(start + Duration::seconds(120)), vec![]);
        assert!(uses.lock().is_empty());
    }

    #[test]
    fn what_could_not_be_written_is_due_again() {
        let (uses, now) = (Uses::default(), from_micros(1_800_000_000_000_000));
        let key = ApiKeyId::mint(&Ids::seeded(1), now);
        uses.note(key, now);
        let due = uses.due(now);
        uses.put_back(&due);
        assert_eq!(uses.due(now), due);
    }
}
