//! The table `webhook_deliveries`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{MessageId, WebhookEndpointId, WorkspaceId},
};

/// A message that an endpoint is to be told, or was.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_deliveries")]
pub struct Model {
    /// Who is told.
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint_id: WebhookEndpointId,
    /// What.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// When it is tried next, where it is due.
    pub next_time: Moment,
    /// When anything about it last changed.
    pub update_time: Moment,
    /// How often it was tried since it was made or asked for again.
    pub attempts: i32,
    /// What the last attempt was answered.
    pub last_status: Option<i32>,
    /// 1 due, 2 delivered, 3 given up, 4 cancelled.
    pub state: i16,
    /// What came of the last attempt; 0: there was none.
    pub last_outcome: i16,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
