//! How a workspace ends: at once for everybody who had anything to do with it, and bit by bit for what it held.
//!
//! The row of a deleted workspace stays while anything of it may still come in, such as clicks that wait in the spool of a node that is
//! away; whatever is found of it meanwhile is erased too. Then the row goes as well, and nothing is left.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, Statement, Value};

use super::{Changed, Tenant, Workspace, keys, later, members, store};
use crate::{
    clock::{Moment, from_micros},
    db::Dialect,
    env::Env,
    error::{Error, Result},
    idempotency::{self, Claim, Request},
    ids::{WorkspaceId, floor},
    rpc::Permission,
    trail::{self, Action, Changes},
};

/// How long what is left of a deleted workspace is looked for.
const LOOKED_FOR: Duration = Duration::days(8);
/// How many rows one statement erases, so that none takes long and nobody waits behind it.
const BATCH: u32 = 1000;
/// How many statements one sweep makes for a workspace with much in it: the next one goes on.
const STATEMENTS: usize = 200;
/// How many workspaces one sweep looks at.
const WORKSPACES: u64 = 100;

/// How long a workspace of which nothing was found is left alone.
const PAUSE: Duration = Duration::hours(1);

/// Tables whose rows say whose they are, those last that others refer to.
const TABLES: &[&str] = &[
    "invitations",
    "members",
    "api_key_uses",
    "api_keys",
    "link_import_drafts",
    "link_import_errors",
    "link_imports",
    "takeovers",
    "click_leases",
    "click_budgets",
    "click_identities",
    "link_totals",
    "click_rollups",
    "undecided_events",
    "awaited_clicks",
    "network_claims",
    "views",
    "app_opens",
    "install_keys",
    "installs",
    "decision_checkpoints",
    "decision_nodes",
    "decisions",
    "decision_logs",
    "fraud_rules",
    "costs",
    "postbacks",
    "postback_refusals",
    "conversion_schemas",
    "apps",
    "links",
    "report_shares",
    "reports",
    "utm_presets",
    "templates",
    "projects",
    "domains",
    "certificate_orders",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_messages",
    "webhook_endpoints",
    "outbox",
    "feed",
    "idempotency_keys",
];
/// Tables whose rows go with a row of those.
const WITH_THEM: &[&str] = &["app_tokens", "link_reports", "link_revisions", "link_tags"];
/// Tables whose rows are found in their order, which is that of time.
const BY_TIME: &[&str] = &["clicks", "events"];
/// Tables whose rows are found day by day.
const BY_DAY: &[&str] = &["rollups"];
/// Tables whose rows are of an app, or of a workspace whose apps do not say which they are.
const BY_SCOPE: &[&str] = &["event_transactions", "event_properties"];

/// Tables whose rows stay: who did what is noted for good.
pub const KEPT: &[&str] = &["audit_events"];

/// Returns every table that says whose its rows are and is erased.
pub fn tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().chain(WITH_THEM).chain(BY_TIME).chain(BY_DAY).copied()
}

/// Deletes the workspace. `confirmation` must be its name. Nothing brings it back.
pub async fn delete(env: &Env, tenant: &Tenant, confirmation: &str, request: Option<&Request>) -> Result<()> {
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
    let changes = Changes::none().without("name", confirmation);
    trail::note(&tx, &env.ids, [tenant.did(Action::WorkspaceDeleted, tenant.id.0, changes)], now).await?;
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

/// Which deleted workspaces nothing was found of, and when.
#[derive(Debug, Default)]
struct Empty(Mutex<HashMap<WorkspaceId, Moment>>);

impl Empty {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Moment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Erases some of what deleted workspaces held, and the workspaces of which nothing is left. Returns how many rows that were.
pub async fn erase(env: &Env) -> Result<u64> {
    let now = env.now();
    let empty = env.memory.of(Empty::default);
    let mut erased = 0;
    for workspace in store::deleted(&env.db.drain, WORKSPACES).await? {
        let long_ago = workspace.delete_time.is_some_and(|deleted| end_of(deleted) <= now);
        let seen = empty.lock().get(&workspace.id).copied();
        if !long_ago && seen.is_some_and(|seen| now < seen + PAUSE) {
            continue;
        }
        let rows = erase_one(env, workspace.id).await?;
        erased += rows;
        if rows > 0 {
            empty.lock().remove(&workspace.id);
        } else if long_ago {
            store::remove(&env.db.api, workspace.id).await?;
            empty.lock().remove(&workspace.id);
            tracing::info!(workspace.id = %workspace.id, "nothing is left of a deleted workspace");
        } else {
            empty.lock().insert(workspace.id, now);
        }
    }
    Ok(erased)
}

/// How many statements may still be made for a workspace, and how many rows those before have erased.
struct Work<'a> {
    env: &'a Env,
    workspace: WorkspaceId,
    statements: usize,
    rows: u64,
}

async fn erase_one(env: &Env, workspace: WorkspaceId) -> Result<u64> {
    let mut work = Work { env, workspace, statements: STATEMENTS, rows: 0 };
    work.everything().await?;
    Ok(work.rows)
}

impl Work<'_> {
    /// Erases one table after the other, as far as it may go on. Says whether nothing is left.
    async fn everything(&mut self) -> Result<bool> {
        if !self.clicks().await? {
            return Ok(false);
        }
        for table in BY_SCOPE {
            let of_app = "SELECT id FROM apps WHERE workspace_id = $1";
            let of = format!("scope_id = $1 OR scope_id IN ({of_app})");
            if !self.table(table, &of, vec![self.workspace.into()]).await? {
                return Ok(false);
            }
        }
        for table in ["events"].iter().chain(TABLES) {
            if !self.table(table, "workspace_id = $1", vec![self.workspace.into()]).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Erases clicks day by day: where they are is known from their counts, so nobody else's are read through.
    async fn clicks(&mut self) -> Result<bool> {
        while let Some(day) = store::first_day(&self.env.db.api, self.workspace).await? {
            let at = |day: i32| floor(from_micros(i64::from(day) * 86_400_000_000));
            let values = vec![self.workspace.into(), at(day).into(), at(day + 1).into()];
            let of = "workspace_id = $1 AND id >= $2 AND id < $3";
            if !self.table("clicks", of, values).await? {
                return Ok(false);
            }
            let of = "workspace_id = $1 AND level = 1 AND period = $2";
            if !self.table("rollups", of, vec![self.workspace.into(), day.into()]).await? {
                return Ok(false);
            }
        }
        self.table("rollups", "workspace_id = $1", vec![self.workspace.into()]).await
    }

    /// Erases the rows of a table that are meant, batch by batch. Says whether none is left.
    async fn table(&mut self, table: &str, of: &str, values: Vec<Value>) -> Result<bool> {
        let db = &self.env.db.api;
        // A place in a table is one only in its own partition; what is partitioned has an id.
        let (place, any) = match self.env.db.dialect() {
            _ if BY_TIME.contains(&table) => ("id", "IN"),
            Dialect::Postgres => ("ctid", "= ANY"),
            Dialect::Sqlite => ("rowid", "IN"),
        };
        let some = format!("SELECT {place} FROM {table} WHERE {of} LIMIT {BATCH}");
        let some = if any == "IN" { some } else { format!("ARRAY({some})") };
        let sql = format!("DELETE FROM {table} WHERE {place} {any} ({some})");
        loop {
            let Some(left) = self.statements.checked_sub(1) else { return Ok(false) };
            self.statements = left;
            let statement =
                Statement::from_sql_and_values(db.get_database_backend(), sql.clone(), values.clone());
            let rows = db.execute_raw(statement).await?.rows_affected();
            self.rows += rows;
            if rows < u64::from(BATCH) {
                return Ok(true);
            }
        }
    }
}

/// Says since when nothing of a workspace that was deleted at `deleted` can come in any more.
pub fn end_of(deleted: Moment) -> Moment {
    deleted + LOOKED_FOR
}
