//! Reads the settings of a template as LinkForty has them, in both spellings its versions have used. Pure.

use prost_types::Duration;
use serde_json::{Map, Value};

use crate::pb::v1::{LinkDefaults, Platform, Targeting, Utm};

/// The longest text that is read.
const MOST_BYTES: usize = 64 * 1024;

/// Reads the settings, or says what is wrong with them. What is read still has to follow the rules of links.
pub(super) fn read(json: &str) -> Result<LinkDefaults, String> {
    if json.len() > MOST_BYTES {
        return Err("must have at most 64 KiB".to_owned());
    }
    let Ok(Value::Object(mut settings)) = serde_json::from_str(json) else {
        return Err("must be a JSON object".to_owned());
    };
    // Nothing is written as null or left out.
    settings.retain(|_, value| !value.is_null());
    let mut text = |names: &[&str]| -> Result<String, String> {
        let mut found = String::new();
        for name in names {
            match settings.remove(*name) {
                None => {}
                Some(Value::String(text)) => found = text,
                Some(_) => return Err(format!("{name} must be a text")),
            }
        }
        Ok(found)
    };
    // Of two names the later is the newer.
    let mut defaults = LinkDefaults {
        destination_url: text(&["defaultOriginalUrl"])?,
        ios_url: text(&["defaultIosUrl", "defaultIosAppStoreUrl"])?,
        android_url: text(&["defaultAndroidUrl", "defaultAndroidAppStoreUrl"])?,
        web_url: text(&["defaultWebUrl", "defaultWebFallbackUrl"])?,
        app_scheme: text(&["defaultAppScheme"])?,
        ios_universal_link: text(&["defaultIosUniversalLink"])?,
        android_app_link: text(&["defaultAndroidAppLink"])?,
        deep_link_path: text(&["defaultDeepLinkPath"])?,
        ..LinkDefaults::default()
    };
    for (name, unit, to) in [
        ("defaultAttributionWindowHours", 3600, &mut defaults.attribution_window),
        ("defaultEventAttributionWindowHours", 3600, &mut defaults.event_attribution_window),
        ("expiresAfterDays", 86_400, &mut defaults.expire_after),
    ] {
        if let Some(value) = settings.remove(name) {
            let count = value.as_i64().and_then(|count| count.checked_mul(unit));
            let seconds = count.ok_or_else(|| format!("{name} must be a whole number"))?;
            *to = Some(Duration { seconds, nanos: 0 });
        }
    }
    match settings.remove("webOnly") {
        None => {}
        Some(Value::Bool(web_only)) => defaults.web_only = web_only,
        Some(_) => return Err("webOnly must be true or false".to_owned()),
    }
    if let Some(parameters) = object(&mut settings, "defaultDeepLinkParameters")? {
        defaults.deep_link_parameters =
            parameters.into_iter().map(|(name, value)| (name, as_text(value))).collect();
    }
    if let Some(utm) = object(&mut settings, "utmParameters")? {
        defaults.utm = Some(read_utm(utm)?);
    }
    if let Some(rules) = object(&mut settings, "targetingRules")? {
        defaults.targeting = Some(read_targeting(rules)?);
    }
    match settings.keys().next() {
        None => Ok(defaults),
        Some(name) => Err(format!("{name:?} is no setting of a LinkForty template")),
    }
}

fn object(settings: &mut Map<String, Value>, name: &str) -> Result<Option<Map<String, Value>>, String> {
    match settings.remove(name) {
        None => Ok(None),
        Some(Value::Object(mut object)) => {
            object.retain(|_, value| !value.is_null());
            Ok(Some(object))
        }
        Some(_) => Err(format!("{name} must be an object")),
    }
}

/// LinkForty takes values of any kind and puts them into URLs as JavaScript writes them.
fn as_text(value: Value) -> String {
    if let Value::String(text) = value { text } else { value.to_string() }
}

fn read_utm(mut given: Map<String, Value>) -> Result<Utm, String> {
    let mut utm = Utm::default();
    for (name, to) in [
        ("source", &mut utm.source),
        ("medium", &mut utm.medium),
        ("campaign", &mut utm.campaign),
        ("term", &mut utm.term),
        ("content", &mut utm.content),
    ] {
        for name in [name.to_owned(), format!("utm_{name}")] {
            match given.remove(&name) {
                None => {}
                Some(Value::String(text)) => *to = text,
                Some(_) => return Err(format!("utmParameters.{name} must be a text")),
            }
        }
    }
    match given.keys().next() {
        None => Ok(utm),
        Some(name) => Err(format!("utmParameters.{name} is no campaign parameter")),
    }
}

fn read_targeting(mut given: Map<String, Value>) -> Result<Targeting, String> {
    let mut list = |name: &str| -> Result<Vec<String>, String> {
        match given.remove(name) {
            None => Ok(Vec::new()),
            Some(list) => serde_json::from_value(list)
                .map_err(|_| format!("targetingRules.{name} must be a list of texts")),
        }
    };
    let (countries, languages) = (list("countries")?, list("languages")?);
    let devices = [list("devices")?, list("platforms")?].concat();
    let platforms = devices
        .iter()
        .map(|device| match device.as_str() {
            "ios" => Ok(Platform::Ios.into()),
            "android" => Ok(Platform::Android.into()),
            "web" => Ok(Platform::Web.into()),
            other => Err(format!("targetingRules.devices: {other:?} is none of ios, android and web")),
        })
        .collect::<Result<_, _>>()?;
    match given.keys().next() {
        None => Ok(Targeting { countries, platforms, languages }),
        Some(name) => Err(format!("targetingRules.{name} is no rule")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_say_the_same() {
        let older = r#"{"defaultIosUrl": "https://a.example/", "defaultAndroidUrl": "https://b.example/",
            "defaultWebFallbackUrl": "https://c.example/", "defaultAttributionWindowHours": 168,
            "utmParameters": {"source": "mail", "campaign": null}, "expiresAfterDays": 30,
            "targetingRules": {"countries": ["DE"], "devices": ["ios"], "languages": []}}"#;
        let newer = r#"{"defaultIosAppStoreUrl": "https://a.example/", "defaultAndroidAppStoreUrl": "https://b.example/",
            "defaultWebFallbackUrl": "https://c.example/", "defaultAttributionWindowHours": 168,
            "utmParameters": {"utm_source": "mail"}, "expiresAfterDays": 30, "webOnly": false,
            "defaultAppScheme": null, "targetingRules": {"countries": ["DE"], "platforms": ["ios"]}}"#;
        let read_older = read(older).expect("it is right");
        assert_eq!(read(newer), Ok(read_older.clone()));
        assert_eq!(read_older.ios_url, "https://a.example/");
        assert_eq!(read_older.attribution_window, Some(Duration { seconds: 604_800, nanos: 0 }));
        assert_eq!(read_older.expire_after, Some(Duration { seconds: 2_592_000, nanos: 0 }));
        assert_eq!(read_older.targeting.map(|targeting| targeting.platforms), Some(vec![2]));
        let both =
            r#"{"defaultIosAppStoreUrl": "https://new.example/", "defaultIosUrl": "https://old.example/"}"#;
        assert_eq!(read(both).map(|read| read.ios_url).as_deref(), Ok("https://new.example/"));
    }

    #[test]
    fn what_it_does_not_have_is_refused() {
        for (settings, wrong) in [
            ("", "JSON object"),
            ("[]", "JSON object"),
            (r#"{"defaultIosUrl": 7}"#, "defaultIosUrl"),
            (r#"{"defaultIosURL": "x"}"#, "defaultIosURL"),
            (r#"{"expiresAfterDays": 1.5}"#, "expiresAfterDays"),
            (r#"{"webOnly": "yes"}"#, "webOnly"),
            (r#"{"utmParameters": {"utmSource": "x"}}"#, "utmSource"),
            (r#"{"targetingRules": {"devices": ["fridge"]}}"#, "fridge"),
            (r#"{"targetingRules": {"cities": []}}"#, "cities"),
        ] {
            let refused = read(settings).expect_err(settings);
            assert!(refused.contains(wrong), "{settings}: {refused}");
        }
        assert!(read(&format!("{{\"defaultIosUrl\": \"{}\"}}", "x".repeat(MOST_BYTES))).is_err());
    }

    #[test]
    fn values_of_any_kind_become_texts() {
        let read =
            read(r#"{"defaultDeepLinkParameters": {"a": "x", "b": 7, "c": true, "d": null, "e": [1]}}"#);
        let texts: Vec<_> = read.expect("it is right").deep_link_parameters.into_iter().collect();
        let expected = [("a", "x"), ("b", "7"), ("c", "true"), ("e", "[1]")];
        assert_eq!(texts, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
