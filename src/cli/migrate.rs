//! `linkforty migrate`.

use std::{fs, process::ExitCode};

use anyhow::Context as _;
use clap::Subcommand;

use crate::{
    config::Config,
    db::{self, Db},
};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Run `migrate up` before the new version starts; the old one goes on working meanwhile."
)]
pub(super) enum Command {
    /// Runs what has not run yet; one at a time, whoever else tries
    Up,
    /// Lists the migrations and says which have run
    Status,
    /// Fails unless the schema is the one of this version
    Verify,
}

pub(super) fn run(config: &Config, command: &Command) -> anyhow::Result<ExitCode> {
    super::block_on(async {
        if config.database.is_none() {
            fs::create_dir_all(&config.data_dir)
                .with_context(|| format!("cannot make {}", config.data_dir.display()))?;
        }
        let db = Db::open(config).await.context("cannot open the database")?.api;
        Ok(match command {
            Command::Up => {
                let names = db::migrate(&db).await.context("a migration failed")?;
                for name in &names {
                    say!("ran {name}");
                }
                say!("{}", if names.is_empty() { "up to date already" } else { "up to date" });
                ExitCode::SUCCESS
            }
            Command::Status => {
                for migration in db::status(&db).await.context("cannot read the migrations")? {
                    say!("{}  {}", if migration.applied { "done   " } else { "pending" }, migration.name);
                }
                ExitCode::SUCCESS
            }
            Command::Verify => {
                let wrong = db::verify(&db).await.context("cannot read the schema")?;
                for line in &wrong {
                    say!("{line}");
                }
                if wrong.is_empty() {
                    say!("the schema is the one of this version");
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                }
            }
        })
    })
}
