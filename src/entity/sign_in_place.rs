//! The table `sign_in_places`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::UserId};

/// A network that a person signed in from.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_places")]
pub struct Model {
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// An IPv4 address or the first one of an IPv6 /64.
    #[sea_orm(primary_key, auto_increment = false)]
    pub network: String,
    /// When they last did.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
