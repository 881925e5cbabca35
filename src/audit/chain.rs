//! The chain of hashes over the audit events; pure.
//!
//! The hash of an event is SHA-256 over a label, the hash of the event before it, its place, and every field as it is stored. A field is
//! written as one byte that says whether there is one, its length in four bytes, and its bytes, so that no two different events are
//! written alike. Who changes an event, takes one out or puts one in breaks the chain there, and would have to make all hashes after it
//! anew; whoever noted one of them elsewhere can tell.

use ring::digest;

use crate::entity::audit_event::Model;

/// What the hash of the first event goes on from.
pub const START: Hash = [0; 32];
const LABEL: &[u8] = b"linkforty audit v1";

/// A hash.
pub type Hash = [u8; 32];

/// What is wrong with a chain at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The event that had this place is gone.
    Missing,
    /// The event is not what it was, or the one before it is not.
    Altered,
}

/// Returns the hash of an event at its place behind another.
pub fn hash(before: &Hash, seq: i64, event: &Model) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(LABEL);
    context.update(before);
    context.update(&seq.to_be_bytes());
    let mut field = |bytes: Option<&[u8]>| match bytes {
        None => context.update(&[0]),
        Some(bytes) => {
            context.update(&[1]);
            context.update(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            context.update(bytes);
        }
    };
    let Model {
        id,
        workspace_id,
        time,
        actor_kind,
        actor_id,
        session_id,
        address,
        request_id,
        action,
        target_id,
        changes,
        seq: _,
        hash: _,
    } = event;
    field(Some(id.as_bytes()));
    field(workspace_id.as_ref().map(|id| id.0.as_bytes().as_slice()));
    field(Some(&time.timestamp_micros().to_be_bytes()));
    field(Some(&actor_kind.to_be_bytes()));
    field(actor_id.as_ref().map(|id| id.as_bytes().as_slice()));
    field(session_id.as_ref().map(|id| id.0.as_bytes().as_slice()));
    field(address.as_ref().map(String::as_bytes));
    field(request_id.as_ref().map(String::as_bytes));
    field(Some(action.as_bytes()));
    field(target_id.as_ref().map(|id| id.as_bytes().as_slice()));
    field(Some(changes.as_bytes()));
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Checks that an event follows on `before`, which stands at `place`; returns its hash.
pub fn follow(place: i64, before: &Hash, event: &Model) -> Result<Hash, Fault> {
    let seq = place + 1;
    if event.seq != Some(seq) {
        return Err(Fault::Missing);
    }
    let expected = hash(before, seq, event);
    if event.hash.as_deref() == Some(expected.as_slice()) { Ok(expected) } else { Err(Fault::Altered) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        ids::{Ids, SessionId, WorkspaceId},
    };

    fn event(ids: &Ids) -> Model {
        let now = from_micros(1_000_000);
        Model {
            id: ids.uuid(now),
            workspace_id: Some(WorkspaceId(ids.uuid(now))),
            time: now,
            actor_kind: 3,
            actor_id: Some(ids.uuid(now)),
            session_id: Some(SessionId(ids.uuid(now))),
            address: Some("192.0.2.1".into()),
            request_id: Some("r1".into()),
            action: "link.updated".into(),
            target_id: Some(ids.uuid(now)),
            changes: "{}".into(),
            seq: None,
            hash: None,
        }
    }

    fn sealed(event: Model, place: i64, before: &Hash) -> Model {
        let hash = hash(before, place + 1, &event);
        Model { seq: Some(place + 1), hash: Some(hash.to_vec()), ..event }
    }

    #[test]
    fn a_chain_that_nobody_touched_is_whole() {
        let ids = Ids::seeded(1);
        let mut before = START;
        for place in 0..5 {
            let event = sealed(event(&ids), place, &before);
            before = follow(place, &before, &event).expect("whole");
        }
    }

    #[test]
    fn every_field_counts() {
        let ids = Ids::seeded(2);
        let whole = sealed(event(&ids), 0, &START);
        let other = ids.uuid(from_micros(0));
        let changed = [
            Model { id: other, ..whole.clone() },
            Model { workspace_id: None, ..whole.clone() },
            Model { time: from_micros(1_000_001), ..whole.clone() },
            Model { actor_kind: 4, ..whole.clone() },
            Model { actor_id: Some(other), ..whole.clone() },
            Model { session_id: None, ..whole.clone() },
            Model { address: Some("192.0.2.2".into()), ..whole.clone() },
            Model { request_id: None, ..whole.clone() },
            Model { action: "link.deleted".into(), ..whole.clone() },
            Model { target_id: None, ..whole.clone() },
            Model { changes: "{ }".into(), ..whole.clone() },
            Model { hash: Some(vec![0; 32]), ..whole.clone() },
            Model { hash: None, ..whole.clone() },
        ];
        for changed in changed {
            assert_eq!(follow(0, &START, &changed), Err(Fault::Altered), "{changed:?}");
        }
        assert_eq!(follow(0, &[1; 32], &whole), Err(Fault::Altered));
        assert!(follow(0, &START, &whole).is_ok());
    }

    #[test]
    fn a_field_does_not_run_into_the_next() {
        let ids = Ids::seeded(3);
        let one = Model { address: Some("ab".into()), request_id: Some("c".into()), ..event(&ids) };
        let other = Model { address: Some("a".into()), request_id: Some("bc".into()), ..one.clone() };
        assert_ne!(hash(&START, 1, &one), hash(&START, 1, &other));
        let none = Model { address: None, ..one.clone() };
        let empty = Model { address: Some(String::new()), ..one };
        assert_ne!(hash(&START, 1, &none), hash(&START, 1, &empty));
    }

    #[test]
    fn a_gap_is_seen() {
        let ids = Ids::seeded(4);
        let second = sealed(event(&ids), 1, &START);
        assert_eq!(follow(0, &START, &second), Err(Fault::Missing));
        assert_eq!(follow(0, &START, &Model { seq: None, ..second }), Err(Fault::Missing));
    }
}
