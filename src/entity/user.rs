//! The table `users`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::UserId};

/// A person with a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// In lower case.
    pub email: String,
    /// May be empty.
    pub display_name: String,
    /// Argon2id in PHC form.
    pub password_hash: String,
    /// The password is one that somebody else set.
    pub password_change_required: bool,
    /// When it was added.
    pub create_time: Moment,
    /// When it last changed.
    pub update_time: Moment,
    /// Since when the person may not sign in; `None`: they may.
    pub disable_time: Option<Moment>,
    /// When it was last proved that the e-mail reaches them.
    pub email_verify_time: Option<Moment>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
