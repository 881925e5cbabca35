//! Calls a server ten times as often as it can answer, and looks at who gets an answer, who a refusal, and how soon.
//!
//! `overload LINKS API PID KEYS PATHS SECONDS`: KEYS is a file with the secrets of API keys of two workspaces, a line each; PATHS one with the
//! paths of links, some of them the first workspace's; PID is the server's process. Prints `name=value` pairs, a line for each part:
//!
//! - `alone`: visits, and calls of the second workspace, while there is nothing else to do;
//! - `peak`: as many calls of both workspaces as are answered, a few at a time;
//! - `overload`: ten times as many a second, whatever becomes of them, and visits meanwhile;
//! - `quiet`: calls of the second workspace at a fixed rate, and as many of the first;
//! - `noisy`: the same, and fifty times as many of the first.
//!
//! Offered at a fixed rate, a call counts from the moment it was due. Latencies are in microseconds. This program shares its cores with the
//! stores, and is itself what limits how much is offered: so it says how much that was. Visits are asked for one at a time by a thread of its
//! own that sleeps in between, so what waking up takes is in all of their figures.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use linkforty::pb::v1::{
    CreateLinkRequest, GetLinkRequest, GetOverviewRequest, Link, ListLinksRequest,
    analytics_service_client::AnalyticsServiceClient, link_service_client::LinkServiceClient,
};
use tokio::task::JoinSet;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

/// How many times as much as can be answered is offered.
const TIMES: f64 = 10.0;
/// How much noisier the noisy workspace is.
const NOISE: f64 = 50.0;
/// Visits a second, so few that they are nobody's overload.
const VISITS: f64 = 200.0;
/// Connections of each workspace.
const CONNECTIONS: usize = 8;
/// How many calls at once are tried for the peak.
const AT_ONCE: [usize; 4] = [4, 8, 16, 32];
/// As many of a workspace as its connections carry at once. What is beyond would wait in this program and not at the server, so it is not
/// sent, and the run says how many that were.
const MOST_UNDER_WAY: usize = CONNECTIONS * 100;
const DESTINATION: &str = "https://www.example.com/collections/spring";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [links, api, process, keys, paths, seconds] = &arguments[..] else {
        println!("usage: overload LINKS API PID KEYS PATHS SECONDS");
        return Ok(());
    };
    let links: SocketAddr = links.parse().context("LINKS")?;
    let process: u32 = process.parse().context("PID")?;
    let length = Duration::from_secs_f64(seconds.parse().context("SECONDS")?);
    let keys = fs::read_to_string(keys).context("KEYS")?;
    let [first, second] = &keys.lines().collect::<Vec<_>>()[..] else { anyhow::bail!("KEYS: two lines") };
    let paths: Vec<String> =
        fs::read_to_string(paths).context("PATHS")?.lines().map(ToOwned::to_owned).collect();
    let (first, second) =
        (Arc::new(Workspace::open(api, first).await?), Arc::new(Workspace::open(api, second).await?));
    let both = [first.clone(), second.clone()];

    // Everything is warm before anything counts.
    offered(&[(second.clone(), 50.0)], length / 4).await;
    peak(&both, AT_ONCE[1], length / 4).await;
    rest().await;

    let visits = Visits::begin(links, paths.clone());
    let [alone] = &offered(&[(second.clone(), 20.0)], length).await[..] else { anyhow::bail!("one") };
    println!("part=alone {} {}", visits.end()?, alone.told());

    let mut best = (0.0, 0);
    for at_once in AT_ONCE {
        let rate = peak(&both, at_once, length / 2).await;
        println!("part=peak at_once={at_once} rps={rate:.0}");
        if rate > best.0 {
            best = (rate, at_once);
        }
        rest().await;
    }
    println!("part=best at_once={} rps={:.0}", best.1, best.0);

    let (visits, memory) = (Visits::begin(links, paths), Memory::begin(process));
    let rates = [(first.clone(), best.0 * TIMES / 2.0), (second.clone(), best.0 * TIMES / 2.0)];
    let all = offered(&rates, length * 2).await.into_iter().fold(Seen::default(), Seen::and);
    println!("part=overload {} {} {}", visits.end()?, all.told(), memory.end());
    rest().await;

    let quiet = best.0 / NOISE;
    let [_, seen] = &offered(&[(first.clone(), quiet), (second.clone(), quiet)], length * 2).await[..] else {
        anyhow::bail!("two")
    };
    println!("part=quiet {}", seen.told());
    rest().await;
    let [noise, seen] = &offered(&[(first, quiet * NOISE), (second, quiet)], length * 2).await[..] else {
        anyhow::bail!("two")
    };
    println!("part=noise {}", noise.told());
    println!("part=noisy {}", seen.told());
    Ok(())
}

/// Until what was under way is over.
async fn rest() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// One workspace's calls.
struct Workspace {
    clients: Vec<LinkServiceClient<Channel>>,
    analytics: Vec<AnalyticsServiceClient<Channel>>,
    key: MetadataValue<Ascii>,
    link_id: String,
}

impl Workspace {
    async fn open(api: &str, key: &str) -> anyhow::Result<Self> {
        let key = format!("Bearer {}", key.trim()).parse().context("the key")?;
        let (mut clients, mut analytics) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            let channel = Endpoint::from_shared(format!("http://{api}"))?.connect().await?;
            analytics.push(AnalyticsServiceClient::new(channel.clone()));
            clients.push(LinkServiceClient::new(channel));
        }
        let mut workspace = Self { clients, analytics, key, link_id: String::new() };
        for _ in 0..50 {
            let made =
                workspace.clients[0].clone().create_link(workspace.signed(a_link())).await?.into_inner();
            workspace.link_id = made.link.context("always there")?.id;
        }
        Ok(workspace)
    }

    fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.key.clone());
        request
    }

    /// What a dashboard and its scripts do: of ten calls five read a link, three a page of the usual fifty, one the overview of the last thirty
    /// days, and one makes a link.
    async fn call(&self, number: u64) -> Result<(), Status> {
        let client = number as usize % self.clients.len();
        let mut links = self.clients[client].clone();
        match number % 10 {
            0 => links.create_link(self.signed(a_link())).await.map(drop),
            1 | 4 | 7 => links.list_links(self.signed(ListLinksRequest::default())).await.map(drop),
            5 => {
                let mut analytics = self.analytics[client].clone();
                analytics.get_overview(self.signed(GetOverviewRequest::default())).await.map(drop)
            }
            _ => {
                let request = GetLinkRequest { link_id: self.link_id.clone(), ..GetLinkRequest::default() };
                links.get_link(self.signed(request)).await.map(drop)
            }
        }
    }
}

fn a_link() -> CreateLinkRequest {
    let link = Link { destination_url: DESTINATION.to_owned(), ..Link::default() };
    CreateLinkRequest { link: Some(link), ..CreateLinkRequest::default() }
}

/// What became of calls that were offered.
#[derive(Default)]
struct Seen {
    answered: Vec<u64>,
    refused: Vec<u64>,
    failed: u64,
    unsent: u64,
    seconds: f64,
}

impl Seen {
    fn and(mut self, other: Self) -> Self {
        self.answered.extend(other.answered);
        self.refused.extend(other.refused);
        self.failed += other.failed;
        self.unsent += other.unsent;
        self.seconds = self.seconds.max(other.seconds);
        self
    }

    fn told(&self) -> String {
        let (mut answered, mut refused) = (self.answered.clone(), self.refused.clone());
        answered.sort_unstable();
        refused.sort_unstable();
        let sent = answered.len() as u64 + refused.len() as u64 + self.failed;
        format!(
            "offered_rps={:.0} answered_rps={:.0} refused={} failed={} unsent={} call_p50_us={} call_p99_us={} \
             refused_p50_us={} refused_p99_us={}",
            sent as f64 / self.seconds,
            answered.len() as f64 / self.seconds,
            refused.len(),
            self.failed,
            self.unsent,
            percentile(&answered, 0.5),
            percentile(&answered, 0.99),
            percentile(&refused, 0.5),
            percentile(&refused, 0.99),
        )
    }
}

/// Offers calls at so many a second for each workspace, whatever becomes of them.
async fn offered(rates: &[(Arc<Workspace>, f64)], length: Duration) -> Vec<Seen> {
    let begun = Instant::now();
    let mut offers = Vec::new();
    for (workspace, rate) in rates {
        offers.push(tokio::spawn(offer(workspace.clone(), *rate, begun, length)));
    }
    let mut seen = Vec::new();
    for offer in offers {
        seen.push(offer.await.unwrap_or_default());
    }
    seen
}

async fn offer(workspace: Arc<Workspace>, rate: f64, begun: Instant, length: Duration) -> Seen {
    let mut seen = Seen { seconds: length.as_secs_f64(), ..Seen::default() };
    let mut calls = JoinSet::new();
    let mut number = 0_u64;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while begun.elapsed() < length {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(outcome) = calls.join_next() => seen.note(outcome),
        }
        loop {
            let due = begun + Duration::from_secs_f64(number as f64 / rate);
            if due > Instant::now() || due > begun + length {
                break;
            }
            number += 1;
            if calls.len() >= MOST_UNDER_WAY {
                seen.unsent += 1;
                continue;
            }
            let workspace = workspace.clone();
            calls.spawn(async move {
                let outcome = workspace.call(number).await;
                (due.elapsed(), outcome)
            });
        }
    }
    while let Some(outcome) = calls.join_next().await {
        seen.note(outcome);
    }
    seen
}

impl Seen {
    fn note(&mut self, outcome: Result<(Duration, Result<(), Status>), tokio::task::JoinError>) {
        let Ok((took, outcome)) = outcome else {
            self.failed += 1;
            return;
        };
        let micros = took.as_micros() as u64;
        match outcome {
            Ok(()) => self.answered.push(micros),
            Err(status)
                if status.code() == Code::Unavailable
                    && status.metadata().contains_key("grpc-retry-pushback-ms") =>
            {
                self.refused.push(micros);
            }
            Err(status) => {
                if self.failed == 0 {
                    eprintln!("overload: the first failure: {status:?}");
                }
                self.failed += 1;
            }
        }
    }
}

/// Calls as often as answers come, so many at once, and returns how many were answered a second.
async fn peak(workspaces: &[Arc<Workspace>; 2], at_once: usize, length: Duration) -> f64 {
    let (begun, answered) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for caller in 0..at_once as u64 {
        let (workspace, answered) = (workspaces[caller as usize % 2].clone(), answered.clone());
        callers.spawn(async move {
            let mut number = caller;
            while begun.elapsed() < length {
                number += 7;
                if workspace.call(number).await.is_ok() {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    callers.join_all().await;
    answered.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// Somebody who follows links, one after the other.
struct Visits {
    stop: Arc<AtomicBool>,
    visitor: thread::JoinHandle<anyhow::Result<(Vec<u64>, u64)>>,
}

impl Visits {
    fn begin(links: SocketAddr, paths: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        Self { stop, visitor: thread::spawn(move || visit(links, &paths, &told)) }
    }

    fn end(self) -> anyhow::Result<String> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut micros, errors) =
            self.visitor.join().map_err(|_| anyhow::anyhow!("the visitor panicked"))??;
        micros.sort_unstable();
        Ok(format!(
            "visits={} visit_errors={errors} visit_p50_us={} visit_p99_us={} visit_max_us={}",
            micros.len(),
            percentile(&micros, 0.5),
            percentile(&micros, 0.99),
            percentile(&micros, 1.0)
        ))
    }
}

fn visit(links: SocketAddr, paths: &[String], stop: &AtomicBool) -> anyhow::Result<(Vec<u64>, u64)> {
    let mut stream = TcpStream::connect(links)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (mut micros, mut errors) = (Vec::new(), 0);
    let begun = Instant::now();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let due = begun + Duration::from_secs_f64(number as f64 / VISITS);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // From here on and not from when it was due: that this thread woke up late is not the server's doing.
        let asked = Instant::now();
        let path = &paths[number as usize % paths.len()];
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {links}\r\nUser-Agent: Mozilla/5.0 (iPhone)\r\n\r\n")?;
        let mut answer = Vec::with_capacity(1024);
        let mut chunk = [0; 1024];
        while !answer.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut chunk)?;
            anyhow::ensure!(read > 0, "the server closed the connection");
            answer.extend_from_slice(&chunk[..read]);
        }
        if answer.starts_with(b"HTTP/1.1 302") {
            micros.push(asked.elapsed().as_micros() as u64);
        } else {
            errors += 1;
        }
    }
    Ok((micros, errors))
}

/// Looks at how much memory the server has, all the time.
struct Memory {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<u64>>>,
}

impl Memory {
    fn begin(process: u32) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let memory = Self { stop: stop.clone(), seen: Arc::clone(&seen) };
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
                let kib = status.lines().find_map(|line| {
                    line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok()
                });
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(kib);
                thread::sleep(Duration::from_millis(100));
            }
        });
        memory
    }

    /// Tells the most of the second and of the last quarter: the first is the time in which everything takes the room that it needs.
    fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let most = |from: usize, to: usize| {
            let quarters = &seen[seen.len() * from / 4..seen.len() * to / 4];
            quarters.iter().max().copied().unwrap_or(0) as f64 / 1024.0
        };
        format!("rss_before_mib={:.1} rss_after_mib={:.1}", most(1, 2), most(3, 4))
    }
}

fn percentile(sorted: &[u64], part: f64) -> u64 {
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0)
}
