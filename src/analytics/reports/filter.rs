//! Filters of dimensions, as requests have them. Pure.

use super::values::dimension;
use crate::{
    analytics::dims::Dimension,
    error::{Result, Violations},
    pb::v1::DimensionFilter,
};

const MOST_VALUES: usize = 100;
const MOST_BYTES: usize = 2048;
/// What is said of a number that is no dimension.
pub const NO_DIMENSION: &str = "must be one of the dimensions this server knows";

/// Keeps what has one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of which dimension.
    pub dimension: Dimension,
    /// Any of these.
    pub values: Vec<String>,
}

/// Reads a filter; `path` is where the request has it, with its dot.
pub fn read(path: &str, asked: &DimensionFilter) -> Result<Filter> {
    let mut wrong = Violations::default();
    let found = wrong.take(&format!("{path}dimension"), dimension(asked.dimension).ok_or(NO_DIMENSION));
    if !(1..=MOST_VALUES).contains(&asked.values.len()) {
        wrong.add(format!("{path}values"), "must be 1 to 100");
    }
    for (place, value) in asked.values.iter().enumerate().take(MOST_VALUES) {
        if value.len() > MOST_BYTES {
            wrong.add(format!("{path}values[{place}]"), "must have at most 2,048 bytes");
        }
    }
    let mut values = asked.values.clone();
    values.sort_unstable();
    values.dedup();
    // Without a dimension something was wrong.
    let filter = Filter { dimension: found.unwrap_or(Dimension::Country), values };
    wrong.into_result(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_filter_is_named() {
        let asked = |dimension, values: &[&str]| DimensionFilter {
            dimension,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let long = "x".repeat(2049);
        for (filter, fields) in [
            (asked(1, &["CH", ""]), &[][..]),
            (asked(0, &["CH"]), &["f.dimension"]),
            (asked(24, &["CH"]), &["f.dimension"]),
            (asked(99, &[]), &["f.dimension", "f.values"]),
            (asked(1, &["x"; 100]), &[]),
            (asked(1, &["x"; 101]), &["f.values"]),
            (asked(1, &["x", &long]), &["f.values[1]"]),
        ] {
            let named: Vec<String> = match read("f.", &filter) {
                Ok(_) => Vec::new(),
                Err(error) => error.violations().iter().map(|wrong| wrong.field.clone()).collect(),
            };
            assert_eq!(named, fields, "{filter:?}");
        }
        assert_eq!(read("", &asked(1, &["b", "a", "b"])).expect("a filter").values, ["a", "b"]);
    }
}
