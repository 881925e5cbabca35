//! The table `click_budgets`.

use sea_orm::entity::prelude::*;

use crate::ids::{LinkId, WorkspaceId};

/// What of a link's limit of clicks is gone.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "click_budgets")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Which link.
    #[sea_orm(primary_key, auto_increment = false)]
    pub link_id: LinkId,
    /// Visits that were sent on or that a lease allows.
    pub leased: i64,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
