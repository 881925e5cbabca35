//! Somebody who is told things by webhooks, for one test: a real server at 127.0.0.2 that answers as its mood is, and keeps what it got.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use super::{App, Store, app::eventually};

/// Where it listens: the one address of the machine that the operator allows.
pub const OUTSIDE: &str = "127.0.0.2";

/// How it answers.
#[derive(Debug, Clone)]
pub enum Mood {
    /// With a status, headers (each line ends in CR and LF) and a body.
    Says(u16, String, Vec<u8>),
    /// Not at all, and keeps the connection open.
    Hangs,
    /// These bytes, and then the others until nobody takes them, with a pause after each.
    WithoutEnd(Vec<u8>, Vec<u8>, Duration),
    /// These bytes, and then it is gone, with a reset.
    Resets(Vec<u8>),
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Heard {
    /// Returns a header, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

#[derive(Debug)]
struct Known {
    heard: Vec<Heard>,
    moods: HashMap<String, Mood>,
    /// What comes before the mood.
    next: VecDeque<Mood>,
}

#[derive(Debug)]
struct Shared {
    known: Mutex<Known>,
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// The server.
pub struct Receiver {
    /// Its port.
    pub port: u16,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

impl Mood {
    /// A status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Says(status, String::new(), Vec::new())
    }

    /// A status and a header.
    pub fn with_header(status: u16, name: &str, value: &str) -> Self {
        Self::Says(status, format!("{name}: {value}\r\n"), Vec::new())
    }

    /// What nobody's own receiver would do, each with its name.
    pub fn hostile() -> [(&'static str, Self); 11] {
        let endless =
            |first: &str, again: Vec<u8>| Self::WithoutEnd(first.as_bytes().to_vec(), again, Duration::ZERO);
        let drips = |first: &str| {
            Self::WithoutEnd(first.as_bytes().to_vec(), b"a".to_vec(), Duration::from_millis(50))
        };
        let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1024 * 1024));
        let short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc";
        let early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        let packed = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n";
        let metadata = "http://169.254.169.254/latest/meta-data/";
        [
            ("hangs", Self::Hangs),
            ("drips its headers", drips("HTTP/1.1 200 OK\r\nx: ")),
            ("drips its body", drips("HTTP/1.1 200 OK\r\n\r\n")),
            ("never ends", endless("HTTP/1.1 200 OK\r\n\r\n", vec![b'a'; 65536])),
            ("sends huge headers", Self::Resets(huge.into_bytes())),
            ("floods with interim answers", endless("", early.repeat(1000))),
            ("sends what unpacks to more than it is", endless(packed, vec![0; 65536])),
            ("resets in its body", Self::Resets(short.to_vec())),
            ("resets", Self::Resets(Vec::new())),
            ("sends us to the metadata address", Self::with_header(302, "location", metadata)),
            ("sends us to itself", Self::with_header(307, "location", "/other")),
        ]
    }
}

impl Receiver {
    /// Opens one that answers 200.
    pub async fn open() -> Self {
        Self::open_at(&format!("{OUTSIDE}:0")).await
    }

    /// Opens one at an address of its own.
    pub async fn open_at(at: &str) -> Self {
        let listener = TcpListener::bind(at).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let known = Known { heard: Vec::new(), moods: HashMap::new(), next: VecDeque::new() };
        let shared = Arc::new(Shared {
            known: Mutex::new(known),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
        });
        let shares = shared.clone();
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shares.connections.fetch_add(1, Ordering::SeqCst);
                let open = shares.open.fetch_add(1, Ordering::SeqCst) + 1;
                shares.most_open.fetch_max(open, Ordering::SeqCst);
                let shares = shares.clone();
                tasks.spawn(async move {
                    serve(stream, &shares).await;
                    shares.open.fetch_sub(1, Ordering::SeqCst);
                });
                while tasks.try_join_next().is_some() {}
            }
        });
        Self { port, shared, _task: AbortOnDropHandle::new(task) }
    }

    /// Starts a server of ours that may call this one.
    pub async fn guest(&self, store: Store, more: &[(&str, &str)]) -> App {
        guest_of(&[self], store, more).await
    }

    /// Returns the URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{OUTSIDE}:{}{path}", self.port)
    }

    /// Says how every path answers from now on that has no mood of its own.
    pub fn is(&self, mood: Mood) {
        self.at("", mood);
    }

    /// Says how a path answers from now on.
    pub fn at(&self, path: &str, mood: Mood) {
        self.known().moods.insert(path.to_owned(), mood);
    }

    /// Says how the next request is answered, whatever its path.
    pub fn once(&self, mood: Mood) {
        self.known().next.push_back(mood);
    }

    /// Returns what came so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.known().heard.clone()
    }

    /// Returns how many requests came so far.
    pub fn count(&self) -> usize {
        self.known().heard.len()
    }

    /// Returns how many connections were made so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Returns how many connections were open at once at the most.
    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }

    /// Waits until so many requests came, and returns them.
    pub async fn hears(&self, count: usize) -> Vec<Heard> {
        eventually(&format!("{count} requests come"), async || self.count() >= count).await;
        self.heard()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.shared.known.lock().expect("nobody panicked")
    }
}

/// Starts a server of ours that may call these.
pub async fn guest_of(receivers: &[&Receiver], store: Store, more: &[(&str, &str)]) -> App {
    let ports: Vec<String> = receivers.iter().map(|receiver| receiver.port.to_string()).collect();
    let ports = ports.join(",");
    let mut settings = vec![("OUTBOUND_ALLOW_NETWORKS", "127.0.0.2/32"), ("OUTBOUND_ALLOW_PORTS", &*ports)];
    settings.extend(more);
    App::start_with(store, &settings).await
}

async fn serve(stream: TcpStream, shared: &Shared) {
    let mut stream = BufStream::new(stream);
    let Some(heard) = read(&mut stream).await else { return };
    let path = heard.path.split('?').next().unwrap_or_default().to_owned();
    let mood = {
        let mut known = shared.known.lock().expect("nobody panicked");
        known.heard.push(heard);
        let own = known.next.pop_front();
        own.or_else(|| known.moods.get(&path).or_else(|| known.moods.get("")).cloned())
    };
    match mood.unwrap_or_else(|| Mood::status(200)) {
        Mood::Says(status, headers, body) => say(&mut stream, status, &headers, &body).await,
        Mood::Hangs => std::future::pending().await,
        Mood::WithoutEnd(first, again, pause) => {
            let mut left = stream.write_all(&first).await.is_ok() && stream.flush().await.is_ok();
            while left {
                left = stream.write_all(&again).await.is_ok() && stream.flush().await.is_ok();
                tokio::time::sleep(pause).await;
            }
        }
        Mood::Resets(first) => {
            drop(stream.write_all(&first).await);
            drop(stream.flush().await);
            let stream = stream.into_inner();
            let socket = socket2::SockRef::from(&stream);
            socket.set_linger(Some(Duration::ZERO)).expect("an option that every socket has");
        }
    }
}

async fn say(stream: &mut BufStream<TcpStream>, status: u16, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\n\r\n", body.len());
    // Who called may have hung up.
    drop(stream.write_all(&[head.as_bytes(), body].concat()).await);
    drop(stream.flush().await);
    drop(stream.shutdown().await);
}

/// Reads a request; `None`: whoever called is gone.
async fn read(stream: &mut BufStream<TcpStream>) -> Option<Heard> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(http::HeaderName::from_bytes(name.as_bytes()).ok()?, value.parse().ok()?);
    }
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Heard { method, path, headers, body })
}
