//! `linkforty attribution`: what was decided of installs, and whether that is still what was logged.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::operator::{self, told};
use crate::{
    attribution::decisions::{
        self, Public,
        proof::{self, Unproved},
        verify::{self, Fault, Trust, Verdict, Whole, Why},
    },
    config::Config,
    env::Env,
    error::Result,
    ids::WorkspaceId,
};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  linkforty attribution verify\n  linkforty attribution verify --workspace 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 --checkpoint kept.txt\n  linkforty attribution check-proof proof.json --key 'linkforty/decisions/0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506+1a2b3c4d+AQ...'"
)]
pub(super) enum Command {
    /// Checks the logs of decisions from their beginning: hashes, tree, signed checkpoints, and whether each install is what its newest entry says.
    /// Names the first thing that is wrong; exit code 1 then
    Verify(Verify),
    /// Checks the answer of GetDecisionProof, as JSON, by the public key alone: reads no settings and asks no server. Exit code 1 if it proves nothing
    CheckProof(CheckProof),
}

/// What is checked, and against what.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Only the log of this workspace
    #[arg(long, value_name = "ID", value_parser = workspace)]
    workspace: Option<WorkspaceId>,
    /// A key that was good before SESSION_SECRET was changed; may be repeated
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Vec<Public>,
    /// A file with a checkpoint that was kept: a log that was cut off or made anew is found too
    #[arg(long, value_name = "FILE", requires = "workspace")]
    checkpoint: Option<PathBuf>,
}

/// What is checked.
#[derive(Debug, Args)]
pub(super) struct CheckProof {
    /// The answer, as JSON
    file: PathBuf,
    /// The public key, from somewhere else than the answer
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Public,
}

pub(super) async fn run(config: Config, asked: Verify) -> anyhow::Result<ExitCode> {
    let kept = match &asked.checkpoint {
        None => None,
        Some(file) => {
            Some(fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
        }
    };
    let env = operator::env(config).await?;
    let trust = Trust { keys: asked.key, kept };
    check_logs(&env, asked.workspace, &trust).await.map_err(|error| told(&error))
}

async fn check_logs(env: &Env, workspace: Option<WorkspaceId>, trust: &Trust) -> Result<ExitCode> {
    // What was decided a moment ago may not have its place yet, if no server runs.
    decisions::seal(env).await?;
    let workspaces = match workspace {
        Some(workspace) => vec![workspace],
        None => verify::logs(env).await?,
    };
    let mut code = ExitCode::SUCCESS;
    for workspace in workspaces {
        let verdict =
            verify::verify(env, workspace, trust, |size| eprint!("\rchecked {size} entries")).await?;
        eprintln!();
        say!("{workspace} {}", words(&verdict));
        if let Verdict::Broken(_) = verdict {
            code = ExitCode::FAILURE;
        }
        say!("{workspace} key {}", decisions::public_key(env, workspace).text());
    }
    Ok(code)
}

fn words(verdict: &Verdict) -> String {
    let fault = match verdict {
        Verdict::Whole(Whole { size, checkpoints, without_entry: 0 }) => {
            return format!("whole: {size} entries, {checkpoints} checkpoints");
        }
        Verdict::Whole(Whole { size, checkpoints, without_entry }) => {
            return format!(
                "whole: {size} entries, {checkpoints} checkpoints; {without_entry} installs have no entry"
            );
        }
        Verdict::Broken(fault) => fault,
    };
    let what = match fault {
        Fault::Missing { leaf } => format!("entry {leaf} is gone"),
        Fault::Altered { leaf, install } => format!("entry {leaf} (install {install}) is not what it was"),
        Fault::Node { level, place } => format!("hash {place} of level {level} is not what the entries say"),
        Fault::Checkpoint { size, why: Why::OtherKey } => {
            format!(
                "the checkpoint over {size} entries is signed by a key that is not known: hand it in with --key if SESSION_SECRET was changed since"
            )
        }
        Fault::Checkpoint { size, why: Why::Signature } => {
            format!("the checkpoint over {size} entries is not what was signed")
        }
        Fault::Checkpoint { size, why: Why::Content } => {
            format!("the checkpoint over {size} entries is not of this log")
        }
        Fault::End { size } => format!("the log ends after {size} entries, which is not where it ended"),
        Fault::Install { leaf, install, there: true } => {
            format!("install {install} is not what its newest entry says, which is {leaf}")
        }
        Fault::Install { leaf, install, there: false } => {
            format!("install {install} is gone; its newest entry is {leaf}")
        }
        Fault::OtherLog => "the log does not have what the checkpoint that was kept says".to_owned(),
    };
    format!("BROKEN: {what}")
}

pub(super) fn check_proof(asked: &CheckProof) -> anyhow::Result<ExitCode> {
    let text =
        fs::read_to_string(&asked.file).with_context(|| format!("cannot read {}", asked.file.display()))?;
    match proof::check(&text, &asked.key) {
        Ok(proved) => {
            say!("proved: signed {} over {} entries", proved.checkpoint.time, proved.checkpoint.size);
            for (index, entry) in proved.entries {
                say!("{index} {entry}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            let why = match why {
                Unproved::Form => "it is no answer of GetDecisionProof",
                Unproved::Checkpoint => "its checkpoint is not signed by the key",
                Unproved::Path => "an entry is not in the log that was signed",
                Unproved::Evidence => "the facts or the click are not those of the entry",
            };
            say!("NOT PROVED: {why}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn workspace(text: &str) -> Result<WorkspaceId, &'static str> {
    WorkspaceId::parse(text).ok_or("is no UUID")
}

fn key(text: &str) -> Result<Public, &'static str> {
    Public::parse(text)
        .ok_or("must be a key as GetDecisionProof shows it: a name, eight digits and the key, joined by +")
}
