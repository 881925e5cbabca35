//! A plain HTTP client: one connection for each request, follows nothing, hides nothing.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::task::AbortOnDropHandle;

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Returns where the answer leads, without the token that a page of the Play Store gets of every click.
    pub fn leads_to(&self) -> &str {
        let location = self.header("location");
        let token = |rest: &str| rest.len() == 54 && !rest.contains(['&', '#']);
        match location.rsplit_once("referrer=lf%3D") {
            Some((page, rest)) if token(rest) => page.trim_end_matches(['?', '&']),
            _ => location,
        }
    }

    /// Returns a header as text, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks for a page.
pub async fn get(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(to, Method::GET, path, headers, Bytes::new()).await
}

/// Sends one request and leaves its answer's body to be read as it comes. It lasts as long as the connection.
pub async fn begin(
    to: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (Response<Incoming>, AbortOnDropHandle<Result<(), hyper::Error>>) {
    let stream = TcpStream::connect(to).await.expect("the listener accepts");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::builder().method(method).uri(path).header("host", to.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).expect("a valid request");
    (sender.send_request(request).await.expect("an answer"), connection)
}

/// Sends one request.
pub async fn send(
    to: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answer {
    let stream = TcpStream::connect(to).await.expect("the listener accepts");
    let host = to.to_string();
    let mut headers = headers.to_vec();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        headers.push(("host", &host));
    }
    send_over(stream, method, path, &headers, body).await
}

/// Sends one request over a connection.
pub async fn send_over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answer {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).expect("a valid request");
    let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    connection.abort();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Asks for many pages over one connection and returns their statuses.
pub async fn get_many(to: SocketAddr, paths: impl Iterator<Item = String>) -> Vec<u16> {
    let mut statuses = Vec::new();
    let stream = TcpStream::connect(to).await.expect("the listener accepts");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    for path in paths {
        let request = Request::get(&path).header("host", to.to_string()).body(Full::new(Bytes::new()));
        let answer = sender.send_request(request.expect("a valid request")).await.expect("an answer");
        statuses.push(answer.status().as_u16());
        answer.into_body().collect().await.expect("a whole body");
        sender.ready().await.expect("the connection stays open");
    }
    connection.abort();
    statuses
}

/// Sends one POST over HTTP/2, as gRPC clients and some browsers do.
pub async fn send_h2(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
    let stream = TcpStream::connect(to).await.expect("the listener accepts");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a connection");
    let connection = tokio::spawn(connection);
    let mut request = Request::post(format!("http://{to}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).expect("a valid request");
    let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    connection.abort();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Reads a body as JSON.
pub fn json(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}
