//! A link of a LinkForty database: what stands in its columns is what LinkForty's API says.

use serde_json::{Map, Value};

use super::{
    entry::{Entry, Members},
    forty_core,
    split::{Content, Record},
};
use crate::{
    error::{Error, Result},
    pb::v1,
};

/// Reads a link by the names of its columns.
pub fn read(columns: Map<String, Value>) -> Result<v1::Link> {
    let record = Record { cells: Vec::new(), content: Ok(Content::Object(columns)) };
    let members = Members::of(&record, &[]).map_err(|wrong| Error::invalid_field("row", wrong))?;
    let mut entry = Entry::of(members);
    forty_core::read(&mut entry);
    entry.done().map(|row| row.link)
}
