//! Numbers as the contract has them. Pure.

use crate::{
    analytics::rollup::read::{Currency, Measures},
    pb::v1::{self, Money},
};

const NANOS: i128 = 1_000_000_000;

/// Writes measures; `visitors` where they are known.
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
    fn of_nothing_there_is_no_rate() {
        assert_eq!(
            (rate(0, 0).to_string(), rate(1, 4).to_string(), rate(5, 0).to_string()),
            ("0".into(), "0.25".into(), "0".into())
        );
    }
}
