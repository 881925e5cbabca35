//! Nodes behind a proxy are restarted one after the other, as for a new version.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use tempfile::TempDir;

use super::support::{Ledger, Load, Node, dies_with_us, free_port, on_production, signal, variable, within};

/// An nginx in front of two nodes. Stopped when dropped.
struct Proxy {
    at: SocketAddr,
    child: Child,
    _home: TempDir,
}

impl Proxy {
    /// Starts it; `None` when the environment does not say where the program is.
    fn before(nodes: [SocketAddr; 2]) -> Option<Self> {
        let Some(program) = variable("LINKFORTY_TEST_NGINX").map(PathBuf::from) else {
            let must = variable("LINKFORTY_TEST_REQUIRE_STORES").as_deref() == Some("1");
            assert!(!must, "LINKFORTY_TEST_NGINX is not set: use tests/services.sh");
            eprintln!("SKIPPED: LINKFORTY_TEST_NGINX is not set");
            return None;
        };
        let home = tempfile::tempdir().expect("a temporary directory");
        let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = home.path().join("nginx.conf");
        fs::write(&file, settings(home.path(), at, nodes)).expect("writes");
        let mut command = dies_with_us(program.to_str().expect("text"), "TERM");
        let command = command.arg("-p").arg(home.path()).arg("-c").arg(&file);
        let child = command.spawn().expect("nginx starts");
        Some(Self { at, child, _home: home })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        signal("TERM", self.child.id());
        let _ = self.child.wait();
    }
}

/// What an operator would write: who does not answer, or closes, is passed over; connections are kept. Without `max_fails=0` nginx
/// leaves a node alone for a while after it came back, and has nobody left when the other one goes.
fn settings(home: &Path, at: SocketAddr, [first, second]: [SocketAddr; 2]) -> String {
    let home = home.display();
    format!(
        "daemon off; user root; worker_processes 1; pid {home}/pid; error_log {home}/error.log;
        events {{ worker_connections 512; }}
        http {{
            access_log off;
            client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
            upstream nodes {{
                server {first} max_fails=0;
                server {second} max_fails=0;
                keepalive 16;
            }}
            server {{
                listen {at};
                location / {{
                    proxy_pass http://nodes;
                    proxy_http_version 1.1;
                    proxy_set_header Connection \"\";
                    proxy_set_header Host $host;
                    proxy_connect_timeout 1s;
                    proxy_next_upstream error timeout;
                }}
            }}
        }}"
    )
}

async fn restart(node: &mut Node) {
    node.terminate();
    let status = node.wait(Duration::from_secs(30)).await;
    assert!(status.success(), "it ended with {status}");
    node.start().await;
}

#[tokio::test]
async fn two_nodes_behind_a_proxy_are_restarted_in_turn_without_one_failed_request() {
    on_production(&[], async |world| {
        world.forget_clicks().await;
        let mut other = world.another_node(&[]).await;
        let Some(proxy) = Proxy::before([world.node.links, other.links]) else { return };
        let codes: Vec<String> = world.links.iter().map(|link| link.short_code.clone()).collect();
        within(Duration::from_secs(10), "nginx listens", async || {
            tokio::net::TcpStream::connect(proxy.at).await.is_ok()
        })
        .await;
        let ledger = Ledger::open(proxy.at, &codes, Load::STEADY);
        within(Duration::from_secs(10), "visits are answered", async || ledger.answered() > 100).await;
        for _ in 0..2 {
            for node in [&mut world.node, &mut other] {
                let before = ledger.answered();
                restart(node).await;
                within(Duration::from_secs(10), "visits go on", async || ledger.answered() > before + 200)
                    .await;
            }
        }
        let book = ledger.close().await;
        eprintln!("{book}");
        book.assert_all_redirected();
        other.drained().await;
        world.assert_balanced(&book).await;
    })
    .await;
}
