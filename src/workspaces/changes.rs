//! Tells every node that something changed which redirects of all links of a workspace depend on.
//!
//! The two ways are those of changed links (`links/changes.rs`), and so is the form: two lines and the moment. In place of a
//! domain stands a word that is none, so nodes of the version before take it for a link they do not know.

use std::sync::OnceLock;

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

/// Who on this node redirects, and hears of a change before whoever made it is answered: wherever a message is by then, they see the
/// links lead where they said.
#[derive(Default)]
struct Listener(OnceLock<Box<dyn Fn(WorkspaceId, Moment) + Send + Sync>>);

/// Calls `listener` with every workspace that is changed on this node, and when. There is one; another is not called.
pub fn on_change(env: &Env, listener: impl Fn(WorkspaceId, Moment) + Send + Sync + 'static) {
    let _ = env.memory.of(Listener::default).0.set(Box::new(listener));
}

/// A change of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed {
    id: WorkspaceId,
    at: Moment,
}

impl Changed {
    pub(super) const fn of(id: WorkspaceId, at: Moment) -> Self {
        Self { id, at }
    }

    fn message(self) -> String {
        format!("{WORD}\n{}\n{}", self.id, self.at.timestamp_micros())
    }

    /// Notifies through Postgres, when the transaction commits.
    pub(super) async fn notify(self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        cache::notify(tx, Topic::Links, &self.message()).await
    }

    /// Commits and tells all nodes, this one first. Runs to its end even if the caller hangs up in between.
    pub(super) async fn commit(self, env: &Env, tx: DatabaseTransaction) -> Result<()> {
        let env = env.clone();
        let work = async move {
            let committed = tx.commit().await;
            // Also after a failure: a commit whose answer was lost may have happened.
            if let Some(hears) = env.memory.of(Listener::default).0.get() {
                hears(self.id, self.at);
            }
            if env.fanout.publish(Topic::Links, self.message().into()).await.is_err() {
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
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{
        cache::{NoSharedCache, ProcessFanout},
        clock::SettableClock,
        config::Config,
        ids::Ids,
    };

    #[tokio::test]
    async fn this_node_hears_of_a_change_before_whoever_made_it_is_answered() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::from_lookup(&|name| match name {
            "DATA_DIR" => Some(folder.path().display().to_string()),
            "APP_ENV" => Some("test".into()),
            _ => None,
        });
        let (config, clock) = (config.expect("the settings are right"), SettableClock::at(from_micros(5)));
        let wires = (Arc::new(NoSharedCache) as _, Arc::new(ProcessFanout::default()) as _);
        let env = Env::of_test(Arc::new(config), &clock, 1, wires).await;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = heard.clone();
        on_change(&env, move |id, at| listener.lock().expect("nobody panics here").push((id, at)));

        let (id, at) = (WorkspaceId::mint(&env.ids, env.now()), from_micros(7));
        let tx = env.db.begin().await.expect("begins");
        Changed::of(id, at).commit(&env, tx).await.expect("commits");
        assert_eq!(*heard.lock().expect("nobody panics here"), [(id, at)]);
    }

    #[test]
    fn a_message_is_read_back_and_nothing_else_is() {
        let (id, at) =
            (WorkspaceId::mint(&Ids::seeded(1), from_micros(5)), from_micros(1_700_000_000_000_001));
        assert_eq!(changed_workspace(&Changed::of(id, at).message()), Some((id, at)));
        for other in ["", "\nspring\n17", ":workspace", ":workspace\nx\n5", &format!(":workspace\n{id}\nx")] {
            assert_eq!(changed_workspace(other), None, "{other:?}");
        }
    }
}
