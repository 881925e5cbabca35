//! What is counted, and in which money. Pure.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Add, AddAssign, Neg, Sub, SubAssign},
};

/// A currency: three capital letters (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads three capital letters; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// Returns the letters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the number that is stored.
    pub(super) fn number(self) -> u64 {
        self.0.iter().fold(0, |number, letter| number * 26 + u64::from(letter - b'A'))
    }

    /// Returns the currency that a number stands for.
    pub(super) fn numbered(mut number: u64) -> Option<Self> {
        let mut letters = [0; 3];
        for letter in letters.iter_mut().rev() {
            *letter = b'A' + u8::try_from(number % 26).ok()?;
            number /= 26;
        }
        (number == 0).then_some(Self(letters))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is counted of a slot of time, a value, a link or all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measures {
    /// Clicks of people.
    pub clicks: i64,
    /// Clicks of others.
    pub bot_clicks: i64,
    /// Those of the clicks of people that an app reported.
    pub opens: i64,
    /// Installs, but for those on devices of developers.
    pub installs: i64,
    /// Those that are credited to a link.
    pub attributed_installs: i64,
    /// Events.
    pub events: i64,
    /// What events earned, without what was counted before: billionths of a unit of each currency.
    pub revenue: BTreeMap<Currency, i128>,
}

impl Measures {
    /// Says whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        let Self { clicks, bot_clicks, opens, installs, attributed_installs, events, revenue } = self;
        [clicks, bot_clicks, opens, installs, attributed_installs, events].iter().all(|count| **count == 0)
            && revenue.is_empty()
    }

    /// Adds money.
    pub fn earn(&mut self, currency: Currency, nanos: i128) {
        let sum = self.revenue.entry(currency).or_default();
        *sum += nanos;
        if *sum == 0 {
            self.revenue.remove(&currency);
        }
    }
}

impl AddAssign<&Self> for Measures {
    fn add_assign(&mut self, other: &Self) {
        self.clicks += other.clicks;
        self.bot_clicks += other.bot_clicks;
        self.opens += other.opens;
        self.installs += other.installs;
        self.attributed_installs += other.attributed_installs;
        self.events += other.events;
        for (currency, nanos) in &other.revenue {
            self.earn(*currency, *nanos);
        }
    }
}

impl AddAssign for Measures {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

impl SubAssign<&Self> for Measures {
    fn sub_assign(&mut self, other: &Self) {
        self.clicks -= other.clicks;
        self.bot_clicks -= other.bot_clicks;
        self.opens -= other.opens;
        self.installs -= other.installs;
        self.attributed_installs -= other.attributed_installs;
        self.events -= other.events;
        for (currency, nanos) in &other.revenue {
            self.earn(*currency, -*nanos);
        }
    }
}

impl SubAssign for Measures {
    fn sub_assign(&mut self, other: Self) {
        *self -= &other;
    }
}

impl Add for Measures {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += &other;
        self
    }
}

impl Sub for Measures {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= &other;
        self
    }
}

impl Neg for Measures {
    type Output = Self;

    fn neg(self) -> Self {
        Self::default() - self
    }
}

impl std::iter::Sum for Measures {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| sum + one)
    }
}

impl<'a> std::iter::Sum<&'a Self> for Measures {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_have_numbers_that_lead_back() {
        for text in ["AAA", "CHF", "USD", "ZZZ"] {
            let currency = Currency::parse(text).expect("a currency");
            assert_eq!(Currency::numbered(currency.number()), Some(currency));
            assert_eq!(currency.as_str(), text);
        }
        assert_eq!(
            (Currency::parse("chf"), Currency::parse("CH"), Currency::numbered(26 * 26 * 26)),
            (None, None, None)
        );
    }

    #[test]
    fn what_is_added_can_be_taken_away() {
        let (franc, euro) = (Currency::parse("CHF").unwrap(), Currency::parse("EUR").unwrap());
        let mut one = Measures { clicks: 3, events: 1, ..Measures::default() };
        one.earn(franc, 5);
        let mut other =
            Measures { bot_clicks: 2, opens: 1, installs: 4, attributed_installs: 3, ..one.clone() };
        other.earn(euro, -7);
        let sum = one.clone() + other.clone();
        assert_eq!((sum.clicks, sum.revenue[&franc], sum.revenue[&euro]), (6, 10, -7));
        assert_eq!(sum.clone() - other.clone(), one);
        assert!((sum.clone() - sum.clone()).is_zero());
        assert_eq!(-(-sum.clone()), sum);
        assert_eq!([one, other].iter().sum::<Measures>(), sum);
    }
}
