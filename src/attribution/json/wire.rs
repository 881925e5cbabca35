//! Writes what LinkForty's SDKs read. Pure.
//!
//! What they need: an organic install has `deepLinkData: null`; values are texts; `clickedAt` has no fraction; the parameters stand there
//! under both of their names.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use prost::Message as _;
use serde_json::{Value, json};

use crate::{
    attribution::{decide::Factor, installs::Answer, installs::settle::matched_factors},
    links::moment,
    pb::sdk::v1::{AttributionState, DeepLink},
};

/// Writes the answer to an install.
pub fn install(answer: &Answer) -> Value {
    let Answer::Decided(row) = answer else {
        let Answer::Pending(id) = answer else { return Value::Null };
        return json!({
            "installId": id.to_string(),
            "attributed": false,
            "confidenceScore": 0,
            "matchedFactors": [],
            "deepLinkData": null,
            "pending": true,
        });
    };
    let attributed = row.state == AttributionState::Attributed as i16;
    let factors: Vec<&str> = matched_factors(row).into_iter().map(Factor::name).collect();
    let told = DeepLink::decode(&row.deep_link[..]).ok().filter(|_| attributed && !row.deep_link.is_empty());
    let data = told.map(|told| {
        let mut data = deep_link(&told);
        data["confidenceScore"] = row.score.into();
        data["matchedFactors"] = json!(factors);
        data
    });
    json!({
        "installId": row.id.to_string(),
        "attributed": data.is_some(),
        "confidenceScore": row.score,
        "matchedFactors": factors,
        "deepLinkData": data,
    })
}

/// Writes where a link leads in the app.
pub fn deep_link(told: &DeepLink) -> Value {
    let or_null = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    let utm: BTreeMap<&str, &str> = told
        .utm
        .iter()
        .map(|(name, value)| (name.strip_prefix("utm_").unwrap_or(name), value.as_str()))
        .collect();
    let clicked = told.click_time.and_then(|time| moment(&time).ok());
    json!({
        "shortCode": told.short_code,
        "linkId": told.link_id,
        "clickId": or_null(&told.click_id),
        "deepLinkPath": or_null(&told.path),
        "appScheme": or_null(&told.app_scheme),
        "iosUrl": or_null(&told.ios_url),
        "androidUrl": or_null(&told.android_url),
        "webUrl": or_null(&told.web_url),
        "utmParameters": if utm.is_empty() { Value::Null } else { json!(utm) },
        "customParameters": told.parameters,
        "clickedAt": clicked.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)),
        "isDeferred": told.deferred,
        "originalUrl": or_null(&told.destination_url),
        "webFallbackUrl": or_null(&told.web_url),
        "targetingRules": null,
        "deepLinkParameters": told.parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_null_and_times_have_no_fraction() {
        let told = DeepLink {
            short_code: "spring".into(),
            link_id: "link".into(),
            parameters: [("id".to_owned(), "42".to_owned())].into(),
            utm: [("utm_source".to_owned(), "mail".to_owned())].into(),
            click_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 123_000_000 }),
            deferred: true,
            ..DeepLink::default()
        };
        assert_eq!(
            deep_link(&told),
            json!({
                "shortCode": "spring", "linkId": "link", "clickId": null, "deepLinkPath": null, "appScheme": null,
                "iosUrl": null, "androidUrl": null, "webUrl": null, "utmParameters": {"source": "mail"},
                "customParameters": {"id": "42"}, "clickedAt": "2023-11-14T22:13:20Z", "isDeferred": true,
                "originalUrl": null, "webFallbackUrl": null, "targetingRules": null,
                "deepLinkParameters": {"id": "42"},
            })
        );
        assert_eq!(deep_link(&DeepLink::default())["utmParameters"], Value::Null);
    }
}
