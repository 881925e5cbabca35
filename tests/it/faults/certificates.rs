//! The process dies while it gets a certificate.

use std::time::Duration;

use linkforty::clock::{Clock as _, SystemClock};

use super::support::{ALONE, Node, within};
use crate::support::{Authority, Place, Zone};

const HOST: &str = "go.example.test";

/// Wherever it dies: there is one account and one order, and whoever comes next goes on with them.
#[tokio::test]
async fn a_node_that_dies_while_it_gets_a_certificate_goes_on_with_what_it_had() {
    let _alone = ALONE.lock().await;
    let zone = Zone::open().await;
    let authority = Authority::open(&zone).await;
    authority.live_at(SystemClock.now());
    let mut settings = authority.settings();
    for (name, value) in [
        ("LINKS_URL", "https://go.example.test"),
        ("APP_ENV", "development"),
        ("DNS_SERVERS", &zone.setting()),
    ] {
        settings.push((name.to_owned(), value.to_owned()));
    }
    let mut node = Node::new(settings);
    node.run(&["migrate", "up"]);
    authority.look_at(&[Place { tls: node.links, plain: None }]);
    for (place, accounts, orders) in [
        ("certificates.account.after", 1, 0),
        ("certificates.order.after", 1, 1),
        ("certificates.challenge.after", 1, 1),
        ("certificates.finalize.after", 1, 1),
        ("certificates.issued.after", 1, 1),
    ] {
        node.launch(&[("FAILPOINT_ABORT", &format!("{place}:1"))]);
        node.wait_for_abort().await;
        assert_eq!((authority.accounts(), authority.ordered().len()), (accounts, orders), "{place}");
        // Another node would wait for five minutes before it takes over.
        node.run(&["certificates", "renew", HOST]);
    }
    node.start().await;
    within(Duration::from_secs(20), "the host has a certificate", async || {
        authority.shake_hands(node.links, HOST).await.is_ok()
    })
    .await;
    assert_eq!((authority.accounts(), authority.ordered().len()), (1, 1));
    let listed = node.run(&["certificates", "list"]);
    assert!(listed.starts_with("go.example.test  active  expires "), "{listed}");
}
