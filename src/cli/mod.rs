//! The command line: one file for each command.
//!
//! Exit codes: 0 done, 1 failed, 2 called wrongly, 78 bad settings (`EX_CONFIG` of sysexits.h), each of them named on stderr; 141 when nobody reads on what is
//! printed (`out.rs`).

#[macro_use]
mod out;

mod api;
mod attribution;
mod audit;
mod certificates;
mod config;
mod cost;
mod export;
mod import;
mod key;
mod migrate;
mod operator;
mod rates;
mod rollup;
mod secret;
mod serve;
mod simulate;
mod smoke;
mod spool;
mod takeover;
mod user;
mod workspace;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::config::{Config, Problems};

/// The exit code for bad settings.
const EX_CONFIG: u8 = 78;

const AFTER_HELP: &str = "\
Settings are environment variables; `linkforty config` lists them with their effective values. Nothing set means
embedded mode: SQLite in ./data, nothing else needed.

Examples:
  linkforty                                     serve, embedded, data in ./data
  linkforty --data-dir /var/lib/linkforty       the same, data elsewhere
  DATABASE_URL=postgres://... linkforty migrate up
  DATABASE_URL=postgres://... REDIS_URL=redis://... linkforty serve
  linkforty config --json";

/// Self-hosted deep links and mobile attribution.
#[derive(Debug, Parser)]
#[command(name = "linkforty", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// Where the spool, the embedded database and its secrets live [setting: DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers redirects and calls until it is told to stop (the default)
    Serve,
    /// Brings the database schema up to date, or says where it stands
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Lists the effective settings; secrets are masked
    Config(config::Arguments),
    /// People: the first owner, others, new passwords
    #[command(subcommand)]
    User(user::Command),
    /// Workspaces: list, suspend, restore, quotas, whose apps open links on the server's own host
    #[command(subcommand)]
    Workspace(workspace::Command),
    /// API keys: create, list, rotate, revoke; those nobody uses
    Key(key::Arguments),
    /// Who did what, and whether that is still what was noted: list, verify
    #[command(subcommand)]
    Audit(audit::Command),
    /// What was decided of installs, and whether that is still what was logged: verify, check-proof
    #[command(subcommand)]
    Attribution(attribution::Command),
    /// Secrets: make one, and change JWT_SECRET without signing anybody out
    #[command(subcommand)]
    Secret(secret::Command),
    /// What waits to be stored, and storing it by hand
    Spool(spool::Arguments),
    /// Certificates that the server gets by itself: list, renew
    #[command(subcommand)]
    Certificates(certificates::Command),
    /// Exchange rates for the revenue of events and the costs of campaigns: import, list
    #[command(subcommand)]
    Rates(rates::Command),
    /// What reports are made from: make days of it anew from what was recorded, or compare them with it
    #[command(subcommand)]
    Rollup(rollup::Command),
    /// Checks a running deployment from outside: create, click, counted, deleted
    Smoke(smoke::Smoke),
    /// Imports a file of links into a running deployment (CSV, Bitly, Dub, Shlink, Kutt, YOURLS, linkforty), or takes over a LinkForty database
    Import(Box<import::Import>),
    /// What campaigns cost: import into a running deployment
    #[command(subcommand)]
    Cost(cost::Command),
    /// Writes the links of a running deployment to a file
    Export(export::Export),
    /// What attribution is worth on a population of which everything is known
    #[command(subcommand)]
    Simulate(simulate::Command),
    /// Prints the version
    Version,
}

/// Does what the arguments say.
pub fn run(cli: Cli) -> ExitCode {
    if let Some(Command::Version) = cli.command {
        say!("linkforty {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let command = match cli.command.unwrap_or(Command::Serve) {
        // They talk to a deployment and read none of this machine's settings.
        Command::Smoke(smoke) => return conclude(block_on(smoke.run()).map(|()| ExitCode::SUCCESS)),
        Command::Import(import) => match *import {
            import::Import::File(file) => return conclude(block_on(file.run())),
            import::Import::Takeover(_) => Command::Import(import),
        },
        Command::Cost(command) => return conclude(block_on(cost::run(command))),
        Command::Export(export) => return conclude(block_on(export.run()).map(|()| ExitCode::SUCCESS)),
        // These need nothing but their arguments.
        Command::Simulate(command) => return conclude(simulate::run(&command)),
        Command::Attribution(attribution::Command::CheckProof(asked)) => {
            return conclude(attribution::check_proof(&asked));
        }
        Command::Secret(secret::Command::Generate(what)) => {
            secret::generate(&what);
            return ExitCode::SUCCESS;
        }
        command => command,
    };
    let data_dir = cli.data_dir.map(|dir| dir.display().to_string());
    let config = match Config::from_env_and(&|name| data_dir.clone().filter(|_| name == "DATA_DIR")) {
        Ok(config) => config,
        Err(problems) => return bad_settings(&problems),
    };
    let outcome = match command {
        Command::Serve => serve::run(config),
        Command::Migrate(command) => migrate::run(&config, &command),
        Command::Config(arguments) => config::run(&config, &arguments),
        Command::User(command) => block_on(user::run(config, command)).map(|()| ExitCode::SUCCESS),
        Command::Workspace(command) => block_on(workspace::run(config, command)).map(|()| ExitCode::SUCCESS),
        Command::Key(arguments) => block_on(key::run(config, arguments)).map(|()| ExitCode::SUCCESS),
        Command::Audit(command) => block_on(audit::run(config, command)),
        Command::Attribution(attribution::Command::Verify(asked)) => {
            block_on(attribution::run(config, asked))
        }
        Command::Secret(secret::Command::Rotate(step)) => {
            secret::rotate(&config, &step).map(|()| ExitCode::SUCCESS)
        }
        Command::Spool(arguments) => block_on(spool::run(config, arguments)).map(|()| ExitCode::SUCCESS),
        Command::Certificates(command) => {
            block_on(certificates::run(config, command)).map(|()| ExitCode::SUCCESS)
        }
        Command::Rates(command) => block_on(rates::run(config, command)).map(|()| ExitCode::SUCCESS),
        Command::Rollup(command) => block_on(rollup::run(config, command)),
        Command::Import(import) => match *import {
            import::Import::Takeover(asked) => block_on(takeover::run(config, asked)),
            import::Import::File(_) => Ok(ExitCode::SUCCESS),
        },
        Command::Smoke(_)
        | Command::Cost(_)
        | Command::Export(_)
        | Command::Simulate(_)
        | Command::Attribution(attribution::Command::CheckProof(_))
        | Command::Secret(secret::Command::Generate(_))
        | Command::Version => Ok(ExitCode::SUCCESS),
    };
    conclude(outcome)
}

fn conclude(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        if let Some(problems) = error.downcast_ref() {
            return bad_settings(problems);
        }
        eprintln!("linkforty: {error:#}");
        ExitCode::FAILURE
    })
}

fn bad_settings(problems: &Problems) -> ExitCode {
    eprintln!("linkforty cannot start with these settings:\n{problems}");
    ExitCode::from(EX_CONFIG)
}

/// Runs a command's asynchronous part.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    block_on_threads(&mut tokio::runtime::Builder::new_multi_thread(), work)
}

/// The same on threads of a kind.
fn block_on_threads<T>(
    threads: &mut tokio::runtime::Builder,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    use anyhow::Context as _;
    threads.enable_all().build().context("cannot start the runtime")?.block_on(work)
}
