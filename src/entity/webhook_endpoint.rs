//! The table `webhook_endpoints`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{WebhookEndpointId, WorkspaceId},
};

/// The `state` of an endpoint that the server disabled: nothing is kept for it.
pub const DISABLED: i16 = 3;

/// Where somebody is told what happens. `crate::webhooks::Endpoint` reads it.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_endpoints")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WebhookEndpointId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// Where; of a postback with macros.
    pub url: String,
    /// `linkforty.internal.v1.WebhookSettings`.
    pub settings: Vec<u8>,
    /// `linkforty.internal.v1.WebhookSecrets`, sealed.
    pub secrets: Vec<u8>,
    /// 1 active, 2 paused by somebody, 3 disabled by the server.
    pub state: i16,
    /// Why it was disabled: 1 it said that it is gone, 2 it failed for days; else 0.
    pub state_reason: i16,
    /// Since when every attempt has failed; none: the last one did not.
    pub failing_since: Option<Moment>,
    /// Goes up with every change that somebody makes.
    pub version: i64,
    /// When it was made.
    pub create_time: Moment,
    /// When somebody last changed it.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
