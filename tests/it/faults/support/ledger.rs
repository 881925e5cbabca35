//! A client that follows links and writes down what it was promised: a click counts as acknowledged once the whole head of its
//! answer has been read.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use uuid::Uuid;

/// No visitor waits longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// However a test goes wrong, its load ends.
const LONGEST: Duration = Duration::from_secs(180);
const MOST_REQUESTS: u64 = 400_000;

/// People and programs, so that the totals of both are tried.
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];

/// How visitors come.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections that are kept alive.
    pub connections: usize,
    /// Each connection asks once in this time, whatever the answers take; `None`: as fast as answers come.
    pub every: Option<Duration>,
}

impl Load {
    /// A few visitors, as fast as they are answered.
    pub const CLOSED: Self = Self { connections: 6, every: None };
    /// Eight hundred visits a second.
    pub const STEADY: Self = Self { connections: 8, every: Some(Duration::from_millis(10)) };
}

/// What became of the visits.
#[derive(Debug, Default)]
pub struct Book {
    /// The ids of the clicks that were promised.
    pub acked: HashSet<Uuid>,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// Redirects that promised nothing.
    pub without_id: u64,
    /// Requests on a connection that then broke, before the head of the answer was there.
    pub unanswered: u64,
    /// The same on a connection that never had an answer: the kernel took it, perhaps nobody else.
    pub turned_away: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// The longest that an answer took.
    pub slowest: Duration,
}

impl Book {
    /// Returns how many answers there were.
    pub fn total(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Fails unless every visit was answered, and with a redirect.
    pub fn assert_all_redirected(&self) {
        let other: Vec<_> = self.answers.iter().filter(|(status, _)| **status != 302).collect();
        assert!(
            other.is_empty() && self.unanswered + self.turned_away + self.refused == 0 && self.total() > 0,
            "not every visit was redirected: {self}"
        );
    }

    /// Adds what another load came to.
    pub fn add(&mut self, other: Self) {
        self.acked.extend(other.acked);
        for (status, count) in other.answers {
            *self.answers.entry(status).or_default() += count;
        }
        self.without_id += other.without_id;
        self.unanswered += other.unanswered;
        self.turned_away += other.turned_away;
        self.refused += other.refused;
        self.slowest = self.slowest.max(other.slowest);
    }
}

impl std::fmt::Display for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?}, {} acknowledged, {} redirected without an id, {} unanswered, {} turned away, {} connections refused, slowest {:?}",
            self.answers,
            self.acked.len(),
            self.without_id,
            self.unanswered,
            self.turned_away,
            self.refused,
            self.slowest
        )
    }
}

/// A load that runs until [`Ledger::close`].
pub struct Ledger {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    visitors: JoinSet<Book>,
}

impl Ledger {
    /// Begins to follow `codes` at `links`.
    pub fn open(links: SocketAddr, codes: &[String], load: Load) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut visitors = JoinSet::new();
        let most = MOST_REQUESTS / load.connections as u64;
        for number in 0..load.connections {
            let mut paths: Vec<String> = codes.iter().map(|code| format!("/{code}")).collect();
            let places = paths.len();
            paths.rotate_left(number % places);
            let (stop, answered) = (stop.clone(), answered.clone());
            visitors.spawn(visit(links, paths, load.every, most, stop, answered));
        }
        Self { stop, answered, visitors }
    }

    /// Returns how many visits have been answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load and returns what became of it.
    pub async fn close(mut self) -> Book {
        self.stop.store(true, Ordering::Relaxed);
        let mut book = Book::default();
        while let Some(visitor) = self.visitors.join_next().await {
            book.add(visitor.expect("a visitor does not panic"));
        }
        book
    }
}

async fn visit(
    links: SocketAddr,
    paths: Vec<String>,
    every: Option<Duration>,
    most: u64,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> Book {
    let mut book = Book::default();
    let mut line: Option<Line> = None;
    let mut ticks = every.map(|every| {
        let mut ticks = interval(every);
        // Visitors do not stay away because others wait.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    });
    let begun = Instant::now();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) && begun.elapsed() < LONGEST && number < most {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        if line.as_ref().is_none_or(Line::is_closed) {
            line = Line::open(links).await.ok();
        }
        let Some(open) = &mut line else {
            book.refused += 1;
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        number += 1;
        let place = number as usize;
        let method = if number % 10 == 0 { Method::HEAD } else { Method::GET };
        let asked = Instant::now();
        let answer = open.ask(method, &paths[place % paths.len()], AGENTS[place % AGENTS.len()]).await;
        match answer {
            Ok(answer) => {
                book.slowest = book.slowest.max(asked.elapsed());
                *book.answers.entry(answer.status).or_default() += 1;
                answered.fetch_add(1, Ordering::Relaxed);
                match answer.headers.get("x-click-id") {
                    Some(id) => {
                        let id = id.to_str().ok().and_then(|id| Uuid::parse_str(id).ok());
                        let new = book.acked.insert(id.expect("a click id is a UUID"));
                        assert!(new, "a click id was given out twice");
                    }
                    None => book.without_id += u64::from(answer.status == 302),
                }
                if answer.broken {
                    line = None;
                }
            }
            Err(_) => {
                let known = open.answers > 0;
                *(if known { &mut book.unanswered } else { &mut book.turned_away }) += 1;
                line = None;
            }
        }
    }
    book
}

/// A connection of HTTP/1.1 that is kept alive.
pub struct Line {
    sender: SendRequest<Empty<Bytes>>,
    connection: JoinHandle<()>,
    answers: u64,
}

/// What came back on it.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it came.
    pub body: Bytes,
    /// Whether the body did not come whole.
    pub broken: bool,
}

impl Line {
    /// Connects.
    pub async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(to)).await??;
        stream.set_nodelay(true)?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(io::Error::other)?;
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, connection, answers: 0 })
    }

    /// Says whether it is of no more use.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks for a page.
    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask(Method::GET, path, AGENTS[0]).await
    }

    /// Asks for a page as somebody.
    pub async fn ask(&mut self, method: Method, path: &str, agent: &str) -> io::Result<Answer> {
        let request = Request::builder().method(method).uri(path).header("host", "go.example.test");
        let request = request.header("user-agent", agent).body(Empty::new()).map_err(io::Error::other)?;
        let answered = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let (head, body) = timeout(PATIENCE, answered).await?.map_err(io::Error::other)?.into_parts();
        self.answers += 1;
        let body = timeout(PATIENCE, body.collect()).await.map(|body| body.map(|body| body.to_bytes()));
        let (status, headers) = (head.status.as_u16(), head.headers);
        Ok(match body {
            Ok(Ok(body)) => Answer { status, headers, body, broken: false },
            Ok(Err(_)) | Err(_) => Answer { status, headers, body: Bytes::new(), broken: true },
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
