//! What is wrong with a domain, from what was seen of it, and what to do about each. Pure.
//!
//! Of things that follow from each other the first one is told: a host that leads nowhere has no certificate to speak of.

mod connection;
mod files;
mod ids;
#[cfg(test)]
mod tests;

pub use self::ids::{fingerprint, is_app_id, is_package};
use super::verify::{Sight, State};
use crate::{
    clock::Moment,
    outbound::Certificate,
    pb::v1::{self, DomainFindingCode as Code, DomainFindingSeverity as Severity},
};

/// The largest file that Apple reads.
pub const MOST_BYTES: usize = 128 * 1024;
/// How much is shown of what was seen.
const SHOWN: usize = 255;
/// Where Apple looks for its file.
pub const APPLE: &str = "/.well-known/apple-app-site-association";
/// Where Google looks for its file.
pub const GOOGLE: &str = "/.well-known/assetlinks.json";

/// What was seen of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The host.
    pub host: String,
    /// What the URLs of the host begin with.
    pub origin: String,
    /// Whether it answers.
    pub state: State,
    /// The TXT record.
    pub ownership: Sight,
    /// Where the host leads.
    pub address: Sight,
    /// Where that is.
    pub address_seen: Vec<String>,
    /// The encrypted connection.
    pub tls: Tls,
    /// Apple's file; `None`: there was no connection to ask for it.
    pub apple: Option<File>,
    /// Google's file.
    pub google: Option<File>,
}

/// What an encrypted connection came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Tls {
    /// The host leads nowhere, so nobody tried.
    NotTried,
    /// The address is not on the public internet.
    PrivateAddress,
    /// Nobody accepts.
    Refused,
    /// Nobody answers in time.
    TimedOut,
    /// No agreement.
    Failed,
    /// Certificates were shown.
    Shown {
        /// What the host's own one says; `None`: it cannot be read.
        certificate: Option<Certificate>,
        /// How many there were.
        length: usize,
        /// Why they are not believed.
        fault: Option<Fault>,
    },
}

/// Why a certificate is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is over.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// It is for other names.
    WrongName,
    /// Nobody known signed it.
    UnknownIssuer,
    /// Anything else.
    Other,
}

/// What a file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// No whole answer.
    NotRead(String),
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Where it leads, if it is a redirect.
        location: String,
        /// Its type.
        content_type: String,
        /// Its beginning, or all of it.
        body: Vec<u8>,
        /// Whether there was more.
        truncated: bool,
    },
}

/// What is expected in the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// App ids in Apple's file.
    pub app_ids: Vec<String>,
    /// Packages and fingerprints in Google's, the latter in capitals, with colons.
    pub android_apps: Vec<(String, String)>,
    /// Whether nothing else ought to be there.
    pub complete: bool,
}

impl Expected {
    /// Expects what somebody else does too.
    pub fn and(mut self, others: Self) -> Self {
        for id in others.app_ids {
            if !self.app_ids.contains(&id) {
                self.app_ids.push(id);
            }
        }
        for app in others.android_apps {
            if !self.android_apps.contains(&app) {
                self.android_apps.push(app);
            }
        }
        self.complete |= others.complete;
        self
    }
}

/// Returns everything that is wrong, errors first.
pub fn check(facts: &Facts, expected: &Expected, now: Moment) -> Vec<v1::DomainFinding> {
    let mut found = Findings(Vec::new());
    found.dns(facts);
    found.tls(facts, now);
    if let Some(file) = &facts.apple {
        let url = format!("{}{APPLE}", facts.origin);
        if let Some(json) = found.file(&url, file, !expected.app_ids.is_empty()) {
            found.apple(&url, &json, expected);
        }
    }
    if let Some(file) = &facts.google {
        let url = format!("{}{GOOGLE}", facts.origin);
        if let Some(json) = found.file(&url, file, !expected.android_apps.is_empty()) {
            found.google(&url, &json, expected);
        }
    }
    found.0.sort_by_key(|finding| finding.severity);
    found.0
}

struct Findings(Vec<v1::DomainFinding>);

impl Findings {
    fn error(&mut self, code: Code, subject: &str, advice: impl Into<String>, seen: impl Into<String>) {
        self.add(code, Severity::Error, subject, advice.into(), &seen.into());
    }

    fn warning(&mut self, code: Code, subject: &str, advice: impl Into<String>, seen: impl Into<String>) {
        self.add(code, Severity::Warning, subject, advice.into(), &seen.into());
    }

    fn add(&mut self, code: Code, severity: Severity, subject: &str, advice: String, seen: &str) {
        let seen = seen.chars().filter(|character| !character.is_control()).take(SHOWN).collect();
        self.0.push(v1::DomainFinding {
            code: code.into(),
            severity: severity.into(),
            subject: subject.to_owned(),
            advice,
            seen,
        });
    }
}
