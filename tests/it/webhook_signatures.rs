//! Requests that a running server sent, checked by the packages that receivers use: for Rust, Node and Python.

use std::{fs, process::Command};

use linkforty::{
    clock::{Clock as _, SystemClock},
    webhooks::{EventType, sign},
};
use serde_json::json;
use standardwebhooks::Webhook;

use crate::support::{Heard, Receiver, an_endpoint, hooks, stores, variable};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webhooks");

#[tokio::test]
async fn the_packages_for_rust_node_and_python_take_what_is_sent_and_nothing_else() {
    for store in stores() {
        let receiver = Receiver::open().await;
        let app = receiver.guest(store, &[]).await;
        // They look at the machine's clock.
        app.clock.set(SystemClock.now());
        let workspace = app.tenant().await.id;
        let (endpoint, mut sealed) = an_endpoint(&app, &workspace, &receiver.url("/"));
        sealed.secrets.insert(0, hooks::secret([9; 32], app.env().now(), None));
        let hook = app.hook((endpoint, sealed)).await;
        app.tell(&[hook], EventType::LinkCreated, &json!({"link": {"title": "Größe \u{1f600}"}})).await;
        let good = receiver.hears(1).await.remove(0);
        let (new, old) = (sign::secret_text(&[9; 32]), sign::secret_text(&hooks::KEY));
        for secret in [&new, &old] {
            assert_eq!(verdicts(secret, &good), ["good"; 3], "on {store}");
        }
        let stranger = sign::secret_text(&[1; 32]);
        let changed = |header: &'static str, value: &str| {
            let mut changed = good.clone();
            changed.headers.insert(header, value.parse().expect("a header"));
            changed
        };
        let mut other_body = good.clone();
        other_body.body[10] ^= 1;
        let later = (app.env().now().timestamp() + 1).to_string();
        for (secret, bad) in [
            (&stranger, good.clone()),
            (&new, other_body),
            (&new, changed("webhook-id", "msg_other")),
            (&new, changed("webhook-timestamp", &later)),
        ] {
            for verdict in verdicts(secret, &bad) {
                assert!(verdict.starts_with("bad"), "{verdict}, on {store}");
            }
        }
        app.stop().await;
    }
}

/// What the packages say, or what a test without them expects of them.
fn verdicts(secret: &str, heard: &Heard) -> [String; 3] {
    let rust = Webhook::new(secret).expect("a secret").verify(&heard.body, &heard.headers);
    let rust = rust.map_or_else(|error| format!("bad: {error}"), |()| "good".to_owned());
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("request.json");
    let headers: serde_json::Map<_, _> = heard
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().expect("ASCII"))))
        .collect();
    let body = String::from_utf8_lossy(&heard.body);
    fs::write(&file, json!({"secret": secret, "headers": headers, "body": body}).to_string())
        .expect("written");
    let (python, modules) = (variable("LINKFORTY_TEST_PYTHON"), variable("LINKFORTY_TEST_NODE_MODULES"));
    let (Some(python), Some(modules)) = (python, modules) else {
        assert_ne!(variable("LINKFORTY_TEST_REQUIRE_STORES").as_deref(), Some("1"), "use tests/services.sh");
        eprintln!("SKIPPED for Node and Python: use tests/services.sh");
        return [rust.clone(), rust.clone(), rust];
    };
    let node = said(Command::new("node").arg(format!("{SCRIPTS}/verify.mjs")).arg(modules).arg(&file));
    let python = said(Command::new(python).arg(format!("{SCRIPTS}/verify.py")).arg(&file));
    [rust, node, python]
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
