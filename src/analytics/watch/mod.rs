//! A stream of what happens in a workspace: who may go on watching, what they want to see, where they stand, and when the stream says that it
//! is alive.
//!
//! | file | what |
//! |---|---|
//! | `filter.rs` | what is shown; pure |
//! | `cursor.rs` | where a stream stands, sealed; pure |
//! | `reading.rs` | reads the feed from there, item by item |
//! | `wire.rs` | items as the contract shows them; pure |
//!
//! A stream is read as fast as its client takes it, so a slow one costs one row of the feed in memory, at most 1,000 items, and nobody
//! waits for it.

mod cursor;
mod filter;
mod reading;
mod wire;

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::Status;

pub use self::filter::Filter;
use self::{
    cursor::CursorSeal,
    reading::{Begin, Reading, Step},
};
use crate::{
    clock::Moment,
    env::Env,
    error::Result,
    feed::tail,
    ids::WorkspaceId,
    pb::v1::{Heartbeat, WatchEventsResponse, watch_events_response::Event},
    rpc::{self, Permission, Vigil},
    workspaces::{self, Tenant},
};

/// The longest a stream is silent.
const SILENCE: Duration = Duration::from_secs(15);
/// How often a stream looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Begins to watch, behind what `cursor` says or, when it is empty, with what is stored from now on.
pub async fn open(
    env: &Env,
    tenant: &Tenant,
    filter: Filter,
    cursor: &str,
    vigil: Vigil,
) -> Result<impl Stream<Item = Result<WatchEventsResponse, Status>> + Send + use<>> {
    let seal = CursorSeal::of(env);
    let begin = if cursor.is_empty() {
        Begin::Now
    } else {
        Begin::Behind(seal.open(tenant.id, cursor, env.now())?)
    };
    let filter = filter.expect(env, tenant).await?;
    let watch = tail::watch(env, tenant.id).await?;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reading = Reading::new(env, tenant.id, watch, filter, begin);
    let watching = Watching {
        env: env.clone(),
        id: tenant.id,
        workspace: tenant.id.to_string(),
        seal,
        reading,
        vigil,
        sent: None,
        look,
    };
    Ok(stream::unfold(Some(watching), async |watching| {
        let mut watching = watching?;
        match watching.next().await {
            Ok(event) => Some((Ok(event), Some(watching))),
            // Nothing comes after an error, and the place is free for somebody else.
            Err(error) => Some((Err(rpc::status(&error)), None)),
        }
    }))
}

struct Watching {
    env: Env,
    id: WorkspaceId,
    workspace: String,
    seal: Arc<CursorSeal>,
    reading: Reading,
    vigil: Vigil,
    sent: Option<Moment>,
    look: Interval,
}

impl Watching {
    async fn next(&mut self) -> Result<WatchEventsResponse> {
        let event = self.wait().await?;
        self.sent = Some(self.env.now());
        let resume_cursor = self.seal.seal(self.id, self.reading.cursor());
        Ok(WatchEventsResponse { event: Some(event), resume_cursor })
    }

    async fn wait(&mut self) -> Result<Event> {
        loop {
            let now = self.env.now();
            let (env, workspace) = (&self.env, &self.workspace);
            // While a store does not answer nothing is stored either, so there is nothing to see.
            let enter = async |caller| {
                workspaces::enter(env, &caller, workspace, Permission::AnalyticsRead).await.map(drop)
            };
            self.vigil.keep(now, enter).await?;
            if self.sent.is_none_or(|sent| is_due(sent, SILENCE, now)) {
                return Ok(Event::Heartbeat(Heartbeat {}));
            }
            match self.reading.step() {
                Step::Show(event) => return Ok(event),
                Step::Read(end) => {
                    let Err(error) = self.reading.read(end).await else { continue };
                    tracing::debug!(%error, "a stream waits for the database");
                    tokio::select! {
                        biased;
                        left = self.vigil.left() => return Err(left),
                        _ = self.look.tick() => {}
                    }
                }
                Step::Wait => tokio::select! {
                    biased;
                    left = self.vigil.left() => return Err(left),
                    () = self.reading.grown() => {}
                    _ = self.look.tick() => {}
                },
            }
        }
    }
}

/// Says whether something is to be done again. A clock that went back is no reason to wait.
fn is_due(last: Moment, every: Duration, now: Moment) -> bool {
    now < last || now >= last + every
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn the_clock_says_what_is_due() {
        let at = |seconds: i64| from_micros(seconds * 1_000_000);
        for (now, due) in [(100, false), (114, false), (115, true), (99, true)] {
            assert_eq!(is_due(at(100), SILENCE, at(now)), due, "{now}");
        }
    }
}
