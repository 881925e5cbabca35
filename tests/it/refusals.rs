//! What production does not start with, and what the roles in `deploy/` may do. That they may do all that the server needs, every other
//! test on Postgres and Redis shows: its server signs in as them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

use sea_orm::ConnectionTrait as _;
use tempfile::TempDir;
use url::Url;

use crate::support::{App, Store, TestDatabase, stores, variable};

const SETTINGS: [(&str, &str); 6] = [
    ("APP_ENV", "production"),
    ("LINKS_URL", "https://go.shop.test"),
    ("FRONTEND_URL", "https://dash.shop.test"),
    ("JWT_SECRET", "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO"),
    ("SESSION_SECRET", "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa"),
    ("LINKS_ADDR", "nowhere"),
];

/// Starts a production server that cannot start, and returns how it ended and what it said.
fn start(dir: &TempDir, changes: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linkforty"));
    command.arg("serve").env_clear().envs(SETTINGS).env("DATA_DIR", dir.path().join("data"));
    command.envs(changes.iter().copied());
    let output = command.output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn files_with_secrets_are_for_few() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("session");
    fs::write(&file, "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa\n").expect("writes");
    let path = file.display().to_string();
    let changes = [
        ("DATABASE_URL", "postgres://app:q1J8mWv0Zr5T@localhost/linkforty"),
        ("SESSION_SECRET", ""),
        ("SESSION_SECRET_FILE", &path),
    ];
    for (mode, refused) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("sets");
        let (code, said) = start(&dir, &changes);
        assert_eq!(code, Some(78), "{said}");
        assert_eq!(said.contains("SESSION_SECRET_FILE names"), refused, "{mode:o}: {said}");
        assert_eq!(said.contains("chmod o-rwx"), refused, "{mode:o}: {said}");
    }
}

#[tokio::test]
async fn nobody_serves_as_a_superuser() {
    let Some(server) = variable("LINKFORTY_TEST_DATABASE_URL") else { return };
    let database = TestDatabase::create(&server).await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The first role of a server under another name is a superuser all the same.
    let mut url = Url::parse(&server).expect("a URL");
    url.set_path(&database.name);
    let plain = ("DATABASE_URL", url.as_str());
    let (code, said) = start(&dir, &[plain]);
    assert!(code == Some(78) && said.contains("signs in as postgres"), "{said}");

    let password = url.password().expect("there is one").to_owned();
    let make = format!("CREATE ROLE linkforty_boss SUPERUSER LOGIN PASSWORD '{password}'");
    let boss = sea_orm::Database::connect(url.as_str()).await.expect("the server answers");
    let _ = boss.execute_unprepared(&make).await;
    url.set_username("linkforty_boss").expect("there is a host");
    let addresses = [("LINKS_ADDR", "127.0.0.1:0"), ("API_ADDR", "127.0.0.1:0"), ("OPS_ADDR", "127.0.0.1:0")];
    let mut changes = vec![("DATABASE_URL", url.as_str())];
    changes.extend(addresses);
    let (code, said) = start(&dir, &changes);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("signs in as a superuser") && said.contains("deploy/postgres-roles.sql"), "{said}");
    assert!(!said.contains(&password), "{said}");
    boss.close().await.expect("closes");
    database.drop().await;
}

#[tokio::test]
async fn the_servers_role_cannot_touch_tables_or_the_audit_trail() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let app = App::start(Store::Production).await;
    app.tenant().await;
    for sql in [
        "CREATE TABLE mine (id int)",
        "DROP TABLE clicks",
        "TRUNCATE clicks",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_events_keep ON audit_events",
        "UPDATE audit_events SET action = 'link.created'",
        "DELETE FROM audit_events",
        "CREATE ROLE mine",
        "SET ROLE linkforty_owner",
        "COPY links TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
    ] {
        assert!(app.env().db.api.execute_unprepared(sql).await.is_err(), "{sql}");
    }
    app.stop().await;
}

#[test]
fn redis_refuses_the_server_what_it_does_not_need() {
    let Some(url) = variable("LINKFORTY_TEST_REDIS_URL") else { return };
    let url = Url::parse(&url).expect("a URL");
    let address = (url.host_str().expect("a host"), url.port().expect("a port"));
    let mut redis = BufReader::new(TcpStream::connect(address).expect("it accepts"));
    let mut ask = |command: String| {
        redis.get_mut().write_all(format!("{command}\r\n").as_bytes()).expect("writes");
        let mut line = String::new();
        redis.read_line(&mut line).expect("answers");
        line
    };
    let (user, password) = (url.username(), url.password().expect("there is one"));
    assert_eq!(ask("PING".into()), "-NOAUTH Authentication required.\r\n");
    assert_eq!(ask(format!("AUTH {user} {password}")), "+OK\r\n");
    assert_eq!(ask("SET linkforty_test_refusals 1 PX 1000".into()), "+OK\r\n");
    for command in ["FLUSHALL", "KEYS *", "CONFIG GET dir", "GET somebody_elses"] {
        assert!(ask(command.into()).starts_with("-NOPERM"), "{command}");
    }
}
