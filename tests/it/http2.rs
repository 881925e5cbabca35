//! What tonic's own server would leave open (`reliability.md` 0.4), seen in the frames themselves.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{App, Store};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// Returns the bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Reads frames until one of `kind` comes; `None` when the connection ends first.
pub async fn await_frame(stream: &mut TcpStream, kind: u8) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        if head[3] == kind {
            return Some(payload);
        }
    }
}

/// Opens a connection and begins to speak HTTP/2.
pub async fn connect(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.expect("accepts");
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.expect("writes");
    stream
}

#[tokio::test]
async fn the_limits_are_announced() {
    let app = App::start(Store::Embedded).await;
    let mut stream = connect(app.api()).await;
    let settings = await_frame(&mut stream, SETTINGS).await.expect("settings");
    let of = |id: u16| {
        settings
            .chunks_exact(6)
            .find(|entry| entry[..2] == id.to_be_bytes())
            .map(|entry| u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
    };
    assert_eq!(of(3), Some(100), "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(of(4), Some(256 * 1024), "SETTINGS_INITIAL_WINDOW_SIZE");
    assert_eq!(of(6), Some(8 * 1024), "SETTINGS_MAX_HEADER_LIST_SIZE");
    app.stop().await;
}

/// CVE-2023-44487: streams that are opened and reset at once cost the client nothing.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let app = App::start(Store::Embedded).await;
    let mut stream = connect(app.api()).await;
    // HPACK, all of it from the static table but the authority: POST, http, /, x.
    let head = [0x83, 0x86, 0x84, 0x41, 0x01, b'x'];
    let mut flood = Vec::new();
    for n in 0..2_000 {
        let id = 2 * n + 1;
        flood.extend(frame(HEADERS, 0x4, id, &head));
        flood.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    // The server may hang up before it has read all of it.
    let _ = stream.write_all(&flood).await;
    let goaway = timeout(Duration::from_secs(10), await_frame(&mut stream, GOAWAY)).await.expect("in time");
    if let Some(payload) = goaway {
        let code = u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
        assert_eq!(code, ENHANCE_YOUR_CALM);
    }
    // Others are served as before.
    assert_eq!(app.visit("/health").await.status, 200);
    app.stop().await;
}
