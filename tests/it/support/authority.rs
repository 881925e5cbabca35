//! A certificate authority for one test (RFC 8555), at 127.0.0.2: it checks what is signed, really looks whether hosts are ours, at every node
//! that the test names, and signs with a key of its own.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Response, Uri},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use linkforty::clock::{Moment, from_micros};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use ring::{
    digest, hmac,
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring::default_provider,
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::AbortOnDropHandle;

use super::{Answer, Zone, plain, random_text};

const OUTSIDE: &str = "127.0.0.2";
/// The id and the key of the external account that it knows.
pub const EXTERNAL: (&str, &str) = ("kid-7", "dGhlIGtleSBvZiBhbiBleHRlcm5hbCBhY2NvdW50");
/// id-pe-acmeIdentifier, 1.3.6.1.5.5.7.1.31, with the tag and length of an object id.
const ACME_IDENTIFIER: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f];

/// A node at which it looks for hosts.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Where it shakes hands.
    pub tls: SocketAddr,
    /// Where it answers plain text.
    pub plain: Option<SocketAddr>,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trouble of its own")]
pub struct Troubles {
    /// So many nonces are refused.
    pub bad_nonces: u32,
    /// Orders are refused, for so many seconds.
    pub rate_limit: Option<u64>,
    /// Answers of orders never end.
    pub endless: bool,
    /// Nothing is proved, for this reason.
    pub refuses: Option<&'static str>,
    /// Accounts are opened for those it knows otherwise only.
    pub needs_external: bool,
    /// Certificates are for another host.
    pub wrong_host: bool,
    /// Every answer is an error of its own.
    pub broken: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Status {
    Pending,
    Looking,
    Proved,
    Signed(String),
    Over(Value),
}

#[derive(Debug, Clone)]
struct Order {
    host: String,
    token: String,
    account: String,
    status: Status,
}

struct State {
    troubles: Troubles,
    places: Vec<Place>,
    nonces: HashSet<String>,
    /// Public keys by account.
    accounts: HashMap<String, Value>,
    orders: Vec<Order>,
    now: Moment,
    ways: Vec<&'static str>,
}

/// The authority.
pub struct Authority {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    base: String,
    port: u16,
    state: Mutex<State>,
    authority: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Opens an authority that the names of a zone lead to.
    pub async fn open(zone: &Zone) -> Self {
        let listener = TcpListener::bind(format!("{OUTSIDE}:0")).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        zone.addresses("ca.test", &[OUTSIDE]);
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Trial authority");
        let authority = params.self_signed(&key).expect("signs").der().clone();
        let state = State {
            troubles: Troubles::default(),
            places: Vec::new(),
            nonces: HashSet::new(),
            accounts: HashMap::new(),
            orders: Vec::new(),
            now: from_micros(1_795_348_800_000_000),
            ways: Vec::new(),
        };
        let shared = Arc::new(Shared {
            base: format!("http://ca.test:{port}"),
            port,
            state: Mutex::new(state),
            authority,
            issuer: Issuer::new(params, key),
        });
        let serving = shared.clone();
        let router = Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
            let shared = serving.clone();
            async move { shared.answer(&method, uri.path(), &body) }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { shared, _task: AbortOnDropHandle::new(task) }
    }

    /// Returns the settings of a server that gets its certificates here.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("ACME_ENABLED", "true"),
            ("ACME_AGREE_TO_TERMS", "true"),
            ("ACME_DIRECTORY_URL", &format!("{}/directory", self.shared.base)),
            ("ACME_EMAIL", "operator@example.test"),
            ("ACME_HOSTS", "go.example.test"),
            ("OUTBOUND_ALLOW_NETWORKS", "127.0.0.2/32"),
            ("OUTBOUND_ALLOW_PORTS", &self.shared.port.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Looks for hosts at these nodes from now on; every one of them has to answer.
    pub fn look_at(&self, places: &[Place]) {
        self.shared.lock().places = places.to_vec();
    }

    /// Says what goes wrong from now on.
    pub fn trouble(&self, troubles: Troubles) {
        self.shared.lock().troubles = troubles;
    }

    /// Lives in that moment from now on.
    pub fn live_at(&self, now: Moment) {
        self.shared.lock().now = now;
    }

    /// Returns how many accounts were opened.
    pub fn accounts(&self) -> usize {
        self.shared.lock().accounts.len()
    }

    /// Returns the hosts that were ordered, in their order.
    pub fn ordered(&self) -> Vec<String> {
        self.shared.lock().orders.iter().map(|order| order.host.clone()).collect()
    }

    /// Returns the ways in which hosts were proved.
    pub fn ways(&self) -> Vec<&'static str> {
        self.shared.lock().ways.clone()
    }

    /// Shakes hands with a node as somebody who believes this authority and lives in its moment.
    pub async fn shake_hands(&self, to: SocketAddr, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.shared.authority.clone()).expect("an authority");
        let config = ClientConfig::builder_with_details(
            Arc::new(default_provider()),
            Arc::new(At(self.shared.lock().now)),
        )
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_root_certificates(roots)
        .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let stream = TcpStream::connect(to).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Asks for a page over TLS, following nothing.
    pub async fn visit(&self, to: SocketAddr, host: &str, path: &str) -> std::io::Result<Answer> {
        let stream = self.shake_hands(to, host).await?;
        Ok(plain::send_over(stream, Method::GET, path, &[("host", host)], Bytes::new()).await)
    }
}

/// A clock that stands.
#[derive(Debug)]
struct At(Moment);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.timestamp() as u64)))
    }
}

/// The public key of a request.
struct Public(Vec<u8>);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn part(of: &Value, name: &str) -> Vec<u8> {
    B64.decode(text(of, name)).expect("base64url")
}

/// Says whether something is signed with a key.
fn is_signed(message: &Value, key: &Value) -> bool {
    let signed = format!("{}.{}", text(message, "protected"), text(message, "payload"));
    let point = [&[4][..], &part(key, "x"), &part(key, "y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &part(message, "signature"))
        .is_ok()
}

fn thumbprint(key: &Value) -> String {
    let of = |name: &str| key[name].as_str().expect("text").to_owned();
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, of("x"), of("y"));
    B64.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

fn problem(status: u16, kind: &str, detail: &str) -> Response<Body> {
    let body =
        json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status });
    let response = Response::builder().status(status).header("content-type", "application/problem+json");
    response.body(Body::from(body.to_string())).expect("an answer")
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    fn answer(self: &Arc<Self>, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
        let mut response = self.respond(method, path, body);
        let nonce = random_text();
        self.lock().nonces.insert(nonce.clone());
        response.headers_mut().insert("replay-nonce", nonce.parse().expect("a value"));
        response
    }

    fn respond(self: &Arc<Self>, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
        let base = &self.base;
        if self.lock().troubles.broken {
            return Response::builder().status(503).body(Body::from("<html>maintenance")).expect("an answer");
        }
        let json = |status: u16, location: Option<String>, value: Value| {
            let mut response = Response::builder().status(status).header("content-type", "application/json");
            if let Some(location) = location {
                response = response.header("location", location);
            }
            response.body(Body::from(value.to_string())).expect("an answer")
        };
        if path == "/directory" {
            let needs = self.lock().troubles.needs_external;
            let directory = json!({
                "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"),
                "newOrder": format!("{base}/order"), "meta": { "externalAccountRequired": needs },
            });
            return json(200, None, directory);
        }
        if path == "/nonce" {
            return Response::new(Body::empty());
        }
        assert_eq!(method, Method::POST, "{path}");
        let message: Value = serde_json::from_slice(body).expect("JSON");
        let head: Value = serde_json::from_slice(&part(&message, "protected")).expect("JSON");
        assert_eq!(head["url"], format!("{base}{path}"), "what is signed is for another URL");
        assert_eq!(head["alg"], "ES256");
        let payload = part(&message, "payload");
        let payload: Value =
            if payload.is_empty() { Value::Null } else { serde_json::from_slice(&payload).expect("JSON") };
        let mut state = self.lock();
        let known = state.nonces.remove(head["nonce"].as_str().unwrap_or_default());
        if !known || state.troubles.bad_nonces > 0 {
            state.troubles.bad_nonces = state.troubles.bad_nonces.saturating_sub(1);
            return problem(400, "badNonce", "another nonce");
        }
        if path == "/account" {
            let key = &head["jwk"];
            assert!(is_signed(&message, key), "the signature is wrong");
            assert_eq!(payload["termsOfServiceAgreed"], true);
            assert_eq!(payload["contact"], json!(["mailto:operator@example.test"]));
            if state.troubles.needs_external
                && !is_bound(&payload["externalAccountBinding"], key, &head["url"])
            {
                return problem(403, "externalAccountRequired", "who are you?");
            }
            let found = state.accounts.iter().find(|(_, known)| *known == key).map(|(url, _)| url.clone());
            let status = if found.is_some() { 200 } else { 201 };
            let url = found.unwrap_or_else(|| format!("{base}/account/{}", state.accounts.len()));
            state.accounts.insert(url.clone(), key.clone());
            return json(status, Some(url), json!({ "status": "valid" }));
        }
        let account = head["kid"].as_str().expect("an account").to_owned();
        let Some(key) = state.accounts.get(&account).cloned() else {
            return problem(400, "accountDoesNotExist", "never heard of it");
        };
        assert!(is_signed(&message, &key), "the signature is wrong");
        if path == "/order" {
            if let Some(seconds) = state.troubles.rate_limit {
                let mut response = problem(429, "rateLimited", "too many\u{7} orders");
                response.headers_mut().insert("retry-after", seconds.into());
                return response;
            }
            let host = payload["identifiers"][0]["value"].as_str().expect("a host").to_owned();
            let order = Order { host, token: random_text(), account, status: Status::Pending };
            state.orders.push(order);
            let number = state.orders.len() - 1;
            let location = format!("{base}/order/{number}");
            return json(201, Some(location), self.order(&state, number));
        }
        let mut places = path.trim_start_matches('/').split('/');
        let (what, number) = (places.next().unwrap_or_default(), places.next().and_then(|n| n.parse().ok()));
        let number: usize = number.expect("a number");
        if state.troubles.endless && what == "order" {
            let stream =
                futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8192])));
            return Response::new(Body::from_stream(stream));
        }
        assert_eq!(state.orders[number].account, account, "the order of somebody else");
        match what {
            "order" => {}
            "authorization" => return json(200, None, self.authorization(&state, number)),
            "challenge" => {
                let kind = if places.next() == Some("http-01") { "http-01" } else { "tls-alpn-01" };
                let answer = format!("{}.{}", state.orders[number].token, thumbprint(&key));
                if state.orders[number].status == Status::Pending {
                    state.orders[number].status = Status::Looking;
                    tokio::spawn(self.clone().look(number, kind, answer));
                }
                return json(200, None, json!({ "type": kind, "url": path, "status": "processing" }));
            }
            "finalize" => {
                assert_eq!(state.orders[number].status, Status::Proved, "it is not proved");
                let request = part(&payload, "csr");
                let chain = self.sign(&state, &state.orders[number].host, &request);
                state.orders[number].status = Status::Signed(chain);
            }
            "certificate" => {
                let Status::Signed(chain) = &state.orders[number].status else { panic!("it is not signed") };
                return Response::new(Body::from(chain.clone()));
            }
            other => panic!("nobody knows {other}"),
        }
        json(200, None, self.order(&state, number))
    }

    fn order(&self, state: &State, number: usize) -> Value {
        let base = &self.base;
        let mut value = json!({
            "status": "pending", "authorizations": [format!("{base}/authorization/{number}")],
            "finalize": format!("{base}/finalize/{number}"),
        });
        match &state.orders[number].status {
            Status::Pending | Status::Looking => {}
            Status::Proved => value["status"] = "ready".into(),
            Status::Signed(_) => {
                value["status"] = "valid".into();
                value["certificate"] = format!("{base}/certificate/{number}").into();
            }
            Status::Over(_) => value["status"] = "invalid".into(),
        }
        value
    }

    fn authorization(&self, state: &State, number: usize) -> Value {
        let (base, order) = (&self.base, &state.orders[number]);
        let status = match order.status {
            Status::Pending | Status::Looking => "pending",
            Status::Proved | Status::Signed(_) => "valid",
            Status::Over(_) => "invalid",
        };
        let challenges: Vec<Value> = ["dns-01", "tls-alpn-01", "http-01"]
            .into_iter()
            .map(|kind| {
                let mut challenge = json!({
                    "type": kind, "token": order.token, "url": format!("{base}/challenge/{number}/{kind}"),
                    "status": "pending",
                });
                if let Status::Over(error) = &order.status {
                    challenge["error"] = error.clone();
                }
                challenge
            })
            .collect();
        json!({ "status": status, "challenges": challenges, "identifier": { "type": "dns", "value": order.host } })
    }

    /// Looks whether a host is theirs, at every place.
    async fn look(self: Arc<Self>, number: usize, kind: &'static str, answer: String) {
        let (host, token, places, refuses) = {
            let state = self.lock();
            let order = &state.orders[number];
            (order.host.clone(), order.token.clone(), state.places.clone(), state.troubles.refuses)
        };
        let mut outcome = if places.is_empty() { Err("nobody is there".to_owned()) } else { Ok(()) };
        for place in places {
            let looking = async {
                match kind {
                    "http-01" => look_by_http(place, &host, &token, &answer).await,
                    _ => look_by_handshake(place, &host, &answer).await,
                }
            };
            let looked = timeout(Duration::from_secs(10), looking).await;
            outcome = outcome.and(looked.unwrap_or_else(|_| Err("nobody answered".to_owned())));
        }
        let mut state = self.lock();
        state.ways.push(kind);
        state.orders[number].status = match (outcome, refuses) {
            (_, Some(reason)) => Status::Over(
                json!({ "type": format!("urn:ietf:params:acme:error:{reason}"), "detail": "no\u{1b}[31m", "status": 403 }),
            ),
            (Ok(()), None) => Status::Proved,
            (Err(detail), None) => Status::Over(
                json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": detail, "status": 403 }),
            ),
        };
    }

    fn sign(&self, state: &State, host: &str, request: &[u8]) -> String {
        assert!(
            request.windows(host.len()).any(|part| part == host.as_bytes()),
            "the request is for another host"
        );
        // The uncompressed point in its bit string.
        let head = [0x03, 0x42, 0x00, 0x04];
        let at = request.windows(4).position(|part| part == head).expect("a key on P-256");
        let key = Public(request[at + 3..at + 3 + 65].to_vec());
        let host = if state.troubles.wrong_host { "elsewhere.test" } else { host };
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        let since =
            |moment: Moment| date_time_ymd(1970, 1, 1) + Duration::from_secs(moment.timestamp() as u64);
        params.not_before = since(state.now);
        params.not_after = since(state.now + chrono::Duration::days(90));
        params.signed_by(&key, &self.issuer).expect("signs").pem()
    }
}

/// Says whether an external account vouches for a key.
fn is_bound(binding: &Value, key: &Value, url: &Value) -> bool {
    if binding.is_null() {
        return false;
    }
    let head: Value = serde_json::from_slice(&part(binding, "protected")).expect("JSON");
    let payload: Value = serde_json::from_slice(&part(binding, "payload")).expect("JSON");
    let signed = format!("{}.{}", text(binding, "protected"), text(binding, "payload"));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &B64.decode(EXTERNAL.1).expect("base64url"));
    head["kid"] == EXTERNAL.0
        && head["url"] == *url
        && payload == *key
        && hmac::verify(&secret, signed.as_bytes(), &part(binding, "signature")).is_ok()
}

async fn look_by_http(place: Place, host: &str, token: &str, answer: &str) -> Result<(), String> {
    let to = place.plain.ok_or("nobody listens in plain text")?;
    let path = format!("/.well-known/acme-challenge/{token}");
    let found = plain::get(to, &path, &[("host", host)]).await;
    let text = found.text();
    if found.status == 200 && text == answer { Ok(()) } else { Err(format!("{}: {text}", found.status)) }
}

async fn look_by_handshake(place: Place, host: &str, answer: &str) -> Result<(), String> {
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let stream = TcpStream::connect(place.tls).await.map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let shown = stream.get_ref().1;
    if shown.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("another protocol".to_owned());
    }
    let own = &shown.peer_certificates().expect("a certificate")[0];
    let digest = digest::digest(&digest::SHA256, answer.as_bytes());
    // The extension: its id, that it is critical, and a string of octets in one of octets.
    let wanted = [ACME_IDENTIFIER, &[0x01, 0x01, 0xff, 0x04, 0x22, 0x04, 0x20], digest.as_ref()].concat();
    let holds = |wanted: &[u8]| own.windows(wanted.len()).any(|part| part == wanted);
    if holds(&wanted) && holds(host.as_bytes()) { Ok(()) } else { Err("another certificate".to_owned()) }
}

/// Believes everybody: what matters stands in the certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
