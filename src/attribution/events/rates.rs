//! Exchange rates: what a euro cost on a day, as the European Central Bank publishes it on working days.
//!
//! An amount is converted by the rates of its own day or else of the last day that has both, up to a week before: banks close for long weekends. Where there
//! are none the amount waits; an import of rates converts what waited.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read,
};

use anyhow::Context as _;
use chrono::NaiveDate;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::{
    money::{self, Amount, EURO},
    store,
};
use crate::{
    clicks::Homes,
    clock::{Moment, from_micros},
    currency,
    entity::exchange_rate::{ActiveModel, Column, Entity, Model},
    env::Env,
    ids::LinkId,
    trail::{self, Action, Actor, Changes, Who},
};

/// How many days before an event its rate may be.
const MOST_DAYS: i32 = 7;
const DAY_MICROS: i64 = 86_400_000_000;
const ROWS_A_STATEMENT: usize = 1000;
/// How many events are converted in a transaction.
const EVENTS_A_STEP: u64 = 500;
/// What the bank writes where it has no rate.
const NO_RATE: &str = "N/A";

/// What an amount comes to in another currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporting {
    pub currency: String,
    pub amount: Amount,
    /// The day of the rate, in days since 1970; none where none was needed.
    pub day: Option<i32>,
}

/// Rates by currency and day.
#[derive(Debug, Default)]
pub struct Book(HashMap<String, BTreeMap<i32, i64>>);

/// Returns the day of a moment in UTC, in days since 1970.
pub fn day_of(moment: Moment) -> i32 {
    i32::try_from(moment.timestamp().div_euclid(86_400)).unwrap_or_default()
}

/// Returns a day as a date.
pub fn date_of(day: i32) -> NaiveDate {
    from_micros(i64::from(day) * DAY_MICROS).date_naive()
}

impl Book {
    /// Reads the rates that these conversions may need: a day, from what, to what.
    pub async fn of(db: &impl ConnectionTrait, wanted: &[(i32, &str, &str)]) -> Result<Self, DbErr> {
        let foreign = wanted.iter().filter(|(_, from, to)| from != to);
        let Some((first, last)) =
            foreign.clone().map(|(day, ..)| *day).fold(None, |span: Option<(i32, i32)>, day| {
                Some(span.map_or((day, day), |(first, last)| (first.min(day), last.max(day))))
            })
        else {
            return Ok(Self::default());
        };
        let currencies: BTreeSet<&str> = foreign.flat_map(|(_, from, to)| [*from, *to]).collect();
        let rates = Entity::find()
            .filter(Column::Currency.is_in(currencies))
            .filter(Column::Day.between(first - MOST_DAYS, last))
            .all(db)
            .await?;
        Ok(Self::from_rates(rates))
    }

    fn from_rates(rates: Vec<Model>) -> Self {
        let mut book: HashMap<String, BTreeMap<i32, i64>> = HashMap::new();
        for Model { currency, day, rate } in rates {
            book.entry(currency).or_default().insert(day, rate);
        }
        Self(book)
    }

    /// Converts an amount by the rates of a day, or of the last one before that has both.
    pub fn convert(&self, amount: Amount, from: &str, to: &str, day: i32) -> Option<Reporting> {
        let (converted, rate_day) = if from == to {
            (amount, None)
        } else {
            let both = |day| Some((self.rate(from, day)?, self.rate(to, day)?));
            let (day, (from, to)) = (day - MOST_DAYS..=day).rev().find_map(|day| Some((day, both(day)?)))?;
            (money::convert(amount, from, to)?, Some(day))
        };
        Some(Reporting { currency: to.to_owned(), amount: converted, day: rate_day })
    }

    fn rate(&self, currency: &str, day: i32) -> Option<i64> {
        if currency == "EUR" { Some(EURO) } else { self.0.get(currency)?.get(&day).copied() }
    }
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rates that were read and are stored now, those that were there already too.
    pub rates: u64,
    /// Days that had any.
    pub days: u64,
    /// Cells without a rate.
    pub empty: u64,
    /// Events whose revenue was converted now.
    pub converted: u64,
}

/// What is known of a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub currency: String,
    /// The first day with a rate.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
    /// How many days have one.
    pub days: u64,
}

/// Imports the bank's history of rates: a table with a line for each day, `Date,USD,JPY,...`. What is stored for a day and a currency is replaced. Then
/// converts what waited for rates. `progress` hears how many of the file's bytes are done.
pub async fn import(env: &Env, file: impl Read, progress: impl Fn(u64)) -> anyhow::Result<Imported> {
    let mut table = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(file);
    let heads = table.headers().context("the file has no first line")?.clone();
    let columns = columns(&heads)?;
    let mut imported = Imported::default();
    let mut rows: Vec<Model> = Vec::new();
    let mut line = csv::StringRecord::new();
    while table.read_record(&mut line).context("the file cannot be read as CSV")? {
        let number = line.position().map_or(0, csv::Position::line);
        let read = read_line(&line, &columns).map_err(|why| anyhow::anyhow!("line {number}: {why}"))?;
        imported.days += u64::from(!read.is_empty());
        imported.empty += (columns.len() - read.len()) as u64;
        rows.extend(read);
        if rows.len() >= ROWS_A_STATEMENT {
            imported.rates += put(env, &mut rows).await?;
            progress(table.position().byte());
        }
    }
    imported.rates += put(env, &mut rows).await?;
    progress(table.position().byte());
    imported.converted = convert_waiting(env).await?;
    let changes = Changes::none().with("rates", imported.rates).with("converted_events", imported.converted);
    let note = Actor::here(Who::Operator).did(None, Action::RatesImported, None, changes);
    trail::note(&env.db.api, &env.ids, [note], env.now()).await?;
    Ok(imported)
}

/// Lists the currencies that have rates.
pub async fn list(env: &Env) -> crate::error::Result<Vec<Span>> {
    let spans: Vec<(String, i32, i32, i64)> = Entity::find()
        .select_only()
        .column(Column::Currency)
        .column_as(Column::Day.min(), "first")
        .column_as(Column::Day.max(), "last")
        .column_as(Column::Day.count(), "days")
        .group_by(Column::Currency)
        .order_by_asc(Column::Currency)
        .into_tuple()
        .all(&env.db.api)
        .await?;
    let span = |(currency, first, last, days): (String, i32, i32, i64)| Span {
        currency,
        first: date_of(first),
        last: date_of(last),
        days: days.unsigned_abs(),
    };
    Ok(spans.into_iter().map(span).collect())
}

/// Finds the currencies in the first line: their places.
fn columns(heads: &csv::StringRecord) -> anyhow::Result<Vec<(usize, String)>> {
    anyhow::ensure!(heads.get(0) == Some("Date"), "the first line must begin with Date");
    let columns: Vec<(usize, String)> = heads
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, head)| is_code(head))
        .map(|(place, head)| (place, head.to_owned()))
        .collect();
    anyhow::ensure!(!columns.is_empty(), "the first line names no currency");
    Ok(columns)
}

/// Currencies of the past too: the bank's file goes back to 1999.
fn is_code(head: &str) -> bool {
    head != "EUR"
        && (currency::is_known(head) || head.len() == 3 && head.bytes().all(|byte| byte.is_ascii_uppercase()))
}

fn read_line(line: &csv::StringRecord, columns: &[(usize, String)]) -> Result<Vec<Model>, String> {
    let date = line.get(0).unwrap_or_default();
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").map_err(|_| format!("{date:?} is no date"))?;
    let day = date.to_epoch_days();
    let mut rates = Vec::with_capacity(columns.len());
    for (place, currency) in columns {
        let cell = line.get(*place).unwrap_or_default();
        if cell.is_empty() || cell == NO_RATE {
            continue;
        }
        let rate = money::rate(cell).ok_or_else(|| format!("{cell:?} is no rate of {currency}"))?;
        rates.push(Model { currency: currency.clone(), day, rate });
    }
    Ok(rates)
}

/// Stores rates and returns how many.
async fn put(env: &Env, rows: &mut Vec<Model>) -> Result<u64, DbErr> {
    use sea_orm::{ActiveModelTrait as _, IntoActiveModel as _, sea_query::OnConflict};
    let count = rows.len() as u64;
    // Of a day that is there twice the last counts; one statement must not meet a row twice.
    let mut by_key: BTreeMap<(String, i32), Model> = BTreeMap::new();
    for row in rows.drain(..) {
        by_key.insert((row.currency.clone(), row.day), row);
    }
    let rows: Vec<ActiveModel> =
        by_key.into_values().map(|row| row.into_active_model().reset_all()).collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let conflict =
            OnConflict::columns([Column::Currency, Column::Day]).update_column(Column::Rate).to_owned();
        Entity::insert_many(chunk.to_vec()).on_conflict(conflict).exec_without_returning(&env.db.api).await?;
    }
    Ok(count)
}

/// Converts the revenue of events that waited for rates, and returns how many could be.
async fn convert_waiting(env: &Env) -> anyhow::Result<u64> {
    let mut converted = 0;
    for (workspace, to) in store::reporting_currencies(&env.db.api, None).await? {
        let mut after = None;
        loop {
            let waiting = store::waiting(&env.db.api, workspace, after, EVENTS_A_STEP).await?;
            let Some(last) = waiting.last() else { break };
            after = Some(last.id);
            let wanted: Vec<(i32, &str, &str)> = waiting
                .iter()
                .filter_map(|event| Some((day_of(event.event_time), event.currency.as_deref()?, &*to)))
                .collect();
            let book = Book::of(&env.db.api, &wanted).await?;
            let none = LinkId(uuid::Uuid::nil());
            let links = waiting.iter().map(|event| (workspace, event.link_id.unwrap_or(none)));
            let homes = Homes::here(env).of(&env.db.api, links).await?;
            let now: Vec<_> = waiting
                .into_iter()
                .zip(homes)
                .filter_map(|(event, home)| {
                    let amount = Amount::new(event.units?, event.nanos.unwrap_or_default());
                    let day = day_of(event.event_time);
                    let reporting = book.convert(amount, event.currency.as_deref()?, &to, day)?;
                    Some((event, reporting, home))
                })
                .collect();
            converted += store::set_reporting(&env.db, now, env.now()).await?;
        }
    }
    Ok(converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let rate = |currency: &str, day, rate| Model { currency: currency.into(), day, rate };
        Book::from_rates(vec![
            rate("USD", 100, 1_250_000_000),
            rate("USD", 102, 1_000_000_000),
            rate("JPY", 100, 150_000_000_000),
            rate("JPY", 101, 160_000_000_000),
        ])
    }

    #[test]
    fn the_last_day_with_both_rates_within_a_week_counts() {
        for (from, to, day, expected) in [
            ("USD", "EUR", 100, Some((80, Some(100)))),
            ("USD", "EUR", 101, Some((80, Some(100)))),
            ("USD", "EUR", 102, Some((100, Some(102)))),
            ("USD", "EUR", 109, Some((100, Some(102)))),
            ("USD", "EUR", 110, None),
            ("USD", "EUR", 99, None),
            ("USD", "JPY", 102, Some((12_000, Some(100)))),
            ("EUR", "JPY", 102, Some((16_000, Some(101)))),
            ("USD", "USD", 5, Some((100, None))),
            ("CHF", "USD", 100, None),
        ] {
            let converted = book().convert(Amount::new(100, 0), from, to, day);
            let told = converted.as_ref().map(|to| (to.amount.units(), to.day));
            assert_eq!(told, expected, "{from} {to} {day}");
            assert!(converted.is_none_or(|converted| converted.currency == to));
        }
    }

    #[test]
    fn the_banks_table_is_read() {
        let heads = csv::StringRecord::from(vec!["Date", "USD", "CYP", "", "EUR", "x"]);
        let columns = columns(&heads).expect("two currencies");
        assert_eq!(columns, [(1, "USD".to_owned()), (2, "CYP".to_owned())]);
        let line = |cells: &[&str]| read_line(&csv::StringRecord::from(cells.to_vec()), &columns);
        let rates = line(&["1970-01-11", "1.5", "N/A", ""]).expect("good");
        assert_eq!(rates, [Model { currency: "USD".into(), day: 10, rate: 1_500_000_000 }]);
        assert_eq!(line(&["1970-01-11", "", ""]).expect("good"), []);
        assert!(line(&["11.1.1970", "1.5"]).is_err());
        assert!(line(&["1970-01-11", "x"]).is_err());
        for heads in [&["USD", "Date"][..], &["Date"], &["Date", "EUR"]] {
            assert!(super::columns(&csv::StringRecord::from(heads.to_vec())).is_err());
        }
    }

    #[test]
    fn days_are_those_of_utc() {
        for (micros, day, date) in
            [(0, 0, "1970-01-01"), (-1, -1, "1969-12-31"), (DAY_MICROS, 1, "1970-01-02")]
        {
            assert_eq!(day_of(from_micros(micros)), day);
            assert_eq!(date_of(day).to_string(), date);
        }
    }
}
