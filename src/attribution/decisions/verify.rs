//! Walks a log of decisions from its beginning: hashes, tree and checkpoints, and whether each install is what its newest entry says.

use sea_orm::{ConnectionTrait, DbErr};

use super::{
    entry::{Entry, START, chained},
    note::{Checkpoint, Public},
    public_key, store,
    tree::{Growing, Hash, leaf},
};
use crate::{
    db,
    entity::{decision, decision_checkpoint},
    env::Env,
    error::Result,
    ids::{InstallId, WorkspaceId},
};

/// How many entries are read at once.
const AT_ONCE: u64 = 1000;

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The log is whole.
    Whole(Whole),
    /// This is the first thing that is wrong.
    Broken(Fault),
}

/// A log that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// How many entries it has.
    pub size: i64,
    /// How many checkpoints are over it.
    pub checkpoints: u64,
    /// How many installs have no entry: those that were decided before there was a log, or by an earlier release beside this one.
    pub without_entry: u64,
}

/// The first thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No entry has this place.
    Missing {
        /// The place.
        leaf: i64,
    },
    /// The entry at this place, or its hash, is not what it was.
    Altered {
        /// The place.
        leaf: i64,
        /// Whose entry that is.
        install: InstallId,
    },
    /// A hash of the tree is not what the entries say.
    Node {
        /// Of which level.
        level: u32,
        /// At which place of it.
        place: u64,
    },
    /// A checkpoint is not of this log, or not signed by a key that is trusted.
    Checkpoint {
        /// Over how many entries it says it is.
        size: i64,
        /// What is wrong with it.
        why: Why,
    },
    /// The log says that it has another length or end.
    End {
        /// How many entries there are.
        size: i64,
    },
    /// The install is not what its newest entry says.
    Install {
        /// The place of the entry.
        leaf: i64,
        /// The install.
        install: InstallId,
        /// Whether it is still there.
        there: bool,
    },
    /// The log does not have, or no longer has, what the checkpoint that was kept says.
    OtherLog,
}

/// What is wrong with a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is signed by another key than today's and those that were given.
    OtherKey,
    /// Its text or signature was changed.
    Signature,
    /// Its size, its time or its root is not what the log has.
    Content,
}

/// What a log is held against besides itself.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Keys that were good before `SESSION_SECRET` was changed.
    pub keys: Vec<Public>,
    /// A checkpoint that somebody kept, as it was signed.
    pub kept: Option<String>,
}

/// Returns every workspace that has a log.
pub async fn logs(env: &Env) -> Result<Vec<WorkspaceId>> {
    Ok(store::logs(&env.db.api).await?)
}

/// Checks the log of a workspace; `progress` hears how far it has come.
pub async fn verify(
    env: &Env,
    workspace: WorkspaceId,
    trust: &Trust,
    progress: impl FnMut(i64),
) -> Result<Verdict> {
    let keys: Vec<Public> =
        std::iter::once(public_key(env, workspace)).chain(trust.keys.iter().cloned()).collect();
    let kept = match &trust.kept {
        None => None,
        Some(note) => match keys.iter().find_map(|key| key.check(note).ok()) {
            Some(checkpoint) => Some(checkpoint),
            None => return Ok(Verdict::Broken(Fault::OtherLog)),
        },
    };
    let mut walk = Walk {
        env,
        workspace,
        keys,
        kept,
        head: START,
        size: 0,
        nodes: 0,
        checkpoints: 0,
        growing: Growing::default(),
    };
    walk.all(progress).await
}

struct Walk<'a> {
    env: &'a Env,
    workspace: WorkspaceId,
    keys: Vec<Public>,
    kept: Option<Checkpoint>,
    head: Hash,
    size: i64,
    nodes: u64,
    checkpoints: u64,
    growing: Growing,
}

impl Walk<'_> {
    async fn all(&mut self, mut progress: impl FnMut(i64)) -> Result<Verdict> {
        let db = &self.env.db.api;
        let mut checkpoint = store::next_checkpoint(db, self.workspace, 0).await?;
        loop {
            // An install and its entries as they were at one moment.
            let tx = db::begin_snapshot(db).await?;
            let entries = store::entries(&tx, self.workspace, self.size, AT_ONCE).await?;
            if entries.is_empty() {
                if let Some(fault) = self.end(&tx).await? {
                    return Ok(Verdict::Broken(fault));
                }
                break;
            }
            for entry in &entries {
                if let Some(fault) = self.step(entry, &tx).await? {
                    return Ok(Verdict::Broken(fault));
                }
                while let Some(due) = checkpoint.as_ref().filter(|due| due.size <= self.size) {
                    if let Some(why) = self.look_at(due) {
                        return Ok(Verdict::Broken(Fault::Checkpoint { size: due.size, why }));
                    }
                    self.checkpoints += 1;
                    checkpoint = store::next_checkpoint(&tx, self.workspace, due.size).await?;
                }
                let other = |kept: &Checkpoint| {
                    kept.size == self.size.cast_unsigned() && self.growing.root() != Some(kept.root)
                };
                if self.kept.as_ref().is_some_and(other) {
                    return Ok(Verdict::Broken(Fault::OtherLog));
                }
            }
            if let Some(fault) = self.installs(&entries, &tx).await? {
                return Ok(Verdict::Broken(fault));
            }
            tx.rollback().await?;
            progress(self.size);
        }
        if self.kept.as_ref().is_some_and(|kept| kept.size > self.size.cast_unsigned()) {
            return Ok(Verdict::Broken(Fault::OtherLog));
        }
        let without_entry = store::without_entry(db, self.workspace).await?;
        Ok(Verdict::Whole(Whole { size: self.size, checkpoints: self.checkpoints, without_entry }))
    }

    /// Holds what the log says of its end against what was there.
    async fn end(&self, db: &impl ConnectionTrait) -> Result<Option<Fault>, DbErr> {
        let log = store::log(db, self.workspace).await?;
        let is_here = log.map_or(self.size == 0, |log| {
            log.size == self.size && log.head.as_slice() == self.head.as_slice()
        });
        if !is_here || store::count_nodes(db, self.workspace).await? != self.nodes {
            return Ok(Some(Fault::End { size: self.size }));
        }
        let beyond = store::next_checkpoint(db, self.workspace, self.size).await?;
        Ok(beyond.map(|beyond| Fault::Checkpoint { size: beyond.size, why: Why::Content }))
    }

    /// Goes on by one entry.
    async fn step(
        &mut self,
        entry: &decision::Model,
        db: &impl ConnectionTrait,
    ) -> Result<Option<Fault>, DbErr> {
        if entry.leaf != Some(self.size) {
            return Ok(Some(Fault::Missing { leaf: self.size }));
        }
        let altered = Fault::Altered { leaf: self.size, install: entry.install_id };
        let said: Option<Entry> = serde_json::from_str(&entry.entry).ok();
        let is_its = said
            .is_some_and(|said| said.install == entry.install_id.0 && said.workspace == entry.workspace_id.0);
        let head = chained(&self.head, &entry.entry);
        if !is_its || entry.hash.as_deref() != Some(head.as_slice()) {
            return Ok(Some(altered));
        }
        self.head = head;
        self.size += 1;
        for (level, place, hash) in self.growing.push(leaf(entry.entry.as_bytes())) {
            self.nodes += 1;
            let stored = store::node(db, self.workspace, level, place).await?;
            if stored.as_deref() != Some(hash.as_slice()) {
                return Ok(Some(Fault::Node { level, place }));
            }
        }
        Ok(None)
    }

    /// Says what is wrong with a checkpoint over all that came.
    fn look_at(&self, stored: &decision_checkpoint::Model) -> Option<Why> {
        let by = |key: &&Public| key.key.as_slice() == stored.public_key.as_slice();
        let Some(key) = self.keys.iter().find(by) else { return Some(Why::OtherKey) };
        match key.check(&stored.note) {
            Err(_) => Some(Why::Signature),
            Ok(said) => {
                let size = self.size.cast_unsigned();
                let whole = said.size == size
                    && stored.size == self.size
                    && said.time == stored.time
                    && self.growing.root() == Some(said.root);
                (!whole).then_some(Why::Content)
            }
        }
    }

    /// Holds the installs of some entries against those that are their newest.
    async fn installs(
        &self,
        entries: &[decision::Model],
        db: &impl ConnectionTrait,
    ) -> Result<Option<Fault>, DbErr> {
        let ids: Vec<InstallId> = entries.iter().map(|entry| entry.install_id).collect();
        let newest = store::newest(db, self.workspace, &ids).await?;
        let rows = store::installs(db, self.workspace, &ids).await?;
        let first = self.size - entries.len() as i64;
        for (leaf, entry) in (first..).zip(entries) {
            if newest.get(&entry.install_id) != Some(&entry.number) {
                continue;
            }
            let row = rows.get(&entry.install_id);
            let said: Option<Entry> = serde_json::from_str(&entry.entry).ok();
            if row.zip(said).is_none_or(|(row, said)| !said.is_of(row)) {
                let (install, there) = (entry.install_id, row.is_some());
                return Ok(Some(Fault::Install { leaf, install, there }));
            }
        }
        Ok(None)
    }
}
