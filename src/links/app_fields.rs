//! The fields of a link that speak to the app and the page: its scheme, campaign and deep-link parameters. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{app_scheme, error::Violations, pb::v1};

/// Names and their values.
pub type Texts = BTreeMap<String, String>;

const MAX_PARAMETERS: usize = 50;
const MAX_NAME: usize = 100;
const MAX_VALUE: usize = 1000;
const MAX_TOGETHER: usize = 2048;
const MAX_UTM: usize = 255;
/// Makes sure that a text is empty or a scheme an app may own.
pub fn check_scheme(scheme: &str) -> Result<(), &'static str> {
    if scheme.is_empty() { Ok(()) } else { app_scheme::check(scheme) }
}

/// Lets only https pass: systems hand nothing else to apps.
pub fn only_https(url: String) -> Result<String, &'static str> {
    if url.starts_with("https://") { Ok(url) } else { Err("must begin with https://") }
}

/// Notes what is wrong with deep-link parameters.
pub fn check_parameters(path: &str, parameters: &Texts, wrong: &mut Violations) {
    if parameters.len() > MAX_PARAMETERS {
        wrong.add(path, "must be at most 50");
    }
    let mut together = 0;
    for (name, value) in parameters {
        let (name_length, value_length) = (name.chars().count(), value.chars().count());
        together += name_length + value_length;
        let path = || format!("{path}[{name:?}]");
        if name_length == 0 || name_length > MAX_NAME {
            wrong.add(path(), "must have a name of 1 to 100 characters");
        }
        if value_length > MAX_VALUE {
            wrong.add(path(), "must have at most 1,000 characters");
        }
        if name.chars().chain(value.chars()).any(char::is_control) {
            wrong.add(path(), "must not contain control characters");
        }
    }
    if together > MAX_TOGETHER {
        wrong.add(path, "must have at most 2,048 characters together, names included");
    }
}

/// Returns the campaign parameters that are set, by their names without `utm_`.
pub fn read_utm(path: &str, utm: v1::Utm, wrong: &mut Violations) -> Texts {
    let v1::Utm { source, medium, campaign, term, content } = utm;
    let mut texts = Texts::new();
    for (name, value) in
        [("source", source), ("medium", medium), ("campaign", campaign), ("term", term), ("content", content)]
    {
        let value = value.trim();
        if value.chars().nth(MAX_UTM).is_some() {
            wrong.add(format!("{path}.{name}"), "must have at most 255 characters");
        } else if value.chars().any(char::is_control) {
            wrong.add(format!("{path}.{name}"), "must not contain control characters");
        } else if !value.is_empty() {
            texts.insert(name.to_owned(), value.to_owned());
        }
    }
    texts
}

/// Writes the campaign parameters; `None` when there are none.
pub fn utm(texts: &Texts) -> Option<v1::Utm> {
    let text = |name: &str| texts.get(name).cloned().unwrap_or_default();
    (!texts.is_empty()).then(|| v1::Utm {
        source: text("source"),
        medium: text("medium"),
        campaign: text("campaign"),
        term: text("term"),
        content: text("content"),
    })
}

/// Returns texts as they are stored.
pub fn to_json(texts: &Texts) -> Value {
    texts.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect()
}

/// Reads what [`to_json`] wrote; of anything else what can be read.
pub fn from_json(stored: Value) -> Texts {
    let Value::Object(stored) = stored else { return Texts::new() };
    stored
        .into_iter()
        .filter_map(|(name, value)| if let Value::String(value) = value { Some((name, value)) } else { None })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_bounded_one_by_one_and_together() {
        let of = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Texts>()
        };
        let (long, longer) = ("ä".repeat(1000), "a".repeat(1001));
        for (parameters, violations) in [
            (of(&[]), 0),
            (of(&[("id", "42"), ("empty", "")]), 0),
            (of(&[("a", &long), ("b", &long)]), 0),
            (of(&[("a", &long), ("b", &long), ("c", &long)]), 1),
            (of(&[("a", &longer)]), 1),
            (of(&[("", "x")]), 1),
            (of(&[(&long[..202], "x")]), 1),
            (of(&[("a\n", "x"), ("b", "\0")]), 2),
            ((0..51).map(|number| (number.to_string(), String::new())).collect(), 1),
        ] {
            let mut wrong = Violations::default();
            check_parameters("p", &parameters, &mut wrong);
            assert_eq!(wrong.into_inner().len(), violations, "{parameters:?}");
            assert_eq!(from_json(to_json(&parameters)), parameters);
        }
        assert_eq!(from_json(serde_json::json!({ "a": 1, "b": "c" })), of(&[("b", "c")]));
        assert_eq!(from_json(serde_json::json!([])), Texts::new());
    }

    #[test]
    fn campaign_parameters_are_trimmed_and_empty_ones_are_none() {
        let mut wrong = Violations::default();
        let given = v1::Utm {
            source: " mail ".into(),
            medium: " ".into(),
            campaign: "x".repeat(256),
            term: "\u{7}".into(),
            ..v1::Utm::default()
        };
        let read = read_utm("link.utm", given, &mut wrong);
        assert_eq!(utm(&read), Some(v1::Utm { source: "mail".into(), ..v1::Utm::default() }));
        let wrong: Vec<String> = wrong.into_inner().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(wrong, ["link.utm.campaign", "link.utm.term"]);
        assert_eq!(utm(&Texts::new()), None);
    }
}
