//! `linkforty config`.

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;

/// How to show it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  linkforty config\n  linkforty config --json | jq .LINKS_URL")]
pub(super) struct Arguments {
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.json {
        let settings: serde_json::Map<String, serde_json::Value> = config
            .entries
            .iter()
            .map(|entry| {
                let value = serde_json::json!({ "value": entry.value, "origin": entry.origin });
                (entry.name.to_owned(), value)
            })
            .collect();
        say!("{}", serde_json::to_string_pretty(&settings)?);
    } else {
        let width = config.entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
        for entry in &config.entries {
            let origin = if entry.origin == "default" { "" } else { entry.origin };
            say!("{:width$}  {:40}  {origin}", entry.name, entry.value);
        }
    }
    Ok(ExitCode::SUCCESS)
}
