//! What happened, noted in the transaction that makes it true: who is to be told of it hears of it exactly if it is.
//!
//! A row says what happened to what, and all there is to tell of it, so that a link can be told of that is gone. What has been told stays for a
//! week without its body. What the feed says (clicks, installs, events) is not said again here.

use chrono::Duration;
use prost::Message as _;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QuerySelect as _,
};
use uuid::Uuid;

use crate::{
    clock::Moment,
    entity::{
        outbox::{ActiveModel, Column, Entity},
        webhook_endpoint,
    },
    ids::{Ids, WorkspaceId, floor},
    pb::internal::v1::WebhookSettings,
};

/// How long a row is kept when it was told.
const LIFE: Duration = Duration::days(7);
/// Rows of one statement: each has six values, and SQLite takes 32,766.
const ROWS: usize = 1000;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A link was made.
    LinkCreated,
    /// A link was changed.
    LinkUpdated,
    /// A link was deleted.
    LinkDeleted,
    /// A domain was found to be the workspace's.
    DomainVerified,
    /// An API key ends in 14, in 7 days or in one.
    ApiKeyExpiring,
    /// An endpoint is told nothing any more.
    WebhookEndpointDisabled,
    /// Apple said that an ad brought a user.
    PostbackReceived,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::LinkCreated,
        Self::LinkUpdated,
        Self::LinkDeleted,
        Self::DomainVerified,
        Self::ApiKeyExpiring,
        Self::WebhookEndpointDisabled,
        Self::PostbackReceived,
    ];

    /// Returns its name, which is stored and told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkCreated => "link.created",
            Self::LinkUpdated => "link.updated",
            Self::LinkDeleted => "link.deleted",
            Self::DomainVerified => "domain.verified",
            Self::ApiKeyExpiring => "api_key.expiring",
            Self::WebhookEndpointDisabled => "webhook_endpoint.disabled",
            Self::PostbackReceived => "postback.received",
        }
    }

    /// Returns what has this name; `None` for what only earlier or later releases note.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Returns the number by which endpoints say that they want to hear of it.
    pub const fn number(self) -> u32 {
        match self {
            Self::LinkCreated => 1,
            Self::LinkUpdated => 2,
            Self::LinkDeleted => 3,
            Self::DomainVerified => 10,
            Self::ApiKeyExpiring => 11,
            Self::WebhookEndpointDisabled => 12,
            Self::PostbackReceived => 14,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What.
    pub kind: Kind,
    /// To what: a link, a domain, an API key, an endpoint, a postback.
    pub subject: Uuid,
    /// What is told of it: the JSON of `data`.
    pub body: Vec<u8>,
}

/// Notes what happened in a workspace.
pub async fn note(
    tx: &impl ConnectionTrait,
    ids: &Ids,
    workspace: WorkspaceId,
    facts: impl IntoIterator<Item = Fact>,
    now: Moment,
) -> Result<(), DbErr> {
    let rows = facts.into_iter().map(|Fact { kind, subject, body }| ActiveModel {
        id: Set(ids.uuid(now)),
        workspace_id: Set(workspace),
        kind: Set(kind.name().to_owned()),
        subject_id: Set(subject),
        body: Set(Some(body)),
        told_time: Set(None),
    });
    let rows: Vec<ActiveModel> = rows.collect();
    for rows in rows.chunks(ROWS) {
        Entity::insert_many(rows.to_vec()).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Says whether anybody wants to hear of such things in a workspace: of what happens by the thousand nothing is noted for nobody.
pub async fn is_wanted(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    kinds: &[Kind],
) -> Result<bool, DbErr> {
    let settings: Vec<Vec<u8>> = webhook_endpoint::Entity::find()
        .select_only()
        .column(webhook_endpoint::Column::Settings)
        .filter(webhook_endpoint::Column::WorkspaceId.eq(workspace))
        .filter(webhook_endpoint::Column::State.ne(webhook_endpoint::DISABLED))
        .into_tuple()
        .all(tx)
        .await?;
    // Those that cannot be read are told by another release, which wants to know.
    let wants = |settings: &Vec<u8>| {
        WebhookSettings::decode(&settings[..])
            .map_or(true, |settings| kinds.iter().any(|kind| settings.event_types.contains(&kind.number())))
    };
    Ok(settings.iter().any(wants))
}

/// Forgets what was told and is older than a week. Returns how many rows that were.
pub async fn sweep(db: &impl ConnectionTrait, now: Moment) -> Result<u64, DbErr> {
    let gone = Entity::delete_many()
        .filter(Column::Id.lt(floor(now - LIFE)))
        .filter(Column::ToldTime.is_not_null())
        .exec(db)
        .await?;
    Ok(gone.rows_affected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_and_what_others_note_is_nothing() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_name(kind.name()), Some(kind));
        }
        for other in ["", "install.attributed", "link"] {
            assert_eq!(Kind::of_name(other), None);
        }
    }
}
