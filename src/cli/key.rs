//! `linkforty key`: API keys, for whoever can reach the database.

use chrono::Duration;
use clap::{Args, Subcommand};

use super::operator::{self, told};
use crate::{
    clock::Moment,
    config::Config,
    env::Env,
    error::{Error, Result},
    ids::ApiKeyId,
    page::{MAX_SIZE, PageRequest},
    rpc::Permission,
    workspaces::{
        self, Tenant,
        keys::{
            self, Created, Key, NewKey, Which, certificate,
            rotate::{self, Rotation},
            secret::Mode,
        },
    },
};

/// Creates, lists, rotates and revokes API keys.
#[derive(Debug, Args)]
#[command(
    after_help = "Scopes: links.read links.write analytics.read workspaces.read api_keys.read apps.read apps.write domains.read domains.write members.read audit.read; narrower ones: links.export projects.read projects.write projects.delete templates.read templates.write utm_presets.read utm_presets.write attribution.read\n\nExamples:\n  linkforty key create --name importer --scopes links.read,links.write\n  export LINKFORTY_KEY=$(linkforty key create --name tour --scopes links.read,links.write --secret-only)\n  linkforty key create --name billing --scopes analytics.read --certificate-name spiffe://example.com/billing\n  linkforty key stale --unused-days 60\n  linkforty key rotate 0199... --overlap-hours 24\n  linkforty key revoke 0199..."
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
        /// When it ends, in days from now; default: 90, of test keys 30
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=keys::MAX_LIFE.num_days()))]
        days: Option<i64>,
        /// For trying things out: its secret says so, and it lives 30 days at the most
        #[arg(long)]
        test: bool,
        /// Opened by a client certificate with this name (URI or DNS name) instead of a secret: for services inside, see TLS_CLIENT_CA_FILE
        #[arg(long, value_name = "NAME", value_parser = certificate::name, conflicts_with_all = ["test", "secret_only"])]
        certificate_name: Option<String>,
        /// Print the secret and nothing else
        #[arg(long)]
        secret_only: bool,
    },
    /// Lists keys, newest first, without their secrets
    List,
    /// Lists keys that nobody uses, or whose secret is at least 90 days old
    Stale {
        /// How long a key was not used to be listed
        #[arg(long, default_value_t = 30, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=400))]
        unused_days: i64,
    },
    /// Gives a key another secret and prints it, this once
    Rotate {
        /// The id of the key
        id: String,
        /// How long the secret until now is good
        #[arg(long, default_value_t = rotate::DEFAULT_OVERLAP.num_hours(), value_name = "HOURS", value_parser = clap::value_parser!(i64).range(0..=rotate::MAX_OVERLAP.num_hours()))]
        overlap_hours: i64,
        /// Print the secret and nothing else
        #[arg(long)]
        secret_only: bool,
    },
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
        Verb::Create { name, mut scopes, days, test, certificate_name, secret_only } => {
            scopes.sort_unstable_by_key(|scope| scope.name());
            scopes.dedup();
            let mode = if test { Mode::Test } else { Mode::Live };
            let longest = keys::max_life(mode).num_days();
            if days.is_some_and(|days| days > longest) {
                return Err(Error::invalid_field("days", format!("must be at most {longest}")));
            }
            let expire_time = days.map(|days| env.now() + Duration::days(days));
            let new = NewKey { expire_time, mode, certificate_name, ..NewKey::new(name, scopes) };
            tell(&keys::create(env, &tenant, new, None).await?, secret_only, env.now());
        }
        Verb::List => list(env, &tenant, Which::All).await?,
        Verb::Stale { unused_days } => {
            list(env, &tenant, Which::Stale(Duration::days(unused_days))).await?;
        }
        Verb::Rotate { id, overlap_hours, secret_only } => {
            let id = ApiKeyId::parse(&id).ok_or_else(|| Error::not_found("API key"))?;
            let how = Rotation { overlap: Duration::hours(overlap_hours), expire_time: None };
            tell(&rotate::rotate(env, &tenant, id, how, None).await?, secret_only, env.now());
        }
        Verb::Revoke { id } => {
            let id = ApiKeyId::parse(&id).ok_or_else(|| Error::not_found("API key"))?;
            show(&keys::revoke(env, &tenant, id).await?, env.now());
        }
    }
    Ok(())
}

async fn list(env: &Env, tenant: &Tenant, which: Which) -> Result<()> {
    let mut page = PageRequest { size: MAX_SIZE, after: None };
    loop {
        let found = keys::list(env, tenant, which, &page).await?;
        for key in &found.items {
            show(key, env.now());
        }
        page.after = found.next;
        if page.after.is_none() {
            return Ok(());
        }
    }
}

/// Prints a secret, this once.
fn tell(created: &Created, secret_only: bool, now: Moment) {
    match &created.secret {
        Some(secret) if secret_only => say!("{secret}"),
        Some(secret) => {
            show(&created.key, now);
            say!("\nSecret, shown only once:\n{secret}");
        }
        None => show(&created.key, now),
    }
}

fn scope(name: &str) -> Result<Permission, String> {
    Permission::named(name).filter(|permission| permission.is_for_keys()).ok_or_else(|| {
        let all = Permission::ALL.iter().filter(|permission| permission.is_for_keys());
        let names: Vec<&str> = all.map(|permission| permission.name()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

fn show(key: &Key, now: Moment) {
    let state = match key.revoke_time {
        Some(time) => format!("revoked {}", time.date_naive()),
        None if key.expire_time <= now => format!("expired {}", key.expire_time.date_naive()),
        None => format!("until {}", key.expire_time.date_naive()),
    };
    let scopes: Vec<&str> = keys::scopes_of(key).iter().map(|scope| scope.name()).collect();
    let used =
        key.last_use_time.map_or("never used".to_owned(), |time| format!("used {}", time.date_naive()));
    let opened = key.certificate_name.clone().unwrap_or_else(|| format!("{}...", key.prefix));
    say!("{}  {opened}  {state}  {used}  {}  {}", key.id, scopes.join(","), key.name);
}
