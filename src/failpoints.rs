//! Lets a test make the process end itself at a named place. Only in builds with the feature `failpoints`, never in a release.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context as _;

/// Arms what `FAILPOINT_ABORT=name:N` asks for: the process aborts when it reaches the place `name` for the Nth time.
#[expect(
    clippy::disallowed_methods,
    reason = "no setting of the server: builds for its users have no such thing"
)]
pub fn arm() -> anyhow::Result<()> {
    let Ok(wanted) = std::env::var("FAILPOINT_ABORT") else { return Ok(()) };
    let (name, nth) = read(&wanted).with_context(|| format!("FAILPOINT_ABORT is {wanted:?}, not name:N"))?;
    let reached = AtomicU32::new(0);
    let hit = move || {
        if reached.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            process::abort();
        }
    };
    fail::cfg_callback(name, hit).map_err(anyhow::Error::msg)
}

fn read(wanted: &str) -> Option<(&str, u32)> {
    let (name, nth) = wanted.split_once(':')?;
    Some((name, nth.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_a_count_are_read() {
        assert_eq!(read("spool.append.after:150"), Some(("spool.append.after", 150)));
        assert_eq!((read("spool.append.after"), read("a:b")), (None, None));
    }
}
