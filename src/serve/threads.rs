//! Threads of their own for everything but visitors: calls of the API and of apps, connections to the stores, work in the background.
//!
//! A visitor's redirect takes some ten microseconds, a page of a list a hundred times that: on the same threads the visitor would wait for
//! whatever came before. So visitors have the process's own threads, which nothing else wakes, and everything else has these, which the
//! kernel lets go on when no visitor wants to: on a machine with a core to spare nobody notices, on a busy one visitors are answered as if
//! there were no calls. A call that the database or Redis answers goes on where the answer was read: for threads that wake each other a busy
//! core has no time (docs/performance.md, "Too much"). Where a visitor comes while such a thread has the core, short turns make it give way.

use std::io;

use libc::{SCHED_OTHER, SYS_sched_getattr, SYS_sched_setattr, sched_attr, syscall};
use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::gettid,
};
use tokio::runtime::{Builder, Handle, Runtime};

/// By how much nicer these threads are: where both have something to do, visitors get three times as much.
const STANDS_BACK: i32 = 5;
/// Nobody is nicer.
const NICEST: i32 = 19;
/// The shortest turn that Linux gives, in nanoseconds; a few redirects take no longer.
const SHORT_TURN: u64 = 100_000;

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

/// Asks Linux for short turns of the present thread. It gets no more of the core by that, but it gets it as soon as a request comes, while otherwise
/// whoever has the core keeps it until the end of a turn of some milliseconds: of two that may run the one whose turn would be over first does
/// (EEVDF, sched(7); Linux 6.12, older ones take no notice).
pub fn take_short_turns() {
    let outcome = attributes().and_then(|attributes| {
        let short = sched_attr { sched_runtime: SHORT_TURN, ..attributes };
        // Whoever was given another policy by the operator keeps it.
        if attributes.sched_policy == SCHED_OTHER as u32 { set_attributes(&short) } else { Ok(()) }
    });
    if let Err(error) = outcome {
        tracing::debug!(%error, "visitors wait for the turns of others");
    }
}

/// Returns how Linux gives the present thread a core.
#[expect(unsafe_code, reason = "there is no safe call of it in rustix")]
fn attributes() -> io::Result<sched_attr> {
    let mut attributes = sched_attr {
        size: 0,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: Linux writes as many bytes as it is told there are, to what outlives the call.
    let outcome = unsafe { syscall(SYS_sched_getattr, 0, &raw mut attributes, size_of::<sched_attr>(), 0) };
    if outcome == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}

/// Tells Linux how to give the present thread a core.
#[expect(unsafe_code, reason = "there is no safe call of it in rustix")]
fn set_attributes(attributes: &sched_attr) -> io::Result<()> {
    // SAFETY: Linux reads as many bytes as `size` says, which it wrote itself and which are no more than there are.
    let outcome = unsafe { syscall(SYS_sched_setattr, 0, &raw const *attributes, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_takes_short_turns_keeps_its_priority() {
        std::thread::spawn(|| {
            let before = attributes().expect("Linux says");
            take_short_turns();
            let after = attributes().expect("Linux says");
            assert_eq!((after.sched_policy, after.sched_nice), (before.sched_policy, before.sched_nice));
            // Before 6.12 there were no turns to speak of, and none are told.
            let expected = if before.sched_runtime == 0 { 0 } else { SHORT_TURN };
            assert_eq!(after.sched_runtime, expected);
        })
        .join()
        .expect("does not panic");
    }

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
