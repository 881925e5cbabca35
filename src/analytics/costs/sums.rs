//! What was spent, on each day or for each value of a dimension, of the days of a report's time zone.

use std::{collections::HashMap, ops::Range};

use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, IdenStatic as _, QueryResult, sea_query::Condition};

use super::{spent::Spent, store};
use crate::{
    analytics::{
        calendar,
        dims::{Dimension, SEPARATOR},
        reports::Filter,
        rollup::read::{Currency, Part, Scope, Slots},
        span::Span,
    },
    attribution::events::date_of,
    entity::cost::Column,
    ids::{AppId, LinkId},
};

const NANOS: i128 = 1_000_000_000;

/// Returns what was spent for each value of a dimension that costs are told apart by; of others nothing.
pub async fn by_value(
    db: &impl ConnectionTrait,
    scope: &Scope,
    span: Span,
    dimension: Dimension,
) -> Result<HashMap<String, Spent>, DbErr> {
    let (by, mut sums) = (columns(dimension), HashMap::<String, Spent>::new());
    let (Some(narrowed), false) = (of_part(&scope.part), by.is_empty()) else { return Ok(sums) };
    for row in store::sums(db, scope.workspace, days(span), narrowed, by).await? {
        *sums.entry(value(&row, by, dimension)?).or_default() += &spent(&row)?;
    }
    Ok(sums)
}

/// Returns what was spent in each of some spans of time, oldest first, no two of which overlap: for everything, or for what a filter keeps. A day counts
/// where its midnight is, in the time zone of `span`, which they lie in.
pub async fn by_bucket(
    db: &impl ConnectionTrait,
    scope: &Scope,
    span: Span,
    buckets: &[Slots],
    filter: Option<&Filter>,
) -> Result<Vec<Spent>, DbErr> {
    let mut sums = vec![Spent::default(); buckets.len()];
    let narrowed = of_part(&scope.part).and_then(|part| match filter {
        None => Some(part),
        Some(filter) => Some(part.add(of_values(filter)?)),
    });
    let Some(narrowed) = narrowed else { return Ok(sums) };
    for row in store::sums(db, scope.workspace, days(span), narrowed, &[Column::Day]).await? {
        let midnight = calendar::start_of(date_of(row.try_get("", "day")?), span.zone);
        let at = buckets.partition_point(|bucket| bucket.end <= midnight);
        if buckets.get(at).is_some_and(|bucket| bucket.first <= midnight) {
            sums[at] += &spent(&row)?;
        }
    }
    Ok(sums)
}

/// Returns the days whose midnight lies in a span, in days since 1970.
fn days(span: Span) -> Range<i32> {
    let Slots { first, end } = span.slots;
    if first >= end {
        return 0..0;
    }
    let midnight = |day: i32| calendar::start_of(date_of(day), span.zone);
    let of = |slot: i32| calendar::date_of(slot, span.zone).to_epoch_days();
    // Of a day that was left out midnight is that of the next; the day after has begun by then at the latest.
    let from =
        |slot: i32| (of(slot) - 1..=of(slot)).find(|day| midnight(*day) >= slot).unwrap_or(of(slot) + 1);
    from(first)..from(end)
}

/// Returns the columns that make the value of a dimension; none where costs are not told apart by it.
const fn columns(dimension: Dimension) -> &'static [Column] {
    match dimension {
        Dimension::Country => &[Column::Country],
        Dimension::UtmSource => &[Column::Source],
        Dimension::UtmMedium => &[Column::Medium],
        Dimension::UtmCampaign => &[Column::Campaign],
        Dimension::UtmTerm => &[Column::AdGroup],
        Dimension::UtmContent => &[Column::Creative],
        Dimension::Link => &[Column::LinkId],
        Dimension::App => &[Column::AppId],
        Dimension::CampaignLink => &[Column::Source, Column::Medium, Column::Campaign, Column::LinkId],
        Dimension::CampaignAd => {
            &[Column::Source, Column::Medium, Column::Campaign, Column::AdGroup, Column::Creative]
        }
        _ => &[],
    }
}

/// Reads the value of a dimension, as clicks have it.
fn value(row: &QueryResult, by: &[Column], dimension: Dimension) -> Result<String, DbErr> {
    let parts: Result<Vec<String>, DbErr> = by
        .iter()
        .map(|column| match column {
            Column::LinkId => {
                let link: Option<LinkId> = row.try_get("", "link_id")?;
                Ok(link.map(|link| link.to_string()).unwrap_or_default())
            }
            Column::AppId => {
                let app: Option<AppId> = row.try_get("", "app_id")?;
                Ok(app.map(|app| app.to_string()).unwrap_or_default())
            }
            text => row.try_get("", text.as_str()),
        })
        .collect();
    let parts = parts?;
    let is_path = matches!(dimension, Dimension::CampaignLink | Dimension::CampaignAd);
    // Paths begin with source, medium and campaign, and are nothing without.
    let is_nowhere = is_path && parts.iter().take(3).all(String::is_empty);
    Ok(if is_nowhere { String::new() } else { parts.join(&SEPARATOR.to_string()) })
}

fn spent(row: &QueryResult) -> Result<Spent, DbErr> {
    let currency: String = row.try_get("", "reporting_currency")?;
    let (units, nanos): (i64, i64) = (row.try_get("", "units")?, row.try_get("", "nanos")?);
    let currency =
        Currency::parse(&currency).ok_or_else(|| DbErr::Custom("a cost in no currency".to_owned()))?;
    Ok(Spent::new(currency, i128::from(units) * NANOS + i128::from(nanos)))
}

/// Returns which costs are those of a part of a workspace; `None` where nobody knows.
fn of_part(part: &Part) -> Option<Condition> {
    match part {
        Part::All => Some(Condition::all()),
        Part::App(app) => Some(Condition::all().add(Column::AppId.eq(*app))),
        Part::Link(link) => Some(Condition::all().add(Column::LinkId.eq(*link))),
        Part::Project(_) | Part::Domain(_) => None,
    }
}

/// Returns which costs a filter keeps; `None` where costs are not told apart by its dimension.
fn of_values(filter: &Filter) -> Option<Condition> {
    let &[column] = columns(filter.dimension) else { return None };
    let values = filter.values.iter().map(String::as_str);
    let known = match column {
        Column::LinkId => column.is_in(values.clone().filter_map(LinkId::parse)),
        Column::AppId => column.is_in(values.clone().filter_map(AppId::parse)),
        _ => column.is_in(values.clone()),
    };
    let is_id = matches!(column, Column::LinkId | Column::AppId);
    let unknown = (is_id && values.clone().any(str::is_empty)).then(|| column.is_null());
    Some(Condition::any().add(known).add_option(unknown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analytics::span::{moment_of, slot_of},
        clock::Moment,
    };

    fn span(start: &str, end: &str, zone: &str) -> Span {
        let slot = |text: &str| slot_of(&text.parse::<Moment>().expect("the test's own moment"));
        Span {
            slots: Slots { first: slot(start), end: slot(end) },
            zone: zone.parse().expect("the test's own zone"),
        }
    }

    #[test]
    fn a_day_counts_where_its_midnight_is() {
        for (start, end, zone, first, last) in [
            ("2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z", "UTC", "2026-11-20", "2026-11-22"),
            ("2026-11-20T00:15:00Z", "2026-11-22T00:15:00Z", "UTC", "2026-11-21", "2026-11-23"),
            ("2026-11-20T23:45:00Z", "2026-11-21T00:00:00Z", "UTC", "2026-11-21", "2026-11-21"),
            ("2026-11-19T23:00:00Z", "2026-11-21T23:00:00Z", "Europe/Zurich", "2026-11-20", "2026-11-22"),
            ("2026-11-20T05:00:00Z", "2026-11-21T05:00:00Z", "America/New_York", "2026-11-20", "2026-11-21"),
            // Midnight was left out: the day begins at one.
            ("2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z", "Africa/Cairo", "2026-04-24", "2026-04-25"),
        ] {
            let days = days(span(start, end, zone));
            let dates = (date_of(days.start).to_string(), date_of(days.end).to_string());
            assert_eq!(dates, (first.to_owned(), last.to_owned()), "{start} {zone}");
        }
        assert!(
            days(Span {
                slots: Slots { first: 5, end: 5 },
                ..span("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "UTC")
            })
            .is_empty()
        );
    }

    #[test]
    fn spans_that_follow_on_each_other_share_no_day_and_lose_none() {
        // Samoa had no 30 December 2011; clocks change in Zurich, Havana and on Lord Howe Island.
        for (start, end, zone) in [
            ("2011-12-27T00:00:00Z", "2012-01-03T00:00:00Z", "Pacific/Apia"),
            ("2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z", "Europe/Zurich"),
            ("2026-10-30T00:00:00Z", "2026-11-03T00:00:00Z", "America/Havana"),
            ("2026-04-03T00:00:00Z", "2026-04-07T00:00:00Z", "Australia/Lord_Howe"),
        ] {
            let whole = span(start, end, zone);
            for cut in whole.slots.first..=whole.slots.end {
                let before = Span { slots: Slots { end: cut, ..whole.slots }, ..whole };
                let after = Span { slots: Slots { first: cut, ..whole.slots }, ..whole };
                let parts: Vec<i32> = days(before).chain(days(after)).collect();
                assert_eq!(parts, days(whole).collect::<Vec<_>>(), "{zone} {}", moment_of(cut));
            }
        }
    }
}
