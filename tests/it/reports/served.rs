//! Reports that come from rollups touch nothing that was recorded: they say the same, to the byte, when it is not there.

use linkforty::pb::v1::{
    CampaignLevel, CreateReportRequest, CreateReportShareRequest, ExportReportRequest, GetCampaignsRequest,
    GetOverviewRequest, ListClicksRequest, OpenReportShareRequest, QueryBreakdownRequest,
    QueryTimeSeriesRequest, Report as Saved, ReportFormat, ReportQuery, RunReportRequest,
    export_report_request::Report, export_report_response, report_query::Query, report_scope::Part,
};
use sea_orm::{ConnectionTrait as _, Statement};

use super::{filter, scope, span, stamp, values::DIMENSIONS};
use crate::support::{
    Tenant, stores,
    year::{Year, dimension, live_through, world},
};

const LEVELS: [CampaignLevel; 6] = [
    CampaignLevel::Source,
    CampaignLevel::Medium,
    CampaignLevel::Campaign,
    CampaignLevel::Link,
    CampaignLevel::AdGroup,
    CampaignLevel::Creative,
];
/// Totals of links are none of these: they are read with the names of links.
const RECORDED: [&str; 5] = ["clicks", "events", "installs", "feed", "click_rollups"];

/// One question of every report from rollups, of the whole workspace and of each sort of part.
struct Questions {
    overviews: Vec<GetOverviewRequest>,
    series: Vec<QueryTimeSeriesRequest>,
    breakdowns: Vec<QueryBreakdownRequest>,
    campaigns: Vec<GetCampaignsRequest>,
}

impl Questions {
    fn of(year: &Year) -> Self {
        // Neither begins nor ends with a day.
        let (start, end) =
            (year.start + chrono::Duration::minutes(375), year.end - chrono::Duration::minutes(375));
        let whole = || span(start, end, "Europe/Zurich");
        let mut all = Self { overviews: vec![], series: vec![], breakdowns: vec![], campaigns: vec![] };
        for part in &year.parts() {
            let mut overview = GetOverviewRequest {
                start_time: stamp(start),
                end_time: stamp(end),
                time_zone: "Europe/Zurich".into(),
                ..GetOverviewRequest::default()
            };
            match part.clone() {
                None => {}
                Some(Part::ProjectId(id)) => overview.project_id = id,
                Some(Part::LinkId(id)) => overview.link_id = id,
                Some(Part::AppId(id)) => overview.app_id = id,
                Some(Part::Domain(host)) => overview.domain = Some(host),
            }
            all.overviews.push(overview);
            let scope = || scope(part.as_ref());
            all.series.push(QueryTimeSeriesRequest {
                scope: scope(),
                span: whole(),
                compare_previous: true,
                ..QueryTimeSeriesRequest::default()
            });
            for dimension in DIMENSIONS {
                all.series.push(QueryTimeSeriesRequest {
                    scope: scope(),
                    span: whole(),
                    filter: Some(filter(dimension, &["", "CH", "human", "news"])),
                    ..QueryTimeSeriesRequest::default()
                });
                for filters in [vec![], vec![filter(dimension, &["", "CH", "human", "news"])]] {
                    all.breakdowns.push(QueryBreakdownRequest {
                        scope: scope(),
                        span: whole(),
                        dimension,
                        filters,
                        page_size: 1000,
                        ..QueryBreakdownRequest::default()
                    });
                }
            }
            for level in LEVELS {
                all.campaigns.push(GetCampaignsRequest {
                    scope: scope(),
                    span: whole(),
                    level: level.into(),
                    page_size: 1000,
                    ..GetCampaignsRequest::default()
                });
            }
        }
        all
    }

    /// The first of each sort, which is of the whole workspace.
    fn to_keep(&self) -> [Query; 3] {
        [
            Query::TimeSeries(self.series[0].clone()),
            Query::Breakdown(self.breakdowns[0].clone()),
            Query::Campaigns(self.campaigns[3].clone()),
        ]
    }

    /// Asks all of them, in every way there is.
    async fn answers(&self, tenant: &Tenant, kept: &[(String, String)]) -> Vec<String> {
        let (analytics, reports) = (&mut tenant.analytics.clone(), &mut tenant.reports.clone());
        let mut told = Vec::new();
        for asked in self.overviews.clone() {
            told.push(format!(
                "{:?}",
                analytics.get_overview(asked).await.expect("an overview").into_inner()
            ));
        }
        for asked in self.series.clone() {
            told.push(format!(
                "{:?}",
                analytics.query_time_series(asked).await.expect("a series").into_inner()
            ));
        }
        for asked in self.breakdowns.clone() {
            told.push(format!("{:?}", analytics.query_breakdown(asked).await.expect("values").into_inner()));
        }
        for asked in self.campaigns.clone() {
            told.push(format!("{:?}", analytics.get_campaigns(asked).await.expect("nodes").into_inner()));
        }
        for report in [
            Report::TimeSeries(self.series[0].clone()),
            Report::Breakdown(self.breakdowns[0].clone()),
            Report::Campaigns(self.campaigns[3].clone()),
        ] {
            let request = ExportReportRequest { report: Some(report), format: ReportFormat::Csv.into() };
            let mut stream = analytics.export_report(request).await.expect("a file").into_inner();
            while let Some(message) = stream.message().await.expect("goes on") {
                match message.part.expect("always there") {
                    export_report_response::Part::Data(data) => {
                        told.push(String::from_utf8(data.to_vec()).expect("UTF-8"));
                    }
                    other => told.push(format!("{other:?}")),
                }
            }
        }
        for (report_id, token) in kept {
            let run = RunReportRequest { report_id: report_id.clone(), ..RunReportRequest::default() };
            told.push(format!("{:?}", reports.run_report(run).await.expect("answers").into_inner()));
            let open = OpenReportShareRequest { token: token.clone(), ..OpenReportShareRequest::default() };
            told.push(format!("{:?}", reports.open_report_share(open).await.expect("opens").into_inner()));
        }
        told
    }
}

/// Keeps and shares a report. Returns its id and the token.
async fn keep(tenant: &Tenant, query: Query) -> (String, String) {
    let query = Some(ReportQuery { query: Some(query), relative_span: None });
    let report = Some(Saved { name: "Kept".into(), query, ..Saved::default() });
    let request = CreateReportRequest { report, ..CreateReportRequest::default() };
    let made = tenant.reports.clone().create_report(request).await.expect("creates").into_inner().report;
    let report_id = made.expect("always there").id;
    let request =
        CreateReportShareRequest { report_id: report_id.clone(), ..CreateReportShareRequest::default() };
    let token = tenant.reports.clone().create_report_share(request).await.expect("shares").into_inner().token;
    (report_id, token)
}

#[tokio::test]
async fn reports_from_rollups_name_no_table_of_what_was_recorded() {
    for store in stores() {
        eprintln!("on {store}");
        let (app, networks) = world(store, &[]).await;
        let year = live_through((&app, &networks), 11, 60).await;
        app.rolled().await;
        let questions = Questions::of(&year);
        let mut kept = Vec::new();
        for query in questions.to_keep() {
            kept.push(keep(&year.tenant, query).await);
        }
        let before = questions.answers(&year.tenant, &kept).await;
        let db = app.owner_db().await;
        let rename = async |from: &str, to: &str| {
            let sql = format!("ALTER TABLE {from} RENAME TO {to}");
            db.execute_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("renames");
        };
        for table in RECORDED {
            rename(table, &format!("{table}_away")).await;
        }
        let after = questions.answers(&year.tenant, &kept).await;
        // What looks at single rows does fail.
        let mut analytics = year.tenant.analytics.clone();
        analytics.list_clicks(ListClicksRequest::default()).await.expect_err("there are no clicks");
        let two = QueryBreakdownRequest {
            dimension: dimension::COUNTRY,
            filters: vec![filter(dimension::DEVICE, &["phone"])],
            ..QueryBreakdownRequest::default()
        };
        analytics.query_breakdown(two).await.expect_err("there are no clicks");
        for table in RECORDED {
            rename(&format!("{table}_away"), table).await;
        }
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after);
        }
        let shown = before.iter().filter(|answer| answer.contains("clicks: 1")).count();
        assert!(shown > before.len() / 4, "{shown} of {} show anything", before.len());
        app.stop().await;
        drop(networks);
    }
}
