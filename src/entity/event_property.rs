//! The table `event_properties`.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

/// A name of a property that events of an app have.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_properties")]
pub struct Model {
    /// The app, or the workspace where no app is known.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_id: Uuid,
    /// The name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
