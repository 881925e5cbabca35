//! The table `click_identities`.

use sea_orm::entity::prelude::*;

use crate::ids::{ClickId, LinkId, WorkspaceId};

/// A click that came with an id of a device or a user, who allowed it to be used.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "click_identities")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// A keyed hash of the id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// The click.
    #[sea_orm(primary_key, auto_increment = false)]
    pub click_id: ClickId,
    /// Its link.
    pub link_id: LinkId,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
