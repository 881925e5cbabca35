//! Exact amounts and what exchange rates make of them. Pure; there is no float anywhere.
//!
//! An amount is a whole number of billionths of a unit. A rate is a whole number of billionths of a unit that one euro costs, as the European
//! Central Bank quotes. An amount is converted by way of the euro in one step, and rounded once, to a billionth, half to even.

use std::ops::AddAssign;

use crate::currency;

const NANOS: i128 = 1_000_000_000;
const MOST_UNITS: i128 = 1_000_000_000_000;
/// A euro costs at the most ten million of anything, so that no product of an amount and a rate is beyond 128 bits.
pub const MOST_RATE: i64 = 10_000_000 * 1_000_000_000;
/// What one euro costs in euros.
pub const EURO: i64 = 1_000_000_000;

/// An amount, in billionths of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

impl Amount {
    /// Puts an amount together. Both have the same sign, or one is 0.
    pub fn new(units: i64, nanos: i32) -> Self {
        Self(i128::from(units) * NANOS + i128::from(nanos))
    }

    /// Returns whole units.
    pub fn units(self) -> i64 {
        // The bounds of amounts and rates keep it far below: see `convert`.
        i64::try_from(self.0 / NANOS).unwrap_or(i64::MAX)
    }

    /// Returns billionths of a unit, of the sign of the units.
    pub fn nanos(self) -> i32 {
        (self.0 % NANOS) as i32
    }

    /// Returns billionths of a unit, all of them.
    pub fn in_nanos(self) -> i128 {
        self.0
    }

    /// Says whether money went back.
    pub fn is_refund(self) -> bool {
        self.0 < 0
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

/// Reads an amount that somebody sent, or names its field that is wrong.
pub fn read(currency: &str, units: i64, nanos: i32) -> Result<Amount, (&'static str, &'static str)> {
    if !currency::is_known(currency) {
        return Err(("currency", currency::NOT_ONE));
    }
    if !(-999_999_999..=999_999_999).contains(&nanos) {
        return Err(("nanos", "must be -999,999,999 to 999,999,999"));
    }
    if units != 0 && nanos != 0 && (units < 0) != (nanos < 0) {
        return Err(("nanos", "must have the sign of units"));
    }
    let amount = Amount::new(units, nanos);
    if amount.0.abs() > MOST_UNITS * NANOS {
        return Err(("units", "must be at most a trillion"));
    }
    Ok(amount)
}

/// Converts an amount from a currency of which a euro costs `from` into one of which it costs `to`. `None` where the result is
/// beyond what is stored.
pub fn convert(amount: Amount, from: i64, to: i64) -> Option<Amount> {
    if from <= 0 || to <= 0 {
        return None;
    }
    let converted = divide_half_even(amount.0.checked_mul(i128::from(to))?, i128::from(from));
    i64::try_from(converted / NANOS).is_ok().then_some(Amount(converted))
}

/// Divides and rounds: to the nearest, and what lies half-way to the even one. `divisor` is positive.
pub fn divide_half_even(number: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (number.div_euclid(divisor), number.rem_euclid(divisor));
    // Without doubling the rest, which may be large.
    match rest.cmp(&(divisor - rest)) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + quotient.rem_euclid(2),
    }
}

/// Reads a rate such as `1.0832` exactly: billionths of a unit. `None` for what is no positive number, has more than nine decimals, or is
/// beyond [`MOST_RATE`].
pub fn rate(text: &str) -> Option<i64> {
    let rate = i64::try_from(decimal(text, 9)?.0).ok()?;
    (1..=MOST_RATE).contains(&rate).then_some(rate)
}

/// Reads a number such as `12.50` exactly: at most so many digits, and perhaps a point and up to nine more.
pub fn decimal(text: &str, most_digits: usize) -> Option<Amount> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > most_digits || part.len() > 9 || !digits(whole) || !digits(part) {
        return None;
    }
    Some(Amount::new(whole.parse().ok()?, format!("{part:0<9}").parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_amount_is_told() {
        for (currency, units, nanos, field) in [
            ("CHF", 0, 0, None),
            ("CHF", 1_000_000_000_000, 0, None),
            ("CHF", -1_000_000_000_000, 0, None),
            ("CHF", 0, -999_999_999, None),
            ("CHF", 1_000_000_000_000, 1, Some("units")),
            ("CHF", i64::MIN, 0, Some("units")),
            ("CHF", 1, -1, Some("nanos")),
            ("CHF", -1, 1, Some("nanos")),
            ("CHF", 0, 1_000_000_000, Some("nanos")),
            ("CHF", 0, i32::MIN, Some("nanos")),
            ("", 1, 0, Some("currency")),
            ("XXX", 1, 0, Some("currency")),
        ] {
            let refused = read(currency, units, nanos).err().map(|(field, _)| field);
            assert_eq!(refused, field, "{currency} {units} {nanos}");
        }
    }

    #[test]
    fn amounts_are_read_exactly() {
        for (text, expected) in [
            ("12.50", Some(12_500_000_000)),
            ("0", Some(0)),
            ("0.000000001", Some(1)),
            ("1.", Some(NANOS)),
            ("", None),
            (".5", None),
            ("-1", None),
            ("1,50", None),
            ("1'000", None),
            ("1e3", None),
            ("0.0000000001", None),
            ("99999999999999", None),
        ] {
            assert_eq!(decimal(text, 13).map(Amount::in_nanos), expected, "{text:?}");
        }
    }

    #[test]
    fn halves_go_to_the_even_one() {
        for (number, divisor, expected) in [
            (5, 2, 2),
            (7, 2, 4),
            (-5, 2, -2),
            (-7, 2, -4),
            (1, 3, 0),
            (2, 3, 1),
            (-1, 3, 0),
            (-2, 3, -1),
            (4, 2, 2),
            (0, 7, 0),
        ] {
            assert_eq!(divide_half_even(number, divisor), expected, "{number} / {divisor}");
        }
    }

    #[test]
    fn amounts_are_converted_by_way_of_the_euro() {
        let usd = rate("1.0832").expect("a rate");
        let jpy = rate("161.23").expect("a rate");
        // 10 / 1.0832 = 9.231905465287...
        let euros = convert(Amount::new(10, 0), usd, EURO).expect("fits");
        assert_eq!((euros.units(), euros.nanos()), (9, 231_905_465));
        let yen = convert(Amount::new(-10, 0), usd, jpy).expect("fits");
        // 10 * 161.23 / 1.0832 = 1488.4601181683...
        assert_eq!((yen.units(), yen.nanos()), (-1488, -460_118_168));
        let same = convert(Amount::new(3, 330_000_000), usd, usd).expect("fits");
        assert_eq!(same, Amount::new(3, 330_000_000));
        assert_eq!(convert(Amount::new(1_000_000_000_000, 0), 1, MOST_RATE), None);
        assert_eq!(convert(Amount::new(1, 0), 0, EURO), None);
    }

    #[test]
    fn rates_are_read_exactly() {
        for (text, expected) in [
            ("1.0832", Some(1_083_200_000)),
            ("17000", Some(17_000_000_000_000)),
            ("0.000000001", Some(1)),
            ("10000000", Some(MOST_RATE)),
            ("10000000.1", None),
            ("0", None),
            ("0.0000000001", None),
            ("-1", None),
            ("1e3", None),
            ("", None),
            (".5", None),
            ("1,5", None),
            ("N/A", None),
        ] {
            assert_eq!(rate(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back_is_off_by_no_more_than_the_rounding(
            units in -1_000_000_000_i64..1_000_000_000,
            nanos in 0_i32..1_000_000_000,
            from in 100_000_000_i64..1_000_000_000_000,
            to in 100_000_000_i64..1_000_000_000_000,
        ) {
            let nanos = if units < 0 { -nanos } else { nanos };
            let amount = Amount::new(units, nanos);
            prop_assert_eq!((amount.units(), amount.nanos()), (units, nanos));
            if let Some(there) = convert(amount, from, to) {
                let back = convert(there, to, from).expect("it came from there");
                let bound = i128::from(from / to) + 1;
                prop_assert!((back.0 - amount.0).abs() <= bound);
            }
        }
    }
}
