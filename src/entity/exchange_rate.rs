//! The table `exchange_rates`.

use sea_orm::entity::prelude::*;

/// What a euro cost on a day.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "exchange_rates")]
pub struct Model {
    /// ISO 4217.
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency: String,
    /// In days since 1970.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i32,
    /// Billionths of a unit of the currency for one euro.
    pub rate: i64,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
