//! Who works and who waits. Waits for nothing and tells nobody: [`super::Admission`] does.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Party, Place,
    decide::{Class, Decision, Queue, Shares, Standing, admit, has_room},
    memory::Pressure,
};

/// For how long somebody has been about after they came last.
const ABOUT_FOR: Duration = Duration::from_secs(10);
/// What one call says of how long calls take, in sixteenths: so little that no slow one says much.
const WEIGHT: u32 = 16;

/// Every class's.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: [Lane; Class::ALL.len()],
    in_use: [usize; Class::ALL.len()],
    seats: u64,
}

/// Those of one class. Only who works or waits has an entry, so it is as bounded as they are.
#[derive(Debug, Default)]
struct Lane {
    guests: HashMap<Party, Guest>,
    /// The parties that wait, each once, in the order of their turns.
    turns: VecDeque<Party>,
    waiting: usize,
    median: Duration,
    /// Who came last and when, and until when there have been several.
    last: Option<(Party, Instant)>,
    others_until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Guest {
    has: usize,
    waiting: VecDeque<(Seat, oneshot::Sender<Place>)>,
    since: Option<Instant>,
}

/// Where somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat(u64);

impl Lanes {
    /// Decides about somebody who comes, and counts their place if they get one.
    pub(super) fn admit(
        &mut self,
        class: Class,
        party: Party,
        now: Instant,
        pressure: Pressure,
        shares: &Shares,
    ) -> Decision {
        let lane = &mut self.lanes[class as usize];
        if lane.last.is_some_and(|(last, at)| last != party && now - at < ABOUT_FOR) {
            lane.others_until = Some(now + ABOUT_FOR);
        }
        lane.last = Some((party, now));
        let decision = admit(class, &self.standing(class, party, now), pressure, shares);
        if decision == Decision::Admitted {
            self.seat(class, party);
        }
        decision
    }

    /// Returns what a party sees that is about to wait.
    pub(super) fn queue(&self, class: Class, party: Party, now: Instant, shares: &Shares) -> Queue {
        let (lane, share) = (&self.lanes[class as usize], shares.of(class));
        let guest = lane.guests.get(&party);
        let since = guest.and_then(|guest| guest.since);
        Queue {
            ahead: guest.map_or(0, |guest| guest.waiting.len()),
            places: if lane.has_others(now) { share.of_one } else { share.reserved },
            median: lane.median,
            standing: since.map_or(Duration::ZERO, |since| now - since),
        }
    }

    /// Lets somebody wait.
    pub(super) fn wait(
        &mut self,
        class: Class,
        party: Party,
        now: Instant,
        give: oneshot::Sender<Place>,
    ) -> Seat {
        self.seats += 1;
        let (seat, lane) = (Seat(self.seats), &mut self.lanes[class as usize]);
        let guest = lane.guests.entry(party).or_default();
        if guest.waiting.is_empty() {
            guest.since = Some(now);
            lane.turns.push_back(party);
        }
        guest.waiting.push_back((seat, give));
        lane.waiting += 1;
        seat
    }

    /// Forgets somebody who waits no more, if they still do.
    pub(super) fn give_up(&mut self, class: Class, party: Party, seat: Seat) {
        let lane = &mut self.lanes[class as usize];
        let Some(guest) = lane.guests.get_mut(&party) else { return };
        let Some(at) = guest.waiting.iter().position(|(other, _)| *other == seat) else { return };
        guest.waiting.remove(at);
        lane.one_less(party);
    }

    /// Takes a place back that was held for `took`.
    pub(super) fn leave(&mut self, class: Class, party: Party, took: Duration) {
        self.in_use[class as usize] -= 1;
        let lane = &mut self.lanes[class as usize];
        lane.note(took);
        if let Some(guest) = lane.guests.get_mut(&party) {
            guest.has -= 1;
        }
        lane.forget_if_gone(party);
    }

    /// Takes whoever is to have a place now out of the queue, and counts it as theirs.
    pub(super) fn next(
        &mut self,
        now: Instant,
        shares: &Shares,
    ) -> Option<(Class, Party, oneshot::Sender<Place>)> {
        for class in Class::ALL {
            let turns = self.lanes[class as usize].turns.len();
            for _ in 0..turns {
                let Some(party) = self.lanes[class as usize].turns.front().copied() else { break };
                if !has_room(class, &self.standing(class, party, now), shares) {
                    self.lanes[class as usize].turns.rotate_left(1);
                    continue;
                }
                let lane = &mut self.lanes[class as usize];
                lane.turns.rotate_left(1);
                let next = lane.guests.get_mut(&party).and_then(|guest| {
                    let next = guest.waiting.pop_front()?;
                    guest.has += 1;
                    Some(next)
                });
                let Some((_, give)) = next else { break };
                self.in_use[class as usize] += 1;
                lane.one_less(party);
                return Some((class, party, give));
            }
        }
        None
    }

    fn seat(&mut self, class: Class, party: Party) {
        self.in_use[class as usize] += 1;
        self.lanes[class as usize].guests.entry(party).or_default().has += 1;
    }

    fn standing(&self, class: Class, party: Party, now: Instant) -> Standing {
        let lane = &self.lanes[class as usize];
        let guest = lane.guests.get(&party);
        Standing {
            in_use: self.in_use,
            waiting: lane.waiting,
            has: guest.map_or(0, |guest| guest.has),
            waits: guest.map_or(0, |guest| guest.waiting.len()),
            others: lane.has_others(now),
        }
    }

    /// Notes that a call took so long.
    #[cfg(test)]
    pub(super) fn leave_after(&mut self, took: Duration) {
        self.lanes[Class::Interactive as usize].note(took);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.in_use == [0; Class::ALL.len()]
            && self
                .lanes
                .iter()
                .all(|lane| lane.guests.is_empty() && lane.turns.is_empty() && lane.waiting == 0)
    }
}

impl Lane {
    fn has_others(&self, now: Instant) -> bool {
        self.others_until.is_some_and(|until| now < until)
    }

    /// One of a party waits no more.
    fn one_less(&mut self, party: Party) {
        self.waiting -= 1;
        if let Some(guest) = self.guests.get_mut(&party)
            && guest.waiting.is_empty()
        {
            guest.since = None;
            self.turns.retain(|waiting| *waiting != party);
        }
        self.forget_if_gone(party);
    }

    fn forget_if_gone(&mut self, party: Party) {
        if self.guests.get(&party).is_some_and(|guest| guest.has == 0 && guest.waiting.is_empty()) {
            self.guests.remove(&party);
        }
    }

    /// Moves the median a little towards what a call took: half of them end up on each side.
    fn note(&mut self, took: Duration) {
        let step = self.median / WEIGHT + Duration::from_micros(10);
        if took > self.median {
            self.median = (self.median + step).min(took);
        } else {
            self.median = self.median.saturating_sub(step).max(took);
        }
    }
}
