//! Keeps spreadsheets from taking a cell for a formula, which could call strangers with what stands beside it; pure.

/// What formulas begin with; the wide ones count in East Asian versions.
const STARTS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
/// What makes a text of a cell.
const QUOTE: char = '\'';

/// Writes a cell so that it is a text, and so that [`read`] gives it back as it was.
pub fn write(cell: &str) -> std::borrow::Cow<'_, str> {
    if is_guarded_or_formula(cell) { format!("{QUOTE}{cell}").into() } else { cell.into() }
}

/// Reads a cell that [`write`] may have written.
pub fn read(cell: &str) -> &str {
    match cell.strip_prefix(QUOTE) {
        Some(rest) if is_guarded_or_formula(rest) => rest,
        _ => cell,
    }
}

/// A formula, or what looks like one that was guarded before.
fn is_guarded_or_formula(cell: &str) -> bool {
    cell.trim_start_matches(QUOTE).starts_with(STARTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_become_texts() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("'=1", "''=1"),
            ("'quoted'", "'quoted'"),
            ("a=1", "a=1"),
            ("", ""),
            ("'", "'"),
        ] {
            assert_eq!(write(cell), written);
            assert_eq!(read(written), cell);
            assert!(!written.starts_with(STARTS));
        }
    }

    proptest! {
        #[test]
        fn every_cell_comes_back_as_it_was(cell in "['=+\\-@\t\r\na ]{0,6}.{0,4}") {
            let written = write(&cell);
            prop_assert!(!written.starts_with(STARTS));
            prop_assert_eq!(read(&written), &*cell);
        }
    }
}
