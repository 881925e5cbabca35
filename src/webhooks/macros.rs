//! Postbacks to ad networks: URLs and bodies with macros, `{click_id}`, which are filled from what is told. Pure.
//!
//! A template is checked when it is saved: an unknown macro is named. One that what is told has no value for is filled with nothing. Values are
//! encoded for the place where they stand, so that none ends a parameter, a string or a line.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{EventType, message::Message};
use crate::{
    clock::{self, Moment},
    ids::{parse, time_of},
};

/// What stands as it is in a URL (RFC 3986 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How long the name of a macro may be.
const MAX_NAME: usize = 100;
/// What is told of parameters of the short URL and of properties of events: `{query.gclid}`, `{property.level}`.
const QUERY: &str = "query.";
const PROPERTY: &str = "property.";

/// A macro that a template names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Macro {
    Click(Form),
    Install(Form),
    Event(Form),
    Time(Form),
    /// Seconds from the click to the install.
    ClickToInstall,
    EventName,
    EventType,
    ActivityKind,
    Revenue,
    Currency,
    /// Something that stands at this place of the click, install or event.
    Field(&'static str),
    AttributionType,
    MessageId,
    Query(String),
    Property(String),
}

/// How something is told of: by its id, or by when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Id,
    Text,
    Seconds,
}

/// The macros with a name of their own. Some have two, one as AppsFlyer writes it and one as Adjust does.
const MACROS: &[(&str, Macro)] = &[
    ("activity_kind", Macro::ActivityKind),
    ("adgroup", Macro::Field("utm/term")),
    ("adid", Macro::Install(Form::Id)),
    ("app_id", Macro::Field("app_id")),
    ("attribution_type", Macro::AttributionType),
    ("campaign", Macro::Field("utm/campaign")),
    ("city", Macro::Field("city")),
    ("click_id", Macro::Click(Form::Id)),
    ("click_time", Macro::Click(Form::Text)),
    ("click_ts", Macro::Click(Form::Seconds)),
    ("conversion_duration", Macro::ClickToInstall),
    ("country", Macro::Field("country")),
    ("created_at", Macro::Time(Form::Seconds)),
    ("creative", Macro::Field("utm/content")),
    ("ctit", Macro::ClickToInstall),
    ("currency", Macro::Currency),
    ("device_type", Macro::Field("device_type")),
    ("domain", Macro::Field("domain")),
    ("event_id", Macro::Event(Form::Id)),
    ("event_name", Macro::EventName),
    ("event_time", Macro::Event(Form::Text)),
    ("event_ts", Macro::Event(Form::Seconds)),
    ("event_type", Macro::EventType),
    ("event_value", Macro::Revenue),
    ("install_id", Macro::Install(Form::Id)),
    ("install_time", Macro::Install(Form::Text)),
    ("install_ts", Macro::Install(Form::Seconds)),
    ("installed_at", Macro::Install(Form::Seconds)),
    ("language", Macro::Field("language")),
    ("link_id", Macro::Field("link_id")),
    ("medium", Macro::Field("utm/medium")),
    ("platform", Macro::Field("platform")),
    ("project_id", Macro::Field("project_id")),
    ("referrer", Macro::Field("referrer_host")),
    ("region", Macro::Field("region")),
    ("revenue", Macro::Revenue),
    ("site_id", Macro::Field("utm/source")),
    ("source", Macro::Field("utm/source")),
    ("time", Macro::Time(Form::Text)),
    ("tracker", Macro::Field("link_id")),
    ("ua", Macro::Field("user_agent")),
    ("webhook_id", Macro::MessageId),
];

/// A text with macros, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Macro(Macro),
}

/// Why a text is no template. Each completes "the URL ..." or "the body ...".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such macro.
    Unknown(String),
    /// A macro stands where it would say who is called.
    InHost(String),
    /// A brace that belongs to no macro, in a URL.
    Brace,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "has the unknown macro {{{name}}}"),
            Self::InHost(name) => write!(f, "must not have a macro before its path: {{{name}}}"),
            Self::Brace => f.write_str("has a brace that belongs to no macro: write %7B or %7D"),
        }
    }
}

impl std::error::Error for Refused {}

/// Where a value is put, which says how it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Into a URL or a form.
    Url,
    /// Into a string of JSON, between the quotes that the template has.
    Json,
    /// Into plain text, on the line where it stands.
    Text,
}

impl Place {
    /// Returns how values are encoded in a body of a media type.
    pub fn of_content_type(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence == "application/x-www-form-urlencoded" {
            Self::Url
        } else if essence == "application/json" || essence.ends_with("+json") {
            Self::Json
        } else {
            Self::Text
        }
    }

    fn encode(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Url => utf8_percent_encode(value, ENCODED).into(),
            Self::Json => {
                let quoted = Json::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned().into()
            }
            Self::Text => {
                value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into()
            }
        }
    }
}

impl Template {
    /// Reads a body. Braces that are around no name are what they are: JSON has many.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            push(&mut pieces, before);
            let Some(name) = name_in(from) else {
                push(&mut pieces, "{");
                rest = &from[1..];
                continue;
            };
            pieces.push(Piece::Macro(known(name).ok_or_else(|| Refused::Unknown(name.to_owned()))?));
            rest = &from[name.len() + 2..];
        }
        push(&mut pieces, rest);
        Ok(Self(pieces))
    }

    /// Reads a URL: who is called stands in it as it is.
    pub fn parse_url(text: &str) -> Result<Self, Refused> {
        let template = Self::parse(text)?;
        let after_scheme = text.find("://").map_or(0, |at| at + 3);
        let host_end = text[after_scheme..].find(['/', '?', '#']).map_or(text.len(), |at| after_scheme + at);
        if let Some(at) = text[..host_end].find('{') {
            return Err(name_in(&text[at..]).map_or(Refused::Brace, |name| Refused::InHost(name.to_owned())));
        }
        let braces =
            template.0.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains(['{', '}'])));
        if braces { Err(Refused::Brace) } else { Ok(template) }
    }

    /// Returns the text with an `x` for each macro: what is checked of a URL besides.
    pub fn sample(&self) -> String {
        self.0.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "x" }).collect()
    }

    /// Fills the macros.
    pub fn fill(&self, values: &Values<'_>, place: Place) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Macro(wanted) => {
                    filled.push_str(&place.encode(&values.of(wanted).unwrap_or_default()))
                }
            }
        }
        filled
    }
}

/// What macros are filled from.
#[derive(Debug)]
pub struct Values<'a> {
    message: &'a Message,
    /// The click, install or event.
    subject: Json,
}

impl<'a> Values<'a> {
    /// Reads what is told.
    pub fn of_message(message: &'a Message) -> Self {
        let data: Json = serde_json::from_slice(&message.body).unwrap_or_default();
        let subject = ["click", "install", "event"].iter().find_map(|name| data.get(name)).cloned();
        Self { message, subject: subject.unwrap_or(data) }
    }

    fn of(&self, wanted: &Macro) -> Option<String> {
        match wanted {
            Macro::Click(form) => {
                let id = self.id(EventType::ClickRecorded, "click_id")?;
                Some(told(*form, id, time_of(id)))
            }
            Macro::Install(form) => {
                let id = self.id(EventType::InstallOrganic, "install_id")?;
                match form {
                    Form::Id => Some(id.to_string()),
                    form => Some(told(*form, id, self.is_install().then_some(self.message.time)?)),
                }
            }
            Macro::Event(form) => {
                let id = self.id(EventType::EventRecorded, "event_id")?;
                Some(told(*form, id, self.message.time))
            }
            Macro::Time(form) => Some(told(*form, self.message.subject, self.message.time)),
            Macro::ClickToInstall => {
                let click = time_of(self.id(EventType::ClickRecorded, "click_id")?);
                let seconds = (self.message.time - click).num_seconds();
                self.is_install().then(|| seconds.max(0).to_string())
            }
            Macro::EventName => {
                let kind = self.message.event_type.name();
                self.text("name").or_else(|| kind.split('.').next().map(str::to_owned))
            }
            Macro::EventType => Some(self.message.event_type.name().to_owned()),
            Macro::ActivityKind => self.message.event_type.name().split('.').next().map(str::to_owned),
            Macro::Revenue => self.revenue(),
            Macro::Currency => self.text("revenue/currency_code"),
            Macro::Field(place) => self.text(place),
            Macro::AttributionType => self.text("method").or_else(|| self.text("state")),
            Macro::MessageId => Some(self.message.told_id()),
            Macro::Query(name) => {
                let query = self.text("query").or_else(|| self.text("click_query"))?;
                let query = query.trim_start_matches('?').as_bytes();
                url::form_urlencoded::parse(query)
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.into_owned())
            }
            // A name with a slash is one name: it must not lead elsewhere.
            Macro::Property(name) => text_of(self.subject.get("properties")?.get(name)?),
        }
    }

    fn is_install(&self) -> bool {
        matches!(self.message.event_type, EventType::InstallAttributed | EventType::InstallOrganic)
    }

    /// Returns the id of what happened where it is one of that kind, else the one that it tells of.
    fn id(&self, kind: EventType, field: &str) -> Option<Uuid> {
        let noun = |event_type: EventType| match event_type {
            EventType::OpenRecorded => "click",
            EventType::RevenueRecorded => "event",
            other => other.name().split('.').next().unwrap_or_default(),
        };
        let field = if noun(self.message.event_type) == noun(kind) { "id" } else { field };
        parse(&self.text(field)?)
    }

    /// Returns the amount as a decimal number.
    fn revenue(&self) -> Option<String> {
        let number = |value: &Json| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let revenue = self.subject.get("revenue")?.as_object()?;
        let units = revenue.get("units").and_then(number).unwrap_or(0);
        let nanos = revenue.get("nanos").and_then(number).unwrap_or(0);
        let sign = if units < 0 || nanos < 0 { "-" } else { "" };
        let fraction = format!("{:09}", nanos.unsigned_abs());
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        Some(format!("{sign}{}{point}{fraction}", units.unsigned_abs()))
    }

    /// Returns what stands at a place, as text.
    fn text(&self, place: &str) -> Option<String> {
        text_of(self.subject.pointer(&format!("/{place}"))?)
    }
}

fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn told(form: Form, id: Uuid, time: Moment) -> String {
    match form {
        Form::Id => id.to_string(),
        Form::Text => clock::text(time),
        Form::Seconds => time.timestamp().to_string(),
    }
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => before.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// Returns the name between a brace at the beginning and the next one, if it looks like a name.
fn name_in(text: &str) -> Option<&str> {
    let name = &text[1..text.find('}')?];
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    is_name.then_some(name)
}

fn known(name: &str) -> Option<Macro> {
    let own = |prefix: &str| name.strip_prefix(prefix).filter(|name| !name.is_empty()).map(str::to_owned);
    let found = MACROS.iter().find(|(known, _)| *known == name).map(|(_, found)| found.clone());
    found.or_else(|| own(QUERY).map(Macro::Query)).or_else(|| own(PROPERTY).map(Macro::Property))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::{
        clock::from_micros,
        ids::{ClickId, Ids, MessageId, WorkspaceId},
    };

    fn message(event_type: EventType, data: &Json) -> Message {
        let (ids, time) = (Ids::seeded(1), from_micros(1_800_000_000_000_000));
        Message {
            id: MessageId(Uuid::from_u128(7)),
            workspace: WorkspaceId::mint(&ids, time),
            endpoint: None,
            event_type,
            subject: Uuid::from_u128(8),
            time,
            body: serde_json::to_vec(data).expect("JSON"),
        }
    }

    fn filled(template: &str, message: &Message, place: Place) -> String {
        Template::parse(template).expect(template).fill(&Values::of_message(message), place)
    }

    #[test]
    fn an_install_fills_what_networks_ask_for() {
        let time = from_micros(1_800_000_000_000_000);
        let click = ClickId::mint(&Ids::seeded(2), time - TimeDelta::seconds(90)).to_string();
        let install = "019bc0ff-0000-7000-8000-000000000001";
        let message = message(
            EventType::InstallAttributed,
            &json!({"install": {"id": install, "click_id": click, "platform": "ios", "method": "install_referrer",
                "state": "attributed", "utm": {"campaign": "spring & summer", "source": "net"},
                "click_query": "?clickid=a%20b%26c&x=1"}}),
        );
        for (template, expected) in [
            ("{click_id}", &*click),
            ("{install_id}", install),
            ("{adid}", install),
            ("{ctit}/{conversion_duration}", "90/90"),
            ("{click_ts}", "1799999910"),
            ("{install_ts} {installed_at} {created_at}", "1800000000 1800000000 1800000000"),
            ("{install_time}", "2027-01-15T08%3A00%3A00Z"),
            ("{campaign}", "spring%20%26%20summer"),
            ("{site_id}", "net"),
            ("{query.clickid}", "a%20b%26c"),
            ("[{query.none}]", "[]"),
            ("{event_name} {activity_kind} {event_type}", "install install install.attributed"),
            ("{attribution_type}", "install_referrer"),
            ("{webhook_id}", "msg_00000000000000000000000000000007"),
            ("[{revenue}{currency}{event_id}{country}]", "[]"),
        ] {
            assert_eq!(filled(template, &message, Place::Url), expected, "{template}");
        }
    }

    #[test]
    fn an_event_tells_what_it_earned() {
        let event = |revenue: Json| {
            let data = json!({"event": {"id": "019bc0ff-0000-7000-8000-000000000002", "name": "purchase",
                "install_id": "019bc0ff-0000-7000-8000-000000000001", "revenue": revenue,
                "properties": {"level": 7, "a/b": "slash", "deep": {"x": 1}}}});
            message(EventType::RevenueRecorded, &data)
        };
        for (revenue, expected) in [
            (json!({"currency_code": "EUR", "units": 12, "nanos": 500_000_000}), "12.5 EUR"),
            (json!({"currency_code": "EUR", "units": "12"}), "12 EUR"),
            (json!({"currency_code": "JPY", "units": 0, "nanos": -10_000_000}), "-0.01 JPY"),
        ] {
            assert_eq!(filled("{revenue} {currency}", &event(revenue), Place::Url), expected);
        }
        let purchase = event(Json::Null);
        for (template, expected) in [
            ("{event_name}", "purchase"),
            ("{install_id}", "019bc0ff-0000-7000-8000-000000000001"),
            ("{event_id}", "019bc0ff-0000-7000-8000-000000000002"),
            ("{property.level}{property.deep}", "7"),
            ("[{revenue}{install_time}{ctit}]", "[]"),
        ] {
            assert_eq!(filled(template, &purchase, Place::Url), expected, "{template}");
        }
    }

    #[test]
    fn values_are_encoded_for_where_they_stand() {
        let nasty = "a\"b\\c\r\nX: 1&d=é";
        let message = message(EventType::ClickRecorded, &json!({"click": {"user_agent": nasty}}));
        for (content_type, expected) in [
            ("application/x-www-form-urlencoded; charset=utf-8", "a%22b%5Cc%0D%0AX%3A%201%26d%3D%C3%A9"),
            ("application/json", "a\\\"b\\\\c\\r\\nX: 1&d=é"),
            ("application/vnd.api+json", "a\\\"b\\\\c\\r\\nX: 1&d=é"),
            ("text/plain", "a\"b\\c  X: 1&d=é"),
            ("", "a\"b\\c  X: 1&d=é"),
        ] {
            assert_eq!(
                filled("{ua}", &message, Place::of_content_type(content_type)),
                expected,
                "{content_type}"
            );
        }
        let body = filled(r#"{"ua": "{ua}", "none": {}}"#, &message, Place::Json);
        let read: Json = serde_json::from_str(&body).expect("it is still JSON");
        assert_eq!(read, json!({"ua": nasty, "none": {}}));
    }

    #[test]
    fn an_unknown_macro_is_named() {
        let unknown = |name: &str| Err(Refused::Unknown(name.to_owned()));
        for (text, expected) in [
            ("https://n.example.com/?a={click_id}&b={query.sub_id}", Ok(())),
            ("https://n.example.com/{link_id}/in", Ok(())),
            ("https://n.example.com?a={click_id}", Ok(())),
            ("https://n.example.com/?a={Click_ID}", unknown("Click_ID")),
            ("https://n.example.com/?a={ip}", unknown("ip")),
            ("https://n.example.com/?a={query.}", unknown("query.")),
            ("https://{click_id}.example.com/", Err(Refused::InHost("click_id".into()))),
            ("https://n.example.com{click_id}/", Err(Refused::InHost("click_id".into()))),
            ("https://n.example.com:{click_ts}/", Err(Refused::InHost("click_ts".into()))),
            ("{click_id}", Err(Refused::InHost("click_id".into()))),
            ("https://n.example.com/?a={click id}", Err(Refused::Brace)),
            ("https://n.example.com/?a=}", Err(Refused::Brace)),
            ("https://n.example.com/?a={click_id", Err(Refused::Brace)),
        ] {
            assert_eq!(Template::parse_url(text).map(drop), expected, "{text}");
        }
        assert_eq!(Refused::Unknown("ip".into()).to_string(), "has the unknown macro {ip}");
        let template = Template::parse_url("https://n.example.com/?a={click_id}&b={ua}").expect("a template");
        assert_eq!(template.sample(), "https://n.example.com/?a=x&b=x");
    }

    #[test]
    fn every_macro_has_one_meaning() {
        let mut names: Vec<&str> = MACROS.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted(), "they are in the order of their names");
        names.dedup();
        assert_eq!(names.len(), MACROS.len());
        let page = include_str!("../../docs/webhooks.md");
        for name in names {
            assert!(page.contains(&format!("`{{{name}}}`")), "docs/webhooks.md does not say what {name} is");
        }
    }
}
