//! The table `click_leases`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{LeaseId, LinkId, WorkspaceId},
};

/// Visits that one node may send on without asking again. The row goes when all of them are recorded, or when the node
/// gives the rest back.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "click_leases")]
pub struct Model {
    /// The id; the clicks carry it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LeaseId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Which link.
    pub link_id: LinkId,
    /// The spool of the node.
    pub spool_id: Uuid,
    /// Which start of the node.
    pub run_id: Uuid,
    /// How many visits; once it is over, those that were recorded.
    pub units: i64,
    /// How many of them are recorded.
    pub drained: i64,
    /// From then on the rest is anybody's.
    pub end_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
