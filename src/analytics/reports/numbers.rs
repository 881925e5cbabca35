//! Numbers as the contract has them. Pure.

use std::{collections::HashMap, ops::AddAssign};

use crate::{
    analytics::{
        costs::Spent,
        rollup::read::{Currency, Measures},
    },
    attribution::events::money::divide_half_even,
    pb::v1::{self, Money},
};

const NANOS: i128 = 1_000_000_000;

/// What a report shows of a time, a value or all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// What was counted.
    pub counted: Measures,
    /// What it cost.
    pub spent: Spent,
}

impl Numbers {
    /// Says whether nothing was counted, and nothing is known to have been spent.
    pub fn is_nothing(&self) -> bool {
        self.counted.is_zero() && self.spent.is_nothing()
    }

    /// Returns what each of some installs or clicks cost, in billionths of a unit, rounded half to even.
    fn cost_of_each(&self, count: i64) -> Option<(Currency, i128)> {
        let (currency, nanos) = self.spent.only()?;
        (count > 0).then(|| (currency, divide_half_even(nanos, count.into())))
    }

    /// Returns what came back, and what of the same currency was spent.
    fn return_on_spend(&self) -> Option<(i128, i128)> {
        let (currency, spent) = self.spent.only().filter(|(_, nanos)| *nanos > 0)?;
        let revenue = &self.counted.revenue;
        let is_one = revenue.keys().all(|other| *other == currency);
        is_one.then(|| (revenue.get(&currency).copied().unwrap_or(0), spent))
    }

    /// Returns what an install cost in a currency; 0 where nobody knows.
    pub fn cpi(&self, currency: Currency) -> i128 {
        let cpi = self.cost_of_each(self.counted.attributed_installs);
        cpi.filter(|(of, _)| *of == currency).map_or(0, |(_, nanos)| nanos)
    }

    /// Returns billionths of what came back for each unit that was spent; 0 where nobody knows.
    pub fn roas(&self) -> i128 {
        self.return_on_spend().map_or(0, |(revenue, spent)| divide_half_even(revenue * NANOS, spent))
    }
}

impl From<Measures> for Numbers {
    fn from(counted: Measures) -> Self {
        Self { counted, spent: Spent::default() }
    }
}

impl AddAssign<&Self> for Numbers {
    fn add_assign(&mut self, other: &Self) {
        self.counted += &other.counted;
        self.spent += &other.spent;
    }
}

impl<'a> std::iter::Sum<&'a Self> for Numbers {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// Puts what was counted and what was spent together, by values.
pub fn joined(counted: HashMap<String, Measures>, spent: HashMap<String, Spent>) -> HashMap<String, Numbers> {
    let mut all: HashMap<String, Numbers> =
        counted.into_iter().map(|(value, counted)| (value, counted.into())).collect();
    for (value, spent) in spent {
        all.entry(value).or_default().spent += &spent;
    }
    all
}

/// Writes what was counted; `visitors` where they are known.
pub fn shown(measures: &Measures, visitors: Option<u64>) -> v1::Measures {
    let Measures { clicks, bot_clicks, opens, installs, attributed_installs, events, revenue } = measures;
    v1::Measures {
        clicks: *clicks,
        bot_clicks: *bot_clicks,
        opens: *opens,
        installs: *installs,
        attributed_installs: *attributed_installs,
        events: *events,
        revenue: revenue.iter().map(|(currency, nanos)| money(*currency, *nanos)).collect(),
        unique_visitors: visitors.map(|visitors| i64::try_from(visitors).unwrap_or(i64::MAX)),
        ..v1::Measures::default()
    }
}

/// Writes numbers; `visitors` where they are known.
pub fn shown_with_cost(numbers: &Numbers, visitors: Option<u64>) -> v1::Measures {
    let Numbers { counted, spent } = numbers;
    let each = |count| numbers.cost_of_each(count).map(|(currency, nanos)| money(currency, nanos));
    #[expect(clippy::cast_precision_loss, reason = "a ratio is no amount")]
    let roas = numbers.return_on_spend().map(|(revenue, spent)| revenue as f64 / spent as f64);
    v1::Measures {
        cost: spent.amounts().map(|(currency, nanos)| money(currency, nanos)).collect(),
        cpi: each(counted.attributed_installs),
        cpc: each(counted.clicks),
        roas,
        ..shown(counted, visitors)
    }
}

/// Writes an amount.
pub fn money(currency: Currency, nanos: i128) -> Money {
    let units = i64::try_from(nanos / NANOS).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX });
    Money { currency: currency.as_str().to_owned(), units, nanos: (nanos % NANOS) as i32 }
}

/// Returns how many of each there are for one of the others; 0 of none.
pub fn rate(part: i64, whole: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_of_one_sign() {
        let franc = Currency::parse("CHF").expect("a currency");
        for (nanos, units, rest) in [
            (0, 0, 0),
            (1, 0, 1),
            (-1_500_000_000, -1, -500_000_000),
            (12_345_678_901_234_567_890, 12_345_678_901, 234_567_890),
        ] {
            assert_eq!(money(franc, nanos), Money { currency: "CHF".into(), units, nanos: rest }, "{nanos}");
        }
    }

    #[test]
    fn what_was_spent_makes_prices_and_returns() {
        let [franc, euro] = ["CHF", "EUR"].map(|code| Currency::parse(code).expect("a currency"));
        let of = |spent: &[(Currency, i128)], earned: &[(Currency, i128)], installs, clicks| {
            let mut numbers = Numbers::default();
            numbers.counted = Measures { attributed_installs: installs, clicks, ..Measures::default() };
            earned.iter().for_each(|(currency, nanos)| numbers.counted.earn(*currency, *nanos));
            spent.iter().for_each(|(currency, nanos)| numbers.spent += &Spent::new(*currency, *nanos));
            shown_with_cost(&numbers, None)
        };
        let chf = |nanos| Some(money(franc, nanos));
        for (numbers, cpi, cpc, roas) in [
            (of(&[], &[(franc, 10)], 2, 4), None, None, None),
            (of(&[(franc, 10)], &[(franc, 25)], 4, 3), chf(2), chf(3), Some(2.5)),
            (of(&[(franc, 10)], &[], 0, 0), None, None, Some(0.0)),
            (of(&[(franc, 0)], &[(franc, 5)], 1, 1), chf(0), chf(0), None),
            (of(&[(franc, 10)], &[(euro, 5)], 1, 5), chf(10), chf(2), None),
            (of(&[(franc, 10)], &[(franc, 1), (euro, 5)], 1, 5), chf(10), chf(2), None),
            (of(&[(franc, 10), (euro, 1)], &[(franc, 5)], 1, 1), None, None, None),
            (of(&[(franc, 10)], &[(franc, -5)], 0, 0), None, None, Some(-0.5)),
        ] {
            assert_eq!((&numbers.cpi, &numbers.cpc, numbers.roas), (&cpi, &cpc, roas), "{numbers:?}");
        }
    }

    #[test]
    fn of_nothing_there_is_no_rate() {
        assert_eq!(
            (rate(0, 0).to_string(), rate(1, 4).to_string(), rate(5, 0).to_string()),
            ("0".into(), "0.25".into(), "0".into())
        );
    }
}
