//! Postgres as a second way for messages: `NOTIFY linkforty_links`, `NOTIFY linkforty_credentials`, `NOTIFY linkforty_visitors`.
//!
//! A room that changes a link calls [`notify`] in the transaction of the change: whoever hears of it can read it. What is
//! heard goes to the same subscribers as what comes over Redis, in the same words; hearing a thing twice does no harm.
//! A message is text of less than 8,000 bytes. One that is not goes out empty, and an empty one is heard as [`Signal::Gap`].
//! `LISTEN` needs a connection to the server itself or a pooler in session mode.

use std::{str, sync::Arc, time::Duration};

use bytes::Bytes;
use metrics::{counter, gauge};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Away, ProcessFanout, Signal, Topic};
use crate::ids::Ids;

/// What Postgres carries.
const TOPICS: [Topic; 3] = [Topic::Links, Topic::Credentials, Topic::Visitors];
/// Postgres refuses 8,000 bytes and more.
const MAX_PAYLOAD: usize = 7_999;
/// After so long a silence the connection is tried.
const SILENCE: Duration = Duration::from_secs(4);
/// How long an answer may take; silence and answer together are what a dead connection can hide: 7 s.
const ANSWER: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(5);
/// How long a message may take to go out, connecting included.
const PUBLISH: Duration = Duration::from_secs(1);
const FIRST_PAUSE_MS: u32 = 100;
const LONGEST_PAUSE_MS: u32 = 5_000;

/// Tells all nodes about a change when the transaction commits. Does nothing on SQLite, where there is one node only: it
/// hears the message that is published after the commit.
pub async fn notify(tx: &impl ConnectionTrait, topic: Topic, message: &str) -> Result<(), DbErr> {
    if tx.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let values = [channel(topic).into(), payload(message.as_bytes()).into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, $2)", values);
    tx.execute_raw(statement).await?;
    Ok(())
}

fn channel(topic: Topic) -> String {
    format!("linkforty_{}", topic.name())
}

fn topic_of(channel: &str) -> Option<Topic> {
    let name = channel.strip_prefix("linkforty_")?;
    TOPICS.into_iter().find(|topic| topic.name() == name)
}

/// Returns what Postgres can carry of a message: all or nothing.
fn payload(message: &[u8]) -> &str {
    match str::from_utf8(message) {
        Ok(text) if text.len() <= MAX_PAYLOAD && !text.contains('\0') => text,
        _ => "",
    }
}

fn heard(payload: &str) -> Signal {
    if payload.is_empty() { Signal::Gap } else { Signal::Message(Bytes::copy_from_slice(payload.as_bytes())) }
}

fn options(url: &str, name: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    Ok(options.application_name(name).disable_statement_logging())
}

/// Sends messages, over a connection of its own.
#[derive(Debug)]
pub struct Notifier {
    options: PgConnectOptions,
    connection: Mutex<Option<PgConnection>>,
}

impl Notifier {
    /// Prepares a sender; it connects with its first message.
    pub fn new(url: &str) -> Result<Self, sqlx::Error> {
        // Nothing is written, so there is nothing to wait for at the commit.
        let options = options(url, "linkforty-notify")?.options([("synchronous_commit", "off")]);
        Ok(Self { options, connection: Mutex::new(None) })
    }

    /// Sends a message. Postgres delivers it to all who listen, this node included.
    pub async fn publish(&self, topic: Topic, message: &[u8]) -> Result<(), Away> {
        match timeout(PUBLISH, self.send(&channel(topic), payload(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                counter!("linkforty_notify_errors_total").increment(1);
                tracing::debug!(topic = topic.name(), %error, "a message did not go out over the database");
                Err(Away)
            }
            Err(_) => {
                counter!("linkforty_notify_errors_total").increment(1);
                Err(Away)
            }
        }
    }

    async fn send(&self, channel: &str, payload: &str) -> Result<(), sqlx::Error> {
        let mut kept = self.connection.lock().await;
        // Out of its place while it is used: if this is dropped half-way, so is the connection.
        if let Some(mut connection) = kept.take()
            && tell(&mut connection, channel, payload).await.is_ok()
        {
            *kept = Some(connection);
            return Ok(());
        }
        // None yet, or one that the server has closed since its last message.
        let mut connection = PgConnection::connect_with(&self.options).await?;
        tell(&mut connection, channel, payload).await?;
        *kept = Some(connection);
        Ok(())
    }
}

async fn tell(connection: &mut PgConnection, channel: &str, payload: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(payload).execute(connection).await?;
    Ok(())
}

/// Hears messages, over a connection of its own.
#[derive(Debug)]
pub struct Listener {
    options: PgConnectOptions,
    hub: ProcessFanout,
    ids: Arc<Ids>,
}

impl Listener {
    /// Prepares a listener that tells the subscribers of `hub`.
    pub fn new(url: &str, hub: ProcessFanout, ids: Arc<Ids>) -> Result<Self, sqlx::Error> {
        Ok(Self { options: options(url, "linkforty-listen")?, hub, ids })
    }

    /// Listens until `token` is cancelled, and connects again whenever the connection is lost. Each time it starts to hear,
    /// the first signal is a gap.
    pub async fn run(self, token: CancellationToken) {
        token.run_until_cancelled(self.listen_forever()).await;
    }

    async fn listen_forever(&self) {
        let mut attempt = 0;
        let mut lost = false;
        loop {
            match timeout(CONNECT, self.connect()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(listener) => {
                    if lost {
                        tracing::info!("the database tells about changes again");
                    }
                    attempt = 0;
                    gauge!("linkforty_notify_up").set(1.0);
                    self.hub.tell_gap(&TOPICS);
                    let error = self.listen(listener).await;
                    gauge!("linkforty_notify_up").set(0.0);
                    tracing::warn!(%error, "the database no longer tells about changes; connecting again");
                }
                Err(error) if !lost => {
                    tracing::warn!(%error, "the database does not tell about changes; trying on");
                }
                Err(_) => {}
            }
            lost = true;
            sleep(pause(attempt, &self.ids)).await;
            attempt += 1;
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        // A pool of one, because PgListener takes its connection from a pool; each attempt has a new one.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false)
            .connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        // A lost connection is told at once, and connecting again is ours: a gap belongs between the two.
        listener.eager_reconnect(false);
        let channels: Vec<String> = TOPICS.into_iter().map(channel).collect();
        listener.listen_all(channels.iter().map(String::as_str)).await?;
        Ok(listener)
    }

    /// Hears until the connection is lost; returns why.
    async fn listen(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            match timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => {
                    if let Some(topic) = topic_of(notification.channel()) {
                        self.hub.tell(topic, heard(notification.payload()));
                    }
                }
                Ok(Ok(None)) => {
                    return sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
                }
                Ok(Err(error)) => return error,
                Err(_) => match timeout(ANSWER, listener.execute("SELECT 1")).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error,
                    Err(_) => return sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
                },
            }
        }
    }
}

/// Returns how long to wait before the next attempt: twice as long each time up to 5 s, half of it by chance, so that nodes
/// do not come back all at once.
fn pause(attempt: u32, ids: &Ids) -> Duration {
    let whole = FIRST_PAUSE_MS.saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE_MS);
    Duration::from_millis(u64::from(whole / 2 + ids.below(whole / 2 + 1)))
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
