//! The table `feed`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::WorkspaceId};

/// What one transaction stored of one workspace.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "feed")]
pub struct Model {
    /// Its place. Rows become visible in another order: see `crate::feed`.
    #[sea_orm(primary_key)]
    pub seq: i64,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// When it was stored.
    pub time: Moment,
    /// What: 1 clicks, 2 installs, 3 events.
    pub kind: i16,
    /// `linkforty.internal.v1.FeedBatch`.
    pub payload: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
