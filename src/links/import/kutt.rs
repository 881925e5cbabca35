//! Kutt: what its API says of links; pure.

use super::entry::Entry;

/// The members that hold the links of an answer.
pub const LISTS: &[&str] = &["data"];

/// Reads a link. One that was banned there leads nowhere here.
pub fn read(entry: &mut Entry) {
    entry.destination(&["target"]);
    entry.code(&["address"]);
    entry.code_of_url(&["link"]);
    entry.description(&["description"]);
    entry.made(&["createdat"]);
    entry.expire(&["expirein"]);
    let (locked, banned) = (entry.flag(&["password"]), entry.flag(&["banned"]));
    let row = entry.row();
    row.locked = locked;
    row.link.active = Some(!banned);
    row.fields.insert("active".to_owned());
}
