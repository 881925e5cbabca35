//! Makes the links that `benches/run.sh` asks for, through the API like anybody else.
//!
//! `seed API_ADDRESS KEY_FILE COUNT`: prints the path of each link, a line each.

use std::{fs, io::Write as _};

use anyhow::Context as _;
use linkforty::pb::v1::{
    BatchCreateLinksRequest, Link, batch_link_result::Result as Made, link_service_client::LinkServiceClient,
};
use tonic::{Request, metadata::MetadataValue, transport::Endpoint};

/// The most that one call takes.
const BATCH: usize = 1000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, key_file, count] = &arguments[..] else {
        println!("usage: seed API_ADDRESS KEY_FILE COUNT");
        return Ok(());
    };
    let count: usize = count.parse().context("COUNT")?;
    let key = fs::read_to_string(key_file).context("KEY_FILE")?;
    let key: MetadataValue<_> = format!("Bearer {}", key.trim()).parse().context("the key")?;
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut links = LinkServiceClient::new(channel);

    let mut out = std::io::stdout().lock();
    for first in (0..count).step_by(BATCH) {
        let mut request = Request::new(BatchCreateLinksRequest {
            links: (first..count.min(first + BATCH)).map(link).collect(),
            ..BatchCreateLinksRequest::default()
        });
        request.metadata_mut().insert("authorization", key.clone());
        for made in links.batch_create_links(request).await?.into_inner().results {
            match made.result {
                Some(Made::Link(link)) => writeln!(out, "/{}", link.short_code)?,
                other => anyhow::bail!("a link was not made: {other:?}"),
            }
        }
    }
    Ok(())
}

/// A link whose destination is 86 bytes long, as the null server's (`benches/null_server.rs`).
fn link(number: usize) -> Link {
    Link {
        destination_url: format!(
            "https://www.example.com/collections/{number:06}?utm_source=mail&utm_campaign=spring-2026-01"
        ),
        title: format!("Link {number}"),
        ..Link::default()
    }
}
