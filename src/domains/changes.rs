//! Tells every node that the hosts that answer have changed.
//!
//! The two ways are those of changed links (`links/changes.rs`), and so is the form: two lines and the moment. In place of a
//! domain stands a word that is none, so nodes of the version before take it for a link they do not know.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::sites;
use crate::{
    cache::{self, Topic},
    clock::Moment,
    env::Env,
    error::{Error, Result},
};

/// No namespace has a colon.
const WORD: &str = ":domains";
/// How long whoever made a change waits for this node to know it.
const READING: Duration = Duration::from_secs(1);

/// A change of a host that answers, or did, as a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed(String);

impl Changed {
    pub(super) fn of(host: &str, at: Moment) -> Self {
        Self(format!("{WORD}\n{host}\n{}", at.timestamp_micros()))
    }

    /// Notifies through Postgres, when the transaction commits.
    pub(super) async fn notify(&self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        cache::notify(tx, Topic::Links, &self.0).await
    }

    /// Commits and tells all nodes, this one first. Runs to its end even if the caller hangs up in between.
    pub(super) async fn commit(self, env: &Env, tx: DatabaseTransaction) -> Result<()> {
        let env = env.clone();
        let work = async move {
            let committed = tx.commit().await;
            // Also after a failure: a commit whose answer was lost may have happened.
            let _ = timeout(READING, sites::read(&env)).await;
            if env.fanout.publish(Topic::Links, self.0.into()).await.is_err() {
                metrics::counter!("linkforty_invalidation_failed_total", "path" => "fanout").increment(1);
            }
            committed
        };
        Ok(tokio::spawn(work.in_current_span()).await.map_err(Error::internal)??)
    }
}

/// Says whether a message is about hosts.
pub(super) fn is_ours(message: &[u8]) -> bool {
    message.strip_prefix(WORD.as_bytes()).is_some_and(|rest| rest.starts_with(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_message_is_known_and_nothing_else_is() {
        let Changed(message) = Changed::of("go.example.com", from_micros(7));
        assert_eq!(message, ":domains\ngo.example.com\n7");
        assert!(is_ours(message.as_bytes()));
        for other in ["", "\nspring\n17", ":workspace\nx\n5", ":domainsx\na\n1", ":domains"] {
            assert!(!is_ours(other.as_bytes()), "{other:?}");
        }
    }
}
