//! A table for each kind of fault.

use chrono::Duration;

use super::*;
use super::{
    files::HANDLE_ALL_URLS,
    ids::{fingerprint, is_app_id, is_package},
};
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
        issuer: "An authority".into(),
    })
}

fn good() -> Facts {
    let apple =
        r#"{"applinks":{"details":[{"appIDs":["ABCDE12345.com.example.app"],"components":[{"/":"/*"}]}]}}"#;
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
        complete: false,
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

#[test]
fn what_is_in_a_file_and_registered_nowhere_is_told_only_when_something_is_registered() {
    let all = Expected { complete: true, ..expected() };
    assert_eq!(codes(&good(), &all), []);
    let other = PRINT.replace("AA", "AB");
    let apple = r#"{"applinks":{"details":[{"appIDs":["ABCDE12345.com.example.app","FGHIJ67890.com.example.app"],"components":[{"/":"/*"}]}]}}"#;
    let google = statement(&format!("\"{PRINT}\",\"{other}\""), "com.example.app");
    let more = Facts { apple: answer(apple), google: answer(&google), ..good() };
    assert_eq!(codes(&more, &expected()), []);
    assert_eq!(codes(&more, &all), [Code::AppleAppIdUnregistered, Code::GoogleAppUnregistered]);
    let known = Expected {
        app_ids: vec!["FGHIJ67890.com.example.app".into()],
        android_apps: vec![("com.example.app".into(), other)],
        complete: false,
    };
    let both = all.clone().and(known);
    assert_eq!(codes(&more, &both), []);
    assert_eq!(codes(&good(), &both), [Code::AppleAppIdMissing, Code::GoogleFingerprintMissing]);
    assert_eq!(all.clone().and(all.clone()), all);
}
