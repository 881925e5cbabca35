//! How many calls are under way to whom. Nobody waits: who would be one too many comes again later.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// A destination: a thousand URLs may have one host, and a thousand hosts one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Destination {
    Host(Box<str>),
    /// Of IPv6 its /64, which is one customer's.
    Network(IpAddr),
}

/// Counts calls under way. It remembers nobody who is not being called, so it holds two entries for each call at the most.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    per_host: u32,
    counts: Arc<Mutex<HashMap<Destination, u32>>>,
}

/// How many times as many calls an address may have as a host: many hosts share the addresses of those who serve for others.
const HOSTS_OF_AN_ADDRESS: u32 = 8;

/// A call under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    destination: Destination,
}

impl Crowd {
    pub(super) fn new(per_host: u32) -> Self {
        Self { per_host, counts: Arc::default() }
    }

    /// Takes a place at a host, if there is one.
    pub(super) fn at_host(&self, host: &str) -> Option<Place> {
        self.take(Destination::Host(host.into()), self.per_host)
    }

    /// Takes a place at an address, if there is one.
    pub(super) fn at_address(&self, address: IpAddr) -> Option<Place> {
        let network = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        };
        self.take(Destination::Network(network), self.per_host.saturating_mul(HOSTS_OF_AN_ADDRESS))
    }

    fn take(&self, destination: Destination, limit: u32) -> Option<Place> {
        let mut counts = self.lock();
        let count = counts.get(&destination).copied().unwrap_or_default();
        if count >= limit {
            return None;
        }
        counts.insert(destination.clone(), count + 1);
        Some(Place { crowd: self.clone(), destination })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Destination, u32>> {
        // A map that somebody panicked over is still a map.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.lock();
        if let Some(count) = counts.get_mut(&self.destination) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.destination);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_so_many_places_and_an_address_more() {
        let crowd = Crowd::new(2);
        let held: Vec<Option<Place>> = (0..3).map(|_| crowd.at_host("a.com")).collect();
        assert_eq!(held.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        assert!(crowd.at_host("b.com").is_some());

        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let same: Vec<Place> =
            (1..=16).filter_map(|last| crowd.at_address(address(&format!("2606:4700::{last}")))).collect();
        assert_eq!(same.len(), 16);
        assert!(crowd.at_address(address("2606:4700::ffff:1")).is_none());
        assert!(crowd.at_address(address("2606:4700:0:1::1")).is_some());
        assert!(crowd.at_address(address("8.8.8.8")).is_some());
    }

    #[test]
    fn it_remembers_nobody_who_is_not_being_called() {
        let crowd = Crowd::new(1);
        let place = crowd.at_host("a.com").expect("a place");
        assert_eq!(crowd.lock().len(), 1);
        drop(place);
        assert!(crowd.lock().is_empty());
        assert!(crowd.at_host("a.com").is_some());
    }
}
