//! Postbacks: what Apple says of installs that ads brought, without saying whose. SKAdNetwork 2.1 to 4 and AdAttributionKit.
//!
//! | file | what |
//! |---|---|
//! | `keys.rs` | Apple's keys |
//! | `skan.rs` `aak.rs` | what is signed of each kind, and whether it is; pure |
//! | `postback.rs` | what both kinds say, and by what one is known again; pure |
//! | `schema.rs` | what an app means by the values; pure |
//! | `report.rs` | from counts to the rows of a report; pure |
//! | `http.rs` | where devices send them |
//! | `incoming.rs` | one on its way in: whose it is, what becomes of it, and what is kept |
//! | `store.rs` | queries |
//! | `grpc.rs` `wire.rs` | `linkforty.v1.PostbackService` |
//!
//! Guarantees: a postback that was answered with 200 is stored, or on the disk of the node that answered, byte for byte as it came; the same one is one row,
//! however often and on however many nodes it comes; nobody can send something first that keeps the real one out. What Apple did not sign is
//! never counted as if it had, and what anybody may send takes bounded room. A report reads a value as it was meant when the app set it.

mod aak;
mod grpc;
mod http;
mod incoming;
mod keys;
mod postback;
mod report;
mod schema;
mod skan;
mod store;
mod wire;

use chrono::Duration;
use prost::Message as _;

pub use self::{
    grpc::PostbackApi,
    http::{is_postback, router},
    incoming::{carry, receive},
};
use self::{
    keys::Keys,
    postback::Judged,
    report::Report,
    schema::{FIELDS, Schemas},
    store::{Grouping, PostbackQuery, Scope},
};
use crate::{
    apps,
    clock::Moment,
    entity::{conversion_schema, postback::Model},
    env::Env,
    error::{Error, Result},
    etag,
    idempotency::{self, Claim, Request},
    ids::{AppId, PostbackId},
    page::{Page, PageRequest},
    pb::v1::{ConversionSchema, Postback, PostbackKind},
    trail::{self, Action, Changes},
    workspaces::Tenant,
};

/// How long postbacks are kept: a year and what a report of it needs.
pub const LIFE: Duration = Duration::days(400);
/// How many schemas of an app are kept.
const SCHEMAS: i64 = 50;
/// How often a schema is tried to be stored while others store theirs.
const ATTEMPTS: usize = 5;
/// How many rows a report has.
const ROWS: usize = 1000;
/// How many steps a sweep has; the next one goes on.
const STEPS: usize = 100;

/// What somebody wants an app's values to mean.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaChange {
    /// The app.
    pub app: AppId,
    /// What it was when it was read.
    pub etag: String,
    /// Which of [`FIELDS`] change.
    pub fields: Vec<&'static str>,
    /// What they become.
    pub content: ConversionSchema,
    /// From when on; none: from now on.
    pub start: Option<Moment>,
}

/// Returns one page of postbacks. Fails for an app that is not the workspace's.
pub async fn list(
    env: &Env,
    tenant: &Tenant,
    query: &PostbackQuery,
    page: &PageRequest,
) -> Result<Page<Postback>> {
    if let Some(app) = query.app {
        apps::expect(env, tenant, app).await?;
    }
    let db = &env.db.api;
    let page = store::list(db, tenant.id, query, page).await?;
    let mut apps: Vec<AppId> = page.items.iter().map(|row| row.app_id).collect();
    apps.sort_unstable();
    apps.dedup();
    let mut rows = store::schemas(db, tenant.id, apps.iter().copied()).await?;
    let schemas: Vec<Schemas> = apps
        .iter()
        .map(|app| {
            let (of_app, others) = std::mem::take(&mut rows).into_iter().partition(|row| row.app_id == *app);
            rows = others;
            Schemas::of(of_app)
        })
        .collect();
    Ok(page.map(|row| {
        let place = apps.binary_search(&row.app_id).unwrap_or_default();
        wire::postback(&row, &schemas[place])
    }))
}

/// Returns a postback as it is stored, what its values mean, and what is signed of it.
pub async fn get(env: &Env, tenant: &Tenant, id: PostbackId) -> Result<(Model, Schemas, Judged)> {
    let db = &env.db.api;
    let row = store::find(db, tenant.id, id).await?.ok_or_else(|| Error::not_found("postback"))?;
    let schemas = Schemas::of(store::schemas(db, tenant.id, [row.app_id]).await?);
    let judged = incoming::judge_again(&Keys::of(&env.config), &row);
    Ok((row, schemas, judged))
}

/// Returns what the values of an app mean at a moment.
pub async fn schema(env: &Env, tenant: &Tenant, app: AppId, at: Option<Moment>) -> Result<ConversionSchema> {
    apps::expect(env, tenant, app).await?;
    let rows = store::schemas(&env.db.api, tenant.id, [app]).await?;
    let version = rows.iter().map(|row| row.version).max().unwrap_or(0);
    let schemas = Schemas::of(rows);
    let holds = schemas.at(at.unwrap_or_else(|| env.now())).map(|(_, schema)| schema.clone());
    let empty = ConversionSchema {
        workspace_id: tenant.id.to_string(),
        app_id: app.to_string(),
        ..ConversionSchema::default()
    };
    Ok(ConversionSchema { etag: etag::of_version(app.0, version), ..holds.unwrap_or(empty) })
}

/// Says what the values of an app mean from a moment on.
pub async fn update_schema(
    env: &Env,
    tenant: &Tenant,
    change: SchemaChange,
    request: Option<&Request>,
) -> Result<ConversionSchema> {
    apps::expect(env, tenant, change.app).await?;
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        let newest = store::newest_schema(&tx, tenant.id, change.app).await?;
        return newest.map(|row| with_etag(&row)).ok_or_else(|| Error::not_found("schema"));
    }
    for _ in 0..ATTEMPTS {
        let newest = store::newest_schema(&tx, tenant.id, change.app).await?;
        let version = newest.as_ref().map_or(0, |row| row.version);
        etag::require("conversion schema", &change.etag, &etag::of_version(change.app.0, version))?;
        let before = newest.as_ref().map(schema::shown).unwrap_or_default();
        let row = changed(tenant, &change, (&before, version), now);
        if !store::insert_schema(&tx, &row, SCHEMAS).await? {
            continue;
        }
        let after = schema::shown(&row);
        let changes = Changes::between(&before, &after);
        let did = tenant.did(Action::ConversionSchemaUpdated, change.app.0, changes);
        trail::note(&tx, &env.ids, [did], now).await?;
        idempotency::made(&tx, request, change.app.to_string()).await?;
        tx.commit().await?;
        return Ok(with_etag(&row));
    }
    Err(Error::store_unavailable("the schema of an app was changed again and again"))
}

fn changed(
    tenant: &Tenant,
    change: &SchemaChange,
    (before, version): (&ConversionSchema, i64),
    now: Moment,
) -> conversion_schema::Model {
    let meant = |field: usize| change.fields.contains(&FIELDS[field]);
    let content = ConversionSchema {
        fine_values: if meant(0) { &change.content } else { before }.fine_values.clone(),
        coarse_values: if meant(1) { &change.content } else { before }.coarse_values.clone(),
        ..ConversionSchema::default()
    };
    conversion_schema::Model {
        app_id: change.app,
        version: version + 1,
        workspace_id: tenant.id,
        start_time: change.start.unwrap_or(now),
        create_time: now,
        content: content.encode_to_vec(),
    }
}

fn with_etag(row: &conversion_schema::Model) -> ConversionSchema {
    ConversionSchema { etag: etag::of_version(row.app_id.0, row.version), ..schema::shown(row) }
}

/// Counts what came in a span of days.
pub async fn report(env: &Env, tenant: &Tenant, scope: Scope, grouping: Grouping) -> Result<Report> {
    apps::expect(env, tenant, scope.app).await?;
    let db = &env.db.for_reports().await;
    let mut keys = store::keys(db, scope, grouping, ROWS as u64 + 1).await?;
    let truncated = keys.len() > ROWS;
    keys.truncate(ROWS);
    let schemas = Schemas::of(store::schemas(db, tenant.id, [scope.app]).await?);
    let mut report = Report::new(grouping, keys.clone(), truncated);
    for span in schemas.spans() {
        // What came in these days was set at the most 28 days before.
        let is_over = span.end.is_some_and(|end| end <= postback::value_time(Some(2), scope.start));
        if is_over || span.start.is_some_and(|start| start >= scope.end) {
            continue;
        }
        let of = (span.start, span.end);
        for alike in store::counts(db, scope, of, None).await? {
            report.add_to_total(&alike, span.schema);
        }
        if grouping == Grouping::None {
            continue;
        }
        for alike in store::counts(db, scope, of, Some((grouping, &keys))).await? {
            report.add_to_row(&alike, span.schema);
        }
    }
    let days = (incoming::day_of(scope.start), incoming::day_of(scope.end));
    for (outcome, count) in store::refusals(db, tenant.id, scope.app, days).await? {
        report.add_refusals(outcome, count);
    }
    Ok(report)
}

/// Forgets postbacks that are older than they are kept. Returns how many rows that were.
pub async fn sweep(env: &Env) -> Result<u64> {
    let before = env.now() - LIFE;
    let mut gone = 0;
    for _ in 0..STEPS {
        let (rows, more) = store::sweep(env.db.writer(&env.db.api), before, incoming::day_of(before)).await?;
        gone += rows;
        if !more {
            break;
        }
    }
    Ok(gone)
}

/// Returns the name of a kind, for metrics and logs.
fn kind_name(kind: PostbackKind) -> &'static str {
    match kind {
        PostbackKind::Skadnetwork => "skadnetwork",
        PostbackKind::AdAttributionKit => "ad_attribution_kit",
        PostbackKind::Unspecified => "unknown",
    }
}
