//! Dub: the CSV of its export, and what its API says of links; pure.

use super::entry::Entry;

/// The members that hold the links of an answer, which is a bare list.
pub const LISTS: &[&str] = &["links"];

/// What stands in cells of Dub's CSV where there is nothing.
const NOTHING: &[&str] = &["null", "undefined"];

/// Reads a link. Campaign parameters stand in Dub's URLs already. Archived links lead on there, and so they do here.
pub fn read(entry: &mut Entry) {
    entry.without(NOTHING);
    entry.destination(&["url", "destinationurl"]);
    entry.code(&["key"]);
    entry.code_of_url(&["shortlink", "link"]);
    entry.title(&["title"]);
    entry.description(&["description"]);
    entry.tags(&["tags"], &[',']);
    entry.made(&["createdat"]);
    entry.expire(&["expiresat"]);
    entry.url("ios_url", &["ios"], |link| &mut link.ios_url);
    entry.url("android_url", &["android"], |link| &mut link.android_url);
    let locked = entry.text(&["password"]).is_some() || entry.flag(&["passwordprotected"]);
    entry.row().locked = locked;
}
