//! What settings are refused, and why.

use std::{collections::HashMap, fs};

use super::*;

const JWT: &str = "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO";
const SESSION: &str = "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa";

fn load(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    let map: HashMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::from_lookup(&|name| map.get(name).cloned())
}

fn production(changes: &[(&'static str, &'static str)]) -> Result<Config, Problems> {
    let mut pairs = vec![
        ("DATABASE_URL", "postgres://app:q1J8mWv0Zr5T@db/linkforty"),
        ("LINKS_URL", "https://go.example.com"),
        ("JWT_SECRET", JWT),
        ("SESSION_SECRET", SESSION),
        ("FRONTEND_URL", "https://dash.example.com"),
    ];
    for change in changes {
        pairs.retain(|pair| pair.0 != change.0);
        pairs.push(*change);
    }
    load(&pairs)
}

#[test]
fn nothing_set_means_embedded() {
    let config = load(&[]).expect("the defaults are valid");
    assert_eq!(config.stage, Stage::Development);
    assert!(config.database.is_none() && config.redis.is_none() && config.secrets.is_none());
    assert_eq!(config.links_url.as_str(), "http://localhost:8080/");
}

#[test]
fn a_database_means_production_with_limits_on() {
    let config = production(&[]).expect("valid");
    assert_eq!(config.stage, Stage::Production);
    assert!(config.limits.enabled);
}

#[test]
fn production_refuses_weak_secrets_and_names_each() {
    for (name, value, says) in [
        ("JWT_SECRET", "", "JWT_SECRET is not set"),
        ("JWT_SECRET", "short", "shorter than 32"),
        ("SESSION_SECRET", "changeme-changeme-changeme-changeme", "sample value"),
        ("SESSION_SECRET", "abababababababababababababababababab", "repeats itself"),
        ("SESSION_SECRET", JWT, "repeats JWT_SECRET"),
        ("FRONTEND_URL", "", "FRONTEND_URL is not set"),
        ("FRONTEND_URL", "*", "FRONTEND_URL holds"),
        ("DATABASE_URL", "mysql://x/y", "not a postgres:// URL"),
        ("DATABASE_URL", "postgres://app:pw@db/x", "the password in DATABASE_URL is shorter than 12"),
        ("DATABASE_URL", "postgres://app:q1J8mWv0Zr5T@db/x?sslmode=disable", "ACCEPTED_RISKS=database_tls"),
        ("REDIS_URL", "redis://cache", "ACCEPTED_RISKS=redis_password"),
        ("LINKS_URL", "", "LINKS_URL is not set"),
        ("LINKS_URL", "http://go.example.com", "LINKS_URL holds http://go.example.com"),
        ("FRONTEND_URL", "http://dash.example.com", "FRONTEND_URL holds http://dash.example.com"),
        ("ACCEPTED_RISKS", "all", "ACCEPTED_RISKS holds \"all\""),
        ("DATABASE_POOL_MAX", "1", "DATABASE_POOL_MIN must not exceed"),
        ("RATE_LIMIT_MAX", "many", "RATE_LIMIT_MAX is \"many\""),
        ("OUTBOUND_ALLOW_NETWORKS", "10.0.0.0/8,inside", "OUTBOUND_ALLOW_NETWORKS holds \"inside\""),
        ("OUTBOUND_ALLOW_NETWORKS", "::/0", "OUTBOUND_ALLOW_NETWORKS allows every address"),
        ("OUTBOUND_ALLOW_PORTS", "8443,99999", "OUTBOUND_ALLOW_PORTS holds \"99999\""),
        ("OUTBOUND_MAX_PER_HOST", "0", "must be at least 1"),
        ("WEBHOOKS_CONCURRENCY", "0", "must be at least 1"),
        ("WEBHOOKS_PER_ENDPOINT", "0", "must be at least 1"),
        ("LINKS_HOSTS", "https://go.example.com", "LINKS_HOSTS holds"),
        ("DOMAIN_TARGETS", "*", "DOMAIN_TARGETS holds"),
        ("DNS_SERVERS", "192.0.2.53,ns", "DNS_SERVERS holds \"ns\""),
        ("NODE_ENV", "prod", "APP_ENV is \"prod\""),
        ("MAIL_DRIVER", "sendmail", "MAIL_DRIVER is \"sendmail\""),
        ("MAIL_DRIVER", "smtp", "SMTP_URL is not set"),
        ("MAIL_FROM", "nobody", "MAIL_FROM is \"nobody\""),
        ("SESSION_IDLE_TIMEOUT", "30", "SESSION_IDLE_TIMEOUT is \"30\""),
        ("SESSION_IDLE_TIMEOUT", "14m", "SESSION_IDLE_TIMEOUT must be at least 15m"),
        ("SESSION_IDLE_TIMEOUT", "91d", "SESSION_LIFETIME must be at least"),
        ("SESSION_LIFETIME", "366d", "and at most 365d"),
        ("SESSION_LIFETIME", "99999999999999999999d", "SESSION_LIFETIME is"),
        ("SESSION_LIFETIME", "é", "SESSION_LIFETIME is"),
    ] {
        let problems = production(&[(name, value)]).expect_err(says).to_string();
        assert!(problems.contains(says), "{name}={value}: {problems}");
    }
    let all = load(&[("APP_ENV", "production")]).expect_err("nothing is set").0;
    assert_eq!(all.len(), 5, "{all:?}");
}

#[test]
fn a_risk_that_somebody_accepts_lets_that_pass_and_nothing_else() {
    let url = "postgres://postgres:q1J8mWv0Zr5T@db/x?sslmode=disable";
    let problems = |accepted| {
        production(&[("DATABASE_URL", url), ("ACCEPTED_RISKS", accepted)]).map_err(|all| all.0.len())
    };
    assert_eq!(problems("").expect_err("two"), 2);
    assert_eq!(problems("database_tls,readable_secrets").expect_err("one"), 1);
    let config = problems(" database_tls , database_superuser").expect("both are accepted");
    assert_eq!(config.accepted_risks, [Risk::DatabaseTls, Risk::DatabaseSuperuser]);
    // What the URL leaves unsaid is checked all the same.
    let config = production(&[]).expect("valid").database.expect("it is set");
    assert!(config.url.expose_secret().ends_with("?sslmode=verify-full"));
}

#[test]
fn a_mail_server_is_reached_encrypted_unless_somebody_insists() {
    let reach = |url: &'static str| {
        production(&[("MAIL_DRIVER", "smtp"), ("SMTP_URL", url)]).map(|config| {
            let smtp = config.mail.smtp.expect("it is set");
            let user = smtp.credentials.map(|(user, password)| (user, password.expose_secret().to_owned()));
            (smtp.host, smtp.port, smtp.security, user)
        })
    };
    let user = || Some(("a@b".to_owned(), "p w/".to_owned()));
    let host = || "mail.example.com".to_owned();
    for (url, expected) in [
        ("smtps://a%40b:p%20w%2F@mail.example.com", (host(), 465, Security::Tls, user())),
        ("smtp://a%40b:p%20w%2F@mail.example.com", (host(), 587, Security::StartTls, user())),
        ("smtp://mail.example.com:2525", (host(), 2525, Security::StartTls, None)),
        ("smtp://mail.example.com?tls=none", (host(), 25, Security::None, None)),
    ] {
        assert_eq!(reach(url).expect(url), expected, "{url}");
    }
    for url in [
        "mail.example.com",
        "https://mail.example.com",
        "smtp://user@mail.example.com",
        "smtps://mail.example.com?tls=none",
        "smtp://mail.example.com/inbox",
        "smtp://user:hushhush@mail.example.com?tls=none",
    ] {
        let problems = reach(url).expect_err(url).to_string();
        assert!(problems.contains("SMTP_URL"), "{url}: {problems}");
        assert!(!problems.contains("hushhush"), "{problems}");
    }
}

#[test]
fn a_provider_is_named_whole_and_reached_encrypted() {
    let whole = [
        ("OIDC_ISSUER", "https://id.example.com/realms/main"),
        ("OIDC_CLIENT_ID", "linkforty"),
        ("OIDC_CLIENT_SECRET", "hushhush"),
    ];
    let with = |change: (&'static str, &'static str)| {
        let mut pairs = whole.to_vec();
        pairs.retain(|pair| pair.0 != change.0);
        pairs.push(change);
        production(&pairs)
    };
    let oidc = with(("OIDC_ALLOWED_EMAIL_DOMAINS", "Example.COM, example.org")).expect("valid").oidc;
    let oidc = oidc.expect("it is set");
    assert_eq!(oidc.allowed_email_domains, ["example.com", "example.org"]);
    assert_eq!((&*oidc.scopes, oidc.create_accounts), ("openid email profile", false));
    assert!(production(&[]).expect("valid").oidc.is_none());
    for (name, value, says) in [
        ("OIDC_ISSUER", "", "OIDC_ISSUER is not set"),
        ("OIDC_ISSUER", "id.example.com", "OIDC_ISSUER is \"id.example.com\""),
        ("OIDC_ISSUER", "http://id.example.com", "OIDC_ISSUER is"),
        ("OIDC_ISSUER", "http://localhost:8080", "OIDC_ISSUER is"),
        ("OIDC_ISSUER", "https://id.example.com/?realm=main", "OIDC_ISSUER is"),
        ("OIDC_CLIENT_ID", "", "OIDC_CLIENT_ID or OIDC_CLIENT_SECRET"),
        ("OIDC_CLIENT_SECRET", "", "OIDC_CLIENT_ID or OIDC_CLIENT_SECRET"),
        ("OIDC_SCOPES", "email", "OIDC_SCOPES must contain openid"),
        ("OIDC_CREATE_ACCOUNTS", "perhaps", "OIDC_CREATE_ACCOUNTS is"),
        ("OIDC_ALLOW_NETWORKS", "0.0.0.0/0", "OIDC_ALLOW_NETWORKS allows every address"),
    ] {
        let problems = with((name, value)).expect_err(says).to_string();
        assert!(problems.contains(says), "{name}={value}: {problems}");
    }
    let mut here = whole.to_vec();
    here[0].1 = "http://localhost:8080/realms/main";
    assert!(load(&here).expect("it is on this machine").oidc.is_some());
}

#[test]
fn passkeys_are_for_the_dashboard_or_a_domain_above_it() {
    for (id, good) in [
        ("dash.example.com", true),
        ("Example.com", true),
        ("com", false),
        ("other.com", false),
        ("ample.com", false),
        ("x.dash.example.com", false),
        ("https://dash.example.com", false),
    ] {
        let told = production(&[("WEBAUTHN_RP_ID", id)]);
        let problems = told.as_ref().map_err(ToString::to_string).err().unwrap_or_default();
        assert_eq!(told.is_ok(), good, "{id}: {problems}");
        assert!(good || problems.contains("WEBAUTHN_RP_ID is"), "{problems}");
    }
    assert!(load(&[("FRONTEND_URL", "http://localhost:5173"), ("WEBAUTHN_RP_ID", "localhost")]).is_ok());
}

#[test]
fn a_secret_may_come_from_a_file_and_is_masked() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), format!("{JWT}\n")).expect("writable");
    let path: &'static str = Box::leak(file.path().display().to_string().into_boxed_str());
    let config = production(&[("JWT_SECRET", ""), ("JWT_SECRET_FILE", path)]).expect("valid");
    assert_eq!(
        config.secrets.as_ref().map(|secrets| secrets.jwt.expose_secret().to_owned()),
        Some(JWT.to_owned())
    );
    assert!(config.entries.iter().all(|entry| !entry.value.contains(JWT)));
    assert!(!format!("{config:?}").contains(JWT));
    let both = production(&[("JWT_SECRET_FILE", path)]).expect_err("set twice").to_string();
    assert!(both.contains("both set"));
}
