//! What is logged and what never is.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::support::{self, call_web, eventually};

/// The real program, because a log belongs to a process: in this one, other tests would decide what is heard.
#[tokio::test]
async fn lines_carry_the_ids_of_their_request_and_no_secret() {
    let dir = TempDir::new().expect("a temporary directory");
    let log = dir.path().join("log");
    let [links, api, ops] = free_addresses();
    let mut node = Command::new(env!("CARGO_BIN_EXE_linkforty"))
        .arg("serve")
        .env_clear()
        .env("DATA_DIR", dir.path().join("data"))
        .envs([("LOG_LEVEL", "trace"), ("LOG_FORMAT", "json")])
        .envs(
            [("LINKS_ADDR", links), ("API_ADDR", api), ("OPS_ADDR", ops)]
                .map(|(name, at)| (name, at.to_string())),
        )
        .envs([
            ("JWT_SECRET", "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO"),
            ("SESSION_SECRET", "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa"),
        ])
        .stdout(Stdio::null())
        .stderr(File::create(&log).expect("a new file"))
        .spawn()
        .expect("the program starts");
    eventually("the node listens", async || {
        TcpStream::connect(links).is_ok() && TcpStream::connect(api).is_ok()
    })
    .await;

    let headers = [
        ("authorization", "Bearer kjh3HKJ2hkj3hKJHkj3h2kjhKJHk"),
        ("x-request-id", "find-me-7"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let method = "/linkforty.v1.AuthService/GetMe";
    let message = linkforty::pb::v1::GetMeRequest {};
    let (outcome, _) = call_web::<linkforty::pb::v1::GetMeResponse>(api, method, &message, &headers).await;
    outcome.expect_err("no such credentials");
    support::get(links, "/health", &headers).await;
    node.kill().expect("it runs");
    node.wait().expect("it ended");

    let text = fs::read_to_string(&log).expect("text");
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

/// Returns addresses that nobody listens on, unless somebody is very quick.
fn free_addresses() -> [SocketAddr; 3] {
    let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("it listens"))
}
