//! `linkforty audit`: who did what, for whoever can reach the database, and whether that is still what was noted.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use super::operator::{self, told};
use crate::{
    audit::{self, Audience, AuditQuery, Head, Order, Verdict, chain::Fault, export},
    config::Config,
    env::Env,
    error::Result,
    ids::{WorkspaceId, parse},
    page::{MAX_SIZE, PageRequest},
    pb::v1::ExportFormat,
};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  linkforty audit list --workspace 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 --format ndjson\n  linkforty audit verify\n  linkforty audit verify --head 1234:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)]
pub(super) enum Command {
    /// Writes what was done, oldest first
    List {
        /// Only in this workspace
        #[arg(long, value_name = "ID", value_parser = workspace)]
        workspace: Option<WorkspaceId>,
        /// Only by this person, key or app
        #[arg(long, value_name = "ID", value_parser = id)]
        actor: Option<uuid::Uuid>,
        /// Only to this
        #[arg(long, value_name = "ID", value_parser = id)]
        target: Option<uuid::Uuid>,
        /// Only these actions, or beginnings of some such as `link.`
        #[arg(long, value_name = "NAME")]
        action: Vec<String>,
        /// How to write them
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
    },
    /// Checks the chain of hashes from its beginning, names the first event that is not what it was or is gone, and prints
    /// the head of the chain: keep it elsewhere and hand it in the next time, and a cut-off end is found too. Exit code 1 if something
    /// is wrong
    Verify {
        /// A head that was kept
        #[arg(long, value_name = "SEQ:HASH", value_parser = head)]
        head: Option<Head>,
    },
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table with a header
    Csv,
    /// A JSON object in each line
    Ndjson,
}

pub(super) async fn run(config: Config, command: Command) -> anyhow::Result<ExitCode> {
    let env = operator::env(config).await?;
    carry_out(&env, command).await.map_err(|error| told(&error))
}

async fn carry_out(env: &Env, command: Command) -> Result<ExitCode> {
    match command {
        Command::List { workspace, actor, target, action, format } => {
            let audience = workspace.map_or(Audience::Operator, Audience::Workspace);
            let query = AuditQuery { actor, target, actions: action, start: None, end: None };
            let format = match format {
                Format::Csv => ExportFormat::Csv,
                Format::Ndjson => ExportFormat::Ndjson,
            };
            let mut page = PageRequest { size: MAX_SIZE, after: None };
            let mut header = format == ExportFormat::Csv;
            loop {
                let listed = audit::list(env, audience, &query, Order::Oldest, &page).await?;
                let written = export::written(listed.items, format, std::mem::take(&mut header));
                say_on!("{}", String::from_utf8_lossy(&written));
                page.after = listed.next;
                if page.after.is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        Command::Verify { head } => {
            // What was noted a moment ago may not have its place yet, if no server runs.
            audit::seal(env).await?;
            let verdict = audit::verify(env, head, |seq| eprint!("\rchecked {seq} events")).await?;
            eprintln!();
            say!("{}", words(&verdict));
            Ok(if matches!(verdict, Verdict::Whole(_)) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Whole(head) => {
            format!("whole: {} events\nhead {}:{}", head.seq, head.seq, HEXLOWER.encode(&head.hash))
        }
        Verdict::Broken { seq, fault: Fault::Missing, .. } => format!("BROKEN: event {seq} is gone"),
        Verdict::Broken { seq, event, fault: Fault::Altered } => {
            let event = event.map(|id| id.to_string()).unwrap_or_default();
            format!("BROKEN: event {seq} ({event}) is not what it was")
        }
        Verdict::LeftOver(event) => {
            format!("BROKEN: event {event} should have a place in the chain and has none")
        }
        Verdict::OtherHead => "BROKEN: the chain does not have the head that was given".to_owned(),
    }
}

fn workspace(text: &str) -> Result<WorkspaceId, &'static str> {
    WorkspaceId::parse(text).ok_or("is no UUID")
}

fn id(text: &str) -> Result<uuid::Uuid, &'static str> {
    parse(text).ok_or("is no UUID")
}

fn head(text: &str) -> Result<Head, &'static str> {
    const WRONG: &str = "must be what verify printed: a number, a colon and 64 hexadecimal digits";
    let (seq, hash) = text.split_once(':').ok_or(WRONG)?;
    let seq = seq.parse().ok().filter(|seq| *seq >= 0).ok_or(WRONG)?;
    let hash = HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
    let hash = hash.ok_or(WRONG)?;
    Ok(Head { seq, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let whole = Head { seq: 7, hash: std::array::from_fn(|n| n as u8 * 7) };
        let printed = words(&Verdict::Whole(whole));
        let printed = printed.rsplit_once("head ").expect("it is printed").1;
        assert_eq!(head(printed), Ok(whole));
        for wrong in
            ["", "7", "7:", "7:ab", "-1:00", &format!("7:{}", "g".repeat(64)), &format!("x{printed}")]
        {
            assert!(head(wrong).is_err(), "{wrong:?}");
        }
    }
}
