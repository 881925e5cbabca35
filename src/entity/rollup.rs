//! The table `rollups`.

use sea_orm::entity::prelude::*;

use crate::ids::WorkspaceId;

/// What was counted of a part of a workspace in an hour or on a day. `analytics::rollup::key` says what the numbers mean.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollups")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Of what sort of part.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope: i16,
    /// Of which part.
    #[sea_orm(primary_key, auto_increment = false)]
    pub part: i32,
    /// What it holds.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bundle: i16,
    /// 0 an hour, 1 a day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub level: i16,
    /// Which hour or day since 1970.
    #[sea_orm(primary_key, auto_increment = false)]
    pub period: i32,
    /// In which round it was written last. No two writings have the same.
    pub version: i64,
    /// Clicks of people, where all together are in it; else 0.
    pub clicks: i64,
    /// `analytics::rollup::content`.
    pub content: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
