//! Calls a server ten times as often as it can answer, and looks at who gets an answer, who a refusal, and how soon.
//!
//! `overload LINKS API PID KEYS PATHS SECONDS`: KEYS is a file with the secrets of API keys of two workspaces, a line each; PATHS one with the
//! paths of links, some of them the first workspace's; PID is the server's process. Prints `name=value` pairs, a line for each part:
//!
//! - `tried`: how many calls of both workspaces are answered when so many are under way at a time; what answers most is taken for `peak`;
//! - `alone`: visits, and calls of the second workspace, while there is nothing else to do;
//! - `peak`: as many calls of both workspaces as are answered;
//! - `overload`: ten times as many a second, whatever becomes of them, and visits meanwhile;
//! - `quiet`: calls of the second workspace at a fixed rate, and as many of the first;
//! - `noise` and `noisy`: the same, and fifty times as many of the first.
//!
//! Offered at a fixed rate, a call counts from the moment it was due. Latencies are in microseconds. This program shares its cores with the
//! stores, and is itself what limits how much is offered: so it says how much that was. Visits are asked for one at a time by a thread of its
//! own that sleeps in between, so what waking up takes is in all of their figures; for how long it was awake and had no core is taken off, where
//! Linux says. The callers stand back behind it and the stores.

#[path = "shared/calls.rs"]
mod calls;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use calls::{Call, Line, Pace, Seen};
use futures::future::try_join_all;
use linkforty::pb::v1::{
    CreateLinkRequest, GetLinkRequest, GetOverviewRequest, Link, ListLinksRequest,
    link_service_client::LinkServiceClient,
};
use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::gettid,
};
use tonic::Request;

/// How many times as much as can be answered is offered.
const TIMES: f64 = 10.0;
/// How much noisier the noisy workspace is.
const NOISE: f64 = 50.0;
/// Visits a second, so few that they are nobody's overload.
const VISITS: f64 = 200.0;
/// Connections of each workspace. What they cannot carry would wait in this program and not at the server, so it is not sent, and the run says
/// how many that were.
const CONNECTIONS: usize = 4;
/// How many calls at once are tried for the peak.
const AT_ONCE: [usize; 4] = [4, 8, 16, 32];
/// How often parts that are compared take turns: a machine has its moods.
const TURNS: u32 = 3;
/// How much nicer those who call are than whoever visits: a visitor's waiting for the callers' core is not the server's doing.
const STANDS_BACK: i32 = 5;
const DESTINATION: &str = "https://www.example.com/collections/spring";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [links, api, process, keys, paths, seconds] = &arguments[..] else {
        println!("usage: overload LINKS API PID KEYS PATHS SECONDS");
        return Ok(());
    };
    let links: SocketAddr = links.parse().context("LINKS")?;
    let api: SocketAddr = api.parse().context("API")?;
    let process: u32 = process.parse().context("PID")?;
    let length = Duration::from_secs_f64(seconds.parse().context("SECONDS")?);
    let keys = fs::read_to_string(keys).context("KEYS")?;
    let [first, second] = &keys.lines().map(ToOwned::to_owned).collect::<Vec<_>>()[..] else {
        anyhow::bail!("KEYS: two lines")
    };
    let keys = [first.clone(), second.clone()];
    let paths: Vec<String> =
        fs::read_to_string(paths).context("PATHS")?.lines().map(ToOwned::to_owned).collect();

    let (visits, asked) = mpsc::channel::<Visits>();
    let calling = thread::spawn(move || {
        let nice = getpriority_process(Some(gettid())).unwrap_or(0);
        setpriority_process(Some(gettid()), nice + STANDS_BACK).context("nice")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(api, &keys, process, length, &visits))
    });
    for visits in asked {
        visits.told.send(visit(links, &paths, &visits.stop)).ok();
    }
    calling.join().map_err(|_| anyhow::anyhow!("the callers panicked"))?
}

/// Runs the parts.
async fn run(
    api: SocketAddr,
    [first, second]: &[String; 2],
    process: u32,
    length: Duration,
    visitor: &mpsc::Sender<Visits>,
) -> anyhow::Result<()> {
    let (mut first, mut second) = (Workspace::open(api, first).await?, Workspace::open(api, second).await?);

    // Everything is warm before anything counts.
    second.call(CONNECTIONS, Pace::Rate(50.0), length / 4).await?;
    peak(&mut first, &mut second, AT_ONCE[1], length / 4).await?;
    rest().await;

    let mut best = (0.0, 0);
    for at_once in AT_ONCE {
        let rate = peak(&mut first, &mut second, at_once, length / 2).await?;
        println!("part=tried at_once={at_once} rps={rate:.0}");
        if rate > best.0 {
            best = (rate, at_once);
        }
        rest().await;
    }

    // The best of four was also the luckiest of four: what is promised compares parts that take turns, with what was seen taken together.
    let (mut alone, mut peaks, mut overload) = (Part::default(), Vec::new(), Part::default());
    let mut memory = Vec::new();
    for _ in 0..TURNS {
        let visits = Visited::begin(visitor)?;
        let seen = second.call(CONNECTIONS, Pace::Rate(20.0), length).await?;
        alone = alone.and(Part { seen, visits: visits.end()? });

        peaks.push(peak(&mut first, &mut second, best.1, length).await?);
        rest().await;

        let (visits, most) = (Visited::begin(visitor)?, Memory::begin(process));
        let rate = Pace::Rate(best.0 * TIMES / 2.0);
        let (one, other) =
            tokio::try_join!(first.call(CONNECTIONS, rate, length), second.call(CONNECTIONS, rate, length))?;
        let turn = Part { seen: one.and(other), visits: visits.end()? };
        memory.push(most.end());
        println!(
            "part=turn peak_rps={:.0} answered_rps={:.0}",
            peaks[peaks.len() - 1],
            turn.seen.answered.len() as f64 / length.as_secs_f64()
        );
        overload = overload.and(turn);
        rest().await;
    }
    let peak = peaks.iter().sum::<f64>() / f64::from(TURNS);
    println!("part=alone {} {}", alone.visits.told(), told(&alone.seen, length * TURNS));
    println!("part=peak at_once={} rps={peak:.0}", best.1);
    // In the first turn everything takes the room that it needs.
    println!(
        "part=overload {} {} rss_before_mib={:.1} rss_after_mib={:.1}",
        overload.visits.told(),
        told(&overload.seen, length * TURNS),
        memory[memory.len() - 2],
        memory[memory.len() - 1]
    );

    let rate = peak / NOISE;
    let (mut quiet, mut noise, mut noisy) = (Seen::default(), Seen::default(), Seen::default());
    for _ in 0..TURNS {
        let (_, seen) = tokio::try_join!(
            first.call(CONNECTIONS, Pace::Rate(rate), length),
            second.call(CONNECTIONS, Pace::Rate(rate), length)
        )?;
        quiet = quiet.and(seen);
        rest().await;
        let (others, seen) = tokio::try_join!(
            first.call(CONNECTIONS, Pace::Rate(rate * NOISE), length),
            second.call(CONNECTIONS, Pace::Rate(rate), length)
        )?;
        (noise, noisy) = (noise.and(others), noisy.and(seen));
        rest().await;
    }
    println!("part=quiet {}", told(&quiet, length * TURNS));
    println!("part=noise {}", told(&noise, length * TURNS));
    println!("part=noisy {}", told(&noisy, length * TURNS));
    Ok(())
}

/// Until what was under way is over.
async fn rest() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// One workspace's calls.
struct Workspace {
    lines: Vec<Line>,
    calls: Vec<Call>,
}

impl Workspace {
    async fn open(api: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let key = format!("Bearer {}", key.trim());
        let mut client = LinkServiceClient::connect(format!("http://{api}")).await?;
        let mut link_id = String::new();
        for _ in 0..50 {
            let mut request = Request::new(a_link());
            request.metadata_mut().insert("authorization", key.parse().context("the key")?);
            link_id = client.create_link(request).await?.into_inner().link.context("always there")?.id;
        }
        let mut lines = Vec::new();
        for _ in 0..CONNECTIONS {
            lines.push(Line::open(api).await?);
        }
        let host = api.to_string();
        let links = |method: &str| format!("/linkforty.v1.LinkService/{method}");
        let create = Call::new(&host, &links("CreateLink"), &key, &a_link());
        let list = Call::new(&host, &links("ListLinks"), &key, &ListLinksRequest::default());
        let get = GetLinkRequest { link_id, ..GetLinkRequest::default() };
        let get = Call::new(&host, &links("GetLink"), &key, &get);
        let overview = "/linkforty.v1.AnalyticsService/GetOverview";
        let overview = Call::new(&host, overview, &key, &GetOverviewRequest::default());
        // What a dashboard and its scripts do: of ten calls five read a link, three a page of the usual fifty, one the overview of the last thirty
        // days, and one makes a link.
        let calls = [&create, &list, &get, &get, &list, &overview, &get, &list, &get, &get]
            .map(Clone::clone)
            .to_vec();
        Ok(Self { lines, calls })
    }

    /// Makes calls on so many connections for that long.
    async fn call(&mut self, lines: usize, pace: Pace, length: Duration) -> anyhow::Result<Seen> {
        let (begun, lines) = (Instant::now(), lines.min(self.lines.len()));
        let calling = self.lines.iter_mut().take(lines).enumerate().map(|(at, line)| {
            let (pace, begun) = match pace {
                // In turns.
                Pace::Rate(rate) => {
                    (Pace::Rate(rate / lines as f64), begun + Duration::from_secs_f64(at as f64 / rate))
                }
                Pace::AtOnce(many) => (Pace::AtOnce(many / lines), begun),
            };
            line.call(&self.calls, at * 3, pace, (begun, begun + length))
        });
        Ok(try_join_all(calling).await?.into_iter().fold(Seen::default(), Seen::and))
    }
}

/// Calls as often as answers come, so many at once, and returns how many were answered a second.
async fn peak(
    first: &mut Workspace,
    second: &mut Workspace,
    at_once: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let (begun, each) = (Instant::now(), Pace::AtOnce(at_once / 2));
    let lines = CONNECTIONS.min(at_once / 2);
    let (one, other) = tokio::try_join!(first.call(lines, each, length), second.call(lines, each, length))?;
    Ok((one.answered.len() + other.answered.len()) as f64 / begun.elapsed().as_secs_f64())
}

fn a_link() -> CreateLinkRequest {
    let link = Link { destination_url: DESTINATION.to_owned(), ..Link::default() };
    CreateLinkRequest { link: Some(link), ..CreateLinkRequest::default() }
}

fn told(seen: &Seen, length: Duration) -> String {
    let (mut answered, mut refused) = (seen.answered.clone(), seen.refused.clone());
    answered.sort_unstable();
    refused.sort_unstable();
    let sent = answered.len() as u64 + refused.len() as u64 + seen.failed;
    let seconds = length.as_secs_f64();
    format!(
        "offered_rps={:.0} answered_rps={:.0} refused={} failed={} unsent={} call_p50_us={} call_p99_us={} \
         refused_p50_us={} refused_p99_us={}",
        sent as f64 / seconds,
        answered.len() as f64 / seconds,
        refused.len(),
        seen.failed,
        seen.unsent,
        percentile(&answered, 0.5),
        percentile(&answered, 0.99),
        percentile(&refused, 0.5),
        percentile(&refused, 0.99),
    )
}

/// What was seen of calls and of visits meanwhile.
#[derive(Default)]
struct Part {
    seen: Seen,
    visits: Followed,
}

impl Part {
    fn and(self, later: Self) -> Self {
        Self { seen: self.seen.and(later.seen), visits: self.visits.and(later.visits) }
    }
}

/// What the visitor is asked for: to follow links, one after the other, until it is told to stop.
struct Visits {
    stop: Arc<AtomicBool>,
    told: mpsc::Sender<anyhow::Result<Followed>>,
}

/// How long each visit took that was sent on, and how many were not.
#[derive(Default)]
struct Followed {
    micros: Vec<u64>,
    errors: u64,
}

impl Followed {
    fn and(mut self, later: Self) -> Self {
        self.micros.extend(later.micros);
        self.errors += later.errors;
        self
    }

    fn told(&self) -> String {
        let mut micros = self.micros.clone();
        micros.sort_unstable();
        format!(
            "visits={} visit_errors={} visit_p50_us={} visit_p99_us={} visit_max_us={}",
            micros.len(),
            self.errors,
            percentile(&micros, 0.5),
            percentile(&micros, 0.99),
            percentile(&micros, 1.0)
        )
    }
}

/// Visits under way.
struct Visited {
    stop: Arc<AtomicBool>,
    outcome: mpsc::Receiver<anyhow::Result<Followed>>,
}

impl Visited {
    fn begin(visitor: &mpsc::Sender<Visits>) -> anyhow::Result<Self> {
        let ((told, outcome), stop) = (mpsc::channel(), Arc::new(AtomicBool::new(false)));
        visitor.send(Visits { stop: stop.clone(), told }).context("the visitor is gone")?;
        Ok(Self { stop, outcome })
    }

    fn end(self) -> anyhow::Result<Followed> {
        self.stop.store(true, Ordering::Relaxed);
        self.outcome.recv().context("the visitor is gone")?
    }
}

fn visit(links: SocketAddr, paths: &[String], stop: &AtomicBool) -> anyhow::Result<Followed> {
    let mut stream = TcpStream::connect(links)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut followed = Followed::default();
    let begun = Instant::now();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let due = begun + Duration::from_secs_f64(number as f64 / VISITS);
        // Whole, as browsers send it: in pieces the server would be woken for each.
        let path = &paths[number as usize % paths.len()];
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {links}\r\nUser-Agent: Mozilla/5.0 (iPhone)\r\n\r\n");
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // From here on and not from when it was due: that this thread woke up late is not the server's doing.
        let (had_waited, asked) = (waited(), Instant::now());
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::with_capacity(1024);
        let mut chunk = [0; 1024];
        while !answer.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut chunk)?;
            anyhow::ensure!(read > 0, "the server closed the connection");
            answer.extend_from_slice(&chunk[..read]);
        }
        // In this order: what passes in between counts.
        let waited = waited() - had_waited;
        let took = asked.elapsed().saturating_sub(waited);
        if answer.starts_with(b"HTTP/1.1 302") {
            followed.micros.push(took.as_micros() as u64);
        } else {
            followed.errors += 1;
        }
    }
    Ok(followed)
}

/// Returns for how long this thread could have run so far and had no core (<https://docs.kernel.org/scheduler/sched-stats.html>): nothing where
/// Linux does not say.
fn waited() -> Duration {
    let said = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(said.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// Looks at how much memory the server has, all the time.
struct Memory {
    stop: Arc<AtomicBool>,
    most_kib: Arc<AtomicU64>,
}

impl Memory {
    fn begin(process: u32) -> Self {
        let (stop, most_kib) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let memory = Self { stop: stop.clone(), most_kib: Arc::clone(&most_kib) };
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
                let kib = status.lines().find_map(|line| {
                    line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok()
                });
                most_kib.fetch_max(kib.unwrap_or(0), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(100));
            }
        });
        memory
    }

    /// Returns the most that it had, in MiB.
    fn end(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.most_kib.load(Ordering::Relaxed) as f64 / 1024.0
    }
}

fn percentile(sorted: &[u64], part: f64) -> u64 {
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0)
}
