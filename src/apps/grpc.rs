//! `linkforty.v1.AppService`: who calls, may they, what do they want, do it, answer.

use std::mem::take;

use tonic::{Request, Response, Status};

use super::{meta, wire};
use crate::{
    env::Env,
    error::Violations,
    pb::v1::{self, app_service_server::AppService},
    rpc::{self, Permission},
    workspaces::{self, grpc::once},
};

/// Answers `AppService`.
#[derive(Debug, Clone)]
pub struct AppApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl AppService for AppApi {
    async fn create_app(
        &self,
        request: Request<v1::CreateAppRequest>,
    ) -> Result<Response<v1::CreateAppResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsWrite).await?;
            let mut wrong = Violations::default();
            let id = take(&mut asked.request_id);
            let once = once(&tenant, "CreateApp", &id, &asked, &mut wrong);
            let content = wire::new_app(asked.app, &mut wrong);
            let (content, once) = wrong.into_result((content, once))?;
            let made = Box::pin(super::create(env, &tenant, content, once.as_ref())).await?;
            Ok(v1::CreateAppResponse { app: Some(wire::app(made)) })
        })
        .await
    }

    async fn get_app(
        &self,
        request: Request<v1::GetAppRequest>,
    ) -> Result<Response<v1::GetAppResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsRead).await?;
            let mut wrong = Violations::default();
            let id = wire::app_id("app_id", &asked.app_id, &mut wrong);
            let id = wrong.into_result(id)?.ok_or_else(wire::unread)?;
            Ok(v1::GetAppResponse { app: Some(wire::app(super::get(env, &tenant, id).await?)) })
        })
        .await
    }

    async fn list_apps(
        &self,
        request: Request<v1::ListAppsRequest>,
    ) -> Result<Response<v1::ListAppsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsRead).await?;
            let (question, now) = (wire::question(&tenant), env.now());
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = super::list(env, &tenant, &page).await?;
            Ok(v1::ListAppsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                apps: page.items.into_iter().map(wire::app).collect(),
            })
        })
        .await
    }

    async fn update_app(
        &self,
        request: Request<v1::UpdateAppRequest>,
    ) -> Result<Response<v1::UpdateAppResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsWrite).await?;
            let mut wrong = Violations::default();
            let id = take(&mut asked.request_id);
            let once = once(&tenant, "UpdateApp", &id, &asked, &mut wrong);
            let change = wire::change(asked.app, asked.update_mask.as_ref(), &mut wrong);
            let (change, once) = wrong.into_result((change, once))?;
            let change = change.ok_or_else(wire::unread)?;
            let changed = Box::pin(super::update(env, &tenant, change, once.as_ref())).await?;
            Ok(v1::UpdateAppResponse { app: Some(wire::app(changed)) })
        })
        .await
    }

    async fn delete_app(
        &self,
        request: Request<v1::DeleteAppRequest>,
    ) -> Result<Response<v1::DeleteAppResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsWrite).await?;
            let mut wrong = Violations::default();
            let id = take(&mut asked.request_id);
            let once = once(&tenant, "DeleteApp", &id, &asked, &mut wrong);
            let app = wire::app_id("app_id", &asked.app_id, &mut wrong);
            let (app, once) = wrong.into_result((app, once))?;
            let app = app.ok_or_else(wire::unread)?;
            super::delete(env, &tenant, app, &asked.etag, once.as_ref()).await?;
            Ok(v1::DeleteAppResponse {})
        })
        .await
    }

    async fn match_app_link(
        &self,
        request: Request<v1::MatchAppLinkRequest>,
    ) -> Result<Response<v1::MatchAppLinkResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsRead).await?;
            let mut wrong = Violations::default();
            let url = wrong.take("url", wire::tapped(&asked.url));
            let named = Some(asked.app_id.as_str()).filter(|id| !id.is_empty());
            let app = named.and_then(|id| wire::app_id("app_id", id, &mut wrong));
            let url = wrong.into_result(url)?.ok_or_else(wire::unread)?;
            let matches = super::match_link(env, &tenant, &url, app).await?;
            Ok(v1::MatchAppLinkResponse { matches: matches.into_iter().map(wire::matched).collect() })
        })
        .await
    }

    async fn rotate_app_token(
        &self,
        request: Request<v1::RotateAppTokenRequest>,
    ) -> Result<Response<v1::RotateAppTokenResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsWrite).await?;
            let mut wrong = Violations::default();
            let id = take(&mut asked.request_id);
            let once = once(&tenant, "RotateAppToken", &id, &asked, &mut wrong);
            let app = wire::app_id("app_id", &asked.app_id, &mut wrong);
            let overlap = wrong.take("overlap", wire::overlap(asked.overlap));
            let (app, overlap, once) = wrong.into_result((app, overlap, once))?;
            let (app, overlap) = app.zip(overlap).ok_or_else(wire::unread)?;
            let app = super::rotate_token(env, &tenant, app, overlap, once.as_ref()).await?;
            Ok(v1::RotateAppTokenResponse { app: Some(wire::app(app)) })
        })
        .await
    }

    async fn set_meta_referrer_key(
        &self,
        request: Request<v1::SetMetaReferrerKeyRequest>,
    ) -> Result<Response<v1::SetMetaReferrerKeyResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = workspaces::enter(env, &caller, &asked.workspace_id, Permission::AppsWrite).await?;
            let mut wrong = Violations::default();
            let id = take(&mut asked.request_id);
            let once = once(&tenant, "SetMetaReferrerKey", &id, &asked, &mut wrong);
            let app = wire::app_id("app_id", &asked.app_id, &mut wrong);
            let key = wrong.take("key", meta::read(&asked.key));
            let (app, key, once) = wrong.into_result((app, key, once))?;
            let (app, key) = app.zip(key).ok_or_else(wire::unread)?;
            let set = super::set_meta_referrer_key(env, &tenant, app, key.as_deref(), once.as_ref());
            Ok(v1::SetMetaReferrerKeyResponse { app: Some(wire::app(set.await?)) })
        })
        .await
    }
}
