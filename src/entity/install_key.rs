//! The table `install_keys`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{InstallId, WorkspaceId},
};

/// One of the things by which an install is known again.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "install_keys")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// A keyed hash of what it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// The install.
    pub install_id: InstallId,
    /// When it was last seen.
    pub seen_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
