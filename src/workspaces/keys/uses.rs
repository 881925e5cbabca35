//! When and how often each key was used: counted in memory and written now and then, since nobody waits for it and a call that
//! reads should not write. What a node has not written when it dies is forgotten.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{Duration, DurationRound as _};

use super::DayOfUse;
use crate::{
    clock::Moment,
    ids::{ApiKeyId, WorkspaceId},
};

/// How often the uses of a key are written at the most.
pub const EVERY: Duration = Duration::minutes(1);
const SECONDS_OF_A_DAY: i64 = 86_400;

/// The keys used lately.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<ApiKeyId, Use>>);

#[derive(Debug, Clone)]
struct Use {
    workspace: WorkspaceId,
    last: Moment,
    written: Option<Moment>,
    /// What is not written yet: calls and errors, by day.
    days: BTreeMap<i32, (i64, i64)>,
}

/// What is to be written of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which key.
    pub key: ApiKeyId,
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// When it was last used, cut to the minute.
    pub last: Moment,
    /// What is to be added to the counts of its days.
    pub days: Vec<DayOfUse>,
}

/// Returns the day of a moment: whole days since 1970 (UTC).
pub fn day_of(moment: Moment) -> i32 {
    i32::try_from(moment.timestamp().div_euclid(SECONDS_OF_A_DAY)).unwrap_or(i32::MAX)
}

impl Uses {
    /// Notes that a key was used.
    pub fn note(&self, key: ApiKeyId, workspace: WorkspaceId, now: Moment) {
        self.count(key, workspace, now, (1, 0));
    }

    /// Notes that a use of a key, noted before, was answered with an error.
    pub fn note_error(&self, key: ApiKeyId, workspace: WorkspaceId, now: Moment) {
        self.count(key, workspace, now, (0, 1));
    }

    fn count(&self, key: ApiKeyId, workspace: WorkspaceId, now: Moment, (calls, errors): (i64, i64)) {
        let mut uses = self.lock();
        let fresh = || Use { workspace, last: now, written: None, days: BTreeMap::new() };
        let entry = uses.entry(key).or_insert_with(fresh);
        entry.last = entry.last.max(now);
        let day = entry.days.entry(day_of(now)).or_default();
        (day.0, day.1) = (day.0 + calls, day.1 + errors);
    }

    /// Takes what is to be written now, in the order of the keys. Keys that were not used for a while are forgotten.
    pub fn due(&self, now: Moment) -> Vec<Due> {
        let mut uses = self.lock();
        uses.retain(|_, one| one.written.is_none_or(|written| !one.days.is_empty() || now < written + EVERY));
        let mut due = Vec::new();
        for (key, one) in uses.iter_mut() {
            if one.days.is_empty() || one.written.is_some_and(|written| now < written + EVERY) {
                continue;
            }
            one.written = Some(now);
            let days = std::mem::take(&mut one.days).into_iter();
            let days = days.map(|(day, (calls, errors))| DayOfUse {
                workspace_id: one.workspace,
                api_key_id: *key,
                day,
                calls,
                errors,
            });
            let last = one.last.duration_trunc(EVERY).unwrap_or(one.last);
            due.push(Due { key: *key, workspace: one.workspace, last, days: days.collect() });
        }
        due.sort_unstable_by_key(|one| one.key);
        due
    }

    /// Puts back what could not be written.
    pub fn put_back(&self, due: Vec<Due>) {
        let mut uses = self.lock();
        for one in due {
            let fresh =
                || Use { workspace: one.workspace, last: one.last, written: None, days: BTreeMap::new() };
            let entry = uses.entry(one.key).or_insert_with(fresh);
            entry.written = None;
            for day in one.days {
                let counted = entry.days.entry(day.day).or_default();
                *counted = (counted.0 + day.calls, counted.1 + day.errors);
            }
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

    fn told(due: &[Due]) -> Vec<(Moment, Vec<(i32, i64, i64)>)> {
        let days = |one: &Due| one.days.iter().map(|day| (day.day, day.calls, day.errors)).collect();
        due.iter().map(|one| (one.last, days(one))).collect()
    }

    #[test]
    fn a_key_is_written_once_a_minute_and_only_when_used() {
        let (uses, start) = (Uses::default(), from_micros(1_800_000_030_000_000));
        let ids = Ids::seeded(1);
        let (key, workspace) = (ApiKeyId::mint(&ids, start), WorkspaceId::mint(&ids, start));
        let minute = start.duration_trunc(EVERY).expect("no edge of time");
        let day = day_of(start);
        uses.note(key, workspace, start);
        uses.note(key, workspace, start);
        uses.note_error(key, workspace, start);
        assert_eq!(told(&uses.due(start)), vec![(minute, vec![(day, 2, 1)])]);
        uses.note(key, workspace, start + Duration::seconds(10));
        assert_eq!(uses.due(start + Duration::seconds(59)), vec![]);
        assert_eq!(told(&uses.due(start + Duration::seconds(60))), vec![(minute, vec![(day, 1, 0)])]);
        assert_eq!(uses.due(start + Duration::seconds(120)), vec![]);
        assert!(uses.lock().is_empty());
    }

    #[test]
    fn what_could_not_be_written_is_due_again_with_what_came_since() {
        let (uses, now) = (Uses::default(), from_micros(1_800_000_000_000_000));
        let ids = Ids::seeded(1);
        let (key, workspace) = (ApiKeyId::mint(&ids, now), WorkspaceId::mint(&ids, now));
        uses.note(key, workspace, now);
        let due = uses.due(now);
        uses.note(key, workspace, now);
        uses.put_back(due);
        assert_eq!(told(&uses.due(now)), vec![(now, vec![(day_of(now), 2, 0)])]);
    }

    #[test]
    fn the_days_of_a_key_are_counted_apart() {
        let (uses, midnight) = (Uses::default(), from_micros(20_000 * 86_400_000_000));
        let ids = Ids::seeded(1);
        let (key, workspace) = (ApiKeyId::mint(&ids, midnight), WorkspaceId::mint(&ids, midnight));
        uses.note(key, workspace, midnight - Duration::seconds(1));
        uses.note(key, workspace, midnight);
        let expected = vec![(midnight, vec![(19_999, 1, 0), (20_000, 1, 0)])];
        assert_eq!(told(&uses.due(midnight)), expected);
    }
}
