//! The table `sessions`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{SessionId, UserId},
};

/// One sign-in of a person.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// SHA-256 of the refresh token that is good now.
    pub refresh_hash: Vec<u8>,
    /// SHA-256 of the one before it.
    pub previous_refresh_hash: Option<Vec<u8>>,
    /// When the refresh token last changed.
    pub rotate_time: Moment,
    /// When the person signed in.
    pub create_time: Moment,
    /// When the refresh token ends if it is not used.
    pub refresh_expire_time: Moment,
    /// When the session ends whatever happens.
    pub expire_time: Moment,
    /// When it was ended before that.
    pub end_time: Option<Moment>,
    /// What the program that signed in calls itself.
    pub user_agent: String,
    /// Where the sign-in came from; may be empty.
    pub address: String,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
