//! The numbers of a workspace at a glance.

use std::collections::HashMap;

use super::{
    numbers::shown,
    scope, snapshot,
    values::{Named, TOP, top},
};
use crate::{
    analytics::{
        calendar,
        dims::Dimension,
        rollup::read::{self, Measures, Part, Scope, Slots},
        span::{Span, YEAR, YEAR_OF_HOURS, utc_days},
        store,
    },
    env::Env,
    error::{Error, Result, both},
    ids::LinkId,
    links::timestamp,
    pb::v1::{
        DayClicks, GetOverviewRequest, GetOverviewResponse, Granularity, ReportScope, ReportSpan, TopLink,
        report_scope,
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
    let by_day = read::series(&db, &scope, &days, None).await?;
    let previous = super::total(&db, &scope, before.slots).await?;
    let mut tops = Vec::with_capacity(TOP_DIMENSIONS.len());
    for dimension in TOP_DIMENSIONS {
        tops.push(top(read::breakdown(&db, &scope, span.slots, dimension).await?, &scope));
    }
    let links = most_clicked(&db, &scope, span.slots, &by_day).await?;
    let mut visitors = HashMap::new();
    for (link, _) in &links {
        let of_link = Scope { part: Part::Link(*link), ..scope.clone() };
        visitors.insert(*link, read::visitors(&db, &of_link, utc_days(span.slots)).await?);
    }
    let unique = super::visitors(&db, &scope, span.slots).await?;
    let unique_before = super::visitors(&db, &scope, before.slots).await?;
    db.commit().await?;

    let ids: Vec<LinkId> = links.iter().map(|(link, _)| *link).collect();
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
            .map(|(link, clicks)| {
                let Named { code, title } = names.remove(&link).unwrap_or_default();
                let unique = visitors.remove(&link).unwrap_or_default();
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
        total: Some(shown(&total, unique)),
        previous: Some(shown(&previous, unique_before)),
        by_country: Some(by_country),
        by_device: Some(by_device),
        by_platform: Some(by_platform),
    })
}

const TOP_DIMENSIONS: [Dimension; 3] = [Dimension::Country, Dimension::Device, Dimension::Platform];

/// Returns the most clicked links, deleted ones included.
async fn most_clicked(
    db: &impl sea_orm::ConnectionTrait,
    scope: &Scope,
    slots: Slots,
    by_day: &[Measures],
) -> Result<Vec<(LinkId, i64)>> {
    let mut links: Vec<(LinkId, i64)> = match scope.part {
        // Clicks belong to no app.
        Part::App(_) => Vec::new(),
        Part::Link(link) => vec![(link, by_day.iter().map(|day| day.clicks).sum())],
        _ => {
            let all = read::breakdown(db, scope, slots, Dimension::Link).await?;
            all.iter().filter_map(|(id, measures)| Some((LinkId::parse(id)?, measures.clicks))).collect()
        }
    };
    links.retain(|(_, clicks)| *clicks > 0);
    links.sort_unstable_by_key(|(link, clicks)| (std::cmp::Reverse(*clicks), *link));
    links.truncate(TOP);
    Ok(links)
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
