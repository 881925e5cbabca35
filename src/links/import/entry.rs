//! A record of another tool on its way to a link: what all of the sources share; pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::split::{Content, Record};
use crate::{
    clock::Moment,
    error::{Result, Violations},
    links::{MAX_TITLE, flat::key, moments, timestamp},
    pb::v1,
    spreadsheet,
};

/// What a record says of a link.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// The link.
    pub link: v1::Link,
    /// Which fields of it the file has, so that a link that is there is changed in these alone.
    pub fields: BTreeSet<String>,
    /// When it was made elsewhere.
    pub made: Option<Moment>,
    /// Whether it had a password, which no file tells.
    pub locked: bool,
}

/// The values of a record by what [`key`] leaves of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Members(BTreeMap<String, Value>);

impl Members {
    /// Returns those of a record. Of two of one name the first counts.
    pub fn of(record: &Record, columns: &[String]) -> Result<Self, &'static str> {
        let mut members = BTreeMap::new();
        match &record.content {
            Err(wrong) => return Err(wrong),
            Ok(Content::Cells) => {
                for (name, cell) in columns.iter().zip(&record.cells) {
                    members.entry(key(name)).or_insert_with(|| spreadsheet::read(cell).into());
                }
            }
            Ok(Content::Object(object)) => {
                for (name, value) in object {
                    members.entry(key(name)).or_insert_with(|| value.clone());
                }
            }
        }
        Ok(Self(members))
    }
}

/// A record that is being read.
#[derive(Debug, Default)]
pub struct Entry {
    members: Members,
    row: Row,
    wrong: Violations,
}

impl Entry {
    /// Begins to read.
    pub fn of(members: Members) -> Self {
        Self { members, ..Self::default() }
    }

    /// Returns what was read, or everything that is wrong with it.
    pub fn done(self) -> Result<Row> {
        self.wrong.into_result(self.row)
    }

    /// Makes cells empty that say so in words.
    pub fn without(&mut self, nothing: &[&str]) {
        for value in self.members.0.values_mut() {
            if value.as_str().is_some_and(|text| nothing.contains(&text)) {
                *value = Value::Null;
            }
        }
    }

    fn value(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.members.0.get(*name))
    }

    /// Returns a text; `None` when there is none or it is empty. `names` are those that [`key`] leaves.
    pub fn text(&self, names: &[&str]) -> Option<String> {
        let text = match self.value(names)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// Returns the first text of a list; `None` when there is none.
    pub fn text_of_first(&self, names: &[&str]) -> Option<String> {
        let first = self.value(names)?.as_array()?.first()?.as_str()?;
        (!first.is_empty()).then(|| first.to_owned())
    }

    /// Returns the texts of a list.
    pub fn texts(&self, names: &[&str]) -> Vec<String> {
        let list = self.value(names).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Returns the members of an object, by their own names, as texts.
    pub fn pairs(&self, names: &[&str]) -> Vec<(String, String)> {
        let object = self.value(names).and_then(Value::as_object).into_iter().flatten();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        object.map(|(name, value)| (name.clone(), text(value))).collect()
    }

    /// Says whether something is so; what is not said is not so.
    pub fn flag(&self, names: &[&str]) -> bool {
        self.text(names)
            .is_some_and(|text| matches!(&*text.to_ascii_lowercase(), "true" | "1" | "yes" | "on"))
    }

    /// Returns an object in the record, as an entry of its own.
    pub fn inner(&self, names: &[&str]) -> Self {
        let empty = Map::new();
        let object = self.value(names).and_then(Value::as_object).unwrap_or(&empty);
        let members = object.iter().map(|(name, value)| (key(name), value.clone())).collect();
        Self::of(Members(members))
    }

    fn has(&mut self, field: &str, names: &[&str]) -> bool {
        let has = self.value(names).is_some();
        if has {
            self.row.fields.insert(field.to_owned());
        }
        has
    }

    /// Reads where the link leads.
    pub fn destination(&mut self, names: &[&str]) {
        self.has("destination_url", names);
        self.row.link.destination_url = self.text(names).unwrap_or_default();
    }

    /// Reads the code.
    pub fn code(&mut self, names: &[&str]) {
        self.row.link.short_code = self.text(names).unwrap_or_default();
    }

    /// Reads the code out of a short URL, unless there is one already.
    pub fn code_of_url(&mut self, names: &[&str]) {
        let Some(url) = self.text(names).filter(|_| self.row.link.short_code.is_empty()) else { return };
        match code_of_url(&url) {
            Some(code) => self.row.link.short_code = code.to_owned(),
            None => self.wrong.add("short_code", "is not in the short URL, which is the root of a host"),
        }
    }

    /// Reads the title: one line, as long as titles may be.
    pub fn title(&mut self, names: &[&str]) {
        self.has("title", names);
        self.row.link.title = self.text(names).map(|title| one_line(&title)).unwrap_or_default();
    }

    /// Reads the description.
    pub fn description(&mut self, names: &[&str]) {
        self.has("description", names);
        self.row.link.description = self.text(names).unwrap_or_default();
    }

    /// Reads tags: a list of texts or of objects with names, also as JSON in a cell, or a text with separators.
    pub fn tags(&mut self, names: &[&str], separators: &[char]) {
        self.has("tags", names);
        let value = self.value(names);
        let written = value.and_then(Value::as_str).filter(|text| text.starts_with('['));
        let written = written.and_then(|text| serde_json::from_str(text).ok());
        let tags = match written.as_ref().or(value) {
            Some(Value::Array(list)) => list.iter().filter_map(tag).map(str::to_owned).collect(),
            Some(Value::String(text)) => text.split(separators).map(|tag| tag.trim().to_owned()).collect(),
            _ => Vec::new(),
        };
        self.row.link.tags = tags.into_iter().filter(|tag: &String| !tag.is_empty()).collect();
    }

    /// Reads when the link was made.
    pub fn made(&mut self, names: &[&str]) {
        self.row.made = self.moment("create_time", names);
    }

    /// Reads a moment; `field` is what it is called if it is none.
    pub fn moment(&mut self, field: &str, names: &[&str]) -> Option<Moment> {
        let text = self.text(names)?;
        self.wrong.take(field, moments::read(&text))
    }

    /// Reads from when on the link leads somewhere.
    pub fn start(&mut self, names: &[&str]) {
        self.has("start_time", names);
        self.row.link.start_time = self.moment("start_time", names).map(timestamp);
    }

    /// Reads from when on it does not.
    pub fn expire(&mut self, names: &[&str]) {
        self.has("expire_time", names);
        self.row.link.expire_time = self.moment("expire_time", names).map(timestamp);
    }

    /// Reads how many visits are sent on.
    pub fn max_clicks(&mut self, names: &[&str]) {
        self.has("max_clicks", names);
        if let Some(text) = self.text(names) {
            let number = text.parse().map_err(|_| "must be a number");
            self.row.link.max_clicks = self.wrong.take("max_clicks", number).unwrap_or_default();
        }
    }

    /// Reads a URL into one of the fields of the link.
    pub fn url(&mut self, field: &str, names: &[&str], into: impl FnOnce(&mut v1::Link) -> &mut String) {
        self.has(field, names);
        *into(&mut self.row.link) = self.text(names).unwrap_or_default();
    }

    /// Takes over what was wrong in an inner entry, and returns what it read.
    pub fn absorb(&mut self, inner: Self) -> Row {
        for violation in inner.wrong.into_inner() {
            self.wrong.add(violation.field, violation.description);
        }
        inner.row
    }

    /// Returns the row, to set what only one source has.
    pub const fn row(&mut self) -> &mut Row {
        &mut self.row
    }
}

fn tag(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("name").and_then(Value::as_str)).map(str::trim)
}

/// Returns the last part of the path of a short URL, which may lack its scheme.
pub fn code_of_url(url: &str) -> Option<&str> {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let rest = rest.trim_end_matches('/');
    match rest.rsplit_once('/') {
        Some((_, code)) if !code.is_empty() => Some(code),
        // A bare code is one; a host is none.
        None if scheme.is_empty() && !rest.is_empty() && !rest.contains('.') => Some(rest),
        _ => None,
    }
}

/// Titles of pages come with line breaks, and longer than titles of links may be.
fn one_line(title: &str) -> String {
    let words = title.split(|character: char| character.is_whitespace() || character.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().nth(MAX_TITLE).is_none() {
        return line;
    }
    line.chars().take(MAX_TITLE - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_last_part_of_a_short_url() {
        for (url, code) in [
            ("https://bit.ly/3xYz", Some("3xYz")),
            ("bit.ly/3xYz", Some("3xYz")),
            ("http://go.example/a/b/", Some("b")),
            ("https://go.example/a?x=/y#/z", Some("a")),
            ("/spring/", Some("spring")),
            ("spring", Some("spring")),
            ("https://go.example", None),
            ("https://go.example/", None),
            ("go.example", None),
            ("", None),
        ] {
            assert_eq!(code_of_url(url), code, "{url}");
        }
    }

    #[test]
    fn titles_fit_on_one_line() {
        assert_eq!(one_line("  a\n\tb\u{0}c  "), "a b c");
        let long = one_line(&"ä ".repeat(300));
        assert_eq!(long.chars().count(), MAX_TITLE);
        assert!(long.ends_with('…'));
    }
}
