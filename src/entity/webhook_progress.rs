//! The table `webhook_progress`.

use sea_orm::entity::prelude::*;

/// How far the feed has been told. One row.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_progress")]
pub struct Model {
    /// 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i16,
    /// Just behind the row of the feed with this number.
    pub seq: i64,
    /// How often something was told.
    pub round: i64,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
