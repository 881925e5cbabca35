//! Connections have an end, whatever the other side does: how many there may be, how much a head may hold, and that nobody keeps a node from
//! stopping by not reading.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    http2::{CONTINUATION, HEADERS, PREFACE, RST_STREAM, SETTINGS, await_frame, frame},
    support::{self, App, Store, eventually},
};

const LONG: Duration = Duration::from_secs(20);
const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
/// HPACK, all of it from the static table but the authority: POST, http, /, x.
const HEAD: [u8; 6] = [0x83, 0x86, 0x84, 0x41, 0x01, b'x'];
const END_HEADERS: u8 = 0x4;

/// Connects, asks, and reads the answer: a connection that stays.
async fn ask(stream: &mut TcpStream) -> bool {
    if stream.write_all(ASK).await.is_err() {
        return false;
    }
    let mut buffer = [0; 1024];
    matches!(timeout(LONG, stream.read(&mut buffer)).await, Ok(Ok(read)) if read > 0)
}

async fn from(address: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((address, 0))).expect("an address of this machine");
    socket.connect(to).await.expect("the kernel accepts")
}

async fn open_connections(app: &App, listener: &str) -> String {
    let metrics = support::get(app.ops(), "/metrics", &[]).await.text();
    let name = format!("linkforty_connections_refused_total{{listener=\"{listener}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("0").to_owned()
}

#[tokio::test]
async fn one_address_holds_a_quarter_of_the_connections_and_no_more() {
    let app = App::start_with(Store::Embedded, &[("MAX_CONNECTIONS", "8")]).await;
    for listener in [app.links(), app.api()] {
        let (mut first, mut second) =
            (from([127, 0, 0, 3], listener).await, from([127, 0, 0, 3], listener).await);
        assert!(ask(&mut first).await && ask(&mut second).await);
        let mut third = from([127, 0, 0, 3], listener).await;
        assert!(!ask(&mut third).await, "a third is not let in");
        let mut other = from([127, 0, 0, 4], listener).await;
        assert!(ask(&mut other).await, "somebody else is");
        drop(first);
        eventually("there is room again", async || ask(&mut from([127, 0, 0, 3], listener).await).await)
            .await;
    }
    assert_ne!(open_connections(&app, "links").await, "0");
    app.stop().await;
}

#[tokio::test]
async fn a_listener_holds_so_many_connections_and_others_wait_for_room() {
    let settings = [("MAX_CONNECTIONS", "4"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
    let app = App::start_with(Store::Embedded, &settings).await;
    let mut inside = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(app.links()).await.expect("accepts");
        assert!(ask(&mut stream).await);
        inside.push(stream);
    }
    let mut outside = TcpStream::connect(app.links()).await.expect("the kernel accepts");
    outside.write_all(ASK).await.expect("the kernel keeps it");
    let mut buffer = [0; 1024];
    let early = timeout(Duration::from_millis(300), outside.read(&mut buffer)).await;
    assert!(early.is_err(), "a fifth is answered: {early:?}");
    // The other listeners have room of their own.
    assert_eq!(support::get(app.api(), "/livez", &[]).await.status, 200);
    inside.pop();
    let read = timeout(LONG, outside.read(&mut buffer)).await.expect("there is room").expect("an answer");
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&buffer[..read]));
    app.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let app = App::start(Store::Embedded).await;
    for head in [
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(40_000)),
        format!("GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "b".repeat(40_000)),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(150)),
    ] {
        for listener in [app.links(), app.api()] {
            let mut stream = TcpStream::connect(listener).await.expect("accepts");
            // It may hang up before it has read all of it.
            let _ = stream.write_all(head.as_bytes()).await;
            let mut buffer = Vec::new();
            let _ = timeout(LONG, stream.read_to_end(&mut buffer)).await.expect("it ends the connection");
            let said = String::from_utf8_lossy(&buffer);
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
        }
    }
    assert_eq!(app.visit("/livez").await.status, 200);
    app.stop().await;
}

async fn h2(to: SocketAddr, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.expect("accepts");
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await.expect("writes");
    stream
}

#[tokio::test]
async fn a_connection_has_a_hundred_streams_at_once_and_no_more() {
    let app = App::start(Store::Embedded).await;
    let mut stream = h2(app.api(), &[]).await;
    // None of them ends: each waits for a message.
    let streams = (0..110).flat_map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &HEAD));
    stream.write_all(&streams.collect::<Vec<u8>>()).await.expect("writes");
    let refused =
        timeout(LONG, await_frame(&mut stream, RST_STREAM)).await.expect("in time").expect("a reset");
    assert_eq!(refused, 7_u32.to_be_bytes(), "REFUSED_STREAM");
    app.stop().await;
}

/// CVE-2024-27316: a head that never ends.
#[tokio::test]
async fn a_head_without_an_end_ends_the_connection() {
    let app = App::start(Store::Embedded).await;
    for listener in [app.links(), app.api()] {
        let mut stream = h2(listener, &[]).await;
        stream.write_all(&frame(HEADERS, 0, 1, &HEAD)).await.expect("writes");
        // A header that is not indexed: its name and its value, 1 KiB each time.
        let header = [&[0x00, 0x01, b'a', 0x7f, 0x81, 0x07][..], &[b'b'; 256]].concat();
        let flood = frame(CONTINUATION, 0, 1, &header);
        let mut sent = 0;
        while timeout(LONG, stream.write_all(&flood)).await.expect("it is read or refused").is_ok() {
            sent += flood.len();
            assert!(sent < 64 << 20, "it reads for ever");
        }
    }
    assert_eq!(app.visit("/livez").await.status, 200);
    app.stop().await;
}

/// Asks until the other side takes no more, because nobody reads its answers.
async fn fill(stream: &mut TcpStream) {
    let questions = ASK.repeat(100);
    while let Ok(written) = timeout(Duration::from_millis(500), stream.write_all(&questions)).await {
        written.expect("the connection stands");
    }
}

#[tokio::test]
async fn who_never_reads_does_not_keep_a_node_from_stopping() {
    let app = App::start_with(Store::Embedded, &[("SHUTDOWN_DEADLINE_SECONDS", "2")]).await;
    let mut readers = Vec::new();
    for listener in [app.links(), app.api()] {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let mut stream = socket.connect(listener).await.expect("accepts");
        fill(&mut stream).await;
        readers.push(stream);
        // No window for a single byte of an answer, and no word of it either.
        let no_window = [&4_u16.to_be_bytes()[..], &0_u32.to_be_bytes()].concat();
        let mut stream = h2(listener, &no_window).await;
        for n in 0..50 {
            // GET, http, /, x.
            let head = [0x82, 0x86, 0x84, 0x41, 0x01, b'x'];
            stream.write_all(&frame(HEADERS, END_HEADERS | 0x1, 2 * n + 1, &head)).await.expect("writes");
        }
        readers.push(stream);
    }
    let begun = Instant::now();
    app.stop().await;
    // Two seconds, one for what is cut, two for background work.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    drop(readers);
}
