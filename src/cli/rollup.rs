//! `linkforty rollup`: what reports are made from, made anew from what was recorded or compared with it, beside servers that run.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::NaiveDate;
use clap::Subcommand;

use super::operator;
use crate::{
    analytics::rollup::{self, Difference, Measures, Outcome, Wanted},
    config::Config,
    env::Env,
    ids::WorkspaceId,
    page::{MAX_SIZE, PageRequest},
    workspaces,
};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  linkforty rollup rebuild --verify\n  linkforty rollup rebuild --workspace 0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 --from 2026-11-01 --to 2026-11-30"
)]
pub(super) enum Command {
    /// Makes days anew from clicks, installs and events, each in one step that may be repeated at any time. A day whose clicks are gone is
    /// left alone. Which link an event was counted under is written nowhere: it counts under the one that it would be credited to now, by the
    /// windows of now
    Rebuild {
        /// Only of this workspace
        #[arg(long, value_name = "ID", value_parser = workspace)]
        workspace: Option<WorkspaceId>,
        /// Changes nothing, but prints where rollups are not what a rebuild would make. Exit code 1 if they differ anywhere. Events of links
        /// whose window was changed since, or that are gone, may differ and yet have been counted right
        #[arg(long)]
        verify: bool,
        /// The first day (UTC) [default: the first there is]
        #[arg(long, value_name = "DAY")]
        from: Option<NaiveDate>,
        /// The last day (UTC) [default: the last there is]
        #[arg(long, value_name = "DAY")]
        to: Option<NaiveDate>,
    },
}

pub(super) async fn run(config: Config, command: Command) -> anyhow::Result<ExitCode> {
    let env = operator::env(config).await?;
    let Command::Rebuild { workspace, verify, from, to } = command;
    let workspaces = match workspace {
        Some(workspace) => vec![workspace],
        None => all(&env).await?,
    };
    let mut sum = Sum::default();
    for workspace in workspaces {
        let Some((first, last)) = rollup::days(&env, workspace).await? else { continue };
        let first = from.map_or(first, |from| from.to_epoch_days().max(first));
        let last = to.map_or(last, |to| to.to_epoch_days().min(last));
        for day in first..=last {
            let wanted = Wanted { workspace, day };
            let done = if verify { sum.verify(&env, wanted).await } else { sum.rebuild(&env, wanted).await };
            done.with_context(|| format!("{workspace} {}", date(day)))?;
        }
    }
    let Sum { days, rows, left, differences } = sum;
    if left > 0 {
        say!("{left} days were left alone: their clicks are gone");
    }
    if verify {
        say!("{days} days compared, {differences} differences");
        return Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    say!("{days} days rebuilt, {rows} rows");
    Ok(ExitCode::SUCCESS)
}

async fn all(env: &Env) -> anyhow::Result<Vec<WorkspaceId>> {
    let mut page = PageRequest { size: MAX_SIZE, after: None };
    let mut ids = Vec::new();
    loop {
        let listed = workspaces::list_all(env, &page).await.map_err(|error| operator::told(&error))?;
        ids.extend(listed.items.iter().map(|workspace| workspace.id));
        page.after = listed.next;
        if page.after.is_none() {
            return Ok(ids);
        }
    }
}

#[derive(Debug, Default)]
struct Sum {
    days: u64,
    rows: usize,
    left: u64,
    differences: usize,
}

impl Sum {
    async fn verify(&mut self, env: &Env, wanted: Wanted) -> anyhow::Result<()> {
        match rollup::verify(env, wanted).await? {
            Some(differences) => {
                self.days += 1;
                self.differences += differences.len();
                differences.iter().for_each(|difference| say!("{}", line(wanted, difference)));
            }
            None => self.left += 1,
        }
        Ok(())
    }

    async fn rebuild(&mut self, env: &Env, wanted: Wanted) -> anyhow::Result<()> {
        match rollup::rebuild(env, wanted).await? {
            Outcome::Rebuilt(rows) => {
                self.days += 1;
                self.rows += rows;
            }
            Outcome::LeftAlone => self.left += 1,
        }
        Ok(())
    }
}

fn line(Wanted { workspace, day }: Wanted, difference: &Difference) -> String {
    let Difference { key, part, value, slot, stored, recorded } = difference;
    let part = if part.is_empty() { "-" } else { part };
    let place = match value {
        Some((dimension, value)) => {
            let value = value.replace('\0', "/");
            format!("{} {value:?} slot {slot}", rollup::dimension_name(*dimension))
        }
        None => "visitors".to_owned(),
    };
    let (scope, level) =
        (format!("{:?}", key.scope).to_lowercase(), format!("{:?}", key.level).to_lowercase());
    format!(
        "{workspace} {} {scope} {part} {level} {} {place}: {} stored, {} recorded",
        date(day),
        key.period,
        counts(stored),
        counts(recorded)
    )
}

fn counts(measures: &Measures) -> String {
    let Measures { clicks, bot_clicks, opens, installs, attributed_installs, events, revenue } = measures;
    let mut text = format!("{clicks}/{bot_clicks}/{opens}/{installs}/{attributed_installs}/{events}");
    for (currency, nanos) in revenue {
        text.push_str(&format!(" {nanos}e-9 {}", currency.as_str()));
    }
    text
}

fn date(day: i32) -> String {
    let date = NaiveDate::default() + chrono::Duration::days(day.into());
    date.to_string()
}

fn workspace(text: &str) -> Result<WorkspaceId, &'static str> {
    WorkspaceId::parse(text).ok_or("is no UUID")
}
