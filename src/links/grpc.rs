//! `linkforty.v1.LinkService`: who calls, may they, what do they want, do it, answer.

use std::mem::take;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Checks, Decide, Door, Fetch, LinkQuery, Run, dry_run,
    export::{self, Export},
    import::{self, Inbound},
    preview, qr, wire,
};
use crate::{
    domains,
    env::Env,
    error::{Error, Reason, Result},
    links,
    pb::v1::{
        self, AddAliasRequest, AddAliasResponse, BatchCreateLinksRequest, BatchCreateLinksResponse,
        BatchDeleteLinksRequest, BatchDeleteLinksResponse, BatchUpdateLinksRequest, BatchUpdateLinksResponse,
        CreateLinkRequest, CreateLinkResponse, DeleteLinkRequest, DeleteLinkResponse, DuplicateLinkRequest,
        DuplicateLinkResponse, ExportImportErrorsRequest, ExportImportErrorsResponse, ExportLinksRequest,
        ExportLinksResponse, FetchPreviewRequest, FetchPreviewResponse, GetImportRequest, GetImportResponse,
        GetLinkRequest, GetLinkResponse, GetQrCodeRequest, GetQrCodeResponse, ImportChunkRequest,
        ImportChunkResponse, ImportLinksRequest, ImportLinksResponse, ListLinkReportsRequest,
        ListLinkReportsResponse, ListLinkRevisionsRequest, ListLinkRevisionsResponse, ListLinksRequest,
        ListLinksResponse, RemoveAliasRequest, RemoveAliasResponse, ResolveLinkRequest, ResolveLinkResponse,
        RestoreLinkRevisionRequest, RestoreLinkRevisionResponse, StartImportRequest, StartImportResponse,
        UpdateLinkRequest, UpdateLinkResponse, link_service_server::LinkService,
    },
    rpc::{self, Permission, Vigil},
    workspaces,
};

/// Answers `LinkService`.
#[derive(Debug, Clone)]
pub struct LinkApi {
    /// The handles.
    pub env: Env,
    /// What becomes of a described visit.
    pub decide: Decide,
    /// Calls other people's pages.
    pub fetch: Fetch,
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
            let default_leads = wire::default_leads(env, &tenant, request.link.as_slice()).await?;
            let how = wire::creation(&request);
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let door = wire::door(env, &hosts, "link.", self.checks(request.ignore_failing_tests));
            let new = Door { default_leads, ..door }.new_link(request.link);
            let ((mut new, how), once) = wire::both(wire::both(new, how), once)?;
            let preview_error = if request.fetch_preview {
                preview::fill_new(env, &self.fetch, &tenant, &mut new.content).await?
            } else {
                None
            };
            let (shown, reused) = Box::pin(links::create(env, &tenant, new, how, once, run)).await?;
            Ok(CreateLinkResponse { link: Some(wire::shown(&env.config, shown)), reused, preview_error })
        })
        .await
    }

    async fn fetch_preview(
        &self,
        request: Request<FetchPreviewRequest>,
    ) -> Result<Response<FetchPreviewResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let preview = preview::fetch(env, &self.fetch, &tenant, "url", &request.url).await?;
            Ok(FetchPreviewResponse { preview: Some(preview) })
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
            let domain = wire::filter_domain(env, &tenant, request.filter.as_ref()).await;
            let ((query, domain), page) = wire::both(wire::both(wire::query(request), domain), page)?;
            let query = LinkQuery { domain, ..query };
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
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let door = wire::door(env, &hosts, "link.", self.checks(request.ignore_failing_tests));
            let change = door.change(request.link, request.update_mask.as_ref());
            let (mut change, once) = wire::both(change, once)?;
            let preview_error = if request.fetch_preview {
                preview::fill_changed(env, &self.fetch, &tenant, &mut change).await?
            } else {
                None
            };
            let shown = Box::pin(links::update(env, &tenant, change, once, run)).await?;
            Ok(UpdateLinkResponse { link: Some(wire::shown(&env.config, shown)), preview_error })
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
            let code = wire::door(env, &[], "", None).short_code(&request.short_code);
            let (id, (code, once)) = wire::both(wire::link_id(&request.link_id), wire::both(code, once))?;
            let shown = Box::pin(links::duplicate(env, &tenant, id, (code, checks), once)).await?;
            Ok(DuplicateLinkResponse { link: Some(wire::shown(&env.config, shown)) })
        })
        .await
    }

    async fn add_alias(
        &self,
        request: Request<AddAliasRequest>,
    ) -> Result<Response<AddAliasResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "AddAlias", &request_id, &request, Run::Store);
            let (id, (alias, once)) =
                wire::both(wire::link_id(&request.link_id), wire::both(wire::alias(&request.alias), once))?;
            let shown = links::add_alias(env, &tenant, id, alias, once).await?;
            Ok(AddAliasResponse { link: Some(wire::shown(&env.config, shown)) })
        })
        .await
    }

    async fn remove_alias(
        &self,
        request: Request<RemoveAliasRequest>,
    ) -> Result<Response<RemoveAliasResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "RemoveAlias", &request_id, &request, Run::Store);
            let (id, once) = wire::both(wire::link_id(&request.link_id), once)?;
            let shown = links::remove_alias(env, &tenant, id, &request.alias, once).await?;
            Ok(RemoveAliasResponse { link: Some(wire::shown(&env.config, shown)) })
        })
        .await
    }

    async fn list_link_revisions(
        &self,
        request: Request<ListLinkRevisionsRequest>,
    ) -> Result<Response<ListLinkRevisionsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            let id = wire::link_id(&request.link_id);
            let question =
                [b"ListLinkRevisions\0", request.link_id.as_bytes(), tenant.id.0.as_bytes()].concat();
            let page = env.pages.request(request.page_size, &request.page_token, &question, env.now());
            let (id, page) = wire::both(id, page)?;
            let page = links::list_revisions(env, &tenant, id, &page).await?;
            Ok(ListLinkRevisionsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
                revisions: page.items.into_iter().map(wire::revision).collect(),
            })
        })
        .await
    }

    async fn list_link_reports(
        &self,
        request: Request<ListLinkReportsRequest>,
    ) -> Result<Response<ListLinkReportsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            let id =
                Some(&request.link_id).filter(|id| !id.is_empty()).map(|id| wire::link_id(id)).transpose();
            let question =
                [b"ListLinkReports\0", request.link_id.as_bytes(), tenant.id.0.as_bytes()].concat();
            let page = env.pages.request(request.page_size, &request.page_token, &question, env.now());
            let (id, page) = wire::both(id, page)?;
            let page = links::list_reports(env, &tenant, id, &page).await?;
            Ok(ListLinkReportsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
                reports: page.items.into_iter().map(v1::LinkReport::from).collect(),
            })
        })
        .await
    }

    async fn restore_link_revision(
        &self,
        request: Request<RestoreLinkRevisionRequest>,
    ) -> Result<Response<RestoreLinkRevisionResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "RestoreLinkRevision", &request_id, &request, Run::Store);
            let (id, once) = wire::both(wire::link_id(&request.link_id), once)?;
            let which = (id, request.revision);
            let change = (request.etag, self.checks(false));
            let shown = Box::pin(links::restore_revision(env, &tenant, which, change, once)).await?;
            Ok(RestoreLinkRevisionResponse { link: Some(wire::shown(&env.config, shown)) })
        })
        .await
    }

    async fn batch_create_links(
        &self,
        request: Request<BatchCreateLinksRequest>,
    ) -> Result<Response<BatchCreateLinksResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let run = wire::run(request.validate_only);
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "BatchCreateLinks", &request_id, &request, run);
            // New links have no ids that could repeat.
            let ((), once) =
                wire::both(wire::check_batch("links", "", request.links.iter().map(|_| "")), once)?;
            let default_leads = wire::default_leads(env, &tenant, &request.links).await?;
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let door = Door {
                default_leads,
                ..wire::door(env, &hosts, "", self.checks(request.ignore_failing_tests))
            };
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
            let env = &self.env.for_bulk();
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            let run = wire::run(request.validate_only);
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "BatchUpdateLinks", &request_id, &request, run);
            let ids = request.updates.iter().map(|item| item.link.as_ref().map_or("", |link| &link.id));
            let ((), once) = wire::both(wire::check_batch("updates", ".link.id", ids), once)?;
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let door = wire::door(env, &hosts, "link.", self.checks(request.ignore_failing_tests));
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
            let env = &self.env.for_bulk();
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
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let question = dry_run::question(env, &hosts, request)?;
            let resolution = Box::pin(links::dry_run(env, &tenant, question, self.decide)).await?;
            Ok(ResolveLinkResponse { resolution: Some(resolution) })
        })
        .await
    }

    async fn start_import(
        &self,
        request: Request<StartImportRequest>,
    ) -> Result<Response<StartImportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            tenant.require_all_links()?;
            let request_id = take(&mut request.request_id);
            let once = wire::once(env, &tenant, "StartImport", &request_id, &request, Run::Store);
            let (terms, once) = wire::both(import::started(env, request), once)?;
            let started = import::start(env, &tenant, terms, once).await?;
            Ok(StartImportResponse { import: Some(import::shown(&started)?) })
        })
        .await
    }

    type ImportLinksStream = BoxStream<'static, Result<ImportLinksResponse, Status>>;

    async fn import_links(
        &self,
        request: Request<Streaming<ImportLinksRequest>>,
    ) -> Result<Response<Self::ImportLinksStream>, Status> {
        let opened = async {
            let env = &self.env.for_bulk();
            let caller = rpc::caller(&request)?;
            let vigil = Vigil::of(&request, env.now())?;
            let mut parts = request.into_inner();
            // It says which workspace and which import, so there is no answer without it.
            let first = parts.message().await.map_err(|status| import::unreadable(&status))?;
            let first = first.ok_or_else(|| Error::new(Reason::NotGrpc, "the stream holds no message"))?;
            let tenant = workspaces::enter(env, &caller, &first.workspace_id, Permission::LinksWrite).await?;
            tenant.require_all_links()?;
            import::get(env, &tenant, import::import_id(&first.import_id)?).await?;
            import::stream(env, tenant, &first, Inbound { parts, vigil, decide: self.decide })
        };
        let answers = opened.await.map_err(|error| rpc::status(&error))?;
        Ok(Response::new(Box::pin(answers)))
    }

    async fn import_chunk(
        &self,
        request: Request<ImportChunkRequest>,
    ) -> Result<Response<ImportChunkResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksWrite).await?;
            tenant.require_all_links()?;
            let part = import::check_part(request.offset, &request.data);
            let (id, ()) = wire::both(import::import_id(&request.import_id), part)?;
            import::chunk(env, &tenant, id, request, self.decide).await
        })
        .await
    }

    async fn get_import(
        &self,
        request: Request<GetImportRequest>,
    ) -> Result<Response<GetImportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            tenant.require_all_links()?;
            let found = import::get(env, &tenant, import::import_id(&request.import_id)?).await?;
            Ok(GetImportResponse { import: Some(import::shown(&found)?) })
        })
        .await
    }

    type ExportImportErrorsStream = BoxStream<'static, Result<ExportImportErrorsResponse, Status>>;

    async fn export_import_errors(
        &self,
        request: Request<ExportImportErrorsRequest>,
    ) -> Result<Response<Self::ExportImportErrorsStream>, Status> {
        let opened = async {
            let env = &self.env.for_bulk();
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            tenant.require_all_links()?;
            import::errors(env, &tenant, import::import_id(&request.import_id)?).await
        };
        let rows = opened.await.map_err(|error| rpc::status(&error))?;
        Ok(Response::new(Box::pin(rows)))
    }

    type ExportLinksStream = BoxStream<'static, Result<ExportLinksResponse, Status>>;

    async fn export_links(
        &self,
        request: Request<ExportLinksRequest>,
    ) -> Result<Response<Self::ExportLinksStream>, Status> {
        let opened = async {
            let env = &self.env.for_bulk();
            let caller = rpc::caller(&request)?;
            let vigil = Vigil::of(&request, env.now())?;
            let request = request.into_inner();
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksExport).await?;
            let question = wire::export_question(&tenant, &request);
            let page = env.pages.request(0, &request.page_token, &question, env.now());
            let domain = wire::filter_domain(env, &tenant, request.filter.as_ref()).await;
            let (((format, query), domain), page) =
                wire::both(wire::both(wire::export_query(&request), domain), page)?;
            let query = LinkQuery { domain, ..query };
            let export = Export { format, query, after: page.after, question, vigil };
            Ok(export::export(env, tenant, export))
        };
        let parts = opened.await.map_err(|error: Error| rpc::status(&error))?;
        Ok(Response::new(Box::pin(parts)))
    }

    async fn get_qr_code(
        &self,
        request: Request<GetQrCodeRequest>,
    ) -> Result<Response<GetQrCodeResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, request) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &request.workspace_id, Permission::LinksRead).await?;
            let style = qr::read(request.style).await;
            let (link, style) = wire::both(wire::link_id(&request.link_id), style)?;
            qr::draw(env, &self.fetch, &tenant, link, style).await
        })
        .await
    }
}
