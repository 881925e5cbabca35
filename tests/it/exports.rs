//! Reports as files: the numbers of the calls, in three formats that others read.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use linkforty::{
    clock::Moment,
    pb::v1::{
        CohortLength, Dimension, DimensionFilter, ExportReportRequest, GetCampaignsRequest, GetFunnelRequest,
        GetRetentionRequest, ListClicksRequest, QueryBreakdownRequest, QueryTimeSeriesRequest, ReportFile,
        ReportFileEnd, ReportFormat, ReportScope, ReportSpan, StepTime, export_report_request::Report,
        export_report_response::Part,
    },
    workspaces::Role,
};
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};
use prost_types::Timestamp;
use tonic::Status;

use crate::{
    support::{
        App, DESKTOP, IPHONE, PIXEL, Tenant, coded, on_every_store, reason, stores, wrong,
        year::{live_through, world},
    },
    workspaces::person,
};

/// A file that was sent.
struct Sent {
    file: ReportFile,
    data: Vec<u8>,
    end: ReportFileEnd,
    longest: usize,
}

async fn export(tenant: &Tenant, report: Report, format: ReportFormat) -> Result<Sent, Status> {
    let request = ExportReportRequest { report: Some(report), format: format.into() };
    let mut stream = tenant.analytics.clone().export_report(request).await?.into_inner();
    let (mut file, mut end, mut data, mut longest) = (None, None, Vec::new(), 0);
    while let Some(message) = stream.message().await? {
        match message.part.expect("always there") {
            Part::File(told) => {
                assert!(data.is_empty() && file.replace(told).is_none(), "it comes first, and once");
            }
            Part::Data(part) => {
                longest = longest.max(part.len());
                data.extend_from_slice(&part);
            }
            Part::End(told) => assert!(end.replace(told).is_none(), "it comes once"),
        }
    }
    let (file, end) = (file.expect("it was told"), end.expect("the file is whole"));
    assert_eq!(end.bytes as usize, data.len());
    Ok(Sent { file, data, end, longest })
}

/// The rows of a file by the names of its columns, as texts; `None`: nothing stands there.
type Rows = Vec<BTreeMap<String, Option<String>>>;

fn read(sent: &Sent, format: ReportFormat) -> Rows {
    match format {
        ReportFormat::Csv => {
            let mut reader = csv::Reader::from_reader(&sent.data[..]);
            let names: Vec<String> = reader.headers().expect("names").iter().map(str::to_owned).collect();
            let records = reader.records().map(|record| record.expect("well formed"));
            let cell = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
            records.map(|record| names.iter().cloned().zip(record.iter().map(cell)).collect()).collect()
        }
        ReportFormat::Ndjson => {
            let text = std::str::from_utf8(&sent.data).expect("UTF-8");
            let object =
                |line| serde_json::from_str::<BTreeMap<String, serde_json::Value>>(line).expect("JSON");
            let cell = |value: serde_json::Value| match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some(text).filter(|text| !text.is_empty()),
                other => Some(other.to_string()),
            };
            text.lines()
                .map(|line| object(line).into_iter().map(|(name, value)| (name, cell(value))).collect())
                .collect()
        }
        _ => {
            let reader = SerializedFileReader::new(Bytes::from(sent.data.clone())).expect("a Parquet file");
            let moment = |micros: i64| {
                let at = chrono::DateTime::from_timestamp_micros(micros).expect("a moment");
                at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
            };
            let cell = |field: &Field| match field {
                Field::Null => None,
                Field::Str(text) => Some(text.clone()).filter(|text| !text.is_empty()),
                Field::Long(number) => Some(number.to_string()),
                Field::Double(number) => Some(number.to_string()),
                Field::TimestampMicros(micros) => Some(moment(*micros)),
                Field::Bool(yes) => Some(yes.to_string()),
                Field::Decimal(decimal) => {
                    let bytes: [u8; 16] = decimal.data().try_into().expect("as long as all");
                    Some(amount(i128::from_be_bytes(bytes)))
                }
                other => panic!("{other:?}"),
            };
            let rows = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row"));
            rows.map(|row| row.get_column_iter().map(|(name, field)| (name.clone(), cell(field))).collect())
                .collect()
        }
    }
}

/// Writes billionths in full.
fn amount(nanos: i128) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let text = format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const FORMATS: [ReportFormat; 3] = [ReportFormat::Csv, ReportFormat::Ndjson, ReportFormat::Parquet];

/// Follows a link some times, in ways that differ.
async fn visits(app: &App, count: usize) {
    for number in 0..count {
        let agent = [IPHONE, DESKTOP, PIXEL][number % 3];
        let path =
            ["/spring?utm_source=mail&utm_medium=x", "/spring?utm_source=%3D1%2B1", "/spring"][number % 3];
        app.visit_as(Method::GET, path, &[("user-agent", agent), ("referer", "https://a.example/")]).await;
        app.clock.advance(chrono::Duration::milliseconds(10));
    }
    app.settled().await;
}

#[tokio::test]
async fn clicks_are_the_same_in_a_list_and_in_every_format() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("spring")).await;
        visits(app, 30).await;
        let asked = ListClicksRequest { page_size: 1000, ..ListClicksRequest::default() };
        let listed = tenant.analytics.clone().list_clicks(asked.clone()).await.expect("a page").into_inner();
        assert_eq!(listed.clicks.len(), 30);
        for format in FORMATS {
            let sent = export(&tenant, Report::Clicks(asked.clone()), format).await.expect("a file");
            assert_eq!(sent.end.rows, 30, "{format:?}");
            assert!(sent.file.file_name.starts_with("clicks-2026-10-23-2026-11-22."), "{:?}", sent.file);
            let rows = read(&sent, format);
            assert_eq!(rows.len(), 30, "{format:?}");
            for (row, click) in rows.iter().zip(&listed.clicks) {
                let cell = |name: &str| row[name].clone().unwrap_or_default();
                assert_eq!((cell("id"), cell("link_id")), (click.id.clone(), click.link_id.clone()));
                assert_eq!((cell("os"), cell("referrer")), (click.os.clone(), click.referrer.clone()));
                // In a spreadsheet it is a text.
                let guard =
                    if format == ReportFormat::Csv && click.utm_source.starts_with('=') { "'" } else { "" };
                assert_eq!(cell("utm_source"), format!("{guard}{}", click.utm_source), "{format:?}");
                let at = click.time.expect("always there");
                let at = chrono::DateTime::from_timestamp(at.seconds, at.nanos as u32).expect("a moment");
                assert_eq!(cell("time"), at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
            }
            assert!(
                rows.iter().any(|row| row["utm_source"].as_deref().is_some_and(|text| text.contains("=1+1")))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn reports_say_the_same_as_the_calls() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("spring")).await;
        visits(app, 30).await;
        let mut analytics = tenant.analytics.clone();
        let by_day = QueryTimeSeriesRequest { compare_previous: true, ..QueryTimeSeriesRequest::default() };
        let by_source = QueryBreakdownRequest {
            dimension: Dimension::UtmSource.into(),
            ..QueryBreakdownRequest::default()
        };
        let filters = vec![DimensionFilter {
            dimension: Dimension::Os.into(),
            values: vec!["ios".into(), "linux".into()],
        }];
        let of_some = QueryBreakdownRequest { filters, ..by_source.clone() };
        let days = analytics.query_time_series(by_day.clone()).await.expect("numbers").into_inner();
        let sources = analytics.query_breakdown(by_source.clone()).await.expect("numbers").into_inner();
        let some = analytics.query_breakdown(of_some.clone()).await.expect("numbers").into_inner();
        let campaigns =
            analytics.get_campaigns(GetCampaignsRequest::default()).await.expect("numbers").into_inner();
        assert_eq!(days.total.clone().expect("always there").clicks, 30);
        assert_eq!(some.total.clone().expect("always there").clicks, 20);
        let number = |row: &BTreeMap<String, Option<String>>, name: &str| -> i64 {
            row[name].as_ref().expect("a number").parse().expect("a number")
        };
        let guarded = |format, value: &str| {
            if format == ReportFormat::Csv && value.starts_with('=') {
                format!("'{value}")
            } else {
                value.to_owned()
            }
        };
        for format in FORMATS {
            let sent = export(&tenant, Report::TimeSeries(by_day.clone()), format).await.expect("a file");
            let rows = read(&sent, format);
            let told: Vec<_> = rows
                .iter()
                .map(|row| (row["period"].clone().unwrap_or_default(), number(row, "clicks")))
                .collect();
            let current = days.buckets.iter().map(|bucket| ("current", bucket));
            let expected: Vec<_> = current
                .chain(days.previous.iter().map(|bucket| ("previous", bucket)))
                .map(|(period, bucket)| {
                    (period.to_owned(), bucket.measures.clone().expect("always there").clicks)
                })
                .collect();
            assert_eq!(told, expected, "{format:?}");

            for (asked, answer) in [(&by_source, &sources), (&of_some, &some)] {
                let sent = export(&tenant, Report::Breakdown(asked.clone()), format).await.expect("a file");
                assert!(sent.file.file_name.starts_with("breakdown-utm-source-2026-"), "{:?}", sent.file);
                let told: Vec<_> = read(&sent, format)
                    .iter()
                    .map(|row| {
                        (
                            row["value"].clone().unwrap_or_default(),
                            number(row, "clicks"),
                            number(row, "bot_clicks"),
                        )
                    })
                    .collect();
                let expected: Vec<_> = answer
                    .rows
                    .iter()
                    .map(|row| {
                        let measures = row.measures.clone().expect("always there");
                        (guarded(format, &row.value), measures.clicks, measures.bot_clicks)
                    })
                    .collect();
                assert_eq!(told, expected, "{format:?}");
            }

            let report = Report::Campaigns(GetCampaignsRequest::default());
            let sent = export(&tenant, report, format).await.expect("a file");
            let told: Vec<_> = read(&sent, format)
                .iter()
                .map(|row| (row["source"].clone().unwrap_or_default(), number(row, "clicks")))
                .collect();
            let expected: Vec<_> = campaigns
                .rows
                .iter()
                .map(|row| (guarded(format, &row.source), row.measures.clone().expect("always there").clicks))
                .collect();
            assert_eq!(told, expected, "{format:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn funnels_and_cohorts_say_the_same_as_the_calls() {
    for store in stores() {
        eprintln!("on {store}");
        let (app, networks) = world(store, &[]).await;
        let year = live_through((&app, &networks), 13, 120).await;
        let tenant = &year.tenant;
        let mut analytics = tenant.analytics.clone();
        let stamp = |time: Moment| Some(Timestamp { seconds: time.timestamp(), nanos: 0 });
        let span = Some(ReportSpan {
            start_time: stamp(year.start),
            end_time: stamp(year.end),
            time_zone: "Europe/Zurich".into(),
        });
        let funnel = GetFunnelRequest {
            span: span.clone(),
            event_names: vec!["open".into(), "purchase".into()],
            ..GetFunnelRequest::default()
        };
        let cohorts = GetRetentionRequest {
            span,
            cohort_length: CohortLength::Week.into(),
            days: 10,
            ..GetRetentionRequest::default()
        };
        let steps = analytics.get_funnel(funnel.clone()).await.expect("numbers").into_inner();
        let weeks = analytics.get_retention(cohorts.clone()).await.expect("numbers").into_inner();
        assert!(steps.steps[3].count > 0 && !steps.top_links.is_empty());
        let seconds = |took: Option<prost_types::Duration>| {
            took.map(|took| amount(i128::from(took.seconds) * 1_000_000_000 + i128::from(took.nanos)))
        };
        let real = |text: &Option<String>| text.as_ref().map(|text| text.parse::<f64>().expect("a number"));
        for format in FORMATS {
            let sent = export(tenant, Report::Funnel(funnel.clone()), format).await.expect("a file");
            assert!(sent.file.file_name.starts_with("funnel-2026-11-23-2027-11-23."), "{:?}", sent.file);
            let rows = read(&sent, format);
            let links = steps.top_links.iter().map(|link| link.counts.len()).sum::<usize>();
            assert_eq!(rows.len(), steps.steps.len() + links, "{format:?}");
            for (number, (row, step)) in rows.iter().zip(&steps.steps).enumerate() {
                let StepTime { average, median, p75, p95 } = step.time.clone().unwrap_or_default();
                assert_eq!(row["kind"].as_deref(), Some("step"));
                assert_eq!(row["step"], Some(number.to_string()));
                assert_eq!(
                    (&row["name"], &row["count"]),
                    (&Some(step.name.clone()), &Some(step.count.to_string()))
                );
                assert_eq!(
                    (real(&row["rate"]), real(&row["overall_rate"])),
                    (Some(step.rate), Some(step.overall_rate))
                );
                assert_eq!(
                    ["average_seconds", "median_seconds", "p75_seconds", "p95_seconds"]
                        .map(|name| row[name].clone()),
                    [average, median, p75, p95].map(seconds),
                    "{format:?}"
                );
            }
            let told: Vec<_> = rows[steps.steps.len()..]
                .iter()
                .map(|row| {
                    (row["kind"].clone(), row["link_id"].clone(), row["label"].clone(), row["count"].clone())
                })
                .collect();
            let some = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
            let expected: Vec<_> = steps
                .top_links
                .iter()
                .flat_map(|link| {
                    link.counts.iter().map(|count| {
                        (some("link"), some(&link.link_id), some(&link.label), Some(count.to_string()))
                    })
                })
                .collect();
            assert_eq!(told, expected, "{format:?}");

            let sent = export(tenant, Report::Retention(cohorts.clone()), format).await.expect("a file");
            assert!(sent.file.file_name.starts_with("retention-2026-11-23-2027-11-23."), "{:?}", sent.file);
            let rows = read(&sent, format);
            let all = weeks.cohorts.iter().map(|cohort| ("cohort", cohort));
            let all = all.chain(weeks.total.iter().map(|total| ("total", total)));
            let days: Vec<_> =
                all.flat_map(|(kind, cohort)| cohort.days.iter().map(move |day| (kind, day))).collect();
            assert_eq!(rows.len(), days.len(), "{format:?}");
            assert!(days.iter().any(|(_, day)| !day.revenue.is_empty()));
            for (row, (kind, day)) in rows.iter().zip(days) {
                assert_eq!(row["kind"].as_deref(), Some(kind));
                for (name, number) in
                    [("day", day.day.into()), ("installs", day.installs), ("active", day.active)]
                {
                    assert_eq!(row[name], Some(number.to_string()), "{format:?} {name}");
                }
                assert_eq!(real(&row["rate"]), Some(day.rate));
                assert_eq!(row["complete"], Some(day.complete.to_string()), "{format:?}");
                for currency in ["CHF", "EUR"] {
                    let earned = day.revenue.iter().find(|money| money.currency == currency);
                    let nanos = earned
                        .map_or(0, |money| i128::from(money.units) * 1_000_000_000 + i128::from(money.nanos));
                    let name = format!("revenue_{}", currency.to_lowercase());
                    assert_eq!(row[&name], Some(amount(nanos)), "{format:?} {name}");
                }
            }
        }
        let wrong_window = GetFunnelRequest {
            completion_window: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
            ..funnel
        };
        let refused = export(tenant, Report::Funnel(wrong_window), ReportFormat::Csv).await;
        assert_eq!(wrong(&refused.err().expect("is wrong")), ["funnel.completion_window"]);
        let refused =
            export(tenant, Report::Retention(GetRetentionRequest { days: 91, ..cohorts }), ReportFormat::Csv)
                .await;
        assert_eq!(wrong(&refused.err().expect("is wrong")), ["retention.days"]);
        app.stop().await;
        drop(networks);
    }
}

#[tokio::test]
async fn a_large_file_comes_in_parts_and_an_empty_one_has_its_columns() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("spring")).await;
        for format in FORMATS {
            let sent =
                export(&tenant, Report::Clicks(ListClicksRequest::default()), format).await.expect("a file");
            assert_eq!((sent.end.rows, read(&sent, format).len()), (0, 0), "{format:?}");
            assert_eq!(sent.data.is_empty(), format == ReportFormat::Ndjson);
        }
        visits(app, 300).await;
        let report = Report::Clicks(ListClicksRequest { page_size: 1, ..ListClicksRequest::default() });
        let sent = export(&tenant, report, ReportFormat::Ndjson).await.expect("a file");
        assert_eq!(sent.end.rows, 300, "the size of a page is not used");
        assert!(sent.data.len() > 65_536 && sent.longest == 65_536, "{} {}", sent.data.len(), sent.longest);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_before_anything_is_sent() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let nothing = tenant.analytics.clone().export_report(ExportReportRequest::default()).await;
        assert_eq!(wrong(&nothing.expect_err("asks nothing")), ["format", "report"]);
        let filters = vec![DimensionFilter { dimension: 99, values: vec!["x".into()] }];
        let asked = ListClicksRequest { filters, ..ListClicksRequest::default() };
        let refused =
            export(&tenant, Report::Clicks(asked), ReportFormat::Csv).await.err().expect("is wrong");
        assert_eq!(wrong(&refused), ["clicks.filters[0].dimension"]);
        let refused =
            export(&tenant, Report::Breakdown(QueryBreakdownRequest::default()), ReportFormat::Csv).await;
        assert_eq!(wrong(&refused.err().expect("is wrong")), ["breakdown.dimension"]);
        let scope = Some(ReportScope { workspace_id: other.id.clone(), part: None });
        let asked = ListClicksRequest { scope, ..ListClicksRequest::default() };
        let refused =
            export(&tenant, Report::Clicks(asked), ReportFormat::Csv).await.err().expect("not mine");
        assert_eq!(reason(&refused), "NOT_FOUND");
        let viewer = person(app, "viewer@example.com", Some((&tenant.id, Role::Viewer))).await;
        let viewer = app.with_key(&tenant.id, viewer).await;
        let scope = Some(ReportScope { workspace_id: tenant.id.clone(), part: None });
        let asked = ListClicksRequest { scope, ..ListClicksRequest::default() };
        let refused = export(&viewer, Report::Clicks(asked), ReportFormat::Csv).await.err().expect("may not");
        assert_eq!(reason(&refused), "PERMISSION_MISSING");
    })
    .await;
}
