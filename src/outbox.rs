//! What happened, noted in the transaction that makes it true: who is to be told of it hears of it exactly if it is.
//!
//! A row says what happened to what; what there is to tell of it, whoever tells reads then. Rows are kept for a week.

use chrono::Duration;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use crate::{
    clock::Moment,
    entity::outbox::{ActiveModel, Column, Entity},
    ids::{Ids, WorkspaceId, floor},
};

/// How long a row is kept.
const LIFE: Duration = Duration::days(7);

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An install was credited to a link.
    InstallAttributed,
    /// An install was credited to none.
    InstallOrganic,
    /// An API key ends in 14, in 7 days or in one.
    ApiKeyExpiring,
}

impl Kind {
    /// Returns its name, which is stored and told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InstallAttributed => "install.attributed",
            Self::InstallOrganic => "install.organic",
            Self::ApiKeyExpiring => "api_key.expiring",
        }
    }
}

/// Notes that something happened to `subject`.
pub async fn note(
    tx: &impl ConnectionTrait,
    ids: &Ids,
    (workspace, kind, subject): (WorkspaceId, Kind, Uuid),
    now: Moment,
) -> Result<(), DbErr> {
    Entity::insert(ActiveModel {
        id: Set(ids.uuid(now)),
        workspace_id: Set(workspace),
        kind: Set(kind.name().to_owned()),
        subject_id: Set(subject),
    })
    .exec_without_returning(tx)
    .await
    .map(drop)
}

/// Forgets what is older than a week. Returns how many rows that were.
pub async fn sweep(db: &impl ConnectionTrait, now: Moment) -> Result<u64, DbErr> {
    let gone = Entity::delete_many().filter(Column::Id.lt(floor(now - LIFE))).exec(db).await?;
    Ok(gone.rows_affected)
}
