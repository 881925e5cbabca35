//! Threads of their own for calls of the API and of apps.
//!
//! A visitor's redirect takes some ten microseconds, a page of a list a hundred times that: on the same threads the visitor would wait for
//! whatever came before. So visitors have the process's own threads, and calls have these, which the kernel lets go on when no visitor
//! wants to: on a machine with a core to spare nobody notices, on a busy one visitors are answered as if there were no calls.

use std::io;

use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::gettid,
};
use tokio::runtime::{Builder, Handle, Runtime};

/// By how much nicer these threads are: where both have something to do, visitors get three times as much.
const STANDS_BACK: i32 = 5;
/// Nobody is nicer.
const NICEST: i32 = 19;

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// Begins as many as there are cores to run on.
    pub(super) fn begin() -> io::Result<Self> {
        // Here and not in each thread: those that one of them begins have its nice value already.
        let nice = getpriority_process(Some(gettid())).unwrap_or(0);
        let nice = (nice + STANDS_BACK).min(NICEST);
        let runtime = Builder::new_multi_thread()
            .thread_name("calls")
            .enable_all()
            .on_thread_start(move || stand_back(nice))
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Returns what spawns tasks there.
    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Whoever drops this may not wait, and has waited for the calls already.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Linux gives every thread a priority of its own. Without the right to change it things are as they were.
fn stand_back(nice: i32) {
    if let Err(error) = setpriority_process(Some(gettid()), nice) {
        tracing::debug!(%error, "calls run at the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_stand_back_behind_whoever_began_their_threads() {
        let nice = || getpriority_process(Some(gettid())).expect("Linux says");
        let threads = Threads::begin().expect("they begin");
        let of_calls = threads.handle().spawn(async move { nice() }).await.expect("does not panic");
        let blocking = threads.handle().spawn_blocking(nice).await.expect("does not panic");
        let expected = (nice() + STANDS_BACK).min(NICEST);
        // A thread that is begun by one of them is not nicer still.
        assert_eq!((of_calls, blocking), (expected, expected));
    }
}
