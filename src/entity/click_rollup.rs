//! The table `click_rollups`.

use sea_orm::entity::prelude::*;

use crate::ids::{LinkId, WorkspaceId};

/// The clicks of a link in one hour.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "click_rollups")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Which link.
    #[sea_orm(primary_key, auto_increment = false)]
    pub link_id: LinkId,
    /// Whole hours since 1970.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hour: i32,
    /// By people.
    pub clicks: i64,
    /// Not by people.
    pub bot_clicks: i64,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
