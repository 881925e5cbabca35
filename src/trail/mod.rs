//! The audit trail: who did what to what, noted in the transaction that does it.
//!
//! - [`action`]  everything that is noted, by name
//! - [`changes`] what was changed, field by field in the words of the contract, secrets hidden
//!
//! Rooms note; the room `audit` puts the notes into a chain, shows and checks them. Guarantees: an effect and its note are stored
//! together or not at all. A note is never changed or deleted, which the database itself sees to.

mod action;
mod changes;

use std::{net::IpAddr, sync::Arc};

use sea_orm::{ActiveModelTrait as _, ConnectionTrait, DbErr, EntityTrait as _};
use uuid::Uuid;

pub use self::{
    action::Action,
    changes::{Changes, Told},
};
use crate::{
    clock::Moment,
    entity::audit_event::{ActiveModel, Entity, Model},
    ids::{ApiKeyId, AppId, Ids, SessionId, UserId, WorkspaceId},
};

/// Rows of one statement, as many as a batch has: each has thirteen values, and SQLite takes 32,766.
const ROWS: usize = 1000;

/// Where a call came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The address of the client, as far as it can be believed.
    pub address: Option<IpAddr>,
    /// The id that the log lines of the call carry.
    pub request_id: Option<Arc<str>>,
}

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The server by itself.
    Server,
    /// Whoever is at the command line.
    Operator,
    /// A person, in a session if it was opened already.
    Person(UserId, Option<SessionId>),
    /// A program.
    ApiKey(ApiKeyId),
    /// A copy of an app.
    App(AppId),
    /// Somebody who has not said who they are.
    Anybody,
}

/// Who does something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub who: Who,
    /// From where.
    pub origin: Origin,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// By whom.
    pub actor: Actor,
    /// In which workspace; `None` for what people do to their own accounts and the operator to the server.
    pub workspace: Option<WorkspaceId>,
    /// What.
    pub action: Action,
    /// To what; `None` when the action says all.
    pub target: Option<Uuid>,
    /// What is different.
    pub changes: Changes,
}

impl Who {
    /// Returns the number the database knows the kind by, which is that of `linkforty.v1.AuditActorKind`.
    pub const fn number(self) -> i16 {
        match self {
            Self::Server => 1,
            Self::Operator => 2,
            Self::Person(..) => 3,
            Self::ApiKey(_) => 4,
            Self::App(_) => 5,
            Self::Anybody => 6,
        }
    }

    /// Returns who it is among their kind.
    pub const fn id(self) -> Option<Uuid> {
        match self {
            Self::Person(user, _) => Some(user.0),
            Self::ApiKey(key) => Some(key.0),
            Self::App(app) => Some(app.0),
            Self::Server | Self::Operator | Self::Anybody => None,
        }
    }

    const fn session(self) -> Option<SessionId> {
        match self {
            Self::Person(_, session) => session,
            _ => None,
        }
    }
}

impl Actor {
    /// Returns one who is not at the other end of a connection.
    pub const fn here(who: Who) -> Self {
        Self { who, origin: Origin { address: None, request_id: None } }
    }

    /// Returns the note of what they do.
    pub const fn did(
        self,
        workspace: Option<WorkspaceId>,
        action: Action,
        target: Option<Uuid>,
        changes: Changes,
    ) -> Note {
        Note { actor: self, workspace, action, target, changes }
    }
}

impl Note {
    /// Returns the note of what the server does by itself.
    pub const fn by_server(workspace: WorkspaceId, action: Action, target: Uuid, changes: Changes) -> Self {
        Actor::here(Who::Server).did(Some(workspace), action, Some(target), changes)
    }
}

/// Notes what was done, in the transaction that does it.
pub async fn note(
    tx: &impl ConnectionTrait,
    ids: &Ids,
    notes: impl IntoIterator<Item = Note>,
    now: Moment,
) -> Result<(), DbErr> {
    let rows: Vec<Model> = notes.into_iter().map(|note| row(note, ids.uuid(now), now)).collect();
    for rows in rows.chunks(ROWS) {
        let rows = rows.iter().map(|row| ActiveModel::from(row.clone()).reset_all());
        Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

fn row(note: Note, id: Uuid, now: Moment) -> Model {
    let Note { actor: Actor { who, origin }, workspace, action, target, changes } = note;
    Model {
        id,
        workspace_id: workspace,
        time: now,
        actor_kind: who.number(),
        actor_id: who.id(),
        session_id: who.session(),
        address: origin.address.map(|address| address.to_string()),
        request_id: origin.request_id.map(|id| id.to_string()),
        action: action.name().to_owned(),
        target_id: target,
        changes: changes.into_text(),
        seq: None,
        hash: None,
    }
}
