//! `linkforty key`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{open, told};
use crate::{
    clock::Moment,
    config::Config,
    error::{Error, Result},
    ids::ApiKeyId,
    page::{MAX_SIZE, PageRequest},
    rpc::Permission,
    workspaces::{
        self,
        keys::{self, Key, NewKey},
    },
};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Creates a key and prints its secret, this once
    Create {
        /// What it is for
        #[arg(value_parser = workspaces::name)]
        name: String,
        /// What it may do, such as links.read; once for each scope
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope, required = true)]
        scopes: Vec<Permission>,
        /// When it ends: 1 to 366 days from now
        #[arg(long, value_name = "DAYS", default_value_t = keys::DEFAULT_LIFE.num_days(), value_parser = clap::value_parser!(i64).range(1..=keys::MAX_LIFE.num_days()))]
        days: i64,
        /// The workspace it belongs to; may be left out where there is one only
        #[arg(long, value_name = "ID")]
        workspace: Option<String>,
    },
    /// Lists the keys of a workspace, newest first
    List {
        /// The workspace; may be left out where there is one only
        #[arg(long, value_name = "ID")]
        workspace: Option<String>,
    },
    /// Ends a key for good; a running embedded server follows within ten seconds
    Revoke {
        /// The id that `key list` shows
        id: String,
        /// The workspace; may be left out where there is one only
        #[arg(long, value_name = "ID")]
        workspace: Option<String>,
    },
}

pub(super) fn run(config: Config, command: Command) -> anyhow::Result<ExitCode> {
    super::block_on(async {
        let env = open(config).await?;
        let done: Result<()> = async {
            match command {
                Command::Create { name, mut scopes, days, workspace } => {
                    let tenant = workspaces::enter_as_operator(&env, workspace.as_deref()).await?;
                    scopes.sort_unstable_by_key(|scope| scope.name());
                    scopes.dedup();
                    let expire_time = Some(env.now() + chrono::Duration::days(days));
                    let made =
                        keys::create(&env, &tenant, NewKey { name, scopes, expire_time }, None).await?;
                    println!("{}", line(&made.key, env.now()));
                    println!("Its secret, shown only once:");
                    println!("  {}", made.secret.unwrap_or_default());
                }
                Command::List { workspace } => {
                    let tenant = workspaces::enter_as_operator(&env, workspace.as_deref()).await?;
                    let mut page = PageRequest { size: MAX_SIZE, after: None };
                    loop {
                        let listed = keys::list(&env, &tenant, &page).await?;
                        for key in listed.items {
                            println!("{}", line(&key, env.now()));
                        }
                        page.after = listed.next;
                        if page.after.is_none() {
                            break;
                        }
                    }
                }
                Command::Revoke { id, workspace } => {
                    let tenant = workspaces::enter_as_operator(&env, workspace.as_deref()).await?;
                    let id = ApiKeyId::parse(&id).ok_or_else(|| Error::not_found("API key"))?;
                    println!("{}", line(&keys::revoke(&env, &tenant, id).await?, env.now()));
                }
            }
            Ok(())
        }
        .await;
        done.map_err(|error| told(&error))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn line(key: &Key, now: Moment) -> String {
    let state = match key.revoke_time {
        Some(time) => format!("revoked {}", time.format("%F")),
        None if key.expire_time <= now => format!("expired {}", key.expire_time.format("%F")),
        None => format!("good until {}", key.expire_time.format("%F")),
    };
    let scopes: Vec<&str> = keys::scopes_of(key).into_iter().map(Permission::name).collect();
    format!("{}  {}...  {state}  {}  {}", key.id, key.prefix, scopes.join(","), key.name)
}

fn scope(name: &str) -> Result<Permission, String> {
    let fine = |permission: &Permission| *permission != Permission::ApiKeysWrite;
    let all = Permission::ALL.into_iter().filter(fine).map(Permission::name).collect::<Vec<_>>().join(", ");
    Permission::named(name).filter(fine).ok_or_else(|| format!("it must be one of {all}"))
}
