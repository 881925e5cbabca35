//! Takes a batch of events in. When it answers, what it accepted is on the disk.
//!
//! Order: each event is read for itself; what this node remembers is answered from memory; the database is asked once about the others, for as
//! long as nobody would notice; the rest goes into the spool under one sync. While the database is away or slow it is not asked: then the drain
//! finds what was there, and of two contents under one id the first that is stored stays.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use fail::fail_point;

use super::{
    Source,
    fields::{self, NewEvent, Refusal},
    key::{self, Key},
    meters::{self, Meters},
    recent::{Claim, Recent},
    record::encode,
    store,
};
use crate::{
    env::Env,
    error::{Error, Result},
    ids::{EventId, InstallId},
    pb::sdk::v1::{self as sdk, EventStatus},
    spool::{RecordKind, Spool},
};

/// How many events a call may have.
pub const MOST_EVENTS: usize = 1000;
/// How long the database may take to say what it knows.
const PATIENCE: Duration = Duration::from_millis(100);
/// The same when there are events that are too late: what becomes of those only the database can say.
const PATIENCE_WITH_LATE: Duration = Duration::from_secs(1);
/// How long it is not asked after it did not say.
const REST: Duration = Duration::from_secs(1);

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Accepted,
    Refused(Refusal),
    Retry,
}

/// An event on its way in.
struct Incoming {
    key: Key,
    id: EventId,
    content: i64,
    event: NewEvent,
}

/// Since when the database is not asked.
#[derive(Debug, Default)]
struct Resting(Mutex<Option<Instant>>);

impl Resting {
    fn goes_on(&self) -> bool {
        self.lock().is_some_and(|since| since.elapsed() < REST)
    }

    fn begin(&self) {
        *self.lock() = Some(Instant::now());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records events of an install, 1 to [`MOST_EVENTS`], and says of each what became of it, in their order.
pub async fn record(
    env: &Env,
    spool: &Spool,
    source: Source,
    install: InstallId,
    events: Vec<sdk::Event>,
) -> Result<Vec<sdk::EventResult>> {
    if events.is_empty() || events.len() > MOST_EVENTS {
        return Err(Error::invalid_field("events", "must be 1 to 1,000 events"));
    }
    let meters = meters::of(env);
    let now = env.now();
    let mut fates: Vec<Option<Fate>> = vec![None; events.len()];
    let mut incoming: Vec<(usize, Incoming)> = Vec::with_capacity(events.len());
    for (place, event) in events.iter().enumerate() {
        match fields::read(event, now) {
            Ok(read) => {
                let content = key::content_hash(install, event);
                let key = key::key_of(source.scope(), &read.key);
                incoming.push((place, Incoming { key, id: key.at(read.time), content, event: read }));
            }
            Err(refusal) => fates[place] = Some(Fate::Refused(refusal)),
        }
    }
    take_in(env, spool, (source, install), &meters, incoming, &mut fates).await;
    let results = events.into_iter().zip(fates).map(|(event, fate)| {
        // Every event has a fate by now; one without would have to be sent again.
        let (status, error) = match fate.unwrap_or(Fate::Retry) {
            Fate::Accepted => {
                meters.accepted.increment(1);
                (EventStatus::Accepted, String::new())
            }
            Fate::Refused(refusal) => {
                meters.refused(&refusal);
                (EventStatus::Refused, refusal.text)
            }
            Fate::Retry => {
                meters.retried.increment(1);
                (EventStatus::Retry, String::new())
            }
        };
        sdk::EventResult { event_id: event.event_id, status: status.into(), error }
    });
    Ok(results.collect())
}

/// Decides on events that say nothing wrong.
async fn take_in(
    env: &Env,
    spool: &Spool,
    (source, install): (Source, InstallId),
    meters: &Meters,
    incoming: Vec<(usize, Incoming)>,
    fates: &mut [Option<Fate>],
) {
    let recent = env.memory.of(Recent::default);
    let repeated = |known: i64, one: &Incoming| {
        if known == one.content {
            meters.repeated.increment(1);
            Fate::Accepted
        } else {
            Fate::Refused(used())
        }
    };
    // What is stored or on this disk comes first: no claim may stand before it.
    let kept = recent.kept(incoming.iter().map(|(_, one)| one.key));
    let mut open: Vec<(usize, Incoming)> = Vec::with_capacity(incoming.len());
    for ((place, one), kept) in incoming.into_iter().zip(kept) {
        match kept {
            Some(known) => fates[place] = Some(repeated(known, &one)),
            None => open.push((place, one)),
        }
    }
    let known = known(env, &open).await;
    let mut settled = Vec::new();
    open.retain(|(place, one)| {
        fates[*place] = match known.as_ref().map(|known| known.get(&one.id)) {
            Some(Some(known)) => {
                settled.push((one.key, *known));
                Some(repeated(*known, one))
            }
            // What is too late may be a repeat of what was in time: only the database can say.
            Some(None) if one.event.late => Some(Fate::Refused(fields::too_late())),
            None if one.event.late => Some(Fate::Retry),
            _ => None,
        };
        fates[*place].is_none()
    });
    recent.keep(settled.into_iter());

    let claims = recent.claim(open.iter().map(|(_, one)| (one.key, one.content)));
    let now = env.now();
    let mut first: HashMap<Key, usize> = HashMap::new();
    let mut same: Vec<(usize, usize)> = Vec::new();
    let (mut places, mut records) = (Vec::with_capacity(open.len()), Vec::with_capacity(open.len()));
    for ((place, one), claim) in open.into_iter().zip(claims) {
        let Incoming { key, content, event, .. } = one;
        match (claim, first.get(&key)) {
            (Claim::Other, _) => fates[place] = Some(Fate::Refused(used())),
            (Claim::Kept, _) => {
                meters.repeated.increment(1);
                fates[place] = Some(Fate::Accepted);
            }
            // Twice in this call: the fate of the first is the fate of both.
            (Claim::New | Claim::Coming, Some(of)) => same.push((place, *of)),
            // When another call is at it, nobody knows yet whether it gets it to the disk, so it is written again.
            (Claim::New | Claim::Coming, None) => {
                first.insert(key, place);
                places.push((place, key, content));
                records.push((env.ids.uuid(now), encode(source, install, content, event)));
            }
        }
    }
    let outcomes = spool.append_all_durable(RecordKind::Event, &records).await;
    fail_point!("events.kept.after");
    let (kept, lost): (Vec<_>, Vec<_>) =
        places.into_iter().zip(outcomes).partition(|(_, outcome)| outcome.is_ok());
    let claims = |of: &[((usize, Key, i64), _)]| -> Vec<(Key, i64)> {
        of.iter().map(|((_, key, content), _)| (*key, *content)).collect()
    };
    recent.keep(claims(&kept).into_iter());
    recent.forget(claims(&lost).into_iter());
    for ((place, ..), _) in kept {
        fates[place] = Some(Fate::Accepted);
    }
    for ((place, ..), _) in lost {
        fates[place] = Some(Fate::Retry);
    }
    for (place, of) in same {
        meters.repeated.increment(1);
        fates[place] = fates[of].clone();
    }
}

fn used() -> Refusal {
    Refusal::of("event_id", "was used for another event")
}

/// Asks the database which of these it has, with what content. `None`: it does not say, or not in time.
async fn known(env: &Env, open: &[(usize, Incoming)]) -> Option<HashMap<EventId, i64>> {
    if open.is_empty() {
        return Some(HashMap::new());
    }
    let resting: Arc<Resting> = env.memory.of(Resting::default);
    if resting.goes_on() {
        return None;
    }
    let ids: Vec<EventId> = open.iter().map(|(_, one)| one.id).collect();
    let late = open.iter().any(|(_, one)| one.event.late);
    let patience = if late { PATIENCE_WITH_LATE } else { PATIENCE };
    let asked = tokio::time::timeout(patience, store::contents(&env.db.api, &ids)).await;
    match asked {
        Ok(Ok(known)) => return Some(known),
        Ok(Err(error)) => tracing::debug!(%error, "the database does not say which events it has"),
        Err(_) => tracing::debug!("the database does not say in time which events it has"),
    }
    resting.begin();
    None
}
