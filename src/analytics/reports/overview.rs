//! The numbers of a workspace at a glance.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    numbers::{Numbers, shown_with_cost},
    scope, snapshot,
    values::{Named, TOP, candidates, top},
};
use crate::{
    analytics::{
        calendar, costs,
        dims::Dimension,
        rollup::read::{Ask, Measures, Part, Reader, Scope, Slots, Sums},
        span::{Span, YEAR, YEAR_OF_HOURS, utc_days},
        store,
    },
    env::Env,
    error::{Error, Result, both},
    ids::LinkId,
    links::timestamp,
    pb::v1::{
        DayClicks, GetOverviewRequest, GetOverviewResponse, Granularity, ReportScope, ReportSpan, TopLink,
        TopValues, report_scope,
    },
    workspaces::Tenant,
};

/// Returns the numbers of a span, and those of the time before.
pub async fn overview(env: &Env, tenant: &Tenant, asked: &GetOverviewRequest) -> Result<GetOverviewResponse> {
    let (part, span) = both(read_part(asked), read_span(asked, env))?;
    let scope = scope::find(env, tenant, part).await?;
    let before = calendar::previous(span);
    let days = calendar::buckets(span, Granularity::Day).unwrap_or_default();

    let db = snapshot(env).await?;
    let kept = super::kept(env);
    let mut from = Reader::open(&db, &kept, &scope).await?;
    from.fetch(&asks(&scope, span.slots, before.slots)).await?;
    let by_day = from.series(&days, None).await?;
    let previous = super::total(&mut from, before.slots).await?;
    let whole = Span { slots: Slots { first: before.slots.first, ..span.slots }, ..span };
    let spent = costs::by_bucket(&db, &scope, whole, &[before.slots, span.slots], None).await?;
    let [spent_before, spent] = spent.try_into().map_err(|_| Error::internal("two spans"))?;
    let unique = super::visitors(&mut from, &scope, span.slots).await?;
    let unique_before = super::visitors(&mut from, &scope, before.slots).await?;
    let mut values = Vec::with_capacity(TOP_DIMENSIONS.len());
    for dimension in TOP_DIMENSIONS {
        values.push(from.values(span.slots, dimension).await?);
    }
    let of_links = match scope.part {
        // Clicks belong to no app, and a link is all of itself.
        Part::App(_) | Part::Link(_) => Sums::default(),
        _ => from.values(span.slots, Dimension::Link).await?,
    };
    // Of thousands of values only those are named that may be shown.
    let mut shown_codes: HashSet<u32> = HashSet::new();
    for sums in values.iter().chain([&of_links]) {
        shown_codes.extend(candidates(sums, &scope).into_iter().map(|(value, _)| value));
    }
    let texts = from.texts(shown_codes).await?;
    let tops: Vec<TopValues> = values.iter().map(|sums| top(sums, &texts, &scope)).collect();
    let links = match scope.part {
        Part::Link(link) => {
            let clicks = by_day.iter().map(|day| day.clicks).sum();
            if clicks > 0 { vec![(link, clicks, unique.unwrap_or(0))] } else { Vec::new() }
        }
        _ => {
            let links = most_clicked(&of_links, &texts, &scope);
            let codes: Vec<u32> = links.iter().map(|(code, ..)| *code).collect();
            let visitors = from.visitors_of_links(&codes, utc_days(span.slots)).await?;
            links
                .into_iter()
                .zip(visitors)
                .map(|((_, link, clicks), unique)| (link, clicks, unique))
                .collect()
        }
    };
    db.commit().await?;

    let ids: Vec<LinkId> = links.iter().map(|(link, ..)| *link).collect();
    let mut names = store::links(&env.db.api, tenant.id, &ids).await?;
    let total: Measures = by_day.iter().sum();
    let [by_country, by_device, by_platform] =
        tops.try_into().map_err(|_| Error::internal("three dimensions"))?;
    Ok(GetOverviewResponse {
        clicks: total.clicks,
        bot_clicks: total.bot_clicks,
        by_day: days
            .iter()
            .zip(&by_day)
            .map(|(day, measures)| DayClicks {
                date: calendar::date_of(day.first, span.zone).to_string(),
                clicks: measures.clicks,
                bot_clicks: measures.bot_clicks,
            })
            .collect(),
        top_links: links
            .into_iter()
            .map(|(link, clicks, unique)| {
                let Named { code, title } = names.remove(&link).unwrap_or_default();
                TopLink {
                    link_id: link.to_string(),
                    short_code: code,
                    title,
                    clicks,
                    unique_visitors: i64::try_from(unique).unwrap_or(i64::MAX),
                }
            })
            .collect(),
        start_time: Some(timestamp(span.start())),
        end_time: Some(timestamp(span.end())),
        total: Some(shown_with_cost(&Numbers { counted: total, spent }, unique)),
        previous: Some(shown_with_cost(&Numbers { counted: previous, spent: spent_before }, unique_before)),
        by_country: Some(by_country),
        by_device: Some(by_device),
        by_platform: Some(by_platform),
    })
}

const TOP_DIMENSIONS: [Dimension; 3] = [Dimension::Country, Dimension::Device, Dimension::Platform];

/// Returns all that is going to be asked of rollups, so that it is read at once.
fn asks(scope: &Scope, slots: Slots, before: Slots) -> Vec<Ask> {
    let mut asks = vec![Ask::Totals(slots), Ask::Totals(before)];
    asks.extend(TOP_DIMENSIONS.map(|dimension| Ask::Values(slots, dimension)));
    if !matches!(scope.part, Part::App(_)) {
        asks.extend([Ask::Visitors(utc_days(slots)), Ask::Visitors(utc_days(before))]);
        asks.push(Ask::Values(slots, Dimension::Link));
    }
    asks
}

/// Returns the most clicked links, deleted ones included, with their codes.
fn most_clicked(sums: &Sums, texts: &HashMap<u32, Arc<str>>, scope: &Scope) -> Vec<(u32, LinkId, i64)> {
    let mut links: Vec<(u32, LinkId, i64)> = candidates(sums, scope)
        .into_iter()
        // What has no link is none.
        .filter_map(|(code, measures)| Some((code, LinkId::parse(texts.get(&code)?)?, measures.clicks)))
        .filter(|(.., clicks)| *clicks > 0)
        .collect();
    links.sort_unstable_by_key(|(_, link, clicks)| (std::cmp::Reverse(*clicks), *link));
    links.truncate(TOP);
    links
}

fn read_part(asked: &GetOverviewRequest) -> Result<Part> {
    let GetOverviewRequest { link_id, project_id, app_id, domain, .. } = asked;
    let id = |id: &String, part: fn(String) -> report_scope::Part| (!id.is_empty()).then(|| part(id.clone()));
    let parts = [
        ("link_id", id(link_id, report_scope::Part::LinkId)),
        ("project_id", id(project_id, report_scope::Part::ProjectId)),
        ("app_id", id(app_id, report_scope::Part::AppId)),
        ("domain", domain.clone().map(report_scope::Part::Domain)),
    ];
    let mut given = parts.into_iter().filter_map(|(field, part)| Some((field, part?)));
    let part = given.next().map(|(_, part)| part);
    if let Some((field, _)) = given.next() {
        let one = "must be empty: at most one of link_id, project_id, app_id and domain may be given";
        return Err(Error::invalid_field(field, one));
    }
    scope::read("", &ReportScope { part, ..ReportScope::default() })
}

fn read_span(asked: &GetOverviewRequest, env: &Env) -> Result<Span> {
    let GetOverviewRequest { start_time, end_time, time_zone, .. } = asked;
    let limits = if time_zone.is_empty() { YEAR_OF_HOURS } else { YEAR };
    let span = ReportSpan { start_time: *start_time, end_time: *end_time, time_zone: time_zone.clone() };
    Span::read("", &span, limits, env.now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_is_looked_at_at_the_most() {
        let id = "018f3c5e-8e3a-7b4c-9d2e-000000000001".to_owned();
        let fields = |asked: GetOverviewRequest| match read_part(&asked) {
            Ok(_) => Vec::new(),
            Err(error) => error.violations().iter().map(|wrong| wrong.field.clone()).collect(),
        };
        let nothing = GetOverviewRequest::default();
        assert_eq!(read_part(&nothing).expect("all"), Part::All);
        let own = GetOverviewRequest { domain: Some(String::new()), ..nothing.clone() };
        assert_eq!(read_part(&own).expect("a domain"), Part::Domain(String::new()));
        let link = GetOverviewRequest { link_id: id.clone(), ..nothing.clone() };
        assert!(matches!(read_part(&link), Ok(Part::Link(_))));
        assert_eq!(fields(GetOverviewRequest { app_id: id.clone(), ..link.clone() }), ["app_id"]);
        assert_eq!(fields(GetOverviewRequest { domain: Some(String::new()), ..link }), ["domain"]);
        assert_eq!(fields(GetOverviewRequest { project_id: "x".into(), ..nothing }), ["project_id"]);
    }
}
