//! The listeners over TLS, and certificates that change while they serve. The files in `fixtures/` are worth nothing: their authority's
//! key was thrown away.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{self, App, Store};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures");

fn lay(pair: &str, certificate: &Path, key: &Path) {
    fs::copy(format!("{FIXTURES}/{pair}.pem"), certificate).expect("copies");
    fs::copy(format!("{FIXTURES}/{pair}.key"), key).expect("copies");
}

async fn shake_hands(to: SocketAddr, protocol: &[u8]) -> TlsStream<TcpStream> {
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

fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

fn expected(pair: &str) -> Vec<u8> {
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
