//! `linkforty.sdk.v1.SdkService`: who calls, what do they want, do it, answer.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use tonic::{Request, Response, Status};

use super::{Sdk, events};
use crate::{
    apps::tokens::{self, Holder},
    env::Env,
    error::{Error, Reason, Result as HouseResult},
    ids::InstallId,
    links::NOT_A_UUID,
    pb::sdk::v1::{self as sdk, sdk_service_server::SdkService},
    rpc,
};

/// Answers `SdkService`.
#[derive(Debug, Clone)]
pub struct SdkApi {
    /// The handles.
    pub sdk: Sdk,
}

/// Opens a request: which app calls and what it wants.
async fn open<T>(env: &Env, request: Request<T>) -> HouseResult<(Arc<Holder>, T)> {
    let missing = || {
        Error::new(
            Reason::CredentialsMissing,
            "send the app's token as `authorization: Bearer at_...` metadata",
        )
    };
    let value = request.metadata().as_ref().get(AUTHORIZATION).ok_or_else(missing)?;
    let token =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(missing)?.1.trim().to_owned();
    let holder = tokens::holder(env, &token).await?.ok_or_else(Error::credentials_invalid)?;
    Ok((holder, request.into_inner()))
}

#[tonic::async_trait]
impl SdkService for SdkApi {
    async fn report_install(
        &self,
        _: Request<sdk::ReportInstallRequest>,
    ) -> Result<Response<sdk::ReportInstallResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn report_open(
        &self,
        _: Request<sdk::ReportOpenRequest>,
    ) -> Result<Response<sdk::ReportOpenResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn resolve_link(
        &self,
        _: Request<sdk::ResolveLinkRequest>,
    ) -> Result<Response<sdk::ResolveLinkResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn record_events(
        &self,
        request: Request<sdk::RecordEventsRequest>,
    ) -> Result<Response<sdk::RecordEventsResponse>, Status> {
        rpc::answer(async {
            let Sdk { env, spool, .. } = &self.sdk;
            let (holder, asked) = open(env, request).await?;
            let install = InstallId::parse(&asked.install_id)
                .ok_or_else(|| Error::invalid_field("install_id", NOT_A_UUID))?;
            let source = events::Source { workspace: holder.workspace, app: Some(holder.app) };
            let results = events::record(env, spool, source, install, asked.events).await?;
            Ok(sdk::RecordEventsResponse { results })
        })
        .await
    }
    async fn create_link(
        &self,
        _: Request<sdk::CreateLinkRequest>,
    ) -> Result<Response<sdk::CreateLinkResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn set_consent(
        &self,
        _: Request<sdk::SetConsentRequest>,
    ) -> Result<Response<sdk::SetConsentResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn forget_install(
        &self,
        _: Request<sdk::ForgetInstallRequest>,
    ) -> Result<Response<sdk::ForgetInstallResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
