//! The least that a redirect can cost here: hyper's HTTP/1.1 and nothing else, on the runtime that the server has.
//! `benches/run.sh` measures linkforty against it on the same cores, so that the ratio means something on any machine.
//!
//! `null_server ADDRESS` answers every request with the same 302 until it is killed.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// As long as the destinations of the links that are measured (`benches/seed.rs`): 86 bytes.
const LOCATION: HeaderValue = HeaderValue::from_static(
    "https://www.example.com/collections/spring?utm_source=mail&utm_campaign=spring-2026-01",
);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // `cargo bench` runs every benchmark without an address of ours.
    let Some(address) = std::env::args().nth(1).and_then(|address| address.parse::<SocketAddr>().ok()) else {
        println!("usage: null_server ADDRESS");
        return Ok(());
    };
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // How a connection ends is the client's matter.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, LOCATION);
    Ok(response)
}
