//! `linkforty.v1.ReportService`: who calls, may they, what do they want, do it, answer.

use std::{mem::take, sync::Arc};

use tonic::{Request, Response, Status};

use super::{
    ReportChange, query,
    share::{self, NewShare, Visitor},
};
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Result, Violations, both},
    ids::{ReportShareId, SavedReportId, WorkspaceId},
    limits::Limits,
    links::{NOT_A_UUID, Run, named, once},
    pb::v1::{
        CreateReportRequest, CreateReportResponse, CreateReportShareRequest, CreateReportShareResponse,
        DeleteReportRequest, DeleteReportResponse, GetReportRequest, GetReportResponse,
        ListReportSharesRequest, ListReportSharesResponse, ListReportsRequest, ListReportsResponse,
        OpenReportShareRequest, OpenReportShareResponse, Report, ReportShare, RevokeReportShareRequest,
        RevokeReportShareResponse, RunReportRequest, RunReportResponse, UpdateReportRequest,
        UpdateReportResponse, report_service_server::ReportService,
    },
    rpc::{self, ClientAddress, Permission, moment, origin, timestamp},
    workspaces::{self, enter},
};

const FIELDS: [&str; 2] = ["name", "query"];
const OUTPUT_ONLY: [&str; 5] = ["id", "workspace_id", "create_time", "update_time", "etag"];
const MIN_PASSWORD: usize = 8;
const MAX_PASSWORD: usize = 256;

/// Answers `ReportService`.
#[derive(Debug, Clone)]
pub struct ReportApi {
    /// The handles.
    pub env: Env,
    /// How often passwords may be tried.
    pub limits: Arc<dyn Limits>,
}

#[tonic::async_trait]
impl ReportService for ReportApi {
    async fn create_report(
        &self,
        request: Request<CreateReportRequest>,
    ) -> Result<Response<CreateReportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ReportsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "CreateReport", &request_id, &asked, Run::Store);
            let read = read(asked.report.as_ref(), &FIELDS, tenant.id);
            let (new, once) = both(read, once)?;
            if let Some(query) = &new.query {
                query::attempt(env, &tenant, "report.query", query).await?;
            }
            let made = super::create(env, &tenant, new, once.as_ref()).await?;
            Ok(CreateReportResponse { report: Some(made.into()) })
        })
        .await
    }

    async fn get_report(
        &self,
        request: Request<GetReportRequest>,
    ) -> Result<Response<GetReportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::AnalyticsRead).await?;
            let report = super::get(env, &tenant, report_id("report_id", &asked.report_id)?).await?;
            Ok(GetReportResponse { report: Some(report.into()) })
        })
        .await
    }

    async fn list_reports(
        &self,
        request: Request<ListReportsRequest>,
    ) -> Result<Response<ListReportsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::AnalyticsRead).await?;
            let question = [b"ListReports".as_slice(), tenant.id.0.as_bytes()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, env.now())?;
            let page = super::list(env, &tenant, &page).await?;
            Ok(ListReportsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
                reports: page.items.into_iter().map(Report::from).collect(),
            })
        })
        .await
    }

    async fn update_report(
        &self,
        request: Request<UpdateReportRequest>,
    ) -> Result<Response<UpdateReportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ReportsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "UpdateReport", &request_id, &asked, Run::Store);
            let report = asked.report.as_ref();
            let id = report_id("report.id", report.map_or("", |report| &report.id));
            let set = |name: &str| match name {
                "name" => report.is_some_and(|report| !report.name.is_empty()),
                _ => report.is_some_and(|report| report.query.is_some()),
            };
            let fields = named(asked.update_mask.as_ref(), &FIELDS, &OUTPUT_ONLY, set);
            let change = fields.and_then(|fields| read(report, &fields, tenant.id));
            let (id, (change, once)) = both(id, both(change, once))?;
            super::get(env, &tenant, id).await?;
            if let Some(query) = &change.query {
                query::attempt(env, &tenant, "report.query", query).await?;
            }
            let etag = report.map_or("", |report| &*report.etag);
            let changed = super::update(env, &tenant, (id, etag), change, once.as_ref()).await?;
            Ok(UpdateReportResponse { report: Some(changed.into()) })
        })
        .await
    }

    async fn delete_report(
        &self,
        request: Request<DeleteReportRequest>,
    ) -> Result<Response<DeleteReportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ReportsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "DeleteReport", &request_id, &asked, Run::Store);
            let (id, once) = both(report_id("report_id", &asked.report_id), once)?;
            super::delete(env, &tenant, id, once.as_ref()).await?;
            Ok(DeleteReportResponse {})
        })
        .await
    }

    async fn run_report(
        &self,
        request: Request<RunReportRequest>,
    ) -> Result<Response<RunReportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::AnalyticsRead).await?;
            let id = report_id("report_id", &asked.report_id)?;
            let result = super::run(&env.for_bulk(), &tenant, id, &asked.page_token).await?;
            Ok(RunReportResponse { result: Some(result) })
        })
        .await
    }

    async fn create_report_share(
        &self,
        request: Request<CreateReportShareRequest>,
    ) -> Result<Response<CreateReportShareResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ReportsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "CreateReportShare", &request_id, &asked, Run::Store);
            let (new, once) = both(read_share(&asked, env.now()), once)?;
            let made = share::create(env, &tenant, new, once.as_ref()).await?;
            let origin = env.config.frontend_urls.first();
            let url = origin.zip(made.token.as_ref()).map(|(origin, token)| address(origin, token));
            Ok(CreateReportShareResponse {
                share: Some(made.share.into()),
                token: made.token.unwrap_or_default(),
                url: url.unwrap_or_default(),
            })
        })
        .await
    }

    async fn list_report_shares(
        &self,
        request: Request<ListReportSharesRequest>,
    ) -> Result<Response<ListReportSharesResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::AnalyticsRead).await?;
            let shares = share::list(env, &tenant, report_id("report_id", &asked.report_id)?).await?;
            Ok(ListReportSharesResponse { shares: shares.into_iter().map(ReportShare::from).collect() })
        })
        .await
    }

    async fn revoke_report_share(
        &self,
        request: Request<RevokeReportShareRequest>,
    ) -> Result<Response<RevokeReportShareResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ReportsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "RevokeReportShare", &request_id, &asked, Run::Store);
            let id = ReportShareId::parse(&asked.share_id);
            let id = id.ok_or_else(|| Error::invalid_field("share_id", NOT_A_UUID));
            let (id, once) = both(id, once)?;
            share::revoke(env, &tenant, id, once.as_ref()).await?;
            Ok(RevokeReportShareResponse {})
        })
        .await
    }

    async fn open_report_share(
        &self,
        request: Request<OpenReportShareRequest>,
    ) -> Result<Response<OpenReportShareResponse>, Status> {
        rpc::answer(async {
            let client = request.extensions().get::<ClientAddress>().copied();
            let visitor = Visitor {
                origin: origin(request.metadata().as_ref(), request.extensions()),
                network: client.map(ClientAddress::network),
                limits: &self.limits,
            };
            let OpenReportShareRequest { token, password, page_token } = request.into_inner();
            if password.chars().count() > MAX_PASSWORD {
                return Err(Error::invalid_field("password", "must have at most 256 characters"));
            }
            let opened = share::open(&self.env.for_bulk(), &token, &password, &page_token, visitor).await?;
            Ok(OpenReportShareResponse {
                name: opened.name,
                result: Some(opened.result),
                expire_time: opened.expire_time.map(timestamp),
            })
        })
        .await
    }
}

fn report_id(path: &str, text: &str) -> Result<SavedReportId> {
    SavedReportId::parse(text).ok_or_else(|| Error::invalid_field(path, NOT_A_UUID))
}

fn read(report: Option<&Report>, fields: &[&str], workspace: WorkspaceId) -> Result<ReportChange> {
    let report = report.ok_or_else(|| Error::invalid_field("report", "is required"))?;
    let mut wrong = Violations::default();
    let mut change = ReportChange::default();
    if fields.contains(&"name") {
        change.name = wrong.take("report.name", workspaces::name(&report.name));
    }
    let query = fields.contains(&"query");
    let query = query.then(|| query::read("report.query", report.query.as_ref(), workspace)).transpose();
    let ((), query) = both(wrong.into_result(()), query)?;
    Ok(ReportChange { query, ..change })
}

fn read_share(asked: &CreateReportShareRequest, now: Moment) -> Result<NewShare> {
    let mut wrong = Violations::default();
    let report = SavedReportId::parse(&asked.report_id).ok_or(NOT_A_UUID);
    let report = wrong.take("report_id", report);
    let expire_time = asked.share.as_ref().and_then(|share| share.expire_time.as_ref());
    let expire_time = expire_time.map(|time| match moment(time) {
        Ok(time) if time <= now => Err("must be in the future"),
        other => other,
    });
    let expire_time = expire_time.and_then(|time| wrong.take("share.expire_time", time));
    let characters = asked.password.chars().count();
    if characters > 0 && !(MIN_PASSWORD..=MAX_PASSWORD).contains(&characters) {
        wrong.add("password", "must have 8 to 256 characters");
    }
    let password = Some(asked.password.clone()).filter(|password| !password.is_empty());
    wrong.into_result(())?;
    let report = report.ok_or_else(|| Error::invalid_field("report_id", NOT_A_UUID))?;
    Ok(NewShare { report, expire_time, password })
}

/// Returns the address of a share: no browser sends what stands behind the `#`.
fn address(origin: &url::Url, token: &str) -> String {
    format!("{}/shared-reports#{token}", origin.as_str().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        pb::v1::{
            QueryBreakdownRequest, RelativeSpan, ReportQuery, ReportScope, ReportSpan, report_query::Query,
        },
    };

    #[test]
    fn everything_wrong_with_a_report_is_told() {
        let own = WorkspaceId(uuid::Uuid::nil());
        let breakdown = QueryBreakdownRequest {
            scope: Some(ReportScope { workspace_id: "x".into(), part: None }),
            span: Some(ReportSpan::default()),
            page_token: "x".into(),
            ..QueryBreakdownRequest::default()
        };
        let query = ReportQuery {
            query: Some(Query::Breakdown(breakdown)),
            relative_span: Some(RelativeSpan::default()),
        };
        let report = Report { name: "\n".into(), query: Some(query), ..Report::default() };
        let error = read(Some(&report), &FIELDS, own).expect_err("is wrong");
        let fields: Vec<_> = error.violations().iter().map(|violation| &*violation.field).collect();
        assert_eq!(
            fields,
            [
                "report.name",
                "report.query.breakdown.scope.workspace_id",
                "report.query.breakdown.page_token",
                "report.query.breakdown.span",
                "report.query.relative_span.unit",
                "report.query.relative_span.count",
            ]
        );
        let nothing = Report { name: "x".into(), ..Report::default() };
        assert_eq!(
            read(Some(&nothing), &FIELDS, own).expect_err("asks nothing").violations()[0].field,
            "report.query"
        );
        assert_eq!(read(Some(&nothing), &["name"], own).expect("good").name.as_deref(), Some("x"));
        assert!(read(None, &FIELDS, own).is_err());
    }

    #[test]
    fn everything_wrong_with_a_share_is_told() {
        let now = from_micros(1_000_000);
        let asked = |password: &str, seconds: i64| CreateReportShareRequest {
            report_id: "x".into(),
            share: Some(ReportShare {
                expire_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
                ..ReportShare::default()
            }),
            password: password.into(),
            ..CreateReportShareRequest::default()
        };
        for (password, seconds, expected) in [
            ("1234567", 1, &["report_id", "share.expire_time", "password"][..]),
            ("12345678", 2, &["report_id"]),
            ("", i64::MAX, &["report_id", "share.expire_time"]),
            (&"x".repeat(257), 2, &["report_id", "password"]),
        ] {
            let error = read_share(&asked(password, seconds), now).expect_err("is wrong");
            let fields: Vec<_> = error.violations().iter().map(|violation| &*violation.field).collect();
            assert_eq!(fields, expected, "{password} {seconds}");
        }
    }

    #[test]
    fn the_token_stands_behind_the_hash() {
        let origin = "https://dash.example.com".parse().expect("a URL");
        assert_eq!(address(&origin, "rs_x"), "https://dash.example.com/shared-reports#rs_x");
    }
}
