//! Installs that another product decided: kept as it decided them, under the ids that their apps know, and told to nobody.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use prost::Message as _;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryTrait as _, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{report::Scope, settle, store};
use crate::{
    attribution::{
        decide::Factor,
        deep_link::{Tap, deep_link},
    },
    clock::Moment,
    entity::{
        install::{Column, Entity, Model},
        install_key,
    },
    env::Env,
    ids::{AppId, ClickId, InstallId, LinkId, WorkspaceId},
    links,
    pb::{
        internal::v1::InstallRecord,
        sdk::v1::{AttributionState, MatchMethod, Platform},
        v1,
    },
};

/// SQLite takes 32,766 values in a statement; twenty-two to an install.
const ROWS_A_STATEMENT: usize = 1000;

/// An install as it was recorded and decided elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded<'a> {
    /// The link it was credited to.
    pub link: Option<LinkId>,
    /// Its click. `None`, although there was one: it is another install's.
    pub click: Option<ClickId>,
    /// When that was.
    pub click_time: Option<Moment>,
    /// How alike they were, 0 to 100.
    pub score: i16,
    /// What they had in common, in LinkForty's words.
    pub factors: Vec<String>,
    /// When the app was first opened.
    pub install_time: Moment,
    /// When the other product heard of it.
    pub receive_time: Moment,
    /// Where it called from.
    pub address: Option<IpAddr>,
    /// The platform, as the app said it.
    pub platform: Platform,
    /// The version of its system.
    pub os_version: &'a str,
    /// The time zone.
    pub time_zone: &'a str,
    /// The language.
    pub language: &'a str,
    /// The screen.
    pub screen: (u32, u32),
    /// What the device is called; may be empty.
    pub device_id: &'a str,
    /// The SDK.
    pub sdk: (&'a str, &'a str),
    /// The user agent.
    pub user_agent: &'a str,
    /// How long after a click the app wanted the install to count, in seconds.
    pub window_seconds: i64,
}

/// An install as it is kept, and what it is known by.
#[derive(Debug, Clone, PartialEq)]
pub struct PastInstall {
    row: Model,
    key: Option<Vec<u8>>,
}

/// Makes an install of what was recorded. There are no facts to decide it from again.
pub fn read(
    env: &Env,
    (workspace, app): (WorkspaceId, Option<AppId>),
    id: InstallId,
    from: &Recorded<'_>,
) -> PastInstall {
    let scope = Scope {
        workspace,
        app,
        attribution: v1::AppAttribution::default(),
        probabilistic: true,
        quotas: None,
        app_store_id: String::new(),
        package_name: String::new(),
    };
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let report = InstallRecord {
        install_id: id.0.as_bytes().to_vec().into(),
        install_time_micros: from.install_time.timestamp_micros(),
        os_version: cut(from.os_version, 32),
        time_zone: cut(from.time_zone, 64),
        language: cut(from.language, 35),
        screen_width: from.screen.0,
        screen_height: from.screen.1,
        sdk_name: cut(from.sdk.0, 50),
        sdk_version: cut(from.sdk.1, 50),
        user_agent: cut(from.user_agent, 512),
        window_seconds: from.window_seconds,
        ..scope.begin(env, from.address, from.platform, from.receive_time)
    };
    let mut row = settle::pending((id, workspace, app), &report, None);
    row.state = AttributionState::Organic as i16;
    if from.link.is_some() {
        row.state = AttributionState::Attributed as i16;
        row.method = MatchMethod::Probabilistic as i16;
        row.score = from.score.clamp(0, 100);
        let named: BTreeSet<i16> = from.factors.iter().filter_map(|name| factor(name)).collect();
        row.factors = named.into_iter().sum();
        row.link_id = from.link;
        row.click_id = from.click;
        row.click_time = from.click_time;
    }
    let key = (!from.device_id.is_empty()).then(|| scope.key(env, "device", from.device_id));
    PastInstall { row, key }
}

/// Returns the bit of a factor that LinkForty names.
fn factor(name: &str) -> Option<i16> {
    // Versions of LinkForty that know the system compare no user agents then.
    let factor = match name {
        "ip" => Factor::Network,
        "user_agent" => Factor::Browser,
        "platform" => Factor::System,
        "platform_version" => Factor::Version,
        "timezone" => Factor::TimeZone,
        "language" => Factor::Language,
        "screen" => Factor::Screen,
        _ => return None,
    };
    Some(1 << factor as i16)
}

impl PastInstall {
    /// Returns its id.
    pub const fn id(&self) -> InstallId {
        self.row.id
    }

    /// Returns what it says, part by part, but for what its link says.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        parts(&self.row)
    }
}

/// Stores installs, and what their devices are called. Returns those that were not there.
pub async fn insert(
    tx: &DatabaseTransaction,
    workspace: WorkspaceId,
    installs: &[PastInstall],
) -> Result<HashSet<InstallId>, DbErr> {
    let links: HashSet<LinkId> = installs.iter().filter_map(|install| install.row.link_id).collect();
    let credited = links::credited(tx, workspace, &links).await?;
    let mut inserted = HashSet::with_capacity(installs.len());
    for some in installs.chunks(ROWS_A_STATEMENT) {
        let clicks: Vec<ClickId> = some.iter().filter_map(|install| install.row.click_id).collect();
        let claimed = store::claimed(tx, &clicks).await?;
        let rows = some.iter().map(|PastInstall { row, .. }| {
            let mut row = row.clone();
            // An install that came here meanwhile has it.
            row.click_id = row.click_id.filter(|click| !claimed.contains(click));
            row.deep_link = told(&row, &credited);
            row.into_active_model()
        });
        let anything = OnConflict::new().do_nothing().to_owned();
        let mut insert = Entity::insert_many(rows).on_conflict(anything);
        insert.query().returning_col(Column::Id);
        for row in tx.query_all(insert.query()).await? {
            inserted.insert(row.try_get_by_index::<InstallId>(0)?);
        }
    }
    let keys: HashMap<Vec<u8>, install_key::Model> = installs
        .iter()
        .filter(|install| inserted.contains(&install.row.id))
        .filter_map(|PastInstall { row, key }| {
            let key = key.clone()?;
            let (install_id, seen_time) = (row.id, row.install_time);
            Some((key.clone(), install_key::Model { workspace_id: workspace, key, install_id, seen_time }))
        })
        .collect();
    let keys: Vec<install_key::Model> = keys.into_values().collect();
    for some in keys.chunks(ROWS_A_STATEMENT) {
        use install_key::Column as Key;
        let rows = some.iter().cloned().map(install_key::Model::into_active_model);
        // The install that came later is the one that the device believes it is.
        let again = OnConflict::columns([Key::WorkspaceId, Key::Key])
            .update_columns([Key::InstallId, Key::SeenTime])
            .to_owned();
        install_key::Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx).await?;
    }
    Ok(inserted)
}

/// Returns what an app is told of the link that brought its user, should it ask again.
fn told(row: &Model, credited: &HashMap<LinkId, links::Credited>) -> Vec<u8> {
    let Some((link, time)) = row.link_id.zip(row.click_time) else { return Vec::new() };
    let tap = Tap { click: row.click_id, time, query: "", deferred: true };
    credited.get(&link).map(|credited| deep_link(link, credited, tap).encode_to_vec()).unwrap_or_default()
}

/// Returns what those of the installs say that are there, as [`PastInstall::parts`] does.
pub async fn stored(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[InstallId],
) -> Result<Vec<(InstallId, Vec<Vec<u8>>)>, DbErr> {
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(ROWS_A_STATEMENT) {
        let rows = Entity::find()
            .filter(Column::WorkspaceId.eq(workspace))
            .filter(Column::Id.is_in(some.iter().copied()))
            .all(db)
            .await?;
        found.extend(rows.iter().map(|row| (row.id, parts(row))));
    }
    Ok(found)
}

fn parts(row: &Model) -> Vec<Vec<u8>> {
    let id = |id: Option<Uuid>| id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let micros = |time: Moment| time.timestamp_micros().to_be_bytes().to_vec();
    vec![
        row.id.0.as_bytes().to_vec(),
        id(row.app_id.map(|app| app.0)),
        row.state.to_be_bytes().to_vec(),
        row.method.to_be_bytes().to_vec(),
        row.score.to_be_bytes().to_vec(),
        row.factors.to_be_bytes().to_vec(),
        id(row.link_id.map(|link| link.0)),
        id(row.click_id.map(|click| click.0)),
        row.click_time.map(micros).unwrap_or_default(),
        row.platform.to_be_bytes().to_vec(),
        micros(row.install_time),
        micros(row.receive_time),
        row.report.clone(),
    ]
}
