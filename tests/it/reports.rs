//! Reports against a year of which everything is known: every number of every report is worked out here a second time, by looking at each thing
//! that happened.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{Duration, TimeZone as _};
use chrono_tz::Tz;
use linkforty::{
    clock::{Moment, from_micros},
    pb::v1::{
        self, BreakdownRow, CampaignLevel, CohortLength, DimensionFilter, FunnelCohort, GetCampaignsRequest,
        GetCampaignsResponse, GetFunnelRequest, GetOverviewRequest, GetRetentionRequest, Granularity, Measures,
        QueryBreakdownRequest, QueryBreakdownResponse, QueryTimeSeriesRequest, ReportScope, ReportSource,
        ReportSpan, report_scope::Part,
    },
};
use prost_types::Timestamp;
use tonic::{Code, Status};

use crate::support::{
    App, Tenant, coded, on_every_store, reason, request_id, stores, wrong,
    year::{Counts, Fact, Installed, Year, dimension, live_through, world},
};

fn at(text: &str) -> Moment {
    text.parse().expect("the test's own moment")
}

fn stamp(time: Moment) -> Option<Timestamp> {
    Some(Timestamp { seconds: time.timestamp(), nanos: 0 })
}

fn moment(stamp: Option<&Timestamp>) -> Moment {
    from_micros(stamp.expect("always there").seconds * 1_000_000)
}

fn span(start: Moment, end: Moment, zone: &str) -> Option<ReportSpan> {
    Some(ReportSpan { start_time: stamp(start), end_time: stamp(end), time_zone: zone.to_owned() })
}

fn scope(part: Option<&Part>) -> Option<ReportScope> {
    Some(ReportScope { workspace_id: String::new(), part: part.cloned() })
}

/// Numbers as they are told.
fn told(measures: Option<&Measures>) -> Counts {
    let measures = measures.expect("always there");
    Counts {
        clicks: measures.clicks,
        bot_clicks: measures.bot_clicks,
        installs: measures.installs,
        attributed_installs: measures.attributed_installs,
        events: measures.events,
        revenue: measures.revenue.iter().map(|money| (money.currency.clone(), nanos(money))).collect(),
    }
}

fn nanos(money: &v1::Money) -> i128 {
    i128::from(money.units) * 1_000_000_000 + i128::from(money.nanos)
}

fn sum<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Counts {
    let mut sum = Counts::default();
    facts.into_iter().for_each(|fact| sum.add(&fact.counts));
    sum
}

fn total<'a>(counts: impl IntoIterator<Item = &'a Counts>) -> Counts {
    let mut sum = Counts::default();
    counts.into_iter().for_each(|counts| sum.add(counts));
    sum
}

fn is_in(fact: &Fact, part: Option<&Part>) -> bool {
    match part {
        None => true,
        Some(Part::ProjectId(id)) => fact.value(dimension::PROJECT) == id,
        Some(Part::LinkId(id)) => fact.value(dimension::LINK) == id,
        Some(Part::AppId(id)) => fact.value(dimension::APP) == id,
        Some(Part::Domain(host)) => fact.value(dimension::DOMAIN) == host,
    }
}

impl Year {
    /// Returns what happened between two moments in a part of the workspace.
    fn between(&self, part: Option<&Part>, start: Moment, end: Moment) -> Vec<&Fact> {
        self.facts.iter().filter(|fact| start <= fact.time && fact.time < end && is_in(fact, part)).collect()
    }

    fn parts(&self) -> Vec<Option<Part>> {
        vec![
            None,
            Some(Part::ProjectId(self.projects[0].clone())),
            Some(Part::LinkId(self.links[2].id.clone())),
            Some(Part::AppId(self.apps[1].clone())),
            Some(Part::Domain("go.example.test".to_owned())),
        ]
    }
}

/// How many different people clicked on the days of UTC that a time touches.
fn visitors(year: &Year, part: Option<&Part>, start: Moment, end: Moment) -> i64 {
    let day = 86_400;
    let first = from_micros(start.timestamp().div_euclid(day) * day * 1_000_000);
    let last = from_micros((end.timestamp() + day - 1).div_euclid(day) * day * 1_000_000);
    let who: BTreeSet<&str> =
        year.between(part, first, last).into_iter().filter_map(|fact| fact.visitor.as_deref()).collect();
    i64::try_from(who.len()).expect("few")
}

/// Sketches are exact while they are small, and within six standard errors else.
fn is_about(told: i64, truth: i64, what: &str) {
    let error = (truth as f64 * 0.1).ceil() as i64;
    assert!((told - truth).abs() <= error, "{what}: {told} visitors are told, and {truth} came");
}

/// Returns the name of the hour, day, week or month that a moment is in.
fn label(time: Moment, granularity: Granularity, zone: Tz) -> String {
    let time = zone.from_utc_datetime(&time.naive_utc());
    match granularity {
        // Clocks that go back by half an hour have two half hours of one name.
        Granularity::Hour => time.format("%F %H %z").to_string(),
        Granularity::Week => time.format("%G-%V").to_string(),
        Granularity::Month => time.format("%Y-%m").to_string(),
        _ => time.format("%F").to_string(),
    }
}

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
];

async fn time_series(year: &Year) {
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
    let values = ["CH", ""];
    let request = QueryTimeSeriesRequest {
        span: span(year.start, year.end, "Asia/Kathmandu"),
        granularity: Granularity::Month.into(),
        filter: Some(filter(dimension::COUNTRY, &values)),
        ..QueryTimeSeriesRequest::default()
    };
    let answer = analytics.query_time_series(request).await.expect("a series").into_inner();
    for bucket in &answer.buckets {
        let (from, to) = (moment(bucket.start_time.as_ref()), moment(bucket.end_time.as_ref()));
        let truth = year.between(None, from, to);
        let truth = truth.into_iter().filter(|fact| values.contains(&fact.value(dimension::COUNTRY)));
        assert_eq!(told(bucket.measures.as_ref()), sum(truth), "{from}");
        assert_eq!(bucket.measures.as_ref().and_then(|measures| measures.unique_visitors), None);
    }
}

fn filter(dimension: i32, values: &[&str]) -> DimensionFilter {
    DimensionFilter { dimension, values: values.iter().map(|value| (*value).to_owned()).collect() }
}

/// Returns all pages of a breakdown, and checks what they have in common.
async fn breakdown(tenant: &Tenant, request: QueryBreakdownRequest) -> (Vec<BreakdownRow>, QueryBreakdownResponse) {
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

fn grouped<'a>(facts: &[&'a Fact], dimension: i32) -> BTreeMap<&'a str, Counts> {
    let mut groups: BTreeMap<&str, Counts> = BTreeMap::new();
    for fact in facts {
        groups.entry(fact.value(dimension)).or_default().add(&fact.counts);
    }
    groups.retain(|_, counts| *counts != Counts::default());
    groups
}

fn shown(rows: &[BreakdownRow]) -> BTreeMap<&str, Counts> {
    rows.iter().map(|row| (row.value.as_str(), told(row.measures.as_ref()))).collect()
}

const DIMENSIONS: [i32; 24] = {
    use dimension::*;
    [
        COUNTRY, REGION, CITY, DEVICE, OS, OS_VERSION, BROWSER, IN_APP_BROWSER, REFERRER, LANGUAGE, UTM_SOURCE,
        UTM_MEDIUM, UTM_CAMPAIGN, UTM_TERM, UTM_CONTENT, CLASS, DESTINATION, DOMAIN, PLATFORM, LINK, PROJECT,
        METHOD, EVENT, APP,
    ]
};

async fn breakdowns(year: &Year) {
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
        let label = link.map_or("", |link| if link.title.is_empty() { &link.short_code } else { &link.title });
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
                && filters.iter().all(|filter| filter.values.iter().any(|value| value == fact.value(filter.dimension)))
        };
        let clicks: Vec<&Fact> = facts.iter().copied().filter(fits).collect();
        assert_eq!(shown(&rows), grouped(&clicks, dimension::COUNTRY), "{filters:?}");
        assert_eq!(last.source(), ReportSource::RawClicks);
    }
}

async fn overview(year: &Year) {
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

async fn campaigns(tenant: &Tenant, request: GetCampaignsRequest) -> (Vec<v1::CampaignRow>, GetCampaignsResponse) {
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

/// The path of a thing in the tree; where nothing of a campaign is known there is no link either.
fn path(fact: &Fact) -> [&str; 4] {
    use dimension::{LINK, UTM_CAMPAIGN, UTM_MEDIUM, UTM_SOURCE};
    let [source, medium, campaign] = [UTM_SOURCE, UTM_MEDIUM, UTM_CAMPAIGN].map(|number| fact.value(number));
    let link = if [source, medium, campaign].concat().is_empty() { "" } else { fact.value(LINK) };
    [source, medium, campaign, link]
}

async fn tree(year: &Year) {
    for part in &year.parts() {
        let facts = year.between(part.as_ref(), year.start, year.end);
        for (depth, level) in
            [CampaignLevel::Source, CampaignLevel::Medium, CampaignLevel::Campaign, CampaignLevel::Link]
                .into_iter()
                .enumerate()
        {
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
                    let path = path(fact);
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
                        let path = [&*row.source, &*row.medium, &*row.campaign, &*row.link_id];
                        let counts = told(row.measures.as_ref());
                        let expected = counts.attributed_installs as f64 / counts.clicks.max(1) as f64;
                        assert!((row.install_rate - if counts.clicks == 0 { 0.0 } else { expected }).abs() < 1e-9);
                        (path[..=depth].to_vec(), (counts, row.child_count as usize))
                    })
                    .collect();
                let truth: BTreeMap<Vec<&str>, (Counts, usize)> =
                    truth.into_iter().map(|(path, (counts, children))| (path, (counts, children.len()))).collect();
                assert_eq!(told_rows, truth, "{part:?} {level:?} {source:?}");
                assert_eq!(told(last.other.as_ref()), Counts::default());
            }
        }
    }
}

fn of_part<'a>(year: &'a Year, part: Option<&Part>) -> Vec<&'a Installed> {
    let fits = |install: &&Installed| match part {
        None | Some(Part::Domain(_)) => true,
        Some(Part::LinkId(id)) => install.link.as_ref() == Some(id),
        Some(Part::AppId(id)) => install.app == *id,
        Some(Part::ProjectId(id)) => {
            let link = year.links.iter().find(|link| Some(&link.id) == install.link.as_ref());
            link.is_some_and(|link| link.project_id == *id)
        }
    };
    year.installs.iter().filter(fits).collect()
}

async fn funnels(year: &Year) {
    let (start, end) = (at("2027-02-01T00:00:00Z"), at("2027-09-01T00:00:00Z"));
    let names = ["open", "purchase", "purchase"];
    for part in year.parts().iter().filter(|part| !matches!(part, Some(Part::Domain(_)))) {
        for cohort in [FunnelCohort::InstallTime, FunnelCohort::ClickTime] {
            for days in [3, 30] {
                let request = GetFunnelRequest {
                    scope: scope(part.as_ref()),
                    span: span(start, end, ""),
                    cohort: cohort.into(),
                    event_names: names.map(str::to_owned).into(),
                    completion_window: Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 }),
                };
                let answer =
                    year.tenant.analytics.clone().get_funnel(request).await.expect("a funnel").into_inner();
                let mut installs = of_part(year, part.as_ref());
                installs.retain(|install| {
                    let time = match cohort {
                        FunnelCohort::ClickTime => install.click_time,
                        _ => Some(install.time),
                    };
                    time.is_some_and(|time| start <= time && time < end)
                });
                // How long each install took for each step.
                let mut took: [Vec<Duration>; 4] = Default::default();
                let mut by_link: HashMap<&str, [i64; 4]> = HashMap::new();
                for install in &installs {
                    let mut events: Vec<(Moment, &str)> = install
                        .events
                        .iter()
                        .filter(|(_, time, _)| *time < install.time + Duration::days(days))
                        .map(|(name, time, _)| (*time, name.as_str()))
                        .collect();
                    events.sort_unstable();
                    let mut reached = 0;
                    let mut last = install.time;
                    if let Some(click) = install.click_time {
                        took[0].push(install.time - click);
                    }
                    for (time, name) in events {
                        if reached < 3 && name == names[reached] {
                            reached += 1;
                            took[reached].push(time - last);
                            last = time;
                        }
                    }
                    if let Some(link) = &install.link {
                        let counts = by_link.entry(link).or_default();
                        counts[..=reached].iter_mut().for_each(|count| *count += 1);
                    }
                }
                let clicks = sum(year.between(part.as_ref(), start, end)).clicks;
                let of_app = matches!(part, Some(Part::AppId(_)));
                let mut expected: Vec<(&str, i64)> = if of_app { vec![] } else { vec![("click", clicks)] };
                expected.push(("install", installs.len() as i64));
                expected.extend((0..3).map(|step| (names[step], took[step + 1].len() as i64)));
                let steps: Vec<(&str, i64)> =
                    answer.steps.iter().map(|step| (step.name.as_str(), step.count)).collect();
                let what = format!("{part:?} {cohort:?} {days} days");
                assert_eq!(steps, expected, "{what}");
                for pair in answer.steps.windows(2) {
                    let rate = if pair[0].count == 0 { 0.0 } else { pair[1].count as f64 / pair[0].count as f64 };
                    assert!((pair[1].rate - rate).abs() < 1e-9, "{what}: {pair:?}");
                }
                let offset = usize::from(!of_app);
                for (step, mut took) in took.into_iter().enumerate() {
                    let Some(told) = answer.steps.get(step + offset).filter(|_| step + offset > 0) else {
                        continue;
                    };
                    took.sort_unstable();
                    let Some(times) = &told.time else {
                        assert!(took.is_empty(), "{what}");
                        continue;
                    };
                    let rank = |percent: usize| took[(took.len() * percent).div_ceil(100) - 1].num_seconds();
                    let told = [&times.median, &times.p75, &times.p95]
                        .map(|time| time.as_ref().expect("always there").seconds);
                    assert_eq!(told, [50, 75, 95].map(rank), "{what}: step {step}");
                    let seconds: i64 = took.iter().map(Duration::num_seconds).sum();
                    let average = times.average.as_ref().expect("always there");
                    assert_eq!(average.seconds, seconds / took.len() as i64, "{what}: step {step}");
                }
                assert!(answer.top_links.len() <= 10);
                for top in &answer.top_links {
                    assert_eq!(top.counts[offset..], by_link[&*top.link_id], "{what}");
                }
                assert_eq!(answer.top_links.len(), by_link.len(), "{what}");
            }
        }
    }
}

async fn retention(year: &Year) {
    let now = year.end;
    for part in year.parts().iter().filter(|part| !matches!(part, Some(Part::Domain(_)))) {
        for name in ["Australia/Lord_Howe", "America/New_York", "UTC"] {
            let zone: Tz = name.parse().expect("a zone");
            for (length, days) in [(CohortLength::Day, 90), (CohortLength::Week, 7)] {
                let (start, end) = (at("2027-03-01T00:30:00Z"), year.end);
                let request = GetRetentionRequest {
                    scope: scope(part.as_ref()),
                    span: span(start, end, name),
                    cohort_length: length.into(),
                    days,
                    attributed_only: days == 7,
                };
                let answer = year.tenant.analytics.clone().get_retention(request).await;
                let answer = answer.expect("cohorts").into_inner();
                let what = format!("{part:?} {name} {length:?}");
                let date = |time: Moment| zone.from_utc_datetime(&time.naive_utc()).date_naive();
                let mut installs = of_part(year, part.as_ref());
                installs.retain(|install| start <= install.time && install.time < end);
                installs.retain(|install| days == 90 || install.link.is_some());
                let mut counted = 0;
                let mut edge = start;
                for cohort in &answer.cohorts {
                    let (from, to) = (moment(cohort.start_time.as_ref()), moment(cohort.end_time.as_ref()));
                    assert_eq!(from, edge, "{what}");
                    edge = to;
                    let own: Vec<_> =
                        installs.iter().filter(|install| from <= install.time && install.time < to).collect();
                    assert_eq!(cohort.installs, own.len() as i64, "{what}");
                    counted += own.len();
                    for day in &cohort.days {
                        let on = |install: &Installed, time: Moment| {
                            (date(time) - date(install.time)).num_days() - i64::from(day.day)
                        };
                        let active = own.iter().filter(|install| {
                            day.day == 0 || install.events.iter().any(|(_, time, _)| on(install, *time) == 0)
                        });
                        assert_eq!(day.active, active.count() as i64, "{what}: {from} day {}", day.day);
                        let mut earned: BTreeMap<String, i128> = BTreeMap::new();
                        for install in &own {
                            for (_, time, revenue) in &install.events {
                                if let Some((currency, nanos)) = revenue
                                    && on(install, *time) <= 0
                                {
                                    *earned.entry(currency.clone()).or_default() += nanos;
                                }
                            }
                        }
                        earned.retain(|_, nanos| *nanos != 0);
                        let told: BTreeMap<String, i128> =
                            day.revenue.iter().map(|money| (money.currency.clone(), nanos(money))).collect();
                        assert_eq!(told, earned, "{what}: {from} day {}", day.day);
                        let last = date(to - Duration::seconds(1)) + Duration::days(i64::from(day.day) + 1);
                        let over = date(now) >= last;
                        assert_eq!(day.complete, over, "{what}: {from} day {}", day.day);
                    }
                }
                assert_eq!((edge, counted), (end, installs.len()), "{what}");
                let whole = answer.total.expect("always there");
                assert_eq!(whole.installs, installs.len() as i64, "{what}");
                for day in &whole.days {
                    let own = answer.cohorts.iter().filter_map(|cohort| {
                        cohort.days.get(day.day as usize).filter(|day| day.complete)
                    });
                    let (active, of) = own.fold((0, 0), |sum, day| (sum.0 + day.active, sum.1 + day.installs));
                    assert_eq!((day.active, day.installs), (active, of), "{what}: day {}", day.day);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_year_of_which_everything_is_known_is_told_as_it_was() {
    for store in stores() {
        eprintln!("on {store}");
        let (app, networks) = world(store, &[]).await;
        let mut year = live_through(&app, 2026, 500).await;
        app.rolled().await;
        let events: usize = year.installs.iter().map(|install| install.events.len()).sum();
        eprintln!("{} things happened, {} installs with {events} events", year.facts.len(), year.installs.len());
        time_series(&year).await;
        breakdowns(&year).await;
        overview(&year).await;
        tree(&year).await;
        funnels(&year).await;
        retention(&year).await;
        // What was deleted goes on counting, without a name.
        let gone = year.links.remove(1);
        year.tenant.delete(&gone.id).await;
        breakdowns_without(&year, &gone).await;
        app.stop().await;
        drop(networks);
    }
}

async fn breakdowns_without(year: &Year, gone: &v1::Link) {
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
