//! What campaigns cost: imported, counted in every report that can tell, corrected, deleted.

use std::{collections::BTreeMap, fs, process::Command};

use chrono::Duration;
use linkforty::{
    analytics::costs::convert_waiting,
    attribution::events,
    clock::Moment,
    pb::{
        sdk::v1::{self as sdk, Event, RecordEventsRequest},
        v1::{
            CampaignLevel, CampaignRow, Cost, CostError, CostFilter, CreateReportRequest,
            CreateReportShareRequest, DeleteCostsRequest, Dimension, DimensionFilter, ExportReportRequest,
            GetCampaignsRequest, GetOverviewRequest, GetOverviewResponse, Granularity, ImportCostsRequest,
            ImportCostsResponse, Link, ListCostsRequest, Measures, Money, OpenReportShareRequest,
            QueryBreakdownRequest, QueryTimeSeriesRequest, Report, ReportFormat, ReportQuery, ReportScope,
            ReportSpan, Utm, cost_service_client::CostServiceClient, export_report_request,
            export_report_response::Part, report_query::Query, report_result::Result as Answer, report_scope,
        },
    },
    rpc::Permission,
};
use prost_types::Timestamp;
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::{
    events::set_currency,
    support::{
        App, Bearer, HERE, Tenant, an_app, behind_a_proxy, coded, first_open, iphone, on_every_store, reason,
        report, wrong,
    },
};

type Costs = CostServiceClient<InterceptedService<Channel, Bearer>>;

async fn costs_of(app: &App, key: &str) -> Costs {
    CostServiceClient::with_interceptor(app.channel().await, Bearer(key.to_owned()))
}

fn money(currency: &str, units: i64, nanos: i32) -> Option<Money> {
    Some(Money { currency: currency.into(), units, nanos })
}

fn francs(units: i64, nanos: i32) -> Option<Money> {
    money("CHF", units, nanos)
}

/// A cost of the campaign that the tests' link is of.
fn of_news(date: &str, amount: Option<Money>) -> Cost {
    Cost {
        date: date.into(),
        source: "news".into(),
        medium: "mail".into(),
        campaign: "spring".into(),
        amount,
        ..Cost::default()
    }
}

async fn import(costs: &Costs, all: Vec<Cost>) -> ImportCostsResponse {
    let request = ImportCostsRequest { costs: all, ..ImportCostsRequest::default() };
    costs.clone().import_costs(request).await.expect("imports").into_inner()
}

async fn list(costs: &Costs, filter: CostFilter) -> Vec<Cost> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListCostsRequest {
            filter: Some(filter.clone()),
            page_size: 2,
            page_token,
            ..ListCostsRequest::default()
        };
        let page = costs.clone().list_costs(request).await.expect("lists").into_inner();
        all.extend(page.costs);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

fn span(start: Moment, end: Moment, time_zone: &str) -> Option<ReportSpan> {
    let stamp = |time: Moment| Some(Timestamp { seconds: time.timestamp(), nanos: 0 });
    Some(ReportSpan { start_time: stamp(start), end_time: stamp(end), time_zone: time_zone.into() })
}

/// What was spent, in the one currency there is; none where nothing is known.
fn spent(measures: Option<&Measures>) -> Option<(i64, i32)> {
    let cost = &measures.expect("always there").cost;
    assert!(cost.iter().all(|money| money.currency == "CHF") && cost.len() < 2, "{cost:?}");
    cost.first().map(|money| (money.units, money.nanos))
}

/// A campaign, its clicks, an install and a purchase of 30 francs.
struct Spring {
    tenant: Tenant,
    costs: Costs,
    link: Link,
    app_id: String,
    /// The midnight, UTC, before all that.
    midnight: Moment,
    today: String,
    yesterday: String,
}

impl Spring {
    async fn of(app: &App) -> Self {
        let tenant = set_currency(app, "CHF").await;
        let costs = costs_of(app, &tenant.key).await;
        let utm =
            Utm { source: "news".into(), medium: "mail".into(), campaign: "spring".into(), ..Utm::default() };
        let link = tenant.create(Link { utm: Some(utm), ..coded("spring") }).await;
        let created = tenant.create_app(an_app()).await;
        let sdk = app.sdk(&created.app_token, HERE).await;
        app.tap("/spring?utm_term=shoes&utm_content=red", HERE).await;
        app.tap("/spring?utm_term=shoes&utm_content=blue", "198.51.100.77").await;
        app.tap("/spring?utm_term=shoes", "198.51.100.78").await;
        app.tap("/spring", "198.51.100.79").await;
        app.settled().await;
        app.clock.advance(Duration::minutes(2));
        let install = report(&sdk, first_open("phone-0001", iphone())).await;
        assert!(install.deep_link.is_some(), "{install:?}");
        let event = Event {
            event_id: "event-0001".into(),
            name: "purchase".into(),
            event_time: Some(Timestamp { seconds: app.env().now().timestamp(), nanos: 0 }),
            revenue: Some(sdk::Money { currency: "CHF".into(), units: 30, nanos: 0 }),
            ..Event::default()
        };
        let request = RecordEventsRequest { install_id: install.install_id, events: vec![event] };
        sdk.clone().record_events(request).await.expect("records");
        app.settled().await;
        app.rolled().await;
        let date = app.env().now().date_naive();
        Self {
            tenant,
            costs,
            link,
            app_id: created.id,
            midnight: date.and_time(chrono::NaiveTime::MIN).and_utc(),
            today: date.to_string(),
            yesterday: (date - chrono::Days::new(1)).to_string(),
        }
    }

    fn today(&self) -> Option<ReportSpan> {
        span(self.midnight, self.midnight + Duration::days(1), "UTC")
    }

    async fn overview(&self) -> GetOverviewResponse {
        let whole = self.today().expect("a span");
        let request = GetOverviewRequest {
            start_time: whole.start_time,
            end_time: whole.end_time,
            time_zone: whole.time_zone,
            ..GetOverviewRequest::default()
        };
        self.tenant.analytics.clone().get_overview(request).await.expect("answers").into_inner()
    }

    async fn campaigns(&self, request: GetCampaignsRequest) -> Vec<CampaignRow> {
        let request = GetCampaignsRequest { span: self.today(), ..request };
        let answer = self.tenant.analytics.clone().get_campaigns(request).await.expect("answers");
        let answer = answer.into_inner();
        let sum: i64 = answer.rows.iter().flat_map(|row| &row.measures).map(|measures| measures.clicks).sum();
        assert_eq!(answer.total.expect("always there").clicks, sum);
        answer.rows
    }

    async fn by(&self, dimension: Dimension) -> BTreeMap<String, Option<(i64, i32)>> {
        let request = QueryBreakdownRequest {
            span: self.today(),
            dimension: dimension.into(),
            ..QueryBreakdownRequest::default()
        };
        let answer = self.tenant.analytics.clone().query_breakdown(request).await.expect("answers");
        let rows = answer.into_inner().rows;
        rows.iter().map(|row| (row.value.clone(), spent(row.measures.as_ref()))).collect()
    }
}

#[tokio::test]
async fn what_campaigns_cost_says_what_an_install_costs_and_what_comes_back() {
    behind_a_proxy(async |app, _| {
        let spring = Spring::of(app).await;
        let (today, yesterday) = (&*spring.today, &*spring.yesterday);
        let rates = format!("Date,USD,CHF\n{yesterday},1.25,0.95\n");
        events::import_rates(app.env(), rates.as_bytes(), |_| {}).await.expect("imports");
        let ad = |ad_group: &str, creative: &str, amount| Cost {
            ad_group: ad_group.into(),
            creative: creative.into(),
            ..of_news(today, amount)
        };
        let tv = Cost {
            source: "tv".into(),
            campaign: "spring".into(),
            country: "CH".into(),
            app_id: spring.app_id.clone(),
            ..Cost { date: today.into(), amount: francs(10, 0), ..Cost::default() }
        };
        let of_link = Cost {
            date: today.into(),
            link_id: spring.link.id.clone(),
            amount: francs(2, 0),
            ..Cost::default()
        };
        let all = vec![
            ad("shoes", "red", francs(6, 0)),
            // 1.25 / 1.25 * 0.95, at the rate of the day before.
            ad("", "", money("USD", 1, 250_000_000)),
            tv,
            of_link,
            ad("", "old", money("JPY", 800, 0)),
            of_news(yesterday, francs(4, 0)),
        ];
        let answer = import(&spring.costs, all).await;
        assert_eq!((answer.stored, answer.waiting, answer.errors), (6, 1, vec![]));

        let overview = spring.overview().await;
        let total = overview.total.clone().expect("always there");
        assert_eq!((total.clicks, total.attributed_installs), (4, 1));
        assert_eq!(total.cost, [Money { currency: "CHF".into(), units: 18, nanos: 950_000_000 }]);
        assert_eq!((total.cpi, total.cpc), (francs(18, 950_000_000), francs(4, 737_500_000)));
        assert!((total.roas.expect("known") - 30.0 / 18.95).abs() < 1e-12);
        assert_eq!(spent(overview.previous.as_ref()), Some((4, 0)));

        // The tree, level by level; what costs and brings nobody has its row.
        let told = |rows: Vec<CampaignRow>| -> Vec<_> {
            rows.into_iter()
                .map(|row| {
                    let path =
                        [row.source, row.medium, row.campaign, row.ad_group, row.creative, row.link_id];
                    let measures = row.measures.expect("always there");
                    let cost = spent(Some(&measures));
                    // Thousandths are exact in what follows.
                    let roas = measures.roas.map(|roas| (roas * 1000.0).round() / 1000.0);
                    (path.join("/"), measures.clicks, cost, measures.cpi, roas)
                })
                .collect()
        };
        let row = |path: &str, clicks: i64, cost: Option<(i64, i32)>, cpi, roas| {
            (path.to_owned(), clicks, cost, cpi, roas)
        };
        let of = |level: CampaignLevel, order_by: &str| GetCampaignsRequest {
            level: level.into(),
            order_by: order_by.into(),
            ..GetCampaignsRequest::default()
        };
        let news = (8, 950_000_000);
        assert_eq!(
            told(spring.campaigns(of(CampaignLevel::Source, "roas desc")).await),
            [
                row("news/////", 4, Some(news), francs(8, 950_000_000), Some(3.352)),
                row("tv/////", 0, Some((10, 0)), None, Some(0.0)),
            ]
        );
        let by_cost = told(spring.campaigns(of(CampaignLevel::Source, "cost desc")).await);
        assert_eq!(by_cost[0].0, "tv/////");
        let ads = |level, ad_group: Option<&str>| GetCampaignsRequest {
            source: Some("news".into()),
            ad_group: ad_group.map(str::to_owned),
            ..of(level, "value")
        };
        assert_eq!(
            told(spring.campaigns(ads(CampaignLevel::AdGroup, None)).await),
            [
                row("news/mail/spring///", 1, Some((2, 950_000_000)), None, Some(0.0)),
                row("news/mail/spring/shoes//", 3, Some((6, 0)), francs(6, 0), Some(5.0)),
            ]
        );
        assert_eq!(
            told(spring.campaigns(ads(CampaignLevel::Creative, Some("shoes"))).await),
            [
                row("news/mail/spring/shoes//", 1, None, None, None),
                row("news/mail/spring/shoes/blue/", 1, None, None, None),
                row("news/mail/spring/shoes/red/", 1, Some((6, 0)), francs(6, 0), Some(5.0)),
            ]
        );
        let link = &*spring.link.id;
        assert_eq!(
            told(spring.campaigns(ads(CampaignLevel::Link, None)).await),
            [
                row("news/mail/spring///", 0, Some((6, 950_000_000)), None, Some(0.0)),
                row(&format!("news/mail/spring///{link}"), 4, Some((2, 0)), francs(2, 0), Some(15.0)),
            ]
        );
        let wrong_level = ads(CampaignLevel::Link, Some("shoes"));
        let refused = spring.tenant.analytics.clone().get_campaigns(wrong_level).await;
        assert_eq!(wrong(&refused.expect_err("links have no ad group")), ["ad_group"]);

        // By what costs are told apart by; of others nothing is known.
        let of = |pairs: &[(&str, Option<(i64, i32)>)]| -> BTreeMap<String, Option<(i64, i32)>> {
            pairs.iter().map(|(value, cost)| ((*value).to_owned(), *cost)).collect()
        };
        assert_eq!(spring.by(Dimension::UtmSource).await, of(&[("news", Some(news)), ("tv", Some((10, 0)))]));
        assert_eq!(spring.by(Dimension::UtmCampaign).await, of(&[("spring", Some((18, 950_000_000)))]));
        assert_eq!(
            spring.by(Dimension::Link).await,
            of(&[("", Some((16, 950_000_000))), (link, Some((2, 0)))])
        );
        let countries = spring.by(Dimension::Country).await;
        assert_eq!((countries["CH"], countries[""]), (Some((10, 0)), Some(news)));
        assert_eq!(spring.by(Dimension::App).await[&spring.app_id], Some((10, 0)));
        assert!(spring.by(Dimension::Device).await.values().all(Option::is_none));

        // A day counts at its midnight, in whatever zone is asked for; under a filter what fits it.
        let series =
            async |time_zone: &str, granularity: Granularity, filter: Option<(Dimension, &str)>, part| {
                let request = QueryTimeSeriesRequest {
                    span: span(
                        spring.midnight - Duration::days(2),
                        spring.midnight + Duration::days(2),
                        time_zone,
                    ),
                    granularity: granularity.into(),
                    filter: filter.map(|(dimension, value)| DimensionFilter {
                        dimension: dimension.into(),
                        values: vec![value.to_owned()],
                    }),
                    scope: Some(ReportScope { part, ..ReportScope::default() }),
                    ..QueryTimeSeriesRequest::default()
                };
                let answer =
                    spring.tenant.analytics.clone().query_time_series(request).await.expect("answers");
                let answer = answer.into_inner();
                let buckets: Vec<_> = answer
                    .buckets
                    .iter()
                    .filter_map(|bucket| {
                        let start = bucket.start_time.as_ref().expect("always there").seconds;
                        Some(((start - spring.midnight.timestamp()) / 3600, spent(bucket.measures.as_ref())?))
                    })
                    .collect();
                (buckets, spent(answer.total.as_ref()))
            };
        let whole = Some((22, 950_000_000));
        let days = vec![(-24, (4, 0)), (0, (18, 950_000_000))];
        assert_eq!(series("UTC", Granularity::Day, None, None).await, (days.clone(), whole));
        assert_eq!(series("UTC", Granularity::Hour, None, None).await, (days, whole));
        let kolkata = vec![(-29, (4, 0)), (-5, (18, 950_000_000))];
        assert_eq!(series("Asia/Kolkata", Granularity::Day, None, None).await, (kolkata, whole));
        let of_tv = (vec![(0, (10, 0))], Some((10, 0)));
        for filter in
            [(Dimension::UtmSource, "tv"), (Dimension::Country, "CH"), (Dimension::App, &spring.app_id)]
        {
            assert_eq!(series("UTC", Granularity::Day, Some(filter), None).await, of_tv, "{filter:?}");
        }
        let unknown = series("UTC", Granularity::Day, Some((Dimension::Link, "")), None).await;
        assert_eq!(unknown.1, Some((20, 950_000_000)));
        let phones = series("UTC", Granularity::Day, Some((Dimension::Device, "phone")), None).await;
        assert_eq!(phones, (vec![], None));
        let part = |part| series("UTC", Granularity::Day, None, Some(part));
        assert_eq!(part(report_scope::Part::AppId(spring.app_id.clone())).await, of_tv);
        let of_link = part(report_scope::Part::LinkId(link.to_owned())).await;
        assert_eq!(of_link, (vec![(0, (2, 0))], Some((2, 0))));
        assert_eq!(part(report_scope::Part::Domain(String::new())).await, (vec![], None));

        // A rate that comes later converts what waited.
        let late = format!("Date,JPY,CHF\n{today},160,0.96\n");
        events::import_rates(app.env(), late.as_bytes(), |_| {}).await.expect("imports");
        assert_eq!(convert_waiting(app.env()).await.expect("converts"), 1);
        assert_eq!(spent(spring.overview().await.total.as_ref()), Some((23, 750_000_000)));
    })
    .await;
}

#[tokio::test]
async fn costs_are_corrected_by_importing_them_again_and_deleted_by_days() {
    on_every_store(async |app| {
        let tenant = set_currency(app, "CHF").await;
        let other = app.another_tenant().await;
        let (costs, others) = (costs_of(app, &tenant.key).await, costs_of(app, &other.key).await);
        let day = |day: u32, source: &str, units| Cost {
            source: source.into(),
            ..of_news(&format!("2026-11-{day:02}"), francs(units, 0))
        };
        let all: Vec<Cost> = (1..=5).flat_map(|date| [day(date, "ads", 1), day(date, "news", 2)]).collect();
        assert_eq!(import(&costs, all).await.stored, 10);
        assert_eq!(import(&others, vec![day(1, "ads", 50)]).await.stored, 1);
        assert_eq!(import(&costs, vec![day(3, "  ads\u{0}", 7)]).await.stored, 1);
        let told = |costs: Vec<Cost>| -> Vec<_> {
            let amount = |money: Option<Money>| money.expect("always there").units;
            costs.into_iter().map(|cost| (cost.date, cost.source, amount(cost.amount))).collect()
        };
        let found = told(list(&costs, CostFilter::default()).await);
        assert_eq!(found.len(), 10, "each once: {found:?}");
        assert!(found.is_sorted_by_key(|(date, ..)| std::cmp::Reverse(date.clone())));
        assert!(found.contains(&("2026-11-03".into(), "ads".into(), 7)), "the last word counts");
        let of_ads = CostFilter {
            start_date: "2026-11-02".into(),
            end_date: "2026-11-04".into(),
            source: Some("ads".into()),
            ..CostFilter::default()
        };
        let found = told(list(&costs, of_ads.clone()).await);
        assert_eq!(found, [("2026-11-03".into(), "ads".into(), 7), ("2026-11-02".into(), "ads".into(), 1)]);

        let delete = async |costs: &Costs, filter: CostFilter| {
            let request = DeleteCostsRequest { filter: Some(filter), ..DeleteCostsRequest::default() };
            costs.clone().delete_costs(request).await.map(|answer| answer.into_inner().deleted)
        };
        assert_eq!(delete(&costs, of_ads.clone()).await.expect("deletes"), 2);
        assert_eq!(delete(&costs, of_ads.clone()).await.expect("finds none"), 0);
        assert_eq!(list(&costs, CostFilter::default()).await.len(), 8);
        assert_eq!(list(&others, CostFilter::default()).await.len(), 1, "nobody else's");
        let refused = delete(&costs, CostFilter::default()).await.expect_err("which days?");
        assert_eq!(wrong(&refused), ["filter.start_date", "filter.end_date"]);
    })
    .await;
}

#[tokio::test]
async fn costs_that_are_wrong_are_named_and_stop_no_other() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let costs = costs_of(app, &tenant.key).await;
        let theirs = other.create(coded("theirs")).await;
        let their_app = other.create_app(an_app()).await.id;
        let day = |day: u32| of_news(&format!("2026-11-{day:02}"), francs(1, 0));
        let sent = vec![
            day(1),
            Cost { date: "yesterday".into(), country: "Switzerland".into(), ..day(1) },
            Cost { link_id: theirs.id, ..day(2) },
            Cost { app_id: their_app, ..day(2) },
            Cost { source: " news ".into(), ..day(1) },
            Cost { amount: money("XXX", 1, 0), ..day(3) },
            Cost { amount: francs(-1, 0), ..day(3) },
            day(3),
        ];
        let request =
            |validate_only, costs| ImportCostsRequest { costs, validate_only, ..Default::default() };
        let checked = costs.clone().import_costs(request(true, sent.clone())).await.expect("checks");
        assert!(list(&costs, CostFilter::default()).await.is_empty(), "nothing is stored");
        let answer = import(&costs, sent).await;
        assert_eq!(checked.into_inner(), answer);
        // This workspace has no reporting currency.
        assert_eq!((answer.stored, answer.waiting), (2, 2));
        let fields = |CostError { index, error }: CostError| {
            let error = error.expect("always there");
            let fields: Vec<String> = error.violations.into_iter().map(|wrong| wrong.field).collect();
            (index, error.code, fields.join(" "))
        };
        let told: Vec<_> = answer.errors.into_iter().map(fields).collect();
        let expected = [
            (1, "date country"),
            (2, "link_id"),
            (3, "app_id"),
            (4, "date"),
            (5, "amount.currency"),
            (6, "amount"),
        ];
        assert_eq!(told, expected.map(|(index, fields)| (index, 3, fields.to_owned())));
        assert_eq!(list(&costs, CostFilter::default()).await.len(), 2);
        for many in [vec![], vec![day(1); 5001]] {
            let refused =
                costs.clone().import_costs(request(false, many)).await.expect_err("too few, too many");
            assert_eq!(wrong(&refused), ["costs"]);
        }
        let reader = costs_of(app, &app.key(&tenant.id, &[Permission::AnalyticsRead]).await).await;
        assert_eq!(list(&reader, CostFilter::default()).await.len(), 2);
        let refused: Status =
            reader.clone().import_costs(request(false, vec![day(9)])).await.expect_err("may not");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::PermissionDenied, "PERMISSION_MISSING"));
    })
    .await;
}

#[tokio::test]
async fn files_tell_of_costs_and_shares_do_not() {
    behind_a_proxy(async |app, _| {
        let spring = Spring::of(app).await;
        import(&spring.costs, vec![of_news(&spring.today, francs(6, 500_000_000))]).await;
        let asked = GetCampaignsRequest {
            span: spring.today(),
            level: CampaignLevel::Campaign.into(),
            ..GetCampaignsRequest::default()
        };
        let report = Some(export_report_request::Report::Campaigns(asked.clone()));
        let request = ExportReportRequest { report, format: ReportFormat::Csv.into() };
        let mut parts =
            spring.tenant.analytics.clone().export_report(request).await.expect("a file").into_inner();
        let mut file = Vec::new();
        while let Some(message) = parts.message().await.expect("goes on") {
            if let Some(Part::Data(data)) = message.part {
                file.extend_from_slice(&data);
            }
        }
        let mut table = csv::Reader::from_reader(&*file);
        let heads = table.headers().expect("a first line").clone();
        let row = table.records().next().expect("a row").expect("it is read");
        let cell = |name: &str| &row[heads.iter().position(|head| head == name).expect("a column")];
        let told = ["campaign", "revenue_chf", "cost_chf", "cpi_chf", "cpc_chf"].map(cell);
        assert_eq!(told, ["spring", "30", "6.5", "6.5", "1.625"]);
        assert!(cell("roas").starts_with("4.615"));

        let query = Some(ReportQuery { query: Some(Query::Campaigns(asked)), relative_span: None });
        let report = Some(Report { name: "Spring".into(), query, ..Report::default() });
        let request = CreateReportRequest { report, ..CreateReportRequest::default() };
        let made = spring.tenant.reports.clone().create_report(request).await.expect("creates").into_inner();
        let request = CreateReportShareRequest {
            report_id: made.report.expect("always there").id,
            ..CreateReportShareRequest::default()
        };
        let shared =
            spring.tenant.reports.clone().create_report_share(request).await.expect("shares").into_inner();
        let request = OpenReportShareRequest { token: shared.token, ..OpenReportShareRequest::default() };
        let opened =
            spring.tenant.reports.clone().open_report_share(request).await.expect("opens").into_inner();
        let Some(Answer::Campaigns(answer)) = opened.result.and_then(|result| result.result) else {
            panic!("another answer")
        };
        for measures in answer.rows.iter().map(|row| row.measures.as_ref()).chain([answer.total.as_ref()]) {
            let measures = measures.expect("always there");
            let of_cost = (&measures.cost, &measures.cpi, &measures.cpc, measures.roas);
            assert_eq!(of_cost, (&vec![], &None, &None, None));
            assert_eq!(measures.revenue[0].units, 30);
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_of_costs_is_imported_at_the_command_line() {
    on_every_store(async |app| {
        let tenant = set_currency(app, "CHF").await;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("ads.csv");
        let lines = "Day,Campaign,Ad set,Spent\n2026-11-20,spring,shoes,1.25\n2026-11-20,spring,shoes,2.75\n2026-11-20,spring,hats,x\n2026-11-31,spring,,1\n";
        fs::write(&file, lines).expect("writes");
        let run = |more: &[&str]| {
            let address = format!("http://{}", app.api());
            let mut command = Command::new(env!("CARGO_BIN_EXE_linkforty"));
            command.env_clear().env("LINKFORTY_KEY", &tenant.key);
            command.args(["cost", "import"]).arg(&file).args(["--api", &address, "--set", "source=ads"]);
            command.args(["--map", "Day=date", "--map", "Ad set=ad_group", "--map", "Spent=cost"]).args(more);
            command
        };
        let said = async |more: &[&str]| {
            let mut command = run(more);
            let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
            let output = output.expect("runs");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        };
        let (code, _, why) = said(&[]).await;
        assert_eq!(code, Some(1));
        assert!(why.contains("no column is the currency"), "{why}");
        let costs = costs_of(app, &tenant.key).await;
        for (more, done) in [(&["--set", "currency=CHF", "--dry-run"][..], "would import"), (&["--set", "currency=CHF"], "imported")] {
            assert!(list(&costs, CostFilter::default()).await.is_empty());
            let (code, told, why) = said(more).await;
            assert_eq!((code, told), (Some(1), format!("{done} 1 costs of 4 lines; 0 of them wait for an exchange rate\n")));
            assert!(why.contains("line 4: cost \"x\"") && why.contains("line 5: date must be a date"), "{why}");
        }
        let found = list(&costs, CostFilter::default()).await;
        assert_eq!((found.len(), &found[0].amount, &*found[0].ad_group), (1, &francs(4, 0), "shoes"));
    })
    .await;
}
