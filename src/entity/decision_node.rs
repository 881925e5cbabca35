//! The table `decision_nodes`.

use sea_orm::entity::prelude::*;

use crate::ids::WorkspaceId;

/// The root of 256 hashes of the level below, all of which are there.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "decision_nodes")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// 1 over the entries, 2 over those of level 1, ...
    #[sea_orm(primary_key, auto_increment = false)]
    pub level: i16,
    /// 0, 1, ... from the left.
    #[sea_orm(primary_key, auto_increment = false)]
    pub place: i64,
    /// The hash.
    pub hash: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
