//! The id of an event, and what tells other content under it. Pure.
//!
//! Both are made of what a client sends again byte for byte, and of nothing that the server knows, such as the time at which it heard of it: so a repeat finds
//! the same row in the same partition, on any node, after any restart and on any later day.

use chrono::Duration;
use prost::Message as _;
use ring::digest;
use uuid::Uuid;

use super::fields::MOST_EARLY;
use crate::{
    clock::Moment,
    ids::{EventId, InstallId, floor},
    pb::sdk::v1 as sdk,
};

/// Who an event is, whatever it says: a hash of scope and the app's own id. Its time is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

/// Hashes who an event is.
pub fn key_of(scope: Uuid, event_key: &str) -> Key {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(scope.as_bytes());
    hash.update(event_key.as_bytes());
    Key(first(hash.finish().as_ref()))
}

impl Key {
    /// Returns the id: a UUIDv7 of the millisecond `time`, the rest of which is the hash.
    pub fn at(self, time: Moment) -> EventId {
        let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
        let mut bytes = self.0;
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6] = (bytes[6] & 0x0f) | 0x70;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        EventId(Uuid::from_bytes(bytes))
    }
}

/// Returns the id of an event: of the scope (the app), the app's own id of it, and its time by the device's clock.
pub fn id_of(scope: Uuid, event_key: &str, time: Moment) -> EventId {
    key_of(scope, event_key).at(time)
}

/// Returns what the ids of events that happened before `end` are less than: an id holds the time of the device's clock, which may be ahead of
/// the event's, and no id is behind its event's time.
pub fn id_after(end: Moment) -> EventId {
    EventId(floor(end + MOST_EARLY + Duration::milliseconds(1)))
}

/// Hashes what an event says, and of which install. One message has one encoding here: maps are sorted.
pub fn content_hash(install: InstallId, event: &sdk::Event) -> i64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(install.0.as_bytes());
    hash.update(&event.encode_to_vec());
    i64::from_le_bytes(first(hash.finish().as_ref()))
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut taken = [0; N];
    taken.copy_from_slice(&bytes[..N]);
    taken
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;
    use crate::{clock::from_micros, ids::time_of};

    const NOON: i64 = 1_795_348_800_000_000;

    #[test]
    fn an_id_holds_its_time_and_is_the_same_for_the_same() {
        let (app, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let noon = from_micros(NOON);
        let id = id_of(app, "event-0001", noon);
        assert_eq!(id, id_of(app, "event-0001", noon + Duration::microseconds(999)));
        assert_eq!((time_of(id.0), id.0.get_version_num()), (noon, 7));
        assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
        for another in [
            id_of(other, "event-0001", noon),
            id_of(app, "event-0002", noon),
            id_of(app, "event-0001", noon + Duration::milliseconds(1)),
        ] {
            assert_ne!(id, another);
        }
        assert_ne!(key_of(app, "event-0001"), key_of(app, "event-0002"));
    }

    #[test]
    fn whatever_is_said_is_content() {
        let install = InstallId(Uuid::from_u128(7));
        let event =
            sdk::Event { event_id: "event-0001".into(), name: "open".into(), ..sdk::Event::default() };
        let hash = content_hash(install, &event);
        assert_eq!(hash, content_hash(install, &event.clone()));
        assert_ne!(hash, content_hash(InstallId(Uuid::from_u128(8)), &event));
        let other = sdk::Event { session_id: "1".into(), ..event.clone() };
        assert_ne!(hash, content_hash(install, &other));
        let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        assert_ne!(hash, content_hash(install, &sdk::Event { event_time: time, ..event }));
    }
}
