//! Listens to all that the servers of all tests log, show as metrics and answer as errors, and hears secrets.
//!
//! Every test's server logs through the program's own subscriber, louder than in production, into this ear. What sounds like a secret
//! is kept (masked), and the next server that a test stops fails its test with it.

use std::{
    io,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use linkforty::{
    config::{Log, LogFormat},
    telemetry,
};

/// Secrets that the tests themselves use.
const KNOWN: &[&str] = &[
    "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO",
    "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa",
    crate::accounts::PASSWORD,
    "sesame",
];
/// What our own loudest lines are, and what the libraries say that see secrets on their way.
const LEVEL: &str =
    "info,linkforty=trace,sqlx=debug,sea_orm=debug,fred=debug,tonic=debug,lettre=trace,tower=debug";
/// What follows `lf_live_` or `lf_test_` in an API key.
const KEY_TAIL: usize = 38;
/// 256 bits in base64, as every token has at the least.
const TOKEN: usize = 43;

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: AtomicU64 = AtomicU64::new(0);

/// Begins to listen, once in a process.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let log = Log { level: LEVEL.to_owned(), format: LogFormat::Json };
        let _ = tracing::subscriber::set_global_default(telemetry::subscriber(&log, true, || Ear));
    });
}

/// Listens to a text that somebody gets to see.
pub fn hear(place: &str, text: &str) {
    if let Some(secret) = secret_in(text) {
        let masked = text.replace(secret, "(SECRET)");
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(format!("{place}: {masked}"));
    }
}

/// Fails if a secret was heard.
pub fn expect_silence() {
    assert!(LINES.load(Ordering::Relaxed) > 0, "nobody listens");
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(heard.is_empty(), "secrets were told:\n{}", heard.join("\n"));
}

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.fetch_add(1, Ordering::Relaxed);
        hear("log", &String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what looks like a secret.
fn secret_in(text: &str) -> Option<&str> {
    let known = KNOWN.iter().find_map(|secret| Some(&text[text.find(secret)?..][..secret.len()]));
    known.or_else(|| words(text).find(|word| is_key(word) || is_token(word)))
}

/// The runs of characters that base64 for URLs is made of.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || matches!(character, '_' | '-')))
        .filter(|word| word.len() >= TOKEN)
}

fn is_key(word: &str) -> bool {
    let tail = |start: &str| word.find(start).map(|at| word.len() - at - start.len());
    ["lf_live_", "lf_test_"].iter().any(|start| tail(start).is_some_and(|tail| tail >= KEY_TAIL))
}

/// Nobody writes upper case, lower case and digits in one long word but in base64.
fn is_token(word: &str) -> bool {
    let count = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
    count(u8::is_ascii_uppercase) > 5 && count(u8::is_ascii_lowercase) > 5 && count(u8::is_ascii_digit) > 2
}

#[test]
fn the_ear_hears_secrets_and_nothing_else() {
    let key = format!("lf_live_{}", "a1".repeat(19));
    let token = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6IlRoZUtleSJ9";
    for (text, secret) in [
        (format!("the key is {key}."), Some(&*key)),
        (format!("{{\"token\":\"{token}.x\"}}"), Some(token)),
        (format!("password={}", crate::accounts::PASSWORD), Some(crate::accounts::PASSWORD)),
        ("id 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 of lf_live_3kTq".to_owned(), None),
        (format!("sha256 {}", "0123456789abcdef".repeat(4)), None),
        (format!("path /{}", "a".repeat(2000)), None),
        ("select_a_very_long_name_of_something_that_nobody_would_write_in_base64_1234".to_owned(), None),
    ] {
        assert_eq!(secret_in(&text), secret, "{text}");
    }
}
