//! Somebody else's web server for one test: it answers what the test wrote, at 127.0.0.2, and remembers who asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use super::{App, Store, Zone};

/// Where it listens: the one address of the machine that the operator allows.
const OUTSIDE: &str = "127.0.0.2";

/// What a path answers.
#[derive(Debug, Clone)]
pub enum Says {
    /// These bytes.
    This(Vec<u8>),
    /// The first bytes, and then the others until nobody takes them.
    WithoutEnd(Vec<u8>, Vec<u8>),
    /// Nothing.
    Nothing,
}

#[derive(Debug, Default)]
struct Known {
    says: HashMap<String, Says>,
    heard: Vec<String>,
}

/// The server.
pub struct Stranger {
    /// Its names.
    pub zone: Zone,
    port: u16,
    known: Arc<Mutex<Known>>,
    _task: AbortOnDropHandle<()>,
}

/// Returns an answer.
pub fn respond(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Says {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    Says::This([head.as_bytes(), body].concat())
}

/// Returns a page.
pub fn html(body: impl AsRef<[u8]>) -> Says {
    respond("200 OK", "content-type: text/html; charset=utf-8\r\n", body)
}

/// Returns a redirect.
pub fn moved(to: &str) -> Says {
    respond("302 Found", &format!("location: {to}\r\n"), "moved")
}

impl Stranger {
    /// Opens a server called `shop.test`. `inside.test` and `metadata.test` lead to where nobody may go.
    pub async fn open() -> Self {
        let listener = TcpListener::bind(format!("{OUTSIDE}:0")).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let known = Arc::<Mutex<Known>>::default();
        let knows = known.clone();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(AbortOnDropHandle::new(tokio::spawn(serve(stream, knows.clone()))));
            }
        });
        let zone = Zone::open().await;
        zone.addresses("shop.test", &[OUTSIDE]);
        zone.addresses("inside.test", &["127.0.0.1"]);
        zone.addresses("metadata.test", &["169.254.169.254"]);
        Self { zone, port, known, _task: AbortOnDropHandle::new(task) }
    }

    /// Starts a server of ours that may call this one.
    pub async fn guest(&self, more: &[(&str, &str)]) -> App {
        let (dns, port) = (self.zone.setting(), self.port.to_string());
        let mut settings = vec![
            ("DNS_SERVERS", &*dns),
            ("OUTBOUND_ALLOW_NETWORKS", "127.0.0.2/32"),
            ("OUTBOUND_ALLOW_PORTS", &*port),
        ];
        settings.extend(more);
        App::start_with(Store::Embedded, &settings).await
    }

    /// Says what a path answers from now on.
    pub fn at(&self, path: &str, says: Says) {
        self.known.lock().expect("nobody panicked").says.insert(path.to_owned(), says);
    }

    /// Returns the URL of a path.
    pub fn url(&self, path: &str) -> String {
        self.url_of("shop.test", path)
    }

    /// Returns the URL of a path by another name.
    pub fn url_of(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    /// Returns the requests that came.
    pub fn heard(&self) -> Vec<String> {
        self.known.lock().expect("nobody panicked").heard.clone()
    }
}

/// Reads the head of a request, and returns it and its path; `None`: whoever asked is gone.
pub async fn asked(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Some((head, path))
}

async fn serve(mut stream: TcpStream, known: Arc<Mutex<Known>>) {
    let Some((head, path)) = asked(&mut stream).await else { return };
    // What is left unread would reset the connection, and take the answer along.
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let says = {
        let mut known = known.lock().expect("nobody panicked");
        known.heard.push(head);
        known.says.get(&path).cloned()
    };
    match says.unwrap_or_else(|| respond("404 Not Found", "", "none")) {
        Says::This(bytes) => drop(stream.write_all(&bytes).await),
        Says::WithoutEnd(first, again) => {
            drop(stream.write_all(&first).await);
            while stream.write_all(&again).await.is_ok() {}
        }
        Says::Nothing => std::future::pending().await,
    }
}
