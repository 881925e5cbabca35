//! Numbers of every hour, day, week or month.

use sea_orm::ConnectionTrait;

use super::{
    filter::{self, Filter},
    numbers::{Numbers, shown_with_cost},
    scope, snapshot,
};
use crate::{
    analytics::{
        calendar, costs,
        rollup::read::{Part, Reader, Scope, Slots},
        span::{Span, YEARS, is_of_utc_days, moment_of, utc_days},
    },
    env::Env,
    error::{Result, Violations, both},
    links::timestamp,
    pb::v1::{self, Bucket, Granularity, QueryTimeSeriesRequest, QueryTimeSeriesResponse},
    workspaces::Tenant,
};

/// Returns the numbers of each bucket.
pub async fn time_series(
    env: &Env,
    tenant: &Tenant,
    asked: &QueryTimeSeriesRequest,
) -> Result<QueryTimeSeriesResponse> {
    let (part, (span, (buckets, filter))) = read(asked, env)?;
    let scope = scope::find(env, tenant, part).await?;
    let granularity = asked.granularity();
    let db = snapshot(env).await?;
    let kept = super::kept(env);
    let mut from = Reader::open(&db, &kept, &scope).await?;
    let (buckets, total) = series(&mut from, &scope, span, &buckets, (granularity, filter.as_ref())).await?;
    let (previous, previous_total) = if asked.compare_previous {
        let before = calendar::previous(span);
        // As many as the span has, or one more.
        let slots = calendar::buckets(before, granularity).unwrap_or_default();
        let (previous, total) =
            series(&mut from, &scope, before, &slots, (granularity, filter.as_ref())).await?;
        (previous, Some(total))
    } else {
        (Vec::new(), None)
    };
    db.commit().await?;
    Ok(QueryTimeSeriesResponse {
        buckets,
        total: Some(total),
        previous,
        previous_total,
        span: Some(span.shown()),
    })
}

async fn series<C: ConnectionTrait>(
    from: &mut Reader<'_, C>,
    scope: &Scope,
    span: Span,
    buckets: &[Slots],
    (granularity, filter): (Granularity, Option<&Filter>),
) -> Result<(Vec<Bucket>, v1::Measures)> {
    let wanted = filter.map(|filter| (filter.dimension, filter.values.as_slice()));
    let measures = if buckets.is_empty() { Vec::new() } else { from.series(buckets, wanted).await? };
    let spent = costs::by_bucket(from.db(), scope, span, buckets, filter).await?;
    let numbers: Vec<Numbers> =
        measures.into_iter().zip(spent).map(|(counted, spent)| Numbers { counted, spent }).collect();
    let total: Numbers = numbers.iter().sum();
    let known = filter.is_none() && !matches!(scope.part, Part::App(_));
    let (each, all) = if known {
        let each = if counts_visitors(buckets, granularity) {
            let days: Vec<_> = buckets.iter().map(|slots| utc_days(*slots)).collect();
            from.visitors_each(&days).await?
        } else {
            Vec::new()
        };
        (each, super::visitors(from, scope, span.slots).await?)
    } else {
        (Vec::new(), None)
    };
    let mut each = each.into_iter();
    let shown_buckets = buckets.iter().zip(&numbers).map(|(slots, numbers)| Bucket {
        start_time: Some(timestamp(moment_of(slots.first))),
        end_time: Some(timestamp(moment_of(slots.end))),
        measures: Some(shown_with_cost(numbers, each.next())),
    });
    Ok((shown_buckets.collect(), shown_with_cost(&total, all)))
}

/// Visitors are kept by day of UTC: they are known of buckets that are made of such days. The first and the last may be cut.
fn counts_visitors(buckets: &[Slots], granularity: Granularity) -> bool {
    let inner = buckets.get(1..buckets.len().saturating_sub(1)).unwrap_or_default();
    granularity != Granularity::Hour
        && inner.iter().all(|slots| is_of_utc_days(*slots))
        && buckets.windows(2).all(|two| two[0].end.rem_euclid(crate::analytics::span::SLOTS_A_DAY) == 0)
}

type Asked = (Part, (Span, (Vec<Slots>, Option<Filter>)));

fn read(asked: &QueryTimeSeriesRequest, env: &Env) -> Result<Asked> {
    let span = asked.span.clone().unwrap_or_default();
    let span = Span::read("span.", &span, YEARS, env.now());
    let mut wrong = Violations::default();
    let buckets = match (Granularity::try_from(asked.granularity), &span) {
        (Ok(granularity), Ok(span)) => calendar::buckets(*span, granularity).unwrap_or_else(|| {
            wrong.add(
                "granularity",
                "would make more than 2,000 buckets: ask for longer ones or for a shorter time",
            );
            Vec::new()
        }),
        (Err(_), _) => {
            wrong.add("granularity", "is none this server knows");
            Vec::new()
        }
        (Ok(_), Err(_)) => Vec::new(),
    };
    let filter = asked.filter.as_ref().map(|filter| filter::read("filter.", filter)).transpose();
    let part = scope::read("scope.", &asked.scope.clone().unwrap_or_default());
    both(part, both(span, both(wrong.into_result(buckets), filter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visitors_are_known_of_days_of_utc() {
        let slots = |edges: &[i32]| -> Vec<Slots> {
            edges.windows(2).map(|two| Slots { first: two[0], end: two[1] }).collect()
        };
        for (edges, granularity, known) in [
            (&[0, 96, 192][..], Granularity::Day, true),
            (&[4, 96, 192, 200], Granularity::Day, true),
            (&[4, 8], Granularity::Day, true),
            (&[4, 92, 188, 200], Granularity::Day, false),
            (&[92, 188], Granularity::Week, true),
            (&[0, 4, 8], Granularity::Hour, false),
            (&[0, 96], Granularity::Hour, false),
            (&[], Granularity::Day, true),
        ] {
            assert_eq!(counts_visitors(&slots(edges), granularity), known, "{edges:?}");
        }
    }
}
