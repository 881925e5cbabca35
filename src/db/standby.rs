//! A standby of the database that reports are read from, as long as it is one and not far behind.
//!
//! It is looked at when a report comes and the last look is a while ago; nobody else waits for it. Whatever is wrong with it, reports are
//! read from the primary then, which `linkforty_report_reads_total{from, why}` counts. Nothing is ever read here in order to be written.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use tokio::time::{Instant, timeout};

/// How long a look is believed.
const BELIEVED: Duration = Duration::from_secs(2);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether reports may be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They may.
    Good,
    /// It does not answer.
    Away,
    /// It is no standby: it takes writes of its own.
    NoStandby,
    /// It is a standby of another database.
    Another,
    /// It has not caught up for longer than it may.
    Behind,
}

impl Verdict {
    /// Returns the name that metrics and logs have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Away => "away",
            Self::NoStandby => "no_standby",
            Self::Another => "another_database",
            Self::Behind => "behind",
        }
    }
}

/// What the primary says of itself.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
struct Primary {
    /// Which cluster, and which database of it.
    identity: String,
    /// How far it has written its log.
    position: i64,
}

/// What a standby says of itself.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
struct Standing {
    recovers: bool,
    identity: String,
    /// How far it has replayed the primary's log.
    position: Option<i64>,
    /// How long ago the last transaction that it has replayed was committed, in seconds.
    age: Option<f64>,
}

/// Decides. A standby that has all that the primary had when it was asked is not behind, however long ago that was written.
fn judge(primary: Option<&Primary>, standing: Option<&Standing>, max_lag: Duration) -> Verdict {
    let Some(standing) = standing else { return Verdict::Away };
    if !standing.recovers {
        return Verdict::NoStandby;
    }
    if primary.is_some_and(|primary| primary.identity != standing.identity) {
        return Verdict::Another;
    }
    let has_all =
        primary.zip(standing.position).is_some_and(|(primary, position)| position >= primary.position);
    let is_young = standing.age.is_some_and(|age| age <= max_lag.as_secs_f64());
    if has_all || is_young { Verdict::Good } else { Verdict::Behind }
}

/// A standby. A cheap clone; clones share what is known.
#[derive(Debug, Clone)]
pub struct Standby {
    pool: DatabaseConnection,
    max_lag: Duration,
    seen: Arc<Mutex<Seen>>,
    looking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    last: Option<(Instant, Verdict)>,
}

impl Standby {
    /// Returns a standby that `pool` leads to, which nobody has looked at yet.
    pub(super) fn new(pool: DatabaseConnection, max_lag: Duration) -> Self {
        Self { pool, max_lag, seen: Arc::default(), looking: Arc::default() }
    }

    /// Returns the connections to read a report with: those of the standby if it is good, else `primary`'s.
    pub(super) async fn or(&self, primary: &DatabaseConnection) -> DatabaseConnection {
        let verdict = self.verdict(primary).await;
        let from = if verdict == Verdict::Good { "standby" } else { "primary" };
        metrics::counter!("linkforty_report_reads_total", "from" => from, "why" => verdict.name())
            .increment(1);
        if verdict == Verdict::Good { self.pool.clone() } else { primary.clone() }
    }

    async fn verdict(&self, primary: &DatabaseConnection) -> Verdict {
        if let Some(verdict) = self.believed() {
            return verdict;
        }
        // One looks for all who come meanwhile.
        let _looking = self.looking.lock().await;
        if let Some(verdict) = self.believed() {
            return verdict;
        }
        let verdict = self.look(primary).await;
        let before = self.lock().last.replace((Instant::now(), verdict));
        if before.is_none_or(|(_, before)| before != verdict) {
            match verdict {
                Verdict::Good => tracing::info!("reports are read from the standby"),
                _ => tracing::warn!(
                    why = verdict.name(),
                    "reports are read from the primary: the standby is not good for it"
                ),
            }
        }
        verdict
    }

    fn believed(&self) -> Option<Verdict> {
        self.lock().last.filter(|(at, _)| at.elapsed() < BELIEVED).map(|(_, verdict)| verdict)
    }

    async fn look(&self, primary: &DatabaseConnection) -> Verdict {
        const PRIMARY: &str = "SELECT (SELECT system_identifier::text FROM pg_control_system()) || '/' || current_database() AS identity,
             (pg_current_wal_lsn() - '0/0')::bigint AS position";
        const STANDBY: &str = "SELECT pg_is_in_recovery() AS recovers,
             (SELECT system_identifier::text FROM pg_control_system()) || '/' || current_database() AS identity,
             (pg_last_wal_replay_lsn() - '0/0')::bigint AS position,
             EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp())::float8 AS age";
        // The primary first: what it writes while the standby is asked is no lag.
        let primary: Option<Primary> = ask(primary, PRIMARY).await;
        let standing: Option<Standing> = ask(&self.pool, STANDBY).await;
        judge(primary.as_ref(), standing.as_ref(), self.max_lag)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask<T: FromQueryResult>(db: &DatabaseConnection, question: &str) -> Option<T> {
    let statement = Statement::from_string(db.get_database_backend(), question);
    let asked = async { T::find_by_statement(statement).one(db).await };
    let answered: Result<Option<T>, DbErr> = timeout(PATIENCE, asked).await.ok()?;
    answered
        .inspect_err(|error| tracing::debug!(cause = %error, "a database does not say how far it is"))
        .ok()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_read_from_while_it_is_one_and_not_far_behind() {
        let primary = Primary { identity: "7/linkforty".into(), position: 100 };
        let standing =
            Standing { recovers: true, identity: "7/linkforty".into(), position: Some(100), age: Some(5.0) };
        let with = |change: fn(&mut Standing)| {
            let mut changed = standing.clone();
            change(&mut changed);
            Some(changed)
        };
        for (name, primary, standing, expected) in [
            ("has all", Some(&primary), with(|_| {}), Verdict::Good),
            ("has all, written long ago", Some(&primary), with(|s| s.age = Some(1e6)), Verdict::Good),
            ("has all, and replayed nothing yet", Some(&primary), with(|s| s.age = None), Verdict::Good),
            ("a little behind", Some(&primary), with(|s| s.position = Some(99)), Verdict::Good),
            (
                "far behind",
                Some(&primary),
                with(|s| (s.position, s.age) = (Some(99), Some(30.5))),
                Verdict::Behind,
            ),
            ("says nothing", Some(&primary), with(|s| (s.position, s.age) = (None, None)), Verdict::Behind),
            ("is no standby", Some(&primary), with(|s| s.recovers = false), Verdict::NoStandby),
            ("stands by another", Some(&primary), with(|s| s.identity = "8/x".into()), Verdict::Another),
            ("does not answer", Some(&primary), None, Verdict::Away),
            ("the primary is away too", None, with(|_| {}), Verdict::Good),
            ("the primary is away for long", None, with(|s| s.age = Some(31.0)), Verdict::Behind),
        ] {
            assert_eq!(judge(primary, standing.as_ref(), Duration::from_secs(30)), expected, "{name}");
        }
    }
}
