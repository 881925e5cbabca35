//! The `linkforty` program; `linkforty --help` says what it can do.

use std::process::ExitCode;

use clap::Parser as _;
use linkforty::cli::{self, Cli};

/// A redirect asks for memory some dozen times. With glibc's allocator that costs a warm one a tenth more processor time
/// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
