//! Reports under names, and links by which people without an account see them.

use std::collections::BTreeSet;

use http::Method;
use linkforty::{
    db::Dialect,
    entity::{audit_event, report_share},
    pb::{
        sdk::v1::{Event, RecordEventsRequest},
        v1::{
            CreateReportRequest, CreateReportShareRequest, CreateReportShareResponse, DeleteReportRequest,
            Dimension, GetFunnelRequest, GetReportRequest, GetRetentionRequest, ListReportSharesRequest,
            ListReportsRequest, OpenReportShareRequest, OpenReportShareResponse, QueryBreakdownRequest,
            QueryTimeSeriesRequest, RelativeSpan, RelativeUnit, Report, ReportQuery, ReportResult,
            ReportScope, ReportShare, RevokeReportShareRequest, RunReportRequest, UpdateReportRequest,
            report_query::Query, report_result::Result as Answer, report_scope::Part,
            report_service_client::ReportServiceClient,
        },
    },
    workspaces::{Role, enter_as_operator, suspend},
};
use prost::Message as _;
use prost_types::{FieldMask, Timestamp};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tonic::{Code, Status};

use crate::{
    support::{
        App, DESKTOP, HERE, Tenant, behind_a_proxy, coded, first_open, iphone, link, on_every_store, reason,
        report, request_id, stores, wrong,
    },
    workspaces::person,
};

fn last_days(count: i32, query: Query) -> Option<ReportQuery> {
    let span = RelativeSpan { unit: RelativeUnit::Day.into(), count, ..RelativeSpan::default() };
    Some(ReportQuery { query: Some(query), relative_span: Some(span) })
}

fn by_day() -> Query {
    Query::TimeSeries(QueryTimeSeriesRequest::default())
}

fn by(dimension: Dimension) -> Query {
    Query::Breakdown(QueryBreakdownRequest {
        dimension: dimension.into(),
        ..QueryBreakdownRequest::default()
    })
}

async fn try_create(tenant: &Tenant, name: &str, query: Option<ReportQuery>) -> Result<Report, Status> {
    let report = Some(Report { name: name.into(), query, ..Report::default() });
    let request = CreateReportRequest { report, ..CreateReportRequest::default() };
    let made = tenant.reports.clone().create_report(request).await?.into_inner();
    Ok(made.report.expect("always there"))
}

async fn create(tenant: &Tenant, query: Query) -> Report {
    try_create(tenant, "Numbers", last_days(7, query)).await.expect("creates")
}

async fn share(
    tenant: &Tenant,
    report: &Report,
    password: &str,
    expires: Option<i64>,
) -> CreateReportShareResponse {
    let expire_time = expires.map(|seconds| Timestamp { seconds, nanos: 0 });
    let request = CreateReportShareRequest {
        report_id: report.id.clone(),
        share: Some(ReportShare { expire_time, ..ReportShare::default() }),
        password: password.into(),
        ..CreateReportShareRequest::default()
    };
    tenant.reports.clone().create_report_share(request).await.expect("shares").into_inner()
}

/// Opens a share as somebody who has nothing but its token.
async fn open(app: &App, token: &str, password: &str) -> Result<OpenReportShareResponse, Status> {
    let request =
        OpenReportShareRequest { token: token.into(), password: password.into(), page_token: String::new() };
    Ok(ReportServiceClient::new(app.channel().await).open_report_share(request).await?.into_inner())
}

async fn run(tenant: &Tenant, report: &Report) -> ReportResult {
    let request = RunReportRequest { report_id: report.id.clone(), ..RunReportRequest::default() };
    let answer = tenant.reports.clone().run_report(request).await.expect("answers").into_inner();
    answer.result.expect("always there")
}

async fn visit(app: &App, path: &str, count: usize) {
    for _ in 0..count {
        app.visit_as(Method::GET, path, &[("user-agent", DESKTOP)]).await;
    }
    app.settled().await;
}

fn clicks(result: &ReportResult) -> i64 {
    let total = match result.result.as_ref().expect("always there") {
        Answer::TimeSeries(answer) => answer.total.clone(),
        Answer::Breakdown(answer) => answer.total.clone(),
        Answer::Campaigns(answer) => answer.total.clone(),
        Answer::Funnel(answer) => return answer.steps[0].count,
        Answer::Retention(_) => panic!("it has no clicks"),
    };
    total.expect("always there").clicks
}

/// What a caller can tell two refusals apart by.
fn face(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

#[tokio::test]
async fn a_report_is_kept_once_and_changed_by_one_at_a_time() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut reports = tenant.reports.clone();
        let new = CreateReportRequest {
            report: Some(Report {
                name: " Spring ".into(),
                query: last_days(30, by_day()),
                ..Report::default()
            }),
            request_id: request_id(),
            ..CreateReportRequest::default()
        };
        let made = reports.create_report(new.clone()).await.expect("creates").into_inner().report;
        let again = reports.create_report(new.clone()).await.expect("repeats").into_inner().report;
        assert_eq!(made, again);
        let made = made.expect("always there");
        assert_eq!((&*made.name, &made.workspace_id), ("Spring", &tenant.id));
        let other = CreateReportRequest { report: Some(Report { name: "x".into(), ..made.clone() }), ..new };
        let status = reports.create_report(other).await.expect_err("another content");
        assert_eq!(reason(&status), "IDEMPOTENCY_KEY_REUSED");

        let update = |name: &str, etag: &str, paths: &[&str]| UpdateReportRequest {
            report: Some(Report {
                id: made.id.clone(),
                name: name.into(),
                etag: etag.into(),
                ..Report::default()
            }),
            update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
            ..UpdateReportRequest::default()
        };
        let changed = reports.update_report(update("Summer", &made.etag, &["name"])).await.expect("changes");
        let changed = changed.into_inner().report.expect("always there");
        assert_eq!((&*changed.name, &changed.query), ("Summer", &made.query));
        assert_ne!(changed.etag, made.etag);
        let status =
            reports.update_report(update("Autumn", &made.etag, &["name"])).await.expect_err("too late");
        assert_eq!(reason(&status), "ETAG_MISMATCH");
        let status =
            reports.update_report(update("", "", &["name", "create", "id"])).await.expect_err("wrong");
        assert_eq!(wrong(&status), ["update_mask"]);
        let status = reports.update_report(update("x", "", &["query"])).await.expect_err("asks nothing");
        assert_eq!(wrong(&status), ["report.query"]);

        create(&tenant, by(Dimension::Country)).await;
        let page = ListReportsRequest { page_size: 1, ..ListReportsRequest::default() };
        let first = reports.list_reports(page.clone()).await.expect("a page").into_inner();
        assert_eq!(first.reports, [changed.clone()]);
        let page = ListReportsRequest { page_token: first.next_page_token, ..page };
        let second = reports.list_reports(page).await.expect("a page").into_inner();
        assert_eq!((second.reports.len(), &*second.next_page_token), (1, ""));

        let gone = DeleteReportRequest {
            report_id: made.id.clone(),
            request_id: request_id(),
            ..DeleteReportRequest::default()
        };
        reports.delete_report(gone.clone()).await.expect("deletes");
        reports.delete_report(gone).await.expect("repeats");
        let get = GetReportRequest { report_id: made.id, ..GetReportRequest::default() };
        assert_eq!(reports.get_report(get).await.expect_err("gone").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_not_kept() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let theirs = other.create(coded("theirs")).await;
        let of = |part| Some(ReportScope { workspace_id: String::new(), part: Some(part) });
        for (query, expected) in [
            (None, &["report.query"][..]),
            (last_days(0, by_day()), &["report.query.relative_span.count"]),
            (last_days(7, by(Dimension::Unspecified)), &["report.query.breakdown.dimension"]),
            (
                last_days(
                    7,
                    Query::TimeSeries(QueryTimeSeriesRequest {
                        granularity: 9,
                        ..QueryTimeSeriesRequest::default()
                    }),
                ),
                &["report.query.time_series.granularity"],
            ),
            (
                last_days(
                    7,
                    Query::TimeSeries(QueryTimeSeriesRequest {
                        scope: Some(ReportScope { workspace_id: other.id.clone(), part: None }),
                        ..QueryTimeSeriesRequest::default()
                    }),
                ),
                &["report.query.time_series.scope.workspace_id"],
            ),
            (
                last_days(
                    7,
                    Query::TimeSeries(QueryTimeSeriesRequest {
                        scope: of(Part::LinkId("x".into())),
                        ..QueryTimeSeriesRequest::default()
                    }),
                ),
                &["report.query.time_series.scope.link_id"],
            ),
        ] {
            assert_eq!(wrong(&try_create(&tenant, "x", query).await.expect_err("wrong")), expected);
        }
        let query = Query::TimeSeries(QueryTimeSeriesRequest {
            scope: of(Part::LinkId(theirs.id)),
            ..QueryTimeSeriesRequest::default()
        });
        let status = try_create(&tenant, "x", last_days(7, query)).await.expect_err("not mine");
        assert_eq!(reason(&status), "NOT_FOUND");
        let listed =
            tenant.reports.clone().list_reports(ListReportsRequest::default()).await.expect("a page");
        assert!(listed.into_inner().reports.is_empty());

        let viewer = person(app, "viewer@example.com", Some((&tenant.id, Role::Viewer))).await;
        let viewer = app.with_key(&tenant.id, viewer).await;
        let request =
            CreateReportRequest { workspace_id: tenant.id.clone(), ..CreateReportRequest::default() };
        let status = viewer.reports.clone().create_report(request).await.expect_err("may not");
        assert_eq!(reason(&status), "PERMISSION_MISSING");
    })
    .await;
}

#[tokio::test]
async fn the_last_days_move_along() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("spring")).await;
        let report = create(&tenant, by_day()).await;
        visit(app, "/spring", 3).await;
        assert_eq!(clicks(&run(&tenant, &report).await), 3);
        app.clock.advance(chrono::Duration::days(6));
        visit(app, "/spring", 2).await;
        let result = run(&tenant, &report).await;
        assert_eq!(clicks(&result), 5);
        let Some(Answer::TimeSeries(answer)) = result.result else { panic!("another answer") };
        let shown: Vec<_> =
            answer.buckets.iter().map(|day| day.measures.clone().expect("always there").clicks).collect();
        assert_eq!(shown, [3, 0, 0, 0, 0, 0, 2]);
        app.clock.advance(chrono::Duration::days(1));
        assert_eq!(clicks(&run(&tenant, &report).await), 2);
    })
    .await;
}

#[tokio::test]
async fn whoever_has_the_link_sees_what_the_report_says_and_nothing_else() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let spring = tenant.create(link("spring", "https://secret.example/page")).await;
        visit(app, "/spring", 2).await;
        let report = create(&tenant, by(Dimension::Link)).await;
        let shared = share(&tenant, &report, "", None).await;
        let share = shared.share.clone().expect("always there");
        assert_eq!((shared.token.len(), shared.token.starts_with(&share.prefix)), (46, true));
        assert_eq!(shared.url, format!("https://dash.example.test/shared-reports#{}", shared.token));
        let opened = open(app, &shared.token, "").await.expect("opens");
        assert_eq!((&*opened.name, opened.expire_time), ("Numbers", None));
        let result = opened.result.clone().expect("always there");
        assert_eq!(clicks(&result), 2);
        let Some(Answer::Breakdown(answer)) = &result.result else { panic!("{result:?}") };
        assert_eq!((&*answer.rows[0].value, &*answer.rows[0].label), ("spring", "spring"));
        // Nothing of whose it is, nor of what was asked.
        let bytes = String::from_utf8_lossy(&opened.encode_to_vec()).into_owned();
        for hidden in [&tenant.id, &spring.id, &report.id, &share.id] {
            assert!(!bytes.contains(hidden.as_str()), "{hidden} in {bytes}");
        }
        // Its own people are told the link.
        let Some(Answer::Breakdown(own)) = run(&tenant, &report).await.result else {
            panic!("another answer")
        };
        assert_eq!(own.rows[0].value, spring.id);

        // What is stored opens nothing.
        let stored =
            report_share::Entity::find().one(&app.env().db.api).await.expect("reads").expect("a share");
        assert_ne!(stored.token_hash, shared.token.as_bytes());
        assert_eq!(stored.token_hash.len(), 32);
        // Credentials that come along are ignored.
        let request =
            OpenReportShareRequest { token: shared.token.clone(), ..OpenReportShareRequest::default() };
        let other = app.another_tenant().await;
        other.reports.clone().open_report_share(request).await.expect("opens for everybody");
    })
    .await;
}

#[tokio::test]
async fn funnels_and_cohorts_are_kept_and_shared_as_the_calls_answer_them() {
    behind_a_proxy(async |app, tenant| {
        let spring = tenant.create(coded("spring")).await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        app.tap("/spring", HERE).await;
        app.settled().await;
        app.clock.advance(chrono::Duration::minutes(2));
        let install = report(&sdk, first_open("phone-0001", iphone())).await;
        assert!(install.deep_link.is_some(), "{install:?}");
        let event = Event {
            event_id: "event-0001".into(),
            name: "signup".into(),
            event_time: Some(Timestamp { seconds: app.env().now().timestamp(), nanos: 0 }),
            ..Event::default()
        };
        let request = RecordEventsRequest { install_id: install.install_id, events: vec![event] };
        sdk.clone().record_events(request).await.expect("records");
        app.settled().await;
        let names = vec!["signup".to_owned()];
        let asked = GetFunnelRequest { event_names: names, ..GetFunnelRequest::default() };
        let funnel = create(tenant, Query::Funnel(asked.clone())).await;
        let cohorts =
            create(tenant, Query::Retention(GetRetentionRequest { days: 7, ..Default::default() })).await;

        let Some(Answer::Funnel(own)) = run(tenant, &funnel).await.result else { panic!("another answer") };
        let steps: Vec<_> = own.steps.iter().map(|step| (step.name.as_str(), step.count)).collect();
        assert_eq!(steps, [("click", 1), ("install", 1), ("signup", 1)]);
        assert_eq!((own.top_links.len(), &own.top_links[0].link_id), (1, &spring.id));
        let asked = GetFunnelRequest { span: own.span.clone(), ..asked };
        let called = tenant.analytics.clone().get_funnel(asked).await.expect("answers").into_inner();
        assert_eq!(called, own);
        let Some(Answer::Retention(weeks)) = run(tenant, &cohorts).await.result else {
            panic!("another answer")
        };
        assert_eq!((weeks.cohorts.len(), weeks.total.as_ref().map(|total| total.installs)), (7, Some(1)));

        // Strangers see the same, without ids.
        let opened = open(app, &share(tenant, &funnel, "", None).await.token, "").await.expect("opens");
        let bytes = String::from_utf8_lossy(&opened.encode_to_vec()).into_owned();
        assert!(!bytes.contains(&spring.id) && !bytes.contains(&tenant.id), "{bytes}");
        let Some(Answer::Funnel(shown)) = opened.result.and_then(|result| result.result) else {
            panic!("another answer")
        };
        assert_eq!(shown.steps, own.steps);
        assert_eq!((&*shown.top_links[0].label, &*shown.top_links[0].link_id), ("spring", ""));
        let opened = open(app, &share(tenant, &cohorts, "", None).await.token, "").await.expect("opens");
        assert_eq!(opened.result.and_then(|result| result.result), Some(Answer::Retention(weeks)));

        // What the calls refuse is refused by its place in the question.
        let other = app.another_tenant().await;
        for (query, expected) in [
            (
                Query::Funnel(GetFunnelRequest { cohort: 9, ..Default::default() }),
                "report.query.funnel.cohort",
            ),
            (
                Query::Retention(GetRetentionRequest { days: 91, ..Default::default() }),
                "report.query.retention.days",
            ),
            (
                Query::Retention(GetRetentionRequest {
                    scope: Some(ReportScope { workspace_id: other.id.clone(), part: None }),
                    ..Default::default()
                }),
                "report.query.retention.scope.workspace_id",
            ),
        ] {
            assert_eq!(
                wrong(&try_create(tenant, "x", last_days(7, query)).await.expect_err("wrong")),
                [expected]
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_share_is_made_once_and_its_token_told_once() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let report = create(&tenant, by_day()).await;
        let mut reports = tenant.reports.clone();
        let request = CreateReportShareRequest {
            report_id: report.id.clone(),
            request_id: request_id(),
            ..CreateReportShareRequest::default()
        };
        let made = reports.create_report_share(request.clone()).await.expect("shares").into_inner();
        let again = reports.create_report_share(request).await.expect("repeats").into_inner();
        assert_eq!((again.share, &*again.token, &*again.url), (made.share, "", ""));
        for _ in 1..20 {
            share(&tenant, &report, "", None).await;
        }
        let one_more =
            CreateReportShareRequest { report_id: report.id.clone(), ..CreateReportShareRequest::default() };
        let status = reports.create_report_share(one_more).await.expect_err("too many");
        assert_eq!(reason(&status), "TOO_MANY_REPORT_SHARES");
        let list =
            ListReportSharesRequest { report_id: report.id.clone(), ..ListReportSharesRequest::default() };
        assert_eq!(reports.list_report_shares(list).await.expect("a list").into_inner().shares.len(), 20);
        let bad = CreateReportShareRequest {
            report_id: "x".into(),
            password: "short".into(),
            share: Some(ReportShare {
                expire_time: Some(Timestamp { seconds: 1, nanos: 0 }),
                ..ReportShare::default()
            }),
            ..CreateReportShareRequest::default()
        };
        let status = reports.create_report_share(bad).await.expect_err("wrong");
        assert_eq!(wrong(&status), ["report_id", "share.expire_time", "password"]);
    })
    .await;
}

#[tokio::test]
async fn tokens_that_are_unknown_over_or_revoked_answer_alike() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mine = tenant.create(coded("mine")).await;
        let report = create(&tenant, by_day()).await;
        let scope =
            Some(ReportScope { workspace_id: String::new(), part: Some(Part::LinkId(mine.id.clone())) });
        let of_link = create(
            &tenant,
            Query::TimeSeries(QueryTimeSeriesRequest { scope, ..QueryTimeSeriesRequest::default() }),
        )
        .await;
        let deleted = create(&tenant, by_day()).await;
        let now = app.env().now().timestamp();
        let over = share(&tenant, &report, "", Some(now + 60)).await.token;
        let revoked = share(&tenant, &report, "", None).await;
        let of_deleted = share(&tenant, &deleted, "", None).await.token;
        let of_link = share(&tenant, &of_link, "", None).await.token;
        let good = share(&tenant, &report, "", Some(now + 3600)).await.token;
        for token in [&over, &revoked.token, &of_deleted, &of_link, &good] {
            open(app, token, "").await.expect("opens");
        }
        app.clock.advance(chrono::Duration::minutes(1));
        let revoke = RevokeReportShareRequest {
            share_id: revoked.share.expect("always there").id,
            request_id: request_id(),
            ..RevokeReportShareRequest::default()
        };
        tenant.reports.clone().revoke_report_share(revoke.clone()).await.expect("revokes");
        tenant.reports.clone().revoke_report_share(revoke).await.expect("repeats");
        let delete = DeleteReportRequest { report_id: deleted.id.clone(), ..DeleteReportRequest::default() };
        tenant.reports.clone().delete_report(delete).await.expect("deletes");
        tenant.delete(&mine.id).await;
        let unknown = format!("rs_{}", "A".repeat(43));
        let mut changed = good.clone();
        changed.replace_range(10..11, if &good[10..11] == "x" { "y" } else { "x" });
        let expected = face(&open(app, &unknown, "").await.expect_err("is nobody's"));
        assert_eq!(expected.0, Code::NotFound);
        for (what, token) in [
            ("over", &over),
            ("revoked", &revoked.token),
            ("of a deleted report", &of_deleted),
            ("of a deleted link", &of_link),
            ("changed", &changed),
            ("empty", &String::new()),
            ("too long", &"rs_".repeat(10_000)),
            ("an API key", &tenant.key),
        ] {
            assert_eq!(face(&open(app, token, "").await.expect_err(what)), expected, "{what}");
            assert_eq!(face(&open(app, token, "some password").await.expect_err(what)), expected, "{what}");
        }
        open(app, &good, "").await.expect("still opens");
        let operator = enter_as_operator(app.env(), Some(&tenant.id)).await.expect("is there");
        suspend(app.env(), &operator, Some("phishing")).await.expect("suspends");
        assert_eq!(face(&open(app, &good, "").await.expect_err("suspended")), expected);
        suspend(app.env(), &operator, None).await.expect("restores");
        open(app, &good, "").await.expect("opens again");
    })
    .await;
}

#[tokio::test]
async fn passwords_are_asked_for_counted_and_noted() {
    for store in stores() {
        let settings =
            [("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_MAX", "1000"), ("RATE_LIMIT_UNLOCK_MAX", "3")];
        let app = App::start_with(store, &settings).await;
        let tenant = app.tenant().await;
        let report = create(&tenant, by_day()).await;
        let shared = share(&tenant, &report, "correct horse", None).await;
        assert!(shared.share.expect("always there").has_password);
        for _ in 0..10 {
            // To ask whether there is one is no try.
            let status = open(&app, &shared.token, "").await.expect_err("locked");
            assert_eq!((status.code(), &*reason(&status)), (Code::Unauthenticated, "REPORT_SHARE_LOCKED"));
        }
        open(&app, &shared.token, "correct horse").await.expect("opens");
        for wrong in ["wrong horse", "correct hors"] {
            assert_eq!(
                reason(&open(&app, &shared.token, wrong).await.expect_err("wrong")),
                "REPORT_SHARE_LOCKED"
            );
        }
        // The right one has to wait too, or waiting would tell it.
        let status = open(&app, &shared.token, "correct horse").await.expect_err("too many");
        assert_eq!(reason(&status), "RATE_LIMITED", "{store}");
        let refused = audit_event::Entity::find()
            .filter(audit_event::Column::Action.eq("report.share_refused"))
            .all(&app.env().db.api)
            .await
            .expect("reads");
        assert_eq!(refused.len(), 2);
        assert!(refused.iter().all(|note| !note.changes.contains("horse") && note.actor_kind == 6));
        app.stop().await;
    }
}

#[tokio::test]
async fn what_is_done_to_reports_is_noted_without_what_opens_them() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let report = create(&tenant, by_day()).await;
        let shared = share(&tenant, &report, "correct horse", None).await;
        let update = UpdateReportRequest {
            report: Some(Report { id: report.id.clone(), name: "Other".into(), ..Report::default() }),
            ..UpdateReportRequest::default()
        };
        tenant.reports.clone().update_report(update).await.expect("changes");
        let revoke = RevokeReportShareRequest {
            share_id: shared.share.expect("always there").id,
            ..RevokeReportShareRequest::default()
        };
        tenant.reports.clone().revoke_report_share(revoke).await.expect("revokes");
        let delete = DeleteReportRequest { report_id: report.id, ..DeleteReportRequest::default() };
        tenant.reports.clone().delete_report(delete).await.expect("deletes");
        let notes = audit_event::Entity::find().all(&app.env().db.api).await.expect("reads");
        let notes: Vec<_> = notes.into_iter().filter(|note| note.action.starts_with("report.")).collect();
        let actions: BTreeSet<_> = notes.iter().map(|note| note.action.as_str()).collect();
        let expected =
            ["report.created", "report.deleted", "report.share_revoked", "report.shared", "report.updated"];
        assert_eq!(actions.into_iter().collect::<Vec<_>>(), expected);
        for note in &notes {
            assert!(
                !note.changes.contains(&shared.token) && !note.changes.contains("horse"),
                "{}",
                note.changes
            );
        }
        // And none of it is left in any table.
        let db = &app.env().db.api;
        let shares = report_share::Entity::find().all(db).await.expect("reads");
        assert!(
            shares.is_empty(),
            "they go with their report, on {:?}",
            matches!(app.env().db.dialect(), Dialect::Postgres)
        );
    })
    .await;
}
