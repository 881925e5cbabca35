//! Tells every node that something changed which redirects of all links of a workspace depend on.
//!
//! The two ways are those of changed links (`links/changes.rs`), and so is the form: two lines and the moment. In place of a
//! domain stands a word that is none, so nodes of the version before take it for a link they do not know.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use tracing::Instrument as _;

use crate::{
    cache::{self, Topic},
    clock::{Moment, from_micros},
    env::Env,
    error::{Error, Result},
    ids::WorkspaceId,
};

/// No domain has a colon.
const WORD: &str = ":workspace";

/// A change of a workspace, as a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed(String);

impl Changed {
    pub(super) fn of(id: WorkspaceId, at: Moment) -> Self {
        Self(format!("{WORD}\n{id}\n{}", at.timestamp_micros()))
    }

    /// Notifies through Postgres, when the transaction commits.
    pub(super) async fn notify(&self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        cache::notify(tx, Topic::Links, &self.0).await
    }

    /// Commits and tells all nodes, this one included. Runs to its end even if the caller hangs up in between.
    pub(super) async fn commit(self, env: &Env, tx: DatabaseTransaction) -> Result<()> {
        let env = env.clone();
        let work = async move {
            let committed = tx.commit().await;
            // Also after a failure: a commit whose answer was lost may have happened.
            if env.fanout.publish(Topic::Links, self.0.into()).await.is_err() {
                metrics::counter!("linkforty_invalidation_failed_total", "path" => "fanout").increment(1);
            }
            committed
        };
        Ok(tokio::spawn(work.in_current_span()).await.map_err(Error::internal)??)
    }
}

/// Reads a message: which workspace changed, and when. `None` when it is about something else.
pub fn changed_workspace(message: &str) -> Option<(WorkspaceId, Moment)> {
    let mut lines = message.lines();
    let id = lines.next().filter(|word| *word == WORD).and_then(|_| lines.next())?;
    let at = lines.next()?.parse().ok()?;
    Some((WorkspaceId::parse(id)?, from_micros(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    #[test]
    fn a_message_is_read_back_and_nothing_else_is() {
        let (id, at) =
            (WorkspaceId::mint(&Ids::seeded(1), from_micros(5)), from_micros(1_700_000_000_000_001));
        let Changed(message) = Changed::of(id, at);
        assert_eq!(changed_workspace(&message), Some((id, at)));
        for other in ["", "\nspring\n17", ":workspace", ":workspace\nx\n5", &format!(":workspace\n{id}\nx")] {
            assert_eq!(changed_workspace(other), None, "{other:?}");
        }
    }
}
