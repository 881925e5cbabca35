//! Redis servers that tests start, stop and kill.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::Redis;
use crate::config;

/// A redis-server of the test's own, on a free port. It dies with this.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
    dir: TempDir,
}

impl Server {
    /// Starts a server; `None`, said aloud, on a machine that has no redis-server.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with further arguments.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let mut server = Self::absent()?;
        server.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        server.launch();
        Some(server)
    }

    /// Finds a port where no server is yet.
    pub fn absent() -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("this machine has no redis-server: nothing was tested");
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        let dir = tempfile::tempdir().expect("a directory");
        Some(Self { port, arguments: Vec::new(), child: None, dir })
    }

    /// Starts it, again if need be, empty, and waits until it answers.
    pub fn launch(&mut self) {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .args(["--port", &self.port.to_string(), "--dir"])
            .arg(self.dir.path())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        self.child = Some(child);
        self.wait();
    }

    /// Starts it as a Sentinel with the given settings.
    pub fn launch_sentinel(&mut self, settings: &str) {
        let file = self.dir.path().join("sentinel.conf");
        std::fs::write(&file, settings).expect("writable");
        self.arguments = Vec::new();
        let child = Command::new("redis-server")
            .arg(file)
            .args(["--sentinel", "--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        self.child = Some(child);
        self.wait();
    }

    /// Starts it as a node of a cluster that is still to be made.
    pub fn launch_clustered(&mut self) {
        self.arguments = ["--cluster-enabled", "yes"].map(str::to_owned).to_vec();
        self.launch();
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.answers() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = [0; 1];
        stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut answer).is_ok()
    }

    /// Kills it without a warning.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ended");
        }
    }

    /// Makes it hang: connections stay, connecting works, nothing is answered.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// Ends the hang.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    /// Calls it as an operator would.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
        String::from_utf8(output.expect("redis-cli runs").stdout).expect("text").trim().to_owned()
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns settings for `url`.
pub fn settings(url: &str) -> config::Redis {
    // Longer than in production: the machine that tests run on is busy.
    config::Redis {
        url: SecretString::from(url),
        prefix: "linkforty".into(),
        timeout: Duration::from_millis(100),
    }
}

/// Returns a client that is connected.
pub async fn client(server: &Server) -> Redis {
    let redis = Redis::connect(&settings(&server.url()), &Handle::current()).await.expect("a valid URL");
    connected(&redis).await;
    redis
}

/// Waits until it answers on all connections.
pub async fn connected(redis: &Redis) {
    for _ in 0..1_000 {
        if redis.ping().await.up {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("Redis does not answer");
}
