//! `linkforty key`: API keys, for whoever can reach the database.

use clap::{Args, Subcommand};

use super::operator::{self, told};
use crate::{
    config::Config,
    env::Env,
    error::{Error, Result},
    ids::ApiKeyId,
    page::{MAX_SIZE, PageRequest},
    rpc::Permission,
    workspaces::{
        self,
        keys::{self, Key, NewKey},
    },
};

/// Creates, lists and revokes API keys.
#[derive(Debug, Args)]
#[command(
    after_help = "Scopes: links.read links.write analytics.read workspaces.read api_keys.read apps.read apps.write\n\nExamples:\n  linkforty key create --name importer --scopes links.read,links.write\n  export LINKFORTY_KEY=$(linkforty key create --name tour --scopes links.read,links.write --secret-only)\n  linkforty key revoke 0199..."
)]
pub(super) struct Arguments {
    /// The workspace; default: the only one
    #[arg(long, global = true, value_name = "ID")]
    workspace: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Creates a key and prints its secret, this once
    Create {
        /// What it is for
        #[arg(long, value_parser = workspaces::name)]
        name: String,
        /// What it may do
        #[arg(long, value_delimiter = ',', required = true, value_parser = scope)]
        scopes: Vec<Permission>,
        /// When it ends, in days from now
        #[arg(long, default_value_t = keys::DEFAULT_LIFE.num_days(), value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=keys::MAX_LIFE.num_days()))]
        days: i64,
        /// Print the secret and nothing else
        #[arg(long)]
        secret_only: bool,
    },
    /// Lists keys, newest first, without their secrets
    List,
    /// Ends a key at once and for good
    Revoke {
        /// The id of the key
        id: String,
    },
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<()> {
    let env = operator::env(config).await?;
    carry_out(&env, arguments).await.map_err(|error| told(&error))
}

async fn carry_out(env: &Env, arguments: Arguments) -> Result<()> {
    let tenant = workspaces::enter_as_operator(env, arguments.workspace.as_deref()).await?;
    match arguments.verb {
        Verb::Create { name, mut scopes, days, secret_only } => {
            scopes.sort_unstable_by_key(|scope| scope.name());
            scopes.dedup();
            let expire_time = Some(env.now() + chrono::Duration::days(days));
            let created = keys::create(env, &tenant, NewKey { name, scopes, expire_time }, None).await?;
            let secret = created.secret.unwrap_or_default();
            if secret_only {
                println!("{secret}");
            } else {
                show(&created.key, env.now());
                println!("\nSecret, shown only once:\n{secret}");
            }
        }
        Verb::List => {
            let mut page = PageRequest { size: MAX_SIZE, after: None };
            loop {
                let found = keys::list(env, &tenant, &page).await?;
                for key in &found.items {
                    show(key, env.now());
                }
                page.after = found.next;
                if page.after.is_none() {
                    break;
                }
            }
        }
        Verb::Revoke { id } => {
            let id = ApiKeyId::parse(&id).ok_or_else(|| Error::not_found("API key"))?;
            show(&keys::revoke(env, &tenant, id).await?, env.now());
        }
    }
    Ok(())
}

fn scope(name: &str) -> Result<Permission, String> {
    Permission::named(name).filter(|permission| *permission != Permission::ApiKeysWrite).ok_or_else(|| {
        "must be one of links.read, links.write, analytics.read, workspaces.read, api_keys.read, apps.read, apps.write".to_owned()
    })
}

fn show(key: &Key, now: crate::clock::Moment) {
    let state = match key.revoke_time {
        Some(time) => format!("revoked {}", time.date_naive()),
        None if key.expire_time <= now => format!("expired {}", key.expire_time.date_naive()),
        None => format!("until {}", key.expire_time.date_naive()),
    };
    let scopes: Vec<&str> = keys::scopes_of(key).iter().map(|scope| scope.name()).collect();
    println!("{}  {}...  {state}  {}  {}", key.id, key.prefix, scopes.join(","), key.name);
}
