//! Sums of money by currency. Pure.

use std::{collections::BTreeMap, ops::AddAssign};

use crate::analytics::rollup::read::Currency;

/// What was spent: billionths of a unit of each currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent(BTreeMap<Currency, i128>);

impl Spent {
    /// Returns what was spent in one currency.
    pub fn new(currency: Currency, nanos: i128) -> Self {
        Self(BTreeMap::from([(currency, nanos)]))
    }

    /// Says whether nothing is known to have been spent; to have spent 0 is something.
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the amounts, in the order of their currencies.
    pub fn amounts(&self) -> impl Iterator<Item = (Currency, i128)> {
        self.0.iter().map(|(currency, nanos)| (*currency, *nanos))
    }

    /// Returns the amount in a currency.
    pub fn of(&self, currency: Currency) -> i128 {
        self.0.get(&currency).copied().unwrap_or(0)
    }

    /// Returns the amount, where there is one currency.
    pub fn only(&self) -> Option<(Currency, i128)> {
        let mut amounts = self.amounts();
        amounts.next().filter(|_| amounts.next().is_none())
    }
}

impl AddAssign<&Self> for Spent {
    fn add_assign(&mut self, other: &Self) {
        for (currency, nanos) in &other.0 {
            *self.0.entry(*currency).or_default() += nanos;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_added_each_for_itself() {
        let [franc, euro] = ["CHF", "EUR"].map(|code| Currency::parse(code).expect("a currency"));
        let mut sum = Spent::default();
        assert!(sum.is_nothing() && sum.only().is_none());
        sum += &Spent::new(franc, 0);
        assert_eq!((sum.is_nothing(), sum.only()), (false, Some((franc, 0))));
        sum += &Spent::new(franc, 5);
        sum += &Spent::new(euro, 7);
        assert_eq!((sum.of(franc), sum.of(euro), sum.only()), (5, 7, None));
    }
}
