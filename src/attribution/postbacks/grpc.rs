//! `linkforty.v1.PostbackService`: who calls, may they, what do they want, do it, answer.

use std::mem::take;

use chrono::Duration;
use prost::Message as _;
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    LIFE, SchemaChange,
    incoming::day_of,
    schema::{self, FIELDS, OTHER_FIELDS},
    store::{Grouping, PostbackQuery, Scope},
    wire,
};
use crate::{
    clock::{Moment, from_micros},
    env::Env,
    error::{Error, Result, Violations},
    ids::{AppId, PostbackId, WorkspaceId},
    links::{NOT_A_UUID, both, moment, named, timestamp},
    pb::v1::{
        ConversionSchema, GetConversionSchemaRequest, GetConversionSchemaResponse, GetPostbackReportRequest,
        GetPostbackReportResponse, GetPostbackRequest, GetPostbackResponse, ListPostbacksRequest,
        ListPostbacksResponse, PostbackGrouping, PostbackKind, PostbackOutcome,
        UpdateConversionSchemaRequest, UpdateConversionSchemaResponse,
        postback_service_server::PostbackService,
    },
    rpc::{self, Permission},
    workspaces::{self, grpc::once},
};

/// The longest span of a report, in days.
const MOST_DAYS: i32 = 92;
/// The span of a report of which nobody says one.
const USUAL_DAYS: i32 = 30;
/// How far ahead a schema may begin.
const AHEAD: Duration = Duration::days(366);
const UNKNOWN: &str = "is none this server knows";

/// Answers `PostbackService`.
#[derive(Debug, Clone)]
pub struct PostbackApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl PostbackService for PostbackApi {
    async fn list_postbacks(
        &self,
        request: Request<ListPostbacksRequest>,
    ) -> Result<Response<ListPostbacksResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let (now, query) = (env.now(), read_query(&asked)?);
            let of_query = ListPostbacksRequest { page_size: 0, page_token: String::new(), ..asked.clone() };
            let question =
                [b"ListPostbacks", tenant.id.0.as_bytes().as_slice(), &of_query.encode_to_vec()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = super::list(env, &tenant, &query, &page).await?;
            Ok(ListPostbacksResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                postbacks: page.items,
            })
        })
        .await
    }

    async fn get_postback(
        &self,
        request: Request<GetPostbackRequest>,
    ) -> Result<Response<GetPostbackResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let id = PostbackId::parse(&asked.postback_id);
            let id = id.ok_or_else(|| Error::invalid_field("postback_id", NOT_A_UUID))?;
            let (row, schemas, judged) = super::get(env, &tenant, id).await?;
            Ok(GetPostbackResponse {
                postback: Some(wire::postback(&row, &schemas)),
                fields: wire::fields(&row, &judged),
                signed_text: judged.signed_text,
                body: row.body,
            })
        })
        .await
    }

    async fn get_conversion_schema(
        &self,
        request: Request<GetConversionSchemaRequest>,
    ) -> Result<Response<GetConversionSchemaResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsRead).await?;
            let mut wrong = Violations::default();
            let at = read_time("time", asked.time.as_ref(), &mut wrong);
            let (app, at) = both(read_app("app_id", &asked.app_id), wrong.into_result(at))?;
            let schema = super::schema(env, &tenant, app, at).await?;
            Ok(GetConversionSchemaResponse { conversion_schema: Some(schema) })
        })
        .await
    }

    async fn update_conversion_schema(
        &self,
        request: Request<UpdateConversionSchemaRequest>,
    ) -> Result<Response<UpdateConversionSchemaResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsWrite).await?;
            let mut wrong = Violations::default();
            let id = take(&mut asked.request_id);
            let once = once(&tenant, "UpdateConversionSchema", &id, &asked, &mut wrong);
            let (change, once) = both(read_change(asked, env.now()), wrong.into_result(once))?;
            let schema = super::update_schema(env, &tenant, change, once.as_ref()).await?;
            Ok(UpdateConversionSchemaResponse { conversion_schema: Some(schema) })
        })
        .await
    }

    async fn get_postback_report(
        &self,
        request: Request<GetPostbackReportRequest>,
    ) -> Result<Response<GetPostbackReportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let (scope, grouping) = read_report(&asked, tenant.id, env.now())?;
            let report = super::report(env, &tenant, scope, grouping).await?;
            Ok(GetPostbackReportResponse {
                rows: report.rows(),
                total: Some(report.total()),
                truncated: report.is_truncated(),
                refusals: report.refusals(),
                start_time: Some(timestamp(scope.start)),
                end_time: Some(timestamp(scope.end)),
            })
        })
        .await
    }
}

fn read_app(field: &str, text: &str) -> Result<AppId> {
    AppId::parse(text).ok_or_else(|| Error::invalid_field(field, NOT_A_UUID))
}

fn read_time(field: &str, given: Option<&Timestamp>, wrong: &mut Violations) -> Option<Moment> {
    given.and_then(|given| wrong.take(field, moment(given)))
}

/// Reads a number of an enumeration; none: not asked for.
fn read_number(field: &str, given: i32, is_known: bool, wrong: &mut Violations) -> Option<i16> {
    if !is_known {
        wrong.add(field, UNKNOWN);
    }
    i16::try_from(given).ok().filter(|given| *given != 0)
}

fn read_query(asked: &ListPostbacksRequest) -> Result<PostbackQuery> {
    let mut wrong = Violations::default();
    let app = Some(asked.app_id.as_str()).filter(|id| !id.is_empty());
    let outcome = PostbackOutcome::try_from(asked.outcome).is_ok();
    let kind = PostbackKind::try_from(asked.kind).is_ok();
    let query = PostbackQuery {
        app: app.and_then(|id| wrong.take("app_id", AppId::parse(id).ok_or(NOT_A_UUID))),
        ad_network: asked.ad_network_id.clone(),
        outcome: read_number("outcome", asked.outcome, outcome, &mut wrong),
        kind: read_number("kind", asked.kind, kind, &mut wrong),
        start: read_time("start_time", asked.start_time.as_ref(), &mut wrong),
        end: read_time("end_time", asked.end_time.as_ref(), &mut wrong),
    };
    wrong.into_result(query)
}

fn read_change(asked: UpdateConversionSchemaRequest, now: Moment) -> Result<SchemaChange> {
    let Some(content) = asked.conversion_schema else {
        return Err(Error::invalid_field("conversion_schema", "is required"));
    };
    let is_set = |name: &str| match name {
        "fine_values" => !content.fine_values.is_empty(),
        _ => !content.coarse_values.is_empty(),
    };
    let fields = named(asked.update_mask.as_ref(), &FIELDS, &OTHER_FIELDS, is_set);
    let mut wrong = Violations::default();
    schema::check(&content, &mut wrong);
    let path = "conversion_schema.start_time";
    let start = read_time(path, content.start_time.as_ref(), &mut wrong);
    if start.is_some_and(|start| start < now - LIFE || start > now + AHEAD) {
        wrong.add(path, "must not be more than 400 days ago nor a year ahead");
    }
    let app = read_app("conversion_schema.app_id", &content.app_id);
    let (app, (fields, ())) = both(app, both(fields, wrong.into_result(())))?;
    let ConversionSchema { etag, .. } = &content;
    Ok(SchemaChange { app, etag: etag.clone(), fields, start, content })
}

fn read_report(
    asked: &GetPostbackReportRequest,
    workspace: WorkspaceId,
    now: Moment,
) -> Result<(Scope, Grouping)> {
    let mut wrong = Violations::default();
    let grouping = match PostbackGrouping::try_from(asked.group_by) {
        Ok(PostbackGrouping::Unspecified | PostbackGrouping::None) => Grouping::None,
        Ok(PostbackGrouping::Day) => Grouping::Day,
        Ok(PostbackGrouping::AdNetwork) => Grouping::AdNetwork,
        Ok(PostbackGrouping::SourceIdentifier) => Grouping::Source,
        Err(_) => {
            wrong.add("group_by", UNKNOWN);
            Grouping::None
        }
    };
    let kind = PostbackKind::try_from(asked.kind).is_ok();
    let kind = read_number("kind", asked.kind, kind, &mut wrong);
    let start = read_time("start_time", asked.start_time.as_ref(), &mut wrong);
    let end = read_time("end_time", asked.end_time.as_ref(), &mut wrong).unwrap_or(now);
    // The day of the last moment, and no day more.
    let after = day_of(end - Duration::microseconds(1)) + 1;
    let first = start.map_or(after - USUAL_DAYS, day_of);
    if first >= after {
        wrong.add("start_time", "must be before end_time");
    } else if after - first > MOST_DAYS {
        wrong.add("start_time", "must be at most 92 days before end_time");
    }
    let at = |day: i32| from_micros(i64::from(day) * 86_400_000_000);
    let (app, ()) = both(read_app("app_id", &asked.app_id), wrong.into_result(()))?;
    Ok((Scope { workspace, app, start: at(first), end: at(after), kind }, grouping))
}
