//! The command line, run as a program.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

fn linkforty(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linkforty"));
    command.env_clear().envs(settings.iter().copied());
    command
}

fn run(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    linkforty(settings).args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn bad_settings_are_all_named_and_end_with_78() {
    let settings = [
        ("APP_ENV", "production"),
        ("JWT_SECRET", "changeme"),
        ("RATE_LIMIT_MAX", "many"),
        ("LINKS_ADDR", "here"),
    ];
    for arguments in [&[][..], &["serve"], &["config"], &["migrate", "up"]] {
        let output = run(&settings, arguments);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        let said = text(&output.stderr);
        for name in
            ["DATABASE_URL", "JWT_SECRET", "SESSION_SECRET", "FRONTEND_URL", "RATE_LIMIT_MAX", "LINKS_ADDR"]
        {
            assert!(said.contains(name), "{name} is not in:\n{said}");
        }
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn wrong_arguments_end_with_2_and_help_has_examples() {
    assert_eq!(run(&[], &["frobnicate"]).status.code(), Some(2));
    let help = text(&run(&[], &["--help"]).stdout);
    for part in ["Examples:", "migrate", "DATABASE_URL", "--data-dir"] {
        assert!(help.contains(part), "{help}");
    }
    assert!(text(&run(&[], &["version"]).stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_command_whose_reader_has_gone_ends_without_a_word() {
    for arguments in [&["config"][..], &["config", "--json"], &["version"], &["secret", "generate"]] {
        // As `head` is when it has seen enough.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = linkforty(&[]).args(arguments).stdout(writer).output().expect("it runs");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()), "{arguments:?}");
    }
}

#[test]
fn settings_are_shown_and_secrets_are_not() {
    let secret = "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO";
    let settings = [("JWT_SECRET", secret), ("CACHE_ENTRIES", "77")];
    for arguments in [&["config"][..], &["config", "--json"]] {
        let output = run(&settings, arguments);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0));
        assert!(!shown.contains(secret) && shown.contains("***"), "{shown}");
        assert!(shown.contains("CACHE_ENTRIES") && shown.contains("77"));
    }
    let json = text(&run(&settings, &["config", "--json"]).stdout);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["CACHE_ENTRIES"]["origin"], "environment");
    assert_eq!(json["DATA_DIR"]["value"], "./data");
}

#[test]
fn migrations_run_once_and_can_be_verified() {
    let dir = TempDir::new().expect("a temporary directory");
    let data_dir = dir.path().join("data").display().to_string();
    let migrate = |what| run(&[], &["--data-dir", &data_dir, "migrate", what]);
    assert_eq!(migrate("verify").status.code(), Some(1));
    assert!(text(&migrate("status").stdout).contains("pending"));
    let up = migrate("up");
    assert_eq!(up.status.code(), Some(0), "{}", text(&up.stderr));
    assert!(text(&up.stdout).contains("ran m20261122_000001_first"));
    assert!(text(&migrate("up").stdout).contains("up to date already"));
    assert!(!text(&migrate("status").stdout).contains("pending"));
    assert_eq!(migrate("verify").status.code(), Some(0));
}

#[test]
fn serving_needs_nothing_tells_where_and_ends_when_told() {
    let dir = TempDir::new().expect("a temporary directory");
    let data = dir.path().join("data");
    let settings = [
        ("LINKS_ADDR", "127.0.0.1:0"),
        ("API_ADDR", "127.0.0.1:0"),
        ("OPS_ADDR", "127.0.0.1:0"),
        ("LINKS_URL", "http://localhost:8080"),
    ];
    let mut server = linkforty(&settings)
        .args(["--data-dir", &data.display().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    let mut greeting = String::new();
    let port = loop {
        let line = lines.next().expect("a greeting").expect("text");
        greeting.push_str(&line);
        if let Some(rest) = line.trim().strip_prefix("Health") {
            let url: url::Url = rest.trim().parse().expect("a URL");
            break url.port().expect("a port");
        }
    };
    assert!(greeting.contains("http://localhost:8080/"), "{greeting}");
    let mode = |path: &std::path::Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("jwt.secret")), 0o600);

    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("settable");
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let told = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
    assert_eq!(server.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = TempDir::new().expect("a temporary directory");
    let data = dir.path().display().to_string();
    let settings = [
        ("LINKS_ADDR", "127.0.0.1:0"),
        ("API_ADDR", "127.0.0.1:0"),
        ("OPS_ADDR", "127.0.0.1:0"),
        ("DATA_DIR", &data),
        ("SHUTDOWN_DELAY_MS", "25000"),
    ];
    let mut server =
        linkforty(&settings).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    lines.next().expect("a greeting").expect("text");
    let tell = |id: u32| {
        let told = Command::new("kill").args(["-TERM", &id.to_string()]).status().expect("kill runs");
        assert!(told.success());
        std::thread::sleep(Duration::from_millis(500));
    };
    tell(server.id());
    assert!(server.try_wait().expect("it can be asked").is_none(), "the first signal is not the end");
    tell(server.id());
    let begun = std::time::Instant::now();
    assert_eq!(server.wait().expect("it ends").code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn an_address_in_use_is_named_and_ends_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let dir = TempDir::new().expect("a temporary directory");
    let data = dir.path().display().to_string();
    let settings = [
        ("LINKS_ADDR", address.as_str()),
        ("API_ADDR", "127.0.0.1:0"),
        ("OPS_ADDR", "127.0.0.1:0"),
        ("DATA_DIR", &data),
    ];
    let output = run(&settings, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&address) && said.contains("LINKS_ADDR"), "{said}");
}

/// Runs the program on a data directory of the test, and returns what it says.
fn said(data_dir: &str, arguments: &[&str]) -> String {
    let output = run(&[], &[&["--data-dir", data_dir], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Expects the program to refuse and to say why.
fn refused(data_dir: &str, arguments: &[&str], code: i32, why: &str) {
    let output = run(&[], &[&["--data-dir", data_dir], arguments].concat());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
}

#[test]
fn people_and_keys_are_kept_by_the_operator() {
    let dir = TempDir::new().expect("a temporary directory");
    let data_dir = dir.path().join("data").display().to_string();
    let said = |arguments: &[&str]| said(&data_dir, arguments);
    let refused = |arguments: &[&str], code, why: &str| refused(&data_dir, arguments, code, why);
    said(&["migrate", "up"]);
    let first = said(&["user", "create", "Ann@example.com", "--name", "Ann"]);
    assert!(first.contains("ann@example.com") && first.contains("Password"), "{first}");
    refused(&["user", "create", "ann@example.com"], 1, "somebody has this e-mail already");
    refused(&["user", "create", "ann"], 1, "email must be an e-mail");
    refused(&["user", "create", "bob@example.com", "--role", "owner"], 2, "viewer, member or admin");
    refused(&["user", "create", "bob@example.com", "--role", "viewer"], 1, "no such workspace");
    let second = said(&["user", "reset-password", "ann@example.com"]);
    assert!(second.contains("Password") && second != first);
    refused(&["user", "reset-password", "bob@example.com"], 1, "no such person");
    assert!(said(&["user", "list"]).ends_with("  ann@example.com  Ann\n"));
    assert!(said(&["user", "disable", "ANN@example.com"]).contains("ann@example.com can no longer sign in"));
    assert!(said(&["user", "list"]).ends_with("  ann@example.com  Ann  (disabled)\n"));
    assert!(said(&["user", "enable", "ann@example.com"]).contains("can sign in again"));
    assert!(said(&["user", "list"]).ends_with("  ann@example.com  Ann\n"));
    refused(&["user", "disable", "bob@example.com"], 1, "no such person");
    refused(&["user", "reset-second-factor", "ann@example.com"], 1, "no such second factor");

    refused(&["key", "create", "--name", "ci", "--scopes", "api_keys.write"], 2, "links.read");
    refused(&["key", "create", "--name", "", "--scopes", "links.read"], 2, "1 to 100 characters");
    refused(&["key", "create", "--name", "ci", "--scopes", "links.read", "--days", "367"], 2, "366");
    refused(&["key", "create", "--name", "ci", "--scopes", "links.read"], 1, "no such workspace");
}

#[test]
fn keys_are_rotated_and_quotas_set_by_the_operator() {
    let dir = TempDir::new().expect("a temporary directory");
    let data_dir = dir.path().join("data").display().to_string();
    let said = |arguments: &[&str]| said(&data_dir, arguments);
    said(&["user", "bootstrap"]);
    let secret =
        said(&["key", "create", "--name", "ci", "--scopes", "links.read,links.export", "--secret-only"]);
    assert!(secret.starts_with("lf_live_"), "{secret}");
    let test = said(&["key", "create", "--name", "try", "--scopes", "links.read", "--test", "--secret-only"]);
    assert!(test.starts_with("lf_test_"), "{test}");
    let too_long = &["key", "create", "--name", "try", "--scopes", "links.read", "--test", "--days", "31"];
    refused(&data_dir, too_long, 1, "at most 30");
    let listed = said(&["key", "list"]);
    assert!(listed.contains("links.export,links.read") && listed.contains("never used"), "{listed}");
    let id = listed.lines().last().and_then(|line| line.split_whitespace().next()).expect("the oldest");
    let rotated = said(&["key", "rotate", id, "--overlap-hours", "0", "--secret-only"]);
    assert!(rotated.starts_with("lf_live_") && rotated != secret, "{rotated}");
    refused(&data_dir, &["key", "rotate", id, "--overlap-hours", "169"], 2, "168");
    assert_eq!(said(&["key", "stale"]), "");
    let named = ["key", "create", "--name", "billing", "--scopes", "links.read", "--certificate-name"];
    let named = |name: &'static str| [&named[..], &[name]].concat();
    let service = said(&named("spiffe://example.com/billing"));
    assert!(service.contains("  spiffe://example.com/billing  ") && !service.contains("ecret"), "{service}");
    refused(&data_dir, &named("spiffe://example.com/billing"), 1, "opens another key");
    refused(&data_dir, &named("*.example.com"), 2, "without a wildcard");

    let workspaces = said(&["workspace", "list"]);
    let id = workspaces.split_whitespace().next().expect("one workspace");
    let quota = |arguments: &[&str]| said(&[&["workspace", "quota", id], arguments].concat());
    assert!(quota(&[]).contains("api_keys          3 of any number"), "{}", quota(&[]));
    assert!(quota(&["--api-keys", "3"]).contains("api_keys          3 of 3\n"));
    refused(&data_dir, &["key", "create", "--name", "x", "--scopes", "links.read"], 1, "may have 3 api keys");
    assert!(quota(&["--api-keys", "default", "--links", "7"]).contains("api_keys          3 of any number"));
    assert!(quota(&[]).contains("links             0 of 7\n"));
    refused(&data_dir, &["workspace", "quota", id, "--links", "many"], 2, "must be a number");
}

#[test]
fn workspaces_are_suspended_and_restored_by_the_operator() {
    let dir = TempDir::new().expect("a temporary directory");
    let data_dir = dir.path().join("data").display().to_string();
    let said = |arguments: &[&str]| said(&data_dir, arguments);
    said(&["user", "bootstrap"]);
    let listed = said(&["workspace", "list"]);
    let id = listed.split_whitespace().next().expect("one workspace").to_owned();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    for (arguments, code, why) in [
        (&["workspace", "suspend", &id][..], 2, "--reason"),
        (&["workspace", "suspend", &id, "--reason", " "], 1, "1 to 1,000 characters"),
        (&["workspace", "suspend", "x", "--reason", "phishing"], 1, "no such workspace"),
        (&["workspace", "restore", "x"], 1, "no such workspace"),
    ] {
        refused(&data_dir, arguments, code, why);
    }
    said(&["workspace", "suspend", &id, "--reason", "phishing, case 17"]);
    assert!(said(&["workspace", "list"]).contains("suspended"));
    assert!(said(&["workspace", "list"]).trim_end().ends_with(": phishing, case 17"));
    assert!(said(&["workspace", "restore", &id]).starts_with("restored"));
    assert!(said(&["workspace", "restore", &id]).starts_with("it was not suspended"));
    assert_eq!(said(&["workspace", "list"]), listed);
}

#[test]
fn exchange_rates_are_imported_and_listed_by_the_operator() {
    let dir = TempDir::new().expect("a temporary directory");
    let data_dir = dir.path().join("data").display().to_string();
    let file = dir.path().join("rates.csv").display().to_string();
    let import = ["rates", "import", &file];
    std::fs::write(&file, "Date,USD,JPY,\n2026-11-20,1.1,N/A,\n2026-11-19,1.2,161.5,\n")
        .expect("it is written");
    let summary =
        "imported 3 rates of 2 days; 1 cells had none; converted the revenue of 0 events and 0 costs"
            .to_owned();
    assert_eq!(said(&data_dir, &import).trim(), summary);
    assert_eq!(said(&data_dir, &import).trim(), summary, "a repeat is the same");
    let listed = said(&data_dir, &["rates", "list"]);
    assert_eq!(listed, "JPY  2026-11-19 to 2026-11-19, 1 days\nUSD  2026-11-19 to 2026-11-20, 2 days\n");
    std::fs::write(&file, "Date,USD\n2026-11-20,a lot\n").expect("it is written");
    refused(&data_dir, &import, 1, "line 2");
    refused(&data_dir, &["rates", "import", "/nowhere.csv"], 1, "cannot open");
}
