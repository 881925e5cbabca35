//! `linkforty workspace`: the tenants, for whoever can reach the database.

use clap::{Args, Subcommand};

use super::operator::{self, told};
use crate::{
    config::Config,
    env::Env,
    error::Result,
    page::{MAX_SIZE, PageRequest},
    pb::v1::Quota,
    workspaces::{self, quotas},
};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  linkforty workspace list\n  linkforty workspace suspend 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 --reason \"phishing, case 17\"\n  linkforty workspace restore 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506\n  linkforty workspace quota 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 --links 10000 --members default"
)]
pub(super) enum Command {
    /// Lists workspaces, oldest first, whose apps may open links on the server's own host, and which are suspended
    List,
    /// Suspends a workspace: on every node all its links answer 410 within a second
    Suspend {
        /// Which
        id: String,
        /// Why; shown by `list` and to nobody else
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Lets the apps of a workspace open links on the server's own host, which all workspaces share: within a second they
    /// stand in its association files, and their devices open everybody's links there. The first workspace's may from the
    /// beginning
    AllowApps {
        /// Which
        id: String,
    },
    /// Takes the apps of a workspace out of the association files of the server's own host
    DenyApps {
        /// Which
        id: String,
    },
    /// Says how much of what a workspace may have, and shows it; what is not named stays as it is
    Quota(Quotas),
    /// Restores a suspended workspace: its links lead on again
    Restore {
        /// Which
        id: String,
    },
}

/// How much of what a workspace may have: a number, 0 for as many as anybody likes, or `default` for what the settings say.
#[derive(Debug, Args)]
pub(super) struct Quotas {
    /// Which
    id: String,
    /// Links, aliases not counted [setting: QUOTA_LINKS]
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    links: Option<Limit>,
    /// Members [setting: QUOTA_MEMBERS]
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    members: Option<Limit>,
    /// API keys that are good [setting: QUOTA_API_KEYS]
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    api_keys: Option<Limit>,
    /// Domains [setting: QUOTA_DOMAINS]
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    domains: Option<Limit>,
    /// Apps [setting: QUOTA_APPS]
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    apps: Option<Limit>,
    /// Clicks of people in a month; only told, no visitor is turned away for it [setting: QUOTA_CLICKS_PER_MONTH]
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    clicks_per_month: Option<Limit>,
}

/// What the operator says of a quota; none: the settings say it.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u64>);

fn limit(text: &str) -> Result<Limit, &'static str> {
    if text == "default" {
        return Ok(Limit(None));
    }
    // What is stored is read by databases that know no larger numbers.
    let number = text.parse().ok().filter(|number| *number <= i64::MAX as u64);
    number.map(|number| Limit(Some(number))).ok_or("must be a number, or default")
}

pub(super) async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    let env = operator::env(config).await?;
    carry_out(&env, command).await.map_err(|error| told(&error))
}

async fn carry_out(env: &Env, command: Command) -> Result<()> {
    match command {
        Command::List => {
            let mut page = PageRequest { size: MAX_SIZE, after: None };
            loop {
                let listed = workspaces::list_all(env, &page).await?;
                for workspace in listed.items {
                    let state = workspace.suspend_time.map_or(String::new(), |since| {
                        format!(
                            "  suspended {}: {}",
                            since.format("%Y-%m-%d %H:%M"),
                            workspace.suspend_reason
                        )
                    });
                    let state = workspace.delete_time.map_or(state, |at| {
                        format!("  deleted {}, being erased", at.format("%Y-%m-%d %H:%M"))
                    });
                    let apps = if workspace.apps_allowed { "  apps allowed" } else { "" };
                    say!("{}  {}{apps}{state}", workspace.id, workspace.name);
                }
                page.after = listed.next;
                if page.after.is_none() {
                    break;
                }
            }
        }
        Command::Suspend { id, reason } => {
            let tenant = workspaces::enter_as_operator(env, Some(&id)).await?;
            workspaces::suspend(env, &tenant, Some(&reason)).await?;
            say!("suspended; its links are gone");
        }
        Command::Quota(asked) => {
            let tenant = workspaces::enter_as_operator(env, Some(&asked.id)).await?;
            let given = [
                (Quota::Links, asked.links),
                (Quota::Members, asked.members),
                (Quota::ApiKeys, asked.api_keys),
                (Quota::Domains, asked.domains),
                (Quota::Apps, asked.apps),
                (Quota::ClicksPerMonth, asked.clicks_per_month),
            ];
            let changes: Vec<_> =
                given.into_iter().filter_map(|(quota, limit)| Some((quota, limit?.0))).collect();
            if !changes.is_empty() {
                quotas::set(env, &tenant, &changes).await?;
            }
            for usage in quotas::usage(env, &tenant).await? {
                let allowed =
                    if usage.allowed == 0 { "any number".to_owned() } else { usage.allowed.to_string() };
                say!("{:<16}  {} of {allowed}", quotas::name(usage.quota), usage.used);
            }
        }
        Command::Restore { id } => {
            let tenant = workspaces::enter_as_operator(env, Some(&id)).await?;
            let changed = workspaces::suspend(env, &tenant, None).await?;
            say!("{}", if changed { "restored; its links lead on" } else { "it was not suspended" });
        }
        Command::AllowApps { id } => {
            let tenant = workspaces::enter_as_operator(env, Some(&id)).await?;
            let changed = workspaces::allow_apps(env, &tenant, true).await?;
            say!("{}", if changed { "allowed; its apps open links here" } else { "it was allowed already" });
        }
        Command::DenyApps { id } => {
            let tenant = workspaces::enter_as_operator(env, Some(&id)).await?;
            let changed = workspaces::allow_apps(env, &tenant, false).await?;
            say!(
                "{}",
                if changed { "denied; its apps open links here no more" } else { "it was not allowed" }
            );
        }
    }
    Ok(())
}
