//! Reports that are kept under names, and links by which people without an account see them.
//!
//! | file | what |
//! |---|---|
//! | `query.rs` | what a report asks, and how it is answered |
//! | `relative.rs` | spans that move along, such as the last 30 days; pure |
//! | `share.rs` | links to reports: made, opened, ended |
//! | `veil.rs` | what strangers are not told; pure |
//! | `store.rs` | queries of `reports` and `report_shares` |
//! | `wire.rs` `grpc.rs` | `linkforty.v1.ReportService` |
//!
//! Guarantees: a report holds a question and no answer, so nothing that it shows outlives what it is about. A token is shown once and stored only as a
//! hash; an unknown one, one whose time is over and one that was revoked answer in the same words. Whoever opens a share learns what the report shows,
//! and neither whose it is nor the question.

mod grpc;
mod query;
mod relative;
mod share;
mod store;
mod veil;
mod wire;

use prost::Message as _;

pub use self::grpc::ReportApi;
use crate::{
    entity::saved_report::Model,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::{SavedReportId, parse},
    page::{Cursor, Page, PageRequest},
    pb::v1::{Report, ReportQuery, ReportResult},
    trail::{self, Action, Changes},
    workspaces::{self, Tenant},
};

/// How many reports a workspace has at the most.
const MOST: u64 = 500;
/// How many bytes of questions a page has at the most.
const PAGE_BYTES: usize = 2 << 20;

/// What somebody decides about a report; `None` in a change: it stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportChange {
    /// What people call it.
    pub name: Option<String>,
    /// What it asks.
    pub query: Option<ReportQuery>,
}

/// Keeps a report.
pub async fn create(
    env: &Env,
    tenant: &Tenant,
    new: ReportChange,
    request: Option<&Request>,
) -> Result<Model> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        let id = SavedReportId::parse(&id).ok_or_else(unknown)?;
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    // Behind the row of the workspace, so that the number is exact however many come at once.
    workspaces::lock(&tx, tenant.id).await?;
    if store::count(&tx, tenant.id).await? >= MOST {
        return Err(Error::new(
            Reason::TooManyReports,
            format!("the workspace has {MOST} reports and may have no more"),
        )
        .with("limit", MOST.to_string()));
    }
    let report = Model {
        id: SavedReportId::mint(&env.ids, now),
        workspace_id: tenant.id,
        name: new.name.unwrap_or_default(),
        query: new.query.unwrap_or_default().encode_to_vec(),
        version: 1,
        create_time: now,
        update_time: now,
    };
    store::insert(&tx, &report).await?;
    let changes = Changes::created(&Report::from(report.clone()));
    trail::note(&tx, &env.ids, [tenant.did(Action::ReportCreated, report.id.0, changes)], now).await?;
    idempotency::made(&tx, request, report.id.to_string()).await?;
    tx.commit().await?;
    Ok(report)
}

/// Returns a report.
pub async fn get(env: &Env, tenant: &Tenant, id: SavedReportId) -> Result<Model> {
    store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)
}

/// Lists reports, oldest first.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Model>> {
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let mut rows = store::list(&env.db.api, tenant.id, after, u64::from(page.size) + 1).await?;
    let mut bytes = 0;
    let fits = rows.iter().take_while(|row| {
        bytes += row.query.len();
        bytes <= PAGE_BYTES
    });
    let size = u32::try_from(fits.count().max(1)).unwrap_or(u32::MAX).min(page.size);
    rows.truncate(size as usize + 1);
    Ok(Page::of(rows, size, |report| Cursor { key: String::new(), id: report.id.to_string() }))
}

/// Changes a report. `etag` is the one it must have, unless it is empty.
pub async fn update(
    env: &Env,
    tenant: &Tenant,
    (id, etag): (SavedReportId, &str),
    change: ReportChange,
    request: Option<&Request>,
) -> Result<Model> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        return store::find(&tx, tenant.id, id).await?.ok_or_else(unknown);
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    crate::etag::require("report", etag, &wire::etag(&stored))?;
    let mut changed = stored.clone();
    changed.name = change.name.unwrap_or(changed.name);
    changed.query = change.query.map_or(changed.query, |query| query.encode_to_vec());
    if changed != stored {
        changed.version += 1;
        changed.update_time = now;
        store::save(&tx, &changed).await?;
        let changes = Changes::between(&Report::from(stored), &Report::from(changed.clone()));
        trail::note(&tx, &env.ids, [tenant.did(Action::ReportUpdated, id.0, changes)], now).await?;
    }
    idempotency::made(&tx, request, id.to_string()).await?;
    tx.commit().await?;
    Ok(changed)
}

/// Deletes a report; its shares go with it.
pub async fn delete(env: &Env, tenant: &Tenant, id: SavedReportId, request: Option<&Request>) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        return Ok(());
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    store::remove(&tx, tenant.id, id).await?;
    let changes = Changes::deleted(&Report::from(stored));
    trail::note(&tx, &env.ids, [tenant.did(Action::ReportDeleted, id.0, changes)], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    Ok(tx.commit().await?)
}

/// Answers a report, as of now.
pub async fn run(env: &Env, tenant: &Tenant, id: SavedReportId, page_token: &str) -> Result<ReportResult> {
    let report = get(env, tenant, id).await?;
    query::answer(env, tenant, &query::stored(&report)?, page_token).await
}

fn unknown() -> Error {
    Error::not_found("report")
}
