//! What is wrong with a domain, from what was seen of it, and what to do about each. Pure.
//!
//! Of things that follow from each other the first one is told: a host that leads nowhere has no certificate to speak of.

use chrono::Duration;
use serde_json::Value;

use super::verify::{Sight, State};
use crate::{
    clock::Moment,
    outbound::Certificate,
    pb::v1::{self, DomainFindingCode as Code, DomainFindingSeverity as Severity},
};

/// How long before its end a certificate is warned of: renewals that work come earlier.
const SOON: Duration = Duration::days(21);
/// The largest file that Apple reads.
pub const MOST_BYTES: usize = 128 * 1024;
/// How much is shown of what was seen.
const SHOWN: usize = 255;
const HANDLE_ALL_URLS: &str = "delegate_permission/common.handle_all_urls";
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

/// What somebody expects to find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// App ids in Apple's file.
    pub app_ids: Vec<String>,
    /// Packages and fingerprints in Google's, the latter in capitals, with colons.
    pub android_apps: Vec<(String, String)>,
}

/// Returns everything that is wrong, errors first.
pub fn check(facts: &Facts, expected: &Expected, now: Moment) -> Vec<v1::DomainFinding> {
    let mut found = Findings(Vec::new());
    found.dns(facts);
    found.tls(facts, now);
    if let Some(file) = &facts.apple {
        let url = format!("{}{APPLE}", facts.origin);
        if let Some(json) = found.file(&url, file, !expected.app_ids.is_empty()) {
            found.apple(&url, &json, &expected.app_ids);
        }
    }
    if let Some(file) = &facts.google {
        let url = format!("{}{GOOGLE}", facts.origin);
        if let Some(json) = found.file(&url, file, !expected.android_apps.is_empty()) {
            found.google(&url, &json, &expected.android_apps);
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

    fn dns(&mut self, facts: &Facts) {
        let Facts { host, ownership, address, .. } = facts;
        let record = format!("_linkforty.{host}");
        match ownership {
            Sight::Right => {}
            Sight::Missing => self.error(
                Code::DnsTxtMissing,
                &record,
                "Create the TXT record that GetDomain shows, and leave it in place.",
                "",
            ),
            Sight::Wrong => self.error(
                Code::DnsTxtWrong,
                &record,
                "Replace the value of the TXT record by the one that GetDomain shows: this one is another workspace's or an old one.",
                "",
            ),
            Sight::Silent => self.error(
                Code::DnsSilent,
                &record,
                "Ask whoever runs the DNS of this domain why its name servers do not answer.",
                "",
            ),
        }
        let seen = facts.address_seen.join(", ");
        match address {
            Sight::Right => {}
            Sight::Missing => self.error(
                Code::DnsHostMissing,
                host,
                "Create the CNAME or address record that GetDomain shows.",
                "",
            ),
            Sight::Wrong => self.error(
                Code::DnsHostElsewhere,
                host,
                "Change the record so that it leads here, and take out every other address of the host, those of IPv6 included.",
                seen,
            ),
            Sight::Silent if *ownership != Sight::Silent => self.error(
                Code::DnsSilent,
                host,
                "Ask whoever runs the DNS of this domain why its name servers do not answer.",
                "",
            ),
            Sight::Silent => {}
        }
        if !facts.state.serves() && *ownership == Sight::Right && *address == Sight::Right {
            self.error(
                Code::NotVerified,
                host,
                "Call VerifyDomain: the records are right, and the domain does not answer before they were seen.",
                "",
            );
        }
    }

    fn tls(&mut self, facts: &Facts, now: Moment) {
        let origin = &facts.origin;
        match &facts.tls {
            Tls::NotTried => {}
            Tls::PrivateAddress => self.error(
                Code::DnsPrivateAddress,
                &facts.host,
                "Let the host lead to an address on the public internet.",
                facts.address_seen.join(", "),
            ),
            Tls::Refused => self.error(
                Code::ConnectionRefused,
                origin,
                "Start the proxy that answers for this host, or open its port in the firewall.",
                "",
            ),
            Tls::TimedOut => self.error(
                Code::ConnectionTimeout,
                origin,
                "Open the port in the firewall, or mend the proxy: nobody answers there in time.",
                "",
            ),
            Tls::Failed => self.error(
                Code::TlsFailed,
                origin,
                "Let the proxy speak TLS 1.2 or 1.3 for this host, with a certificate for it.",
                "",
            ),
            Tls::Shown { certificate, length, fault } => {
                self.certificate(origin, certificate.as_ref(), *length, *fault, now);
            }
        }
    }

    fn certificate(
        &mut self,
        origin: &str,
        certificate: Option<&Certificate>,
        length: usize,
        fault: Option<Fault>,
        now: Moment,
    ) {
        let until = certificate.map(|read| read.not_after.to_rfc3339()).unwrap_or_default();
        let self_issued = certificate.is_some_and(|read| read.is_self_issued);
        match fault {
            None => {
                if certificate.is_some_and(|read| read.not_after - now < SOON) {
                    self.warning(
                        Code::CertificateExpiresSoon,
                        origin,
                        "Look why the certificate was not renewed: that should have happened by now.",
                        until,
                    );
                }
            }
            Some(Fault::Expired) => self.error(
                Code::CertificateExpired,
                origin,
                "Renew the certificate, and see to it that the proxy takes the new one up.",
                until,
            ),
            Some(Fault::NotYetValid) => self.error(
                Code::CertificateNotYetValid,
                origin,
                "Wait until the certificate is valid, or set the clock of the machine that made it.",
                certificate.map(|read| read.not_before.to_rfc3339()).unwrap_or_default(),
            ),
            Some(Fault::WrongName) => self.error(
                Code::CertificateWrongName,
                origin,
                "Get a certificate for this host: the proxy shows one for other names.",
                certificate.map(|read| read.names.join(", ")).unwrap_or_default(),
            ),
            Some(Fault::UnknownIssuer | Fault::Other) if self_issued => self.error(
                Code::CertificateSelfSigned,
                origin,
                "Get a certificate from a public authority: phones believe none that signs itself.",
                "",
            ),
            Some(Fault::UnknownIssuer) if length == 1 => self.error(
                Code::CertificateChainIncomplete,
                origin,
                "Let the proxy show the whole chain: the intermediate certificates are missing, which browsers may mend and phones do not.",
                "",
            ),
            Some(Fault::UnknownIssuer) => self.error(
                Code::CertificateUntrusted,
                origin,
                "Get a certificate from a public authority: this one's is known to nobody.",
                "",
            ),
            Some(Fault::Other) => self.error(
                Code::CertificateInvalid,
                origin,
                "Get another certificate: this one is not valid.",
                "",
            ),
        }
    }

    /// Judges what both Apple and Google ask of a file, and returns what is in it, if it is there to be read. One that is missing is an
    /// error only if something is expected in it.
    fn file(&mut self, url: &str, file: &File, expected: bool) -> Option<Value> {
        let (status, location, content_type, body, truncated) = match file {
            File::NotRead(why) => {
                let advice = "Look at the proxy: the file does not come to its end.";
                self.error(Code::FileNotRead, url, advice, why.as_str());
                return None;
            }
            File::Answer { status, location, content_type, body, truncated } => {
                (*status, location, content_type, body, *truncated)
            }
        };
        match status {
            200 => {}
            404 | 410 => {
                let advice =
                    "Set up the app of this workspace, or let the proxy pass this path on to linkforty.";
                if expected {
                    self.error(Code::FileMissing, url, advice, status.to_string());
                } else {
                    self.warning(Code::FileMissing, url, advice, status.to_string());
                }
                return None;
            }
            300..400 => {
                let advice = "Answer this path without a redirect: Apple and Google follow none.";
                self.error(Code::FileRedirects, url, advice, location.as_str());
                return None;
            }
            _ => {
                let advice = "Let the proxy pass this path on to linkforty without asking for anything.";
                self.error(Code::FileStatus, url, advice, status.to_string());
                return None;
            }
        }
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let advice = "Serve the file as application/json.";
            self.error(Code::FileContentType, url, advice, content_type.as_str());
        }
        if truncated || body.len() > MOST_BYTES {
            let advice = "Make the file smaller than 128 KiB: Apple reads no larger one.";
            self.error(Code::FileTooLarge, url, advice, "");
            return None;
        }
        let json = serde_json::from_slice(body).ok();
        if json.is_none() {
            let advice = "Make the file valid JSON, without a byte order mark and without comments.";
            self.error(
                Code::FileNotJson,
                url,
                advice,
                String::from_utf8_lossy(&body[..body.len().min(SHOWN)]),
            );
        }
        json
    }

    fn apple(&mut self, url: &str, json: &Value, expected: &[String]) {
        let details = json.pointer("/applinks/details").and_then(Value::as_array);
        let Some(details) = details.filter(|details| !details.is_empty()) else {
            self.error(
                Code::AppleNoDetails,
                url,
                "Give the file an object \"applinks\" with a list \"details\" that names the app.",
                "",
            );
            return;
        };
        let mut all: Vec<&str> = Vec::new();
        for detail in details {
            let one = detail.get("appID").and_then(Value::as_str);
            let many = detail.get("appIDs").and_then(Value::as_array);
            let ids: Vec<&str> =
                one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str)).collect();
            if ids.is_empty() {
                let advice = "Name the app of every entry of \"details\" in \"appIDs\".";
                self.error(Code::AppleAppIdMalformed, url, advice, "");
            }
            for id in ids.iter().filter(|id| !is_app_id(id)) {
                let advice = "Write app ids as the team's ten characters, a dot and the bundle id.";
                self.error(Code::AppleAppIdMalformed, url, advice, *id);
            }
            let is_there =
                |name: &str| detail.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
            let name = ids.first().copied().unwrap_or_default();
            if !is_there("components") && !is_there("paths") {
                let advice = "Say in \"components\" which links the app opens: as it is, it opens none.";
                self.error(Code::AppleNoPatterns, url, advice, name);
            } else if !is_there("components") {
                let advice = "Write \"components\" beside \"paths\", which iOS 13 and later only reads for want of them.";
                self.warning(Code::AppleOldForm, url, advice, name);
            }
            all.extend(ids);
        }
        for id in expected.iter().filter(|id| !all.contains(&id.as_str())) {
            let advice = format!("Add the app id {id} to \"appIDs\".");
            self.error(Code::AppleAppIdMissing, url, advice, all.join(", "));
        }
    }

    fn google(&mut self, url: &str, json: &Value, expected: &[(String, String)]) {
        let Some(statements) = json.as_array() else {
            let advice = "Make the file a list of statements, in square brackets.";
            self.error(Code::GoogleNotAList, url, advice, "");
            return;
        };
        let mut apps: Vec<(&str, Vec<&str>)> = Vec::new();
        for statement in statements {
            let relations = statement.get("relation").and_then(Value::as_array);
            if !relations.is_some_and(|all| all.iter().any(|one| one == HANDLE_ALL_URLS)) {
                continue;
            }
            let text = |name: &str| statement.pointer(name).and_then(Value::as_str).unwrap_or_default();
            if text("/target/namespace") != "android_app" {
                continue;
            }
            let package = text("/target/package_name");
            if !is_package(package) {
                let advice = "Write the package name as in the app's manifest, for example com.example.app.";
                self.error(Code::GooglePackageMalformed, url, advice, package);
            }
            let fingerprints =
                statement.pointer("/target/sha256_cert_fingerprints").and_then(Value::as_array);
            let fingerprints: Vec<&str> =
                fingerprints.into_iter().flatten().map(|one| one.as_str().unwrap_or_default()).collect();
            if fingerprints.is_empty() {
                let advice = "Name the fingerprint of the certificate that Google Play signs the app with.";
                self.error(Code::GoogleFingerprintMalformed, url, advice, package);
            }
            for one in fingerprints.iter().filter(|one| !is_fingerprint(one)) {
                let advice =
                    "Write fingerprints as 32 bytes in capital hexadecimal with colons between them.";
                self.error(Code::GoogleFingerprintMalformed, url, advice, *one);
            }
            apps.push((package, fingerprints));
        }
        if apps.is_empty() {
            let advice = format!("Add a statement with the relation {HANDLE_ALL_URLS} for the Android app.");
            self.error(Code::GoogleNoRelation, url, advice, "");
            return;
        }
        for (package, fingerprint) in expected {
            let of_package: Vec<_> = apps.iter().filter(|(name, _)| name == package).collect();
            if of_package.is_empty() {
                let names: Vec<&str> = apps.iter().map(|(name, _)| *name).collect();
                let advice = format!("Add a statement for the package {package}.");
                self.error(Code::GooglePackageMissing, url, advice, names.join(", "));
            } else if !of_package.iter().any(|(_, all)| all.contains(&fingerprint.as_str())) {
                let advice = format!(
                    "Add the fingerprint {fingerprint} to {package}: that of the key that Google Play signs with, not of the upload key."
                );
                self.error(Code::GoogleFingerprintMissing, url, advice, package.as_str());
            }
        }
    }
}

/// Says whether a text is a team's id, a dot and a bundle id.
pub fn is_app_id(id: &str) -> bool {
    let Some((team, bundle)) = id.split_once('.') else { return false };
    let is_bundle = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'.');
    team.len() == 10
        && team.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
        && (1..=155).contains(&bundle.len())
        && bundle.bytes().all(is_bundle)
        && bundle.split('.').all(|part| !part.is_empty())
}

/// Says whether a text is the name of a package.
pub fn is_package(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && part.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
    };
    name.len() <= 255 && name.contains('.') && name.split('.').all(is_part)
}

/// Returns a fingerprint in capitals, with colons, or nothing when it is none.
pub fn fingerprint(text: &str) -> Option<String> {
    let digits: Vec<char> = text.chars().filter(|letter| *letter != ':').collect();
    if digits.len() != 64 || !digits.iter().all(char::is_ascii_hexdigit) {
        return None;
    }
    let pairs: Vec<String> =
        digits.chunks(2).map(|pair| pair.iter().collect::<String>().to_uppercase()).collect();
    let whole = pairs.join(":");
    // Colons stand between the bytes or nowhere.
    (!text.contains(':') || text.to_uppercase() == whole).then_some(whole)
}

fn is_fingerprint(text: &str) -> bool {
    fingerprint(text).as_deref() == Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    const PRINT: &str =
        "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99";

    fn answer(body: &str) -> Option<File> {
        Some(File::Answer {
            status: 200,
            location: String::new(),
            content_type: "application/json".into(),
            body: body.as_bytes().to_vec(),
            truncated: false,
        })
    }

    fn certificate(days: i64) -> Option<Certificate> {
        Some(Certificate {
            not_before: from_micros(0),
            not_after: from_micros(0) + Duration::days(days),
            names: vec!["go.shop.test".into()],
            is_self_issued: false,
        })
    }

    fn good() -> Facts {
        let apple = r#"{"applinks":{"details":[{"appIDs":["ABCDE12345.com.example.app"],"components":[{"/":"/*"}]}]}}"#;
        Facts {
            host: "go.shop.test".into(),
            origin: "https://go.shop.test".into(),
            state: State::Verified,
            ownership: Sight::Right,
            address: Sight::Right,
            address_seen: vec!["192.0.2.1".into()],
            tls: Tls::Shown { certificate: certificate(90), length: 2, fault: None },
            apple: answer(apple),
            google: answer(&statement(&format!("\"{PRINT}\""), "com.example.app")),
        }
    }

    fn statement(fingerprints: &str, package: &str) -> String {
        format!(
            r#"[{{"relation":["{HANDLE_ALL_URLS}"],"target":{{"namespace":"android_app","package_name":"{package}","sha256_cert_fingerprints":[{fingerprints}]}}}}]"#
        )
    }

    fn expected() -> Expected {
        Expected {
            app_ids: vec!["ABCDE12345.com.example.app".into()],
            android_apps: vec![("com.example.app".into(), PRINT.into())],
        }
    }

    fn codes(facts: &Facts, expected: &Expected) -> Vec<Code> {
        check(facts, expected, from_micros(0)).iter().map(v1::DomainFinding::code).collect()
    }

    #[test]
    fn nothing_is_wrong_with_a_good_domain() {
        assert_eq!(codes(&good(), &expected()), []);
        assert_eq!(codes(&good(), &Expected::default()), []);
    }

    #[test]
    fn each_fault_of_dns_and_certificate_has_its_code() {
        let shown =
            |days, length, fault| Tls::Shown { certificate: certificate(days), length, fault: Some(fault) };
        let own = certificate(90).map(|read| Certificate { is_self_issued: true, ..read });
        for (facts, code) in [
            (Facts { ownership: Sight::Missing, ..good() }, Code::DnsTxtMissing),
            (Facts { ownership: Sight::Wrong, ..good() }, Code::DnsTxtWrong),
            (Facts { ownership: Sight::Silent, address: Sight::Silent, ..good() }, Code::DnsSilent),
            (Facts { address: Sight::Silent, ..good() }, Code::DnsSilent),
            (Facts { address: Sight::Missing, ..good() }, Code::DnsHostMissing),
            (Facts { address: Sight::Wrong, ..good() }, Code::DnsHostElsewhere),
            (Facts { state: State::Pending, ..good() }, Code::NotVerified),
            (Facts { tls: Tls::PrivateAddress, ..good() }, Code::DnsPrivateAddress),
            (Facts { tls: Tls::Refused, ..good() }, Code::ConnectionRefused),
            (Facts { tls: Tls::TimedOut, ..good() }, Code::ConnectionTimeout),
            (Facts { tls: Tls::Failed, ..good() }, Code::TlsFailed),
            (Facts { tls: shown(-1, 2, Fault::Expired), ..good() }, Code::CertificateExpired),
            (Facts { tls: shown(90, 2, Fault::NotYetValid), ..good() }, Code::CertificateNotYetValid),
            (Facts { tls: shown(90, 2, Fault::WrongName), ..good() }, Code::CertificateWrongName),
            (Facts { tls: shown(90, 1, Fault::UnknownIssuer), ..good() }, Code::CertificateChainIncomplete),
            (Facts { tls: shown(90, 2, Fault::UnknownIssuer), ..good() }, Code::CertificateUntrusted),
            (Facts { tls: shown(90, 2, Fault::Other), ..good() }, Code::CertificateInvalid),
            (
                Facts {
                    tls: Tls::Shown { certificate: own, length: 1, fault: Some(Fault::UnknownIssuer) },
                    ..good()
                },
                Code::CertificateSelfSigned,
            ),
            (
                Facts { tls: Tls::Shown { certificate: certificate(20), length: 2, fault: None }, ..good() },
                Code::CertificateExpiresSoon,
            ),
        ] {
            assert_eq!(codes(&facts, &expected()), [code], "{facts:?}");
        }
    }

    #[test]
    fn each_fault_of_a_file_has_its_code() {
        let with = |change: &dyn Fn(&mut File)| {
            let mut file = good().apple.expect("it is there");
            change(&mut file);
            Some(file)
        };
        let status = |wanted: u16| {
            with(&|file| {
                if let File::Answer { status, .. } = file {
                    *status = wanted;
                }
            })
        };
        let kind = |wanted: &str| {
            with(&|file| {
                if let File::Answer { content_type, .. } = file {
                    wanted.clone_into(content_type);
                }
            })
        };
        let details = |inner: &str| answer(&format!(r#"{{"applinks":{{"details":[{inner}]}}}}"#));
        let id = r#""appIDs":["ABCDE12345.com.example.app"]"#;
        for (apple, wanted) in [
            (Some(File::NotRead("closed".into())), vec![Code::FileNotRead]),
            (status(404), vec![Code::FileMissing]),
            (status(410), vec![Code::FileMissing]),
            (status(301), vec![Code::FileRedirects]),
            (status(403), vec![Code::FileStatus]),
            (status(500), vec![Code::FileStatus]),
            (kind("text/plain"), vec![Code::FileContentType]),
            (kind(""), vec![Code::FileContentType]),
            (kind("Application/JSON; charset=utf-8"), vec![]),
            (answer(&format!("\"{}\"", "x".repeat(MOST_BYTES))), vec![Code::FileTooLarge]),
            (answer("\u{feff}{}"), vec![Code::FileNotJson]),
            (answer("<html>"), vec![Code::FileNotJson]),
            (answer("{}"), vec![Code::AppleNoDetails]),
            (details(""), vec![Code::AppleNoDetails]),
            (details(&format!(r"{{{id}}}")), vec![Code::AppleNoPatterns]),
            (details(&format!(r#"{{{id},"paths":["*"]}}"#)), vec![Code::AppleOldForm]),
            (
                details(r#"{"appIDs":["com.example.app"],"components":[{"/":"*"}]}"#),
                vec![Code::AppleAppIdMalformed, Code::AppleAppIdMissing],
            ),
            (
                details(r#"{"appID":"ABCDE12345.com.other.app","components":[{"/":"*"}]}"#),
                vec![Code::AppleAppIdMissing],
            ),
        ] {
            let facts = Facts { apple, ..good() };
            assert_eq!(codes(&facts, &expected()), wanted, "{:?}", facts.apple);
        }
        let other = PRINT.replace("AA", "AB");
        for (google, wanted) in [
            (answer("{}"), vec![Code::GoogleNotAList]),
            (answer("[]"), vec![Code::GoogleNoRelation]),
            (
                answer(&statement(&format!("\"{PRINT}\""), "app")),
                vec![Code::GooglePackageMalformed, Code::GooglePackageMissing],
            ),
            (answer(&statement(&format!("\"{PRINT}\""), "com.other.app")), vec![Code::GooglePackageMissing]),
            (
                answer(&statement(&format!("\"{other}\""), "com.example.app")),
                vec![Code::GoogleFingerprintMissing],
            ),
            (
                answer(&statement(&format!("\"{}\"", PRINT.to_lowercase()), "com.example.app")),
                vec![Code::GoogleFingerprintMalformed, Code::GoogleFingerprintMissing],
            ),
            (
                answer(&statement("", "com.example.app")),
                vec![Code::GoogleFingerprintMalformed, Code::GoogleFingerprintMissing],
            ),
            (answer(&statement(&format!("\"{PRINT}\",\"{other}\""), "com.example.app")), vec![]),
        ] {
            let facts = Facts { google, ..good() };
            assert_eq!(codes(&facts, &expected()), wanted, "{:?}", facts.google);
        }
    }

    #[test]
    fn every_finding_says_what_to_do_in_one_sentence() {
        let bad = Facts {
            ownership: Sight::Missing,
            address: Sight::Wrong,
            tls: Tls::Shown { certificate: certificate(3), length: 1, fault: None },
            apple: None,
            google: answer("[]"),
            ..good()
        };
        let findings = check(&bad, &expected(), from_micros(0));
        assert_eq!(findings.len(), 4);
        for finding in &findings {
            assert!(finding.advice.ends_with('.') && !finding.subject.is_empty(), "{finding:?}");
        }
        assert_eq!(findings[3].severity(), Severity::Warning, "errors come first");
    }

    #[test]
    fn a_file_that_nobody_expects_is_only_missed() {
        let missing = Some(File::Answer {
            status: 404,
            location: String::new(),
            content_type: String::new(),
            body: Vec::new(),
            truncated: false,
        });
        let facts = Facts { apple: missing, ..good() };
        let severity = |expected: &Expected| check(&facts, expected, from_micros(0))[0].severity();
        assert_eq!(severity(&expected()), Severity::Error);
        assert_eq!(severity(&Expected::default()), Severity::Warning);
    }

    #[test]
    fn ids_and_fingerprints_have_one_form() {
        for (id, good) in [
            ("ABCDE12345.com.example.app", true),
            ("ABCDE12345.com.example.my-app", true),
            ("abcde12345.com.example.app", false),
            ("ABCDE1234.com.example.app", false),
            ("ABCDE12345.", false),
            ("ABCDE12345.com..app", false),
            ("ABCDE12345.com.example.*", false),
            ("com.example.app", false),
        ] {
            assert_eq!(is_app_id(id), good, "{id}");
        }
        for (name, good) in [
            ("com.example.app", true),
            ("com.example_2.App", true),
            ("app", false),
            ("com.2x", false),
            ("com.", false),
        ] {
            assert_eq!(is_package(name), good, "{name}");
        }
        let bare = PRINT.replace(':', "").to_lowercase();
        for (text, read) in
            [(PRINT, true), (&bare, true), (&PRINT.to_lowercase(), true), ("AA:BB", false), ("", false)]
        {
            assert_eq!(fingerprint(text).as_deref(), read.then_some(PRINT), "{text}");
        }
    }
}
