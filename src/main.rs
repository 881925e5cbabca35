//! The `linkforty` program; `linkforty --help` says what it can do.

use std::process::ExitCode;

use clap::Parser as _;
use linkforty::cli::{self, Cli};

/// A redirect asks for memory some dozen times, and a process that lives for months should not fall to pieces: glibc's allocator costs
/// a warm redirect a twentieth of its time and, where many tasks take turns, keeps what it cannot give back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
