//! How a node leaves: it says so, waits for the balancer to notice, stops accepting, lets the calls in flight finish,
//! cuts what is still open at the deadline, and ends its own work.
//!
//! The deadline holds whatever the peers do: connections are our own tasks, so a silent one is cut like any other. A second signal ends
//! the process at once, which is safe: what was acknowledged stands in the spool.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Running;

/// How long tasks and pools get after the last connection is gone.
const WORK_GRACE: Duration = Duration::from_secs(2);
/// How long cut connections take to notice.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Where a node stands between its start and its end, and everything on its way out.
#[derive(Debug, Clone)]
pub(super) struct Life {
    ready: Arc<AtomicBool>,
    /// The node is leaving: balancers should look elsewhere. Everything is still answered.
    pub draining: CancellationToken,
    /// Listeners accept no more, connections finish what they have begun.
    pub closing: CancellationToken,
    /// Connections end where they stand.
    pub cutting: CancellationToken,
    /// Accept loops and connections.
    pub tasks: TaskTracker,
}

impl Life {
    pub(super) fn new() -> Self {
        Self {
            ready: Arc::default(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            cutting: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Notes that the start is over.
    pub(super) fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Says whether a balancer should send something here.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.draining.is_cancelled()
    }
}

/// Hears SIGTERM and SIGINT, from the moment it is made: one that comes during the start is kept, not obeyed by dying half-way.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Begins to listen.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            int: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

impl Running {
    /// Stops gracefully, within the deadline of the settings and three seconds.
    pub async fn stop(self) {
        let Self { env, spool, life, health, work, threads, .. } = self;
        let begun = Instant::now();
        let deadline = begun + env.config.shutdown.deadline;
        tracing::info!("stopping: telling the balancer, then finishing what is in flight");
        life.draining.cancel();
        health.leave().await;
        sleep_until(deadline.min(begun + env.config.shutdown.delay)).await;

        life.closing.cancel();
        life.tasks.close();
        if timeout_at(deadline, life.tasks.wait()).await.is_err() {
            tracing::warn!(connections = life.tasks.len(), "cutting connections that outlasted the deadline");
            life.cutting.cancel();
            let _ = timeout(CUT_GRACE, life.tasks.wait()).await;
        }
        work.stop(WORK_GRACE).await;
        spool.close().await;
        for pool in [env.db.api, env.db.bulk, env.db.lookup, env.db.drain] {
            // A pool that does not close in time holds nothing that was promised.
            let _ = timeout(CUT_GRACE, pool.close()).await;
        }
        // Last: connections to the database that a call has opened live there.
        drop(threads);
        tracing::info!(duration_ms = begun.elapsed().as_millis() as u64, "stopped");
    }

    /// Serves until a signal, then stops; a second signal ends the process at once.
    pub async fn wait_for_signal_and_stop(self, mut signals: Signals) {
        signals.next().await;
        tokio::select! {
            () = self.stop() => {}
            () = signals.next() => process::exit(1),
        }
    }
}
