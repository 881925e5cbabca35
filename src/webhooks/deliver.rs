//! The task that tells endpoints what they are to be told; every node has one.
//!
//! It looks which endpoints something is due for, claims as much as they may get now, calls them, and writes down in handfuls what became of it. Looking,
//! claiming, calling and writing go on side by side, each holding nothing that another waits for: no transaction is open while somebody is
//! called. If the node dies, what it had claimed comes again a minute later, with the same id.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::TimeDelta;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use sea_orm::DbErr;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

pub use super::call::{Attempt, once};
use super::{
    DeliveryState, breaker,
    call::{LONGEST, call, count},
    compose::Ready,
    due,
    endpoint::{self, Endpoint},
    ledger::{self, Attempted, Backlog, Claimed, Entry},
    queue::{Limits, Place, Queue},
    retry::{self, Fate, Told},
    standing::{self, Came, Change},
};
use crate::{
    clock::Moment,
    env::Env,
    error::Error,
    ids::{MessageId, WebhookEndpointId, WorkspaceId, time_of},
    outbound::Outbound,
    sealing::Seal,
};

/// When nobody says that something is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// However often somebody says so.
const LOOK_APART: Duration = Duration::from_millis(20);
/// How long what became of deliveries waits for more of it.
const GATHER: Duration = Duration::from_millis(10);
/// How much of it is written in one transaction.
const WRITTEN_AT_ONCE: usize = 500;
/// So much of it may wait while the database is away before nothing more is claimed.
const UNWRITTEN: usize = 2000;
/// How long the database is left alone after an error.
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);
/// What is held back by its pace is looked at again so soon.
const TICK: Duration = Duration::from_millis(10);
const BACKLOG_EVERY: Duration = Duration::from_secs(15);
/// A delivery is not begun when less than this is left of its claim: a call, and writing down what came of it.
const LEFT: TimeDelta = TimeDelta::seconds(20);
/// How long calls that are under way get at the end, and how long writing down what became of them may take. Together less than tasks get.
const LAST_CALLS: Duration = Duration::from_millis(1000);
const LAST_WRITING: Duration = Duration::from_millis(700);
/// So many endpoints are remembered.
const REMEMBERED: usize = 10_000;
/// Dice have a million sides.
const SIDES: u32 = 1_000_000;

/// Delivers until the token ends it.
pub async fn run(env: Env, outbound: Outbound, token: CancellationToken) {
    let due = due(&env);
    let mut desk = Desk::new(env, outbound);
    loop {
        desk.go_on();
        let next_step = desk.next_step();
        tokio::select! {
            biased;
            () = token.cancelled() => break,
            Some(done) = desk.jobs.next() => {
                desk.take(done);
                while let Some(Some(done)) = desk.jobs.next().now_or_never() {
                    desk.take(done);
                }
            }
            () = due.notified() => desk.woken = true,
            () = sleep_until(next_step) => {}
        }
    }
    desk.close().await;
}

/// Something that went on beside the others.
enum Done {
    Looked(Result<Vec<Endpoint>, DbErr>),
    Claimed(Vec<(WebhookEndpointId, usize)>, Result<Vec<Claimed>, DbErr>),
    Called(Arc<Ready>, Claimed, Place, Option<Attempt>),
    Wrote(Vec<Entry>, Verdicts, Result<Vec<(WebhookEndpointId, Change)>, Error>),
    Counted(Result<Backlog, DbErr>),
}

/// What attempts came to, by endpoint.
type Verdicts = HashMap<WebhookEndpointId, Came>;

/// An endpoint as it was last seen.
struct Seen {
    ready: Arc<Ready>,
    failing_since: Option<Moment>,
}

struct Desk {
    env: Env,
    outbound: Outbound,
    seal: Seal,
    queue: Queue<Claimed>,
    seen: HashMap<WebhookEndpointId, Seen>,
    /// Calls that are under way.
    flying: HashMap<(WebhookEndpointId, MessageId), (WorkspaceId, Moment)>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Endpoints for which more may be due than was claimed.
    hungry: Vec<WebhookEndpointId>,
    /// Looking, claiming and writing, each once at a time.
    looking: bool,
    claiming: bool,
    writing: bool,
    counting: bool,
    woken: bool,
    /// There were more endpoints than are looked at in one go: behind this one.
    behind: WebhookEndpointId,
    looked: Option<Instant>,
    counted: Option<Instant>,
    unwritten: Vec<Entry>,
    verdicts: Verdicts,
    /// Since when something is unwritten.
    since: Option<Instant>,
    rest_until: Instant,
    begun: Instant,
}

impl Desk {
    fn new(env: Env, outbound: Outbound) -> Self {
        let settings = &env.config.webhooks;
        let limits = Limits {
            at_once: settings.at_once,
            per_endpoint: settings.per_endpoint,
            per_host: env.config.outbound.max_per_host as usize,
        };
        Self {
            seal: endpoint::seal(&env),
            queue: Queue::new(limits),
            seen: HashMap::new(),
            flying: HashMap::new(),
            jobs: FuturesUnordered::new(),
            hungry: Vec::new(),
            looking: false,
            claiming: false,
            writing: false,
            counting: false,
            woken: true,
            behind: nobody(),
            looked: None,
            counted: None,
            unwritten: Vec::new(),
            verdicts: Verdicts::new(),
            since: None,
            rest_until: Instant::now(),
            begun: Instant::now(),
            env,
            outbound,
        }
    }

    /// Begins all that can begin now.
    fn go_on(&mut self) {
        let (now, clock) = (self.env.now(), Instant::now());
        self.call(now, clock);
        self.write(now, clock);
        if clock >= self.rest_until && self.unwritten.len() < UNWRITTEN {
            self.look(now, clock);
            self.claim(now);
            self.count(clock);
        }
    }

    fn next_step(&self) -> Instant {
        let clock = Instant::now();
        let may_look = !self.looking && self.unwritten.len() < UNWRITTEN;
        let look =
            self.looked.filter(|_| may_look).map(|looked| (looked + self.patience()).max(self.rest_until));
        let tick = (self.queue.waiting() > 0 || self.since.is_some()).then(|| clock + TICK);
        look.into_iter().chain(tick).min().unwrap_or(clock + LOOK_EVERY)
    }

    fn patience(&self) -> Duration {
        if self.woken || self.behind != nobody() { LOOK_APART } else { LOOK_EVERY }
    }

    fn look(&mut self, now: Moment, clock: Instant) {
        if self.looking || self.looked.is_some_and(|looked| clock < looked + self.patience()) {
            return;
        }
        self.looking = true;
        self.woken = false;
        self.looked = Some(clock);
        let (db, behind) = (self.env.db.drain.clone(), self.behind);
        self.jobs.push(async move { Done::Looked(ledger::due(&db, behind, now).await) }.boxed());
    }

    fn claim(&mut self, now: Moment) {
        if self.claiming || self.hungry.is_empty() {
            return;
        }
        let rooms = self.queue.rooms(&self.hungry, now);
        if rooms.is_empty() {
            return;
        }
        self.claiming = true;
        let db = self.env.db.writer(&self.env.db.drain).clone();
        let claiming = async move {
            let claimed = ledger::claim(&db, &rooms, now, now + ledger::LEASE).await;
            Done::Claimed(rooms, claimed)
        };
        self.jobs.push(claiming.boxed());
    }

    fn call(&mut self, now: Moment, clock: Instant) {
        while let Some((claimed, place)) = self.queue.next(now, clock - self.begun) {
            let Some(Seen { ready, .. }) = self.seen.get(&claimed.endpoint) else {
                self.put_back([claimed], now, clock);
                self.queue.unused(place);
                continue;
            };
            if claimed.until - now < LEFT {
                // It waited too long and comes again by itself.
                self.queue.unused(place);
                continue;
            }
            if claimed.attempts == 0 {
                let waited = (now - time_of(claimed.message.id.0)).as_seconds_f64().max(0.0);
                metrics::histogram!("linkforty_webhook_first_attempt_delay_seconds").record(waited);
            }
            let ticket = (claimed.message.workspace, claimed.until);
            self.flying.insert((claimed.endpoint, claimed.message.id), ticket);
            let (ready, outbound) = (ready.clone(), self.outbound.clone());
            let calling = async move {
                let request = ready.request(&claimed.message, &outbound, now);
                let attempt = call(&outbound, request, LONGEST, now).await;
                Done::Called(ready, claimed, place, attempt)
            };
            self.jobs.push(calling.boxed());
        }
    }

    fn write(&mut self, now: Moment, clock: Instant) {
        let Some(since) = self.since else { return };
        let enough =
            self.unwritten.len() >= WRITTEN_AT_ONCE || clock >= since + GATHER || self.flying.is_empty();
        if self.writing || !enough || clock < self.rest_until {
            return;
        }
        self.writing = true;
        let rest = self.unwritten.split_off(self.unwritten.len().min(WRITTEN_AT_ONCE));
        let entries = std::mem::replace(&mut self.unwritten, rest);
        let verdicts = std::mem::take(&mut self.verdicts);
        self.since = (!self.unwritten.is_empty()).then_some(clock);
        let changes = self.changes(&verdicts, now);
        let env = self.env.clone();
        let writing = async move {
            let wrote = write_down(&env, &entries, changes, now).await;
            Done::Wrote(entries, verdicts, wrote)
        };
        self.jobs.push(writing.boxed());
    }

    /// Returns what is to change about endpoints.
    fn changes(&self, verdicts: &Verdicts, now: Moment) -> Vec<(Endpoint, Change)> {
        let change = |(id, came): (&WebhookEndpointId, &Came)| {
            let seen = self.seen.get(id)?;
            let change = standing::change(seen.failing_since, *came, now)?;
            Some((Endpoint { failing_since: seen.failing_since, ..seen.ready.endpoint.clone() }, change))
        };
        verdicts.iter().filter_map(change).collect()
    }

    fn count(&mut self, clock: Instant) {
        if self.counting || self.counted.is_some_and(|counted| clock < counted + BACKLOG_EVERY) {
            return;
        }
        (self.counting, self.counted) = (true, Some(clock));
        let db = self.env.db.drain.clone();
        self.jobs.push(async move { Done::Counted(ledger::backlog(&db).await) }.boxed());
    }

    fn take(&mut self, done: Done) {
        let (now, clock) = (self.env.now(), Instant::now());
        match done {
            Done::Looked(Ok(endpoints)) => {
                self.looking = false;
                let more = endpoints.len() == ledger::AT_ONCE;
                self.behind = endpoints.last().filter(|_| more).map_or_else(nobody, |last| last.id);
                self.hungry = endpoints.iter().map(|endpoint| endpoint.id).collect();
                if self.seen.len() > REMEMBERED {
                    // What is still claimed for one of them is given back.
                    self.seen.clear();
                }
                for endpoint in endpoints {
                    self.see(endpoint);
                }
            }
            Done::Claimed(rooms, Ok(claimed)) => {
                self.claiming = false;
                fail::fail_point!("webhooks.claimed.after");
                self.claimed(&rooms, claimed, now, clock);
            }
            Done::Called(ready, claimed, place, attempt) => {
                self.called(&ready, claimed, place, attempt, (now, clock))
            }
            Done::Wrote(_, _, Ok(changed)) => {
                self.writing = false;
                fail::fail_point!("webhooks.recorded.after");
                for (id, change) in changed {
                    self.changed(id, change, now, clock);
                }
            }
            Done::Wrote(entries, verdicts, Err(error)) => {
                self.writing = false;
                tracing::warn!(cause = %error.inward(), "cannot write down what became of webhook deliveries; trying again");
                drop(self.unwritten.splice(0..0, entries));
                self.since = self.since.or(Some(clock));
                for (id, came) in verdicts {
                    self.came(id, came);
                }
                self.rest_until = clock + AFTER_AN_ERROR;
            }
            Done::Counted(Ok(Backlog { waiting, oldest })) => {
                self.counting = false;
                let overdue = oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
                metrics::gauge!("linkforty_webhook_deliveries_waiting").set(waiting as f64);
                metrics::gauge!("linkforty_webhook_oldest_due_seconds").set(overdue);
            }
            Done::Looked(Err(error)) => {
                self.looking = false;
                self.failed(&error, clock);
            }
            Done::Claimed(_, Err(error)) => {
                self.claiming = false;
                self.failed(&error, clock);
            }
            Done::Counted(Err(error)) => {
                self.counting = false;
                self.failed(&error, clock);
            }
        }
    }

    fn failed(&mut self, error: &DbErr, clock: Instant) {
        tracing::debug!(%error, "cannot see which webhook deliveries are due; trying again");
        self.rest_until = clock + AFTER_AN_ERROR;
    }

    /// Takes note of an endpoint, whose breaker begins anew when somebody has changed it.
    fn see(&mut self, endpoint: Endpoint) {
        let (id, failing_since) = (endpoint.id, endpoint.failing_since);
        let before = self.seen.get(&id).map(|seen| (seen.ready.endpoint.version, seen.ready.clone()));
        let ready = match before {
            Some((version, ready)) if version == endpoint.version => ready,
            before => {
                if before.is_some() {
                    self.queue.forgive(id);
                }
                Arc::new(Ready::of(endpoint, &self.seal, &self.outbound))
            }
        };
        self.seen.insert(id, Seen { ready, failing_since });
    }

    fn claimed(
        &mut self,
        rooms: &[(WebhookEndpointId, usize)],
        claimed: Vec<Claimed>,
        now: Moment,
        clock: Instant,
    ) {
        let mut counts: HashMap<WebhookEndpointId, usize> = HashMap::new();
        for one in claimed {
            *counts.entry(one.endpoint).or_default() += 1;
            match self.seen.get(&one.endpoint) {
                Some(Seen { ready, .. }) => self.queue.put(one.endpoint, &ready.host.clone(), one),
                None => self.put_back([one], now, clock),
            }
        }
        let full: HashSet<WebhookEndpointId> = rooms
            .iter()
            .filter(|(id, room)| counts.get(id).is_none_or(|count| count < room))
            .map(|(id, _)| *id)
            .collect();
        self.hungry.retain(|id| !full.contains(id));
    }

    fn called(
        &mut self,
        ready: &Ready,
        claimed: Claimed,
        place: Place,
        attempt: Option<Attempt>,
        (now, clock): (Moment, Instant),
    ) {
        fail::fail_point!("webhooks.called.after");
        self.flying.remove(&(claimed.endpoint, claimed.message.id));
        let moments = (now, clock - self.begun);
        let Some(attempt) = attempt else {
            self.queue.ended(place, None, Duration::ZERO, moments);
            self.queue.again(claimed.endpoint, claimed);
            return;
        };
        count(&attempt);
        let heard = breaker::heard(attempt.status, attempt.retry_after);
        if let Some((until, back)) = self.queue.ended(place, Some(heard), attempt.took, moments) {
            self.put_back(back, until, clock);
        }
        let told =
            Told { outcome: attempt.outcome, status: attempt.status, retry_after: attempt.retry_after };
        let number = claimed.attempts.saturating_add(1);
        let fate = retry::next(number.unsigned_abs(), told, now, self.env.ids.below(SIDES));
        let (state, next_time, name) = match fate {
            Fate::Done => (DeliveryState::Delivered, now, "delivered"),
            Fate::Again(then) => (DeliveryState::Due, then, "again"),
            Fate::GivenUp | Fate::Disable(_) => (DeliveryState::GivenUp, now, "given_up"),
        };
        metrics::counter!("linkforty_webhook_deliveries_total", "outcome" => name).increment(1);
        if state == DeliveryState::GivenUp {
            tracing::info!(workspace.id = %claimed.message.workspace, webhook_endpoint.id = %ready.endpoint.id,
                message.id = %claimed.message.id, attempts = number, status = attempt.status, "a webhook delivery was given up");
        }
        self.came(
            claimed.endpoint,
            Came {
                delivered: fate == Fate::Done,
                failed: fate != Fate::Done,
                gone: matches!(fate, Fate::Disable(_)),
            },
        );
        let attempted = Attempted {
            id: self.env.ids.uuid(attempt.time),
            number,
            outcome: attempt.outcome,
            status: attempt.status,
            took_ms: i32::try_from(attempt.took.as_millis()).unwrap_or(i32::MAX),
            response: attempt.response,
        };
        self.note(
            Entry {
                endpoint: claimed.endpoint,
                message: claimed.message.id,
                workspace: claimed.message.workspace,
                until: claimed.until,
                state,
                next_time,
                attempt: Some(attempted),
            },
            clock,
        );
    }

    fn came(&mut self, id: WebhookEndpointId, came: Came) {
        let before = self.verdicts.entry(id).or_default();
        before.delivered |= came.delivered;
        before.failed |= came.failed;
        before.gone |= came.gone;
    }

    /// Knows what has been changed about an endpoint before the next look says so.
    fn changed(&mut self, id: WebhookEndpointId, change: Change, now: Moment, clock: Instant) {
        match change {
            Change::Recovered => self.failing_since(id, None),
            Change::Fails => self.failing_since(id, Some(now)),
            Change::Disabled(_) => {
                self.hungry.retain(|hungry| *hungry != id);
                let back = self.queue.leave(id);
                self.put_back(back, now, clock);
            }
        }
    }

    fn failing_since(&mut self, id: WebhookEndpointId, since: Option<Moment>) {
        if let Some(seen) = self.seen.get_mut(&id) {
            seen.failing_since = since;
        }
    }

    /// Gives deliveries back that were not tried: they are due at `next_time`, for any node.
    fn put_back(&mut self, back: impl IntoIterator<Item = Claimed>, next_time: Moment, clock: Instant) {
        for claimed in back {
            let Claimed { endpoint, message, until, .. } = claimed;
            self.note(back_again((endpoint, message.id), (message.workspace, until), next_time), clock);
        }
    }

    fn note(&mut self, entry: Entry, clock: Instant) {
        self.unwritten.push(entry);
        self.since = self.since.or(Some(clock));
    }

    /// Ends: calls that are under way get a moment, and what is not done by then is given back.
    async fn close(mut self) {
        let deadline = Instant::now() + LAST_CALLS;
        let (now, clock) = (self.env.now(), Instant::now());
        let waiting = self.queue.empty();
        self.put_back(waiting, now, clock);
        // What a claim under way still brings is given back too.
        while self.looking || self.claiming || self.writing || !self.flying.is_empty() {
            let Ok(Some(done)) = timeout_at(deadline, self.jobs.next()).await else { break };
            self.take(done);
            let waiting = self.queue.empty();
            self.put_back(waiting, now, clock);
        }
        let left = std::mem::take(&mut self.flying);
        for (which, ticket) in left {
            self.note(back_again(which, ticket, now), clock);
        }
        let (entries, verdicts) = (std::mem::take(&mut self.unwritten), std::mem::take(&mut self.verdicts));
        let changes = self.changes(&verdicts, now);
        let writing = write_down(&self.env, &entries, changes, now);
        match timeout_at(Instant::now() + LAST_WRITING, writing).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(cause = %error.inward(), "cannot write down what became of webhook deliveries; they come again");
            }
            Err(_) => {
                tracing::warn!("no time to write down what became of webhook deliveries; they come again")
            }
        }
    }
}

/// Writes down what became of deliveries. What it means for endpoints comes first: if the node dies in between, the deliveries come again, and
/// with them what they mean. Returns what was changed.
async fn write_down(
    env: &Env,
    entries: &[Entry],
    changes: Vec<(Endpoint, Change)>,
    now: Moment,
) -> Result<Vec<(WebhookEndpointId, Change)>, Error> {
    let mut changed = Vec::new();
    for (endpoint, change) in changes {
        if standing::make(env, &endpoint, change, now).await? {
            changed.push((endpoint.id, change));
        }
    }
    fail::fail_point!("webhooks.record.before");
    ledger::record(env.db.writer(&env.db.drain), entries, now).await?;
    Ok(changed)
}

fn back_again(
    (endpoint, message): (WebhookEndpointId, MessageId),
    (workspace, until): (WorkspaceId, Moment),
    next_time: Moment,
) -> Entry {
    Entry { endpoint, message, workspace, until, state: DeliveryState::Due, next_time, attempt: None }
}

/// Before everybody.
const fn nobody() -> WebhookEndpointId {
    WebhookEndpointId(uuid::Uuid::nil())
}
