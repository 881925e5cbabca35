//! Webhooks of a LinkForty database: kept under their ids, told in LinkForty's format and signed with the secret that their receivers have.

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use ring::digest;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    Endpoint,
    endpoint::{MOST, Sealed, Secret, State, seal},
    fields,
    store::endpoints as store,
};
use crate::{
    clock::Moment,
    entity::webhook_endpoint::{Column, Entity},
    env::Env,
    error::{Error, Result},
    ids::WebhookEndpointId,
    outbound::Outbound,
    pb::v1::{self, WebhookEventType, WebhookFormat},
    workspaces::{self, Tenant},
};

/// A webhook as LinkForty has it.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// Its id.
    pub id: WebhookEndpointId,
    /// What people call it.
    pub name: String,
    /// Where.
    pub url: String,
    /// What bodies are signed with, as the receiver has it.
    pub secret: String,
    /// What it is told of, in LinkForty's words.
    pub events: Vec<String>,
    /// Headers of its own.
    pub headers: Vec<(String, String)>,
    /// Whether it is told anything.
    pub active: bool,
    /// When it was made.
    pub made: Moment,
    /// When it was last changed.
    pub changed: Moment,
}

/// A webhook as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEndpoint {
    endpoint: Endpoint,
    sealed: Sealed,
}

/// Reads a webhook. Headers that may not be sent here, and words for what nobody is told of, are left out and told.
pub fn read(
    outbound: &Outbound,
    tenant: &Tenant,
    row: EndpointRow,
) -> Result<(PastEndpoint, Vec<String>), String> {
    let EndpointRow { id, name, url, secret, events, headers, active, made, changed } = row;
    let mut left_out = Vec::new();
    let mut types: Vec<WebhookEventType> = Vec::new();
    for event in &events {
        match &**event {
            // Apps that a link opened count as clicks there.
            "click_event" => types.extend([WebhookEventType::ClickRecorded, WebhookEventType::OpenRecorded]),
            "install_event" => types.push(WebhookEventType::InstallAttributed),
            "conversion_event" | "sdk_event" => types.push(WebhookEventType::EventRecorded),
            other => left_out.push(format!("events: {other} is told to nobody here")),
        }
    }
    types.sort_unstable();
    types.dedup();
    let header = |(name, value): (String, String)| v1::WebhookHeader { name, value };
    let mut asked = v1::WebhookEndpoint {
        name,
        url,
        event_types: types.into_iter().map(Into::into).collect(),
        headers: headers.into_iter().map(header).collect(),
        format: WebhookFormat::Linkforty.into(),
        ..v1::WebhookEndpoint::default()
    };
    let decided = match fields::new(outbound, &asked) {
        Err(error)
            if error.violations().iter().all(|wrong| wrong.field.starts_with("webhook_endpoint.headers"))
                && !error.violations().is_empty() =>
        {
            left_out.push(told(&error));
            asked.headers.clear();
            fields::new(outbound, &asked)
        }
        decided => decided,
    };
    let fields::Decided { name, url, settings, headers, state: _ } = decided.map_err(|error| told(&error))?;
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    let secret = Secret { key, create_time: made, expire_time: None, text: Some(secret) };
    let endpoint = Endpoint {
        id,
        workspace: tenant.id,
        name,
        url,
        settings,
        sealed: Vec::new(),
        state: if active { State::Active } else { State::Paused },
        failing_since: None,
        version: 1,
        create_time: made,
        update_time: changed.max(made),
    };
    Ok((PastEndpoint { endpoint, sealed: Sealed { secrets: vec![secret], headers } }, left_out))
}

impl PastEndpoint {
    /// Returns its id.
    pub const fn id(&self) -> WebhookEndpointId {
        self.endpoint.id
    }

    /// Returns what it says, part by part, its secret included.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        parts(&self.endpoint, &self.sealed)
    }
}

/// Stores webhooks. Returns those that are new, and why others are not there.
pub async fn insert(
    env: &Env,
    tx: &DatabaseTransaction,
    tenant: &Tenant,
    rows: Vec<PastEndpoint>,
) -> Result<(HashSet<Uuid>, HashMap<Uuid, String>)> {
    workspaces::lock(tx, tenant.id).await?;
    let mut count = store::count(tx, tenant.id).await?;
    let (mut inserted, mut refused) = (HashSet::new(), HashMap::new());
    for PastEndpoint { endpoint, sealed } in rows {
        let id = endpoint.id;
        if store::find(tx, tenant.id, id).await?.is_some() {
            continue;
        }
        if count >= MOST {
            refused.insert(id.0, format!("the workspace has {MOST} webhook endpoints and may have no more"));
            continue;
        }
        let endpoint = Endpoint { sealed: sealed.seal(&seal(env), &env.ids, id), ..endpoint };
        let row = endpoint.write().into_active_model().reset_all();
        let anything = OnConflict::new().do_nothing().to_owned();
        if Entity::insert(row).on_conflict(anything).exec_without_returning(tx).await? > 0 {
            inserted.insert(id.0);
            count += 1;
        } else {
            refused.insert(id.0, "id: is in use in another workspace".to_owned());
        }
    }
    Ok((inserted, refused))
}

/// Returns what those of the webhooks say that are there, as [`PastEndpoint::parts`] does.
pub async fn stored(
    env: &Env,
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    ids: &[WebhookEndpointId],
) -> Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
    let rows = Entity::find()
        .filter(Column::WorkspaceId.eq(tenant.id))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .all(db)
        .await?;
    let seal = seal(env);
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let endpoint = Endpoint::read(row)?;
        let sealed = endpoint.open(&seal).unwrap_or_default();
        found.push((endpoint.id.0, parts(&endpoint, &sealed)));
    }
    Ok(found)
}

fn parts(endpoint: &Endpoint, sealed: &Sealed) -> Vec<Vec<u8>> {
    let micros = |time: Moment| time.timestamp_micros().to_be_bytes().to_vec();
    let mut parts = vec![
        endpoint.id.0.as_bytes().to_vec(),
        endpoint.name.clone().into_bytes(),
        endpoint.url.clone().into_bytes(),
        endpoint.settings.encode(),
        endpoint.state.numbers().0.to_be_bytes().to_vec(),
        micros(endpoint.create_time),
        micros(endpoint.update_time),
    ];
    for secret in &sealed.secrets {
        parts.push(secret.key.to_vec());
        parts.push(secret.text.clone().unwrap_or_default().into_bytes());
    }
    for (name, value) in &sealed.headers {
        parts.push(v1::WebhookHeader { name: name.clone(), value: value.clone() }.encode_to_vec());
    }
    parts
}

/// Returns everything that is wrong as one text.
fn told(error: &Error) -> String {
    let all: Vec<String> =
        error.violations().iter().map(|wrong| format!("{}: {}", wrong.field, wrong.description)).collect();
    if all.is_empty() { error.message().to_owned() } else { all.join("; ") }
}
