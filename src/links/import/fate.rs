//! Decides what becomes of a row; pure.

use chrono::Duration;
use prost_types::FieldMask;

use super::entry::Row;
use crate::{
    clock::Moment,
    entity::link::Model,
    error::{Error, Violations},
    links::{Door, NewLink, Place, related::Related},
    pb::v1::ImportExisting,
};

/// Clocks differ.
const SKEW: Duration = Duration::days(1);
const LOCKED: &str =
    "was set where the link comes from and cannot be imported: create the link by hand, with a new one";

/// What becomes of a row.
#[derive(Debug)]
pub enum Fate {
    /// It makes a link.
    Create(Box<NewLink>),
    /// The link of its code becomes this.
    Change(Box<Model>),
    /// The link of its code says the same.
    Same,
    /// The link of its code says something else and stays: this is what the row would have made of it.
    Conflict(Box<Model>),
    /// It makes no link.
    Wrong(Error),
}

/// Decides. `ours` is the link of the workspace that has the code of the row.
pub fn decide(
    row: Row,
    ours: Option<&Model>,
    existing: ImportExisting,
    (door, related, place): (Door<'_>, &Related, &Place),
    now: Moment,
) -> Fate {
    let Some(ours) = ours else {
        let new = door.new_link(Some(row.link)).and_then(|mut new| {
            related.settle("", &mut new.content)?;
            new.place = place.clone();
            Ok(new)
        });
        let mut wrong = Violations::default();
        if row.made.is_some_and(|made| made > now + SKEW) {
            wrong.add("create_time", "must not lie in the future");
        }
        if row.locked {
            wrong.add("password", LOCKED);
        }
        return match crate::links::both(new, wrong.into_result(())) {
            Ok((new, ())) => Fate::Create(Box::new(new)),
            Err(error) => Fate::Wrong(error),
        };
    };
    let mask = FieldMask { paths: row.fields.into_iter().collect() };
    let mut link = row.link;
    link.id = ours.id.to_string();
    link.etag.clear();
    let changed = door.change(Some(link), Some(&mask)).and_then(|change| change.apply(ours, now, related));
    match changed {
        Err(error) => Fate::Wrong(error),
        Ok(changed) if changed == *ours => Fate::Same,
        Ok(changed) if existing == ImportExisting::Update => Fate::Change(Box::new(changed)),
        Ok(changed) => Fate::Conflict(Box::new(changed)),
    }
}
