//! YOURLS: its table of links as CSV, the CSV of its plugin for exports, and what its API says of links; pure.

use super::entry::Entry;

/// The members that hold the links of an answer; `links` is an object of them, `result` the list of a plugin.
pub const LISTS: &[&str] = &["links", "result"];

/// Reads a link. Where there is no title, the CSV of a table says NULL.
pub fn read(entry: &mut Entry) {
    entry.without(&["NULL"]);
    entry.destination(&["url", "target", "longurl"]);
    entry.code(&["keyword"]);
    entry.code_of_url(&["shorturl", "source"]);
    entry.title(&["title"]);
    entry.made(&["timestamp", "date"]);
}
