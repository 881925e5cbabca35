//! The real program as a child process: started as in production, killed, stopped and started again on the same data.

use std::{
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use super::{Line, dies_with_us, free_port, signal, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linkforty");
/// Longer than any start takes, also while others compile.
const START: Duration = Duration::from_secs(20);
/// Longer than a node takes to come where it was told to die: it may first have to count a hundred thousand clicks, unoptimised.
const ABORT: Duration = Duration::from_secs(90);
const SIGABRT: i32 = 6;

/// One node and all that it keeps in files. Killed when dropped; its output is printed if the test fails.
pub struct Node {
    /// Where it redirects.
    pub links: SocketAddr,
    /// Where it answers calls.
    pub api: SocketAddr,
    /// Where it shows its metrics.
    pub ops: SocketAddr,
    settings: Vec<(String, String)>,
    child: Option<Child>,
    home: TempDir,
}

impl Node {
    /// Prepares a node; nothing runs yet. Later settings win over earlier ones.
    pub fn new(settings: impl IntoIterator<Item = (String, String)>) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let [links, api, ops] = [(); 3].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let own = [
            ("DATA_DIR", home.path().join("data").display().to_string()),
            ("LINKS_ADDR", links.to_string()),
            ("API_ADDR", api.to_string()),
            ("OPS_ADDR", ops.to_string()),
            ("LINKS_URL", format!("http://{links}")),
            // What the visitors of the ledger ask for.
            ("LINKS_HOSTS", "go.example.test".to_owned()),
            ("FRONTEND_URL", "https://dash.example.test".to_owned()),
            ("LOG_LEVEL", "warn".to_owned()),
            ("RATE_LIMIT_ENABLED", "false".to_owned()),
            ("SHUTDOWN_DELAY_MS", "0".to_owned()),
            // A start reads every segment, and these tests start often.
            ("SPOOL_SEGMENT_BYTES", (4 << 20).to_string()),
            ("SPOOL_MIN_FREE_BYTES", (64 << 20).to_string()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let settings = own.chain(settings).collect();
        Self { links, api, ops, settings, child: None, home }
    }

    /// Returns the directory of its spool.
    pub fn spool(&self) -> PathBuf {
        self.data().join("spool")
    }

    /// Returns its data directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Runs a command of the program with the node's settings and returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output =
            self.dressed(&mut Command::new(PROGRAM)).args(arguments).output().expect("the program runs");
        let (told, failed) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "linkforty {arguments:?}: {told}{failed}");
        told.trim().to_owned()
    }

    /// Begins a command of the program with the node's settings; what it prints goes into two files.
    pub fn begin(&self, arguments: &[&str], (told, failed): (&Path, &Path)) -> Child {
        let [told, failed] = [told, failed].map(|file| File::create(file).expect("a file"));
        let mut command = dies_with_us(PROGRAM, "KILL");
        let command = self.dressed(&mut command).args(arguments);
        command.stdout(told).stderr(failed).spawn().expect("setpriv starts the program")
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        self.start_with(&[]).await;
    }

    /// Starts it with settings for this one time and waits until it answers.
    pub async fn start_with(&mut self, settings: &[(&str, &str)]) {
        self.launch(settings);
        let begun = Instant::now();
        while !self.answers().await {
            if let Some(status) = self.ended() {
                panic!("the node ended while it started: {status}");
            }
            assert!(begun.elapsed() < START, "the node does not answer");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts it with settings for this one time, without waiting.
    pub fn launch(&mut self, settings: &[(&str, &str)]) {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log()).expect("the log opens");
        let errors = log.try_clone().expect("a second handle");
        let mut command = dies_with_us(PROGRAM, "KILL");
        let child = self.dressed(&mut command).envs(settings.iter().copied()).arg("serve");
        self.child = Some(child.stdout(log).stderr(errors).spawn().expect("setpriv starts the program"));
    }

    /// Says whether it answers.
    pub async fn answers(&self) -> bool {
        // The last listener to open, and one that never speaks TLS.
        match Line::open(self.ops).await {
            Ok(mut line) => line.get("/livez").await.is_ok_and(|answer| answer.status == 200),
            Err(_) => false,
        }
    }

    /// Ends it at once, wherever it is.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        signal("TERM", self.child.as_ref().expect("it runs").id());
    }

    /// Waits until it has ended and returns how.
    pub async fn wait(&mut self, patience: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                self.child = None;
                return status;
            }
            assert!(begun.elapsed() < patience, "the node did not end within {patience:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it has aborted itself, as a failpoint makes it.
    pub async fn wait_for_abort(&mut self) {
        let status = self.wait(ABORT).await;
        assert_eq!(status.signal(), Some(SIGABRT), "it should have aborted itself: {status}");
    }

    /// Waits until the spool holds nothing that is not stored.
    pub async fn drained(&self) {
        within(Duration::from_secs(60), "the spool is drained", async || self.waiting() == 0).await;
    }

    /// Returns how many records of the spool are not known to be stored.
    pub fn waiting(&self) -> u64 {
        linkforty::spool::inspect(&self.spool()).expect("the spool can be read").lag_records
    }

    /// Returns the sum of a metric over its labels; 0 when it does not show.
    pub async fn metric(&self, name: &str) -> u64 {
        self.metric_of(name, "").await
    }

    /// Returns the sum of a metric over those of its labels that contain `labels`.
    pub async fn metric_of(&self, name: &str, labels: &str) -> u64 {
        let mut line = Line::open(self.ops).await.expect("the ops listener accepts");
        let answer = line.get("/metrics").await.expect("the metrics come");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(' ') || rest.starts_with('{');
            (is_it && rest.contains(labels)).then(|| rest.rsplit(' ').next())?
        });
        values.map(|value| value.parse::<f64>().expect("a number") as u64).sum()
    }

    /// Returns the most memory that the process that runs now has held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let process = self.child.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux tells");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is always told");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("a child of ours"))
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("output.log")
    }

    /// Only these settings: nothing of whoever runs the tests.
    fn dressed<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let settings = self.settings.iter().map(|(name, value)| (name, value));
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(settings)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the node's last words:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}
