//! Finds the objects of a JSON file, of which only a part need be there; pure. What is between brackets is looked into no more than
//! is needed to find the end; each object is read as a whole afterwards.

use crate::pb::internal::v1::ImportPlace;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A value that should be a link.
    Record {
        /// Where it begins.
        from: usize,
        /// Where it has ended.
        to: usize,
    },
    /// The beginning of the links.
    Links {
        /// Where the first may stand.
        at: usize,
        /// In what they stand.
        place: ImportPlace,
        /// How many objects are open around it.
        depth: u32,
    },
    /// The end of the list of links, or of what was around it.
    End {
        /// Where it has ended.
        at: usize,
    },
    /// Nothing that is all there.
    More {
        /// Where to go on when there is more.
        at: usize,
    },
    /// Something that cannot stand here.
    Broken {
        /// Where.
        at: usize,
    },
}

/// Looks between documents. `lists` names the members that hold the links of a document that is no link itself.
pub fn between(data: &[u8], from: usize, lists: &[&str]) -> Found {
    let at = skip(data, from, b" \t\r\n,");
    match data.get(at) {
        None => Found::More { at },
        Some(b'[') => Found::Links { at: at + 1, place: ImportPlace::List, depth: 0 },
        Some(b'{') => document(data, at, lists),
        Some(_) => Found::Broken { at },
    }
}

/// Looks into an object for the links in it. One that holds none is a link.
fn document(data: &[u8], from: usize, lists: &[&str]) -> Found {
    let (mut depth, mut wanted, mut at) = (0_u32, 1_u32, from);
    while let Some(byte) = data.get(at) {
        match byte {
            b'"' => {
                let Some(end) = text_end(data, at) else { return Found::More { at: from } };
                let colon = skip(data, end, b" \t\r\n");
                let value = skip(data, colon + 1, b" \t\r\n");
                let named =
                    depth == wanted && lists.iter().any(|list| list.as_bytes() == &data[at + 1..end - 1]);
                at = end;
                if !named {
                    continue;
                }
                match (data.get(colon), data.get(value)) {
                    (None, _) | (Some(b':'), None) => return Found::More { at: from },
                    (Some(b':'), Some(b'[')) => {
                        return Found::Links { at: value + 1, place: ImportPlace::List, depth };
                    }
                    (Some(b':'), Some(b'{')) => match is_around(data, value, lists) {
                        None => return Found::More { at: from },
                        // The links are one level further in.
                        Some(true) => {
                            wanted += 1;
                            depth += 1;
                            at = value + 1;
                        }
                        Some(false) => {
                            return Found::Links { at: value + 1, place: ImportPlace::Map, depth };
                        }
                    },
                    _ => {}
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Found::Record { from, to: at + 1 };
                }
            }
            _ => {}
        }
        at += 1;
    }
    Found::More { at: from }
}

/// Says whether an object holds a list of links, and is not itself a map of them; `None` when that cannot be seen yet.
fn is_around(data: &[u8], from: usize, lists: &[&str]) -> Option<bool> {
    let at = skip(data, from + 1, b" \t\r\n");
    match data.get(at)? {
        b'"' => {
            let end = text_end(data, at)?;
            Some(lists.iter().any(|list| list.as_bytes() == &data[at + 1..end - 1]))
        }
        _ => Some(false),
    }
}

/// Looks into a list.
pub fn in_list(data: &[u8], from: usize) -> Found {
    let at = skip(data, from, b" \t\r\n,");
    match data.get(at) {
        None => Found::More { at },
        Some(b']') => Found::End { at: at + 1 },
        Some(_) => value(data, at, at),
    }
}

/// Looks into an object whose values are links.
pub fn in_map(data: &[u8], from: usize) -> Found {
    let at = skip(data, from, b" \t\r\n,");
    match data.get(at) {
        None => Found::More { at },
        Some(b'}') => Found::End { at: at + 1 },
        Some(b'"') => {
            let Some(end) = text_end(data, at) else { return Found::More { at } };
            let colon = skip(data, end, b" \t\r\n");
            match data.get(colon) {
                None => Found::More { at },
                Some(b':') => value(data, skip(data, colon + 1, b" \t\r\n"), at),
                Some(_) => Found::Broken { at: colon },
            }
        }
        Some(_) => Found::Broken { at },
    }
}

/// Looks for the end of the objects around the links.
pub fn behind(data: &[u8], from: usize, mut depth: u32) -> Found {
    let mut at = from;
    while let Some(byte) = data.get(at) {
        match byte {
            b'"' => {
                let Some(end) = text_end(data, at) else { return Found::More { at: from } };
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Found::End { at: at + 1 };
                }
            }
            _ => {}
        }
        at += 1;
    }
    Found::More { at: from }
}

/// Returns the value at a place; `again` is where to go on when it is not all there.
fn value(data: &[u8], from: usize, again: usize) -> Found {
    let (mut depth, mut at) = (0_u32, from);
    while let Some(byte) = data.get(at) {
        match byte {
            b'"' => {
                let Some(end) = text_end(data, at) else { return Found::More { at: again } };
                at = end;
                if depth == 0 {
                    return Found::Record { from, to: at };
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => {
                return if at > from { Found::Record { from, to: at } } else { Found::Broken { at } };
            }
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Found::Record { from, to: at + 1 };
                }
            }
            _ => {}
        }
        at += 1;
    }
    Found::More { at: again }
}

/// Returns the place behind a text that begins at `from`.
fn text_end(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        match data.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn skip(data: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = data.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| what.contains(byte)).count()
}
