//! Puts what happened into messages: whichever node finds the row of `webhook_progress` free takes it, gathers what follows in the feed and
//! what waits in the outbox, and writes messages, who is to be told them and how far it came in one transaction. So whatever dies when,
//! everything is told to everybody who wants it, and there is one message of it.
//!
//! On SQLite, where whoever writes keeps everybody else from writing, all is gathered before the transaction begins; it starts over if
//! somebody else came first.

use std::time::Duration;

use fail::fail_point;
use futures::FutureExt as _;
use metrics::{counter, gauge, histogram};
use sea_orm::{ConnectionTrait, DbErr, TransactionTrait as _};
use tokio_util::sync::CancellationToken;

use super::{
    gather::{self, Gathered},
    store::{self, Progress},
    wake,
};
use crate::{
    clock::Moment,
    db::Dialect,
    env::Env,
    feed::{self, Position},
};

/// How often it is looked whether something happened: while somebody wants to hear of it, and while nobody does.
const EVERY: Duration = Duration::from_millis(150);
const EVERY_FOR_NOBODY: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long messages, deliveries and attempts are kept.
pub const LIFE: chrono::Duration = chrono::Duration::days(30);

/// What one round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Nothing happened.
    Idle {
        /// Whether anybody wants to hear it when something does.
        listening: bool,
    },
    /// Another node is at it, or came first.
    Elsewhere,
    /// What happened was told to whoever wants it, in so many messages.
    Told {
        /// How many.
        messages: usize,
        /// Whether there is more at once.
        more: bool,
    },
}

/// Puts what happens into messages until `stop`.
pub async fn run(env: Env, stop: CancellationToken) {
    let mut pause = EVERY;
    loop {
        match stop.run_until_cancelled(fan_out(&env).boxed()).await {
            None => return,
            Some(Ok(Round::Told { more: true, .. })) => {
                tokio::task::yield_now().await;
                continue;
            }
            Some(Ok(
                Round::Told { more: false, .. } | Round::Elsewhere | Round::Idle { listening: true },
            )) => {
                pause = EVERY;
            }
            Some(Ok(Round::Idle { listening: false })) => pause = EVERY_FOR_NOBODY,
            Some(Err(error)) => {
                tracing::warn!(%error, "what happened waits to be told to webhooks");
                counter!("linkforty_webhook_fan_out_failures_total").increment(1);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Returns how far the feed has been told: what is behind it may be forgotten.
pub async fn told(db: &impl ConnectionTrait) -> Result<Position, DbErr> {
    Ok(Position(store::look(db).await?.progress.seq))
}

/// Does one round.
pub async fn fan_out(env: &Env) -> Result<Round, DbErr> {
    let began = std::time::Instant::now();
    let db = &env.db.api;
    let sight = store::look(db).await?;
    if !sight.untold && feed::settled(db).await?.0 <= sight.progress.seq {
        gauge!("linkforty_webhook_fan_out_lag_seconds").set(0.0);
        return Ok(Round::Idle { listening: sight.listening });
    }
    let (tx, gathered, from);
    match env.db.dialect() {
        Dialect::Postgres => {
            tx = db.begin().await?;
            let Some(progress) = store::take(&tx).await? else {
                tx.rollback().await?;
                return Ok(Round::Elsewhere);
            };
            from = progress;
            gathered = gather::gather(&tx, env, Position(from.seq)).await?;
        }
        Dialect::Sqlite => {
            from = sight.progress;
            gathered = gather::gather(db, env, Position(from.seq)).await?;
            tx = env.db.begin().await?;
            if store::take(&tx).await? != Some(from) {
                tx.rollback().await?;
                return Ok(Round::Elsewhere);
            }
        }
    }
    let now = env.now();
    let Gathered { end, messages, deliveries, told, oldest, more } = gathered;
    lag(oldest, now);
    for message in &messages {
        counter!("linkforty_webhook_messages_total", "event_type" => message.event_type.name()).increment(1);
    }
    let count = messages.len();
    store::insert_messages(&tx, messages).await?;
    store::insert_deliveries(&tx, &deliveries, now).await?;
    store::set_told(&tx, &told, now).await?;
    store::advance(&tx, Progress { seq: end.0, round: from.round + 1 }).await?;
    if count > 0 {
        fail_point!("fan_out.commit.before");
    }
    tx.commit().await?;
    if count > 0 {
        fail_point!("fan_out.commit.after");
        wake(env);
    }
    histogram!("linkforty_webhook_fan_out_seconds").record(began.elapsed());
    Ok(Round::Told { messages: count, more })
}

/// Says how long the oldest of what is told now has waited.
fn lag(oldest: Option<Moment>, now: Moment) {
    let waited = oldest.map_or(0, |oldest| (now - oldest).num_milliseconds().max(0));
    #[expect(clippy::cast_precision_loss, reason = "a gauge of seconds")]
    gauge!("linkforty_webhook_fan_out_lag_seconds").set(waited as f64 / 1000.0);
}

/// Forgets messages, deliveries and attempts that are older than [`LIFE`]. Returns how many messages and attempts.
pub async fn sweep(env: &Env) -> Result<u64, DbErr> {
    let mut gone = 0;
    loop {
        let some = store::forget_before(&env.db.api, env.now() - LIFE).await?;
        gone += some;
        if some == 0 {
            return Ok(gone);
        }
    }
}
