//! The table `link_reports`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{LinkId, ReportId, WorkspaceId},
};

/// What a visitor reported about a link.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link_reports")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReportId,
    /// Whose link.
    pub workspace_id: WorkspaceId,
    /// The link.
    pub link_id: LinkId,
    /// The code by which the visitor knew it.
    pub short_code: String,
    /// A number of `linkforty.v1.ReportKind`.
    pub kind: i16,
    /// In the visitor's words; may be empty.
    pub details: String,
    /// How to reach the visitor, in their words; may be empty.
    pub contact: String,
    /// When it came.
    pub create_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
