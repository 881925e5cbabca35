//! The table `used_handles`.

use sea_orm::entity::prelude::*;

use crate::clock::Moment;

/// A sealed handle that was used, remembered for as long as it would be good.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "used_handles")]
pub struct Model {
    /// SHA-256 of the handle.
    #[sea_orm(primary_key, auto_increment = false)]
    pub handle_hash: Vec<u8>,
    /// When the handle ends by itself.
    pub expire_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
