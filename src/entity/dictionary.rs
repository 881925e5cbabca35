//! The table `dictionary`.

use sea_orm::entity::prelude::*;

/// A text that many clicks share.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dictionary")]
pub struct Model {
    /// What clicks hold in its place.
    #[sea_orm(primary_key)]
    pub id: i32,
    /// What sort of text: `clicks::store::Kind`.
    pub kind: i16,
    /// The text.
    pub value: String,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
