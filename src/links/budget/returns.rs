//! What goes back: leases that nobody came for, those that may have been granted unheard, those of earlier runs of this node,
//! and those that are over, whoever held them.

use std::{sync::atomic::Ordering, time::Duration};

use sea_orm::DbErr;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    Budgets, Inner,
    decide::Settlement,
    lock,
    store::{self, Wanted},
};
use crate::{
    clock::Moment,
    ids::{LeaseId, LinkId, WorkspaceId},
};

/// How long the rows of leases that are over are kept, for clicks that come late.
const KEPT: chrono::Duration = chrono::Duration::days(30);
/// A lease that nobody came for goes back.
const IDLE: chrono::Duration = chrono::Duration::seconds(5);
/// A link that nobody came for is forgotten.
const FORGOTTEN: chrono::Duration = chrono::Duration::minutes(5);
/// A lease that nobody knows was granted is looked for after this, when whatever was under way has ended.
const DOUBT: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_secs(1);
/// Leases that are over are looked for every so many seconds, so many at once.
const SWEEP_EVERY: u32 = 5;
const TIDY_EVERY: u32 = 600;
const SWEPT: u64 = 100;

/// What goes back.
#[derive(Debug, Clone, Copy)]
pub(super) enum Return {
    /// A lease of which so many were used.
    Lease(LeaseId, i64),
    /// A click of a lease that this node does not hold any more.
    Click(LeaseId, (WorkspaceId, LinkId)),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Idle,
    All,
}

impl Budgets {
    /// Gives back what is not used, until `stop`; then everything.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0_u32;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let work = async {
                self.gather(Which::Idle, self.0.env.now());
                self.give_back(round).await
            };
            match stop.run_until_cancelled(work).await {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(%error, "clicks cannot be given back yet"),
            }
            round = round.wrapping_add(1);
        }
        self.gather(Which::All, self.0.env.now());
        if let Err(error) = self.flush().await {
            tracing::warn!(%error, "some clicks of limited links go back only after the next start");
        }
    }

    /// Makes leases ready to go back, and forgets links that nobody comes for.
    fn gather(&self, which: Which, now: Moment) {
        let mut going = Vec::new();
        lock(&self.0.links).retain(|_, slot| {
            let known = &mut slot.known;
            let idle = now - known.last_visit;
            if (which == Which::All || idle >= IDLE)
                && let Some(lease) = known.lease.take()
                && lease.left > 0
            {
                going.push(Return::Lease(lease.id, lease.units - lease.left));
            }
            idle < FORGOTTEN || slot.flight.is_some() || known.lease.is_some()
        });
        lock(&self.0.returns).extend(going);
    }

    async fn give_back(&self, round: u32) -> Result<(), DbErr> {
        self.flush().await?;
        let Inner { env, spool, run, doubts, recovered, .. } = &*self.0;
        let (db, now) = (&env.db.api, env.now());
        let due: Vec<Wanted> = lock(doubts)
            .values()
            .filter(|(_, since)| since.is_some_and(|since| since.elapsed() >= DOUBT))
            .map(|(unheard, _)| *unheard)
            .collect();
        for unheard in due {
            store::annul(db, unheard, now).await?;
            lock(doubts).remove(&unheard.id);
        }
        if !recovered.load(Ordering::Relaxed) && spool.has_drained_earlier_runs() {
            let earlier = store::list_earlier(db, spool.id(), *run, SWEPT).await?;
            for lease in &earlier {
                store::settle(db, *lease, Settlement::Recovered, now).await?;
            }
            recovered.store(earlier.is_empty(), Ordering::Relaxed);
        }
        if round.is_multiple_of(SWEEP_EVERY) {
            for lease in store::list_ended(db, now, SWEPT).await? {
                store::settle(db, lease, Settlement::Ended, now).await?;
            }
        }
        if round.is_multiple_of(TIDY_EVERY) {
            store::remove_ended(db, now - KEPT).await?;
        }
        Ok(())
    }

    /// Gives back what is ready. Each stays first in the row until it is done, so that nothing is forgotten half-way.
    async fn flush(&self) -> Result<(), DbErr> {
        let Inner { env, returns, .. } = &*self.0;
        loop {
            let Some(first) = lock(returns).front().copied() else { return Ok(()) };
            match first {
                Return::Lease(lease, used) => {
                    let settlement = Settlement::GivenBack { used };
                    store::settle(&env.db.api, lease, settlement, env.now()).await?;
                    lock(returns).pop_front();
                }
                Return::Click(lease, link) => {
                    // Once, whatever comes of it: twice would be one too many.
                    lock(returns).pop_front();
                    store::give_back_one(&env.db.api, lease, link).await?;
                }
            }
        }
    }
}
