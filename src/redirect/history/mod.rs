//! Who followed which link before, for rules that send new and returning visitors to different places. Link hosts set no cookie: a
//! visitor is told by address (of IPv6 the first 64 bits) and user agent.
//!
//! Kept is a keyed hash of link and visitor and the hour of the last visit, nothing else, and only of links that have such a
//! rule: [`History::remember`] is called for no other. Nobody without the key can tell whose a hash is, or find somebody's on
//! another link. `table` holds them in 8 MiB that are taken when the first such link is visited; `file` keeps them over a restart.
//!
//! What is promised: a visitor who comes back to the same node within 30 days is returning, unless half a million others came to
//! such links since (a bucket of the table that is full forgets its oldest: with half a million in it, 4 of 1,000), or the node
//! ended without warning within a minute of the visit. The other nodes hear of it about a second later, over the fan-out;
//! nothing waits for that, and what is lost on the way is not sent again. The chance that a new visitor is taken for somebody
//! else is 16 in 2^48. Hours are counted whole, so that 30 days are up to an hour longer.

mod file;
mod table;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use metrics::{Counter, counter, gauge};
use secrecy::ExposeSecret as _;
use tokio::{
    sync::{
        Mutex,
        broadcast::{Receiver, error::RecvError},
        mpsc,
    },
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::table::{Change, Hour, Table};
use super::visitor::Visit;
use crate::{
    cache::{Signal, Topic},
    clicks::VisitorHash,
    clock::Moment,
    env::Env,
    links::Target,
};

/// How often other nodes are told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often the file is written, if there is something new.
const WRITE_EVERY: Duration = Duration::from_mins(1);
/// How many visits may wait to be told. What does not fit is told to nobody.
const WAITING: usize = 16_384;
/// How many are in a message; as text they must fit into what Postgres carries.
const IN_A_MESSAGE: usize = 512;

/// What is remembered of visitors. A cheap clone.
#[derive(Debug, Clone)]
pub struct History(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Env,
    file: PathBuf,
    hash: VisitorHash,
    table: OnceLock<Table>,
    /// Whether the file lacks something.
    unwritten: AtomicBool,
    tell: mpsc::Sender<u64>,
    told: Mutex<mpsc::Receiver<u64>>,
    forgotten: Counter,
    untold: Counter,
}

impl History {
    /// Reads what the last run left.
    pub fn load(env: &Env) -> Self {
        let file = env.config.data_dir.join(file::NAME);
        let table = OnceLock::new();
        match file::read(&file) {
            Ok(None) => {}
            Ok(Some(seen)) => {
                let table = table.get_or_init(Table::default);
                let now = Hour::of(env.now());
                let mut visits = 0_u32;
                for (mark, hour) in seen.into_iter().filter(|(_, hour)| hour.is_recent(now)) {
                    table.remember(mark, hour, now);
                    visits += 1;
                }
                tracing::info!(visits, "remembers who followed links in the last 30 days");
            }
            Err(error) => {
                tracing::warn!(%error, file = %file.display(), "cannot read who followed links before; starting without");
            }
        }
        let (tell, told) = mpsc::channel(WAITING);
        Self(Arc::new(Inner {
            env: env.clone(),
            file,
            hash: VisitorHash::new(env.secrets.session.expose_secret().as_bytes()),
            table,
            unwritten: AtomicBool::new(false),
            tell,
            told: Mutex::new(told),
            forgotten: counter!("linkforty_visitors_forgotten_total"),
            untold: counter!("linkforty_visitors_untold_total"),
        }))
    }

    /// Says whether a visitor followed a link in the last 30 days.
    pub fn knows(&self, link: &Target, visit: &Visit<'_>, now: Moment) -> bool {
        let Some(table) = self.0.table.get() else { return false };
        table.knows(self.mark(link, visit), Hour::of(now))
    }

    /// Remembers that a visitor follows a link, and tells the other nodes, without waiting for anything.
    #[cold]
    pub fn remember(&self, link: &Target, visit: &Visit<'_>, now: Moment) {
        let mark = self.mark(link, visit);
        if self.note(mark, Hour::of(now)) && self.0.tell.try_send(mark).is_err() {
            self.0.untold.increment(1);
        }
    }

    fn mark(&self, link: &Target, visit: &Visit<'_>) -> u64 {
        let visitor = self.0.hash.of(link.workspace_id, visit.client, visit.user_agent);
        self.0.hash.on_link(link.id, visitor)
    }

    /// Puts a visit into the table; says whether it was not there.
    fn note(&self, mark: u64, now: Hour) -> bool {
        let change = self.0.table.get_or_init(Table::default).remember(mark, now, now);
        match change {
            Change::None => return false,
            Change::Made => {}
            Change::MadeInThePlaceOfAnother => self.0.forgotten.increment(1),
        }
        self.0.unwritten.store(true, Ordering::Relaxed);
        true
    }

    /// Tells other nodes, hears them and writes the file, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut heard = self.0.env.fanout.subscribe(Topic::Visitors);
        let mut ticks = interval(TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Instant::now() + WRITE_EVERY;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.hear(&mut heard) => {}
                _ = ticks.tick() => {
                    if stop.run_until_cancelled(self.tell()).await.is_none() {
                        break;
                    }
                    if Instant::now() >= due {
                        self.write().await;
                        due = Instant::now() + WRITE_EVERY;
                    }
                }
            }
        }
        self.write().await;
    }

    /// Hears of visits to other nodes, and of its own.
    async fn hear(&self, heard: &mut Receiver<Signal>) {
        loop {
            match heard.recv().await {
                Ok(Signal::Message(message)) => {
                    let now = Hour::of(self.0.env.now());
                    for mark in marks(&message) {
                        self.note(mark, now);
                    }
                }
                // What was missed comes no second time.
                Ok(Signal::Gap) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    async fn tell(&self) {
        let mut told = self.0.told.lock().await;
        for _ in 0..WAITING.div_ceil(IN_A_MESSAGE) {
            let marks: Vec<u64> = std::iter::from_fn(|| told.try_recv().ok()).take(IN_A_MESSAGE).collect();
            if marks.is_empty() {
                return;
            }
            if self.0.env.fanout.publish(Topic::Visitors, message(&marks)).await.is_err() {
                self.0.untold.increment(marks.len() as u64);
            }
        }
    }

    /// Writes the file, if it lacks something.
    async fn write(&self) {
        if !self.0.unwritten.swap(false, Ordering::Relaxed) {
            return;
        }
        let inner = self.0.clone();
        let work = tokio::task::spawn_blocking(move || {
            let now = Hour::of(inner.env.now());
            let seen = inner.table.get().map(|table| table.recent(now)).unwrap_or_default();
            gauge!("linkforty_visitors_remembered").set(seen.len() as f64);
            file::write(&inner.file, &seen)
        });
        if let Err(error) = work.await.map_err(io::Error::other).flatten() {
            self.0.unwritten.store(true, Ordering::Relaxed);
            tracing::warn!(%error, "cannot write who followed links; trying again in a minute");
        }
    }
}

/// Returns visits as a message: text, because Postgres carries nothing else.
fn message(marks: &[u64]) -> Bytes {
    let bytes: Vec<u8> = marks.iter().flat_map(|mark| mark.to_le_bytes()).collect();
    STANDARD.encode(bytes).into()
}

/// Reads a message; of one that is none, nothing.
fn marks(message: &[u8]) -> Vec<u64> {
    let bytes = STANDARD.decode(message).unwrap_or_default();
    bytes.as_chunks().0.iter().map(|mark| u64::from_le_bytes(*mark)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_fit_into_what_postgres_carries() {
        let most: Vec<u64> = (0..IN_A_MESSAGE as u64).map(|number| u64::MAX - number).collect();
        let text = message(&most);
        assert!(text.len() < 8000 && text.is_ascii(), "{}", text.len());
        assert_eq!(marks(&text), most);
        for strange in [&b""[..], b"no base64!", b"AAAA"] {
            assert!(marks(strange).is_empty());
        }
    }
}
