//! What apps may say of an event. Pure: every violation of an event is found, and each names its field first.

use chrono::Duration;

use super::{money, money::Amount, properties};
use crate::{
    clock::{Moment, cut},
    ids::{ClickId, LinkId},
    links::{NOT_A_UUID, moment},
    pb::{internal::v1::EventProperty, sdk::v1 as sdk},
};

/// The name of an event that could not be read at all. No app can have it: it is a control character.
pub const UNREADABLE: &str = "\u{0}";
/// How long ago an event may have happened.
pub const MOST_LATE: Duration = Duration::days(30);
/// How far ahead the clock of a device may be. Beyond that nobody can say what its time means, and the id is made of it.
pub const MOST_EARLY: Duration = Duration::days(1);
const EVENT_KEY: std::ops::RangeInclusive<usize> = 8..=64;
const MAX_NAME: usize = 255;
const MAX_SESSION: usize = 64;
const MAX_TRANSACTION: usize = 128;

/// An event whose every field is right.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub key: String,
    pub name: String,
    /// By the clock of the device: what the id is made of.
    pub time: Moment,
    /// Whether it is too long ago for an event that nobody knows yet.
    pub late: bool,
    pub session: String,
    pub properties: Vec<EventProperty>,
    pub revenue: Option<Revenue>,
    pub transaction: String,
    pub link: Option<LinkId>,
    pub click: Option<ClickId>,
    pub link_open_time: Option<Moment>,
}

/// What an event earned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revenue {
    pub currency: String,
    pub amount: Amount,
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The first field that is wrong, for the meters.
    pub field: &'static str,
    /// All of them, for developers.
    pub text: String,
}

impl Refusal {
    /// Says what is wrong with one field.
    pub fn of(field: &'static str, why: &str) -> Self {
        Self { field, text: format!("{field}: {why}") }
    }
}

#[derive(Default)]
struct Wrong(Option<Refusal>);

impl Wrong {
    fn add(&mut self, field: &'static str, why: &str) {
        self.add_text(field, format!("{field}: {why}"));
    }

    fn add_text(&mut self, field: &'static str, text: String) {
        match &mut self.0 {
            None => self.0 = Some(Refusal { field, text }),
            Some(refusal) => {
                refusal.text.push_str("; ");
                refusal.text.push_str(&text);
            }
        }
    }
}

/// What is said of an event that is too long ago.
pub fn too_late() -> Refusal {
    Refusal::of("event_time", "must be at most 30 days ago")
}

/// Reads an event.
pub fn read(event: &sdk::Event, now: Moment) -> Result<NewEvent, Refusal> {
    if event.name == UNREADABLE {
        return Err(Refusal::of("event", "cannot be read: it is no message, or a text in it is not UTF-8"));
    }
    let mut wrong = Wrong::default();
    if !is_key(&event.event_id) {
        wrong.add("event_id", "must be 8 to 64 letters, digits, hyphens and underscores");
    }
    if event.name.is_empty() || !is_text(&event.name, MAX_NAME) {
        wrong.add("name", "must have 1 to 255 characters, none of them a control character");
    }
    let time = match event.event_time.as_ref().map(moment) {
        None => Err("is required"),
        Some(Ok(time)) if time > now + MOST_EARLY => {
            Err("must be at most a day ahead of this server's clock")
        }
        Some(time) => time.map(cut),
    };
    let time = time.unwrap_or_else(|why| {
        wrong.add("event_time", why);
        now
    });
    if !is_text(&event.session_id, MAX_SESSION) {
        wrong.add("session_id", "must have at most 64 characters, none of them a control character");
    }
    let properties = event.properties.as_ref().map_or(Ok(Vec::new()), properties::read);
    let properties = properties.unwrap_or_else(|text| {
        wrong.add_text("properties", text);
        Vec::new()
    });
    let revenue = event.revenue.as_ref().and_then(|revenue| {
        let amount = money::read(&revenue.currency, revenue.units, revenue.nanos);
        amount
            .map(|amount| Revenue { currency: revenue.currency.clone(), amount })
            .map_err(|(field, why)| wrong.add_text("revenue", format!("revenue.{field}: {why}")))
            .ok()
    });
    if !is_text(&event.transaction_id, MAX_TRANSACTION) {
        wrong.add("transaction_id", "must have at most 128 characters, none of them a control character");
    }
    let link = id(&event.link_id, LinkId::parse, "link_id", &mut wrong);
    let click = id(&event.click_id, ClickId::parse, "click_id", &mut wrong);
    let opened = event.link_open_time.as_ref().map(moment).transpose();
    let opened = opened.unwrap_or_else(|why| {
        wrong.add("link_open_time", why);
        None
    });
    match wrong.0 {
        Some(refusal) => Err(refusal),
        None => Ok(NewEvent {
            key: event.event_id.clone(),
            name: event.name.clone(),
            late: time < now - MOST_LATE,
            time,
            session: event.session_id.clone(),
            properties,
            revenue,
            transaction: event.transaction_id.clone(),
            link,
            click,
            link_open_time: opened.map(cut),
        }),
    }
}

fn is_key(text: &str) -> bool {
    EVENT_KEY.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_text(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_none() && !text.chars().any(char::is_control)
}

fn id<T>(text: &str, parse: fn(&str) -> Option<T>, field: &'static str, wrong: &mut Wrong) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    let id = parse(text);
    if id.is_none() {
        wrong.add(field, NOT_A_UUID);
    }
    id
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;
    use crate::clock::from_micros;

    const NOON: i64 = 1_795_348_800;

    fn good() -> sdk::Event {
        sdk::Event {
            event_id: "0f9c1e5a-0001".into(),
            name: "purchase".into(),
            event_time: Some(Timestamp { seconds: NOON, nanos: 123_456_789 }),
            ..sdk::Event::default()
        }
    }

    fn read_at_noon(event: &sdk::Event) -> Result<NewEvent, Refusal> {
        read(event, from_micros(NOON * 1_000_000))
    }

    #[test]
    fn times_are_bounded_on_both_sides() {
        let day = 86_400;
        for (seconds, late) in [
            (NOON, Some(false)),
            (NOON + day, Some(false)),
            (NOON + day + 1, None),
            (NOON - 30 * day, Some(false)),
            (NOON - 30 * day - 1, Some(true)),
            (-1, Some(true)),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            let event_time = Some(Timestamp { seconds, nanos: 0 });
            let read = read_at_noon(&sdk::Event { event_time, ..good() });
            assert_eq!(read.as_ref().ok().map(|event| event.late), late, "{seconds}: {read:?}");
        }
        let read = read_at_noon(&good()).expect("good");
        assert_eq!(read.time, from_micros(NOON * 1_000_000 + 123_456));
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let money = |currency: &str, units, nanos| sdk::Money { currency: currency.into(), units, nanos };
        let with = |change: &dyn Fn(&mut sdk::Event)| {
            let mut event = good();
            change(&mut event);
            event
        };
        let cases: [(&str, &dyn Fn(&mut sdk::Event)); 16] = [
            ("event_id", &|event| event.event_id = "short".into()),
            ("event_id", &|event| event.event_id = "x".repeat(65)),
            ("event_id", &|event| event.event_id = "with a blank".into()),
            ("name", &|event| event.name = String::new()),
            ("name", &|event| event.name = "ä".repeat(256)),
            ("name", &|event| event.name = "a\nb".into()),
            ("event_time", &|event| event.event_time = None),
            ("event_time", &|event| event.event_time = Some(Timestamp { seconds: 0, nanos: -1 })),
            ("session_id", &|event| event.session_id = "x".repeat(65)),
            ("revenue.currency", &|event| event.revenue = Some(money("chf", 1, 0))),
            ("revenue.nanos", &|event| event.revenue = Some(money("CHF", 1, -1))),
            ("revenue.units", &|event| event.revenue = Some(money("CHF", 1_000_000_000_001, 0))),
            ("transaction_id", &|event| event.transaction_id = "x".repeat(129)),
            ("link_id", &|event| event.link_id = "spring".into()),
            ("click_id", &|event| event.click_id = "spring".into()),
            ("link_open_time", &|event| event.link_open_time = Some(Timestamp { seconds: 0, nanos: -1 })),
        ];
        for (field, change) in cases {
            let refusal = read_at_noon(&with(change)).expect_err(field);
            assert!(refusal.text.starts_with(&format!("{field}: ")), "{refusal:?}");
            assert!(field.starts_with(refusal.field), "{refusal:?}");
        }
        let refusal = read_at_noon(&sdk::Event::default()).expect_err("nothing is right");
        assert_eq!(refusal.field, "event_id");
        let fields: Vec<&str> = refusal
            .text
            .split("; ")
            .filter_map(|text| text.split_once(':'))
            .map(|(field, _)| field)
            .collect();
        assert_eq!(fields, ["event_id", "name", "event_time"]);
    }

    #[test]
    fn a_whole_event_is_read() {
        let event = sdk::Event {
            session_id: "s1".into(),
            properties: Some(properties::shown(r#"{"sku":"a"}"#)),
            revenue: Some(sdk::Money { currency: "CHF".into(), units: -5, nanos: -500_000_000 }),
            transaction_id: "t1".into(),
            link_id: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506".into(),
            click_id: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507".into(),
            link_open_time: Some(Timestamp { seconds: 5, nanos: 0 }),
            ..good()
        };
        let read = read_at_noon(&event).expect("good");
        assert_eq!(read.properties[0].value, r#""a""#);
        assert_eq!(read.revenue.map(|revenue| revenue.amount), Some(Amount::new(-5, -500_000_000)));
        assert_eq!(read.link.map(|link| link.to_string()), Some(event.link_id));
        assert_eq!(read.link_open_time, Some(from_micros(5_000_000)));
    }
}
