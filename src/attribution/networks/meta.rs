//! What Meta encrypted for an app: which ad brought the user. Pure.
//!
//! The text stands in `utm_content`, in the referrer of Google Play and in that of Meta's own content providers: JSON whose `source` has `data` and `nonce` in hex,
//! AES-256-GCM with a key that Meta gives to each app (<https://developers.facebook.com/docs/app-ads/install-referrer>). Inside is JSON again.
//! Meta's words are older than its product: its "campaign group" is the campaign, its "campaign" the ad set, its "ad group" the ad.

use data_encoding::HEXLOWER_PERMISSIVE;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::Value;
use url::form_urlencoded::parse;

use super::{at_second, kept};
use crate::pb::{
    internal::v1::InstallRecord,
    v1::{AdNetwork, ClaimEvidence, ClaimState, NetworkClaim},
};

/// What was handed over for Meta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// What is encrypted; `None`: nobody can read it.
    encrypted: Option<Encrypted>,
    /// Whether it came in the store's referrer; otherwise Meta's own app handed it over.
    pub by_store: bool,
    click_through: bool,
    seconds: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Encrypted {
    data: Vec<u8>,
    nonce: [u8; NONCE_LEN],
}

/// Returns what a report hands over for Meta. What Meta's own app says comes first: it knows whether the ad was tapped.
pub fn handed_over(report: &InstallRecord) -> Option<HandedOver> {
    if !report.meta_referrer.is_empty() {
        return Some(HandedOver {
            encrypted: encrypted(&report.meta_referrer),
            by_store: false,
            click_through: report.meta_click_through,
            seconds: report.meta_seconds,
        });
    }
    // The store hands on the referrers of taps alone.
    let encrypted = Some(encrypted(&report.store_referrer)?);
    Some(HandedOver { encrypted, by_store: true, click_through: true, seconds: 0 })
}

/// Finds the encrypted part of a referrer: of a query, of its `utm_content`, or of JSON around that.
fn encrypted(text: &str) -> Option<Encrypted> {
    let text = text.trim();
    let content = if text.starts_with('{') {
        text.to_owned()
    } else {
        let text = super::referrer::unwrapped(text);
        parse(text.as_bytes()).find(|(name, _)| name == "utm_content")?.1.into_owned()
    };
    let mut content: Value = serde_json::from_str(&content).ok()?;
    if let Some(inner) = content.get_mut("utm_content").map(Value::take) {
        content = match inner {
            Value::String(text) => serde_json::from_str(&text).ok()?,
            inner => inner,
        };
    }
    let source = content.get("source")?;
    let bytes = |name| HEXLOWER_PERMISSIVE.decode(source.get(name)?.as_str()?.as_bytes()).ok();
    Some(Encrypted { data: bytes("data")?, nonce: bytes("nonce")?.try_into().ok()? })
}

/// Returns what Meta claims.
pub fn claim(handed: &HandedOver, key: Option<&[u8]>) -> NetworkClaim {
    let claim = NetworkClaim {
        network: AdNetwork::Meta.into(),
        evidence: ClaimEvidence::MetaReferrer.into(),
        view_through: !handed.click_through,
        interaction_time: at_second(handed.seconds),
        ..NetworkClaim::default()
    };
    let Some(key) = key else { return NetworkClaim { state: ClaimState::NoKey.into(), ..claim } };
    match handed.encrypted.as_ref().and_then(|encrypted| decrypt(encrypted, key)) {
        None => NetworkClaim { state: ClaimState::Undecryptable.into(), ..claim },
        Some(said) => told(&said, claim),
    }
}

fn decrypt(encrypted: &Encrypted, key: &[u8]) -> Option<Value> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut data = encrypted.data.clone();
    let nonce = Nonce::assume_unique_for_key(encrypted.nonce);
    let plain = key.open_in_place(nonce, Aad::empty(), &mut data).ok()?;
    serde_json::from_slice(plain).ok().filter(Value::is_object)
}

fn told(said: &Value, claim: NetworkClaim) -> NetworkClaim {
    let text = |name: &str| match said.get(name) {
        Some(Value::String(text)) => kept(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let either = |id: &str, otherwise: &str| {
        let id = text(id);
        if id.is_empty() { text(otherwise) } else { id }
    };
    NetworkClaim {
        state: ClaimState::Claimed.into(),
        source: text("publisher_platform"),
        campaign: either("campaign_group_id", "campaign_group_name"),
        campaign_name: text("campaign_group_name"),
        ad_group: either("campaign_id", "campaign_name"),
        ad_group_name: text("campaign_name"),
        creative: either("ad_id", "adgroup_id"),
        creative_name: text("adgroup_name"),
        account: text("account_id"),
        ..claim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the text that Meta's documentation shows.
    const KEY: &str = "2575590594a9cd809e5bfacf397f8c1ac730dbc38a3e137ecd1ab66591c8c3c9";
    const DATA: &str = concat!(
        "afe56cf6228c6ea8c79da49186e718e92a579824596ae1d0d4d20d7793dca797bd4034ccf467bfae5c79a3981e7a2968",
        "c41949237e2b2db678c1c3d39c9ae564c5cafd52f2b77a3dc77bf1bae063114d0283b97417487207735da31ddc1531d5",
        "645a9c3e602c195a0ebf69c272aa5fda3a2d781cb47e117310164715a54c7a5a032740584e2789a7b4e596034c164251",
        "39a77e507c492b629c848573c714a03a2e7d25b9459b95842332b460f3682d19c35dbc7d53e3a51e0497ff6a6cbb367e",
        "760debc4194ae097498108df7b95eac2fa9bac4320077b510be3b7b823248bfe02ae501d9fe4ba179c7de6733c92bf89",
        "d523df9e31238ef497b9db719484cbab7531dbf6c5ea5a8087f95d59f5e4f89050e0f1dc03e464168ad76a64cca64b79",
    );
    const NONCE: &str = "b7203c6a6fb633d16e9cf5c1";

    fn key() -> Vec<u8> {
        HEXLOWER_PERMISSIVE.decode(KEY.as_bytes()).expect("hex")
    }

    fn report(text: &str) -> InstallRecord {
        InstallRecord { meta_referrer: text.to_owned(), meta_click_through: true, ..InstallRecord::default() }
    }

    fn published() -> String {
        format!(r#"{{"app":1,"t":1,"source":{{"data":"{DATA}","nonce":"{NONCE}"}}}}"#)
    }

    #[test]
    fn the_published_text_opens_under_the_published_key_wherever_it_stands() {
        let content = published();
        let encoded: String = url::form_urlencoded::byte_serialize(content.as_bytes()).collect();
        let query = format!("utm_source=apps.facebook.com&utm_campaign=fb4a&utm_content={encoded}");
        let twice: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let around = format!(r#"{{"utm_content":{content}}}"#);
        let quoted = serde_json::json!({ "utm_content": content }).to_string();
        let mut seen = Vec::new();
        for text in [&content, &query, &twice, &around, &quoted] {
            let handed = handed_over(&report(text)).expect("is handed over");
            let claim = claim(&handed, Some(&key()));
            assert_eq!(claim.state(), ClaimState::Claimed, "{text}");
            let texts = [&claim.account, &claim.campaign, &claim.ad_group, &claim.creative];
            assert_eq!(texts, ["444444", "654321", "987654", "12345"]);
            assert_eq!(claim.campaign_name, "Adams Test Campaign Group");
            seen.push(claim);
        }
        assert!(seen.iter().all(|claim| *claim == seen[0]));
        let by_store = InstallRecord { store_referrer: query, ..InstallRecord::default() };
        let handed = handed_over(&by_store).expect("the store hands it over too");
        assert!(handed.by_store);
        assert_eq!(claim(&handed, Some(&key())), seen[0]);
    }

    #[test]
    fn what_does_not_open_is_kept_as_that() {
        let handed = handed_over(&report(&published())).expect("is handed over");
        assert_eq!(claim(&handed, None).state(), ClaimState::NoKey);
        let mut other = key();
        other[0] ^= 1;
        assert_eq!(claim(&handed, Some(&other)).state(), ClaimState::Undecryptable);
        assert_eq!(claim(&handed, Some(&other[..16])).state(), ClaimState::Undecryptable);
        for text in ["nonsense", "{}", "utm_content=x", r#"{"source":{"data":"zz","nonce":"00"}}"#] {
            let handed = handed_over(&report(text)).expect("is handed over");
            assert_eq!(claim(&handed, Some(&key())).state(), ClaimState::Undecryptable, "{text}");
        }
        let seen = InstallRecord { meta_click_through: false, meta_seconds: 1_700_000_000, ..report("x") };
        let claim = claim(&handed_over(&seen).expect("is handed over"), None);
        assert!(claim.view_through);
        assert_eq!(claim.interaction_time.map(|time| time.seconds), Some(1_700_000_000));
        let organic = "utm_source=google-play&utm_medium=organic";
        let nothing = InstallRecord { store_referrer: organic.to_owned(), ..InstallRecord::default() };
        assert_eq!(handed_over(&nothing), None);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let handed = handed_over(&report(&published())).expect("is handed over");
        let length = handed.encrypted.as_ref().map_or(0, |encrypted| encrypted.data.len());
        assert!(length > 32);
        for place in 0..length {
            let mut flipped = handed.clone();
            flipped.encrypted.as_mut().expect("is encrypted").data[place] ^= 1;
            assert_eq!(claim(&flipped, Some(&key())).state(), ClaimState::Undecryptable, "at {place}");
        }
    }
}
