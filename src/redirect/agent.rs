//! What user agents say, each distinct one read once while it is in use.
//!
//! A table of fixed size that visitors share without a lock: reading costs a hash and a comparison. Who sends a new user agent
//! with every request pays for reading each, and pushes nobody out: a full place changes hands only when the same newcomer
//! asks for it twice in a row.

use std::{
    hash::BuildHasher as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use quick_cache::DefaultHashBuilder;

use super::{software::Software, visitor::Visitor};
use crate::clicks::kept_of_user_agent;

/// Some thousand are in use in the world at a time; at the most this is 2 MiB.
const PLACES: usize = 4096;

/// Reads user agents and remembers what they say.
#[derive(Debug)]
pub struct Agents {
    /// Nobody can know which user agents share a place.
    hash: DefaultHashBuilder,
    places: Box<[Place]>,
}

#[derive(Debug, Default)]
struct Place {
    held: ArcSwapOption<Known>,
    /// The newcomer that asked last, by its hash.
    newcomer: AtomicU32,
}

#[derive(Debug)]
struct Known {
    agent: Box<str>,
    visitor: Visitor,
    /// Read when a rule asks for the first time.
    software: OnceLock<Software>,
}

impl Place {
    fn says(&self, agent: &str) -> Option<Visitor> {
        let held = self.held.load();
        held.as_ref().filter(|known| *known.agent == *agent).map(|known| known.visitor)
    }

    fn runs(&self, agent: &str) -> Option<Software> {
        let held = self.held.load();
        let known = held.as_ref().filter(|known| *known.agent == *agent)?;
        Some(*known.software.get_or_init(|| Software::of(agent)))
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self::with_places(PLACES)
    }
}

impl Agents {
    /// `places` is an even number.
    fn with_places(places: usize) -> Self {
        let places = (0..places).map(|_| Place::default()).collect();
        Self { hash: DefaultHashBuilder::default(), places }
    }

    /// Returns what a User-Agent header says; of a long one the part counts that is kept with the click.
    pub fn read(&self, user_agent: &str) -> Visitor {
        let agent = kept_of_user_agent(user_agent);
        let (pair, mark) = self.places_of(agent);
        match pair[0].says(agent).or_else(|| pair[1].says(agent)) {
            Some(visitor) => visitor,
            None => learn(pair, mark, agent),
        }
    }

    /// Returns what more it says. Asked only by rules; it is remembered beside what [`Agents::read`] remembers.
    #[cold]
    pub fn software(&self, user_agent: &str) -> Software {
        let agent = kept_of_user_agent(user_agent);
        let (pair, _) = self.places_of(agent);
        pair[0].runs(agent).or_else(|| pair[1].runs(agent)).unwrap_or_else(|| Software::of(agent))
    }

    /// Returns the two places that can hold a user agent, so that two in use seldom fight for one, and its mark.
    fn places_of(&self, agent: &str) -> ([&Place; 2], u32) {
        let hash = self.hash.hash_one(agent);
        let place = hash as usize % self.places.len();
        ([&self.places[place], &self.places[place ^ 1]], (hash >> 32) as u32)
    }
}

#[cold]
fn learn(pair: [&Place; 2], mark: u32, agent: &str) -> Visitor {
    let visitor = Visitor::of(agent);
    let vacant = pair.into_iter().find(|place| place.held.load().is_none());
    let taken = vacant.or_else(|| {
        let place = pair[(mark & 1) as usize];
        (place.newcomer.swap(mark, Ordering::Relaxed) == mark).then_some(place)
    });
    if let Some(place) = taken {
        let software = OnceLock::new();
        place.held.store(Some(Arc::new(Known { agent: agent.into(), visitor, software })));
    }
    visitor
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15";

    fn held(agents: &Agents) -> Vec<String> {
        let held = agents.places.iter().filter_map(|place| place.held.load_full());
        held.map(|known| known.agent.to_string()).collect()
    }

    #[test]
    fn what_is_remembered_is_what_is_read() {
        let agents = Agents::default();
        for _ in 0..2 {
            for agent in ["", IPHONE, "Android; wv)", "facebookexternalhit/1.1"] {
                assert_eq!(agents.read(agent), Visitor::of(agent), "{agent}");
                assert_eq!(agents.software(agent), Software::of(agent), "{agent}");
            }
        }
        assert_eq!(held(&agents).len(), 4);
    }

    #[test]
    fn a_flood_of_user_agents_takes_no_room_and_pushes_nobody_out() {
        let agents = Agents::with_places(2);
        agents.read(IPHONE);
        for number in 0..10_000 {
            agents.read(&format!("{IPHONE} flood/{number}"));
        }
        assert_eq!(held(&agents).len(), 2);
        assert!(held(&agents).contains(&IPHONE.to_owned()));
        // Who comes again soon gets a place all the same.
        for number in 0..8 {
            let agent = format!("again/{number}");
            agents.read(&agent);
            agents.read(&agent);
            assert!(held(&agents).contains(&agent), "{agent}");
        }
    }

    #[test]
    fn of_a_long_user_agent_the_beginning_counts() {
        let agents = Agents::default();
        let long = format!("{IPHONE} {} Instagram", "x".repeat(600));
        assert!(!agents.read(&long).in_app_browser);
        assert!(agents.read(&format!("{IPHONE} Instagram {}", "x".repeat(600))).in_app_browser);
        assert!(held(&agents).iter().all(|agent| agent.len() <= 512));
    }

    #[test]
    fn what_rules_ask_for_is_read_once_and_not_before_they_ask() {
        let agents = Agents::default();
        agents.read(IPHONE);
        let known = agents.places.iter().find_map(|place| place.held.load_full()).expect("it is held");
        assert_eq!(known.software.get(), None);
        assert_eq!(agents.software(IPHONE), Software::of(IPHONE));
        assert_eq!(known.software.get(), Some(&Software::of(IPHONE)));
    }
}
