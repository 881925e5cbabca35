//! `docs/roles.md` says what code and tests say: it is written from the table of roles and from the methods of the contract.

use std::{fmt::Write as _, fs};

use linkforty::{rpc::Permission, workspaces::Role};

use crate::{
    contract::{METHODS, Who},
    support::variable,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/roles.md");

#[test]
fn the_page_of_roles_is_the_table() {
    let now = page();
    if variable("UPDATE_SNAPSHOT").as_deref() == Some("1") {
        fs::write(FILE, now).expect("the page can be written");
        return;
    }
    let written = fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        written == now,
        "docs/roles.md is not what the table says; to write it anew:\n    \
         UPDATE_SNAPSHOT=1 cargo test --features failpoints --test it roles::"
    );
}

const HEAD: &str = "\
# Roles, permissions and scopes

Written by `UPDATE_SNAPSHOT=1 cargo test --features failpoints --test it roles::` from `src/workspaces/roles.rs` and `src/rpc/permission.rs`; a test
compares them.

A person is something in each workspace they belong to; each role may do what the one before it may, and more. There is one owner, whom
`TransferOwnership` makes. Admins change the roles of everybody but the owner, their own too, and nobody becomes more than an admin by it.

An API key has scopes. A scope allows its own permission and those that name it under \"also by\"; a permission without a scope is never
given to a key.

";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page += "| permission | what | viewer | member | admin | owner | scope of keys | also by |\n";
    page += "|---|---|---|---|---|---|---|---|\n";
    for permission in Permission::ALL {
        let may = Role::ALL.map(|role| if role.may(*permission) { "yes" } else { "" });
        let scope = if permission.is_for_keys() { permission.name() } else { "" };
        let broader: Vec<&str> = permission.broader().iter().map(|broader| broader.name()).collect();
        let what = permission.meaning().trim_end_matches('.');
        writeln!(
            page,
            "| `{}` | {what} | {} | {} | {} | {} | {scope} | {} |",
            permission.name(),
            may[0],
            may[1],
            may[2],
            may[3],
            broader.join(", ")
        )
        .expect("a text grows");
    }
    page += "\n## What each method needs\n\n| method | permissions |\n|---|---|\n";
    let mut methods: Vec<_> = METHODS.iter().collect();
    methods.sort_by_key(|(method, ..)| *method);
    for (method, who, _) in methods {
        let needed = match who {
            Who::Anybody => "none".to_owned(),
            Who::Person => "a signed-in person".to_owned(),
            Who::With(needed) => {
                let names: Vec<String> = needed.iter().map(|needed| format!("`{}`", needed.name())).collect();
                names.join(", ")
            }
        };
        let method = method.trim_start_matches("linkforty.v1.");
        writeln!(page, "| {method} | {needed} |").expect("a text grows");
    }
    page
}
