//! `linkforty rates`: the exchange rates by which the revenue of events and the costs of campaigns are converted.

use std::{fs::File, io::BufReader, path::PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use super::operator::{self, told};
use crate::{analytics::costs, attribution::events, config::Config};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "The European Central Bank publishes its rates of every working day since 1999:\n  https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip\n\nExamples:\n  linkforty rates import eurofxref-hist.csv\n  linkforty rates list"
)]
pub(super) enum Command {
    /// Imports the bank's history of rates, `Date,USD,JPY,...` (rates of one euro; N/A: none). May be repeated: what is there for a day is replaced.
    /// Then converts the revenue of events and the costs of campaigns that waited for a rate
    Import {
        /// The file, CSV
        file: PathBuf,
    },
    /// Lists the currencies that have rates, and of which days
    List,
}

pub(super) async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    let env = operator::env(config).await?;
    match command {
        Command::Import { file } => {
            let opened = File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
            let bar = ProgressBar::new(opened.metadata().map_or(0, |of| of.len()));
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}, {eta} left") {
                bar.set_style(style);
            }
            let imported =
                events::import_rates(&env, BufReader::new(opened), |bytes| bar.set_position(bytes)).await;
            bar.finish_and_clear();
            let events::Imported { rates, days, empty, converted } =
                imported.with_context(|| format!("cannot import {}", file.display()))?;
            let costs = costs::convert_waiting(&env).await.context("cannot convert costs")?;
            say!(
                "imported {rates} rates of {days} days; {empty} cells had none; converted the revenue of {converted} events and {costs} costs"
            );
        }
        Command::List => {
            for events::Span { currency, first, last, days } in
                events::list_rates(&env).await.map_err(|error| told(&error))?
            {
                say!("{currency}  {first} to {last}, {days} days");
            }
        }
    }
    Ok(())
}
