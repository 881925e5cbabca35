//! What a postback says, whichever of the two kinds it is, and by what it is known again. Pure.

use ring::digest;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    clock::Moment,
    ids::{AppId, PostbackId},
    pb::v1::{
        AdInteraction, CoarseValue, PostbackConversionType, PostbackKind, PostbackOutcome, PostbackWindow,
    },
};

/// How long a text may be that is shown of what anybody may have written.
const MOST_TEXT: usize = 128;
/// The days of the windows: Apple's are days 0 to 2, 3 to 7 and 8 to 35 after the install.
const WINDOW_DAYS: [i64; 3] = [2, 5, 28];

/// The fields of a JSON object.
pub type Fields = Map<String, Value>;

/// What became of a postback, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What became of it.
    pub outcome: PostbackOutcome,
    /// Why it is not verified.
    pub detail: String,
    /// What it says.
    pub says: Says,
    /// The names of the fields that the signature covers, in the order in which they are signed, whether it holds or not.
    pub signed: Vec<String>,
    /// The text that is signed, as people can read it.
    pub signed_text: String,
}

/// What a postback says, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Says {
    /// The version of SKAdNetwork.
    pub version: String,
    /// The ad network.
    pub ad_network: String,
    /// The campaign as the network calls it.
    pub source: String,
    /// What it is known by.
    pub transaction: String,
    /// Which of an install's postbacks it is.
    pub index: Option<i16>,
    /// Whether the ad won.
    pub did_win: Option<bool>,
    /// What the user did.
    pub conversion: PostbackConversionType,
    /// What they had done with the ad.
    pub interaction: AdInteraction,
    /// The fine value.
    pub fine: Option<i16>,
    /// The coarse value.
    pub coarse: Option<CoarseValue>,
    /// Where the ad was.
    pub publisher: String,
    /// The country.
    pub country: String,
}

/// Reads a body: a JSON object.
pub fn object(body: &[u8]) -> Option<Fields> {
    serde_json::from_slice(body).ok()
}

/// Returns a text or a number as text, cut.
pub fn text(fields: &Fields, name: &str) -> String {
    match fields.get(name) {
        Some(Value::String(text)) => shown(text),
        Some(Value::Number(number)) => shown(&number.to_string()),
        _ => String::new(),
    }
}

/// Cuts a text and leaves out what nobody should be shown or stores cannot hold.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MOST_TEXT).collect()
}

/// Returns a small number.
pub fn number(fields: &Fields, name: &str) -> Option<i16> {
    fields.get(name).and_then(Value::as_u64).and_then(|number| i16::try_from(number).ok())
}

/// Returns the values that an app set. Neither kind signs them.
pub fn values(fields: &Fields) -> (Option<i16>, Option<CoarseValue>) {
    let fine = number(fields, "conversion-value").filter(|value| *value < 64);
    let coarse = match fields.get("coarse-conversion-value").and_then(Value::as_str) {
        Some("low") => Some(CoarseValue::Low),
        Some("medium") => Some(CoarseValue::Medium),
        Some("high") => Some(CoarseValue::High),
        _ => None,
    };
    (fine, coarse)
}

/// Returns the window that a postback is about: those that do not say are from before there was more than one.
pub fn window(index: Option<i16>) -> PostbackWindow {
    match index {
        None | Some(0) => PostbackWindow::First,
        Some(1) => PostbackWindow::Second,
        Some(_) => PostbackWindow::Third,
    }
}

/// Returns the moment whose schema says what the values of a postback mean: it came one to six days after its window, in which the app set them.
pub fn value_time(index: Option<i16>, received: Moment) -> Moment {
    let place = usize::try_from(index.unwrap_or(0)).unwrap_or(0).min(2);
    received - chrono::Duration::days(WINDOW_DAYS[place])
}

/// Says whether a signature of Apple's holds.
pub fn is_signed(outcome: PostbackOutcome) -> bool {
    matches!(outcome, PostbackOutcome::Verified | PostbackOutcome::Development)
}

/// Returns what the same postback has again. What is signed is known by what Apple calls it, everything else by its bytes: nobody can send
/// something first that keeps the real one out.
pub fn dedupe_key(kind: PostbackKind, judged: &Judged, body: &[u8]) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&[kind as u8, judged.outcome as u8]);
    if is_signed(judged.outcome) {
        hash.update(&judged.says.index.unwrap_or(-1).to_be_bytes());
        hash.update(judged.says.transaction.as_bytes());
    } else {
        hash.update(body);
    }
    hash.finish().as_ref().to_vec()
}

/// Returns the id of the row that a record of the spool comes to for an app: the same every time it is carried.
pub fn row_id(record: Uuid, app: AppId) -> PostbackId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(record.as_bytes());
    hash.update(app.0.as_bytes());
    let hash = hash.finish();
    let mut bytes = *record.as_bytes();
    bytes[8..].copy_from_slice(&hash.as_ref()[..8]);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    PostbackId(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;
    use crate::{
        clock::from_micros,
        ids::{Ids, time_of},
    };

    #[test]
    fn what_anybody_may_have_written_is_cut_and_cleaned() {
        let long = "x".repeat(500);
        let body = serde_json::json!({ "a": long, "b": 7, "c": "a\u{0}b\n", "d": true }).to_string();
        let fields = object(body.as_bytes()).expect("an object");
        let texts = ["a", "b", "c", "d", "e"].map(|name| text(&fields, name));
        assert_eq!(texts, [&long[..128], "7", "ab", "", ""]);
        for no_object in ["", "[]", "7", "{", "{\"a\":1}x"] {
            assert_eq!(object(no_object.as_bytes()), None, "{no_object}");
        }
    }

    #[test]
    fn values_out_of_range_are_none() {
        for (body, expected) in [
            (r#"{"conversion-value":0}"#, (Some(0), None)),
            (
                r#"{"conversion-value":63,"coarse-conversion-value":"high"}"#,
                (Some(63), Some(CoarseValue::High)),
            ),
            (r#"{"conversion-value":64,"coarse-conversion-value":"HIGH"}"#, (None, None)),
            (r#"{"conversion-value":"5","coarse-conversion-value":1}"#, (None, None)),
            (r#"{"conversion-value":-1}"#, (None, None)),
        ] {
            assert_eq!(values(&object(body.as_bytes()).expect("an object")), expected, "{body}");
        }
    }

    #[test]
    fn a_value_is_read_by_the_schema_of_its_window() {
        let now = from_micros(1_795_348_800_000_000);
        for (index, days, of) in [
            (None, 2, PostbackWindow::First),
            (Some(0), 2, PostbackWindow::First),
            (Some(1), 5, PostbackWindow::Second),
            (Some(2), 28, PostbackWindow::Third),
            (Some(900), 28, PostbackWindow::Third),
        ] {
            assert_eq!(
                (value_time(index, now), window(index)),
                (now - Duration::days(days), of),
                "{index:?}"
            );
        }
    }

    #[test]
    fn a_copy_for_another_app_has_another_id_of_the_same_moment() {
        let record = Ids::seeded(1).uuid(from_micros(1_795_348_800_123_456));
        let (one, other) = (AppId(Uuid::from_u128(1)), AppId(Uuid::from_u128(2)));
        assert_eq!(row_id(record, one), row_id(record, one));
        assert_ne!(row_id(record, one), row_id(record, other));
        let id = row_id(record, one).0;
        assert_eq!((time_of(id), id.get_version_num()), (time_of(record), 7));
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
    }
}
