//! How much work a node does at once, for whom, and who hears no when it is too much.
//!
//! - [`decide`] who gets a place, waits or is turned away; pure
//! - `lanes`    who works and who waits, class by class and party by party
//! - [`memory`] how full the memory is, and who is turned away for it; pure, but for the reading
//!
//! How often somebody may call is `limits`' to say: that is the caller's fault (RESOURCE_EXHAUSTED, 429), this is ours (UNAVAILABLE, 503).
//!
//! Guarantees: a class always gets its reserved places, whatever the others do; what nobody uses is lent, and lent to nobody new once it is
//! wanted. Of one class every party gets its turn, however many of another's calls wait. Whoever would wait for longer than it is worth
//! hears so at once. A warm redirect never comes here.

pub mod decide;
mod lanes;
pub mod memory;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use uuid::Uuid;

pub use self::decide::{Class, Shares, Why};
use self::{
    decide::{Decision, patience, room},
    lanes::{Lanes, Seat},
    memory::Pressure,
};

/// Whose work it is, as far as fairness goes: a workspace, a person, or a network for those who say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Party(pub u128);

impl From<Uuid> for Party {
    fn from(id: Uuid) -> Self {
        Self(id.as_u128())
    }
}

impl From<std::net::IpAddr> for Party {
    fn from(network: std::net::IpAddr) -> Self {
        match network {
            std::net::IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            std::net::IpAddr::V6(address) => Self(address.to_bits()),
        }
    }
}

/// How often the log says that calls are turned away. How many the metrics say.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Hands out places. A cheap clone; clones share the places.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shares: Shares,
    lanes: Mutex<Lanes>,
    pressure: AtomicU8,
    told: Mutex<Option<Instant>>,
    meters: [Meters; Class::ALL.len()],
}

struct Meters {
    in_use: Gauge,
    waiting: Gauge,
    admitted: Counter,
    waited: Histogram,
    shed: [Counter; Why::ALL.len()],
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    fn of(class: Class) -> Self {
        let class = class.name();
        let shed = |why: Why| counter!("linkforty_shed_total", "class" => class, "reason" => why.name());
        Self {
            in_use: gauge!("linkforty_admission_in_use", "class" => class),
            waiting: gauge!("linkforty_admission_waiting", "class" => class),
            admitted: counter!("linkforty_admitted_total", "class" => class),
            waited: histogram!("linkforty_admission_wait_duration_seconds", "class" => class),
            shed: Why::ALL.map(shed),
        }
    }
}

/// A place to work in. Dropping it gives it to whoever waits.
#[derive(Debug)]
pub struct Place {
    inner: Option<Arc<Inner>>,
    class: Class,
    party: Party,
    since: Instant,
}

impl Admission {
    /// Returns places as `shares` says, none of them taken.
    pub fn new(shares: Shares) -> Self {
        Self(Arc::new(Inner {
            lanes: Mutex::new(Lanes::default()),
            pressure: AtomicU8::new(Pressure::None as u8),
            told: Mutex::default(),
            meters: Class::ALL.map(Meters::of),
            shares,
        }))
    }

    /// Gets a place for a call of `party` that has to be answered by `deadline`, or one in the queue if waiting is worth it.
    pub fn arrive(&self, class: Class, party: Party, deadline: Instant) -> Result<Arrived, Why> {
        self.decide(class, party, deadline).map_err(|why| self.turned_away(class, why))
    }

    /// Gets a place if there is one at this moment.
    pub fn enter_at_once(&self, class: Class, party: Party) -> Result<Place, Why> {
        let now = Instant::now();
        match self.lock().admit(class, party, now, self.pressure(), &self.0.shares) {
            Decision::Admitted => Ok(self.seated(class, party, now)),
            Decision::Queued => Err(self.turned_away(class, Why::Full)),
            Decision::Shed(why) => Err(self.turned_away(class, why)),
        }
    }

    /// Fails for a class that is turned away whatever places there are: what is not even read takes no memory.
    pub fn has_memory(&self, class: Class) -> Result<(), Why> {
        if self.pressure().sheds(class) { Err(self.turned_away(class, Why::Memory)) } else { Ok(()) }
    }

    /// Notes how full the memory is.
    pub fn press(&self, pressure: Pressure) {
        let before = Pressure::of(self.0.pressure.swap(pressure as u8, Ordering::Relaxed));
        gauge!("linkforty_memory_pressure").set(f64::from(pressure as u8));
        if before < pressure {
            tracing::warn!(?pressure, "the memory is nearly full: less important calls are turned away");
        } else if before > pressure {
            tracing::info!(?pressure, "there is memory again");
        }
    }

    /// Returns how full the memory is, as far as was noted.
    pub fn pressure(&self) -> Pressure {
        Pressure::of(self.0.pressure.load(Ordering::Relaxed))
    }

    fn decide(&self, class: Class, party: Party, deadline: Instant) -> Result<Arrived, Why> {
        let (now, share) = (Instant::now(), self.0.shares.of(class));
        let mut lanes = self.lock();
        match lanes.admit(class, party, now, self.pressure(), &self.0.shares) {
            Decision::Admitted => {
                drop(lanes);
                Ok(Arrived::In(self.seated(class, party, now)))
            }
            Decision::Queued => {
                let queue = lanes.queue(class, party, now, &self.0.shares);
                let patience = patience(share, &queue, deadline.saturating_duration_since(now))?;
                let (give, given) = oneshot::channel();
                let seat = lanes.wait(class, party, now, give);
                self.0.meters[class as usize].waiting.increment(1.0);
                let queued = Queued { admission: self.clone(), class, party, seat };
                Ok(Arrived::Waits(Waiting { queued, since: now, patience, given, room: room(share, &queue) }))
            }
            Decision::Shed(why) => Err(why),
        }
    }

    /// Makes the place that the lanes have counted already.
    fn seated(&self, class: Class, party: Party, now: Instant) -> Place {
        let meters = &self.0.meters[class as usize];
        meters.admitted.increment(1);
        meters.in_use.increment(1.0);
        Place { inner: Some(self.0.clone()), class, party, since: now }
    }

    fn turned_away(&self, class: Class, why: Why) -> Why {
        self.0.meters[class as usize].shed[why as usize].increment(1);
        let (now, mut told) = (Instant::now(), self.0.told.lock().unwrap_or_else(PoisonError::into_inner));
        if told.is_none_or(|told| now - told >= TELL_EVERY) {
            *told = Some(now);
            drop(told);
            tracing::warn!(
                class = class.name(),
                reason = why.name(),
                "there is too much to do: calls are turned away"
            );
        }
        why
    }

    /// Gives what is free to those who wait.
    fn hand_out(&self) {
        loop {
            let now = Instant::now();
            let Some((class, party, give)) = self.lock().next(now, &self.0.shares) else { return };
            // Outside of the lock: a place that nobody takes is given back by being dropped.
            let _ = give.send(self.seated(class, party, now));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        // Counts that somebody panicked over are still counts.
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of an arrival that was not turned away.
#[derive(Debug)]
pub enum Arrived {
    /// It has a place.
    In(Place),
    /// It waits for one.
    Waits(Waiting),
}

impl Arrived {
    /// Returns the place, waiting for it as long as that is worth it.
    pub async fn place(self) -> Result<Place, Why> {
        let Waiting { queued, since, patience, given, room: _ } = match self {
            Self::In(place) => return Ok(place),
            Self::Waits(waiting) => waiting,
        };
        let outcome = timeout(patience, given).await;
        let (admission, class) = (queued.admission.clone(), queued.class);
        // Out of the queue, whatever became of it: nothing is given to whoever does not wait.
        drop(queued);
        admission.0.meters[class as usize].waited.record(since.elapsed());
        match outcome {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(admission.turned_away(class, Why::Waited)),
        }
    }
}

/// Somebody who waits.
#[derive(Debug)]
pub struct Waiting {
    queued: Queued,
    since: Instant,
    patience: Duration,
    given: oneshot::Receiver<Place>,
    room: usize,
}

impl Waiting {
    /// Returns how many more of the party would have found a place to wait in.
    pub const fn room(&self) -> usize {
        self.room
    }
}

/// A place in the queue. Gone, nobody waits there any more.
#[derive(Debug)]
struct Queued {
    admission: Admission,
    class: Class,
    party: Party,
    seat: Seat,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.admission.0.meters[self.class as usize].waiting.decrement(1.0);
        self.admission.lock().give_up(self.class, self.party, self.seat);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let admission = Admission(inner);
        admission.0.meters[self.class as usize].in_use.decrement(1.0);
        admission.lock().leave(self.class, self.party, self.since.elapsed());
        admission.hand_out();
    }
}

#[cfg(test)]
mod tests;
