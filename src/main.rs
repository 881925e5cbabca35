//! The `linkforty` program; `linkforty --help` says what it can do.

use std::process::ExitCode;

use clap::Parser as _;
use linkforty::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
