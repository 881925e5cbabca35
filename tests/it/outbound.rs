//! The client for strangers' URLs against the worst of strangers: real servers on loopback addresses, of which the operator allows
//! 127.0.0.2 ("outside") and nothing else ("inside" is 127.0.0.1).

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use linkforty::{
    config::Config,
    outbound::{
        Failure, Outbound, OutboundRequest, OutboundResponse, Refused, Resolver, Special, SystemResolver,
        TenantHeaders,
    },
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{eventually, variable};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures");
const OUTSIDE: &str = "127.0.0.2";
const INSIDE: &str = "127.0.0.1";
const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
/// As much as the kernel's buffers of both sides may take from a server whose answer nobody reads.
const BUFFERS: u64 = 32 * 1024 * 1024;

/// Gives the answers that a test wrote, in turn; the last one again and again.
#[derive(Debug)]
struct Script {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Script {
    fn of(answers: &[&[&str]]) -> Arc<Self> {
        let address = |text: &&str| text.parse().expect("an address");
        let answers = answers.iter().rev().map(|answer| answer.iter().map(address).collect()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Resolver for Script {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().expect("nobody panicked");
        let answer = if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
        answer.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A server that does what a test wants, once it has read the head of a request.
struct Stranger {
    at: SocketAddr,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Stranger {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns a URL of a public name that leads here.
    fn url(&self) -> String {
        format!("http://hooks.shop.com:{}/in?a=b", self.at.port())
    }
}

async fn stranger_at<F>(at: &str, serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Stranger
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(at).await.expect("a free port");
    let at = listener.local_addr().expect("it listens");
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let task = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            open.push(AbortOnDropHandle::new(tokio::spawn(serve(stream))));
        }
    });
    Stranger { at, connections, _task: AbortOnDropHandle::new(task) }
}

/// A stranger outside who reads the head of a request and answers with these bytes.
async fn who_answers(bytes: impl Into<Vec<u8>>) -> Stranger {
    let bytes: Arc<[u8]> = bytes.into().into();
    stranger_at(&format!("{OUTSIDE}:0"), move |mut stream| {
        let bytes = bytes.clone();
        async move {
            head(&mut stream).await;
            // Who is called may have hung up.
            drop(stream.write_all(&bytes).await);
        }
    })
    .await
}

/// A stranger outside who, after `first`, sends `again` until nobody takes it, and counts the bytes that left.
async fn who_never_ends(first: &'static [u8], again: Vec<u8>, pause: Duration) -> (Stranger, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let again: Arc<[u8]> = again.into();
    let stranger = stranger_at(&format!("{OUTSIDE}:0"), move |mut stream| {
        let (sent, again) = (counted.clone(), again.clone());
        async move {
            head(&mut stream).await;
            drop(stream.write_all(first).await);
            while stream.write_all(&again).await.is_ok() {
                sent.fetch_add(again.len() as u64, Ordering::SeqCst);
                tokio::time::sleep(pause).await;
            }
        }
    })
    .await;
    (stranger, sent)
}

/// Reads the head of a request.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn client_with(stage: &str, settings: &[(&str, &str)], resolver: Arc<dyn Resolver>) -> Outbound {
    let mut settings: HashMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    settings.insert("APP_ENV".to_owned(), stage.to_owned());
    if stage == "production" {
        for (name, value) in [
            ("DATABASE_URL", "postgres://app:q1J8mWv0Zr5T@db/linkforty"),
            ("JWT_SECRET", "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO"),
            ("SESSION_SECRET", "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa"),
            ("FRONTEND_URL", "https://dash.example.com"),
            ("LINKS_URL", "https://go.example.com"),
        ] {
            settings.insert(name.to_owned(), value.to_owned());
        }
    }
    let config = Config::from_lookup(&|name| settings.get(name).cloned()).expect("good settings");
    Outbound::new(&config, resolver).expect("a client")
}

/// A client that may call `ports` at the address outside.
fn client(ports: &[u16], resolver: Arc<dyn Resolver>) -> Outbound {
    client_and(ports, resolver, &[])
}

fn client_and(ports: &[u16], resolver: Arc<dyn Resolver>, more: &[(&str, &str)]) -> Outbound {
    let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let mut settings = vec![("OUTBOUND_ALLOW_NETWORKS", "127.0.0.2/32"), ("OUTBOUND_ALLOW_PORTS", &ports)];
    settings.extend(more);
    client_with("development", &settings, resolver)
}

/// Calls a stranger outside with bounds that suit a test.
async fn call(stranger: &Stranger) -> Result<OutboundResponse, Failure> {
    let client = client(&[stranger.at.port()], Script::of(&[&[OUTSIDE]]));
    let url = client.url(&stranger.url()).expect("a good URL");
    client.send(OutboundRequest { timeout: Some(Duration::from_secs(2)), ..OutboundRequest::get(url) }).await
}

fn text(answer: &OutboundResponse) -> &str {
    str::from_utf8(&answer.body).expect("text")
}

#[tokio::test]
async fn an_answer_comes_back_and_the_request_is_ours() {
    let (heard, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let stranger = stranger_at(&format!("{OUTSIDE}:0"), move |mut stream| {
        let heard = heard.clone();
        async move {
            let request = head(&mut stream).await;
            let mut body = [0; 7];
            stream.read_exact(&mut body).await.expect("a body");
            heard.send((request, body)).expect("the test listens");
            stream.write_all(FINE).await.expect("writes");
        }
    })
    .await;
    let client = client(&[stranger.at.port()], Script::of(&[&[OUTSIDE]]));
    let url = client.url(&stranger.url()).expect("a good URL");
    let mut request = OutboundRequest::post(url, Bytes::from_static(b"message"));
    request.tenant_headers = TenantHeaders::parse([("authorization", "Bearer 7"), ("webhook-id", "forged")])
        .expect("good headers");
    request.headers.insert("webhook-id", HeaderValue::from_static("real"));
    request.headers.insert("host", HeaderValue::from_static("inside"));
    let answer = client.send(request).await.expect("an answer");
    assert_eq!((answer.status, text(&answer), answer.truncated), (StatusCode::OK, "fine", false));
    assert_eq!(answer.address.to_string(), OUTSIDE);

    let (request, body) = requests.recv().await.expect("it was called");
    let mut lines: Vec<&str> = request.lines().filter(|line| !line.is_empty()).collect();
    lines[1..].sort_unstable();
    let host = format!("host: hooks.shop.com:{}", stranger.at.port());
    assert_eq!(
        lines,
        [
            "POST /in?a=b HTTP/1.1",
            "accept-encoding: identity",
            "authorization: Bearer 7",
            "connection: close",
            "content-length: 7",
            &host,
            "user-agent: linkforty",
            "webhook-id: real",
        ]
    );
    assert_eq!(&body, b"message");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called() {
    for address in [
        "127.0.0.1",
        "127.255.255.255",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "fe80::1",
        "100.100.100.200",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.8",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "fc00::1",
        "ff02::1",
        "2a00:1450::5efe:10.0.0.1",
    ] {
        let client = client_with("production", &[], Script::of(&[&[address]]));
        let url = client.url("https://hooks.shop.com/").expect("a good URL");
        let failure = client.send(OutboundRequest::get(url)).await.expect_err(address);
        assert!(matches!(failure, Failure::Address { .. }), "{address}: {failure:?}");
        // What whoever gave the URL reads says nothing of where it led.
        assert_eq!(
            failure.to_string(),
            "the host's name leads to an address that is not on the public internet"
        );
    }
    // Saved while the operator allowed it, called when no longer.
    let loose =
        client_with("development", &[("OUTBOUND_ALLOW_NETWORKS", "127.0.0.0/8,::/1")], Script::of(&[]));
    let strict = client_with("production", &[], Script::of(&[]));
    for host in
        ["127.0.0.1", "2130706433", "[::1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"]
    {
        let raw = format!("https://{host}/");
        let url = loose.url(&raw).expect("it is allowed");
        assert!(matches!(strict.url(&raw), Err(Refused::Address(_))), "{host}");
        let failure = strict.send(OutboundRequest::get(url)).await.expect_err(host);
        assert!(matches!(failure, Failure::Refused(Refused::Address(_))), "{host}: {failure:?}");
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_leads_nowhere_inside() {
    let outside = who_answers(FINE).await;
    let inside = stranger_at(&format!("{INSIDE}:{}", outside.at.port()), |_| async {}).await;
    let resolver = Script::of(&[&[OUTSIDE], &[INSIDE]]);
    let client = client(&[outside.at.port()], resolver.clone());
    let url = client.url(&outside.url()).expect("a good URL");

    // It is asked once, and what it says afterwards is not heard.
    let answer = client.send(OutboundRequest::get(url.clone())).await.expect("an answer");
    assert_eq!((answer.address.to_string().as_str(), resolver.asked.load(Ordering::SeqCst)), (OUTSIDE, 1));
    for _ in 0..3 {
        let failure = client.send(OutboundRequest::get(url.clone())).await.expect_err("it leads inside now");
        assert!(
            matches!(failure, Failure::Address { special: Special::Loopback, .. }),
            "{failure:?} is not about the address"
        );
    }
    assert_eq!((outside.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_may_be_called_is() {
    let outside = who_answers(FINE).await;
    let inside = stranger_at(&format!("{INSIDE}:{}", outside.at.port()), |_| async {}).await;
    let client =
        client(&[outside.at.port()], Script::of(&[&[INSIDE, "10.0.0.1", "::ffff:127.0.0.2", OUTSIDE]]));
    let url = client.url(&outside.url()).expect("a good URL");
    let answer = client.send(OutboundRequest::get(url)).await.expect("an answer");
    assert_eq!(answer.address.to_string(), OUTSIDE);
    assert_eq!((outside.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn names_without_an_address_and_hosts_without_a_listener_are_told_apart() {
    let nobody = Script::of(&[]);
    let client = client(&[1], nobody);
    let url = client.url("http://hooks.shop.com:1/").expect("a good URL");
    let failure = client.send(OutboundRequest::get(url.clone())).await.expect_err("an unknown name");
    assert!(matches!(failure, Failure::Name(_)), "{failure:?}");

    let empty = self::client(&[1], Script::of(&[&[]]));
    let failure = empty.send(OutboundRequest::get(url.clone())).await.expect_err("a name of nothing");
    assert!(matches!(failure, Failure::NoAddress), "{failure:?}");

    let refusing = self::client(&[1], Script::of(&[&[OUTSIDE]]));
    let failure = refusing.send(OutboundRequest::get(url)).await.expect_err("nobody listens");
    assert!(matches!(failure, Failure::Connect(_)), "{failure:?}");
}

#[tokio::test]
async fn the_machine_looks_names_up() {
    let found = SystemResolver::default().resolve("localhost").await.expect("every machine has it");
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    assert!(SystemResolver::default().resolve("no such name").await.is_err());
}

#[tokio::test]
async fn redirects_are_answers() {
    for place in ["http://169.254.169.254/latest/meta-data/", "/elsewhere", "https://127.0.0.1/"] {
        let answer = format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n");
        let stranger = who_answers(answer).await;
        let answer = call(&stranger).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::FOUND);
        assert_eq!(answer.headers["location"], place);
        assert_eq!(stranger.connections(), 1);
    }
}

#[tokio::test]
async fn silence_and_dribble_end_at_the_deadline() {
    let silent = stranger_at(&format!("{OUTSIDE}:0"), |mut stream| async move {
        head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let second = Duration::from_millis(200);
    let (slow_head, _) = who_never_ends(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n".to_vec(), second).await;
    let (slow_body, _) =
        who_never_ends(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"a".to_vec(), second).await;
    let (slow_chunks, _) = who_never_ends(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"1\r\na\r\n".to_vec(),
        second,
    )
    .await;
    let outcomes = tokio::join!(call(&silent), call(&slow_head), call(&slow_body), call(&slow_chunks));
    for outcome in [outcomes.0, outcomes.1, outcomes.2, outcomes.3] {
        assert!(matches!(outcome, Err(Failure::Timeout)), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_and_costs_no_more_than_its_beginning() {
    for first in [
        &b"HTTP/1.1 200 OK\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
    ] {
        let (stranger, sent) = who_never_ends(first, vec![b'a'; 64 * 1024], Duration::ZERO).await;
        let answer = call(&stranger).await.expect("an answer");
        assert!(answer.truncated && answer.body.len() == 64 * 1024, "{} bytes", answer.body.len());
        assert!(answer.body.iter().all(|byte| *byte == b'a'), "nothing is unpacked");
        assert!(sent.load(Ordering::SeqCst) < BUFFERS, "{} bytes were taken", sent.load(Ordering::SeqCst));
    }
    let chunks = b"1\r\na\r\n".repeat(10_000);
    let first = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let (stranger, sent) = who_never_ends(first, chunks, Duration::ZERO).await;
    let answer = call(&stranger).await.expect("an answer");
    assert!(answer.truncated && answer.body.len() == 64 * 1024, "{} bytes", answer.body.len());
    assert!(sent.load(Ordering::SeqCst) < BUFFERS);
}

#[tokio::test]
async fn a_body_of_just_the_bound_is_whole() {
    for (length, truncated) in [(0, false), (65_535, false), (65_536, false), (65_537, true)] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "a".repeat(length));
        let answer = call(&who_answers(answer).await).await.expect("an answer");
        assert_eq!((answer.truncated, answer.body.len()), (truncated, length.min(65_536)));
    }
}

#[tokio::test]
async fn too_many_headers_and_interim_answers_without_end_are_failures() {
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1024 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    for answer in [large, many, format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(16 * 1024))] {
        let outcome = call(&who_answers(answer).await).await;
        assert!(matches!(outcome, Err(Failure::HeadersTooLarge)), "{outcome:?}");
    }
    let fits = format!("HTTP/1.1 204 No Content\r\nx: {}\r\n\r\n", "a".repeat(15 * 1024));
    assert_eq!(call(&who_answers(fits).await).await.expect("an answer").status, StatusCode::NO_CONTENT);

    let (stranger, sent) =
        who_never_ends(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n".repeat(1000), Duration::ZERO).await;
    let outcome = call(&stranger).await;
    assert!(matches!(outcome, Err(Failure::HeadersTooLarge)), "{outcome:?}");
    assert!(sent.load(Ordering::SeqCst) < BUFFERS);

    let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
    let (stranger, sent) = who_never_ends(b"", interim, Duration::ZERO).await;
    let outcome = call(&stranger).await;
    assert!(matches!(outcome, Err(Failure::Flood)), "{outcome:?}");
    assert!(sent.load(Ordering::SeqCst) < BUFFERS);

    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;{}", "a".repeat(1024 * 1024));
    let outcome = call(&who_answers(chunked).await).await;
    assert!(matches!(outcome, Err(Failure::Protocol(_))), "{outcome:?}");
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    for (bytes, name) in [
        (&b""[..], "closed"),
        (b"HTTP/1.1 200 OK\r\n", "closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfine", "closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nfine", "protocol"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "protocol"),
        (b"\0\0\x12\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "protocol"),
    ] {
        let outcome = call(&who_answers(bytes).await).await;
        let failure = outcome.expect_err("it is no answer");
        assert_eq!(failure.name(), name, "{:?}: {failure:?}", String::from_utf8_lossy(bytes));
    }
    // A switch of protocols is an answer, and nothing more is said.
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n";
    let outcome = call(&who_answers(switch).await).await;
    assert_eq!(outcome.expect("an answer").status, StatusCode::SWITCHING_PROTOCOLS);
}

#[tokio::test]
async fn one_host_gets_so_many_calls_at_a_time_and_a_dropped_call_hangs_up() {
    let (hung_up, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let silent = stranger_at(&format!("{OUTSIDE}:0"), move |mut stream| {
        let hung_up = hung_up.clone();
        async move {
            head(&mut stream).await;
            let end = stream.read(&mut [0]).await;
            hung_up.send(end.is_err() || end.is_ok_and(|bytes| bytes == 0)).expect("the test listens");
        }
    })
    .await;
    let script = Script::of(&[&[OUTSIDE]]);
    let client = client_and(&[silent.at.port()], script, &[("OUTBOUND_MAX_PER_HOST", "2")]);
    let request = OutboundRequest::get(client.url(&silent.url()).expect("a good URL"));
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let (client, request) = (client.clone(), request.clone());
            AbortOnDropHandle::new(tokio::spawn(async move { client.send(request).await.map(|_| ()) }))
        })
        .collect();
    eventually("both are called", async || silent.connections() == 2).await;
    let failure = client.send(request.clone()).await.expect_err("there is no place");
    assert!(matches!(failure, Failure::Busy), "{failure:?}");
    assert_eq!(silent.connections(), 2);

    drop(calls);
    for _ in 0..2 {
        assert_eq!(ends.recv().await, Some(true));
    }
    let short = OutboundRequest { timeout: Some(Duration::from_secs(1)), ..request };
    let failure = client.send(short).await.expect_err("it is silent");
    assert!(matches!(failure, Failure::Timeout), "there are places again: {failure:?}");
}

/// A stranger outside who, over TLS under a certificate of the fixtures, gives `answer` so many times.
async fn behind(pair: &str, answer: &'static [u8], times: usize) -> Stranger {
    let certificate = CertificateDer::from_pem_file(format!("{FIXTURES}/{pair}.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(format!("{FIXTURES}/{pair}.key")).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a pair")));
    stranger_at(&format!("{OUTSIDE}:0"), move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            head(&mut stream).await;
            for _ in 0..times {
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
            drop(stream.shutdown().await);
        }
    })
    .await
}

#[tokio::test]
async fn a_certificate_must_prove_the_name() {
    let good = format!("{FIXTURES}/authority.pem");
    let expired = format!("{FIXTURES}/expired-authority.pem");
    for (pair, host, authorities, expected) in [
        ("first", "localhost", Some(&good), Ok("fine")),
        ("first", "hooks.shop.com", Some(&good), Err("the host's certificate is for another name")),
        ("first", OUTSIDE, Some(&good), Err("the host's certificate is for another name")),
        ("first", "localhost", None, Err("the host's certificate is signed by nobody this server knows")),
        ("expired", "localhost", Some(&expired), Err("the host's certificate has expired")),
    ] {
        let stranger = behind(pair, FINE, 1).await;
        let more: Vec<_> = authorities.map(|file| ("OUTBOUND_CA_FILE", file.as_str())).into_iter().collect();
        let client = client_and(&[stranger.at.port()], Script::of(&[&[OUTSIDE]]), &more);
        let url = client.url(&format!("https://{host}:{}/", stranger.at.port())).expect("a good URL");
        let outcome = client.send(OutboundRequest::get(url)).await;
        let outcome = outcome.as_ref().map(text).map_err(ToString::to_string);
        assert_eq!(outcome, expected.map_err(str::to_owned), "{pair} as {host}");
    }
}

#[tokio::test]
async fn a_handshake_that_fails_or_never_ends_is_a_failure() {
    let plain = stranger_at(&format!("{OUTSIDE}:0"), |mut stream| async move {
        drop(stream.write_all(FINE).await);
    })
    .await;
    let silent = stranger_at(&format!("{OUTSIDE}:0"), |stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let records = stranger_at(&format!("{OUTSIDE}:0"), |mut stream| async move {
        // Alerts of no consequence, one after the other.
        while stream.write_all(b"\x15\x03\x03\0\x02\x01\x5a").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let certificates = stranger_at(&format!("{OUTSIDE}:0"), |mut stream| async move {
        // The first byte of a handshake message, again and again: each says that the rest is to come.
        while stream.write_all(b"\x16\x03\x03\0\x01\x0b").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (stranger, names) in [
        (plain, &["tls"][..]),
        (silent, &["connect_timeout"]),
        (records, &["tls", "flood", "connect_timeout"]),
        (certificates, &["tls", "flood"]),
    ] {
        let settings = [("OUTBOUND_CONNECT_TIMEOUT_MS", "1000")];
        let client = client_and(&[stranger.at.port()], Script::of(&[&[OUTSIDE]]), &settings);
        let url = client.url(&stranger.url().replace("http:", "https:")).expect("a good URL");
        let failure = client.send(OutboundRequest::get(url)).await.expect_err("there is no handshake");
        assert!(names.contains(&failure.name()), "{failure:?}");
    }
}

#[tokio::test]
async fn what_is_encrypted_is_bounded_too() {
    let authorities = format!("{FIXTURES}/authority.pem");
    for (answer, name) in [
        (&b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"[..], "flood"),
        (b"HTTP/1.1 200 OK\r\nx: ", "headers_too_large"),
    ] {
        let stranger = behind("first", answer, usize::MAX).await;
        let settings = [("OUTBOUND_CA_FILE", authorities.as_str())];
        let client = client_and(&[stranger.at.port()], Script::of(&[&[OUTSIDE]]), &settings);
        let url = client.url(&format!("https://localhost:{}/", stranger.at.port())).expect("a good URL");
        let failure = client.send(OutboundRequest::get(url)).await.expect_err("it never ends");
        assert_eq!(failure.name(), name, "{failure:?}");
    }
}

#[tokio::test]
async fn production_calls_https_only() {
    let client = client_with("production", &[], Script::of(&[]));
    assert_eq!(client.url("http://hooks.shop.com/"), Err(Refused::Plain));
    let loose = client_with("development", &[], Script::of(&[&[OUTSIDE]]));
    let url = loose.url("http://hooks.shop.com/").expect("this is development");
    let failure = client.send(OutboundRequest::get(url)).await.expect_err("this is production");
    assert!(matches!(failure, Failure::Refused(Refused::Plain)), "{failure:?}");
}

#[test]
fn authorities_that_cannot_be_read_are_an_error_at_the_start() {
    let empty = tempfile::NamedTempFile::new().expect("a temporary file");
    for file in ["/nowhere/authorities.pem", &empty.path().display().to_string()] {
        let settings = [("OUTBOUND_CA_FILE", file)];
        let config = Config::from_lookup(&|name| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
        .expect("good settings");
        let error = Outbound::new(&config, Script::of(&[])).expect_err(file);
        assert!(format!("{error:#}").contains("OUTBOUND_CA_FILE"), "{error:#}");
    }
}

const CHILD: &str = "LINKFORTY_TEST_OUTBOUND_CHILD";

/// Runs itself once more with an environment that names a proxy.
#[tokio::test]
async fn proxies_of_the_environment_are_not_asked() {
    let stranger = who_answers(FINE).await;
    if variable(CHILD).is_some() {
        assert_eq!(call(&stranger).await.expect("an answer").status, StatusCode::OK);
        return;
    }
    let proxy = stranger_at(&format!("{INSIDE}:0"), |_| async {}).await;
    let url = format!("http://{}", proxy.at);
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", "outbound::proxies_of_the_environment_are_not_asked"]).env(CHILD, "1");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &url);
    }
    let output =
        tokio::task::spawn_blocking(move || child.output()).await.expect("it ends").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn pages_are_called_by_https_in_production_whatever_their_urls_say() {
    let client = client_with("production", &[], Script::of(&[&[INSIDE]]));
    for (raw, called) in [
        ("http://shop.com/a?b#c", Ok("https://shop.com/a?b")),
        ("HTTP://shop.com", Ok("https://shop.com/")),
        ("https://shop.com/#", Ok("https://shop.com/")),
        ("http://shop.com:80/", Ok("https://shop.com/")),
        ("http://shop.com:8080/", Err(Refused::Port(8080))),
        ("http://127.0.0.1/", Err(Refused::Address(Special::Loopback))),
        ("ftp://shop.com/", Err(Refused::Scheme)),
        ("#", Err(Refused::Scheme)),
    ] {
        let url = client.page_url(raw);
        assert_eq!(
            url.as_ref().map(linkforty::outbound::OutboundUrl::as_str).map_err(|why| *why),
            called,
            "{raw}"
        );
    }
}
