//! `linkforty.v1.AnalyticsService`: who calls, may they, what do they want, do it, answer.

use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::{
    export,
    raw::{self, Networks},
    reports,
    watch::{self, Filter},
};
use crate::{
    env::Env,
    error::Result,
    pb::v1::{
        ExportReportRequest, ExportReportResponse, GetCampaignsRequest, GetCampaignsResponse,
        GetFunnelRequest, GetFunnelResponse, GetOverviewRequest, GetOverviewResponse, GetRetentionRequest,
        GetRetentionResponse, ListClicksRequest, ListClicksResponse, QueryBreakdownRequest,
        QueryBreakdownResponse, QueryTimeSeriesRequest, QueryTimeSeriesResponse, ReportScope,
        WatchEventsRequest, WatchEventsResponse, analytics_service_server::AnalyticsService,
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
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AnalyticsRead).await?;
            reports::overview(env, &tenant, &asked).await
        })
        .await
    }

    async fn query_time_series(
        &self,
        request: Request<QueryTimeSeriesRequest>,
    ) -> Result<Response<QueryTimeSeriesResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, workspace(&asked.scope), Permission::AnalyticsRead).await?;
            reports::time_series(env, &tenant, &asked).await
        })
        .await
    }

    async fn query_breakdown(
        &self,
        request: Request<QueryBreakdownRequest>,
    ) -> Result<Response<QueryBreakdownResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, workspace(&asked.scope), Permission::AnalyticsRead).await?;
            reports::breakdown(env, &tenant, &asked).await
        })
        .await
    }

    async fn get_campaigns(
        &self,
        request: Request<GetCampaignsRequest>,
    ) -> Result<Response<GetCampaignsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, workspace(&asked.scope), Permission::AnalyticsRead).await?;
            reports::campaigns(env, &tenant, &asked).await
        })
        .await
    }

    async fn get_funnel(
        &self,
        request: Request<GetFunnelRequest>,
    ) -> Result<Response<GetFunnelResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, workspace(&asked.scope), Permission::AnalyticsRead).await?;
            reports::funnel(env, &tenant, &asked).await
        })
        .await
    }

    async fn get_retention(
        &self,
        request: Request<GetRetentionRequest>,
    ) -> Result<Response<GetRetentionResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, workspace(&asked.scope), Permission::AnalyticsRead).await?;
            reports::retention(env, &tenant, &asked).await
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
            watch::open(env, &tenant, filter, &request.resume_cursor, vigil).await
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
            let workspace = workspace(&request.scope);
            let tenant = workspaces::enter(env, &caller, workspace, Permission::AnalyticsRead).await?;
            let sees_networks = workspaces::may(&caller, &tenant, Permission::AnalyticsExport);
            let networks = if sees_networks { Networks::Told } else { Networks::Hidden };
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

/// Returns the workspace that a report is asked for of; an API key may leave it empty.
fn workspace(scope: &Option<ReportScope>) -> &str {
    scope.as_ref().map_or("", |scope| &scope.workspace_id)
}
