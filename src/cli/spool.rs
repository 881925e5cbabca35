//! `linkforty spool`: what waits to be stored, and storing it by hand.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::operator;
use crate::{
    attribution,
    clicks::drain,
    config::Config,
    spool::{self, Spool, SpoolOptions},
};

/// Looks at a spool, or stores what is left in it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Prints what the spool holds. Changes nothing; also while a server runs on it.
    Status {
        /// The spool's directory; default: the one of this node.
        dir: Option<PathBuf>,
    },
    /// Stores everything the spool holds, for a node that will not come back. Fails while a server runs on it.
    Drain {
        /// The spool's directory; default: the one of this node.
        dir: Option<PathBuf>,
    },
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<()> {
    match arguments.verb {
        Verb::Status { dir } => status(&dir.unwrap_or_else(|| config.spool_dir())),
        Verb::Drain { dir } => {
            let dir = dir.unwrap_or_else(|| config.spool_dir());
            store(config, dir).await
        }
    }
}

fn status(dir: &Path) -> anyhow::Result<()> {
    let status =
        spool::inspect(dir).with_context(|| format!("{} cannot be read as a spool", dir.display()))?;
    let oldest = status.oldest_undrained.map_or_else(
        || "-".to_owned(),
        |time| chrono::DateTime::<chrono::Utc>::from(time).to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    );
    say!("spool        {}", dir.display());
    say!("identity     {}", status.id.map_or_else(|| "none yet".to_owned(), |id| id.to_string()));
    say!("waiting      {} records, oldest {oldest}", status.lag_records);
    say!("held         {} bytes in {} segments", status.bytes, status.segments);
    say!("drained to   segment {}, offset {}", status.drained.segment, status.drained.offset);
    say!("quarantined  {} files", status.quarantined);
    say!("torn bytes   {}", status.cut_bytes);
    Ok(())
}

async fn store(config: Config, dir: PathBuf) -> anyhow::Result<()> {
    let env = operator::env(config).await?;
    // Nothing is appended here, so the bounds on appends do not matter.
    let options = SpoolOptions { min_free_bytes: 0, ..SpoolOptions::default() };
    let (spool, mut reader) = Spool::open(&dir, options)?;
    let stored =
        drain::once((&env, attribution::carry), &spool, &mut reader).await.context("the database refused")?;
    spool.close().await;
    say!("stored {stored} records from {}", dir.display());
    Ok(())
}
