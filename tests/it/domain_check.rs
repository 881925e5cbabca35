//! Broken domains, and what CheckDomain says of each: a name server, authorities and hosts of the test's own, on loopback addresses.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use chrono::{Datelike as _, Duration as Span};
use linkforty::{
    clock::{Clock as _, Moment, SystemClock},
    pb::v1::{
        AndroidApp, App as Registered, CheckDomainRequest, CheckDomainResponse, DeleteAppRequest, Domain,
        DomainFindingCode as Code, DomainFindingSeverity as Severity, ExpectedAndroidApp, IosApp,
        VerifyDomainRequest,
    },
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tonic::Code as Grpc;

use crate::support::{App, Store, Tenant, Zone, asked, reason, wrong};

/// Where the hosts are that answer.
const HERE: &str = "127.0.0.2";
/// Where nobody listens.
const NOBODY: &str = "127.0.0.3";
/// Where somebody listens and says nothing.
const SILENT: &str = "127.0.0.4";
/// Where somebody speaks, but no TLS.
const PLAIN: &str = "127.0.0.5";
/// Where the operator forbids to go.
const INSIDE: &str = "127.0.0.9";
const APP_ID: &str = "ABCDE12345.com.example.app";
const PACKAGE: &str = "com.example.app";
const PRINT: &str =
    "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99";
const APPLE: &str = "/.well-known/apple-app-site-association";
const GOOGLE: &str = "/.well-known/assetlinks.json";

/// Who signs certificates.
pub struct Authority {
    /// What signs.
    pub issuer: Issuer<'static, KeyPair>,
    /// What is believed.
    pub certificate: rcgen::Certificate,
}

impl Authority {
    /// Makes one that nobody vouches for.
    pub fn root(name: &str) -> Self {
        let (params, key) = (ca(name), KeyPair::generate().expect("a key"));
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn below(&self, name: &str) -> Self {
        let (params, key) = (ca(name), KeyPair::generate().expect("a key"));
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Returns what a host shows: its certificate, and this one if the chain is to be whole.
    fn pair(&self, name: &str, (from, until): (i64, i64), whole: bool) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().expect("a key");
        let own = leaf(name, (from, until)).signed_by(&key, &self.issuer).expect("a certificate");
        let mut chain = vec![own.der().clone()];
        if whole {
            chain.push(self.certificate.der().clone());
        }
        certified(chain, &key)
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    valid(&mut params, -100, 1000);
    params
}

/// A certificate that is valid from so many days from today until so many.
fn leaf(name: &str, (from, until): (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    valid(&mut params, from, until);
    params
}

/// Returns the year, month and day so many days from today.
fn day(days: i64) -> (i32, u8, u8) {
    let day: Moment = SystemClock.now() + Span::days(days);
    (day.year(), u8::try_from(day.month()).expect("a month"), u8::try_from(day.day()).expect("a day"))
}

/// Says from which day on a certificate is valid, and until which.
fn valid(params: &mut CertificateParams, from: i64, until: i64) {
    let ((year, month, day_of), (last_year, last_month, last_day)) = (day(from), day(until));
    params.not_before = date_time_ymd(year, month, day_of);
    params.not_after = date_time_ymd(last_year, last_month, last_day);
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key that can sign");
    Arc::new(CertifiedKey::new(chain, key))
}

/// Shows each host's certificate.
#[derive(Debug, Default)]
struct Chains(Mutex<HashMap<String, Arc<CertifiedKey>>>);

impl ResolvesServerCert for Chains {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.lock().expect("nobody panicked").get(hello.server_name()?).cloned()
    }
}

/// What is answered, by host and path.
type Answers = Arc<Mutex<HashMap<(String, String), Vec<u8>>>>;

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, answers: Answers) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let Some((head, path)) = asked(&mut stream).await else { return };
    let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_owned();
    let answer = answers.lock().expect("nobody panicked").get(&(host, path)).cloned();
    drop(
        stream.write_all(&answer.unwrap_or_else(|| respond("404 Not Found", "text/plain", "", "none"))).await,
    );
    drop(stream.shutdown().await);
}

async fn listen<F>(
    at: SocketAddr,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (u16, AbortOnDropHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(at).await.expect("a free port");
    let port = listener.local_addr().expect("it listens").port();
    let task = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(AbortOnDropHandle::new(tokio::spawn(serve(stream))));
        }
    });
    (port, AbortOnDropHandle::new(task))
}

fn respond(status: &str, kind: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn json(body: &str) -> Vec<u8> {
    respond("200 OK", "application/json", "", body)
}

fn apple(details: &str) -> String {
    format!(r#"{{"applinks":{{"details":[{details}]}}}}"#)
}

fn google(package: &str, fingerprint: &str) -> String {
    format!(
        r#"[{{"relation":["delegate_permission/common.handle_all_urls"],"target":{{"namespace":"android_app","package_name":"{package}","sha256_cert_fingerprints":["{fingerprint}"]}}}}]"#
    )
}

/// A server, and hosts that it can be told to check.
struct Ward {
    app: App,
    zone: Zone,
    tenant: Tenant,
    chains: Arc<Chains>,
    answers: Answers,
    authority: Authority,
    middle: Authority,
    _tasks: Vec<AbortOnDropHandle<()>>,
    _file: tempfile::NamedTempFile,
}

impl Ward {
    async fn open() -> Self {
        let zone = Zone::open().await;
        zone.addresses("go.example.test", &[HERE, NOBODY, SILENT, PLAIN, INSIDE]);
        let authority = Authority::root("The Authority");
        let middle = authority.below("The Middle");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), authority.certificate.pem()).expect("writes");
        let (chains, answers) = (Arc::<Chains>::default(), Answers::default());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(chains.clone());
        let (acceptor, answering) = (TlsAcceptor::from(Arc::new(config)), answers.clone());
        let here = SocketAddr::new(HERE.parse().expect("an address"), 0);
        let (port, first) =
            listen(here, move |stream| serve(stream, acceptor.clone(), answering.clone())).await;
        let at = |address: &str| SocketAddr::new(address.parse().expect("an address"), port);
        let (_, second) = listen(at(SILENT), |stream| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await;
        let (_, third) = listen(at(PLAIN), |mut stream| async move {
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        })
        .await;
        let app = App::start_with(
            Store::Embedded,
            &[
                ("DNS_SERVERS", &zone.setting()),
                ("LINKS_URL", &format!("https://go.example.test:{port}")),
                ("OUTBOUND_ALLOW_NETWORKS", "127.0.0.0/29"),
                ("OUTBOUND_ALLOW_PORTS", &port.to_string()),
                ("OUTBOUND_CA_FILE", &file.path().display().to_string()),
                ("OUTBOUND_CONNECT_TIMEOUT_MS", "3000"),
            ],
        )
        .await;
        app.clock.set(SystemClock.now());
        let tenant = app.tenant().await;
        let tasks = vec![first, second, third];
        Self { app, zone, tenant, chains, answers, authority, middle, _tasks: tasks, _file: file }
    }

    /// Adds a host with nothing wrong about it.
    async fn healthy(&self, host: &str) -> Domain {
        let domain = self.tenant.add_domain(host).await;
        let record = domain.proof.as_ref().and_then(|proof| proof.ownership.as_ref()).expect("always there");
        self.zone.texts(&record.name, &[&record.value]);
        self.zone.addresses(host, &[HERE]);
        self.show(host, self.middle.pair(host, (-10, 80), true));
        let details = format!(r#"{{"appIDs":["{APP_ID}"],"components":[{{"/":"*"}}]}}"#);
        self.answer(host, APPLE, json(&apple(&details)));
        self.answer(host, GOOGLE, json(&google(PACKAGE, PRINT)));
        let request = VerifyDomainRequest { domain_id: domain.id.clone(), ..VerifyDomainRequest::default() };
        self.tenant.domains.clone().verify_domain(request).await.expect("looks");
        domain
    }

    fn show(&self, host: &str, pair: Arc<CertifiedKey>) {
        self.chains.0.lock().expect("nobody panicked").insert(host.to_owned(), pair);
    }

    fn answer(&self, host: &str, path: &str, bytes: Vec<u8>) {
        self.answers.lock().expect("nobody panicked").insert((host.to_owned(), path.to_owned()), bytes);
    }

    async fn check(&self, domain: &Domain) -> CheckDomainResponse {
        let app = ExpectedAndroidApp { package_name: PACKAGE.into(), sha256_fingerprint: PRINT.into() };
        let request = CheckDomainRequest {
            domain_id: domain.id.clone(),
            expected_app_ids: vec![APP_ID.to_owned()],
            expected_android_apps: vec![app],
            ..CheckDomainRequest::default()
        };
        self.tenant.domains.clone().check_domain(request).await.expect("checks").into_inner()
    }
}

/// A fault: its name, how it is brought about, and what is found.
type Fixture = (&'static str, fn(&Ward, &str), &'static [Code]);

const FIXTURES: &[Fixture] = &[
    ("fine", |_, _| {}, &[]),
    ("no-txt", |ward, host| ward.zone.texts(&format!("_linkforty.{host}"), &[]), &[Code::DnsTxtMissing]),
    (
        "other-txt",
        |ward, host| ward.zone.texts(&format!("_linkforty.{host}"), &["linkforty-verification=other"]),
        &[Code::DnsTxtWrong],
    ),
    ("broken-dns", |ward, host| ward.zone.breaks(&format!("_linkforty.{host}"), true), &[Code::DnsSilent]),
    ("no-address", |ward, host| ward.zone.addresses(host, &[]), &[Code::DnsHostMissing]),
    (
        "two-addresses",
        |ward, host| ward.zone.addresses(host, &[HERE, "127.0.0.6"]),
        &[Code::DnsHostElsewhere],
    ),
    ("inside", |ward, host| ward.zone.addresses(host, &[INSIDE]), &[Code::DnsPrivateAddress]),
    ("refused", |ward, host| ward.zone.addresses(host, &[NOBODY]), &[Code::ConnectionRefused]),
    ("silent", |ward, host| ward.zone.addresses(host, &[SILENT]), &[Code::ConnectionTimeout]),
    ("no-tls", |ward, host| ward.zone.addresses(host, &[PLAIN]), &[Code::TlsFailed]),
    (
        "expired",
        |ward, host| ward.show(host, ward.middle.pair(host, (-90, -2), true)),
        &[Code::CertificateExpired],
    ),
    (
        "not-yet",
        |ward, host| ward.show(host, ward.middle.pair(host, (2, 90), true)),
        &[Code::CertificateNotYetValid],
    ),
    (
        "other-name",
        |ward, host| ward.show(host, ward.middle.pair("www.shop.test", (-10, 80), true)),
        &[Code::CertificateWrongName],
    ),
    (
        "self-signed",
        |ward, host| {
            let key = KeyPair::generate().expect("a key");
            let own = leaf(host, (-10, 80)).self_signed(&key).expect("a certificate");
            ward.show(host, certified(vec![own.der().clone()], &key));
        },
        &[Code::CertificateSelfSigned],
    ),
    (
        "no-chain",
        |ward, host| ward.show(host, ward.middle.pair(host, (-10, 80), false)),
        &[Code::CertificateChainIncomplete],
    ),
    (
        "unknown-authority",
        |ward, host| {
            let middle = Authority::root("Nobody").below("Nobody's Middle");
            ward.show(host, middle.pair(host, (-10, 80), true));
        },
        &[Code::CertificateUntrusted],
    ),
    (
        "soon",
        |ward, host| ward.show(host, ward.authority.pair(host, (-70, 20), true)),
        &[Code::CertificateExpiresSoon],
    ),
    (
        "apple-missing",
        |ward, host| ward.answer(host, APPLE, respond("404 Not Found", "text/html", "", "")),
        &[Code::FileMissing],
    ),
    (
        "apple-moved",
        |ward, host| {
            let location = "location: https://www.shop.test/\r\n";
            ward.answer(host, APPLE, respond("301 Moved Permanently", "text/html", location, ""));
        },
        &[Code::FileRedirects],
    ),
    (
        "google-moved",
        |ward, host| {
            let location = "location: /other\r\n";
            ward.answer(host, GOOGLE, respond("302 Found", "text/html", location, ""));
        },
        &[Code::FileRedirects],
    ),
    (
        "apple-forbidden",
        |ward, host| ward.answer(host, APPLE, respond("403 Forbidden", "text/html", "", "no")),
        &[Code::FileStatus],
    ),
    (
        "apple-torn",
        |ward, host| {
            ward.answer(host, APPLE, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec());
        },
        &[Code::FileNotRead],
    ),
    (
        "apple-as-text",
        |ward, host| {
            let details = format!(r#"{{"appIDs":["{APP_ID}"],"components":[{{"/":"*"}}]}}"#);
            ward.answer(host, APPLE, respond("200 OK", "text/plain", "", &apple(&details)));
        },
        &[Code::FileContentType],
    ),
    (
        "apple-large",
        |ward, host| ward.answer(host, APPLE, json(&" ".repeat(128 * 1024 + 1))),
        &[Code::FileTooLarge],
    ),
    ("apple-html", |ward, host| ward.answer(host, APPLE, json("<!doctype html>")), &[Code::FileNotJson]),
    ("apple-empty", |ward, host| ward.answer(host, APPLE, json("{}")), &[Code::AppleNoDetails]),
    (
        "apple-no-team",
        |ward, host| {
            let details = format!(r#"{{"appIDs":["{APP_ID}","{PACKAGE}"],"components":[{{"/":"*"}}]}}"#);
            ward.answer(host, APPLE, json(&apple(&details)));
        },
        &[Code::AppleAppIdMalformed],
    ),
    (
        "apple-other-app",
        |ward, host| {
            let details = r#"{"appIDs":["ABCDE12345.com.other.app"],"components":[{"/":"*"}]}"#;
            ward.answer(host, APPLE, json(&apple(details)));
        },
        &[Code::AppleAppIdMissing],
    ),
    (
        "apple-opens-nothing",
        |ward, host| ward.answer(host, APPLE, json(&apple(&format!(r#"{{"appIDs":["{APP_ID}"]}}"#)))),
        &[Code::AppleNoPatterns],
    ),
    (
        "apple-old",
        |ward, host| {
            let details = format!(r#"{{"appID":"{APP_ID}","paths":["*"]}}"#);
            ward.answer(host, APPLE, json(&apple(&details)));
        },
        &[Code::AppleOldForm],
    ),
    ("google-object", |ward, host| ward.answer(host, GOOGLE, json("{}")), &[Code::GoogleNotAList]),
    ("google-empty", |ward, host| ward.answer(host, GOOGLE, json("[]")), &[Code::GoogleNoRelation]),
    (
        "google-package",
        |ward, host| ward.answer(host, GOOGLE, json(&google("app", PRINT))),
        &[Code::GooglePackageMalformed, Code::GooglePackageMissing],
    ),
    (
        "google-other-app",
        |ward, host| ward.answer(host, GOOGLE, json(&google("com.other.app", PRINT))),
        &[Code::GooglePackageMissing],
    ),
    (
        "google-print",
        |ward, host| ward.answer(host, GOOGLE, json(&google(PACKAGE, "AA:BB"))),
        &[Code::GoogleFingerprintMalformed, Code::GoogleFingerprintMissing],
    ),
    (
        "google-other-key",
        |ward, host| ward.answer(host, GOOGLE, json(&google(PACKAGE, &PRINT.replace("AA", "AB")))),
        &[Code::GoogleFingerprintMissing],
    ),
];

#[tokio::test]
async fn each_broken_domain_is_told_what_is_broken() {
    let ward = Ward::open().await;
    let mut told = BTreeMap::new();
    for (name, break_it, _) in FIXTURES {
        let host = format!("{name}.shop.test");
        let domain = ward.healthy(&host).await;
        break_it(&ward, &host);
        let checked = ward.check(&domain).await;
        for finding in &checked.findings {
            assert!(finding.advice.ends_with('.') && finding.subject.contains(&host), "{finding:?}");
            assert!([Severity::Error, Severity::Warning].contains(&finding.severity()), "{finding:?}");
        }
        let codes: Vec<Code> = checked.findings.iter().map(|finding| finding.code()).collect();
        told.insert(*name, codes);
    }
    let expected: BTreeMap<&str, Vec<Code>> =
        FIXTURES.iter().map(|(name, _, codes)| (*name, codes.to_vec())).collect();
    assert_eq!(told, expected);
    ward.app.stop().await;
}

#[tokio::test]
async fn a_check_shows_the_certificate_and_the_faults_with_what_was_seen() {
    let ward = Ward::open().await;
    let domain = ward.healthy("go.shop.test").await;
    let checked = ward.check(&domain).await;
    assert_eq!((checked.findings.len(), &*checked.certificate_names), (0, &["go.shop.test".to_owned()][..]));
    let until = checked.certificate_expire_time.expect("there is one").seconds;
    let days = (until - ward.app.env().now().timestamp()) / 86_400;
    assert!((78..=80).contains(&days), "{days} days");
    let location = "location: https://www.shop.test/aasa\r\n";
    ward.answer("go.shop.test", APPLE, respond("301 Moved Permanently", "text/html", location, ""));
    let finding = ward.check(&domain).await.findings.remove(0);
    assert_eq!((finding.code(), finding.severity()), (Code::FileRedirects, Severity::Error));
    assert_eq!(finding.seen, "https://www.shop.test/aasa");
    assert!(finding.subject.starts_with("https://go.shop.test:") && finding.subject.ends_with(APPLE));
    // What nobody proved is told apart from what is broken.
    ward.app.clock.advance(Span::hours(1));
    let pending = ward.tenant.add_domain("later.shop.test").await;
    let codes = ward.check(&pending).await.findings;
    let codes: Vec<Code> = codes.iter().map(|finding| finding.code()).collect();
    assert_eq!(codes, [Code::DnsTxtMissing, Code::DnsHostMissing]);
    ward.app.stop().await;
}

/// Apps that name no host stand on all of them; others only where they say.
#[tokio::test]
async fn files_are_held_against_the_apps_of_the_workspace() {
    let ward = Ward::open().await;
    let domain = ward.healthy("go.shop.test").await;
    let other = ward.healthy("other.shop.test").await;
    let found = async |domain: &Domain| {
        let request = CheckDomainRequest { domain_id: domain.id.clone(), ..CheckDomainRequest::default() };
        let checked = ward.tenant.domains.clone().check_domain(request).await.expect("checks").into_inner();
        let told = checked.findings.iter().map(|finding| (finding.code(), finding.seen.clone()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(found(&domain).await, [], "no app, nothing to compare");
    let print = PRINT.replace("AA", "AB");
    let app = |hosts: &[&str], team: &str, print: &str| Registered {
        name: "Shop".into(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        ios: Some(IosApp {
            bundle_id: "com.example.app".into(),
            app_id_prefixes: vec![team.to_owned()],
            ..IosApp::default()
        }),
        android: Some(AndroidApp {
            package_name: PACKAGE.into(),
            sha256_fingerprints: vec![print.to_owned()],
            ..AndroidApp::default()
        }),
        ..Registered::default()
    };
    let made = ward.tenant.create_app(app(&["go.shop.test"], "FGHIJ67890", &print)).await;
    assert_eq!(
        found(&domain).await,
        [
            (Code::AppleAppIdMissing, APP_ID.to_owned()),
            (Code::GoogleFingerprintMissing, PACKAGE.to_owned()),
            (Code::AppleAppIdUnregistered, APP_ID.to_owned()),
            (Code::GoogleAppUnregistered, PACKAGE.to_owned()),
        ]
    );
    assert_eq!(found(&other).await, [], "the app names another host");
    let remove = DeleteAppRequest { app_id: made.id, ..DeleteAppRequest::default() };
    ward.tenant.apps.clone().delete_app(remove).await.expect("deletes");
    ward.tenant.create_app(app(&[], "ABCDE12345", PRINT)).await;
    assert_eq!((found(&domain).await, found(&other).await), (vec![], vec![]), "as registered");
    let gone = respond("404 Not Found", "text/plain", "", "");
    ward.answer("go.shop.test", APPLE, gone);
    let finding = ward.check(&domain).await.findings.remove(0);
    assert_eq!((finding.code(), finding.severity()), (Code::FileMissing, Severity::Error));
    ward.app.stop().await;
}

#[tokio::test]
async fn everything_wrong_with_what_is_expected_is_told_at_once() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let request = CheckDomainRequest {
        domain_id: "x".into(),
        expected_app_ids: vec![APP_ID.into(), PACKAGE.into()],
        expected_android_apps: vec![ExpectedAndroidApp {
            package_name: "app".into(),
            sha256_fingerprint: "AA".into(),
        }],
        ..CheckDomainRequest::default()
    };
    let refused = tenant.domains.clone().check_domain(request).await.expect_err("all of it is wrong");
    assert_eq!((refused.code(), &*reason(&refused)), (Grpc::InvalidArgument, "INVALID_FIELDS"));
    assert_eq!(
        wrong(&refused),
        [
            "domain_id",
            "expected_app_ids[1]",
            "expected_android_apps[0].package_name",
            "expected_android_apps[0].sha256_fingerprint",
        ]
    );
    app.stop().await;
}
