//! The table `certificate_orders`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::WorkspaceId};

/// An order that an authority was sent: it is remembered for a day, so that no more are sent than it bears.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "certificate_orders")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// For whose domain; none: for a host of the server's own.
    pub workspace_id: Option<WorkspaceId>,
    /// When.
    pub create_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
