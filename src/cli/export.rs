//! `linkforty export`: writes the links of a deployment to a file or to stdout. It goes on by itself when the deployment comes
//! back.

use std::{
    fs::{File, OpenOptions},
    io::{IsTerminal as _, Write, stderr, stdout},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tonic::Status;

use super::api::{Api, is_passing};
use crate::pb::v1::{ExportFormat, ExportLinksRequest, LinkFilter};

/// Writes links to a file, the oldest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  linkforty export links.csv
  linkforty export --format ndjson --tag spring | jq .destination_url")]
pub(super) struct Export {
    /// The file; none: stdout.
    file: Option<PathBuf>,
    /// How to write.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Only links that have this tag; may be said several times, and then means all of them.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only active (true) or inactive (false) links.
    #[arg(long, value_name = "BOOL")]
    active: Option<bool>,
    /// Only links whose code, title, description or destination contains this.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    search: String,
    /// Go on behind the place that a broken export named, and append to the file.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TOKEN")]
    resume: String,
    /// How long to wait for a deployment that does not answer, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    patience: u64,
    /// The workspace; an API key has only one.
    #[arg(long, default_value = "", value_name = "UUID", hide_default_value = true)]
    workspace: String,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

const CALL: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

impl Export {
    /// Runs the export.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut to = self.open()?;
        let style = ProgressStyle::with_template("{spinner} {pos} links");
        let bar =
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let mut token = self.resume.clone();
        let patience = Duration::from_secs(self.patience);
        let mut moved = Instant::now();
        loop {
            let before = token.clone();
            match self.receive(&mut token, &mut to, &bar).await {
                Ok(()) => break,
                Err(error) => {
                    if token != before {
                        moved = Instant::now();
                    }
                    if !is_passing(&error) || moved.elapsed() >= patience {
                        let again = if token.is_empty() {
                            "nothing was written".to_owned()
                        } else {
                            format!("go on with --resume {token}")
                        };
                        return Err(error.context(again));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        to.flush()?;
        bar.finish_and_clear();
        if self.file.is_some() || stderr().is_terminal() {
            eprintln!("{} links", bar.position());
        }
        Ok(())
    }

    fn open(&self) -> anyhow::Result<Box<dyn Write + Send>> {
        let Some(file) = &self.file else { return Ok(Box::new(stdout())) };
        let opened = if self.resume.is_empty() {
            File::create(file)
        } else {
            OpenOptions::new().append(true).open(file)
        };
        Ok(Box::new(opened.with_context(|| format!("{} cannot be written", file.display()))?))
    }

    /// Receives parts until the end. `token` is behind the last that was written.
    async fn receive(
        &self,
        token: &mut String,
        to: &mut impl Write,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let format = match self.format {
            Format::Csv => ExportFormat::Csv,
            Format::Ndjson => ExportFormat::Ndjson,
        };
        let filter = LinkFilter { active: self.active, tags: self.tags.clone(), ..LinkFilter::default() };
        let request = ExportLinksRequest {
            workspace_id: self.workspace.clone(),
            format: format.into(),
            filter: Some(filter),
            search: self.search.clone(),
            page_token: token.clone(),
        };
        let mut links = self.api.links(CALL).await?;
        let mut parts = links.export_links(request).await?.into_inner();
        while let Some(part) = parts.message().await? {
            to.write_all(&part.data)?;
            bar.inc(u64::try_from(part.links).unwrap_or_default());
            if part.next_page_token.is_empty() {
                return Ok(());
            }
            *token = part.next_page_token;
        }
        Err(Status::unavailable("the deployment stopped in the middle").into())
    }
}
