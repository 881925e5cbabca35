//! Stopping: nothing in flight is lost and nobody can hold the door open.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{self, App, Store, on_every_store, reason};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn silent_and_idle_connections_do_not_hold_a_node() {
    on_every_store(async |app| {
        for address in [app.links(), app.api(), app.ops()] {
            drop(TcpStream::connect(address).await.expect("accepts"));
        }
    })
    .await;
    let app = App::start_with(Store::Embedded, &[("SHUTDOWN_DEADLINE_SECONDS", "20")]).await;
    let mut silent = TcpStream::connect(app.links()).await.expect("accepts");
    let mut half = TcpStream::connect(app.links()).await.expect("accepts");
    half.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n").await.expect("writes");
    let mut idle = TcpStream::connect(app.links()).await.expect("accepts");
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("writes");
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.expect("answers") > 0);
    let h2 = HealthClient::new(app.channel().await);

    let begun = Instant::now();
    app.stop().await;
    // The half request might still become one, so it is waited for until its five seconds are over.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for stream in [&mut silent, &mut idle] {
        let end = timeout(LONG, stream.read(&mut buffer)).await.expect("closed");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    drop((half, h2));
}

#[tokio::test]
async fn a_silent_stream_is_sent_elsewhere() {
    let app = App::start_with(Store::Embedded, &[("SHUTDOWN_DEADLINE_SECONDS", "20")]).await;
    let mut client = HealthClient::new(app.channel().await);
    let mut watch = client.watch(HealthCheckRequest::default()).await.expect("watches").into_inner();
    watch.message().await.expect("a first message");
    let begun = Instant::now();
    let reading = tokio::spawn(async move {
        loop {
            match watch.message().await {
                Ok(Some(_)) => {}
                outcome => return outcome,
            }
        }
    });
    app.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let status = reading.await.expect("no panic").expect_err("told to leave");
    assert_eq!((status.code(), &*reason(&status)), (tonic::Code::Unavailable, "SHUTTING_DOWN"));
}

#[tokio::test]
async fn a_stream_that_never_ends_is_cut_at_the_deadline() {
    let app = App::start_with(Store::Embedded, &[("SHUTDOWN_DEADLINE_SECONDS", "1")]).await;
    let mut client = HealthClient::new(app.channel().await);
    let mut watch = client.watch(HealthCheckRequest::default()).await.expect("watches").into_inner();
    watch.message().await.expect("a first message");
    let begun = Instant::now();
    app.stop().await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_leaving_node_says_so_and_still_answers() {
    let app = App::start_with(Store::Embedded, &[("SHUTDOWN_DELAY_MS", "1500")]).await;
    let (links, api) = (app.links(), app.api());
    let mut client = HealthClient::new(app.channel().await);
    let stopping = tokio::spawn(app.stop());
    support::eventually("it says that it leaves", async || {
        support::get(api, "/readyz", &[]).await.status == 503
    })
    .await;
    assert_eq!(support::get(links, "/health", &[]).await.status, 200);
    let status = client.check(HealthCheckRequest::default()).await.expect("answers").into_inner().status;
    assert_eq!(status, 2, "NOT_SERVING");
    timeout(LONG, stopping).await.expect("in time").expect("no panic");
    assert!(TcpStream::connect(links).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_connection_that_never_begins_is_cut() {
    let app = App::start(Store::Embedded).await;
    let mut silent = TcpStream::connect(app.links()).await.expect("accepts");
    let mut slow = TcpStream::connect(app.links()).await.expect("accepts");
    slow.write_all(b"GET / HT").await.expect("writes");
    let mut buffer = [0; 64];
    let begun = Instant::now();
    for stream in [&mut silent, &mut slow] {
        let end = timeout(Duration::from_secs(8), stream.read(&mut buffer)).await.expect("cut within 8 s");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    assert!(begun.elapsed() >= Duration::from_secs(4));
    app.stop().await;
}
