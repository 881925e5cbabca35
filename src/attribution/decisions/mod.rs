//! The log of decisions: what was decided of each install and when, in an order and under hashes that nobody can change unseen.
//!
//! | file | what |
//! |---|---|
//! | `entry.rs` | what is kept of a decision; pure |
//! | `tree.rs` | the tree of hashes over the entries; pure |
//! | `note.rs` | checkpoints: signed texts that anybody can check; pure |
//! | `proof.rs` | that an entry is in a log, for whoever has the public key |
//! | `verify.rs` | walks a log from its beginning and names the first thing that is wrong |
//! | `store.rs` | queries |
//!
//! Guarantees: a decision and its entry are stored together or not at all. Nobody who decides waits for anybody: entries get their places
//! behind it ([`seal`]), in batches, by whichever node has the log of the workspace; those of one install in the order in which they were made. A log
//! that has grown is signed when that is a minute old or there are 1,000 more, and the first time at once. Rows are never changed or deleted but with their
//! workspace, which the database itself sees to, and an entry can be proved also when its install was forgotten.

mod entry;
mod note;
pub mod proof;
mod store;
mod tree;
pub mod verify;

use chrono::Duration;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use secrecy::ExposeSecret as _;

pub use self::{
    entry::What,
    note::{Checkpoint, Fault as NoteFault, Public},
};
use self::{
    entry::{Entry, START, chained},
    note::Signer,
    tree::{Hash, Known, WIDTH, needed},
};
use crate::{
    clock::Moment,
    db::{self, fault},
    entity::{decision_checkpoint, decision_log, install},
    env::Env,
    error::{Error, Kind, Result},
    ids::WorkspaceId,
    page::{Page, PageRequest},
    workspaces::Tenant,
};

/// How many bytes an entry's hashes are salted with.
const SALT: usize = 16;
/// How many entries get their places in one transaction.
const SEALED_AT_ONCE: u64 = 500;
/// How many workspaces one look finds.
const WORKSPACES: u64 = 100;
/// How many new entries are not left unsigned.
const SIGNED_AFTER: i64 = 1000;
/// How long a new entry is not left unsigned.
const SIGNED_EVERY: Duration = Duration::minutes(1);

/// Returns what the hashes of a decision are salted with.
pub fn salt(env: &Env) -> Vec<u8> {
    env.ids.bytes::<SALT>().to_vec()
}

/// Appends what became of an install, in the transaction that makes it so.
pub async fn append(
    tx: &impl ConnectionTrait,
    row: &install::Model,
    what: What,
    now: Moment,
) -> Result<(), DbErr> {
    store::append(tx, row.workspace_id, row.id, Entry::of(row, what, now).text()).await
}

/// Gives entries that have none their places, and signs what has grown. Says how many got theirs. Over the connections that callers do not wait for.
pub async fn seal(env: &Env) -> Result<usize> {
    let mut sealed = 0;
    for workspace in store::waiting(&env.db.drain, env.now() - SIGNED_EVERY, WORKSPACES).await? {
        match seal_one(env, workspace).await {
            Ok(some) => sealed += some,
            // The logs of others do not wait for one that somebody tampered with.
            Err(error) if error.kind() != Kind::Unavailable => {
                tracing::error!(workspace.id = %workspace, cause = %error.inward(), "a log of decisions cannot go on");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sealed)
}

async fn seal_one(env: &Env, workspace: WorkspaceId) -> Result<usize> {
    let mut sealed = 0;
    loop {
        let some = seal_some(env, workspace).await?;
        sealed += some;
        if some < SEALED_AT_ONCE as usize {
            return Ok(sealed);
        }
    }
}

async fn seal_some(env: &Env, workspace: WorkspaceId) -> Result<usize> {
    let tx = env.db.begin_on(&env.db.drain).await?;
    let Some(log) = store::take(&tx, workspace, &START).await? else { return Ok(0) };
    let outcome = match grow(env, &tx, log).await {
        Ok(count) => tx.commit().await.map(|()| count),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(count) => Ok(count),
        // Another node was at it all the same, as where the log was made twice at once.
        Err(error) if fault(&error) == db::Fault::Refused => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Places what waits behind a log, and signs it if it is time.
async fn grow(env: &Env, tx: &DatabaseTransaction, mut log: decision_log::Model) -> Result<usize, DbErr> {
    let workspace = log.workspace_id;
    let entries = store::unsealed(tx, workspace, SEALED_AT_ONCE).await?;
    let mut head: Hash = hash_of(&log.head)?;
    let before = log.size;
    for entry in &entries {
        head = chained(&head, &entry.entry);
        if !store::place(tx, workspace, entry.number, (log.size, &head)).await? {
            return Err(DbErr::Custom("an entry has a place that nobody gave it".to_owned()));
        }
        log.size += 1;
    }
    log.head = head.to_vec();
    add_nodes(tx, workspace, before.cast_unsigned(), log.size.cast_unsigned()).await?;
    let now = env.now();
    if is_due(&log, now) {
        let size = log.size.cast_unsigned();
        let mut known = Known::default();
        store::known(tx, workspace, &needed(None, size), &mut known).await?;
        let root = known.root(size).ok_or_else(|| DbErr::Custom("a log has a hole".to_owned()))?;
        let signer = signer(env, workspace);
        let checkpoint = decision_checkpoint::Model {
            workspace_id: workspace,
            size: log.size,
            time: now,
            note: signer.sign(size, &root, now),
            public_key: signer.public().key.to_vec(),
        };
        store::add_checkpoint(tx, checkpoint).await?;
        (log.signed_size, log.signed_time) = (log.size, Some(now));
    }
    store::save(tx, log).await?;
    Ok(entries.len())
}

/// Says whether a log is to be signed.
fn is_due(log: &decision_log::Model, now: Moment) -> bool {
    let new = log.size - log.signed_size;
    let long_ago = log.signed_time.is_none_or(|signed| signed + SIGNED_EVERY <= now);
    new >= SIGNED_AFTER || new > 0 && long_ago
}

/// Adds the hashes of levels above the entries that are whole since the log had `before` of them.
async fn add_nodes(
    tx: &DatabaseTransaction,
    workspace: WorkspaceId,
    before: u64,
    size: u64,
) -> Result<(), DbErr> {
    let (mut below_before, mut below) = (before, size);
    for level in 1.. {
        let (done, whole) = (below_before / WIDTH, below / WIDTH);
        for place in done..whole {
            let row = tree::Row { level: level - 1, begin: place * WIDTH, end: (place + 1) * WIDTH };
            let mut known = Known::default();
            store::known(tx, workspace, &[row], &mut known).await?;
            let hash = known.over(&row).ok_or_else(|| DbErr::Custom("a log has a hole".to_owned()))?;
            store::add_node(tx, workspace, (level, place, &hash)).await?;
        }
        if whole == 0 {
            return Ok(());
        }
        (below_before, below) = (done, whole);
    }
    Ok(())
}

fn hash_of(bytes: &[u8]) -> Result<Hash, DbErr> {
    bytes.try_into().map_err(|_| DbErr::Custom("the last decision of a log has no hash".to_owned()))
}

/// Returns what signs for a workspace.
fn signer(env: &Env, workspace: WorkspaceId) -> Signer {
    Signer::derive(env.secrets.session.expose_secret().as_bytes(), workspace)
}

/// Returns the key that checks the checkpoints of a workspace.
pub fn public_key(env: &Env, workspace: WorkspaceId) -> Public {
    signer(env, workspace).public()
}

/// Returns one page of the checkpoints of a workspace, the newest first.
pub async fn list_checkpoints(
    env: &Env,
    tenant: &Tenant,
    page: &PageRequest,
) -> Result<Page<decision_checkpoint::Model>> {
    store::list_checkpoints(&env.db.api, tenant.id, page).await.map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_log_is_signed_at_first_then_by_the_minute_or_the_thousand() {
        let at = |seconds: i64| from_micros(seconds * 1_000_000);
        for (size, signed_size, signed, now, expected) in [
            (0, 0, None, 100, false),
            (1, 0, None, 100, true),
            (5, 5, Some(0), 100, false),
            (6, 5, Some(100), 159, false),
            (6, 5, Some(100), 160, true),
            (1004, 5, Some(100), 100, false),
            (1005, 5, Some(100), 100, true),
        ] {
            let log = decision_log::Model {
                workspace_id: WorkspaceId(uuid::Uuid::nil()),
                size,
                head: Vec::new(),
                signed_size,
                signed_time: signed.map(at),
            };
            assert_eq!(is_due(&log, at(now)), expected, "{log:?} at {now}");
        }
    }
}
