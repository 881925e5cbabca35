//! The table `link_totals`.

use sea_orm::entity::prelude::*;

use crate::ids::{LinkId, WorkspaceId};

/// The clicks of a link so far.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link_totals")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Which link; it may be deleted since.
    #[sea_orm(primary_key, auto_increment = false)]
    pub link_id: LinkId,
    /// By people.
    pub clicks: i64,
    /// By bots.
    pub bot_clicks: i64,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
