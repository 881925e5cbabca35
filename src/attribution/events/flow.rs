//! The screens of apps, for people: reads a bounded number of events, and has the two pure files say what they come to.

use std::collections::BTreeSet;

use chrono::Duration;
use sea_orm::{
    EntityTrait as _, FromQueryResult, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{
    list::{EventQuery, conditions, expect, tests, ways},
    screens::{Walks, walks},
    sessions::{View, sessions},
};
use crate::{
    apps,
    clock::Moment,
    db::Dialect,
    entity::event::{Column, Entity},
    env::Env,
    error::{Result, Violations},
    ids::{AppId, EventId, InstallId, LinkId},
    workspaces::Tenant,
};

/// What apps call an event that is a screen.
const SCREEN_VIEW: &str = "screen_view";
/// How many events are read at the most.
const MOST_EVENTS: usize = 50_000;
const DEFAULT_LENGTH: Duration = Duration::days(7);
const MAX_LENGTH: Duration = Duration::days(90);

/// Whose screens, and when they were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowQuery {
    /// Of this app.
    pub app: Option<AppId>,
    /// Of users that this link brought.
    pub link: Option<LinkId>,
    /// From this moment on.
    pub start: Moment,
    /// Before this moment.
    pub end: Moment,
}

impl FlowQuery {
    /// Fills in what was not said, and checks the span.
    pub fn new(
        app: Option<AppId>,
        link: Option<LinkId>,
        (start, end): (Option<Moment>, Option<Moment>),
        now: Moment,
    ) -> Result<Self> {
        // What happens now counts.
        let end = end.unwrap_or(now + Duration::microseconds(1));
        let start = start.unwrap_or_else(|| end - DEFAULT_LENGTH);
        let mut wrong = Violations::default();
        if start >= end {
            wrong.add("end_time", "must be after start_time");
        } else if end - start > MAX_LENGTH {
            wrong.add("end_time", "must be at most 90 days after start_time");
        }
        wrong.into_result(Self { app, link, start, end })
    }
}

/// How users walked through screens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenFlow {
    /// The screens and the ways between them.
    pub walks: Walks,
    /// How many sessions there were.
    pub sessions: usize,
    /// How many events were read.
    pub events: usize,
    /// Whether there are more.
    pub more: bool,
}

#[derive(FromQueryResult)]
struct Seen {
    id: EventId,
    install_id: InstallId,
    app_id: Option<AppId>,
    event_time: Moment,
    session: Option<String>,
    screen: Option<String>,
}

/// Returns how users walked through screens.
pub async fn screen_flow(env: &Env, tenant: &Tenant, query: &FlowQuery) -> Result<ScreenFlow> {
    expect(env, tenant, query.app, query.link).await?;
    let gaps = apps::session_gaps(env, tenant).await?;
    // The rest of the properties may be large, and nobody asked for it.
    let screen = match env.db.dialect() {
        Dialect::Postgres => "substr(properties::json ->> 'screen', 1, 255)",
        Dialect::Sqlite => "substr(json_extract(properties, '$.screen'), 1, 255)",
    };
    let asked = EventQuery {
        app: query.app,
        install: None,
        link: query.link,
        name: SCREEN_VIEW.to_owned(),
        start: Some(query.start),
        end: Some(query.end),
    };
    let mut seen: Vec<Seen> = Vec::new();
    for way in ways(tenant.id, query.link) {
        let found = Entity::find()
            .select_only()
            .columns([Column::Id, Column::InstallId, Column::AppId, Column::EventTime, Column::Session])
            .column_as(Expr::cust(screen).cast_as("text"), "screen")
            .filter(conditions(tenant.id, &asked))
            .filter(way)
            .order_by_desc(Column::Id)
            .limit(MOST_EVENTS as u64 + 1)
            .into_model::<Seen>()
            .all(&env.db.api)
            .await?;
        seen.extend(found);
    }
    seen.sort_by(|one, other| other.id.cmp(&one.id));
    let more = seen.len() > MOST_EVENTS;
    seen.truncate(MOST_EVENTS);
    let events = seen.len();
    let installs: BTreeSet<InstallId> = seen.iter().map(|seen| seen.install_id).collect();
    let tests = tests(&env.db.api, tenant.id, &installs).await?;
    let views: Vec<View> = seen
        .into_iter()
        .filter_map(|seen| {
            let Seen { id, install_id: install, app_id: app, event_time: time, session, screen } = seen;
            let screen = screen.filter(|screen| !screen.is_empty() && !tests.contains(&install))?;
            Some(View { id, install, app, time, session, screen })
        })
        .collect();
    let sessions = sessions(views, &gaps, apps::SESSION_GAP_SECONDS);
    Ok(ScreenFlow { walks: walks(&sessions), sessions: sessions.len(), events, more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn spans_have_defaults_and_bounds() {
        let now = from_micros(1_795_348_800_000_000);
        let new = |start, end| FlowQuery::new(None, None, (start, end), now);
        let default = new(None, None).expect("the defaults are good");
        assert_eq!(default.end - default.start, DEFAULT_LENGTH);
        assert!(default.end > now);
        assert!(new(Some(now - MAX_LENGTH), Some(now)).is_ok());
        assert!(new(Some(now - MAX_LENGTH), None).is_err());
        assert!(new(Some(now), Some(now)).is_err());
        assert!(new(Some(now + Duration::days(1)), None).is_err());
    }
}
