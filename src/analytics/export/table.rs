//! A table: what every format of a file writes, and what every report becomes for it. Pure.

use crate::clock::Moment;

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// A whole number.
    Integer,
    /// A number with a fraction that need not be exact.
    Real,
    /// An exact number with nine decimals.
    Decimal,
    /// A moment.
    Moment,
    /// Yes or no.
    Boolean,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name: small letters, digits and `_`.
    pub name: String,
    /// What stands in it.
    pub kind: Kind,
}

/// What stands in one place. It is of the column's kind, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not known.
    Nothing,
    /// Words.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number that need not be exact.
    Real(f64),
    /// Billionths.
    Decimal(i128),
    /// A moment.
    Moment(Moment),
    /// Yes or no.
    Boolean(bool),
}

/// Cells, one for each column.
pub type Row = Vec<Cell>;

/// Columns and rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Column {
    /// Returns a column.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }
}

/// Digits behind the point of a decimal.
pub const SCALE: usize = 9;

/// Writes billionths as a number, without zeros at its end.
pub fn decimal(nanos: i128) -> String {
    const UNIT: u128 = 1_000_000_000;
    let sign = if nanos < 0 { "-" } else { "" };
    let (units, rest) = (nanos.unsigned_abs() / UNIT, nanos.unsigned_abs() % UNIT);
    if rest == 0 {
        return format!("{sign}{units}");
    }
    let digits = format!("{rest:0SCALE$}");
    format!("{sign}{units}.{}", digits.trim_end_matches('0'))
}

/// Writes a moment, in UTC.
pub fn moment(moment: Moment) -> String {
    moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn decimals_are_exact() {
        for (nanos, written) in [
            (0, "0"),
            (1, "0.000000001"),
            (-1, "-0.000000001"),
            (12_500_000_000, "12.5"),
            (-12_500_000_000, "-12.5"),
            (1_000_000_000, "1"),
            (i128::from(i64::MAX) * 1_000_000_000 + 999_999_999, "9223372036854775807.999999999"),
        ] {
            assert_eq!(decimal(nanos), written);
        }
    }

    #[test]
    fn moments_are_short_where_they_are_round() {
        assert_eq!(moment(from_micros(0)), "1970-01-01T00:00:00Z");
        assert_eq!(moment(from_micros(1_700_000_000_123_000)), "2023-11-14T22:13:20.123Z");
    }
}
