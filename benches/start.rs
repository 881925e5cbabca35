//! Starts a server, says how long its first redirect took from exec, and how much memory it holds then and at rest.
//!
//! `start ADDRESS PATH SECONDS COMMAND...`: asks for PATH every millisecond until a 302 comes, waits SECONDS, stops
//! the command. Prints `name=value` pairs.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// After this it will not come.
const GIVE_UP: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, seconds, program, rest @ ..] = &arguments[..] else {
        println!("usage: start ADDRESS PATH SECONDS COMMAND...");
        return Ok(());
    };
    let address: SocketAddr = address.parse().context("ADDRESS")?;
    let rest_for = Duration::from_secs(seconds.parse().context("SECONDS")?);

    let exec = Instant::now();
    let mut child = Command::new(program).args(rest).stdin(Stdio::null()).spawn().context("COMMAND")?;
    let measured = measure(&mut child, exec, address, path, rest_for);
    // In order, so that the data directory can be used again.
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    child.wait()?;
    println!("{}", measured?);
    Ok(())
}

fn measure(
    child: &mut Child,
    exec: Instant,
    address: SocketAddr,
    path: &str,
    rest_for: Duration,
) -> anyhow::Result<String> {
    while !redirects(address, path) {
        if let Some(status) = child.try_wait()? {
            anyhow::bail!("the command ended before it redirected: {status}");
        }
        anyhow::ensure!(exec.elapsed() < GIVE_UP, "no redirect in {GIVE_UP:?}");
        thread::sleep(Duration::from_millis(1));
    }
    let first = exec.elapsed();
    let begun = resident_kib(child.id())?;
    thread::sleep(rest_for);
    let idle = resident_kib(child.id())?;
    Ok(format!(
        "first_redirect_ms={:.0} rss_start_mib={:.1} rss_idle_mib={:.1}",
        first.as_secs_f64() * 1000.0,
        begun as f64 / 1024.0,
        idle as f64 / 1024.0
    ))
}

fn redirects(address: SocketAddr, path: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(&status == b"HTTP/1.1 302")
    };
    ask().unwrap_or(false)
}

fn resident_kib(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .context("no VmRSS in /proc")
}
