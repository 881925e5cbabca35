//! What is logged and what never is.

use std::{
    io,
    sync::{Arc, Mutex},
};

use linkforty::{
    config::{Log, LogFormat},
    telemetry,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{self, App, Store, call_web};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The runtime of this test has one thread, so that the subscriber of this thread hears the whole server.
#[tokio::test(flavor = "current_thread")]
async fn lines_carry_the_ids_of_their_request_and_no_secret() {
    let kept = Kept::default();
    let log = Log { level: "trace".to_owned(), format: LogFormat::Json };
    let hearing = tracing::subscriber::set_default(telemetry::subscriber(&log, true, kept.clone()));

    let app = App::start(Store::Embedded).await;
    let headers = [
        ("authorization", "Bearer kjh3HKJ2hkj3hKJHkj3h2kjhKJHk"),
        ("x-request-id", "find-me-7"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let method = "/linkforty.v1.AuthService/GetMe";
    let message = linkforty::pb::v1::GetMeRequest {};
    let (outcome, _) =
        call_web::<linkforty::pb::v1::GetMeResponse>(app.api(), method, &message, &headers).await;
    outcome.expect_err("no such credentials");
    support::get(app.links(), "/health", &headers).await;
    app.stop().await;
    drop(hearing);

    let bytes = kept.0.lock().expect("nobody panicked").clone();
    let text = String::from_utf8(bytes).expect("text");
    for secret in [
        "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO",
        "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa",
        "kjh3HKJ2hkj3hKJHkj3h2kjhKJHk",
    ] {
        assert!(!text.contains(secret), "a secret is in the log");
    }
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let ours: Vec<_> = lines.iter().filter(|line| line["span"]["request_id"] == "find-me-7").collect();
    assert!(!ours.is_empty(), "{text}");
    for line in ours {
        assert_eq!(line["span"]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
        assert_eq!(line["span"]["parent_id"], "00f067aa0ba902b7");
        assert_eq!(line["span"]["span_id"].as_str().map(str::len), Some(16));
    }
}
