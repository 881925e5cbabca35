//! Makes the links that `benches/run.sh` asks for, through the API like anybody else.
//!
//! `seed API_ADDRESS KEY_FILE COUNT [rules]`: prints the path of each link, a line each. With `rules` each has twenty.

use std::{fs, io::Write as _};

use anyhow::Context as _;
use linkforty::pb::v1::{
    BatchCreateLinksRequest, Link, batch_link_result::Result as Made, link_service_client::LinkServiceClient,
};
use tonic::{Request, metadata::MetadataValue, transport::Endpoint};

#[path = "shared/rules.rs"]
mod rules;

/// The most that one call takes, and as many with rules as one answer takes.
const BATCH: usize = 1000;
const BATCH_WITH_RULES: usize = 200;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, key_file, count, ruled) = match &arguments[..] {
        [address, key_file, count] => (address, key_file, count, false),
        [address, key_file, count, rules] if rules == "rules" => (address, key_file, count, true),
        _ => {
            println!("usage: seed API_ADDRESS KEY_FILE COUNT [rules]");
            return Ok(());
        }
    };
    let count: usize = count.parse().context("COUNT")?;
    let key = fs::read_to_string(key_file).context("KEY_FILE")?;
    let key: MetadataValue<_> = format!("Bearer {}", key.trim()).parse().context("the key")?;
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut links = LinkServiceClient::new(channel);

    let mut out = std::io::stdout().lock();
    let batch = if ruled { BATCH_WITH_RULES } else { BATCH };
    for first in (0..count).step_by(batch) {
        let mut request = Request::new(BatchCreateLinksRequest {
            links: (first..count.min(first + batch)).map(|number| link(number, ruled)).collect(),
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
fn link(number: usize, ruled: bool) -> Link {
    Link {
        destination_url: format!(
            "https://www.example.com/collections/{number:06}?utm_source=mail&utm_campaign=spring-2026-01"
        ),
        title: format!("Link {number}"),
        routing_rules: if ruled { rules::rules(number) } else { Vec::new() },
        ..Link::default()
    }
}
