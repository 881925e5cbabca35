//! A PostgreSQL and a Redis of one test's own, to be stopped, frozen and emptied.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::{dies_with_us, free_port, random, signal, variable, within};

const START: Duration = Duration::from_secs(30);

/// A PostgreSQL server. Stopped and removed when dropped.
pub struct Postgres {
    bin: PathBuf,
    port: u16,
    password: String,
    child: Option<Child>,
    home: TempDir,
}

impl Postgres {
    /// Makes a server and starts it; `None` when the environment does not say where the programs are.
    pub async fn begin() -> Option<Self> {
        let bin = PathBuf::from(variable("LINKFORTY_TEST_PG_BIN")?);
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut postgres = Self { bin, port: free_port(), password: password(), child: None, home };
        let word = postgres.home.path().join("password");
        fs::write(&word, &postgres.password).expect("the password is written");
        // PostgreSQL refuses to run as root, so root hands it to the user that Debian's package made.
        if is_root() {
            let owned = Command::new("chown").args(["-R", "postgres"]).arg(postgres.home.path()).status();
            assert!(owned.expect("chown runs").success(), "there is no user postgres");
        }
        let mut initdb = Command::new("setpriv");
        let initdb = initdb.args(as_postgres()).arg(postgres.bin.join("initdb"));
        let initdb =
            initdb.args(["-U", "postgres", "--auth-host=md5", "--auth-local=md5", "--encoding=UTF8"]);
        let initdb = initdb.args(["--locale=C.UTF-8", "--data-checksums", "--no-sync"]);
        let made =
            initdb.arg("-D").arg(postgres.data()).arg("--pwfile").arg(word).output().expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        postgres.start().await;
        Some(postgres)
    }

    /// Makes a standby of it, which replays what it writes, and starts that.
    pub async fn standby(&self) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(home.path()).status();
            assert!(owned.expect("chown runs").success(), "there is no user postgres");
        }
        let password = self.password.clone();
        let mut standby = Self { bin: self.bin.clone(), port: free_port(), password, child: None, home };
        let mut copy = Command::new("setpriv");
        let copy = copy.args(as_postgres()).arg(self.bin.join("pg_basebackup"));
        let copy =
            copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-d"]).arg(self.url());
        let made = copy.arg("-D").arg(standby.data()).output().expect("pg_basebackup runs");
        assert!(made.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&made.stderr));
        standby.start().await;
        standby
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it on the data it had.
    pub async fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.path().join("log"));
        let log = log.expect("the log opens");
        let mut command = dies_with_us("setpriv", "QUIT");
        // Twice setpriv: a change of user clears the signal that the first one asked for.
        let command =
            command.args(as_postgres()).args(["--pdeathsig", "QUIT"]).arg(self.bin.join("postgres"));
        let command = command.arg("-D").arg(self.data()).arg("-k").arg(self.home.path());
        for setting in ["listen_addresses=127.0.0.1", "fsync=on", "timezone=UTC", "max_connections=60"] {
            command.args(["-c", setting]);
        }
        let command = command.args(["-c", &format!("port={}", self.port)]);
        let errors = log.try_clone().expect("a second handle");
        self.child = Some(command.stdout(log).stderr(errors).spawn().expect("postgres starts"));
        within(START, "PostgreSQL answers", async || {
            let asked = Command::new(self.bin.join("pg_isready"))
                .args(["-q", "-p", &self.port.to_string(), "-h"])
                .arg(self.home.path())
                .status();
            asked.expect("pg_isready runs").success()
        })
        .await;
    }

    /// Stops it as `pg_ctl stop -m immediate` does: nothing is finished, the next start recovers.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        signal("QUIT", child.id());
        child.wait().expect("it ends");
    }

    /// Stops all its processes where they stand: it accepts, and never answers.
    pub fn freeze(&self) {
        self.tell_all("STOP");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.tell_all("CONT");
    }

    fn tell_all(&self, name: &str) {
        let server = self.child.as_ref().expect("it runs").id();
        signal(name, server);
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &server.to_string()]).output();
        let children = children.expect("ps runs").stdout;
        for child in String::from_utf8_lossy(&children).split_whitespace() {
            signal(name, child.parse().expect("a process number"));
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.thaw();
            self.stop();
        }
    }
}

/// A Redis server. Killed and removed when dropped.
pub struct Redis {
    program: String,
    port: u16,
    password: String,
    child: Option<Child>,
    home: TempDir,
}

impl Redis {
    /// Makes a server and starts it; `None` when the environment does not say where the program is.
    pub async fn begin() -> Option<Self> {
        let program = variable("LINKFORTY_TEST_REDIS_SERVER")?;
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut redis = Self { program, port: free_port(), password: password(), child: None, home };
        redis.start().await;
        Some(redis)
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("redis://default:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it, empty.
    pub async fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let (port, dir) = (self.port, self.home.path().display());
        // From stdin: a password among the arguments is for everybody to see.
        let settings =
            format!("bind 127.0.0.1\nport {port}\ndir {dir}\nsave \"\"\nrequirepass {}\n", self.password);
        let mut command = dies_with_us(&self.program, "KILL");
        let mut child =
            command.arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("it was asked for");
        stdin.write_all(settings.as_bytes()).expect("Redis reads its settings");
        drop(stdin);
        self.child = Some(child);
        within(START, "Redis answers", async || self.says("PING").is_some_and(|said| said.contains("PONG")))
            .await;
    }

    /// Kills it: everything in it is gone.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Empties it.
    pub fn flush(&self) {
        let said = self.says("FLUSHALL").expect("Redis answers");
        assert!(said.contains("+OK\r\n+OK"), "{said}");
    }

    /// Stops it where it stands: it accepts, and never answers.
    pub fn freeze(&self) {
        signal("STOP", self.child.as_ref().expect("it runs").id());
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal("CONT", self.child.as_ref().expect("it runs").id());
    }

    fn says(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "AUTH {}\r\n{command}\r\nQUIT\r\n", self.password).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        Some(said)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// Both listen where every user of the machine can reach them.
fn password() -> String {
    random::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_root() -> bool {
    rustix::fs::stat("/proc/self").is_ok_and(|me| me.st_uid == 0)
}

fn as_postgres() -> &'static [&'static str] {
    if is_root() { &["--reuid=postgres", "--regid=postgres", "--init-groups"] } else { &[] }
}
