//! `linkforty.v1.CostService`: who calls, may they, what do they want, do it, answer.

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{read, wire};
use crate::{
    env::Env,
    error::Error,
    links::Run,
    pb::v1::{
        CostError, DeleteCostsRequest, DeleteCostsResponse, ImportCostsRequest, ImportCostsResponse,
        ListCostsRequest, ListCostsResponse, cost_service_server::CostService,
    },
    rpc::{self, Permission},
    workspaces::enter,
};

/// How many costs one call imports.
const MOST: usize = 5000;

/// Answers `CostService`.
#[derive(Debug, Clone)]
pub struct CostApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl CostService for CostApi {
    async fn import_costs(
        &self,
        request: Request<ImportCostsRequest>,
    ) -> Result<Response<ImportCostsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::CostsWrite).await?;
            if !(1..=MOST).contains(&asked.costs.len()) {
                return Err(Error::invalid_field("costs", "must be 1 to 5,000"));
            }
            let run = if asked.validate_only { Run::CheckOnly } else { Run::Store };
            let costs = asked.costs.iter().map(read::cost).collect();
            let results = super::import(env, &tenant, costs, run).await?;
            let mut answer = ImportCostsResponse::default();
            for (index, result) in (0..).zip(&results) {
                match result {
                    Ok(cost) => {
                        answer.stored += 1;
                        answer.waiting += i32::from(cost.reporting_currency.is_none());
                    }
                    Err(error) => {
                        answer.errors.push(CostError { index, error: Some(rpc::item_error(error)) });
                    }
                }
            }
            Ok(answer)
        })
        .await
    }

    async fn list_costs(
        &self,
        request: Request<ListCostsRequest>,
    ) -> Result<Response<ListCostsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::AnalyticsRead).await?;
            let filter = asked.filter.clone().unwrap_or_default();
            let query = read::filter("filter.", &filter)?;
            let question =
                [b"ListCosts", tenant.id.0.as_bytes().as_slice(), &filter.encode_to_vec()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, env.now())?;
            let page = super::list(env, &tenant, &query, &page).await?;
            Ok(ListCostsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
                costs: page.items.into_iter().map(wire::cost).collect(),
            })
        })
        .await
    }

    async fn delete_costs(
        &self,
        request: Request<DeleteCostsRequest>,
    ) -> Result<Response<DeleteCostsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::CostsWrite).await?;
            let query = read::deletion(&asked.filter.unwrap_or_default())?;
            let deleted = super::delete(env, &tenant, &query).await?;
            Ok(DeleteCostsResponse { deleted: i64::try_from(deleted).unwrap_or(i64::MAX) })
        })
        .await
    }
}
