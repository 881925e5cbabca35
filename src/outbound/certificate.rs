//! What a certificate says of itself (RFC 5280 4.1): until when it is valid, and for which names. Pure.
//!
//! Nothing here is believed: whether a certificate is good, rustls says. This reads it for the person who has to mend it.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use crate::clock::Moment;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const OCTETS: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `dNSName` in a `GeneralName`.
const DNS_NAME: u8 = 0x82;
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const SET: u8 = 0x31;
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.4.10.
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// How much of an issuer's name is kept.
const ISSUER: usize = 255;
/// How many names are read.
const NAMES: usize = 100;

/// What stands in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// From when on it is valid.
    pub not_before: Moment,
    /// Until when it is valid.
    pub not_after: Moment,
    /// The names of hosts that it is for.
    pub names: Vec<String>,
    /// Whether it names itself as its issuer.
    pub is_self_issued: bool,
    /// What its issuer is called: by its common name, or else its organization; empty when it has neither.
    pub issuer: String,
}

impl Certificate {
    /// Reads a certificate; `None`: it cannot be read.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (certificate, _) = part(der, SEQUENCE)?;
        let (mut rest, _) = part(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = any(rest)?.2;
        }
        // Serial number, signature algorithm.
        rest = any(rest)?.2;
        rest = any(rest)?.2;
        let (_, issuer, rest) = any(rest)?;
        let (validity, rest) = part(rest, SEQUENCE)?;
        let (_, subject, mut rest) = any(rest)?;
        let (tag, not_before, after) = any(validity)?;
        let not_before = time(tag, not_before)?;
        let (tag, not_after, _) = any(after)?;
        let not_after = time(tag, not_after)?;
        let mut names = Vec::new();
        while let Some((tag, value, after)) = any(rest) {
            if tag == EXTENSIONS {
                names = alternative_names(value).unwrap_or_default();
            }
            rest = after;
        }
        let name = part_of_name(issuer, COMMON_NAME).or_else(|| part_of_name(issuer, ORGANIZATION));
        Some(Self {
            not_before,
            not_after,
            names,
            is_self_issued: issuer == subject,
            issuer: name.unwrap_or_default(),
        })
    }
}

/// Returns what a distinguished name says of one kind.
fn part_of_name(mut name: &[u8], kind: &[u8]) -> Option<String> {
    while let Some((mut set, after)) = part(name, SET) {
        name = after;
        while let Some((pair, after)) = part(set, SEQUENCE) {
            set = after;
            let (id, value) = part(pair, OBJECT_ID)?;
            let (_, text, _) = any(value)?;
            if id == kind {
                let text = String::from_utf8_lossy(text);
                return Some(text.chars().filter(|character| !character.is_control()).take(ISSUER).collect());
            }
        }
    }
    None
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let (mut rest, _) = part(extensions, SEQUENCE)?;
    let mut names = Vec::new();
    while let Some((extension, after)) = part(rest, SEQUENCE) {
        rest = after;
        let (id, mut inner) = part(extension, OBJECT_ID)?;
        if id != SUBJECT_ALT_NAME {
            continue;
        }
        // Whether it is critical may stand between.
        while let Some((tag, value, after)) = any(inner) {
            inner = after;
            if tag != OCTETS {
                continue;
            }
            let (mut list, _) = part(value, SEQUENCE)?;
            while let Some((tag, name, after)) = any(list) {
                list = after;
                if tag == DNS_NAME && names.len() < NAMES {
                    names.push(String::from_utf8_lossy(name).into_owned());
                }
            }
        }
    }
    Some(names)
}

/// Reads a value of DER: its tag, its content, and what follows.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = der.split_first_chunk()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let bytes = usize::from(first & 0x7f);
        if bytes == 0 || bytes > 4 {
            return None;
        }
        let (long, after) = rest.split_at_checked(bytes)?;
        length = long.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
        rest = after;
    }
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

fn part(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, value, rest) = any(der)?;
    (tag == wanted).then_some((value, rest))
}

/// Reads `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<Moment> {
    let digits = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let number = |from: usize| digits.get(from..from + 2)?.parse::<u32>().ok();
    let (year, at) = match tag {
        UTC_TIME => {
            let year = number(0)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, 2)
        }
        GENERALIZED_TIME => (number(0)? * 100 + number(2)?, 4),
        _ => return None,
    };
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(at)?, number(at + 2)?)?;
    let time = NaiveTime::from_hms_opt(number(at + 4)?, number(at + 6)?, number(at + 8)?)?;
    Some(DateTime::from_naive_utc_and_offset(NaiveDateTime::new(date, time), chrono::Utc))
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    fn fixture(name: &str) -> CertificateDer<'static> {
        let file = format!("{}/tests/it/fixtures/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        CertificateDer::from_pem_file(file).expect("a certificate")
    }

    #[test]
    fn a_certificate_says_what_openssl_says() {
        for (name, until, names, self_issued) in [
            ("first", "2126-10-29T21:18:59+00:00", vec!["localhost"], false),
            ("authority", "2126-10-29T21:18:59+00:00", vec![], true),
        ] {
            let read = Certificate::read(&fixture(name)).expect("it can be read");
            assert_eq!(read.not_after.to_rfc3339(), until, "{name}");
            assert_eq!(
                (read.names, read.is_self_issued),
                (names.into_iter().map(str::to_owned).collect(), self_issued),
                "{name}"
            );
            assert!(read.not_before < read.not_after);
            assert!(!read.issuer.is_empty(), "{name}");
        }
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_refused() {
        let whole = fixture("first");
        for length in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..length]), None, "the first {length} bytes");
        }
        for place in 0..whole.len() {
            let mut bent = whole.to_vec();
            bent[place] ^= 0xff;
            drop(Certificate::read(&bent));
        }
    }

    #[test]
    fn times_of_both_forms_are_read() {
        for (tag, text, expected) in [
            (UTC_TIME, "260102030405Z", Some("2026-01-02T03:04:05+00:00")),
            (UTC_TIME, "490101000000Z", Some("2049-01-01T00:00:00+00:00")),
            (UTC_TIME, "500101000000Z", Some("1950-01-01T00:00:00+00:00")),
            (GENERALIZED_TIME, "20500101000000Z", Some("2050-01-01T00:00:00+00:00")),
            (UTC_TIME, "261302030405Z", None),
            (UTC_TIME, "260102030405", None),
            (UTC_TIME, "", None),
            (SEQUENCE, "260102030405Z", None),
        ] {
            let read = time(tag, text.as_bytes()).map(|time| time.to_rfc3339());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
