//! The table `webhook_attempts`.

use sea_orm::entity::prelude::*;

use crate::ids::{MessageId, WebhookAttemptId, WebhookEndpointId, WorkspaceId};

/// One try to tell an endpoint a message.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_attempts")]
pub struct Model {
    /// UUIDv7: its time part is the moment it began.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WebhookAttemptId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Who was told.
    pub endpoint_id: WebhookEndpointId,
    /// What.
    pub message_id: MessageId,
    /// Which try it was.
    pub number: i32,
    /// How long it took, in milliseconds.
    pub took_ms: i32,
    /// What was answered, if anything.
    pub status: Option<i32>,
    /// What came of it.
    pub outcome: i16,
    /// How the answer began.
    pub response: Option<Vec<u8>>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
