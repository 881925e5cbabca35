//! Who did what: shows what [`crate::trail`] noted, and seals it into a chain that nobody can rewrite unseen.
//!
//! - [`chain`]  the hashes, and what is wrong with a chain; pure
//! - [`export`] events as a file
//! - `store`    queries of `audit_events`
//! - `wire`     events as messages, and what is asked for
//! - [`grpc`]   `AuditService`
//!
//! Guarantees: events are noted in the transaction of what they tell of, and get a place in the chain within seconds of it, once, by
//! whichever node is first. [`verify`] names the first event that is not what it was, or that is gone. What it cannot see is that the end of
//! the chain was cut off: for that, note the head that it prints somewhere else and hand it in the next time.

pub mod chain;
pub mod export;
pub mod grpc;
mod store;
mod wire;

use chrono::Duration;
use uuid::Uuid;

use self::chain::{Fault, Hash};
pub use self::store::Order;
use crate::{
    clock::Moment,
    db::{self, fault},
    entity::audit_event::Model,
    env::Env,
    error::{Error, Result},
    ids::{UserId, WorkspaceId},
    page::{Page, PageRequest},
};

/// How many events get their places in one transaction.
const SEALED_AT_ONCE: u64 = 200;
/// How many events are read at once to check them.
const CHECKED_AT_ONCE: u64 = 1000;
/// How long an event may be without a place.
const PATIENCE: Duration = Duration::minutes(5);

/// Whose events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Those of a workspace.
    Workspace(WorkspaceId),
    /// What happened to the account of a person.
    User(UserId),
    /// All, for the operator.
    Operator,
}

/// Which events. What is not set is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Who did it.
    pub actor: Option<Uuid>,
    /// To what.
    pub target: Option<Uuid>,
    /// What: names, or beginnings that end with a dot.
    pub actions: Vec<String>,
    /// From this moment on.
    pub start: Option<Moment>,
    /// Before this moment.
    pub end: Option<Moment>,
}

/// The end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many events it has.
    pub seq: i64,
    /// The hash of the last.
    pub hash: Hash,
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The chain is whole up to here.
    Whole(Head),
    /// This is the first thing that is wrong.
    Broken {
        /// At which place.
        seq: i64,
        /// The event that stands there; `None` when none does.
        event: Option<Uuid>,
        /// What is wrong.
        fault: Fault,
    },
    /// All that have a place are whole, but this one should have one by now.
    LeftOver(Uuid),
    /// The chain does not have, or no longer has, the head that was noted.
    OtherHead,
}

/// Returns one page of events.
pub async fn list(
    env: &Env,
    audience: Audience,
    asked: &AuditQuery,
    order: Order,
    page: &PageRequest,
) -> Result<Page<Model>> {
    Ok(store::list(&env.db.api, audience, asked, order, page).await?)
}

/// Gives every event that has none its place in the chain, over the connections that callers do not wait for. Says how many that were.
pub async fn seal(env: &Env) -> Result<usize> {
    let mut sealed = 0;
    // Most of the time there is nothing, and nobody is kept waiting to find that out.
    while !store::unsealed(&env.db.drain, 1).await?.is_empty() {
        match seal_some(env).await? {
            0 => break,
            some => sealed += some,
        }
    }
    Ok(sealed)
}

async fn seal_some(env: &Env) -> Result<usize> {
    let tx = env.db.begin_on(&env.db.drain).await?;
    let events = store::unsealed(&tx, SEALED_AT_ONCE).await?;
    let mut head = head(&tx).await?;
    for event in &events {
        let seq = head.seq + 1;
        head = Head { seq, hash: chain::hash(&head.hash, seq, event) };
        match store::place(&tx, event.id, seq, &head.hash).await {
            Ok(true) => {}
            // Another node is at it: it has the place, or the event.
            Ok(false) => return Ok(0),
            Err(error) if fault(&error) == db::Fault::Refused => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    }
    match tx.commit().await {
        Ok(()) => Ok(events.len()),
        Err(error) if fault(&error) == db::Fault::Refused => Ok(0),
        Err(error) => Err(error.into()),
    }
}

async fn head(db: &impl sea_orm::ConnectionTrait) -> Result<Head> {
    let Some(last) = store::last(db).await? else { return Ok(Head { seq: 0, hash: chain::START }) };
    let hash = last.hash.and_then(|hash| hash.try_into().ok());
    let hash = hash.ok_or_else(|| Error::internal("the last audit event has no hash"))?;
    Ok(Head { seq: last.seq.unwrap_or(0), hash })
}

/// Checks the chain from its beginning; `noted` is a head of it that somebody kept, and `progress` hears how far it has come.
pub async fn verify(env: &Env, noted: Option<Head>, mut progress: impl FnMut(i64)) -> Result<Verdict> {
    let db = &env.db.api;
    let mut head = Head { seq: 0, hash: chain::START };
    loop {
        let events = store::behind(db, head.seq, CHECKED_AT_ONCE).await?;
        if events.is_empty() {
            break;
        }
        for event in events {
            match chain::follow(head.seq, &head.hash, &event) {
                Ok(hash) => head = Head { seq: head.seq + 1, hash },
                Err(Fault::Missing) => {
                    return Ok(Verdict::Broken { seq: head.seq + 1, event: None, fault: Fault::Missing });
                }
                Err(Fault::Altered) => {
                    let event = Some(event.id);
                    return Ok(Verdict::Broken { seq: head.seq + 1, event, fault: Fault::Altered });
                }
            }
            if noted.is_some_and(|noted| noted.seq == head.seq && noted.hash != head.hash) {
                return Ok(Verdict::OtherHead);
            }
        }
        progress(head.seq);
    }
    if noted.is_some_and(|noted| noted.seq > head.seq) {
        return Ok(Verdict::OtherHead);
    }
    if let Some(event) = store::left_over(db, env.now() - PATIENCE).await? {
        return Ok(Verdict::LeftOver(event.id));
    }
    Ok(Verdict::Whole(head))
}
