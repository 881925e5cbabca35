//! Calls as browsers make them: grpc-web over HTTP/1.1.

use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use prost::Message;
use tonic::Status;

use super::plain::{self, Answer};

/// Puts a message into the frame that gRPC sends it in.
pub fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a small message"));
    frame.put_slice(message);
    frame.freeze()
}

/// Calls a method; what came back over HTTP is returned too.
pub async fn call_web<A: Message + Default>(
    to: SocketAddr,
    method: &str,
    message: &impl Message,
    headers: &[(&str, &str)],
) -> (Result<A, Status>, Answer) {
    let mut all = vec![("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")];
    all.extend_from_slice(headers);
    let body = frame(&message.encode_to_vec());
    let answer = plain::send(to, Method::POST, method, &all, body).await;
    (read(&answer), answer)
}

fn read<A: Message + Default>(answer: &Answer) -> Result<A, Status> {
    // Trailers only: the status stands among the headers.
    let mut trailers = answer.headers.clone();
    let mut message = None;
    let mut rest = &answer.body[..];
    while let [kind, a, b, c, d, after @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (content, next) = after.split_at(length);
        if kind & 0x80 == 0 {
            message = Some(A::decode(content).expect("a message"));
        } else {
            trailers = parse(content);
        }
        rest = next;
    }
    match Status::from_header_map(&trailers) {
        Some(status) if status.code() == tonic::Code::Ok => Ok(message.expect("OK comes with a message")),
        Some(status) => Err(status),
        None => panic!("no status at all: {answer:?}"),
    }
}

fn parse(trailers: &[u8]) -> HeaderMap {
    let text = String::from_utf8_lossy(trailers);
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value.trim()).expect("a value"))
        })
        .collect()
}
