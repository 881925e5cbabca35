//! Postbacks that come while the database is away, and nodes that die in between. The samples that Apple publishes: production believes no other key.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use linkforty::pb::v1::{App, CreateAppRequest, IosApp, app_service_client::AppServiceClient};
use tonic::transport::Endpoint;

use super::support::{Node, World, on_every_store, within};
use crate::support::{Bearer, SKADNETWORK, STORE_ID, send};

/// From Apple's pages "Verifying an install-validation postback" and "Combining parameters for SKAdNetwork 3 postbacks".
const SAMPLES: [&str; 4] = [
    r#"{"version":"3.0","ad-network-id":"example123.skadnetwork","campaign-id":42,"transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e28","app-id":525463029,"attribution-signature":"MEYCIQD5eq3AUlamORiGovqFiHWI4RZT/PrM3VEiXUrsC+M51wIhAPMANZA9c07raZJ64gVaXhB9+9yZj/X6DcNxONdccQij","redownload":true,"source-app-id":1234567891,"fidelity-type":1,"conversion-value":20,"did-win":true}"#,
    r#"{"version":"3.0","ad-network-id":"example123.skadnetwork","campaign-id":42,"transaction-id":"f9ac267a-a889-44ce-b5f7-0166d11461f0","app-id":525463029,"attribution-signature":"MEUCIQDDetUtkyc/MiQvVJ5I6HIO1E7l598572Wljot2Onzd4wIgVJLzVcyAV+TXksGNoa0DTMXEPgNPeHCmD4fw1ABXX0g=","redownload":true,"fidelity-type":1,"did-win":false}"#,
    r#"{"version":"4.0","ad-network-id":"com.example","source-identifier":"5239","app-id":525463029,"transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e30","redownload":false,"source-domain":"example.com","fidelity-type":1,"did-win":true,"conversion-value":63,"postback-sequence-index":0,"attribution-signature":"MEUCIGRmSMrqedNu6uaHyhVcifs118R5z/AB6cvRaKrRRHWRAiEAv96ne3dKQ5kJpbsfk4eYiePmrZUU6sQmo+7zfP/1Bxo="}"#,
    r#"{"version":"4.0","ad-network-id":"com.example","source-identifier":"39","app-id":525463029,"transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e31","redownload":false,"source-domain":"example.com","fidelity-type":1,"did-win":true,"coarse-conversion-value":"high","postback-sequence-index":0,"attribution-signature":"MEUCIQD4rX6eh38qEhuUKHdap345UbmlzA7KEZ1bhWZuYM8MJwIgMnyiiZe6heabDkGwOaKBYrUXQhKtF3P/ERHqkR/XpuA="}"#,
];
/// Their second halves are sent while the database is away.
const BEFORE: usize = 1;
const VERIFIED: &str = "postbacks WHERE outcome = 1";

async fn post(node: &Node, body: &str) -> u16 {
    let json = [("content-type", "application/json")];
    let body = Bytes::copy_from_slice(body.as_bytes());
    send(node.links, Method::POST, SKADNETWORK, &json, body).await.status.as_u16()
}

async fn an_app(world: &World) {
    let key = world.node.run(&["key", "create", "--name", "apps", "--scopes", "apps.write", "--secret-only"]);
    let endpoint = Endpoint::from_shared(format!("http://{}", world.node.api)).expect("a valid address");
    let mut apps = AppServiceClient::with_interceptor(endpoint.connect_lazy(), Bearer(key));
    let ios = IosApp {
        bundle_id: "com.example.shop".to_owned(),
        app_id_prefixes: vec!["ABCDE12345".to_owned()],
        app_store_id: STORE_ID.to_string(),
        ..IosApp::default()
    };
    let app = App { name: "Shop".to_owned(), ios: Some(ios), ..App::default() };
    apps.create_app(CreateAppRequest { app: Some(app), ..CreateAppRequest::default() })
        .await
        .expect("makes one");
}

#[tokio::test]
async fn postbacks_answered_without_a_database_are_stored_once_through_a_kill() {
    on_every_store(&[], async |world| {
        an_app(world).await;
        for sample in &SAMPLES[..BEFORE] {
            assert_eq!(post(&world.node, sample).await, 200);
        }
        assert_eq!(world.count(VERIFIED).await, BEFORE as i64);
        let outage = world.outage().await;
        // All of them, and those that are stored already once more: nobody can say so now.
        for sample in SAMPLES {
            assert_eq!(post(&world.node, sample).await, 200);
        }
        world.node.kill();
        world.end(outage).await;
        world.node.start().await;
        world.node.drained().await;
        within(Duration::from_secs(60), "all are stored", async || {
            world.count(VERIFIED).await == SAMPLES.len() as i64
        })
        .await;
        assert_eq!(world.count("postbacks").await, SAMPLES.len() as i64);
        assert_eq!(world.count("postbacks WHERE repeats = 1").await, BEFORE as i64, "one came again");
        assert_eq!(world.count("dead_letters").await, 0);
        // The drain does all of it once more, and that changes nothing.
        world.node.kill();
        world.forget_progress().await;
        world.node.start().await;
        world.node.drained().await;
        assert_eq!(world.count("postbacks WHERE repeats = 0").await, (SAMPLES.len() - BEFORE) as i64);
        assert_eq!(world.count(VERIFIED).await, SAMPLES.len() as i64);
    })
    .await;
}
