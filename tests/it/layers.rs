//! What stands before the rooms: who may call, how much, how often, and how they are told.

use bytes::Bytes;
use http::Method;
use linkforty::{
    clock::Clock as _,
    ids,
    pb::v1::{ListLinksRequest, link_service_client::LinkServiceClient},
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

use crate::support::{self, App, Bearer, Store, call_web, frame, json, reason};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const DASHBOARD: &str = "https://dash.example.test";

fn check() -> HealthCheckRequest {
    HealthCheckRequest::default()
}

#[tokio::test]
async fn the_dashboards_pages_may_call_and_others_may_not() {
    let app = App::start(Store::Embedded).await;
    let asked = [("access-control-request-method", "POST"), ("access-control-request-headers", "x-grpc-web")];
    for (origin, welcome) in [(DASHBOARD, true), ("https://evil.example", false), ("null", false)] {
        let headers = [&asked[..], &[("origin", origin)]].concat();
        let answer = support::send(app.api(), Method::OPTIONS, CHECK, &headers, Bytes::new()).await;
        let allowed = if welcome { origin } else { "" };
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(answer.header("access-control-allow-credentials"), if welcome { "true" } else { "" });

        let (outcome, answer) =
            call_web::<HealthCheckResponse>(app.api(), CHECK, &check(), &[("origin", origin)]).await;
        match outcome {
            Ok(_) => assert!(welcome, "{origin}"),
            Err(status) => {
                assert!(!welcome, "{origin}: {status:?}");
                assert_eq!(
                    (status.code(), &*reason(&status)),
                    (Code::PermissionDenied, "ORIGIN_NOT_ALLOWED")
                );
            }
        }
        if welcome {
            let exposed = answer.header("access-control-expose-headers");
            for header in ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"] {
                assert!(exposed.contains(header), "{header} is not in {exposed}");
            }
        }
    }
    app.stop().await;
}

/// Without this, a page of anybody's could call with the visitor's connection (reliability.md W-04).
#[tokio::test]
async fn what_is_no_grpc_is_refused_whatever_the_protocol() {
    let app = App::start(Store::Embedded).await;
    for content_type in
        [Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/json"), None]
    {
        let headers: Vec<(&str, &str)> =
            content_type.map(|value| ("content-type", value)).into_iter().collect();
        let answer = support::send(app.api(), Method::POST, CHECK, &headers, frame(b"")).await;
        assert_eq!(answer.status, 415, "{content_type:?}");
        assert_eq!(json(&answer)["error"]["reason"], "NOT_GRPC");
        let status = tonic::Status::from_header_map(&answer.headers).expect("gRPC clients are told too");
        assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "NOT_GRPC"));

        let answer = support::send_h2(app.api(), CHECK, &headers, frame(b"")).await;
        assert_eq!(answer.status, 415, "{content_type:?} over HTTP/2");
    }
    app.stop().await;
}

#[tokio::test]
async fn unknown_methods_and_unknown_pages_are_told_apart() {
    let app = App::start(Store::Embedded).await;
    for method in ["/linkforty.v1.NoService/Get", "/grpc.health.v1.Health/Nope"] {
        let (outcome, _) = call_web::<HealthCheckResponse>(app.api(), method, &check(), &[]).await;
        let status = outcome.expect_err("there is none");
        assert_eq!((status.code(), &*reason(&status)), (Code::Unimplemented, "UNKNOWN_METHOD"), "{method}");
    }
    let answer = support::get(app.api(), "/no/such/page", &[]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(json(&answer)["error"]["reason"], "NOT_FOUND");
    app.stop().await;
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_keeps_a_sane_one() {
    let app = App::start(Store::Embedded).await;
    let made = app.visit("/health").await;
    assert_eq!(made.header("x-request-id").len(), 36);
    let kept = support::get(app.links(), "/health", &[("x-request-id", "order-66.a_B")]).await;
    assert_eq!(kept.header("x-request-id"), "order-66.a_B");
    let replaced = support::get(app.links(), "/health", &[("x-request-id", "a\" or 1=1")]).await;
    assert_eq!(replaced.header("x-request-id").len(), 36);
    let refused = support::send(app.api(), Method::POST, CHECK, &[], Bytes::new()).await;
    assert_eq!(refused.header("x-request-id").len(), 36);
    app.stop().await;
}

#[tokio::test]
async fn request_ids_tell_the_time_of_the_servers_clock() {
    let app = App::start(Store::Embedded).await;
    app.clock.advance(chrono::Duration::days(3));
    let answer = app.visit("/health").await;
    let id = ids::parse(answer.header("x-request-id")).expect("a UUID");
    assert_eq!(ids::time_of(id), app.clock.now());
    app.stop().await;
}

/// Refused before its message has come, a call must not count against its connection.
#[tokio::test]
async fn a_thousand_refusals_end_no_connection() {
    let app = App::start(Store::Embedded).await;
    let mut client = LinkServiceClient::with_interceptor(app.channel().await, Bearer("lf_wrong".to_owned()));
    for n in 0..1500 {
        let asked = ListLinksRequest { search: "x".repeat(200), ..ListLinksRequest::default() };
        let refused = client.list_links(asked).await.expect_err("wrong credentials");
        assert_eq!(refused.code(), Code::Unauthenticated, "after {n}: {refused:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_method_that_needs_no_credentials_ignores_bad_ones() {
    let app = App::start(Store::Embedded).await;
    let mut client = HealthClient::with_interceptor(app.channel().await, Bearer("long expired".to_owned()));
    client.check(check()).await.expect("health is for everybody");
    app.stop().await;
}

#[tokio::test]
async fn a_message_over_a_mebibyte_is_refused_and_the_connection_lives() {
    let app = App::start(Store::Embedded).await;
    let mut client = HealthClient::new(app.channel().await);
    let large = HealthCheckRequest { service: "x".repeat(1024 * 1024 + 1) };
    let status = client.check(large).await.expect_err("too large");
    assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "INVALID_FIELDS"));
    client.check(check()).await.expect("the next call is answered");
    app.stop().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_the_callers_fault() {
    let app = App::start(Store::Embedded).await;
    let headers = [("content-type", "application/grpc-web+proto")];
    let answer = support::send(app.api(), Method::POST, CHECK, &headers, frame(b"\xff\xff\xff")).await;
    let status = tonic::Status::from_header_map(&answer.headers).expect("a status");
    assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "NOT_GRPC"));
    app.stop().await;
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_back() {
    use tonic_types::StatusExt as _;
    let limits = [("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_MAX", "5")];
    let app = App::start_with(Store::Embedded, &limits).await;
    let mut client = HealthClient::new(app.channel().await);
    for _ in 0..5 {
        client.check(check()).await.expect("within the limit");
    }
    let status = client.check(check()).await.expect_err("over the limit");
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "RATE_LIMITED"));
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a delay");
    assert!(delay.as_secs() >= 1 && delay.as_secs() <= 60, "{delay:?}");
    // A browser is told the same, in a way that its page may read.
    let (outcome, answer) =
        call_web::<HealthCheckResponse>(app.api(), CHECK, &check(), &[("origin", DASHBOARD)]).await;
    assert_eq!(reason(&outcome.expect_err("still over the limit")), "RATE_LIMITED");
    assert_eq!(answer.header("access-control-allow-origin"), DASHBOARD);
    // Health is nobody's share.
    assert_eq!(support::get(app.api(), "/health", &[]).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_made_up_forwarded_address_is_no_fresh_share() {
    let limits = [("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_MAX", "3")];
    for (trusted, passes) in [("", 3), ("127.0.0.0/8", 8)] {
        let settings = [&limits[..], &[("TRUSTED_PROXIES", trusted)]].concat();
        let app = App::start_with(Store::Embedded, &settings).await;
        let mut passed = 0;
        for n in 0..8 {
            let from = format!("198.51.100.{n}");
            let headers = [("x-forwarded-for", from.as_str())];
            let (outcome, _) = call_web::<HealthCheckResponse>(app.api(), CHECK, &check(), &headers).await;
            passed += usize::from(outcome.is_ok());
        }
        assert_eq!(passed, passes, "trusted: {trusted:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let app = App::start(Store::Embedded).await;
    let many: Vec<(String, String)> = (0..100).map(|n| (format!("x-{n}"), "y".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(support::get(app.links(), "/health", &many).await.status, 431);
    let long = format!("/{}", "x".repeat(20_000));
    assert!(matches!(app.visit(&long).await.status.as_u16(), 414 | 431));
    app.stop().await;
}
