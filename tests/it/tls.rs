//! The listeners over TLS, and certificates that change while they serve. The files in `fixtures/` are worth nothing: their authority's
//! key was thrown away.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{self, App, Authority, Place, Store, Zone};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures");

pub fn lay(pair: &str, certificate: &Path, key: &Path) {
    fs::copy(format!("{FIXTURES}/{pair}.pem"), certificate).expect("copies");
    fs::copy(format!("{FIXTURES}/{pair}.key"), key).expect("copies");
}

pub async fn shake_hands(to: SocketAddr, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let authority =
        CertificateDer::from_pem_file(format!("{FIXTURES}/authority.pem")).expect("a certificate");
    roots.add(authority).expect("an authority");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(to).await.expect("accepts");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("shakes hands")
}

pub fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

pub fn expected(pair: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(format!("{FIXTURES}/{pair}.pem")).expect("a certificate").to_vec()
}

#[tokio::test]
async fn a_changed_certificate_is_taken_up_and_a_bad_one_is_not() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    lay("first", &certificate, &key);
    let (certificate_path, key_path) = (certificate.display().to_string(), key.display().to_string());
    let settings = [("TLS_CERTIFICATE_FILE", certificate_path.as_str()), ("TLS_KEY_FILE", key_path.as_str())];
    let app = App::start_with(Store::Embedded, &settings).await;

    for protocol in [&b"h2"[..], b"http/1.1"] {
        for listener in [app.links(), app.api()] {
            let stream = shake_hands(listener, protocol).await;
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
            assert_eq!(shown(&stream), expected("first"));
        }
    }
    // Operators look from the same machine, in plain text.
    assert_eq!(support::get(app.ops(), "/readyz", &[]).await.status, 200);
    // Silence is no handshake.
    let mut silent = TcpStream::connect(app.links()).await.expect("accepts");

    fs::write(&certificate, "no certificate").expect("writes");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(shown(&shake_hands(app.links(), b"h2").await), expected("first"));
    let mut buffer = [0; 16];
    let end = tokio::io::AsyncReadExt::read(&mut silent, &mut buffer).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");

    lay("second", &certificate, &key);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    while shown(&shake_hands(app.links(), b"h2").await) != expected("second") {
        assert!(tokio::time::Instant::now() < deadline, "the new certificate is not taken up");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    app.stop().await;
}

/// Visitors come all the time, on new connections and on old ones.
#[tokio::test]
async fn a_changed_certificate_costs_nobody_an_answer() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    lay("first", &certificate, &key);
    let (certificate_path, key_path) = (certificate.display().to_string(), key.display().to_string());
    let settings = [("TLS_CERTIFICATE_FILE", certificate_path.as_str()), ("TLS_KEY_FILE", key_path.as_str())];
    let app = App::start_with(Store::Embedded, &settings).await;
    let links = app.links();
    let over = Arc::new(AtomicBool::new(false));
    let (answered, seen) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
    let mut visitors = JoinSet::new();
    for visitor in 0..4 {
        let (over, answered, seen) = (over.clone(), answered.clone(), seen.clone());
        visitors.spawn(async move {
            let mut line: Option<SendRequest<Empty<Bytes>>> = None;
            while !over.load(Ordering::Relaxed) {
                // Half of them keep their connection.
                if line.is_none() || visitor % 2 == 0 {
                    let stream = shake_hands(links, b"http/1.1").await;
                    seen.lock().expect("nobody panicked").insert(shown(&stream));
                    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                        .await
                        .expect("a connection");
                    tokio::spawn(connection);
                    line = Some(sender);
                }
                let sender = line.as_mut().expect("it was made");
                sender.ready().await.expect("the connection stands");
                let request = Request::get("/livez").header("host", "localhost").body(Empty::new());
                let answer = sender.send_request(request.expect("a request")).await.expect("an answer");
                assert_eq!(answer.status(), 200);
                answer.into_body().collect().await.expect("a whole body");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for pair in ["second", "first"] {
        // As a program does that renews certificates: one file after the other.
        lay(pair, &certificate, &key);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(25);
        while shown(&shake_hands(links, b"h2").await) != expected(pair) {
            assert!(tokio::time::Instant::now() < deadline, "the new certificate is not taken up");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(visitor) = visitors.join_next().await {
        visitor.expect("every visit was answered");
    }
    assert!(answered.load(Ordering::Relaxed) > 100, "that was no load: {answered:?}");
    let seen = seen.lock().expect("nobody panicked").clone();
    assert_eq!(seen, [expected("first"), expected("second")].into());
    app.stop().await;
}

/// The operator's pair is for everybody whose host has no certificate of its own.
#[tokio::test]
async fn the_operators_own_pair_is_shown_where_the_server_got_none() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    lay("first", &certificate, &key);
    let zone = Zone::open().await;
    let authority = Authority::open(&zone).await;
    let mut settings = authority.settings();
    settings.push(("DNS_SERVERS".to_owned(), zone.setting()));
    settings.push(("TLS_CERTIFICATE_FILE".to_owned(), certificate.display().to_string()));
    settings.push(("TLS_KEY_FILE".to_owned(), key.display().to_string()));
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let app = App::start_with(Store::Embedded, &settings).await;
    authority.look_at(&[Place { tls: app.links(), plain: None }]);
    support::eventually("the server has one of its own", async || {
        authority.shake_hands(app.links(), "go.example.test").await.is_ok()
    })
    .await;
    for listener in [app.links(), app.api()] {
        assert_eq!(shown(&shake_hands(listener, b"h2").await), expected("first"));
    }
    assert!(authority.shake_hands(app.api(), "go.example.test").await.is_ok());
    app.stop().await;
}
