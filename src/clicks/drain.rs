//! Carries the spool into the database.
//!
//! A batch may be written any number of times: rows that are there change nothing. Progress is noted in the same
//! transaction, then in the spool's own checkpoint; a crash between the two costs a repeated batch. What was really written
//! stands in the feed, and whoever reads that is woken.
//!
//! Records that are no clicks are somebody else's to write ([`Carry`]): behind the clicks of their batch, which they may ask for,
//! and before the batch is noted as drained. Clicks that name a device are handed over besides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fail::fail_point;
use futures::future::BoxFuture;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use super::{
    Homes,
    meters::Meters,
    query::names_a_device,
    record::decode,
    store::{self, Dictionary, Progress, Row},
};
use crate::{
    db::{Dialect, Fault, fault},
    env::Env,
    feed::tail,
    spool::{Batch, Position, Reader, Record, RecordKind, Spool},
};

/// How many records a batch has at the most, and bytes: large enough to make a transaction worth its flush, small enough to stay a fraction
/// of a second.
const BATCH: (usize, usize) = (5000, 4 << 20);
/// The same on SQLite, which writes every page that a transaction has touched twice over: with as many links as there are clicks in a batch, that
/// is most of the work. Twice as many clicks in one go are a quarter more a second.
const SQLITE_BATCH: (usize, usize) = (20_000, 16 << 20);
/// How long a batch waits for company: what an operator sees as lag when little happens.
const LINGER: Duration = Duration::from_millis(100);
/// What is said of a record that is set aside without the database having seen it.
const UNREADABLE: &str = "this release cannot read it";
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Writes records of one batch that are no clicks, and what clicks say of devices, any number of times. One that it cannot read it leaves to
/// [`Unreadable`]; it fails when the database does, which then holds some of them or none.
pub type Carry = for<'a> fn(&'a Env, &'a [Record]) -> BoxFuture<'a, Result<Vec<Unreadable>, DbErr>>;

/// A record that nobody can read: its place among those that were handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable(pub usize);

/// Drains the spool until `stop`; then whatever is still in it waits for the next start.
pub async fn run(
    (env, carry): (Env, Carry),
    spool: Spool,
    reader: &mut Reader,
    meters: Meters,
    stop: CancellationToken,
) {
    let homes = Homes::here(&env);
    let drain = Drain { env, carry, dictionary: Dictionary::default(), homes, spool, meters };
    tokio::select! {
        () = stop.cancelled() => {}
        () = drain.forever(reader) => {}
    }
}

/// Drains what the spool holds now and returns how many records that were. Fails when the database does.
pub async fn once((env, carry): (&Env, Carry), spool: &Spool, reader: &mut Reader) -> Result<u64, DbErr> {
    let drain = Drain {
        env: env.clone(),
        carry,
        dictionary: Dictionary::default(),
        homes: Homes::here(env),
        spool: spool.clone(),
        meters: Meters::new(),
    };
    if let Some(position) = store::progress(&drain.env.db.drain, spool.id()).await? {
        reader.seek(position);
    }
    let (most_records, most_bytes) = batch_of(env);
    let mut drained = 0;
    while spool.status().lag_records > 0 {
        let batch = reader.next_batch(most_records, most_bytes, Duration::ZERO).await;
        if batch.records.is_empty() {
            break;
        }
        drain.store(&batch.records, batch.end).await?;
        commit(reader, &batch);
        drained += batch.records.len() as u64;
    }
    Ok(drained)
}

/// Whether the database failed and has not caught up since: up to the last batch, since there is always somebody who clicks.
#[derive(Debug, Default)]
struct Behind(AtomicBool);

/// Says whether this node knows of more than the database, as after an outage: what is in the spool is not only what came just now.
pub fn is_behind(env: &Env, spool: &Spool) -> bool {
    env.memory.of(Behind::default).0.load(Ordering::Acquire) || !spool.has_drained_earlier_runs()
}

struct Drain {
    env: Env,
    carry: Carry,
    dictionary: Dictionary,
    homes: Arc<Homes>,
    spool: Spool,
    meters: Meters,
}

impl Drain {
    async fn forever(&self, reader: &mut Reader) {
        let behind = self.env.memory.of(Behind::default);
        let mut failures = 0;
        loop {
            match store::progress(&self.env.db.drain, self.spool.id()).await {
                Ok(position) => {
                    if let Some(position) = position {
                        reader.seek(position);
                        keep_no_more(reader, position);
                    }
                    break;
                }
                Err(error) => self.pause(&mut failures, &error).await,
            }
        }
        let (most_records, most_bytes) = batch_of(&self.env);
        loop {
            let batch = reader.next_batch(most_records, most_bytes, LINGER).await;
            if batch.records.is_empty() {
                return;
            }
            let started = std::time::Instant::now();
            let mut failures = 0;
            while let Err(error) = self.store(&batch.records, batch.end).await {
                self.pause(&mut failures, &error).await;
            }
            fail_point!("drain.commit.after");
            commit(reader, &batch);
            if behind.0.load(Ordering::Acquire) && self.spool.status().lag_records < BATCH.0 as u64 {
                behind.0.store(false, Ordering::Release);
            }
            self.meters.batch_seconds.record(started.elapsed());
            self.meters.records.increment(batch.records.len() as u64);
            self.meters.batch_records.set(batch.records.len() as f64);
        }
    }

    /// Writes records, and notes that everything before `end` is drained.
    async fn store(&self, records: &[Record], end: Position) -> Result<(), DbErr> {
        let others: Vec<Record> = records.iter().filter(|record| is_for_others(record)).cloned().collect();
        if others.is_empty() {
            return self.store_clicks(records, end).await;
        }
        // Nothing is noted before all of them are safe: the batch is drained up to where it begins.
        self.store_clicks(records, records[0].position).await?;
        self.carry(&others).await?;
        fail_point!("drain.carried.after");
        self.store_clicks(&[], end).await
    }

    /// Has records that are no clicks written. One that the database refuses is found by halving and set aside.
    async fn carry(&self, records: &[Record]) -> Result<(), DbErr> {
        match (self.carry)(&self.env, records).await {
            Err(error) if fault(&error) == Fault::Refused => match records {
                [] => Err(error),
                [record] => self.bury(record, &error.to_string()).await,
                many => {
                    let (left, right) = many.split_at(many.len() / 2);
                    Box::pin(self.carry(left)).await?;
                    Box::pin(self.carry(right)).await
                }
            },
            Err(error) => Err(error),
            Ok(unreadable) => {
                for Unreadable(at) in unreadable {
                    self.bury(&records[at], UNREADABLE).await?;
                }
                Ok(())
            }
        }
    }

    /// Writes the clicks among records. When the database refuses the data, finds the records it refuses and sets them aside,
    /// halving the batch each time; any other failure is the caller's to repeat.
    async fn store_clicks(&self, records: &[Record], end: Position) -> Result<(), DbErr> {
        let db = self.env.db.writer(&self.env.db.drain);
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(records.len());
        for record in records.iter().filter(|record| record.kind == RecordKind::Click) {
            match decode(record.id, &record.payload) {
                Some(row) => rows.push(row),
                None => self.bury(record, UNREADABLE).await?,
            }
        }
        let progress = Progress { spool: self.spool.id(), position: end, now: self.env.now() };
        match store::write(db, (&self.dictionary, &self.homes), &rows, progress).await {
            Err(error) if fault(&error) == Fault::Refused => match records {
                [] => Err(error),
                [record] => self.bury(record, &error.to_string()).await,
                many => {
                    let (left, right) = many.split_at(many.len() / 2);
                    // The end of a half is not safe to note before its records are: note where the half began.
                    Box::pin(self.store_clicks(left, left[0].position)).await?;
                    Box::pin(self.store_clicks(right, end)).await
                }
            },
            Ok(inserted) => {
                if !inserted.is_empty() {
                    tail::wake(&self.env);
                }
                self.meters.stored(rows.len(), inserted.into_iter());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn bury(&self, record: &Record, why: &str) -> Result<(), DbErr> {
        tracing::error!(record.id = %record.id, kind = u8::from(record.kind), why, "a spool record was set aside as a dead letter");
        self.meters.dead_letters.increment(1);
        let letter = (record.id, u8::from(record.kind), record.payload.as_ref());
        store::bury(&self.env.db.drain, self.spool.id(), letter, why, self.env.now()).await
    }

    /// Waits longer after each failure, never at the same moments as other nodes (full jitter).
    async fn pause(&self, failures: &mut u32, error: &DbErr) {
        let bound = longest_pause(*failures);
        *failures = failures.saturating_add(1);
        let pause = Duration::from_millis(u64::from(self.env.ids.below(bound.as_millis() as u32)) + 1);
        self.env.memory.of(Behind::default).0.store(true, Ordering::Release);
        tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "the spool waits for the database");
        self.meters.failures.increment(1);
        tokio::time::sleep(pause).await;
    }
}

/// Returns how many records and bytes a batch has at the most.
fn batch_of(env: &Env) -> (usize, usize) {
    match env.db.dialect() {
        Dialect::Postgres => BATCH,
        Dialect::Sqlite => SQLITE_BATCH,
    }
}

/// Says whether a record is somebody else's to write too: all that are no clicks, and clicks whose network says of which device they are.
fn is_for_others(record: &Record) -> bool {
    record.kind != RecordKind::Click || names_a_device(&record.payload)
}

/// Tells the spool what the database has already: the process may have died between the two. Whoever waits for the end of
/// what earlier runs left need not wait for a click to come.
fn keep_no_more(reader: &mut Reader, position: Position) {
    if reader.position() == position
        && let Err(error) = reader.commit(position)
    {
        tracing::warn!(%error, "the spool's checkpoint stays behind the database");
    }
}

fn commit(reader: &mut Reader, batch: &Batch) {
    if let Err(error) = reader.commit(batch.end) {
        tracing::warn!(%error, "the spool's checkpoint could not be written; the batch would be repeated after a crash");
    }
}

/// Returns the upper bound of the pause after `failures` failures: 50 ms, doubling, at most 5 s.
fn longest_pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_seconds() {
        let bounds: Vec<u64> = [0, 1, 2, 6, 7, 100].map(|n| longest_pause(n).as_millis() as u64).into();
        assert_eq!(bounds, [50, 100, 200, 3200, 5000, 5000]);
    }
}
