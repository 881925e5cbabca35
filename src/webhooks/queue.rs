//! What a node has claimed and not sent yet, and whom it may call now. Decides alone: no clock, no database.
//!
//! Endpoints take turns, so that nobody waits behind somebody's backlog. Each has so many calls under way and each host too; those whose last
//! answer was not a good one, or that have not answered yet, have half of all places among them, so however many of them hang, the others
//! go on. Who answers fast has some claimed ahead, so that no call waits for the database.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    breaker::{Allowed, Breaker, Heard},
    pace::Pace,
};
use crate::{clock::Moment, ids::WebhookEndpointId};

/// What answers within this time is claimed ahead.
const FAST: Duration = Duration::from_millis(250);
/// How many deliveries of one endpoint are claimed ahead at the most, and by how many that grows with each fast answer.
const MOST_AHEAD: usize = 128;
const MORE_AHEAD: usize = 8;
/// How many times as many deliveries as calls are held.
const HELD: usize = 8;
/// How long an endpoint is left alone whose host had no place for another call.
const NO_PLACE: Duration = Duration::from_millis(100);
/// So many endpoints are remembered before those of which there is nothing to remember are forgotten.
const REMEMBERED: usize = 10_000;

/// How much may go on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls in all.
    pub at_once: usize,
    /// Calls to one endpoint.
    pub per_endpoint: usize,
    /// Calls to one host.
    pub per_host: usize,
}

/// Deliveries that are claimed, and endpoints as they are known.
#[derive(Debug)]
pub struct Queue<T> {
    limits: Limits,
    endpoints: HashMap<WebhookEndpointId, Known<T>>,
    /// Those with something to send, who is next at the front.
    turns: VecDeque<WebhookEndpointId>,
    hosts: HashMap<Arc<str>, usize>,
    under_way: usize,
    doubtful: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Known<T> {
    host: Arc<str>,
    breaker: Breaker,
    pace: Pace,
    /// How many may be claimed beyond those under way.
    ahead: usize,
    waiting: VecDeque<T>,
    under_way: usize,
    not_before: Duration,
}

/// A call that is under way; see [`Queue::ended`].
#[derive(Debug)]
#[must_use]
pub struct Place {
    endpoint: WebhookEndpointId,
    doubtful: bool,
}

impl<T> Queue<T> {
    /// Returns an empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            endpoints: HashMap::new(),
            turns: VecDeque::new(),
            hosts: HashMap::new(),
            under_way: 0,
            doubtful: 0,
            waiting: 0,
        }
    }

    /// Returns how many deliveries are claimed and not under way.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Says of each endpoint how many deliveries may be claimed for it now, leaving out those that have enough. All together are no more
    /// than may be held.
    pub fn rooms(&self, of: &[WebhookEndpointId], now: Moment) -> Vec<(WebhookEndpointId, usize)> {
        let mut left = (self.limits.at_once * HELD).saturating_sub(self.waiting + self.under_way);
        let mut rooms = Vec::new();
        for (passed, id) in of.iter().enumerate() {
            let share = (left / (of.len() - passed)).max(1).min(left);
            let room = self.room(*id, now).min(share);
            if room > 0 {
                left -= room;
                rooms.push((*id, room));
            }
        }
        rooms
    }

    fn room(&self, id: WebhookEndpointId, now: Moment) -> usize {
        let Some(known) = self.endpoints.get(&id) else { return self.limits.per_endpoint };
        let taken = known.waiting.len() + known.under_way;
        match known.breaker.allows(now) {
            Allowed::Not(_) => 0,
            Allowed::One => usize::from(taken == 0),
            // By handfuls: a claim costs about as much for one as for many.
            Allowed::Many if known.waiting.len() > known.ahead / 2 => 0,
            Allowed::Many => (self.limits.per_endpoint + known.ahead).saturating_sub(taken),
        }
    }

    /// Takes a delivery that was claimed.
    pub fn put(&mut self, id: WebhookEndpointId, host: &Arc<str>, delivery: T) {
        if self.endpoints.len() > REMEMBERED {
            self.endpoints.retain(|_, known| {
                known.under_way > 0 || !known.waiting.is_empty() || known.breaker != Breaker::default()
            });
        }
        let known = self.endpoints.entry(id).or_insert_with(|| Known {
            host: host.clone(),
            breaker: Breaker::default(),
            pace: Pace::default(),
            ahead: 0,
            waiting: VecDeque::new(),
            under_way: 0,
            not_before: Duration::ZERO,
        });
        // Somebody may have changed the URL. What is under way goes back to the host that it was taken from.
        if known.under_way == 0 && known.host != *host {
            known.host = host.clone();
        }
        if known.waiting.is_empty() {
            self.turns.push_back(id);
        }
        known.waiting.push_back(delivery);
        self.waiting += 1;
    }

    /// Returns a delivery that may be sent now; `clock` is a stopwatch.
    pub fn next(&mut self, now: Moment, clock: Duration) -> Option<(T, Place)> {
        if self.under_way >= self.limits.at_once {
            return None;
        }
        for _ in 0..self.turns.len() {
            let id = self.turns.pop_front()?;
            let taken = self.take(id, now, clock);
            if self.endpoints.get(&id).is_some_and(|known| !known.waiting.is_empty()) {
                self.turns.push_back(id);
            }
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    fn take(&mut self, id: WebhookEndpointId, now: Moment, clock: Duration) -> Option<(T, Place)> {
        let known = self.endpoints.get_mut(&id)?;
        let most = match known.breaker.allows(now) {
            Allowed::Not(_) => 0,
            Allowed::One => 1,
            Allowed::Many => self.limits.per_endpoint,
        };
        let doubtful = !known.breaker.is_proved();
        if known.under_way >= most
            || clock < known.not_before
            || (doubtful && self.doubtful >= (self.limits.at_once / 2).max(1))
            || self.hosts.get(&known.host).is_some_and(|count| *count >= self.limits.per_host)
            || known.pace.take(clock).is_err()
        {
            return None;
        }
        let delivery = known.waiting.pop_front()?;
        known.under_way += 1;
        *self.hosts.entry(known.host.clone()).or_default() += 1;
        self.waiting -= 1;
        self.under_way += 1;
        self.doubtful += usize::from(doubtful);
        Some((delivery, Place { endpoint: id, doubtful }))
    }

    /// Notes that a call ended and what was heard; `None`: nobody was called. Returns what was claimed for an endpoint that is not to be
    /// called for a while, and until when.
    pub fn ended(
        &mut self,
        place: Place,
        heard: Option<Heard>,
        took: Duration,
        (now, clock): (Moment, Duration),
    ) -> Option<(Moment, Vec<T>)> {
        let known = self.free(&place)?;
        let Some(heard) = heard else {
            known.not_before = clock + NO_PLACE;
            return None;
        };
        known.breaker = known.breaker.after(heard, now);
        match heard {
            Heard::Alive => known.pace.speed_up(),
            Heard::Down => {}
            Heard::Busy(_) => known.pace.slow_down(clock),
        }
        let fast = heard == Heard::Alive && took < FAST;
        known.ahead = if fast { (known.ahead + MORE_AHEAD).min(MOST_AHEAD) } else { 0 };
        let Allowed::Not(until) = known.breaker.allows(now) else { return None };
        let back: Vec<T> = known.waiting.drain(..).collect();
        self.waiting -= back.len();
        self.turns.retain(|id| *id != place.endpoint);
        Some((until, back))
    }

    /// Takes back a place in which nobody was called, since there was nothing to say any more: the next delivery may have it at once.
    pub fn unused(&mut self, place: Place) {
        self.free(&place);
    }

    fn free(&mut self, place: &Place) -> Option<&mut Known<T>> {
        self.under_way -= 1;
        self.doubtful -= usize::from(place.doubtful);
        let known = self.endpoints.get_mut(&place.endpoint)?;
        known.under_way -= 1;
        if let Some(count) = self.hosts.get_mut(&known.host) {
            *count -= 1;
            if *count == 0 {
                self.hosts.remove(&known.host);
            }
        }
        Some(known)
    }

    /// Puts a delivery in front again that was taken and not sent.
    pub fn again(&mut self, id: WebhookEndpointId, delivery: T) {
        let Some(known) = self.endpoints.get_mut(&id) else { return };
        if known.waiting.is_empty() {
            self.turns.push_back(id);
        }
        known.waiting.push_front(delivery);
        self.waiting += 1;
    }

    /// Takes out what is waiting for an endpoint that is told nothing any more.
    pub fn leave(&mut self, id: WebhookEndpointId) -> Vec<T> {
        self.turns.retain(|turn| *turn != id);
        let left: Vec<T> =
            self.endpoints.get_mut(&id).map(|known| known.waiting.drain(..).collect()).unwrap_or_default();
        self.waiting -= left.len();
        left
    }

    /// Forgets how an endpoint answered: somebody has changed it.
    pub fn forgive(&mut self, id: WebhookEndpointId) {
        if let Some(known) = self.endpoints.get_mut(&id) {
            (known.breaker, known.pace, known.ahead) = (Breaker::default(), Pace::default(), 0);
        }
    }

    /// Takes out all that is waiting.
    pub fn empty(&mut self) -> Vec<T> {
        self.waiting = 0;
        self.turns.clear();
        self.endpoints.values_mut().flat_map(|known| known.waiting.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{clock::from_micros, ids::Ids};

    const LIMITS: Limits = Limits { at_once: 64, per_endpoint: 4, per_host: 8 };
    const SOON: Duration = Duration::from_millis(1);

    struct Bench {
        ids: Vec<WebhookEndpointId>,
        queue: Queue<usize>,
        now: Moment,
        clock: Duration,
    }

    impl Bench {
        /// Endpoints on hosts of their own.
        fn of(endpoints: usize, limits: Limits) -> Self {
            let now = from_micros(1_800_000_000_000_000);
            let source = Ids::seeded(1);
            let ids = (0..endpoints).map(|_| WebhookEndpointId::mint(&source, now)).collect();
            Self { ids, queue: Queue::new(limits), now, clock: Duration::from_secs(1) }
        }

        fn put(&mut self, endpoint: usize, count: usize) {
            let host: Arc<str> = format!("{endpoint}.example.com").into();
            for _ in 0..count {
                self.queue.put(self.ids[endpoint], &host, endpoint);
            }
        }

        /// Begins all calls that may begin.
        fn begin(&mut self) -> Vec<(usize, Place)> {
            std::iter::from_fn(|| self.queue.next(self.now, self.clock)).collect()
        }

        fn end(&mut self, place: Place, heard: Heard) -> Option<(Moment, Vec<usize>)> {
            self.queue.ended(place, Some(heard), SOON, (self.now, self.clock))
        }
    }

    #[test]
    fn endpoints_take_turns_and_have_so_many_calls_each() {
        let mut bench = Bench::of(3, LIMITS);
        bench.put(0, 100);
        bench.put(1, 2);
        bench.put(2, 6);
        let begun: Vec<usize> = bench.begin().into_iter().map(|(endpoint, _)| endpoint).collect();
        assert_eq!(begun, [0, 1, 2, 0, 1, 2, 0, 2, 0, 2]);
        assert_eq!(bench.queue.waiting(), 98);
    }

    #[test]
    fn however_many_hang_half_of_the_places_are_for_those_that_answer() {
        let mut bench = Bench::of(101, LIMITS);
        bench.put(100, 1);
        let (_, place) = bench.begin().pop().expect("one");
        assert_eq!(bench.end(place, Heard::Alive), None);
        for endpoint in 0..100 {
            bench.put(endpoint, 4);
        }
        assert_eq!(bench.begin().len(), 32, "nobody has heard of these");
        bench.put(100, 10);
        assert_eq!(bench.begin().into_iter().map(|(endpoint, _)| endpoint).collect::<Vec<_>>(), [100; 4]);
    }

    #[test]
    fn all_places_together_and_those_of_a_host_are_bounded() {
        let mut bench = Bench::of(40, Limits { at_once: 10, ..LIMITS });
        let host: Arc<str> = "one.example.com".into();
        for endpoint in 0..5 {
            for _ in 0..4 {
                bench.queue.put(bench.ids[endpoint], &host, endpoint);
            }
        }
        let mut begun = bench.begin();
        assert_eq!(begun.len(), 5, "half of ten");
        for (_, place) in begun.drain(..) {
            bench.end(place, Heard::Alive);
        }
        let begun = bench.begin();
        assert_eq!(begun.len(), 8, "as many as one host has");
        for endpoint in 10..40 {
            bench.put(endpoint, 1);
        }
        assert_eq!(bench.begin().len(), 2, "ten in all");
    }

    #[test]
    fn who_answers_fast_has_more_claimed_ahead_and_who_fails_none() {
        let mut bench = Bench::of(1, LIMITS);
        let room =
            |bench: &Bench| bench.queue.rooms(&bench.ids, bench.now).first().map_or(0, |(_, room)| *room);
        assert_eq!(room(&bench), 4);
        for _ in 0..20 {
            bench.put(0, 1);
            let (_, place) = bench.begin().pop().expect("one");
            bench.end(place, Heard::Alive);
        }
        assert_eq!(room(&bench), 4 + MOST_AHEAD);
        bench.put(0, 80);
        assert_eq!(room(&bench), 0, "enough for a while");
        let mut begun = bench.begin();
        assert_eq!(begun.len(), 4);
        for _ in 0..4 {
            let (_, place) = begun.pop().expect("four");
            assert_eq!(bench.end(place, Heard::Down), None);
        }
        begun = bench.begin();
        let (_, place) = begun.pop().expect("four more");
        let (until, back) = bench.end(place, Heard::Down).expect("that was the fifth in a row");
        assert_eq!((until, back.len()), (bench.now + TimeDelta::seconds(1), 72));
        assert_eq!((room(&bench), bench.queue.waiting()), (0, 0));
        for (_, place) in begun {
            bench.end(place, Heard::Down);
        }
        bench.now += TimeDelta::minutes(5);
        assert_eq!(room(&bench), 1, "one at a time");
        bench.put(0, 1);
        assert_eq!((bench.begin().len(), room(&bench)), (1, 0));
    }

    #[test]
    fn claims_are_shared_out_among_those_who_wait() {
        let bench = Bench::of(300, LIMITS);
        let rooms = bench.queue.rooms(&bench.ids, bench.now);
        assert_eq!(rooms.iter().map(|(_, room)| room).sum::<usize>(), 64 * HELD);
        assert_eq!(rooms.len(), 300, "everybody gets one");
        assert!(bench.queue.rooms(&[], bench.now).is_empty());
    }

    #[test]
    fn what_is_stale_holds_nobody_up() {
        let mut bench = Bench::of(1, LIMITS);
        bench.put(0, 100);
        for _ in 0..99 {
            let (_, place) = bench.queue.next(bench.now, bench.clock).expect("at once");
            bench.queue.unused(place);
        }
        assert_eq!(bench.begin().len(), 1);
    }

    #[test]
    fn what_was_not_sent_keeps_its_turn() {
        let mut bench = Bench::of(1, LIMITS);
        bench.put(0, 1);
        let (delivery, place) = bench.begin().pop().expect("one");
        assert_eq!(bench.queue.ended(place, None, SOON, (bench.now, bench.clock)), None);
        bench.queue.again(bench.ids[0], delivery);
        assert!(bench.begin().is_empty(), "not at once");
        bench.clock += NO_PLACE;
        assert_eq!(bench.begin().len(), 1);
        bench.put(0, 3);
        assert_eq!(bench.queue.empty().len(), 3);
        assert_eq!(bench.queue.waiting(), 0);
    }
}
