//! What Apple publishes, and postbacks of every version signed by a key of our own, each field of which is changed in turn.

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::json;

use super::*;
use crate::{attribution::postbacks::postback::object, config::P256Key, pb::v1::CoarseValue};

/// The samples on Apple's pages that are said to be verified: 2.2 and 3.0 on "Combining parameters for previous SKAdNetwork postback versions" and
/// "... for SKAdNetwork 3 postbacks", 4.0 on "Verifying an install-validation postback"; 2.1 as public verifiers quote it from there
/// (d-ganchar/vap).
const PUBLISHED: [&str; 6] = [
    r#"{"version":"2.1","ad-network-id":"com.example","campaign-id":42,"transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e28","app-id":525463029,"attribution-signature":"MEUCID6rbq3qt4GvFaAaynh5/LAcvn1d8CQTRhrZhLIxLKntAiEAo7IrvoMw6u2qDg6Tr5vIsEHXjlLkPlCOL0ojJcEh3Qw=","redownload":true,"source-app-id":1234567891,"conversion-value":20}"#,
    r#"{"version":"2.2","ad-network-id":"com.example","campaign-id":42,"transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e28","app-id":525463029,"attribution-signature":"MEYCIQDTuQ1Z4Tpy9D3aEKbxLl5J5iKiTumcqZikuY/AOD2U7QIhAJAaiAv89AoquHXJffcieEQXdWHpcV8ZgbKN0EwV9/sY","redownload":true,"source-app-id":1234567891,"fidelity-type":1,"conversion-value":20}"#,
    r#"{"version":"3.0","ad-network-id":"example123.skadnetwork","campaign-id":42,"transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e28","app-id":525463029,"attribution-signature":"MEYCIQD5eq3AUlamORiGovqFiHWI4RZT/PrM3VEiXUrsC+M51wIhAPMANZA9c07raZJ64gVaXhB9+9yZj/X6DcNxONdccQij","redownload":true,"source-app-id":1234567891,"fidelity-type":1,"conversion-value":20,"did-win":true}"#,
    r#"{"version":"3.0","ad-network-id":"example123.skadnetwork","campaign-id":42,"transaction-id":"f9ac267a-a889-44ce-b5f7-0166d11461f0","app-id":525463029,"attribution-signature":"MEUCIQDDetUtkyc/MiQvVJ5I6HIO1E7l598572Wljot2Onzd4wIgVJLzVcyAV+TXksGNoa0DTMXEPgNPeHCmD4fw1ABXX0g=","redownload":true,"fidelity-type":1,"did-win":false}"#,
    r#"{"version":"4.0","ad-network-id":"com.example","source-identifier":"5239","app-id":525463029,"transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e30","redownload":false,"source-domain":"example.com","fidelity-type":1,"did-win":true,"conversion-value":63,"postback-sequence-index":0,"attribution-signature":"MEUCIGRmSMrqedNu6uaHyhVcifs118R5z/AB6cvRaKrRRHWRAiEAv96ne3dKQ5kJpbsfk4eYiePmrZUU6sQmo+7zfP/1Bxo="}"#,
    r#"{"version":"4.0","ad-network-id":"com.example","source-identifier":"39","app-id":525463029,"transaction-id":"6aafb7a5-0170-41b5-bbe4-fe71dedf1e31","redownload":false,"source-domain":"example.com","fidelity-type":1,"did-win":true,"coarse-conversion-value":"high","postback-sequence-index":0,"attribution-signature":"MEUCIQD4rX6eh38qEhuUKHdap345UbmlzA7KEZ1bhWZuYM8MJwIgMnyiiZe6heabDkGwOaKBYrUXQhKtF3P/ERHqkR/XpuA="}"#,
];

#[test]
fn what_apple_publishes_is_verified_and_nothing_else_of_it() {
    let keys = Keys::with(None);
    for sample in PUBLISHED {
        let fields = object(sample.as_bytes()).expect("an object");
        let judged = judge(&fields, &keys);
        assert_eq!((judged.outcome, judged.detail.as_str()), (PostbackOutcome::Verified, ""), "{sample}");
        assert_eq!(store_id(&fields), Some(525_463_029));
        each_change(&fields, |name, changed| {
            let outcome = judge(changed, &keys).outcome;
            assert_eq!(outcome == PostbackOutcome::Verified, is_unsigned(name), "{name} of {sample}");
        });
    }
    let last = judge(&object(PUBLISHED[5].as_bytes()).expect("an object"), &keys).says;
    assert_eq!((last.source.as_str(), last.coarse, last.fine), ("39", Some(CoarseValue::High), None));
    assert_eq!((last.publisher.as_str(), last.index, last.did_win), ("example.com", Some(0), Some(true)));
}

fn is_unsigned(name: &str) -> bool {
    ["conversion-value", "coarse-conversion-value", "country-code"].contains(&name)
}

/// Hands out a postback with one of its fields another one, and without it, for every field.
fn each_change(fields: &Fields, mut look: impl FnMut(&str, &Fields)) {
    for (name, value) in fields {
        let other = match value {
            Value::Bool(flag) => json!(!flag),
            Value::Number(number) => json!(number.as_u64().expect("positive") + 1),
            Value::String(text) if name == "version" => json!(if text == "4.0" { "3.0" } else { "4.0" }),
            Value::String(text) => json!(format!("{text}0")),
            _ => unreachable!("there are no others"),
        };
        let mut changed = fields.clone();
        changed.insert(name.clone(), other);
        look(name, &changed);
        changed.remove(name);
        look(name, &changed);
    }
}

/// A key, and the same as it is believed.
fn a_key() -> (EcdsaKeyPair, Keys) {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("makes one");
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).expect("a key");
    let point = P256Key(key.public_key().as_ref().try_into().expect("a point"));
    (key, Keys::with(Some(point)))
}

/// Signs the values of fields in an order that is written down here once more.
fn sign(key: &EcdsaKeyPair, order: &[&str], mut fields: Value) -> Fields {
    let text = |name: &&str| match &fields[*name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = order.iter().map(text).collect::<Vec<_>>().join("\u{2063}");
    let signature = key.sign(&SystemRandom::new(), text.as_bytes()).expect("signs");
    fields["attribution-signature"] = STANDARD.encode(signature).into();
    fields.as_object().expect("an object").clone()
}

#[test]
fn a_change_of_what_is_signed_is_seen_in_every_version() {
    let (key, keys) = a_key();
    let old = ["version", "ad-network-id", "campaign-id", "app-id", "transaction-id", "redownload"];
    let new = ["version", "ad-network-id", "source-identifier", "app-id", "transaction-id", "redownload"];
    let end = ["fidelity-type", "did-win", "postback-sequence-index"];
    for (version, middle, ending, did_win) in [
        ("2.1", &["source-app-id"][..], 0, true),
        ("2.1", &[], 0, true),
        ("2.2", &["source-app-id"], 1, true),
        ("2.2", &[], 1, true),
        ("3.0", &["source-app-id"], 2, true),
        ("3.0", &[], 2, false),
        ("4.0", &["source-app-id"], 3, true),
        ("4.0", &["source-domain"], 3, true),
        ("4.0", &[], 3, false),
    ] {
        let beginning = if version == "4.0" { new } else { old };
        let order = [&beginning[..], middle, &end[..ending]].concat();
        let all = json!({
            "version": version, "ad-network-id": "example123.skadnetwork", "campaign-id": 42, "source-identifier": "5239",
            "app-id": 525_463_029_u64, "transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e28", "redownload": false,
            "source-app-id": 1_234_567_891_u64, "source-domain": "example.com", "fidelity-type": 1, "did-win": did_win,
            "postback-sequence-index": 2,
        });
        let mut fields =
            json!({ "conversion-value": 20, "coarse-conversion-value": "low", "country-code": "CH" });
        for name in &order {
            fields[*name] = all[*name].clone();
        }
        let fields = sign(&key, &order, fields);
        let judged = judge(&fields, &keys);
        assert_eq!(judged.outcome, PostbackOutcome::Verified, "{version}: {}", judged.detail);
        assert_eq!(judged.signed, order);
        assert_eq!(
            judge(&fields, &Keys::with(None)).outcome,
            PostbackOutcome::BadSignature,
            "it is not Apple's"
        );
        each_change(&fields, |name, changed| {
            let outcome = judge(changed, &keys).outcome;
            assert_eq!(
                outcome == PostbackOutcome::Verified,
                is_unsigned(name),
                "{name} of {version}: {outcome:?}"
            );
        });
        // A field that was not there when it was signed.
        for (name, value) in [("source-app-id", json!(7)), ("source-domain", json!("example.org"))] {
            if !order.contains(&name) && (name == "source-app-id" || version == "4.0") {
                let mut changed = fields.clone();
                changed.insert(name.to_owned(), value);
                assert_ne!(judge(&changed, &keys).outcome, PostbackOutcome::Verified, "{name} of {version}");
            }
        }
    }
}

#[test]
fn values_do_not_move_from_one_field_to_the_next() {
    let (key, keys) = a_key();
    let order = ["version", "ad-network-id", "campaign-id", "app-id", "transaction-id", "redownload"];
    let fields = json!({ "version": "2.1", "ad-network-id": "a\u{2063}b", "campaign-id": 1, "app-id": 2, "transaction-id": "t", "redownload": true });
    assert_eq!(judge(&sign(&key, &order, fields), &keys).outcome, PostbackOutcome::Malformed);
}

#[test]
fn what_cannot_be_verified_says_why() {
    let keys = Keys::with(None);
    let good = object(PUBLISHED[4].as_bytes()).expect("an object");
    for (name, value, outcome, detail) in [
        ("version", json!("1.0"), PostbackOutcome::UnsupportedVersion, "P-192"),
        ("version", json!("2.0"), PostbackOutcome::UnsupportedVersion, "P-192"),
        ("version", json!(null), PostbackOutcome::UnsupportedVersion, "no version"),
        ("version", json!("5.0"), PostbackOutcome::UnsupportedVersion, "does not know"),
        ("app-id", json!("525463029"), PostbackOutcome::Malformed, "app-id"),
        ("app-id", json!(525_463_029.0), PostbackOutcome::Malformed, "app-id"),
        ("redownload", json!(0), PostbackOutcome::Malformed, "redownload"),
        ("source-app-id", json!(7), PostbackOutcome::Malformed, "both"),
        ("attribution-signature", json!("!"), PostbackOutcome::Malformed, "attribution-signature"),
        ("attribution-signature", json!("MEUC"), PostbackOutcome::BadSignature, "not Apple's"),
    ] {
        let mut fields = good.clone();
        fields.insert(name.to_owned(), value);
        let judged = judge(&fields, &keys);
        assert_eq!(judged.outcome, outcome, "{name}");
        assert!(judged.detail.contains(detail), "{name}: {}", judged.detail);
    }
}
