//! Postbacks of SKAdNetwork: the values of some fields, joined in an order that each version has its own, are signed. Pure.
//!
//! | version | order |
//! |---|---|
//! | 2.1 | version, ad-network-id, campaign-id, app-id, transaction-id, redownload, source-app-id |
//! | 2.2 | as 2.1, fidelity-type |
//! | 3.0 | as 2.2, did-win |
//! | 4.0 | as 3.0 with source-identifier for campaign-id, source-app-id or source-domain, and postback-sequence-index at the end |
//!
//! `source-app-id` and `source-domain` are signed where they are there. 1.0 and 2.0 are signed on P-192, which no library of ours knows; devices since
//! iOS 14.5 send neither. Sources: Apple's "Verifying an install-validation postback", "Combining parameters for SKAdNetwork 3 postbacks" and
//! "Combining parameters for previous SKAdNetwork postback versions".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    keys::Keys,
    postback::{Fields, Judged, Says, number, text, values},
};
use crate::pb::v1::{AdInteraction, PostbackConversionType, PostbackOutcome};

/// What stands between two values: INVISIBLE SEPARATOR.
const SEPARATOR: char = '\u{2063}';

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    Flag,
}

/// Whether a field must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Always,
    IfThere,
}

use Form::{Flag, Number, Text};
use Need::{Always, IfThere};

type Order = &'static [(&'static str, Form, Need)];

const V3_0: Order = &[
    ("version", Text, Always),
    ("ad-network-id", Text, Always),
    ("campaign-id", Number, Always),
    ("app-id", Number, Always),
    ("transaction-id", Text, Always),
    ("redownload", Flag, Always),
    ("source-app-id", Number, IfThere),
    ("fidelity-type", Number, Always),
    ("did-win", Flag, Always),
];
// Each version before that begins like the next one.
const V2_2: Order = V3_0.split_at(8).0;
const V2_1: Order = V2_2.split_at(7).0;
const V4_0: Order = &[
    ("version", Text, Always),
    ("ad-network-id", Text, Always),
    ("source-identifier", Text, Always),
    ("app-id", Number, Always),
    ("transaction-id", Text, Always),
    ("redownload", Flag, Always),
    ("source-app-id", Number, IfThere),
    ("source-domain", Text, IfThere),
    ("fidelity-type", Number, Always),
    ("did-win", Flag, Always),
    ("postback-sequence-index", Number, Always),
];

fn order(version: &str) -> Option<Order> {
    match version {
        "2.1" => Some(V2_1),
        "2.2" => Some(V2_2),
        "3.0" => Some(V3_0),
        "4.0" => Some(V4_0),
        _ => None,
    }
}

/// Returns the App Store id of the app that a postback is about.
pub fn store_id(fields: &Fields) -> Option<u64> {
    fields.get("app-id").and_then(Value::as_u64)
}

/// Says what a postback is worth.
pub fn judge(fields: &Fields, keys: &Keys) -> Judged {
    let says = says(fields);
    let judged = |outcome, detail: &str| Judged {
        outcome,
        detail: detail.to_owned(),
        says: says.clone(),
        signed: Vec::new(),
        signed_text: String::new(),
    };
    let Some(order) = order(&says.version) else {
        let detail = match says.version.as_str() {
            "" => "no version, as 1.0 has none: signed on P-192, which is not verified",
            "1.0" | "2.0" => "a version signed on P-192, which is not verified",
            _ => "a version that this server does not know",
        };
        return judged(PostbackOutcome::UnsupportedVersion, detail);
    };
    let (text, signed) = match joined(fields, order) {
        Ok(joined) => joined,
        Err(detail) => return judged(PostbackOutcome::Malformed, &detail),
    };
    let signature = fields.get("attribution-signature").and_then(Value::as_str);
    let Some(signature) = signature.and_then(|text| STANDARD.decode(text).ok()) else {
        return judged(PostbackOutcome::Malformed, "attribution-signature is not there, or is no base64");
    };
    let holds = keys.signed(text.as_bytes(), &signature);
    let (outcome, detail) = match holds {
        true => (PostbackOutcome::Verified, ""),
        false => (PostbackOutcome::BadSignature, "the signature is not Apple's for what this postback says"),
    };
    let signed = signed.into_iter().map(str::to_owned).collect();
    let signed_text = text.replace(SEPARATOR, " | ");
    Judged { signed, signed_text, ..judged(outcome, detail) }
}

/// Joins what is signed, and returns the names of it. Fails with the field that is not as it must be.
fn joined(fields: &Fields, order: Order) -> Result<(String, Vec<&'static str>), String> {
    let (mut text, mut names) = (String::new(), Vec::new());
    for (name, form, need) in order {
        let value = match (fields.get(*name), need) {
            (Some(value), _) => written(value, *form).ok_or_else(|| format!("{name} has another form"))?,
            (None, IfThere) => continue,
            (None, Always) => return Err(format!("{name} is not there")),
        };
        // A value with a separator in it could be taken for two.
        if value.contains(SEPARATOR) {
            return Err(format!("{name} has another form"));
        }
        if !names.is_empty() {
            text.push(SEPARATOR);
        }
        text.push_str(&value);
        names.push(*name);
    }
    if names.contains(&"source-app-id") && names.contains(&"source-domain") {
        return Err("source-app-id and source-domain are both there".to_owned());
    }
    Ok((text, names))
}

/// Writes a value as it is signed.
fn written(value: &Value, form: Form) -> Option<String> {
    match (form, value) {
        (Text, Value::String(text)) => Some(text.clone()),
        (Number, Value::Number(_)) => value.as_u64().map(|number| number.to_string()),
        (Flag, Value::Bool(flag)) => Some(flag.to_string()),
        _ => None,
    }
}

fn says(fields: &Fields) -> Says {
    let (fine, coarse) = values(fields);
    let first =
        |names: [&str; 2]| names.map(|name| text(fields, name)).into_iter().find(|text| !text.is_empty());
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool);
    Says {
        version: text(fields, "version"),
        ad_network: text(fields, "ad-network-id"),
        source: first(["source-identifier", "campaign-id"]).unwrap_or_default(),
        transaction: text(fields, "transaction-id"),
        index: number(fields, "postback-sequence-index"),
        did_win: flag("did-win"),
        conversion: match flag("redownload") {
            Some(false) => PostbackConversionType::Download,
            Some(true) => PostbackConversionType::Redownload,
            None => PostbackConversionType::Unspecified,
        },
        interaction: match number(fields, "fidelity-type") {
            Some(0) => AdInteraction::View,
            Some(1) => AdInteraction::Click,
            _ => AdInteraction::Unspecified,
        },
        fine,
        coarse,
        publisher: first(["source-app-id", "source-domain"]).unwrap_or_default(),
        country: text(fields, "country-code"),
    }
}

#[cfg(test)]
#[path = "skan_tests.rs"]
mod tests;
