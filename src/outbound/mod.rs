//! The one client for URLs that strangers gave: it calls the public internet and what the operator allows, and nothing else.
//!
//! - A URL is checked when it is saved ([`OutboundUrl`]) and again when it is called; https only, in production.
//! - A name is looked up once for each call, every address is judged, and the connection goes to one that was judged: who changes the
//!   answer in between changes nothing. Certificate and `Host` are still those of the name.
//! - One request, one connection, one answer. Nothing is decompressed, no cookie is kept, no connection or TLS session is left for another
//!   call, and proxies named in the environment are not asked. [`send`](Outbound::send) follows no redirect;
//!   [`fetch`](Outbound::fetch) follows a few, each judged as if a stranger had given it.
//! - Every call has an end: a bound on time (looking up, connecting and shaking hands have their own within it), on the bytes of the
//!   headers, of the body and of everything together, and on calls under way to one host and to one address.
//!
//! Nothing is spawned: dropping a call closes its connection. Nothing is retried either; that is the caller's to decide.
//!
//! | file | holds |
//! |---|---|
//! | `address.rs` | which addresses may be called |
//! | `target.rs` | which URLs may be saved |
//! | `headers.rs` | which headers may be added |
//! | `follow.rs` | pages behind redirects |
//! | `crowd.rs` | how many calls are under way |
//! | `retry_after.rs` | how long somebody wants to be left alone |
//! | `resolve.rs`, `tls.rs`, `wire.rs` | looking up, encrypting, counting bytes |
//! | `certificate.rs` | what a certificate says of itself |
//! | `failure.rs` | how a call ends without an answer |

mod address;
mod certificate;
mod crowd;
mod failure;
mod follow;
mod headers;
mod resolve;
mod retry_after;
mod target;
mod tls;
mod wire;

use std::{fmt, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;
use url::Host;

pub use self::{
    address::{Special, Verdict, verdict},
    certificate::Certificate,
    failure::Failure,
    follow::Fetched,
    headers::{HeaderFault, HeaderRefused, TenantHeaders},
    resolve::{Resolver, SystemResolver},
    retry_after::retry_after,
    target::{OutboundUrl, Policy, Refused},
};
use self::{
    crowd::{Crowd, Place},
    tls::Roots,
    wire::{Stream, Wire},
};
use crate::config::Config;

/// Bytes of headers that are read unless a request says otherwise.
const HEADER_BYTES: usize = 16 * 1024;
/// Bytes of a body that are read unless a request says otherwise.
const RESPONSE_BYTES: usize = 64 * 1024;
/// hyper reads no smaller heads.
const MIN_BUFFER: usize = 8 * 1024;
/// How many addresses of a name are tried.
const ADDRESSES: usize = 4;
/// How many bytes may come for one of the body: more than it takes even when each is a chunk of its own.
const BYTES_FOR_ONE: u64 = 8;
/// Bytes that may come besides: the TLS handshake, mostly certificates.
const BESIDES: u64 = 64 * 1024;
const USER_AGENT: HeaderValue = HeaderValue::from_static("linkforty");

/// Calls strangers. Clones share the count of calls under way.
#[derive(Clone)]
pub struct Outbound {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolver>,
    tls: TlsConnector,
    roots: Roots,
    crowd: Crowd,
    connect_timeout: Duration,
    timeout: Duration,
}

/// What to send, and how much may come back.
#[derive(Debug, Clone)]
pub struct OutboundRequest {
    /// Where to.
    pub url: OutboundUrl,
    /// How.
    pub method: Method,
    /// Headers of ours, which win over the stranger's.
    pub headers: HeaderMap,
    /// Headers that the stranger wants.
    pub tenant_headers: TenantHeaders,
    /// The body.
    pub body: Bytes,
    /// How long the call may take in all; never longer than `OUTBOUND_TIMEOUT_MS`, which `None` stands for.
    pub timeout: Option<Duration>,
    /// How many bytes of headers the answer may have; more is a failure.
    pub max_header_bytes: usize,
    /// How many bytes of the answer's body are read; the rest is left.
    pub max_response_bytes: usize,
}

impl OutboundRequest {
    /// Returns a request for a page: at most 16 KiB of headers and 64 KiB of body.
    pub fn get(url: OutboundUrl) -> Self {
        Self {
            url,
            method: Method::GET,
            headers: HeaderMap::new(),
            tenant_headers: TenantHeaders::default(),
            body: Bytes::new(),
            timeout: None,
            max_header_bytes: HEADER_BYTES,
            max_response_bytes: RESPONSE_BYTES,
        }
    }

    /// Returns a request that brings something, with the bounds of [`get`](Self::get).
    pub fn post(url: OutboundUrl, body: Bytes) -> Self {
        Self { method: Method::POST, body, ..Self::get(url) }
    }

    /// Returns how many bytes may come over the connection, TLS and all. A buffer's worth may be read ahead of what is asked for.
    const fn bytes(&self) -> u64 {
        let body = BYTES_FOR_ONE.saturating_mul(self.max_response_bytes as u64);
        body.saturating_add(2 * self.buffer() as u64 + BESIDES)
    }

    const fn buffer(&self) -> usize {
        if self.max_header_bytes > MIN_BUFFER { self.max_header_bytes } else { MIN_BUFFER }
    }
}

/// What came back, whatever its status: a redirect is an answer too.
#[derive(Debug, Clone)]
pub struct OutboundResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it was sent (never decompressed), up to the bound.
    pub body: Bytes,
    /// Whether there was more of the body.
    pub truncated: bool,
    /// How long it took in all.
    pub took: Duration,
    /// Who answered.
    pub address: IpAddr,
}

/// What a host showed of itself when hands were shaken.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its certificates, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Why they are not believed, if they are not.
    pub fault: Option<rustls::Error>,
    /// Who answered.
    pub address: IpAddr,
}

/// A connection to an address that was judged.
struct Connected {
    stream: Box<dyn Stream>,
    address: IpAddr,
    /// Its place among the calls to that address.
    place: Place,
}

impl Outbound {
    /// Returns the client of the settings. A file of authorities that cannot be used is an error.
    pub fn new(config: &Config, resolver: Arc<dyn Resolver>) -> anyhow::Result<Self> {
        let settings = &config.outbound;
        let roots = Roots::read(settings.ca_file.as_deref())?;
        Ok(Self {
            policy: Arc::new(Policy::of(config)),
            resolver,
            tls: roots.connector(),
            roots,
            crowd: Crowd::new(settings.max_per_host),
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
        })
    }

    /// Returns the same client for hosts that the operator names: these networks and ports may be called besides.
    #[must_use]
    pub fn and_to(&self, networks: &[IpNet], ports: &[u16]) -> Self {
        Self { policy: Arc::new(self.policy.and(networks, ports)), ..self.clone() }
    }

    /// Checks a URL that a stranger gave, before it is saved.
    pub fn url(&self, raw: &str) -> Result<OutboundUrl, Refused> {
        OutboundUrl::parse(raw, &self.policy)
    }

    /// Calls, once. The answer or the failure is there within the bounds of the request and of the settings.
    pub async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, Failure> {
        let outcome = self.call(request).await;
        let name = outcome.as_ref().map_or_else(Failure::name, |_| "answered");
        metrics::counter!("linkforty_outbound_calls_total", "outcome" => name).increment(1);
        outcome
    }

    async fn call(&self, request: OutboundRequest) -> Result<OutboundResponse, Failure> {
        self.policy.check(&request.url).map_err(Failure::Refused)?;
        let _at_host = self.crowd.at_host(request.url.host_text()).ok_or(Failure::Busy)?;
        let message = message(&request)?;

        let started = Instant::now();
        let longest = request.timeout.unwrap_or(self.timeout).min(self.timeout);
        let deadline = started + longest;
        let connected_by = started + longest.min(self.connect_timeout);
        let connecting = timeout_at(connected_by, self.connect(&request, connected_by));
        let connected = connecting.await.map_err(|_| Failure::ConnectTimeout)??;

        let Connected { stream, address, place: _at_address } = connected;
        let exchanging = timeout_at(deadline, exchange(stream, message, &request));
        let (parts, body, truncated) = exchanging.await.map_err(|_| Failure::Timeout)??;
        let took = started.elapsed();
        Ok(OutboundResponse { status: parts.status, headers: parts.headers, body, truncated, took, address })
    }

    /// Shakes hands with a host and says what it showed of itself, believed or not. Nothing is sent. Bounded as a call is.
    pub async fn shake_hands(&self, url: &OutboundUrl) -> Result<Shown, Failure> {
        self.policy.check(url).map_err(Failure::Refused)?;
        let _at_host = self.crowd.at_host(url.host_text()).ok_or(Failure::Busy)?;
        let deadline = Instant::now() + self.timeout.min(self.connect_timeout);
        let shaking = async {
            let (stream, address, _place) = self.reach_host(url, deadline).await?;
            let (connector, notes) = self.roots.taking_notes()?;
            let stream = Wire::new(stream, BESIDES);
            let shaken = connector.connect(server_name(url)?, stream).await;
            let (chain, fault) = notes.taken();
            match shaken {
                Err(error) if chain.is_empty() => Err(Failure::of_handshake(error)),
                Ok(_) | Err(_) => Ok(Shown { chain, fault, address }),
            }
        };
        timeout_at(deadline, shaking).await.map_err(|_| Failure::ConnectTimeout)?
    }

    async fn connect(&self, request: &OutboundRequest, deadline: Instant) -> Result<Connected, Failure> {
        let url = &request.url;
        let (stream, address, place) = self.reach_host(url, deadline).await?;
        let stream = Wire::new(stream, request.bytes());
        if !url.is_https() {
            return Ok(Connected { stream: Box::new(stream), address, place });
        }
        let stream = self.tls.connect(server_name(url)?, stream).await.map_err(Failure::of_handshake)?;
        Ok(Connected { stream: Box::new(stream), address, place })
    }

    /// Looks a host up, judges its addresses and connects to one.
    async fn reach_host(
        &self,
        url: &OutboundUrl,
        deadline: Instant,
    ) -> Result<(TcpStream, IpAddr, Place), Failure> {
        let found = match url.host() {
            Host::Ipv4(address) => vec![address.into()],
            Host::Ipv6(address) => vec![address.into()],
            Host::Domain(name) => self.resolver.resolve(name).await.map_err(Failure::Name)?,
        };
        let addresses = self.callable(found)?;
        self.reach(&addresses, url.port(), deadline).await
    }

    /// Keeps the addresses that may be called, each once.
    fn callable(&self, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Failure> {
        let mut callable = Vec::new();
        let mut refused = None;
        for address in found {
            let address = address.to_canonical();
            match self.policy.judge(address) {
                Verdict::Refused(special) => {
                    refused = refused.or(Some(Failure::Address { address, special }));
                }
                Verdict::Public | Verdict::Allowed if callable.contains(&address) => {}
                Verdict::Public | Verdict::Allowed => callable.push(address),
            }
        }
        callable.truncate(ADDRESSES);
        if callable.is_empty() { Err(refused.unwrap_or(Failure::NoAddress)) } else { Ok(callable) }
    }

    /// Connects to the first address that takes the connection; each may use an even part of the time that is left.
    async fn reach(
        &self,
        addresses: &[IpAddr],
        port: u16,
        deadline: Instant,
    ) -> Result<(TcpStream, IpAddr, Place), Failure> {
        let mut last = Failure::NoAddress;
        for (tried, address) in addresses.iter().enumerate() {
            let Some(place) = self.crowd.at_address(*address) else {
                last = Failure::Busy;
                continue;
            };
            let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match timeout(share, TcpStream::connect((*address, port))).await {
                Ok(Ok(stream)) => {
                    // A request is one write; nothing is gained by holding its end back.
                    stream.set_nodelay(true).map_err(Failure::Connect)?;
                    return Ok((stream, *address, place));
                }
                Ok(Err(error)) => last = Failure::Connect(error),
                Err(_) => last = Failure::ConnectTimeout,
            }
        }
        Err(last)
    }
}

/// Returns whom the certificate has to be for.
fn server_name(url: &OutboundUrl) -> Result<ServerName<'static>, Failure> {
    match url.host() {
        Host::Ipv4(address) => Ok(ServerName::IpAddress(IpAddr::from(address).into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress(IpAddr::from(address).into())),
        Host::Domain(name) => {
            ServerName::try_from(name.to_owned()).map_err(|_| Failure::Refused(Refused::Host))
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Returns the message of a request: the stranger's headers, ours over them, and over both those that nobody chooses.
fn message(request: &OutboundRequest) -> Result<Request<Full<Bytes>>, Failure> {
    let invalid = || Failure::Refused(Refused::Invalid);
    let path: PathAndQuery = request.url.path_and_query().parse().map_err(|_| invalid())?;
    let host = HeaderValue::from_str(&request.url.authority()).map_err(|_| invalid())?;
    let mut headers = request.tenant_headers.map().clone();
    headers.insert(header::USER_AGENT, USER_AGENT);
    headers.extend(request.headers.clone());
    headers.insert(header::HOST, host);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // The length is the body's, and hyper knows it.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    let mut message = Request::new(Full::new(request.body.clone()));
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = Uri::from(path);
    *message.headers_mut() = headers;
    Ok(message)
}

async fn exchange(
    stream: Box<dyn Stream>,
    message: Request<Full<Bytes>>,
    request: &OutboundRequest,
) -> Result<(http::response::Parts, Bytes, bool), Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(request.buffer())
        .max_header_size(request.max_header_bytes)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::of_exchange)?;
    let answer = async {
        let answer = sender.send_request(message).await.map_err(Failure::of_exchange)?;
        let (parts, body) = answer.into_parts();
        let (body, truncated) = beginning(body, request.max_response_bytes).await?;
        Ok((parts, body, truncated))
    };
    let (mut answer, connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        answer = &mut answer => answer,
        // What it has read waits in the body, and so does the error that it has ended with.
        _ = connection => answer.await,
    }
}

/// Reads a body up to a bound and says whether there was more.
async fn beginning(mut body: Incoming, bound: usize) -> Result<(Bytes, bool), Failure> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Failure::of_exchange)?;
        let Ok(data) = frame.into_data() else { continue };
        let room = bound - read.len();
        if data.len() > room {
            read.extend_from_slice(&data[..room]);
            return Ok((read.freeze(), true));
        }
        read.extend_from_slice(&data);
    }
    Ok((read.freeze(), false))
}
