//! Tells every node that the apps of a workspace changed.
//!
//! The two ways are those of changed links (`links/changes.rs`), and so is the form: two lines and the moment. In place of a
//! domain stands a word that is none, so whoever listens for links takes it for one that nobody knows.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use tracing::Instrument as _;

use super::associations::Associations;
use crate::{
    cache::{self, Topic},
    clock::Moment,
    env::Env,
    error::{Error, Result},
    ids::WorkspaceId,
};

/// No domain has a colon.
const WORD: &str = ":apps";
/// How long the caller waits until this node serves the change; it comes all the same.
const PATIENCE: Duration = Duration::from_millis(500);

/// A change of a workspace's apps, as a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed(String);

impl Changed {
    pub(super) fn of(workspace: WorkspaceId, at: Moment) -> Self {
        Self(format!("{WORD}\n{workspace}\n{}", at.timestamp_micros()))
    }

    /// Notifies through Postgres, when the transaction commits.
    pub(super) async fn notify(&self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        cache::notify(tx, Topic::Links, &self.0).await
    }

    /// Commits and tells all nodes, this one first, so that whoever made the change sees it. Runs to its end even if the
    /// caller hangs up in between.
    pub(super) async fn commit(
        self,
        env: &Env,
        tx: DatabaseTransaction,
        workspace: WorkspaceId,
    ) -> Result<()> {
        let env = env.clone();
        let work = async move {
            let committed = tx.commit().await;
            // Also after a failure: a commit whose answer was lost may have happened.
            let here = Associations::new(env.clone());
            let _ = tokio::time::timeout(PATIENCE, here.load(workspace)).await;
            if env.fanout.publish(Topic::Links, self.0.into()).await.is_err() {
                metrics::counter!("linkforty_invalidation_failed_total", "path" => "fanout").increment(1);
            }
            committed
        };
        Ok(tokio::spawn(work.in_current_span()).await.map_err(Error::internal)??)
    }
}

/// Reads a message: whose apps changed. `None` when it is about something else.
pub(super) fn changed_apps(message: &str) -> Option<WorkspaceId> {
    let mut lines = message.lines();
    lines.next().filter(|word| *word == WORD).and_then(|_| lines.next()).and_then(WorkspaceId::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::from_micros, ids::Ids};

    #[test]
    fn a_message_is_read_back_and_nothing_else_is() {
        let id = WorkspaceId::mint(&Ids::seeded(1), from_micros(5));
        let Changed(message) = Changed::of(id, from_micros(1_700_000_000_000_001));
        assert_eq!(changed_apps(&message), Some(id));
        for other in ["", "\nspring\n17", ":apps", ":apps\nx\n5", &format!(":workspace\n{id}\n5")] {
            assert_eq!(changed_apps(other), None, "{other:?}");
        }
    }
}
