//! What somebody may say that something cost. Pure.

use chrono::NaiveDate;
use ring::digest;
use uuid::{Builder, Uuid};

use super::store::CostQuery;
use crate::{
    attribution::events::money::{self, Amount},
    clicks::query,
    error::{Result, Violations},
    geo::Country,
    ids::{AppId, LinkId},
    links::NOT_A_UUID,
    pb::v1::{Cost, CostFilter},
};

const NOT_A_DATE: &str = "must be a date such as 2026-11-20, 1970-01-01 to 9999-12-31";
const DATE_BYTES: usize = 10;
/// How many days are deleted at once.
const MOST_DAYS: i32 = 366;

/// What tells a cost apart from others of its day.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The app that was advertised.
    pub app: Option<AppId>,
    /// The link that was paid for.
    pub link: Option<LinkId>,
    /// Two letters, or nothing.
    pub country: String,
    /// Source, medium, campaign, ad group, creative; nothing where a link says them.
    pub utm: [String; 5],
}

impl Key {
    /// Returns an id that is the same for the same key: the first half of its SHA-256. A length stands before each part, so no two keys are one text.
    pub fn id(&self) -> Uuid {
        let mut hash = digest::Context::new(&digest::SHA256);
        let ids = [self.app.map(|app| app.0), self.link.map(|link| link.0)];
        let ids = ids.map(|id| id.map(Uuid::into_bytes).unwrap_or_default());
        let texts = [&self.country].into_iter().chain(&self.utm).map(String::as_bytes);
        for part in ids.iter().map(<[u8; 16]>::as_slice).chain(texts) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finish().as_ref()[..16]);
        Builder::from_custom_bytes(id).into_uuid()
    }
}

/// A cost as somebody sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCost {
    /// Which day, in days since 1970.
    pub day: i32,
    /// What tells it apart.
    pub key: Key,
    /// In which currency.
    pub currency: String,
    /// How much.
    pub amount: Amount,
}

/// Reads a cost.
pub fn cost(sent: &Cost) -> Result<NewCost> {
    let mut wrong = Violations::default();
    let day = wrong.take("date", day(&sent.date));
    let app = wrong.take("app_id", id(&sent.app_id, AppId::parse)).flatten();
    let link = wrong.take("link_id", id(&sent.link_id, LinkId::parse)).flatten();
    let country = wrong.take("country", country(&sent.country));
    let money = sent.amount.clone().unwrap_or_default();
    let amount = match (sent.amount.is_some(), money::read(&money.currency, money.units, money.nanos)) {
        (false, _) => wrong.take("amount", Err("is required")),
        (true, Ok(amount)) if amount.is_refund() => wrong.take("amount", Err("must not be below zero")),
        (true, Ok(amount)) => Some(amount),
        (true, Err((field, why))) => wrong.take(&format!("amount.{field}"), Err(why)),
    };
    let utm = [&sent.source, &sent.medium, &sent.campaign, &sent.ad_group, &sent.creative];
    let utm = if link.is_some() { Default::default() } else { utm.map(|value| query::value(value)) };
    let key = Key { app, link, country: country.unwrap_or_default(), utm };
    wrong.into_result(NewCost {
        // Without one of these something was wrong.
        day: day.unwrap_or_default(),
        amount: amount.unwrap_or_else(|| Amount::new(0, 0)),
        currency: money.currency,
        key,
    })
}

/// Reads which costs are meant; `path` is where the request says it, with its dot.
pub fn filter(path: &str, sent: &CostFilter) -> Result<CostQuery> {
    let mut wrong = Violations::default();
    let mut date = |name: &str, text: &str| {
        if text.is_empty() { None } else { wrong.take(&format!("{path}{name}"), day(text)) }
    };
    let (first, end) = (date("start_date", &sent.start_date), date("end_date", &sent.end_date));
    if first.zip(end).is_some_and(|(first, end)| end <= first) {
        wrong.add(format!("{path}end_date"), "must be after start_date");
    }
    let app = wrong.take(&format!("{path}app_id"), id(&sent.app_id, AppId::parse)).flatten();
    let link = wrong.take(&format!("{path}link_id"), id(&sent.link_id, LinkId::parse)).flatten();
    let value = |value: &Option<String>| value.as_deref().map(query::value);
    wrong.into_result(CostQuery {
        first,
        end,
        source: value(&sent.source),
        medium: value(&sent.medium),
        campaign: value(&sent.campaign),
        app,
        link,
    })
}

/// Reads which costs are to be deleted: those of some days.
pub fn deletion(sent: &CostFilter) -> Result<CostQuery> {
    let query = filter("filter.", sent)?;
    let mut wrong = Violations::default();
    for (field, day) in [("filter.start_date", query.first), ("filter.end_date", query.end)] {
        if day.is_none() {
            wrong.add(field, "is required");
        }
    }
    if query.first.zip(query.end).is_some_and(|(first, end)| end - first > MOST_DAYS) {
        wrong.add("filter.end_date", "must be at most 366 days after start_date");
    }
    wrong.into_result(query)
}

fn day(text: &str) -> Result<i32, &'static str> {
    // chrono takes 2026-1-2 too.
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == DATE_BYTES);
    date.map(|date| date.to_epoch_days()).filter(|days| *days >= 0).ok_or(NOT_A_DATE)
}

fn id<T>(text: &str, parse: fn(&str) -> Option<T>) -> Result<Option<T>, &'static str> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some).ok_or(NOT_A_UUID) }
}

fn country(text: &str) -> Result<String, &'static str> {
    match Country::parse(text) {
        Some(country) if country.as_str() == text => Ok(text.to_owned()),
        None if text.is_empty() => Ok(String::new()),
        _ => Err("must be two capital letters of ISO 3166-1, such as CH"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::v1::Money;

    fn sent() -> Cost {
        Cost {
            date: "2026-11-20".into(),
            amount: Some(Money { currency: "CHF".into(), units: 12, nanos: 500_000_000 }),
            ..Cost::default()
        }
    }

    #[test]
    fn a_cost_is_read_as_visits_are() {
        let link = "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507";
        let read = cost(&Cost { source: " news\u{0}letter ".into(), country: "CH".into(), ..sent() });
        let read = read.expect("a cost");
        assert_eq!((read.day, read.amount.units(), read.amount.nanos()), (20_777, 12, 500_000_000));
        assert_eq!((read.key.utm[0].as_str(), read.key.country.as_str()), ("news letter", "CH"));
        // What a link says it says alone.
        let of_link = cost(&Cost { source: "x".into(), link_id: link.into(), ..sent() }).expect("a cost");
        assert_eq!(of_link.key.utm, <[String; 5]>::default());
    }

    #[test]
    fn every_fault_of_a_cost_is_named() {
        let money = |currency: &str, units, nanos| Some(Money { currency: currency.into(), units, nanos });
        for (wrong, fields) in [
            (Cost { date: String::new(), ..sent() }, &["date"][..]),
            (Cost { date: "2026-02-29".into(), ..sent() }, &["date"]),
            (Cost { date: "2026-1-2".into(), ..sent() }, &["date"]),
            (Cost { date: "1969-12-31".into(), ..sent() }, &["date"]),
            (Cost { date: "20261120".into(), ..sent() }, &["date"]),
            (Cost { app_id: "x".into(), link_id: "y".into(), ..sent() }, &["app_id", "link_id"]),
            (Cost { country: "ch".into(), ..sent() }, &["country"]),
            (Cost { country: "XX".into(), ..sent() }, &["country"]),
            (Cost { amount: None, ..sent() }, &["amount"]),
            (Cost { amount: money("CHF", -1, 0), ..sent() }, &["amount"]),
            (Cost { amount: money("CHF", 0, -1), ..sent() }, &["amount"]),
            (Cost { amount: money("chf", 1, 0), ..sent() }, &["amount.currency"]),
            (Cost { amount: money("CHF", 1, 1_000_000_000), ..sent() }, &["amount.nanos"]),
            (Cost { amount: money("CHF", 1_000_000_000_001, 0), ..sent() }, &["amount.units"]),
            (Cost { amount: money("CHF", 0, 0), ..sent() }, &[]),
        ] {
            let named: Vec<String> = match cost(&wrong) {
                Ok(_) => Vec::new(),
                Err(error) => error.violations().iter().map(|wrong| wrong.field.clone()).collect(),
            };
            assert_eq!(named, fields, "{wrong:?}");
        }
    }

    #[test]
    fn only_equal_keys_have_equal_ids() {
        let key = |country: &str, utm: [&str; 5]| Key {
            app: None,
            link: None,
            country: country.into(),
            utm: utm.map(str::to_owned),
        };
        let all = [
            key("", ["a", "b", "", "", ""]),
            key("", ["ab", "", "", "", ""]),
            key("", ["", "ab", "", "", ""]),
            key("CH", ["a", "b", "", "", ""]),
            Key { app: Some(AppId(Uuid::from_u128(1))), ..key("", ["a", "b", "", "", ""]) },
            Key { link: Some(LinkId(Uuid::from_u128(1))), ..key("", ["a", "b", "", "", ""]) },
        ];
        let ids: std::collections::HashSet<Uuid> = all.iter().map(Key::id).collect();
        assert_eq!(ids.len(), all.len());
        assert_eq!(all[0].id(), all[0].clone().id());
    }

    #[test]
    fn costs_are_deleted_by_days() {
        let filter = |start: &str, end: &str| CostFilter {
            start_date: start.into(),
            end_date: end.into(),
            ..CostFilter::default()
        };
        for (asked, fields) in [
            (filter("2026-01-01", "2027-01-01"), &[][..]),
            (filter("2026-01-01", "2027-01-03"), &["filter.end_date"]),
            (filter("2026-01-01", "2026-01-01"), &["filter.end_date"]),
            (filter("", ""), &["filter.start_date", "filter.end_date"]),
            (filter("x", "2026-01-01"), &["filter.start_date"]),
        ] {
            let named: Vec<String> = match deletion(&asked) {
                Ok(_) => Vec::new(),
                Err(error) => error.violations().iter().map(|wrong| wrong.field.clone()).collect(),
            };
            assert_eq!(named, fields, "{asked:?}");
        }
    }
}
