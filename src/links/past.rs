//! Links of a LinkForty database: kept under their ids and with their dates, by the rules of every other link. `around.rs` has the templates and
//! projects that they name.
//!
//! A field that the rules refuse is left out and told, unless the link would lead elsewhere without it: then the link is refused. So a code goes on
//! working although somebody once wrote nonsense beside it.

mod around;

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::around::{
    PastProject, PastTemplate, TemplateRow, insert_past_projects, insert_past_templates, read_past_project,
    read_past_template, stored_projects, stored_templates,
};
use super::{
    Code, CodeStyle, Draft, NewLink, NoDomain, Place, changes::Changes, fields::NONE, import::past as files,
    insert as insert_links, related::Related, store, wire::door,
};
use crate::{
    clock::Moment,
    domains::{self, Homes},
    entity::link::Model as Link,
    env::Env,
    error::{Error, Result},
    ids::{LinkId, ProjectId, TemplateId},
    links::timestamp,
    pb::v1,
    workspaces::Tenant,
};

/// How often what is wrong is left out before a link is given up: each time says everything, so twice is a surprise.
const ATTEMPTS: usize = 3;

/// Where links are to live, and what their rules depend on.
#[derive(Debug)]
pub struct Ground {
    place: Place,
    homes: Homes,
    hosts: Vec<String>,
}

/// Looks up where links are to live; an empty host is the server's own.
pub async fn ground(env: &Env, tenant: &Tenant, host: &str) -> Result<Ground> {
    let hosts = domains::answering(&env.db.api, tenant).await?;
    if host.is_empty() {
        return Ok(Ground { place: Place::Own, homes: Homes::default(), hosts });
    }
    let homes = domains::homes(&env.db.api, tenant, [host]).await?;
    if homes.named(host).is_none() {
        return Err(NoDomain.at("domain"));
    }
    Ok(Ground { place: Place::Host(host.to_owned()), homes, hosts })
}

/// A link as LinkForty has it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRow {
    /// Its id.
    pub id: LinkId,
    /// Its columns.
    pub columns: Map<String, Value>,
    /// When it was made.
    pub made: Moment,
    /// When it was last changed.
    pub changed: Moment,
    /// The project it is in.
    pub project: Option<ProjectId>,
    /// Its template.
    pub template: Option<TemplateId>,
    /// Since when its owner is suspended.
    pub suspended: Option<Moment>,
}

/// A link as it is kept.
#[derive(Debug, Clone)]
pub struct PastLink(Draft);

/// What reading came to: the row and what was left out of it, or why there is none.
pub type Read<T> = Result<(T, Vec<String>), String>;

/// Reads links. Projects and templates must be there already.
pub async fn read_links(
    env: &Env,
    tenant: &Tenant,
    ground: &Ground,
    rows: Vec<LinkRow>,
) -> Result<Vec<Read<PastLink>>> {
    let projects = rows.iter().filter_map(|row| row.project).collect();
    let templates = rows.iter().filter_map(|row| row.template).collect();
    let related = Related::of_named(&env.db.api, tenant.id, projects, templates).await?;
    Ok(rows.into_iter().map(|row| read_link(env, tenant, ground, &related, row)).collect())
}

fn read_link(env: &Env, tenant: &Tenant, ground: &Ground, related: &Related, row: LinkRow) -> Read<PastLink> {
    let LinkRow { id, columns, made, changed, project, template, suspended } = row;
    let text = |name: &str| columns.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (launchpad, source) = (text("launchpad_mode"), text("source"));
    let hours = columns.get("event_attribution_window_hours").and_then(Value::as_i64);
    let mut link = files::read(columns).map_err(|error| told(&error))?;
    link.project_id = project.map(|id| id.to_string()).unwrap_or_default();
    link.template_id = template.map_or_else(|| NONE.to_owned(), |id| id.to_string());
    link.source = source;
    link.launchpad_mode = match &*launchpad {
        "on" => v1::LaunchpadMode::On,
        "off" => v1::LaunchpadMode::Off,
        _ => v1::LaunchpadMode::Unspecified,
    }
    .into();
    link.event_attribution_window = hours
        .and_then(|hours| hours.checked_mul(3600))
        .map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    if let Some(since) = suspended.filter(|_| link.disable_time.is_none()) {
        link.disable_time = Some(timestamp(since));
        link.disable_reason = "its owner was suspended in LinkForty".to_owned();
    }
    let mut left_out = Vec::new();
    let door = door(env, &ground.hosts, "", None);
    for _ in 0..ATTEMPTS {
        let new = door.new_link(Some(link.clone())).and_then(|mut new: NewLink| {
            related.settle("", &mut new.content)?;
            new.place = ground.place.clone();
            Ok(new)
        });
        let error = match new {
            Ok(new) if new.short_code.is_none() => return Err("short_code: is required".to_owned()),
            Ok(new) => {
                let draft = Draft::of(env, tenant, &ground.homes, new, CodeStyle::Short, made);
                let mut draft = draft.map_err(|none| told(&none.at("domain")))?;
                draft.link.id = id;
                draft.link.create_time = made;
                draft.link.update_time = changed.max(made);
                return Ok((PastLink(draft), left_out));
            }
            Err(error) => error,
        };
        if error.violations().is_empty() {
            return Err(told(&error));
        }
        for wrong in error.violations() {
            let field = wrong.field.split(['.', '[']).next().unwrap_or_default();
            if !leave_out(&mut link, field) {
                return Err(told(&error));
            }
            left_out.push(format!("{}: {}", wrong.field, wrong.description));
        }
    }
    Err(left_out.join("; "))
}

/// Leaves a field out without which the link leads to the same places; `false`: it does not, or there is no such field.
fn leave_out(link: &mut v1::Link, field: &str) -> bool {
    match field {
        "title" => link.title.clear(),
        "description" => link.description.clear(),
        "og" => link.og = None,
        "utm" => link.utm = None,
        "ios_url" => link.ios_url.clear(),
        "android_url" => link.android_url.clear(),
        "web_url" => link.web_url.clear(),
        "app_scheme" => link.app_scheme.clear(),
        "ios_universal_link" => link.ios_universal_link.clear(),
        "android_app_link" => link.android_app_link.clear(),
        "deep_link_path" => link.deep_link_path.clear(),
        "deep_link_parameters" => link.deep_link_parameters.clear(),
        "attribution_window" => link.attribution_window = None,
        "event_attribution_window" => link.event_attribution_window = None,
        "external_user_id" => link.external_user_id.clear(),
        "disable_reason" => link.disable_reason.clear(),
        "source" => link.source.clear(),
        "project_id" => link.project_id.clear(),
        "template_id" => NONE.clone_into(&mut link.template_id),
        _ => return false,
    }
    true
}

/// What became of rows that were to be stored: which are new, and why others are not there.
#[derive(Debug, Default)]
pub struct Stored {
    /// Those that are new.
    pub inserted: HashSet<Uuid>,
    /// Those that could not be stored.
    pub refused: HashMap<Uuid, String>,
}

/// Stores links. Whoever has their codes keeps them.
pub async fn insert_past_links(
    env: &Env,
    tx: &DatabaseTransaction,
    tenant: &Tenant,
    links: Vec<PastLink>,
) -> Result<Stored> {
    let ids: HashSet<LinkId> = links.iter().map(|link| link.0.link.id).collect();
    let there = store::find_many(tx, tenant.id, ids).await?;
    let drafts: Vec<Draft> = links
        .into_iter()
        .map(|link| Draft { code: Code::Asked, ..link.0 })
        .filter(|draft| !there.contains_key(&draft.link.id))
        .collect();
    let wanted: Vec<(LinkId, String)> =
        drafts.iter().map(|draft| (draft.link.id, draft.link.short_code.clone())).collect();
    let inserted = insert_links(env, tx, tenant, drafts).await?;
    Changes::of(inserted.stored.values(), env.now()).notify(tx).await?;
    let mut stored = Stored::default();
    for (id, code) in wanted {
        if inserted.stored.contains_key(&id) {
            stored.inserted.insert(id.0);
        } else {
            let why = match inserted.too_many.get(&id) {
                Some(limit) => format!("the workspace has {limit} links and may have no more"),
                None => format!("short_code: {code} is in use here, or the link's id is"),
            };
            stored.refused.insert(id.0, why);
        }
    }
    Ok(stored)
}

impl PastLink {
    /// Returns its id.
    pub const fn id(&self) -> LinkId {
        self.0.link.id
    }

    /// Returns what it says, part by part.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        link_parts(&self.0.link)
    }
}

/// Returns what those of the links say that are there, as [`PastLink::parts`] does.
pub async fn stored_links(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    ids: &[LinkId],
) -> Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
    let found = store::find_many(db, tenant.id, ids.iter().copied()).await?;
    Ok(found.into_iter().map(|(id, counted)| (id.0, link_parts(&counted.link))).collect())
}

fn link_parts(link: &Link) -> Vec<Vec<u8>> {
    let texts = [
        &link.domain,
        &link.short_code,
        &link.destination_url,
        &link.title,
        &link.description,
        &link.ios_url,
        &link.android_url,
        &link.web_url,
        &link.app_scheme,
        &link.ios_universal_link,
        &link.android_app_link,
        &link.deep_link_path,
        &link.disable_reason,
        &link.external_user_id,
        &link.source,
    ];
    let id = |id: Option<Uuid>| id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let moment = |time: Option<Moment>| time.map(micros).unwrap_or_default();
    let mut parts = vec![link.id.0.as_bytes().to_vec()];
    parts.extend(texts.into_iter().map(|text| text.clone().into_bytes()));
    parts.extend([
        sorted(&link.deep_link_parameters),
        sorted(&link.utm),
        vec![u8::from(link.append_click_id), u8::from(link.active)],
        link.targeting.clone().unwrap_or_default(),
        link.og.clone().unwrap_or_default(),
        moment(link.expire_time),
        moment(link.warn_time),
        moment(link.disable_time),
        link.launchpad_mode.to_be_bytes().to_vec(),
        id(link.project_id.map(|project| project.0)),
        id(link.template_id.map(|template| template.0)),
        link.attribution_window.to_be_bytes().to_vec(),
        link.event_attribution_window.to_be_bytes().to_vec(),
        micros(link.create_time),
        micros(link.update_time),
    ]);
    parts
}

/// Writes an object of texts in one order, whatever order a database has it in.
fn sorted(object: &Value) -> Vec<u8> {
    let pairs: BTreeMap<&str, &str> = object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
        .collect();
    serde_json::to_vec(&pairs).unwrap_or_default()
}

fn micros(time: Moment) -> Vec<u8> {
    time.timestamp_micros().to_be_bytes().to_vec()
}

/// Returns everything that is wrong as one text.
fn told(error: &Error) -> String {
    let all: Vec<String> =
        error.violations().iter().map(|wrong| format!("{}: {}", wrong.field, wrong.description)).collect();
    if all.is_empty() { error.message().to_owned() } else { all.join("; ") }
}
