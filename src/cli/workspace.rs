//! `linkforty workspace`: the tenants, for whoever can reach the database.

use clap::Subcommand;

use super::operator::{self, told};
use crate::{
    config::Config,
    env::Env,
    error::Result,
    page::{MAX_SIZE, PageRequest},
    workspaces,
};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  linkforty workspace list\n  linkforty workspace suspend 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 --reason \"phishing, case 17\"\n  linkforty workspace restore 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506"
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
    /// Restores a suspended workspace: its links lead on again
    Restore {
        /// Which
        id: String,
    },
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
                    let apps = if workspace.apps_allowed { "  apps allowed" } else { "" };
                    println!("{}  {}{apps}{state}", workspace.id, workspace.name);
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
            println!("suspended; its links are gone");
        }
        Command::Restore { id } => {
            let tenant = workspaces::enter_as_operator(env, Some(&id)).await?;
            let changed = workspaces::suspend(env, &tenant, None).await?;
            println!("{}", if changed { "restored; its links lead on" } else { "it was not suspended" });
        }
        Command::AllowApps { id } => {
            let tenant = workspaces::enter_as_operator(env, Some(&id)).await?;
            let changed = workspaces::allow_apps(env, &tenant, true).await?;
            println!(
                "{}",
                if changed { "allowed; its apps open links here" } else { "it was allowed already" }
            );
        }
        Command::DenyApps { id } => {
            let tenant = workspaces::enter_as_operator(env, Some(&id)).await?;
            let changed = workspaces::allow_apps(env, &tenant, false).await?;
            println!(
                "{}",
                if changed { "denied; its apps open links here no more" } else { "it was not allowed" }
            );
        }
    }
    Ok(())
}
