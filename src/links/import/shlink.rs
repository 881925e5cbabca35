//! Shlink: the CSV of its web client, and what its API says of short URLs; pure.

use super::entry::Entry;

/// The members that hold the links of an answer, one inside the other.
pub const LISTS: &[&str] = &["shortUrls", "data"];

/// Reads a link. Visits are not imported, but a limit of them is.
pub fn read(entry: &mut Entry) {
    entry.destination(&["longurl"]);
    entry.code(&["shortcode"]);
    entry.code_of_url(&["shorturl"]);
    entry.title(&["title"]);
    entry.tags(&["tags"], &['|', ',']);
    entry.made(&["datecreated", "createdat"]);
    let mut meta = entry.inner(&["meta"]);
    meta.start(&["validsince"]);
    meta.expire(&["validuntil"]);
    meta.max_clicks(&["maxvisits"]);
    let meta = entry.absorb(meta);
    let row = entry.row();
    row.fields.extend(meta.fields);
    row.link.start_time = meta.link.start_time;
    row.link.expire_time = meta.link.expire_time;
    row.link.max_clicks = meta.link.max_clicks;
    if entry.text(&["forwardquery"]).is_some() {
        let forward = entry.flag(&["forwardquery"]);
        entry.row().fields.insert("forward_query".to_owned());
        entry.row().link.forward_query = Some(forward);
    }
}
