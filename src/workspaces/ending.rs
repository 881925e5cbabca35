//! How a workspace ends: at once for everybody who had anything to do with it, and bit by bit for what it held.
//!
//! The row of a deleted workspace stays while anything of it may still come in, such as clicks that wait in the spool of a node that is
//! away; whatever is found of it meanwhile is erased too. Then the row goes as well, and nothing is left.

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, Statement};

use super::{Changed, Tenant, Workspace, keys, later, members, store};
use crate::{
    clock::Moment,
    db::Dialect,
    env::Env,
    error::{Error, Result},
    idempotency::{self, Claim, Request},
    ids::WorkspaceId,
    rpc::Permission,
};

/// How long what is left of a deleted workspace is looked for.
const KEPT: Duration = Duration::days(8);
/// How many rows one statement erases, so that none takes long and nobody waits behind it.
const BATCH: u32 = 1000;
/// How many statements one sweep makes for a workspace with much in it: the next one goes on.
const STATEMENTS: usize = 200;
/// How many workspaces one sweep looks at.
const WORKSPACES: u64 = 100;

/// Every table with rows of workspaces, and those first that others refer to last.
pub const TABLES: &[&str] = &[
    "invitations",
    "members",
    "api_key_uses",
    "api_keys",
    "link_import_drafts",
    "link_import_errors",
    "link_imports",
    "link_reports",
    "link_revisions",
    "link_tags",
    "click_leases",
    "click_budgets",
    "click_identities",
    "click_rollups",
    "link_totals",
    "clicks",
    "event_transactions",
    "event_properties",
    "events",
    "install_keys",
    "installs",
    "app_tokens",
    "apps",
    "links",
    "utm_presets",
    "templates",
    "projects",
    "domains",
    "outbox",
    "idempotency_keys",
];

/// Deletes the workspace. `confirmation` must be its name. Nothing brings it back.
pub async fn delete(
    env: &Env,
    tenant: &Tenant,
    confirmation: &str,
    request: Option<&Request>,
) -> Result<()> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        return Ok(());
    }
    let stored = members::lock(&tx, tenant, Permission::WorkspacesDelete).await?;
    if confirmation != stored.name {
        return Err(Error::invalid_field("confirmation", "must be the name of the workspace"));
    }
    // Suspended it is too, which is what its links and its apps know.
    let at = later(stored.redirect_time, now);
    let changed = Workspace {
        name: String::new(),
        settings: None,
        suspend_time: stored.suspend_time.or(Some(now)),
        redirect_time: Some(at),
        update_time: now,
        delete_time: Some(now),
        ..stored
    };
    store::save(&tx, &changed).await?;
    store::remove_members(&tx, tenant.id).await?;
    store::remove_invitations(&tx, tenant.id).await?;
    let dead = keys::remove_all(&tx, tenant.id, now).await?;
    idempotency::made(&tx, request, tenant.id.to_string()).await?;
    let told = Changed::of(tenant.id, at);
    told.notify(&tx).await?;
    told.commit(env, tx).await?;
    keys::forget(env, &dead).await;
    tracing::info!(workspace.id = %tenant.id, principal = %tenant.principal, "a workspace was deleted");
    Ok(())
}

/// Says whether a request deleted a workspace, for whoever asks again and is nobody there any more.
pub async fn is_done(env: &Env, request: Option<&Request>) -> Result<bool> {
    if request.is_none() {
        return Ok(false);
    }
    let tx = env.db.begin().await?;
    let claim = idempotency::claim(&tx, request, env.now()).await?;
    tx.rollback().await?;
    Ok(matches!(claim, Claim::Made(_)))
}

/// Erases some of what deleted workspaces held, and the workspaces of which nothing is left. Returns how many rows that were.
pub async fn erase(env: &Env) -> Result<u64> {
    let mut erased = 0;
    for workspace in store::deleted(&env.db.api, WORKSPACES).await? {
        let rows = erase_one(env, workspace.id).await?;
        erased += rows;
        let long_ago = workspace.delete_time.is_some_and(|deleted| end_of(deleted) <= env.now());
        if rows == 0 && long_ago {
            store::remove(&env.db.api, workspace.id).await?;
            tracing::info!(workspace.id = %workspace.id, "nothing is left of a deleted workspace");
        }
    }
    Ok(erased)
}

async fn erase_one(env: &Env, workspace: WorkspaceId) -> Result<u64> {
    let mut erased = 0;
    let mut statements = 0;
    for table in TABLES {
        loop {
            let rows = erase_some(env, table, workspace).await?;
            erased += rows;
            statements += 1;
            if rows < u64::from(BATCH) {
                break;
            }
            // What the next tables refer to is still there.
            if statements >= STATEMENTS {
                return Ok(erased);
            }
        }
    }
    Ok(erased)
}

/// Erases up to a batch of the rows of a workspace in a table.
async fn erase_some(env: &Env, table: &str, workspace: WorkspaceId) -> Result<u64> {
    let db = &env.db.api;
    let sql = match env.db.dialect() {
        // A partition has places of its own, so a place is one only together with its partition.
        Dialect::Postgres => format!(
            "DELETE FROM {table} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {table} WHERE workspace_id = $1 LIMIT {BATCH})"
        ),
        Dialect::Sqlite => format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE workspace_id = $1 LIMIT {BATCH})"
        ),
    };
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [workspace.into()]);
    Ok(db.execute_raw(statement).await?.rows_affected())
}

/// Says since when nothing of a workspace that was deleted at `deleted` can come in any more.
pub fn end_of(deleted: Moment) -> Moment {
    deleted + KEPT
}
