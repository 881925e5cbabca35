//! The table `awaited_clicks`.

use sea_orm::entity::prelude::*;

use crate::ids::{ClickId, WorkspaceId};

/// An install or an event that was counted before the click was stored that it is credited to.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "awaited_clicks")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// The install or the event.
    #[sea_orm(primary_key, auto_increment = false)]
    pub item_id: Uuid,
    /// The click. It holds the time of the click.
    pub click_id: ClickId,
    /// What the item counted as, in JSON (`analytics::rollup::awaited::Item`).
    pub content: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
