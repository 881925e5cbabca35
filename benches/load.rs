//! Asks for redirects, at a fixed rate or as fast as they are answered, and says how long the answers took.
//!
//! `load ADDRESS PATHS RATE SECONDS CONNECTIONS`: PATHS is a file with a path a line; RATE is requests a second, or `max`, or
//! `once`: each path once, whatever the seconds, and an answer of 404 is one too. Prints `name=value` pairs: how many were answered with a 302 after half a second (`count`) and from the beginning (`total`), how
//! many were not, requests a second, and percentiles in microseconds. At a fixed rate each is counted from the moment it was due and not from when it could be sent, so a
//! server that stalls does not hide it.
//!
//! It never sleeps: one thread a core goes round its connections. tokio's timers tick in milliseconds, which is more than what is
//! measured here; and a client that sleeps must be woken, which the kernel charges to the server that answers it, more the
//! more often that server lets it sleep.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// The first answers are thrown away: connections open, caches of the processor fill.
const WARM_UP: Duration = Duration::from_millis(500);
/// After this an answer will not come.
const GIVE_UP: Duration = Duration::from_secs(5);
/// The longest that asking for each path once may take.
const ONCE: Duration = Duration::from_secs(120);
/// As many user agents as a small site sees.
const USER_AGENTS: usize = 200;

/// When requests are sent.
#[derive(Clone, Copy)]
enum Rate {
    /// This many a second, whatever the answers do.
    Fixed(f64),
    /// The next when the last is answered.
    Max,
    /// As that, and each path once.
    Once,
}

#[derive(Clone, Copy)]
struct Plan {
    address: SocketAddr,
    rate: Rate,
    start: Instant,
    end: Instant,
    threads: usize,
    connections: usize,
}

#[derive(Default)]
struct Seen {
    /// Of the answers that count.
    nanos: Vec<u64>,
    /// All answers, and those of them that say that there is no such link.
    total: u64,
    unknown: u64,
    errors: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, paths, rate, seconds, connections] = &arguments[..] else {
        println!("usage: load ADDRESS PATHS RATE|max SECONDS CONNECTIONS");
        return Ok(());
    };
    let measured: f64 = seconds.parse().context("SECONDS")?;
    let start = Instant::now() + Duration::from_millis(50);
    let plan = Plan {
        address: address.parse().context("ADDRESS")?,
        rate: match rate.as_str() {
            "max" => Rate::Max,
            "once" => Rate::Once,
            rate => Rate::Fixed(rate.parse().context("RATE")?),
        },
        start,
        end: start + WARM_UP + if rate == "once" { ONCE } else { Duration::from_secs_f64(measured) },
        // Those of the cores that we are pinned to.
        threads: thread::available_parallelism().map_or(1, usize::from),
        connections: connections.parse().context("CONNECTIONS")?,
    };
    let requests = Arc::new(requests(&fs::read_to_string(paths).context("PATHS")?, plan.address));
    anyhow::ensure!(!requests.is_empty(), "{paths} is empty");

    let threads: Vec<_> = (0..plan.threads)
        .map(|number| {
            let requests = requests.clone();
            thread::spawn(move || run(plan, number, &requests))
        })
        .collect();
    let mut all = Seen::default();
    for thread in threads {
        let seen = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        all.nanos.extend(seen.nanos);
        all.total += seen.total;
        all.unknown += seen.unknown;
        all.errors += seen.errors;
    }
    let measured = if matches!(plan.rate, Rate::Once) { start.elapsed().as_secs_f64() } else { measured };
    all.nanos.sort_unstable();
    let count = all.nanos.len();
    print!("count={count} total={} unknown={} errors={}", all.total, all.unknown, all.errors);
    print!(" rps={:.0}", count as f64 / measured);
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
        print!(" {name}_us={:.1}", percentile(&all.nanos, part) as f64 / 1000.0);
    }
    println!();
    Ok(())
}

fn requests(paths: &str, address: SocketAddr) -> Vec<Vec<u8>> {
    paths
        .lines()
        .enumerate()
        .map(|(number, path)| {
            format!(
                "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_{} like Mac OS X) \
                 AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1\r\n\
                 Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.9\r\n\
                 Referer: https://news.example.com/today\r\n\r\n",
                number % USER_AGENTS
            )
            .into_bytes()
        })
        .collect()
}

/// One connection, and when the request was due that it waits for.
struct Connection {
    stream: TcpStream,
    due: Instant,
    answer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, GIVE_UP)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, due: Instant::now(), answer: Vec::with_capacity(1024) })
    }

    fn send(&mut self, request: &[u8], due: Instant) -> io::Result<()> {
        self.answer.clear();
        self.due = due;
        self.stream.write_all(request)
    }

    /// Reads what has come; says whether that is the whole answer.
    fn answered(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 2048];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.answer.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let late = self.due.elapsed() > GIVE_UP;
                return if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(false) };
            }
            Err(error) => return Err(error),
        }
        let whole = whole(&self.answer);
        if whole && !self.answer.starts_with(b"HTTP/1.1 302") && !self.answer.starts_with(b"HTTP/1.1 404") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(whole)
    }
}

/// Says whether an answer has come as far as its head says that it is long. A redirect has no body.
fn whole(answer: &[u8]) -> bool {
    if answer.starts_with(b"HTTP/1.1 302") {
        return answer.ends_with(b"\r\n\r\n");
    }
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let at = answer[..head].windows(LENGTH.len()).position(|name| name == LENGTH);
    let digits = at.map(|at| answer[at + LENGTH.len()..head].iter().take_while(|byte| byte.is_ascii_digit()));
    let length = digits.map_or(0, |digits| digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')));
    answer.len() >= head + 4 + length
}

/// Goes round this thread's share of the connections until the end, and until the last answer has come.
fn run(plan: Plan, number: usize, requests: &[Vec<u8>]) -> io::Result<Seen> {
    let mut seen = Seen::default();
    let share = plan.connections.div_ceil(plan.threads);
    let mut idle = (0..share).map(|_| Connection::open(plan.address)).collect::<io::Result<Vec<_>>>()?;
    let mut waiting: Vec<Connection> = Vec::with_capacity(share);
    let mut sent = 0_u32;
    let due = |sent: u32| match plan.rate {
        Rate::Fixed(rate) => {
            let turn = f64::from(sent) * plan.threads as f64 + number as f64;
            plan.start + Duration::from_secs_f64(turn / rate)
        }
        Rate::Max => Instant::now().max(plan.start),
        Rate::Once if sent as usize * plan.threads + number >= requests.len() => plan.end,
        Rate::Once => Instant::now().max(plan.start),
    };
    loop {
        loop {
            let due = due(sent);
            if due > Instant::now() || due >= plan.end {
                break;
            }
            let Some(mut connection) = idle.pop() else { break };
            let place = (sent as usize * plan.threads + number) % requests.len();
            connection.send(&requests[place], due)?;
            waiting.push(connection);
            sent += 1;
        }
        if waiting.is_empty() && due(sent) >= plan.end {
            return Ok(seen);
        }
        let mut at = 0;
        while at < waiting.len() {
            match waiting[at].answered() {
                Ok(false) => at += 1,
                Ok(true) => {
                    let connection = waiting.swap_remove(at);
                    seen.total += 1;
                    let unknown = connection.answer.starts_with(b"HTTP/1.1 404");
                    seen.unknown += u64::from(unknown);
                    seen.errors += u64::from(unknown && !matches!(plan.rate, Rate::Once));
                    // What is asked once has no warm-up: it may be over before that ends.
                    if matches!(plan.rate, Rate::Once) || connection.due >= plan.start + WARM_UP {
                        seen.nanos.push(connection.due.elapsed().as_nanos() as u64);
                    }
                    idle.push(connection);
                }
                Err(error) => {
                    if seen.errors == 0 {
                        let answer = String::from_utf8_lossy(&waiting[at].answer);
                        eprintln!(
                            "load: the first error: {error}: {}",
                            answer.lines().next().unwrap_or_default()
                        );
                    }
                    seen.errors += 1;
                    waiting.swap_remove(at);
                    idle.push(Connection::open(plan.address)?);
                }
            }
        }
    }
}

fn percentile(sorted: &[u64], part: f64) -> u64 {
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0)
}
