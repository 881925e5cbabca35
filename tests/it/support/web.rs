//! Calls as browsers make them: grpc-web over HTTP/1.1.

use std::net::SocketAddr;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prost::Message;
use tokio_util::task::AbortOnDropHandle;
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

/// A stream as a browser reads it: frame by frame, as they come.
pub struct WebStream {
    answer: Response<Incoming>,
    buffer: BytesMut,
    _connection: AbortOnDropHandle<Result<(), hyper::Error>>,
}

impl WebStream {
    /// Calls a method that streams.
    pub async fn open(
        to: SocketAddr,
        method: &str,
        message: &impl Message,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut all = vec![("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")];
        all.extend_from_slice(headers);
        let body = frame(&message.encode_to_vec());
        let (answer, connection) = plain::begin(to, Method::POST, method, &all, body).await;
        assert_eq!(answer.status(), 200);
        Self { answer, buffer: BytesMut::new(), _connection: connection }
    }

    /// Returns the next message, or the status that the stream ended with.
    pub async fn next<A: Message + Default>(&mut self) -> Result<A, Status> {
        loop {
            if let [kind, a, b, c, d, rest @ ..] = &self.buffer[..] {
                let (kind, length) = (*kind, u32::from_be_bytes([*a, *b, *c, *d]) as usize);
                if rest.len() >= length {
                    self.buffer.advance(5);
                    let content = self.buffer.split_to(length);
                    if kind & 0x80 == 0 {
                        return Ok(A::decode(content).expect("a message"));
                    }
                    return Err(Status::from_header_map(&parse(&content)).expect("a status"));
                }
            }
            let frame = self.answer.body_mut().frame().await.expect("a status comes first").expect("a frame");
            if let Ok(data) = frame.into_data() {
                self.buffer.put(data);
            }
        }
    }
}

/// Returns the message that an answer over grpc-web holds, or the status it ended with.
pub fn read<A: Message + Default>(answer: &Answer) -> Result<A, Status> {
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
