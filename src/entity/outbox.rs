//! The table `outbox`.

use sea_orm::entity::prelude::*;

use crate::ids::WorkspaceId;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// UUIDv7: its time part is the moment.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// What, as [`crate::outbox::Kind`] names it.
    pub kind: String,
    /// What it happened to: the id of an install or of an API key.
    pub subject_id: Uuid,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
