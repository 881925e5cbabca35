//! The order of rows, and pages of them. Pure.
//!
//! All rows of an answer are at hand, since their numbers are sums over many; a page ends with a row all the same and not with a number, so
//! that a row that grows meanwhile pushes none into two pages.

use super::numbers::Numbers;
use crate::{
    analytics::rollup::read::{Currency, Slots},
    page::{Cursor, PageRequest},
};

/// What rows can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The value.
    Value,
    /// One of the numbers.
    Clicks,
    /// One of the numbers.
    BotClicks,
    /// One of the numbers.
    Opens,
    /// One of the numbers.
    Installs,
    /// One of the numbers.
    AttributedInstalls,
    /// One of the numbers.
    Events,
    /// The revenue in one currency.
    Revenue,
    /// What was spent in it.
    Cost,
    /// What an install cost.
    Cpi,
    /// What came back for what was spent.
    Roas,
}

/// An order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: By,
    /// Whether the greatest come first.
    pub descending: bool,
}

const FIELDS: [(&str, By); 11] = [
    ("value", By::Value),
    ("clicks", By::Clicks),
    ("bot_clicks", By::BotClicks),
    ("opens", By::Opens),
    ("installs", By::Installs),
    ("attributed_installs", By::AttributedInstalls),
    ("events", By::Events),
    ("revenue", By::Revenue),
    ("cost", By::Cost),
    ("cpi", By::Cpi),
    ("roas", By::Roas),
];
const NO_ORDER: &str = "must be clicks, bot_clicks, opens, installs, attributed_installs, events, revenue, cost, cpi, roas or value, followed by desc for the greatest first";

impl Order {
    /// Reads an order; without one it is by clicks, the greatest first.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let mut words = text.split_ascii_whitespace();
        let Some(field) = words.next() else { return Ok(Self { by: By::Clicks, descending: true }) };
        let (_, by) = FIELDS.into_iter().find(|(name, _)| *name == field).ok_or(NO_ORDER)?;
        let descending = match (words.next(), words.next()) {
            (None, _) => false,
            (Some("desc"), None) => true,
            _ => return Err(NO_ORDER),
        };
        Ok(Self { by, descending })
    }

    /// Says whether it is by money, so that one currency counts.
    pub const fn is_by_money(self) -> bool {
        matches!(self.by, By::Revenue | By::Cost | By::Cpi)
    }

    /// Returns what a row is ordered by, the smallest first; values are compared where it is the same. `money` is the currency that counts.
    fn key(self, numbers: &Numbers, money: Option<Currency>) -> i128 {
        let Numbers { counted, spent } = numbers;
        let key = match self.by {
            By::Value => 0,
            By::Clicks => i128::from(counted.clicks),
            By::BotClicks => i128::from(counted.bot_clicks),
            By::Opens => i128::from(counted.opens),
            By::Installs => i128::from(counted.installs),
            By::AttributedInstalls => i128::from(counted.attributed_installs),
            By::Events => i128::from(counted.events),
            By::Revenue => money.and_then(|money| counted.revenue.get(&money)).copied().unwrap_or(0),
            By::Cost => money.map_or(0, |money| spent.of(money)),
            By::Cpi => money.map_or(0, |money| numbers.cpi(money)),
            By::Roas => numbers.roas(),
        };
        if self.descending { -key } else { key }
    }
}

/// A value and its numbers.
pub type Row = (String, Numbers);

/// Puts rows in order and returns one page of them, and where the next one begins. `slots` is the time that they are of, which all pages share.
pub fn page(
    rows: Vec<Row>,
    (order, money): (Order, Option<Currency>),
    asked: &PageRequest,
    slots: Slots,
) -> (Vec<Row>, Option<Cursor>) {
    let turned = order.by == By::Value && order.descending;
    let compare = |one: (i128, &str), other: (i128, &str)| {
        let values = if turned { other.1.cmp(one.1) } else { one.1.cmp(other.1) };
        one.0.cmp(&other.0).then(values)
    };
    let mut keyed: Vec<(i128, Row)> = rows.into_iter().map(|row| (order.key(&row.1, money), row)).collect();
    if let Some((after, last)) = asked.after.as_ref().and_then(place) {
        keyed.retain(|(key, row)| compare((*key, &row.0), (after, last)).is_gt());
    }
    keyed.sort_unstable_by(|one, other| compare((one.0, &one.1.0), (other.0, &other.1.0)));
    let size = asked.size as usize;
    let next = (keyed.len() > size).then(|| {
        let (key, (value, _)) = &keyed[size - 1];
        Cursor { key: format!("{} {} {key}", slots.first, slots.end), id: value.clone() }
    });
    keyed.truncate(size);
    (keyed.into_iter().map(|(_, row)| row).collect(), next)
}

/// Returns the time that the page before was of.
pub fn slots_of(cursor: &Cursor) -> Option<Slots> {
    let mut parts = cursor.key.split(' ');
    Some(Slots { first: parts.next()?.parse().ok()?, end: parts.next()?.parse().ok()? })
}

fn place(cursor: &Cursor) -> Option<(i128, &str)> {
    Some((cursor.key.rsplit(' ').next()?.parse().ok()?, &cursor.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::{costs::Spent, rollup::read::Measures};

    #[test]
    fn an_order_is_a_field_and_perhaps_desc() {
        let order = |by, descending| Ok(Order { by, descending });
        for (text, expected) in [
            ("", order(By::Clicks, true)),
            ("clicks", order(By::Clicks, false)),
            ("  revenue   desc ", order(By::Revenue, true)),
            ("value", order(By::Value, false)),
            ("clicks asc", Err(NO_ORDER)),
            ("clicks desc desc", Err(NO_ORDER)),
            ("Clicks", Err(NO_ORDER)),
            ("visitors desc", Err(NO_ORDER)),
            ("clicks,value", Err(NO_ORDER)),
        ] {
            assert_eq!(Order::read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn pages_hold_every_row_once_and_in_order() {
        let slots = Slots { first: -5, end: 7 };
        let franc = Currency::parse("CHF");
        let rows: Vec<Row> = (0..23_i64)
            .map(|number| {
                let mut measures = Measures { clicks: number % 5, installs: -number, ..Measures::default() };
                let franc = franc.expect("a currency");
                measures.earn(franc, i128::from(number % 3 - 1));
                measures.attributed_installs = number % 4;
                let spent = Spent::new(franc, i128::from(number % 7));
                (format!("v{number:02}"), Numbers { counted: measures, spent })
            })
            .collect();
        for text in [
            "",
            "clicks",
            "installs desc",
            "revenue desc",
            "revenue",
            "cost desc",
            "cpi",
            "roas desc",
            "value",
            "value desc",
        ] {
            let order = Order::read(text).expect("an order");
            let whole = PageRequest { size: 1000, after: None };
            let (all, end) = page(rows.clone(), (order, franc), &whole, slots);
            assert_eq!((all.len(), end), (23, None));
            let mut parts = Vec::new();
            let mut after = None;
            loop {
                let (some, next) = page(rows.clone(), (order, franc), &PageRequest { size: 4, after }, slots);
                parts.extend(some);
                after = next;
                if after.is_none() {
                    break;
                }
                assert_eq!(after.as_ref().and_then(slots_of), Some(slots));
            }
            assert_eq!(parts, all, "{text}");
        }
        let first = |text| {
            let order = Order::read(text).expect("an order");
            page(rows.clone(), (order, franc), &PageRequest { size: 1, after: None }, slots).0[0].0.clone()
        };
        assert_eq!(
            (first(""), first("value desc"), first("installs desc")),
            ("v04".into(), "v22".into(), "v00".into())
        );
        assert_eq!((first("revenue desc"), first("revenue")), ("v02".into(), "v00".into()));
    }
}
