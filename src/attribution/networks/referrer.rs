//! What a store's install referrer says. Pure.
//!
//! The text is a query, and sometimes one that was encoded once more. Only a token of this server in it names a click; everything else is somebody's word:
//! Google's own values for "nothing brought the user", the click id of Google Ads, and campaign parameters, which anybody can write.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::form_urlencoded::{Serializer, parse};

use super::kept;
use crate::{
    clicks::query::{CLICK_ID, TOKEN},
    pb::v1::{AdNetwork, ClaimEvidence, ClaimState, NetworkClaim, ReferrerKind},
};

/// Click ids of Google Ads, the most exact first.
const CLICK_IDS: [&str; 3] = ["gclid", "gbraid", "wbraid"];
/// The longest click id that is kept.
const MAX_CLICK_ID: usize = 512;
/// How often a text may have been encoded too much.
const TOO_MUCH: usize = 2;

/// Returns a referrer as the query that it is, however often it was encoded.
pub fn unwrapped(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..TOO_MUCH {
        let lower = text.to_ascii_lowercase();
        if text.contains('=') || !["%3d", "%253d"].iter().any(|sign| lower.contains(sign)) {
            break;
        }
        text = Cow::Owned(percent_decode_str(&text).decode_utf8_lossy().into_owned());
    }
    text
}

/// Says what kind of text a referrer is.
pub fn kind(text: &str) -> ReferrerKind {
    if text.is_empty() {
        return ReferrerKind::Unspecified;
    }
    let of = Values(text);
    let is = |name, value: &str| of.value(name).as_deref() == Some(value);
    if of.value(TOKEN).is_some() || of.value(CLICK_ID).is_some() {
        ReferrerKind::Link
    } else if CLICK_IDS.into_iter().any(|name| of.value(name).is_some()) {
        ReferrerKind::AdClick
    } else if is("utm_source", "google-play") && is("utm_medium", "organic") {
        ReferrerKind::Organic
    } else if is("utm_source", "(not set)") || is("utm_medium", "(not set)") {
        ReferrerKind::NotSet
    } else if parse(text.as_bytes()).any(|(name, value)| name.starts_with("utm_") && !value.is_empty()) {
        ReferrerKind::Campaign
    } else {
        ReferrerKind::Other
    }
}

/// Returns what a network, or whoever wrote the parameters, claims by a referrer. `named`: it names a click of this server, whose link has the
/// parameters.
pub fn claim(text: &str, named: bool) -> Option<NetworkClaim> {
    let of = Values(text);
    let said = |name| of.value(name).filter(|value| value != "(not set)").map(|value| kept(&value));
    let click_id = CLICK_IDS
        .into_iter()
        .find_map(|name| Some((name, of.value(name)?)))
        .filter(|(_, id)| id.len() <= MAX_CLICK_ID && id.bytes().all(|byte| byte.is_ascii_graphic()));
    let (network, evidence) = match (&click_id, kind(text)) {
        (Some(_), _) => (AdNetwork::GoogleAds, ClaimEvidence::AdClickId),
        (None, ReferrerKind::Campaign) if !named => (AdNetwork::Other, ClaimEvidence::CampaignParameters),
        _ => return None,
    };
    let (kind, id) = click_id.unwrap_or_default();
    Some(NetworkClaim {
        network: network.into(),
        state: ClaimState::Claimed.into(),
        evidence: evidence.into(),
        source: said("utm_source").unwrap_or_default(),
        campaign: said("utm_campaign").unwrap_or_default(),
        creative: said("utm_content").unwrap_or_default(),
        keyword: said("utm_term").unwrap_or_default(),
        click_id: id,
        click_id_kind: kind.to_owned(),
        ..NetworkClaim::default()
    })
}

/// Returns a referrer without the click ids of networks, which are not kept as long as it is. That there was one still shows.
pub fn without_click_ids(text: &str) -> String {
    let is_click_id = |name: &str| CLICK_IDS.contains(&name);
    if !parse(text.as_bytes()).any(|(name, _)| is_click_id(&name)) {
        return text.to_owned();
    }
    let mut without = Serializer::new(String::new());
    for (name, value) in parse(text.as_bytes()) {
        without.append_pair(&name, if is_click_id(&name) { "removed" } else { &value });
    }
    without.finish()
}

/// The parameters of a referrer.
struct Values<'a>(&'a str);

impl Values<'_> {
    /// Returns the first value of a parameter that is not empty.
    fn value(&self, wanted: &str) -> Option<String> {
        let mut pairs = parse(self.0.as_bytes());
        pairs.find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referrer_says_where_the_user_came_from_however_it_was_encoded() {
        use ReferrerKind as Kind;
        for (text, expected) in [
            ("", Kind::Unspecified),
            ("utm_source=google-play&utm_medium=organic", Kind::Organic),
            ("utm_source%3Dgoogle-play%26utm_medium%3Dorganic", Kind::Organic),
            ("utm_source%253Dgoogle-play%2526utm_medium%253Dorganic", Kind::Organic),
            ("utm_source=(not%20set)&utm_medium=(not%20set)", Kind::NotSet),
            ("lf=abc&utm_source=mail", Kind::Link),
            ("lf%3Dabc%26gclid%3Dx", Kind::Link),
            ("gclid=Cj0K&utm_source=google", Kind::AdClick),
            ("gclid=&utm_source=google", Kind::Campaign),
            ("wbraid=Cj0K", Kind::AdClick),
            ("utm_source=newsletter&utm_campaign=may", Kind::Campaign),
            ("utm_source=", Kind::Other),
            ("nonsense", Kind::Other),
            ("%3D%3d", Kind::Other),
        ] {
            assert_eq!(kind(&unwrapped(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_network_claims_by_its_click_id_and_anybody_by_parameters() {
        let ad = "gbraid=0AAA&gclid=Cj0KCQ&utm_source=google&utm_campaign=spring&utm_term=shoes&utm_content=(not+set)";
        for named in [true, false] {
            let claim = claim(ad, named).expect("a claim");
            assert_eq!((claim.network(), claim.evidence()), (AdNetwork::GoogleAds, ClaimEvidence::AdClickId));
            assert_eq!((claim.click_id.as_str(), claim.click_id_kind.as_str()), ("Cj0KCQ", "gclid"));
            let texts = [&claim.source, &claim.campaign, &claim.keyword, &claim.creative];
            assert_eq!(texts, ["google", "spring", "shoes", ""]);
        }
        let parameters = "utm_source=news%00letter&utm_campaign=may";
        let by_parameters = claim(parameters, false).expect("a claim");
        assert_eq!(by_parameters.network(), AdNetwork::Other);
        assert_eq!((by_parameters.source.as_str(), by_parameters.click_id.as_str()), ("newsletter", ""));
        assert_eq!(claim(parameters, true), None, "they are the link's own");
        for nobodys in ["", "utm_source=google-play&utm_medium=organic", "utm_source=(not set)", "lf=abc"] {
            assert_eq!(claim(nobodys, false), None, "{nobodys}");
        }
        let long = format!("gclid={}", "a".repeat(513));
        assert_eq!(claim(&long, false), None);
    }

    #[test]
    fn click_ids_of_networks_are_taken_out_and_nothing_else() {
        assert_eq!(without_click_ids("lf=abc&utm_source=a%20b"), "lf=abc&utm_source=a%20b");
        let without = without_click_ids("lf=abc&gclid=Cj0K&utm_source=a%20b&wbraid=1");
        assert_eq!(without, "lf=abc&gclid=removed&utm_source=a+b&wbraid=removed");
        assert_eq!(kind(&without_click_ids("gclid=Cj0K")), ReferrerKind::AdClick);
    }
}
