//! Which link installs and events are counted under. An install counts under the link it is credited to; an event under the one that
//! `attribution::events::credit` names when it is counted. An event whose install is not known yet, or not decided, is remembered with
//! what it was counted as, and counted anew when the install is.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _, Statement, Value,
};
use serde::{Deserialize, Serialize};

use super::{
    fold::{Fold, Item},
    measures::{Currency, Measures},
};
use crate::{
    analytics::dims::{self, Credited, EventFacts, Home, InstallFacts},
    attribution::events::{
        self,
        credit::{Credit, Touch, credit},
    },
    clicks::{Homes, query},
    clock::{Moment, from_micros},
    entity::install,
    feed,
    ids::{AppId, ClickId, EventId, InstallId, LinkId, WorkspaceId},
    links,
    pb::sdk::v1::AttributionState,
};

/// SQLite takes 32,766 values in a statement.
const IDS_A_STATEMENT: usize = 5000;
const CLICKS_A_STATEMENT: usize = 500;

/// An event, as far as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// Which.
    pub id: EventId,
    /// In which install.
    pub install: InstallId,
    /// Which app, where somebody said.
    pub app: Option<AppId>,
    /// What.
    pub name: String,
    /// When, in microseconds since 1970.
    pub micros: i64,
    /// What it earned, if it is the first that earned it: a currency, whole units, billionths.
    pub earned: Option<(String, i64, i32)>,
    /// The link that opened the app last, as the app says.
    pub link: Option<LinkId>,
    /// Its click.
    pub click: Option<ClickId>,
    /// When, in microseconds since 1970.
    pub open_micros: Option<i64>,
}

impl Happened {
    fn time(&self) -> Moment {
        from_micros(self.micros)
    }

    /// Returns what it counts as.
    pub fn measures(&self) -> Measures {
        let mut measures = Measures { events: 1, ..Measures::default() };
        measures += self.revenue();
        measures
    }

    /// Returns what it earned.
    pub fn revenue(&self) -> Measures {
        let mut measures = Measures::default();
        if let Some((currency, units, nanos)) = &self.earned
            && let Some(currency) = Currency::parse(currency)
        {
            measures.earn(currency, i128::from(*units) * 1_000_000_000 + i128::from(*nanos));
        }
        measures
    }
}

impl From<&feed::Event> for Happened {
    fn from(event: &feed::Event) -> Self {
        let earned = event.reporting.as_ref().filter(|_| !event.duplicate_revenue);
        Self {
            id: event.id,
            install: event.install,
            app: event.app,
            name: event.name.clone(),
            micros: event.time.timestamp_micros(),
            earned: earned.map(|money| (money.currency.clone(), money.units, money.nanos)),
            link: event.link,
            click: event.click,
            open_micros: event.link_open_time.map(|time| time.timestamp_micros()),
        }
    }
}

/// The link that something counts under, and where that link is at home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The link.
    pub link: LinkId,
    /// Its host.
    pub domain: String,
    /// Its project.
    pub project: String,
    /// The campaign.
    pub campaign: String,
}

impl Origin {
    fn credited(&self) -> Credited<'_> {
        let home = Home { domain: &self.domain, project: &self.project };
        Credited { link: self.link, campaign: &self.campaign, home }
    }
}

/// What an event counts as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The event.
    pub event: Happened,
    /// The link it counts under.
    pub origin: Option<Origin>,
    /// Whether it counts at all: not on a developers' device.
    pub counts: bool,
}

/// Whether something is counted, or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Counted.
    Plus,
    /// Taken back.
    Minus,
}

impl Counted {
    /// Counts measures of it.
    pub fn fold(&self, fold: &mut Fold, workspace: WorkspaceId, measures: Measures, sign: Sign) {
        if !self.counts {
            return;
        }
        let Happened { app, name, .. } = &self.event;
        let credited = self.origin.as_ref().map(Origin::credited);
        let values = dims::of_event(&EventFacts { app: *app, name, credited });
        let measures = if sign == Sign::Plus { measures } else { -measures };
        let (time, values) = (self.event.time(), &values);
        fold.add(&Item { workspace, time, values, measures: &measures, visitor: None });
    }
}

/// What is known of an install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whether it is decided what it is credited to.
    pub decided: bool,
    /// Whether it is on a developers' device.
    pub test: bool,
    /// What it is credited to.
    pub touch: Option<(LinkId, Option<ClickId>, Option<Moment>)>,
}

/// Returns what is known of installs now.
pub async fn installs(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &HashSet<InstallId>,
) -> Result<HashMap<InstallId, Known>, DbErr> {
    use install::Column;
    let ids: Vec<InstallId> = ids.iter().copied().collect();
    let mut known = HashMap::new();
    for some in ids.chunks(IDS_A_STATEMENT) {
        let found: Vec<(InstallId, i16, bool, Option<LinkId>, Option<ClickId>, Option<Moment>)> =
            install::Entity::find()
                .select_only()
                .columns([
                    Column::Id,
                    Column::State,
                    Column::Test,
                    Column::LinkId,
                    Column::ClickId,
                    Column::ClickTime,
                ])
                .filter(Column::WorkspaceId.eq(workspace))
                .filter(Column::Id.is_in(some.iter().copied()))
                .into_tuple()
                .all(db)
                .await?;
        known.extend(found.into_iter().map(|(id, state, test, link, click, time)| {
            let touch = link.map(|link| (link, click, time));
            (id, Known { decided: state != AttributionState::Pending as i16, test, touch })
        }));
    }
    Ok(known)
}

/// What an event counts as, for now or for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What.
    pub counted: Counted,
    /// The click it is credited to.
    pub click: Option<ClickId>,
    /// Whether its install is known and decided.
    pub is_final: bool,
    /// Whether that click is not stored yet, and what it says not known.
    pub is_awaited: bool,
}

/// Says what each event counts as, in their order.
pub async fn decide(
    db: &impl ConnectionTrait,
    homes: &Homes,
    workspace: WorkspaceId,
    events: Vec<Happened>,
    installs: &HashMap<InstallId, Known>,
) -> Result<Vec<Decided>, DbErr> {
    let links: HashSet<LinkId> = events
        .iter()
        .flat_map(|event| {
            let known = installs.get(&event.install).and_then(|known| known.touch);
            [event.link, known.map(|(link, ..)| link)]
        })
        .flatten()
        .collect();
    let windows = events::windows(db, workspace, &links).await?;
    let touches: Vec<Option<Touched>> = events
        .iter()
        .map(|event| {
            let stamp = event.link.map(|link| Touch { link, time: event.open_micros.map(from_micros) });
            let touched = installs.get(&event.install).and_then(|known| known.touch);
            let install = touched.map(|(link, _, time)| Touch { link, time });
            match credit(event.time(), stamp, install, &windows) {
                Credit::LastLink(link) => Some((link, event.click)),
                Credit::InstallLink(link) => Some((link, touched.and_then(|(_, click, _)| click))),
                Credit::WindowPassed | Credit::Organic => None,
            }
        })
        .collect();
    let origins = origins(db, homes, workspace, touches.iter().flatten().copied().collect()).await?;
    let decided = |(event, touch): (Happened, Option<Touched>)| {
        let known = installs.get(&event.install);
        let counts = known.is_none_or(|known| !known.test);
        let is_final = known.is_some_and(|known| known.decided);
        let found = touch.and_then(|touch| origins.get(&touch));
        let origin = found.map(|found| found.origin.clone());
        Decided {
            counted: Counted { event, origin, counts },
            click: touch.and_then(|(_, click)| click),
            is_final,
            is_awaited: counts && found.is_some_and(|found| found.is_awaited),
        }
    };
    Ok(events.into_iter().zip(touches).map(decided).collect())
}

/// Counts an install as it is credited.
pub fn fold_install(
    fold: &mut Fold,
    workspace: WorkspaceId,
    install: &Installed,
    origin: Option<&Origin>,
    sign: Sign,
) {
    if install.test {
        return;
    }
    let credited = origin.map(Origin::credited);
    let facts =
        InstallFacts { app: install.app, platform: install.platform, method: install.method, credited };
    let values = dims::of_install(&facts);
    let attributed = i64::from(origin.is_some());
    let measures = Measures { installs: 1, attributed_installs: attributed, ..Measures::default() };
    let measures = if sign == Sign::Plus { measures } else { -measures };
    let (time, values) = (from_micros(install.micros), &values);
    fold.add(&Item { workspace, time, values, measures: &measures, visitor: None });
}

/// An install, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Which.
    pub id: InstallId,
    /// Which app, where somebody said.
    pub app: Option<AppId>,
    /// When it was, in microseconds since 1970.
    pub micros: i64,
    /// 1 iOS, 2 Android, 0 unknown.
    pub platform: i16,
    /// Whether it is on a developers' device.
    pub test: bool,
    /// `linkforty.sdk.v1.MatchMethod`.
    pub method: i16,
}

#[derive(Debug, FromQueryResult)]
struct ClickRow {
    id: ClickId,
    link_id: LinkId,
    campaign: Option<String>,
    home: Option<String>,
}

/// A link, and the click of it that something is credited to.
pub type Touched = (LinkId, Option<ClickId>);

/// Where a link was at home, and what the campaign was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// That.
    pub origin: Origin,
    /// Whether it is as the link says now because its click is not stored, or not yet.
    pub is_awaited: bool,
}

/// Returns where links were at home and what the campaign was, by link and click: as the click says; where there is no such click, or it
/// does not know, as the link says now.
pub async fn origins(
    db: &impl ConnectionTrait,
    homes: &Homes,
    workspace: WorkspaceId,
    touches: HashSet<Touched>,
) -> Result<HashMap<Touched, Found>, DbErr> {
    let clicks: Vec<ClickId> = touches.iter().filter_map(|(_, click)| *click).collect();
    let mut said: HashMap<(LinkId, ClickId), (Option<String>, Option<String>)> = HashMap::new();
    for some in clicks.chunks(CLICKS_A_STATEMENT) {
        // Named one by one: so Postgres opens only the days that they are of.
        let places: Vec<String> = (0..some.len()).map(|at| format!("${}", at + 2)).collect();
        let sql = format!(
            "SELECT clicks.id AS id, clicks.link_id AS link_id, campaigns.value AS campaign, homes.value AS home
             FROM clicks
             LEFT JOIN dictionary AS campaigns ON campaigns.id = clicks.campaign_id
             LEFT JOIN dictionary AS homes ON homes.id = clicks.home_id
             WHERE clicks.workspace_id = $1 AND clicks.id IN ({})",
            places.join(", ")
        );
        let values = [Value::from(workspace)].into_iter().chain(some.iter().map(|id| Value::from(*id)));
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        for row in ClickRow::find_by_statement(statement).all(db).await? {
            said.insert((row.link_id, row.id), (row.campaign, row.home));
        }
    }
    let of_click = |(link, click): &(LinkId, Option<ClickId>)| said.get(&(*link, (*click)?));
    let silent: Vec<LinkId> = touches
        .iter()
        .filter(|touch| of_click(touch).is_none_or(|(_, home)| home.is_none()))
        .map(|(link, _)| *link)
        .collect();
    let links: Vec<(WorkspaceId, LinkId)> = silent.iter().map(|link| (workspace, *link)).collect();
    let now: HashMap<LinkId, (String, String)> = homes
        .of(db, links.iter().copied())
        .await?
        .iter()
        .zip(&silent)
        .map(|(home, link)| (*link, (home.domain.clone(), home.project.clone())))
        .collect();
    let unclicked: HashSet<LinkId> =
        touches.iter().filter(|touch| of_click(touch).is_none()).map(|(link, _)| *link).collect();
    let campaigns: HashMap<LinkId, String> = links::credited(db, workspace, &unclicked)
        .await?
        .into_iter()
        .map(|(link, said)| (link, query::campaign_of("", &said.utm)))
        .collect();
    Ok(touches
        .iter()
        .map(|touch| {
            let (link, click) = touch;
            let is_awaited = click.is_some() && of_click(touch).is_none();
            let (campaign, home) = match of_click(touch) {
                Some((campaign, home)) => (campaign.clone().unwrap_or_default(), home.clone()),
                None => (campaigns.get(link).cloned().unwrap_or_default(), None),
            };
            let (domain, project) = match &home {
                Some(home) => {
                    let Home { domain, project } = Home::parse(home);
                    (domain.to_owned(), project.to_owned())
                }
                None => now.get(link).cloned().unwrap_or_default(),
            };
            (*touch, Found { origin: Origin { link: *link, domain, project, campaign }, is_awaited })
        })
        .collect())
}
