//! Reads an event as LinkForty's SDKs send it. Pure.
//!
//! Two shapes are theirs by agreement: `revenue`, whose data holds `revenue` and `currency`, and `screen_view`, whose data holds `screen`.

use data_encoding::HEXLOWER;
use ring::digest;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{body::Body, times};
use crate::{
    attribution::events::shown_properties,
    clock::Moment,
    ids::{Ids, InstallId},
    links::timestamp,
    pb::sdk::v1::{Event, Money},
};

/// How far ahead a device's clock may be.
const AHEAD: chrono::Duration = chrono::Duration::days(1);
const MAX_NAME: usize = 256;
const MAX_ID: usize = 64;

/// An event as it was sent.
#[derive(Debug)]
pub struct Sent {
    name: String,
    data: Map<String, Value>,
    time: String,
    opened: String,
    link: String,
    click: String,
    session: String,
    /// The id that newer SDKs give it; may be empty.
    pub id: String,
}

/// Reads an event and the install it is of.
pub fn read(body: &mut Body, idempotency_key: &str) -> (Option<InstallId>, Sent) {
    let install = body.text("installId", MAX_ID);
    let parsed = InstallId::parse(&install);
    if parsed.is_none() {
        body.wrong("installId", "must be a UUID of 36 characters");
    }
    let name = body.text("eventName", MAX_NAME);
    if name.trim().is_empty() {
        body.wrong("eventName", "is required");
    }
    let mut id = body.text("eventId", MAX_NAME);
    if id.is_empty() {
        idempotency_key.clone_into(&mut id);
    }
    let sent = Sent {
        name,
        data: body.object("eventData"),
        time: body.text("timestamp", MAX_ID),
        opened: body.text("linkOpenedAt", MAX_ID),
        link: body.text("attributedLinkId", MAX_ID),
        click: body.text("attributedClickId", MAX_ID),
        session: body.text("sessionId", MAX_ID),
        id,
    };
    (parsed, sent)
}

impl Sent {
    /// Returns the event as it is recorded. What is no id of a link or a click is left out: the event counts all the same.
    pub fn event(self, install: InstallId, zone: &str, env: (&Ids, Moment), body: &mut Body) -> Event {
        let (ids, now) = env;
        let time = match self.time.as_str() {
            "" => Some(now),
            // A little ahead is what the device believes, and a repeat says it again.
            text => times::read(text, zone).map(|time| if time > now + AHEAD { now } else { time }),
        };
        if time.is_none() {
            body.wrong("timestamp", "must be a time such as 2026-11-26T12:00:00Z");
        }
        let time = time.unwrap_or(now);
        let event_id = self.event_id(install, ids);
        let stamp = |text: &str| Uuid::try_parse(text).ok().map(|id| id.to_string()).unwrap_or_default();
        let (link_id, click_id) = (stamp(&self.link), stamp(&self.click));
        let opened =
            times::read(&self.opened, zone).map(|opened| opened.min(now)).filter(|_| !link_id.is_empty());
        let revenue = (self.name == "revenue").then(|| revenue(&self.data)).flatten();
        let transaction =
            ["transactionId", "transaction_id"].iter().find_map(|name| self.data.get(*name)?.as_str());
        let transaction = transaction.unwrap_or_default().chars().take(128).collect();
        let properties = Value::Object(self.data).to_string();
        Event {
            event_id,
            name: self.name,
            event_time: Some(timestamp(time)),
            session_id: self.session,
            properties: Some(shown_properties(&properties)),
            revenue,
            transaction_id: transaction,
            link_id,
            click_id,
            link_open_time: opened.map(timestamp),
        }
    }

    /// Returns the id of the event: the one it was given, or one that follows from all that it says, so that a repeat is the same.
    fn event_id(&self, install: InstallId, ids: &Ids) -> String {
        let good =
            |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if (8..=MAX_ID).contains(&self.id.len()) && good(&self.id) {
            return self.id.clone();
        }
        if self.id.is_empty() && self.time.is_empty() {
            // Nothing tells a repeat from another one.
            return HEXLOWER.encode(&ids.bytes::<16>());
        }
        let mut hash = digest::Context::new(&digest::SHA256);
        let data = serde_json::to_vec(&self.data).unwrap_or_default();
        for part in
            [self.id.as_bytes(), install.0.as_bytes(), self.name.as_bytes(), self.time.as_bytes(), &data]
        {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        HEXLOWER.encode(&hash.finish().as_ref()[..16])
    }
}

/// Returns what an event earned, if it says so in a way that is an amount of money.
pub fn revenue(data: &Map<String, Value>) -> Option<Money> {
    let currency = data.get("currency")?.as_str()?.to_ascii_uppercase();
    let amount = match data.get("revenue")? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Nine digits behind the point, as a float is written, and no float from here on.
    let text = format!("{amount:.9}");
    let (units, nanos) = text.trim_start_matches('-').split_once('.')?;
    let (units, nanos): (i64, i32) = (units.parse().ok()?, nanos.parse().ok()?);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Some(Money { currency, units: units * i64::from(sign), nanos: nanos * sign })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    fn sent(json: &str) -> (Body, Option<InstallId>, Sent) {
        let mut body = Body::read(json.as_bytes()).expect("an object");
        let (install, sent) = read(&mut body, "");
        (body, install, sent)
    }

    #[test]
    fn money_is_read_to_the_last_digit() {
        let data = |json: Value| json.as_object().cloned().expect("an object");
        let money = |units, nanos| Some(Money { currency: "CHF".into(), units, nanos });
        for (json, expected) in [
            (serde_json::json!({"revenue": 9.99, "currency": "chf"}), money(9, 990_000_000)),
            (serde_json::json!({"revenue": "0.1", "currency": "CHF"}), money(0, 100_000_000)),
            (serde_json::json!({"revenue": 0, "currency": "CHF"}), money(0, 0)),
            (serde_json::json!({"revenue": -2.5, "currency": "CHF"}), money(-2, -500_000_000)),
            (serde_json::json!({"revenue": 1e300, "currency": "CHF"}), None),
            (serde_json::json!({"revenue": "NaN", "currency": "CHF"}), None),
            (serde_json::json!({"revenue": 1}), None),
            (serde_json::json!({"currency": "CHF"}), None),
        ] {
            assert_eq!(revenue(&data(json.clone())), expected, "{json}");
        }
    }

    #[test]
    fn a_repeat_is_the_same_event_and_nothing_else_is() {
        let of = |json: &str| {
            let (mut body, install, sent) = sent(json);
            let now = from_micros(1_795_348_800_000_000);
            let event = sent.event(install.expect("an install"), "", (&Ids::seeded(1), now), &mut body);
            body.end().expect("nothing is wrong");
            event
        };
        let base = r#"{"installId":"01936d6e-0000-7000-8000-000000000000","eventName":"x","timestamp":"2026-11-20T10:00:00Z","eventData":{"a":1}}"#;
        assert_eq!(of(base), of(base));
        for other in [
            base.replace("\"x\"", "\"y\""),
            base.replace("10:00:00", "10:00:01"),
            base.replace("\"a\":1", "\"a\":2"),
            base.replace("0000-7000", "0001-7000"),
        ] {
            assert_ne!(of(base).event_id, of(&other).event_id, "{other}");
        }
        let named = base.replace(
            "{\"installId\"",
            "{\"eventId\":\"event-00001\",\"attributedLinkId\":null,\"installId\"",
        );
        assert_eq!(of(&named).event_id, "event-00001");
    }

    #[test]
    fn what_is_missing_is_named() {
        let (body, install, _) = sent(r#"{"installId":"x","eventName":" "}"#);
        assert_eq!(install, None);
        let error = body.end().expect_err("is wrong");
        let fields: Vec<&str> = error.violations().iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(fields, ["installId", "eventName"]);
    }
}
