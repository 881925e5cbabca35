//! `linkforty simulate`: what decisions are worth on a population of which everything is known. Needs no server and no settings.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::attribution::{
    decide::Rules,
    simulate::{self, Settings},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// How many installs are credited to the right click and how many to a stranger's, by evidence, by window and threshold, and by
    /// LinkForty's rules
    Attribution(Attribution),
}

/// The population and the rules. The same arguments always print the same.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  linkforty simulate attribution --seed 1\n  linkforty simulate attribution --window 7d --threshold 80\n  linkforty simulate attribution --json | jq .grid"
)]
pub(super) struct Attribution {
    /// What everything follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many people there are
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    people: u32,
    /// How many days they live
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    /// How long after the click likeness is evidence, at the most: as 90m, 2h, 7d [default: 2h]
    #[arg(long, value_parser = seconds)]
    window: Option<i64>,
    /// The score from which on it is [default: 70]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    threshold: Option<u16>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Attribution(Attribution { seed, people, days, window, threshold, json }) = *command;
    let base = Rules::default();
    let rules = Rules {
        likeness_window_seconds: window.unwrap_or(base.likeness_window_seconds),
        threshold: threshold.unwrap_or(base.threshold),
        ..base
    };
    let report = simulate::run(&Settings { seed, people: people as usize, days, rules, grid: true });
    if json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say_on!("{report}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a length of time, up to 90 days: a whole number with its unit.
fn seconds(text: &str) -> Result<i64, String> {
    const MOST: i64 = 90 * 86_400;
    let wrong = || format!("`{text}` is no length of time from 1m to 90d, such as 90m, 2h or 7d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number = number.parse::<u32>().map_err(|_| wrong())?;
    Some(i64::from(number) * unit).filter(|seconds| (60..=MOST).contains(seconds)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_number_with_its_unit() {
        for (text, expected) in [
            ("1m", Some(60)),
            ("90m", Some(5400)),
            ("2h", Some(7200)),
            ("7d", Some(604_800)),
            ("90d", Some(7_776_000)),
            ("91d", None),
            ("0h", None),
            ("-1h", None),
            ("4294967296d", None),
            ("2", None),
            ("h", None),
            ("", None),
            ("2ü", None),
            ("2 h", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }
}
