//! What production does not start with, each with what to do about it.
//!
//! Where somebody has good reasons, `ACCEPTED_RISKS` names what is let pass; every start says so in the log.

use std::{fs, net::IpAddr, os::unix::fs::PermissionsExt as _, path::Path};

use url::{Host, Url};

/// Something that production refuses unless the operator takes it upon themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// A database on another machine whose certificate is not checked.
    DatabaseTls,
    /// A database role that may do anything.
    DatabaseSuperuser,
    /// A Redis on another machine that asks for no password.
    RedisPassword,
    /// Files with secrets that everybody on the machine can read.
    ReadableSecrets,
}

impl Risk {
    /// Every risk.
    pub const ALL: [Self; 4] =
        [Self::DatabaseTls, Self::DatabaseSuperuser, Self::RedisPassword, Self::ReadableSecrets];

    /// Returns what `ACCEPTED_RISKS` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DatabaseTls => "database_tls",
            Self::DatabaseSuperuser => "database_superuser",
            Self::RedisPassword => "redis_password",
            Self::ReadableSecrets => "readable_secrets",
        }
    }

    /// Returns the risk of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.name() == name)
    }
}

/// Texts that stand in examples, images and tutorials. A secret that contains one is no secret.
const SAMPLES: &[&str] = &[
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "password",
    "example",
    "your-",
    "your_",
    "sample",
    "default",
    "12345678",
    "test",
];
/// The least characters of a secret that tokens or cookies rest on.
pub(super) const SHORTEST_SECRET: usize = 32;
/// The least characters of a database's password, which somebody has to guess over the network.
const SHORTEST_PASSWORD: usize = 12;
/// How many different characters a secret of 32 has at least; fewer of a shorter one, in proportion.
const DIFFERENT: usize = 12;
/// Says how secrets are made.
pub(super) const MAKE_ONE: &str = "make one with: openssl rand -base64 48";
/// The role that every Postgres is made with.
const FIRST_ROLE: &str = "postgres";

/// Says what is weak about a secret of at least so many characters, if anything is.
pub(super) fn weakness(secret: &str, shortest: usize) -> Option<String> {
    let lower = secret.to_lowercase();
    if secret.chars().count() < shortest {
        return Some(format!("is shorter than {shortest} characters"));
    }
    if let Some(sample) = SAMPLES.iter().find(|sample| lower.contains(**sample)) {
        return Some(format!("looks like a sample value (it contains {sample:?})"));
    }
    let mut different: Vec<char> = secret.chars().collect();
    different.sort_unstable();
    different.dedup();
    let least = (shortest * DIFFERENT).div_ceil(SHORTEST_SECRET);
    if different.len() < least {
        return Some(format!("repeats itself (fewer than {least} different characters)"));
    }
    None
}

/// What is wrong with the address of a database that `name` holds, each with the risk that names it if there is one. `secrets` are those that its
/// password must not repeat.
pub(super) fn of_database(name: &str, url: &Url, secrets: &[&str]) -> Vec<(Option<Risk>, String)> {
    let mut found = Vec::new();
    let local = is_here(url);
    if url.username() == FIRST_ROLE {
        let says = format!(
            "{name} signs in as postgres, who may do anything: make a role with deploy/postgres-roles.sql"
        );
        found.push((Some(Risk::DatabaseSuperuser), says));
    }
    match password(url) {
        Some(password) => {
            if let Some(weakness) = weakness(&password, SHORTEST_PASSWORD) {
                found.push((None, format!("the password in {name} {weakness}: {MAKE_ONE}")));
            }
            if secrets.contains(&&*password) {
                let says = format!("the password in {name} repeats JWT_SECRET or SESSION_SECRET: {MAKE_ONE}");
                found.push((None, says));
            }
        }
        // On this machine the system may say who one is, and elsewhere a certificate.
        None if local || parameter(url, "sslcert").is_some() => {}
        None => {
            let says = format!(
                "{name} has no password: write postgres://role:password@host/database, or name the file that holds it in {name}_FILE"
            );
            found.push((None, says));
        }
    }
    let mode = parameter(url, "sslmode").or_else(|| parameter(url, "ssl-mode"));
    if !local && !mode.is_none_or(|mode| matches!(&*mode, "verify-full" | "verify-ca")) {
        let says = format!(
            "{name} leads to another machine and does not check its certificate: leave sslmode out or set verify-full, and name a private authority in sslrootcert"
        );
        found.push((Some(Risk::DatabaseTls), says));
    }
    found
}

/// Returns the address with the check of the server's certificate that it leaves unsaid.
pub(super) fn verified(url: &Url) -> Url {
    let mut verified = url.clone();
    if !is_here(url) && parameter(url, "sslmode").is_none() && parameter(url, "ssl-mode").is_none() {
        verified.query_pairs_mut().append_pair("sslmode", "verify-full");
    }
    verified
}

/// What is wrong with the address of a Redis.
pub(super) fn of_redis(url: &Url) -> Option<(Risk, String)> {
    let open = password(url).is_none() && !is_here(url);
    open.then(|| {
        let says = "REDIS_URL has no password and leads to another machine: set one there (deploy/redis-users.acl) and write redis://user:password@host";
        (Risk::RedisPassword, says.into())
    })
}

/// What is wrong with an address that people come to.
pub(super) fn of_origin(name: &str, url: &Url) -> Option<String> {
    (url.scheme() != "https" && !is_here(url))
        .then(|| format!("{name} holds {url}: people come to it over the network, where only https:// keeps their sessions and clicks to themselves"))
}

/// What is wrong with a file that holds a secret. One that is not there is somebody else's to tell.
pub(super) fn of_file(name: &str, file: &Path) -> Option<(Risk, String)> {
    let mode = fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| {
        let says = format!(
            "{name} names {}, which everybody on the machine can read: chmod o-rwx it (in Kubernetes `defaultMode: 0400`, in Compose `mode: 0400`)",
            file.display()
        );
        (Risk::ReadableSecrets, says)
    })
}

fn password(url: &Url) -> Option<String> {
    let password = url.password().filter(|password| !password.is_empty())?;
    Some(percent_encoding::percent_decode_str(password).decode_utf8_lossy().into_owned())
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Says whether an address leads to this machine: by loopback, by its name for itself, or through a socket.
fn is_here(url: &Url) -> bool {
    let socket = parameter(url, "host");
    if let Some(host) = socket.filter(|host| !host.is_empty()) {
        return host.starts_with('/') || is_loopback(&host);
    }
    match url.host() {
        None => true,
        Some(Host::Domain(name)) => name.is_empty() || is_loopback(name) || name.starts_with("%2F"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
    }
}

fn is_loopback(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn a_database_is_reached_by_a_role_of_its_own_with_a_good_password_and_checked() {
        const GOOD: &str = "q1J8mWv0Zr5T";
        for (text, expected) in [
            ("postgres://app:{}@db/linkforty", &[][..]),
            ("postgres://app:{}@db/linkforty?sslmode=verify-full", &[]),
            ("postgres://app:{}@db/linkforty?sslmode=verify-ca&sslrootcert=/ca.pem", &[]),
            ("postgres://app:{}@db/linkforty?sslmode=disable", &["does not check"]),
            ("postgres://app:{}@db/linkforty?sslmode=require", &["does not check"]),
            ("postgres://app:{}@127.0.0.1/linkforty?sslmode=disable", &[]),
            ("postgres://app:{}@[::1]/linkforty?sslmode=disable", &[]),
            ("postgres://app:{}@localhost/linkforty?sslmode=prefer", &[]),
            ("postgres://app@localhost/linkforty", &[]),
            ("postgres:///linkforty?host=/run/postgresql&user=app", &[]),
            ("postgres://app:{}@localhost.db.example.com/linkforty?sslmode=allow", &["does not check"]),
            ("postgres://app@db/linkforty", &["no password"]),
            ("postgres://app@db/linkforty?sslcert=/own.pem&sslkey=/own.key", &[]),
            ("postgres://postgres:{}@db/linkforty", &["as postgres"]),
            ("postgres://app:postgres@db/linkforty", &["is shorter than 12"]),
            ("postgres://app:password1234@db/linkforty", &["looks like a sample value"]),
            ("postgres://app:ababababab12@localhost/linkforty", &["repeats itself"]),
            ("postgres://app:session%20of%20people@db/linkforty", &["repeats JWT_SECRET"]),
            (
                "postgres://postgres:postgres@db/x?sslmode=disable",
                &["as postgres", "shorter", "does not check"],
            ),
        ] {
            let found = of_database("DATABASE_URL", &url(&text.replace("{}", GOOD)), &["session of people"]);
            let told: Vec<&str> = found.iter().map(|(_, says)| &**says).collect();
            assert_eq!(told.len(), expected.len(), "{text}: {told:?}");
            for (says, part) in told.iter().zip(expected) {
                assert!(says.contains(part) && !says.contains(GOOD), "{text}: {says}");
            }
        }
    }

    #[test]
    fn what_is_unsaid_is_checked() {
        for (text, expected) in [
            ("postgres://app:pw@db/x", "postgres://app:pw@db/x?sslmode=verify-full"),
            (
                "postgres://app:pw@db/x?sslrootcert=/ca",
                "postgres://app:pw@db/x?sslrootcert=/ca&sslmode=verify-full",
            ),
            ("postgres://app:pw@db/x?sslmode=verify-ca", "postgres://app:pw@db/x?sslmode=verify-ca"),
            ("postgres://app:pw@127.0.0.1/x", "postgres://app:pw@127.0.0.1/x"),
        ] {
            assert_eq!(verified(&url(text)).as_str(), expected);
        }
    }

    #[test]
    fn a_redis_elsewhere_asks_for_a_password() {
        for (text, refused) in [
            ("redis://cache", true),
            ("redis://user@cache", true),
            ("redis-sentinel://10.0.0.1:26379?sentinelServiceName=main", true),
            ("redis://user:pw@cache", false),
            ("rediss://:pw@cache", false),
            ("redis://127.0.0.1:6379/0", false),
        ] {
            assert_eq!(of_redis(&url(text)).is_some(), refused, "{text}");
        }
    }

    #[test]
    fn people_come_over_https() {
        for (text, refused) in [
            ("https://dash.example.com", false),
            ("http://localhost:8081", false),
            ("http://127.0.0.1", false),
            ("http://dash.example.com", true),
            ("http://localhost.example.com", true),
        ] {
            assert_eq!(of_origin("FRONTEND_URL", &url(text)).is_some(), refused, "{text}");
        }
    }

    #[test]
    fn a_file_with_a_secret_is_for_few() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (mode, refused) in [(0o600, false), (0o640, false), (0o644, true), (0o444, true), (0o602, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("sets");
            assert_eq!(of_file("TLS_KEY_FILE", file.path()).is_some(), refused, "{mode:o}");
        }
        assert_eq!(of_file("TLS_KEY_FILE", Path::new("/nowhere")), None);
    }

    #[test]
    fn every_risk_is_found_under_its_name() {
        for risk in Risk::ALL {
            assert_eq!(Risk::named(risk.name()), Some(risk));
        }
        assert_eq!(Risk::named("everything"), None);
    }
}
