//! Links as rows of a table and as JSON, read off the descriptor of `linkforty.v1.Link`: a field that is added to the contract is
//! exported and imported without a line here. Pure.

use std::{collections::BTreeMap, sync::LazyLock};

use prost::Message as _;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, Kind as FieldKind, MessageDescriptor,
    SerializeOptions,
};
use serde_json::{Map, Value};

use super::moments;
use crate::pb::{self, v1};

/// What nobody gets to see, and nobody sends in a file.
const SECRET: &str = "password";

/// A column of a table of links.
#[derive(Debug)]
pub struct Column {
    /// The path of the field, such as `title` or `utm.source`.
    pub path: String,
    kind: Kind,
}

/// How a cell is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bool,
    Number,
    Choice,
    Time,
    /// A list of texts.
    Texts,
    /// As JSON.
    Other,
}

/// What is known of links without looking at one.
struct Shape {
    link: MessageDescriptor,
    columns: Vec<Column>,
    keys: BTreeMap<String, usize>,
}

/// Never changes: it is a part of the program.
static SHAPE: LazyLock<Shape> =
    LazyLock::new(|| {
        let link = pb::pool().get_message_by_name("linkforty.v1.Link").expect("links are in the contract");
        let mut columns = Vec::new();
        for field in link.fields().filter(|field| field.name() != SECRET) {
            match parts(&field) {
                Some(parts) => columns.extend(parts.fields().map(|part| Column {
                    path: format!("{}.{}", field.name(), part.name()),
                    kind: Kind::Text,
                })),
                None => columns.push(Column { path: field.name().to_owned(), kind: kind(&field) }),
            }
        }
        let keys = columns.iter().enumerate().map(|(place, column)| (key(&column.path), place)).collect();
        Shape { link, columns, keys }
    });

/// Returns the message of a field that is a handful of texts, which get a column each.
fn parts(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let FieldKind::Message(message) = field.kind() else { return None };
    let texts = message.fields().all(|part| part.kind() == FieldKind::String && !part.is_list());
    (!field.is_list() && !field.is_map() && texts).then_some(message)
}

fn kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        FieldKind::String if field.is_list() => Kind::Texts,
        _ if field.is_list() || field.is_map() => Kind::Other,
        FieldKind::String => Kind::Text,
        FieldKind::Bool => Kind::Bool,
        FieldKind::Enum(_) => Kind::Choice,
        FieldKind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => Kind::Time,
        FieldKind::Message(_) | FieldKind::Bytes => Kind::Other,
        _ => Kind::Number,
    }
}

/// Returns the columns, in the order of the contract.
pub fn columns() -> &'static [Column] {
    &SHAPE.columns
}

/// Returns the column of a name, however it spells it.
pub fn column(name: &str) -> Option<&'static Column> {
    SHAPE.keys.get(&key(name)).map(|place| &SHAPE.columns[*place])
}

/// Returns the field of Link of a name, however it spells it.
pub fn field(name: &str) -> Option<&'static str> {
    let wanted = key(name);
    columns().iter().map(Column::field).find(|field| key(field) == wanted)
}

/// Returns what is left of a name when case and everything but letters and digits do not count.
pub fn key(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Writes a link as JSON: every field by its name in the contract, and null for what is not set.
pub fn to_json(link: &v1::Link) -> Map<String, Value> {
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    let message = DynamicMessage::decode(SHAPE.link.clone(), link.encode_to_vec().as_slice())
        .expect("a link is a link");
    let written = message.serialize_with_options(serde_json::value::Serializer, &options);
    let Ok(Value::Object(mut all)) = written else { unreachable!("a message is an object") };
    all.remove(SECRET);
    for field in SHAPE.link.fields().filter(|field| field.name() != SECRET) {
        all.entry(field.name()).or_insert(Value::Null);
    }
    all
}

/// Reads a link from JSON. Names that are no fields are passed over.
pub fn from_json(mut all: Map<String, Value>) -> Result<v1::Link, String> {
    all.remove(SECRET);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(SHAPE.link.clone(), Value::Object(all), &options)
        .map_err(|error| error.to_string())?;
    message.transcode_to().map_err(|error| error.to_string())
}

impl Column {
    /// Returns the name of the field of Link that the column belongs to.
    pub fn field(&self) -> &str {
        self.path.split('.').next().unwrap_or_default()
    }

    /// Writes the cell of a link that [`to_json`] wrote.
    pub fn cell(&self, link: &Map<String, Value>) -> String {
        let mut value = link.get(self.field()).unwrap_or(&Value::Null);
        if let Some((_, part)) = self.path.split_once('.') {
            value = value.get(part).unwrap_or(&Value::Null);
        }
        match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(list) if list.is_empty() => String::new(),
            Value::Object(object) if object.is_empty() => String::new(),
            Value::Array(list) if self.kind == Kind::Texts => join(list),
            other => other.to_string(),
        }
    }

    /// Reads a cell into the JSON of a link.
    pub fn read(&self, cell: &str, link: &mut Map<String, Value>) -> Result<(), &'static str> {
        let value = self.value(cell)?;
        match self.path.split_once('.') {
            None => {
                link.insert(self.path.clone(), value);
            }
            Some((field, part)) => {
                let whole = link.entry(field).or_insert(Value::Null);
                if value.as_str().is_some_and(|text| !text.is_empty()) {
                    if whole.is_null() {
                        *whole = Value::Object(Map::new());
                    }
                    if let Some(whole) = whole.as_object_mut() {
                        whole.insert(part.to_owned(), value);
                    }
                }
            }
        }
        Ok(())
    }

    fn value(&self, cell: &str) -> Result<Value, &'static str> {
        let trimmed = cell.trim();
        if self.kind == Kind::Text {
            return Ok(cell.into());
        }
        if trimmed.is_empty() {
            return Ok(Value::Null);
        }
        match self.kind {
            Kind::Text => Ok(cell.into()),
            Kind::Bool => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "y" | "on" => Ok(true.into()),
                "false" | "0" | "no" | "n" | "off" => Ok(false.into()),
                _ => Err("must be true or false"),
            },
            Kind::Number => {
                trimmed.parse::<i64>().map(|number| number.to_string().into()).map_err(|_| "must be a number")
            }
            Kind::Choice => Ok(trimmed.into()),
            Kind::Time => moments::read(trimmed).map(|moment| moments::write(moment).into()),
            Kind::Texts => Ok(split(trimmed).into()),
            Kind::Other => serde_json::from_str(trimmed).map_err(|_| "must be JSON"),
        }
    }
}

/// Writes texts with commas between them, or as JSON where that could be read in another way.
fn join(list: &[Value]) -> String {
    let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    let plain = |text: &&str| !text.is_empty() && !text.contains(',') && text.trim() == *text;
    if texts.iter().all(plain) && !texts[0].starts_with('[') {
        return texts.join(", ");
    }
    Value::from(texts).to_string()
}

/// Reads what [`join`] wrote, or people did.
fn split(cell: &str) -> Vec<String> {
    if cell.starts_with('[')
        && let Ok(texts) = serde_json::from_str(cell)
    {
        return texts;
    }
    cell.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn everything() -> v1::Link {
        v1::Link {
            id: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507".into(),
            short_code: "spring".into(),
            destination_url: "https://example.com/?a=1,2".into(),
            title: "Frühling, \"26\"".into(),
            active: Some(false),
            utm: Some(v1::Utm { source: "mail".into(), term: "=1+1".into(), ..v1::Utm::default() }),
            deep_link_parameters: [("a".into(), "1".into())].into(),
            tags: vec!["a".into(), "b, c".into()],
            start_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 120_000_000 }),
            targeting: Some(v1::Targeting {
                countries: vec!["DE".into()],
                platforms: vec![1, 2],
                languages: vec![],
            }),
            routing_rules: vec![v1::RoutingRule {
                name: "r".into(),
                action: Some(v1::routing_rule::Action::Url("https://example.com/r".into())),
                ..v1::RoutingRule::default()
            }],
            max_clicks: 12,
            launchpad_mode: v1::LaunchpadMode::Off.into(),
            create_time: Some(Timestamp { seconds: -1, nanos: 0 }),
            ..v1::Link::default()
        }
    }

    #[test]
    fn a_link_comes_back_from_json_as_it_was() {
        for link in [everything(), v1::Link::default()] {
            let json = to_json(&link);
            assert_eq!(json.len(), SHAPE.link.fields().count() - 1, "every field but the password");
            assert_eq!(from_json(json), Ok(link));
        }
    }

    #[test]
    fn a_link_comes_back_from_cells_as_it_was() {
        for link in [everything(), v1::Link::default()] {
            let json = to_json(&link);
            let mut back = Map::new();
            for column in columns() {
                column.read(&column.cell(&json), &mut back).expect("good");
            }
            assert_eq!(from_json(back), Ok(link));
        }
    }

    #[test]
    fn nobody_sees_or_sends_a_password() {
        assert!(columns().iter().all(|column| column.path != SECRET));
        let link = v1::Link { password: "geheim".into(), ..v1::Link::default() };
        assert!(!Value::Object(to_json(&link)).to_string().contains("geheim"));
        let sent = Map::from_iter([(SECRET.to_owned(), "geheim".into())]);
        assert_eq!(from_json(sent), Ok(v1::Link::default()));
    }

    #[test]
    fn columns_are_known_however_they_are_spelt() {
        for (name, path) in [
            ("utm_source", Some("utm.source")),
            ("UTM Source", Some("utm.source")),
            ("utm.source", Some("utm.source")),
            ("Destination-URL", Some("destination_url")),
            ("destinationUrl", Some("destination_url")),
            ("clicks", None),
            ("password", None),
        ] {
            assert_eq!(column(name).map(|column| &*column.path), path, "{name}");
        }
    }

    #[test]
    fn cells_say_what_is_wrong_with_them() {
        for (name, cell, good) in [
            ("active", "Yes", true),
            ("active", "maybe", false),
            ("max_clicks", "12", true),
            ("max_clicks", "1.5", false),
            ("start_time", "2024-01-02", true),
            ("start_time", "soon", false),
            ("routing_rules", "[]", true),
            ("routing_rules", "[", false),
            ("tags", "[\"a\"", true),
        ] {
            let read = column(name).expect("is one").read(cell, &mut Map::new());
            assert_eq!(read.is_ok(), good, "{name} {cell}");
        }
    }
}
