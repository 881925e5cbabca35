//! The command line: one file for each command.
//!
//! Exit codes: 0 done, 1 failed, 2 called wrongly, 78 bad settings (`EX_CONFIG` of sysexits.h), each of them named on stderr.

mod config;
mod key;
mod migrate;
mod serve;
mod user;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::{
    cache,
    clock::SystemClock,
    config::{Config, Problems},
    db::Db,
    env::{self, Env},
    error::Error,
    ids::Ids,
};

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
    /// Adds people, lists them, resets their passwords
    #[command(subcommand)]
    User(user::Command),
    /// Creates, lists and revokes API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Lists the effective settings; secrets are masked
    Config(config::Arguments),
    /// Prints the version
    Version,
}

/// Does what the arguments say.
pub fn run(cli: Cli) -> ExitCode {
    if let Some(Command::Version) = cli.command {
        println!("linkforty {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let data_dir = cli.data_dir.map(|dir| dir.display().to_string());
    let config = match Config::from_env_and(&|name| data_dir.clone().filter(|_| name == "DATA_DIR")) {
        Ok(config) => config,
        Err(problems) => return bad_settings(&problems),
    };
    let outcome = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(config),
        Command::Migrate(command) => migrate::run(config, command),
        Command::User(command) => user::run(config, command),
        Command::Key(command) => key::run(config, command),
        Command::Config(arguments) => config::run(&config, &arguments),
        Command::Version => Ok(ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}

/// Opens the stores for a command that does one thing and ends. What it changes is told to the nodes that share Redis or
/// Postgres with it; an embedded server believes what it knew of a session or a key for ten seconds more.
async fn open(config: Config) -> anyhow::Result<Env> {
    let ids = Arc::new(Ids::from_os());
    let db = Db::open(&config).await.context("cannot open the database")?;
    let secrets = env::secrets(&config, &ids)?;
    let stores = cache::open(&config, ids.clone()).await?;
    Ok(Env::new(Arc::new(config), Arc::new(SystemClock), ids, db, (stores.cache, stores.fanout), secrets))
}

/// Says on one line what went wrong, for whoever sits at the host and may see all of it.
fn told(error: &Error) -> anyhow::Error {
    let faults = error.violations().iter().map(|fault| format!("{} {}", fault.field, fault.description));
    let faults: Vec<String> = faults.collect();
    if faults.is_empty() { anyhow::anyhow!("{}", error.inward()) } else { anyhow::anyhow!(faults.join("; ")) }
}
