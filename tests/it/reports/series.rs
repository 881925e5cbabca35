//! Time series, in zones near and far.

use std::collections::BTreeSet;

use chrono::{Duration, TimeZone as _};
use chrono_tz::Tz;
use linkforty::{
    clock::Moment,
    pb::v1::{Granularity, QueryTimeSeriesRequest, report_scope::Part},
};

use super::{
    ZONES, at, filter, grouped, is_about, label, moment, scope, span, sum, told, total, values::DIMENSIONS,
    visitors,
};
use crate::support::year::{Counts, Year};

pub async fn time_series(year: &Year) {
    let analytics = &mut year.tenant.analytics.clone();
    let hours: [(Moment, Moment); 2] = [
        (at("2027-03-01T00:00:00Z"), at("2027-04-10T00:15:00Z")),
        (at("2027-09-30T11:45:00Z"), at("2027-11-10T00:00:00Z")),
    ];
    for name in ZONES {
        let zone: Tz = name.parse().expect("a zone");
        for part in &year.parts() {
            let mut asked: Vec<(Granularity, Moment, Moment)> =
                [Granularity::Day, Granularity::Week, Granularity::Month]
                    .map(|granularity| (granularity, year.start, year.end))
                    .into();
            if part.is_none() {
                asked.extend(hours.map(|(start, end)| (Granularity::Hour, start, end)));
                asked.push((Granularity::Day, at("2027-05-05T05:05:00Z"), at("2027-08-08T08:10:00Z")));
            }
            for (granularity, start, end) in asked {
                let request = QueryTimeSeriesRequest {
                    scope: scope(part.as_ref()),
                    span: span(start, end, name),
                    granularity: granularity.into(),
                    compare_previous: true,
                    ..QueryTimeSeriesRequest::default()
                };
                let answer = analytics.query_time_series(request).await.expect("a series").into_inner();
                let what = format!("{name} {part:?} {granularity:?} from {start}");
                let counted = answer.span.expect("always there");
                let (start, end) = (moment(counted.start_time.as_ref()), moment(counted.end_time.as_ref()));
                let mut edge = start;
                for bucket in &answer.buckets {
                    let (from, to) = (moment(bucket.start_time.as_ref()), moment(bucket.end_time.as_ref()));
                    assert!(from == edge && from < to, "{what}: {bucket:?} begins elsewhere than at {edge}");
                    edge = to;
                    let truth = year.between(part.as_ref(), from, to);
                    assert_eq!(told(bucket.measures.as_ref()), sum(truth.iter().copied()), "{what}: {from}");
                    let own = label(from, granularity, zone);
                    for fact in truth {
                        assert_eq!(label(fact.time, granularity, zone), own, "{what}");
                    }
                    if to < end {
                        assert_ne!(label(to, granularity, zone), own, "{what}: {to} is the same one");
                    }
                }
                assert_eq!(edge, end, "{what}");
                let parts: Vec<Counts> =
                    answer.buckets.iter().map(|bucket| told(bucket.measures.as_ref())).collect();
                let whole = told(answer.total.as_ref());
                assert_eq!((&whole, &whole), (&total(&parts), &sum(year.between(part.as_ref(), start, end))));
                let unique = answer.total.expect("always there").unique_visitors;
                assert_eq!(unique.is_none(), matches!(part, Some(Part::AppId(_))), "{what}");
                if let Some(unique) = unique {
                    is_about(unique, visitors(year, part.as_ref(), start, end), &what);
                }
                let by_days = name == "UTC" && granularity != Granularity::Hour && unique.is_some();
                for bucket in &answer.buckets {
                    let unique = bucket.measures.as_ref().and_then(|measures| measures.unique_visitors);
                    assert_eq!(unique.is_some(), by_days, "{what}");
                    if let Some(unique) = unique {
                        let (from, to) =
                            (moment(bucket.start_time.as_ref()), moment(bucket.end_time.as_ref()));
                        is_about(unique, visitors(year, part.as_ref(), from, to), &what);
                    }
                }
                // The time before: it ends where this one begins, or at the same local time.
                let before: Vec<Counts> =
                    answer.previous.iter().map(|bucket| told(bucket.measures.as_ref())).collect();
                assert_eq!(told(answer.previous_total.as_ref()), total(&before), "{what}");
                let (first, last) = (answer.previous.first(), answer.previous.last());
                let from = moment(first.and_then(|bucket| bucket.start_time.as_ref()));
                let to = moment(last.and_then(|bucket| bucket.end_time.as_ref()));
                assert!(to <= start, "{what}");
                let local = |time: Moment| zone.from_utc_datetime(&time.naive_utc()).naive_local();
                let days = (local(start) - local(from)).num_days();
                assert_eq!(local(start) - local(from), Duration::days(days), "{what}");
                assert_eq!((local(end) - local(to)), Duration::days(days), "{what}");
                let truth = sum(year.between(part.as_ref(), from, to));
                assert_eq!(told(answer.previous_total.as_ref()), truth, "{what}");
            }
        }
    }
    // Of every dimension: some of its values, the unknown one among them.
    let facts = year.between(None, year.start, year.end);
    for dimension in DIMENSIONS {
        let groups = grouped(&facts, dimension);
        let values: Vec<&str> = groups.keys().copied().step_by(2).chain(["", "nothing"]).collect();
        let values: Vec<&str> = BTreeSet::from_iter(values).into_iter().collect();
        let request = QueryTimeSeriesRequest {
            span: span(year.start, year.end, "Asia/Kathmandu"),
            granularity: Granularity::Month.into(),
            filter: Some(filter(dimension, &values)),
            ..QueryTimeSeriesRequest::default()
        };
        let answer = analytics.query_time_series(request).await.expect("a series").into_inner();
        for bucket in &answer.buckets {
            let (from, to) = (moment(bucket.start_time.as_ref()), moment(bucket.end_time.as_ref()));
            let truth = year.between(None, from, to);
            let truth = truth.into_iter().filter(|fact| values.contains(&fact.value(dimension)));
            assert_eq!(told(bucket.measures.as_ref()), sum(truth), "{dimension} from {from}");
            assert_eq!(bucket.measures.as_ref().and_then(|measures| measures.unique_visitors), None);
        }
    }
}
