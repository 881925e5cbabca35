//! `linkforty user`: people, for whoever can reach the database.

use clap::Subcommand;

use super::operator::{self, told};
use crate::{
    accounts::{
        self,
        people::{self, FirstSignIn},
    },
    config::Config,
    env::Env,
    error::Result,
    page::{MAX_SIZE, PageRequest},
    workspaces::{self, Role},
};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  linkforty user bootstrap\n  linkforty user create ana@example.com --role admin\n  linkforty user reset-password ana@example.com"
)]
pub(super) enum Command {
    /// Makes the first owner (OWNER_EMAIL) and their workspace, if there is nobody yet
    Bootstrap,
    /// Adds a person and prints the password they sign in with the first time
    Create {
        /// What they sign in with
        email: String,
        /// What others see
        #[arg(long, default_value = "")]
        name: String,
        /// The workspace they join; without it, and without --role, they join none
        #[arg(long, value_name = "ID")]
        workspace: Option<String>,
        /// What they may do there: viewer, member or admin; the only workspace there is, unless --workspace names one
        #[arg(long, value_name = "ROLE", value_parser = role, default_value_if("workspace", clap::builder::ArgPredicate::IsPresent, "member"))]
        role: Option<Role>,
    },
    /// Gives a person a new password, prints it and ends all their sessions
    ResetPassword {
        /// What they sign in with
        email: String,
    },
    /// Takes away the second factor and the passkeys of a person who lost them and ends all their sessions; the next sign-in asks for a new password
    ResetSecondFactor {
        /// What they sign in with
        email: String,
    },
    /// Lets a person sign in no longer and ends all their sessions
    Disable {
        /// What they sign in with
        email: String,
    },
    /// Lets a disabled person sign in again
    Enable {
        /// What they sign in with
        email: String,
    },
    /// Lists people by e-mail; says who is disabled
    List,
}

pub(super) async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    let env = operator::env(config).await?;
    carry_out(&env, command).await.map_err(|error| told(&error))
}

async fn carry_out(env: &Env, command: Command) -> Result<()> {
    match command {
        Command::Bootstrap => match accounts::bootstrap(env).await? {
            Some(first) => show(&first),
            None => say!("there are people already; nothing was made"),
        },
        Command::Create { email, name, workspace, role } => {
            let tenant = match role {
                Some(_) => Some(workspaces::enter_as_operator(env, workspace.as_deref()).await?),
                None => None,
            };
            let first = people::create(env, &email, &name, tenant.as_ref().zip(role)).await?;
            show(&first);
        }
        Command::ResetPassword { email } => show(&people::reset_password(env, &email).await?),
        Command::ResetSecondFactor { email } => {
            let user = people::reset_second_factor(env, &email).await?;
            say!("{} signs in with the password alone, and must change it then", user.email);
        }
        Command::Disable { email } => {
            let user = people::disable(env, &email).await?;
            say!("{} can no longer sign in; all their sessions are over", user.email);
        }
        Command::Enable { email } => {
            let user = people::enable(env, &email).await?;
            say!("{} can sign in again", user.email);
        }
        Command::List => {
            let mut page = PageRequest { size: MAX_SIZE, after: None };
            loop {
                let listed = people::list(env, &page).await?;
                for user in listed.items {
                    let disabled = if user.disable_time.is_some() { "  (disabled)" } else { "" };
                    say!("{}  {}  {}{disabled}", user.id, user.email, user.display_name);
                }
                page.after = listed.next;
                if page.after.is_none() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn show(first: &FirstSignIn) {
    say!("Sign in with this, shown only once; the first sign-in asks for a new password:");
    say!("  E-mail       {}", first.email);
    say!("  Password     {}", first.password);
}

fn role(name: &str) -> Result<Role, String> {
    match Role::named(name) {
        Some(Role::Owner) | None => Err("it must be viewer, member or admin".to_owned()),
        Some(role) => Ok(role),
    }
}
