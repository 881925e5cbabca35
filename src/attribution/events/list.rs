//! Events for people: a page at a time, newest first, each with the link it is credited to.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
};

use super::{
    credit::{self, Credit, Touch},
    key::id_after,
};
use crate::{
    apps,
    clock::Moment,
    entity::{
        event::{Column, Entity, Model as Event},
        install,
    },
    env::Env,
    error::{Error, Result},
    ids::{AppId, EventId, InstallId, LinkId, WorkspaceId, floor, parse},
    links,
    page::{Cursor, Page, PageRequest},
    workspaces::Tenant,
};

/// How many bytes of events a page has at the most.
const ANSWER_BYTES: usize = 3 << 20;
/// What an event has beside its properties.
const EVENT_BYTES: usize = 1024;
/// SQLite takes 32,766 values in a statement.
const INSTALLS_A_STATEMENT: usize = 10_000;

/// Which events are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Of this app.
    pub app: Option<AppId>,
    /// Of this install.
    pub install: Option<InstallId>,
    /// That have to do with this link.
    pub link: Option<LinkId>,
    /// Of this name; empty: any.
    pub name: String,
    /// From this moment on.
    pub start: Option<Moment>,
    /// Before this moment.
    pub end: Option<Moment>,
}

/// An event and what it is credited to.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The event.
    pub event: Event,
    /// The link.
    pub credit: Credit,
    /// Whether it was on a device of the developers.
    pub test: bool,
}

/// Lists events, newest first.
pub async fn list(
    env: &Env,
    tenant: &Tenant,
    query: &EventQuery,
    page: &PageRequest,
) -> Result<Page<Listed>> {
    expect(env, tenant, query.app, query.link).await?;
    let db = &env.db.api;
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id)).map(EventId);
    let most = u64::from(page.size) + 1;
    let mut events = Vec::new();
    for way in ways(tenant.id, query.link) {
        let found = Entity::find()
            .filter(conditions(tenant.id, query))
            .filter(way)
            .apply_if(after, |query, after| query.filter(Column::Id.lt(after)))
            .order_by_desc(Column::Id)
            .limit(most)
            .all(db)
            .await?;
        events.extend(found);
    }
    events.sort_by(|one, other| other.id.cmp(&one.id));
    let size = fitting(&events, page.size);
    events.truncate(size as usize + 1);
    let touches = Touches::of(db, tenant.id, &events).await?;
    let listed = events
        .into_iter()
        .map(|event| Listed {
            credit: touches.credit(&event),
            test: touches.tests.contains(&event.install_id),
            event,
        })
        .collect();
    Ok(Page::of(listed, size, |last: &Listed| Cursor { key: String::new(), id: last.event.id.to_string() }))
}

/// Fails for an app or a link that is not the tenant's.
pub async fn expect(env: &Env, tenant: &Tenant, app: Option<AppId>, link: Option<LinkId>) -> Result<()> {
    if let Some(app) = app
        && !apps::session_gaps(env, tenant).await?.contains_key(&app)
    {
        return Err(Error::not_found("app"));
    }
    if let Some(link) = link {
        links::expect_all(env, tenant, &HashSet::from([link])).await?;
    }
    Ok(())
}

/// Returns what holds for events that are asked for, but for the link.
pub fn conditions(workspace: WorkspaceId, query: &EventQuery) -> Condition {
    let EventQuery { app, install, link: _, name, start, end } = query;
    Condition::all()
        .add(Column::WorkspaceId.eq(workspace))
        .add_option(app.map(|app| Column::AppId.eq(app)))
        .add_option(install.map(|install| Column::InstallId.eq(install)))
        .add_option((!name.is_empty()).then(|| Column::Name.eq(name.as_str())))
        // By the id too, which finds them; no event's time is after the one in its id.
        .add_option(start.map(|start| Column::Id.gte(floor(start))))
        .add_option(start.map(|start| Column::EventTime.gte(start)))
        .add_option(end.map(|end| Column::Id.lt(id_after(end))))
        .add_option(end.map(|end| Column::EventTime.lt(end)))
}

/// Returns the ways in which events have to do with a link, each with an index of its own: no event goes two of them.
pub fn ways(workspace: WorkspaceId, link: Option<LinkId>) -> Vec<Condition> {
    let Some(link) = link else { return vec![Condition::all()] };
    let installs = install::Entity::find()
        .select_only()
        .column(install::Column::Id)
        .filter(install::Column::WorkspaceId.eq(workspace))
        .filter(install::Column::LinkId.eq(link))
        .into_query();
    vec![
        Condition::all().add(Column::LinkId.eq(link)),
        Condition::all().add(Column::LinkId.is_null()).add(Column::InstallId.in_subquery(installs)),
    ]
}

/// Returns how many events fit into an answer: at least one.
fn fitting(events: &[Event], most: u32) -> u32 {
    let mut bytes = 0;
    for (place, event) in (0..most).zip(events) {
        bytes += EVENT_BYTES + event.properties.as_ref().map_or(0, String::len);
        if bytes > ANSWER_BYTES && place > 0 {
            return place;
        }
    }
    most
}

/// What is known of the links and installs of some events.
struct Touches {
    installs: HashMap<InstallId, Touch>,
    /// Those on devices of the developers.
    tests: HashSet<InstallId>,
    windows: HashMap<LinkId, i64>,
}

impl Touches {
    async fn of(db: &impl ConnectionTrait, workspace: WorkspaceId, events: &[Event]) -> Result<Self, DbErr> {
        let installs: BTreeSet<InstallId> = events.iter().map(|event| event.install_id).collect();
        let found: Vec<(InstallId, Option<LinkId>, Option<Moment>)> = install::Entity::find()
            .select_only()
            .columns([install::Column::Id, install::Column::LinkId, install::Column::ClickTime])
            .filter(install::Column::WorkspaceId.eq(workspace))
            .filter(install::Column::Id.is_in(installs.iter().copied()))
            .into_tuple()
            .all(db)
            .await?;
        let tests = tests(db, workspace, &installs).await?;
        let installs: HashMap<InstallId, Touch> = found
            .into_iter()
            .filter_map(|(id, link, time)| Some((id, Touch { link: link?, time })))
            .collect();
        let links: HashSet<LinkId> = events
            .iter()
            .filter_map(|event| event.link_id)
            .chain(installs.values().map(|touch| touch.link))
            .collect();
        Ok(Self { installs, tests, windows: windows(db, workspace, &links).await? })
    }

    fn credit(&self, event: &Event) -> Credit {
        let stamp = event.link_id.map(|link| Touch { link, time: event.link_open_time });
        let install = self.installs.get(&event.install_id).copied();
        credit::credit(event.event_time, stamp, install, &self.windows)
    }
}

/// Returns those of the installs that are on devices of the developers.
pub async fn tests(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    installs: &BTreeSet<InstallId>,
) -> Result<HashSet<InstallId>, DbErr> {
    let installs: Vec<InstallId> = installs.iter().copied().collect();
    let mut tests = HashSet::new();
    for some in installs.chunks(INSTALLS_A_STATEMENT) {
        let found: Vec<InstallId> = install::Entity::find()
            .select_only()
            .column(install::Column::Id)
            .filter(install::Column::WorkspaceId.eq(workspace))
            .filter(install::Column::Test.eq(true))
            .filter(install::Column::Id.is_in(some.iter().copied()))
            .into_tuple()
            .all(db)
            .await?;
        tests.extend(found);
    }
    Ok(tests)
}

/// Returns how long after a link was opened events count for it, in seconds: what the link says, its template, and then the same of
/// installs.
pub async fn windows(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    links: &HashSet<LinkId>,
) -> Result<HashMap<LinkId, i64>, DbErr> {
    let window = |said: links::Credited| {
        said.event_window_seconds.or(said.window_seconds).unwrap_or(credit::WINDOW_SECONDS)
    };
    let said = links::credited(db, workspace, links).await?;
    Ok(said.into_iter().map(|(link, said)| (link, window(said))).collect())
}
