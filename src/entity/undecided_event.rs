//! The table `undecided_events`.

use sea_orm::entity::prelude::*;

use crate::ids::{EventId, InstallId, WorkspaceId};

/// An event that was counted before its install was known, or decided.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "undecided_events")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Its install.
    #[sea_orm(primary_key, auto_increment = false)]
    pub install_id: InstallId,
    /// Which. It holds the time of the event by the device's clock.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: EventId,
    /// What it counted as (`linkforty.internal.v1.CountedEvent`).
    pub content: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
