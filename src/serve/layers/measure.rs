//! Counts requests and how long they take.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use metrics::{Counter, Gauge};
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::durations::Durations;
use crate::pb;

pub(super) const REQUESTS: &str = "linkforty_requests_total";
const DURATION: &str = "linkforty_request_duration_seconds";
/// Of redirects. Like the recorder it belongs to the process.
static REDIRECTS: Durations = Durations::new();
const IN_FLIGHT: &str = "linkforty_requests_in_flight";

/// Every method of the contract. Only these become labels: a label made of what clients send would never stop growing.
#[derive(Debug)]
pub(in crate::serve) struct Methods(HashSet<String>);

impl Methods {
    /// Reads them from the descriptors.
    pub(in crate::serve) fn of_the_contract() -> Self {
        let files = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap_or_default().file;
        let mut methods: HashSet<String> =
            ["Check", "Watch"].iter().map(|name| format!("/grpc.health.v1.Health/{name}")).collect();
        for file in &files {
            for service in &file.service {
                let names = service.method.iter().map(prost_types::MethodDescriptorProto::name);
                methods.extend(names.map(|name| format!("/{}.{}/{name}", file.package(), service.name())));
            }
        }
        Self(methods)
    }

    fn label(&self, request: &Request) -> String {
        let path = request.uri().path();
        if self.0.contains(path) {
            return path.trim_start_matches('/').to_owned();
        }
        match request.extensions().get::<MatchedPath>() {
            Some(path) if !path.as_str().contains("{*") => path.as_str().to_owned(),
            _ => "other".to_owned(),
        }
    }
}

/// Counts for one listener.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    listener: &'static str,
    methods: Arc<Methods>,
    in_flight: Gauge,
}

impl Meter {
    pub(super) fn new(listener: &'static str, methods: &Arc<Methods>) -> Self {
        let in_flight = metrics::gauge!(IN_FLIGHT, "listener" => listener);
        Self { listener, methods: methods.clone(), in_flight }
    }
}

/// Goes down again however the request ends.
struct Flight<'a>(&'a Gauge);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Counts a request and says in the log how it ended.
pub(super) async fn measure(State(meter): State<Meter>, request: Request, next: Next) -> Response {
    let method = meter.methods.label(&request);
    meter.in_flight.increment(1.0);
    let _flight = Flight(&meter.in_flight);
    let begun = Instant::now();
    let response = next.run(request).await;
    let took = begun.elapsed();
    let code = code(&response);
    tracing::debug!(code, duration_ms = took.as_millis() as u64, "answered");
    let (listener, timed) = (meter.listener, method.clone());
    metrics::counter!(REQUESTS, "listener" => listener, "method" => method, "code" => code).increment(1);
    metrics::histogram!(DURATION, "listener" => listener, "method" => timed).record(took);
    response
}

/// Returns the gRPC code of an answer, or its HTTP status. A gRPC answer whose headers name no status goes well, as far as
/// its beginning shows.
fn code(response: &Response) -> &'static str {
    let headers = response.headers();
    let is_grpc = headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if let Some(status) = headers.get("grpc-status") {
        return GRPC.iter().find(|(code, _)| *code == status.as_bytes()).map_or("UNKNOWN", |(_, name)| name);
    }
    if is_grpc { "OK" } else { http_code(response.status().as_u16()) }
}

const GRPC: [(&[u8], &str); 17] = [
    (b"0", "OK"),
    (b"1", "CANCELLED"),
    (b"2", "UNKNOWN"),
    (b"3", "INVALID_ARGUMENT"),
    (b"4", "DEADLINE_EXCEEDED"),
    (b"5", "NOT_FOUND"),
    (b"6", "ALREADY_EXISTS"),
    (b"7", "PERMISSION_DENIED"),
    (b"8", "RESOURCE_EXHAUSTED"),
    (b"9", "FAILED_PRECONDITION"),
    (b"10", "ABORTED"),
    (b"11", "OUT_OF_RANGE"),
    (b"12", "UNIMPLEMENTED"),
    (b"13", "INTERNAL"),
    (b"14", "UNAVAILABLE"),
    (b"15", "DATA_LOSS"),
    (b"16", "UNAUTHENTICATED"),
];

/// The HTTP codes that are told apart; the rest share one label for each hundred.
const HTTP: [(u16, &str); 16] = [
    (200, "200"),
    (204, "204"),
    (301, "301"),
    (302, "302"),
    (303, "303"),
    (307, "307"),
    (308, "308"),
    (400, "400"),
    (404, "404"),
    (405, "405"),
    (410, "410"),
    (415, "415"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
    (504, "504"),
];

fn http_code(status: u16) -> &'static str {
    HTTP.iter().find(|(code, _)| *code == status).map_or_else(
        || match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        },
        |(_, name)| name,
    )
}

/// Counts redirects, with every handle made beforehand: this is the path that must cost nothing.
#[derive(Clone)]
pub(in crate::serve) struct Redirected {
    codes: Arc<[(u16, Counter)]>,
    others: Counter,
}

impl Redirected {
    pub(in crate::serve) fn new() -> Self {
        let counter = |code: &'static str| metrics::counter!(REQUESTS, "listener" => "links", "method" => "redirect", "code" => code);
        Self {
            codes: HTTP.iter().map(|(code, name)| (*code, counter(name))).collect(),
            others: counter("other"),
        }
    }

    pub(in crate::serve) fn count(&self, status: u16, took: Duration) {
        let counter = self.codes.iter().find(|(code, _)| *code == status);
        counter.map_or(&self.others, |(_, counter)| counter).increment(1);
        REDIRECTS.record(took);
    }
}

/// Adds to a page of metrics how long redirects took.
pub(in crate::serve) fn add_redirects(page: &mut String) {
    REDIRECTS.add_to(page, DURATION, r#"listener="links",method="redirect""#);
}
