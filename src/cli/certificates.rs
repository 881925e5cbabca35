//! `linkforty certificates`: the certificates that the server gets by itself.

use clap::Subcommand;

use super::operator::{self, told};
use crate::{config::Config, domains::certificates};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  linkforty certificates list\n  linkforty certificates renew go.example.com"
)]
pub(super) enum Command {
    /// Lists every host that has a certificate or is to get one: how it stands, until when it is valid, when the server sees to it next, and why it
    /// could not be got the last time
    List,
    /// Has a running server get a certificate for a host now, whether it has one or not and whatever failed before
    Renew {
        /// The host, as `list` shows it
        host: String,
    },
}

pub(super) async fn run(config: Config, command: Command) -> anyhow::Result<()> {
    let env = operator::env(config).await?;
    match command {
        Command::List => {
            let now = env.now();
            for certificate in certificates::list(&env).await.map_err(|error| told(&error))? {
                let state = certificates::state_of(&certificate, now);
                let state = state.as_str_name().trim_start_matches("CERTIFICATE_STATE_").to_lowercase();
                let day = |time: Option<crate::clock::Moment>| {
                    time.map_or_else(|| "-".to_owned(), |time| time.format("%Y-%m-%d %H:%M").to_string())
                };
                say_on!(
                    "{}  {state}  expires {}  next {}",
                    certificate.host,
                    day(certificate.expire_time),
                    day(certificate.next_time)
                );
                match certificates::failure_of(&certificate) {
                    Some(failure) => say!(
                        "  failed {} times, {failure}: {}",
                        certificate.failures,
                        certificate.failure_detail
                    ),
                    None => say!(""),
                }
            }
        }
        Command::Renew { host } => {
            let host = host.to_lowercase();
            let known = certificates::renew(&env, &host).await.map_err(|error| told(&error))?;
            anyhow::ensure!(
                known,
                "{host} is not to have a certificate: `linkforty certificates list` shows those that are"
            );
            say!(
                "the server gets a certificate for {host} now; `linkforty certificates list` shows what comes of it"
            );
        }
    }
    Ok(())
}
