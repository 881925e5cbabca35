//! `linkforty.v1.LinkService`: who calls, may they, what do they want, do it, answer.

use std::mem::take;

use tonic::{Request, Response, Status};

use super::{Checks, Decide, Run, dry_run, wire};
use crate::{
    env::Env,
    error::Result,
    links,
    pb::v1::{
        BatchCreateLinksRequest, BatchCreateLinksResponse, BatchDeleteLinksRequest, BatchDeleteLinksResponse,
        BatchUpdateLinksRequest, BatchUpdateLinksResponse, CreateLinkRequest, CreateLinkResponse,
        DeleteLinkRequest, DeleteLinkResponse, DuplicateLinkRequest, DuplicateLinkResponse, GetLinkRequest,
        GetLinkResponse, ListLinksRequest, ListLinksResponse, ResolveLinkRequest, ResolveLinkResponse,
        UpdateLinkRequest, UpdateLinkResponse, link_service_server::LinkService,
    },
    rpc::{self, Permission},
    workspaces,
};

/// Answers `LinkService`.
#[derive(Debug, Clone)]
pub struct LinkApi {
    /// The handles.
    pub env: Env,
    /// What becomes of a described visit.
    pub decide: Decide,
}

impl LinkApi {
    /// Returns what runs the routing tests of links, unless they are to be ignored.
    fn checks(&self, ignore_failing_tests: bool) -> Option<Decide> {
        (!ignore_failing_tests).then_some(self.decide)
    }
}

#[tonic::async_trait]
impl LinkService for LinkApi {
    async fn create_link(
        &self,
        request: Request<CreateLinkRequest>,
    ) -> Result<Response<CreateLinkResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let run = wire::run(request.validate_only);
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "CreateLink", &request_id, &request, run);
            let door = wire::door(env, "link.", self.checks(request.ignore_failing_tests));
            let (new, once) = wire::both(door.new_link(request.link), once)?;
            let shown = Box::pin(links::create(env, &tenant, new, once, run)).await?;
            Ok(CreateLinkResponse { link: Some(wire::shown(&env.config, shown)) })
        })
        .await
    }

    async fn get_link(&self, request: Request<GetLinkRequest>) -> Result<Response<GetLinkResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            let link = links::get(env, &tenant, wire::link_id(&request.link_id)?).await?;
            Ok(GetLinkResponse { link: Some(wire::link(&env.config, link)) })
        })
        .await
    }

    async fn list_links(
        &self,
        request: Request<ListLinksRequest>,
    ) -> Result<Response<ListLinksResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            let question = wire::question(&tenant, &request);
            let page = env.pages.request(request.page_size, &request.page_token, &question, env.now());
            let (query, page) = wire::both(wire::query(request), page)?;
            let page = links::list(env, &tenant, &query, &page).await?;
            Ok(ListLinksResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
                links: page.items.into_iter().map(|link| wire::link(&env.config, link)).collect(),
            })
        })
        .await
    }

    async fn update_link(
        &self,
        request: Request<UpdateLinkRequest>,
    ) -> Result<Response<UpdateLinkResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let run = wire::run(request.validate_only);
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "UpdateLink", &request_id, &request, run);
            let door = wire::door(env, "link.", self.checks(request.ignore_failing_tests));
            let change = door.change(request.link, request.update_mask.as_ref());
            let (change, once) = wire::both(change, once)?;
            let shown = Box::pin(links::update(env, &tenant, change, once, run)).await?;
            Ok(UpdateLinkResponse { link: Some(wire::shown(&env.config, shown)) })
        })
        .await
    }

    async fn delete_link(
        &self,
        request: Request<DeleteLinkRequest>,
    ) -> Result<Response<DeleteLinkResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "DeleteLink", &request_id, &request, Run::Store);
            let (id, once) = wire::both(wire::link_id(&request.link_id), once)?;
            links::delete(env, &tenant, id, &request.etag, once).await?;
            Ok(DeleteLinkResponse {})
        })
        .await
    }

    async fn duplicate_link(
        &self,
        request: Request<DuplicateLinkRequest>,
    ) -> Result<Response<DuplicateLinkResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "DuplicateLink", &request_id, &request, Run::Store);
            let checks = Checks { decide: self.checks(request.ignore_failing_tests), path: "" };
            let code = wire::door(env, "", None).short_code(&request.short_code);
            let (id, (code, once)) = wire::both(wire::link_id(&request.link_id), wire::both(code, once))?;
            let shown = Box::pin(links::duplicate(env, &tenant, id, (code, checks), once)).await?;
            Ok(DuplicateLinkResponse { link: Some(wire::shown(&env.config, shown)) })
        })
        .await
    }

    async fn batch_create_links(
        &self,
        request: Request<BatchCreateLinksRequest>,
    ) -> Result<Response<BatchCreateLinksResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let run = wire::run(request.validate_only);
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "BatchCreateLinks", &request_id, &request, run);
            // New links have no ids that could repeat.
            let ((), once) =
                wire::both(wire::check_batch("links", "", request.links.iter().map(|_| "")), once)?;
            let door = wire::door(env, "", self.checks(request.ignore_failing_tests));
            let items = request.links.into_iter().map(|link| door.new_link(Some(link))).collect();
            let results = links::batch_create(env, &tenant, items, once, run).await?;
            let (results, succeeded, failed) = wire::results(&env.config, results);
            Ok(BatchCreateLinksResponse { results, succeeded, failed })
        })
        .await
    }

    async fn batch_update_links(
        &self,
        request: Request<BatchUpdateLinksRequest>,
    ) -> Result<Response<BatchUpdateLinksResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let run = wire::run(request.validate_only);
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "BatchUpdateLinks", &request_id, &request, run);
            let ids = request.updates.iter().map(|item| item.link.as_ref().map_or("", |link| &link.id));
            let ((), once) = wire::both(wire::check_batch("updates", ".link.id", ids), once)?;
            let door = wire::door(env, "link.", self.checks(request.ignore_failing_tests));
            let updates = request.updates.into_iter();
            let items = updates.map(|item| door.change(item.link, item.update_mask.as_ref())).collect();
            let results = links::batch_update(env, &tenant, items, once, run).await?;
            let (results, succeeded, failed) = wire::results(&env.config, results);
            Ok(BatchUpdateLinksResponse { results, succeeded, failed })
        })
        .await
    }

    async fn batch_delete_links(
        &self,
        request: Request<BatchDeleteLinksRequest>,
    ) -> Result<Response<BatchDeleteLinksResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let run = wire::run(request.validate_only);
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "BatchDeleteLinks", &request_id, &request, run);
            let ids = request.link_ids.iter().map(String::as_str);
            let ((), once) = wire::both(wire::check_batch("link_ids", "", ids), once)?;
            let items = request.link_ids.iter().map(|id| wire::link_id(id)).collect();
            let results = links::batch_delete(env, &tenant, items, once, run).await?;
            let (results, succeeded, failed) = wire::results(&env.config, results);
            Ok(BatchDeleteLinksResponse { results, succeeded, failed })
        })
        .await
    }

    async fn resolve_link(
        &self,
        request: Request<ResolveLinkRequest>,
    ) -> Result<Response<ResolveLinkResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            let question = dry_run::question(env, request)?;
            let resolution = Box::pin(links::dry_run(env, &tenant, question, self.decide)).await?;
            Ok(ResolveLinkResponse { resolution: Some(resolution) })
        })
        .await
    }
}
