//! `linkforty smoke`, the check that operators run against a deployment.

use std::process::{Command, Output};

use linkforty::rpc::Permission;

use crate::support::{App, on_every_store};

/// Runs the program against a server. None of this machine's settings may matter to it.
async fn smoke(app: &App, key: &str) -> Output {
    let (base, api) = (format!("http://{}", app.links()), format!("http://{}", app.api()));
    let key = key.to_owned();
    let run = move || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_linkforty"));
        program.env_clear().env("LINKFORTY_KEY", key);
        program.args(["smoke", "--base-url", &base, "--api", &api]).output()
    };
    tokio::task::spawn_blocking(run).await.expect("it does not panic").expect("the program is there")
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_deployment_that_works_passes_and_is_left_as_it_was() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let key = app.key(&tenant.id, &[Permission::LinksRead, Permission::LinksWrite]).await;
        let output = smoke(app, &key).await;
        let (said, complained) = (lines(&output.stdout), lines(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{said:?} {complained:?}");
        let steps: Vec<_> =
            said.iter().map(|line| line.split_whitespace().nth(1).unwrap_or_default()).collect();
        assert_eq!(steps, ["created", "clicked", "counted", "deleted"]);
        assert!(!said.join(" ").contains(&key));
        let left = tenant.links.clone().list_links(linkforty::pb::v1::ListLinksRequest::default()).await;
        assert!(left.expect("lists").into_inner().links.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_wrong_key_fails_with_one_clear_line() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let narrow = app.key(&tenant.id, &[Permission::LinksRead]).await;
        for (key, why) in [("lf_wrong", "CREDENTIALS_INVALID"), (&narrow, "PERMISSION_MISSING")] {
            let output = smoke(app, key).await;
            let complained = lines(&output.stderr).join("\n");
            assert_eq!(output.status.code(), Some(1), "{complained}");
            assert!(output.stdout.is_empty(), "{:?}", lines(&output.stdout));
            assert!(complained.contains("the link could not be created"), "{why}: {complained}");
            assert!(!complained.contains(key), "{why}: {complained}");
            eprintln!("{complained}");
        }
    })
    .await;
}
