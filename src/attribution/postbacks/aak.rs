//! Postbacks of AdAttributionKit: a compact JSON Web Signature (RFC 7515) with ES256, and beside it what the app and the device say, which nobody
//! signs. Pure. Source: Apple's "Verifying a postback" and "Identifying the parameters in a postback".

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{
    keys::{Keys, Purpose},
    postback::{Fields, Judged, Says, number, object, text, values},
};
use crate::pb::v1::{AdInteraction, PostbackConversionType, PostbackOutcome};

/// The field that holds the signature.
pub const JWS: &str = "jws-string";

/// Whether an app takes what keys for development signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Development {
    /// It does.
    Allowed,
    /// It does not.
    Refused,
}

/// The three parts of a signature.
struct Parts<'a> {
    /// Header and payload as they are signed.
    text: &'a str,
    header: Fields,
    payload: Fields,
    signature: Vec<u8>,
}

fn parts(fields: &Fields) -> Option<Parts<'_>> {
    let jws = fields.get(JWS)?.as_str()?;
    let (text, signature) = jws.rsplit_once('.')?;
    let (header, payload) = text.split_once('.')?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    Some(Parts {
        text,
        header: object(&decoded(header)?)?,
        payload: object(&decoded(payload)?)?,
        signature: decoded(signature)?,
    })
}

/// Returns what is signed of a postback, if it can be read.
pub fn payload(fields: &Fields) -> Option<Fields> {
    parts(fields).map(|parts| parts.payload)
}

/// Returns the App Store id of the app that a postback is about.
pub fn store_id(fields: &Fields) -> Option<u64> {
    payload(fields)?.get("advertised-item-identifier").and_then(Value::as_u64)
}

/// Says what a postback is worth.
pub fn judge(fields: &Fields, keys: &Keys, development: Development) -> Judged {
    let mut judged = Judged {
        outcome: PostbackOutcome::Malformed,
        detail: String::new(),
        says: Says::default(),
        signed: Vec::new(),
        signed_text: String::new(),
    };
    let Some(parts) = parts(fields) else {
        judged.detail = format!("{JWS} is no compact JSON Web Signature");
        return judged;
    };
    judged.says = says(fields, &parts.payload);
    judged.signed = parts.payload.keys().cloned().collect();
    let (outcome, detail) = weigh(&parts, &judged.says, keys, development);
    Judged { outcome, detail: detail.to_owned(), ..judged }
}

fn weigh(
    parts: &Parts<'_>,
    says: &Says,
    keys: &Keys,
    development: Development,
) -> (PostbackOutcome, &'static str) {
    let of_header = |name: &str| parts.header.get(name).and_then(Value::as_str).unwrap_or_default();
    // Apple uses one algorithm, and nothing that a reader would have to understand.
    if of_header("alg") != "ES256" || parts.header.contains_key("crit") {
        return (PostbackOutcome::BadSignature, "the signature is not ES256");
    }
    let Some(key) = keys.named(of_header("kid")) else {
        return (PostbackOutcome::BadSignature, "no key of Apple's has the name in kid");
    };
    if !key.signed(parts.text.as_bytes(), &parts.signature) {
        return (PostbackOutcome::BadSignature, "the signature is not Apple's for what this postback says");
    }
    if says.transaction.is_empty() {
        return (PostbackOutcome::Malformed, "postback-identifier is not there");
    }
    match (key.purpose, development) {
        (Purpose::Production, _) => (PostbackOutcome::Verified, ""),
        (Purpose::Development, Development::Allowed) => (PostbackOutcome::Development, ""),
        (Purpose::Development, Development::Refused) => {
            let detail = "a key for development signed it, and the app lets no such postbacks in";
            (PostbackOutcome::DevelopmentRefused, detail)
        }
    }
}

fn says(fields: &Fields, payload: &Fields) -> Says {
    let (fine, coarse) = values(fields);
    Says {
        version: String::new(),
        ad_network: text(payload, "ad-network-identifier"),
        source: text(payload, "source-identifier"),
        transaction: text(payload, "postback-identifier"),
        index: number(payload, "postback-sequence-index"),
        did_win: payload.get("did-win").and_then(Value::as_bool),
        conversion: match payload.get("conversion-type").and_then(Value::as_str) {
            Some("download") => PostbackConversionType::Download,
            Some("redownload") => PostbackConversionType::Redownload,
            Some("re-engagement") => PostbackConversionType::Reengagement,
            _ => PostbackConversionType::Unspecified,
        },
        interaction: match fields.get("ad-interaction-type").and_then(Value::as_str) {
            Some("view") => AdInteraction::View,
            Some("click") => AdInteraction::Click,
            _ => AdInteraction::Unspecified,
        },
        fine,
        coarse,
        publisher: text(payload, "publisher-item-identifier"),
        country: text(fields, "country-code"),
    }
}

#[cfg(test)]
#[path = "aak_tests.rs"]
mod tests;
