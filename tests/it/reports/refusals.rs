//! What no report answers: wrong questions, parts of others, too much at once; and that pages and statements are bounded.

use chrono::Duration;
use linkforty::pb::v1::{
    self, CreateReportRequest, ExportReportRequest, GetCampaignsRequest, GetFunnelRequest,
    GetOverviewRequest, GetRetentionRequest, ListLinksRequest, QueryBreakdownRequest, QueryTimeSeriesRequest,
    ReportFormat, ReportQuery, ReportScope, ReportSource, ReportSpan, export_report_request, report_query,
    report_scope::Part,
};
use secrecy::ExposeSecret as _;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{at, filter, scope, span, stamp};
use crate::support::{
    Statements, Store, Tenant, an_app, coded, eventually, on_every_store, reason, request_id, stores, wrong,
    year::{dimension, live_through, world},
};

fn refused<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, Status>) -> Status {
    answer.expect_err("is refused")
}

/// One of everything that asks for a part and a span.
#[derive(Clone, Copy, Debug)]
enum Report {
    TimeSeries,
    Breakdown,
    Campaigns,
    Funnel,
    Retention,
}

const REPORTS: [Report; 5] =
    [Report::TimeSeries, Report::Breakdown, Report::Campaigns, Report::Funnel, Report::Retention];

async fn ask(
    tenant: &Tenant,
    report: Report,
    scope: Option<ReportScope>,
    span: Option<ReportSpan>,
) -> Result<(), Status> {
    let mut analytics = tenant.analytics.clone();
    match report {
        Report::TimeSeries => {
            let request = QueryTimeSeriesRequest { scope, span, ..QueryTimeSeriesRequest::default() };
            analytics.query_time_series(request).await.map(drop)
        }
        Report::Breakdown => {
            let dimension = dimension::COUNTRY;
            let request =
                QueryBreakdownRequest { scope, span, dimension, ..QueryBreakdownRequest::default() };
            analytics.query_breakdown(request).await.map(drop)
        }
        Report::Campaigns => {
            let request = GetCampaignsRequest { scope, span, ..GetCampaignsRequest::default() };
            analytics.get_campaigns(request).await.map(drop)
        }
        Report::Funnel => {
            let request = GetFunnelRequest { scope, span, ..GetFunnelRequest::default() };
            analytics.get_funnel(request).await.map(drop)
        }
        Report::Retention => {
            let request = GetRetentionRequest { scope, span, ..GetRetentionRequest::default() };
            analytics.get_retention(request).await.map(drop)
        }
    }
}

#[tokio::test]
async fn parts_of_somebody_else_are_unknown_in_every_report() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let theirs = [
            Part::LinkId(other.create(coded("theirs")).await.id),
            Part::ProjectId(app.folders(&other).await.project("Theirs").await),
            Part::AppId(other.create_app(an_app()).await.id),
            Part::Domain(other.add_domain("go.theirs.test").await.host),
        ];
        for part in theirs {
            let unknown = match &part {
                Part::LinkId(_) => Part::LinkId(request_id()),
                Part::ProjectId(_) => Part::ProjectId(request_id()),
                Part::AppId(_) => Part::AppId(request_id()),
                Part::Domain(_) => Part::Domain("go.nobody.test".to_owned()),
            };
            for report in REPORTS {
                let of_domain = matches!(part, Part::Domain(_));
                let fails = async |part: &Part| {
                    ask(&tenant, report, scope(Some(part)), None).await.expect_err("is not mine")
                };
                let (one, another) = (fails(&part).await, fails(&unknown).await);
                assert_eq!(
                    (one.code(), one.message(), one.details()),
                    (another.code(), another.message(), another.details())
                );
                if of_domain && matches!(report, Report::Funnel | Report::Retention) {
                    assert_eq!(wrong(&one), ["scope.domain"], "{report:?}");
                } else {
                    assert_eq!(reason(&one), "NOT_FOUND", "{report:?} {part:?}");
                }
                ask(&other, report, scope(Some(&part)), None)
                    .await
                    .map_or_else(|status| assert_eq!(wrong(&status), ["scope.domain"]), |()| ());
            }
            let mut request = GetOverviewRequest::default();
            match part {
                Part::LinkId(id) => request.link_id = id,
                Part::ProjectId(id) => request.project_id = id,
                Part::AppId(id) => request.app_id = id,
                Part::Domain(host) => request.domain = Some(host),
            }
            let status = refused(tenant.analytics.clone().get_overview(request.clone()).await);
            assert_eq!(reason(&status), "NOT_FOUND", "{request:?}");
            other.analytics.clone().get_overview(request).await.expect("is theirs");
        }
        // The server's own host is everybody's, by its name and without.
        for host in ["", "go.example.test"] {
            let request =
                GetOverviewRequest { domain: Some(host.to_owned()), ..GetOverviewRequest::default() };
            tenant.analytics.clone().get_overview(request).await.expect("is there");
        }
    })
    .await;
}

#[tokio::test]
async fn everything_wrong_with_a_question_is_told_at_once() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let bad = Some(prost_types::Timestamp { seconds: 0, nanos: -1 });
        let (early, late) = (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
        for report in REPORTS {
            for (part, asked, fields) in [
                (Some(Part::LinkId("x".into())), None, &["scope.link_id"][..]),
                (Some(Part::ProjectId(String::new())), None, &["scope.project_id"]),
                (Some(Part::AppId("7".into())), span(late, early, ""), &["scope.app_id", "span.end_time"]),
                (None, span(late, late, ""), &["span.end_time"]),
                (None, span(early, late, "Europe/Bern"), &["span.time_zone"]),
                (None, span(early - Duration::days(4000), late, ""), &["span.end_time"]),
                (
                    Some(Part::LinkId("x".into())),
                    Some(ReportSpan { start_time: bad, end_time: bad, time_zone: "x".into() }),
                    &["scope.link_id", "span.start_time", "span.end_time", "span.time_zone"],
                ),
            ] {
                let status = ask(&tenant, report, scope(part.as_ref()), asked).await.expect_err("is wrong");
                assert_eq!(wrong(&status), fields, "{report:?} {part:?}");
            }
            let years = ask(&tenant, report, None, span(early - Duration::days(3000), late, "")).await;
            let reads_rows = matches!(report, Report::Funnel | Report::Retention);
            match years {
                Ok(()) => assert!(!reads_rows, "{report:?}"),
                // Days of eight years are too many for one answer.
                Err(status) if matches!(report, Report::TimeSeries) => {
                    assert_eq!(wrong(&status), ["granularity"]);
                }
                Err(status) => assert!(reads_rows && wrong(&status) == ["span.end_time"], "{status:?}"),
            }
        }
        let mut analytics = tenant.analytics.clone();
        let request = QueryTimeSeriesRequest {
            granularity: 9,
            filter: Some(filter(99, &[])),
            span: span(early, late, ""),
            ..QueryTimeSeriesRequest::default()
        };
        let status = refused(analytics.query_time_series(request).await);
        assert_eq!(wrong(&status), ["granularity", "filter.dimension", "filter.values"]);
        let hours = QueryTimeSeriesRequest {
            granularity: 1,
            span: span(early, early + Duration::hours(2001), ""),
            ..QueryTimeSeriesRequest::default()
        };
        assert_eq!(wrong(&refused(analytics.query_time_series(hours).await)), ["granularity"]);

        let breakdown = QueryBreakdownRequest { dimension: 1, ..QueryBreakdownRequest::default() };
        let long = "x".repeat(2049);
        for (request, fields) in [
            (QueryBreakdownRequest { dimension: 0, ..breakdown.clone() }, &["dimension"][..]),
            (QueryBreakdownRequest { dimension: 24, ..breakdown.clone() }, &["dimension"]),
            (
                QueryBreakdownRequest { order_by: "visitors".into(), page_size: -1, ..breakdown.clone() },
                &["order_by", "page_size"],
            ),
            (
                QueryBreakdownRequest { filters: vec![filter(1, &["CH", &long])], ..breakdown.clone() },
                &["filters[0].values[1]"],
            ),
            (
                QueryBreakdownRequest {
                    filters: vec![filter(2, &["x"]), filter(2, &["y"]), filter(26, &["z"])],
                    ..breakdown.clone()
                },
                &["filters[1].dimension", "filters[2].dimension"],
            ),
            // Of an event's name clicks know nothing.
            (
                QueryBreakdownRequest {
                    dimension: 26,
                    filters: vec![filter(1, &["CH"])],
                    ..breakdown.clone()
                },
                &["dimension"],
            ),
        ] {
            let status = refused(analytics.query_breakdown(request.clone()).await);
            assert_eq!(wrong(&status), fields, "{request:?}");
        }
        let campaigns = GetCampaignsRequest {
            level: 9,
            order_by: "clicks up".into(),
            medium: Some(long),
            ..Default::default()
        };
        let status = refused(analytics.get_campaigns(campaigns).await);
        assert_eq!(wrong(&status), ["level", "medium", "order_by"]);
        let funnel = GetFunnelRequest {
            cohort: 7,
            event_names: vec![String::new()],
            completion_window: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
            ..GetFunnelRequest::default()
        };
        let status = refused(analytics.get_funnel(funnel).await);
        assert_eq!(wrong(&status), ["cohort", "event_names[0]", "completion_window"]);
        let retention = GetRetentionRequest { cohort_length: 3, days: 91, ..GetRetentionRequest::default() };
        let status = refused(analytics.get_retention(retention).await);
        assert_eq!(wrong(&status), ["cohort_length", "days"]);
        let both = GetOverviewRequest {
            link_id: request_id(),
            app_id: request_id(),
            time_zone: "Nowhere".into(),
            ..GetOverviewRequest::default()
        };
        assert_eq!(wrong(&refused(analytics.get_overview(both).await)), ["app_id", "time_zone"]);
    })
    .await;
}

#[tokio::test]
async fn a_page_token_is_good_for_its_question_and_its_workspace_alone() {
    for store in stores() {
        let (app, networks) = world(store, &[]).await;
        let year = live_through((&app, &networks), 7, 40).await;
        app.rolled().await;
        let mut analytics = year.tenant.analytics.clone();
        let request = QueryBreakdownRequest {
            span: Some(ReportSpan { start_time: stamp(year.start), ..ReportSpan::default() }),
            dimension: dimension::LANGUAGE,
            page_size: 1,
            ..QueryBreakdownRequest::default()
        };
        let first = analytics.query_breakdown(request.clone()).await.expect("a page").into_inner();
        assert!(first.total_size > 1 && first.rows.len() == 1);
        let page_token = first.next_page_token.clone();
        // Later pages are of the time of the first one, however late they are asked for.
        app.clock.advance(Duration::hours(5));
        let next =
            QueryBreakdownRequest { page_token: page_token.clone(), page_size: 100, ..request.clone() };
        let second = analytics.query_breakdown(next.clone()).await.expect("a page").into_inner();
        assert_eq!((&second.span, second.total_size), (&first.span, first.total_size));
        assert_eq!(second.rows.len() + 1, first.total_size as usize);
        let another = app.another_tenant().await;
        for (tenant, request) in [
            (&year.tenant, QueryBreakdownRequest { dimension: dimension::COUNTRY, ..next.clone() }),
            (&year.tenant, QueryBreakdownRequest { order_by: "value".into(), ..next.clone() }),
            (&year.tenant, QueryBreakdownRequest { page_token: "x".into(), ..next.clone() }),
            (&another, next),
        ] {
            let status = refused(tenant.analytics.clone().query_breakdown(request).await);
            assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
        }
        let campaigns = GetCampaignsRequest { page_token, ..GetCampaignsRequest::default() };
        assert_eq!(reason(&refused(analytics.get_campaigns(campaigns).await)), "PAGE_TOKEN_INVALID");
        app.stop().await;
        drop(networks);
    }
}

#[tokio::test]
async fn a_report_that_would_look_at_too_many_rows_says_so() {
    for store in stores() {
        let (app, networks) = world(store, &[("REPORT_MAX_ROWS", "12")]).await;
        let year = live_through((&app, &networks), 3, 120).await;
        app.rolled().await;
        assert!(year.installs.len() > 12);
        let mut analytics = year.tenant.analytics.clone();
        let whole = span(year.start, year.end, "");
        let funnel = GetFunnelRequest { span: whole.clone(), ..GetFunnelRequest::default() };
        let retention = GetRetentionRequest { span: whole, ..GetRetentionRequest::default() };
        for status in
            [refused(analytics.get_funnel(funnel).await), refused(analytics.get_retention(retention).await)]
        {
            assert_eq!(reason(&status), "REPORT_TOO_LARGE");
            assert_eq!(status.code(), tonic::Code::ResourceExhausted);
            let info = status.get_details_error_info().expect("always there");
            assert_eq!((&*info.metadata["rows"], &*info.metadata["limit"]), ("installs", "12"));
        }
        // So does one from single clicks, in whatever way it is asked for.
        assert!(
            year.facts.iter().filter(|fact| fact.counts.clicks + fact.counts.bot_clicks > 0).count() > 12
        );
        let of_phones = |span: Option<ReportSpan>| QueryBreakdownRequest {
            dimension: dimension::COUNTRY,
            filters: vec![filter(dimension::DEVICE, &["phone"])],
            span,
            ..QueryBreakdownRequest::default()
        };
        let many = of_phones(span(year.start, year.end, ""));
        let file = ExportReportRequest {
            report: Some(export_report_request::Report::Breakdown(many.clone())),
            format: ReportFormat::Csv.into(),
        };
        let query = Some(ReportQuery {
            query: Some(report_query::Query::Breakdown(many.clone())),
            relative_span: None,
        });
        let report = Some(v1::Report { name: "Phones".into(), query, ..v1::Report::default() });
        let kept = CreateReportRequest { report, ..CreateReportRequest::default() };
        for status in [
            refused(analytics.query_breakdown(many).await),
            analytics.export_report(file).await.err().expect("is refused"),
            refused(year.tenant.reports.clone().create_report(kept).await),
        ] {
            assert_eq!(reason(&status), "REPORT_TOO_LARGE");
            let info = status.get_details_error_info().expect("always there");
            assert_eq!((&*info.metadata["rows"], &*info.metadata["limit"]), ("clicks", "12"));
        }
        let mut clicks: Vec<_> = year.facts.iter().filter(|fact| fact.counts.clicks > 0).collect();
        clicks.sort_by_key(|fact| fact.time);
        let week = of_phones(span(clicks[0].time, clicks[0].time + Duration::minutes(15), ""));
        let answer = analytics.query_breakdown(week).await.expect("few enough").into_inner();
        assert_eq!(answer.source(), ReportSource::RawClicks);
        // A shorter time is no more than that.
        let mut times: Vec<_> = year.installs.iter().map(|install| install.time).collect();
        times.sort_unstable();
        let few = span(times[0], times[1], "");
        let request = GetFunnelRequest { span: few, ..GetFunnelRequest::default() };
        let answer = analytics.get_funnel(request).await.expect("few enough").into_inner();
        assert_eq!(answer.steps.len(), 2);
        app.stop().await;
        drop(networks);
    }
}

/// Every report takes as many statements for a year of much as for a day of nothing.
#[tokio::test]
async fn the_statements_of_a_report_do_not_grow_with_what_it_shows() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let (first, networks) = world(Store::Production, &[]).await;
    let year = live_through((&first, &networks), 5, 60).await;
    first.rolled().await;
    let database = first.env().config.database.as_ref().expect("production has one");
    let statements = Statements::to(database.url.expose_secret()).await;
    let node = first.start_beside(&[("DATABASE_URL", &statements.url)]).await;
    let tenant = node.tenant_of(&year.tenant.id).await;
    let (start, end) = (year.start, year.end);
    let whole = || span(start, end, "Europe/Zurich");
    let brief = || span(end + Duration::days(30), end + Duration::days(31), "Europe/Zurich");
    // Until it hears of revoked keys, a node asks for the caller's key at every call.
    eventually("the node remembers keys", async || {
        let list =
            async || drop(tenant.links.clone().list_links(ListLinksRequest::default()).await.expect("lists"));
        statements.of(list).await == 1
    })
    .await;
    for report in REPORTS {
        let of = async |span: Option<ReportSpan>| {
            statements.of(async || ask(&tenant, report, None, span.clone()).await.expect("answers")).await
        };
        let (many, few) = (of(whole()).await, of(brief()).await);
        assert!(many <= 15, "{report:?} takes {many} statements");
        // What is not there needs no texts, and nobody's events.
        assert!(few <= many && many <= few + 3, "{report:?}: {many} and {few}");
    }
    let mut analytics = tenant.analytics.clone();
    let request = GetOverviewRequest { start_time: stamp(start), end_time: stamp(end), ..Default::default() };
    let taken = statements
        .of(async || drop(analytics.get_overview(request.clone()).await.expect("an overview")))
        .await;
    // Eleven of them are for the visitors of at most ten links.
    assert!(taken <= 40, "an overview takes {taken} statements");
    node.stop().await;
    first.stop().await;
    drop(networks);
}
