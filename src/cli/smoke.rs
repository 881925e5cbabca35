//! `linkforty smoke`: create, click, counted, deleted, against any deployment and through its public doors.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use http::{StatusCode, header};
use http_body_util::Empty;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::api::{Api, Caller};
use crate::pb::v1::{
    CreateLinkRequest, DeleteLinkRequest, GetLinkRequest, Link, link_service_client::LinkServiceClient,
};

/// Checks a running deployment from outside: makes a link, follows it, waits until the click is counted, deletes the link
/// and waits until it is gone. Exits 0 when all of it held.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linkforty smoke --base-url https://go.example.com --api https://api.example.com --key lf_live_..."
)]
pub(super) struct Smoke {
    /// Where visitors follow links.
    #[arg(long, default_value = "http://localhost:8080", value_name = "URL")]
    base_url: url::Url,
    #[command(flatten)]
    api: Api,
    /// Where the test link leads; nobody is sent there.
    #[arg(long, default_value = "https://example.com/linkforty-smoke", value_name = "URL")]
    destination: String,
    /// How long each step may take, in seconds.
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    patience: u64,
}

/// Not in the list of bots, so that the click counts as a person's.
const USER_AGENT: &str = concat!("Mozilla/5.0 (linkforty smoke ", env!("CARGO_PKG_VERSION"), ")");
const PAUSE: Duration = Duration::from_millis(200);

impl Smoke {
    /// Runs the check and prints each step.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let patience = Duration::from_secs(self.patience);
        let mut links = self.api.links(patience).await?;
        let http = http_client();

        let created = links
            .create_link(CreateLinkRequest {
                link: Some(Link {
                    destination_url: self.destination.clone(),
                    title: "linkforty smoke".to_owned(),
                    ..Link::default()
                }),
                ..CreateLinkRequest::default()
            })
            .await
            .context("the link could not be created")?;
        let link = created.into_inner().link.context("the answer holds no link")?;
        say!("ok  created   {}", link.short_url);

        let outcome = self.follow_count_delete(&mut links, &http, &link, patience).await;
        if outcome.is_err() {
            // Leave nothing behind; the first failure is the one to tell.
            links.delete_link(delete(&link)).await.ok();
        }
        outcome
    }

    async fn follow_count_delete(
        &self,
        links: &mut LinkServiceClient<Caller>,
        http: &Http,
        link: &Link,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let url = self.base_url.join(&link.short_code).context("the short URL cannot be put together")?;
        let response = visit(http, &url, patience).await?;
        ensure!(
            response.status() == StatusCode::FOUND,
            "GET {url} answered {} and not 302",
            response.status()
        );
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        ensure!(
            location == Some(&self.destination),
            "GET {url} leads to {location:?} and not to {}",
            self.destination
        );
        let click = response.headers().get("x-click-id").and_then(|value| value.to_str().ok());
        let Some(click) = click else { bail!("GET {url} carries no click id: the click was not recorded") };
        say!("ok  clicked   {click}");

        let started = Instant::now();
        loop {
            let get = GetLinkRequest { link_id: link.id.clone(), ..GetLinkRequest::default() };
            let now = links.get_link(get).await.context("the link could not be read")?.into_inner();
            if now.link.is_some_and(|link| link.click_count >= 1) {
                break;
            }
            ensure!(started.elapsed() < patience, "the click was not counted within {patience:?}");
            tokio::time::sleep(PAUSE).await;
        }
        say!("ok  counted   after {} ms", started.elapsed().as_millis());

        links.delete_link(delete(link)).await.context("the link could not be deleted")?;
        let started = Instant::now();
        loop {
            let status = visit(http, &url, patience).await?.status();
            if status == StatusCode::NOT_FOUND {
                break;
            }
            ensure!(
                started.elapsed() < patience,
                "the deleted link still answers {status} after {patience:?}"
            );
            tokio::time::sleep(PAUSE).await;
        }
        say!("ok  deleted   gone after {} ms", started.elapsed().as_millis());
        Ok(())
    }
}

fn delete(link: &Link) -> DeleteLinkRequest {
    DeleteLinkRequest { link_id: link.id.clone(), ..DeleteLinkRequest::default() }
}

type Http = Client<hyper_rustls::HttpsConnector<HttpConnector>, Empty<bytes::Bytes>>;

/// A client that follows no redirect.
fn http_client() -> Http {
    let connector =
        hyper_rustls::HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

async fn visit(
    http: &Http,
    url: &url::Url,
    patience: Duration,
) -> anyhow::Result<http::Response<hyper::body::Incoming>> {
    let request =
        http::Request::get(url.as_str()).header(header::USER_AGENT, USER_AGENT).body(Empty::new())?;
    tokio::time::timeout(patience, http.request(request))
        .await
        .with_context(|| format!("GET {url} did not answer within {patience:?}"))?
        .with_context(|| format!("GET {url} failed"))
}
