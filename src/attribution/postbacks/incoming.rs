//! A postback on its way in.
//!
//! Order: whose host it came to and which app it names; what it is worth; the row, or that it came again, and the word of it for webhooks, in one transaction.
//! While the database is away or slow it goes into the spool as it came and is judged when it is carried.

use std::sync::Arc;

use fail::fail_point;
use prost::Message as _;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use serde_json::json;
use uuid::Uuid;

use super::{
    aak::{self, Development},
    keys::Keys,
    kind_name,
    postback::{Fields, Judged, dedupe_key, is_signed, object, row_id, value_time},
    schema::Schemas,
    skan, store, wire,
};
use crate::{
    apps::{self, InStore},
    attribution::Sdk,
    cache::Recall,
    clock::Moment,
    domains::Site,
    entity::postback::Model,
    env::Env,
    error::{Error, Result},
    ids::{WorkspaceId, time_of},
    outbox::{self, Fact, Kind},
    pb::{
        self,
        internal::v1::PostbackRecord,
        v1::{PostbackKind, PostbackOutcome},
    },
    spool::{Record, RecordKind},
};

/// How many postbacks of an app that are not verified are kept of a day: enough to see what is wrong, and no room for floods.
const KEPT_A_DAY: i64 = 100;
/// How many workspaces' apps are remembered.
const REMEMBERED: usize = 1000;

/// What became of a postback that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is stored, or counted.
    Stored,
    /// It is on this node's disk.
    Kept,
    /// No app here has the App Store id.
    UnknownApp,
}

/// What became of a postback for one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is stored.
    New(PostbackOutcome),
    /// It is counted and not kept.
    Counted(PostbackOutcome),
    /// It was there.
    Repeated,
    /// The drain had stored it before it died.
    Carried,
}

/// A postback as it came.
struct Incoming<'a> {
    /// Its time part is when it came.
    id: Uuid,
    kind: PostbackKind,
    fields: &'a Fields,
    body: &'a [u8],
}

/// Takes a postback in. When it returns, it is stored or on the disk.
pub async fn receive(sdk: &Sdk, site: &Site, kind: PostbackKind, body: &[u8]) -> Result<Receipt> {
    let env = &sdk.env;
    let workspace = match site {
        Site::Own => None,
        Site::Of(domain) => Some(domain.workspace_id),
        Site::Unknown => return Err(Error::not_found("page: this host is none of this server's")),
        Site::Away => return Err(Error::store_unavailable("nobody knows the domains yet")),
    };
    let fields = object(body).ok_or_else(|| unreadable(kind))?;
    let store_id = store_id(kind, &fields).ok_or_else(|| unreadable(kind))?;
    let incoming = Incoming { id: env.ids.uuid(env.now()), kind, fields: &fields, body };
    let stored = tokio::time::timeout(env.config.install_budget, async {
        let apps = named(env, workspace, store_id).await?;
        if apps.is_empty() {
            return Ok(None);
        }
        Ok::<_, Error>(Some(keep(env, &env.db.api, &incoming, &apps).await?))
    })
    .await;
    let why = match stored {
        Ok(Ok(Some(fates))) => {
            count(kind, &fates);
            return Ok(Receipt::Stored);
        }
        Ok(Ok(None)) => {
            unknown_app(kind, store_id);
            return Ok(Receipt::UnknownApp);
        }
        Ok(Err(error)) => error.inward(),
        Err(_) => "the time is up".to_owned(),
    };
    tracing::debug!(why, "a postback is kept until it can be stored");
    let record = PostbackRecord {
        kind: kind.into(),
        workspace_id: workspace.map(|id| id.0.as_bytes().to_vec()).unwrap_or_default().into(),
        body: body.to_vec().into(),
    };
    let kept = sdk.spool.append_durable(RecordKind::Postback, incoming.id, &record.encode_to_vec()).await;
    kept.map_err(Error::store_unavailable)?;
    fail_point!("postbacks.kept.after");
    metrics::counter!("linkforty_postbacks_kept_total", "kind" => kind_name(kind)).increment(1);
    Ok(Receipt::Kept)
}

/// Stores a postback that was kept in the spool. `false`: nobody can read it.
pub async fn carry(env: &Env, record: &Record) -> Result<bool, DbErr> {
    let Ok(PostbackRecord { kind, workspace_id, body }) = PostbackRecord::decode(&record.payload[..]) else {
        return Ok(false);
    };
    let workspace = match &workspace_id[..] {
        [] => None,
        bytes => match Uuid::from_slice(bytes) {
            Ok(id) => Some(WorkspaceId(id)),
            Err(_) => return Ok(false),
        },
    };
    let (Ok(kind), Some(fields)) = (PostbackKind::try_from(kind), object(&body)) else { return Ok(false) };
    let Some(store_id) = store_id(kind, &fields) else { return Ok(false) };
    let db = &env.db.drain;
    let apps = apps::in_store(db, workspace).await?;
    let apps: Vec<&InStore> = apps.iter().filter(|app| app.store_id == store_id).collect();
    if apps.is_empty() {
        unknown_app(kind, store_id);
        return Ok(true);
    }
    let incoming = Incoming { id: record.id, kind, fields: &fields, body: &body };
    let fates = keep(env, db, &incoming, &apps.into_iter().cloned().collect::<Vec<_>>()).await?;
    count(kind, &fates);
    Ok(true)
}

fn store_id(kind: PostbackKind, fields: &Fields) -> Option<u64> {
    match kind {
        PostbackKind::Skadnetwork => skan::store_id(fields),
        PostbackKind::AdAttributionKit => aak::store_id(fields),
        PostbackKind::Unspecified => None,
    }
}

fn judge(kind: PostbackKind, fields: &Fields, keys: &Keys, development: Development) -> Judged {
    match kind {
        PostbackKind::AdAttributionKit => aak::judge(fields, keys, development),
        PostbackKind::Skadnetwork | PostbackKind::Unspecified => skan::judge(fields, keys),
    }
}

/// Returns what is signed of a stored postback.
pub fn judge_again(keys: &Keys, row: &Model) -> Judged {
    let kind = PostbackKind::try_from(i32::from(row.kind)).unwrap_or_default();
    judge(kind, &object(&row.body).unwrap_or_default(), keys, Development::Allowed)
}

/// Returns the apps that have an App Store id, of those that a host is for. A change of an app is seen ten seconds later at the most; while the
/// database is away what was known goes on being believed.
async fn named(env: &Env, workspace: Option<WorkspaceId>, store_id: u64) -> Result<Vec<InStore>> {
    let remembered = env.memory.of(|| Recall::<Option<WorkspaceId>, Vec<InStore>>::new(REMEMBERED));
    let find = async { apps::in_store(&env.db.lookup, workspace).await.map(Some) };
    let bound = env.config.cache.max_stale_if_error;
    let apps: Option<Arc<Vec<InStore>>> = remembered.ask(&workspace, env.now(), bound, find).await?;
    let apps = apps.iter().flat_map(|apps| apps.iter());
    Ok(apps.filter(|app| app.store_id == store_id).cloned().collect())
}

/// Stores a postback for each of the apps.
async fn keep(
    env: &Env,
    db: &DatabaseConnection,
    incoming: &Incoming<'_>,
    apps: &[InStore],
) -> Result<Vec<Fate>, DbErr> {
    let keys = env.memory.of(|| Keys::of(&env.config));
    let mut apps: Vec<&InStore> = apps.iter().collect();
    // Everybody takes rows in one order, so that nobody waits for somebody who waits for them.
    apps.sort_by_key(|app| app.app);
    let tx = env.db.begin_on(db).await?;
    let mut fates = Vec::with_capacity(apps.len());
    for app in apps {
        let development = if app.development { Development::Allowed } else { Development::Refused };
        let judged = judge(incoming.kind, incoming.fields, &keys, development);
        let row = row(incoming, app, judged);
        fates.push(keep_one(env, &tx, row).await?);
    }
    tx.commit().await?;
    Ok(fates)
}

async fn keep_one(env: &Env, tx: &impl ConnectionTrait, row: Model) -> Result<Fate, DbErr> {
    let outcome = PostbackOutcome::try_from(i32::from(row.outcome)).unwrap_or_default();
    if !store::insert(tx, &row).await? {
        let same = store::same(tx, row.workspace_id, (row.app_id, &row.dedupe_key)).await?;
        return match same {
            Some((id, body)) if id != row.id => {
                store::note_repeat(tx, row.workspace_id, id, body != row.body).await?;
                Ok(Fate::Repeated)
            }
            _ => Ok(Fate::Carried),
        };
    }
    if is_signed(outcome) {
        tell(env, tx, &row).await?;
        return Ok(Fate::New(outcome));
    }
    if store::count_refusal(tx, &row).await? > KEPT_A_DAY {
        store::remove(tx, row.workspace_id, row.id).await?;
        return Ok(Fate::Counted(outcome));
    }
    Ok(Fate::New(outcome))
}

/// Notes for webhooks that a postback came which Apple signed. Of others nobody is told: anybody can send them.
async fn tell(env: &Env, tx: &impl ConnectionTrait, row: &Model) -> Result<(), DbErr> {
    if !outbox::is_wanted(tx, row.workspace_id, &[Kind::PostbackReceived]).await? {
        return Ok(());
    }
    let schemas = Schemas::of(store::schemas(tx, row.workspace_id, [row.app_id]).await?);
    let data = json!({ "postback": pb::to_json("Postback", &wire::postback(row, &schemas)) });
    let fact = Fact { kind: Kind::PostbackReceived, subject: row.id.0, body: data.to_string().into_bytes() };
    outbox::note(tx, &env.ids, row.workspace_id, [fact], time_of(row.id.0)).await
}

fn row(incoming: &Incoming<'_>, app: &InStore, judged: Judged) -> Model {
    let received = time_of(incoming.id);
    let dedupe_key = dedupe_key(incoming.kind, &judged, incoming.body);
    let Judged { outcome, detail, says, .. } = judged;
    Model {
        id: row_id(incoming.id, app.app),
        workspace_id: app.workspace,
        app_id: app.app,
        value_time: value_time(says.index, received),
        day: day_of(received),
        repeats: 0,
        differing_repeats: 0,
        outcome: outcome as i16,
        kind: incoming.kind as i16,
        conversion_type: says.conversion as i16,
        interaction: says.interaction as i16,
        coarse_value: says.coarse.map(|value| value as i16),
        fine_value: says.fine,
        sequence_index: says.index,
        did_win: says.did_win,
        dedupe_key,
        version: says.version,
        ad_network_id: says.ad_network,
        source_identifier: says.source,
        transaction_id: says.transaction,
        publisher: says.publisher,
        country: says.country,
        detail,
        body: incoming.body.to_vec(),
    }
}

/// Returns the day of a moment: days since 1970, UTC.
pub fn day_of(moment: Moment) -> i32 {
    i32::try_from(moment.timestamp().div_euclid(86_400)).unwrap_or_default()
}

fn unreadable(kind: PostbackKind) -> Error {
    metrics::counter!("linkforty_postbacks_total", "kind" => kind_name(kind), "outcome" => "unreadable")
        .increment(1);
    Error::invalid_field("body", "must be a postback that names the App Store id of an app")
}

fn unknown_app(kind: PostbackKind, store_id: u64) {
    tracing::debug!(store_id, "a postback is about an app that nobody has here");
    metrics::counter!("linkforty_postbacks_total", "kind" => kind_name(kind), "outcome" => "unknown_app")
        .increment(1);
}

fn count(kind: PostbackKind, fates: &[Fate]) {
    for fate in fates {
        let outcome = match fate {
            Fate::New(outcome) | Fate::Counted(outcome) => match outcome {
                PostbackOutcome::Verified => "verified",
                PostbackOutcome::Development => "development",
                PostbackOutcome::BadSignature => "bad_signature",
                PostbackOutcome::UnsupportedVersion => "unsupported_version",
                PostbackOutcome::Malformed | PostbackOutcome::Unspecified => "malformed",
                PostbackOutcome::DevelopmentRefused => "development_refused",
            },
            Fate::Repeated => "repeated",
            Fate::Carried => continue,
        };
        metrics::counter!("linkforty_postbacks_total", "kind" => kind_name(kind), "outcome" => outcome)
            .increment(1);
    }
}
