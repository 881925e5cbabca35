//! Events as messages, and what is asked for.

use prost_types::Timestamp;
use serde_json::{Map, Value};

use super::AuditQuery;
use crate::{
    entity::audit_event::Model,
    error::{Result, Violations},
    ids::parse,
    pb::v1::{AuditActorKind, AuditChange, AuditEvent, AuditFilter},
    rpc::{moment, timestamp},
    trail::Action,
};

/// How many actions a filter may name.
const MAX_ACTIONS: usize = 20;

/// Writes an event.
pub fn event(event: Model) -> AuditEvent {
    let kind = AuditActorKind::try_from(i32::from(event.actor_kind)).unwrap_or_default();
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    AuditEvent {
        id: event.id.to_string(),
        workspace_id: id(event.workspace_id.map(|id| id.0)),
        time: Some(timestamp(event.time)),
        actor_kind: kind.into(),
        actor_id: id(event.actor_id),
        session_id: id(event.session_id.map(|id| id.0)),
        address: event.address.unwrap_or_default(),
        request_id: event.request_id.unwrap_or_default(),
        action: event.action,
        target_id: id(event.target_id),
        changes: changes(&event.changes),
        seq: event.seq.unwrap_or(0),
        hash: event.hash.unwrap_or_default(),
    }
}

fn changes(text: &str) -> Vec<AuditChange> {
    let changes: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let side = |sides: &Value, name: &str| sides.get(name).map(Value::to_string);
    changes
        .into_iter()
        .map(|(path, sides)| AuditChange {
            path,
            before: side(&sides, "before"),
            after: side(&sides, "after"),
        })
        .collect()
}

/// Reads which events are asked for.
pub fn query(filter: Option<AuditFilter>) -> Result<AuditQuery> {
    let AuditFilter { actor_id, target_id, actions, start_time, end_time } = filter.unwrap_or_default();
    let mut wrong = Violations::default();
    let mut id = |field: &str, text: &str| {
        let read = if text.is_empty() {
            Ok(None)
        } else {
            parse(text).map(Some).ok_or("must be a UUID of 36 characters")
        };
        wrong.take(field, read).flatten()
    };
    let (actor, target) = (id("filter.actor_id", &actor_id), id("filter.target_id", &target_id));
    if actions.len() > MAX_ACTIONS {
        wrong.add("filter.actions", "must be at most 20");
    }
    for (place, action) in actions.iter().take(MAX_ACTIONS).enumerate() {
        if !is_action(action) {
            wrong.add(
                format!("filter.actions[{place}]"),
                "must be an action, or the beginning of some with a dot at its end",
            );
        }
    }
    let mut time = |field: &str, time: Option<Timestamp>| {
        wrong.take(field, time.as_ref().map(moment).transpose()).flatten()
    };
    let (start, end) = (time("filter.start_time", start_time), time("filter.end_time", end_time));
    wrong.into_result(AuditQuery { actor, target, actions, start, end })
}

fn is_action(text: &str) -> bool {
    Action::ALL
        .iter()
        .map(|action| action.name())
        .any(|name| name == text || (text.ends_with('.') && name.split_inclusive('.').next() == Some(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_named_whole_or_by_what_they_are_done_to() {
        for (text, known) in [
            ("link.updated", true),
            ("link.", true),
            ("link", false),
            (".", false),
            ("", false),
            ("link.up", false),
            ("lin.", false),
            ("link.%", false),
        ] {
            assert_eq!(is_action(text), known, "{text:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_with_a_filter_is_told() {
        let filter = AuditFilter {
            actor_id: "x".into(),
            target_id: "y".into(),
            actions: vec!["link.updated".into(), "nothing".into()],
            start_time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
            end_time: Some(Timestamp { seconds: 0, nanos: -1 }),
        };
        let error = query(Some(filter)).expect_err("all is wrong");
        let fields: Vec<&str> = error.violations().iter().map(|violation| &*violation.field).collect();
        assert_eq!(
            fields,
            [
                "filter.actor_id",
                "filter.target_id",
                "filter.actions[1]",
                "filter.start_time",
                "filter.end_time"
            ]
        );
        assert_eq!(query(None).expect("asks for all"), AuditQuery::default());
    }
}
