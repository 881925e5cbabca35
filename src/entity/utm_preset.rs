//! The table `utm_presets`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{UtmPresetId, WorkspaceId},
};

/// Campaign parameters under a name.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "utm_presets")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UtmPresetId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// What people call it, unique in the workspace.
    pub name: String,
    /// An object of texts, as `links.utm`.
    #[sea_orm(column_type = "JsonBinary")]
    pub utm: Json,
    /// When it was created.
    pub create_time: Moment,
    /// When it last changed.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
