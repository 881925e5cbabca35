//! Answers of calls as rows. Pure.

use std::collections::BTreeSet;

use super::table::{
    Cell, Column,
    Kind::{Boolean, Decimal, Integer, Moment as Time, Real, Text},
    Row, Table,
};
use crate::{
    pb::v1::{
        GetCampaignsResponse, GetFunnelResponse, GetRetentionResponse, ListClicksResponse, Measures, Money,
        QueryBreakdownResponse, QueryTimeSeriesResponse, RecordedClick, StepTime,
    },
    rpc::moment,
};

const NANOS: i128 = 1_000_000_000;

/// Which currencies have a column each.
struct Currencies(Vec<String>);

impl Currencies {
    fn in_which<'a>(money: impl Iterator<Item = &'a Money>) -> Self {
        let known: BTreeSet<&str> = money.map(|money| money.currency.as_str()).collect();
        Self(known.into_iter().map(str::to_owned).collect())
    }

    fn columns(&self, of: &str) -> impl Iterator<Item = Column> {
        self.0
            .iter()
            .map(move |currency| Column::new(format!("{of}_{}", currency.to_ascii_lowercase()), Decimal))
    }

    /// One cell for each: nothing was earned, or spent, where the answer names no amount.
    fn cells(&self, amounts: &[Money]) -> impl Iterator<Item = Cell> {
        self.0.iter().map(|currency| {
            let amount = amounts.iter().find(|money| money.currency == *currency);
            amount.map_or(Cell::Decimal(0), decimal)
        })
    }

    /// One cell for each: a price is in one of them, or not known.
    fn prices(&self, price: Option<&Money>) -> impl Iterator<Item = Cell> {
        self.0.iter().map(move |currency| {
            price.filter(|price| price.currency == *currency).map_or(Cell::Nothing, decimal)
        })
    }
}

fn decimal(money: &Money) -> Cell {
    Cell::Decimal(i128::from(money.units) * NANOS + i128::from(money.nanos))
}

/// The columns of money: what was earned, and where anything was spent that too, what it makes of an install and of a click, and what came back.
struct Monies {
    revenue: Currencies,
    cost: Currencies,
}

impl Monies {
    fn of<'a>(totals: impl IntoIterator<Item = Option<&'a Measures>> + Clone) -> Self {
        let all = || totals.clone().into_iter().flatten();
        Self {
            revenue: Currencies::in_which(all().flat_map(|measures| &measures.revenue)),
            cost: Currencies::in_which(all().flat_map(|measures| &measures.cost)),
        }
    }

    fn columns(&self) -> impl Iterator<Item = Column> {
        let of_cost = ["cost", "cpi", "cpc"].into_iter().flat_map(|of| self.cost.columns(of));
        self.revenue
            .columns("revenue")
            .chain(of_cost)
            .chain(self.has_cost().then(|| Column::new("roas", Real)))
    }

    fn cells(&self, measures: &Measures) -> Vec<Cell> {
        let mut cells: Vec<Cell> = self.revenue.cells(&measures.revenue).collect();
        cells.extend(self.cost.cells(&measures.cost));
        cells.extend(self.cost.prices(measures.cpi.as_ref()));
        cells.extend(self.cost.prices(measures.cpc.as_ref()));
        if self.has_cost() {
            cells.push(measures.roas.map_or(Cell::Nothing, Cell::Real));
        }
        cells
    }

    fn has_cost(&self) -> bool {
        !self.cost.0.is_empty()
    }
}

fn measure_columns() -> [Column; 6] {
    ["clicks", "bot_clicks", "opens", "installs", "attributed_installs", "events"]
        .map(|name| Column::new(name, Integer))
}

fn measure_cells(measures: &Measures) -> [Cell; 6] {
    let Measures { clicks, bot_clicks, opens, installs, attributed_installs, events, .. } = *measures;
    [clicks, bot_clicks, opens, installs, attributed_installs, events].map(Cell::Integer)
}

fn time(timestamp: Option<&prost_types::Timestamp>) -> Cell {
    timestamp.and_then(|timestamp| moment(timestamp).ok()).map_or(Cell::Nothing, Cell::Moment)
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Writes buckets, those of the time before behind the others.
pub fn time_series(answer: &QueryTimeSeriesResponse) -> Table {
    let monies = Monies::of([answer.total.as_ref(), answer.previous_total.as_ref()]);
    let mut columns =
        vec![Column::new("period", Text), Column::new("start_time", Time), Column::new("end_time", Time)];
    columns.extend(measure_columns());
    columns.push(Column::new("unique_visitors", Integer));
    columns.extend(monies.columns());
    let buckets = answer.buckets.iter().map(|bucket| ("current", bucket));
    let buckets = buckets.chain(answer.previous.iter().map(|bucket| ("previous", bucket)));
    let rows = buckets.map(|(period, bucket)| {
        let measures = bucket.measures.clone().unwrap_or_default();
        let mut row = vec![text(period), time(bucket.start_time.as_ref()), time(bucket.end_time.as_ref())];
        row.extend(measure_cells(&measures));
        row.push(measures.unique_visitors.map_or(Cell::Nothing, Cell::Integer));
        row.extend(monies.cells(&measures));
        row
    });
    Table { rows: rows.collect(), columns }
}

/// Writes the values of a page, and on the last one what no row names.
pub fn breakdown(answer: &QueryBreakdownResponse, is_last: bool) -> Table {
    let monies = Monies::of([answer.total.as_ref()]);
    let mut columns = vec![Column::new("kind", Text), Column::new("value", Text), Column::new("label", Text)];
    columns.extend(measure_columns());
    columns.extend(monies.columns());
    let row = |kind: &str, value: &str, label: &str, measures: &Measures| {
        let mut row = vec![text(kind), text(value), text(label)];
        row.extend(measure_cells(measures));
        row.extend(monies.cells(measures));
        row
    };
    let mut rows: Vec<Row> = answer
        .rows
        .iter()
        .map(|found| row("value", &found.value, &found.label, &found.measures.clone().unwrap_or_default()))
        .collect();
    if let Some(other) = answer.other.as_ref().filter(|other| is_last && !is_nothing(other)) {
        rows.push(row("other", "", "", other));
    }
    Table { columns, rows }
}

/// Writes the nodes of a page, and on the last one what no row names.
pub fn campaigns(answer: &GetCampaignsResponse, is_last: bool) -> Table {
    let monies = Monies::of([answer.total.as_ref()]);
    let mut columns: Vec<Column> =
        ["kind", "source", "medium", "campaign", "link_id", "label", "ad_group", "creative"]
            .map(|name| Column::new(name, Text))
            .into();
    columns.extend(measure_columns());
    columns.push(Column::new("install_rate", Real));
    columns.push(Column::new("child_count", Integer));
    columns.extend(monies.columns());
    let mut rows: Vec<Row> = Vec::with_capacity(answer.rows.len() + 1);
    for found in &answer.rows {
        let measures = found.measures.clone().unwrap_or_default();
        let mut row = vec![text("node")];
        row.extend(
            [
                &found.source,
                &found.medium,
                &found.campaign,
                &found.link_id,
                &found.label,
                &found.ad_group,
                &found.creative,
            ]
            .map(|part| text(part)),
        );
        row.extend(measure_cells(&measures));
        row.push(Cell::Real(found.install_rate));
        row.push(Cell::Integer(found.child_count.into()));
        row.extend(monies.cells(&measures));
        rows.push(row);
    }
    if let Some(other) = answer.other.as_ref().filter(|other| is_last && !is_nothing(other)) {
        let mut row = vec![text("other")];
        row.extend(std::iter::repeat_n(Cell::Nothing, 7));
        row.extend(measure_cells(other));
        row.extend([Cell::Nothing, Cell::Nothing]);
        row.extend(monies.cells(other));
        rows.push(row);
    }
    Table { columns, rows }
}

/// Writes the steps of a funnel, and behind them those of the links of which most came far.
pub fn funnel(answer: &GetFunnelResponse) -> Table {
    let mut columns: Vec<Column> = ["kind", "link_id", "label"].map(|name| Column::new(name, Text)).into();
    columns.extend([Column::new("step", Integer), Column::new("name", Text), Column::new("count", Integer)]);
    columns.extend(["rate", "overall_rate"].map(|name| Column::new(name, Real)));
    columns.extend(
        ["average_seconds", "median_seconds", "p75_seconds", "p95_seconds"]
            .map(|name| Column::new(name, Decimal)),
    );
    let place = |place: usize| Cell::Integer(i64::try_from(place).unwrap_or(i64::MAX));
    let steps = answer.steps.iter().enumerate().map(|(number, step)| {
        let mut row = vec![text("step"), Cell::Nothing, Cell::Nothing, place(number), text(&step.name)];
        row.extend([Cell::Integer(step.count), Cell::Real(step.rate), Cell::Real(step.overall_rate)]);
        let StepTime { average, median, p75, p95 } = step.time.clone().unwrap_or_default();
        row.extend([average, median, p75, p95].map(seconds));
        row
    });
    let of_links = answer.top_links.iter().flat_map(|link| {
        let last = link.counts.len().saturating_sub(1);
        let counts = link.counts.iter().zip(&answer.steps).enumerate();
        counts.map(move |(number, (count, step))| {
            let overall = if number == last { Cell::Real(link.overall_rate) } else { Cell::Nothing };
            let mut row = vec![text("link"), text(&link.link_id), text(&link.label), place(number)];
            row.extend([text(&step.name), Cell::Integer(*count), Cell::Nothing, overall]);
            row.extend(std::iter::repeat_n(Cell::Nothing, 4));
            row
        })
    });
    Table { rows: steps.chain(of_links).collect(), columns }
}

fn seconds(duration: Option<prost_types::Duration>) -> Cell {
    duration.map_or(Cell::Nothing, |duration| {
        Cell::Decimal(i128::from(duration.seconds) * NANOS + i128::from(duration.nanos))
    })
}

/// Writes the days of cohorts, and behind them those of all together.
pub fn retention(answer: &GetRetentionResponse) -> Table {
    let cohorts = answer.cohorts.iter().map(|cohort| ("cohort", cohort));
    let cohorts: Vec<_> = cohorts.chain(answer.total.iter().map(|total| ("total", total))).collect();
    let days = cohorts.iter().flat_map(|(_, cohort)| &cohort.days);
    let currencies = Currencies::in_which(days.flat_map(|day| &day.revenue));
    let mut columns =
        vec![Column::new("kind", Text), Column::new("start_time", Time), Column::new("end_time", Time)];
    columns.extend(["day", "installs", "active"].map(|name| Column::new(name, Integer)));
    columns.extend([Column::new("rate", Real), Column::new("complete", Boolean)]);
    columns.extend(currencies.columns("revenue"));
    let rows = cohorts.iter().flat_map(|(kind, cohort)| {
        cohort.days.iter().map(|day| {
            let mut row = vec![text(kind), time(cohort.start_time.as_ref()), time(cohort.end_time.as_ref())];
            row.extend([i64::from(day.day), day.installs, day.active].map(Cell::Integer));
            row.extend([Cell::Real(day.rate), Cell::Boolean(day.complete)]);
            row.extend(currencies.cells(&day.revenue));
            row
        })
    });
    Table { rows: rows.collect(), columns }
}

/// Writes clicks.
pub fn clicks(answer: &ListClicksResponse) -> Table {
    let columns = CLICK.map(|name| Column::new(name, if name == "time" { Time } else { Text }));
    Table {
        columns: columns.into(),
        rows: answer.clicks.iter().map(|click| click_cells(click).into()).collect(),
    }
}

const CLICK: [&str; 27] = [
    "id",
    "link_id",
    "time",
    "class",
    "platform",
    "country",
    "region",
    "city",
    "device",
    "os",
    "os_version",
    "browser",
    "in_app_browser",
    "referrer",
    "language",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "rule",
    "variant",
    "destination",
    "domain",
    "project_id",
    "query",
    "network",
];

fn click_cells(click: &RecordedClick) -> [Cell; 27] {
    [
        text(&click.id),
        text(&click.link_id),
        time(click.time.as_ref()),
        text(&click.class),
        text(&click.platform),
        text(&click.country),
        text(&click.region),
        text(&click.city),
        text(&click.device),
        text(&click.os),
        text(&click.os_version),
        text(&click.browser),
        text(&click.in_app_browser),
        text(&click.referrer),
        text(&click.language),
        text(&click.utm_source),
        text(&click.utm_medium),
        text(&click.utm_campaign),
        text(&click.utm_term),
        text(&click.utm_content),
        text(&click.rule),
        text(&click.variant),
        text(&click.destination),
        text(&click.domain),
        text(&click.project_id),
        text(&click.query),
        text(&click.network),
    ]
}

fn is_nothing(measures: &Measures) -> bool {
    let counts = measure_cells(measures).iter().all(|cell| *cell == Cell::Integer(0));
    counts && measures.revenue.is_empty() && measures.cost.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::{
        self,
        v1::{BreakdownRow, Bucket, FunnelLink, FunnelStep, RetentionCohort, RetentionDay},
    };

    fn measures(clicks: i64, money: &[(&str, i64, i32)]) -> Measures {
        let revenue = money.iter().map(|(currency, units, nanos)| Money {
            currency: (*currency).into(),
            units: *units,
            nanos: *nanos,
        });
        Measures { clicks, revenue: revenue.collect(), ..Measures::default() }
    }

    #[test]
    fn every_currency_has_a_column_and_every_row_all_of_them() {
        let answer = QueryBreakdownResponse {
            rows: vec![
                BreakdownRow {
                    value: "CH".into(),
                    measures: Some(measures(2, &[("CHF", -1, -500_000_000)])),
                    ..BreakdownRow::default()
                },
                BreakdownRow {
                    value: "DE".into(),
                    measures: Some(measures(1, &[("EUR", 2, 0)])),
                    ..BreakdownRow::default()
                },
            ],
            other: Some(measures(4, &[])),
            total: Some(measures(7, &[("CHF", -1, -500_000_000), ("EUR", 2, 0)])),
            ..QueryBreakdownResponse::default()
        };
        let Table { columns, rows } = breakdown(&answer, true);
        let names: Vec<_> = columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names[..4], ["kind", "value", "label", "clicks"]);
        assert_eq!(names[9..], ["revenue_chf", "revenue_eur"]);
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.len() == columns.len()));
        assert_eq!(rows[0][9..], [Cell::Decimal(-1_500_000_000), Cell::Decimal(0)]);
        assert_eq!(rows[1][9..], [Cell::Decimal(0), Cell::Decimal(2_000_000_000)]);
        assert_eq!((&rows[2][0], &rows[2][3]), (&text("other"), &Cell::Integer(4)));
        assert_eq!(breakdown(&answer, false).rows.len(), 2, "the rest comes last");
    }

    #[test]
    fn buckets_of_the_time_before_come_behind_the_others() {
        let bucket = |clicks| Bucket { measures: Some(measures(clicks, &[])), ..Bucket::default() };
        let answer = QueryTimeSeriesResponse {
            buckets: vec![bucket(1)],
            previous: vec![bucket(2)],
            ..QueryTimeSeriesResponse::default()
        };
        let Table { columns, rows } = time_series(&answer);
        let shown: Vec<_> = rows.iter().map(|row| (&row[0], &row[3], &row[9])).collect();
        assert_eq!(
            shown,
            [
                (&text("current"), &Cell::Integer(1), &Cell::Nothing),
                (&text("previous"), &Cell::Integer(2), &Cell::Nothing)
            ]
        );
        assert_eq!(columns.len(), rows[0].len());
    }

    #[test]
    fn links_of_a_funnel_come_behind_its_steps() {
        let step = |name: &str, count| FunnelStep { name: name.into(), count, ..FunnelStep::default() };
        let took = prost_types::Duration { seconds: 61, nanos: 500_000_000 };
        let time = StepTime { average: Some(took), ..StepTime::default() };
        let answer = GetFunnelResponse {
            steps: vec![step("click", 4), FunnelStep { time: Some(time), ..step("install", 3) }],
            top_links: vec![FunnelLink {
                link_id: "x".into(),
                label: "Spring".into(),
                counts: vec![2, 1],
                overall_rate: 0.5,
            }],
            span: None,
        };
        let Table { columns, rows } = funnel(&answer);
        assert!(rows.iter().all(|row| row.len() == columns.len()));
        let told: Vec<_> =
            rows.iter().map(|row| [&row[0], &row[3], &row[4], &row[5], &row[7], &row[8]]).collect();
        let (whole, none) = (Cell::Integer, Cell::Nothing);
        let (zero, half) = (Cell::Real(0.0), Cell::Real(0.5));
        assert_eq!(
            told,
            [
                [&text("step"), &whole(0), &text("click"), &whole(4), &zero, &none],
                [
                    &text("step"),
                    &whole(1),
                    &text("install"),
                    &whole(3),
                    &zero,
                    &Cell::Decimal(61_500_000_000)
                ],
                [&text("link"), &whole(0), &text("click"), &whole(2), &none, &none],
                [&text("link"), &whole(1), &text("install"), &whole(1), &half, &none],
            ]
        );
    }

    #[test]
    fn every_day_of_a_cohort_is_a_row_and_the_total_comes_last() {
        let day = |day, money: &[(&str, i64, i32)]| RetentionDay {
            day,
            revenue: measures(0, money).revenue,
            complete: day == 0,
            ..RetentionDay::default()
        };
        let cohort = |days| RetentionCohort { days, ..RetentionCohort::default() };
        let answer = GetRetentionResponse {
            cohorts: vec![cohort(vec![day(0, &[]), day(1, &[("EUR", 2, 0)])]), cohort(vec![])],
            total: Some(cohort(vec![day(0, &[])])),
            span: None,
        };
        let Table { columns, rows } = retention(&answer);
        assert!(rows.iter().all(|row| row.len() == columns.len()));
        assert_eq!(columns.last().map(|column| &*column.name), Some("revenue_eur"));
        let told: Vec<_> = rows.iter().map(|row| [&row[0], &row[3], &row[7], &row[8]]).collect();
        let (whole, money) = (Cell::Integer, Cell::Decimal);
        let (yes, no) = (Cell::Boolean(true), Cell::Boolean(false));
        assert_eq!(
            told,
            [
                [&text("cohort"), &whole(0), &yes, &money(0)],
                [&text("cohort"), &whole(1), &no, &money(2_000_000_000)],
                [&text("total"), &whole(0), &yes, &money(0)],
            ]
        );
    }

    #[test]
    fn a_click_has_a_column_for_each_of_its_fields() {
        let described = pb::pool().get_message_by_name("linkforty.v1.RecordedClick").expect("a message");
        let fields: Vec<String> = described.fields().map(|field| field.name().to_owned()).collect();
        assert_eq!(fields, CLICK);
    }
}
