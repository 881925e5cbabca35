//! The table `templates`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{TemplateId, WorkspaceId},
};

/// What links have in common.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "templates")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TemplateId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// The first part of the long form of short URLs, unique in the workspace.
    pub slug: String,
    /// May be empty.
    pub description: String,
    /// Protobuf, `linkforty.v1.LinkDefaults`.
    pub defaults: Vec<u8>,
    /// Whether links created without a template get it; of a workspace's one at the most.
    pub is_default: bool,
    /// Goes up by one with every change; the etag is made of it.
    pub version: i64,
    /// When it was created.
    pub create_time: Moment,
    /// When it last changed.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
