//! The table `link_imports`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{ImportId, WorkspaceId},
};

/// One import of a file of links, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link_imports")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Protobuf, `linkforty.v1.StartImportRequest`: what was asked for.
    pub request: Vec<u8>,
    /// Whether the file has ended.
    pub done: bool,
    /// How many bytes of the file are done with.
    pub next_offset: i64,
    /// Protobuf, `linkforty.internal.v1.ImportReading`: what must be known of those bytes to read on.
    pub reading: Vec<u8>,
    /// How many rows were read.
    pub row_count: i64,
    /// Rows that made a link.
    pub created: i64,
    /// Rows that changed a link.
    pub changed: i64,
    /// Rows that changed nothing.
    pub same: i64,
    /// Rows whose code is in use for something else.
    pub conflicts: i64,
    /// Rows that could not be read.
    pub wrong: i64,
    /// When it was started.
    pub create_time: Moment,
    /// When it last got on.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
