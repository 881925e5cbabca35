//! What floods a server in frames and bytes that no client would send, and how others fare meanwhile. Each flood is against a server of its
//! own, run as a program: what its memory comes to is seen from outside.
//!
//! Everybody else's requests must be answered during all of it. How long they take is printed and judged by nobody: the machine that
//! floods is the one that answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::tell;
use crate::{
    faults::support::{ALONE, Node},
    http2::{
        CONTINUATION, DATA, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM,
        SETTINGS, WINDOW_UPDATE, await_frame, connect, frame,
    },
    support::{frame as message, get, send_h2},
};

/// By how much a flood may swell the server. An address may hold a quarter of the connections, and each may hold some buffers.
const SWELL: u64 = 96 << 20;
/// HPACK, all of it from the static table but the authority: POST, http, /, x.
const HEAD: [u8; 6] = [0x83, 0x86, 0x84, 0x41, 0x01, b'x'];
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// Floods a server, and has somebody else ask it all the while. Returns what the flood returns.
async fn under<T>(name: &str, flood: impl AsyncFn(SocketAddr, SocketAddr) -> T) -> T {
    let _alone = ALONE.lock().await;
    let mut node = Node::new([]);
    node.run(&["user", "bootstrap"]);
    node.start().await;
    let (links, api) = (node.links, node.api);
    let before = node.peak_memory();
    let over = Arc::new(AtomicBool::new(false));
    let ended = over.clone();
    let others = tokio::spawn(async move {
        let mut waits = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let page = timeout(Duration::from_secs(30), get(links, "/health", &[])).await;
            assert_eq!(page.expect("others are answered").status, 200);
            let called = timeout(Duration::from_secs(30), health(api)).await;
            assert_eq!(called.expect("others are answered"), 200);
            waits.push(asked.elapsed() / 2);
            sleep(Duration::from_millis(5)).await;
        }
        waits
    });
    let outcome = flood(links, api).await;
    over.store(true, Ordering::Relaxed);
    let mut waits = others.await.expect("others are answered");
    waits.sort_unstable();
    let p99 = waits.get((waits.len() * 99 / 100).min(waits.len().saturating_sub(1)));
    let swelled = node.peak_memory().saturating_sub(before);
    tell(&format!(
        "{name}: {} requests of others, p99 {p99:?}; {} KiB more memory",
        2 * waits.len(),
        swelled >> 10
    ));
    assert!(!waits.is_empty(), "{name}: nobody else asked");
    assert!(swelled < SWELL, "{name}: {swelled} bytes more");
    outcome
}

async fn health(api: SocketAddr) -> u16 {
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    send_h2(api, "/grpc.health.v1.Health/Check", &headers, message(b"")).await.status.as_u16()
}

/// Sends it over and over until the server has had enough, or has read all of it. Returns the code of its GOAWAY.
async fn pour(to: SocketAddr, begin: &[u8], drop_of_it: &[u8], times: usize) -> Option<u32> {
    let (mut reader, mut writer) = connect(to).await.into_split();
    let many = drop_of_it.repeat(200);
    let begin = begin.to_vec();
    let pouring = tokio::spawn(async move {
        let _ = writer.write_all(&begin).await;
        for _ in 0..times.div_ceil(200) {
            if writer.write_all(&many).await.is_err() {
                break;
            }
        }
        writer
    });
    let mut heard = Vec::new();
    let _ = timeout(Duration::from_secs(60), async {
        let mut buffer = [0; 16 * 1024];
        loop {
            // Silence after all of it was taken: it was borne.
            let length = match timeout(Duration::from_secs(2), reader.read(&mut buffer)).await {
                Err(_) if pouring.is_finished() => break,
                Err(_) => continue,
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(length)) => length,
            };
            // A flood of answers is not kept, but its end is.
            heard.extend_from_slice(&buffer[..length]);
            if heard.len() > 1 << 20 {
                heard.drain(..heard.len() - (64 << 10));
            }
            if pouring.is_finished() && goaway(&heard).is_some() {
                break;
            }
        }
    })
    .await;
    pouring.abort();
    goaway(&heard)
}

/// Finds a GOAWAY among the last frames: 8 bytes or more, of stream 0.
fn goaway(heard: &[u8]) -> Option<u32> {
    heard.windows(17).rev().find_map(|bytes| {
        let is_it =
            bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= 8 && bytes[3] == GOAWAY && bytes[4..9] == [0; 5];
        is_it.then(|| u32::from_be_bytes([bytes[13], bytes[14], bytes[15], bytes[16]]))
    })
}

#[tokio::test]
async fn a_rapid_reset_ends_its_own_connection() {
    let code = under("A-03 rapid reset", async |_, api| {
        let mut flood = Vec::new();
        for n in 0..100_000 {
            let id = 2 * n + 1;
            flood.extend(frame(HEADERS, END_HEADERS, id, &HEAD));
            flood.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        }
        pour(api, &flood, &[], 0).await
    })
    .await;
    assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{code:?}");
}

#[tokio::test]
async fn headers_without_an_end_are_cut_off() {
    under("A-04 continuation flood", async |_, api| {
        let begin = frame(HEADERS, 0, 1, &HEAD);
        let more = frame(CONTINUATION, 0, 1, &[0x00, 0x01, b'a', 0x7f, 0x01].repeat(10));
        pour(api, &begin, &more, 200_000).await
    })
    .await;
}

#[tokio::test]
async fn settings_pings_and_priorities_are_nobody_elses_trouble() {
    under("A-05 settings", async |_, api| pour(api, &[], &frame(SETTINGS, 0, 0, &[]), 100_000).await).await;
    under("A-05 pings", async |_, api| pour(api, &[], &frame(PING, 0, 0, &[7; 8]), 100_000).await).await;
    let priority = frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 16]);
    under("A-05 priorities", async |_, api| pour(api, &[], &priority, 100_000).await).await;
}

#[tokio::test]
async fn empty_frames_of_data_are_nobody_elses_trouble() {
    under("A-06 empty data", async |_, api| {
        let begin = frame(HEADERS, END_HEADERS, 1, &HEAD);
        pour(api, &begin, &frame(DATA, 0, 1, &[]), 500_000).await
    })
    .await;
}

/// Who lets nothing through asks for much and reads none of it.
#[tokio::test]
async fn who_never_reads_holds_little() {
    under("A-07 zero windows", async |links, api| {
        let mut held = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(api).await.expect("accepts");
            // SETTINGS_INITIAL_WINDOW_SIZE of 0: no byte of an answer may be sent.
            let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
            let mut asked = [PREFACE, &settings].concat();
            for n in 0..100 {
                asked.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &HEAD));
            }
            stream.write_all(&asked).await.expect("writes");
            held.push(stream);
        }
        // And over HTTP/1.1: asks and never reads.
        for _ in 0..50 {
            let mut stream = TcpStream::connect(links).await.expect("accepts");
            let _ =
                stream.write_all("GET /robots.txt HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500).as_bytes()).await;
            held.push(stream);
        }
        sleep(Duration::from_secs(3)).await;
        drop(held);
    })
    .await;
}

/// HPACK lets a few bytes name a header of kilobytes again and again.
#[tokio::test]
async fn headers_that_unpack_to_more_than_they_may_are_refused() {
    under("A-08 HPACK bomb", async |_, api| {
        // Put one header of 4,000 bytes into the table, then name it 16,000 times in each request.
        let mut first = HEAD.to_vec();
        first.extend([0x40, 0x01, b'a', 0x7f, 0xa1, 0x1e]);
        first.extend([b'b'; 4_000]);
        let mut begin = frame(HEADERS, END_HEADERS | END_STREAM, 1, &first);
        let again = [&HEAD[..], &[0xbe; 16_000]].concat();
        for n in 1..200 {
            begin.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &again));
        }
        pour(api, &begin, &[], 0).await
    })
    .await;
}

#[tokio::test]
async fn a_message_that_unpacks_to_more_than_it_may_is_refused() {
    use std::io::Write as _;
    // 200 MiB of nothing are 200 KiB.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let nothing = vec![0; 1 << 20];
    for _ in 0..200 {
        packed.write_all(&nothing).expect("packs");
    }
    let packed = packed.finish().expect("packs");
    under("A-09 compression bomb", async |_, api| {
        let mut body = vec![1];
        body.extend(u32::try_from(packed.len()).expect("small").to_be_bytes());
        body.extend(&packed);
        for _ in 0..20 {
            let headers =
                [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-encoding", "gzip")];
            let answer =
                send_h2(api, "/linkforty.v1.AuthService/SignIn", &headers, body.clone().into()).await;
            assert!(["8", "11", "3"].contains(&answer.header("grpc-status")), "{answer:?}");
        }
    })
    .await;
}

/// Each sends the beginning of something, a byte at a time or none.
#[tokio::test]
async fn who_never_comes_to_the_point_is_shown_out() {
    under("A-10 slowloris", async |links, api| {
        let mut held = Vec::new();
        for n in 0..500 {
            let mut stream = TcpStream::connect(if n % 2 == 0 { links } else { api }).await.expect("accepts");
            let begin: &[u8] = match n % 5 {
                0 => b"GET /good HTTP/1.1\r\nhost: x\r\nx-",
                1 => b"",
                2 => b"\x16\x03\x01",
                3 => &PREFACE[..10],
                _ => b"POST /good HTTP/1.1\r\nhost: x\r\n",
            };
            let _ = stream.write_all(begin).await;
            held.push(stream);
        }
        let all_out = async {
            for stream in &mut held {
                let mut buffer = [0; 256];
                while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
            }
        };
        timeout(Duration::from_secs(20), all_out).await.expect("all are shown out");
    })
    .await;
}

/// More than one address may hold wait outside; the others do not.
#[tokio::test]
async fn idle_connections_of_one_address_are_few() {
    let _alone = ALONE.lock().await;
    let mut node = Node::new([("MAX_CONNECTIONS".to_owned(), "200".to_owned())]);
    node.run(&["user", "bootstrap"]);
    node.start().await;
    let mut held = Vec::new();
    for _ in 0..300 {
        // Beyond its share it may be shown out before it has said anything.
        let mut stream = TcpStream::connect(node.api).await.expect("accepts");
        let _ = stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        held.push(stream);
    }
    let mut kept = 0;
    for stream in &mut held {
        let answered = timeout(Duration::from_secs(5), await_frame(stream, SETTINGS)).await;
        kept += usize::from(matches!(answered, Ok(Some(_))));
    }
    // A quarter of all there may be.
    assert_eq!(kept, 50);
    assert_eq!(get(node.links, "/health", &[]).await.status, 200);
    drop(held);
}

/// Windows that grow past what a window can be end the connection, and nothing else.
#[tokio::test]
async fn windows_that_cannot_be_end_the_connection() {
    under("A-05 windows", async |_, api| {
        pour(api, &[], &frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()), 10_000).await
    })
    .await;
}
