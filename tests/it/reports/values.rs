//! Breakdowns, the overview and the tree of campaigns.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use linkforty::pb::v1::{
    self, BreakdownRow, CampaignLevel, GetCampaignsRequest, GetCampaignsResponse, GetOverviewRequest,
    Granularity, QueryBreakdownRequest, QueryBreakdownResponse, QueryTimeSeriesRequest, ReportSource,
    report_scope::Part,
};
use tonic::Code;

use super::{
    ZONES, at, filter, grouped, is_about, label, scope, shown, span, stamp, sum, told, total, visitors,
};
use crate::support::{
    Tenant,
    year::{Counts, Fact, Year, dimension},
};

/// Returns all pages of a breakdown, and checks what they have in common.
pub async fn breakdown(
    tenant: &Tenant,
    request: QueryBreakdownRequest,
) -> (Vec<BreakdownRow>, QueryBreakdownResponse) {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = QueryBreakdownRequest { page_token, ..request.clone() };
        let page = tenant.analytics.clone().query_breakdown(request).await.expect("a page").into_inner();
        rows.extend(page.rows.iter().cloned());
        page_token = page.next_page_token.clone();
        if page_token.is_empty() {
            assert_eq!(rows.len(), page.total_size as usize);
            let parts: Vec<Counts> = rows.iter().map(|row| told(row.measures.as_ref())).collect();
            let other = told(page.other.as_ref());
            assert_eq!(told(page.total.as_ref()), total(parts.iter().chain([&other])));
            return (rows, page);
        }
    }
}

pub const DIMENSIONS: [i32; 26] = {
    use dimension::*;
    [
        COUNTRY,
        REGION,
        CITY,
        DEVICE,
        OS,
        OS_VERSION,
        BROWSER,
        IN_APP_BROWSER,
        REFERRER,
        LANGUAGE,
        UTM_SOURCE,
        UTM_MEDIUM,
        UTM_CAMPAIGN,
        UTM_TERM,
        UTM_CONTENT,
        CLASS,
        RULE,
        VARIANT,
        DESTINATION,
        DOMAIN,
        PLATFORM,
        LINK,
        PROJECT,
        METHOD,
        EVENT,
        APP,
    ]
};

pub async fn breakdowns(year: &Year) {
    let tenant = &year.tenant;
    let (odd, later) = (at("2027-02-03T04:45:00Z"), at("2027-10-31T00:15:00Z"));
    for part in &year.parts() {
        for (start, end) in [(year.start, year.end), (odd, later)] {
            for dimension in DIMENSIONS {
                let request = QueryBreakdownRequest {
                    scope: scope(part.as_ref()),
                    span: span(start, end, ""),
                    dimension,
                    page_size: 3,
                    ..QueryBreakdownRequest::default()
                };
                let (rows, last) = breakdown(tenant, request).await;
                let facts = year.between(part.as_ref(), start, end);
                assert_eq!(shown(&rows), grouped(&facts, dimension), "{part:?} {dimension} from {start}");
                assert_eq!(told(last.other.as_ref()), Counts::default());
                assert_eq!(told(last.total.as_ref()), sum(facts));
                assert_eq!(last.source(), ReportSource::Rollups);
                let clicks: Vec<i64> = rows.iter().map(|row| told(row.measures.as_ref()).clicks).collect();
                assert!(clicks.is_sorted_by(|one, next| one >= next), "{clicks:?}");
            }
        }
    }
    let request = QueryBreakdownRequest {
        span: span(year.start, year.end, ""),
        dimension: dimension::LINK,
        order_by: "value".into(),
        ..QueryBreakdownRequest::default()
    };
    let (rows, _) = breakdown(tenant, request.clone()).await;
    assert!(rows.is_sorted_by(|one, next| one.value < next.value));
    for row in &rows {
        let link = year.links.iter().find(|link| link.id == row.value);
        let label =
            link.map_or("", |link| if link.title.is_empty() { &link.short_code } else { &link.title });
        assert_eq!(row.label, label);
    }
    let projects = QueryBreakdownRequest { dimension: dimension::PROJECT, ..request.clone() };
    let (rows, _) = breakdown(tenant, projects).await;
    let labels: BTreeSet<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(labels, BTreeSet::from(["", "One", "Two"]));

    // Some values of the dimension itself are in the rollups; of others single clicks are looked at.
    let facts = year.between(None, year.start, year.end);
    let own = QueryBreakdownRequest {
        dimension: dimension::COUNTRY,
        filters: vec![filter(dimension::COUNTRY, &["CH", "DE", "XX"])],
        ..request.clone()
    };
    let (rows, last) = breakdown(tenant, own).await;
    let mut truth = grouped(&facts, dimension::COUNTRY);
    truth.retain(|country, _| ["CH", "DE"].contains(country));
    assert_eq!((shown(&rows), last.source()), (truth, ReportSource::Rollups));
    for filters in [
        vec![filter(dimension::DEVICE, &["phone"])],
        vec![filter(dimension::COUNTRY, &["CH", ""]), filter(dimension::LANGUAGE, &["de-CH", "en-US"])],
        vec![filter(dimension::CLASS, &["bot"]), filter(dimension::LINK, &[&year.links[1].id])],
        vec![filter(dimension::UTM_SOURCE, &["friend"])],
        vec![filter(dimension::UTM_SOURCE, &["nobody"])],
    ] {
        let request = QueryBreakdownRequest {
            dimension: dimension::COUNTRY,
            filters: filters.clone(),
            ..request.clone()
        };
        let (rows, last) = breakdown(tenant, request).await;
        let fits = |fact: &&Fact| {
            let is_click = fact.counts.clicks + fact.counts.bot_clicks == 1;
            is_click
                && filters
                    .iter()
                    .all(|filter| filter.values.iter().any(|value| value == fact.value(filter.dimension)))
        };
        let clicks: Vec<&Fact> = facts.iter().copied().filter(fits).collect();
        assert_eq!(shown(&rows), grouped(&clicks, dimension::COUNTRY), "{filters:?}");
        assert_eq!(last.source(), ReportSource::RawClicks);
    }
}

pub async fn overview(year: &Year) {
    let (start, end) = (at("2027-03-20T12:15:00Z"), at("2027-11-20T00:00:00Z"));
    for part in &year.parts() {
        for name in ZONES {
            let zone: Tz = name.parse().expect("a zone");
            let mut request = GetOverviewRequest {
                start_time: stamp(start),
                end_time: stamp(end),
                time_zone: name.to_owned(),
                ..GetOverviewRequest::default()
            };
            match part.clone() {
                None => {}
                Some(Part::ProjectId(id)) => request.project_id = id,
                Some(Part::LinkId(id)) => request.link_id = id,
                Some(Part::AppId(id)) => request.app_id = id,
                Some(Part::Domain(host)) => request.domain = Some(host),
            }
            let answer =
                year.tenant.analytics.clone().get_overview(request).await.expect("an overview").into_inner();
            let facts = year.between(part.as_ref(), start, end);
            let all = sum(facts.iter().copied());
            assert_eq!(told(answer.total.as_ref()), all, "{part:?} {name}");
            assert_eq!((answer.clicks, answer.bot_clicks), (all.clicks, all.bot_clicks));
            let mut days: BTreeMap<String, (i64, i64)> = BTreeMap::new();
            for fact in &facts {
                let day = days.entry(label(fact.time, Granularity::Day, zone)).or_default();
                day.0 += fact.counts.clicks;
                day.1 += fact.counts.bot_clicks;
            }
            days.retain(|_, counts| *counts != (0, 0));
            let shown_days: Vec<&str> = answer.by_day.iter().map(|day| day.date.as_str()).collect();
            assert!(shown_days.is_sorted_by(|one, next| one < next));
            let told_days: BTreeMap<String, (i64, i64)> = answer
                .by_day
                .iter()
                .map(|day| (day.date.clone(), (day.clicks, day.bot_clicks)))
                .filter(|(_, counts)| *counts != (0, 0))
                .collect();
            assert_eq!(told_days, days, "{part:?} {name}");
            for (top, number) in [
                (&answer.by_country, dimension::COUNTRY),
                (&answer.by_device, dimension::DEVICE),
                (&answer.by_platform, dimension::PLATFORM),
            ] {
                let top = top.as_ref().expect("always there");
                assert_eq!(shown(&top.rows), grouped(&facts, number), "{part:?} {number}");
                assert_eq!(told(top.other.as_ref()), Counts::default());
            }
            let mut links: Vec<(i64, &str)> = grouped(&facts, dimension::LINK)
                .into_iter()
                .filter(|(link, counts)| !link.is_empty() && counts.clicks > 0)
                .map(|(link, counts)| (-counts.clicks, link))
                .collect();
            links.sort_unstable();
            let told_links: Vec<(i64, &str)> =
                answer.top_links.iter().map(|top| (-top.clicks, top.link_id.as_str())).collect();
            assert_eq!(told_links, links, "{part:?}");
            for top in &answer.top_links {
                let of = Part::LinkId(top.link_id.clone());
                is_about(top.unique_visitors, visitors(year, Some(&of), start, end), "of a link");
            }
            if let Some(unique) = answer.total.as_ref().and_then(|total| total.unique_visitors) {
                is_about(unique, visitors(year, part.as_ref(), start, end), "of all");
            }
        }
    }
}

pub async fn campaigns(
    tenant: &Tenant,
    request: GetCampaignsRequest,
) -> (Vec<v1::CampaignRow>, GetCampaignsResponse) {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = GetCampaignsRequest { page_token, page_size: 2, ..request.clone() };
        let page = tenant.analytics.clone().get_campaigns(request).await.expect("a page").into_inner();
        rows.extend(page.rows.iter().cloned());
        page_token = page.next_page_token.clone();
        if page_token.is_empty() {
            assert_eq!(rows.len(), page.total_size as usize);
            let parts: Vec<Counts> = rows.iter().map(|row| told(row.measures.as_ref())).collect();
            let other = told(page.other.as_ref());
            assert_eq!(told(page.total.as_ref()), total(parts.iter().chain([&other])));
            return (rows, page);
        }
    }
}

/// The levels, and the dimensions that a path has on them.
const LINKS: [CampaignLevel; 4] =
    [CampaignLevel::Source, CampaignLevel::Medium, CampaignLevel::Campaign, CampaignLevel::Link];
const ADS: [CampaignLevel; 2] = [CampaignLevel::AdGroup, CampaignLevel::Creative];

/// The path of a thing in one branch of the tree; where nothing of a campaign is known there is no link either, and no ad.
fn path(fact: &Fact, is_of_ads: bool) -> Vec<&str> {
    use dimension::{LINK, UTM_CAMPAIGN, UTM_CONTENT, UTM_MEDIUM, UTM_SOURCE, UTM_TERM};
    let below = if is_of_ads { &[UTM_TERM, UTM_CONTENT][..] } else { &[LINK] };
    let mut path: Vec<&str> = [UTM_SOURCE, UTM_MEDIUM, UTM_CAMPAIGN].map(|number| fact.value(number)).into();
    let is_nowhere = path.concat().is_empty();
    path.extend(below.iter().map(|number| if is_nowhere { "" } else { fact.value(*number) }));
    path
}

pub async fn tree(year: &Year) {
    let levels = LINKS.into_iter().enumerate().map(|(depth, level)| (depth, level, false));
    let levels = levels.chain(ADS.into_iter().zip(3..).map(|(level, depth)| (depth, level, true)));
    for (part, (depth, level, is_of_ads)) in
        year.parts().iter().flat_map(|part| levels.clone().map(move |level| (part, level)))
    {
        let facts = year.between(part.as_ref(), year.start, year.end);
        for source in [None, Some(""), Some("news"), Some("friend")] {
            let request = GetCampaignsRequest {
                scope: scope(part.as_ref()),
                span: span(year.start, year.end, "Asia/Kolkata"),
                level: level.into(),
                source: source.map(str::to_owned),
                ..GetCampaignsRequest::default()
            };
            let (rows, last) = campaigns(&year.tenant, request).await;
            let mut truth: BTreeMap<Vec<&str>, (Counts, BTreeSet<&str>)> = BTreeMap::new();
            for fact in &facts {
                let path = path(fact, is_of_ads);
                if source.is_none_or(|source| source == path[0]) {
                    let (counts, children) = truth.entry(path[..=depth].to_vec()).or_default();
                    counts.add(&fact.counts);
                    children.extend(path.get(depth + 1));
                }
            }
            truth.retain(|_, (counts, _)| *counts != Counts::default());
            let told_rows: BTreeMap<Vec<&str>, (Counts, usize)> = rows
                .iter()
                .map(|row| {
                    let mut path = vec![&*row.source, &*row.medium, &*row.campaign];
                    path.extend(if is_of_ads {
                        vec![&*row.ad_group, &*row.creative]
                    } else {
                        vec![&*row.link_id]
                    });
                    let counts = told(row.measures.as_ref());
                    let expected = counts.attributed_installs as f64 / counts.clicks.max(1) as f64;
                    assert!(
                        (row.install_rate - if counts.clicks == 0 { 0.0 } else { expected }).abs() < 1e-9
                    );
                    (path[..=depth].to_vec(), (counts, row.child_count as usize))
                })
                .collect();
            let truth: BTreeMap<Vec<&str>, (Counts, usize)> = truth
                .into_iter()
                .map(|(path, (counts, children))| (path, (counts, children.len())))
                .collect();
            assert_eq!(told_rows, truth, "{part:?} {level:?} {source:?}");
            assert_eq!(told(last.other.as_ref()), Counts::default());
        }
    }
}

pub async fn breakdowns_without(year: &Year, gone: &v1::Link) {
    let request = QueryBreakdownRequest {
        span: span(year.start, year.end, ""),
        dimension: dimension::LINK,
        ..QueryBreakdownRequest::default()
    };
    let (rows, _) = breakdown(&year.tenant, request).await;
    let facts = year.between(None, year.start, year.end);
    assert_eq!(shown(&rows), grouped(&facts, dimension::LINK));
    let row = rows.iter().find(|row| row.value == gone.id).expect("it counts");
    assert_eq!(row.label, "");
    let alone = QueryTimeSeriesRequest {
        scope: scope(Some(&Part::LinkId(gone.id.clone()))),
        ..QueryTimeSeriesRequest::default()
    };
    let refused = year.tenant.analytics.clone().query_time_series(alone).await.expect_err("it is gone");
    assert_eq!(refused.code(), Code::NotFound);
}
