//! The table `decision_checkpoints`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::WorkspaceId};

/// What was signed of the log of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "decision_checkpoints")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Over how many entries.
    #[sea_orm(primary_key, auto_increment = false)]
    pub size: i64,
    /// When.
    pub time: Moment,
    /// The signed text.
    pub note: String,
    /// The key that checks it: Ed25519, 32 bytes.
    pub public_key: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
