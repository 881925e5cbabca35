//! Texts that no database, index or page likes, in every place of the contract that takes a text: one at a time, with the ids around it right, so
//! that the call goes as far in as it can. Whatever comes of it, it is not our fault.

use http::Method;
use linkforty::pb::pool;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value, prost::Message as _,
};
use tonic::{Code, Status};

use super::{Field, tell};
use crate::support::{frame, read_web, send, stores};

/// A character that Postgres keeps in no text, and more than any index takes.
fn hostile() -> [String; 2] {
    ["a\0b".to_owned(), "é".repeat(9_000)]
}

/// Ends the session that asks, or says nothing in one answer.
const LEFT_OUT: &[&str] = &["SignOut", "WatchEvents", "RefreshSession"];
/// How far inside of a message a text may stand.
const DEEP: usize = 4;

/// Finds where a message takes a text.
fn places(of: &MessageDescriptor, deep: usize) -> Vec<Vec<FieldDescriptor>> {
    let mut found = Vec::new();
    if deep == 0 || of.full_name().starts_with("google.protobuf.") && of.name() != "FieldMask" {
        return found;
    }
    for field in of.fields() {
        match field.kind() {
            Kind::String => found.push(vec![field]),
            Kind::Message(inner) => {
                for rest in places(&inner, deep - 1) {
                    found.push([vec![field.clone()], rest].concat());
                }
            }
            _ => {}
        }
    }
    found
}

/// Puts a text at a place.
fn put(message: &mut DynamicMessage, place: &[FieldDescriptor], text: &str) {
    let Some((field, rest)) = place.split_first() else { return };
    let inner = |inner: MessageDescriptor| {
        let mut inner = DynamicMessage::new(inner);
        put(&mut inner, rest, text);
        inner
    };
    let value = message.get_field_mut(field);
    match (value, field.kind()) {
        (Value::Map(entries), Kind::Message(entry)) => {
            let entry = inner(entry);
            let text_of = |name: &str| entry.get_field_by_name(name).map(|value| value.into_owned());
            if let Some(Value::String(key)) = text_of("key") {
                entries.insert(MapKey::String(key), text_of("value").expect("a value"));
            }
        }
        (Value::List(items), Kind::Message(of)) => items.push(Value::Message(inner(of))),
        (Value::List(items), _) => items.push(Value::String(text.to_owned())),
        (Value::Message(own), _) => put(own, rest, text),
        (value, _) => *value = Value::String(text.to_owned()),
    }
}

#[tokio::test]
async fn no_text_is_our_fault_wherever_it_stands() {
    for store in stores() {
        let field = Field::prepare(store, &[]).await;
        let ids = |name: &str| match name {
            "workspace_id" => Some(field.fill("{workspace}")),
            "link_id" | "link_ids" => Some(field.fill("{link}")),
            "destination_url" | "url" => Some("https://example.com/text".to_owned()),
            "title" | "name" | "display_name" => Some("text".to_owned()),
            "email" => Some("text@example.com".to_owned()),
            _ => None,
        };
        let bearer = field.credentials("owner").expect("an access token");
        let headers = [("content-type", "application/grpc-web+proto"), ("authorization", &*bearer)];
        let (mut tried, mut failed) = (0, Vec::new());
        for service in pool().services().filter(|service| service.package_name() == "linkforty.v1") {
            for method in service.methods().filter(|method| !LEFT_OUT.contains(&method.name())) {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let places = places(&method.input(), DEEP);
                let mut whole = DynamicMessage::new(method.input());
                for place in places.iter().filter(|place| place.len() <= 2) {
                    if let Some(id) = ids(place.last().map_or("", FieldDescriptor::name)) {
                        put(&mut whole, place, &id);
                    }
                }
                for place in &places {
                    for text in hostile() {
                        tried += 1;
                        let mut message = whole.clone();
                        put(&mut message, place, &text);
                        let body = frame(&message.encode_to_vec());
                        let answer = send(field.app.api(), Method::POST, &path, &headers, body).await;
                        let outcome: Result<(), Status> = read_web(&answer);
                        let code = outcome.err().map(|status| status.code());
                        if matches!(code, Some(Code::Internal | Code::Unknown)) {
                            let names: Vec<&str> = place.iter().map(FieldDescriptor::name).collect();
                            failed.push(format!("{path} {} {:?}", names.join("."), text.chars().next()));
                        }
                    }
                }
            }
        }
        tell(&format!("{store}: {tried} hostile texts, {} of them our fault", failed.len()));
        field.app.stop().await;
        assert!(tried > 500, "the contract is larger than that");
        assert!(failed.is_empty(), "on {store}:\n{}", failed.join("\n"));
    }
}
