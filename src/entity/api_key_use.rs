//! The table `api_key_uses`.

use sea_orm::entity::prelude::*;

use crate::ids::{ApiKeyId, WorkspaceId};

/// How often an API key was used on one day.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key_uses")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Which key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub api_key_id: ApiKeyId,
    /// Whole days since 1970 (UTC).
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i32,
    /// Calls that were let in.
    pub calls: i64,
    /// Those of them that were answered with an error.
    pub errors: i64,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
