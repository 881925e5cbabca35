//! Makes the rollups of a day anew from what was recorded, or compares them with it, beside servers that run. What was recorded but not counted
//! yet, which the feed says, is left for the roller to count: so nothing counts twice, whenever this runs and however often.
//!
//! A day is the unit: its rows are replaced in one transaction, while which the roller waits. A day whose clicks are gone is left alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::{
    awaited::{self, Item, Waiting},
    content::{self, Content},
    credits::{self, Counted, Decided, Happened, Installed, Known, Sign, Touched},
    fold::Fold,
    key::{Bundle, Key, Scoped},
    measures::Measures,
    names::{self, Names},
    roller::count_click,
    store::{self, Patience, Progress},
};
use crate::{
    analytics::{
        dims::{self, Agents, Dimension},
        raw::read::{Texts, Walk},
    },
    attribution::events,
    clicks::Homes,
    clock::{Moment, from_micros},
    db::{self, Dialect},
    entity::{click, event, install},
    env::Env,
    feed::{self, Items, Position},
    ids::{ClickId, EventId, InstallId, WorkspaceId, floor},
    pb::sdk::v1::AttributionState,
};

const DAY_MICROS: i64 = 86_400_000_000;
const CLICKS_A_STEP: u64 = 5000;
const OTHERS_A_STEP: u64 = 2000;

/// Which day of which workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub workspace: WorkspaceId,
    /// A day of UTC, as a number since 1970.
    pub day: i32,
}

/// What became of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was made anew: so many rows.
    Rebuilt(usize),
    /// Its clicks are gone: rollups are all that is left of it.
    LeftAlone,
}

/// Where rollups are not what was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The row.
    pub key: Key,
    /// The part it is of, as text.
    pub part: String,
    /// The dimension and the value in it; none for the visitors.
    pub value: Option<(u8, String)>,
    /// The slot in it.
    pub slot: u8,
    /// What it says.
    pub stored: Measures,
    /// What was recorded.
    pub recorded: Measures,
}

impl Wanted {
    fn times(self) -> (Moment, Moment) {
        let at = |day: i32| from_micros(i64::from(day) * DAY_MICROS);
        (at(self.day), at(self.day + 1))
    }
}

/// Returns the days of which a workspace has rollups or anything that they are made from, first and last.
pub async fn days(env: &Env, workspace: WorkspaceId) -> Result<Option<(i32, i32)>, DbErr> {
    let db = &env.db.api;
    let mut days: BTreeSet<i32> = BTreeSet::new();
    days.extend(store::days(db, workspace).await?.into_iter().flat_map(|(first, last)| [first, last]));
    let day = |time: Moment| time.timestamp_micros().div_euclid(DAY_MICROS) as i32;
    for newest in [false, true] {
        let order = if newest { sea_orm::Order::Desc } else { sea_orm::Order::Asc };
        let click = click::Entity::find()
            .filter(click::Column::WorkspaceId.eq(workspace))
            .order_by(click::Column::Id, order.clone())
            .limit(1)
            .one(db)
            .await?;
        days.extend(click.map(|click| day(crate::ids::time_of(click.id.0))));
        let install = install::Entity::find()
            .filter(install::Column::WorkspaceId.eq(workspace))
            .order_by(install::Column::InstallTime, order.clone())
            .limit(1)
            .one(db)
            .await?;
        days.extend(install.map(|install| day(install.install_time)));
        let event = event::Entity::find()
            .filter(event::Column::WorkspaceId.eq(workspace))
            .order_by(event::Column::Id, order)
            .limit(1)
            .one(db)
            .await?;
        // It happened when its id says, or up to a day before.
        days.extend(event.map(|event| day(event.event_time)));
    }
    Ok(days.first().copied().zip(days.last().copied()))
}

/// Makes a day anew.
pub async fn rebuild(env: &Env, wanted: Wanted) -> Result<Outcome, DbErr> {
    let tx = env.db.begin().await?;
    let progress = store::take(&tx, Patience::Endless).await?;
    let progress = progress.ok_or_else(|| DbErr::Custom("roll_progress has no row".to_owned()))?;
    // On Postgres what is read is read in a snapshot that begins when nobody rolls any more; on SQLite nobody else writes at all.
    let recorded = match env.db.dialect() {
        Dialect::Postgres => {
            let snapshot = db::begin_snapshot(&env.db.api).await?;
            let recorded = recorded(&snapshot, env, wanted).await?;
            snapshot.rollback().await?;
            recorded
        }
        Dialect::Sqlite => recorded(&tx, env, wanted).await?,
    };
    let Some(Recorded { fold, events, items, waiting }) = recorded else {
        tx.rollback().await?;
        return Ok(Outcome::LeftAlone);
    };
    let (codes, _) = Names::default().codes(&tx, fold.texts()).await?;
    let rows = fold.rows(&codes);
    let count = rows.len();
    let round = progress.round + 1;
    store::clear_day(&tx, wanted.workspace, wanted.day).await?;
    store::add(&tx, rows, round).await?;
    let all: Vec<(InstallId, EventId)> =
        events.iter().map(|(counted, _)| (counted.event.install, counted.event.id)).collect();
    store::forget(&tx, wanted.workspace, &all).await?;
    let undecided: Vec<(WorkspaceId, &Counted)> = events
        .iter()
        .filter(|(_, is_final)| !is_final)
        .map(|(counted, _)| (wanted.workspace, counted))
        .collect();
    store::remember(&tx, &undecided).await?;
    awaited::forget(&tx, wanted.workspace, &items).await?;
    let waiting: Vec<(WorkspaceId, &Waiting)> =
        waiting.iter().map(|waiting| (wanted.workspace, waiting)).collect();
    awaited::remember(&tx, &waiting).await?;
    store::advance(&tx, Progress { round, ..progress }).await?;
    tx.commit().await?;
    Ok(Outcome::Rebuilt(count))
}

/// Compares a day with what was recorded; `None`: its clicks are gone.
pub async fn verify(env: &Env, wanted: Wanted) -> Result<Option<Vec<Difference>>, DbErr> {
    let snapshot = db::begin_snapshot(&env.db.api).await?;
    let stored = store::of_day(&snapshot, wanted.workspace, wanted.day).await?;
    let Some(Recorded { fold, .. }) = recorded(&snapshot, env, wanted).await? else { return Ok(None) };
    let texts: Vec<&str> = fold.texts().iter().map(|text| &**text).collect();
    let known = names::codes_of(&snapshot, &texts).await?;
    // A text that no rollup can have gets a code that none has.
    let codes: Vec<u32> =
        (0_u32..).zip(&texts).map(|(at, text)| known.get(*text).copied().unwrap_or(u32::MAX - at)).collect();
    let unknown: HashMap<u32, String> =
        codes.iter().copied().zip(texts.iter().map(|text| (*text).to_owned())).collect();
    let mut recorded = fold.rows(&codes);
    let mut found = Vec::new();
    for (key, bytes) in stored {
        let own = recorded.remove(&key).unwrap_or_default();
        match Content::decode(&bytes) {
            Some(stored) => compare(key, &stored, &own, &mut found),
            None => compare(key, &Content::default(), &own, &mut found),
        }
    }
    for (key, own) in recorded {
        compare(key, &Content::default(), &own, &mut found);
    }
    let mut wanted: HashSet<u32> = found.iter().map(|one: &Raw| one.key.part).collect();
    wanted.extend(found.iter().filter_map(|one| Some(one.value?.1)));
    let mut names = names::texts_of(&snapshot, &wanted).await?;
    names.extend(unknown);
    snapshot.rollback().await?;
    let name = |code: u32| names.get(&code).cloned().unwrap_or_else(|| format!("?{code}"));
    Ok(Some(
        found
            .into_iter()
            .map(|Raw { key, value, slot, stored, recorded }| Difference {
                key,
                part: name(key.part),
                value: value.map(|(dimension, value)| (dimension, name(value))),
                slot,
                stored,
                recorded,
            })
            .collect(),
    ))
}

/// A difference before its codes are texts.
struct Raw {
    key: Key,
    value: Option<(u8, u32)>,
    slot: u8,
    stored: Measures,
    recorded: Measures,
}

/// Notes where two contents of a row differ. Where a dimension has more values than it holds, which of them have a place of their own may have
/// changed by what was taken back; so only its sums are compared.
fn compare(key: Key, stored: &Content, recorded: &Content, found: &mut Vec<Raw>) {
    if stored == recorded {
        return;
    }
    let overflows: HashSet<u8> = [stored, recorded]
        .into_iter()
        .flat_map(Content::cells)
        .filter(|(place, _)| place.value == content::OTHER && place.dimension != content::ALL)
        .map(|(place, _)| place.dimension)
        .collect();
    let mut cells: BTreeMap<(u8, u32, u8), (Measures, Measures)> = BTreeMap::new();
    for (content, is_stored) in [(stored, true), (recorded, false)] {
        for (place, measures) in content.cells() {
            let value = if overflows.contains(&place.dimension) { content::OTHER } else { place.value };
            let both = cells.entry((place.dimension, value, place.slot)).or_default();
            *(if is_stored { &mut both.0 } else { &mut both.1 }) += measures;
        }
    }
    for ((dimension, value, slot), (stored, recorded)) in cells {
        if stored != recorded {
            found.push(Raw { key, value: Some((dimension, value)), slot, stored, recorded });
        }
    }
    if stored.visitors() != recorded.visitors() {
        let people = |content: &Content| Measures {
            clicks: content.visitors().map_or(0, |sketch| sketch.estimate().cast_signed()),
            ..Measures::default()
        };
        let (stored, recorded) = (people(stored), people(recorded));
        found.push(Raw { key, value: None, slot: 0, stored, recorded });
    }
}

/// What was recorded of a day and has been counted.
struct Recorded {
    fold: Fold,
    /// Events, and whether they are counted for good.
    events: Vec<(Counted, bool)>,
    /// All installs and events.
    items: Vec<Uuid>,
    /// Those of them that wait for their click.
    waiting: Vec<Waiting>,
}

/// What was recorded but is not counted yet.
#[derive(Default)]
struct Uncounted {
    clicks: HashSet<ClickId>,
    events: HashSet<EventId>,
    /// Events whose revenue only is not counted yet.
    unpriced: HashSet<EventId>,
    /// What installs were; `None`: not there.
    installs: HashMap<InstallId, Option<feed::Credit>>,
}

impl Uncounted {
    async fn of(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Self, DbErr> {
        let mut uncounted = Self::default();
        let counted = Position(store::progress(db).await?.seq);
        for row in feed::all_after(db, workspace, counted).await? {
            match &*row.items {
                Items::Clicks(clicks) => uncounted.clicks.extend(clicks.iter().map(|click| click.id)),
                Items::Installs(installs) => {
                    for install in installs {
                        // What it was before the first of several changes.
                        uncounted.installs.entry(install.id).or_insert_with(|| install.before.clone());
                    }
                }
                Items::Events(events) => {
                    for event in events {
                        let which =
                            if event.priced_later { &mut uncounted.unpriced } else { &mut uncounted.events };
                        which.insert(event.id);
                    }
                }
            }
        }
        Ok(uncounted)
    }

    /// Puts installs back to what they were.
    fn put_back(&self, known: &mut HashMap<InstallId, Known>) {
        known.retain(|id, known| match self.installs.get(id) {
            None => true,
            Some(None) => false,
            Some(Some(before)) => {
                known.decided = before.state != AttributionState::Pending as i16;
                let time = known.touch.and_then(|(.., time)| time);
                known.touch = before.link.map(|link| (link, before.click, time));
                true
            }
        });
    }
}

/// Counts what was recorded of a day; `None`: its clicks are gone, while there are rollups of them.
async fn recorded(db: &impl ConnectionTrait, env: &Env, wanted: Wanted) -> Result<Option<Recorded>, DbErr> {
    // First of all, so that a snapshot begins with it.
    let uncounted = Uncounted::of(db, wanted.workspace).await?;
    let mut fold = Fold::default();
    if !count_clicks(db, env, wanted, &uncounted, &mut fold).await? {
        let stored = store::of_day(db, wanted.workspace, wanted.day).await?;
        let totals = stored
            .iter()
            .find(|(key, _)| key.scope == Scoped::Workspace && key.bundle == Bundle::Totals)
            .map(|(_, bytes)| bytes);
        let mut had_clicks = false;
        if let Some(bytes) = totals {
            let _ = content::each_of(bytes, content::ALL, |_, _, measures| {
                had_clicks |= measures.clicks + measures.bot_clicks > 0;
            });
        }
        if had_clicks {
            return Ok(None);
        }
    }
    let homes = Homes::here(env);
    let mut recorded = Recorded { fold, events: Vec::new(), items: Vec::new(), waiting: Vec::new() };
    count_installs(db, &homes, wanted, &uncounted, &mut recorded).await?;
    count_events(db, &homes, wanted, &uncounted, &mut recorded).await?;
    Ok(Some(recorded))
}

/// Returns what an item is counted as that waits for its click, as long as that is not counted: what the click says is told by then. `None`: it
/// does not wait, or not for the click that it is credited to now.
fn still_waiting(stored: &HashMap<Uuid, Waiting>, item: Uuid, touch: Option<Touched>) -> Option<&Waiting> {
    stored.get(&item).filter(|(click, item)| {
        let origin = item.origin().map(|origin| (origin.link, Some(*click)));
        origin.is_some() && origin == touch
    })
}

/// Counts clicks. Says whether there were any, counted or not.
async fn count_clicks(
    db: &impl ConnectionTrait,
    env: &Env,
    wanted: Wanted,
    uncounted: &Uncounted,
    fold: &mut Fold,
) -> Result<bool, DbErr> {
    let (start, end) = wanted.times();
    let mut walk = Walk::new(wanted.workspace, None, start, end);
    let mut texts = Texts::new(env.memory.of(Agents::default));
    let mut any = false;
    loop {
        let rows = walk.next(db, CLICKS_A_STEP).await?;
        any |= !rows.is_empty();
        texts.learn(db, &rows).await?;
        for row in rows.iter().filter(|row| !uncounted.clicks.contains(&row.id)) {
            let facts = texts.facts(row);
            let agent = texts.agent(&facts);
            let values = dims::of(&facts, &agent);
            count_click(fold, wanted.workspace, (row.id, row.visitor), &facts, &values);
        }
        if (rows.len() as u64) < CLICKS_A_STEP {
            return Ok(any);
        }
    }
}

async fn count_installs(
    db: &impl ConnectionTrait,
    homes: &Homes,
    wanted: Wanted,
    uncounted: &Uncounted,
    recorded: &mut Recorded,
) -> Result<(), DbErr> {
    use install::{Column, Entity};
    let (start, end) = wanted.times();
    let mut after: Option<(Moment, InstallId)> = None;
    loop {
        let mut query = Entity::find()
            .filter(Column::WorkspaceId.eq(wanted.workspace))
            .filter(Column::InstallTime.gte(after.map_or(start, |(time, _)| time)))
            .filter(Column::InstallTime.lt(end));
        if let Some((time, id)) = after {
            query = query.filter(Condition::any().add(Column::InstallTime.gt(time)).add(Column::Id.gt(id)));
        }
        let rows = query
            .order_by_asc(Column::InstallTime)
            .order_by_asc(Column::Id)
            .limit(OTHERS_A_STEP)
            .all(db)
            .await?;
        after = rows.last().map(|row| (row.install_time, row.id));
        let is_last = (rows.len() as u64) < OTHERS_A_STEP;
        let counted: Vec<_> = rows
            .into_iter()
            .filter_map(|row| match uncounted.installs.get(&row.id) {
                None => Some((row.method, row.link_id.map(|link| (link, row.click_id)), row)),
                Some(None) => None,
                Some(Some(before)) => {
                    Some((before.method, before.link.map(|link| (link, before.click)), row))
                }
            })
            .collect();
        let touches = counted.iter().filter_map(|(_, touch, _)| *touch);
        let origins = credits::origins(db, homes, wanted.workspace, touches.collect()).await?;
        let ids: Vec<Uuid> = counted.iter().map(|(.., row)| row.id.0).collect();
        let waiting = awaited::of_items(db, wanted.workspace, &ids).await?;
        for (method, touch, row) in &counted {
            let installed = Installed {
                id: row.id,
                app: row.app_id,
                micros: row.install_time.timestamp_micros(),
                platform: row.platform,
                test: row.test,
                method: *method,
            };
            let found = touch.and_then(|touch| origins.get(&touch));
            let still = still_waiting(&waiting, row.id.0, *touch);
            let origin = still.and_then(|(_, item)| item.origin()).or(found.map(|found| &found.origin));
            credits::fold_install(&mut recorded.fold, wanted.workspace, &installed, origin, Sign::Plus);
            let awaited =
                found.filter(|found| found.is_awaited && !row.test).and_then(|_| touch.and_then(|of| of.1));
            let awaited = awaited.filter(|click| awaited::may_come(*click, end));
            if let (Some(click), Some(origin)) = (still.map(|(click, _)| *click).or(awaited), origin) {
                recorded.waiting.push((click, Item::Install(installed, origin.clone())));
            }
        }
        recorded.items.extend(ids);
        if is_last {
            return Ok(());
        }
    }
}

async fn count_events(
    db: &impl ConnectionTrait,
    homes: &Homes,
    wanted: Wanted,
    uncounted: &Uncounted,
    recorded: &mut Recorded,
) -> Result<(), DbErr> {
    use event::{Column, Entity};
    let (start, end) = wanted.times();
    let mut after = EventId(floor(start));
    let mut is_first = true;
    loop {
        let from = if is_first { Column::Id.gte(after) } else { Column::Id.gt(after) };
        is_first = false;
        // By the id too, which finds them; no event's time is after the one in its id.
        let rows = Entity::find()
            .filter(Column::WorkspaceId.eq(wanted.workspace))
            .filter(from)
            .filter(Column::Id.lt(events::id_after(end)))
            .filter(Column::EventTime.gte(start))
            .filter(Column::EventTime.lt(end))
            .order_by_asc(Column::Id)
            .limit(OTHERS_A_STEP)
            .all(db)
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        let is_last = (rows.len() as u64) < OTHERS_A_STEP;
        let events: Vec<Happened> = rows
            .into_iter()
            .filter(|row| !uncounted.events.contains(&row.id))
            .map(|row| happened(row, uncounted))
            .collect();
        let installs = events.iter().map(|event| event.install).collect();
        let mut known = credits::installs(db, wanted.workspace, &installs).await?;
        uncounted.put_back(&mut known);
        let ids: Vec<Uuid> = events.iter().map(|event| event.id.0).collect();
        let waiting = awaited::of_items(db, wanted.workspace, &ids).await?;
        recorded.items.extend(ids);
        for decided in credits::decide(db, homes, wanted.workspace, events, &known).await? {
            let Decided { mut counted, click, is_final, is_awaited } = decided;
            let touch = counted.origin.as_ref().map(|origin| (origin.link, click));
            let still = still_waiting(&waiting, counted.event.id.0, touch);
            if let Some((_, item)) = still {
                counted.origin = item.origin().cloned();
            }
            let awaited = click.filter(|click| is_awaited && awaited::may_come(*click, end));
            if let Some(click) = still.map(|(click, _)| *click).or(awaited) {
                recorded.waiting.push((click, Item::Event(counted.clone())));
            }
            counted.fold(&mut recorded.fold, wanted.workspace, counted.event.measures(), Sign::Plus);
            recorded.events.push((counted, is_final));
        }
        if is_last {
            return Ok(());
        }
    }
}

fn happened(row: event::Model, uncounted: &Uncounted) -> Happened {
    let earned = row.reporting_currency.zip(row.reporting_units);
    let earned = earned.filter(|_| !row.duplicate_revenue && !uncounted.unpriced.contains(&row.id));
    Happened {
        id: row.id,
        install: row.install_id,
        app: row.app_id,
        name: row.name,
        micros: row.event_time.timestamp_micros(),
        earned: earned.map(|(currency, units)| (currency, units, row.reporting_nanos.unwrap_or_default())),
        link: row.link_id,
        click: row.click_id,
        open_micros: row.link_open_time.map(|time| time.timestamp_micros()),
    }
}

/// Returns the name of a dimension for people.
pub fn dimension_name(number: u8) -> String {
    Dimension::numbered(number)
        .map_or_else(|| "all".to_owned(), |dimension| format!("{dimension:?}").to_lowercase())
}
