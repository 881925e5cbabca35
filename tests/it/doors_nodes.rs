//! A change of a workspace reaches the warm links of every node.

use std::time::Duration;

use linkforty::{
    pb::v1::{Link, WorkspaceSettings},
    workspaces::{Tenant as Entered, enter_as_operator, suspend},
};
use secrecy::ExposeSecret as _;

use crate::{
    accounts::settled_owner,
    doors::{DESTINATION, as_agent, update_settings},
    redirect::in_touch,
    support::{App, DESKTOP, Statements, Store, link, stores, within},
};

const PROMISED: Duration = Duration::from_secs(1);

async fn status(app: &App, path: &str) -> u16 {
    as_agent(app, path, DESKTOP).await.status.as_u16()
}

async fn operator(app: &App, workspace: &str) -> Entered {
    enter_as_operator(app.env(), Some(workspace)).await.expect("it is there")
}

/// The clock stands still, so nothing grows old: only the message can bring the change.
#[tokio::test]
async fn a_change_of_a_workspace_reaches_all_nodes_within_a_second() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let (token, workspace) = settled_owner(&here).await;
    let tenant = here.tenant_of(&workspace).await;
    let theirs = here.another_tenant().await;
    // By Redis and Postgres, and by Postgres alone.
    for settings in [&[][..], &[("REDIS_URL", "")]] {
        let there = here.start_beside(settings).await;
        in_touch(&here, &there, &tenant).await;
        let number = settings.len();
        let (warm, bare) = (format!("/warm{number}"), format!("/bare{number}"));
        tenant.create(link(&warm[1..], DESTINATION)).await;
        tenant.create(Link { app_scheme: "myapp".into(), ..link(&bare[1..], "") }).await;
        theirs.create(link(&format!("theirs{number}"), DESTINATION)).await;
        for round in 0..3 {
            for node in [&here, &there] {
                assert_eq!(status(node, &warm).await, 302, "round {round}");
                assert_eq!(status(node, &bare).await, 200, "the launchpad, round {round}");
                assert_eq!(status(node, &format!("/theirs{number}")).await, 302);
            }
            let (suspended, restored) = if round % 2 == 0 { (&here, &there) } else { (&there, &here) };
            suspend(suspended.env(), &operator(suspended, &workspace).await, Some("x"))
                .await
                .expect("suspends");
            for node in [&here, &there] {
                within(PROMISED, "it is gone", async || status(node, &warm).await == 410).await;
            }
            suspend(restored.env(), &operator(restored, &workspace).await, None).await.expect("restores");
            for node in [&here, &there] {
                within(PROMISED, "it is back", async || status(node, &warm).await == 302).await;
            }
            for web_url in ["https://example.com/fallback", ""] {
                let changed = WorkspaceSettings { web_url: web_url.into(), ..WorkspaceSettings::default() };
                update_settings(suspended, (&token, &workspace), changed, &["settings"])
                    .await
                    .expect("updates");
                let expected = if web_url.is_empty() { 200 } else { 302 };
                for node in [&here, &there] {
                    within(PROMISED, "it follows", async || status(node, &bare).await == expected).await;
                }
            }
        }
        there.stop().await;
    }
    here.stop().await;
}

/// What Redis holds from before is not believed by a node that was not there to hear of the change.
#[tokio::test]
async fn a_node_that_starts_later_knows_what_changed() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let tenant = here.tenant().await;
    for code in ["one", "two"] {
        tenant.create(link(code, DESTINATION)).await;
    }
    // What stands in Redis after a new link is a tombstone for five seconds.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for path in ["/one", "/two"] {
        assert_eq!(status(&here, path).await, 302);
    }
    suspend(here.env(), &operator(&here, &tenant.id).await, Some("x")).await.expect("suspends");
    within(PROMISED, "it is gone", async || status(&here, "/one").await == 410).await;
    // The second link was asked for by nobody since, so Redis has it as it was.
    let there = here.start_beside(&[]).await;
    within(PROMISED, "it is gone there too", async || status(&there, "/two").await == 410).await;
    there.stop().await;
    here.stop().await;
}

#[tokio::test]
async fn a_cold_visit_takes_one_statement_whatever_the_link_has() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let first = App::start(Store::Production).await;
    let (token, workspace) = settled_owner(&first).await;
    let settings =
        WorkspaceSettings { web_url: "https://example.com/w".into(), ..WorkspaceSettings::default() };
    update_settings(&first, (&token, &workspace), settings, &["settings"]).await.expect("updates");
    let tenant = first.tenant_of(&workspace).await;
    // Each way to ask is tried five times, each time with a link nobody asked for yet.
    for number in 0..5 {
        let code = |name: &str| format!("{name}{number}");
        tenant.create(link(&code("plain"), DESTINATION)).await;
        let locked = link(&code("locked"), DESTINATION);
        tenant.create(Link { password: "open".into(), title: "t".into(), ..locked }).await;
        tenant.create(Link { app_scheme: "myapp".into(), ..link(&code("bare"), "") }).await;
    }
    let database = first.env().config.database.as_ref().expect("production has one");
    let statements = Statements::to(database.url.expose_secret()).await;
    let node = first.start_beside(&[("DATABASE_URL", &statements.url), ("REDIS_URL", "")]).await;
    node.eventually_up().await;
    // What the node asks at its start is over.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for name in ["plain", "locked", "bare", "unknown"] {
        for expected in [1, 0] {
            let mut number = 0;
            let taken = statements.of(async || {
                as_agent(&node, &format!("/{name}{number}"), DESKTOP).await;
                number += 1;
            });
            assert_eq!(taken.await, expected, "{name}");
        }
    }
    node.stop().await;
    first.stop().await;
}
