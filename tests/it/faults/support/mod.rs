//! What the fault tests need: the real program as a child, stores of its own to break, a client that keeps a ledger, and a
//! look into the database afterwards.

mod books;
mod ledger;
mod node;
mod servers;
mod slow;
mod world;

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

pub use self::{
    books::Books,
    ledger::{Book, Ledger, Line, Load},
    node::Node,
    servers::{Postgres, Redis},
    slow::Way,
    world::{World, on_every_store, on_production, visit},
};

/// Only one of these tests at a time: two would starve each other on two cores, and then measure that.
pub static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[expect(clippy::disallowed_methods, reason = "what a test run is asked for is no setting of the server")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Waits until something is so.
pub async fn within(patience: Duration, what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends a signal to one process, by the name that `kill` knows. Returns whether it was there.
pub fn signal(name: &str, process: u32) -> bool {
    // The shell's own `kill`: a bare system may have no other.
    let sent =
        Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).stderr(Stdio::null()).status();
    sent.expect("sh runs").success()
}

/// Returns a command that ends together with the thread that starts it, however that ends.
pub fn dies_with_us(program: &str, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, program]).stdin(Stdio::null());
    command
}

/// Finds a port that nobody listens on, below those that the kernel gives to outgoing connections: a node comes back to its
/// ports after it was killed, and must find them free. So none is given twice: while its node is dead, nobody listens on it.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..1000 {
        let [high, low] = random();
        let port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
        let free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free && GIVEN.lock().expect("nobody panics here").insert(port) {
            return port;
        }
    }
    panic!("no free port")
}

/// Returns randomness of the system.
pub fn random<const N: usize>() -> [u8; N] {
    use std::io::Read as _;
    let mut bytes = [0; N];
    let mut system = std::fs::File::open("/dev/urandom").expect("every Unix has it");
    system.read_exact(&mut bytes).expect("it never ends");
    bytes
}
