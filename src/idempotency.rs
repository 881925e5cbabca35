//! Repeats of a request are recognised by its `request_id`, for 24 hours.
//!
//! The id is stored in the transaction of the effect: both happen or neither does. Two calls with the same id at the same
//! time queue up behind each other in the database. What is kept is what the room wrote down (an id, usually), so that a repeat
//! is answered with the resource as it is now (AIP-155) and no secret is ever stored.

use ring::digest;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait as _, sea_query::OnConflict};
use uuid::Uuid;

use crate::{
    clock::Moment,
    entity::idempotency_key::{ActiveModel, Column, Entity},
    error::{Error, Reason, Result},
    ids::{self, WorkspaceId},
};

/// How long a request id is remembered.
pub const LIFE: chrono::Duration = chrono::Duration::hours(24);

/// A request id together with what was asked under it.
#[derive(Debug, Clone)]
pub struct Request {
    workspace: WorkspaceId,
    principal: Uuid,
    id: Uuid,
    fingerprint: Vec<u8>,
}

/// What a request id means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody used it: do the work, then [`made`] before the commit.
    Fresh,
    /// It was done; this is what the room wrote down.
    Made(String),
}

impl Request {
    /// Reads a request id; `None` when the client sent none. `principal` is who calls, `method` and `content` are what is
    /// asked: the content is the encoded request without its request id.
    pub fn parse(
        request_id: &str,
        workspace: WorkspaceId,
        principal: Uuid,
        method: &str,
        content: &[u8],
    ) -> Result<Option<Self>> {
        if request_id.is_empty() {
            return Ok(None);
        }
        let id = ids::parse(request_id)
            .ok_or_else(|| Error::invalid_field("request_id", "must be a UUID of 36 characters"))?;
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(method.as_bytes());
        hash.update(&[0]);
        hash.update(content);
        Ok(Some(Self { workspace, principal, id, fingerprint: hash.finish().as_ref().to_vec() }))
    }
}

/// Claims a request id inside the transaction of the effect. `None` claims nothing and is always fresh.
pub async fn claim(tx: &impl ConnectionTrait, request: Option<&Request>, now: Moment) -> Result<Claim> {
    let Some(request) = request else { return Ok(Claim::Fresh) };
    let row = ActiveModel {
        workspace_id: Set(request.workspace),
        principal: Set(request.principal),
        request_id: Set(request.id),
        fingerprint: Set(request.fingerprint.clone()),
        outcome: Set(String::new()),
        create_time: Set(now),
    };
    // A row that has had its time makes room for the new one.
    let conflict = OnConflict::columns([Column::WorkspaceId, Column::Principal, Column::RequestId])
        .update_columns([Column::Fingerprint, Column::Outcome, Column::CreateTime])
        .action_and_where(sea_orm::ColumnTrait::lt(&Column::CreateTime, now - LIFE))
        .to_owned();
    let inserted = Entity::insert(row).on_conflict(conflict).exec_without_returning(tx).await?;
    if inserted > 0 {
        return Ok(Claim::Fresh);
    }
    let key = (request.workspace, request.principal, request.id);
    let stored = Entity::find_by_id(key)
        .one(tx)
        .await?
        .ok_or_else(|| Error::internal("a request id was neither free nor taken"))?;
    if stored.fingerprint == request.fingerprint {
        Ok(Claim::Made(stored.outcome))
    } else {
        Err(Error::new(
            Reason::IdempotencyKeyReused,
            "this request_id was used in the last 24 hours for a call with other content",
        ))
    }
}

/// Writes down what came of a fresh request, before the commit.
pub async fn made(
    tx: &impl ConnectionTrait,
    request: Option<&Request>,
    outcome: impl Into<String>,
) -> Result<()> {
    let Some(request) = request else { return Ok(()) };
    Entity::update(ActiveModel {
        workspace_id: Set(request.workspace),
        principal: Set(request.principal),
        request_id: Set(request.id),
        outcome: Set(outcome.into()),
        ..ActiveModel::default()
    })
    .exec(tx)
    .await?;
    Ok(())
}

/// Forgets request ids that have had their time.
pub async fn sweep(db: &impl ConnectionTrait, now: Moment) -> Result<u64, DbErr> {
    use sea_orm::{ColumnTrait as _, QueryFilter as _};
    Ok(Entity::delete_many().filter(Column::CreateTime.lt(now - LIFE)).exec(db).await?.rows_affected)
}
