//! Bitly: what its API says of the links of a group; pure.

use super::entry::Entry;

/// The members that hold the links of an answer.
pub const LISTS: &[&str] = &["links"];

/// Reads a link. Bitly shows one with a back-half of its own under a code that nobody chose; what was printed is the former.
/// Archived links of Bitly lead on, and so they do here; those that were deleted there lead nowhere.
pub fn read(entry: &mut Entry) {
    entry.destination(&["longurl"]);
    let chosen = entry.text_of_first(&["custombitlinks"]);
    match chosen.as_deref().and_then(super::entry::code_of_url) {
        Some(code) => entry.row().link.short_code = code.to_owned(),
        None => entry.code_of_url(&["link", "bitlink", "id"]),
    }
    entry.title(&["title"]);
    entry.tags(&["tags"], &[',', '|']);
    entry.made(&["createdat", "created"]);
    if entry.flag(&["isdeleted"]) {
        let row = entry.row();
        row.link.active = Some(false);
        row.fields.insert("active".to_owned());
    }
}
