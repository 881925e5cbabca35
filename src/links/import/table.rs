//! linkforty's own export, and any CSV whose columns are known or were named; pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    entry::{Row, code_of_url},
    split::{Content, Record},
};
use crate::{
    error::{Result, Violations},
    links::{flat, moment},
    spreadsheet,
};

/// The members that hold the links of a document: none, each document is one.
pub const LISTS: &[&str] = &[];
/// What other tools call things, as [`flat::key`] leaves it, and the columns that stand for them.
const ALIASES: &[(&str, &str)] = &[
    ("url", "destination_url"),
    ("longurl", "destination_url"),
    ("target", "destination_url"),
    ("targeturl", "destination_url"),
    ("destination", "destination_url"),
    ("originalurl", "destination_url"),
    ("link", "destination_url"),
    ("code", "short_code"),
    ("slug", "short_code"),
    ("key", "short_code"),
    ("keyword", "short_code"),
    ("alias", "short_code"),
    ("backhalf", "short_code"),
    ("shortlink", "short_url"),
    ("createdat", "create_time"),
    ("created", "create_time"),
    ("datecreated", "create_time"),
    ("timestamp", "create_time"),
    ("tag", "tags"),
];
/// What follows from the link or the server; a file may have it all the same.
const NOT_READ: &[&str] = &[
    "id",
    "workspace_id",
    "domain",
    "click_count",
    "update_time",
    "etag",
    "has_password",
    "create_time",
    "short_url",
];

/// Returns the column that a name stands for in any CSV.
pub fn known(name: &str) -> Option<&'static flat::Column> {
    flat::column(name).or_else(|| {
        let key = flat::key(name);
        ALIASES.iter().find(|(alias, _)| *alias == key).and_then(|(_, path)| flat::column(path))
    })
}

/// Says what is wrong with a field that a column shall be read into, if anything is.
pub fn check_target(path: &str) -> Result<(), &'static str> {
    let column = flat::column(path).filter(|column| column.path == path);
    let Some(column) = column else { return Err("is no field of a link that a cell can hold") };
    let read = ["create_time", "short_url"].contains(&column.field()) || !NOT_READ.contains(&column.field());
    if read { Ok(()) } else { Err("is a field that cannot be set") }
}

/// Reads a record. `map` says what columns mean; when it is empty they are called what they mean.
pub fn read(record: &Record, columns: &[String], map: &BTreeMap<String, String>) -> Result<Row> {
    let mut wrong = Violations::default();
    let mut link = Map::new();
    match &record.content {
        Err(description) => wrong.add("row", *description),
        Ok(Content::Object(object)) => {
            for (name, value) in object {
                if let Some(field) = flat::field(name) {
                    link.insert(field.to_owned(), value.clone());
                }
            }
        }
        Ok(Content::Cells) => {
            for (name, cell) in columns.iter().zip(&record.cells) {
                let column = if map.is_empty() {
                    known(name)
                } else {
                    map.get(name).and_then(|path| flat::column(path))
                };
                // An empty cell of a second column of the same meaning takes nothing back.
                let Some(column) =
                    column.filter(|column| !cell.is_empty() || !link.contains_key(column.field()))
                else {
                    continue;
                };
                wrong.take(&column.path, column.read(spreadsheet::read(cell), &mut link));
            }
        }
    }
    wrong.into_result(())?;
    row(link)
}

fn row(mut json: Map<String, Value>) -> Result<Row> {
    let mut wrong = Violations::default();
    let fields = json
        .keys()
        .filter(|field| !NOT_READ.contains(&&***field) && *field != "short_code")
        .cloned()
        .collect();
    // They mean nothing here, so they cannot be wrong either.
    for field in ["id", "workspace_id", "domain", "click_count", "update_time", "etag"] {
        json.remove(field);
    }
    let link = flat::from_json(json)
        .map_err(|description| crate::error::Error::invalid_field("row", description))?;
    let mut row = Row { fields, locked: link.has_password, ..Row::default() };
    row.made = link.create_time.as_ref().and_then(|made| wrong.take("create_time", moment(made)));
    row.link = link;
    row.link.create_time = None;
    row.link.has_password = false;
    let short_url = std::mem::take(&mut row.link.short_url);
    if row.link.short_code.is_empty() && !short_url.is_empty() {
        let code = code_of_url(&short_url).ok_or("is the root of a host");
        row.link.short_code = wrong.take("short_url", code).unwrap_or_default().to_owned();
    }
    wrong.into_result(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(columns: &str, cells: &str, map: &[(&str, &str)]) -> Result<Row> {
        let list = |text: &str| text.split(';').map(str::to_owned).collect::<Vec<_>>();
        let map = map.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        read(&Record { cells: list(cells), content: Ok(Content::Cells) }, &list(columns), &map)
    }

    #[test]
    fn columns_mean_what_they_are_called() {
        let row = cells(
            "Long URL;Slug;UTM source;created_at;Clicks;password",
            "https://example.com/;spring;mail;2024-03-01;7;x",
            &[],
        );
        let row = row.expect("good");
        assert_eq!(row.link.destination_url, "https://example.com/");
        assert_eq!(row.link.short_code, "spring");
        assert_eq!(row.link.utm.expect("set").source, "mail");
        assert_eq!(row.made.expect("set").to_rfc3339(), "2024-03-01T00:00:00+00:00");
        assert_eq!(row.fields.into_iter().collect::<Vec<_>>(), ["destination_url", "utm"]);
        assert_eq!(row.link.password, "");
    }

    #[test]
    fn a_map_says_what_columns_mean_and_the_others_mean_nothing() {
        let map = [("A", "destination_url"), ("B", "short_url"), ("C", "tags")];
        let row =
            cells("A;B;C;title", "https://example.com/;https://s.example/x;a, b;t", &map).expect("good");
        assert_eq!((&*row.link.short_code, &*row.link.title), ("x", ""));
        assert_eq!(row.link.tags, ["a", "b"]);
    }

    #[test]
    fn all_that_is_wrong_with_a_row_is_said() {
        let error =
            cells("url;active;max_clicks", "https://example.com/;perhaps;many", &[]).expect_err("wrong");
        let fields: Vec<_> = error.violations().iter().map(|wrong| &*wrong.field).collect();
        assert_eq!(fields, ["active", "max_clicks"]);
        cells("short_url;url", "https://s.example/;https://example.com/", &[]).expect_err("no code in it");
    }

    #[test]
    fn only_what_can_be_set_can_be_aimed_at() {
        for (path, good) in [
            ("destination_url", true),
            ("utm.source", true),
            ("create_time", true),
            ("short_url", true),
            ("tags", true),
            ("utm", false),
            ("id", false),
            ("click_count", false),
            ("password", false),
            ("destinationUrl", false),
            ("nonsense", false),
        ] {
            assert_eq!(check_target(path).is_ok(), good, "{path}");
        }
    }
}
