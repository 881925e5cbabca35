//! Reads the bodies that LinkForty's SDKs send: `null` is a field that is not there, what is unknown is passed over, and every
//! field that is wrong is named. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result, Violations};

/// A body, with what is wrong with it so far.
#[derive(Debug, Default)]
pub struct Body {
    fields: Map<String, Value>,
    wrong: Violations,
}

impl Body {
    /// Reads a JSON object.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self { fields, wrong: Violations::default() }),
            Ok(_) => Err(Error::invalid_field("body", "must be a JSON object")),
            Err(_) => Err(Error::invalid_field("body", "is not valid JSON")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text, cut to `most` characters: what is too long is not worth an install. Numbers and booleans are read as texts.
    pub fn text(&mut self, name: &str, most: usize) -> String {
        let text = match self.take(name) {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            Some(_) => {
                self.wrong.add(name, "must be a text");
                String::new()
            }
        };
        text.chars().filter(|character| !character.is_control()).take(most).collect()
    }

    /// Takes a number of 0 or more, rounded; 0 when it is not there.
    pub fn count(&mut self, name: &str) -> u32 {
        let number = match self.take(name) {
            None => return 0,
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let Some(number) = number.filter(|number| number.is_finite()) else {
            self.wrong.add(name, "must be a number");
            return 0;
        };
        // A float of this size is whole.
        number.round().clamp(0.0, f64::from(u32::MAX)) as u32
    }

    /// Takes an object.
    pub fn object(&mut self, name: &str) -> Map<String, Value> {
        match self.take(name) {
            None => Map::new(),
            Some(Value::Object(object)) => object,
            Some(_) => {
                self.wrong.add(name, "must be an object");
                Map::new()
            }
        }
    }

    /// Takes an object whose values are made texts.
    pub fn texts(&mut self, name: &str) -> BTreeMap<String, String> {
        texts(self.object(name))
    }

    /// Notes that a field is wrong.
    pub fn wrong(&mut self, name: &str, why: &str) {
        self.wrong.add(name, why);
    }

    /// Ends the reading: the error that names everything that is wrong, if anything is.
    pub fn end(self) -> Result<()> {
        self.wrong.into_result(())
    }
}

/// Makes texts of values: what is nested is written as JSON, what is nothing is left out.
pub fn texts(object: Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    object.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_what_is_not_there() {
        let mut body = Body::read(br#"{"a":null,"b":null,"c":null,"new":{"x":[1]}}"#).expect("an object");
        assert_eq!((body.text("a", 9).as_str(), body.count("b"), body.object("c").len()), ("", 0, 0));
        assert_eq!((body.text("z", 9).as_str(), body.count("z")), ("", 0));
        assert!(body.end().is_ok());
    }

    #[test]
    fn numbers_are_rounded_and_texts_cut() {
        let mut body =
            Body::read(br#"{"a":390.6,"b":-3,"c":1e300,"d":"844","e":17,"f":"abcdef","g":"a\u0000b"}"#)
                .expect("an object");
        assert_eq!(["a", "b", "c", "d"].map(|name| body.count(name)), [391, 0, u32::MAX, 844]);
        assert_eq!(["e", "f", "g"].map(|name| body.text(name, 3)), ["17", "abc", "ab"]);
        assert!(body.end().is_ok());
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let mut body = Body::read(br#"{"a":[],"b":"x","c":[]}"#).expect("an object");
        body.text("a", 9);
        body.count("b");
        body.object("c");
        let error = body.end().expect_err("is wrong");
        assert_eq!(
            error.violations().iter().map(|one| one.field.as_str()).collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        for bytes in [&b""[..], b"[]", b"{", b"\xff"] {
            assert!(Body::read(bytes).is_err());
        }
    }

    #[test]
    fn values_are_made_texts() {
        let Value::Object(object) =
            serde_json::json!({"a": 1, "b": true, "c": "x", "d": null, "e": {"f": [1]}})
        else {
            unreachable!("it is an object")
        };
        let expected = [("a", "1"), ("b", "true"), ("c", "x"), ("e", r#"{"f":[1]}"#)];
        assert_eq!(texts(object), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
