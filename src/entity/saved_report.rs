//! The table `reports`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{SavedReportId, WorkspaceId},
};

/// A question under a name.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reports")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SavedReportId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// What it asks: `linkforty.v1.ReportQuery`.
    pub query: Vec<u8>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub create_time: Moment,
    /// When it last changed.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
