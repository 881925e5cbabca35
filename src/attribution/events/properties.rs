//! The properties of an event: how deep, how many and how large they may be, and how they are written down. Pure.

use prost_types::{Struct, Value, value::Kind};

use crate::pb::internal::v1::EventProperty;

const MAX_DEPTH: usize = 5;
const MAX_NAMES: usize = 100;
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 2048;
const MAX_BYTES: usize = 16 * 1024;
/// Up to here every whole number is one of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes properties as JSON, one by one, or says what is wrong with them.
pub fn read(properties: &Struct) -> Result<Vec<EventProperty>, String> {
    let mut names = 0;
    let mut bytes = 0;
    let mut read = Vec::with_capacity(properties.fields.len());
    for (name, value) in &properties.fields {
        check_name(name, &mut names)?;
        let mut json = String::new();
        write(value, 1, &mut names, &mut json).map_err(|why| match why {
            Wrong::Here(why) => format!("properties.{name}: {why}"),
            Wrong::All(why) => format!("properties: {why}"),
        })?;
        bytes += name.len() + json.len() + r#""":,"#.len();
        if bytes > MAX_BYTES {
            return Err("properties: must be at most 16 KiB".to_owned());
        }
        read.push(EventProperty { name: name.clone(), value: json });
    }
    Ok(read)
}

/// Puts properties together to a JSON object; `None` when there are none.
pub fn object<'a>(properties: impl Iterator<Item = &'a EventProperty>) -> Option<String> {
    let mut json = String::new();
    for EventProperty { name, value } in properties {
        json.push(if json.is_empty() { '{' } else { ',' });
        quote(name, &mut json);
        json.push(':');
        json.push_str(value);
    }
    (!json.is_empty()).then(|| json + "}")
}

/// Reads a stored JSON object, for people. What is none has no properties.
pub fn shown(json: &str) -> Struct {
    match serde_json::from_str(json) {
        Ok(serde_json::Value::Object(object)) => structure(object),
        _ => Struct::default(),
    }
}

fn structure(object: serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: object.into_iter().map(|(name, value)| (name, value_of(value))).collect() }
}

fn value_of(value: serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(value),
        serde_json::Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        serde_json::Value::String(value) => Kind::StringValue(value),
        serde_json::Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.into_iter().map(value_of).collect() })
        }
        serde_json::Value::Object(object) => Kind::StructValue(structure(object)),
    };
    Value { kind: Some(kind) }
}

enum Wrong {
    /// This value.
    Here(&'static str),
    /// All of them together.
    All(&'static str),
}

fn check_name(name: &str, names: &mut usize) -> Result<(), String> {
    *names += 1;
    if *names > MAX_NAMES {
        return Err("properties: must have at most 100 names".to_owned());
    }
    if name.is_empty() || name.chars().nth(MAX_NAME).is_some() || name.chars().any(char::is_control) {
        return Err(
            "properties: names must have 1 to 100 characters, none of them a control character".to_owned()
        );
    }
    Ok(())
}

fn write(value: &Value, depth: usize, names: &mut usize, json: &mut String) -> Result<(), Wrong> {
    if json.len() > MAX_BYTES {
        return Err(Wrong::All("must be at most 16 KiB"));
    }
    match value.kind.as_ref().ok_or(Wrong::Here("must have a value"))? {
        Kind::NullValue(_) => json.push_str("null"),
        Kind::BoolValue(value) => json.push_str(if *value { "true" } else { "false" }),
        Kind::NumberValue(number) if !number.is_finite() => {
            return Err(Wrong::Here("must be a number, neither infinite nor NaN"));
        }
        Kind::NumberValue(number) if number.fract() == 0.0 && number.abs() < EXACT => {
            json.push_str(&(*number as i64).to_string());
        }
        Kind::NumberValue(number) => json.push_str(&serde_json::Value::from(*number).to_string()),
        Kind::StringValue(text) => {
            let is_odd = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
            if text.chars().nth(MAX_TEXT).is_some() {
                return Err(Wrong::Here("must have at most 2,048 characters"));
            }
            if text.contains(is_odd) {
                return Err(Wrong::Here("must not contain control characters"));
            }
            quote(text, json);
        }
        Kind::StructValue(_) | Kind::ListValue(_) if depth == MAX_DEPTH => {
            return Err(Wrong::All("must be at most 5 levels deep"));
        }
        Kind::StructValue(inner) => {
            json.push('{');
            for (place, (name, value)) in inner.fields.iter().enumerate() {
                if check_name(name, names).is_err() {
                    return Err(Wrong::All(
                        "must have at most 100 names of 1 to 100 characters, none of them a control character",
                    ));
                }
                if place > 0 {
                    json.push(',');
                }
                quote(name, json);
                json.push(':');
                write(value, depth + 1, names, json)?;
            }
            json.push('}');
        }
        Kind::ListValue(inner) => {
            json.push('[');
            for (place, value) in inner.values.iter().enumerate() {
                if place > 0 {
                    json.push(',');
                }
                write(value, depth + 1, names, json)?;
            }
            json.push(']');
        }
    }
    Ok(())
}

fn quote(text: &str, json: &mut String) {
    // Every property is written so: most have nothing to escape.
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        json.push_str(&serde_json::Value::from(text).to_string());
    } else {
        json.push('"');
        json.push_str(text);
        json.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_json(json: &str) -> Struct {
        shown(json)
    }

    fn nested(depth: usize) -> String {
        format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
    }

    #[test]
    fn what_is_read_is_written_and_shown_again() {
        for json in [
            r#"{"a":1,"b":-1.5,"c":"x\ny \"z\" \\","d":[1,[2,{"e":null}]],"f":true,"g":{"h":false}}"#,
            r#"{"price":12345678901,"small":1e-7}"#,
            r#"{"\"":"ü"}"#,
        ] {
            let properties = from_json(json);
            let read = read(&properties).expect("good");
            assert_eq!(object(read.iter()).as_deref(), Some(json));
            assert_eq!(shown(json), properties);
        }
        assert_eq!(object(read(&Struct::default()).expect("good").iter()), None);
    }

    #[test]
    fn bounds_are_kept_and_named() {
        let many = |count: usize| {
            format!("{{{}}}", (0..count).map(|n| format!("\"n{n}\":1")).collect::<Vec<_>>().join(","))
        };
        let inner = |count: usize| format!("{{\"in\":{}}}", many(count));
        let text = |length: usize| format!(r#"{{"t":"{}"}}"#, "ä".repeat(length));
        let name = |length: usize| format!(r#"{{"{}":1}}"#, "ä".repeat(length));
        let large = |texts: usize| {
            let texts: Vec<String> =
                (0..texts).map(|n| format!("\"n{n}\":\"{}\"", "x".repeat(2000))).collect();
            format!("{{{}}}", texts.join(","))
        };
        for (json, begins) in [
            (many(100), ""),
            (many(101), "properties: "),
            (inner(99), ""),
            (inner(100), "properties: "),
            (text(2048), ""),
            (text(2049), "properties.t: "),
            (name(100), ""),
            (name(101), "properties: "),
            (r#"{"":1}"#.to_owned(), "properties: "),
            (r#"{"a\u0007":1}"#.to_owned(), "properties: "),
            (r#"{"a":"\u0000"}"#.to_owned(), "properties.a: "),
            (nested(5), ""),
            (nested(6), "properties: "),
            (nested(90), "properties: "),
            (large(8), ""),
            (large(9), "properties: "),
        ] {
            let told = read(&from_json(&json)).err().unwrap_or_default();
            assert_eq!(told.is_empty(), begins.is_empty(), "{told}: {json}");
            assert!(told.starts_with(begins), "{told}: {json}");
        }
    }

    #[test]
    fn numbers_must_be_numbers() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let value = Value { kind: Some(Kind::NumberValue(number)) };
            let told = read(&Struct { fields: [("a".to_owned(), value)].into() }).expect_err("is none");
            assert!(told.starts_with("properties.a: "), "{told}");
        }
        let nothing = Struct { fields: [("a".to_owned(), Value { kind: None })].into() };
        assert!(read(&nothing).is_err());
    }
}
