//! Why rows were not carried, and what of others was left out. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many ids are named for each reason.
const NAMED: usize = 10;
/// How many different reasons are told apart: they hold what somebody wrote.
const REASONS: usize = 100;
const MAX_REASON: usize = 300;
/// What stands for the reasons beyond.
const OTHERS: &str = "other reasons";

/// How many rows there are for a reason, and which the first of them are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// How many.
    pub rows: u64,
    /// The first ids, as LinkForty has them.
    pub first: Vec<Uuid>,
}

/// What is to be said of the rows of a part, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remarks {
    /// Those that were not carried.
    pub refused: BTreeMap<String, Remark>,
    /// Those that were carried, but not whole.
    pub left_out: BTreeMap<String, Remark>,
    /// How many of those that were not carried have no place here, because somebody else has it.
    #[serde(default)]
    pub displaced: u64,
}

impl Remarks {
    /// Notes that a row was not carried.
    pub fn refuse(&mut self, row: Uuid, why: &str) {
        note(&mut self.refused, row, why);
    }

    /// Notes that a row was not carried whole.
    pub fn leave_out(&mut self, row: Uuid, what: &str) {
        note(&mut self.left_out, row, what);
    }

    /// Returns how many rows were not carried.
    pub fn refused_rows(&self) -> u64 {
        self.refused.values().map(|remark| remark.rows).sum()
    }
}

fn note(remarks: &mut BTreeMap<String, Remark>, row: Uuid, why: &str) {
    let end = why.floor_char_boundary(MAX_REASON);
    // A database holds no NUL in a text.
    let why = why[..end].replace('\0', "");
    let why = if remarks.len() >= REASONS && !remarks.contains_key(&why) { OTHERS.to_owned() } else { why };
    let remark = remarks.entry(why).or_default();
    remark.rows += 1;
    if remark.first.len() < NAMED {
        remark.first.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_name_the_first_rows() {
        let mut remarks = Remarks::default();
        for row in 0..12 {
            remarks.refuse(Uuid::from_u128(row), "short_code: is in use here");
        }
        remarks.leave_out(Uuid::from_u128(1), "title: is long");
        let of = &remarks.refused["short_code: is in use here"];
        assert_eq!((of.rows, of.first.len(), of.first[9]), (12, 10, Uuid::from_u128(9)));
        assert_eq!((remarks.refused_rows(), remarks.left_out.len()), (12, 1));
        for row in 0..200 {
            remarks.refuse(Uuid::from_u128(row), &format!("{row} is wrong"));
        }
        assert_eq!(remarks.refused.len(), REASONS + 1);
        assert_eq!(remarks.refused[OTHERS].rows, 101);
    }
}
