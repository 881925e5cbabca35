//! The table `identities`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{IdentityId, UserId},
};

/// What another server calls a person. A server's subject is one person's, and a person has one with each server.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identities")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: IdentityId,
    /// Whose.
    pub user_id: UserId,
    /// The server, as it calls itself.
    pub issuer: String,
    /// What the server calls the person: never given to anybody else.
    pub subject: String,
    /// The e-mail that the server said when it was linked; may be empty.
    pub email: String,
    /// When it was linked.
    pub create_time: Moment,
    /// When the person last signed in by it.
    pub use_time: Option<Moment>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
