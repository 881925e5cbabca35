//! `linkforty import linkforty`: takes over what a LinkForty database holds, beside servers that run.

use std::{
    cell::RefCell,
    io::{IsTerminal as _, stderr},
    process::ExitCode,
};

use chrono_tz::Tz;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;
use uuid::Uuid;

use super::operator::{self, told};
use crate::{
    config::Config,
    ids::AppId,
    takeover::{self, Destination, Run, Told, Wanted},
    workspaces,
};

/// On no terminal, how many rows lie between two lines.
const LINE_EVERY: u64 = 100_000;

/// Takes over what a LinkForty database holds: links, templates, webhooks, clicks, installs and events, under the ids and codes that are in use.
/// The source is only read. What is stored is never stored twice, so it may be stopped and called again at any time; called again after its end it
/// brings what has come since. Where it goes, the settings say, as for `linkforty serve`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0 when both databases hold the same in the end, 1 when not or when rows were refused.

Examples:
  linkforty import linkforty --database-url postgres://reader:secret@old.example.com/linkforty --workspace 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506
  linkforty import linkforty --database-url postgres://localhost/linkforty --dry-run
  linkforty import linkforty --database-url postgres://localhost/linkforty --verify-only --json"
)]
pub(super) struct Takeover {
    /// Where LinkForty's Postgres is. TLS is as its sslmode says
    #[arg(long = "database-url", env = "LINKFORTY_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    source: SecretString,
    /// The workspace that gets it; may be left out where there is only one
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// Only what is of this organization, and not what has no link
    #[arg(long, value_name = "ID")]
    organization: Option<Uuid>,
    /// Only what is of this user, and not what has no link
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,
    /// The host that links are to live on, a domain of the workspace [default: the server's own]
    #[arg(long, default_value = "", value_name = "HOST", hide_default_value = true)]
    domain: String,
    /// The app that installs and events are of, where the workspace has it [default: none]
    #[arg(long, value_name = "ID", value_parser = app)]
    app: Option<AppId>,
    /// The time zone of LinkForty's database, as its `SHOW timezone` says
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    time_zone: Tz,
    /// Say what would become of each row, and store nothing
    #[arg(long, conflicts_with = "verify_only")]
    dry_run: bool,
    /// Store nothing, but compare what both databases hold
    #[arg(long)]
    verify_only: bool,
    /// Exit with 0 also when rows were refused, if everything else is the same
    #[arg(long)]
    allow_refused: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn app(text: &str) -> Result<AppId, &'static str> {
    AppId::parse(text).ok_or("is no UUID")
}

pub(super) async fn run(config: Config, asked: Takeover) -> anyhow::Result<ExitCode> {
    let env = operator::env(config).await?;
    let tenant = workspaces::enter_as_operator(&env, asked.workspace.as_deref()).await;
    let tenant = tenant.map_err(|error| told(&error))?;
    let run = match (asked.dry_run, asked.verify_only) {
        (true, _) => Run::Try,
        (false, true) => Run::Compare,
        (false, false) => Run::Carry,
    };
    let wanted = Wanted {
        url: asked.source,
        organization: asked.organization,
        user: asked.user,
        zone: asked.time_zone,
    };
    let into = Destination { domain: asked.domain, app: asked.app };
    let progress = Progress::new();
    let report = takeover::run(&env, &tenant, &wanted, &into, run, &|told: &Told| progress.show(told)).await;
    progress.bar.finish_and_clear();
    let report = report?;
    if asked.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say!("{report}");
    }
    let good = report.is_exact() && (report.refused() == 0 || asked.allow_refused);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How far the takeover is: a bar on a terminal, a line from time to time anywhere else.
struct Progress {
    bar: ProgressBar,
    last: RefCell<(String, u64)>,
}

impl Progress {
    fn new() -> Self {
        let style = "{bar:32} {percent:>3}% {pos}/{len} {msg} {eta}";
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::new(0).with_style(style), last: RefCell::default() }
    }

    fn show(&self, Told { what, done, all }: &Told) {
        let mut last = self.last.borrow_mut();
        let is_new = last.0 != *what;
        if is_new {
            self.bar.reset();
            self.bar.set_message(what.clone());
        }
        self.bar.set_length((*all).max(*done));
        self.bar.set_position(*done);
        if !stderr().is_terminal() && (is_new || done / LINE_EVERY > last.1 / LINE_EVERY) {
            eprintln!("{what}: {done} of {all}");
        }
        *last = (what.clone(), *done);
    }
}
