//! The table `link_import_errors`.

use sea_orm::entity::prelude::*;

use crate::ids::{ImportId, WorkspaceId};

/// A row of an import that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link_import_errors")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Of which import.
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_id: ImportId,
    /// Which row; the first is 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub row_number: i64,
    /// Protobuf, `linkforty.internal.v1.ImportCells`: the row as it came.
    pub cells: Vec<u8>,
    /// Why.
    pub message: String,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
