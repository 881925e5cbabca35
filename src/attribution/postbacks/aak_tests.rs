//! What Apple publishes, and postbacks signed by a key of our own, each field of which is changed in turn.

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::json;

use super::*;
use crate::config::P256Key;

/// The sample of Apple's page "Identifying the parameters in a postback", made on a developer's device.
const PUBLISHED: &str = r#"{"jws-string":"eyJraWQiOiJhcHBsZS1kZXZlbG9wbWVudC1pZGVudGlmaWVyXC8xIiwiYWxnIjoiRVMyNTYifQ.eyJwb3N0YmFjay1pZGVudGlmaWVyIjoiODU1NDZFQjctRkQzOS00NEJDLTg5OTAtQzk4QTRBQzM2QTQ5IiwicHVibGlzaGVyLWl0ZW0taWRlbnRpZmllciI6MCwibWFya2V0cGxhY2UtaWRlbnRpZmllciI6ImNvbS5hcHBsZS5BcHBTdG9yZSIsImltcHJlc3Npb24tdHlwZSI6ImFwcC1pbXByZXNzaW9uIiwiYWQtbmV0d29yay1pZGVudGlmaWVyIjoiZGV2ZWxvcG1lbnQuYWRhdHRyaWJ1dGlvbmtpdCIsImRpZC13aW4iOnRydWUsInBvc3RiYWNrLXNlcXVlbmNlLWluZGV4IjowLCJjb252ZXJzaW9uLXR5cGUiOiJyZS1lbmdhZ2VtZW50Iiwic291cmNlLWlkZW50aWZpZXIiOiIxMjM0IiwiYWR2ZXJ0aXNlZC1pdGVtLWlkZW50aWZpZXIiOjEwNzM4MDI3NzU2fQ.bAdNwKd6OfHK9tofvjjua4X_JPcFTxXPQSspD9gZkinw97pY7R1aI-LSjl-oxZZF3_K2H5JK5TSEBee4_1U4oQ","conversion-value":24,"ad-interaction-type":"click","country-code":"US"}"#;

/// A key, and the same as it is believed.
fn a_key() -> (EcdsaKeyPair, Keys) {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("makes one");
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).expect("a key");
    let point = P256Key(key.public_key().as_ref().try_into().expect("a point"));
    (key, Keys::with(Some(point)))
}

fn postback(header: &Value, payload: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Fields {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(payload));
    let jws = format!("{text}.{}", URL_SAFE_NO_PAD.encode(sign(text.as_bytes())));
    json!({ JWS: jws, "conversion-value": 7, "ad-interaction-type": "view", "country-code": "CH" })
        .as_object()
        .expect("an object")
        .clone()
}

fn a_payload() -> Value {
    json!({
        "postback-identifier": "3f50fe57-29ae-4861-8c0b-ac6adddff72c", "advertised-item-identifier": 525_463_029_u64,
        "ad-network-identifier": "example123.adattributionkit", "publisher-item-identifier": 1_234_567_891_u64,
        "marketplace-identifier": "com.apple.AppStore", "impression-type": "app-impression", "source-identifier": "5239",
        "conversion-type": "download", "did-win": true, "postback-sequence-index": 1,
    })
}

#[test]
fn what_apple_publishes_is_of_a_developer_s_device() {
    let keys = Keys::with(None);
    let fields = object(PUBLISHED.as_bytes()).expect("an object");
    assert_eq!(judge(&fields, &keys, Development::Allowed).outcome, PostbackOutcome::Development);
    let refused = judge(&fields, &keys, Development::Refused);
    assert_eq!(refused.outcome, PostbackOutcome::DevelopmentRefused);
    assert_eq!(store_id(&fields), Some(10_738_027_756));
    let says = refused.says;
    assert_eq!(says.conversion, PostbackConversionType::Reengagement);
    assert_eq!((says.interaction, says.fine), (AdInteraction::Click, Some(24)));
    assert_eq!((says.source.as_str(), says.country.as_str()), ("1234", "US"));
}

#[test]
fn a_change_of_what_is_signed_is_seen_and_of_what_is_not_is_none() {
    let (key, keys) = a_key();
    let sign = |text: &[u8]| key.sign(&SystemRandom::new(), text).expect("signs").as_ref().to_vec();
    let header = json!({ "alg": "ES256", "kid": "apple-cas-identifier/0" });
    let good = postback(&header, &a_payload(), sign);
    let judged = judge(&good, &keys, Development::Refused);
    assert_eq!((judged.outcome, judged.detail.as_str()), (PostbackOutcome::Verified, ""));
    assert_eq!(judged.signed.len(), 10);
    assert_eq!(judge(&good, &Keys::with(None), Development::Refused).outcome, PostbackOutcome::BadSignature);

    let jws = good[JWS].as_str().expect("text");
    let signature = jws.rsplit_once('.').expect("three parts").1;
    let payload = a_payload();
    for name in payload.as_object().expect("an object").keys() {
        for other in [json!("other"), json!(null)] {
            let mut changed = payload.clone();
            changed[name] = other;
            let mut forged = postback(&header, &changed, |_| Vec::new());
            let text = forged[JWS].as_str().expect("text").trim_end_matches('.').to_owned();
            forged.insert(JWS.to_owned(), format!("{text}.{signature}").into());
            let outcome = judge(&forged, &keys, Development::Allowed).outcome;
            assert_eq!(outcome, PostbackOutcome::BadSignature, "{name}");
        }
    }
    for name in ["conversion-value", "coarse-conversion-value", "ad-interaction-type", "country-code"] {
        let mut changed = good.clone();
        changed.insert(name.to_owned(), json!("high"));
        let judged = judge(&changed, &keys, Development::Refused);
        assert_eq!(judged.outcome, PostbackOutcome::Verified, "{name}");
        assert!(!judged.signed.iter().any(|signed| signed == name), "{name}");
    }
}

#[test]
fn no_other_algorithm_key_or_form_is_believed() {
    let (key, keys) = a_key();
    let sign = |text: &[u8]| key.sign(&SystemRandom::new(), text).expect("signs").as_ref().to_vec();
    let outcome = |header: Value, payload: &Value| {
        judge(&postback(&header, payload, sign), &keys, Development::Allowed).outcome
    };
    let payload = a_payload();
    for (header, expected) in [
        (json!({ "alg": "ES256", "kid": "apple-cas-identifier/0" }), PostbackOutcome::Verified),
        (json!({ "alg": "ES256", "kid": "apple-development-identifier/0" }), PostbackOutcome::Development),
        (json!({ "alg": "ES256", "kid": "apple-development-identifier/1" }), PostbackOutcome::Development),
        (json!({ "alg": "ES256", "kid": "apple-cas-identifier/1" }), PostbackOutcome::BadSignature),
        (json!({ "alg": "ES256" }), PostbackOutcome::BadSignature),
        (json!({ "alg": "none", "kid": "apple-cas-identifier/0" }), PostbackOutcome::BadSignature),
        (json!({ "alg": "HS256", "kid": "apple-cas-identifier/0" }), PostbackOutcome::BadSignature),
        (
            json!({ "alg": "ES256", "kid": "apple-cas-identifier/0", "crit": ["b64"] }),
            PostbackOutcome::BadSignature,
        ),
    ] {
        assert_eq!(outcome(header.clone(), &payload), expected, "{header}");
    }
    let mut nameless = payload.clone();
    nameless["postback-identifier"] = json!(null);
    let header = json!({ "alg": "ES256", "kid": "apple-cas-identifier/0" });
    assert_eq!(outcome(header.clone(), &nameless), PostbackOutcome::Malformed);
    // In DER, as the other kind has it.
    let der = postback(&header, &payload, |_| vec![0x30; 70]);
    assert_eq!(judge(&der, &keys, Development::Allowed).outcome, PostbackOutcome::BadSignature);
    for jws in [json!("a.b"), json!("a.b.c.d"), json!(".."), json!(7), json!(null)] {
        let mut broken = der.clone();
        broken.insert(JWS.to_owned(), jws.clone());
        assert_eq!(judge(&broken, &keys, Development::Allowed).outcome, PostbackOutcome::Malformed, "{jws}");
        assert_eq!(store_id(&broken), None, "{jws}");
    }
}
