//! The table `second_factors`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::UserId};

/// An authenticator app of a person.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "second_factors")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// What the app knows, sealed.
    pub secret: Vec<u8>,
    /// The newest step whose code was used; -1 at first.
    pub last_step: i64,
    /// When it was made.
    pub create_time: Moment,
    /// When a first code confirmed it; until then nobody asks for one.
    pub confirm_time: Option<Moment>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
