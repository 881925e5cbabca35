//! From counts to the rows of a report. Pure.

use std::collections::{BTreeMap, HashMap};

use super::{
    postback::{is_signed, window},
    schema::meaning,
    store::{Alike, Grouping},
};
use crate::{
    attribution::events::date_of,
    pb::v1::{
        CoarseValue, CoarseValueCount, ConversionSchema, FineValueCount, Money, MoneyRange,
        PostbackConversionType, PostbackOutcome, PostbackRefusals, PostbackReportRow, PostbackWindow,
        PostbackWindowCounts,
    },
};

const NANOS: i128 = 1_000_000_000;
const WHOLE: i64 = 10_000;

/// What came in a span of days.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    grouping: Grouping,
    keys: Vec<String>,
    rows: HashMap<String, Sum>,
    total: Sum,
    refusals: BTreeMap<i16, i64>,
    truncated: bool,
}

/// What postbacks come to.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sum {
    verified: i64,
    unverified: i64,
    won: i64,
    lost: i64,
    conversions: BTreeMap<i16, i64>,
    windows: BTreeMap<i32, Values>,
    /// By currency, the least and the most, in billionths.
    revenue: BTreeMap<String, (i128, i128)>,
}

/// What the postbacks of a window say.
#[derive(Debug, Clone, Default, PartialEq)]
struct Values {
    count: i64,
    none: i64,
    fine: BTreeMap<(i16, String), i64>,
    coarse: BTreeMap<(i32, String), i64>,
}

impl Report {
    /// Returns a report without anything in it, about `keys` in this order.
    pub fn new(grouping: Grouping, keys: Vec<String>, truncated: bool) -> Self {
        Self {
            grouping,
            keys,
            rows: HashMap::new(),
            total: Sum::default(),
            refusals: BTreeMap::new(),
            truncated,
        }
    }

    /// Adds postbacks to the sum of all; `schema` says what their values mean.
    pub fn add_to_total(&mut self, alike: &Alike, schema: Option<&ConversionSchema>) {
        self.total.add(alike, schema);
    }

    /// Adds postbacks to their row.
    pub fn add_to_row(&mut self, alike: &Alike, schema: Option<&ConversionSchema>) {
        self.rows.entry(alike.key.clone()).or_default().add(alike, schema);
    }

    /// Adds postbacks that were not verified, kept or not.
    pub fn add_refusals(&mut self, outcome: i16, count: i64) {
        *self.refusals.entry(outcome).or_default() += count;
    }

    /// Says whether there would have been more rows.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Writes the sum of all.
    pub fn total(&self) -> PostbackReportRow {
        self.total.written(String::new())
    }

    /// Writes the rows.
    pub fn rows(&self) -> Vec<PostbackReportRow> {
        if self.grouping == Grouping::None {
            return vec![self.total()];
        }
        let nothing = Sum::default();
        let key = |key: &String| match (self.grouping, key.parse()) {
            (Grouping::Day, Ok(day)) => date_of(day).to_string(),
            _ => key.clone(),
        };
        self.keys.iter().map(|of| self.rows.get(of).unwrap_or(&nothing).written(key(of))).collect()
    }

    /// Writes how many were not verified.
    pub fn refusals(&self) -> Vec<PostbackRefusals> {
        let written =
            |(outcome, count): (&i16, &i64)| PostbackRefusals { outcome: i32::from(*outcome), count: *count };
        self.refusals.iter().map(written).collect()
    }
}

impl Sum {
    fn add(&mut self, alike: &Alike, schema: Option<&ConversionSchema>) {
        let count = alike.count;
        let outcome = PostbackOutcome::try_from(i32::from(alike.outcome)).unwrap_or_default();
        if !is_signed(outcome) {
            self.unverified += count;
            return;
        }
        self.verified += count;
        if alike.did_win == Some(false) {
            self.lost += count;
        } else {
            self.won += count;
        }
        *self.conversions.entry(alike.conversion_type).or_default() += count;
        let window = window(alike.sequence_index);
        let values = self.windows.entry(window.into()).or_default();
        values.count += count;
        let coarse = alike.coarse_value.map(i32::from).and_then(|value| CoarseValue::try_from(value).ok());
        let meaning = schema.and_then(|schema| meaning(schema, window, (alike.fine_value, coarse)));
        let name = meaning.map(|meaning| meaning.name.to_owned()).unwrap_or_default();
        match (alike.fine_value, coarse) {
            (Some(fine), _) => *values.fine.entry((fine, name)).or_default() += count,
            (None, Some(coarse)) => *values.coarse.entry((coarse.into(), name)).or_default() += count,
            (None, None) => values.none += count,
        }
        if let Some(MoneyRange { min: Some(min), max: Some(max) }) = meaning.and_then(|of| of.revenue) {
            let of = |money: &Money| {
                (i128::from(money.units) * NANOS + i128::from(money.nanos)) * i128::from(count)
            };
            let sum = self.revenue.entry(min.currency.clone()).or_default();
            *sum = (sum.0 + of(min), sum.1 + of(max));
        }
    }

    fn written(&self, key: String) -> PostbackReportRow {
        let of =
            |kind: PostbackConversionType| self.conversions.get(&(kind as i16)).copied().unwrap_or_default();
        PostbackReportRow {
            key,
            verified_count: self.verified,
            unverified_count: self.unverified,
            verified_basis_points: share(self.verified, self.verified + self.unverified),
            won_count: self.won,
            lost_count: self.lost,
            download_count: of(PostbackConversionType::Download),
            redownload_count: of(PostbackConversionType::Redownload),
            reengagement_count: of(PostbackConversionType::Reengagement),
            windows: self.windows.iter().map(|(window, values)| values.written(*window)).collect(),
            revenue: self.revenue.iter().map(|(currency, sum)| range(currency, *sum)).collect(),
        }
    }
}

impl Values {
    fn written(&self, window: i32) -> PostbackWindowCounts {
        let fine = |((value, name), count): (&(i16, String), &i64)| FineValueCount {
            value: i32::from(*value),
            name: name.clone(),
            count: *count,
        };
        let coarse = |((value, name), count): (&(i32, String), &i64)| CoarseValueCount {
            value: *value,
            name: name.clone(),
            count: *count,
        };
        PostbackWindowCounts {
            window: PostbackWindow::try_from(window).unwrap_or_default().into(),
            count: self.count,
            null_count: self.none,
            null_basis_points: share(self.none, self.count),
            fine_values: self.fine.iter().map(fine).collect(),
            coarse_values: self.coarse.iter().map(coarse).collect(),
        }
    }
}

/// Returns a part in basis points, rounded down: what is not all is not shown as all.
fn share(part: i64, whole: i64) -> i32 {
    if whole == 0 { 0 } else { i32::try_from(part.saturating_mul(WHOLE) / whole).unwrap_or_default() }
}

fn range(currency: &str, (min, max): (i128, i128)) -> MoneyRange {
    let money = |nanos: i128| Money {
        currency: currency.to_owned(),
        units: i64::try_from(nanos / NANOS).unwrap_or(i64::MAX),
        nanos: (nanos % NANOS) as i32,
    };
    MoneyRange { min: Some(money(min)), max: Some(money(max)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::v1::{CoarseConversionValue, FineConversionValue};

    fn alike(count: i64) -> Alike {
        Alike {
            key: "net.a".into(),
            outcome: PostbackOutcome::Verified as i16,
            sequence_index: Some(0),
            did_win: Some(true),
            conversion_type: PostbackConversionType::Download as i16,
            fine_value: None,
            coarse_value: None,
            count,
        }
    }

    fn money(currency: &str, units: i64, nanos: i32) -> Option<Money> {
        Some(Money { currency: currency.into(), units, nanos })
    }

    fn schema() -> ConversionSchema {
        let revenue = Some(MoneyRange { min: money("CHF", 0, 500_000_000), max: money("CHF", 10, 0) });
        let high = CoarseConversionValue {
            window: PostbackWindow::Second.into(),
            value: CoarseValue::High.into(),
            name: "stayed".into(),
            revenue: Some(MoneyRange { min: money("EUR", 1, 0), max: money("EUR", 2, 0) }),
        };
        ConversionSchema {
            fine_values: vec![FineConversionValue { value: 7, name: "buyer".into(), revenue }],
            coarse_values: vec![high],
            ..ConversionSchema::default()
        }
    }

    #[test]
    fn counts_come_to_rows_with_what_the_values_are_worth() {
        let schema = schema();
        let mut report = Report::new(Grouping::AdNetwork, vec!["net.a".into(), "net.b".into()], true);
        let parts = [
            (Alike { fine_value: Some(7), ..alike(3) }, Some(&schema)),
            // Read by no schema, it is another bar of the histogram and worth nothing.
            (Alike { fine_value: Some(7), ..alike(2) }, None),
            (Alike { sequence_index: None, did_win: None, ..alike(1) }, Some(&schema)),
            (Alike { did_win: Some(false), conversion_type: 2, ..alike(4) }, Some(&schema)),
            (Alike { sequence_index: Some(1), coarse_value: Some(3), ..alike(5) }, Some(&schema)),
            (
                Alike { outcome: PostbackOutcome::BadSignature as i16, fine_value: Some(7), ..alike(5) },
                Some(&schema),
            ),
        ];
        for (alike, schema) in &parts {
            report.add_to_total(alike, *schema);
            report.add_to_row(alike, *schema);
        }
        let rows = report.rows();
        assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["net.a", "net.b"]);
        assert_eq!(rows[1], PostbackReportRow { key: "net.b".into(), ..PostbackReportRow::default() });
        assert_eq!(report.total(), PostbackReportRow { key: String::new(), ..rows[0].clone() });
        let row = &rows[0];
        assert_eq!((row.verified_count, row.unverified_count, row.verified_basis_points), (15, 5, 7500));
        assert_eq!((row.won_count, row.lost_count), (11, 4));
        assert_eq!((row.download_count, row.redownload_count, row.reengagement_count), (11, 4, 0));
        let [first, second] = &row.windows[..] else { panic!("two windows") };
        assert_eq!((first.count, first.null_count, first.null_basis_points), (10, 5, 5000));
        let fine: Vec<_> =
            first.fine_values.iter().map(|fine| (fine.value, &*fine.name, fine.count)).collect();
        assert_eq!(fine, [(7, "", 2), (7, "buyer", 3)]);
        assert_eq!((second.null_count, second.coarse_values.len()), (0, 1));
        assert_eq!((&*second.coarse_values[0].name, second.coarse_values[0].count), ("stayed", 5));
        let revenue = [
            MoneyRange { min: money("CHF", 1, 500_000_000), max: money("CHF", 30, 0) },
            MoneyRange { min: money("EUR", 5, 0), max: money("EUR", 10, 0) },
        ];
        assert_eq!(row.revenue, revenue);
        assert!(report.is_truncated());
    }

    #[test]
    fn days_have_dates_and_everything_is_one_row() {
        let report = Report::new(Grouping::Day, vec!["20784".into()], false);
        assert_eq!(report.rows()[0].key, "2026-11-27");
        let mut report = Report::new(Grouping::None, vec![String::new()], false);
        report.add_to_total(&alike(2), None);
        report.add_refusals(3, 4);
        report.add_refusals(3, 5);
        assert_eq!(report.rows(), [report.total()]);
        assert_eq!(report.refusals(), [PostbackRefusals { outcome: 3, count: 9 }]);
    }
}
