//! Carries the feed into rollups: whichever node finds the row of `roll_progress` free takes it, adds what follows in the feed to the rows it
//! belongs in, and notes in the same transaction how far it came. So whatever dies when, everything is counted once.
//!
//! On SQLite, where whoever writes keeps everybody else from writing, all is read and added up before the transaction begins; it starts over
//! if somebody else came first.

use futures::FutureExt as _;
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::DateTime;
use fail::fail_point;
use metrics::{counter, histogram};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait as _, QueryOrder as _, QuerySelect as _, TransactionTrait as _,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    awaited::{self, Item as Waiter, Ledger},
    credits::{self, Counted, Found, Happened, Installed, Known, Sign},
    fold::{Fold, Item},
    measures::Measures,
    names::Names,
    store::{self, Patience, Progress},
};
use crate::{
    analytics::dims::{self, Agents, ClickFacts, Dimension, Home, Place, Values},
    clicks::{Homes, class::Class},
    clock::Moment,
    db::Dialect,
    entity::click_rollup,
    env::Env,
    feed::{self, Items, Position},
    ids::{ClickId, EventId, InstallId, LinkId, WorkspaceId, time_of},
    pb::sdk::v1::AttributionState,
};

/// How many rows of the feed are asked for at once; one holds a thousand items at the most.
const ROWS_AT_ONCE: u64 = 40;
/// After so many items a round ends.
const ITEMS_A_ROUND: usize = 40_000;
/// A round of fewer has left nothing. What comes meanwhile is counted together after [`EVERY`]: clicks of one batch are on nearly as many links
/// as those of many, and a row costs the same for one as for all of them.
const MANY_ITEMS: u64 = ITEMS_A_ROUND as u64 / 2;
/// How long after a round the next one begins, when there is nothing left.
const EVERY: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often rows of earlier releases are looked for.
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// For how long after it happened an event waits for its install.
const WAITED_FOR: chrono::Duration = chrono::Duration::days(60);
const OLD_ROWS_AT_ONCE: u64 = 5000;

/// What one round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// There was nothing.
    Idle,
    /// Another node is at it, or came first.
    Elsewhere,
    /// So many items were counted; there may be more.
    Counted(u64),
}

/// What a node remembers between rounds.
#[derive(Debug, Default)]
struct Roller {
    names: Names,
}

/// Carries the feed into rollups until `stop`.
pub async fn run(env: Env, stop: CancellationToken) {
    let (mut pause, mut tidy) = (EVERY, Instant::now());
    loop {
        let round = if tidy <= Instant::now() {
            tidy = Instant::now() + TIDY_EVERY;
            stop.run_until_cancelled(tidy_up(&env).boxed()).await
        } else {
            stop.run_until_cancelled(roll(&env).boxed()).await
        };
        match round {
            None => return,
            Some(Ok(Round::Counted(items))) if items >= MANY_ITEMS => {
                pause = EVERY;
                tokio::task::yield_now().await;
                continue;
            }
            Some(Ok(Round::Counted(_) | Round::Idle | Round::Elsewhere)) => pause = EVERY,
            Some(Err(error)) => {
                tracing::warn!(%error, "what happened waits to be counted");
                counter!("linkforty_roll_failures_total").increment(1);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Takes over what there is of an earlier release, and forgets what waits for installs and clicks that nobody will hear of any more.
async fn tidy_up(env: &Env) -> Result<Round, DbErr> {
    store::forget_before(&env.db.api, env.now() - WAITED_FOR).await?;
    awaited::forget_old(&env.db.api, env.now()).await?;
    loop {
        let round = take_over(env).boxed().await?;
        if !matches!(round, Round::Counted(_)) {
            return Ok(round);
        }
    }
}

/// Returns how far the feed has been counted.
pub async fn counted(db: &impl ConnectionTrait) -> Result<Position, DbErr> {
    Ok(Position(store::progress(db).await?.seq))
}

/// Does one round.
pub async fn roll(env: &Env) -> Result<Round, DbErr> {
    let began = std::time::Instant::now();
    let db = &env.db.api;
    let seen = store::progress(db).await?;
    if feed::settled(db).await?.0 <= seen.seq {
        return Ok(Round::Idle);
    }
    let work;
    let tx;
    match env.db.dialect() {
        Dialect::Postgres => {
            tx = db.begin().await?;
            let Some(progress) = store::take(&tx, Patience::None).await? else {
                tx.rollback().await?;
                return Ok(Round::Elsewhere);
            };
            work = gather(&tx, env, progress).await?;
        }
        Dialect::Sqlite => {
            work = gather(db, env, seen).await?;
            tx = env.db.begin().await?;
            if store::take(&tx, Patience::None).await? != Some(work.from) {
                tx.rollback().await?;
                return Ok(Round::Elsewhere);
            }
        }
    }
    let items = work.fold.items();
    let names = env.memory.of(Roller::default);
    let (codes, new) = names.names.codes(&tx, work.fold.texts()).await?;
    let progress = Progress { seq: work.end.0, round: work.from.round + 1 };
    store::add(&tx, work.fold.rows(&codes), progress.round).await?;
    for (workspace, events) in &work.decided {
        store::forget(&tx, *workspace, &events.iter().copied().collect::<Vec<_>>()).await?;
    }
    let undecided: Vec<_> = work
        .undecided
        .iter()
        .flat_map(|((workspace, _), counted)| counted.iter().map(|counted| (*workspace, counted)))
        .collect();
    store::remember(&tx, &undecided).await?;
    work.awaited.write(&tx).await?;
    store::advance(&tx, progress).await?;
    fail_point!("roller.commit.before");
    tx.commit().await?;
    fail_point!("roller.commit.after");
    names.names.remember(new);
    counter!("linkforty_rolled_total").increment(items);
    histogram!("linkforty_roll_seconds").record(began.elapsed());
    Ok(Round::Counted(items))
}

/// What a round has to write.
struct Work {
    from: Progress,
    end: Position,
    fold: Fold,
    /// Events that are counted, but not for good, by install.
    undecided: HashMap<(WorkspaceId, InstallId), Vec<Counted>>,
    /// Events that were remembered and are counted for good now.
    decided: HashMap<WorkspaceId, HashSet<(InstallId, EventId)>>,
    /// What is counted, but not as its click will say.
    awaited: Ledger,
    now: Moment,
}

/// Reads on in the feed and adds up what it says.
async fn gather(db: &impl ConnectionTrait, env: &Env, from: Progress) -> Result<Work, DbErr> {
    let mut work = Work {
        from,
        end: Position(from.seq),
        fold: Fold::default(),
        undecided: HashMap::new(),
        decided: HashMap::new(),
        awaited: Ledger::default(),
        now: env.now(),
    };
    let (agents, homes) = (env.memory.of(Agents::default), Homes::here(env));
    let mut items = 0;
    while items < ITEMS_A_ROUND {
        // Before the rows are read: what is settled now is among them.
        let settled = feed::settled(db).await?;
        let rows = feed::read_between(db, None, (work.end, settled), ROWS_AT_ONCE).await?;
        let mut came: Vec<(WorkspaceId, ClickId)> = Vec::new();
        for row in &rows {
            items += row.items.len();
            match &*row.items {
                Items::Clicks(clicks) => {
                    clicks.iter().for_each(|click| fold_click(&mut work.fold, row.workspace, click, &agents));
                    came.extend(clicks.iter().map(|click| (row.workspace, click.id)));
                }
                Items::Installs(installs) => {
                    fold_installs(db, &homes, &mut work, row.workspace, installs).await?;
                }
                Items::Events(events) => fold_events(db, &homes, &mut work, row.workspace, events).await?,
            }
            work.end = row.position;
        }
        // Behind the rows: what of them waited for a click of them waits no more.
        correct(db, &homes, &mut work, &came).await?;
        if (rows.len() as u64) < ROWS_AT_ONCE {
            // Numbers that were drawn for nothing are behind us too.
            work.end = work.end.max(settled);
            break;
        }
    }
    Ok(work)
}

/// Counts a click of the feed.
fn fold_click(fold: &mut Fold, workspace: WorkspaceId, click: &feed::Click, agents: &Agents) {
    let agent = agents.of(&click.user_agent);
    let facts = ClickFacts {
        link: click.link,
        platform: click.platform,
        class: click.class,
        step: click.step,
        user_agent: &click.user_agent,
        referrer_host: &click.referrer_host,
        language: &click.language,
        campaign: &click.campaign,
        place: Place { country: &click.country, region: &click.region, city: &click.city },
        home: Home { domain: &click.domain, project: &click.project },
    };
    count_click(fold, workspace, (click.id, click.visitor), &facts, &dims::of(&facts, &agent));
}

/// Counts a click.
pub fn count_click(
    fold: &mut Fold,
    workspace: WorkspaceId,
    (id, visitor): (ClickId, i64),
    facts: &ClickFacts<'_>,
    values: &Values<'_>,
) {
    let is_person = Class::of_number(facts.class) == Some(Class::Human);
    let measures = Measures {
        clicks: is_person.into(),
        bot_clicks: (!is_person).into(),
        opens: (is_person && dims::is_open(facts.step)).into(),
        ..Measures::default()
    };
    let visitor = is_person.then_some(visitor);
    fold.add(&Item { workspace, time: time_of(id.0), values, measures: &measures, visitor });
}

async fn fold_installs(
    db: &impl ConnectionTrait,
    homes: &Homes,
    work: &mut Work,
    workspace: WorkspaceId,
    installs: &[feed::Install],
) -> Result<(), DbErr> {
    let touch = |credit: &feed::Credit| credit.link.map(|link| (link, credit.click));
    let touches = installs.iter().flat_map(|install| [Some(&install.now), install.before.as_ref()]).flatten();
    let origins = credits::origins(db, homes, workspace, touches.filter_map(touch).collect()).await?;
    let found = |credit: &feed::Credit| -> Option<&Found> { origins.get(&touch(credit)?) };
    let again = installs.iter().filter(|install| install.before.is_some()).map(|install| install.id.0);
    work.awaited.look_up(db, workspace, again).await?;
    for install in installs {
        let as_of = |credit: &feed::Credit| Installed {
            id: install.id,
            app: install.app,
            micros: install.time.timestamp_micros(),
            platform: install.platform,
            test: install.test,
            method: credit.method,
        };
        if let Some(before) = &install.before {
            // What waits for its click is not counted as that says, though it may be here by now.
            match work.awaited.take(workspace, install.id.0) {
                Some((_, waited)) => waited.fold(&mut work.fold, workspace, Sign::Minus),
                None => {
                    let origin = found(before).map(|found| &found.origin);
                    credits::fold_install(&mut work.fold, workspace, &as_of(before), origin, Sign::Minus);
                }
            }
        }
        let (now, found) = (as_of(&install.now), found(&install.now));
        let origin = found.map(|found| &found.origin);
        credits::fold_install(&mut work.fold, workspace, &now, origin, Sign::Plus);
        if let Some(Found { origin, is_awaited: true }) = found.filter(|_| !install.test) {
            work.wait(workspace, install.now.click, Waiter::Install(now, origin.clone()));
        }
    }
    let decided = installs.iter().filter(|install| install.now.state != AttributionState::Pending as i16);
    let decided = decided.map(|install| install.id).collect();
    let stored = store::remembered(db, workspace, &decided).await?;
    let mut waited: Vec<Counted> = stored.into_values().flatten().collect();
    waited.retain(|counted| !work.is_decided(workspace, &counted.event));
    for id in &decided {
        // What this round remembers is newer than what is stored.
        let newer = work.undecided.remove(&(workspace, *id)).unwrap_or_default();
        waited.retain(|counted| newer.iter().all(|newer| newer.event.id != counted.event.id));
        waited.extend(newer);
    }
    if waited.is_empty() {
        return Ok(());
    }
    let known = credits::installs(db, workspace, &decided).await?;
    work.awaited.look_up(db, workspace, waited.iter().map(|counted| counted.event.id.0)).await?;
    for counted in &waited {
        counted.fold(&mut work.fold, workspace, counted.event.measures(), Sign::Minus);
        work.awaited.take(workspace, counted.event.id.0);
    }
    let events: Vec<Happened> = waited.into_iter().map(|counted| counted.event).collect();
    let ids: Vec<_> = events.iter().map(|event| (event.install, event.id)).collect();
    work.decided.entry(workspace).or_default().extend(ids);
    count_events(db, homes, work, workspace, events, &known).await
}

async fn fold_events(
    db: &impl ConnectionTrait,
    homes: &Homes,
    work: &mut Work,
    workspace: WorkspaceId,
    events: &[feed::Event],
) -> Result<(), DbErr> {
    let installs = events.iter().map(|event| event.install).collect();
    let known = credits::installs(db, workspace, &installs).await?;
    let (priced, new): (Vec<&feed::Event>, Vec<&feed::Event>) =
        events.iter().partition(|event| event.priced_later);
    let new = new.into_iter().map(Happened::from).collect();
    count_events(db, homes, work, workspace, new, &known).await?;
    if priced.is_empty() {
        return Ok(());
    }
    let of_priced = priced.iter().map(|event| event.install).collect();
    let remembered = store::remembered(db, workspace, &of_priced).await?;
    work.awaited.look_up(db, workspace, priced.iter().map(|event| event.id.0)).await?;
    let mut others = Vec::new();
    for event in priced {
        let event = Happened::from(event);
        let undecided = work.undecided_of(workspace, &event, &remembered);
        let waiting = work.awaited.take(workspace, event.id.0);
        let waited = match &waiting {
            Some((click, Waiter::Event(counted))) => Some((*click, counted.clone())),
            _ => None,
        };
        let is_undecided = undecided.is_some();
        match undecided.or_else(|| waited.as_ref().map(|(_, counted)| counted.clone())) {
            Some(counted) => {
                counted.fold(&mut work.fold, workspace, event.revenue(), Sign::Plus);
                let event = Happened { earned: event.earned, ..counted.event };
                let counted = Counted { event, ..counted };
                if let Some((click, _)) = waited {
                    work.awaited.note(workspace, click, Waiter::Event(counted.clone()));
                }
                if is_undecided {
                    work.remember(workspace, counted);
                }
            }
            None => others.push(event),
        }
    }
    for decided in credits::decide(db, homes, workspace, others, &known).await? {
        let counted = decided.counted;
        counted.fold(&mut work.fold, workspace, counted.event.revenue(), Sign::Plus);
    }
    Ok(())
}

/// Counts events, and remembers those that are not counted for good.
async fn count_events(
    db: &impl ConnectionTrait,
    homes: &Homes,
    work: &mut Work,
    workspace: WorkspaceId,
    events: Vec<Happened>,
    known: &HashMap<InstallId, Known>,
) -> Result<(), DbErr> {
    for decided in credits::decide(db, homes, workspace, events, known).await? {
        let counted = decided.counted;
        counted.fold(&mut work.fold, workspace, counted.event.measures(), Sign::Plus);
        if decided.is_awaited {
            work.wait(workspace, decided.click, Waiter::Event(counted.clone()));
        }
        if !decided.is_final {
            work.remember(workspace, counted);
        }
    }
    Ok(())
}

/// Counts what waited for clicks that came as those say.
async fn correct(
    db: &impl ConnectionTrait,
    homes: &Homes,
    work: &mut Work,
    came: &[(WorkspaceId, ClickId)],
) -> Result<(), DbErr> {
    let mut by_workspace: HashMap<WorkspaceId, Vec<awaited::Waiting>> = HashMap::new();
    for (workspace, waiting) in work.awaited.take_all_of(db, came).await? {
        by_workspace.entry(workspace).or_default().push(waiting);
    }
    for (workspace, waited) in by_workspace {
        let touch = |(click, item): &awaited::Waiting| Some((item.origin()?.link, Some(*click)));
        let touches = waited.iter().filter_map(touch).collect();
        let origins = credits::origins(db, homes, workspace, touches).await?;
        let installs = waited.iter().filter_map(|(_, item)| match item {
            Waiter::Event(counted) => Some(counted.event.install),
            Waiter::Install(..) => None,
        });
        let remembered = store::remembered(db, workspace, &installs.collect()).await?;
        for waiting in waited {
            // A click of another link than the app says tells nothing of this one.
            let found = touch(&waiting).and_then(|touch| origins.get(&touch));
            let Some(Found { origin, is_awaited: false }) = found else { continue };
            let (_, item) = waiting;
            item.fold(&mut work.fold, workspace, Sign::Minus);
            let item = item.under(origin.clone());
            item.fold(&mut work.fold, workspace, Sign::Plus);
            if let Waiter::Event(counted) = item
                && work.undecided_of(workspace, &counted.event, &remembered).is_some()
            {
                work.remember(workspace, counted);
            }
        }
    }
    Ok(())
}

impl Work {
    /// Says whether what is stored of an event is no more so.
    fn is_decided(&self, workspace: WorkspaceId, event: &Happened) -> bool {
        self.decided.get(&workspace).is_some_and(|decided| decided.contains(&(event.install, event.id)))
    }

    /// Returns what an event is counted as whose install is not decided; `stored` is what is remembered of that.
    fn undecided_of(
        &self,
        workspace: WorkspaceId,
        event: &Happened,
        stored: &HashMap<InstallId, Vec<Counted>>,
    ) -> Option<Counted> {
        let find = |all: &Vec<Counted>| all.iter().find(|counted| counted.event.id == event.id).cloned();
        let here = self.undecided.get(&(workspace, event.install)).and_then(find);
        let stored = || stored.get(&event.install).filter(|_| !self.is_decided(workspace, event));
        here.or_else(|| stored().and_then(find))
    }

    /// Notes that something waits for its click, unless that will not come any more.
    fn wait(&mut self, workspace: WorkspaceId, click: Option<ClickId>, item: Waiter) {
        if let Some(click) = click.filter(|click| awaited::may_come(*click, self.now)) {
            self.awaited.note(workspace, click, item);
        }
    }

    fn remember(&mut self, workspace: WorkspaceId, counted: Counted) {
        let of_install = self.undecided.entry((workspace, counted.event.install)).or_default();
        of_install.retain(|other| other.event.id != counted.event.id);
        of_install.push(counted);
    }
}

/// Takes over what an earlier release counted by link and hour, as long as nodes of it may still run: what it drained is in no feed.
pub async fn take_over(env: &Env) -> Result<Round, DbErr> {
    use click_rollup::{Column, Entity};
    let oldest = || {
        let oldest = Entity::find().order_by_asc(Column::WorkspaceId).order_by_asc(Column::LinkId);
        oldest.order_by_asc(Column::Hour).limit(OLD_ROWS_AT_ONCE)
    };
    if oldest().one(&env.db.api).await?.is_none() {
        return Ok(Round::Idle);
    }
    let tx = env.db.begin().await?;
    let Some(progress) = store::take(&tx, Patience::None).await? else {
        tx.rollback().await?;
        return Ok(Round::Elsewhere);
    };
    let mut rows = Vec::new();
    for row in oldest().all(&tx).await? {
        // What a node of the earlier release adds meanwhile is the next row of that hour.
        rows.extend(store::take_old(&tx, &row).await?);
    }
    let links: Vec<(WorkspaceId, LinkId)> = rows.iter().map(|row| (row.workspace_id, row.link_id)).collect();
    let homes = Homes::here(env).of(&tx, links.iter().copied()).await?;
    let mut fold = Fold::default();
    for (row, home) in rows.iter().zip(&homes) {
        let mut values = Values::default();
        values[Dimension::Link.index()] = row.link_id.to_string().into();
        values[Dimension::Domain.index()] = home.domain.as_str().into();
        values[Dimension::Project.index()] = home.project.as_str().into();
        let measures = Measures { clicks: row.clicks, bot_clicks: row.bot_clicks, ..Measures::default() };
        let time: Moment = DateTime::from_timestamp(i64::from(row.hour) * 3600, 0).unwrap_or_default();
        let workspace = row.workspace_id;
        fold.add(&Item { workspace, time, values: &values, measures: &measures, visitor: None });
    }
    let names = env.memory.of(Roller::default);
    let (codes, new) = names.names.codes(&tx, fold.texts()).await?;
    let round = progress.round + 1;
    store::add(&tx, fold.rows(&codes), round).await?;
    store::advance(&tx, Progress { round, ..progress }).await?;
    tx.commit().await?;
    names.names.remember(new);
    Ok(Round::Counted(rows.len() as u64))
}
