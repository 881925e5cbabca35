//! How many visits a link with a limit may still send on: never more, over all nodes and whatever happens.
//!
//! | file | what |
//! |---|---|
//! | `decide.rs` | what a visit gets, how large a lease is, what a lease comes to; pure |
//! | `returns.rs` | what goes back, in the background |
//! | `store.rs` | queries |
//!
//! A node leases a few clicks from the database and gives them out by itself. A lease is smaller the less is left, so that no
//! node hoards the last ones. Visits that find none ask once, together, and wait a bounded time; nobody who cannot be
//! counted passes. A link without a limit comes nowhere near here.
//!
//! What is not used goes back when nobody came for a while and at a graceful stop. Of a node that died nobody knows how many it
//! used until its spool is drained: every click carries its lease, and the drain counts them. After its next start the node
//! itself gives the rest back; if it does not come, every other does once the lease is over.

mod decide;
mod returns;
mod store;

use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use metrics::counter;
use sea_orm::{ConnectionTrait, DbErr};
use tokio::time::timeout;
use tracing::Instrument as _;
use uuid::Uuid;

use self::{
    decide::{Known, Lease, Next, Nodes, Settlement, UsedUp, lease_size, next, smaller},
    returns::Return,
    store::{Granted, Wanted},
};
use super::Target;
use crate::{
    clock::Moment,
    db::Dialect,
    env::Env,
    ids::{LeaseId, LinkId, WorkspaceId},
    spool::Spool,
};

/// How long a lease counts as used when its node says nothing. A node holds one for minutes at the most, so none is renewed.
const LIFE: chrono::Duration = chrono::Duration::hours(1);
/// How long its node uses it: the clocks of two nodes may differ.
const USABLE: chrono::Duration = chrono::Duration::minutes(50);
/// How long "used up" is believed while other nodes may give something back.
const BELIEVED: chrono::Duration = chrono::Duration::seconds(1);
/// Asking may take this long, pool included: as long as looking a link up.
const ASK_TIMEOUT: Duration = Duration::from_millis(800);
/// How long a visit waits in all, while those before it use leases up.
const PATIENCE: Duration = Duration::from_millis(1500);
/// After a failure nobody is asked for so long.
const PAUSE: Duration = Duration::from_millis(100);
/// More doubts than this are left to the ends of the leases.
const DOUBTS: usize = 10_000;
/// The limits of clicks, as this node knows them. A cheap clone.
#[derive(Debug, Clone)]
pub struct Budgets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Env,
    spool: Spool,
    /// Tells the leases of this run of the node from those before.
    run: Uuid,
    nodes: Nodes,
    links: Mutex<HashMap<LinkId, Slot>>,
    returns: Mutex<VecDeque<Return>>,
    /// Leases that may have been granted without this node hearing of it, and since when that is so; `None`: asked for now.
    doubts: Mutex<HashMap<LeaseId, (Wanted, Option<Instant>)>>,
    recovered: AtomicBool,
}

#[derive(Debug)]
struct Slot {
    known: Known,
    /// The question under way, which everybody waits for.
    flight: Option<Shared<BoxFuture<'static, Asked>>>,
    /// The last question failed: the next is asked then.
    not_before: Option<Instant>,
}

/// What came of asking the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It said something: look again.
    Answered,
    Unlimited,
    Gone,
    Away,
}

/// What a visit gets.
#[derive(Debug)]
pub enum Taken {
    /// One click of the limit.
    Unit(Unit),
    /// The link has no limit any more.
    Unlimited,
    /// Nothing: as many visits were sent on as may be.
    UsedUp,
    /// Nothing: the database cannot say.
    Away,
}

/// One click of a link's limit. Goes back when it is dropped, unless it was spent.
#[derive(Debug)]
pub struct Unit {
    budgets: Budgets,
    workspace: WorkspaceId,
    link: LinkId,
    lease: LeaseId,
    spent: bool,
}

impl Unit {
    /// Returns the lease it is a part of.
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Uses it up: the click is recorded.
    pub fn spend(mut self) {
        self.spent = true;
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if !self.spent {
            self.budgets.take_back(self.workspace, self.link, self.lease);
        }
    }
}

impl Budgets {
    /// Returns the limits for the node that records clicks in `spool`, into which this run has written nothing yet.
    pub fn new(env: Env, spool: Spool) -> Self {
        let nodes = match env.db.dialect() {
            Dialect::Sqlite => Nodes::One,
            Dialect::Postgres => Nodes::Several,
        };
        let run = env.ids.uuid(env.now());
        Self(Arc::new(Inner {
            env,
            spool,
            run,
            nodes,
            links: Mutex::default(),
            returns: Mutex::default(),
            doubts: Mutex::default(),
            recovered: AtomicBool::new(false),
        }))
    }

    /// Takes one click of the limit of a link that has one. Waits only when this node has none.
    pub async fn take(&self, target: &Target, now: Moment) -> Taken {
        let waiting = async {
            loop {
                let flight = match self.look(target, now) {
                    Ok(taken) => return taken,
                    Err(flight) => flight,
                };
                match flight.await {
                    Asked::Answered => {}
                    Asked::Unlimited => return Taken::Unlimited,
                    Asked::Gone => return Taken::UsedUp,
                    Asked::Away => return Taken::Away,
                }
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or(Taken::Away)
    }

    /// Answers from what is known, or says what to wait for.
    fn look(&self, target: &Target, now: Moment) -> Result<Taken, Shared<BoxFuture<'static, Asked>>> {
        let mut links = lock(&self.0.links);
        let slot = links.entry(target.id).or_insert_with(|| Slot::new(target, now));
        let known = &mut slot.known;
        known.last_visit = known.last_visit.max(now);
        let next = next(known, target.version, target.max_clicks, now);
        match (next, &mut known.lease) {
            (Next::Pass, Some(lease)) => {
                lease.left -= 1;
                return Ok(Taken::Unit(Unit {
                    budgets: self.clone(),
                    workspace: target.workspace_id,
                    link: target.id,
                    lease: lease.id,
                    spent: false,
                }));
            }
            (Next::UsedUp, _) => return Ok(Taken::UsedUp),
            _ => {}
        }
        if let Some(flight) = &slot.flight {
            return Err(flight.clone());
        }
        if slot.not_before.is_some_and(|moment| Instant::now() < moment) {
            return Ok(Taken::Away);
        }
        let given_up = if next == Next::GiveUp { known.lease.take() } else { None };
        let flight = self.ask(target, known.left, given_up);
        slot.flight = Some(flight.clone());
        Err(flight)
    }

    /// Begins to ask the database. A task of its own: its visitors may hang up, the answer must not be lost.
    fn ask(
        &self,
        target: &Target,
        left: Option<i64>,
        given_up: Option<Lease>,
    ) -> Shared<BoxFuture<'static, Asked>> {
        let budgets = self.clone();
        let (workspace, link) = (target.workspace_id, target.id);
        let (version, limit) = (target.version, target.max_clicks);
        let work = async move {
            let asking = budgets.fetch(workspace, link, left, given_up);
            let answer = AssertUnwindSafe(asking).catch_unwind().await.unwrap_or(None);
            budgets.keep(link, (version, limit), answer)
        };
        let work = tokio::spawn(work.in_current_span());
        async { work.await.unwrap_or(Asked::Away) }.boxed().shared()
    }

    /// Gives up a lease, if there is one, and asks for another until one is granted or nothing is left. `None`: the
    /// database does not answer.
    async fn fetch(
        &self,
        workspace: WorkspaceId,
        link: LinkId,
        left: Option<i64>,
        given_up: Option<Lease>,
    ) -> Option<(Granted, Option<Lease>)> {
        let inner = &*self.0;
        if let Some(lease) = given_up {
            let used = lease.units - lease.left;
            let settlement = Settlement::GivenBack { used };
            let settled = store::settle(&inner.env.db.lookup, lease.id, settlement, inner.env.now());
            if !matches!(timeout(ASK_TIMEOUT, settled).await, Ok(Ok(()))) {
                lock(&inner.returns).push_back(Return::Lease(lease.id, used));
                return None;
            }
        }
        let mut units = lease_size(left, inner.nodes);
        loop {
            let now = inner.env.now();
            let wanted = Wanted {
                id: LeaseId::mint(&inner.env.ids, now),
                workspace,
                link,
                spool: inner.spool.id(),
                run: inner.run,
                units,
                end_time: now + LIFE,
            };
            match self.grant(wanted).await? {
                granted @ Granted::Lease { .. } => {
                    let usable_until = now + USABLE;
                    let lease = Lease { id: wanted.id, units, left: units, usable_until };
                    return Some((granted, Some(lease)));
                }
                granted @ Granted::Refused { left, .. } => match smaller(units, left, inner.nodes) {
                    Some(fewer) => units = fewer,
                    None => return Some((granted, None)),
                },
                granted @ (Granted::Unlimited | Granted::Gone) => return Some((granted, None)),
            }
        }
    }

    /// Asks for one lease. `None`: the database does not answer, and may have granted it or not.
    async fn grant(&self, wanted: Wanted) -> Option<Granted> {
        let Inner { env, doubts, .. } = &*self.0;
        lock(doubts).insert(wanted.id, (wanted, None));
        let granted = timeout(ASK_TIMEOUT, store::grant(&env.db.lookup, wanted)).await;
        let mut doubts = lock(doubts);
        // Nothing was sent to a database that could not be reached.
        let unsent = matches!(&granted, Ok(Err(DbErr::ConnectionAcquire(_) | DbErr::Conn(_))));
        if unsent || matches!(&granted, Ok(Ok(_))) || doubts.len() > DOUBTS {
            doubts.remove(&wanted.id);
        } else {
            doubts.insert(wanted.id, (wanted, Some(Instant::now())));
        }
        match granted {
            Ok(Ok(granted)) => return Some(granted),
            Ok(Err(error)) => tracing::debug!(%error, "the clicks left of a link cannot be asked for"),
            Err(_) => tracing::debug!("the clicks left of a link were not told in time"),
        }
        None
    }

    /// Remembers what the database said about the limit as of a version.
    fn keep(
        &self,
        link: LinkId,
        (version, limit): (i64, i64),
        answer: Option<(Granted, Option<Lease>)>,
    ) -> Asked {
        let now = self.0.env.now();
        let mut links = lock(&self.0.links);
        // Nobody is forgotten while a question is under way.
        let Some(slot) = links.get_mut(&link) else { return Asked::Away };
        slot.flight = None;
        let Some((granted, lease)) = answer else {
            counter!("linkforty_click_lease_failures_total").increment(1);
            slot.not_before = Some(Instant::now() + PAUSE);
            return Asked::Away;
        };
        slot.not_before = None;
        let known = &mut slot.known;
        if version > known.version {
            (known.version, known.limit) = (version, limit);
        }
        match granted {
            Granted::Lease { left } => {
                (known.left, known.lease, known.used_up) = (Some(left), lease, None);
                Asked::Answered
            }
            Granted::Refused { left, outstanding } => {
                let for_good = left <= 0 && !outstanding;
                let used_up = if for_good { UsedUp::ForGood } else { UsedUp::Until(now + BELIEVED) };
                // What may come back are the last few: begin with one.
                (known.left, known.lease, known.used_up) = (None, None, Some(used_up));
                Asked::Answered
            }
            Granted::Unlimited => Asked::Unlimited,
            Granted::Gone => Asked::Gone,
        }
    }

    fn take_back(&self, workspace: WorkspaceId, link: LinkId, lease: LeaseId) {
        let mut links = lock(&self.0.links);
        let held = links.get_mut(&link).and_then(|slot| slot.known.lease.as_mut());
        if let Some(held) = held.filter(|held| held.id == lease) {
            held.left += 1;
        } else {
            drop(links);
            lock(&self.0.returns).push_back(Return::Click(lease, (workspace, link)));
        }
    }
}

impl Slot {
    fn new(target: &Target, now: Moment) -> Self {
        let known = Known {
            version: target.version,
            limit: target.max_clicks,
            left: None,
            lease: None,
            used_up: None,
            last_visit: now,
        };
        Self { known, flight: None, not_before: None }
    }
}

/// Returns how many visits of a link that were sent on are recorded. Those of before it had a limit do not count.
pub(super) async fn recorded(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    link: LinkId,
) -> Result<i64, DbErr> {
    store::recorded(db, workspace, link).await
}

/// Forgets the limits of links that are deleted.
pub(super) async fn forget(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    links: &[LinkId],
) -> Result<(), DbErr> {
    store::remove(tx, workspace, links).await
}

/// Takes a lock. What is behind it is consistent between two statements, also after somebody panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
