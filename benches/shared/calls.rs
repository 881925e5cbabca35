//! Calls of gRPC methods at next to no cost: HTTP/2 (RFC 9113) as it goes over the wire, a few microseconds a call.
//!
//! Who offers ten times as much as a server can answer has to be ten times as quick as it, and shares the machine with it. So requests are
//! written beforehand, and of an answer no more is read than what became of the call. Headers are sent once and then referred to, as every
//! client does. The server is asked not to (`SETTINGS_HEADER_TABLE_SIZE` 0), so that each block of its headers stands for itself.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{MissedTickBehavior, interval, timeout},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const FRAME_HEAD: usize = 9;
/// All that may be sent to us before we say that we have read something: more than a run.
const WINDOW: u32 = (1 << 31) - 1;
const FIRST_WINDOW: u32 = 65_535;
/// As many calls as the server lets a connection have under way.
const MOST_UNDER_WAY: usize = 100;
/// How often it is looked whether a call is due.
const TICK: Duration = Duration::from_millis(2);
/// How long an answer is waited for after the last call.
const PATIENCE: Duration = Duration::from_secs(15);
/// `grpc-status: 0` and `grpc-status: 14` (UNAVAILABLE), as HPACK writes names and values that are in no table (RFC 7541, 5.2, appendix B).
const OK: &[u8] = b"\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x81\x07";
const UNAVAILABLE: &[u8] = b"\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x82\x0b\x5f";

/// A request, written beforehand.
#[derive(Clone)]
pub struct Call {
    headers: Vec<Header>,
    body: Vec<u8>,
}

/// A header, by the bytes that HPACK begins one with that is to be remembered (RFC 7541, 6.2.1).
#[derive(Clone, PartialEq, Eq)]
struct Header {
    name: &'static [u8],
    value: String,
}

/// Those two are in the static table whole: POST, http.
const METHOD_AND_SCHEME: [u8; 2] = [0x83, 0x86];
/// Names by their places in the static table (RFC 7541, appendix A).
const PATH: &[u8] = &[0x40 | 4];
const AUTHORITY: &[u8] = &[0x40 | 1];
const CONTENT_TYPE: &[u8] = &[0x40 | 31];
const AUTHORIZATION: &[u8] = &[0x40 | 23];
const TE: &[u8] = b"\x40\x02te";
/// How many entries the static table has.
const STATIC: u8 = 61;

impl Call {
    /// Returns a call of a method with a message by the bearer of a key.
    pub fn new(api: &str, path: &str, key: &str, message: &impl prost::Message) -> Self {
        let headers = [
            (PATH, path),
            (AUTHORITY, api),
            (CONTENT_TYPE, "application/grpc"),
            (AUTHORIZATION, key),
            (TE, "trailers"),
        ];
        let headers = headers.map(|(name, value)| Header { name, value: value.to_owned() }).to_vec();
        let message = message.encode_to_vec();
        let mut body = vec![0];
        body.extend_from_slice(&(message.len() as u32).to_be_bytes());
        body.extend_from_slice(&message);
        Self { headers, body }
    }
}

/// When calls are made.
#[derive(Clone, Copy)]
pub enum Pace {
    /// So many a second, whatever becomes of them.
    Rate(f64),
    /// As often as answers come, so many at once.
    AtOnce(usize),
}

/// What became of calls, in microseconds.
#[derive(Default)]
pub struct Seen {
    pub answered: Vec<u64>,
    pub refused: Vec<u64>,
    pub failed: u64,
    /// What was due while the connection had as many under way as it may.
    pub unsent: u64,
}

impl Seen {
    pub fn and(mut self, other: Self) -> Self {
        self.answered.extend(other.answered);
        self.refused.extend(other.refused);
        self.failed += other.failed;
        self.unsent += other.unsent;
        self
    }
}

/// One connection.
pub struct Line {
    stream: TcpStream,
    next: u32,
    /// What the server has in its table of headers, the oldest first.
    known: Vec<Header>,
    /// By stream: since when the call counts, and whether its headers have come.
    under_way: HashMap<u32, (Instant, bool)>,
    written: Vec<u8>,
    read: Vec<u8>,
}

impl Line {
    /// Opens a connection.
    pub async fn open(api: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(api).await?;
        stream.set_nodelay(true)?;
        let mut line = Self {
            stream,
            next: 1,
            known: Vec::new(),
            under_way: HashMap::new(),
            written: PREFACE.to_vec(),
            read: Vec::with_capacity(1 << 16),
        };
        let mut settings = Vec::new();
        for (setting, value) in [(1_u16, 0), (4, WINDOW)] {
            settings.extend_from_slice(&setting.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        line.frame(SETTINGS, 0, 0, &settings);
        line.frame(WINDOW_UPDATE, 0, 0, &(WINDOW - FIRST_WINDOW).to_be_bytes());
        line.send().await?;
        Ok(line)
    }

    /// Makes calls until `until`, one after the other of `calls`, beginning with the one in `first`th place, and awaits what becomes of them.
    pub async fn call(
        &mut self,
        calls: &[Call],
        first: usize,
        pace: Pace,
        (begun, until): (Instant, Instant),
    ) -> io::Result<Seen> {
        let (mut seen, mut number) = (Seen::default(), 0_u64);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            loop {
                let now = Instant::now();
                let due = match pace {
                    Pace::Rate(rate) => begun + Duration::from_secs_f64(number as f64 / rate),
                    Pace::AtOnce(most) if self.under_way.len() < most => now,
                    Pace::AtOnce(_) => break,
                };
                if due > now || due >= until {
                    break;
                }
                number += 1;
                if self.under_way.len() >= MOST_UNDER_WAY {
                    seen.unsent += 1;
                } else {
                    self.begin(&calls[(first + number as usize) % calls.len()], due);
                }
            }
            self.send().await?;
            let over = Instant::now() >= until;
            if over && self.under_way.is_empty() {
                return Ok(seen);
            }
            tokio::select! {
                read = self.stream.read_buf(&mut self.read) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.take(&mut seen)?;
                }
                _ = ticks.tick(), if !over => {}
                () = tokio::time::sleep(PATIENCE), if over => {
                    seen.failed += self.under_way.len() as u64;
                    self.under_way.clear();
                }
            }
        }
    }

    fn begin(&mut self, call: &Call, due: Instant) {
        let stream = self.next;
        self.next += 2;
        let headers = self.compress(&call.headers);
        self.frame(HEADERS, END_HEADERS, stream, &headers);
        self.frame(DATA, END_STREAM, stream, &call.body);
        self.under_way.insert(stream, (due, false));
    }

    /// Writes what the server knows as its place in the table (RFC 7541, 6.1), and the rest to be remembered.
    fn compress(&mut self, headers: &[Header]) -> Vec<u8> {
        let mut block = METHOD_AND_SCHEME.to_vec();
        for header in headers {
            if let Some(place) = self.known.iter().rev().position(|known| known == header) {
                block.push(0x80 | (STATIC + 1 + place as u8));
                continue;
            }
            assert!(header.value.len() < 127, "a length of one byte");
            block.extend_from_slice(header.name);
            block.push(header.value.len() as u8);
            block.extend_from_slice(header.value.as_bytes());
            self.known.push(header.clone());
        }
        block
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.written.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        self.written.extend_from_slice(&[kind, flags]);
        self.written.extend_from_slice(&stream.to_be_bytes());
        self.written.extend_from_slice(payload);
    }

    async fn send(&mut self) -> io::Result<()> {
        if !self.written.is_empty() {
            let sent = timeout(PATIENCE, self.stream.write_all(&self.written)).await;
            sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            self.written.clear();
        }
        Ok(())
    }

    /// Reads the frames that are there whole.
    fn take(&mut self, seen: &mut Seen) -> io::Result<()> {
        let read = std::mem::take(&mut self.read);
        let mut rest = &read[..];
        while let Some((head, after)) = rest.split_at_checked(FRAME_HEAD) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some((payload, after)) = after.split_at_checked(length) else { break };
            rest = after;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            self.note(head[3], head[4], stream, payload, seen)?;
        }
        self.read = rest.to_vec();
        self.read.reserve(1 << 16);
        Ok(())
    }

    fn note(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8], seen: &mut Seen) -> io::Result<()> {
        match kind {
            SETTINGS | PING if flags & ACK == 0 => {
                let answer = if kind == PING { payload } else { &[] };
                self.frame(kind, ACK, 0, answer);
            }
            GOAWAY => return Err(io::Error::other(format!("the server hangs up: {payload:?}"))),
            RST_STREAM => seen.failed += u64::from(self.under_way.remove(&stream).is_some()),
            HEADERS if flags & END_STREAM == 0 => {
                if let Some((_, begun)) = self.under_way.get_mut(&stream) {
                    *begun = true;
                }
            }
            HEADERS => {
                let Some((due, begun)) = self.under_way.remove(&stream) else { return Ok(()) };
                let micros = due.elapsed().as_micros() as u64;
                if begun && has(payload, OK) {
                    seen.answered.push(micros);
                } else if !begun && has(payload, UNAVAILABLE) {
                    seen.refused.push(micros);
                } else {
                    if seen.failed == 0 {
                        eprintln!("overload: the first failure: {}", String::from_utf8_lossy(payload));
                    }
                    seen.failed += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn has(block: &[u8], header: &[u8]) -> bool {
    block.windows(header.len()).any(|window| window == header)
}
