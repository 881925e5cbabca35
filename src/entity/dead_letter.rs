//! The table `dead_letters`.

use sea_orm::entity::prelude::*;

use crate::clock::Moment;

/// A spool record that this database refuses.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dead_letters")]
pub struct Model {
    /// The id of the record.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Which spool it came from.
    pub spool_id: Uuid,
    /// The kind of record.
    pub kind: i16,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Why it was refused.
    pub error: String,
    /// When.
    pub create_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
