//! Who may know whom, checked in the source: `main → doors → rooms → tools → ground`, the arrows between rooms that are named
//! here, and no circles (`docs/ARCHITECTURE.md`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const GROUND: &[&str] = &[
    "app_scheme",
    "config",
    "clock",
    "currency",
    "destination_url",
    "email",
    "files",
    "ids",
    "error",
    "etag",
    "page",
    "pb",
    "spreadsheet",
];
const TOOLS: &[&str] = &[
    "acme",
    "admission",
    "env",
    "db",
    "dns",
    "entity",
    "cache",
    "limits",
    "spool",
    "jobs",
    "events",
    "failpoints",
    "feed",
    "hashing",
    "idempotency",
    "mail",
    "memory",
    "outbound",
    "outbox",
    "trail",
    "qr",
    "rpc",
    "sealing",
    "geo",
    "telemetry",
    "memory",
    "migrations",
];
const ROOMS: &[&str] = &[
    "accounts",
    "workspaces",
    "apps",
    "domains",
    "links",
    "redirect",
    "clicks",
    "attribution",
    "analytics",
    "webhooks",
    "takeover",
    "privacy",
    "audit",
    "operations",
];
const DOORS: &[&str] = &["serve", "cli"];
/// The arrows between rooms. Besides, every room may ask `workspaces` for roles.
const BETWEEN_ROOMS: &[(&str, &[&str])] = &[
    ("redirect", &["links", "clicks", "domains", "apps"]),
    ("attribution", &["links", "clicks", "apps", "domains", "redirect"]),
    ("analytics", &["links", "clicks", "attribution", "redirect", "apps", "domains"]),
    ("webhooks", &["links", "clicks", "attribution", "analytics", "apps", "domains"]),
    ("takeover", &["links", "clicks", "attribution", "analytics", "webhooks", "apps"]),
    ("clicks", &["domains"]),
    ("links", &["domains"]),
    ("apps", &["domains"]),
];

/// One `crate::...` in the source.
struct Arrow {
    from: String,
    to: String,
    place: String,
}

#[test]
fn nobody_knows_whom_they_should_not() {
    let wrong: Vec<String> = arrows()
        .iter()
        .filter_map(|arrow| {
            wrong(&arrow.from, &arrow.to)
                .map(|why| format!("{}: {} → {}: {why}", arrow.place, arrow.from, arrow.to))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn there_are_no_circles() {
    let mut graph: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for arrow in arrows() {
        graph.entry(arrow.from).or_default().entry(arrow.to).or_insert(arrow.place);
    }
    // Whoever knows nobody that is left cannot be in a circle; take them out until nobody changes.
    let mut left: BTreeSet<String> = graph.keys().cloned().collect();
    loop {
        let inner: BTreeSet<String> =
            left.iter().filter(|name| graph[*name].keys().any(|to| left.contains(to))).cloned().collect();
        if inner.len() == left.len() {
            break;
        }
        left = inner;
    }
    let lines: Vec<String> = left
        .iter()
        .flat_map(|from| {
            graph[from]
                .iter()
                .filter(|(to, _)| left.contains(*to))
                .map(move |(to, place)| format!("{place}: {from} → {to}"))
        })
        .collect();
    assert!(lines.is_empty(), "a circle is among these:\n{}\n", lines.join("\n"));
}

#[test]
fn arrows_are_read_from_every_form_of_use() {
    let names = |text: &str| mentioned(text).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(names("use crate::clock::Moment;"), ["clock"]);
    assert_eq!(
        names("use crate::{clock::{Clock, Moment}, ids, pb::v1::{self, Link}};"),
        ["clock", "ids", "pb"]
    );
    assert_eq!(names("use crate::{\n    cache::Away,\n    env::Env, // crate::not\n};\n"), ["cache", "env"]);
    assert_eq!(names("fn f() -> crate::error::Result<()> {}"), ["error"]);
    assert_eq!(names("// use crate::links;\n/// [`crate::links`]"), Vec::<String>::new());
    assert_eq!(names("pub(in crate::serve) fn f() {}"), ["serve"]);
}

#[test]
fn every_part_of_the_house_has_its_place() {
    let known = [GROUND, TOOLS, ROOMS, DOORS].concat();
    for file in sources() {
        let name = part(&file);
        assert!(
            known.contains(&name.as_str()) || name == "main" || name == "lib",
            "{name} has no level in tests/it/rooms.rs"
        );
    }
}

/// Says why an arrow is wrong, if it is.
fn wrong(from: &str, to: &str) -> Option<&'static str> {
    let level = |name: &str| [GROUND, TOOLS, ROOMS, DOORS].iter().position(|level| level.contains(&name));
    let (Some(below), Some(above)) = (level(to), level(from)) else {
        return Some("one of them has no level");
    };
    if below > above {
        return Some("arrows go from doors over rooms and tools to the ground, never back");
    }
    if ROOMS.contains(&from) && ROOMS.contains(&to) {
        let named = BETWEEN_ROOMS.iter().any(|(room, others)| *room == from && others.contains(&to));
        return (!named && to != "workspaces")
            .then_some("rooms know only the rooms that design and test name");
    }
    None
}

fn arrows() -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for file in sources() {
        let from = part(&file);
        if from == "main" || from == "lib" {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        for (line, to) in mentioned(&text) {
            if to != from && to != "crate" {
                let place = format!("{}:{line}", file.strip_prefix(root()).unwrap_or(&file).display());
                arrows.push(Arrow { from: from.clone(), to, place });
            }
        }
    }
    arrows
}

/// Returns the parts of the house that a source mentions as `crate::part` or `crate::{part, ...}`, with their lines.
fn mentioned(text: &str) -> Vec<(usize, String)> {
    // Comments may name anybody.
    let text: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let mut found = Vec::new();
    for (at, word) in text.match_indices("crate::") {
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let after = at + word.len();
        if !text[after..].starts_with('{') {
            found.push((line(at), name_at(&text[after..])));
            continue;
        }
        let mut depth = 0;
        let mut expects_name = false;
        for (offset, character) in text[after..].char_indices() {
            match character {
                '{' => {
                    depth += 1;
                    expects_name = depth == 1;
                }
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' => expects_name = depth == 1,
                _ if character.is_whitespace() => {}
                _ => {
                    if expects_name {
                        found.push((line(after + offset), name_at(&text[after + offset..])));
                    }
                    expects_name = false;
                }
            }
        }
    }
    found
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// Returns the part of the house that a file belongs to.
fn part(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join("src")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
