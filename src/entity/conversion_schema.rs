//! The table `conversion_schemas`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{AppId, WorkspaceId},
};

/// What the values in an app's postbacks mean from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversion_schemas")]
pub struct Model {
    /// The app.
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: AppId,
    /// Goes up by one with every change; the etag is made of it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// From when on it holds.
    pub start_time: Moment,
    /// When it was stored.
    pub create_time: Moment,
    /// Protobuf, `linkforty.v1.ConversionSchema` without what is output only.
    pub content: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
