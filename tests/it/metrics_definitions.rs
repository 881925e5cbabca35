//! What the numbers mean is said in one place, for every number that there is.

use std::{collections::BTreeSet, fs};

use linkforty::pb;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/analytics.md");

#[test]
fn every_number_of_a_report_is_defined_once() {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let (_, rest) = page.split_once("## What the numbers mean").expect("the page has its first section");
    let (section, _) = rest.split_once("\n## ").expect("another section follows");
    let defined: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let once: BTreeSet<&str> = defined.iter().copied().collect();
    assert_eq!(once.len(), defined.len(), "one is defined twice: {defined:?}");
    let measures = pb::pool().get_message_by_name("linkforty.v1.Measures").expect("a message");
    for field in measures.fields() {
        assert!(once.contains(field.name()), "docs/analytics.md does not say what `{}` counts", field.name());
    }
    assert!(once.contains("install_rate"));
}
