//! The table `link_import_drafts`.

use sea_orm::entity::prelude::*;

use crate::ids::{ImportId, WorkspaceId};

/// A link that a dry run would have made, for the rows that come after it. Goes when the dry run is done.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link_import_drafts")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Of which import.
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_id: ImportId,
    /// The code that it would have.
    #[sea_orm(primary_key, auto_increment = false)]
    pub short_code: String,
    /// Protobuf, `linkforty.v1.Link`: what it would be.
    pub link: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
