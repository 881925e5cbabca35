//! The table `spool_progress`.

use sea_orm::entity::prelude::*;

use crate::clock::Moment;

/// How far a spool has been drained into this database.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spool_progress")]
pub struct Model {
    /// Which spool.
    #[sea_orm(primary_key, auto_increment = false)]
    pub spool_id: Uuid,
    /// The segment.
    pub segment: i64,
    /// The offset in it.
    pub position: i64,
    /// Since when.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
