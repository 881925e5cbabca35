//! The table `webhook_messages`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{MessageId, WebhookEndpointId, WorkspaceId},
};

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_messages")]
pub struct Model {
    /// UUIDv7: its time part is the moment it was written.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// The one that it was written for; none: for whoever wants it.
    pub endpoint_id: Option<WebhookEndpointId>,
    /// What happened: `crate::webhooks::EventType`.
    pub event_type: i16,
    /// What it happened to; of many the first.
    pub subject_id: Uuid,
    /// When it happened.
    pub time: Moment,
    /// What is told of it: JSON.
    pub body: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
