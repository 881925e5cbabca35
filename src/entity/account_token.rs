//! The table `account_tokens`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::UserId};

/// What lets whoever holds it do one thing once for a person.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_tokens")]
pub struct Model {
    /// SHA-256 of the token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: Vec<u8>,
    /// For whom; `None`: for nobody, made so that asking takes as long.
    pub user_id: Option<UserId>,
    /// For what, as `accounts::account_tokens` names it.
    pub purpose: String,
    /// The e-mail of the person when it was made.
    pub email: String,
    /// When it ends.
    pub expire_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
