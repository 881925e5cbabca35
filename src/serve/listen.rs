//! The accept loops. tonic's own server undoes hyper's HTTP/2 protections and cannot cut connections, so we hold them ourselves.
//!
//! Every bound here has a reason in the constant that states it. A loop never ends by itself: when the process runs out of
//! files, it waits and tries again.

mod at_hand;

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use futures::{StreamExt as _, future::Either, stream::FuturesUnordered};
use http::{HeaderValue, Request, Response, Version, header};
use http_body::Body as HttpBody;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use ipnet::IpNet;
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until, timeout},
};
use tonic::transport::server::TcpConnectInfo;
use tower::{ServiceExt as _, util::Oneshot};

use self::at_hand::{Tasks, Turn, Turns};
use super::{
    last_call::{LAST_CALL, keep_newcomers_out},
    layers::network_of,
    shutdown::Life,
    tls::{Front, client_names},
};
use crate::env::Env;

/// How long a peer may take to begin: the TLS handshake, and then the first request head or HTTP/2 preface.
const BEGIN: Duration = Duration::from_secs(5);
/// How long an HTTP/1.1 connection may rest between requests, heads included. Longer than the 60 seconds that balancers keep
/// theirs, or they would send into a connection that we are closing.
const REST: Duration = Duration::from_secs(65);
/// How long a peer may take nothing of what is sent to it. Who only reads slowly takes something now and then.
const STALL: Duration = Duration::from_secs(30);
/// How often a connection is looked at whether it rests or stalls: it may do so for so much longer. hyper's own timer begins
/// anew with every answer, which costs a warm redirect a tenth of its time.
const LOOK: Duration = Duration::from_secs(5);
/// How old a connection may get, give or take a tenth, so that balancers spread them anew.
const AGE: Duration = Duration::from_mins(30);
/// How long an aged connection may finish what it has begun.
const AGED_GRACE: Duration = Duration::from_secs(30);
/// How long a connection of HTTP/1.1 that is to end still takes requests, each answered with `Connection: close`. A request that
/// is on its way while an idle connection is closed is lost, and with it the visit; HTTP/2 has GOAWAY for this.
const LINGER: Duration = Duration::from_millis(250);
/// The part of all connections that one address may hold, unless it is a trusted proxy: a quarter.
const SHARE_OF_ONE: usize = 4;
/// How long to wait when the process cannot accept, doubled up to a second.
const BACK_OFF: Duration = Duration::from_millis(20);

/// One listener.
pub(super) struct Door {
    name: &'static str,
    listener: TcpListener,
    tls: Option<Front>,
    env: Env,
    life: Life,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Their address, or that of the last proxy.
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

impl Door {
    pub(super) fn new(
        name: &'static str,
        listener: TcpListener,
        tls: Option<Front>,
        env: &Env,
        life: Life,
    ) -> Self {
        Self { name, listener, tls, env: env.clone(), life }
    }

    /// Begins to accept on `threads`, which have the connections too; `answer` answers each request.
    pub(super) fn open<H, F, B>(self, threads: &Handle, answer: H)
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = move |peer, request| Either::<_, Ready<_>>::Left(answer(peer, request));
        self.open_behind_porch(threads, answer);
    }

    /// The same, but what is `Right` is answered already, as soon as the message is read.
    pub(super) fn open_behind_porch<H, F, G, B>(self, threads: &Handle, answer: H)
    where
        H: Fn(Peer, Request<Incoming>) -> Either<F, G> + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        G: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let tasks = self.life.tasks.clone();
        tasks.spawn_on(self.accept(answer), threads);
    }

    async fn accept<H, F, G, B>(self, answer: H)
    where
        H: Fn(Peer, Request<Incoming>) -> Either<F, G> + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        G: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { name, listener, tls, env, life } = self;
        let most = env.config.listen.max_connections;
        let room = Arc::new(Semaphore::new(most));
        let crowd = Crowd::new((most / SHARE_OF_ONE).max(1), env.config.trusted_proxies.clone());
        let open = metrics::gauge!("linkforty_connections", "listener" => name);
        let turned_away = metrics::counter!("linkforty_connections_refused_total", "listener" => name);
        let mut back_off = BACK_OFF;
        let welcome = |stream: TcpStream, remote: SocketAddr, permit: OwnedSemaphorePermit| {
            let (Some(place), Ok(local)) = (crowd.enter(remote.ip()), stream.local_addr()) else {
                turned_away.increment(1);
                return;
            };
            let _ = stream.set_nodelay(true);
            let answer = answer.clone();
            let answer = move |request| answer(Peer { remote, local }, request);
            let (tls, life, open) = (tls.clone(), life.clone(), open.clone());
            let age = jittered(AGE, &env);
            life.tasks.clone().spawn(async move {
                open.increment(1.0);
                converse(stream, tls, answer, &life, age).await;
                open.decrement(1.0);
                drop((permit, place));
            });
        };
        loop {
            // Without room the rest waits in the kernel's queue.
            let permit = tokio::select! {
                () = life.closing.cancelled() => break,
                permit = room.clone().acquire_owned() => permit,
            };
            let Ok(permit) = permit else { break };
            let accepted = tokio::select! {
                () = life.closing.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => {
                    back_off = BACK_OFF;
                    welcome(stream, remote, permit);
                }
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    tracing::error!(%error, listener = name, "cannot accept connections; trying again");
                    sleep(back_off).await;
                    back_off = (back_off * 2).min(Duration::from_secs(1));
                }
            }
        }
        if let Err(error) = keep_newcomers_out(&listener) {
            tracing::debug!(%error, listener = name, "whoever comes in the moment of closing will be reset");
        }
        let last = async {
            while let Ok(permit) = room.clone().acquire_owned().await {
                match listener.accept().await {
                    Ok((stream, remote)) => welcome(stream, remote, permit),
                    Err(error) if concerns_one(&error) => {}
                    Err(_) => break,
                }
            }
        };
        let _ = timeout(LAST_CALL, last).await;
        tracing::debug!(listener = name, "accepts no more");
    }
}

/// Says whether an accept error is about the one connection and not about us.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn jittered(age: Duration, env: &Env) -> Duration {
    age * (900 + env.ids.below(201)) / 1000
}

/// What hyper is told. tonic's own server would pass `None` for several of these, which means no limit.
fn protocol(tasks: Tasks) -> auto::Builder<Tasks> {
    let mut builder = auto::Builder::new(tasks);
    builder
        .http1()
        // The next head may take as long as the connection may rest: see [`Rest`]. At most 100 headers, as hyper has it without
        // being told: told, it clears the room for them at every request.
        .header_read_timeout(None)
        // An answer is one piece as a rule, and pages are small.
        .writev(false)
        .max_buf_size(16 * 1024)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(8 * 1024)
        // Rapid reset: streams that the peer resets before we accept them, and that we reset for its errors.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024);
    builder
}

async fn converse<H, F, G, B>(stream: TcpStream, tls: Option<Front>, answer: H, life: &Life, age: Duration)
where
    H: Fn(Request<Incoming>) -> Either<F, G> + Send + 'static,
    G: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(tls) = tls else {
        return speak(stream, answer, life, age).await;
    };
    let handshake = tokio::select! {
        () = life.cutting.cancelled() => return,
        handshake = timeout(BEGIN, tls.shake_hands(stream)) => handshake,
    };
    match handshake {
        Ok(Ok(Some(stream))) => {
            let names = client_names(&stream);
            let answer = move |mut request: Request<Incoming>| {
                if let Some(names) = &names {
                    request.extensions_mut().insert(names.clone());
                }
                answer(request)
            };
            speak(stream, answer, life, age).await;
        }
        // An authority saw what it wanted.
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn speak<I, H, F, G, B>(stream: I, answer: H, life: &Life, age: Duration)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> Either<F, G> + Send + 'static,
    G: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let story = Arc::new(Story::default());
    let told = story.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        told.begun.store(true, Ordering::Relaxed);
        // HTTP/2 knows no header that ends a connection, and has pings that tell whether the peer is there.
        let task = (request.version() <= Version::HTTP_11).then(|| Task::begin(told.clone()));
        let inner = answer(request);
        if matches!(inner, Either::Right(_)) {
            told.turn.is_answered();
        }
        Answering { inner, task }
    });
    let stream = Opening { inner: stream, story: story.clone(), seen: 0 };
    let protocol = protocol(Tasks(story.turn.clone()));
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);

    let opened = Instant::now();
    let mut deadline = opened + BEGIN;
    let mut rest = Rest { tasks: 0, since: opened };
    let mut stall = Stall::default();
    let mut stage = Stage::Open;
    let mut turns = Turns::new(story.turn.clone());
    loop {
        let outside = async {
            tokio::select! {
                () = life.cutting.cancelled() => Outside::Cut,
                () = life.closing.cancelled(), if stage == Stage::Open => Outside::Closing,
                () = sleep_until(deadline) => Outside::Time,
            }
        };
        // In a set of its own it is looked at when it has something to say, and not at every request.
        let mut outside = FuturesUnordered::from_iter([outside]);
        let event = tokio::select! {
            biased;
            // How a connection ends is the peer's matter: resets and half requests are everyday.
            outcome = poll_fn(|cx| turns.poll(connection.as_mut(), cx)) => {
                if let Err(error) = outcome {
                    tracing::trace!(%error, "a connection ended in error");
                }
                return;
            }
            Some(event) = outside.next() => event,
        };
        drop(outside);
        let patience = match (event, stage) {
            (Outside::Cut, _) | (Outside::Time, Stage::Finishing) => return,
            (Outside::Closing, _) => AGE,
            (Outside::Time, Stage::Open) if !story.begun.load(Ordering::Relaxed) => return,
            (Outside::Time, Stage::Open) if rest.is_over(&story, Instant::now()) => return,
            (Outside::Time, Stage::Open) if stall.is_over(&story, Instant::now()) => return,
            (Outside::Time, Stage::Open) if opened.elapsed() < age => {
                deadline = opened + (opened.elapsed() + LOOK).min(age);
                continue;
            }
            (Outside::Time, Stage::Open) => AGED_GRACE,
            (Outside::Time, Stage::Leaving(patience)) => patience,
        };
        let lingers = stage == Stage::Open && !story.http2.load(Ordering::Relaxed);
        story.leaving.store(true, Ordering::Relaxed);
        if lingers {
            stage = Stage::Leaving(patience);
            deadline = Instant::now() + LINGER;
        } else {
            stage = Stage::Finishing;
            connection.as_mut().graceful_shutdown();
            // A first request that has not come whole gets what was left of its time, no more.
            let begun = story.begun.load(Ordering::Relaxed);
            deadline = if begun { Instant::now() + patience } else { opened + BEGIN };
        }
    }
}

/// What reaches a connection from outside.
#[derive(Debug, Clone, Copy)]
enum Outside {
    /// Everything is to end now.
    Cut,
    /// The listener closes.
    Closing,
    /// The deadline has come.
    Time,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Takes requests.
    Open,
    /// Takes the request that may be on its way; then it finishes for so long.
    Leaving(Duration),
    /// Takes no more.
    Finishing,
}

/// What a connection's parts tell each other.
#[derive(Debug, Default)]
struct Story {
    /// What it does at present.
    turn: Arc<Turn>,
    /// A first request or an HTTP/2 preface has come.
    begun: AtomicBool,
    /// The preface has come.
    http2: AtomicBool,
    /// The connection is to end with its next answer.
    leaving: AtomicBool,
    /// How many requests of HTTP/1.1 have come.
    tasks: AtomicU32,
    /// One of them is being answered.
    answering: AtomicBool,
    /// The peer takes nothing of what is sent.
    stuck: AtomicBool,
    /// How often that began.
    stalls: AtomicU32,
}

impl Story {
    /// Notes what became of an attempt to send something. One that succeeds, as nearly all do, costs a look.
    fn sent<T>(&self, outcome: Poll<T>) -> Poll<T> {
        let stuck = outcome.is_pending();
        // Written by the connection's own task only.
        if self.stuck.load(Ordering::Relaxed) != stuck {
            self.stuck.store(stuck, Ordering::Relaxed);
            if stuck {
                self.stalls.store(self.stalls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            }
        }
        outcome
    }
}

/// A request of HTTP/1.1 until the last byte of its answer is handed over. There is one at a time.
struct Task(Arc<Story>);

impl Task {
    fn begin(story: Arc<Story>) -> Self {
        // Written by the connection's own task only.
        story.tasks.store(story.tasks.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        story.answering.store(true, Ordering::Relaxed);
        Self(story)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Relaxed);
    }
}

/// How long a connection of HTTP/1.1 has rested, seen from time to time.
#[derive(Debug, Clone, Copy)]
struct Rest {
    /// How many requests had come when it was looked at last.
    tasks: u32,
    /// Since when no other has come and none was being answered, as far as was seen.
    since: Instant,
}

impl Rest {
    /// Looks at the connection, and says whether it has rested for [`REST`].
    fn is_over(&mut self, story: &Story, now: Instant) -> bool {
        let tasks = story.tasks.load(Ordering::Relaxed);
        let busy = story.http2.load(Ordering::Relaxed) || story.answering.load(Ordering::Relaxed);
        if busy || tasks != self.tasks {
            *self = Self { tasks, since: now };
        }
        now.duration_since(self.since) >= REST
    }
}

/// How long a peer has taken nothing, seen from time to time.
#[derive(Debug, Clone, Copy, Default)]
struct Stall {
    /// Which stall it was that was seen last.
    number: u32,
    /// Since when it was seen; none: there was none.
    since: Option<Instant>,
}

impl Stall {
    /// Looks at the connection, and says whether one stall has taken [`STALL`].
    fn is_over(&mut self, story: &Story, now: Instant) -> bool {
        if !story.stuck.load(Ordering::Relaxed) {
            self.since = None;
            return false;
        }
        let number = story.stalls.load(Ordering::Relaxed);
        if number != self.number || self.since.is_none() {
            *self = Self { number, since: Some(now) };
        }
        self.since.is_some_and(|since| now.duration_since(since) >= STALL)
    }
}

pin_project! {
    /// An answer to come. On a connection that is to end it says so, and hyper then ends it.
    struct Answering<F> {
        #[pin]
        inner: F,
        task: Option<Task>,
    }
}

impl<F, B, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Words<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(cx));
        let task = this.task.take();
        Poll::Ready(outcome.map(|mut response| {
            if task.as_ref().is_some_and(|task| task.0.leaving.load(Ordering::Relaxed)) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response.map(|inner| Words { inner, task })
        }))
    }
}

pin_project! {
    /// What an answer says. While it is being said the connection does not rest.
    struct Words<B> {
        #[pin]
        inner: B,
        task: Option<Task>,
    }
}

impl<B: HttpBody> HttpBody for Words<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

/// Notes that the peer has sent an HTTP/2 preface: gRPC clients open connections before they have a call.
struct Opening<I> {
    inner: I,
    story: Arc<Story>,
    seen: usize,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<I: AsyncRead + Unpin> AsyncRead for Opening<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if self.seen < PREFACE.len() {
            let fresh = &buffer.filled()[before..];
            let wanted = &PREFACE[self.seen..];
            let length = fresh.len().min(wanted.len());
            if fresh[..length] == wanted[..length] {
                self.seen += length;
            } else {
                self.seen = usize::MAX;
            }
            if self.seen == PREFACE.len() {
                self.story.http2.store(true, Ordering::Relaxed);
                self.story.begun.store(true, Ordering::Relaxed);
            }
        }
        outcome
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Opening<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.story.turn.poll_send());
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.story.sent(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.story.turn.poll_send());
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.story.sent(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// Counts the connections of each address.
#[derive(Clone)]
struct Crowd {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
    trusted: Arc<[IpNet]>,
}

/// One connection's place in the crowd; leaving is dropping it.
struct Place(Option<(Crowd, IpAddr)>);

impl Crowd {
    fn new(most: usize, trusted: Vec<IpNet>) -> Self {
        Self { counts: Arc::default(), most, trusted: trusted.into() }
    }

    /// Lets an address in, unless it holds its share already. Proxies speak for many and are not counted.
    fn enter(&self, address: IpAddr) -> Option<Place> {
        if self.trusted.iter().any(|net| net.contains(&address.to_canonical())) {
            return Some(Place(None));
        }
        let network = network_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place(Some((self.clone(), network))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((crowd, network)) = &self.0 else { return };
        let mut counts = crowd.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(network);
            }
        }
    }
}

/// Hands every request to a router, with the peer where axum and tonic look for it.
pub(super) fn to_router(
    router: Router,
) -> impl Fn(Peer, Request<Incoming>) -> Oneshot<Router, Request<Body>> + Clone + Send + Sync + 'static {
    move |peer, request| router.clone().oneshot(with_peer(request.map(Body::new), peer))
}

/// Puts the peer where axum and tonic look for it.
pub(super) fn with_peer(mut request: Request<Body>, peer: Peer) -> Request<Body> {
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(peer.remote));
    extensions.insert(TcpConnectInfo { local_addr: Some(peer.local), remote_addr: Some(peer.remote) });
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_rests_from_the_end_of_one_answer_to_the_next_request() {
        let story = Arc::new(Story::default());
        let opened = Instant::now();
        let after = |seconds| opened + Duration::from_secs(seconds);
        let mut rest = Rest { tasks: 0, since: opened };
        let first = Task::begin(story.clone());
        assert!(!rest.is_over(&story, after(5)));
        // A long answer is no rest.
        assert!(!rest.is_over(&story, after(500)));
        drop(first);
        assert!(!rest.is_over(&story, after(564)));
        // An answer between two looks begins it anew.
        drop(Task::begin(story.clone()));
        assert!(!rest.is_over(&story, after(569)));
        assert!(!rest.is_over(&story, after(633)));
        assert!(rest.is_over(&story, after(634)));
        // HTTP/2 has pings for that.
        story.http2.store(true, Ordering::Relaxed);
        assert!(!rest.is_over(&story, after(1000)));
    }

    #[test]
    fn a_peer_stalls_while_it_takes_nothing_and_not_while_it_is_slow() {
        let story = Story::default();
        let opened = Instant::now();
        let after = |seconds| opened + Duration::from_secs(seconds);
        let mut stall = Stall::default();
        assert!(!stall.is_over(&story, after(0)));
        let pending = || assert!(story.sent(Poll::<()>::Pending).is_pending());
        pending();
        assert!(!stall.is_over(&story, after(5)));
        pending();
        assert!(!stall.is_over(&story, after(34)));
        // It took something, and then nothing again.
        assert!(story.sent(Poll::Ready(())).is_ready());
        pending();
        assert!(!stall.is_over(&story, after(36)));
        assert!(!stall.is_over(&story, after(65)));
        assert!(stall.is_over(&story, after(66)));
        assert!(story.sent(Poll::Ready(())).is_ready());
        assert!(!stall.is_over(&story, after(200)));
    }

    #[test]
    fn one_address_holds_its_share_and_no_more() {
        let crowd = Crowd::new(2, vec!["10.0.0.0/8".parse().expect("a network")]);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let first = crowd.enter(address("192.0.2.1"));
        let second = crowd.enter(address("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(crowd.enter(address("192.0.2.1")).is_none());
        assert!(crowd.enter(address("192.0.2.2")).is_some());
        drop(first);
        assert!(crowd.enter(address("192.0.2.1")).is_some());
        let proxies: Vec<_> = (0..5).map(|_| crowd.enter(address("::ffff:10.1.1.1"))).collect();
        assert!(proxies.iter().all(Option::is_some));
        drop(second);
        assert!(crowd.counts.lock().expect("nobody panicked").is_empty());
    }
}
