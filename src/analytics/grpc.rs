//! `linkforty.v1.AnalyticsService`: who calls, may they, what do they want, do it, answer.

use futures::stream::BoxStream;
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    Overview, Span, export,
    raw::{self, Networks},
    span::date,
    watch::{self, Filter},
};
use crate::{
    analytics,
    clock::Moment,
    env::Env,
    error::{Error, Result},
    ids::LinkId,
    links::{NOT_A_UUID, both, moment, timestamp},
    pb::v1::{
        self, ExportReportRequest, ExportReportResponse, GetOverviewRequest, GetOverviewResponse,
        ListClicksRequest, ListClicksResponse, WatchEventsRequest, WatchEventsResponse,
        analytics_service_server::AnalyticsService,
    },
    rpc::{self, Permission, Vigil},
    workspaces,
};

/// Answers `AnalyticsService`.
#[derive(Debug, Clone)]
pub struct AnalyticsApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl AnalyticsService for AnalyticsApi {
    async fn get_overview(
        &self,
        request: Request<GetOverviewRequest>,
    ) -> Result<Response<GetOverviewResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::AnalyticsRead).await?;
            let (link, span) = read(&request, env.now())?;
            let overview = analytics::overview(env, &tenant, link, span).await?;
            Ok(response(overview, span))
        })
        .await
    }

    type WatchEventsStream = BoxStream<'static, Result<WatchEventsResponse, Status>>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let opened = async {
            let env = &self.env;
            let caller = rpc::caller(&request)?;
            let vigil = Vigil::of(&request, env.now())?;
            let request = request.into_inner();
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::AnalyticsRead).await?;
            let filter = Filter::read(&request)?;
            watch::open(env, &tenant, filter, vigil).await
        };
        let events = opened.await.map_err(|error| rpc::status(&error))?;
        let mut response = Response::new(Box::pin(events) as Self::WatchEventsStream);
        // One event at a time is too small for it.
        response.disable_compression();
        Ok(response)
    }

    async fn list_clicks(
        &self,
        request: Request<ListClicksRequest>,
    ) -> Result<Response<ListClicksResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let workspace = request.scope.as_ref().map_or("", |scope| &scope.workspace_id);
            let tenant = workspaces::enter(env, &caller, workspace, Permission::AnalyticsRead).await?;
            let sees_networks = workspaces::enter(env, &caller, workspace, Permission::AnalyticsExport).await;
            let networks = if sees_networks.is_ok() { Networks::Told } else { Networks::Hidden };
            raw::clicks(&env.for_bulk(), &tenant, &request, networks).await
        })
        .await
    }

    type ExportReportStream = BoxStream<'static, Result<ExportReportResponse, Status>>;

    async fn export_report(
        &self,
        request: Request<ExportReportRequest>,
    ) -> Result<Response<Self::ExportReportStream>, Status> {
        let opened = async {
            let env = &self.env;
            let caller = rpc::caller(&request)?;
            let vigil = Vigil::of(&request, env.now())?;
            let request = request.into_inner();
            let workspace = export::workspace_id(&request);
            let tenant = workspaces::enter(env, &caller, &workspace, Permission::AnalyticsExport).await?;
            export::export(&env.for_bulk(), tenant, request, vigil).await
        };
        let parts = opened.await.map_err(|error| rpc::status(&error))?;
        Ok(Response::new(Box::pin(parts) as Self::ExportReportStream))
    }
}

fn read(request: &GetOverviewRequest, now: Moment) -> Result<(Option<LinkId>, Span)> {
    let start = read_time("start_time", request.start_time.as_ref());
    let end = read_time("end_time", request.end_time.as_ref());
    let span = both(start, end).and_then(|(start, end)| Span::new(start, end, now));
    both(read_link(&request.link_id), span)
}

fn read_link(id: &str) -> Result<Option<LinkId>> {
    if id.is_empty() {
        return Ok(None);
    }
    LinkId::parse(id).map(Some).ok_or_else(|| Error::invalid_field("link_id", NOT_A_UUID))
}

fn read_time(field: &str, given: Option<&Timestamp>) -> Result<Option<Moment>> {
    given.map(moment).transpose().map_err(|description| Error::invalid_field(field, description))
}

fn response(overview: Overview, span: Span) -> GetOverviewResponse {
    GetOverviewResponse {
        clicks: overview.total.people,
        bot_clicks: overview.total.bots,
        by_day: overview
            .by_day
            .into_iter()
            .map(|(day, clicks)| v1::DayClicks {
                date: date(day),
                clicks: clicks.people,
                bot_clicks: clicks.bots,
            })
            .collect(),
        top_links: overview
            .top_links
            .into_iter()
            .map(|top| v1::TopLink {
                link_id: top.link_id.to_string(),
                short_code: top.short_code.unwrap_or_default(),
                title: top.title.unwrap_or_default(),
                clicks: top.clicks,
                unique_visitors: 0,
            })
            .collect(),
        start_time: Some(timestamp(span.start_time())),
        end_time: Some(timestamp(span.end_time())),
        ..GetOverviewResponse::default()
    }
}
