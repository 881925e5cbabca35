//! What was changed, field by field in the words of the contract. Pure.
//!
//! Two states of a message are held against each other by its descriptor. What the contract marks as secret (`debug_redact`) is told as
//! changed and never shown. Whatever is long is told by its length, so that no note is.

use data_encoding::HEXLOWER;
use prost::Message;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use ring::digest;
use serde_json::{Map, Value, json};

use crate::pb::{self, v1};

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";
/// Fields that follow from others, or change with every change.
const DERIVED: [&str; 2] = ["etag", "update_time"];
/// Bytes that the text of a value may have.
const LONGEST_VALUE: usize = 2048;
/// Bytes that all of them together may have: with more, each is told by its length.
const LONGEST: usize = 32 * 1024;
/// How deep messages are looked into; below that they are one value.
const DEEPEST: usize = 4;

/// A message of the contract that notes tell of.
pub trait Told: Message {
    /// Its name in `linkforty.v1`.
    const NAME: &'static str;
}

macro_rules! told {
    ($($message:ident),+ $(,)?) => {
        $(impl Told for v1::$message { const NAME: &'static str = stringify!($message); })+
    };
}
told!(
    ApiKey,
    App,
    ConversionSchema,
    Domain,
    Link,
    Project,
    Report,
    ReportShare,
    Template,
    User,
    UtmPreset,
    WebhookEndpoint,
    Workspace
);

/// What was changed: the path of each field, with what it was and what it became. The side on which there was nothing is left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes(Map<String, Value>);

impl Changes {
    /// Nothing to tell but the action itself.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns what something new is.
    pub fn created<M: Told>(after: &M) -> Self {
        Self::between_states(None, Some(after))
    }

    /// Returns what something was that is gone.
    pub fn deleted<M: Told>(before: &M) -> Self {
        Self::between_states(Some(before), None)
    }

    /// Returns in which fields two states differ.
    pub fn between<M: Told>(before: &M, after: &M) -> Self {
        Self::between_states(Some(before), Some(after))
    }

    /// Adds a field that is in no message: what it became.
    #[must_use]
    pub fn with(mut self, name: &str, after: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), json!({ "after": bounded(after.into(), LONGEST_VALUE) }));
        self
    }

    /// Adds a field that is in no message: what it was that is gone.
    #[must_use]
    pub fn without(mut self, name: &str, before: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), json!({ "before": bounded(before.into(), LONGEST_VALUE) }));
        self
    }

    /// Adds a field that is in no message: what it was and what it became.
    #[must_use]
    pub fn with_both(mut self, name: &str, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        let (before, after) = (bounded(before.into(), LONGEST_VALUE), bounded(after.into(), LONGEST_VALUE));
        self.0.insert(name.to_owned(), json!({ "before": before, "after": after }));
        self
    }

    /// Says whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them as the text that is stored, one for the same changes however often.
    pub fn into_text(self) -> String {
        let whole = serde_json::to_string(&self.0).expect("JSON is written as it is");
        if whole.len() <= LONGEST {
            return whole;
        }
        Value::Object(self.0.into_iter().map(|(path, sides)| (path, shortened(sides))).collect()).to_string()
    }

    fn between_states<M: Told>(before: Option<&M>, after: Option<&M>) -> Self {
        let name = format!("linkforty.v1.{}", M::NAME);
        let shape = pb::pool().get_message_by_name(&name).expect("what is told of is in the contract");
        let written = |state: Option<&M>| state.map(|state| pb::to_json(M::NAME, state)).unwrap_or_default();
        let mut found = Map::new();
        compare(&shape, "", (&written(before), &written(after)), 0, &mut found);
        Self(found)
    }
}

fn compare(
    message: &MessageDescriptor,
    path: &str,
    (before, after): (&Map<String, Value>, &Map<String, Value>),
    depth: usize,
    found: &mut Map<String, Value>,
) {
    let nothing = Map::new();
    for field in message.fields() {
        let name = field.name();
        let (was, is) = (before.get(name), after.get(name));
        if was == is || DERIVED.contains(&name) {
            continue;
        }
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if !is_secret(&field)
            && depth < DEEPEST
            && let Some(inner) = plain_message(&field)
        {
            let [was, is] = [was, is].map(|side| side.and_then(Value::as_object).unwrap_or(&nothing));
            compare(&inner, &path, (was, is), depth + 1, found);
        } else {
            found.insert(path, sides(was.map(|was| shown(&field, was)), is.map(|is| shown(&field, is))));
        }
    }
}

/// Returns what is shown of a value.
fn shown(field: &FieldDescriptor, value: &Value) -> Value {
    if is_secret(field) {
        return HIDDEN.into();
    }
    let mut value = value.clone();
    hide(field, &mut value);
    bounded(value, LONGEST_VALUE)
}

/// Returns the message of a field that is one message of ours, not a list, a map or one of the well-known ones, which are single values.
fn plain_message(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(inner) if !field.is_list() && !field.is_map() && is_ours(&inner) => Some(inner),
        _ => None,
    }
}

fn is_ours(message: &MessageDescriptor) -> bool {
    message.package_name() == "linkforty.v1"
}

fn is_secret(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options.get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

/// Hides the secrets inside a value.
fn hide(field: &FieldDescriptor, value: &mut Value) {
    let Kind::Message(inner) = field.kind() else { return };
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hide_in(&inner, item)),
        _ if field.is_map() => {
            let Some(values) = inner.get_field_by_name("value") else { return };
            if let Value::Object(entries) = value {
                entries.values_mut().for_each(|entry| hide(&values, entry));
            }
        }
        _ => hide_in(&inner, value),
    }
}

fn hide_in(message: &MessageDescriptor, value: &mut Value) {
    let Value::Object(fields) = value else { return };
    for field in message.fields() {
        let Some(value) = fields.get_mut(field.name()) else { continue };
        if is_secret(&field) {
            *value = HIDDEN.into();
        } else {
            hide(&field, value);
        }
    }
}

fn sides(before: Option<Value>, after: Option<Value>) -> Value {
    let mut sides = Map::new();
    if let Some(before) = before {
        sides.insert("before".to_owned(), before);
    }
    if let Some(after) = after {
        sides.insert("after".to_owned(), after);
    }
    Value::Object(sides)
}

/// Returns a value, or how long it is and its SHA-256 when it is too long.
fn bounded(value: Value, most: usize) -> Value {
    let text = value.to_string();
    if text.len() <= most {
        return value;
    }
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    json!({ "bytes": text.len(), "sha256": HEXLOWER.encode(hash.as_ref()) })
}

/// Tells the long sides of a field by their lengths.
fn shortened(sides: Value) -> Value {
    let Value::Object(sides) = sides else { return sides };
    Value::Object(sides.into_iter().map(|(side, value)| (side, bounded(value, 64))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(changes: Changes) -> Value {
        serde_json::from_str(&changes.into_text()).expect("JSON")
    }

    #[test]
    fn only_what_differs_is_told_by_its_path() {
        let before = v1::Link {
            title: "Spring".into(),
            destination_url: "https://example.com".into(),
            etag: "1".into(),
            utm: Some(v1::Utm { source: "mail".into(), medium: "x".into(), ..Default::default() }),
            ..v1::Link::default()
        };
        let after = v1::Link {
            title: "Summer".into(),
            etag: "2".into(),
            utm: Some(v1::Utm { source: "web".into(), medium: "x".into(), ..Default::default() }),
            tags: vec!["a".into()],
            ..before.clone()
        };
        assert_eq!(
            text(Changes::between(&before, &after)),
            json!({
                "title": { "before": "Spring", "after": "Summer" },
                "utm.source": { "before": "mail", "after": "web" },
                "tags": { "after": ["a"] },
            })
        );
        assert!(Changes::between(&before, &before.clone()).is_empty());
    }

    #[test]
    fn secrets_are_hidden_and_their_change_is_not() {
        let link = |password: &str| v1::Link { password: password.into(), ..v1::Link::default() };
        assert_eq!(
            text(Changes::between(&link("one"), &link("two"))),
            json!({ "password": { "before": HIDDEN, "after": HIDDEN } })
        );
        assert_eq!(text(Changes::created(&link("one"))), json!({ "password": { "after": HIDDEN } }));
        assert_eq!(text(Changes::deleted(&link("one"))), json!({ "password": { "before": HIDDEN } }));
    }

    #[test]
    fn what_is_long_is_told_by_its_length() {
        let link = |length: usize| v1::Link { title: "t".repeat(length), ..v1::Link::default() };
        let told = text(Changes::between(&link(1), &link(5000)));
        assert_eq!(told["title"]["before"], "t");
        assert_eq!(told["title"]["after"]["bytes"], 5002);
        assert_eq!(told["title"]["after"]["sha256"].as_str().map(str::len), Some(64));

        let many =
            (0..100).fold(Changes::none(), |changes, n| changes.with(&format!("f{n}"), "x".repeat(2000)));
        assert!(many.clone().0.len() == 100 && many.into_text().len() <= LONGEST);
    }

    #[test]
    fn the_same_changes_have_one_text() {
        let link = v1::Link {
            deep_link_parameters: ["z", "a", "m"].map(|key| (key.to_owned(), "1".to_owned())).into(),
            ..v1::Link::default()
        };
        let once = Changes::created(&link).into_text();
        assert!((0..20).all(|_| Changes::created(&link).into_text() == once));
    }
}
