//! Services inside the operator's network, which show a client certificate instead of a secret.

use std::{fs, path::Path};

use chrono::Duration;
use linkforty::{
    pb::v1::{CreateLinkRequest, ListLinksRequest, link_service_client::LinkServiceClient},
    rpc::Permission,
    workspaces::{
        Tenant, enter_as_operator,
        keys::{
            self, Created, NewKey,
            rotate::{self, Rotation},
        },
    },
};
use rcgen::{CertificateParams, KeyPair, SanType};
use tempfile::TempDir;
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    domain_check::Authority,
    support::{App, Store, link, reason, stores},
};

const BILLING: &str = "spiffe://example.com/billing";

/// Signs a certificate with these names, and returns it and its key.
fn sign(authority: &Authority, names: &[&str]) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("names");
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.contains("://") {
            true => SanType::URI((*name).try_into().expect("ASCII")),
            false => SanType::DnsName((*name).try_into().expect("ASCII")),
        })
        .collect();
    let key = KeyPair::generate().expect("a key");
    let signed = params.signed_by(&key, &authority.issuer).expect("a certificate");
    (signed.pem(), key.serialize_pem())
}

/// A server that believes an authority, and the services that call it.
struct House {
    app: App,
    inside: Authority,
    outside: Authority,
    files: TempDir,
}

impl House {
    async fn open(store: Store, certificate: &str) -> Self {
        let (inside, outside) = (Authority::root("inside"), Authority::root("outside"));
        let files = tempfile::tempdir().expect("a temporary directory");
        let lay = |name: &str, text: &str| -> String {
            let path = files.path().join(name);
            fs::write(&path, text).expect("writes");
            path.display().to_string()
        };
        let (own, key) = sign(&inside, &["localhost"]);
        let (own, key, ca) =
            (lay("own.pem", &own), lay("own.key", &key), lay("ca.pem", &inside.certificate.pem()));
        let settings = [
            ("TLS_CERTIFICATE_FILE", own.as_str()),
            ("TLS_KEY_FILE", &key),
            ("TLS_CLIENT_CA_FILE", &ca),
            ("TLS_CLIENT_CERTIFICATE", certificate),
        ];
        let app = App::start_with(store, &settings).await;
        app.first_sign_in().await;
        Self { app, inside, outside, files }
    }

    async fn operator(&self) -> Tenant {
        enter_as_operator(self.app.env(), None).await.expect("there is one workspace")
    }

    /// Says, as the operator does, that a name is a service.
    async fn name(&self, name: &str, scopes: &[Permission]) -> Result<Created, linkforty::error::Error> {
        let new =
            NewKey { certificate_name: Some(name.to_owned()), ..NewKey::new("a service", scopes.to_vec()) };
        keys::create(self.app.env(), &self.operator().await, new, None).await
    }

    /// Connects, showing a certificate with these names if there is an authority to sign it.
    async fn connect(
        &self,
        shown: Option<(&Authority, &[&str])>,
    ) -> Result<Channel, tonic::transport::Error> {
        let ca = Certificate::from_pem(self.inside.certificate.pem());
        let mut tls = ClientTlsConfig::new().ca_certificate(ca).domain_name("localhost");
        if let Some((authority, names)) = shown {
            let (certificate, key) = sign(authority, names);
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.app.api())).expect("an address");
        endpoint.tls_config(tls).expect("the files are good").connect().await
    }

    async fn service(&self, names: &[&str]) -> Channel {
        self.connect(Some((&self.inside, names))).await.expect("shakes hands")
    }
}

async fn links(channel: &Channel) -> Result<usize, Status> {
    let listed = LinkServiceClient::new(channel.clone()).list_links(ListLinksRequest::default()).await?;
    Ok(listed.into_inner().links.len())
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.expect_err("refused");
    (status.code(), reason(&status))
}

#[tokio::test]
async fn a_service_is_known_by_a_name_in_its_certificate() {
    for store in stores() {
        let house = House::open(store, "optional").await;
        let invalid = (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned());
        let service = house.service(&["billing.internal.test", BILLING]).await;
        assert_eq!(refused(links(&service).await), invalid, "nobody said who that is");

        let made = house.name(BILLING, &[Permission::LinksRead]).await.expect("creates");
        assert_eq!((made.secret, made.key.prefix.as_str()), (None, ""));
        assert_eq!(links(&service).await.expect("lists"), 0);
        // And nothing else.
        let asked =
            CreateLinkRequest { link: Some(link("one", "https://example.com")), ..Default::default() };
        let written = LinkServiceClient::new(service.clone()).create_link(asked).await;
        assert_eq!(refused(written).0, Code::PermissionDenied);
        for others in [
            &["spiffe://example.com/Billing"][..],
            &["billing.internal.test"],
            &["spiffe://example.com"],
            &[],
        ] {
            assert_eq!(refused(links(&house.service(others).await).await), invalid, "{others:?}");
        }

        // What the call itself says goes before what the connection shows.
        let mut with_key = Request::new(ListLinksRequest::default());
        with_key.metadata_mut().insert("authorization", "Bearer lf_live_wrong".parse().expect("ASCII"));
        assert_eq!(refused(LinkServiceClient::new(service.clone()).list_links(with_key).await), invalid);
        // A connection without a certificate is anybody's.
        let nobody = house.connect(None).await.expect("shakes hands");
        let missing = (Code::Unauthenticated, "CREDENTIALS_MISSING".to_owned());
        assert_eq!(refused(links(&nobody).await), missing);

        // Two services in one certificate are none, and a name is one service at a time.
        house.name("billing.internal.test", &[Permission::LinksRead]).await.expect("creates");
        house.app.clock.advance(Duration::seconds(11));
        assert_eq!(refused(links(&service).await), invalid);
        let twice = house.name(BILLING, &[Permission::LinksRead]).await.expect_err("it is taken");
        assert!(twice.to_string().contains("certificate_name"), "{twice}");
        let service = house.service(&[BILLING]).await;
        assert_eq!(links(&service).await.expect("lists"), 0);

        // It ends at once, on a connection that is open too, and the name is free again.
        let (env, operator) = (house.app.env(), house.operator().await);
        keys::revoke(env, &operator, made.key.id).await.expect("revokes");
        assert_eq!(refused(links(&service).await), invalid);
        let again = house.name(BILLING, &[Permission::LinksRead]).await.expect("it is free");
        assert_eq!(links(&service).await.expect("lists"), 0);

        // Its end can be moved, and comes.
        house.app.clock.advance(Duration::days(80));
        let how = Rotation { overlap: rotate::DEFAULT_OVERLAP, expire_time: None };
        let moved = rotate::rotate(env, &operator, again.key.id, how, None).await.expect("moves it");
        assert_eq!((moved.secret, moved.key.previous_hash), (None, None));
        house.app.clock.advance(Duration::days(89));
        assert_eq!(links(&service).await.expect("lists"), 0);
        house.app.clock.advance(Duration::days(1));
        assert_eq!(refused(links(&service).await), invalid);
        house.app.stop().await;
    }
}

#[tokio::test]
async fn only_authorities_of_the_operator_are_believed() {
    let house = House::open(Store::Embedded, "optional").await;
    house.name(BILLING, &[Permission::LinksRead]).await.expect("creates");
    let forged = house.connect(Some((&house.outside, &[BILLING]))).await;
    let refused = match forged {
        // In TLS 1.3 the client is done before the server has looked.
        Ok(channel) => links(&channel).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    house.app.stop().await;
}

#[tokio::test]
async fn where_a_certificate_is_required_nobody_else_gets_in() {
    let house = House::open(Store::Embedded, "required").await;
    let refused = match house.connect(None).await {
        Ok(channel) => links(&channel).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    house.name(BILLING, &[Permission::LinksRead]).await.expect("creates");
    assert_eq!(links(&house.service(&[BILLING]).await).await.expect("lists"), 0);
    // Visitors are asked for nothing.
    let mut roots = rustls::RootCertStore::empty();
    roots.add(house.inside.certificate.der().clone()).expect("an authority");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(house.app.links()).await.expect("accepts");
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    let connected = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await;
    let mut visit = connected.expect("shakes hands");
    tokio::io::AsyncWriteExt::write_all(&mut visit, b"GET /none HTTP/1.0\r\n\r\n").await.expect("writes");
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut visit, &mut answer).await.expect("reads");
    assert!(answer.starts_with(b"HTTP/1.0 404"), "{}", String::from_utf8_lossy(&answer));
    house.app.stop().await;
}

#[tokio::test]
async fn authorities_that_changed_are_taken_up() {
    let house = House::open(Store::Embedded, "optional").await;
    house.name(BILLING, &[Permission::LinksRead]).await.expect("creates");
    let ca = house.inside.certificate.pem() + &house.outside.certificate.pem();
    fs::write(Path::new(house.files.path()).join("ca.pem"), ca).expect("writes");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        if let Ok(channel) = house.connect(Some((&house.outside, &[BILLING]))).await
            && links(&channel).await.is_ok()
        {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the new authority is not taken up");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    house.app.stop().await;
}
