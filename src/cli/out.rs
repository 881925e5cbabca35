//! Standard output. Whoever reads it may have heard enough, as `head` has: then the command ends, as if by SIGPIPE and without a word.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write as _},
};

/// What a shell reports of a command that SIGPIPE ended.
const ENDED_BY_SIGPIPE: i32 = 128 + 13;
/// `EX_IOERR` of sysexits.h.
const EX_IOERR: i32 = 74;

/// Writes a line.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::out::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes a part of a line, or lines as they are.
macro_rules! say_on {
    ($($text:tt)*) => { $crate::cli::out::write(format_args!($($text)*)) };
}

/// Writes a text as it is.
pub fn write(text: Arguments<'_>) {
    let Err(error) = try_write(text) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(ENDED_BY_SIGPIPE);
    }
    eprintln!("error: nothing can be written: {error}");
    std::process::exit(EX_IOERR);
}

/// Writes a text as it is, or says that it cannot be.
pub fn try_write(text: Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(text)?;
    out.flush()
}
