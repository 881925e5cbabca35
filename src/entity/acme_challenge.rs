//! The table `acme_challenges`.

use sea_orm::entity::prelude::*;

use crate::clock::Moment;

/// What every node answers while an authority looks whether a host is ours. It is no secret.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "acme_challenges")]
pub struct Model {
    /// What is asked for.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token: String,
    /// The host it is about.
    pub host: String,
    /// The answer.
    pub answer: String,
    /// When it was asked.
    pub create_time: Moment,
    /// Until when it is answered.
    pub expire_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
