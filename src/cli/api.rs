//! Commands that talk to a deployment, and read none of this machine's settings: where it is and who calls.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::interceptor::InterceptedService,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use crate::pb::v1::{cost_service_client::CostServiceClient, link_service_client::LinkServiceClient};

/// The largest message that is taken.
const MOST: usize = 8 * 1024 * 1024;

/// Which deployment, and who calls.
#[derive(Debug, Clone, Args)]
pub(super) struct Api {
    /// Where gRPC is served.
    #[arg(long, default_value = "http://localhost:8081", value_name = "URL")]
    pub(super) api: String,
    /// An API key: of links with the scopes links.read and links.write, of costs with costs.write.
    #[arg(long, env = "LINKFORTY_KEY", hide_env_values = true, value_name = "KEY")]
    key: String,
}

impl Api {
    /// Connects, for calls about links. `timeout` bounds each call that is no stream, and the time until a stream begins.
    pub(super) async fn links(&self, timeout: Duration) -> anyhow::Result<LinkServiceClient<Caller>> {
        Ok(LinkServiceClient::new(self.caller(timeout).await?).max_decoding_message_size(MOST))
    }

    /// Connects, for calls about costs.
    pub(super) async fn costs(&self, timeout: Duration) -> anyhow::Result<CostServiceClient<Caller>> {
        Ok(CostServiceClient::new(self.caller(timeout).await?).max_decoding_message_size(MOST))
    }

    async fn caller(&self, timeout: Duration) -> anyhow::Result<Caller> {
        let mut endpoint = Endpoint::from_shared(self.api.clone())
            .context("--api is not a URL")?
            .connect_timeout(timeout)
            .timeout(timeout);
        if self.api.starts_with("https:") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_webpki_roots())?;
        }
        let channel = endpoint.connect().await.with_context(|| format!("nothing answers at {}", self.api))?;
        let mut bearer: MetadataValue<Ascii> =
            format!("Bearer {}", self.key).parse().context("--key holds characters that no key has")?;
        bearer.set_sensitive(true);
        Ok(InterceptedService::new(channel, Bearer(bearer)))
    }
}

/// Calls with the key.
pub(super) type Caller = InterceptedService<Channel, Bearer>;

/// Adds the key to every call.
#[derive(Clone)]
pub(super) struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Says whether a failure may pass by itself: the deployment, or the way there, is away.
pub(super) fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Status>() {
        // Of a connection that broke tonic says that it is unknown, or internal.
        Some(status) => matches!(
            status.code(),
            Code::Unavailable
                | Code::Aborted
                | Code::Unknown
                | Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Internal
        ),
        None => error.downcast_ref::<tonic::transport::Error>().is_some(),
    }
}
