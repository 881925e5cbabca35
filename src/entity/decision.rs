//! The table `decisions`.

use sea_orm::entity::prelude::*;

use crate::ids::{InstallId, WorkspaceId};

/// What was decided of an install. Never changed; only its place in the log is added, once.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "decisions")]
pub struct Model {
    /// In the order in which the decisions of one install were made.
    #[sea_orm(primary_key)]
    pub number: i64,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Of which install.
    pub install_id: InstallId,
    /// The entry: JSON, as text, since its hash must come out the same for ever.
    pub entry: String,
    /// Its place in the log of the workspace: 0, 1, ... None until it has one.
    pub leaf: Option<i64>,
    /// The hash over it and the hash of the one before it.
    pub hash: Option<Vec<u8>>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
