//! The table `mails`.

use sea_orm::entity::prelude::*;

use crate::clock::Moment;

/// A mail that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    /// UUIDv7: its time part is the moment it was written.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The letter, sealed.
    pub content: Vec<u8>,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next.
    pub next_time: Moment,
    /// When it has had its time.
    pub expire_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
