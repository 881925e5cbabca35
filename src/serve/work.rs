//! The work in the background: a list of tasks, each with a name, a token that ends it, and [`Work`] that awaits it.
//!
//! Only this file spawns them. A task that panics is logged and begun again a second later: a defect in one sweep must not
//! end it for good.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    sync::Arc,
    thread,
    time::Duration,
};

use futures::{FutureExt as _, future};
use rustix::{process::setpriority_process, thread::gettid};
use tokio::{
    runtime::Handle,
    sync::{Mutex, oneshot},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    health::Health,
    layers::{Gate, Limiters},
    ops, privileges,
    tls::Certificates,
};
use crate::{
    accounts,
    admission::{Admission, memory},
    analytics,
    apps::Associations,
    attribution, audit,
    cache::{self, Topic},
    clicks::{self, drain},
    db::{self, Dialect},
    domains::{
        self, Sites,
        certificates::{self, Authority, Keyring},
    },
    env::Env,
    error::{Error, Result},
    feed::{self, tail},
    geo::Geo,
    idempotency,
    links::{self, Budgets, Refreshes, Resolver, Snapshots},
    mail::{self, Mailer},
    outbound::Outbound,
    outbox,
    redirect::history::History,
    spool::{Reader, Spool},
    webhooks,
    workspaces::{self, keys},
};

const CERTIFICATES_EVERY: Duration = Duration::from_secs(10);
const COUNTRIES_EVERY: Duration = Duration::from_secs(10);
const IDLE_EVERY: Duration = Duration::from_secs(2);
const LIMITS_EVERY: Duration = Duration::from_mins(1);
/// What comes in between must fit into what is left.
const MEMORY_EVERY: Duration = Duration::from_millis(100);
const METRICS_EVERY: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// The first look comes at start, when a production database may still be without its schema; then it comes again soon.
/// How often the database is asked what our role may do, until it says.
const PRIVILEGES_EVERY: Duration = Duration::from_secs(30);
const PARTITIONS_EVERY: Duration = Duration::from_mins(10);
const FEED_EVERY: Duration = Duration::from_mins(1);
const ERASE_EVERY: Duration = Duration::from_mins(1);
const KEY_USES_EVERY: Duration = Duration::from_secs(15);
const MAIL_EVERY: Duration = Duration::from_secs(1);
const PENDING_EVERY: Duration = Duration::from_secs(5);
/// What is noted has a place in the chain this long after it.
const SEAL_EVERY: Duration = Duration::from_secs(1);
const SCHEMA_EVERY: Duration = Duration::from_secs(10);
const AFTER_A_PANIC: Duration = Duration::from_secs(1);
/// The nice value of work that stands back: on a core that visitors keep busy it gets a tenth.
const STANDS_BACK: i32 = 10;

/// What the tasks need.
pub(super) struct Works<'a> {
    pub env: &'a Env,
    pub health: &'a Health,
    pub limits: Option<Limiters>,
    pub gate: Gate,
    /// Whether the database has said what our role may do.
    pub privileges_known: bool,
    pub certificates: Vec<Certificates>,
    pub keyring: Option<Keyring>,
    pub authority: Option<Authority>,
    /// What brings messages from other nodes in.
    pub tasks: Vec<cache::Task>,
    pub resolver: Resolver,
    pub refreshes: Refreshes,
    pub snapshots: Snapshots,
    pub associations: Associations,
    pub budgets: Budgets,
    pub sites: Sites,
    pub history: History,
    pub mailer: Arc<Mailer>,
    pub outbound: Outbound,
    pub drain: (Spool, Reader),
}

/// The tasks that run.
#[derive(Debug)]
pub(super) struct Work {
    token: CancellationToken,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

/// Begins every task.
pub(super) fn begin(works: Works<'_>) -> Work {
    let Works {
        env,
        health,
        limits,
        gate,
        privileges_known,
        certificates,
        keyring,
        authority,
        tasks,
        resolver,
        refreshes,
        snapshots,
        associations,
        budgets,
        sites,
        history,
        mailer,
        outbound,
        drain,
    } = works;
    // What runs here leaves the connections of callers to callers.
    let env = &env.for_background();
    let mut work = Work { token: CancellationToken::new(), tasks: Vec::new() };

    for task in tasks {
        work.begin_once(task.name, |token| task.run(token));
    }
    let (draining, (spool, reader)) = (env.clone(), drain);
    let (reader, meters) = (Arc::new(Mutex::new(reader)), clicks::Meters::new());
    work.begin_apart("drain", move |token| {
        let (env, spool, reader) = (draining.clone(), spool.clone(), reader.clone());
        let meters = meters.clone();
        async move { drain::run((env, attribution::carry), spool, &mut *reader.lock().await, meters, token).await }
    });
    let tailing = env.clone();
    work.begin("feed", move |token| tail::run(tailing.clone(), token));
    let telling = env.clone();
    work.begin("words about the feed", move |token| tail::tell(telling.clone(), token));
    let sweeping = env.clone();
    work.begin("old rows of the feed", move |token| {
        let env = sweeping.clone();
        every(FEED_EVERY, token, move || forget_feed(env.clone()))
    });
    let rolling = env.clone();
    work.begin_apart("rollups", move |token| analytics::rollup::run(rolling.clone(), token));
    let telling = env.clone();
    work.begin_apart("webhook messages", move |token| webhooks::run_fan_out(telling.clone(), token));
    let sweeping = env.clone();
    work.begin("old webhook messages", move |token| {
        let env = sweeping.clone();
        every(SWEEP_EVERY, token, move || forget_messages(env.clone()))
    });
    let (refreshing, refreshes) = (resolver.clone(), Arc::new(Mutex::new(refreshes)));
    work.begin("link refreshes", move |token| {
        let (resolver, refreshes) = (refreshing.clone(), refreshes.clone());
        async move { resolver.refresh(&mut *refreshes.lock().await, token).await }
    });
    work.begin("hot links", move |token| snapshots.clone().run(token));
    work.begin("click limits", move |token| budgets.clone().run(token));
    work.begin("visitors", move |token| history.clone().run(token));
    let fanout = env.fanout.clone();
    work.begin("link changes", move |token| resolver.clone().listen(fanout.subscribe(Topic::Links), token));
    let fanout = env.fanout.clone();
    work.begin("association files", move |token| {
        associations.clone().run(fanout.subscribe(Topic::Links), token)
    });
    let fanout = env.fanout.clone();
    work.begin("domains", move |token| sites.clone().listen(fanout.subscribe(Topic::Links), token));
    let proved = env.clone();
    work.begin("proofs of domains", move |token| {
        let env = proved.clone();
        every(domains::LOOKS_EVERY, token, move || look_at_domains(env.clone()))
    });
    let partitioned = env.clone();
    work.begin("partitions", move |token| {
        let env = partitioned.clone();
        every(PARTITIONS_EVERY, token, move || make_partitions(env.clone()))
    });
    let sweeping = env.clone();
    work.begin("sessions", move |token| {
        let env = sweeping.clone();
        every(SWEEP_EVERY, token, move || forget_sessions(env.clone()))
    });
    let sending = env.clone();
    work.begin("mail", move |token| {
        let (env, mailer) = (sending.clone(), mailer.clone());
        every(MAIL_EVERY, token, move || send_mail(env.clone(), mailer.clone()))
    });
    let (asking, asked) = (env.clone(), outbound.clone());
    work.begin("tokens of ad networks", move |token| {
        let (env, outbound) = (asking.clone(), asked.clone());
        every(attribution::EXCHANGE_EVERY, token, move || exchange_tokens(env.clone(), outbound.clone()))
    });
    let sweeping = env.clone();
    work.begin("click ids of ad networks", move |token| {
        let env = sweeping.clone();
        every(SWEEP_EVERY, token, move || forget_click_ids(env.clone()))
    });
    let sweeping = env.clone();
    work.begin("old views", move |token| {
        let env = sweeping.clone();
        every(SWEEP_EVERY, token, move || forget_views(env.clone()))
    });
    let telling = env.clone();
    work.begin_apart("webhooks", move |token| {
        webhooks::deliver::run(telling.clone(), outbound.clone(), token)
    });
    let used = env.clone();
    work.begin("key uses", move |token| {
        let env = used.clone();
        every(KEY_USES_EVERY, token, move || write_key_uses(env.clone()))
    });
    let warned = env.clone();
    work.begin("keys that end", move |token| {
        let env = warned.clone();
        every(SWEEP_EVERY, token, move || warn_of_keys(env.clone()))
    });
    let erasing = env.clone();
    work.begin("deleted workspaces", move |token| {
        let env = erasing.clone();
        every(ERASE_EVERY, token, move || erase_workspaces(env.clone()))
    });
    let noting = env.clone();
    work.begin("audit chain", move |token| {
        let env = noting.clone();
        every(SEAL_EVERY, token, move || seal_audit_events(env.clone()))
    });
    let deciding = env.clone();
    work.begin("log of decisions", move |token| {
        let env = deciding.clone();
        every(SEAL_EVERY, token, move || seal_decisions(env.clone()))
    });
    if !privileges_known {
        let (asked, later) = (env.clone(), Arc::new(privileges::Later::default()));
        work.begin("privileges", move |token| {
            let (env, later) = (asked.clone(), later.clone());
            every(PRIVILEGES_EVERY, token, move || look_at_privileges(env.clone(), later.clone()))
        });
    }
    let watched = health.clone();
    work.begin("health", move |token| watched.clone().watch(token));
    work.begin("metrics", |token| every(METRICS_EVERY, token, now(ops::upkeep)));
    if let Some(limits) = limits {
        work.begin("limits", move |token| {
            let limits = limits.clone();
            every(LIMITS_EVERY, token, now(move || limits.forget_the_idle()))
        });
    }
    let (lending, pressed) = (gate.clone(), gate.admission);
    work.begin("idle places", move |token| {
        let gate = lending.clone();
        every(IDLE_EVERY, token, now(move || gate.lend_idle_places()))
    });
    // Where nobody says how much there is, nobody can say when it is nearly used up.
    if let Some(limit) = env.config.calls.memory_limit.or_else(memory::limit) {
        work.begin("memory", move |token| {
            let admission = pressed.clone();
            every(MEMORY_EVERY, token, now(move || look_at_memory(&admission, limit)))
        });
    }
    if !certificates.is_empty() {
        work.begin("certificates", move |token| {
            let certificates = certificates.clone();
            every(CERTIFICATES_EVERY, token, now(move || certificates.iter().for_each(Certificates::refresh)))
        });
    }
    if let Some(keyring) = keyring {
        let fanout = env.fanout.clone();
        work.begin("certificates of hosts", move |token| {
            keyring.clone().listen(fanout.subscribe(Topic::Links), token)
        });
    }
    if let Some(authority) = authority {
        work.begin("orders of certificates", move |token| {
            let authority = authority.clone();
            every(certificates::EVERY, token, move || tend_certificates(authority.clone()))
        });
    }
    if env.geo.is_set() {
        let geo = env.geo.clone();
        work.begin("countries", move |token| {
            let geo = geo.clone();
            every(COUNTRIES_EVERY, token, move || refresh_countries(geo.clone()))
        });
    }
    let deciding = env.clone();
    work.begin("pending installs", move |token| {
        let env = deciding.clone();
        every(PENDING_EVERY, token, move || decide_pending(env.clone()))
    });
    if env.config.shared_networks_file.is_some() {
        let shared = env.clone();
        work.begin("shared networks", move |token| {
            let env = shared.clone();
            every(COUNTRIES_EVERY, token, now(move || attribution::refresh_shared_networks(&env)))
        });
    }
    let sweeping = env.clone();
    work.begin("outbox", move |token| {
        let env = sweeping.clone();
        every(SWEEP_EVERY, token, move || forget_what_happened(env.clone()))
    });
    let sweeping = env.clone();
    work.begin("old postbacks", move |token| {
        let env = sweeping.clone();
        every(SWEEP_EVERY, token, move || forget_postbacks(env.clone()))
    });
    let sweeping = env.clone();
    work.begin("request ids", move |token| {
        let env = sweeping.clone();
        every(SWEEP_EVERY, token, move || forget_request_ids(env.clone()))
    });
    let sweeping = env.clone();
    work.begin("imports", move |token| {
        let env = sweeping.clone();
        every(SWEEP_EVERY, token, move || forget_imports(env.clone()))
    });
    if env.db.dialect() == Dialect::Postgres {
        let env = env.clone();
        work.begin("schema check", move |token| check_schema(env.clone(), token));
    }
    work
}

impl Work {
    /// Begins one task; `task` is called again if it panics.
    pub(super) fn begin<F>(
        &mut self,
        name: &'static str,
        task: impl Fn(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.child_token();
        let handle = tokio::spawn(async move {
            while AssertUnwindSafe(task(token.clone())).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked; beginning it again");
                sleep(AFTER_A_PANIC).await;
            }
        });
        self.tasks.push((name, handle));
    }

    /// Begins one task on a thread of its own, which stands back while visitors are answered: whatever it does in one go they
    /// would wait for.
    fn begin_apart<F>(&mut self, name: &'static str, task: impl Fn(CancellationToken) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Handle::current();
        self.begin(name, move |token| {
            let task = task(token);
            let runtime = runtime.clone();
            let (mut done, ended) = oneshot::channel::<()>();
            let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
                // Linux gives every thread a priority of its own. Without the right to change it things are as they were.
                if let Err(error) = setpriority_process(Some(gettid()), STANDS_BACK) {
                    tracing::debug!(%error, task = name, "runs at the priority of everything else");
                }
                // Where the runtime goes without a stop, as in a test that fails, it first lets go of what waits for this thread, and then
                // of the timers that the task would panic without. What the task holds gives itself back inside the runtime.
                let _inside = runtime.enter();
                runtime.block_on(future::select(pin!(done.closed()), pin!(task)));
                drop(done);
            });
            async move {
                let _ = ended.await;
                let outcome = thread.map_err(|error| Box::new(error) as _).and_then(thread::JoinHandle::join);
                if let Err(panic) = outcome {
                    resume_unwind(panic);
                }
            }
        });
    }

    /// Begins a task that cannot be begun again: a panic ends it, and what it did is missed until the next start.
    fn begin_once<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = AssertUnwindSafe(task(self.token.child_token())).catch_unwind();
        let handle = tokio::spawn(async move {
            if work.await.is_err() {
                tracing::error!(task = name, "a task panicked and cannot be begun again; restart the node");
            }
        });
        self.tasks.push((name, handle));
    }

    /// Ends every task and awaits it, or cuts it after `grace`.
    pub(super) async fn stop(self, grace: Duration) {
        self.token.cancel();
        let deadline = Instant::now() + grace;
        for (name, mut handle) in self.tasks {
            if timeout_at(deadline, &mut handle).await.is_err() {
                tracing::warn!(task = name, "a task did not end in time and was cut");
                handle.abort();
            }
        }
    }
}

/// Does `step` at once and then again and again.
pub(super) async fn every<F: Future<Output = ()>>(
    period: Duration,
    token: CancellationToken,
    mut step: impl FnMut() -> F,
) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while token.run_until_cancelled(ticks.tick()).await.is_some() {
        if token.run_until_cancelled(step()).await.is_none() {
            return;
        }
    }
}

fn look_at_memory(admission: &Admission, limit: u64) {
    let Some(used) = memory::used() else { return };
    let before = admission.pressure();
    let pressure = before.next(used, limit);
    if pressure != before {
        tracing::info!(used, limit, "bytes of memory in use");
        admission.press(pressure);
    }
}

async fn make_partitions(env: Env) {
    for made in
        [clicks::make_partitions_ahead(&env).await, attribution::events::make_partitions_ahead(&env).await]
    {
        match made {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "made partitions for the days to come"),
            Err(error) => {
                tracing::warn!(cause = %error.inward(), "cannot make partitions ahead; trying again later");
            }
        }
    }
}

async fn forget_sessions(env: Env) {
    forgotten("sessions that are over", accounts::sweep(&env).await.map_err(Error::from));
}

async fn forget_what_happened(env: Env) {
    forgotten("what happened a week ago", outbox::sweep(&env.db.api, env.now()).await.map_err(Error::from));
}

async fn forget_messages(env: Env) {
    forgotten("what webhooks were told a month ago", webhooks::sweep(&env).await.map_err(Error::from));
}

async fn forget_feed(env: Env) {
    // What is not counted is still needed, however old it is, and so is what is not told.
    let counted = analytics::rollup::counted(&env.db.drain).await;
    let done = match (counted, webhooks::told(&env.db.drain).await) {
        (Ok(counted), Ok(told)) => feed::sweep(&env, counted.min(told)).await,
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    forgotten("what streams are not shown any more", done.map_err(Error::from));
}

async fn forget_postbacks(env: Env) {
    forgotten("postbacks of a year ago", attribution::postbacks::sweep(&env).await);
}

async fn forget_click_ids(env: Env) {
    forgotten("old click ids of ad networks", attribution::forget_click_ids(&env).await);
}

async fn forget_views(env: Env) {
    forgotten("old views", attribution::forget_views(&env).await);
}

async fn forget_request_ids(env: Env) {
    forgotten("old request ids", idempotency::sweep(&env.db.api, env.now()).await.map_err(Error::from));
}

async fn forget_imports(env: Env) {
    forgotten("old imports", links::sweep_imports(&env).await.map(|count| count as u64));
}

/// Says what became of a sweep.
fn forgotten(what: &str, swept: Result<u64>) {
    match swept {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "forgot {what}"),
        Err(error) => {
            tracing::warn!(cause = %error.inward(), "cannot forget {what}; trying again later");
        }
    }
}

async fn write_key_uses(env: Env) {
    if let Err(error) = keys::flush_last_use(&env).await {
        tracing::warn!(cause = %error.inward(), "cannot write when keys were used; trying again later");
    }
}

async fn look_at_privileges(env: Env, later: Arc<privileges::Later>) {
    later.look(&env).await;
}

async fn send_mail(env: Env, mailer: Arc<Mailer>) {
    if let Err(error) = mail::delivery::deliver_due(&env, &mailer).await {
        tracing::debug!(%error, "cannot see which mails to send; trying again");
    }
}

async fn warn_of_keys(env: Env) {
    match keys::warn::sweep(&env).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "API keys end soon"),
        Err(error) => {
            tracing::warn!(cause = %error.inward(), "cannot see which API keys end soon; trying again later");
        }
    }
}

async fn seal_audit_events(env: Env) {
    match audit::seal(&env).await {
        Ok(sealed) => metrics::counter!("linkforty_audit_sealed_total").increment(sealed as u64),
        Err(error) => {
            tracing::debug!(cause = %error.inward(), "cannot seal what was done; trying again");
        }
    }
}

async fn seal_decisions(env: Env) {
    match attribution::decisions::seal(&env).await {
        Ok(sealed) => metrics::counter!("linkforty_decisions_sealed_total").increment(sealed as u64),
        Err(error) => {
            tracing::debug!(cause = %error.inward(), "cannot give decisions their places; trying again");
        }
    }
}

async fn erase_workspaces(env: Env) {
    forgotten("what deleted workspaces held", workspaces::ending::erase(&env).await);
    forgotten("old invitations", workspaces::invitations::sweep(&env).await.map_err(Error::from));
}

async fn look_at_domains(env: Env) {
    if let Err(error) = domains::look_at_due(&env).await {
        tracing::debug!(cause = %error.inward(), "cannot see which domains to look at; trying again");
    }
}

async fn tend_certificates(authority: Authority) {
    if let Err(error) = authority.tend().await {
        tracing::debug!(cause = %error.inward(), "cannot see which certificates to get; trying again");
    }
}

/// Reading a large file takes a while: not on a thread that answers visitors.
async fn refresh_countries(geo: Geo) {
    if let Err(error) = tokio::task::spawn_blocking(move || geo.refresh()).await {
        tracing::warn!(%error, "the file of countries could not be looked at");
    }
}

/// Makes a step of something that waits for nothing.
fn now(mut step: impl FnMut()) -> impl FnMut() -> std::future::Ready<()> {
    move || {
        step();
        std::future::ready(())
    }
}

async fn exchange_tokens(env: Env, outbound: Outbound) {
    if let Err(error) = attribution::exchange_tokens(&env, &outbound).await {
        tracing::debug!(cause = %error.inward(), "cannot ask what tokens of installs stand for; trying again");
    }
}

async fn decide_pending(env: Env) {
    match attribution::decide_pending(&env).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "decided installs that were pending"),
        Err(error) => {
            tracing::debug!(cause = %error.inward(), "cannot decide pending installs; trying again");
        }
    }
}

/// Says once, as soon as the database answers, what is wrong with its schema. Production never migrates by itself: the old
/// version is still running then.
async fn check_schema(env: Env, token: CancellationToken) {
    loop {
        match token.run_until_cancelled(db::verify(&env.db.api)).await {
            None => return,
            Some(Ok(wrong)) => {
                for line in wrong {
                    tracing::warn!(problem = line, "the database schema is not the one of this version");
                }
                return;
            }
            Some(Err(error)) => tracing::debug!(%error, "cannot look at the schema yet"),
        }
        if token.run_until_cancelled(sleep(SCHEMA_EVERY)).await.is_none() {
            return;
        }
    }
}
