//! The files of apps while the database is away, and the operator's word from another process.

use std::time::Duration;

use linkforty::pb::v1::{App, CreateAppRequest, IosApp, app_service_client::AppServiceClient};
use tonic::transport::Endpoint;

use super::support::{Line, Node, World, on_every_store, on_production, within};
use crate::support::Bearer;

const FILE: &str = "/.well-known/apple-app-site-association";
/// Within a second is the promise; starting the program and opening the stores takes its time too.
const SOON: Duration = Duration::from_secs(5);
const HEALED: Duration = Duration::from_secs(30);

async fn create(world: &World, bundle_id: &str) {
    let scopes = "apps.read,apps.write";
    let key = world.node.run(&["key", "create", "--name", "apps", "--scopes", scopes, "--secret-only"]);
    let endpoint = Endpoint::from_shared(format!("http://{}", world.node.api)).expect("a valid address");
    let mut client = AppServiceClient::with_interceptor(endpoint.connect_lazy(), Bearer(key));
    let ios = IosApp {
        bundle_id: bundle_id.to_owned(),
        app_id_prefixes: vec!["ABCDE12345".to_owned()],
        ..IosApp::default()
    };
    let app = App { name: "Shop".to_owned(), ios: Some(ios), ..App::default() };
    let request = CreateAppRequest { app: Some(app), ..CreateAppRequest::default() };
    client.create_app(request).await.expect("the app is made");
}

async fn status(node: &Node) -> u16 {
    let mut line = Line::open(node.links).await.expect("the node accepts");
    line.get(FILE).await.expect("an answer").status
}

/// Never a 404: whoever fetches it would believe for days that there are no apps.
#[tokio::test]
async fn the_files_are_answered_while_the_database_is_gone_also_after_a_restart() {
    on_production(&[], async |world| {
        create(world, "com.example.shop").await;
        let mut other = world.another_node(&[]).await;
        for node in [&world.node, &other] {
            within(SOON, "it is there", async || status(node).await == 200).await;
        }
        for node in [&world.node, &other] {
            let file = node.data().join("apps.snap");
            within(SOON, "it is on disk", async || {
                let bytes = std::fs::read(&file).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains("com.example.shop")
            })
            .await;
        }
        let outage = world.outage().await;
        assert_eq!(status(&world.node).await, 200);
        // One ends as it should, the other does not.
        other.terminate();
        other.wait(SOON).await;
        world.node.kill();
        for node in [&mut other, &mut world.node] {
            node.start().await;
            assert_eq!(status(node).await, 200, "it remembers");
        }
        // Who never knew them says so.
        std::fs::remove_file(other.data().join("apps.snap")).expect("it was written");
        other.kill();
        other.start().await;
        assert_eq!(status(&other).await, 503);
        world.end(outage).await;
        for node in [&world.node, &other] {
            within(HEALED, "it is there again", async || status(node).await == 200).await;
        }
        create(world, "com.example.other").await;
        assert_eq!(status(&world.node).await, 200);
    })
    .await;
}

#[tokio::test]
async fn what_the_operator_says_at_the_command_line_counts_on_a_running_node() {
    on_every_store(&[], async |world| {
        create(world, "com.example.shop").await;
        assert_eq!(status(&world.node).await, 200);
        let listed = world.node.run(&["workspace", "list"]);
        let id = listed.split_whitespace().next().expect("one workspace");
        assert!(listed.contains("apps allowed"), "{listed}");
        for _ in 0..2 {
            assert!(world.node.run(&["workspace", "deny-apps", id]).starts_with("denied"));
            within(SOON, "it is gone", async || status(&world.node).await == 404).await;
            assert!(world.node.run(&["workspace", "deny-apps", id]).starts_with("it was not allowed"));
            assert!(!world.node.run(&["workspace", "list"]).contains("apps allowed"));
            assert!(world.node.run(&["workspace", "allow-apps", id]).starts_with("allowed"));
            within(SOON, "it is back", async || status(&world.node).await == 200).await;
        }
    })
    .await;
}
