//! What balancers, people and gRPC clients are told.

use linkforty::serve::Running;
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{self, App, Store, json, on_every_store};

#[tokio::test]
async fn every_listener_says_how_it_is() {
    on_every_store(async |app| {
        for listener in [app.links(), app.api(), app.ops()] {
            app.eventually_up().await;
            let answer = support::get(listener, "/health", &[]).await;
            assert_eq!(answer.status, 200);
            let health = json(&answer);
            assert_eq!(health["database"]["state"], "up", "{health}");
            assert!(health["database"]["latency_ms"].is_number());
            assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
            assert_eq!(support::get(listener, "/livez", &[]).await.status, 200);
            assert_eq!(support::get(listener, "/readyz", &[]).await.status, 200);
        }
    })
    .await;
}

#[tokio::test]
async fn embedded_has_no_redis_and_is_not_degraded_by_that() {
    let app = App::start(Store::Embedded).await;
    app.eventually_up().await;
    let health = json(&app.visit("/health").await);
    assert_eq!(health["redis"]["state"], "not_configured");
    assert_eq!(health["status"], "ok");
    app.stop().await;
}

#[tokio::test]
async fn only_operators_see_the_details() {
    let app = App::start(Store::Embedded).await;
    let of = async |listener| json(&support::get(listener, "/health", &[]).await);
    assert!(of(app.ops()).await["database_kind"].is_string());
    for listener in [app.links(), app.api()] {
        let health = of(listener).await;
        let mut keys: Vec<&str> = health.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys.retain(|key| *key != "spool");
        assert_eq!(keys, ["database", "redis", "status", "uptime_seconds", "version"]);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_database_that_is_away_keeps_no_node_from_starting_or_being_ready() {
    let away =
        [("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none"), ("DATABASE_ACQUIRE_TIMEOUT_MS", "200")];
    let app = App::start_with(Store::Embedded, &away).await;
    support::eventually("the health knows", async || {
        json(&app.visit("/health").await)["database"]["state"] == "down"
    })
    .await;
    let health = app.visit("/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(json(&health)["status"], "degraded");
    assert!(!health.text().contains("127.0.0.1"), "{}", health.text());
    assert_eq!(app.visit("/readyz").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn grpc_clients_are_told_in_their_own_way() {
    let app = App::start(Store::Embedded).await;
    let mut client = HealthClient::new(app.channel().await);
    support::eventually("the server serves", async || {
        let mut client = client.clone();
        let answer = client.check(HealthCheckRequest::default()).await;
        answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
    })
    .await;
    let unknown = HealthCheckRequest { service: "no.such.Service".to_owned() };
    let status = client.check(unknown).await.expect_err("unknown");
    assert_eq!(status.code(), tonic::Code::NotFound);
    app.stop().await;
}

#[tokio::test]
async fn operators_see_metrics_and_the_contract_and_others_do_not() {
    let app = App::start(Store::Embedded).await;
    app.visit("/health").await;
    let metrics = support::get(app.ops(), "/metrics", &[]).await.text();
    for name in [
        "linkforty_requests_total{listener=\"links\",method=\"/health\",code=\"200\"}",
        "linkforty_request_duration_seconds_bucket",
        "linkforty_connections",
        "linkforty_store_up",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_cpu_seconds_total",
    ] {
        assert!(metrics.contains(name), "{name} is not among\n{metrics}");
    }
    for listener in [app.links(), app.api()] {
        assert_eq!(support::get(listener, "/metrics", &[]).await.status, 404);
    }
    assert_eq!(listed(app.running()).await, ["grpc.health.v1.Health", "linkforty.v1.LinkService"]);
    app.stop().await;
}

/// Asks reflection for services and returns two of them.
async fn listed(running: &Running) -> Vec<String> {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let endpoint = Endpoint::from_shared(format!("http://{}", running.ops)).expect("a valid address");
    let mut client = ServerReflectionClient::new(endpoint.connect().await.expect("connects"));
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([request])).await.expect("reflects").into_inner();
    let answer = answers.message().await.expect("an answer").expect("one answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("another answer: {answer:?}")
    };
    let wanted = ["grpc.health.v1.Health", "linkforty.v1.LinkService"];
    let mut names: Vec<String> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .filter(|name| wanted.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}
