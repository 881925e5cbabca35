//! Cuts a part of a file into its records, and says how far it came; pure. What is cut off at the end comes again with the next
//! part, so nothing is kept but the place where reading goes on.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::json::{self, Found};
use crate::pb::internal::v1::{ImportForm, ImportPlace, ImportReading};

/// The longest record, in bytes.
pub const MAX_ROW: usize = 64 * 1024;
/// More columns than any tool writes.
const MAX_COLUMNS: usize = 200;
const BOM: &[u8] = b"\xef\xbb\xbf";
const CELL: char = '"';

/// A record as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its cells; of JSON one cell with the text.
    pub cells: Vec<String>,
    /// What it says, or why it cannot be read.
    pub content: Result<Content, &'static str>,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A cell for each column of the header, those that are there.
    Cells,
    /// A JSON object.
    Object(Map<String, Value>),
}

/// What came of a part.
#[derive(Debug, Default, PartialEq)]
pub struct Cut {
    /// The records.
    pub records: Vec<Record>,
    /// How many bytes are done with.
    pub consumed: usize,
    /// Where reading goes on.
    pub reading: ImportReading,
    /// Whether the file has ended.
    pub ended: bool,
}

/// What of a file is there.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The bytes behind those that are done with.
    pub data: &'a [u8],
    /// Whether they begin the file.
    pub first: bool,
    /// Whether they end it.
    pub last: bool,
    /// The most records to take.
    pub most: usize,
    /// In which members of the objects around them the links of a JSON file stand.
    pub lists: &'static [&'static str],
}

/// Cuts a part. Fails when the file is not of a form that can be read.
pub fn cut(reading: &ImportReading, part: Part<'_>) -> Result<Cut, Cow<'static, str>> {
    let start = if part.first && part.data.starts_with(BOM) { BOM.len() } else { 0 };
    let mut reading = reading.clone();
    if reading.form() == ImportForm::Unspecified {
        let begins = part.data[start..].iter().find(|byte| !byte.is_ascii_whitespace());
        reading.form = match begins {
            Some(b'{' | b'[') => ImportForm::Json,
            Some(_) => ImportForm::Csv,
            None if part.last => {
                return Ok(Cut { consumed: part.data.len(), reading, ended: true, ..Cut::default() });
            }
            None => return too_long(Cut { reading, ..Cut::default() }, part),
        }
        .into();
    }
    let cut = if reading.form() == ImportForm::Csv {
        csv(reading, part, start)?
    } else {
        of_json(reading, part, start)?
    };
    if cut.ended { Ok(cut) } else { too_long(cut, part) }
}

/// Refuses to wait for ever for the end of a record.
fn too_long(cut: Cut, part: Part<'_>) -> Result<Cut, Cow<'static, str>> {
    if cut.records.len() < part.most && part.data.len() - cut.consumed > MAX_ROW {
        return Err("has a row of more than 65,536 bytes: is a quote or a bracket not closed?".into());
    }
    Ok(cut)
}

fn csv(mut reading: ImportReading, part: Part<'_>, start: usize) -> Result<Cut, Cow<'static, str>> {
    let data = &part.data[start..];
    if reading.delimiter == 0 {
        reading.delimiter = delimiter(data).into();
    }
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(u8::try_from(reading.delimiter).unwrap_or(b','))
        .from_reader(data);
    let mut cut = Cut { reading, ..Cut::default() };
    let mut record = ::csv::ByteRecord::new();
    while cut.records.len() < part.most {
        let begun = reader.position().byte() as usize;
        // Nothing but bytes in memory is read, and rows may have any length.
        if !reader.read_byte_record(&mut record).unwrap_or(false) {
            if part.last {
                cut.consumed = part.data.len();
                cut.ended = true;
            }
            break;
        }
        let end = reader.position().byte() as usize;
        let raw = &data[begun.min(end)..end];
        if !(part.last || end < data.len() || is_whole(raw)) {
            break;
        }
        cut.consumed = start + end;
        if cut.reading.columns.is_empty() {
            cut.reading.columns = header(&record)?;
        } else {
            cut.records.push(of_cells(&record, raw.len()));
        }
    }
    Ok(cut)
}

/// Returns what stands between cells most often in the first line, outside of quotes.
fn delimiter(data: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in data.iter().take_while(|byte| **byte != b'\n') {
        quoted ^= *byte == CELL as u8;
        for (delimiter, count) in &mut counts {
            *count += usize::from(!quoted && byte == delimiter);
        }
    }
    // Of equals the first.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| delimiter)
}

/// Says whether a record that ends with the part ends here: its quotes are closed, and its line is.
fn is_whole(raw: &[u8]) -> bool {
    raw.ends_with(b"\n") && raw.iter().filter(|byte| **byte == CELL as u8).count() % 2 == 0
}

fn header(record: &::csv::ByteRecord) -> Result<Vec<String>, Cow<'static, str>> {
    let names = record.iter().map(|name| std::str::from_utf8(name).map(|name| name.trim().to_owned()));
    let names: Vec<String> = names.collect::<Result<_, _>>().map_err(|_| "has a header that is not UTF-8")?;
    if names.len() > MAX_COLUMNS {
        return Err("has more than 200 columns".into());
    }
    Ok(names)
}

fn of_cells(record: &::csv::ByteRecord, length: usize) -> Record {
    let cells = record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
    let content = if length > MAX_ROW {
        Err("is longer than 65,536 bytes")
    } else if record.iter().any(|cell| std::str::from_utf8(cell).is_err()) {
        Err("is not UTF-8")
    } else {
        Ok(Content::Cells)
    };
    Record { cells, content }
}

fn of_json(reading: ImportReading, part: Part<'_>, start: usize) -> Result<Cut, Cow<'static, str>> {
    let mut cut = Cut { consumed: start, reading, ..Cut::default() };
    let data = part.data;
    while cut.records.len() < part.most {
        let place = cut.reading.place();
        let found = match place {
            ImportPlace::Unspecified => json::between(data, cut.consumed, part.lists),
            ImportPlace::List => json::in_list(data, cut.consumed),
            ImportPlace::Map => json::in_map(data, cut.consumed),
            ImportPlace::Tail => json::behind(data, cut.consumed, cut.reading.depth),
        };
        match found {
            Found::Record { from, to } => {
                cut.records.push(of_text(&data[from..to]));
                cut.consumed = to;
            }
            Found::Links { at, place, depth } => {
                cut.consumed = at;
                cut.reading.place = place.into();
                cut.reading.depth = depth;
            }
            Found::End { at } => {
                cut.consumed = at;
                let inner = cut.reading.depth > 0 && place != ImportPlace::Tail;
                cut.reading.place = if inner { ImportPlace::Tail } else { ImportPlace::Unspecified }.into();
                if !inner {
                    cut.reading.depth = 0;
                }
            }
            Found::More { at } => {
                cut.consumed = at;
                if part.last {
                    if at < data.len() || place != ImportPlace::Unspecified {
                        return Err("ends in the middle of its JSON".into());
                    }
                    cut.ended = true;
                }
                break;
            }
            Found::Broken { at } => {
                return Err(format!("is no JSON with a list of links: see the byte {at} of this part").into());
            }
        }
    }
    Ok(cut)
}

fn of_text(text: &[u8]) -> Record {
    let content = match serde_json::from_slice(text) {
        _ if text.len() > MAX_ROW => Err("is longer than 65,536 bytes"),
        Ok(Value::Object(object)) => Ok(Content::Object(object)),
        Ok(_) => Err("is no JSON object"),
        Err(_) => Err("is no JSON"),
    };
    Record { cells: vec![String::from_utf8_lossy(text).into_owned()], content }
}
