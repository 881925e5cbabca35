//! The table `passkeys`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{PasskeyId, UserId},
};

/// A passkey of a person.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkeys")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PasskeyId,
    /// Whose.
    pub user_id: UserId,
    /// What its authenticator calls it.
    pub credential_id: Vec<u8>,
    /// What the person calls it.
    pub name: String,
    /// How its authenticator may be reached, a bit for each way.
    pub transports: i16,
    /// The public key and what was settled when it was made: a byte for the form, then what `accounts::passkeys` writes.
    pub public_key: Vec<u8>,
    /// What changes with its use, the signature counter above all; written in the same way.
    pub state: Vec<u8>,
    /// When it was added.
    pub create_time: Moment,
    /// When the person last signed in by it.
    pub use_time: Option<Moment>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
