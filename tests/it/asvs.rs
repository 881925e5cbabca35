//! What `docs/asvs.md` claims is there: every path, and every test by its name.

use std::{collections::BTreeSet, fs, path::Path};

/// The requirements that are claimed, at the least.
const CLAIMED: &[&str] = &[
    "1.2.1", "1.2.2", "1.2.4", "1.3.6", "1.3.11", "1.5.2", "2.2.1", "2.2.2", "2.2.3", "2.3.3", "2.3.4",
    "2.4.1", "3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.3.5", "3.4.1", "3.4.2", "3.4.3", "3.4.4", "3.4.5",
    "3.4.6", "3.4.8", "3.5.1", "3.5.2", "3.5.3", "3.5.4", "3.5.8", "4.1.1", "4.1.3", "4.1.4", "4.2.1",
    "4.2.5", "5.2.1", "5.2.3", "5.2.6", "5.3.2", "6.2.1", "6.2.2", "6.2.3", "6.2.4", "6.2.5", "6.2.6",
    "6.2.7", "6.2.8", "6.2.9", "6.2.10", "6.2.11", "6.2.12", "6.3.1", "6.3.2", "6.3.3", "6.3.4", "6.3.7",
    "6.3.8", "6.4.1", "6.4.2", "6.4.3", "6.4.4", "6.4.6", "6.5.1", "6.5.3", "6.5.4", "6.5.5", "6.7.1",
    "6.7.2", "6.8.1", "6.8.2", "6.8.4", "7.2.1", "7.2.2", "7.2.3", "7.2.4", "7.3.1", "7.3.2", "7.4.1",
    "7.4.2", "7.4.3", "7.4.4", "7.4.5", "7.5.1", "7.5.2", "8.1.1", "8.2.1", "8.2.2", "8.2.3", "8.3.1",
    "8.3.2", "8.4.1", "9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3", "9.2.4", "10.1.2", "10.2.1",
    "10.2.2", "10.3.1", "10.3.2", "10.3.3", "10.4.5", "10.4.8", "10.4.9", "10.5.1", "10.5.2", "10.5.3",
    "10.5.4", "12.1.1", "12.1.3", "12.3.2", "12.3.5", "13.2.2", "13.2.4", "13.2.6", "13.3.1", "13.4.5",
    "13.4.6", "14.2.1", "14.3.2", "15.2.2", "15.3.1", "15.3.2", "15.3.3", "15.3.4", "15.4.2", "16.2.5",
    "16.3.1", "16.3.2", "16.3.3", "16.4.1", "16.4.2", "16.5.1", "16.5.2", "16.5.3", "16.5.4",
];

#[derive(Debug)]
struct Row<'a> {
    id: &'a str,
    status: &'a str,
    paths: Vec<&'a str>,
    tests: Vec<&'a str>,
}

fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn rows(page: &str) -> Vec<Row<'_>> {
    page.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
            let [id, _, status, paths, tests, ""] = cells[..] else { return None };
            id.starts_with(|first: char| first.is_ascii_digit()).then(|| Row {
                id,
                status,
                paths: quoted(paths),
                tests: quoted(tests),
            })
        })
        .collect()
}

/// Fails unless there is a test of this name: `file::name` in `tests/it/`, or behind the path of the file that holds it.
pub fn test_exists(test: &str) {
    let (place, name) = test.split_once("::").unwrap_or_else(|| panic!("{test} names no test"));
    let file = if place.starts_with("src/") { place.to_owned() } else { format!("tests/it/{place}.rs") };
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file));
    let text = text.unwrap_or_else(|_| panic!("{test}: there is no {file}"));
    let found = text.split("fn ").skip(1).any(|rest| rest.starts_with(&format!("{name}()")));
    assert!(found, "there is no test {test}");
}

#[test]
fn every_claim_has_its_code_and_its_test() {
    let page = include_str!("../../docs/asvs.md");
    let rows = rows(page);
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len(), "an id stands there twice");
    for claimed in CLAIMED {
        assert!(ids.contains(claimed), "{claimed} is missing");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for row in &rows {
        let known = ["done", "partly: ", "dashboard"].iter().any(|word| row.status.starts_with(word));
        assert!(known, "{row:?}");
        if row.status == "dashboard" {
            continue;
        }
        assert!(!row.paths.is_empty() && !row.tests.is_empty(), "{row:?}");
        for path in &row.paths {
            assert!(root.join(path).exists(), "{}: there is no {path}", row.id);
        }
        row.tests.iter().for_each(|test| test_exists(test));
    }
}
