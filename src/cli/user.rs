//! `linkforty user`: people, for whoever can reach the database.

use clap::{Args, Subcommand, ValueEnum};

use super::operator;
use crate::{
    accounts::people::{self, FirstSignIn},
    config::Config,
    page::PageRequest,
    workspaces::{self, Role},
};

/// Adds and lists people, and gives new passwords.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  linkforty user bootstrap\n  linkforty user create ana@example.com --workspace 0199... --role admin\n  linkforty user reset-password ana@example.com"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes the first owner (OWNER_EMAIL) and their workspace, if there is nobody yet, and prints the sign-in
    Bootstrap,
    /// Adds a person and prints what they sign in with the first time
    Create {
        /// The e-mail they sign in with
        email: String,
        /// The name shown to others
        #[arg(long, default_value = "")]
        name: String,
        /// The workspace they join; default: the only one
        #[arg(long, value_name = "ID")]
        workspace: Option<String>,
        /// What they may do there
        #[arg(long, value_enum, default_value = "member")]
        role: Place,
    },
    /// Gives a person a new password to be changed at the next sign-in, and ends all their sessions
    ResetPassword {
        /// The e-mail they sign in with
        email: String,
    },
    /// Lists people by e-mail
    List,
}

/// What somebody who joins may be: an owner is made with the workspace.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    Viewer,
    Member,
    Admin,
}

const PAGE: u32 = 500;

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<()> {
    let env = operator::env(config).await?;
    match arguments.verb {
        Verb::Bootstrap => match crate::accounts::bootstrap(&env).await? {
            Some(first) => show(&first),
            None => println!("there are people already; nothing was made"),
        },
        Verb::Create { email, name, workspace, role } => {
            let tenant = workspaces::enter_as_operator(&env, workspace.as_deref()).await?;
            let role = match role {
                Place::Viewer => Role::Viewer,
                Place::Member => Role::Member,
                Place::Admin => Role::Admin,
            };
            show(&people::create(&env, &email, &name, Some((&tenant, role))).await?);
        }
        Verb::ResetPassword { email } => show(&people::reset_password(&env, &email).await?),
        Verb::List => {
            let mut page = PageRequest { size: PAGE, after: None };
            loop {
                let found = people::list(&env, &page).await?;
                for user in found.items {
                    println!("{}  {}  {}", user.id, user.email, user.display_name);
                }
                page.after = found.next;
                if page.after.is_none() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn show(sign_in: &FirstSignIn) {
    println!("E-mail       {}", sign_in.email);
    println!("Password     {}", sign_in.password);
    println!("Shown only once; the first sign-in asks for a new password.");
}
