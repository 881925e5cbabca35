//! The table `sign_in_attempts`.

use sea_orm::entity::prelude::*;

use crate::clock::Moment;

/// How often something was tried lately.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_attempts")]
pub struct Model {
    /// A keyed hash of what is counted.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Vec<u8>,
    /// How often, at that moment.
    pub tries: i32,
    /// When the last one was made.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
